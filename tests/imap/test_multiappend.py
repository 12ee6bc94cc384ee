"""Messages that come together (RFC 3502), with any octets (RFC 3516), or in the place of another (RFC 8508)."""

from __future__ import annotations

import os
import random
import tracemalloc

import pytest
from imap_door import Client, Door, Opening

from mailsystem.mail.mailbox import MessageSet
from mailsystem.store import Quota


async def contents(door: Door, mailbox: str = "INBOX") -> list[bytes]:
    box = await door.store.mailboxes.find(door.account.id, mailbox)
    kept = await door.store.mailboxes.messages(door.account.id, box.id, MessageSet(((1, 0xFFFFFFFF),)))
    return [await door.store.contents.read(message.content) for message in kept]


def files(door: Door) -> int:
    return len([each for each in door.store.contents._directory.rglob("*") if each.is_file()])


async def test_a_message_of_no_octets_takes_all_back(door: Door) -> None:
    """RFC 3502 6.3.11: it is answered NO, and the mailbox is as it was; so is a REPLACE."""
    await door.put()
    client = await door.client(mailbox="INBOX")
    for said in ("APPEND INBOX {0+}\r\n", "APPEND INBOX {1+}\r\nx {0+}\r\n", "APPEND INBOX {0+}\r\n {1+}\r\nx",
                 "APPEND INBOX (\\Seen) UTF8 (~{0+}\r\n)", "REPLACE 1 INBOX {0+}\r\n"):  # fmt: skip
        answer = await client.say(said)
        assert (answer.status, answer.code, answer.untagged) == ("NO", "CANNOT", []), said
    assert await client.ok("STATUS INBOX (MESSAGES UIDNEXT)") == [b"* STATUS INBOX (MESSAGES 1 UIDNEXT 2)"]


async def test_the_append_of_rfc_3502(door: Door) -> None:
    """RFC 3502 6.3.11: each message waits for its own `+`, and has its own flags and date."""
    await door.dialog(
        """
        C1: a003 CREATE saved-messages
        S1: a003 OK ...
        C1: A003 APPEND saved-messages (\\Seen) {6}
        S1: + ...
        C1: A: b
        C1:  (\\Seen) " 7-Feb-1994 22:43:04 -0800" {12}
        S1: + ...
        C1: Subject: x
        C1:  {1}
        S1: + ...
        C1: x
        S1: A003 OK [APPENDUID ... 1:3] APPEND completed
        """
    )
    await door.client(mailbox="saved-messages")  # who selects first has them recent
    other = await door.client(mailbox="saved-messages")
    told = await other.ok("FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE)")
    assert told[0].startswith(b"* 1 FETCH (FLAGS (\\Seen) RFC822.SIZE 6 ")
    assert told[1] == b'* 2 FETCH (FLAGS (\\Seen) RFC822.SIZE 12 INTERNALDATE " 8-Feb-1994 06:43:04 +0000")'
    assert told[2].startswith(b"* 3 FETCH (FLAGS () RFC822.SIZE 1 ")


async def test_all_go_in_or_none(door: Door) -> None:
    client = await door.client()
    big = b"x" * 300_000
    for wrong in (b" (\\Recent) {1+}\r\nx", b" {1+}\r\nx y", b" x", b" "):
        answer = await client.say(b"APPEND INBOX {1+}\r\nx {300000+}\r\n" + big + wrong)
        assert answer.status == "BAD", wrong
    assert (await client.say(b"APPEND nowhere {1+}\r\nx {300000+}\r\n" + big)).code == "TRYCREATE"
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=1))
    assert (await client.say(b"APPEND INBOX {1+}\r\nx {300000+}\r\n" + big)).code == "OVERQUOTA"
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=2))
    assert await contents(door) == []
    assert files(door) == 0
    assert (await client.say(b"APPEND INBOX {1+}\r\nx {300000+}\r\n" + big)).code.endswith(" 1:2")
    assert await contents(door) == [b"x", big]
    assert files(door) == 1


