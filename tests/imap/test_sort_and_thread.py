"""SORT and THREAD (RFC 5256), SORT=DISPLAY (RFC 5957) and ESORT (RFC 5267) over the wire, and two clients that use them."""

from __future__ import annotations

import asyncio
import imaplib
import re

import imapclient
import pytest
from imap_door import PASSWORD, Client, Door

from mailsystem.imap import progress
from mailsystem.mail.mailbox import MessageSet

LETTERS = (
    ("Ann Lee <zz@example.org>", "lunch", "1 Jan 2024 12:00:00 +0000", "<1@x>", ""),
    ("bob@example.org", "Re: lunch", "1 Jan 2024 13:00:00 +0000", "<2@x>", "<1@x>"),
    ("=?utf-8?q?=C3=84mter?= <mm@example.org>", "[list] Trip", "31 Dec 2023 20:00:00 -0800", "<3@x>", ""),
    ("carl@example.org", "Re: lunch", "1 Jan 2024 12:30:00 +0000", "<4@x>", "<1@x>"),
    ("Dora <aa@example.org>", "trip (fwd)", "2 Jan 2024 00:00:00 +0000", "<5@x>", "<gone@x>"),
)


async def filled(door: Door) -> Client:
    for number, (sender, subject, date, id_, references) in enumerate(LETTERS):
        head = f"From: {sender}\r\nSubject: {subject}\r\nDate: {date}\r\nMessage-ID: {id_}\r\n"
        head += f"References: {references}\r\n" if references else ""
        await door.put(f"{head}\r\n{'x' * (10 - number)}\r\n".encode(), internaldate=1000.0 + number % 3)
    return await door.client(mailbox="INBOX")


@pytest.mark.parametrize(
    ("criteria", "wanted"),
    [
        ("ARRIVAL", [1, 4, 2, 5, 3]),
        ("REVERSE ARRIVAL", [3, 2, 5, 1, 4]),
        ("DATE", [3, 1, 4, 2, 5]),
        ("REVERSE DATE", [5, 2, 4, 1, 3]),
        ("SUBJECT", [1, 2, 4, 3, 5]),
        ("SUBJECT REVERSE DATE", [2, 4, 1, 5, 3]),
        ("FROM", [5, 2, 4, 3, 1]),
        ("TO CC", [1, 2, 3, 4, 5]),
        ("REVERSE TO", [1, 2, 3, 4, 5]),
        ("DISPLAYFROM", [1, 3, 2, 4, 5]),
    ],
)
async def test_messages_come_in_the_order_that_is_asked_for(door: Door, criteria: str, wanted: list[int]) -> None:
    client = await filled(door)
    said = " ".join(map(str, wanted)).encode()
    assert await client.ok(f"SORT ({criteria}) UTF-8 ALL") == [b"* SORT " + said]
    assert await client.ok(f"UID SORT ({criteria}) US-ASCII 1:*") == [b"* SORT " + said]
    assert await client.ok(f"SORT ({criteria}) UTF-8 TEXT nowhere") == [b"* SORT"]


async def test_numbers_and_uids_are_those_of_the_view(door: Door) -> None:
    client = await filled(door)
    await client.ok("STORE 1,3 +FLAGS.SILENT \\Deleted")
    await client.ok("EXPUNGE")
    assert await client.ok("SORT (REVERSE ARRIVAL) UTF-8 ALL") == [b"* SORT 1 3 2"]
    assert await client.ok("UID SORT (DATE) UTF-8 ALL") == [b"* SORT 4 2 5"]
    assert await client.ok("SORT (DATE) UTF-8 ALL") == [b"* SORT 2 1 3"]
    assert await client.ok("THREAD REFERENCES UTF-8 ALL") == [b"* THREAD ((2)(1))(3)"]
    assert await client.ok("UID THREAD REFERENCES UTF-8 ALL") == [b"* THREAD ((4)(2))(5)"]


