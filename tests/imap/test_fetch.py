"""FETCH over the wire: every octet where it belongs, `\\Seen` when it should be set, and large messages in small pieces."""

from __future__ import annotations

import asyncio
import imaplib
import re
import tracemalloc
from pathlib import Path

import pytest
from fetched import fetched
from imap_door import PASSWORD, Client, Door
from imapclient import IMAPClient
from letters import Leaf, Letter, Multipart, nested, picked

from mailsystem.mail.mailbox import MessageSet

NESTED = nested()
LINE = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/0123456789\r\n"
PLAIN = b"From: Ann <ann@example.org>\r\nSubject: plain\r\n\r\nHello.\r\n"


async def one(client: Client, command: str | bytes) -> dict[str, bytes]:
    """The items of the only response to a FETCH of one message."""
    [response] = await client.ok(command)
    return fetched(response)[1]


async def test_every_section_of_a_message_arrives_octet_by_octet(door: Door) -> None:
    await door.put(NESTED.raw)
    client = await door.client(mailbox="INBOX")
    names = [f"BODY[{name}]" for name in NESTED.sections]
    got = await one(client, f"FETCH 1 ({' '.join(names).replace('BODY[', 'BODY.PEEK[')})")
    assert got == {f"BODY[{name}]": octets for name, octets in NESTED.sections.items()}


async def test_partials_of_every_section_arrive(door: Door) -> None:
    await door.put(NESTED.raw)
    client = await door.client(mailbox="INBOX")
    for start, count in ((0, 7), (5, 11), (3, 1 << 31), (1 << 31, 5), (0, 0)):
        asked = " ".join(f"BODY.PEEK[{name}]<{start}.{count}>" for name in NESTED.sections)
        got = await one(client, f"FETCH 1 ({asked})")
        wanted = {f"BODY[{name}]<{start}>": octets[start : start + count] for name, octets in NESTED.sections.items()}
        assert got == wanted


async def test_lists_of_fields_are_echoed_in_capitals(door: Door) -> None:
    await door.put(NESTED.raw)
    client = await door.client(mailbox="INBOX")
    got = await one(
        client,
        "FETCH 1 (body.peek[header.fields (Date from)] BODY.PEEK[3.HEADER.FIELDS.NOT (subject)]<0.9>"
        " BODY.PEEK[HEADER.FIELDS ({4+}\r\nDate)]<1.3>)",
    )
    assert got == {
        "BODY[HEADER.FIELDS (DATE FROM)]": picked(NESTED.sections["HEADER"], ["date", "from"]),
        "BODY[3.HEADER.FIELDS.NOT (SUBJECT)]<0>": picked(NESTED.sections["3.HEADER"], ["subject"], inverted=True)[:9],
        "BODY[HEADER.FIELDS (DATE)]<1>": b"ate",
    }


async def test_the_old_names_for_sections_are_understood(door: Door) -> None:
    await door.put(PLAIN)
    client = await door.client(mailbox="INBOX")
    got = await one(client, "FETCH 1 (RFC822.HEADER RFC822.SIZE)")
    assert got == {"RFC822.HEADER": PLAIN[:-8], "RFC822.SIZE": b"%d" % len(PLAIN)}
    got = await one(client, "FETCH 1 (RFC822 RFC822.TEXT)")
    assert (got["RFC822"], got["RFC822.TEXT"]) == (PLAIN, b"Hello.\r\n")


