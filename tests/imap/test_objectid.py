"""OBJECTID (RFC 8474) and SAVEDATE (RFC 8514): what follows a message, and when it came where it is."""

from __future__ import annotations

import re

from imap_door import Client, Door

from mailsystem.mail.objectid import threadid

FIRST = b"Message-ID: <first@example.org>\r\nSubject: x\r\n\r\nhello\r\n"
ANSWER = b"Message-ID: <second@example.org>\r\nIn-Reply-To: <first@example.org>\r\nSubject: Re: x\r\n\r\nhello\r\n"


async def ids(client: Client, number: int = 1) -> tuple[str, str]:
    [line] = await client.ok(f"FETCH {number} (EMAILID THREADID)")
    found = re.fullmatch(rb"\* \d+ FETCH \(EMAILID \((\S+)\) THREADID (\S+)\)", line)
    assert found, line
    return found[1].decode(), found[2].decode()


async def test_copies_and_moves_keep_their_ids_and_twins_have_their_own(door: Door) -> None:
    await door.put(FIRST)
    await door.put(FIRST)
    client = await door.client(mailbox="INBOX")
    one, two = await ids(client, 1), await ids(client, 2)
    assert one[0] != two[0]
    assert one[1] == two[1] == f"({threadid(FIRST)})"
    await client.ok("COPY 1 Archive")
    await client.ok("MOVE 1 Trash")
    for mailbox in ("Archive", "Trash"):
        await client.ok(f"SELECT {mailbox}")
        assert await ids(client) == one


async def test_an_answer_is_in_the_thread_and_what_has_no_id_in_none(door: Door) -> None:
    for raw in (FIRST, ANSWER, b"Subject: nameless\r\n\r\n", b""):
        await door.put(raw)
    client = await door.client(mailbox="INBOX")
    threads = [(await ids(client, number))[1] for number in (1, 2, 3, 4)]
    assert threads[0] == threads[1] != "NIL"
    assert threads[2:] == ["NIL", "NIL"]
    told = await client.ok("FETCH 1 (THREADID BODY.PEEK[HEADER.FIELDS (SUBJECT)] ENVELOPE)")
    assert f"THREADID {threads[0]} ENVELOPE (".encode() in told[0]


async def test_the_thread_of_a_header_without_end_is_told_too(door: Door) -> None:
    head = b"References: <first@example.org>\r\n" + b"X-Filler: %b\r\n" % (b"x" * 70) * 6000
    await door.put(head + b"\r\nbody")
    client = await door.client(mailbox="INBOX")
    [line] = await client.ok("FETCH 1 (THREADID BODY.PEEK[TEXT])")
    assert line == b"* 1 FETCH (THREADID (%b) BODY[TEXT] {4}\r\nbody)" % (threadid(FIRST) or "").encode()


async def test_a_new_mailbox_says_its_id(door: Door) -> None:
    client = await door.client()
    answer = await client.say("CREATE Projects")
    selected = await client.ok("SELECT Projects")
    assert f"* OK [{answer.code}] its own for ever".encode() in selected
    assert re.fullmatch(r"MAILBOXID \([A-Za-z0-9_-]+\)", answer.code)


async def test_the_save_date_is_when_it_came_into_this_mailbox(door: Door) -> None:
    await door.put(FIRST, internaldate=0.0)
    client = await door.client(mailbox="INBOX")
    [line] = await client.ok("FETCH 1 (INTERNALDATE SAVEDATE)")
    found = re.fullmatch(rb'\* 1 FETCH \(INTERNALDATE " 1-Jan-1970 00:00:00 \+0000" SAVEDATE "(.*) \+0000"\)', line)
    assert found, line
    assert b"1970" not in found[1]
