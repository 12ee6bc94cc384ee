"""Lines, words and numbers; stuffing and its undoing; where TOP cuts. No loop, no socket."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsystem.mail.errors import MailError, SyntaxFault
from mailsystem.net.lines import Lines
from mailsystem.pop3.grammar import AUTH_LIMIT, COMMAND_LIMIT, Arguments, Stuffing, Top, keyword

FAULT = None


def heard(pieces: list[bytes]) -> list[bytes | None]:
    """What `Lines` makes of the pieces; FAULT for a line that it refuses."""
    lines = Lines(COMMAND_LIMIT, longer=(b"AUTH ", AUTH_LIMIT))
    found: list[bytes | None] = []
    for piece in pieces:
        lines.feed(piece)
        while True:
            try:
                line = lines.next()
            except SyntaxFault:
                found.append(FAULT)
                continue
            if line is None:
                break
            found.append(line)
        assert lines.pending < AUTH_LIMIT
    return found


@pytest.mark.parametrize(
    ("octets", "lines"),
    [
        (b"", []),
        (b"NOOP", []),
        (b"NOOP\r\n", [b"NOOP"]),
        (b"NOOP\n", [b"NOOP"]),
        (b"\r\n\n", [b"", b""]),
        (b"a\rb\r\n", [b"a\rb"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"PASS \0\xff\r\nQUIT\r\n", [b"PASS \0\xff", b"QUIT"]),
        (b"x" * (COMMAND_LIMIT - 2) + b"\r\nQUIT\r\n", [b"x" * (COMMAND_LIMIT - 2), b"QUIT"]),
        (b"x" * (COMMAND_LIMIT - 1) + b"\r\nQUIT\r\n", [FAULT, b"QUIT"]),
        (b"x" * 100_000 + b"\r\nQUIT\r\n", [FAULT, b"QUIT"]),
        (b"x" * 100_000 + b"\n" + b"y" * 5000 + b"\r\nQUIT\r\n", [FAULT, FAULT, b"QUIT"]),
        (b"auth plain " + b"x" * 12_000 + b"\r\nQUIT\r\n", [b"auth plain " + b"x" * 12_000, b"QUIT"]),
        (b"AUTH PLAIN " + b"x" * 13_000 + b"\r\nQUIT\r\n", [FAULT, b"QUIT"]),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_lines_are_the_same_however_they_are_cut(octets: bytes, lines: list[bytes | None]) -> None:
    assert heard([octets]) == lines
    assert heard([octets[i : i + 1] for i in range(len(octets))]) == lines
    assert heard([octets[i : i + 7] for i in range(0, len(octets), 7)]) == lines
    assert heard([octets + b"\r\nNEXT"])[: len(lines)] == lines


@given(st.lists(st.one_of(st.binary(max_size=30), st.just(b"\r\n"), st.just(b"x" * 3000)), max_size=12))
def test_any_chunking_gives_the_same_lines(pieces: list[bytes]) -> None:
    assert heard(pieces) == heard([b"".join(pieces)])


def test_a_line_without_end_is_refused_once_and_takes_no_memory() -> None:
    lines = Lines(COMMAND_LIMIT, longer=(b"AUTH ", AUTH_LIMIT))
    faults = 0
    for _ in range(1000):
        lines.feed(b"x" * 10_000)
        try:
            assert lines.next() is None
        except SyntaxFault:
            faults += 1
        assert lines.pending == 0
    assert faults == 1


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        (b"STAT", "STAT", b""),
        (b"stat", "STAT", b""),
        (b"List 1", "LIST", b"1"),
        (b"PASS  two spaces ", "PASS", b" two spaces "),
        (b"USER j\xc3\xb6rg", "USER", b"j\xc3\xb6rg"),
    ],
)
def test_a_keyword_is_read_in_any_case(line: bytes, name: str, rest: bytes) -> None:
    word, args = keyword(line)
    assert (word, args.rest()) == (name, rest)


@pytest.mark.parametrize(
    "line", [b"", b" ", b" STAT", b"\tSTAT", b"ST\0AT", b"STAT\r", b"\xc3\x96", b"1", b"X" * 17, b"STAT\t1"]
)
def test_what_is_no_keyword_is_a_syntax_fault(line: bytes) -> None:
    with pytest.raises(SyntaxFault):
        keyword(line)


@pytest.mark.parametrize(
    ("text", "number"), [(b"1", 1), (b"007", 7), (b" 12 ", 12), (b"0", 0), (b"9999999999", 9999999999)]
)
def test_numbers_are_digits(text: bytes, number: int) -> None:
    args = Arguments(text)
    assert args.number() == number
    args.end()


@pytest.mark.parametrize(
    "text", [b"", b"  ", b"-1", b"+1", b"1.0", b"0x1", b"1a", b"a1", b"1_0", b"\xd9\xa1", b"1" * 11]
)
def test_what_is_no_number_is_a_syntax_fault(text: bytes) -> None:
    with pytest.raises(SyntaxFault):
        Arguments(text).number()


def test_more_than_was_asked_for_is_a_syntax_fault() -> None:
    args = Arguments(b"1 2")
    args.number()
    with pytest.raises(SyntaxFault):
        args.end()


@given(st.binary(max_size=300))
def test_any_line_gives_words_or_a_mail_error(line: bytes) -> None:
    try:
        _, args = keyword(line)
        args.number()
        args.word()
        args.end()
    except MailError:
        pass


# Stuffing

OCTETS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"x", b"..", b"\r\n.", b"\n.\r\n"]), max_size=25).map(
        b"".join
    ),
)


def stuffed(message: bytes, step: int | None = None) -> bytes:
    stuffing = Stuffing()
    pieces = [message] if step is None else [message[i : i + step] for i in range(0, len(message), step)]
    return b"".join(stuffing.feed(piece) for piece in pieces) + stuffing.close()


def read_by_crlf(wire: bytes) -> tuple[bytes, bytes]:
    """A client to which only CRLF ends a line: the message, and what it takes for the next answer."""
    lines: list[bytes] = []
    rest = wire
    while True:
        line, end, rest = rest.partition(b"\r\n")
        assert end, "it would wait for ever"
        if line == b".":
            return b"".join(line + b"\r\n" for line in lines), rest
        lines.append(line[1:] if line[:1] == b"." else line)


def read_by_lf(wire: bytes) -> tuple[bytes, bytes]:
    """A client that splits at LF, as most do."""
    message, rest = b"", wire
    while True:
        line, end, rest = rest.partition(b"\n")
        assert end, "it would wait for ever"
        if line.rstrip(b"\r") == b".":
            return message, rest
        message += (line[1:] if line[:1] == b"." else line) + b"\n"


def complete(message: bytes) -> bytes:
    """With the last CRLF that a multi-line response must have."""
    return message if not message or message.endswith(b"\r\n") else message + b"\r\n"


@given(OCTETS)
@example(b"")
@example(b".")
@example(b".\r\n")
@example(b"\r\n.\r\n")
@example(b"a\r")
@example(b"a\n.\r\n+OK 1 forged\r\n")
def test_unstuffing_gives_the_message_back_octet_for_octet(message: bytes) -> None:
    wire = stuffed(message)
    assert read_by_lf(wire + b"+OK next\r\n") == (complete(message), b"+OK next\r\n")
    if not re.search(rb"(?<!\r)\n\.", message):
        assert read_by_crlf(wire + b"+OK next\r\n") == (complete(message), b"+OK next\r\n")


@given(OCTETS)
def test_no_message_ends_early_for_any_client(message: bytes) -> None:
    wire = stuffed(message)
    assert read_by_crlf(wire + b"next")[1] == b"next"
    assert read_by_lf(wire + b"next")[1] == b"next"


@given(OCTETS, st.integers(1, 7))
def test_stuffing_is_the_same_across_chunk_boundaries(message: bytes, step: int) -> None:
    assert stuffed(message, step) == stuffed(message)


# TOP


def top(message: bytes, lines: int, step: int | None = None) -> tuple[bytes, int]:
    """What TOP passes, and how many octets of the message it has asked for."""
    cut, passed, read = Top(lines), b"", 0
    step = step or max(1, len(message))
    for start in range(0, len(message), step):
        passed += cut.feed(message[start : start + step])
        read = start + step
        if cut.done:
            break
    assert cut.feed(b"more") in ((b"",) if cut.done else (b"more", b""))
    return passed, read


def expected_top(message: bytes, lines: int) -> bytes:
    kept, header = [], True
    left = lines
    for line in re.findall(rb"[^\n]*\n|[^\n]+", message):
        if not header:
            if not left:
                break
            left -= 1
        elif line in (b"\r\n", b"\n"):
            header = False
        kept.append(line)
    return b"".join(kept)


@pytest.mark.parametrize(
    ("message", "lines", "passed"),
    [
        (b"A: b\r\n\r\none\r\ntwo\r\n", 0, b"A: b\r\n\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 1, b"A: b\r\n\r\none\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 2, b"A: b\r\n\r\none\r\ntwo\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 99, b"A: b\r\n\r\none\r\ntwo\r\n"),
        (b"A: b\r\n\r\none\r\ntwo", 2, b"A: b\r\n\r\none\r\ntwo"),
        (b"\r\none\r\ntwo\r\n", 1, b"\r\none\r\n"),
        (b"A: b\r\n", 1, b"A: b\r\n"),
        (b"A: b\n\none\ntwo\n", 1, b"A: b\n\none\n"),
        (b"", 1, b""),
    ],
)
def test_top_passes_the_header_and_so_many_lines(message: bytes, lines: int, passed: bytes) -> None:
    for step in (None, 1, 2, 3):
        assert top(message, lines, step)[0] == passed


@given(OCTETS, st.integers(0, 5), st.integers(1, 5))
def test_top_is_what_counting_lines_says(message: bytes, lines: int, step: int) -> None:
    assert top(message, lines, step)[0] == expected_top(message, lines)


def test_top_asks_for_no_more_than_it_needs() -> None:
    message = b"A: b\r\n\r\n" + b"line\r\n" * 100_000
    passed, read = top(message, 10, 4096)
    assert passed == b"A: b\r\n\r\n" + b"line\r\n" * 10
    assert read == 4096