async def test_a_dialog_about_what_is_known_of_messages(door: Door) -> None:
    for number in range(1, 4):
        await door.put(PLAIN, *(["\\Seen"] if number == 2 else []), internaldate=837571465.0 + number * 86400)
    await door.dialog(
        """
        C1: a EXAMINE INBOX
        S1: * FLAGS ...
        S1: * OK [PERMANENTFLAGS ...
        S1: * 3 EXISTS
        S1: * 3 RECENT
        S1: * OK [UNSEEN 1] ...
        S1: * OK [UIDVALIDITY ...
        S1: * OK [UIDNEXT 4] ...
        S1: * OK [HIGHESTMODSEQ ...] ...
        S1: * OK [MAILBOXID (...)] ...
        S1: a OK ...
        C1: b FETCH 1:2 FAST
        S1: * 1 FETCH (FLAGS (\\Recent) INTERNALDATE "18-Jul-1996 02:44:25 +0000" RFC822.SIZE 55)
        S1: * 2 FETCH (FLAGS (\\Seen \\Recent) INTERNALDATE "19-Jul-1996 02:44:25 +0000" RFC822.SIZE 55)
        S1: b OK FETCH completed
        C1: c UID FETCH 3:* FLAGS
        S1: * 3 FETCH (UID 3 FLAGS (\\Recent))
        S1: c OK FETCH completed
        C1: d FETCH *,1 (UID)
        S1: * 1 FETCH (UID 1)
        S1: * 3 FETCH (UID 3)
        S1: d OK FETCH completed
        C1: e FETCH 2 ALL
        S1: * 2 FETCH (FLAGS (\\Seen \\Recent) INTERNALDATE ... ENVELOPE (NIL "plain" (("Ann" NIL "ann" "example.org")) ...))
        S1: e OK FETCH completed
        C1: f FETCH 2 BODY
        S1: * 2 FETCH (BODY ("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 8 1))
        S1: f OK FETCH completed
        C1: g FETCH 4 FLAGS
        S1: g BAD no such message number
        C1: h UID FETCH 17 FLAGS
        S1: h OK FETCH completed
        C1: i FETCH 1 (FLAGS BODY[TEXT]<0.3>)
        S1: * 1 FETCH (FLAGS (\\Recent) BODY[TEXT]<0> {3}
        S1: Hel)
        S1: i OK FETCH completed
        """
    )


@pytest.mark.parametrize(
    "bad", ["", " ", "1", "1 ", "1 ()", "x FLAGS", "0 FLAGS", "1 NONSENSE", "1 (FLAGS", "1 BODY[MIME]"]
)
async def test_bad_fetches_are_bad_and_nothing_else_happens(door: Door, bad: str) -> None:
    await door.put(PLAIN)
    client = await door.client(mailbox="INBOX")
    answer = await client.say(f"FETCH {bad}")
    assert (answer.status, answer.untagged) == ("BAD", [])
    assert await one(client, "FETCH 1 FLAGS") == {"FLAGS": b"(\\Recent)"}


async def test_no_mailbox_no_messages(door: Door) -> None:
    client = await door.client()
    assert (await client.say("FETCH 1 FLAGS")).status == "BAD"
    await client.ok("SELECT INBOX")
    assert await client.ok("UID FETCH 1:* FLAGS") == []
    assert (await client.say("FETCH 1:* FLAGS")).status == "BAD"


# \Seen


@pytest.mark.parametrize("item", ["BODY[]", "BODY[TEXT]<0.1>", "BODY[HEADER]", "BODY[5]", "RFC822", "RFC822.TEXT"])
async def test_reading_a_message_marks_it_seen_and_says_so_once(door: Door, item: str) -> None:
    await door.put(PLAIN)
    client = await door.client(mailbox="INBOX")
    other = await door.client(mailbox="INBOX")
    assert (await one(client, f"FETCH 1 {item}"))["FLAGS"] == b"(\\Seen \\Recent)"
    assert "FLAGS" not in await one(client, f"FETCH 1 {item}")
    assert await client.ok("NOOP") == []
    assert await other.ok("NOOP") == [b"* 1 FETCH (FLAGS (\\Seen))"]


@pytest.mark.parametrize("item", ["BODY.PEEK[]", "RFC822.HEADER", "BODY.PEEK[1]", "FULL", "BODYSTRUCTURE"])
async def test_peeking_does_not_mark_a_message_seen(door: Door, item: str) -> None:
    await door.put(PLAIN)
    client = await door.client(mailbox="INBOX")
    await client.ok(f"FETCH 1 {item}")
    assert await one(client, "FETCH 1 FLAGS") == {"FLAGS": b"(\\Recent)"}


async def test_a_mailbox_that_is_only_examined_stays_unseen(door: Door) -> None:
    await door.put(PLAIN)
    client = await door.client()
    await client.ok("EXAMINE INBOX")
    assert await one(client, "FETCH 1 BODY[]") == {"BODY[]": PLAIN}
    assert await one(client, "FETCH 1 FLAGS") == {"FLAGS": b"(\\Recent)"}


async def test_flags_are_shown_as_they_have_become(door: Door) -> None:
    await door.put(PLAIN, "\\Flagged", "$Label1")
    client = await door.client(mailbox="INBOX")
    got = await one(client, "UID FETCH 1 (FLAGS BODY[TEXT])")
    assert got == {"UID": b"1", "FLAGS": b"(\\Flagged \\Seen \\Recent $Label1)", "BODY[TEXT]": b"Hello.\r\n"}


