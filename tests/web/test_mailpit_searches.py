"""Mailpit's searches, as they are understood here."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.query import Attached, Body, Field, Id, either
from mailsystem.mail.tags import cleaned, keyword_of, tags_of
from mailsystem.web.mailpit.translating import people_in, translated, words_of, zone_of

NOW = 1_795_000_000.0


def anywhere(word: str) -> str:
    """A word that stands alone: in the text, in a field that was written by hand, in the name of a file."""
    fields = (Field(name, word) for name in ("subject", "from", "to", "cc", "bcc", "reply-to", "return-path"))
    return str(either(Body(word), *fields, Attached(word)))


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ("one two", ["one", "two"]),
        ('  "one two"  three ', ["one two", "three"]),
        ('subject:"two words" -from:"a b"', ["subject:two words", "-from:a b"]),
        ('never"closed here', ["neverclosed here"]),
        ('""', [""]),
        ("", []),
    ],
)
def test_quotes_hold_words_together_wherever_they_stand(search: str, words: list[str]) -> None:
    assert words_of(search) == words


@pytest.mark.parametrize(
    ("search", "meant"),
    [
        ("needle", anywhere("needle")),
        ('"two words"', anywhere("two words")),
        ("!needle", f"-({anywhere('needle')})"),
        ("-subject:Hi", "-subject:Hi"),
        ("subject:Hi there", f"subject:Hi ({anywhere('there')})"),
        ("re*", anywhere("re*").removesuffix(" OR attachment:re*")),
        ("from:shop@shop.test", "from:shop@shop.test"),
        ("TO:ann", "to:ann"),
        ("reply-to:x cc:y", "reply-to:x cc:y"),
        ("message-id:1@shop", "message-id:1@shop"),
        ('tag:"Tag 1"', "tag:Tag~1"),
        ("is:read", "is:read"),
        ("-is:read", "is:unread"),
        ("is:unread", "is:unread"),
        ("!is:tagged", "-is:tagged"),
        ("has:attachments", "has:attachment"),
        ("has:inlines", "has:inline"),
        ("larger:2k", "larger:2048"),
        ("smaller:1.5MB", "smaller:1572864"),
        ("larger:much", anywhere("larger:much")),
        ("after:2026-01-31", "since:2026-01-31T00:00:00Z"),
        ("-after:2026-01-31", "before:2026-01-31T00:00:00Z"),
        ("before:1795000000", "before:2026-11-18T11:06:40Z"),
        ("before:1795000000123", "before:2026-11-18T11:06:40.123000Z"),
        ('before:"31 Jan 2026"', "before:2026-01-31T00:00:00Z"),
        ('after:"Fri, 27 Nov 2026 12:00:00 +0100"', "since:2026-11-27T11:00:00Z"),
        ("to: needle", f"({anywhere('to:')}) ({anywhere('needle')})"),
        ("OR (x)", f"({anywhere('OR')}) ({anywhere('(x)')})"),
    ],
)
def test_each_word_becomes_a_condition(search: str, meant: str) -> None:
    assert str(translated(search, now=NOW)) == meant


def test_days_begin_where_the_one_who_asks_is() -> None:
    there = zone_of("America/Chicago")
    assert isinstance(there, zoneinfo.ZoneInfo)
    assert str(translated("after:2026-01-31", now=NOW, tz=there)) == "since:2026-01-31T06:00:00Z"
    assert zone_of("Nowhere/Else") is zone_of("../../etc/passwd") is zone_of("") is datetime.UTC


@pytest.mark.parametrize("search", ["before:yesteryear", "after:2026-99-99", "", "- ! &", '"'])
def test_what_cannot_be_asked_finds_nothing_rather_than_everything(search: str) -> None:
    with pytest.raises(SyntaxFault):
        translated(search, now=NOW)


def test_a_search_is_bounded() -> None:
    with pytest.raises(SyntaxFault, match="words"):
        translated("a " * 300, now=NOW)
    with pytest.raises(SyntaxFault, match="characters"):
        translated("a" * 5000, now=NOW)


def test_blind_copies_are_found_by_whom_they_went_to() -> None:
    search = 'addressed:"kim@shop.test" -bcc:bob@shop.test to:ann@shop.test'
    assert people_in(search) == ["kim@shop.test", "bob@shop.test"]
    query = translated(search, now=NOW, blind={"kim@shop.test": Id("M1")})
    assert str(query) == "(addressed:kim@shop.test OR id:M1) -bcc:bob@shop.test to:ann@shop.test"


def test_a_tag_is_a_keyword() -> None:
    assert keyword_of(" Tag  1 ") == "Tag~1"
    assert keyword_of("a/b*c(d)") == "a~b~c~d"
    assert keyword_of("äöü") is None
    assert len(cleaned("x" * 300)) == 100
    flags = [keyword_of("b B"), keyword_of("a"), "\\Seen", "$Forwarded"]
    assert tags_of(flags) == ["a", "b B"]  # type: ignore[arg-type]
