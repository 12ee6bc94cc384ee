"""Modified UTF-7 and the names that are made of it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient import imap_utf7

from mailsystem.imap import names, utf7
from mailsystem.mail.errors import MailError, Rejected

KNOWN = {
    "INBOX": b"INBOX",
    "R&D": b"R&-D",
    "Entwürfe": b"Entw&APw-rfe",
    "~peter/mail/台北/日本語": b"~peter/mail/&U,BTFw-/&ZeVnLIqe-",  # RFC 3501 5.1.3
    "&": b"&-",
    "&&ü&": b"&-&-&APw-&-",
    "😀": b"&2D3eAA-",
    "a b": b"a b",
}


@pytest.mark.parametrize("text", KNOWN)
def test_names_are_spelt_as_the_rfc_says(text: str) -> None:
    assert utf7.encode(text) == KNOWN[text]
    assert utf7.decode(KNOWN[text]) == text


@pytest.mark.parametrize(
    "wire",
    [
        b"&AGE-",  # an `a` that needed no shift
        b"&APw-&APw-",  # two shifts that should be one
        b"&APw",  # without end
        b"&APw/-",  # `/` for `,`
        b"&AP=-",
        b"&A-",
        b"&APx-",  # bits left over that are not zero
        b"&2AA-",
        b"&2D0-",  # half of a pair
        b"&3gDYPQ-",  # a pair the wrong way round
        b"a&b",
        b"&ACY-",  # `&` itself, shifted
        b"\xc3\xbc",
        b"&\xc3\xbc-",
        b"tab\there&-",
        b"\x7f&-",
    ],
)
def test_what_is_not_canonical_is_refused(wire: bytes) -> None:
    with pytest.raises(Rejected):
        utf7.decode(wire)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    wire = utf7.encode(text)
    assert all(32 <= octet < 127 for octet in wire)
    assert utf7.decode(wire) == text


@given(st.binary(max_size=40) | st.text(alphabet="&-aA,+/=20DPw", max_size=20).map(str.encode))
def test_any_octets_are_either_refused_or_the_only_spelling(wire: bytes) -> None:
    try:
        text = utf7.decode(wire)
    except Rejected:
        return
    if b"&" in wire:
        assert utf7.encode(text) == wire


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        (b"inbox", "INBOX"),
        (b"Inbox/x", "INBOX/x"),
        (b"inboxes", "inboxes"),
        (b"a/inbox", "a/inbox"),
        (b"new/", "new"),
        (b"u&Awg-", "ü"),  # decomposed: kept composed
        (b"a*b%c", "a*b%c"),
    ],
)
def test_names_have_one_spelling_inside(wire: bytes, name: str) -> None:
    assert names.from_wire(wire) == name


@pytest.mark.parametrize(
    "wire",
    [b"", b"/", b"//", b"/a", b"a//b", b"a//", b"x" * 1001, b"a/" * 50 + b"b", b"a\x01", b"&AAA-", b"&AIU-", b"&ICg-", b"&AH8-",
     b"&" + b"APwA" * 2000 + b"-"],
)  # fmt: skip
def test_names_that_could_do_harm_are_refused(wire: bytes) -> None:
    with pytest.raises(Rejected):
        names.from_wire(wire)


@given(st.binary(max_size=60))
def test_a_name_is_refused_or_bounded_and_normal(wire: bytes) -> None:
    try:
        name = names.from_wire(wire)
    except MailError:
        return
    assert name == unicodedata.normalize("NFC", name)
    assert len(name.encode()) <= names.LONGEST
    assert all(name.split("/"))


def naive(pattern: str, name: str) -> bool:
    """LIST's rule, said as slowly as possible."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return naive(pattern[1:], name) or (bool(name) and naive(pattern, name[1:]))
    if pattern[0] == "%":
        return naive(pattern[1:], name) or (bool(name) and name[0] != "/" and naive(pattern, name[1:]))
    return bool(name) and pattern[0] == name[0] and naive(pattern[1:], name[1:])


@given(st.text(alphabet="ab/*%", max_size=8), st.text(alphabet="ab/", max_size=8))
def test_patterns_match_as_the_rule_says(pattern: str, name: str) -> None:
    assert names.matcher(pattern)(name) == naive(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("inbox", "INBOX", True),
        ("InBox/%", "INBOX/a", True),
        ("%", "INBOX", True),
        ("%", "a/b", False),
        ("*", "a/b", True),
        ("%/%", "a/b", True),
        ("a%", "a/b", False),
        ("a*", "a/b", True),
        ("*b", "a/b", True),
        ("", "", True),
        ("ü%", "über", True),
    ],
)
def test_patterns(pattern: str, name: str, matches: bool) -> None:
    assert names.matcher(pattern)(name) is matches


def test_a_pattern_made_to_be_slow_is_not() -> None:
    matches = names.matcher("*a" * 400 + "b")
    assert not any(matches("a" * 900 + f"{n}") for n in range(50))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_imapclient_spells_as_we_do(text: str) -> None:
    assert utf7.encode(text) == imap_utf7.encode(text)
    assert imap_utf7.decode(utf7.encode(text)) == text
