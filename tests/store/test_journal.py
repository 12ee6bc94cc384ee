"""The journal in the store: written together, counted, found by every name, dropped when it is old."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault import TestClock, Vault, spooled

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.structure import message_id, named
from mailsystem.store import Drop, Leaving, Life, Note, open_store
from mailsystem.store.journal import DAY
from mailsystem.telemetry import Trace
from mailsystem.telemetry.journal import Entry, Recorder

READ = {"door": "imap", "login": "ann@example.org", "peer": "192.0.2.7"}


def letter(name: str) -> bytes:
    return f"Message-ID: <{name}@example.net>\r\nSubject: x\r\n\r\nhello\r\n".encode()


async def post(vault: Vault, name: str) -> int:
    """A message in INBOX; its content."""
    store = vault.here
    return (await store.mailboxes.append(vault.ann.id, "INBOX", spooled(store, letter(name)))).content


async def happen(
    vault: Vault, name: str, *contents: int, at: float = 0.0, uids: tuple[int, ...] = (), **data: Any
) -> None:
    await vault.here.journal.write([Entry(name, vault.clock.time + at, contents, uids, data)])


async def only(vault: Vault, name: str) -> Life:
    [life] = await vault.there.journal.find(name)
    return life


async def test_a_message_is_found_by_its_message_id_and_by_its_ids_in_queues(vault: Vault) -> None:
    content = await post(vault, "one")
    await happen(vault, "accepted", content, id="0123456789abcdef", door="smtp")
    for name in ("one@example.net", "<one@example.net>", " <one@example.net> ", "0123456789abcdef"):
        life = await only(vault, name)
        assert life.content == content
        assert sorted(life.names) == ["0123456789abcdef", "one@example.net"]
    for name in ("one", "ONE@example.net", "", "<>", "0123456789abcde"):
        assert await vault.there.journal.find(name) == []


async def test_it_is_named_by_whatever_happens_to_it_first(vault: Vault) -> None:
    content = await post(vault, "old")
    await happen(vault, "read", content, **READ)
    assert [note.name for note in (await only(vault, "old@example.net")).notes] == ["read"]


async def test_all_messages_of_one_message_id_are_told(vault: Vault) -> None:
    first, second = await post(vault, "twin"), await post(vault, "twin")
    await happen(vault, "appended", first, second, uids=(1, 2), mailbox="INBOX")
    lives = await vault.there.journal.find("twin@example.net")
    assert [life.content for life in lives] == [first, second]
    assert [note.uid for life in lives for note in life.notes] == [1, 2]


async def test_what_one_client_does_again_and_again_is_one_line_a_day(vault: Vault) -> None:
    content = await post(vault, "one")
    for at in (0.0, 5.0, 7.5):
        await happen(vault, "read", content, at=at, **READ)
    await happen(vault, "read", content, at=8, **{**READ, "peer": "192.0.2.8"})
    await happen(vault, "read", content, at=DAY, **READ)
    await happen(vault, "moved", content, at=DAY + 1, uids=(4,), **READ)
    await happen(vault, "moved", content, at=DAY + 1, uids=(4,), **READ)
    start = vault.clock.time
    told = [
        (note.name, note.at - start, note.last - start, note.times)
        for note in (await only(vault, "one@example.net")).notes
    ]
    assert told == [
        ("read", 0.0, 7.5, 3),
        ("read", 8.0, 8.0, 1),
        ("read", DAY, DAY, 1),
        ("moved", DAY + 1, DAY + 1, 1),
        ("moved", DAY + 1, DAY + 1, 1),
    ]


@pytest.mark.parametrize("again", [1, 3])
async def test_many_messages_are_counted_together_each_as_often_as_it_came(vault: Vault, again: int) -> None:
    contents = [await post(vault, f"number{number}") for number in range(30)]
    for _ in range(2):
        await happen(vault, "read", *contents * again, **READ)
    for number in (0, 29):
        [note] = (await only(vault, f"number{number}@example.net")).notes
        assert (note.name, note.times, note.data) == ("read", 2 * again, READ)


async def test_places_are_named_as_the_accounts_were_called(vault: Vault) -> None:
    content = await post(vault, "one")
    bob = await vault.here.accounts.add("bob@example.org", None)
    await happen(vault, "accepted", content, places=[(vault.ann.id, "INBOX", 1), (bob.id, "INBOX", 3)])
    await happen(vault, "expired", content, account=bob.id)
    await vault.here.accounts.remove("bob@example.org")
    accepted, delivered, expired = (await only(vault, "one@example.net")).notes
    assert (accepted.name, accepted.data, delivered.name) == ("accepted", {}, "delivered")
    assert delivered.data["places"] == [["ann@example.org", "INBOX", 1], ["bob@example.org", "INBOX", 3]]
    assert expired.data == {"login": "bob@example.org"}


async def test_it_tells_where_a_message_is_now(vault: Vault) -> None:
    content = await post(vault, "one")
    await happen(vault, "appended", content)
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    whole = (await vault.here.mailboxes.status(vault.ann.id, "INBOX")).mailbox
    copied = await vault.here.mailboxes.move(vault.ann.id, inbox.id, _all(), "Archive")
    assert list(copied.contents) == [content]
    assert whole.uidnext == 2
    life = await only(vault, "one@example.net")
    assert [(place.login, place.mailbox, place.uid) for place in life.places] == [("ann@example.org", "Archive", 1)]
    assert life.size == len(letter("one"))
    archive = await vault.here.mailboxes.find(vault.ann.id, "Archive")
    assert list(await vault.here.mailboxes.delete(vault.ann.id, "Archive")) == [content]
    assert archive.name == "Archive"
    life = await only(vault, "one@example.net")
    assert life.places == []
    vault.clock.time += 100 * DAY
    await vault.here.contents.sweep(grace=DAY)
    life = await only(vault, "one@example.net")
    assert life.size is None
    assert [note.name for note in life.notes] == ["appended"]


def _all() -> Any:
    from mailsystem.mail.mailbox import MessageSet

    return MessageSet(((1, 0xFFFFFFFF),))


async def test_it_tells_what_of_a_message_is_in_the_queue(vault: Vault) -> None:
    away = {Address.parse("x@y.example"): Notification(), Address.parse("a@y.example"): Notification()}
    leaving = Leaving("feed", Address.parse("ann@example.org"), away, 5 * DAY, login="ann@example.org")
    done = await vault.here.mailboxes.deliver(
        [Drop(vault.ann.id)], spooled(vault.here, letter("out")), leaving=[leaving]
    )
    assert await vault.there.journal.find("out@example.net") == []
    await happen(vault, "queued", done.content, id="feed", recipients=["x@y.example", "a@y.example"])
    [(message, waiting)] = (await only(vault, "feed")).queued
    assert (message.ident, message.content) == ("feed", done.content)
    assert [str(one.address) for one in waiting] == ["a@y.example", "x@y.example"]
    assert (await only(vault, "out@example.net")).queued == [(message, waiting)]


async def test_what_is_old_is_dropped_and_the_names_with_the_last_of_it(vault: Vault) -> None:
    old, used = await post(vault, "old"), await post(vault, "used")
    await happen(vault, "appended", old, used, uids=(1, 2))
    await happen(vault, "read", used, at=3 * DAY, **READ)
    assert await vault.here.journal.forget(vault.clock.time) == 0
    assert await vault.here.journal.forget(vault.clock.time + DAY) == 2
    assert await vault.there.journal.find("old@example.net") == []
    assert [note.name for note in (await only(vault, "used@example.net")).notes] == ["read"]
    assert await vault.here.journal.forget(vault.clock.time + 4 * DAY) == 1
    assert await vault.there.journal.find("used@example.net") == []


async def test_much_of_it_is_written_and_dropped_in_portions(vault: Vault) -> None:
    content = await post(vault, "one")
    entries = [Entry("moved", vault.clock.time, [content] * 2500, list(range(1, 2501)), {}) for _ in range(4)]
    recorder = Recorder()
    for entry in entries:
        recorder._add(recorder._acts, entry)
    await vault.here.journal.settle(recorder, Trace())
    assert len((await only(vault, "one@example.net")).notes) == 10_000
    assert await vault.here.journal.forget(vault.clock.time + 1) == 10_000


async def test_a_store_writes_what_its_trace_says_within_moments_and_the_last_of_it_when_it_closes(
    tmp_path: Path,
) -> None:
    recorder = Recorder()
    trace = Trace([recorder], contents=True)
    async with open_store(tmp_path, trace=trace, recorder=recorder, journal_days=14) as store:
        ann = await store.accounts.add("ann@example.org", None)
        made = await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter("one")))
        trace.event("appended", contents=[made.content], uid=made.uid, mailbox="INBOX")
        deadline = time.monotonic() + 20
        while not (lives := await store.journal.find("one@example.net")):
            assert time.monotonic() < deadline, "it was never written"
            await asyncio.sleep(0.05)
        assert [note.name for note in lives[0].notes] == ["appended"]
        trace.event("deleted", contents=[made.content])
    async with open_store(tmp_path) as store:
        [life] = await store.journal.find("one@example.net")
        assert [note.name for note in life.notes] == ["appended", "deleted"]


async def test_a_store_that_keeps_no_journal_drops_what_was_kept(tmp_path: Path) -> None:
    clock = TestClock()
    async with open_store(tmp_path, clock=clock) as store:
        await store.journal.write([Entry("appended", clock.time - 1, [7], (), {"id": "feed"})])
    async with open_store(tmp_path, clock=clock, journal_days=0) as store:
        deadline = time.monotonic() + 20
        while await store.journal.find("feed"):
            assert time.monotonic() < deadline, "it was never dropped"
            await asyncio.sleep(0.05)


async def test_an_entry_that_cannot_be_written_costs_nothing_but_itself(vault: Vault) -> None:
    events: list[Any] = []
    recorder = Recorder()
    recorder._add(recorder._acts, Entry("moved", vault.clock.time, [7], (), {"places": "nonsense", "id": "feed"}))
    await vault.here.journal.settle(recorder, Trace([events.append]))
    assert [event.name for event in events] == ["bug"]
    assert recorder.lost() == 1
    recorder._add(recorder._acts, Entry("moved", vault.clock.time, [7], (), {"id": "feed"}))
    await vault.here.journal.settle(recorder, Trace())
    [life] = await vault.there.journal.find("feed")
    [note] = life.notes
    assert isinstance(note, Note)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"<a.b@example.net>", "a.b@example.net"),
        (b"  <a.b@example.net> (a comment)", "a.b@example.net"),
        (b"a.b@example.net", "a.b@example.net"),
        (b"<a b@\t example.net>", "ab@example.net"),
        (b'<"a\\"b"@example.net>', '"a\\"b"@example.net'),
        ("<ä@example.net>".encode(), "ä@example.net"),
        (b"<" + b"a" * 2000 + b"@example.net>", "a" * 1000),
        (b"", None),
        (b"<>", "<>"),
        ('ä ""'.encode(), 'ä""'),
    ],
)
async def test_a_message_id_is_taken_out_of_the_envelope(vault: Vault, value: bytes, name: str | None) -> None:
    from mailsystem.mail.content import scan

    facts = scan(b"In-Reply-To: <other@example.net>\r\nMessage-ID: " + value + b"\r\n\r\nhello\r\n")
    found = message_id(facts.envelope)
    assert found == name
    if name:
        assert named(name) == name


@given(st.text('<>@"\\\\ ()a\u00e4.{}', max_size=12), st.booleans())
def test_the_usual_message_id_is_read_like_any_other(inner: str, usual: bool) -> None:
    from mailsystem.mail.content import scan

    value = f"<{inner}>" if usual else inner
    envelope = scan(f"In-Reply-To: <x>\r\nMessage-ID: {value}\r\n\r\n".encode()).envelope
    spelled = scan(f"In-Reply-To: <x>\r\nMessage-ID:  {value} {{\r\n\r\n".encode()).envelope
    # With a word behind it, it is never the usual one.
    assert message_id(envelope) == named(value.strip())
    if "<" in value and re.search("<[^<>]+>", value):
        assert message_id(spelled) == message_id(envelope)


def test_without_a_message_id_there_is_none_and_surely_not_that_of_another_field() -> None:
    from mailsystem.mail.content import scan

    assert message_id(scan(b"In-Reply-To: <other@example.net>\r\n\r\nhello\r\n").envelope) is None
