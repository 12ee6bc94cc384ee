"""DATA octet by octet: where a message ends, what is stuffed, what is smuggled."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsystem.smtp.data import ChunkReader, DataReader, Hops, Lacking, has_bare, normalized

# Octets that mean something here, more often than chance would have it.
pieces = st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"..", b"\r\n.", b"\r\n..", b"a", b"bc", b"\0", b"\xff"])
octets = st.lists(pieces | st.binary(max_size=4), max_size=40).map(b"".join)


def read(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, DataReader]:
    """What a reader makes of these octets, handed over in pieces cut at these places."""
    reader = DataReader()
    got = []
    edges = sorted({0, len(data), *(cut for cut in cuts or [] if cut < len(data))})
    for start, end in itertools.pairwise(edges):
        if reader.done:
            reader.rest += data[start:]
            break
        got.append(reader.feed(data[start:end]))
    return b"".join(got), reader


def stuffed(message: bytes) -> bytes:
    """RFC 5321 4.5.2, the slow and obvious way, with the end."""
    lines = message.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n\r\n.\r\n", b"a\r\n\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),  # any first dot goes, not only that of two
        (b"a\r\n.b\r\n..c\r\n.\r\n", b"a\r\nb\r\n.c\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n"),
        (b"\0\xff\x80\r\n.\r\n", b"\0\xff\x80\r\n"),
        (b"x" * 5000 + b"\r\n.\r\n", b"x" * 5000 + b"\r\n"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("rest", [b"", b"MAIL FROM:<a@b.example>\r\n", b".\r\n", b"\r\n.\r\n", b"\n"])
def test_a_message_ends_at_its_lone_dot_and_loses_its_stuffing(sent: bytes, message: bytes, rest: bytes) -> None:
    whole, reader = read(sent + rest)
    assert (whole, reader.done, reader.rest, reader.bare) == (message, True, rest, False)
    every, reader = read(sent + rest, list(range(len(sent + rest))))
    assert (every, reader.done, reader.rest) == (message, True, rest)
    for length in range(len(sent)):
        unended, reader = read(sent[:length])
        assert not reader.done
        assert message.startswith(unended)


@pytest.mark.parametrize(
    "end",
    # Every spelling of a lone dot that some server took for the end of a message: Postfix, Sendmail, Exim, James,
    # chasquid and aiosmtpd all had one (CVE-2023-51764, -51765, -51766, -51747, -52354, CVE-2024-27305).
    [
        b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r\n.\r\r\n",
        b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\x00\r\n.\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n .\r\n", b"\n\n.\n\n",
        b"\r\n.\r\x00\n", b"\xc2\x85.\xc2\x85", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\x0b.\x0b", b"\x0c.\x0c", b"\n\r.\n\r",
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("by", [1, 2, 3, 5, 1000])
def test_no_other_spelling_of_the_end_is_one(end: bytes, by: int) -> None:
    smuggled = b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nsmuggled\r\n"
    sent = b"innocent" + end + smuggled + b".\r\nQUIT\r\n"
    message, reader = read(sent, list(range(0, len(sent), by)))
    assert reader.done
    assert reader.rest == b"QUIT\r\n"
    assert message.endswith(smuggled)
    # Whatever is not CRLF is found out, whichever way it is cut.
    without = end.replace(b"\r\n", b"")
    assert reader.bare == (b"\r" in without or b"\n" in without)


@given(octets, st.lists(st.integers(0, 200)))
def test_stuffing_and_chunking_change_nothing(message: bytes, cuts: list[int]) -> None:
    if not message.endswith(b"\r\n") and message:
        message += b"\r\n"
    got, reader = read(stuffed(message) + b"NEXT", cuts)
    assert got == message
    assert reader.done
    assert reader.rest == b"NEXT"
    pairless = message.replace(b"\r\n", b"")
    assert reader.bare == (b"\r" in pairless or b"\n" in pairless)


@given(octets, st.lists(st.integers(0, 200)))
@example(b"\r\n.\r\n", [1, 2, 3, 4])
@example(b".\r\n.\r\n", [1])
def test_any_octets_in_any_chunks_are_read_as_if_in_one(data: bytes, cuts: list[int]) -> None:
    one, at_once = read(data)
    many, cut = read(data, cuts)
    assert cut.done == at_once.done
    assert (many, cut.rest, cut.bare) == (one, at_once.rest, at_once.bare)


def test_large_messages_survive_chunks_of_every_size() -> None:
    chance = random.Random(5321)
    lines = [chance.choice([b".", b"..", b"", b"text. ", b"." * 5, b"x" * 76]) for _ in range(4_000)]
    message = b"\r\n".join(lines) + b"\r\n"
    sent = stuffed(message)
    for size in (1, 7, 4096, 65_536, 1 << 20):
        got, reader = read(sent, list(range(0, len(sent), size)))
        assert reader.done
        assert got == message
        assert not reader.bare


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (b"", 0),
        (b"Received: a\r\n\r\n", 1),
        (b"received: a\r\nRECEIVED: b\r\nSubject: Received: no\r\nX-Received: no\r\n\r\nReceived: no\r\n", 2),
        (b"Subject: x\r\n Received: folded\r\nReceived:yes\r\n", 1),
        (b"\r\nReceived: in the body\r\n", 0),
        (b"Received: a\nReceived: b\n\nReceived: no\n", 2),
        (b"Received: " + b"x" * 100_000 + b"\r\nReceived: y\r\n\r\n", 2),
        (b"Received: a\r\n" * 51 + b"\r\n", 51),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_received_fields_are_counted_in_the_header_alone(message: bytes, count: int) -> None:
    for size in (1, 2, 3, 10, 11, 4096, 1 << 20):
        hops = Hops()
        for start in range(0, len(message), size):
            hops.feed(message[start : start + size])
        assert hops.count == count, size


@given(octets, st.lists(st.integers(0, 200)), st.booleans())
def test_chunks_are_read_as_they_are_and_bare_newlines_found_wherever_they_are_cut(
    data: bytes, cuts: list[int], binary: bool
) -> None:
    reader = ChunkReader(binary=binary)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    got = [reader.feed(data[start:end]) for start, end in itertools.pairwise(edges)]
    got.append(reader.close())
    assert b"".join(got) == data
    pairless = data.replace(b"\r\n", b"")
    assert reader.bare == (not binary and (b"\r" in pairless or b"\n" in pairless))
    if not binary:
        # A CR is never parted from its LF, so pieces can be repaired one by one.
        assert b"".join(map(normalized, got)) == normalized(data)
        assert not has_bare(normalized(data))


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (b"", ("Date", "Message-ID")),
        (b"Date: x\r\n\r\n", ("Message-ID",)),
        (b"X: y\r\nMESSAGE-ID: <x>\r\n\r\nDate: x\r\n", ("Date",)),
        (b"\r\nDate: x\r\nMessage-ID: x\r\n", ("Date", "Message-ID")),
        (b"X: " + b"Date: " * 9000 + b"\r\nDate: x\r\n", ("Message-ID",)),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_missing_fields_are_found_missing_however_it_is_cut(message: bytes, fields: tuple[str, ...]) -> None:
    for size in (1, 2, 3, 10, 17, 4096, 1 << 20):
        lacking = Lacking()
        for start in range(0, len(message), size):
            lacking.feed(message[start : start + size])
        assert lacking.fields == fields, size
