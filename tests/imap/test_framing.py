"""Bytes into frames: whole, byte by byte, in any pieces; and what is wrong never loses the stream."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap.framing import BEFORE_LOGIN, Continue, Frame, Framing, Limits, after_login
from mailsystem.mail.errors import MailError, SyntaxFault, TooLarge, TooMany, Unavailable

AFTER = after_login(1 << 20)
SMALL = Limits(line=100, command=120, memory=20, literal=50, nonsync=40, skip=1000, spooled=50, literals=3)


class Sunk:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sunk) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)


def read(pieces: Iterable[bytes], limits: Limits = AFTER) -> list[Frame | Continue]:
    """Everything that comes out of these pieces; a client that waits for `+` goes on at once."""
    framing = Framing(limits, Sunk)
    found: list[Frame | Continue] = []
    for piece in pieces:
        framing.feed(piece)
        while (item := framing.next()) is not None:
            found.append(item)
    return found


def plain(found: list[Frame | Continue]) -> list[object]:
    """Without the identity of errors and sinks."""
    return [
        "+"
        if isinstance(item, Continue)
        else (
            item.line,
            [(at, held.data if isinstance(held, Sunk) else held) for at, held in item.literals],
            None if item.fault is None else (type(item.fault), str(item.fault)),
            item.last,
        )
        for item in found
    ]


def same_in_any_pieces(data: bytes, limits: Limits = AFTER) -> list[Frame | Continue]:
    whole = read([data], limits)
    assert plain(read([data[i : i + 1] for i in range(len(data))], limits)) == plain(whole)
    assert plain(read([data[i : i + 7] for i in range(0, len(data), 7)], limits)) == plain(whole)
    return whole


CASES = {
    "a line": (b"a NOOP\r\n", [(b"a NOOP", [])]),
    "a bare LF ends a line too": (b"a NOOP\nb NOOP\r\n", [(b"a NOOP", []), (b"b NOOP", [])]),
    "an empty line": (b"\r\na NOOP\r\n", [(b"", []), (b"a NOOP", [])]),
    "a literal": (b"a LOGIN {3}\r\nann x\r\n", ["+", (b"a LOGIN {3} x", [(8, b"ann")])]),
    "a literal that does not wait": (b"a LOGIN {3+}\r\nann x\r\n", [(b"a LOGIN {3+} x", [(8, b"ann")])]),
    "an empty literal": (b"a X {0}\r\n\r\n", ["+", (b"a X {0}", [(4, b"")])]),
    "an empty literal that does not wait": (b"a X {0+}\r\n y\r\n", [(b"a X {0+} y", [(4, b"")])]),
    "two literals": (
        b"a LOGIN {3+}\r\nann {2}\r\n\r\n\r\n",
        ["+", (b"a LOGIN {3+} {2}", [(8, b"ann"), (13, b"\r\n")])],
    ),
    "lines within a literal": (b"a X {8+}\r\nb NOOP\r\n\r\n", [(b"a X {8+}", [(4, b"b NOOP\r\n")])]),
    "a brace that is no literal": (b"a X {3\r\nb X 3}\r\nc X {3-}\r\n", [(b"a X {3", []), (b"b X 3}", []), (b"c X {3-}", [])]),
    "leading zeros": (b"a X {0003+}\r\nabc\r\n", [(b"a X {0003+}", [(4, b"abc")])]),
    "NUL and 8 bit are the grammar's matter": (b"a \0\xff\r\n", [(b"a \0\xff", [])]),
    "a CR within a line": (b"a X\rY\r\n", [(b"a X\rY", [])]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_frames_are_the_same_in_any_pieces(name: str) -> None:
    data, wanted = CASES[name]
    found = same_in_any_pieces(data)
    frames = [(item.line, list(item.literals)) if isinstance(item, Frame) else "+" for item in found]
    assert [f for f in frames if f != "+"] == [w for w in wanted if w != "+"]
    assert frames.count("+") == wanted.count("+")
    assert all(item.fault is None and not item.last for item in found if isinstance(item, Frame))


@pytest.mark.parametrize("name", CASES)
def test_octets_behind_a_frame_stay_for_the_next_one(name: str) -> None:
    data, _ = CASES[name]
    assert plain(read([data + b"z NO"])) == plain(read([data]))
    assert plain(read([data + b"z NO", b"OP\r\n"]))[-1] == (b"z NOOP", [], None, False)


def test_a_literal_that_waits_is_asked_for_once() -> None:
    framing = Framing(AFTER)
    framing.feed(b"a LOGIN {3}\r\n")
    assert framing.next() == Continue()
    assert framing.next() is None
    framing.feed(b"ann {1}\r\n")
    assert framing.next() == Continue()
    assert framing.next() is None
    framing.feed(b"x\r\n")
    assert framing.next() == Frame(b"a LOGIN {3} {1}", ((8, b"ann"), (12, b"x")))
    assert framing.pending == 0


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (b"a X {51}\r\n", SMALL),
        (b"a X {99999999999999999999999999}\r\n", SMALL),
        (b"a X {8193}\r\n", BEFORE_LOGIN),
        (b"a X {1048577}\r\n", AFTER),
        (b"a X {101}\r\n", after_login(100)),
    ],
)
def test_a_literal_too_large_is_refused_before_its_plus(data: bytes, limits: Limits) -> None:
    [frame] = same_in_any_pieces(data, limits)
    assert isinstance(frame, Frame)
    assert isinstance(frame.fault, TooLarge)
    assert not frame.last
    assert frame.line.startswith(b"a X ")
    assert frame.literals == ()


def test_the_command_after_a_refused_literal_is_understood() -> None:
    found = same_in_any_pieces(b"a X {51}\r\nb NOOP\r\n", SMALL)
    assert [item.line for item in found if isinstance(item, Frame)][-1] == b"b NOOP"


def test_a_literal_too_large_that_did_not_wait_is_passed_over() -> None:
    before, after = b"z X {0+}\r\n\r\n", b"b NOOP\r\n"
    found = same_in_any_pieces(before + b"a X {60+}\r\n" + b"q" * 60 + b" {5+}\r\nhello y\r\n" + after, SMALL)
    assert [type(item.fault) for item in found if isinstance(item, Frame)] == [type(None), TooLarge, type(None)]
    assert [item.line for item in found if isinstance(item, Frame)][-1] == b"b NOOP"
    assert "+" not in plain(found)


def test_a_refused_command_goes_no_further_than_its_next_waiting_literal() -> None:
    found = same_in_any_pieces(b"a X {60+}\r\n" + b"q" * 60 + b" {5}\r\nb NOOP\r\n", SMALL)
    assert [item.line for item in found if isinstance(item, Frame)][-1] == b"b NOOP"
    assert "+" not in plain(found)


@pytest.mark.parametrize("size", [b"1001", b"99999999999999999999999", b"9" * 200])
def test_an_absurd_literal_that_does_not_wait_ends_the_stream(size: bytes) -> None:
    limits = Limits(line=300, command=300, memory=20, literal=50, nonsync=40, skip=1000)
    [frame] = same_in_any_pieces(b"a X {" + size + b"+}\r\nb NOOP\r\nc NOOP\r\n", limits)
    assert isinstance(frame, Frame)
    assert frame.last
    assert isinstance(frame.fault, TooLarge)


def test_large_literals_go_into_a_sink_and_never_into_memory() -> None:
    framing = Framing(SMALL, Sunk)
    framing.feed(b"a APPEND x {40+}\r\n" + b"m" * 30)
    assert framing.next() is None
    assert framing.pending == 0
    framing.feed(b"m" * 10)
    assert framing.next() is None
    framing.feed(b"\r\n")
    frame = framing.next()
    assert isinstance(frame, Frame)
    [(at, sink)] = frame.literals
    assert isinstance(sink, Sunk)
    assert (at, sink.data) == (11, b"m" * 40)


def test_literals_go_into_sinks_once_the_memory_of_a_command_is_full() -> None:
    said = b"a APPEND x " + b"x" * 39 + (b"{20+}\r\n" + b"." * 20) * 3 + b"\r\n"
    [frame] = same_in_any_pieces(said, SMALL)
    assert isinstance(frame, Frame)
    assert [type(held) for _, held in frame.literals] == [bytes, bytes, Sunk]
    without = Framing(SMALL)
    without.feed(said)
    refused = without.next()
    assert isinstance(refused, Frame)
    assert isinstance(refused.fault, TooLarge)


def test_without_a_sink_no_large_literal_is_taken() -> None:
    framing = Framing(SMALL)
    framing.feed(b"a X {21}\r\n")
    frame = framing.next()
    assert isinstance(frame, Frame)
    assert isinstance(frame.fault, TooLarge)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"a " + b"x" * 99 + b"\r\n", SyntaxFault),
        (b"a " + b"x" * 500 + b"\r\n", SyntaxFault),
        (b"a " + b"x" * 80 + b"{1+}\r\n. " + b"y" * 40 + b"\r\n", SyntaxFault),
        (b"a " + b"x" * 500 + b"{5}\r\n", SyntaxFault),
        (b"a " + b"x" * 500 + b"{5+}\r\nb X\r\n\r\n", SyntaxFault),
        (b"a {1+}\r\n.{1+}\r\n.{1+}\r\n.{1+}\r\n.\r\n", TooMany),
        (b"a {0+}\r\n{60+}\r\n" + b"." * 60 + b"{1+}\r\n.\r\n", TooLarge),
        (b"a " + b"x" * 600 + b"{1+}\r\n. " + b"y" * 600 + b"\r\n", SyntaxFault),
        (b"a {40+}\r\n" + b"." * 40 + b"{40+}\r\n" + b"." * 40 + b"\r\n", TooLarge),
    ],
)  # fmt: skip
def test_too_much_in_one_command_is_one_fault_and_the_next_command_is_understood(
    data: bytes, fault: type[MailError]
) -> None:
    found = same_in_any_pieces(data + b"z NOOP\r\n", SMALL)
    frames = [item for item in found if isinstance(item, Frame)]
    assert [type(frame.fault) for frame in frames] == [fault, type(None)]
    assert frames[0].line[:2] == b"a "
    assert len(frames[0].line) <= 64
    assert frames[1].line == b"z NOOP"


def test_a_line_just_at_the_limit_is_taken() -> None:
    line = b"a " + b"x" * 98
    for end in (b"\n", b"\r\n"):
        [frame] = same_in_any_pieces(line + end, SMALL)
        assert frame == Frame(line)


def test_a_line_without_end_is_not_kept() -> None:
    framing = Framing(SMALL)
    for _ in range(9):
        framing.feed(b"x" * 100)
        assert framing.next() is None
        assert framing.pending <= 200
    framing.feed(b"x" * 200)
    frame = framing.next()
    assert isinstance(frame, Frame)
    assert frame.last
    framing.feed(b"\r\na NOOP\r\n")
    assert framing.next() is None
    assert framing.pending == 0


def test_bare_lines_are_read_without_looking_for_literals() -> None:
    framing = Framing(SMALL)
    framing.feed(b"abc{5}\r\nDO")
    assert framing.line() == b"abc{5}"
    assert framing.line() is None
    framing.feed(b"NE\r\na NOOP\r\n" + b"y" * 200 + b"\r\nz\r\n")
    assert framing.line() == b"DONE"
    assert framing.next() == Frame(b"a NOOP")
    with pytest.raises(SyntaxFault):
        framing.line()
    assert framing.line() == b"z"


def test_a_command_without_place_for_its_literal_is_thrown_away_and_says_so() -> None:
    framing = Framing(SMALL, Sunk)
    framing.feed(b"a APPEND x {40+}\r\n" + b"m" * 10)
    assert framing.next() is None
    framing.refuse(Unavailable())
    framing.feed(b"m" * 30 + b"\r\nb NOOP\r\n")
    frame = framing.next()
    assert isinstance(frame, Frame)
    assert isinstance(frame.fault, Unavailable)
    assert frame.line.startswith(b"a APPEND")
    assert framing.next() == Frame(b"b NOOP")


def test_limits_may_grow_between_commands() -> None:
    framing = Framing(SMALL, Sunk)
    framing.feed(b"a X\r\nb " + b"x" * 500 + b"\r\n")
    assert framing.next() == Frame(b"a X")
    framing.limits = AFTER
    assert framing.next() == Frame(b"b " + b"x" * 500)


shapes = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"\r\n", b"\n", b"\r", b"{3}", b"{3+}\r\n", b"{30+}\r\n", b"{60+}\r\n", b"{999999+}\r\n", b"{0}\r\n",
                     b"a NOOP\r\n", b"x" * 70, b"{21}\r\n", b"}", b"{"]),
)  # fmt: skip


@given(st.lists(shapes, max_size=30), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_garbage_gives_frames_and_the_same_ones_in_any_pieces(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    pieces, at = [], 0
    while at < len(data):
        step = cuts[len(pieces) % len(cuts)]
        pieces.append(data[at : at + step])
        at += step
    whole = read([data], SMALL)
    assert plain(read(pieces, SMALL)) == plain(whole)
    for item in whole:
        if isinstance(item, Frame):
            assert len(item.line) <= SMALL.line
            assert len(item.literals) <= SMALL.literals
            assert (item.fault is None) or not item.literals
