"""UID FETCH in pages (RFC 9394), for who speaks only UIDs (RFC 9586), and for who speaks IMAP4rev2 (RFC 9051)."""

from __future__ import annotations

import pytest
from imap_door import Door

from mailsystem.imap.view import View
from mailsystem.mail.mailbox import MessageSet, ModSeq


async def filled(door: Door, count: int) -> None:
    for _ in range(count):
        await door.put()


def uids(lines: list[bytes]) -> list[int]:
    return [int(line.split(b"UID ")[1].split()[0].rstrip(b")")) for line in lines if b" FETCH (" in line]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("1:3", [2, 3, 5]),
        ("3:1", [2, 3, 5]),
        ("4:100", [6, 7]),
        ("6:9", []),
        ("-1:-2", [6, 7]),
        ("-2:-1", [6, 7]),
        ("-4:-100", [2, 3]),
        ("-6:-9", []),
        ("-1:-1", [7]),
        ("1:4294967295", [2, 3, 5, 6, 7]),
    ],
)
async def test_a_page_holds_the_messages_at_these_places(door: Door, words: str, told: list[int]) -> None:
    await filled(door, 8)
    client = await door.client(mailbox="INBOX")
    await client.ok("STORE 4 +FLAGS.SILENT \\Deleted")
    await client.ok("EXPUNGE")
    assert uids(await client.ok(f"UID FETCH 2:7 FLAGS (PARTIAL {words})")) == told


async def test_pages_are_cut_from_what_has_changed(door: Door) -> None:
    await filled(door, 8)
    since = (await door.store.mailboxes.find(door.account.id, "INBOX")).modseq
    client = await door.client(mailbox="INBOX")
    await client.ok("STORE 1,3,5,7 +FLAGS.SILENT \\Flagged")
    told = await client.ok(f"UID FETCH 1:* (FLAGS) (PARTIAL -1:-2 CHANGEDSINCE {since})")
    assert uids(told) == [5, 7]
    assert uids(await client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since} PARTIAL 1:3)")) == [1, 3, 5]
    assert (await client.say("FETCH 1:* FLAGS (PARTIAL 1:3)")).status == "BAD"


def test_places_are_those_among_the_chosen() -> None:
    view = View([1, 2, 4, 8, 16], ModSeq(1))
    assert view.partial(MessageSet(((2, 16),)), 2, 3) == MessageSet.of([4, 8])
    assert view.partial(MessageSet(), -1, -9) == MessageSet()
    assert view.partial(MessageSet(((1, 16),)), -5, -9) == MessageSet.of([1])


async def test_who_speaks_only_uids_fetches_by_uid(door: Door) -> None:
    await filled(door, 3)
    client = await door.client()
    await client.ok("ENABLE UIDONLY")
    await client.ok("SELECT INBOX")
    await client.ok("UID STORE 2 +FLAGS.SILENT \\Deleted")
    await client.ok("UID EXPUNGE 2")
    assert await client.ok("UID FETCH 1:* FLAGS") == [
        b"* 1 UIDFETCH (FLAGS (\\Recent))",
        b"* 3 UIDFETCH (FLAGS (\\Recent))",
    ]
    assert await client.ok("UID FETCH 3 (UID RFC822.SIZE)") == [b"* 3 UIDFETCH (UID 3 RFC822.SIZE 21)"]
    assert await client.ok("UID FETCH 3 BODY[TEXT]") == [
        b"* 3 UIDFETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {7}\r\nhello\r\n)"
    ]
    assert await client.ok("UID STORE 3 FLAGS (\\Draft)") == [b"* 3 UIDFETCH (FLAGS (\\Draft \\Recent))"]


async def test_imap4rev2_has_no_recent_and_still_knows_the_old_items(door: Door) -> None:
    await filled(door, 1)
    client = await door.client()
    await client.ok("ENABLE IMAP4rev2")
    await client.ok("SELECT INBOX")
    assert await client.ok("FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS ())"]
    assert await client.ok("FETCH 1 BODY[TEXT]<0.2>") == [b"* 1 FETCH (FLAGS (\\Seen) BODY[TEXT]<0> {2}\r\nhe)"]
    assert await client.ok("FETCH 1 RFC822.TEXT") == [b"* 1 FETCH (RFC822.TEXT {7}\r\nhello\r\n)"]
