"""Values into octets that cannot be misread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap import reply
from mailsystem.imap.framing import Frame, Framing, after_login
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.transcript import Transcript
from mailsystem.mail.mailbox import SYSTEM_FLAGS, Flag, flag_of
from mailsystem.telemetry import Event, Trace


def read(data: bytes) -> Arguments:
    framing = Framing(after_login(1 << 20))
    framing.feed(data.replace(b"}\r\n", b"+}\r\n", 1) if data.startswith(b"{") else data)
    framing.feed(b"\r\n")
    frame = framing.next()
    assert isinstance(frame, Frame)
    return Arguments(frame)


@given(st.binary(max_size=200).filter(lambda octets: b"\0" not in octets))
def test_a_string_comes_back_through_the_grammar(octets: bytes) -> None:
    args = read(reply.string(octets))
    assert args.string() == octets
    args.end()


@pytest.mark.parametrize(
    ("octets", "wire"),
    [
        (b"", b'""'),
        (b'a "b" \\', b'"a \\"b\\" \\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xc3\xbc", b"{2}\r\n\xc3\xbc"),
        (b"\t", b"{1}\r\n\t"),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_strings_are_quoted_where_they_can_be(octets: bytes, wire: bytes) -> None:
    assert reply.string(octets) == wire
    assert reply.nstring(octets) == wire


def test_nothing_is_nil() -> None:
    assert reply.nstring(None) == b"NIL"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
def test_a_mailbox_name_comes_back_through_the_grammar(name: str) -> None:
    args = read(reply.mailbox(name))
    assert args.astring().isascii()
    args.end()


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", b"INBOX"),
        ("a b", b'"a b"'),
        ("nil", b'"nil"'),
        ("ü", b"&APw-"),
        ("a*", b'"a*"'),
        ('"', b'"\\""'),
        ("a]", b'"a]"'),
    ],
)
def test_mailbox_names_are_atoms_where_they_can_be(name: str, wire: bytes) -> None:
    assert reply.mailbox(name) == wire


def test_flags_come_in_one_order() -> None:
    held = frozenset({Flag("$b"), *SYSTEM_FLAGS, Flag("a")})
    assert reply.flags(held, True) == b"(\\Answered \\Flagged \\Deleted \\Seen \\Draft \\Recent $b a)"
    assert reply.flags(frozenset()) == b"()"
    assert {flag_of(each) for each in reply.flags(held)[1:-1].decode().split()} == held


@given(st.integers(-62135596800 + 86400, 253402300799 - 86400))
def test_a_date_comes_back_through_the_grammar(seconds: int) -> None:
    assert read(reply.internaldate(seconds)).date_time() == seconds


def test_a_date_looks_as_the_rfc_says() -> None:
    assert reply.internaldate(837596665.9) == b'"17-Jul-1996 09:44:25 +0000"'
    assert reply.internaldate(0) == b'" 1-Jan-1970 00:00:00 +0000"'


def test_words_cannot_end_a_line() -> None:
    assert reply.text("a\r\nb OK ü\x00") == b"a?b OK ?"


@given(st.lists(st.integers(1, 60), max_size=10))
def test_the_transcript_shows_literals_by_size_only_in_whatever_pieces_they_are_sent(cuts: list[int]) -> None:
    events: list[Event] = []
    transcript = Transcript(Trace([events.append], lines=True))
    said = b"* 1 FETCH (BODY[] {12}\r\nsecret{3}\r\n. UID 7)\r\n* LIST () {4}\r\nse\r\n\r\na OK {done}\r\nb OK {5}x\r\n"
    at = 0
    for cut in [*cuts, len(said)]:
        transcript.say(said[at : at + cut])
        at += cut
    assert [event.data["text"] for event in events] == [
        "* 1 FETCH (BODY[] [12 octets] UID 7)",
        "* LIST () [4 octets]",
        "a OK {done}",
        "b OK {5}x",
    ]
