"""What a message says, as SEARCH sees it: folding, dates, and text that is read in pieces."""

from __future__ import annotations

import base64
import datetime
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.finding.header import Header, date_of
from mailsystem.mail import haystack
from mailsystem.mail.content import Part, scan
from mailsystem.mail.haystack import PIECE, Words, at_once, blocks, fold, found_in, pieces


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello", "hELLO"),
        ("Straße", "STRASSE"),
        ("café", "cafe\u0301"),
        ("ﬁsh", "FISH"),
        ("ＡＢＣ", "abc"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("℡", "tel"),
        ("\u212b", "å"),
        ("Ǆ", "ǆ"),
    ],
)
def test_spellings_of_one_text_are_folded_together(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_accents_stay() -> None:
    assert fold("café") != fold("cafe")


@given(st.text(max_size=30))
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=20), st.text(max_size=20), st.text(st.characters(max_codepoint=0x24F), max_size=10))
def test_a_part_of_a_text_is_found_in_it(before: str, after: str, needle: str) -> None:
    assert fold(needle) in fold(before + needle + " " + after)


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (b" Mon, 7 Feb 1994 21:52:25 -0800 (PST)", (1994, 2, 7)),
        (b"07 Feb 1994 23:59:60 +1400", (1994, 2, 7)),
        (b"Mon,\r\n 7\r\n\tFeb 1994 21:52 GMT", (1994, 2, 7)),
        (b"(a 1 Jan 1990 comment) Mon, 7 feb 94", (1994, 2, 7)),
        (b"7 February 2024 00:00:00 +0000", (2024, 2, 7)),
        (b"Thu, 13 Feb 69 23:32 -0330", (1969, 2, 13)),
        (b"Thu, 13 Feb 24 23:32 -0330", (2024, 2, 13)),
        (b"Thu, 13 Feb 124 23:32 -0330", (2024, 2, 13)),
        (b"29-Feb-2024", (2024, 2, 29)),
    ],
)
def test_the_day_is_the_one_that_was_written(value: bytes, day: tuple[int, int, int]) -> None:
    assert date_of(value) == datetime.date(*day)


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"30 Feb 2024", b"1 Xyz 2024", b"99 Jan 2024", b"1 Jan 20240", b"0 Jan 2024"]
)
def test_no_day_is_no_day(value: bytes) -> None:
    assert date_of(value) is None


@given(st.binary(max_size=60))
def test_no_date_and_no_header_is_a_problem(octets: bytes) -> None:
    date_of(octets)
    Header(b"Date: " + octets).sent()
    Header(octets).values(b"SUBJECT")


def test_the_first_date_counts_and_fields_may_come_twice() -> None:
    header = Header(b"Date: 1 Jan 2024\r\nDate: 2 Jan 2024\r\nTO: a\r\nto: =?utf-8?q?B?=\r\n\r\n")
    assert header.sent() == datetime.date(2024, 1, 1)
    assert header.values(b"TO") == ["a", "b"]
    assert header.values(b"CC") == []
    assert Header(b"").sent() is None


def look(raw: bytes, *needles: str, headers: bool = False) -> set[str]:
    """Those of the needles that are found, read in one go; and the same when it is read block by block."""
    wanted = {Words(fold(needle), headers) for needle in needles}
    longest = max(map(len, needles))
    root = Part.load(scan(raw).parts)
    at_once = found_in(wanted, pieces(root, longest), raw, 0)
    in_blocks: set[Words] = set()
    for block in blocks(pieces(root, longest)):
        start, end = block[0].start, block[-1].end
        in_blocks |= found_in(wanted, block, raw[start:end], start)
    assert at_once == in_blocks
    return {needle for needle in needles if Words(fold(needle), headers) in at_once}


ENCODINGS = {
    "7bit": lambda octets: octets,
    "base64": lambda octets: base64.encodebytes(octets).replace(b"\n", b"\r\n"),
    "quoted-printable": lambda octets: quopri.encodestring(octets).replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_stands_across_two_pieces_is_found(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haystack, "PIECE", 1 << 14)
    needles = [f"Nädel{number:04}häy" for number in range(100)]
    text = "".join(f"{'some words to fill it, ' * 100}{needle} and more ünd more\n" for needle in needles)
    body = ENCODINGS[encoding](text.encode())
    assert len(list(pieces(Part.load(scan(b"\r\n" + body).parts), 13))) > 10
    raw = (
        f"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + body
    )
    assert look(raw, *needles, "nowhere") == set(needles)


def test_pieces_overlap_by_the_longest_needle() -> None:
    raw = b"Subject: x\r\n\r\n" + b"x" * (PIECE - 5) + b"\r\n" + b"needle" * 3000 + b"\r\n" + b"y" * PIECE
    assert look(raw, "needle" * 3000) == {"needle" * 3000}
    cut = list(pieces(Part.load(scan(raw).parts), 10))
    assert len(cut) > 3
    assert all(piece.end - piece.start <= PIECE for piece in cut)
    assert [piece.continues for piece in cut[:3]] == [False, False, True]


def test_nobody_reads_a_text_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haystack, "MOST_TEXT", 1000)
    raw = b"Subject: x\r\n\r\n" + b"a" * 500 + b"early" + b"b" * 1000 + b"late"
    assert look(raw, "early", "late") == {"early"}


