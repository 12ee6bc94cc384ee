"""Replies: well formed, enhanced, and one for every failure there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_door import enhanced

from mailsystem.mail import errors
from mailsystem.mail.errors import MailError
from mailsystem.smtp import replies
from mailsystem.smtp.replies import Refusal, Reply, reply_to

FAILURES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MailError)]
FIXED = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}


@pytest.mark.parametrize("kind", [kind for kind in FAILURES if kind is not MailError])
@pytest.mark.parametrize("verb", [b"", b"MAIL", b"RCPT", b"DATA", b"AUTH", b"EHLO"])
def test_every_failure_has_a_reply_at_every_command(kind: type[MailError], verb: bytes) -> None:
    reply = reply_to(kind("the reason"), verb)
    assert enhanced(bytes(reply).decode())
    assert reply.text == "the reason"
    assert kind in replies.REPLIES


def test_a_reply_is_put_into_octets_once() -> None:
    assert bytes(replies.OK) is bytes(replies.OK) is replies.OK.line
    assert bytes(replies.OK.saying("fine")) == b"250 2.0.0 fine"
    assert replies.OK.saying("ok") == replies.OK


def test_a_failure_of_a_kind_that_came_later_is_told_like_what_it_is_one_of() -> None:
    class Later(errors.OverQuota):
        pass

    assert reply_to(Later()).code == 452
    assert reply_to(MailError("whatever")).code == 451


@pytest.mark.parametrize("verb", [b"MAIL", b"DATA", b"AUTH"])
def test_a_bug_is_temporary_and_tells_nothing(verb: bytes) -> None:
    reply = bytes(reply_to(RuntimeError("db password=hunter2"), verb))
    assert reply[:5] in (b"451 4", b"454 4")
    assert b"hunter2" not in reply
    assert b"RuntimeError" not in reply


@pytest.mark.parametrize("name", [name for name in FIXED if name not in ("GO_AHEAD",)])
def test_every_fixed_reply_has_its_enhanced_code(name: str) -> None:
    assert enhanced(bytes(FIXED[name]).decode())


def test_a_refusal_is_its_own_reply() -> None:
    assert reply_to(Refusal(replies.LOOPING)) is replies.LOOPING


@given(st.text())
def test_no_text_makes_a_reply_more_than_one_ascii_line(text: str) -> None:
    line = bytes(Reply(550, "5.7.1", text))
    assert line.startswith(b"550 5.7.1 ")
    assert line.isascii()
    assert not any(octet < 32 or octet == 127 for octet in line)
