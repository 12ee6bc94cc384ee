"""Where mail for a domain goes. A real name server of our own answers."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from vault import TestClock

from mailsystem.cli.demo.dns import NameServer, answering
from mailsystem.net.public import is_public
from mailsystem.queue.hosts import Destination, Hosts, Unroutable, is_of_this_machine
from mailsystem.queue.resolving import Dns, of_system

Records = Mapping[str, Sequence[str]]

HERE = "mx.here.test"


@asynccontextmanager
async def asking(server: NameServer, *, patience: float = 5.0, **options: Any) -> AsyncIterator[Hosts]:
    async with answering(server) as place:
        options = {"private": True, "chance": random.Random(1)} | options
        clock = options.pop("clock", None) or TestClock()
        hosts = Hosts(Dns([place], patience=patience), clock, hostname=HERE, **options)
        try:
            yield hosts
        finally:
            await hosts.close()


async def found(records: Records, domain: str = "a.test", **options: Any) -> Destination:
    async with asking(NameServer(records), **options) as hosts:
        return await hosts.find(domain)


async def failure(server: NameServer | Records, domain: str = "a.test", **options: Any) -> Unroutable:
    server = server if isinstance(server, NameServer) else NameServer(server)
    async with asking(server, **options) as hosts:
        with pytest.raises(Unroutable) as raised:
            await hosts.find(domain)
    return raised.value


def names(destination: Destination) -> list[list[str]]:
    return [[host.name for host in group] for group in destination.groups]


# Order


async def test_hosts_are_tried_by_preference() -> None:
    records = {
        "a.test": ["MX 30 c.a.test.", "MX 10 a.a.test.", "MX 20 b.a.test."],
        "a.a.test": ["A 192.0.2.1"],
        "b.a.test": ["A 192.0.2.2"],
        "c.a.test": ["A 192.0.2.3"],
    }
    destination = await found(records)
    assert [(host.name, host.preference, host.addresses) for host in destination.hosts] == [
        ("a.a.test", 10, ("192.0.2.1",)),
        ("b.a.test", 20, ("192.0.2.2",)),
        ("c.a.test", 30, ("192.0.2.3",)),
    ]
    assert destination.domain == "a.test"


async def test_equals_are_tried_in_any_order() -> None:
    records = {"a.test": ["MX 10 a.a.test.", "MX 10 b.a.test.", "MX 5 first.a.test.", "MX 50 last.a.test."]}
    records |= {f"{name}.a.test": ["A 192.0.2.1"] for name in ("a", "b", "first", "last")}
    async with asking(NameServer(records)) as hosts:
        orders = {tuple(map(tuple, names(await hosts.find("a.test")))) for _ in range(50)}
    middle = {groups[1] for groups in orders}
    assert middle == {("a.a.test", "b.a.test"), ("b.a.test", "a.a.test")}
    assert {(groups[0], groups[2]) for groups in orders} == {(("first.a.test",), ("last.a.test",))}


async def test_addresses_of_both_families_come_by_turns() -> None:
    records = {
        "a.test": ["MX 10 mx.a.test."],
        "mx.a.test": ["A 192.0.2.1", "A 192.0.2.2", "A 192.0.2.3", "AAAA 2001:db8::1", "AAAA 2001:db8:0::2"],
    }
    [host] = (await found(records)).hosts
    assert [":" in address for address in host.addresses] == [True, False, True, False, False]
    assert set(host.addresses) == {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"}


async def test_a_host_that_is_named_twice_is_tried_once() -> None:
    records = {"a.test": ["MX 10 mx.a.test.", "MX 20 MX.a.test."], "mx.a.test": ["A 192.0.2.1"]}
    [host] = (await found(records)).hosts
    assert host.preference == 10


# No MX


async def test_without_mx_the_domain_is_its_own_host() -> None:
    [host] = (await found({"a.test": ["A 192.0.2.1"]})).hosts
    assert (host.name, host.preference, host.addresses) == ("a.test", 0, ("192.0.2.1",))


async def test_with_mx_the_domains_own_address_counts_for_nothing() -> None:
    gone = await failure({"a.test": ["MX 10 mx.a.test.", "A 192.0.2.1"]})
    assert (gone.temporary, gone.status, gone.code) == (False, "5.4.4", 550)


async def test_a_null_mx_takes_no_mail() -> None:
    gone = await failure({"a.test": ["MX 0 .", "A 192.0.2.1"]})
    assert (gone.temporary, gone.status, gone.code) == (False, "5.1.10", 556)
    assert gone.text == "a.test takes no mail"


async def test_a_domain_that_is_not_there_fails_for_good() -> None:
    gone = await failure({"b.test": ["A 192.0.2.1"]})
    assert (gone.temporary, gone.status, gone.code) == (False, "5.1.2", 550)


async def test_what_name_servers_cannot_say_is_asked_later() -> None:
    server = NameServer({"a.test": ["A 192.0.2.1"]})
    server.failing.add("a.test")
    gone = await failure(server)
    assert (gone.temporary, gone.status, gone.code) == (True, "4.4.3", 451)


async def test_name_servers_that_say_nothing_are_asked_later() -> None:
    server = NameServer({"a.test": ["A 192.0.2.1"]})
    server.silent.add("a.test")
    gone = await failure(server, patience=0.2)
    assert (gone.temporary, gone.status) == (True, "4.4.3")


async def test_a_domain_with_neither_mx_nor_address_fails_for_good() -> None:
    for records in ({"a.test": ["TXT hello"]}, {"below.a.test": ["A 192.0.2.1"]}):
        gone = await failure(records)
        assert (gone.temporary, gone.status) == (False, "5.1.2")


async def test_a_null_mx_beside_others_is_left_out() -> None:
    records = {"a.test": ["MX 0 .", "MX 10 mx.a.test."], "mx.a.test": ["A 192.0.2.1"]}
    assert names(await found(records)) == [["mx.a.test"]]


async def test_a_host_that_dns_does_not_know_leaves_the_others() -> None:
    records = {"a.test": ["MX 10 gone.a.test.", "MX 20 mx.a.test."], "mx.a.test": ["A 192.0.2.1"]}
    assert names(await found(records)) == [["mx.a.test"]]


async def test_hosts_are_asked_for_later_where_dns_was_unsure_of_one() -> None:
    server = NameServer({"a.test": ["MX 10 gone.a.test.", "MX 20 mx.a.test."], "mx.a.test": ["A 192.0.2.1"]})
    server.failing.add("mx.a.test")
    gone = await failure(server)
    assert (gone.temporary, gone.status) == (True, "4.4.3")


async def test_one_family_is_enough_where_the_other_cannot_be_asked() -> None:
    class OnlyA(NameServer):
        def fill(self, answer: dns.message.Message, name: str) -> None:
            if answer.question[0].rdtype == dns.rdatatype.AAAA:
                answer.set_rcode(dns.rcode.NOTIMP)
            else:
                super().fill(answer, name)

    async with asking(OnlyA({"a.test": ["MX 10 mx.a.test."], "mx.a.test": ["A 192.0.2.1"]})) as hosts:
        [host] = (await hosts.find("a.test")).hosts
    assert host.addresses == ("192.0.2.1",)


async def test_mx_records_that_name_no_host_do_not_make_the_domain_its_own() -> None:
    for name in ("192.0.2.1.", "a\\000b.test.", "-bad-.test.", "two\\032words.test."):
        gone = await failure({"a.test": [f"MX 10 {name}", "A 192.0.2.1"]})
        assert (gone.temporary, gone.status) == (False, "5.4.4")


# Aliases


@pytest.mark.parametrize("whole", [True, False])
async def test_aliases_are_followed(whole: bool) -> None:
    records = {
        "a.test": ["CNAME b.test."],
        "b.test": ["CNAME c.test."],
        "c.test": ["MX 10 mx.a.test."],
        "mx.a.test": ["CNAME real.a.test."],
        "real.a.test": ["A 192.0.2.1", "AAAA 2001:db8::1"],
    }
    server = NameServer(records) if whole else StepByStep(records)
    async with asking(server) as hosts:
        destination = await hosts.find("a.test")
    assert destination.domain == "a.test"
    [host] = destination.hosts
    assert (host.name, set(host.addresses)) == ("mx.a.test", {"192.0.2.1", "2001:db8::1"})


class StepByStep(NameServer):
    """Tells the next alias only, and leaves the rest of the way to whoever asks."""

    def fill(self, answer: dns.message.Message, name: str) -> None:
        lines = [line for line in self.records.get(name, ()) if line.startswith("CNAME ")]
        if not lines:
            super().fill(answer, name)
        for line in lines:
            answer.answer.append(dns.rrset.from_text(name + ".", 60, "IN", "CNAME", line.split()[1]))


async def test_an_alias_of_nothing_is_no_domain() -> None:
    gone = await failure({"a.test": ["CNAME b.test."]})
    assert (gone.temporary, gone.status) == (False, "5.1.2")


@pytest.mark.parametrize("kind", [NameServer, StepByStep])
async def test_aliases_in_a_circle_end(kind: type[NameServer]) -> None:
    server = kind({"a.test": ["CNAME b.test."], "b.test": ["CNAME a.test."]})
    gone = await failure(server)
    assert (gone.temporary, gone.status) == (True, "4.4.3")
    assert len(server.asked) < 15


@pytest.mark.parametrize("kind", [NameServer, StepByStep])
async def test_eight_aliases_are_followed_and_nine_are_not(kind: type[NameServer]) -> None:
    records = {f"{n}.test": [f"CNAME {n + 1}.test."] for n in range(9)} | {"9.test": ["A 192.0.2.1"]}
    async with asking(kind(records)) as hosts:
        [host] = (await hosts.find("1.test")).hosts
        assert host.addresses == ("192.0.2.1",)
        with pytest.raises(Unroutable) as raised:
            await hosts.find("0.test")
    assert raised.value.temporary


# Never to itself


async def test_this_server_and_whatever_is_no_better_is_dropped() -> None:
    records = {
        "a.test": ["MX 10 good.test.", f"MX 20 {HERE}.", "MX 20 equal.test.", "MX 30 worse.test."],
        "good.test": ["A 192.0.2.1"],
        "equal.test": ["A 192.0.2.2"],
        "worse.test": ["A 192.0.2.3"],
        HERE: ["A 192.0.2.4"],
    }
    assert names(await found(records)) == [["good.test"]]


async def test_it_knows_itself_by_address_too() -> None:
    records = {
        "a.test": ["MX 10 good.test.", "MX 20 another-name.test.", "MX 30 worse.test."],
        "good.test": ["A 192.0.2.1"],
        "another-name.test": ["A 192.0.2.3", "A 192.0.2.4"],
        "worse.test": ["A 192.0.2.3"],
    }
    assert names(await found(records, is_us=lambda name, ip: ip == "192.0.2.4")) == [["good.test"]]
    assert names(await found(records, is_us=lambda name, ip: name == "another-name.test")) == [["good.test"]]


async def test_this_machine_knows_its_own_addresses() -> None:
    assert is_of_this_machine("any.test", "127.0.0.1")
    assert is_of_this_machine("any.test", "127.0.0.2")
    for address in ("", "192.0.2.1", "2001:db8::1", "localhost", "127.0.0.1%lo"):
        assert not is_of_this_machine("any.test", address)
    gone = await failure({"a.test": ["MX 10 mx.a.test."], "mx.a.test": ["A 127.0.0.1"]}, is_us=is_of_this_machine)
    assert gone.status == "5.4.6"


def test_an_address_is_not_ours_only_because_the_system_lets_us_bind_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ip_nonlocal_bind`: all mail would be taken for a loop."""

    class Anywhere(socket.socket):
        def bind(self, address: Any) -> None: ...

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way, contextlib.suppress(OSError):
        way.connect(("198.51.100.1", 25))
        assert is_of_this_machine("any.test", way.getsockname()[0])
    monkeypatch.setattr(socket, "socket", Anywhere)
    assert is_of_this_machine("any.test", "127.0.0.1")
    for address in ("198.51.100.1", "2001:db8::1"):
        assert not is_of_this_machine("any.test", address)


