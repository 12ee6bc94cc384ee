"""Whole conversations, line by line."""

from __future__ import annotations

import asyncio

import pytest
from pop3_door import PASSWORD, Door, Opening

ONE = b"Subject: one\r\n\r\n" + b"x" * 102 + b"\r\n"
TWO = b"Subject: two\r\n\r\n.\r\n.." + b"y" * 177 + b"\r\n"

LOGIN = f"""
    C: USER ann@example.org
    S: +OK*
    C: PASS {PASSWORD}
    S: +OK*
"""


async def test_the_example_session_of_rfc_1939(door: Door) -> None:
    """Section 10, with USER and PASS for its APOP."""
    await door.post(ONE, TWO)
    assert (len(ONE), len(TWO)) == (120, 200)
    await door.play(
        LOGIN
        + f"""
        C: STAT
        S: +OK 2 320
        C: LIST
        S: +OK 2 messages (320 octets)
        S: 1 120
        S: 2 200
        S: .
        C: RETR 1
        S: +OK 120 octets
        S: Subject: one
        S:
        S: {"x" * 102}
        S: .
        C: DELE 1
        S: +OK message 1 deleted
        C: RETR 2
        S: +OK 200 octets
        S: Subject: two
        S:
        S: ..
        S: ...{"y" * 177}
        S: .
        C: DELE 2
        S: +OK message 2 deleted
        C: QUIT
        S: +OK*
        S: <closed>
        """
    )
    assert await door.kept() == []
    [told] = door.told("deleted")
    assert (told["login"], told["messages"], len(set(told["contents"]))) == ("ann@example.org", 2, 2)


async def test_every_verb_of_the_transaction_state(door: Door) -> None:
    """RFC 1939 5 and 7, with its own examples where they say more than +OK."""
    await door.post(ONE, TWO)
    mailbox = (await door.store.maildrops.listing(door.ann.id)).mailbox.objectid
    await door.play(
        LOGIN
        + f"""
        C: list 2
        S: +OK 2 200
        C: LIST 3
        S: -ERR no such message
        C: UIDL
        S: +OK*
        S: 1 {mailbox}.1
        S: 2 {mailbox}.2
        S: .
        C: UIDL 2
        S: +OK 2 {mailbox}.2
        C: TOP 1 0
        S: +OK*
        S: Subject: one
        S:
        S: .
        C: TOP 2 1
        S: +OK*
        S: Subject: two
        S:
        S: ..
        S: .
        C: NOOP
        S: +OK
        C: DELE 1
        S: +OK*
        C: DELE 1
        S: -ERR message is deleted
        C: STAT
        S: +OK 1 200
        C: LIST
        S: +OK 1 messages (200 octets)
        S: 2 200
        S: .
        C: LIST 1
        S: -ERR message is deleted
        C: UIDL 1
        S: -ERR message is deleted
        C: RETR 1
        S: -ERR message is deleted
        C: TOP 1 0
        S: -ERR message is deleted
        C: UIDL
        S: +OK*
        S: 2 {mailbox}.2
        S: .
        C: RSET
        S: +OK 2 messages (320 octets)
        C: STAT
        S: +OK 2 320
        C: DELE 2
        S: +OK*
        C: QUIT
        S: +OK*
        S: <closed>
        """
    )
    assert [message.uid for message in await door.kept()] == [1]


async def test_an_empty_maildrop(door: Door) -> None:
    await door.play(
        LOGIN
        + """
        C: STAT
        S: +OK 0 0
        C: LIST
        S: +OK 0 messages (0 octets)
        S: .
        C: UIDL
        S: +OK*
        S: .
        C: LIST 1
        S: -ERR no such message
        C: RETR 0
        S: -ERR no such message
        C: QUIT
        S: +OK*
        S: <closed>
        """
    )


async def test_a_command_in_the_wrong_state_is_refused_and_nothing_is_lost(door: Door) -> None:
    await door.play(
        """
        C: STAT
        S: -ERR STAT is not possible now
        C: RETR 1
        S: -ERR*
        C: DELE 1
        S: -ERR*
        C: NOOP
        S: -ERR*
        C: PASS early
        S: -ERR USER first
        """
        + LOGIN.replace("C:", "C:").replace("S:", "S:")
        + """
        C: USER ann@example.org
        S: -ERR USER is not possible now
        C: PASS again
        S: -ERR*
        C: AUTH PLAIN
        S: -ERR*
        C: STLS
        S: -ERR*
        C: STAT
        S: +OK 0 0
        C: QUIT
        S: +OK*
        S: <closed>
        """
    )


