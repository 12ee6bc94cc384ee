"""ENVELOPE, BODY and BODYSTRUCTURE, as they are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parenthesised import read

from mailsystem.mail import structure
from mailsystem.mail.content import Part, scan
from mailsystem.mail.structure import LONGEST_QUOTED, nstring, string


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", b'""'),
        (b"abc \t\x7f", b'"abc \t\x7f"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
        (b"a\rb", b"{3}\r\na\rb"),
        (b"a\nb", b"{3}\r\na\nb"),
        (b"a\0b", b'"ab"'),
        (b"\xff\0", b"{1}\r\n\xff"),
        (b"x" * LONGEST_QUOTED, b'"' + b"x" * LONGEST_QUOTED + b'"'),
        (b"x" * (LONGEST_QUOTED + 1), b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_a_string_is_quoted_where_it_may_be(value: bytes, expected: bytes) -> None:
    assert string(value) == expected


def test_nothing_is_nil() -> None:
    assert nstring(None) == b"NIL"


@given(st.binary(max_size=50))
def test_any_string_reads_back(value: bytes) -> None:
    assert read(string(value)) == value.replace(b"\0", b"")


def envelope(head: bytes) -> bytes:
    return scan(head).envelope


def test_the_envelope_of_the_rfc_is_written_exactly() -> None:
    """RFC 9051 8, the sample connection."""
    head = (
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
        b"From: Terry Gray <gray@cac.washington.edu>\r\n"
        b"Subject: IMAP4rev2 WG mtg summary and minutes\r\n"
        b"To: imap@cac.washington.edu\r\n"
        b"cc: minutes@CNRI.Reston.VA.US, \r\n   John Klensin <KLENSIN@MIT.EDU>\r\n"
        b"Message-Id: <B27397-0100000@cac.washington.ed>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"
    )
    assert envelope(head) == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes"'
        b' (("Terry Gray" NIL "gray" "cac.washington.edu"))'
        b' (("Terry Gray" NIL "gray" "cac.washington.edu"))'
        b' (("Terry Gray" NIL "gray" "cac.washington.edu"))'
        b' ((NIL NIL "imap" "cac.washington.edu"))'
        b' ((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU"))'
        b' NIL NIL "<B27397-0100000@cac.washington.ed>")'
    )


@pytest.mark.parametrize(
    ("head", "index", "expected"),
    [
        (b"Subject:\r\n", 1, b""),
        (b"X: y\r\n", 1, None),
        (b"Date: Mon,\r\n 1 Jan\r\n", 0, b"Mon, 1 Jan"),
        (b"Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\n", 1, b"=?utf-8?q?a?= =?utf-8?q?b?="),
        (b"Subject: one\r\nSubject: two\r\n", 1, b"one"),
        (b"From: a@b\r\nSender: c@d\r\n", 3, [[None, None, b"c", b"d"]]),
        (b"From: a@b\r\nSender:\r\n", 3, [[None, None, b"a", b"b"]]),
        (b"From: a@b\r\nReply-To: (nobody)\r\n", 4, [[None, None, b"a", b"b"]]),
        (b"From: a@b\r\nReply-To: c@d, e@f\r\n", 4, [[None, None, b"c", b"d"], [None, None, b"e", b"f"]]),
        (b"To:\r\n", 5, None),
        (b"To: g: a@b;\r\n", 5, [[None, None, b"g", None], [None, None, b"a", b"b"], [None] * 4]),
        (b"Cc: <@r:a@b>\r\n", 6, [[None, b"@r", b"a", b"b"]]),
        (b"Bcc: a\r\n", 7, [[None, None, b"a", b""]]),
        (b"In-Reply-To: <1> <2>\r\n", 8, b"<1> <2>"),
        (b"Message-ID: <1>\r\n", 9, b"<1>"),
        ("Subject: Grüße\r\n".encode(), 1, "Grüße".encode()),
        (b"Subject: a\0b\rc\r\n", 1, b"ab\rc"),
    ],
)
def test_the_envelope_has_ten_fields(head: bytes, index: int, expected: Any) -> None:
    read_back = read(envelope(head))
    assert len(read_back) == 10
    assert read_back[index] == expected


HTML = (
    b"Content-Type: Text/HTML; charset=UTF-8; format=flowed\r\nContent-Transfer-Encoding: Quoted-Printable (x)\r\n"
    b"Content-ID: <1>\r\nContent-Description: a\r\n b\r\nContent-MD5: Q2hlY2s=\r\nContent-Language: en\r\n"
    b"Content-Location: http://example.org/\r\nContent-Disposition: inline\r\n\r\n<p>\r\n</p>"
)
HTML_STRUCTURE = (
    b'("TEXT" "HTML" ("CHARSET" "UTF-8" "FORMAT" "flowed") "<1>" "a b" "QUOTED-PRINTABLE" 9 1'
    b' "Q2hlY2s=" ("INLINE" NIL) "en" "http://example.org/")'
)
IMAGE = (
    b"Content-Type: image/png; name*0*=utf-8''%c3%a4; name*1=.png\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Language: en, de\r\n"
    b'Content-Disposition: attachment; filename="a\\"b.png"; size=3\r\n\r\nQUJD\r\n'
)
IMAGE_STRUCTURE = (
    b'("IMAGE" "PNG" ("NAME*0*" "utf-8\'\'%c3%a4" "NAME*1" ".png") NIL NIL "BASE64" 6'
    b' NIL ("ATTACHMENT" ("FILENAME" "a\\"b.png" "SIZE" "3")) ("en" "de") NIL)'
)
TEXT = b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" %d %d NIL NIL NIL NIL)'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\r\nHello\r\n", TEXT % (7, 1)),
        (HTML, HTML_STRUCTURE),
        (IMAGE, IMAGE_STRUCTURE),
        (
            b"Content-Type: multipart/mixed; boundary=b\r\nContent-Language: en\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
            b"(" + TEXT % (3, 0) + b' "MIXED" ("BOUNDARY" "b") NIL "en" NIL)',
        ),
        (b"Content-Type: multipart/mixed\r\n\r\n", b"(" + TEXT % (0, 0) + b' "MIXED" NIL NIL NIL NIL)'),
        (
            b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nHello\r\n",
            b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 22 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) '
            + TEXT % (7, 1)
            + b" 3 NIL NIL NIL NIL)",
        ),
        (b"Content-Type: text/html\r\n\r\n", b'("TEXT" "HTML" NIL NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)'),
        (
            b"Content-Type: text/plain; charset=caf\xe9\r\n\r\n",
            b'("TEXT" "PLAIN" ("CHARSET" {4}\r\ncaf\xe9) NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)',
        ),
        (b"Content-Language: ,\r\nContent-Disposition: ()\r\nContent-Transfer-Encoding: @\r\n\r\n", TEXT % (0, 0)),
    ],
)
def test_bodystructure_is_written_exactly(raw: bytes, expected: bytes) -> None:
    assert scan(raw).bodystructure == expected


TYPES = st.sampled_from(
    ["text/plain", "TEXT/Html", "multipart/mixed", "Multipart/X-y", "message/rfc822", "a/b", "text", ""]
)
TAILS = st.sampled_from(
    ["boundary=", "Boundary=", '"', "ab", ":", "(c)", "'", " ", "; charset=UTF-8", ";", "=_.", ",", "\\"]
)


@given(TYPES, st.lists(TAILS, max_size=6).map("".join), st.sampled_from([None, b"", b"7bit", b"Base64 (x)"]))
@settings(max_examples=400)
def test_the_quick_way_describes_what_the_thorough_way_describes(type_: str, tail: str, encoding: bytes | None) -> None:
    found = {b"content-type": f"{type_};{tail}".encode()}
    if encoding is not None:
        found[b"content-transfer-encoding"] = encoding
    assert structure.describe(found) == structure._describe(found, False, False)


def test_body_leaves_extension_data_out() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: inline\r\n\r\none\r\n--b--\r\n"
    assert scan(raw).body == b'(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 3 0) "MIXED")'


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"Content-Disposition: attachment; filename=a.txt", "a.txt"),
        (b"Content-Disposition: attachment; filename=my file.txt", "my file.txt"),
        (b"Content-Type: a/b; name=n.txt", "n.txt"),
        (b"Content-Type: a/b; name=n.txt\r\nContent-Disposition: inline; filename=f.txt", "f.txt"),
        (b"Content-Disposition: a; filename*=iso-8859-1'de'%E4.txt; filename=ae.txt", "ä.txt"),
        (b"Content-Disposition: a; filename*0*=utf-8''%c3; filename*1*=%a4.t; filename*2=xt", "ä.txt"),
        (b'Content-Disposition: a; filename="=?utf-8?q?=C3=A4?=.txt"', "ä.txt"),
        ("Content-Disposition: a; filename=ä.txt".encode(), "ä.txt"),
        (b"Content-Disposition: a; filename*=x-none''%ff", "\ufffd"),
        (b'Content-Disposition: a; filename="a\tb\0c\x1b"', "a b c"),
        (b"Content-Disposition: a; filename=" + b"x" * 1000, "x" * 255),
        (b'Content-Disposition: a; filename=""', None),
        (b"Content-Disposition: a", None),
    ],
)
def test_a_filename_is_decoded(head: bytes, expected: str | None) -> None:
    assert Part.load(scan(head + b"\r\n\r\n").parts).filename == expected


@pytest.mark.parametrize(
    ("value", "charset"),
    [(b"text/plain; charset=UTF-8", "utf-8"), (b"text/html", None), (b"text/plain", "us-ascii"), (b"a/b; charset=x", None),
     (b"text/plain; charset=utf-8 format=flowed", "utf-8"), (b'text/plain; charset=""', "us-ascii"),
     (b"text/plain; charset*=us-ascii'en'KOI8-R", "koi8-r"), (b"text/html; charset=" + b"x" * 999, "x" * 64)],
)  # fmt: skip
def test_a_charset_is_read(value: bytes, charset: str | None) -> None:
    assert Part.load(scan(b"Content-Type: " + value + b"\r\n\r\n").parts).charset == charset
