"""What `mailsystem domain` tells of DNS, and how the keys that sign a domain's mail are turned."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailsystem.app import opened
from mailsystem.cli.demo.dns import NameServer, answering
from mailsystem.settings import Settings
from mailsystem.store import SigningKey

if TYPE_CHECKING:
    from conftest import Cli

DOMAIN = "example.org"


@pytest.fixture
def cli(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("MAILSYSTEM_HOSTNAME", "mail.example.org")
    return cli


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """A name server that commands ask."""
    server = NameServer({})
    loop, ready, done = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    where: list[tuple[str, int]] = []

    async def serve() -> None:
        async with answering(server) as place:
            where.append(place)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    monkeypatch.setenv("MAILSYSTEM_QUEUE__NAMESERVERS", f"{where[0][0]}:{where[0][1]}")
    yield server
    loop.call_soon_threadsafe(done.set)
    thread.join(10)
    loop.close()


def publish(dns: NameServer, records: list[dict[str, Any]]) -> None:
    """As somebody does who is told these records."""
    for record in records:
        data = (
            " ".join(f'"{string}"' for string in record["strings"])
            if record["type"] == "TXT"
            else record["value"] + "."
        )
        dns.records[record["name"]] = [*dns.records.get(record["name"], []), f"{record['type']} {data}"]


def test_records_that_name_no_full_host_are_not_to_be_published(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not yet to be published" not in cli("domain", "add", DOMAIN).out
    monkeypatch.setenv("MAILSYSTEM_HOSTNAME", "box")
    for told in (cli("domain", "dns", DOMAIN).out, cli("domain", "add", "example.net").out):
        assert "; not yet to be published: box is not a full name" in told
        assert "; set hostname to this server's full name" in told


def test_the_doctor_wants_an_address_for_the_host(cli: Cli, dns: NameServer) -> None:
    cli("domain", "add", DOMAIN)

    def found() -> dict[str, str]:
        [one] = [
            f for f in cli("doctor", "--json", status=1).json["findings"] if f["check"] == "address of mail.example.org"
        ]
        return dict(one)

    assert found()["state"] == "warning"
    assert "A or AAAA" in found()["advice"]
    dns.records["mail.example.org"] = ["A 192.0.2.7"]
    assert (found()["state"], found()["said"]) == ("good", "192.0.2.7")
    dns.failing.add("mail.example.org")
    assert found()["said"].startswith("DNS does not say")


def states(cli: Cli, domain: str = DOMAIN) -> dict[str, str]:
    return {key["selector"][-1]: key["state"] for key in cli("domain", "keys", domain, "--json").json}


def secrets(data_dir: Path) -> list[SigningKey]:
    async def inside() -> list[SigningKey]:
        async with opened(Settings(data_dir=data_dir)) as store:
            return list(await store.signing_keys.all())

    return asyncio.run(inside())


def test_a_new_domain_has_keys_and_its_records_are_told(cli: Cli) -> None:
    told = cli("domain", "add", DOMAIN).out
    assert "example.org. 3600 IN MX 10 mail.example.org." in told
    assert 'example.org. 3600 IN TXT "v=spf1 mx ~all"' in told
    assert '_dmarc.example.org. 3600 IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.org"' in told
    assert len(re.findall(r"^ms\d{6}[re]\._domainkey\.example\.org\. 3600 IN TXT ", told, re.MULTILINE)) == 2
    assert states(cli) == {"r": "active", "e": "active"}
    again = cli("domain", "dns", DOMAIN).out
    assert told.endswith(again)


def test_records_are_there_for_scripts(cli: Cli) -> None:
    told = cli("domain", "add", DOMAIN, "--json").json
    assert told["domain"] == DOMAIN
    assert [(record["name"].split(".")[0], record["type"]) for record in told["dns"]] == [
        ("example", "MX"),
        ("example", "TXT"),
        *((key.selector, "TXT") for key in secrets(cli.data_dir)),
        ("_dmarc", "TXT"),
    ]
    assert cli("domain", "dns", DOMAIN, "--json").json == told["dns"]


def test_a_domain_can_do_without_keys_and_get_them_later(cli: Cli) -> None:
    assert "_domainkey" not in cli("domain", "add", DOMAIN, "--no-dkim").out
    assert "mailsystem domain rotate example.org" in cli("domain", "keys", DOMAIN).out
    told = cli("domain", "rotate", DOMAIN).out
    assert "signed from now on" in told
    assert told.count("_domainkey") == 2
    assert states(cli) == {"r": "active", "e": "active"}


def test_nothing_secret_is_ever_told(cli: Cli) -> None:
    import base64

    commands = [
        ("domain", "add", DOMAIN),
        ("domain", "rotate", DOMAIN),
        ("domain", "rotate", DOMAIN, "--json"),
        ("domain", "keys", DOMAIN),
        ("domain", "keys", "--json"),
        ("domain", "dns", DOMAIN, "--json"),
        ("domain", "rotate", DOMAIN, "--activate", "--unchecked", "--json"),
        ("domain", "list", "--json"),
    ]
    told = "".join(cli(*command).out for command in commands)
    for key in secrets(cli.data_dir):
        assert key.selector in told
        for start in range(3):  # in base64, wherever it began
            hidden = base64.b64encode(key.secret[-30 - start :])[4:24].decode()
            assert hidden not in told
        assert key.secret[-16:].hex() not in told


def test_keys_are_turned_in_three_steps(cli: Cli, dns: NameServer) -> None:
    publish(dns, cli("domain", "add", DOMAIN, "--json").json["dns"])
    old = [key["selector"] for key in cli("domain", "keys", DOMAIN, "--json").json]

    [begun] = cli("domain", "rotate", DOMAIN, "--json").json
    assert [key["state"] for key in begun["keys"]] == ["active", "active", "waiting", "waiting"]
    new = [key["selector"] for key in begun["keys"][2:]]
    assert not set(new) & set(old)
    assert [record["name"] for record in begun["publish"]] == [f"{selector}._domainkey.example.org" for selector in new]
    # Both times the same: nothing is made anew while something waits.
    assert cli("domain", "rotate", DOMAIN, "--json").json[0]["publish"] == begun["publish"]

    assert cli.refused("domain", "rotate", DOMAIN, "--activate") == (
        f"DNS has no {new[0]}._domainkey.example.org; publish it first, or say --unchecked"
    )
    publish(dns, begun["publish"])
    assert ", ".join(new) in cli("domain", "rotate", DOMAIN, "--activate").out
    listed = cli("domain", "keys", DOMAIN, "--json").json
    assert {key["selector"]: key["state"] for key in listed} == {
        **dict.fromkeys(old, "retired"),
        **dict.fromkeys(new, "active"),
    }
    assert "no key waits" in cli("domain", "rotate", DOMAIN, "--activate").out

    assert "may be on its way until" in cli.refused("domain", "rotate", DOMAIN, "--retire")
    told = cli("domain", "rotate", DOMAIN, "--retire", "--unchecked").out
    assert all(f"{selector}._domainkey.example.org" in told for selector in old)
    assert [key["selector"] for key in cli("domain", "keys", DOMAIN, "--json").json] == new
    assert "no key of example.org is retired" in cli("domain", "rotate", DOMAIN, "--retire").out


def test_another_key_in_dns_is_not_ours(cli: Cli, dns: NameServer) -> None:
    cli("domain", "add", DOMAIN)
    [begun] = cli("domain", "rotate", DOMAIN, "--json").json
    for record in begun["publish"]:
        dns.records[record["name"]] = ['TXT "v=DKIM1; k=rsa; p=AAAA"']
    assert "DNS has another key at" in cli.refused("domain", "rotate", DOMAIN, "--activate")


def test_where_dns_does_not_say_nothing_is_switched(cli: Cli, dns: NameServer) -> None:
    cli("domain", "add", DOMAIN)
    [begun] = cli("domain", "rotate", DOMAIN, "--json").json
    dns.failing.update(record["name"] for record in begun["publish"])
    assert "cannot be told" in cli.refused("domain", "rotate", DOMAIN, "--activate")
    assert [key["state"] for key in cli("domain", "keys", "--json").json] == ["active", "active", "waiting", "waiting"]
    assert "signed with" in cli("domain", "rotate", DOMAIN, "--activate", "--unchecked").out


def test_all_domains_are_turned_at_once_or_none(cli: Cli, dns: NameServer) -> None:
    for domain in (DOMAIN, "example.net"):
        cli("domain", "add", domain)
    begun = cli("domain", "rotate", "--all", "--json").json
    assert [one["domain"] for one in begun] == ["example.net", DOMAIN]
    publish(dns, begun[0]["publish"])
    assert "example.org; publish it first" in cli.refused("domain", "rotate", "--all", "--activate")
    assert "waiting" in {key["state"] for key in cli("domain", "keys", "example.net", "--json").json}
    publish(dns, begun[1]["publish"])
    cli("domain", "rotate", "--all", "--activate")
    assert {key["state"] for key in cli("domain", "keys", "--json").json} == {"active", "retired"}


def test_what_makes_no_sense_is_a_usage_error(cli: Cli) -> None:
    assert "either a domain or --all" in cli("domain", "rotate", status=2).err
    assert "either a domain or --all" in cli("domain", "rotate", DOMAIN, "--all", status=2).err
    assert "one at a time" in cli("domain", "rotate", DOMAIN, "--activate", "--retire", status=2).err
    assert "--unchecked goes with" in cli("domain", "rotate", DOMAIN, "--unchecked", status=2).err
    cli("domain", "add", "example.com")
    for command in (("dns", DOMAIN), ("keys", DOMAIN), ("rotate", DOMAIN)):
        assert "is not one of this server's domains" in cli.refused("domain", *command)


# The doctor


@pytest.fixture
def sound(cli: Cli, dns: NameServer, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A sound installation, and what it is told to publish."""
    for name, value in {
        "HOST": "127.0.0.1",
        "DEFAULT_DOMAIN": DOMAIN,
        "SMTP__PORT": "0",
        "POP3__PORT": "0",
        "IMAP__PORT": "0",
    }.items():
        monkeypatch.setenv(f"MAILSYSTEM_{name}", value)
    records: list[dict[str, Any]] = cli("domain", "add", DOMAIN, "--json").json["dns"]
    cli("user", "add", "postmaster@example.org", "--password-stdin", stdin="secret\n")
    return records


