"""Command lines: what ends one, how long one may be, and what happens to the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.smtp import replies
from mailsystem.smtp.lines import AUTH_LIMIT, COMMAND_LIMIT, MOST_DROPPED, Lines
from mailsystem.smtp.replies import Refusal


def heard(data: bytes, size: int = 1 << 30, *, loose: bool = False) -> list[bytes | str]:
    """The lines in these octets, handed over in chunks of `size`; refused ones by the status of their reply."""
    lines = Lines(loose=loose)
    found: list[bytes | str] = []
    for start in range(0, len(data), size):
        lines.feed(data[start : start + size])
        while True:
            try:
                line = lines.next()
            except Refusal as refusal:
                found.append(f"{refusal.reply.code} {refusal.reply.status}{' close' if refusal.close else ''}")
                continue
            if line is None:
                break
            found.append(line)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 100, 1 << 30])
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"NOOP", []),
        (b"NOOP\r\n", [b"NOOP"]),
        (b"EHLO a\r\nNOOP\r\n\r\nQUI", [b"EHLO a", b"NOOP", b""]),
        (b"a\0b\r\nNOOP\r\n", ["500 5.5.2", b"NOOP"]),
        (b"a\rb\r\nNOOP\r\n", ["500 5.5.2", b"NOOP"]),
        (b"a\r\r\nNOOP\r\n", ["500 5.5.2", b"NOOP"]),
        (b"NOOP\nNOOP\r\n", ["500 5.5.2 close", b"NOOP"]),
        (b"NOOP " + b"x" * (COMMAND_LIMIT - 7) + b"\r\nNOOP\r\n", [b"NOOP " + b"x" * (COMMAND_LIMIT - 7), b"NOOP"]),
        (b"NOOP " + b"x" * (COMMAND_LIMIT - 6) + b"\r\nNOOP\r\n", ["500 5.5.2", b"NOOP"]),
        (b"NOOP " + b"x" * 100_000 + b"\r\nNOOP\r\n", ["500 5.5.2", b"NOOP"]),
        (b"auth x " + b"x" * (AUTH_LIMIT - 9) + b"\r\nNOOP\r\n", [b"auth x " + b"x" * (AUTH_LIMIT - 9), b"NOOP"]),
        (b"AUTH x " + b"x" * (AUTH_LIMIT - 8) + b"\r\nNOOP\r\n", ["500 5.5.2", b"NOOP"]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_lines_are_found_and_bounded_in_any_chunks(data: bytes, lines: list[bytes | str], size: int) -> None:
    assert heard(data, size) == lines


def test_a_bare_line_feed_ends_a_line_only_where_that_is_allowed() -> None:
    assert heard(b"EHLO a\nNOOP\r\n", loose=True) == [b"EHLO a", b"NOOP"]
    assert heard(b"EHLO\ra\n", loose=True) == ["500 5.5.2"]


def test_a_line_without_end_costs_no_memory_and_ends_in_a_refusal() -> None:
    lines = Lines()
    chunk = b"x" * 65_536
    with pytest.raises(Refusal) as refused:
        for _ in range(2 * MOST_DROPPED // len(chunk)):
            lines.feed(chunk)
            assert lines.next() is None
            assert not lines
    assert refused.value.close
    assert refused.value.reply == replies.LINE_TOO_LONG


def test_a_response_that_is_too_long_has_its_own_reply() -> None:
    lines = Lines()
    lines.feed(b"x" * AUTH_LIMIT + b"\r\nNOOP\r\n")
    with pytest.raises(Refusal) as refused:
        lines.next(AUTH_LIMIT)
    assert refused.value.reply.status == "5.5.6"
    assert lines.next() == b"NOOP"


def test_what_waits_can_be_taken_as_it_came() -> None:
    lines = Lines()
    lines.feed(b"DATA\r\nbody\nwith\rall\r\n")
    assert lines.next() == b"DATA"
    assert lines
    assert lines.take() == b"body\nwith\rall\r\n"
    assert not lines
    assert lines.next() is None


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b"NOOP", b" ", b"x" * 3000, b"AUTH "]), max_size=30))
def test_garbage_is_lines_or_refusals_and_nothing_else(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert heard(data) == heard(data, 7)