async def test_one_that_is_too_large_is_refused_before_it_comes_and_the_others_with_it(open_door: Opening) -> None:
    door = await open_door(largest_message=100_000)
    client = await door.client()
    assert b" APPENDLIMIT=100000" in (await client.ok("CAPABILITY"))[0]
    await client.send(b"A APPEND INBOX {1}\r\n")
    assert (await client.line()).startswith(b"+ ")
    await client.send(b"x {100001}\r\n")
    assert (await client.line()).startswith(b"A NO [TOOBIG] ")
    assert await contents(door) == []
    # Each may have the full size, within a bound for all of them.
    many = b" {100000+}\r\n" + b"x" * 100_000
    assert (await client.say(b"APPEND INBOX" + many * 4)).code.endswith(" 1:4")
    assert (await client.say(b"APPEND INBOX" + many * 5)).code == "TOOBIG"


async def test_many_messages_take_little_memory(door: Door) -> None:
    octets = b"\r\n\r\n" + random.Random(1).randbytes(60_000)
    client = await door.client()
    tracemalloc.start()
    try:
        await client.send(b"A APPEND INBOX")
        for number in range(400):
            await client.send(b" {60008+}\r\n%04d" % number + octets)
        await client.send(b"\r\n")
        assert (await client.answer(b"A")).code.endswith(" 1:400")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    kept = await contents(door)
    assert [each[:4] for each in kept] == [b"%04d" % number for number in range(400)]
    assert all(each[4:] == octets for each in kept)
    assert os.listdir(door.store.contents._incoming) == []


async def test_headers_without_end_do_not_fill_the_memory(door: Door) -> None:
    client = await door.client()
    await client.send(b"A APPEND INBOX")
    for _ in range(100):
        await client.send(b" {200000+}\r\n" + b"x" * 200_000)
    await client.send(b"\r\n")
    assert (await client.answer(b"A")).code == "TOOBIG"
    assert await contents(door) == []
    assert files(door) == 0


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"~{5+}\r\na\0b\0c", b"a\0b\0c"),
        (b"UTF8 (~{7+}\r\nS: \xc3\xbc\r\n)", b"S: \xc3\xbc\r\n"),
        (b"(\\Seen) utf8 (~{1+}\r\nx)", b"x"),
    ],
)
async def test_any_octets_may_come(door: Door, data: bytes, kept: bytes) -> None:
    client = await door.client()
    assert (await client.say(b"APPEND INBOX " + data)).status == "OK"
    assert await contents(door) == [kept]


@pytest.mark.parametrize(
    "data",
    [b"UTF8 ({1+}\r\nx)", b"UTF8 (~{1+}\r\nx", b"UTF8 ~{1+}\r\nx", b"UTF8", b"~", b"~x", b"CATENATE (TEXT {1+}\r\nx)"],
)
async def test_what_is_no_message_is_bad(door: Door, data: bytes) -> None:
    client = await door.client()
    assert (await client.say(b"APPEND INBOX " + data)).status == "BAD"
    assert await contents(door) == []


# REPLACE


async def test_the_replace_of_rfc_8508(door: Door) -> None:
    """RFC 8508 3.2: the new draft is told before the old one is gone."""
    for number in range(4):
        await door.put(b"Subject: %d\r\n\r\n" % number, mailbox="Drafts")
    one, two = await door.client(mailbox="Drafts"), await door.client(mailbox="Drafts")
    await door.dialog(
        """
        C1: A003 REPLACE 4 Drafts (\\Seen \\Draft $MDNSent) {14}
        S1: + ...
        C1: Subject: new
        C1:
        S1: * OK [APPENDUID ... 5] ...
        S1: * 4 EXPUNGE
        S1: * 4 EXISTS
        S1: * 1 RECENT
        S1: A003 OK REPLACE completed
        C1: A004 UID REPLACE 2 Sent "17-Jul-1996 02:44:25 -0700" {1}
        S1: + ...
        C1: x
        S1: * OK [APPENDUID ... 1] ...
        S1: * 2 EXPUNGE
        S1: A004 OK REPLACE completed
        C2: B001 NOOP
        S2: * 4 EXPUNGE
        S2: * 2 EXPUNGE
        S2: * 3 EXISTS
        S2: * 3 RECENT
        """.replace("S1: * 1 RECENT", "S1: * ... RECENT").replace("S2: * 3 RECENT", "S2: * ... RECENT"),
        c1=one,
        c2=two,
    )
    told = await one.ok("UID FETCH 5 FLAGS")
    assert told[-1] == b"* 3 FETCH (UID 5 FLAGS (\\Seen \\Draft \\Recent $MDNSent))"
    assert len(await contents(door, "Drafts")) == 3
    assert await contents(door, "Sent") == [b"x"]