async def test_sloppy_and_wrong_lines(door: Door) -> None:
    await door.post(ONE)
    await door.play(
        LOGIN
        + """
        C: noop
        S: +OK
        C: NoOp
        S: +OK
        C: STAT 1
        S: -ERR too many arguments
        C: LIST  1
        S: +OK 1 120
        C: LIST 01
        S: +OK 1 120
        C: LIST 1x
        S: -ERR not a number
        C: RETR +1
        S: -ERR not a number
        C: RETR -1
        S: -ERR not a number
        C: RETR 1 1
        S: -ERR too many arguments
        C: RETR
        S: -ERR argument missing
        C: RETR 99999999999999999999
        S: -ERR not a number
        C: RETR 4294967296
        S: -ERR no such message
        C: TOP 1
        S: -ERR argument missing
        C: TOP 1 -1
        S: -ERR not a number
        C: TOP 2 1
        S: -ERR no such message
        C:
        S: -ERR unknown command
        C: XYZZY
        S: -ERR unknown command
        C: APOP ann 0123
        S: -ERR unknown command
        C: QUIT now
        S: -ERR too many arguments
        C: QUIT
        S: +OK*
        S: <closed>
        """
    )


async def test_trailing_spaces_are_nothing_but_in_a_password(door: Door) -> None:
    client = await door.client()
    assert await client.say(b"STAT  ") == b"+OK 0 0"
    assert await client.say(b"LIST ") == b"+OK 0 messages (0 octets)"
    assert await client.line() == b"."
    assert await client.say(b"QUIT ") == b"+OK bye"
    client = await door.connect()
    await client.ok(b"USER ann@example.org  ")
    assert await client.say(b"PASS " + PASSWORD.encode() + b" ") == b"-ERR [AUTH] authentication failed"


async def test_bare_line_feeds_end_commands_too(door: Door) -> None:
    client = await door.connect()
    await client.send(b"USER ann@example.org\nPASS " + PASSWORD.encode() + b"\nSTAT\nQUIT\n")
    answers = (await client.rest()).splitlines()
    assert [line[:3] for line in answers] == [b"+OK"] * 4


async def test_two_clients_two_people(door: Door) -> None:
    await door.post(ONE)
    await door.play(
        f"""
        C1: USER ann@example.org
        S1: +OK*
        C2: USER bob@example.org
        S2: +OK*
        C2: PASS {PASSWORD}
        S2: +OK*
        C1: PASS {PASSWORD}
        S1: +OK*
        C2: STAT
        S2: +OK 0 0
        C1: STAT
        S1: +OK 1 120
        C1: QUIT
        S1: +OK*
        S1: <closed>
        C2: QUIT
        S2: +OK*
        S2: <closed>
        """
    )


async def test_mail_that_arrives_during_the_session_is_not_seen(door: Door) -> None:
    await door.post(ONE)
    client = await door.client()
    await door.post(TWO)
    assert await client.say(b"STAT") == b"+OK 1 120"
    await client.ok(b"DELE 1")
    await client.ok(b"QUIT")
    assert [message.size for message in await door.kept()] == [200]


async def test_capa_before_and_after_login(door: Door) -> None:
    client = await door.connect()
    always = {b"TOP", b"UIDL", b"USER", b"SASL SCRAM-SHA-256 PLAIN LOGIN", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE",
              b"EXPIRE NEVER", b"UTF8 USER", b"LANG", b"IMPLEMENTATION mailsystem"}  # fmt: skip
    assert set(await client.listing(b"CAPA")) == always
    await client.log_in()
    assert set(await client.listing(b"capa")) == always