async def test_a_sort_can_return_less(door: Door) -> None:
    client = await filled(door)
    for asked, answer in (
        ("(COUNT)", b"COUNT 5"),
        ("()", b"ALL 3,1,4,2,5"),
        ("(MIN MAX)", b"MIN 3 MAX 5"),
        ("(PARTIAL 2:3)", b"PARTIAL (2:3 1,4)"),
        ("(PARTIAL -1:-2 COUNT)", b"COUNT 5 PARTIAL (-1:-2 2,5)"),
        ("(PARTIAL 6:9)", b"PARTIAL (6:9 NIL)"),
    ):
        [said] = await client.ok(f"UID SORT RETURN {asked} (DATE) UTF-8 ALL")
        assert said.partition(b") UID ")[2] == answer
    assert await client.ok("SORT RETURN (SAVE) (DATE) UTF-8 FROM bob") == []
    assert await client.ok("SEARCH $") == [b"* SEARCH 2"]
    assert (await client.say("SORT RETURN (SAVE) (DATE) X-NONE ALL")).code == "BADCHARSET (US-ASCII UTF-8)"
    assert await client.ok("SEARCH $") == [b"* SEARCH"]
    highest = (await door.store.mailboxes.find(door.account.id, "INBOX")).modseq
    said = await client.ok("SORT (DATE) UTF-8 MODSEQ 1")
    assert said == [b"* OK [HIGHESTMODSEQ %d] highest" % highest, b"* SORT 3 1 4 2 5 (MODSEQ %d)" % highest]


async def test_conversations_are_told(door: Door) -> None:
    client = await filled(door)
    assert await client.ok("THREAD REFERENCES UTF-8 ALL") == [b"* THREAD (3 5)(1 (4)(2))"]
    assert await client.ok("THREAD ORDEREDSUBJECT UTF-8 ALL") == [b"* THREAD (3 5)(1 (4)(2))"]
    assert await client.ok("UID THREAD ORDEREDSUBJECT US-ASCII SUBJECT lunch NOT FROM bob") == [b"* THREAD (1 4)"]
    assert await client.ok('THREAD REFERENCES US-ASCII TEXT "gewp"') == [b"* THREAD"]


@pytest.mark.parametrize(
    "bad",
    ["SORT", "SORT ALL", "SORT (DATE)", "SORT (DATE) UTF-8", "SORT (DATE) ALL", "SORT (BCC) UTF-8 ALL", "SORT () UTF-8 ALL",
     "SORT RETURN (UPDATE) (DATE) UTF-8 ALL", "SORT (DATE)  UTF-8 ALL", "THREAD", "THREAD REFS UTF-8 ALL",
     "THREAD REFERENCES UTF-8", "THREAD REFERENCES UTF-8 NONSENSE", "THREAD REFERENCES"],
)  # fmt: skip
async def test_what_is_no_sort_and_no_thread_is_bad(door: Door, bad: str) -> None:
    client = await door.client(mailbox="INBOX")
    answer = await client.say(bad)
    # `ALL` where a charset should be is none.
    assert answer.status == ("NO" if bad == "SORT (DATE) ALL" else "BAD"), answer
    assert answer.untagged == []


async def test_words_of_a_sort_come_in_its_charset(door: Door) -> None:
    client = await filled(door)
    assert await client.ok(b"SORT (DATE) ISO-8859-1 FROM {5+}\r\n\xe4mter") == [b"* SORT 3"]
    assert await client.ok(b"THREAD REFERENCES UTF-8 FROM {6+}\r\n\xc3\xa4mter") == [b"* THREAD (3)"]
    assert (await client.say("THREAD REFERENCES X-NONE ALL")).code == "BADCHARSET (US-ASCII UTF-8)"