async def test_only_those_that_changed_show_flags_that_nobody_asked_for(door: Door) -> None:
    for number in range(6):
        await door.put(PLAIN, *(["\\Seen"] if number % 2 else []))
    client = await door.client(mailbox="INBOX")
    answers = [fetched(line) for line in await client.ok("FETCH 1:* BODY[TEXT]")]
    assert [number for number, items in answers if "FLAGS" in items] == [1, 3, 5]
    assert all(items["BODY[TEXT]"] == b"Hello.\r\n" for _, items in answers)


async def test_a_message_that_was_seen_costs_no_write(door: Door) -> None:
    await door.put(PLAIN, "\\Seen")
    client = await door.client(mailbox="INBOX")
    before = (await door.store.mailboxes.find(door.account.id, "INBOX")).modseq
    await client.ok("FETCH 1 BODY[]")
    assert (await door.store.mailboxes.find(door.account.id, "INBOX")).modseq == before


# Large messages


def large(octets: int) -> Letter:
    """A nested message that is kept in a file."""
    letter = nested()
    assert isinstance(letter.root, Multipart)
    leaf = letter.root.parts[1]
    assert isinstance(leaf, Leaf)
    leaf.body = LINE * (octets // len(LINE))
    return Letter(letter.root)


async def test_every_section_of_a_message_in_a_file_arrives(door: Door) -> None:
    letter = large(700_000)
    await door.put(letter.raw)
    client = await door.client(mailbox="INBOX")
    for name, octets in letter.sections.items():
        assert await one(client, f"FETCH 1 BODY.PEEK[{name}]") == {f"BODY[{name}]": octets}, name
        got = await one(client, f"FETCH 1 BODY.PEEK[{name}]<300000.299999>")
        assert got == {f"BODY[{name}]<300000>": octets[300_000:599_999]}, name
    for name in ("HEADER", "3.HEADER", "9.HEADER"):
        got = await one(client, f"FETCH 1 BODY.PEEK[{name}.FIELDS (SUBJECT)]<1.20>")
        header = letter.sections.get(name, b"")
        assert got == {f"BODY[{name}.FIELDS (SUBJECT)]<1>": picked(header, ["subject"])[1:21]}


async def test_a_header_block_without_end_is_whole_too(door: Door) -> None:
    head = b"Subject: first\r\n" + b"X-Filler: %b\r\n" % (b"x" * 70) * 6000 + b"Date: last\r\n\r\n"
    await door.put(PLAIN)
    await door.put(head + b"body\r\n")
    client = await door.client(mailbox="INBOX")
    assert len(head) > 400_000
    got = await one(client, "FETCH 2 (BODY.PEEK[HEADER] BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)] BODY.PEEK[TEXT])")
    assert got == {
        "BODY[HEADER]": head,
        "BODY[HEADER.FIELDS (SUBJECT DATE)]": b"Subject: first\r\nDate: last\r\n\r\n",
        "BODY[TEXT]": b"body\r\n",
    }


async def test_a_large_message_never_is_in_memory(door: Door) -> None:
    size = 24 << 20
    spool = door.store.contents.spool()
    spool.write(b"Subject: large\r\n\r\n")
    while spool.size < size:
        spool.write(LINE * 3000)
        await spool.flush()
    await door.store.mailboxes.append(door.account.id, "INBOX", spool)
    client = await door.client(mailbox="INBOX")
    tracemalloc.start()
    try:
        await client.send(b"f FETCH 1 (BODY.PEEK[] BODY.PEEK[TEXT])\r\n")
        # While this one takes nothing, others are served.
        other = await door.client(mailbox="INBOX")
        await other.ok("FETCH 1 (FLAGS BODY.PEEK[TEXT]<0.100>)")
        for name in (b"* 1 FETCH (BODY[]", b" BODY[TEXT]"):
            head = await client.line()
            found = re.fullmatch(re.escape(name) + rb" \{(\d+)\}", head)
            assert found, head
            left = int(found[1])
            while left:
                left -= len(await client.reader.read(min(left, 1 << 18)))
        assert await client.line() == b")"
        assert (await client.answer(b"f")).status == "OK"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20


async def test_small_and_large_messages_are_answered_in_their_order(door: Door) -> None:
    short = b"From: Ann <ann@example.org>\r\nMessage-ID: <short@example.org>\r\n"
    long = short.replace(b"short", b"long") + b"X-Filler: " + b"x" * 40_000 + b"\r\n"
    sent = [
        short + b"\r\nHello.\r\n",
        short + b"\r\n" + LINE * 600,
        long + b"\r\nHello.\r\n",
        short + b"\r\n" + LINE * 3000,
        short + b"\r\nGood-bye.\r\n",
    ]
    for raw in sent:
        await door.put(raw)
    client = await door.client(mailbox="INBOX")
    asked = "(UID THREADID BODY.PEEK[] BODY.PEEK[HEADER.FIELDS (From)] BODY.PEEK[HEADER] BODY.PEEK[TEXT]<0.4>)"
    responses = await client.ok(f"UID FETCH 1:* {asked}")
    got = [fetched(response) for response in responses]
    assert [number for number, _ in got] == [1, 2, 3, 4, 5]
    for (_, items), raw in zip(got, sent, strict=True):
        head, text = raw.split(b"\r\n\r\n", 1)
        assert items["BODY[]"] == raw
        assert items["BODY[HEADER]"] == head + b"\r\n\r\n"
        assert items["BODY[HEADER.FIELDS (FROM)]"] == b"From: Ann <ann@example.org>\r\n\r\n"
        assert items["BODY[TEXT]<0>"] == text[:4]
    threads = [items["THREADID"] for _, items in got]
    assert threads[0] == threads[1] == threads[3] == threads[4] != threads[2] != b"NIL"
    assert [(await one(client, f"FETCH {number} THREADID"))["THREADID"] for number in range(1, 6)] == threads
    flags = [await one(client, f"FETCH {number} (FLAGS BODY[HEADER])") for number in range(1, 6)]
    assert [each["FLAGS"] for each in flags] == [b"(\\Seen \\Recent)"] * 5


async def test_two_thousand_messages_stream_in_order(door: Door) -> None:
    bodies = [b"body number %d\r\n" % number * (number % 7 + 1) for number in range(2000)]
    await asyncio.gather(*(door.put(b"Subject: many\r\n\r\n" + body) for body in bodies))
    client = await door.client(mailbox="INBOX")
    answers = [fetched(line) for line in await client.ok("FETCH 1:* (UID FLAGS BODY.PEEK[TEXT])")]
    assert [number for number, _ in answers] == list(range(1, 2001))
    assert [int(items["UID"]) for _, items in answers] == list(range(1, 2001))
    assert sorted(items["BODY[TEXT]"] for _, items in answers) == sorted(bodies)
    summary = [fetched(line) for line in await client.ok("UID FETCH 1:* (RFC822.SIZE ENVELOPE)")]
    assert [int(items["RFC822.SIZE"]) - 17 for _, items in summary] == [len(i["BODY[TEXT]"]) for _, i in answers]


# Others at the same time


async def test_what_somebody_else_expunged_is_passed_over(door: Door) -> None:
    for _ in range(4):
        await door.put(PLAIN)
    client = await door.client(mailbox="INBOX")
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    answer = await client.say("FETCH 1:3 UID")
    assert answer.untagged == [b"* 1 FETCH (UID 1)", b"* 3 FETCH (UID 3)"]
    assert (answer.status, answer.code) == ("OK", "EXPUNGEISSUED")
    answer = await client.say("UID FETCH 1:3 BODY.PEEK[TEXT]<0.1>")
    assert (answer.status, answer.code) == ("OK", "")
    assert [line.split(b" BODY")[0] for line in answer.untagged[:2]] == [b"* 1 FETCH (UID 1", b"* 3 FETCH (UID 3"]
    assert answer.untagged[2:] == [b"* 2 EXPUNGE"]


async def test_a_file_that_is_gone_is_unavailable_and_the_connection_goes_on(door: Door, tmp_path: Path) -> None:
    await door.put(large(200_000).raw)
    await door.put(PLAIN)
    for file in (tmp_path / "store0" / "contents").glob("??/*"):
        file.unlink()
    client = await door.client(mailbox="INBOX")
    answer = await client.say("FETCH 1 (FLAGS BODY.PEEK[])")
    assert (answer.status, answer.untagged, answer.code) == ("NO", [], "UNAVAILABLE")
    assert (await one(client, "FETCH 1 BODY.PEEK[HEADER.FIELDS (TO)]")).popitem()[1].startswith(b"To: ")
    assert await one(client, "FETCH 2 BODY.PEEK[TEXT]") == {"BODY[TEXT]": b"Hello.\r\n"}


async def test_a_file_cut_short_ends_the_connection_rather_than_the_literal(door: Door, tmp_path: Path) -> None:
    await door.put(large(900_000).raw)
    [file] = (tmp_path / "store0" / "contents").glob("??/*")
    with open(file, "r+b") as opened:
        opened.truncate(500_000)
    client = await door.client(mailbox="INBOX")
    await client.send(b"f FETCH 1 BODY.PEEK[]\r\n")
    heard = await client.rest()
    assert heard.startswith(b"* 1 FETCH (BODY[] {")
    assert b"f OK" not in heard
    assert b"f NO" not in heard


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: octets\r\n\r\n" + bytes(range(256)) * 3,
        b"\0\0\r\n\r\n\0",
        b"Subject: {5}\r\n\r\n{12}\r\nx OK FETCH completed\r\n* 1 FETCH (FLAGS ())\r\n",
        b"",
        b"\r\n",
        b"no header at all",
        b"Subject: bare\n\nline feeds\n",
    ],
    ids=range(7),
)
async def test_any_octets_come_out_as_they_went_in(door: Door, raw: bytes) -> None:
    await door.put(raw)
    client = await door.client(mailbox="INBOX")
    got = await one(client, "FETCH 1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1])")
    assert got["BODY[]"] == raw == got["BODY[HEADER]"] + got["BODY[TEXT]"]
    assert got["RFC822.SIZE"] == b"%d" % len(raw)