async def test_what_cannot_be_replaced_stays_and_nothing_comes(door: Door) -> None:
    await door.put()
    await door.put()
    client, other = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    assert (await client.say(b"REPLACE 3 INBOX {1+}\r\nx")).status == "BAD"
    assert (await client.say(b"REPLACE 1:2 INBOX {1+}\r\nx")).status == "BAD"
    assert (await client.say(b"REPLACE 1 INBOX {1+}\r\nx {1+}\r\ny")).status == "BAD"
    answer = await client.say(b"UID REPLACE 9 INBOX {1+}\r\nx")
    assert (answer.status, answer.code) == ("NO", "CANNOT")
    answer = await client.say(b"REPLACE 1 nowhere {1+}\r\nx")
    assert (answer.status, answer.code) == ("NO", "TRYCREATE")
    await other.ok("STORE 2 +FLAGS.SILENT \\Deleted")
    await other.ok("EXPUNGE")
    answer = await client.say(b"REPLACE 2 INBOX {1+}\r\nx")
    assert (answer.status, answer.code) == ("NO", "EXPUNGEISSUED")
    await client.ok("EXAMINE INBOX")
    answer = await client.say(b"REPLACE 1 INBOX {1+}\r\nx")
    assert (answer.status, answer.code) == ("NO", "NOPERM")
    assert len(await contents(door)) == 1


async def test_a_replace_needs_only_the_place_that_it_takes_more(door: Door) -> None:
    await door.put(b"x" * 1000)
    client = await door.client(mailbox="INBOX")
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=1, octets=1200))
    assert (await client.say(b"REPLACE * INBOX {1200+}\r\n" + b"y" * 1200)).status == "OK"
    assert (await client.say(b"REPLACE * INBOX {1201+}\r\n" + b"z" * 1201)).code == "OVERQUOTA"
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=1, octets=100))
    assert (await client.say(b"REPLACE * INBOX {200+}\r\n" + b"z" * 200)).status == "OK"
    assert await contents(door) == [b"z" * 200]


async def test_the_account_counts_what_it_keeps(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    await client.ok(b"APPEND INBOX {100+}\r\n" + b"x" * 100 + b" {50+}\r\n" + b"y" * 50)
    await client.ok(b"REPLACE 1 Trash {30+}\r\n" + b"z" * 30)
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=3, octets=85))
    assert (await client.say(b"APPEND INBOX {6+}\r\n......")).code == "OVERQUOTA"
    await client.ok(b"APPEND INBOX {5+}\r\n.....")
    assert (await client.say(b"APPEND INBOX {1+}\r\nx")).code == "OVERQUOTA"


async def test_who_resyncs_hears_of_a_replace_by_uid(door: Door) -> None:
    await door.put()
    client: Client = await door.client()
    await client.ok("ENABLE QRESYNC")
    await client.ok("SELECT INBOX")
    answer = await client.say(b"REPLACE 1 INBOX {1+}\r\nx")
    now = (await door.store.mailboxes.find(door.account.id, "INBOX")).modseq
    assert answer.untagged[1:] == [b"* VANISHED 1", b"* 1 EXISTS", b"* 1 RECENT"]
    assert answer.code == f"HIGHESTMODSEQ {now}"
    await client.ok("LOGOUT")
    client = await door.client()
    await client.ok("ENABLE UIDONLY")
    await client.ok("SELECT INBOX")
    assert (await client.say(b"REPLACE 1 INBOX {1+}\r\nx")).code == "UIDREQUIRED"
    assert (await client.say(b"UID REPLACE 2 INBOX {1+}\r\nx")).untagged[1] == b"* VANISHED 2"
