"""What the roll of a mailbox answers is what its rows would have answered, octet by octet, and no row is read for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from imap_door import Client, Door

from mailsystem.imap import rollcall
from mailsystem.mail.mailbox import DELETED, SEEN, Flag, MessageSet
from mailsystem.store import FlagOp

ITEMS = ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "MODSEQ", "EMAILID", "SAVEDATE"]


@contextmanager
def rows_read(door: Door) -> Iterator[list[str]]:
    """Statements that read rows of messages."""
    said: list[str] = []
    database = door.store.mailboxes._database
    connections = [database._brief, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(said.append)
    try:
        yield said
    finally:
        for connection in connections:
            connection.set_trace_callback(None)
        said[:] = [each for each in said if "FROM messages" in each or "CROSS JOIN messages" in each]


async def _both(
    client: Client, other: Client, command: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[bytes], list[bytes]]:
    """What one client is told out of the roll, and another one in the same place out of rows."""
    told = await client.ok(command)
    with monkeypatch.context() as patch:
        patch.setattr(rollcall, "_COLUMNS", {})
        plain = await other.ok(command)
    return told, plain


@pytest.mark.parametrize("enabled", ["", "CONDSTORE", "QRESYNC", "IMAP4REV2", "UIDONLY"])
async def test_the_roll_answers_as_the_rows_do(door: Door, monkeypatch: pytest.MonkeyPatch, enabled: str) -> None:
    chance = random.Random(enabled)
    for number in range(30):
        flags = chance.sample(["\\Seen", "\\Flagged", "$Junk", "work"], chance.randint(0, 3))
        await door.put(b"Subject: x\r\n\r\n" + b"y" * number, *flags, internaldate=1e9 + number * 1e5)
    box = await door.store.mailboxes.find(door.account.id, "INBOX")
    client, other = await door.client(), await door.client()
    for each in client, other:
        if enabled:
            await each.ok(f"ENABLE {enabled}")
        await each.ok("EXAMINE INBOX")
    for _ in range(30):
        if chance.random() < 0.4:
            # What others do meanwhile: the client believes in what is gone, and does not know of what has come.
            some = MessageSet.of(chance.sample(range(1, 40), 3))
            await door.store.mailboxes.set_flags(door.account.id, box.id, some, FlagOp.ADD, frozenset({DELETED, SEEN}))
            await door.store.mailboxes.expunge(door.account.id, box.id, some)
            await door.put()
        items = " ".join(chance.sample(ITEMS, chance.randint(1, len(ITEMS))))
        low, high = sorted(chance.choices(range(1, 45), k=2))
        chosen = chance.choice(("1:*", f"{low}:{high}", f"{low},{high},{high + 2}:*"))
        by_uid = enabled == "UIDONLY" or chance.random() < 0.7
        command = f"UID FETCH {chosen} ({items})" if by_uid else f"FETCH 1:* ({items})"
        told, plain = await _both(client, other, command, monkeypatch)
        assert told == plain


async def test_flags_are_told_without_a_row_being_read(door: Door) -> None:
    for _ in range(3):
        await door.put()
    client = await door.client(mailbox="INBOX")
    with rows_read(door) as read:
        assert len(await client.ok("FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)")) == 3
        assert len(await client.ok("UID FETCH 1:* (FLAGS MODSEQ)")) == 4  # and that CONDSTORE is on
        assert len(await client.ok("FETCH 2 FLAGS")) == 1
    assert read == []


async def test_a_large_mailbox_is_told_slice_by_slice(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        await door.put(b"Subject: x\r\n\r\n", *(["work"] if number % 3 else []))
    client, other = await door.client(), await door.client()
    await client.ok("EXAMINE INBOX")
    await other.ok("EXAMINE INBOX")
    monkeypatch.setattr(rollcall, "_AT_ONCE", 4)
    told, plain = await _both(client, other, "FETCH 1:* (UID FLAGS)", monkeypatch)
    assert told == plain
    told, plain = await _both(client, other, "FETCH 1,3,5,7:9,11:20,25 (UID FLAGS)", monkeypatch)
    assert told == plain
    assert len(told) == 17


async def test_recent_messages_are_told_as_recent(door: Door) -> None:
    await door.put()
    await door.client(mailbox="INBOX")
    await door.put()
    await door.put(b"Subject: x\r\n\r\n", "\\Seen", "x")
    client = await door.client(mailbox="INBOX")
    one, two, three = b"* 1 FETCH (FLAGS ())", b"* 2 FETCH (FLAGS (\\Recent))", b"* 3 FETCH (FLAGS (\\Seen \\Recent x))"
    assert await client.ok("FETCH 1:* FLAGS") == [one, two, three]
    assert await client.ok("FETCH 2:3 FLAGS") == [two, three]
    assert await client.ok("FETCH 1 FLAGS") == [one]


async def test_a_slice_is_told_as_it_is_by_then(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two slices somebody sets a flag and removes a message, and the roll is in memory no more."""
    for _ in range(4):
        await door.put()
    client = await door.client(mailbox="INBOX")
    box = await door.store.mailboxes.find(door.account.id, "INBOX")
    mailboxes = door.store.mailboxes
    look, looks = mailboxes._rolls.look, []

    async def looking(*args, **options):  # type: ignore[no-untyped-def]
        looks.append(args)
        if len(looks) == 2:
            mailboxes._rolls._drop((door.account.id, box.id))
            await mailboxes.set_flags(door.account.id, box.id, MessageSet.of([4]), FlagOp.ADD, frozenset({Flag("new")}))
            await mailboxes.expunge(door.account.id, box.id, MessageSet.of([3]), quietly=True)
        return await look(*args, **options)

    monkeypatch.setattr(rollcall, "_AT_ONCE", 2)
    monkeypatch.setattr(mailboxes._rolls, "look", looking)
    lines = await client.ok("UID FETCH 1:* FLAGS")
    assert b"* 4 FETCH (UID 4 FLAGS (\\Recent new))" in lines
