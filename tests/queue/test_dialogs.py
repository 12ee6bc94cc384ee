"""What is said to another server, command by command, and what comes of each answer that it can give."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from other_side import MAIL, Letter, Rig, outgoing, relaying, server

from mailsystem.mail.envelope import Notification
from mailsystem.mail.outgoing import Attempt, State
from mailsystem.queue.client import Timeouts
from mailsystem.store import Store

SHORT = Timeouts(
    connect=1, greeting=0.3, command=0.3, commands=0.6, data=0.3, block=0.3, end=0.3, quit=0.2, message=0.6
)
HELLO = "S: 220 mx.b.test ESMTP\nC: EHLO a.test\n"
PLAIN = f"{HELLO}S: 250 mx.b.test\n"
PIPELINING = f"{HELLO}S: 250-mx.b.test\nS: 250 PIPELINING\n"
CHUNKING = f"{HELLO}S: 250-mx.b.test\nS: 250-PIPELINING\nS: 250 CHUNKING\n"
BYE = "C: QUIT\nS: 221 bye\n"
BEGIN = "C: MAIL FROM:<ann@a.test>\nS: 250 ok\nC: RCPT TO:<bob@b.test>\nS: 250 ok\n"
STUFFED = MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"


async def told(
    store: Store, script: str, *addresses: str, rigged: list[Rig] | None = None, heard: Any = None, **options: Any
) -> list[Attempt]:
    """What came of one message, with a server that plays `script` and one relay that says goodbye."""
    timeouts = options.pop("timeouts", None)
    async with server(script) as peer, relaying(store, peer.port, timeouts=timeouts) as rig:
        attempts = await rig.send(*addresses, **options)
        await rig.relay.close()
        if rigged is not None:
            rigged.append(rig)
    if heard is not None:
        assert peer.heard == heard
    return attempts


def brief(attempts: list[Attempt]) -> list[tuple[State, str, str]]:
    return [(attempt.state, attempt.status, attempt.reply) for attempt in attempts]


# All is well


async def test_one_command_after_the_other_where_nothing_is_offered(store: Store) -> None:
    script = f"""
        {PLAIN}
        C: MAIL FROM:<ann@a.test>
        nothing
        S: 250 ok
        C: RCPT TO:<bob@b.test>
        nothing
        S: 250 ok
        C: DATA
        nothing
        S: 354 go on
        message
        nothing
        S: 250 taken
        {BYE}
    """
    rigs: list[Rig] = []
    attempts = await told(store, script, rigged=rigs, heard=[STUFFED])
    assert brief(attempts) == [(State.RELAYED, "2.0.0", "250 taken")]
    assert rigs[0].lines == [
        "S: 220 mx.b.test ESMTP",
        "C: EHLO a.test",
        "S: 250 mx.b.test",
        "C: MAIL FROM:<ann@a.test>",
        "S: 250 ok",
        "C: RCPT TO:<bob@b.test>",
        "S: 250 ok",
        "C: DATA",
        "S: 354 go on",
        f"C: [{len(STUFFED) - 3} octets]",
        "S: 250 taken",
        "C: QUIT",
        "S: 221 bye",
    ]


async def test_commands_go_together_where_they_may(store: Store) -> None:
    script = f"""
        {PIPELINING}
        C: MAIL FROM:<ann@a.test>
        C: RCPT TO:<bob@b.test>
        C: RCPT TO:<eve@b.test>
        C: DATA
        nothing
        S: 250 ok
        S: 250 ok
        S: 550 5.1.1 who?
        S: 354 go on
        message
        S: 250 taken
        {BYE}
    """
    attempts = await told(store, script, "bob@b.test", "eve@b.test", heard=[STUFFED])
    assert brief(attempts) == [(State.RELAYED, "2.0.0", "250 taken"), (State.FAILED, "5.1.1", "550 5.1.1 who?")]


async def test_everything_that_was_asked_for_is_passed_on_to_whom_knows_it(store: Store) -> None:
    script = f"""
        {HELLO}
        S: 250-mx.b.test
        S: 250-SIZE
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250 DSN
        C: MAIL FROM:<änn@a.test> SIZE={len(MAIL)} BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b
        S: 250 ok
        C: RCPT TO:<bob@b.test> NOTIFY=DELAY,FAILURE ORCPT=rfc822;bobby@b.test
        S: 250 ok
        C: DATA
        S: 354 go on
        message
        S: 250 2.6.0 taken
        {BYE}
    """
    asked = Notification(frozenset({"FAILURE", "DELAY"}), "rfc822;bobby@b.test")
    attempts = await told(
        store, script, asked=asked, sender="änn@a.test", body="8BITMIME", utf8=True, ret="HDRS", envid="a+20b"
    )
    assert brief(attempts) == [(State.SENT, "2.6.0", "250 2.6.0 taken")]


async def test_nothing_is_passed_on_to_whom_does_not_know_it(store: Store) -> None:
    script = f"{PLAIN}{BEGIN}C: DATA\nS: 354 go on\nmessage\nS: 250 taken\n{BYE}"
    asked = Notification(frozenset({"SUCCESS"}), "rfc822;bobby@b.test")
    attempts = await told(store, script, asked=asked, body="8BITMIME", utf8=True, ret="HDRS", envid="a")
    assert brief(attempts) == [(State.RELAYED, "2.0.0", "250 taken")]


async def test_an_original_recipient_who_is_not_ascii_is_named_in_ascii_where_that_is_all(store: Store) -> None:
    script = f"""
        {HELLO}
        S: 250-mx.b.test
        S: 250 DSN
        C: MAIL FROM:<ann@a.test>
        S: 250 ok
        C: RCPT TO:<bob@b.test> ORCPT=utf-8;b\\x{{F6}}b@b.test
        S: 550 no
        {BYE}
    """
    attempts = await told(store, script, asked=Notification(None, "utf-8;böb@b.test"))
    assert attempts[0].state is State.FAILED


async def test_a_server_from_before_extensions_is_said_helo(store: Store) -> None:
    script = f"""
        S: 220 mx.b.test
        C: EHLO a.test
        S: 500 what?
        C: HELO a.test
        S: 250 mx.b.test
        {BEGIN}
        C: DATA
        S: 354 go on
        message
        S: 250 taken
        {BYE}
    """
    attempts = await told(store, script, heard=[STUFFED])
    assert attempts[0].state is State.RELAYED


async def test_a_large_message_goes_in_chunks_two_at_a_time(store: Store) -> None:
    piece = b"x" * 998 + b"\r\n"
    letter = Letter(*[piece * 100] * 7)
    script = f"""
        {CHUNKING}
        C: MAIL FROM:<ann@a.test>
        C: RCPT TO:<bob@b.test>
        nothing
        S: 250 ok
        S: 250 ok
        C: BDAT 300000
        octets 300000
        C: BDAT 300000
        octets 300000
        nothing
        S: 250 ok
        S: 250 ok
        C: BDAT 100000 LAST
        octets 100000
        S: 250 taken
        {BYE}
    """
    attempts = await told(store, script, letter=letter)
    assert brief(attempts) == [(State.RELAYED, "2.0.0", "250 taken")]


async def test_chunks_wait_for_each_other_where_commands_must(store: Store) -> None:
    letter = Letter(*[b"x" * 998 + b"\r\n"] * 300)
    script = f"""
        {HELLO}
        S: 250-mx.b.test
        S: 250 CHUNKING
        {BEGIN}
        C: BDAT 263000
        octets 263000
        nothing
        S: 250 ok
        C: BDAT 37000 LAST
        octets 37000
        S: 250 taken
        {BYE}
    """
    assert (await told(store, script, letter=letter))[0].state is State.RELAYED


async def test_a_binary_message_goes_in_chunks_as_it_is(store: Store) -> None:
    script = f"""
        {HELLO}
        S: 250-mx.b.test
        S: 250-BINARYMIME
        S: 250 CHUNKING
        C: MAIL FROM:<ann@a.test> BODY=BINARYMIME
        S: 250 ok
        C: RCPT TO:<bob@b.test>
        S: 250 ok
        C: BDAT 6 LAST
        octets 6
        S: 250 taken
        {BYE}
    """
    await told(store, script, letter=Letter(b"\0\r\n.\n\xff"), body="BINARYMIME", heard=[b"\0\r\n.\n\xff"])


async def test_who_is_one_too_many_goes_with_the_next_transaction(store: Store) -> None:
    script = f"""
        {PLAIN}
        C: MAIL FROM:<ann@a.test>
        S: 250 ok
        C: RCPT TO:<a@b.test>
        S: 250 ok
        C: RCPT TO:<b@b.test>
        S: 452 4.5.3 too many
        C: RCPT TO:<c@b.test>
        S: 552 too many
        C: DATA
        S: 354 go on
        message
        S: 250 first
        C: MAIL FROM:<ann@a.test>
        S: 250 ok
        C: RCPT TO:<b@b.test>
        S: 250 ok
        C: RCPT TO:<c@b.test>
        S: 250 ok
        C: DATA
        S: 354 go on
        message
        S: 250 second
        {BYE}
    """
    attempts = await told(store, script, "a@b.test", "b@b.test", "c@b.test")
    assert [attempt.reply for attempt in attempts] == ["250 first", "250 second", "250 second"]


async def test_no_more_recipients_are_named_than_are_wanted(store: Store) -> None:
    one = "C: MAIL FROM:<ann@a.test>\nS: 250 ok\nC: RCPT TO:<{}@b.test>\nS: 250 ok\nC: DATA\nS: 354 go\nmessage\nS: 250 {}\n"
    script = f"{HELLO}S: 250-mx.b.test\nS: 250 LIMITS RCPTMAX=1\n{one.format('a', 1)}{one.format('b', 2)}{BYE}"
    attempts = await told(store, script, "a@b.test", "b@b.test")
    assert [attempt.reply for attempt in attempts] == ["250 1", "250 2"]


async def test_no_more_messages_are_sent_in_a_session_than_are_wanted(store: Store) -> None:
    """RFC 9422 4: what is left goes over another session, at once."""
    one = "C: MAIL FROM:<ann@a.test>\nS: 250 ok\nC: RCPT TO:<{}@b.test>\nS: 250 ok\nC: DATA\nS: 354 go\nmessage\nS: 250 {}\n"
    offer = f"{HELLO}S: 250-mx.b.test\nS: 250 LIMITS RCPTMAX=1 MAILMAX=2\n"
    scripts = f"{offer}{one.format('a', 1)}{one.format('b', 2)}{BYE}", f"{offer}{one.format('c', 3)}{BYE}"
    async with server(*scripts) as peer, relaying(store, peer.port) as rig:
        attempts = await rig.send("a@b.test", "b@b.test", "c@b.test")
        await rig.relay.close()
    assert [attempt.reply for attempt in attempts] == ["250 1", "250 2", "250 3"]


# It refuses


MAIL_ = "C: MAIL…\n"
RCPT_ = "C: RCPT…\n"
DATA_ = "C: DATA\n"
BDAT_ = f"C: BDAT…\noctets {len(MAIL)}\n"
OK = "S: 250 ok\n"
GO = "S: 354 go on\n"
TOGETHER = f"{PIPELINING}{MAIL_}{RCPT_}{DATA_}"
CHUNKED = f"{CHUNKING}{MAIL_}{RCPT_}"


@pytest.mark.parametrize(
    ("script", "reply", "state"),
    [
        ("", "554 5.7.1 go away", State.FAILED),
        ("", "521 no mail here", State.FAILED),
        ("", "421 busy", State.WAITING),
        ("", "450 later", State.WAITING),
        (HELLO, "421 busy", State.WAITING),
        (HELLO, "451 hm", State.WAITING),
        (f"{HELLO}S: 550 no\nC: HELO a.test\n", "550 never", State.FAILED),
        (f"{PLAIN}{MAIL_}", "421 bye", State.WAITING),
        (f"{PLAIN}{MAIL_}{OK}{RCPT_}", "421 bye", State.WAITING),
        (f"{PLAIN}{BEGIN}{DATA_}", "421 bye", State.WAITING),
        (f"{PLAIN}{BEGIN}{DATA_}{GO}message\n", "421 4.3.2 bye", State.WAITING),
        (TOGETHER, "421 bye", State.WAITING),
        (CHUNKED, "421 bye", State.WAITING),
        (f"{CHUNKED}{OK}{OK}{BDAT_}", "421 bye", State.WAITING),
    ],
)
async def test_last_words_are_told_as_they_were_said(store: Store, script: str, reply: str, state: State) -> None:
    [attempt] = await told(store, f"{script}S: {reply}\ndrop")
    assert (attempt.state, attempt.reply, attempt.is_of_remote) == (state, reply, True)


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize(
    ("script", "state", "status", "reply"),
    [
        ("mail", State.FAILED, "5.1.8", "550 5.1.8 no"),
        ("mail", State.WAITING, "4.7.1", "451 4.7.1 greylisted"),
        ("rcpt", State.FAILED, "5.1.1", "550 5.1.1 no"),
        ("rcpt", State.WAITING, "4.0.0", "450 full"),
        ("rcpt", State.FAILED, "5.2.2", "552 5.2.2 full"),
        ("rcpt", State.WAITING, "4.5.3", "552 too many"),
        ("data", State.WAITING, "4.0.0", "451 hm"),
        ("data", State.FAILED, "5.0.0", "554 no"),
        ("message", State.FAILED, "5.6.0", "554 5.6.0 bad"),
        ("message", State.WAITING, "4.3.1", "452 4.3.1 full"),
        ("chunk", State.FAILED, "5.3.4", "552 5.3.4 large"),
        ("chunk", State.WAITING, "4.0.0", "451 hm"),
    ],
)
async def test_a_refusal_is_told_as_it_was_said_and_the_session_goes_on(
    store: Store, pipelining: bool, script: str, state: State, status: str, reply: str
) -> None:
    offered = f"{'PIPELINING' if pipelining else 'HELP'}\nS: 250 {'CHUNKING' if script == 'chunk' else 'VRFY'}"
    hello = f"{HELLO}S: 250-mx.b.test\nS: 250-{offered}\n"
    no, reset = f"S: {reply}\n", f"C: RSET\n{OK}"
    match script, pipelining:
        case "mail", False:
            said = MAIL_ + no
            reset = ""
        case "mail", True:
            said = f"{MAIL_}{RCPT_}{DATA_}{no}S: 503 no\nS: 503 no\n"
        case "rcpt", False:
            said = MAIL_ + OK + RCPT_ + no
        case "rcpt", True:
            said = f"{MAIL_}{RCPT_}{DATA_}{OK}{no}S: 503 no\n"
        case "data", False:
            said = MAIL_ + OK + RCPT_ + OK + DATA_ + no
        case "data", True:
            said = MAIL_ + RCPT_ + DATA_ + OK + OK + no
        case "message", False:
            said = f"{MAIL_}{OK}{RCPT_}{OK}{DATA_}{GO}message\n{no}"
        case "message", True:
            said = f"{MAIL_}{RCPT_}{DATA_}{OK}{OK}{GO}message\n{no}"
        case "chunk", False:
            said = MAIL_ + OK + RCPT_ + OK + BDAT_ + no
        case _:
            said = MAIL_ + RCPT_ + OK + OK + BDAT_ + no
    refused = said.replace(no, "S: 550 enough\n")
    async with server(hello + said + reset + refused + BYE) as peer, relaying(store, peer.port) as rig:
        [attempt] = await rig.send()
        assert (attempt.state, attempt.status, attempt.reply) == (state, status, reply)
        [attempt] = await rig.send()
        assert attempt.reply == "550 enough"
        await rig.relay.close()


async def test_where_data_is_taken_up_for_nobody_the_message_is_a_lone_dot(store: Store) -> None:
    for answers in ("S: 250 ok\nS: 550 who\n", "S: 550 no\nS: 503 no\n"):
        for last in ("S: 554 nobody\n", "S: 250 well\n"):  # RFC 2920 3.1
            [attempt] = await told(store, f"{TOGETHER}{answers}{GO}C: .\n{last}{BYE}")
            assert attempt.state is State.FAILED
            assert attempt.reply in {"550 who", "550 no"}


async def test_a_chunk_that_is_refused_is_the_last(store: Store) -> None:
    letter = Letter(*[b"x" * 998 + b"\r\n"] * 1000)
    script = f"""
        {CHUNKING}
        C: MAIL…
        C: RCPT…
        S: 250 ok
        S: 250 ok
        C: BDAT 263000
        octets 263000
        C: BDAT 263000
        octets 263000
        S: 552 5.3.4 large
        S: 503 no
        {BYE}
    """
    attempts = await told(store, script, letter=letter)
    assert brief(attempts) == [(State.FAILED, "5.3.4", "552 5.3.4 large")]


async def test_last_words_in_the_middle_of_the_message_count(store: Store) -> None:
    letter = Letter(*[b"x" * 998 + b"\r\n"] * 3000)
    script = f"{PLAIN}{BEGIN}C: DATA\nS: 354 go on\noctets 100000\nS: 552 5.3.4 too large for me\ndrop"
    attempts = await told(store, script, letter=letter)
    assert brief(attempts) == [(State.FAILED, "5.3.4", "552 5.3.4 too large for me")]


# It lacks what the message needs


@pytest.mark.parametrize(
    ("offered", "options", "status"),
    [
        ("SIZE 10", {}, "5.3.4"),
        ("HELP", {"letter": Letter(b"Subject: x\r\n\r\n\xc3\xbc\r\n"), "body": "8BITMIME"}, "5.6.3"),
        ("HELP", {"letter": Letter(b"Subject: x\r\n\r\n\xc3\xbc\r\n")}, "5.6.3"),
        ("CHUNKING", {"body": "BINARYMIME"}, "5.6.1"),
        ("8BITMIME", {"sender": "änn@a.test", "utf8": True}, "5.6.7"),
        ("8BITMIME", {"letter": Letter(b"Subject: \xc3\xbc\r\n\r\n"), "utf8": True}, "5.6.9"),
    ],
)
async def test_what_cannot_be_taken_is_not_sent(
    store: Store, offered: str, options: dict[str, Any], status: str
) -> None:
    script = f"{HELLO}S: 250-mx.b.test\nS: 250 {offered}\n{BYE}"
    [attempt] = await told(store, script, **options)
    assert (attempt.state, attempt.status) == (State.FAILED, status)
    assert "mx.b.test" in attempt.reply
    assert not attempt.is_of_remote


async def test_those_who_can_have_it_without_smtputf8_do(store: Store) -> None:
    script = f"{PLAIN}{BEGIN}C: DATA\nS: 354 go on\nmessage\nS: 250 taken\n{BYE}"
    attempts = await told(store, script, "böb@b.test", "bob@b.test", utf8=True)
    assert [(attempt.state, attempt.status) for attempt in attempts] == [
        (State.FAILED, "5.6.7"),
        (State.RELAYED, "2.0.0"),
    ]


# It misbehaves

LOST = "connection closed by mx.b.test"
LATE = "; it had the whole message, and may have taken it"
SILENT = "timeout: no answer from mx.b.test"
DATA = f"{PLAIN}{BEGIN}C: DATA\nS: 354 go on\nmessage\n"
CHUNK = f"{CHUNKING}C: MAIL…\nC: RCPT…\nS: 250 ok\nS: 250 ok\nC: BDAT…\noctets {len(MAIL)}\n"


@pytest.mark.parametrize(
    "end", ["drop", "reset", "hang", "S: hello", "raw 250-x\\r\\n25", "forever 250-x\\r\\n", "forever x"]
)
@pytest.mark.parametrize(
    "script",
    [
        "",
        HELLO,
        f"{PLAIN}C: MAIL…\n",
        f"{PLAIN}C: MAIL…\nS: 250 ok\nC: RCPT…\n",
        f"{PLAIN}{BEGIN}C: DATA\n",
        f"{PIPELINING}C: MAIL…\nC: RCPT…\nC: DATA\nS: 250 ok\n",
        DATA,
        CHUNK,
    ],
    ids=["greeting", "EHLO", "MAIL", "RCPT", "DATA", "pipelined", "message", "chunk"],
)
async def test_whatever_it_does_instead_of_answering_mail_waits(store: Store, script: str, end: str) -> None:
    async with server(f"{script}{end}\n", strict=False) as peer, relaying(store, peer.port, timeouts=SHORT) as rig:
        [attempt] = await rig.send()
    assert attempt.state is State.WAITING
    assert attempt.status in {"4.4.2", "4.5.0"}
    assert attempt.reply.startswith((LOST, SILENT, "bad answer from mx.b.test: "))
    assert attempt.reply.endswith(LATE) is (script in {DATA, CHUNK})
    assert (attempt.remote, attempt.ip, attempt.is_of_remote) == ("mx.b.test", "127.0.0.1", False)
    if end in {"drop", "hang"}:
        assert attempt.reply.startswith(LOST if end == "drop" else SILENT)


async def test_a_server_that_takes_no_octets_is_left(store: Store) -> None:
    letter = Letter(*[b"x" * 998 + b"\r\n"] * 20_000)
    script = f"{PLAIN}{BEGIN}C: DATA\nS: 354 go on\nhang"
    async with server(script, strict=False) as peer, relaying(store, peer.port, timeouts=SHORT) as rig:
        [attempt] = await rig.send(letter=letter)
    assert (attempt.state, attempt.status) == (State.WAITING, "4.4.2")
    assert attempt.reply.startswith("timeout: mx.b.test takes ")


async def test_a_server_that_answers_each_recipient_slowly_has_its_time_for_all_of_them(store: Store) -> None:
    rcpt = "C: RCPT…\nsleep 0.25\nS: 250 ok\n"
    script = f"{PLAIN}C: MAIL…\nS: 250 ok\n{rcpt * 50}"
    async with server(script, strict=False) as peer, relaying(store, peer.port, timeouts=SHORT) as rig:
        attempts = await rig.send(*(f"b{n}@b.test" for n in range(50)))
    assert {(attempt.state, attempt.reply) for attempt in attempts} == {(State.WAITING, SILENT)}


async def test_who_was_refused_before_the_end_stays_refused(store: Store) -> None:
    script = f"{PLAIN}C: MAIL…\nS: 250 ok\nC: RCPT…\nS: 550 5.1.1 no\nC: RCPT…\nS: 250 ok\nC: DATA\ndrop"
    attempts = await told(store, script, "eve@b.test", "bob@b.test")
    assert brief(attempts) == [(State.FAILED, "5.1.1", "550 5.1.1 no"), (State.WAITING, "4.4.2", LOST)]


async def test_an_answer_that_came_before_the_message_is_not_believed(store: Store) -> None:
    script = f"{PLAIN}{BEGIN}C: DATA\nraw 354 go on\\r\\n250 taken\\r\\n\n"
    async with server(script, strict=False) as peer, relaying(store, peer.port, timeouts=SHORT) as rig:
        [attempt] = await rig.send(letter=Letter(b"a\r\n", b"b\r\n"))
    assert (attempt.state, attempt.status) == (State.WAITING, "4.5.0")


async def test_a_positive_answer_to_data_that_is_none_is_not_believed(store: Store) -> None:
    script = f"{PLAIN}{BEGIN}C: DATA\nS: 250 ok\n"
    async with server(script, strict=False) as peer, relaying(store, peer.port, timeouts=SHORT) as rig:
        [attempt] = await rig.send()
    assert attempt.state is State.WAITING


async def test_who_calls_itself_by_our_name_is_ourselves(store: Store) -> None:
    for script in ("S: 220 A.test ESMTP\ndrop", "S: 220 mx\nC: EHLO a.test\nS: 250-a.test. hello\nS: 250 HELP\ndrop"):
        [attempt] = await told(store, script)
        assert (attempt.state, attempt.status) == (State.FAILED, "5.4.6")


# We fail ourselves


async def test_a_message_that_cannot_be_read_to_its_end_is_never_ended(store: Store) -> None:
    letter = Letter(b"Subject: half\r\n\r\n", fails=OSError("disk"))
    for script in (f"{PLAIN}{BEGIN}{DATA_}{GO}message\n", f"{CHUNKED}{OK}{OK}{BDAT_}"):
        async with server(script, strict=False) as peer, relaying(store, peer.port) as rig:
            with pytest.raises(OSError, match="disk"):
                await rig.send(letter=letter)
        assert not peer.heard


async def test_a_relay_that_is_cut_off_leaves_no_connection(store: Store) -> None:
    async with server(f"{PLAIN}C: MAIL…\nhang", strict=False) as peer, relaying(store, peer.port) as rig:
        task = asyncio.create_task(rig.send())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [event["reason"] for event in rig.told("disconnected")] == ["cut off"]


async def test_a_message_for_nobody_is_no_work(store: Store) -> None:
    async with relaying(store, 1) as rig:
        assert await rig.relay.send(outgoing(), [], Letter(), domain="b.test") == []
