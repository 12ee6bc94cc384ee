"""Compression of a stream: any peer understands it, it comes out bounded, and garbage ends it."""

from __future__ import annotations

import os
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.net.deflate import BadStream, Deflate

LINE = b'* 12 FETCH (UID 12 FLAGS (\\Seen) INTERNALDATE "17-Jul-1996 02:44:25 +0000")\r\n'


def test_what_is_said_is_understood_piece_by_piece() -> None:
    ours, theirs = Deflate(), zlib.decompressobj(-15)
    for piece in (b"* OK\r\n", LINE, LINE * 300, os.urandom(70_000), LINE, b"x" * 3000, LINE):
        assert theirs.decompress(ours.deflate(piece)) == piece


@given(st.lists(st.binary(min_size=1, max_size=6000), max_size=12))
def test_any_pieces_are_understood(pieces: list[bytes]) -> None:
    ours, theirs = Deflate(), zlib.decompressobj(-15)
    assert [theirs.decompress(ours.deflate(piece)) for piece in pieces] == pieces


def test_lines_that_are_alike_cost_little() -> None:
    ours = Deflate()
    ours.deflate(LINE)
    assert len(ours.deflate(LINE.replace(b"12", b"13"))) < len(LINE) / 3


def peer(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_heard_comes_out_whole_however_it_comes(size: int) -> None:
    text = LINE * 500 + os.urandom(5000) + b"z" * 5000
    packed, ours, heard = peer(text), Deflate(), b""
    for at in range(0, len(packed), size):
        heard += ours.inflate(packed[at : at + size], 999)
        while ours.holding:
            heard += ours.inflate(b"", 999)
    assert heard == text


def test_no_read_gives_more_than_it_was_asked_for() -> None:
    ours = Deflate()
    packed = peer(b"\0" * (4 << 20))
    tracemalloc.start()
    assert len(ours.inflate(packed, 1000)) == 1000
    assert ours.holding
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_a_bomb_ends_the_stream() -> None:
    ours, packed = Deflate(), peer(b"\0" * (64 << 20))
    made = len(ours.inflate(packed, 1 << 20))
    with pytest.raises(BadStream):
        while ours.holding:
            made += len(ours.inflate(b"", 1 << 20))
    assert made <= 16 << 20


def test_garbage_and_an_ended_stream_are_told() -> None:
    with pytest.raises(BadStream):
        Deflate().inflate(b"\xff\xff\xff\xff", 100)
    ours = Deflate()
    compressor = zlib.compressobj(wbits=-15)
    assert ours.inflate(compressor.compress(b"x") + compressor.flush(), 100) == b"x"
    with pytest.raises(BadStream):
        ours.inflate(b"x", 100)


def test_between_whole_lines_no_inflater_is_kept_and_what_was_said_is_still_known() -> None:
    ours = Deflate()
    for level in (0, 1, 9):
        theirs = zlib.compressobj(level, zlib.DEFLATED, -15, zdict=ours._heard) if ours._heard else (
            zlib.compressobj(level, zlib.DEFLATED, -15)
        )  # fmt: skip
        for line in (LINE, LINE * 2, b"a NOOP\r\n", os.urandom(50_000) + LINE, LINE, b"b NOOP\r\n"):
            packed = theirs.compress(line) + theirs.flush(zlib.Z_SYNC_FLUSH)
            half = len(packed) // 2
            heard = ours.inflate(packed[:half], 1 << 20) + ours.inflate(packed[half:], 1 << 20)
            assert heard == line
            assert ours._inflater is None
    assert len(ours._heard) <= 32 * 1024


def test_octets_that_look_like_a_flush_are_none() -> None:
    theirs, ours = zlib.compressobj(0, zlib.DEFLATED, -15), Deflate()
    image = b"\x00\x00\xff\xff" * 1000
    packed = theirs.compress(image + b"\n" + image) + theirs.flush(zlib.Z_SYNC_FLUSH)
    heard = b"".join(ours.inflate(packed[at : at + 1], 100) for at in range(len(packed)))
    assert heard == image + b"\n" + image


@given(
    st.lists(st.binary(max_size=300).map(lambda line: line + b"\n") | st.binary(min_size=1, max_size=300), max_size=30)
)
def test_any_lines_are_heard_as_they_were_said(pieces: list[bytes]) -> None:
    theirs, ours = zlib.compressobj(6, zlib.DEFLATED, -15), Deflate()
    for piece in pieces:
        assert ours.inflate(theirs.compress(piece) + theirs.flush(zlib.Z_SYNC_FLUSH), 1 << 20) == piece
