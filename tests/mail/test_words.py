"""Encoded words, charsets and transfer encodings."""

from __future__ import annotations

import email.header
from encodings.aliases import aliases

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsystem.mail.words import base64_octets, codec, decoded, text, transferred, utf8


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", ""),
        (b" plain\r\n text ", "plain text"),
        (b"=?utf-8?q?J=C3=B6rg?=", "Jörg"),
        (b"=?UTF-8?B?SsO2cmc=?= Lee", "Jörg Lee"),
        (b"Hi =?iso-8859-1?Q?Andr=E9?=!", "Hi André!"),
        (b"=?us-ascii*en?q?a_b?=", "a b"),
        # RFC 2047 8
        (b"=?ISO-8859-1?Q?a?=", "a"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
        # a character cut in two
        (b"=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "ö"),
        (b"=?utf-8?b?ww==?= =?utf-8?q?=B6?=", "ö"),
        (b"=?utf-8?q?=C3?= =?iso-8859-1?q?=B6?=", "\ufffd¶"),
        # no encoded words
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?a", "=?utf-8?q?a"),
        (b"=??q?a?=", "=??q?a?="),
        (b"a = ?b?", "a = ?b?"),
        # wrong ones
        (b"=?x-none?q?a=FFb?=", "a\ufffdb"),
        (b"=?utf-8?b?!!?=", ""),
        (b"=?utf-8?b?SsO2cm?=", "Jör"),
        (b"=?utf-8?q?=ZZ?=", "=ZZ"),
        (b"=?utf-8?q?a b?=", "a b"),
        (b"=?utf-7?q?+2AA-?=", "\ufffd"),
        ("Jörg".encode(), "Jörg"),
        (b"J\xf6rg", "Jörg"),
        (b"=?utf-8?q??=", ""),
    ],
)
def test_a_value_is_decoded(value: bytes, expected: str) -> None:
    assert decoded(value) == expected


@given(st.lists(st.sampled_from([b"=?", b"?=", b"?", b"utf-8", b"big5", b"utf-7", b"q", b"B", b"=C3", b" ", b"+2AA-"])))
@settings(max_examples=300)
def test_garbage_is_decoded_to_text_that_can_be_sent(pieces: list[bytes]) -> None:
    decoded(b"".join(pieces)).encode()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]), max_size=60))
def test_what_the_standard_library_encodes_is_decoded(words: str) -> None:
    if "=?" not in words:
        assert decoded(email.header.Header(words, "utf-8").encode().encode()) == words


def test_a_megabyte_of_encoded_words_is_decoded() -> None:
    assert decoded(b"=?utf-8?q?a?= " * 70_000) == "a" * 70_000
    for bomb in (b"=?" * 500_000, b"=?a?q?" * 150_000, b"=?" + b"a" * 1_000_000, b"=?a?q?b " * 100_000):
        assert decoded(bomb) == bomb.decode().strip()


@pytest.mark.parametrize("name", ["utf-8", "UTF_8", " iso-8859-1 ", "windows-1252", "koi8-r", "KOI8-U", "gb2312", "big5",
                                  "shift_jis", "iso-2022-jp", "euc-kr", "ks_c_5601-1987", "iso-8859-8-i", "x-sjis", "cp437",
                                  "us-ascii", "ANSI_X3.4-1968", "macintosh", "tis-620"])  # fmt: skip
def test_charsets_that_mail_names_are_known(name: str) -> None:
    known = codec(name)
    assert known is not None
    assert "abc".encode(known).decode(known) == "abc"


@pytest.mark.parametrize("name", ["", "x-unknown", "base64", "rot13", "zip", "idna", "punycode", "unicode_escape", "../os",
                                  "raw_unicode_escape", "undefined", "x" * 1000, "utf-8\0"])  # fmt: skip
def test_what_is_no_charset_is_not_looked_up(name: str) -> None:
    assert codec(name) in (None, "utf_8")
    assert text(b"abc", name) == "abc"


@pytest.mark.parametrize(
    "octets", [bytes(range(256)), b"+2AA-", b"\xff\xfe\x00\xd8", b"\x81\x30\xff", b"~{\xff", b"\x1b$B\xff"]
)
def test_every_codec_of_python_takes_any_octets(octets: bytes) -> None:
    for name in {*aliases, *aliases.values()}:
        text(octets, name).encode()


@pytest.mark.parametrize(
    ("octets", "charset", "expected"),
    [
        (b"caf\xc3\xa9", None, "café"),
        (b"caf\xe9", None, "café"),
        (b"caf\xe9", "us-ascii", "café"),
        (b"caf\xe9", "utf-8", "caf\ufffd"),
        (b"caf\xe9", "x-none", "caf\ufffd"),
        (b"\x93hi\x94", "windows-1252", "“hi”"),
    ],
)
def test_octets_become_text(octets: bytes, charset: str | None, expected: str) -> None:
    assert text(octets, charset) == expected


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (b"", b""),
        (b"YWJj", b"abc"),
        (b"YW\r\nJj", b"abc"),
        (b"YWI", b"ab"),
        (b"YWJjY", b"abc"),
        (b"Y\xffWI=", b"ab"),
        (b"=", b""),
    ],
)
def test_base64_is_read_as_far_as_it_goes(encoded: bytes, expected: bytes) -> None:
    assert base64_octets(encoded) == expected


@given(st.binary(max_size=50))
def test_any_octets_go_through_any_transfer_encoding(octets: bytes) -> None:
    for encoding in ("base64", "quoted-printable", "7bit", "x-none"):
        transferred(octets, encoding)


@pytest.mark.parametrize("charset", [None, "unknown", *sorted(aliases), "koi8-u", "gb2312", "cp720", "windows-1252"])
def test_utf_8_of_octets_is_their_text(charset: str | None) -> None:
    every = bytes(range(128))
    for octets in (
        b"",
        every,
        b"~{<:Ky2;S{#,~}",
        b"+AGE- \\ ~",
        bytes(range(256)),
        every + "Grüße 漢字 \u2029".encode(),
        b"a\x00b\xff",
    ):
        assert utf8(octets, charset) == text(octets, charset).encode(), (charset, octets)
