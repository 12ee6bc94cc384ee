"""The door as a whole: order, limits, garbage, bugs, the end, and what the trace is told."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import pytest
from imap_door import PASSWORD, Door, Opening

from mailsystem.imap.command import FEATURES, TABLE, Ok
from mailsystem.imap.dispatch import REPLIES
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session, State
from mailsystem.mail import errors
from mailsystem.mail.errors import MailError


def kinds() -> list[type[MailError]]:
    return [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, MailError)]


def test_every_expected_failure_has_a_reply() -> None:
    assert set(kinds()) - {MailError} <= set(REPLIES)


def test_every_command_of_the_rfcs_is_there() -> None:
    rfc3501 = (
        "CAPABILITY NOOP LOGOUT STARTTLS AUTHENTICATE LOGIN SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST"
        " LSUB STATUS APPEND CHECK CLOSE EXPUNGE SEARCH FETCH STORE COPY"
    )
    extensions = "IDLE MOVE UNSELECT NAMESPACE ID ENABLE SETACL DELETEACL GETACL LISTRIGHTS MYRIGHTS"
    assert set(TABLE) >= {*rfc3501.split(), *extensions.split()}
    by_uid = {"FETCH", "STORE", "SEARCH", "COPY", "MOVE", "REPLACE", "EXPUNGE", "SORT", "THREAD"}
    assert {name for name, entry in TABLE.items() if entry.uid} == by_uid
    assert {name for name, entry in TABLE.items() if entry.numbers} == {"FETCH", "STORE", "SEARCH", "SORT", "THREAD"}
    assert {name for name, entry in TABLE.items() if entry.target} == {"APPEND", "REPLACE", "COPY", "MOVE"}
    assert {name for name, entry in TABLE.items() if entry.secret} == {"LOGIN", "AUTHENTICATE", "SETMETADATA"}


async def test_capabilities_are_those_announced(door: Door) -> None:
    words = (word for entry in TABLE.values() for word in (entry.capability or "").split())
    announced = {*FEATURES, *words, f"APPENDLIMIT={1 << 30}"}
    assert announced >= {"IMAP4rev2", "IDLE", "UIDPLUS", "MOVE", "QRESYNC", "CHILDREN", "SPECIAL-USE"}
    client = await door.connect()
    greeting = (await client.line()).decode()
    before = greeting[greeting.index("[") + 1 : greeting.index("]")].split()
    assert before[:2] == ["CAPABILITY", "IMAP4rev1"]
    assert set(before[1:]) == announced | {"LITERAL-", "SASL-IR", "AUTH=SCRAM-SHA-256", "AUTH=PLAIN", "AUTH=LOGIN"}
    assert await client.ok("CAPABILITY") == [b"* " + " ".join(before).encode()]
    code = (await client.say(f'LOGIN ann "{PASSWORD}"')).code.split()
    assert set(code[1:]) == announced | {"LITERAL+"}
    assert await client.ok("CAPABILITY") == [b"* " + " ".join(code).encode()]


@pytest.mark.parametrize("name", sorted(TABLE))
async def test_a_command_in_the_wrong_state_is_refused(door: Door, name: str) -> None:
    client = await door.connect()
    await client.line()
    states = [State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED]
    ways = [f'LOGIN ann "{PASSWORD}"', "SELECT INBOX", "NOOP"]
    for state, way in zip(states, ways, strict=True):
        if state not in TABLE[name].states:
            for said in (name, f"{name.lower()} 1 x", f"UID {name} 1 x"):
                assert (await client.say(said)).status == "BAD"
        await client.ok(way)


@pytest.mark.parametrize("name", sorted(TABLE))
async def test_a_command_with_wrong_arguments_is_bad_and_changes_nothing(door: Door, name: str) -> None:
    client = await door.client(mailbox="INBOX")
    if State.SELECTED not in TABLE[name].states:
        return
    for arguments in (
        " ",
        " (",
        ' "',
        " \\",
        " 1 2 3 4 5 x",
        "  x",
        " {1+}\r\nx{1+}\r\ny x",
        " \xff",
    ):
        answer = await client.say(name.encode() + arguments.encode("latin-1"))
        assert answer.status in ("BAD", "NO"), arguments
        assert answer.untagged == []
    await client.ok("NOOP")


async def test_pipelined_commands_are_run_in_order_and_answered_together(door: Door) -> None:
    client = await door.client()
    script = (
        b"".join(b"p%d NOOP\r\n" % n for n in range(200)) + b"s SELECT INBOX\r\nf APPEND INBOX {1+}\r\nx\r\ng NOOP\r\n"
    )
    await client.send(script)
    assert [await client.line() for _ in range(200)] == [b"p%d OK NOOP completed" % n for n in range(200)]
    heard = await client.answer(b"f")
    assert heard.untagged[-2:] == [b"* 1 EXISTS", b"* 1 RECENT"]
    assert (await client.answer(b"g")).untagged == []


async def test_others_have_their_turns_between_long_commands_that_came_together(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsystem.imap.server._LONG", 0)  # every command is a long one
    client = await door.client(mailbox="INBOX")
    fetch, turns, asked = TABLE["FETCH"].handler, 0, list[int]()

    async def noted(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
        asked.append(turns)
        return await fetch(session, args, by_uid)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setitem(TABLE, "FETCH", replace(TABLE["FETCH"], handler=noted))
    waiting = asyncio.create_task(others())
    try:
        await client.send(b"a UID FETCH 1 UID\r\n" * 20 + b"b NOOP\r\n")
        while not (await client.line()).startswith(b"b "):
            pass
    finally:
        waiting.cancel()
    assert len(asked) == 20
    assert len(set(asked)) == 20


async def test_commands_come_in_any_pieces(door: Door) -> None:
    client = await door.client()
    for octet in b"a STATUS {5+}\r\nINBOX (MESSAGES)\r\n":
        await client.send(bytes([octet]))
        await asyncio.sleep(0.001)
    assert (await client.answer(b"a")).untagged == [b"* STATUS INBOX (MESSAGES 0)"]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"\r\n", b"* BAD "),
        (b"a\r\n", b"a BAD "),
        (b"a \r\n", b"a BAD "),
        (b"a FROB x\r\n", b"a BAD unknown command"),
        (b"a UID NOOP\r\n", b"a BAD unknown command"),
        (b"a UID UID FETCH 1 FLAGS\r\n", b"a BAD unknown command"),
        (b"a  NOOP\r\n", b"a BAD "),
        (b"a NOOP \r\n", b"a BAD "),
        (b" a NOOP\r\n", b"* BAD "),
        (b"+ NOOP\r\n", b"* BAD "),
        (b"a\0 NOOP\r\n", b"a BAD "),
        (b"\xff NOOP\r\n", b"* BAD "),
        (b"a NOOP\0\r\n", b"a BAD "),
        (b"a " + b"x" * 100_000 + b"\r\n", b"a BAD line too long"),
        (b"x" * 100_000 + b"\r\n", b"* BAD line too long"),
        (b"a STATUS {200000}\r\n", b"a BAD "),
        (b"a FETCH " + b"(" * 1000 + b"\r\n", b"a BAD "),
        (b"a SELECT {70000+}\r\n" + b"x" * 70_000 + b"\r\n", b"a NO [TOOBIG] "),
        (b"a STATUS INBOX" + b"{1+}\r\n." * 1001 + b"\r\n", b"a NO [LIMIT] "),
        (b"a STATUS INBOX " + b"{60000+}\r\n%b" % (b"." * 60_000) * 20 + b"\r\n", b"a BAD "),
    ],
    ids=lambda each: repr(each)[:40],
)
async def test_bad_input_is_told_and_the_conversation_goes_on(door: Door, said: bytes, answer: bytes) -> None:
    client = await door.client()
    if b"{200000}" in said:
        await client.send(said)
        assert (await client.line()).startswith(b"+ ")
        await client.send(b"x" * 200_000 + b"\r\n")
    else:
        await client.send(said)
    heard = await client.line()
    assert heard.startswith((answer, answer.replace(b"a BAD ", b"a NO [TOOBIG] ") if b"{200000}" in said else answer))
    await client.ok("NOOP")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"a LOGIN {8193}\r\n", b"a NO [TOOBIG] "),
        (b"a LOGIN {4097+}\r\n" + b"x" * 4097 + b" x\r\n", b"a NO [TOOBIG] "),
        (b"a LOGIN " + b"x" * 8200 + b"\r\n", b"a BAD line too long"),
        (b"a LOGIN " + b"{1+}\r\nx" * 17 + b"\r\n", b"a NO [LIMIT] "),
        (b"a LOGIN " + b"{4000+}\r\n%b" % (b"x" * 4000) * 5 + b"\r\n", b"a NO [TOOBIG] "),
    ],
    ids=lambda each: repr(each)[:40],
)
async def test_less_is_taken_from_strangers(door: Door, said: bytes, answer: bytes) -> None:
    client = await door.connect()
    await client.line()
    await client.send(said)
    assert (await client.line()).startswith(answer)
    await client.ok(f'LOGIN ann "{PASSWORD}"')


async def test_who_only_says_what_is_no_command_is_sent_away(door: Door) -> None:
    client = await door.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n" + b"User-Agent: y\r\n" * 30)
    heard = await client.rest()
    assert b"* BYE too many bad commands\r\n" in heard
    assert heard.count(b" BAD ") == 20


async def test_the_count_of_bad_commands_starts_anew_with_a_good_one(door: Door) -> None:
    client = await door.client()
    for _ in range(5):
        for _ in range(10):
            assert (await client.say("FROB")).status == "BAD"
        await client.ok("NOOP")


async def test_a_bug_of_ours_is_told_without_its_text_and_traced(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "of the house".upper()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError(secret)

    monkeypatch.setitem(TABLE, "CHECK", replace(TABLE["CHECK"], handler=broken))
    client = await door.client(mailbox="INBOX")
    answer = await client.say("CHECK")
    assert answer.tagged == b"NO [SERVERBUG] something went wrong here"
    [event] = door.named("bug")
    assert event.data["error"] == "ZeroDivisionError"
    assert "test_server.py" in event.data["traceback"]
    assert secret not in repr(event)
    door.events.remove(event)
    await client.ok("NOOP")


async def test_the_end_of_the_program_is_told_to_everybody(open_door: Opening) -> None:
    door = await open_door()
    idle, selected, stranger = (
        await door.client(mailbox="INBOX"),
        await door.client(mailbox="INBOX"),
        await door.connect(),
    )
    await idle.send(b"a IDLE\r\n")
    assert await idle.line() == b"+ idling"
    await stranger.line()
    await door.stop()
    for client in (idle, selected, stranger):
        assert await client.rest() == b"* BYE server is shutting down\r\n"
    assert [event.data["reason"] for event in door.named("disconnected")] == ["server is shutting down"] * 3


async def test_the_trace_tells_the_conversation_without_secrets_and_bodies(door: Door) -> None:
    client = await door.client()
    await client.send(b"x AUTHENTICATE PLAIN\r\n")
    await client.line()
    await client.send(b"y LOGIN ann {6}\r\n")
    assert (await client.line()).startswith(b"+ ")
    await client.send(b"hidden\r\n")
    await client.line()
    await client.send(b"hidden z\r\nz LOGINN ann hidden\r\n")
    await client.line()
    await client.line()
    await client.ok(b"APPEND INBOX {16+}\r\nSubject: hidden\n")
    await client.ok("SELECT INBOX")
    await client.ok("FETCH 1 (BODY[])")
    lines = door.lines()
    assert "hidden" not in repr(door.events)
    assert "C: t1 LOGIN [redacted]" in lines
    assert "C: x AUTHENTICATE [redacted]" in lines
    assert "C: y LOGIN [redacted]" in lines
    assert "C: t2 APPEND INBOX [16 octets]" in lines
    assert "S: * 1 FETCH (FLAGS (\\Seen \\Recent) BODY[] [16 octets])" in lines
    assert "S: t3 OK [READ-WRITE] entered" in lines
    names = [event.name for event in door.events if event.name not in ("line", "retrieved")]
    assert names == ["connected", "logged in", "refused", "refused", "refused", "refused", "appended", "selected"]


async def test_a_session_is_traced_from_its_beginning_to_its_end(door: Door) -> None:
    client = await door.client()
    await client.say("SELECT nowhere")
    await client.ok("LOGOUT")
    assert await client.rest() == b""
    await door.until("disconnected")
    events = [event for event in door.events if event.name != "line" and event.door == "imap"]
    assert [event.name for event in events] == ["connected", "logged in", "refused", "disconnected"]
    assert len({event.session for event in events}) == 1
    assert events[2].data["command"] == "SELECT"
    assert events[2].data["reason"] == "no such mailbox"
    assert events[3].data["reason"] == "logout"
    assert all(str(event.data["peer"]).startswith("127.0.0.1:") for event in events)


WORDS = (
    b'a LOGIN SELECT INBOX FETCH 1:* ( ) " {5+}\r\n hello UID STORE FLAGS IDLE DONE APPEND {100000+}\r\n *'
    b" SEARCH AUTHENTICATE PLAIN BODY[ ] <0.5> HEADER.FIELDS NOT OR EXPUNGE LIST % STATUS \\Seen & &- \xff \x00 {5}\r\n \r\n"
).split(b" ")


async def test_a_hundred_sessions_of_garbage_do_no_harm(door: Door) -> None:
    for _ in range(3):
        await door.put()

    async def babble(seed: int) -> None:
        chance = random.Random(seed)
        client = await (door.client(mailbox="INBOX") if seed % 2 else door.connect())
        data = b"".join(
            b"t%d %b\r\n" % (line, b" ".join(chance.choices(WORDS, k=chance.randint(1, 8)))) for line in range(30)
        )
        data += chance.randbytes(200)
        with suppress(ConnectionError):
            while data:
                cut = chance.randint(1, 200)
                await client.send(data[:cut])
                data = data[cut:]
            client.writer.write_eof()
            while await asyncio.wait_for(client.reader.read(65536), 10):
                pass
        await client.close()

    for start in range(0, 100, 20):
        await asyncio.gather(*(babble(seed) for seed in range(start, start + 20)))
    assert not door.named("bug")
    survivor = await door.client(mailbox="INBOX")
    await survivor.ok("NOOP")


async def test_a_client_that_takes_nothing_keeps_nobody_waiting_and_gets_all_in_the_end(door: Door) -> None:
    for _ in range(4):
        await door.put(b"x" * 1_000_000)
    client = await door.client(mailbox="INBOX")
    await client.send(b"".join(b"f%d FETCH 1:4 BODY.PEEK[]\r\n" % n for n in range(20)))
    await asyncio.sleep(0.3)
    # Eighty megabytes were asked for; the pipelined commands wait until the first answers are taken.
    other = await door.client(mailbox="INBOX")
    await other.ok("NOOP")
    for number in range(20):
        answer = await client.answer(b"f%d" % number)
        assert len(answer.untagged) == 4
