"""Answers of DNS: how many are looked at, for how long they are known, and what comes of those that are none."""

from __future__ import annotations

import asyncio
import random
import struct
import time

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault import TestClock

from mailsystem.cli.demo.dns import NameServer, answering
from mailsystem.queue import resolving
from mailsystem.queue.hosts import MOST_HOSTS, Hosts, Unroutable
from mailsystem.queue.name_server import MOST_RECORDS
from mailsystem.queue.resolving import (
    FAILED_FOR,
    LONGEST,
    LONGEST_NO,
    MOST_ADDRESSES,
    MOST_MX,
    SHORTEST,
    Answer,
    Dns,
    Kind,
    LookupFailed,
    Record,
    Remembering,
)

HERE = "mx.here.test"


def hosts_of(resolver: Dns, clock: TestClock | None = None) -> Hosts:
    return Hosts(resolver, clock or TestClock(), hostname=HERE, private=True, chance=random.Random(1))


class Known:
    """Answers at once what it is told to, and counts."""

    def __init__(self) -> None:
        self.says: Answer | LookupFailed = Answer((Record("192.0.2.1"),))
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self, name: str, kind: Kind) -> Answer:
        self.asked += 1
        await self.open.wait()
        if isinstance(self.says, LookupFailed):
            raise self.says
        return self.says


# Remembered


@pytest.mark.parametrize(
    ("says", "seconds"),
    [
        (Answer((Record("192.0.2.1"),), ttl=0), SHORTEST),
        (Answer((Record("192.0.2.1"),), ttl=600), 600),
        (Answer((Record("192.0.2.1"),), ttl=2**31), LONGEST),
        (Answer(ttl=0), SHORTEST),
        (Answer(ttl=120), 120),
        (Answer(ttl=2**31), LONGEST_NO),
        (Answer(exists=False, ttl=86_400), LONGEST_NO),
        (LookupFailed("broken"), FAILED_FOR),
    ],
)
async def test_an_answer_is_known_for_as_long_as_it_holds_within_bounds(
    says: Answer | LookupFailed, seconds: float
) -> None:
    known, clock = Known(), TestClock()
    known.says = says
    remembering = Remembering(known, clock)

    async def ask() -> Answer | str:
        try:
            return await remembering.ask("a.test", "A")
        except LookupFailed as error:
            return str(error)

    first = await ask()
    clock.time += seconds - 1
    assert await ask() == first
    assert known.asked == 1
    clock.time += 2
    assert await ask() == first
    assert known.asked == 2
    clock.time -= 10_000
    assert await ask() == first
    assert known.asked == 3, "a clock that was set back makes nothing last longer"


async def test_kinds_and_names_are_known_apart() -> None:
    known = Known()
    remembering = Remembering(known, TestClock())
    for name, kind in (("a.test", "A"), ("a.test", "AAAA"), ("b.test", "A")) * 2:
        await remembering.ask(name, kind)  # type: ignore[arg-type]
    assert known.asked == 3


async def test_no_more_than_so_many_are_known() -> None:
    known = Known()
    remembering = Remembering(known, TestClock(), most=10)
    for n in range(20):
        await remembering.ask(f"{n}.test", "A")
    assert known.asked == 20
    for n in range(10, 20):
        await remembering.ask(f"{n}.test", "A")
    assert known.asked == 20
    await remembering.ask("0.test", "A")
    assert known.asked == 21


async def test_many_who_ask_at_once_share_one_question() -> None:
    known = Known()
    known.open.clear()
    remembering = Remembering(known, TestClock())
    asking = [asyncio.create_task(remembering.ask("a.test", "A")) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0.01)
    known.open.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError), "who leaves does not take the answer from the others"
    assert answers[1:] == [known.says] * 49
    assert known.asked == 1


async def test_closing_ends_what_is_being_asked() -> None:
    known = Known()
    known.open.clear()
    remembering = Remembering(known, TestClock())
    asking = asyncio.create_task(remembering.ask("a.test", "A"))
    await asyncio.sleep(0.01)
    await remembering.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_the_ttl_that_counts_is_the_shortest_on_the_way() -> None:
    server = NameServer({"a.test": ["CNAME b.test."], "b.test": ["A 192.0.2.1"]}, ttl=77)
    async with answering(server) as place:
        asking = Dns([place])
        assert (await asking.ask("a.test", "A")).ttl == 77
        assert await asking.ask("a.test", "AAAA") == Answer(ttl=60), "the minimum of the SOA"
        assert await asking.ask("c.test", "A") == Answer(exists=False, ttl=60)


# Asked


