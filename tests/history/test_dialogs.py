"""Whole conversations, line by line: those of RFC 918 and RFC 937, and what their tables and diagrams say besides."""

from __future__ import annotations

import re

import pytest
from generations import PASSWORD, QUOTED, House

from mailsystem.pop1.grammar import separator


def message(octets: int, subject: str = "one") -> bytes:
    head = f"Subject: {subject}\r\n\r\n".encode()
    return head + b"x" * (octets - len(head) - 2) + b"\r\n"


# POP2


async def test_the_normal_scenario_of_rfc_937(house: House) -> None:
    await house.post(*[message(100)] * 12, message(537))
    await house.play(
        "pop2",
        f"""
        S: + POP2 * server ready
        C: HELO ann {QUOTED}
        S: #13 messages
        C: READ 13
        S: =537 characters in *
        C: RETR
        S: <537 octets>
        C: ACKS
        S: =0 no more messages
        C: QUIT
        S: + OK
        S: <closed>
        """,
    )
    assert len(await house.kept()) == 13


async def test_example_1_of_rfc_937_fetches_and_deletes_two_messages(house: House) -> None:
    await house.post(message(537), message(234))
    await house.play(
        "pop2",
        f"""
        S: + POP2 USC-ISIF.ARPA *
        C: HELO ann@example.org {QUOTED}
        S: #2 messages*
        C: READ
        S: =537 characters in message 1
        C: RETR
        S: <537 octets>
        C: ACKD
        S: =234 characters in message 2
        C: RETR
        S: <234 octets>
        C: ACKD
        S: =0 no more messages
        C: QUIT
        S: + OK*
        S: <closed>
        """,
    )
    assert await house.kept() == []
    assert [event["messages"] for event in house.told("deleted")] == [2]


async def test_example_2_of_rfc_937_reads_in_another_folder(house: House) -> None:
    await house.store.mailboxes.create(house.ann.id, "usr/spool/mail/smith")
    await house.post(*[message(40)] * 35)
    await house.post(*[message(40)] * 26, message(10123), mailbox="usr/spool/mail/smith")
    await house.play(
        "pop2",
        f"""
        S: + POP2 *
        C: HELO ann {QUOTED}
        S: #35 messages
        C: FOLD usr/spool/mail/smith
        S: #27 messages
        C: READ  27
        S: =10123 characters in *
        C: RETR
        S: <10123 octets>
        C: ACKS
        S: =0 no more messages
        C: QUIT
        S: + *
        S: <closed>
        """,
    )


async def test_example_3_of_rfc_937_finds_nothing(house: House) -> None:
    """The example has READ itself end the session; the text and the table answer `=0` first, and so do we."""
    await house.play(
        "pop2",
        f"""
        S: + POP2 *
        C: HELO ann {QUOTED}
        S: #0 messages
        C: READ
        S: =0 no more messages
        C: RETR
        S: - no such message
        S: <closed>
        """,
    )


async def test_what_arrives_is_the_message_octet_by_octet(house: House) -> None:
    odd = b"Subject: odd\r\n\r\n.\r\n..\r\n.\n+ no reply\r\n=3 no length\r\nwithout an end"
    await house.post(odd)
    client = await house.client("pop2")
    assert await client.say(b"READ 1") == b"=%d characters in message 1" % len(odd)
    await client.send(b"RETR\r\n")
    assert await client.exactly(len(odd)) == odd
    assert await client.say(b"ACKS") == b"=0 no more messages"


async def test_nack_stays_at_the_message_and_ackd_keeps_the_numbers(house: House) -> None:
    await house.post(message(101), message(102), message(103))
    await house.play(
        "pop2",
        f"""
        S: + POP2 *
        C: helo ann {QUOTED}
        S: #3 messages
        C: READ 2
        S: =102 characters in message 2
        C: RETR
        S: <102 octets>
        C: NACK
        S: =102 characters in message 2
        C: RETR
        S: <102 octets>
        C: ACKD
        S: =103 characters in message 3
        C: READ 2
        S: =0 no more messages
        C: READ 99999
        S: =0 no more messages
        C: READ 1
        S: =101 characters in message 1
        C: RETR
        S: <101 octets>
        C: ACKS
        S: =0 no more messages
        C: READ
        S: =0 no more messages
        C: READ 3
        S: =103 characters in message 3
        C: QUIT
        S: + OK
        S: <closed>
        """,
    )
    assert [m.size for m in await house.kept()] == [101, 103]


