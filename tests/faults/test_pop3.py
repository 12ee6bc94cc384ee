"""Faults at the POP3 door, as poplib and a raw client meet them."""

from __future__ import annotations

import base64
import poplib
import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from faulty import Rules
from program import Program
from wire import Pop3, Wire

MESSAGE = b"From: bob@example.net\r\nSubject: hello\r\n\r\n" + b"0123456789abcdef\r\n" * 100


@pytest.fixture
def ann(faulty_sink: Program, rules: Rules, address: str) -> str:
    """Somebody who has two messages."""
    with smtplib.SMTP(*faulty_sink.smtp, timeout=20) as smtp:
        for _ in range(2):
            smtp.sendmail("bob@example.net", [address], MESSAGE)
    return address


@contextmanager
def client(sink: Program, login: str = "") -> Iterator[poplib.POP3]:
    made = poplib.POP3(*sink.pop3, timeout=20)
    try:
        if login:
            made.user(login)
            made.pass_("any")
        yield made
    finally:
        made.close()


def test_the_greeting_says_no(faulty_sink: Program, rules: Rules) -> None:
    rules.add('pop3 CONNECT reply="-ERR [SYS/TEMP] come later" times=1', "pop3 CONNECT disconnect=before times=1")
    for said in (b"-ERR [SYS/TEMP] come later\r\n", b""):
        with Wire(faulty_sink.pop3) as raw:  # poplib leaves its socket open where the greeting is none
            assert raw.rest() == said
    with client(faulty_sink) as pop3:
        assert pop3.getwelcome().startswith(b"+OK")


def test_a_login_fails_so_often_for_one_person(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f'pop3 PASS login={ann} reply="[SYS/TEMP] later" times=1', f"pop3 AUTH login={ann} reply=no times=1")
    with client(faulty_sink) as pop3:
        pop3.user(ann)
        with pytest.raises(poplib.error_proto, match="later"):
            pop3.pass_("any")
        pop3.user("bob@example.org")
        assert pop3.pass_("any").startswith(b"+OK")
    with Pop3(faulty_sink.pop3) as raw:
        for expected in (b"-ERR no", b"+OK"):
            assert raw.say(b"AUTH LOGIN") == b"+ VXNlcm5hbWU6"
            assert raw.say(_base64(ann)).startswith(b"+ ")
            assert raw.say(_base64("any")).startswith(expected)


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def test_user_is_refused_by_name(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 USER login={ann.upper()} reply=nobody")
    with client(faulty_sink) as pop3:
        with pytest.raises(poplib.error_proto, match="nobody"):
            pop3.user(ann)
        pop3.user("bob@example.org")


@pytest.mark.parametrize("command", ["STAT", "LIST", "UIDL", "RETR 1", "TOP 1 1", "DELE 1", "NOOP", "RSET", "CAPA"])
def test_a_command_fails_once(faulty_sink: Program, rules: Rules, ann: str, command: str) -> None:
    rules.add(f'pop3 {command.split()[0]} login={ann} reply="[SYS/TEMP] out of order" times=1')
    with Pop3(faulty_sink.pop3, ann) as pop3:
        assert pop3.say(command.encode()) == b"-ERR [SYS/TEMP] out of order"
        assert pop3.say(command.encode()).startswith(b"+OK")


def test_nothing_is_deleted_by_a_quit_that_fails(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 QUIT login={ann} reply=failed times=1")
    with Pop3(faulty_sink.pop3, ann) as pop3:
        pop3.ok(b"DELE 1")
        assert pop3.say(b"QUIT") == b"-ERR failed"
        assert pop3.is_closed()
    with client(faulty_sink, ann) as again:
        assert again.stat()[0] == 2


def test_it_is_deleted_and_nobody_hears_of_it(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 QUIT login={ann} disconnect=before performed times=1")
    with Pop3(faulty_sink.pop3, ann) as pop3:
        pop3.ok(b"DELE 1")
        pop3.send(b"QUIT\r\n")
        assert pop3.is_closed()
    with client(faulty_sink, ann) as again:
        assert again.stat()[0] == 1


def test_a_message_is_cut_off(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 RETR login={ann} truncate=500 times=1")
    with Pop3(faulty_sink.pop3, ann) as pop3:
        pop3.ok(b"RETR 1")
        assert len(pop3.rest()) == 500
    with client(faulty_sink, ann) as again:
        assert b"\r\n".join(again.retr(1)[1]).endswith(b"0123456789abcdef")


def test_what_is_shorter_ends_the_connection_too(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 NOOP login={ann} truncate=500", f"pop3 STAT login={ann} truncate=2")
    with Pop3(faulty_sink.pop3, ann) as pop3:
        assert pop3.say(b"NOOP") == b"+OK"
        assert pop3.is_closed()
    with Pop3(faulty_sink.pop3, ann) as pop3:
        pop3.send(b"STAT\r\n")
        assert pop3.rest() == b"+O"


def test_a_message_comes_slowly_or_late(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 RETR login={ann} throttle=5000 delay=0.2 times=1")
    with client(faulty_sink, ann) as pop3:
        since = time.monotonic()
        slow = pop3.retr(1)[1]
        assert time.monotonic() - since > 0.5
        assert pop3.retr(1)[1] == slow


def test_the_connection_ends_before_or_behind_an_answer(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 LIST login={ann} disconnect=before times=1", f"pop3 LIST login={ann} disconnect=after times=1")
    with Pop3(faulty_sink.pop3, ann) as pop3:
        pop3.send(b"STAT\r\nLIST\r\n")
        assert pop3.line().startswith(b"+OK 2")
        assert pop3.is_closed()
    with Pop3(faulty_sink.pop3, ann) as pop3:
        assert pop3.many(b"LIST").count(b"\r\n") == 2
        assert pop3.is_closed()


def test_all_messages_have_other_names(faulty_sink: Program, rules: Rules, ann: str) -> None:
    with client(faulty_sink, ann) as pop3:
        names = pop3.uidl()[1]
    rules.add(f"pop3 UIDL login={ann} renamed times=2")
    with client(faulty_sink, ann) as pop3:
        others = pop3.uidl()[1]
        assert not set(names) & set(others)
        assert len(set(others)) == 2
        assert pop3.uidl(1).removeprefix(b"+OK ") == others[0]
        assert pop3.uidl()[1] == names


def test_no_message_is_refused_through_what_is_narrow(faulty_sink: Program, rules: Rules, ann: str) -> None:
    rules.add(f"pop3 RETR login={ann} throttle=100000")
    with Pop3(faulty_sink.pop3, ann) as pop3:
        assert pop3.say(b"RETR 7").startswith(b"-ERR")
        assert pop3.ok(b"RETR 1")
        assert pop3.up_to(b"\r\n.\r\n")
        assert pop3.ok(b"NOOP")
