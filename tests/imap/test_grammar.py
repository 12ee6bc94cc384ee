"""Each rule of the grammar: what it takes, what it leaves, and what it refuses."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap.framing import Frame, Framing, after_login
from mailsystem.imap.grammar import DEEPEST, Arguments
from mailsystem.mail.errors import MailError, Rejected, SyntaxFault, TooLarge
from mailsystem.mail.mailbox import STAR, MessageSet

A = Arguments


def arguments(text: bytes) -> Arguments:
    """A cursor over a command with this text, literals included."""
    framing = Framing(after_login(1 << 20))
    framing.feed(text + b"\r\n")
    while not isinstance(frame := framing.next(), Frame):
        assert frame is not None
    assert frame.fault is None
    return Arguments(frame)


TAKEN: list[tuple[Callable[[Arguments], Any], bytes, Any]] = [
    (A.tag, b"a1", b"a1"),
    (A.tag, b"A]!", b"A]!"),
    (A.atom, b"Seen", "Seen"),
    (A.atom, b"a.b-c/d", "a.b-c/d"),
    (A.keyword, b"fetch", "FETCH"),
    (A.astring, b"foo]bar", b"foo]bar"),
    (A.astring, b'"a b"', b"a b"),
    (A.astring, b'""', b""),
    (A.astring, b'"a\\"b\\\\c"', b'a"b\\c'),
    (A.astring, b"{3+}\r\na\r\n", b"a\r\n"),
    (A.astring, b"{0+}\r\n", b""),
    (A.astring, b"{2+}\r\n\xff\x80", b"\xff\x80"),
    (A.astring, '"pä"'.encode(), "pä".encode()),
    (A.string, b'"{5}"', b"{5}"),
    (A.nstring, b"NIL", None),
    (A.nstring, b"nil", None),
    (A.nstring, b'"NIL"', b"NIL"),
    (A.number, b"0", 0),
    (A.number, b"4294967295", 4294967295),
    (A.nz_number, b"7", 7),
    (A.sequence_set, b"1:3,5", MessageSet(((1, 3), (5, 5)))),
    (A.sequence_set, b"*:4", MessageSet(((4, STAR),))),
    (A.mailbox, b"inbox", "INBOX"),
    (A.mailbox, b'"Entw&APw-rfe"', "Entwürfe"),
    (A.mailbox, b"{5+}\r\nA b/c", "A b/c"),
    (A.list_mailbox, b"a/%*]", "a/%*]"),
    (A.list_mailbox, b'""', ""),
    (A.list_mailbox, b'"inbox/*"', "INBOX/*"),
    (A.reference, b'""', ""),
    (A.flags, b"()", frozenset()),
    (A.flags, b"(\\seen $Forwarded)", frozenset({"\\Seen", "$Forwarded"})),
    (A.flags, b"\\Deleted \\FLAGGED", frozenset({"\\Deleted", "\\Flagged"})),
    (A.flag_list, b"(a b a)", frozenset({"a", "b"})),
    (A.date, b"1-Feb-1994", datetime.date(1994, 2, 1)),
    (A.date, b'"01-feb-1994"', datetime.date(1994, 2, 1)),
    (A.date, b"29-Feb-2000", datetime.date(2000, 2, 29)),
    (A.date_time, b'"17-Jul-1996 02:44:25 -0700"', 837596665.0),
    (A.date_time, b'" 1-Jan-1970 00:00:00 +0000"', 0.0),
    (A.date_time, b'" 1-Jan-1970 00:00:00 +0130"', -5400.0),
    (A.date_time, b'"31-Dec-1998 23:59:60 +0000"', 915148799.0),
    (A.base64, b"dGVzdA==", b"dGVzdA=="),
    (A.base64, b"=", b"="),
]

REFUSED: list[tuple[Callable[[Arguments], Any], bytes]] = [
    (A.tag, b""),
    (A.tag, b"+"),
    (A.tag, b"(a"),
    (A.atom, b""),
    (A.atom, b" a"),
    (A.atom, b'"a"'),
    (A.atom, b"\xfc"),
    (A.atom, b"\0"),
    (A.astring, b"(x)"),
    (A.astring, b'"a'),
    (A.astring, b'"a\\"'),
    (A.astring, b'"a\\b"'),
    (A.astring, b'"a\rb"'),
    (A.astring, b'"a\0b"'),
    (A.astring, b'"\xff"'),
    (A.astring, b'"' + b"a" * 50000),
    (A.astring, b'"' + b'\\"' * 20000),
    (A.astring, b"{3}x"),
    (A.astring, b"{1+}\r\n\0"),
    (A.string, b"atom"),
    (A.nstring, b""),
    (A.nstring, b"atom"),
    (A.number, b""),
    (A.number, b"-1"),
    (A.number, b"4294967296"),
    (A.number, b"9" * 60000),
    (A.nz_number, b"0"),
    (A.sequence_set, b""),
    (A.sequence_set, b"0"),
    (A.sequence_set, b"1:"),
    (A.sequence_set, b"1:2:3"),
    (A.sequence_set, b",1"),
    (A.sequence_set, b"4294967296"),
    (A.sequence_set, b",".join([b"1"] * 10001)),
    (A.mailbox, b"("),
    (A.flags, b"("),
    (A.flags, b"(\\Seen"),
    (A.flags, b"( \\Seen)"),
    (A.flags, b"(\\Seen )"),
    (A.flags, b"\\Recent"),
    (A.flags, b"\\Unheard"),
    (A.flags, b"a]"),
    (A.flags, b"(" + b" ".join(b"k%d" % n for n in range(102)) + b")"),
    (A.date, b"31-Feb-1994"),
    (A.date, b"1-Foo-1994"),
    (A.date, b"1-Feb-94"),
    (A.date, b'"1-Feb-1994'),
    (A.date, b"1-Feb-0000"),
    (A.date_time, b'"1-Jan-1970 00:00:00 +0000"'),
    (A.date_time, b'"01-Jan-1970 24:00:00 +0000"'),
    (A.date_time, b'"01-Jan-1970 00:00:00 +2400"'),
    (A.date_time, b'"01-Jan-1970 00:00:00"'),
    (A.base64, b""),
    (A.base64, b"*"),
]


def spelt(each: object) -> str:
    """The same in every worker: neither addresses nor the order of sets."""
    return "" if isinstance(each, frozenset) else getattr(each, "__name__", repr(each)[:50])


@pytest.mark.parametrize(("rule", "text", "value"), TAKEN, ids=spelt)
def test_a_rule_takes_what_is_its_own_and_leaves_the_rest(
    rule: Callable[[Arguments], Any], text: bytes, value: Any
) -> None:
    args = arguments(text)
    assert rule(args) == value
    assert args.at_end()
    args.end()
    if not text.startswith(b"\\"):  # a bare list of flags takes what follows
        for behind in (b" x", b")"):
            args = arguments(text + behind)
            assert rule(args) == value
            with pytest.raises(SyntaxFault):
                args.end()
            args.expect(behind)
            args.end()


@pytest.mark.parametrize(("rule", "text"), REFUSED, ids=spelt)
def test_a_rule_refuses_what_is_not_its_own(rule: Callable[[Arguments], Any], text: bytes) -> None:
    with pytest.raises((SyntaxFault, Rejected)):
        args = arguments(text)
        rule(args)
        args.end()


def test_literals_are_taken_where_they_stand() -> None:
    args = arguments(b"LOGIN {3+}\r\nann {2+}\r\n{1 x")
    assert args.keyword() == "LOGIN"
    args.sp()
    assert args.astring() == b"ann"
    args.sp()
    assert args.astring() == b"{1"
    args.sp()
    assert args.atom() == "x"
    args.end()


def test_a_literal_that_is_stepped_over_is_not_taken_for_a_later_one() -> None:
    args = arguments(b'"x{3+}\r\nabc" {1+}\r\nz')
    with pytest.raises(SyntaxFault):
        args.astring(), args.sp(), args.astring()


def test_a_large_literal_is_no_string() -> None:
    class Sunk:
        def write(self, data: object) -> None: ...

    args = Arguments(Frame(b"{70000}", ((0, Sunk()),)))
    with pytest.raises(TooLarge):
        args.astring()
    args = Arguments(Frame(b"{70000}", ((0, Sunk()),)))
    assert isinstance(args.literal(), Sunk)


def test_words_are_accepted_in_any_case_and_only_whole_if_asked() -> None:
    args = arguments(b"+FlAgS.sIlEnT x")
    assert not args.accept(b"-")
    assert args.accept(b"+")
    args.expect(b"FLAGS")
    assert args.accept(b".silent")
    assert args.peek() == b" "
    args.sp()
    args.atom()
    assert args.peek() == b""
    with pytest.raises(SyntaxFault):
        args.sp()


def test_parentheses_are_only_so_deep() -> None:
    args = arguments(b"(" * 200)
    for _ in range(DEEPEST):
        args.enter()
    with pytest.raises(SyntaxFault):
        args.enter()


OCTETS = [b"a", b'"', b"\\", b"(", b")", b"{1+}\r\n", b" ", b"1", b":", b"*", b"-", b"&", b"\xc3", b"\0", b"+"]
RULES = [A.tag, A.atom, A.keyword, A.astring, A.string, A.nstring, A.literal, A.number, A.nz_number, A.sequence_set,
         A.mailbox, A.list_mailbox, A.reference, A.flags, A.flag_list, A.date, A.date_time, A.base64, A.sp, A.end, A.enter,
         A.leave]  # fmt: skip


@given(
    st.lists(st.sampled_from(OCTETS)).map(b"".join),
    st.lists(st.sampled_from(RULES), max_size=8),
)  # fmt: skip
def test_garbage_gives_a_mail_error_and_nothing_else(text: bytes, rules: list[Callable[[Arguments], Any]]) -> None:
    framing = Framing(after_login(1 << 20))
    framing.feed(text + b"\r\n")
    frame = framing.next()
    if not isinstance(frame, Frame):
        return
    args = Arguments(frame)
    try:
        for rule in rules:
            rule(args)
    except MailError:
        pass