async def test_a_fold_makes_the_deletions_of_the_last_mailbox_true(house: House) -> None:
    await house.post(message(101), message(102))
    await house.post(message(201), mailbox="Junk")
    client = await house.client("pop2")
    await client.say(b"READ")
    await client.send(b"RETR\r\n")
    await client.exactly(101)
    await client.say(b"ACKD")
    assert len(await house.kept()) == 2
    assert await client.say(b"FOLD Junk") == b"#1 message"
    assert len(await house.kept()) == 1
    assert await client.say(b"READ") == b"=201 characters in message 1"
    assert await client.say(b"FOLD inbox") == b"#1 message"
    assert await client.say(b"READ") == b"=102 characters in message 1"


async def test_a_folder_that_does_not_exist_is_empty(house: House) -> None:
    await house.post(message(101))
    client = await house.client("pop2")
    assert await client.say(b"FOLD Nowhere") == b"#0 no such mailbox"
    assert await client.say(b"READ") == b"=0 no more messages"
    assert await client.say(b"FOLD ../../etc/passwd") == b"#0 no such mailbox"
    assert await client.say(b"FOLD INBOX") == b"#1 message"
    assert await client.say(b"QUIT") == b"+ OK"


IN_STATE = {"AUTH": [], "MBOX": ["HELO"], "ITEM": ["HELO", "READ"], "NEXT": ["HELO", "READ", "RETR"]}
GOOD = {
    "AUTH": {"HELO", "QUIT"},
    "MBOX": {"FOLD", "READ", "QUIT"},
    "ITEM": {"FOLD", "READ", "RETR", "QUIT"},
    "NEXT": {"ACKS", "ACKD", "NACK"},
}
"""RFC 937, Server Decision Table: everything else is action 1."""


@pytest.mark.parametrize("state", IN_STATE)
async def test_the_server_decision_table_of_rfc_937(house: House, state: str) -> None:
    said = {"HELO": f"HELO ann {QUOTED}", "FOLD": "FOLD Junk", "READ": "READ 1"}
    await house.post(message(50))
    for verb in ("HELO", "FOLD", "READ", "RETR", "ACKS", "ACKD", "NACK", "QUIT", "OTHER"):
        client = await house.connect("pop2")
        for before in IN_STATE[state]:
            await client.send(said.get(before, before).encode() + b"\r\n")
            assert await client.exactly(50) if before == "RETR" else await client.line()
        await client.send(said.get(verb, verb).encode() + b"\r\n")
        if verb in GOOD[state]:
            assert not (await client.exactly(1)).startswith(b"-"), verb
        else:
            assert re.fullmatch(rb"- [a-zA-Z ]+\r\n", await client.rest()), verb
        client.vanish()
        await house.free()
    assert len(await house.kept()) == 1


async def test_whoever_is_not_known_hears_an_error_and_the_line_goes_dead(house: House) -> None:
    for login, word in (("ann", "wrong"), ("nobody", QUOTED), ("ann", QUOTED.strip("\\ "))):
        client = await house.connect("pop2")
        assert await client.say(f"HELO {login} {word}".encode()) == b"- authentication failed"
        assert await client.rest() == b""
    assert len(house.told("login failed")) == 3


async def test_a_password_may_be_said_without_the_quoting_too(house: House) -> None:
    client = await house.connect("pop2")
    assert await client.say(b"HELO ann " + PASSWORD.replace("\\", "\\\\").encode()) == b"#0 messages"


# POP1