async def test_a_pipelined_group_is_answered_in_order_and_in_one_write(door: Door) -> None:
    await door.post(ONE)
    client = await door.client()
    await client.send(b"STAT\r\nLIST 1\r\nNOOP\r\nXYZZY\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    answers = await client.rest()
    assert answers == (
        b"+OK 1 120\r\n+OK 1 120\r\n+OK\r\n-ERR unknown command\r\n+OK 120 octets\r\n" + ONE + b".\r\n"
        b"+OK message 1 deleted\r\n+OK bye, 1 deleted\r\n"
    )


async def test_the_login_may_be_pipelined_and_cut_anywhere(door: Door) -> None:
    await door.post(ONE)
    client = await door.connect()
    said = b"USER ann@example.org\r\nPASS " + PASSWORD.encode() + b"\r\nSTAT\r\nQUIT\r\n"
    for position in range(len(said)):
        await client.send(said[position : position + 1])
    answers = (await client.rest()).splitlines()
    assert answers == [b"+OK and the password?", b"+OK 1 messages (120 octets)", b"+OK 1 120", b"+OK bye"]


async def test_ten_thousand_pipelined_commands(door: Door) -> None:
    client = await door.client()
    await client.send(b"NOOP\r\n" * 10_000 + b"QUIT\r\n")
    assert await client.rest() == b"+OK\r\n" * 10_000 + b"+OK bye\r\n"


async def test_a_line_that_is_too_long_is_refused_once_and_the_session_goes_on(door: Door) -> None:
    client = await door.client()
    await client.send(b"x" * 1_000_000 + b"\r\nSTAT\r\n")
    assert await client.line() == b"-ERR line too long"
    assert await client.line() == b"+OK 0 0"
    assert door.told("refused")[-1]["reason"] == "line too long"


@pytest.mark.parametrize(
    "line", [b"\0", b"STAT\0", b"NOOP\r\r", b"\xff\xfe", b"RETR \xb2", b"\xc3\x96", b"R\xc3\x89TR 1"]
)
async def test_odd_octets_are_refused_and_the_session_goes_on(line: bytes, door: Door) -> None:
    client = await door.client()
    assert (await client.say(line)).startswith(b"-ERR")
    assert await client.say(b"STAT") == b"+OK 0 0"


async def test_too_many_bad_commands_end_the_session(open_door: Opening) -> None:
    door = await open_door(bad_commands=3)
    await door.post(ONE)
    client = await door.client()
    await client.ok(b"DELE 1")
    for _ in range(2):
        assert await client.say(b"XYZZY") == b"-ERR unknown command"
    await client.ok(b"NOOP")
    assert await client.say(b"XYZZY") == b"-ERR unknown command"
    assert await client.say(b"x" * 5000) == b"-ERR line too long"
    assert await client.say(b"USER ann") == b"-ERR USER is not possible now"
    assert await client.rest() == b"-ERR too many bad commands\r\n"
    assert len(await door.kept()) == 1


async def test_who_is_known_may_ask_for_messages_that_are_not_there(open_door: Opening) -> None:
    door = await open_door(bad_commands=3)
    client = await door.client()
    for _ in range(10):
        assert await client.say(b"RETR 7") == b"-ERR no such message"


async def test_a_browser_is_sent_away_at_once(door: Door) -> None:
    client = await door.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: mx\r\n\r\nUSER ann@example.org\r\nPASS x\r\n")
    assert await client.rest() == b"-ERR unknown command\r\n-ERR too many bad commands\r\n"


async def test_silence_ends_the_session_without_a_word_and_without_update(open_door: Opening) -> None:
    door = await open_door(idle_timeout=0.05)
    await door.post(ONE)
    client = await door.client()
    await client.ok(b"DELE 1")
    assert await client.rest() == b""
    assert (await door.until_told("disconnected"))[0]["reason"] == "too long without a command"
    assert len(await door.kept()) == 1


async def test_who_does_not_log_in_may_not_stay(open_door: Opening) -> None:
    door = await open_door(login_timeout=0.1)
    client = await door.connect()
    with pytest.raises((AssertionError, OSError)):
        for _ in range(100):
            await client.ok(b"USER ann@example.org")
            await asyncio.sleep(0.01)
    assert door.told("disconnected")[0]["reason"] == "too long without a command"


async def test_a_half_closed_client_still_gets_its_answers(door: Door) -> None:
    await door.post(ONE)
    client = await door.client()
    client.writer.write(b"RETR 1\r\nQUIT\r\n")
    client.writer.write_eof()
    assert await client.rest() == b"+OK 120 octets\r\n" + ONE + b".\r\n+OK bye\r\n"