async def test_ten_thousand_messages_for_one_domain_ask_once() -> None:
    server = NameServer({"a.test": ["MX 10 mx.a.test."], "mx.a.test": ["A 192.0.2.1"]})
    async with answering(server) as place:
        hosts = hosts_of(Dns([place]))
        for _ in range(100):
            await asyncio.gather(*(hosts.find("a.test") for _ in range(100)))
    assert sorted(server.asked) == [("a.test", "MX"), ("mx.a.test", "A"), ("mx.a.test", "AAAA")]


async def test_another_name_server_is_asked_where_one_is_broken() -> None:
    broken, good = NameServer({}), NameServer({"a.test": ["A 192.0.2.1"]})
    broken.failing.add("a.test")
    async with answering(broken) as first, answering(good) as second:
        assert (await Dns([first, second]).ask("a.test", "A")).records == (Record("192.0.2.1"),)


async def test_an_answer_that_takes_long_is_not_waited_for() -> None:
    server = NameServer({"a.test": ["A 192.0.2.1"]})
    server.delays["a.test"] = 30
    async with answering(server) as place:
        before = time.monotonic()
        with pytest.raises(LookupFailed):
            await Dns([place], patience=0.3).ask("a.test", "A")
        assert time.monotonic() - before < 20


async def test_where_nobody_listens_the_question_fails() -> None:
    async with answering(NameServer({})) as place:
        pass
    with pytest.raises(LookupFailed):
        await Dns([place], patience=0.5).ask("a.test", "A")


async def test_without_resolvers_of_its_own_it_takes_the_systems() -> None:
    try:
        answer = await Dns(patience=3).ask("localhost", "A")
    except LookupFailed:
        return  # this machine has no name server to ask
    assert all(record.value.startswith("127.") for record in answer.records)


# Too much, and nonsense


async def test_a_large_answer_comes_by_tcp_and_is_bounded() -> None:
    records = {"a.test": [f"MX {n} mx{n}.a.test." for n in range(450, 0, -1)]}
    records |= {f"mx{n}.a.test": [f"A 192.0.2.{n % 250}" for n in range(250)] for n in range(1, 60)}
    server = NameServer(records)
    async with answering(server) as place:
        asking = Dns([place])
        answer = await asking.ask("a.test", "MX")
        assert [record.preference for record in answer.records] == list(range(1, MOST_MX + 1))
        assert len((await asking.ask("mx1.a.test", "A")).records) == MOST_ADDRESSES
        server.asked.clear()
        destination = await hosts_of(asking).find("a.test")
    assert [host.preference for host in destination.hosts] == list(range(1, MOST_HOSTS + 1))
    assert {len(host.addresses) for host in destination.hosts} == {MOST_ADDRESSES}
    assert len({name for name, _ in server.asked}) == MOST_HOSTS + 1


class CutOff(NameServer):
    """Has room for no answer at all, not even by TCP."""

    async def reply(self, octets: bytes, most: int) -> bytes | None:
        return await super().reply(octets, 512)


async def test_an_answer_of_more_records_than_anybody_has_is_no_answer() -> None:
    server = NameServer({"a.test": [*(f"MX {n} mx{n}.a.test." for n in range(MOST_RECORDS + 1)), "A 192.0.2.1"]})
    async with answering(server) as place:
        with pytest.raises(Unroutable) as raised:
            await hosts_of(Dns([place])).find("a.test")
    assert (raised.value.temporary, raised.value.status) == (True, "4.4.3")
    assert len(server.asked) == 2, "by datagram and by stream, and not again"


class Slow(NameServer):
    """Says in 64 KB what takes long to read."""

    async def reply(self, octets: bytes, most: int) -> bytes | None:
        asked = dns.message.from_wire(octets)
        said = bytearray(dns.message.make_response(asked).to_wire())
        count = MOST_RECORDS
        said[6:8] = count.to_bytes(2, "big")
        for n in range(count):
            said += b"\xc0\x0c" + struct.pack("!HHIHH", 15, 1, 60, 4, n) + b"\xc0\x0c"
        if len(said) > most:
            del said[most:]
            said[2] |= 2
        return bytes(said)


async def test_reading_a_bad_answer_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # Once is enough: on a busy machine it would be asked for again before it is read.
    monkeypatch.setattr(resolving, "_TRY", 60.0)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.001)
            beats += 1

    async with answering(Slow({})) as place:
        beating = asyncio.create_task(beat())
        answer = await Dns([place], patience=60).ask("a." * 126, "MX")
        beating.cancel()
    assert len(answer.records) == MOST_MX
    assert beats > 30


