"""Where mail for a domain goes. A real name server of our own answers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from vault import TestClock

from mailsystem.cli.demo.dns import NameServer, answering
from mailsystem.queue.hosts import Destination, Hosts, Unroutable
from mailsystem.queue.resolving import Dns

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
