"""The rules of RFC 5321 5.1, held against a plain reading of them for whatever DNS may say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from vault import TestClock

from mailsystem.queue.hosts import MOST_HOSTS, Hosts, Unroutable
from mailsystem.queue.resolving import Answer, Kind, LookupFailed, Record

OURS = "192.0.2.99"
PUBLIC = ("9.9.9.9", "193.0.0.1", "2620:fe::fe")
PRIVATE = ("127.0.0.1", "10.0.0.1", "::1")

NAMES = [f"mx{n}.test" for n in range(6)]
addresses = st.lists(st.sampled_from((*PUBLIC, *PRIVATE, OURS)), max_size=4, unique=True)
whole = st.one_of(addresses, st.none())
"""None: DNS does not say."""


class World:
    """A DNS that says what it is told to."""

    def __init__(self, mx: list[tuple[int, str]], hosts: Mapping[str, list[str] | None]) -> None:
        self.mx = mx
        self.hosts = hosts

    async def ask(self, name: str, kind: Kind) -> Answer:
        if kind == "MX":
            return Answer(tuple(Record(host, preference) for preference, host in sorted(self.mx)))
        found = self.hosts.get(name, [])
        if found is None:
            raise LookupFailed("no usable answer")
        return Answer(tuple(Record(address) for address in found if (":" in address) == (kind == "AAAA")))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*NAMES, "mx.here.test"])), min_size=1, max_size=10),
    st.dictionaries(st.sampled_from(NAMES), whole),
    st.integers(0, 2**16),
)
def test_hosts_are_those_that_are_better_than_we_and_can_be_reached(
    mx: list[tuple[int, str]], hosts: dict[str, list[str] | None], seed: int
) -> None:
    best: dict[str, int] = {}
    for preference, name in sorted(mx):
        best.setdefault(name, preference)
    ours = min((best[name] for name in best if name == "mx.here.test" or OURS in (hosts.get(name) or ())), default=100)
    better = {name: preference for name, preference in best.items() if preference < ours}
    expected = {name for name in better if set(hosts.get(name) or ()) & set(PUBLIC)}

    async def find() -> None:
        finder = Hosts(
            World(mx, hosts),
            TestClock(),
            hostname="mx.here.test",
            is_us=lambda name, ip: ip == OURS,
            chance=random.Random(seed),
        )
        try:
            destination = await finder.find("a.test")
        except Unroutable as error:
            unsure = any(hosts.get(name, []) is None for name in better)
            status = "4.4.3" if unsure else "5.4.6" if ours < 100 else "5.4.4"
            told = (error.status, error.temporary)
            assert not expected
            assert told == (status, unsure)
        else:
            assert {host.name for host in destination.hosts} == expected
            assert len(destination.hosts) == len(expected) <= MOST_HOSTS
            preferences = [host.preference for host in destination.hosts]
            assert preferences == sorted(preferences)
            assert all({host.preference for host in group} == {group[0].preference} for group in destination.groups)
            for host in destination.hosts:
                assert host.preference == best[host.name]
                assert set(host.addresses) == set(hosts[host.name] or ()) & set(PUBLIC)

    asyncio.run(find())