async def test_an_answer_that_is_cut_off_even_by_tcp_is_no_answer() -> None:
    server = CutOff({"a.test": [*(f"MX {n} mx{n}.a.test." for n in range(490)), "A 192.0.2.1"]})
    async with answering(server) as place:
        with pytest.raises(Unroutable) as raised:
            await hosts_of(Dns([place])).find("a.test")
    assert (raised.value.temporary, raised.value.status) == (True, "4.4.3")


class Lying(NameServer):
    """Says what it is told to, whatever was asked."""

    def __init__(self, octets: bytes, *, keep_id: bool = True) -> None:
        super().__init__({})
        self.octets = octets
        self.keep_id = keep_id

    async def reply(self, octets: bytes, most: int) -> bytes | None:
        return (octets[:2] if self.keep_id else b"") + self.octets


def good_answer() -> bytes:
    """Without its number."""
    answer = dns.message.make_response(dns.message.make_query("a.test.", "MX"), recursion_available=True)
    answer.answer.append(dns.rrset.from_text("a.test.", 60, "IN", "CNAME", "b.test."))
    answer.answer.append(dns.rrset.from_text("b.test.", 60, "IN", "MX", "10 mx.a.test.", "20 mx.b.test."))
    return answer.to_wire()[2:]


@pytest.mark.parametrize("keep_id", [True, False])
async def test_octets_that_are_no_answer_are_like_none(keep_id: bool) -> None:
    async with answering(Lying(b"\xff" * 40, keep_id=keep_id)) as place:
        with pytest.raises(Unroutable) as raised:
            await hosts_of(Dns([place], patience=0.2)).find("a.test")
    assert raised.value.status == "4.4.3"


async def test_an_answer_to_another_question_is_like_none() -> None:
    answer = dns.message.make_response(dns.message.make_query("b.test.", "MX"))
    answer.answer.append(dns.rrset.from_text("b.test.", 60, "IN", "MX", "10 evil.test."))
    async with answering(Lying(answer.to_wire()[2:])) as place:
        with pytest.raises(LookupFailed):
            await Dns([place], patience=0.2).ask("a.test", "MX")


async def test_records_of_other_names_in_the_answer_count_for_nothing() -> None:
    answer = dns.message.make_response(dns.message.make_query("a.test.", "MX"))
    answer.answer.append(dns.rrset.from_text("b.test.", 60, "IN", "MX", "10 evil.test."))
    answer.additional.append(dns.rrset.from_text("a.test.", 60, "IN", "MX", "10 evil.test."))
    async with answering(Lying(answer.to_wire()[2:])) as place:
        assert (await Dns([place]).ask("a.test", "MX")).records == ()


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(good_answer()) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(good_answer())),
)
def test_whatever_octets_come_there_is_a_bounded_end(changes: list[tuple[int, int]], length: int) -> None:
    octets = bytearray(good_answer())
    for place, octet in changes:
        octets[place] = octet
    del octets[length or len(octets) :]

    async def ask() -> None:
        async with answering(Lying(bytes(octets))) as place:
            hosts = hosts_of(Dns([place], patience=0.05))
            try:
                destination = await hosts.find("a.test")
            except Unroutable as error:
                ending = error.text
            else:
                ending = " ".join(host.name for host in destination.hosts if host.addresses)
            finally:
                await hosts.close()
        assert ending
        assert ending.isprintable()

    asyncio.run(ask())


# The little name server itself


async def test_the_little_name_server_says_nothing_to_nonsense() -> None:
    server = NameServer({"a.test": ["A 192.0.2.1"]})
    query = dns.message.make_query("a.test.", "A")
    for octets in (
        b"",
        b"x",
        b"\0" * 12,
        b"\xff" * 600,
        query.to_wire()[:-3],
        dns.message.make_response(query).to_wire(),
    ):
        assert await server.reply(octets, 512) is None
    said = await server.reply(query.to_wire(), 512)
    assert said is not None
    assert dns.message.from_wire(said).answer[0][0].to_text() == "192.0.2.1"
    async with answering(server) as (host, port):
        for octets in (b"\0\x05hello", b"\xff\xff", b""):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(octets)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
        assert (await Dns([(host, port)]).ask("a.test", "A")).records


async def test_it_gives_mail_domains_their_text_records() -> None:
    server = NameServer({"selector._domainkey.a.test": ['TXT "v=DKIM1; p=" "abc"']})
    said = await server.reply(dns.message.make_query("selector._domainkey.A.test.", "TXT").to_wire(), 512)
    assert said is not None
    answer = dns.message.from_wire(said)
    assert answer.flags & dns.flags.RA
    assert answer.answer[0][0].strings == (b"v=DKIM1; p=", b"abc")