def examined(cli: Cli, *options: str, status: int = 0) -> dict[str, list[tuple[str, str]]]:
    """State and words of what the doctor says about DNS."""
    found: dict[str, list[tuple[str, str]]] = {}
    for finding in cli("doctor", "--json", *options, status=status).json["findings"]:
        if finding["check"].split(" ")[0] in {"MX", "SPF", "DKIM", "DMARC", "DNS"}:
            found.setdefault(finding["check"].split(" ")[0], []).append((finding["state"], finding["said"]))
            assert bool(finding["advice"]) is (finding["state"] != "good"), finding
    return found


def test_the_doctor_finds_all_published(cli: Cli, dns: NameServer, sound: list[dict[str, Any]]) -> None:
    publish(dns, sound)
    found = examined(cli)
    assert {check: [state for state, _ in said] for check, said in found.items()} == {
        "MX": ["good"],
        "SPF": ["good"],
        "DKIM": ["good", "good"],
        "DMARC": ["good"],
    }


def test_the_doctor_misses_what_is_not_published(cli: Cli, dns: NameServer, sound: list[dict[str, Any]]) -> None:
    found = examined(cli)
    assert {state for said in found.values() for state, _ in said} == {"warning"}
    assert "worth nothing" in found["DKIM"][0][1]