def test_headers_are_for_text_and_those_of_messages_within_for_both() -> None:
    raw = (
        b"Subject: outermost\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n"
        b"Content-Description: of the part\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: =?utf-8?q?w=C3=BCthin?=\r\nX: y\r\n\r\ninner\r\n--b\r\n\r\nplain\r\n"
        b"--b\r\nContent-Type: application/x-text\r\n\r\nno text\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        b"Status: 5.1.1\r\n--b--\r\nepilogue\r\n"
    )
    words = (
        "outermost",
        "of the part",
        "WÜTHIN",
        "inner",
        "plain",
        "no text",
        "5.1.1",
        "Content-Type",
        "subject: wüthin",
    )
    assert look(raw, *words) == {"WÜTHIN", "inner", "plain", "5.1.1", "subject: wüthin"}
    assert look(raw, *words, headers=True) == set(words) - {"no text"}


@given(st.binary(max_size=300))
def test_any_octets_can_be_looked_through(raw: bytes) -> None:
    look(raw, "a", headers=True)


_LINES = st.lists(
    st.sampled_from(
        [
            b"Subject: Hello abc",
            b"Subject: =?utf-8?q?he?= =?utf-8?q?llo?=",
            b"X-abc: he\r\n llo",
            b"hello no field",
            b"From : abc",
            b'Content-Disposition: attachment; filename="he\\llo abc"',
            b"Content-Disposition: attachment; filename*=utf-8''%68ello",
            b"Content-Disposition: attachment; filename*0=he; filename*1=llo",
            b"Content-Type: text/plain; charset=utf-7",
            b"Content-Type: text/html; charset=us-ascii",
            b"Content-Type: text/plain; charset=iso-2022-jp",
            b"Content-Type: text/plain; charset=unheard-of",
            b"Content-Type: image/png; name=abc",
            b"Content-Type: message/rfc822",
            b"Content-Transfer-Encoding: base64",
            b"Content-Transfer-Encoding: quoted-printable",
            b"Content-Transfer-Encoding: 8bit",
            b"Content-Type: multipart/mixed; boundary=b",
            "X: Ünïhello".encode(),
            'Content-Disposition: attachment; filename="ｈello"'.encode(),
        ]
    ),
    max_size=4,
)
_TEXT = st.lists(
    st.sampled_from(
        [
            b"Hello",
            b"abc",
            b"he=\r\nllo",
            b"=68ello",
            b"aGVsbG8=",
            b"+AGgA-ello",
            b"\x1b$B$h\x1b(B",
            b" ",
            b"\r\n",
            b"\r\n\r\n",
            b"\r\n--b\r\n",
            b"\r\n--b--\r\n",
            b"Subject: hello\r\n",
            "hé".encode(),
        ]
    ),
    max_size=8,
).map(b"".join)
_RAW = st.lists(st.tuples(_LINES, _TEXT), min_size=1, max_size=3).map(
    lambda blocks: b"\r\n--b\r\n".join(
        b"".join(line + b"\r\n" for line in lines) + b"\r\n" + text for lines, text in blocks
    )
)
_NEEDLE = st.sampled_from(["hello", "ello", "abc", "h", "o", "llo", "b", "subject", "he llo", "hé", "68", "xyz"])


@given(_RAW, st.lists(_NEEDLE, min_size=1, max_size=4), st.booleans())
def test_what_octets_tell_at_once_is_what_reading_finds(raw: bytes, needles: list[str], headers: bool) -> None:
    wanted = {Words(fold(needle), headers) for needle in needles}
    parts = scan(raw).parts
    told = at_once(wanted, parts, raw)
    found = found_in(wanted, pieces(Part.load(parts), 10), raw, 0)
    assert told == {words: words in found for words in told}


def test_octets_tell_of_mail_in_which_nothing_is_encoded() -> None:
    absent, there = Words("absent", True), Words("there", False)
    plain = b"Subject: a\r\n\r\nThere it is\r\n"
    mixed = (
        b'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset="utf-8"\r\n\r\nthere\r\n'
        b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"
    )
    assert at_once([absent, there], scan(plain).parts, plain) == {absent: False, there: True}
    assert at_once([absent, there], scan(mixed).parts, mixed) == {absent: False}


@given(_LINES, st.sampled_from([b"SUBJECT", b"X-ABC", b"X", b"FROM", b"CONTENT-TYPE"]), _NEEDLE)
def test_a_header_has_what_its_fields_say(lines: list[bytes], name: bytes, needle: str) -> None:
    block = b"".join(line + b"\r\n" for line in lines)
    assert Header(block).has(name, fold(needle)) == any(fold(needle) in value for value in Header(block).values(name))