async def test_the_normal_scenario_of_rfc_918_takes_all_and_deletes_it(house: House) -> None:
    await house.post(message(120), message(200))
    dates = [m.internaldate for m in await house.kept()]
    together = sum(len(separator(date, size)) + size for date, size in zip(dates, (120, 200), strict=True))
    await house.play(
        "pop1",
        f"""
        S: +OK*
        C: USER ann
        S: +OK*
        C: PASS {PASSWORD}
        S: +OK*
        C: RDEL inbox
        S: #{together} characters in the mailbox
        C: RCEV
        S: <{together} octets>
        C: RCVD
        S: +OK 2 deleted
        C: QUIT
        S: +OK*
        S: <closed>
        """,
    )
    assert await house.kept() == []


async def test_a_mailbox_comes_in_one_piece_that_can_be_taken_apart_again(house: House) -> None:
    forged = b"Subject: two\r\n\r\n" + separator(0, 5) + b"hello no message of its own"
    messages = [message(120), forged, b"Subject: three\n\nbare\n", message(90_000), message(70_000)]
    await house.post(*messages)
    client = await house.client("pop1")
    answer = await client.say(b"RETR INBOX")
    await client.send(b"RCEV\r\n")
    mail = await client.exactly(int(answer[1:].split()[0]))
    found = []
    while mail:
        told = re.match(rb"[ \d]\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d \+0000,(\d+);0{12}\r\n", mail)
        assert told
        found.append(mail[told.end() : told.end() + int(told[1])])
        mail = mail[told.end() + int(told[1]) :]
    assert found == messages
    assert await client.say(b"RCVD") == b"+OK"
    assert len(await house.kept()) == 5


async def test_a_transaction_is_given_up_by_rset_and_by_quit(house: House) -> None:
    await house.post(message(120))
    for how in (b"RSET", b"QUIT"):
        client = await house.client("pop1")
        octets = int((await client.say(b"RDEL INBOX"))[1:].split()[0])
        await client.send(b"RECV\r\n")  # so the diagram spells it
        await client.exactly(octets)
        assert (await client.say(how)).startswith(b"+OK")
        await house.free()
    assert len(await house.kept()) == 1


async def test_who_does_not_acknowledge_keeps_the_mail(house: House) -> None:
    await house.post(message(120))
    client = await house.client("pop1")
    octets = int((await client.say(b"RDEL INBOX"))[1:].split()[0])
    await client.send(b"RCEV\r\n")
    await client.exactly(octets)
    client.vanish()
    await house.free()
    assert len(await house.kept()) == 1


async def test_what_came_after_rdel_is_not_deleted(house: House) -> None:
    await house.post(message(120))
    client = await house.client("pop1")
    octets = int((await client.say(b"RDEL INBOX"))[1:].split()[0])
    await house.post(message(77))
    await client.send(b"RCEV\r\n")
    await client.exactly(octets)
    assert await client.say(b"RCVD") == b"+OK 1 deleted"
    assert [m.size for m in await house.kept()] == [77]


async def test_the_diagram_of_rfc_918(house: House) -> None:
    await house.play(
        "pop1",
        f"""
        S: +OK USC-ISIF.ARPA POP ready
        C: PASS early
        S: -ERR PASS is not possible now
        C: NOOP
        S: -ERR*
        C: RETR INBOX
        S: -ERR*
        C: USER
        S: -ERR argument missing
        C: USER ann
        S: +OK*
        C: PASS wrong
        S: -ERR authentication failed
        C: PASS {PASSWORD}
        S: -ERR PASS is not possible now
        C: USER ann
        S: +OK*
        C: PASS {PASSWORD}
        S: +OK*
        C: USER bob
        S: -ERR*
        C: RCEV
        S: -ERR*
        C: RCVD
        S: -ERR*
        C: RETR
        S: -ERR argument missing
        C: RETR Nowhere
        S: -ERR no such mailbox
        C: noop
        S: +OK
        C: RETR Junk
        S: #0 characters in the mailbox
        C: RCVD
        S: -ERR*
        C: RDEL INBOX
        S: -ERR*
        C: RCEV
        C: RCEV
        S: -ERR*
        C: RCVD
        S: +OK
        C: RSET
        S: +OK
        C: QUIT
        S: +OK bye
        S: <closed>
        """,
    )