async def test_mail_that_would_come_back_fails_for_good() -> None:
    for records in (
        {"a.test": [f"MX 10 {HERE.upper()}.", "MX 20 other.test."], "other.test": ["A 192.0.2.1"]},
        {"a.test": ["A 192.0.2.4"]},
    ):
        gone = await failure(records, is_us=lambda name, ip: ip == "192.0.2.4")
        assert (gone.temporary, gone.status, gone.code) == (False, "5.4.6", 554)
    gone = await failure({}, "[192.0.2.4]", is_us=lambda name, ip: ip == "192.0.2.4")
    assert gone.status == "5.4.6"


async def test_a_better_host_that_may_come_back_is_waited_for() -> None:
    server = NameServer({"a.test": ["MX 10 good.test.", f"MX 20 {HERE}."], HERE: ["A 192.0.2.4"]})
    server.failing.add("good.test")
    assert (await failure(server)).status == "4.4.3"


# Address literals


async def test_address_literals_need_no_dns() -> None:
    server = NameServer({})
    async with asking(server) as hosts:
        for literal, address in (
            ("[192.0.2.1]", "192.0.2.1"),
            ("[IPv6:2001:DB8:0:0::1]", "2001:db8::1"),
            ("[ipv6:2001:db8::1]", "2001:db8::1"),
        ):
            [host] = (await hosts.find(literal)).hosts
            assert host.addresses == (address,)
    assert server.asked == []


