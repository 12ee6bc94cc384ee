"""What the octets of a message tell as they are: the same as reading it would, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsystem.mail.content import scan
from mailsystem.mail.haystack import Words, at_once, fold, found_in, pieces
from mailsystem.mail.part import Part

HEAD = b"From: Ann Lee <ann@shop.test>\r\nSubject: a long\r\n subject: of\r\n\tlines\r\nX-Dense:no space\r\n"
PLAIN = HEAD + b"\r\nAlpha beta, gamma.\r\ndelta epsilon\r\n"
PARTS = (
    HEAD + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nAlpha beta, gamma.\r\ndelta epsilon\r\n"
    b'--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename="my list (1).txt"\r\n\r\nzeta\r\n--b--\r\n'
)


def told(needle: str, octets: bytes, *, headers: bool = True) -> bool | None:
    """What is told at once; it must be what reading tells."""
    words = Words(fold(needle), headers)
    parts = scan(octets).parts
    read = words in found_in([words], pieces(Part.load(parts), len(words.needle)), octets, 0)
    at_first = at_once([words], parts, octets).get(words)
    assert at_first in (None, read), needle
    return at_first


@pytest.mark.parametrize(
    ("needle", "plain", "parts"),
    [
        ("alpha beta", True, None),
        ("Alpha beta, gamma.", True, None),
        ("beta gamma", False, False),
        ("gamma. delta", None, None),
        ("subject: of lines", None, None),
        ("long subject", None, None),
        ("subject: a long", None, None),
        ("x-dense: no", None, None),
        ("ann lee <ann@", None, None),
        ("ann  lee", None, None),
        ("list (1)", False, None),
        ('the "list"', None, None),
        ("café", None, None),
        (" ", None, None),
        ("alpha", True, None),
        ("omega", False, False),
    ],
)
def test_a_phrase_is_told_without_reading(needle: str, plain: bool | None, parts: bool | None) -> None:
    assert told(needle, PLAIN) is plain
    assert told(needle, PARTS) is parts
    told(needle, PLAIN, headers=False)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(st.sampled_from('aAb ,.:-\r\n\t"\\'), max_size=6).filter(lambda needle: bool(needle)),
    st.lists(st.sampled_from(["a", "B", "ab", " ", ",", ".", ":", "-", "\r\n ", "\r\n\t", '"', "\\"]), max_size=12),
    st.lists(
        st.sampled_from(["a", "B", "ab", " ", "\t", "\r\n", ",", ".", ":", "-", "\r", '"', "\\", "é"]), max_size=16
    ),
    st.booleans(),
)
def test_whatever_is_told_is_so(needle: str, subject: list[str], body: list[str], headers: bool) -> None:
    octets = f"Subject:{''.join(subject)}\r\n\r\n{''.join(body)}".encode()
    told(needle, octets, headers=headers)
    told(
        needle,
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Disposition: attachment;'
        b" filename=" + "".join(subject).replace("\r\n", "").encode() + b"\r\n" + octets + b"\r\n--x--\r\n",
        headers=headers,
    )