async def test_who_speaks_only_uids_sorts_by_uid(door: Door) -> None:
    await filled(door)
    client = await door.client()
    await client.ok("ENABLE UIDONLY")
    await client.ok("SELECT INBOX")
    for said in (
        "SORT (DATE) UTF-8 ALL",
        "THREAD REFERENCES UTF-8 ALL",
        "UID SORT (DATE) UTF-8 1:2",
        "UID THREAD REFERENCES UTF-8 1",
    ):
        assert (await client.say(said)).code == "UIDREQUIRED"
    assert await client.ok("UID SORT (DATE) UTF-8 ALL") == [b"* SORT 3 1 4 2 5"]


async def test_nothing_is_expunged_while_numbers_are_sorted(door: Door) -> None:
    client = await filled(door)
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    # What is gone cannot be read any more; the numbers of the others stay.
    assert await client.ok("SORT (DATE) UTF-8 ALL") == [b"* SORT 3 4 2 5"]
    assert await client.ok("UID SORT (DATE) UTF-8 ALL") == [b"* SORT 3 4 2 5", b"* 1 EXPUNGE"]


async def test_a_long_sort_tells_how_far_it_has_come(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await filled(door)
    monkeypatch.setattr(progress, "FIRST", 0.05)
    fetch = door.store.mailboxes.fetch

    async def slow(account: object, mailbox: object, uids: MessageSet, *want: object, **more: object):  # type: ignore[no-untyped-def]
        for uid in uids:
            async for slice_ in fetch(account, mailbox, MessageSet.of([uid]), *want, **more):  # type: ignore[arg-type]
                yield slice_
            await asyncio.sleep(0.04)

    monkeypatch.setattr(door.store.mailboxes, "fetch", slow)
    for command, answer in (("SORT (DATE)", b"* SORT 3 1 4 2 5"), ("THREAD REFERENCES", b"* THREAD (3 5)(1 (4)(2))")):
        said = await client.ok(f"UID {command} UTF-8 ALL")
        assert len(said) == 2
        assert said[0].startswith(b'* OK [INPROGRESS ("t')
        assert re.search(rb" [5-9] 10\)\]", said[0])
        assert said[1] == answer


@pytest.mark.judge
async def test_imaplib_sorts_and_threads(door: Door) -> None:
    await filled(door)

    def visit() -> None:
        with imaplib.IMAP4(door.bound.host, door.bound.port, timeout=10) as client:
            client.login("ann", f'"{PASSWORD}"') if PASSWORD.isascii() else client.authenticate(
                "PLAIN", lambda _: f"\0ann\0{PASSWORD}".encode()
            )
            client.select()
            assert client.sort("REVERSE DATE", "UTF-8", "ALL") == ("OK", [b"5 2 4 1 3"])
            assert client.uid("SORT", "(SUBJECT)", "UTF-8", "FROM", "example") == ("OK", [b"1 2 4 3 5"])
            assert client.thread("REFERENCES", "UTF-8", "ALL") == ("OK", [b"(3 5)(1 (4)(2))"])
            assert client.uid("THREAD", "ORDEREDSUBJECT", "UTF-8", "ALL") == ("OK", [b"(3 5)(1 (4)(2))"])

    await asyncio.to_thread(visit)


@pytest.mark.judge
async def test_imapclient_sorts_and_threads(door: Door) -> None:
    await filled(door)

    def visit() -> None:
        with imapclient.IMAPClient(door.bound.host, door.bound.port, ssl=False, timeout=10) as client:
            client.plain_login("ann", PASSWORD)
            assert client.has_capability("SORT")
            client.select_folder("INBOX")
            assert client.sort("REVERSE DATE") == [5, 2, 4, 1, 3]
            assert client.sort(["SUBJECT", "REVERSE DATE"], ["FROM", "example"]) == [2, 4, 1, 5, 3]
            assert client.thread("REFERENCES") == ((3, 5), (1, (4,), (2,)))
            assert client.thread("ORDEREDSUBJECT", ["SUBJECT", "lunch"]) == ((1, (4,), (2,)),)
            found = client.search(["MODSEQ", "1"])
            assert found == [1, 2, 3, 4, 5]
            assert found.modseq is not None

    await asyncio.to_thread(visit)