@pytest.mark.parametrize(
    "domain", ["", ".", "a..test", "[", "[]", "[192.0.2]", "[IPv6:fe80::1%eth0]", "x" * 300, "a b", "a\r\nb", "é" * 70]
)
async def test_what_is_no_domain_fails_for_good(domain: str) -> None:
    gone = await failure({}, domain)
    assert (gone.temporary, gone.status) == (False, "5.1.2")
    assert "\n" not in gone.text


async def test_the_longest_names_are_asked_for() -> None:
    longest = ".".join(["x" * 63] * 3 + ["x" * 61])
    [host] = (await found({longest: ["A 192.0.2.1"]}, longest)).hosts
    assert host.name == longest
    too_long = ".".join(["x" * 63] * 3 + ["x" * 63])
    assert (await failure({}, too_long)).status == "5.1.2"


# Addresses that are not out there

INSIDE = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00::1",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "2001::1",
]
OUTSIDE = ["9.9.9.9", "193.0.0.1", "2620:fe::fe", "2a00:1450::1", "::ffff:9.9.9.9", "64:ff9b::9.9.9.9"]


def test_inside_and_outside_are_told_apart() -> None:
    assert [address for address in INSIDE if is_public(address)] == []
    assert [address for address in OUTSIDE if not is_public(address)] == []


