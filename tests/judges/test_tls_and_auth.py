"""swaks, msmtp and curl at every door for mail, in every combination of TLS and login that they know."""

from __future__ import annotations

import itertools
from pathlib import Path

import messages
import pytest
from outside import Run, Tool, missing
from program import House, Person
from wire import Imap

pytestmark = pytest.mark.judge

SUBMISSION = ("submission", "submissions")


def came_by(house: House, person: Person) -> bytes:
    """With which protocol the one message came, as its Received field says."""
    with Imap(house.program.imap, person.login, person.password) as client:
        client.ok(b"SELECT INBOX")
        assert len(client.uids()) == 1
        head = client.ok(b"FETCH 1 BODY.PEEK[HEADER.FIELDS (RECEIVED)]").literal()
    return head.partition(b" with ")[2].split()[0]


@pytest.mark.parametrize(
    ("door", "tls", "mechanism", "protocol"),
    [
        ("smtp", "", "", b"ESMTP"),
        ("smtp", "--tls", "", b"ESMTPS"),
        *[
            (door, tls, mechanism, protocol)
            for (door, tls, protocol), mechanism in itertools.product(
                [
                    ("submission", "--tls", b"ESMTPSA"),
                    ("submissions", "--tls-on-connect", b"ESMTPSA"),
                    ("submission", "", b"ESMTPA"),  # in clear, as only this machine may
                ],
                ["PLAIN", "LOGIN", "plain"],
            )
        ],
    ],
)
def test_swaks(
    door: str, tls: str, mechanism: str, protocol: bytes, house: House, person: Person, tool: Tool, run: Run
) -> None:
    if tls and run(tool("perl"), "-MNet::SSLeay", "-e1", expect=None).returncode:
        missing("Net::SSLeay, by which swaks speaks TLS,")
    secure = (tls, "--tls-verify", "--tls-ca-path", str(house.authority)) if tls else ()
    login = ("--auth", mechanism, "--auth-user", person.login, "--auth-password", person.password) if mechanism else ()
    run(
        *(tool("swaks"), "--server", "localhost", "--port", str(house.program.ready[door]["port"])),
        *("--helo", "client.example", "--from", person.login, "--to", person.login, "--body", "x"),
        *secure,
        *login,
    )
    assert came_by(house, person) == protocol


@pytest.mark.parametrize("door", SUBMISSION)
@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256", "on"])
def test_msmtp(door: str, mechanism: str, house: House, person: Person, tool: Tool, run: Run, tmp_path: Path) -> None:
    msmtp = tool("msmtp")
    known = run(msmtp, "--version").stdout.lower().partition(b"authentication library")[2]
    if mechanism not in {"on"} and mechanism.encode() not in known:
        pytest.skip(f"this msmtp does not know {mechanism}")
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account a\nhost localhost\nport {house.program.ready[door]['port']}\nfrom {person.login}\nuser {person.login}\n"
        f"passwordeval printf %s '{person.password}'\nauth {mechanism}\ntls on\n"
        f"tls_starttls {'on' if door == 'submission' else 'off'}\ntls_trust_file {house.authority}\n"
    )
    config.chmod(0o600)
    run(msmtp, "-C", str(config), "-a", "a", "--", person.login, stdin=messages.simple().replace(b"\r\n", b"\n"))
    assert came_by(house, person) == b"ESMTPSA"


@pytest.mark.parametrize("door", SUBMISSION)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256", ""])
def test_curl(door: str, mechanism: str, house: House, person: Person, tool: Tool, run: Run, tmp_path: Path) -> None:
    curl = tool("curl")
    if mechanism.startswith("SCRAM") and b"gsasl" not in run(curl, "--version").stdout:
        pytest.skip("this curl was built without SCRAM")
    (tmp_path / "mail").write_bytes(messages.simple())
    scheme = "smtps" if door == "submissions" else "smtp"
    options = ("--login-options", f"AUTH={mechanism}") if mechanism else ()
    run(
        *(curl, "-sS", f"{scheme}://localhost:{house.program.ready[door]['port']}/client.example", "--ssl-reqd"),
        *("--cacert", str(house.authority), "-u", f"{person.login}:{person.password}", *options),
        *("--mail-from", person.login, "--mail-rcpt", person.login, "-T", "mail"),
    )
    assert came_by(house, person) == b"ESMTPSA"


@pytest.mark.parametrize("door", ["pop3s", "imaps"])
def test_curl_reads_where_tls_is_from_the_first_octet(
    door: str, house: House, person: Person, tool: Tool, run: Run
) -> None:
    with Imap(house.program.imap, person.login, person.password) as client:
        client.append("INBOX", messages.simple())
    place = f"{door}://localhost:{house.program.ready[door]['port']}/" + ("1" if door == "pop3s" else "INBOX;UID=1")
    who = ("--cacert", str(house.authority), "-u", f"{person.login}:{person.password}")
    assert run(tool("curl"), "-sS", place, *who).stdout == messages.simple()


def test_nobody_logs_in_or_relays_at_the_door_for_other_servers(
    house: House, person: Person, tool: Tool, run: Run
) -> None:
    login = ("--auth", "PLAIN", "--auth-user", person.login, "--auth-password", person.password)
    done = run(
        *(tool("swaks"), "--server", "localhost", "--port", str(house.program.smtp.port), "--helo", "client.example"),
        *("--from", person.login, "--to", "x@elsewhere.example", *login),
        expect=28,
    )
    assert b"AUTH" not in done.stdout.partition(b" EHLO ")[2].partition(b"\n -> ")[0]
