"""Transfer encodings undone in pieces: however a body is cut, the same octets come out."""

from __future__ import annotations

import base64
import binascii
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.transfer import decoder


def pieces(encoding: str, octets: bytes, size: int) -> bytes:
    undo = decoder(encoding)
    assert undo is not None
    done = [undo.feed(octets[at : at + size]) for at in range(0, len(octets), size)]
    return b"".join((*done, undo.close()))


@given(st.binary(max_size=400), st.integers(1, 50))
def test_what_was_encoded_comes_back_in_any_pieces(octets: bytes, size: int) -> None:
    assert pieces("base64", base64.encodebytes(octets).replace(b"\n", b"\r\n"), size) == octets
    assert pieces("quoted-printable", binascii.b2a_qp(octets, istext=False), size) == octets
    for encoding in ("7bit", "8bit", "binary"):
        assert pieces(encoding, octets, size) == octets


@given(st.binary(max_size=200) | st.text("=QUJD+/ \r\n\tA4f", max_size=200).map(str.encode), st.integers(1, 9))
def test_garbage_is_cut_anywhere_without_another_outcome(garbage: bytes, size: int) -> None:
    for encoding in ("base64", "quoted-printable"):
        assert pieces(encoding, garbage, size) == pieces(encoding, garbage, 1 << 20)


@pytest.mark.parametrize(
    ("encoded", "octets"),
    [
        (b"SGVs\r\nbG8=\r\n", b"Hello"),
        (b"SGVsbG8=SGVsbG8=", b"Hello"),
        (b"S*G-V!s b_G 8", b"Hello"),
        (b"SGVsbG8", b"Hello"),
        (b"SGVsb", b"Hel"),
        (b"=", b""),
        (b"A=", b""),
    ],
)
def test_base64_is_read_with_patience(encoded: bytes, octets: bytes) -> None:
    assert pieces("base64", encoded, 1) == pieces("base64", encoded, 100) == octets


def test_a_line_without_end_is_decoded_all_the_same() -> None:
    line = b"=41=42x" * 30_000
    assert pieces("quoted-printable", line, 999) == quopri.decodestring(line) == b"ABx" * 30_000


@pytest.mark.parametrize("encoding", ["x-uuencode", "", "gzip"])
def test_an_unknown_encoding_has_no_decoder(encoding: str) -> None:
    assert decoder(encoding) is None