async def test_no_mail_goes_inside_because_dns_says_so() -> None:
    six = [f"AAAA {address}" for address in INSIDE if ":" in address]
    four = [f"A {address}" for address in INSIDE if ":" not in address]
    records = {
        "a.test": ["MX 10 in.test.", "MX 20 both.test."],
        "in.test": six + four,
        "both.test": ["A 127.0.0.1", "A 9.9.9.9", "AAAA ::1"],
        "b.test": ["MX 10 in.test."],
        "c.test": four,
    }
    async with asking(NameServer(records), private=False) as hosts:
        [host] = (await hosts.find("a.test")).hosts
        assert (host.name, host.addresses) == ("both.test", ("9.9.9.9",))
        for domain in ("b.test", "c.test", "[127.0.0.1]", "[IPv6:::1]", "[IPv6:::ffff:127.0.0.1]"):
            with pytest.raises(Unroutable) as raised:
                await hosts.find(domain)
            assert (raised.value.temporary, raised.value.status) == (False, "5.4.4")
            assert "127.0.0.1" not in raised.value.text.replace(domain, "")


async def test_a_host_of_the_settings_may_be_anywhere() -> None:
    records = {"smart.test": ["A 127.0.0.1", "MX 10 elsewhere.test."], "elsewhere.test": ["A 9.9.9.9"]}
    server = NameServer(records)
    async with asking(server, private=False, is_us=lambda name, ip: True) as hosts:
        [host] = (await hosts.direct("Smart.test.")).hosts
        assert (host.name, host.addresses) == ("smart.test", ("127.0.0.1",))
        for text, address in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("[IPv6:::1]", "::1"), ("::1", "::1")):
            [host] = (await hosts.direct(text)).hosts
            assert host.addresses == (address,)
        server.failing.add("down.test")
        for name, status in (("down.test", "4.4.3"), ("gone.test", "4.4.4")):
            with pytest.raises(Unroutable) as raised:
                await hosts.direct(name)
            assert (raised.value.temporary, raised.value.status) == (True, status)


async def test_a_host_of_the_settings_may_stand_in_the_machines_own_list() -> None:
    server = NameServer({})
    async with asking(server, known=of_system) as hosts:
        [host] = (await hosts.direct("localhost")).hosts
        assert host.name == "localhost"
        assert set(host.addresses) <= {"127.0.0.1", "::1"}
        with pytest.raises(Unroutable):
            await hosts.find("localhost")
        server.failing.add("localhost")
        assert (await hosts.direct("localhost")).hosts == (host,)


async def test_names_that_no_machine_can_have_are_nowhere() -> None:
    for name in ("x" * 300, "a..b", "\x00", "é" * 100):
        assert await of_system(name) == ()
