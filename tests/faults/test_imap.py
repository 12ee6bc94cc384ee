"""Faults at the IMAP door, as imaplib and a raw client meet them."""

from __future__ import annotations

import imaplib
import re
import smtplib
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from faulty import Rules
from program import Program
from wire import Imap, Wire

MESSAGE = b"From: bob@example.net\r\nSubject: hello\r\n\r\n" + b"0123456789abcdef\r\n" * 100


@pytest.fixture
def ann(faulty_sink: Program, rules: Rules, address: str) -> str:
    """Somebody who has a message."""
    with smtplib.SMTP(*faulty_sink.smtp, timeout=20) as smtp:
        smtp.sendmail("bob@example.net", [address], MESSAGE)
    return address


@contextmanager
def client(sink: Program, login: str = "") -> Iterator[imaplib.IMAP4]:
    made = imaplib.IMAP4(*sink.imap, timeout=20)
    try:
        if login:
            made.login(login, "any")
        yield made
    finally:
        made.shutdown()


def test_the_greeting_says_goodbye(faulty_sink: Program, rules: Rules) -> None:
    rules.add('imap CONNECT reply="BYE [UNAVAILABLE] come later" times=1', "imap CONNECT disconnect=before times=1")
    for said in (b"* BYE [UNAVAILABLE] come later\r\n", b""):
        with Wire(faulty_sink.imap) as raw:
            assert raw.rest() == said
    with client(faulty_sink) as imap:
        assert imap.noop()[0] == "OK"


def test_a_login_fails_so_often_for_one_person(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(
        f'imap LOGIN login={ann} reply="NO [UNAVAILABLE] later" times=1',
        f'imap AUTHENTICATE login={ann} reply="NO [AUTHENTICATIONFAILED] no" times=1',
    )
    with client(faulty_sink) as imap:
        with pytest.raises(imaplib.IMAP4.error, match="later"):
            imap.login(ann, "any")
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.authenticate("PLAIN", lambda _: f"\0{ann}\0any".encode())
        assert imap.login(ann, "any")[0] == "OK"
    rules.add(f"imap LOGIN login={ann} reply=NO")
    with client(faulty_sink, "bob@example.org") as other:
        assert other.noop()[0] == "OK"


COMMANDS = [
    "SELECT INBOX",
    "EXAMINE INBOX",
    'LIST "" *',
    "STATUS INBOX (MESSAGES)",
    "CREATE x",
    "NOOP",
    "CAPABILITY",
    "IDLE",
    "LOGOUT",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_fails_once(faulty_sink: Program, rules: Rules, ann: str, command: str) -> None:
    rules.add(f'imap {command.split()[0]} login={ann} reply="NO [SERVERBUG] out of order" times=1')
    with Imap(faulty_sink.imap, ann) as imap:
        answer = imap.say(command.encode())
        assert (answer.untagged, answer.status, answer.text) == ([], "NO", b"[SERVERBUG] out of order")
        assert imap.say(b"NOOP").status == "OK"


@pytest.mark.parametrize(
    "command",
    ["FETCH 1 FLAGS", "UID FETCH 1 FLAGS", "STORE 1 +FLAGS (\\Seen)", "SEARCH ALL", "COPY 1 INBOX", "EXPUNGE", "CLOSE"],
)
def test_a_command_of_a_mailbox_is_bad_once(faulty_sink: Program, rules: Rules, ann: str, command: str) -> None:
    verb = command.removeprefix("UID ").split()[0]
    rules.add(f'imap {verb} login={ann} reply="BAD what?" times=1')
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        answer = imap.say(command.encode())
        assert (answer.status, answer.text) == ("BAD", b"what?")
        imap.ok(command.encode())


def test_it_says_goodbye_in_the_midst(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f'imap SELECT login={ann} reply="BYE [UNAVAILABLE] off" times=1')
    with Imap(faulty_sink.imap, ann) as imap:
        imap.send(b"a SELECT INBOX\r\n")
        assert imap.rest() == b"* BYE [UNAVAILABLE] off\r\n"


def test_a_message_is_appended_and_refused_all_the_same(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(
        f"imap APPEND login={ann} reply=NO times=1",
        f"imap APPEND login={ann} reply=NO performed times=1",
        f"imap APPEND login={ann} disconnect=before performed times=1",
    )
    with client(faulty_sink, ann) as imap:
        assert imap.append("INBOX", "", "", MESSAGE)[0] == "NO"
        assert imap.select()[1] == [b"1"]
        assert imap.append("INBOX", "", "", MESSAGE)[0] == "NO"
        assert imap.select()[1] == [b"2"]
        with pytest.raises(imaplib.IMAP4.abort):
            imap.append("INBOX", "", "", MESSAGE)
    with client(faulty_sink, ann) as imap:
        assert imap.select()[1] == [b"3"]


def test_a_literal_is_cut_off(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"imap FETCH login={ann} truncate=500 times=1")
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        imap.send(b"a FETCH 1 BODY.PEEK[]\r\n")
        wire = imap.rest()
        announced = re.search(rb"\{(\d+)\}\r\n", wire)
        assert announced
        assert len(wire) - announced.end() == 500
        assert int(announced[1]) > 500
    with client(faulty_sink, ann) as again:
        again.select()
        assert again.fetch("1", "BODY.PEEK[]")[1][0][1].endswith(MESSAGE)  # type: ignore[index]


def test_what_has_no_literal_ends_the_connection_too(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"imap FETCH login={ann} truncate=5", f"imap NOOP login={ann} truncate=5")
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        imap.ok(b"FETCH 1 UID")
        assert imap.is_closed()
    with Imap(faulty_sink.imap, ann) as imap:
        imap.send(b"a NOOP\r\n")
        assert imap.rest() == b"a OK "


def test_an_answer_is_slow_and_late(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"imap FETCH login={ann} throttle=5000 delay=0.2 times=1")
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        since = time.monotonic()
        slow = imap.ok(b"FETCH 1 BODY.PEEK[]").literal()
        assert time.monotonic() - since > 0.5
        assert imap.ok(b"FETCH 1 BODY.PEEK[]").literal() == slow


def test_the_connection_ends_before_or_behind_an_answer(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"imap STORE login={ann} disconnect=before times=1", f"imap STORE login={ann} disconnect=after times=1")
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        imap.send(b"a NOOP\r\nb STORE 1 +FLAGS (\\Flagged)\r\n")
        assert imap.rest().startswith(b"a OK")
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        assert b"\\Flagged" not in imap.ok(b"FETCH 1 FLAGS").untagged[0]
        assert imap.ok(b"STORE 1 +FLAGS (\\Flagged)").untagged
        assert imap.is_closed()


def test_who_idles_is_cut_off(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"imap IDLE login={ann} disconnect=before delay=0.2 times=1")
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        imap.send(b"a IDLE\r\n")
        assert imap.line() == b"+ idling"
        assert imap.is_closed()
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"SELECT INBOX")
        imap.send(b"a IDLE\r\n")
        assert imap.line() == b"+ idling"
        imap.send(b"DONE\r\n")
        assert imap.line().startswith(b"a OK")


def test_a_compressed_answer_is_cut_off_too(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"imap NOOP login={ann} truncate=5")
    with Imap(faulty_sink.imap, ann) as imap:
        imap.ok(b"COMPRESS DEFLATE")
        deflate = zlib.compressobj(wbits=-15)
        imap.send(deflate.compress(b"a NOOP\r\n") + deflate.flush(zlib.Z_SYNC_FLUSH))
        assert zlib.decompressobj(wbits=-15).decompress(imap.rest()) == b"a OK "
