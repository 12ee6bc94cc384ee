"""Whole conversations, as they stand on the wire."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smtp_door import Client, House, enhanced, housed, play

GREETED = """
    S: 220 mx.example.org ESMTP
    C: EHLO client.example
    S: 250-mx.example.org
    S: 250-SIZE 52428800
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-PIPELINING
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250-DSN
    S: 250-LIMITS RCPTMAX=1000
    S: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN
    S: 250 ENHANCEDSTATUSCODES
"""

DIALOGS = {
    # RFC 5321 D.1
    "a typical transaction": """
        C: MAIL FROM:<Smith@bar.example>
        S: 250 2.1.0
        C: RCPT TO:<ann@example.org>
        S: 250 2.1.5
        C: RCPT TO:<Green@example.org>
        S: 550 5.1.1
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5
        C: DATA
        S: 354
        C: Blah blah blah...
        C: ...etc. etc. etc.
        C: .
        S: 250 2.0.0 ok, queued as
        C: QUIT
        S: 221 2.0.0
        S: -
    """,
    # RFC 5321 D.2
    "an aborted transaction": """
        C: MAIL FROM:<Smith@bar.example>
        S: 250 2.1.0
        C: RCPT TO:<ann@example.org>
        S: 250 2.1.5
        C: RCPT TO:<Green@example.org>
        S: 550 5.1.1
        C: RSET
        S: 250 2.0.0
        C: RCPT TO:<ann@example.org>
        S: 503 5.5.1
        C: QUIT
        S: 221 2.0.0
        S: -
    """,
    # RFC 5321 D.3: what is not for us is not relayed.
    "relaying is denied": """
        C: MAIL FROM:<JQP@bar.example>
        S: 250 2.1.0
        C: RCPT TO:<@foo.example:Jones@XYZ.example>
        S: 550 5.7.1
        C: DATA
        S: 554 5.5.1
    """,
    # RFC 5321 D.4: verifying and sending, but nothing is verified here.
    "verifying tells nothing": """
        C: VRFY ann
        S: 252 2.5.2
        C: VRFY nobody@example.org
        S: 252 2.5.2
        C: VRFY
        S: 501 5.5.4
        C: EXPN list
        S: 502 5.5.1
        C: HELP
        S: 214 2.0.0 AUTH BDAT DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET STARTTLS VRFY
        C: HELP MAIL
        S: 214 2.0.0
    """,
    "states": """
        C: RCPT TO:<ann@example.org>
        S: 503 5.5.1
        C: DATA
        S: 503 5.5.1
        C: MAIL FROM:<>
        S: 250 2.1.0
        C: MAIL FROM:<a@example.net>
        S: 503 5.5.1
        C: DATA
        S: 554 5.5.1
        C: RCPT TO:<postmaster>
        S: 250 2.1.5
        C: DATA now
        S: 501 5.5.4
        C: RSET now
        S: 501 5.5.4
        C: NOOP whatever
        S: 250 2.0.0
        C: EHLO again
        S: 250-
        S: 250-
        S: 250-
        S: 250-
        S: 250-
        S: 250-
        S: 250-
        S: 250-
        S: 250-
        S: 250-
        S: 250
        C: RCPT TO:<ann@example.org>
        S: 503 5.5.1
        C: QUIT now
        S: 501 5.5.4
        C: quit
        S: 221 2.0.0
        S: -
    """,
    "arguments": """
        C: MAIL
        S: 501 5.5.4
        C: MAIL FROM:
        S: 501 5.5.4
        C: MAIL FROM:a@example.net
        S: 501 5.5.4
        C: MAIL FROM:<a>
        S: 501 5.1.7
        C: MAIL FROM:<a@b..c>
        S: 501 5.1.7
        C: MAIL FROM:<a@example.net> SIZE=x
        S: 501 5.5.4
        C: MAIL FROM:<a@example.net> SIZE=52428801
        S: 552 5.3.4
        C: MAIL FROM:<a@example.net> SIZE=99999999999999999999
        S: 552 5.3.4
        C: MAIL FROM:<a@example.net> BODY=BINARY
        S: 501 5.5.4
        C: MAIL FROM:<a@example.net> HOLDFOR=60
        S: 555 5.5.4
        C: MAIL FROM:<a@example.net> REQUIRETLS
        S: 555 5.5.4
        C: MAIL FROM:<a@example.net> SIZE=1 SIZE=1
        S: 501 5.5.4
        C: MAIL FROM:<a@example.net> SIZE=52428800 BODY=8BITMIME SMTPUTF8 AUTH=<>
        S: 250 2.1.0
        C: RCPT TO:
        S: 501 5.5.4
        C: RCPT TO:<>
        S: 501 5.1.3
        C: RCPT TO:<ann>
        S: 250 2.1.5
        C: RCPT TO:<ann..b>
        S: 501 5.1.3
        C: RCPT TO:<ann@example.org> RRVS=2014-04-03T23:01:00Z
        S: 555 5.5.4
        C: RCPT TO:<@relay.example,@other.example:ann@example.org>
        S: 250 2.1.5
        C: rcpt to: <ANN@EXAMPLE.ORG>
        S: 250 2.1.5
    """,
    "addresses that are not ASCII": """
        C: MAIL FROM:<jörg@example.net>
        S: 553 5.6.7
        C: MAIL FROM:<a@bücher.example>
        S: 553 5.6.7
        C: MAIL FROM:<a@example.net>
        S: 250 2.1.0
        C: RCPT TO:<jörg@example.org>
        S: 553 5.6.7
        C: RSET
        S: 250
        C: MAIL FROM:<jörg@example.net> SMTPUTF8=yes
        S: 501 5.5.4
        C: MAIL FROM:<jörg@example.net> SMTPUTF8
        S: 250 2.1.0
        C: RCPT TO:<jörg@example.org>
        S: 550 5.1.1
        C: RCPT TO:<ann@example.org>
        S: 250 2.1.5
        C: MAIL FROM:<<FF>@example.net> SMTPUTF8
        S: 503
        C: RCPT TO:<<FF>@example.org>
        S: 501 5.5.4
    """,
    "nonsense goes on": """
        C: XYZZY
        S: 500 5.5.1
        C:
        S: 500 5.5.1
        C: <FF><FF>
        S: 500 5.5.1
        C: NO<NUL>OP
        S: 500 5.5.2
        C: NOOP<CR>NOOP
        S: 500 5.5.2
        C:  NOOP
        S: 500 5.5.1
        C: LHLO me
        S: 500 5.5.1
        C: STARTTLS
        S: 502 5.5.1
        C: AUTH
        S: 501 5.5.4
        C: NOOP
        S: 250 2.0.0
    """,
    "pipelined": """
        C: MAIL FROM:<a@example.net>
        C: RCPT TO:<ann@example.org>
        C: RCPT TO:<nobody@example.org>
        C: RCPT TO:<bob@example.org>
        C: DATA
        S: 250 2.1.0
        S: 250 2.1.5
        S: 550 5.1.1
        S: 250 2.1.5
        S: 354
        C: first
        C: .
        C: MAIL FROM:<b@example.net>
        C: RCPT TO:<ann@example.org>
        C: DATA
        C: second
        C: .
        C: QUIT
        S: 250 2.0.0
        S: 250 2.1.0
        S: 250 2.1.5
        S: 354
        S: 250 2.0.0
        S: 221 2.0.0
        S: -
    """,
    "an HTTP request ends it": """
        C: GET / HTTP/1.1
        C: Host: mx.example.org
        C: MAIL FROM:<a@example.net>
        S: 421 4.7.0
        S: -
    """,
    "the header of something ends it": """
        C: Host: mx.example.org
        S: 421 4.7.0
        S: -
    """,
    "a bare line feed ends it": """
        C: MAIL FROM:<a@example.net><LF>RCPT TO:<ann@example.org>
        S: 500 5.5.2
        S: -
    """,
    "too many errors end it": "\n".join(["C: XYZZY\nS: 500 5.5.1"] * 20) + "\nS: 421 4.7.0\nS: -",
}


@pytest.mark.parametrize("name", DIALOGS)
async def test_dialog(name: str, house: House) -> None:
    async with house.door() as door, await Client.connect(door, hello=False) as client:
        await play(client, GREETED)
        await play(client, DIALOGS[name])
    assert not house.told("bug")


async def test_nothing_works_before_a_greeting(house: House) -> None:
    async with house.door() as door, await Client.connect(door, hello=False) as client:
        await play(
            client,
            """
            S: 220
            C: MAIL FROM:<a@example.net>
            S: 503 5.5.1
            C: AUTH PLAIN
            S: 503 5.5.1
            C: EHLO
            S: 501 5.5.4
            C: HELO
            S: 501 5.5.4
            C: NOOP
            S: 250
            C: HELO client.example
            S: 250 mx.example.org
            C: AUTH PLAIN
            S: 503 5.5.1
            C: MAIL FROM:<a@example.net>
            S: 250 2.1.0
            """,
        )


async def test_errors_are_forgiven_by_a_message(house: House) -> None:
    async with house.door(error_limit=4) as door, await Client.connect(door) as client:
        for _ in range(3):
            for _ in range(3):
                assert (await client.say("XYZZY")).startswith("500")
            assert (await client.mail(b"x\r\n.\r\n")).startswith("250")


async def test_the_replies_to_a_group_in_one_segment_come_in_one_segment(house: House) -> None:
    async with house.door() as door:
        reader, writer = await asyncio.open_connection(door.host, door.port)
        await reader.readuntil(b"\r\n")
        writer.write(b"EHLO client.example\r\n")
        await reader.readuntil(b"250 ENHANCEDSTATUSCODES\r\n")
        writer.write(b"MAIL FROM:<a@example.net>\r\n" + b"RCPT TO:<ann@example.org>\r\n" * 30 + b"DATA\r\n")
        # What one read gets is what one write sent: nothing else is on the way.
        group = await reader.read(1 << 16)
        assert group.count(b"\r\n") == 32
        assert group.endswith(b"<CRLF>.<CRLF>\r\n")
        writer.close()
        await writer.wait_closed()


async def test_half_a_command_does_not_hold_back_the_replies_before_it(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await client.send(b"RSET\r\nRSET\r\nNOO")
        assert [await client.reply(), await client.reply()] == ["250 2.0.0 ok"] * 2
        await client.send(b"P\r")
        await client.send(b"\n")
        assert await client.reply() == "250 2.0.0 ok"


async def test_any_segmentation_gives_the_same_replies(house: House) -> None:
    said = b"".join(
        line + b"\r\n"
        for line in [
            *(b"EHLO a", b"XYZZY", b"MAIL FROM:<a@example.net>", b"RCPT TO:<ann@example.org>", b"DATA"),
            *(b"Subject: x", b"", b"..", b"...", b".", b"NOOP", b"RSET", b"QUIT"),
        ]
    )
    chance = random.Random(2920)
    heard = set()
    async with house.door() as door:
        for round_ in range(8):
            async with await Client.connect(door, hello=False) as client:
                at = 0
                while at < len(said):
                    size = len(said) if round_ == 0 else 1 if round_ == 1 else chance.randint(1, 20)
                    await client.send(said[at : at + size])
                    await asyncio.sleep(0)
                    at += size
                heard.add(b"".join((await client.rest()).split(b"queued as ")[::2]))
                assert len(heard) == 1
    assert await house.received("ann@example.org") == [b"Subject: x\r\n\r\n.\r\n..\r\n"] * 8


async def test_a_line_over_the_limit_is_refused_and_the_next_is_heard(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.say("NOOP " + "x" * 3000)).startswith("500 5.5.2 line too long")
        assert (await client.say("NOOP " + "x" * 300_000)).startswith("500 5.5.2 line too long")
        assert (await client.say("MAIL FROM:<a@example.net> " + "X" * 1900)).startswith("555 5.5.4")
        assert (await client.say("NOOP")).startswith("250")
        await client.send(b"x" * (3 << 20))
        assert (await client.reply()).startswith("500 5.5.2 line too long")
        assert await client.rest() == b""


async def test_a_client_that_says_nothing_is_told_and_left(house: House) -> None:
    async with house.door(timeout=0.05) as door, await Client.connect(door, hello=False) as client:
        assert (await client.reply()).startswith("220")
        assert (await client.reply()).startswith("421 4.4.2")
        assert await client.rest() == b""
    assert house.told("disconnected")[0]["reason"] == "too slow"


async def test_a_handshake_on_the_wrong_port_ends_it(house: House) -> None:
    async with house.door() as door, await Client.connect(door, hello=False) as client:
        assert (await client.reply()).startswith("220")
        await client.send(b"\x16\x03\x01\x02\x00\x01\x00")
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.rest() == b""
    assert house.told("refused")


async def test_hand_typed_lines_are_taken_where_bare_newlines_are(house: House) -> None:
    async with house.door(bare_newline="accept") as door, await Client.connect(door, hello=False) as client:
        await client.send(b"EHLO me\nNOOP\n")
        assert (await client.reply()).startswith("220")
        assert (await client.reply()).startswith("250")
        assert (await client.reply()) == "250 2.0.0 ok"


async def test_a_flood_of_commands_leaves_others_their_turn(house: House) -> None:
    turns = []

    async def other() -> None:
        while True:
            turns.append(len(house.events))
            await asyncio.sleep(0)

    async with house.door() as door, await Client.connect(door) as client:
        waiting = asyncio.create_task(other())
        flood = asyncio.create_task(client.send(b"RSET\r\n" * 20_000 + b"QUIT\r\n"))
        assert (await client.rest()).count(b"250 2.0.0 ok\r\n") == 20_000
        await flood
        waiting.cancel()
    # Each command is two lines in the trace.
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) < 300


async def test_both_families_of_addresses_are_served(house: House) -> None:
    for host in ("127.0.0.1", "::1"):
        try:
            async with house.door(host=host) as door, await Client.connect(door) as client:
                assert door.host == host
                assert (await client.mail(b"x\r\n.\r\n")).startswith("250")
        except OSError:
            if host == "127.0.0.1":
                raise
            pytest.skip("no IPv6 here")
    first, second = await house.kept("ann@example.org")
    assert b"Received: from client.example ([127.0.0.1])" in first
    assert b"Received: from client.example ([IPv6:::1])" in second


words = st.sampled_from(
    [b"EHLO a\r\n", b"HELO a\r\n", b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<ann@example.org>\r\n", b"DATA\r\n",
     b"\r\n.\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN YQ==\r\n", b"*\r\n", b"RSET\r\n", b"QUIT\r\n", b"STARTTLS\r\n",
     b"LHLO a\r\n", b"BDAT 0\r\n", b"BDAT 0 LAST\r\n", b"BDAT 9\r\n", b"BDAT 9 LAST\r\n", b"BDAT 99999\r\n", b"BDAT ",
     b"MAIL FROM:<a@example.net> BODY=BINARYMIME RET=FULL ENVID=x\r\n", b"RCPT TO:<ann@example.org> NOTIFY=NEVER\r\n",
     b"AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBjb3JyZWN0IGhvcnNl\r\n", b"MAIL FROM:<ann@example.org>\r\n",
     b"VRFY\r\n", b"\r\n", b"\n", b"\r", b".", b"<", b">", b"\0", b"\xff", b" ", b"SIZE=", b"x" * 5000]
)  # fmt: skip


@pytest.mark.parametrize("kind", ["mx", "submission", "lmtp"])
def test_garbage_gets_replies_and_nothing_else(kind: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        house = runner.run(stack.enter_async_context(housed(tmp_path)))
        door = runner.run(stack.enter_async_context(house.door(kind=kind)))

        async def heard(garbage: bytes) -> bytes:
            async with await Client.connect(door, hello=False) as client:
                await client.send(garbage)
                client.writer.write_eof()
                return await client.rest()

        @settings(deadline=None)
        @given(st.lists(words | st.binary(max_size=5), max_size=25).map(b"".join))
        def check(garbage: bytes) -> None:
            *lines, rest = runner.run(heard(garbage)).split(b"\r\n")
            assert rest == b""
            assert lines[0].startswith(b"220 ")
            for line in lines[1:]:
                text = line.decode("ascii")
                assert text[:4] in ("354 ", "334 ", "250-") or text[4:] in BARE or enhanced(text), text

        check()
        runner.run(stack.aclose())
        assert not house.told("bug")


BARE = ("mx.example.org", "ENHANCEDSTATUSCODES")
"""What stands in replies that have no enhanced code: HELO's, and the last line of EHLO's."""
