"""The fields that people search for, side by side: the same is found as in each header by itself."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsystem.finding.header import Header
from mailsystem.mail.haystack import fold
from mailsystem.mail.headings import LONGEST, NAMES, headings

names = st.sampled_from([b"Subject", b"FROM", b"to", b"Cc", b"bcc", b"X-To", b"Tom", b"Sender", b"", b" Subject"])
values = st.one_of(
    st.sampled_from([
        b" Ann Lee <ann@example.org>", b" =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?_an?=\r\n =?utf-8?b?4oCT?= x", b"",
        b" folded\r\n\tand folded\r\n again", b" =?utf-8?q?two=0Alines?=", "Grüße ﬁsh 東京".encode(), b" \xff\xfe caf\xe9",
        b" =?iso-8859-1?q?caf=E9?=", b" bad\rreturn", b"=?utf-8?q?cut", b" =?utf-16?b?2AAA?= alone", b" NUL\0there",
    ]),
    st.binary(max_size=12),
)  # fmt: skip
field = st.tuples(names, st.sampled_from([b":", b" :", b"\t:", b""]), values, st.sampled_from([b"\r\n", b"\n"]))
blocks = st.tuples(st.lists(field.map(b"".join), max_size=6).map(b"".join), st.sampled_from([b"", b"\r\n", b"x"])).map(
    b"".join
)
needles = st.one_of(
    st.sampled_from(
        ["", "a", "ann", "grüße", "fish", "東", "two\nlines", "folded and", "ﬁ", "\ufffd", "lee <", "é", "\n"]
    ),
    st.text(max_size=3),
).map(fold)


@given(st.lists(blocks, max_size=5), st.sampled_from(NAMES), needles)
@example([b"Subject: a\r\n"] * 200 + [b"From: a\r\n"] * 50 + [b"Subject: b\r\nSubject: ca\r\n"], b"SUBJECT", "a")
@example([b"Subject: a\r\n", b"", b"Subject: b\r\n"], b"SUBJECT", "")
def test_what_is_found_is_what_each_header_says(heads: list[bytes], name: bytes, needle: str) -> None:
    wanted = [number for number, head in enumerate(heads) if any(needle in said for said in Header(head).values(name))]
    assert headings(heads).holding(name, needle) == wanted
    parts = headings(heads[:2]).and_more(headings(heads[2:]), len(heads[:2]))
    assert parts == headings(heads)


@pytest.mark.parametrize(
    "long",
    [
        None,
        b"To: " + b"x" * (LONGEST + 1) + b"\r\n",
        b"To: " + b"x" * 1100 + b"\r\nCc: " + b"y" * 1100 + b"\r\n",
        b"To: =?utf-8?b?" + b"77e6" * 150 + b"?=\r\n",
    ],
)
def test_of_what_is_too_long_nothing_is_told(long: bytes | None) -> None:
    known = headings([b"To: x\r\n", long, b"To: xx\r\n"])
    assert known.unkept == (1,)
    assert known.holding(b"TO", "x") == [0, 2]