# Judges


@pytest.mark.judge
async def test_imaplib_gets_every_section(door: Door) -> None:
    await door.put(NESTED.raw)

    def judge() -> None:
        with imaplib.IMAP4(door.bound.host, door.bound.port) as client:
            client.authenticate("PLAIN", lambda _: b"\0ann@example.org\0" + PASSWORD.encode())
            client.select()
            for name, octets in NESTED.sections.items():
                status, [answer, end] = client.fetch("1", f"(BODY.PEEK[{name}])")
                assert (status, end) == ("OK", b")")
                assert answer == (b"1 (BODY[%b] {%d}" % (name.encode(), len(octets)), octets)

    await asyncio.to_thread(judge)


@pytest.mark.judge
async def test_imapclient_reads_structures_and_sections(door: Door) -> None:
    await door.put(NESTED.raw, internaldate=837571465.0)
    await door.put(large(300_000).raw, "\\Seen")

    def judge() -> None:
        with IMAPClient(door.bound.host, door.bound.port, ssl=False) as client:
            client.plain_login("ann@example.org", PASSWORD)
            client.select_folder("INBOX")
            got = client.fetch(
                [1, 2], ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "BODY.PEEK[3.2.TEXT]", "RFC822.SIZE"]
            )
            assert sorted(got) == [1, 2]
            assert got[1][b"BODY[3.2.TEXT]"] == got[2][b"BODY[3.2.TEXT]"] == b"the innermost text\r\n"
            assert got[1][b"ENVELOPE"].subject == b"a nested message, folded once"
            assert got[1][b"RFC822.SIZE"] == len(NESTED.raw)
            assert got[1][b"INTERNALDATE"].timestamp() == 837571465.0
            parts, kind = got[1][b"BODYSTRUCTURE"][:2]
            assert (len(parts), kind) == (4, b"MIXED")
            assert [part[0] if isinstance(part[0], bytes) else "list" for part in parts] == [
                "list",
                b"IMAGE",
                b"MESSAGE",
                b"TEXT",
            ]
            assert b"\\Seen" in client.fetch(1, ["BODY[]"])[1].get(b"FLAGS", ())

    await asyncio.to_thread(judge)


async def test_fetch_reads_many_scattered_messages(door: Door) -> None:
    for _ in range(30):
        await door.put(PLAIN)
    client = await door.client(mailbox="INBOX")
    chosen = MessageSet.of(range(1, 31, 3))
    answers = [fetched(line)[0] for line in await client.ok(f"UID FETCH {chosen} (BODY.PEEK[TEXT])")]
    assert answers == list(chosen)