@pytest.mark.parametrize(
    ("name", "lines", "check", "state", "said"),
    [
        (DOMAIN, ["MX 0 ."], "MX", "warning", "takes no mail at all"),
        (
            DOMAIN,
            ["MX 10 mx.example.net."],
            "MX",
            "warning",
            "mail goes to mx.example.net, and not to mail.example.org",
        ),
        (DOMAIN, ['TXT "v=spf1 -all"'], "SPF", "warning", "nobody sends mail"),
        (DOMAIN, ['TXT "v=spf1 mx -all"', 'TXT "v=spf1 a -all"'], "SPF", "wrong", "neither counts"),
        (
            "_dmarc." + DOMAIN,
            ['TXT "v=DMARC1; p=none"', 'TXT "v=DMARC1; p=reject"'],
            "DMARC",
            "wrong",
            "neither counts",
        ),
    ],
)
def test_the_doctor_tells_what_is_odd(
    cli: Cli,
    dns: NameServer,
    sound: list[dict[str, Any]],
    name: str,
    lines: list[str],
    check: str,
    state: str,
    said: str,
) -> None:
    publish(dns, sound)
    dns.records[name] = lines
    [(was, words)] = examined(cli, status=1 if state == "wrong" else 0)[check]
    assert was == state
    assert said in words


def test_the_doctor_tells_of_keys_that_wait_or_are_others(
    cli: Cli, dns: NameServer, sound: list[dict[str, Any]]
) -> None:
    publish(dns, sound)
    [begun] = cli("domain", "rotate", DOMAIN, "--json").json
    assert "warning" not in dict(examined(cli)["DKIM"])
    publish(dns, begun["publish"])
    assert "wait, and are published" in dict(examined(cli)["DKIM"])["warning"]
    dns.records[sound[2]["name"]] = ['TXT "v=DKIM1; p="']
    assert "has another key" in dict(examined(cli, status=1)["DKIM"])["wrong"]


def test_the_doctor_asks_no_more_where_dns_does_not_answer(
    cli: Cli, dns: NameServer, sound: list[dict[str, Any]]
) -> None:
    for domain in ("example.com", "example.net", "example.test"):
        cli("domain", "add", domain, "--no-dkim")
        dns.failing.add(domain)
    said = [words for _, words in examined(cli, status=1)["DNS"]]  # nobody is postmaster there
    assert len(said) == 3
    assert "asked no more" in said[-1]


def test_the_doctor_need_not_ask_dns(cli: Cli, dns: NameServer, sound: list[dict[str, Any]]) -> None:
    assert examined(cli, "--offline") == {}
    assert not dns.asked
