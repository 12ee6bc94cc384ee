"""Queries: what is read of them, what is said of what cannot be read, and that each has one spelling."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsystem.mail.query import (
    EVERYTHING,
    Addressed,
    And,
    Attached,
    AttachedType,
    Before,
    Body,
    Enveloped,
    Field,
    Has,
    Id,
    In,
    Is,
    Larger,
    Leaf,
    Not,
    Or,
    Query,
    QueryFault,
    Since,
    Smaller,
    Tag,
    Text,
    either,
    every,
    explain,
    globbed,
    leaves,
    negated,
    parse,
)
from mailsystem.mail.query.values import FIELDS, STATES

NOW = 1_767_225_600.0 + 43_200.25  # 2026-01-01T12:00:00.25Z
DAY = 86_400.0
MIDNIGHT = 1_767_225_600.0


def read(text: str) -> Query:
    return parse(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", EVERYTHING),
        ("  ", EVERYTHING),
        ("*", EVERYTHING),
        ('""', EVERYTHING),
        ('"*"', Text("*")),
        ("hello", Text("hello")),
        ('"hello world"', Text("hello world")),
        ('hel"lo wor"ld', Text("hello world")),
        (r'"a \"b\" \\ \c"', Text(r'a "b" \ \c')),
        ("hello world", And((Text("hello"), Text("world")))),
        ("hello AND world", And((Text("hello"), Text("world")))),
        ("hello hello", Text("hello")),
        ("a OR b c", Or((Text("a"), And((Text("b"), Text("c")))))),
        ("(a OR b) c", And((Or((Text("a"), Text("b"))), Text("c")))),
        ("a (b (c d))", And((Text("a"), Text("b"), Text("c"), Text("d")))),
        ("a OR (b OR c)", Or((Text("a"), Text("b"), Text("c")))),
        ("foo(bar)", And((Text("foo"), Text("bar")))),
        ("or and not", And((Text("or"), Text("and"), Text("not")))),
        ('"OR" "NOT"', And((Text("OR"), Text("NOT")))),
        ("-a !b NOT c", And((Not(Text("a")), Not(Text("b")), Not(Text("c"))))),
        ("--a", Text("a")),
        ("-(a b)", Not(And((Text("a"), Text("b"))))),
        ('-"a b"', Not(Text("a b"))),
        ("a - b ! c", And((Text("a"), Text("-"), Text("b"), Text("!"), Text("c")))),
        ("a-b a!b", And((Text("a-b"), Text("a!b")))),
        ("from:ann", Addressed("from", "ann")),
        ("FROM:Ann", Addressed("from", "Ann")),
        ('to:"Ann Lee"', Addressed("to", "Ann Lee")),
        ("to:<ann@shop.test>", Addressed("to", "ann@shop.test")),
        ("cc:a bcc:b", And((Addressed("cc", "a"), Addressed("bcc", "b")))),
        ("reply-to:a addressed:b", And((Addressed("reply-to", "a"), Addressed("addressed", "b")))),
        ("envelope-from:ann@shop.test", Enveloped("envelope-from", "ann@shop.test")),
        ("Envelope-To:<ann@shop.test>", Enveloped("envelope-to", "ann@shop.test")),
        ("envelope-from:<>", Enveloped("envelope-from", "<>")),
        ("subject:hello", Field("subject", "hello")),
        ("message-id:<1@x>", Field("message-id", "<1@x>")),
        ("header:X-Mailer", Field("x-mailer", "")),
        ("header:X-Mailer=", Field("x-mailer", "")),
        ("header:X-Mailer=a=b", Field("x-mailer", "a=b")),
        ('header:X-Mailer="a b"', Field("x-mailer", "a b")),
        ('header:"X-Mailer=a b"', Field("x-mailer", "a b")),
        ("header:Subject=hello", Field("subject", "hello")),
        ("body:hello", Body("hello")),
        ("tag:work", Tag("work")),
        ("is:read", Is("read")),
        ("is:seen", Is("read")),
        ("is:unread", Not(Is("read"))),
        ("-is:unread", Is("read")),
        ("is:pinned", Is("flagged")),
        ("is:Flagged is:answered", And((Is("flagged"), Is("answered")))),
        ("is:draft is:tagged is:deleted", And((Is("draft"), Is("tagged"), Is("deleted")))),
        ("has:attachment", Has("attachment")),
        ("has:attachments", Has("attachment")),
        ("has:inline", Has("inline")),
        ('attachment:"*.pdf"', Attached("*.pdf")),
        ("type:Application/PDF", AttachedType("application/pdf")),
        ("type:image", AttachedType("image/*")),
        ("larger:5M", Larger(5 << 20)),
        ("larger:1.5k", Larger(1536)),
        ("smaller:100", Smaller(100)),
        ("smaller:2GB larger:1MiB", And((Smaller(2 << 30), Larger(1 << 20)))),
        ("before:2026-01-01", Before(MIDNIGHT)),
        ("since:2026-01-01", Since(MIDNIGHT)),
        ("after:2026/1/1", Since(MIDNIGHT)),
        ("on:2026-01-01", And((Since(MIDNIGHT), Before(MIDNIGHT + DAY)))),
        ("on:yesterday", And((Since(MIDNIGHT - DAY), Before(MIDNIGHT)))),
        ("since:today", Since(MIDNIGHT)),
        ("since:now", Since(NOW)),
        ("-since:today", Before(MIDNIGHT)),
        ("since:2026-01-01T09:30", Since(MIDNIGHT + 9.5 * 3600)),
        ("since:2026-01-01T09:30:00.5+02:00", Since(MIDNIGHT + 7.5 * 3600 + 0.5)),
        ('since:"2026-01-01 09:30Z"', Since(MIDNIGHT + 9.5 * 3600)),
        ("since:5m", Since(NOW - 300)),
        ("since:2h before:1w", And((Since(NOW - 7200), Before(NOW - 7 * DAY)))),
        ("before:30s", Before(NOW - 30)),
        ("in:INBOX", In("INBOX")),
        ('in:"My Mail/2026"', In("My Mail/2026")),
        ("id:M12", Id("M12")),
        ("Re: hello", And((Text("Re:"), Text("hello")))),
        ("https://shop.test/reset?a=1", Text("https://shop.test/reset?a=1")),
        ("12:30", Text("12:30")),
        ('"from:ann"', Text("from:ann")),
    ],
)
def test_what_is_read(text: str, query: Query) -> None:
    assert read(text) == query
    assert read(str(query)) == query


def test_days_begin_where_one_lives() -> None:
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    assert parse("since:2026-01-01", now=NOW, tz=tokyo) == Since(MIDNIGHT - 9 * 3600)
    assert parse("since:2026-01-01T09:00", now=NOW, tz=tokyo) == Since(MIDNIGHT)
    # In UTC it is noon still, and there the next day.
    assert parse("since:today", now=MIDNIGHT + 20 * 3600, tz=tokyo) == Since(MIDNIGHT + 15 * 3600)


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ('"hello', 0, "this quote is never closed"),
        ('a subject:"hello', 10, "this quote is never closed"),
        ("a (b", 2, 'this "(" is never closed'),
        ("a) b", 1, 'there is no "(" for this ")"; to look for it, put it in quotes'),
        ("a ()", 2, "there is nothing in these parentheses"),
        ("(a OR )", 6, "something is missing after OR; to look for it, put it in quotes"),
        ("OR a", 0, "something is missing before OR; to look for it, put it in quotes"),
        ("a OR", 4, "something is missing after OR; to look for it, put it in quotes"),
        ("a OR OR b", 5, "something is missing after OR; to look for it, put it in quotes"),
        ("a NOT", 5, "what is it that should not be so?"),
        ("(", 0, 'this "(" is never closed'),
        (")", 0, 'there is no "(" for this ")"; to look for it, put it in quotes'),
        ("a form:ann", 2, 'there is no "form:"; did you mean "from:"? to look for it as text, put it in quotes'),
        ("zzz:ann", 0, 'there is no "zzz:"; to look for it as text, put it in quotes'),
        ("from: ann", 0, "from: must be followed by what to look for"),
        ('from:" "', 0, "from: must be followed by what to look for"),
        ("header:", 0, "header: must be followed by what to look for"),
        ('header:"X Y"', 0, "header: must be followed by the name of a field, as in header:X-Mailer=text"),
        ("is:red", 0, "is: may be followed by unread, read, flagged, answered, draft, deleted, tagged or pinned"),
        ("has:wings", 0, "has: may be followed by attachment or inline"),
        ("type:a/b/c", 0, "type: must be followed by a media type, as in type:application/pdf or type:image/*"),
        ("larger:x", 0, "a size is a number of octets, or of K, M or G, as in larger:5M"),
        ("since:31.1.", 0, "a time is a day (2026-01-31, today), a moment (2026-01-31T09:30) or an age (5m, 2h, 3d)"),
        ("on:5m", 0, "on: must be followed by a day, as in on:2026-01-31 or on:yesterday"),
        ("since:9999999999y", 0, "no calendar goes so far"),
        ("since:0001-01-01", 0, "no calendar goes so far"),
    ],
)
def test_what_cannot_be_read(text: str, position: int, told: str) -> None:
    with pytest.raises(QueryFault) as caught:
        read(text)
    assert (caught.value.position, str(caught.value)) == (position, told)


@pytest.mark.parametrize("day", ["2026-02-30", "2026-13-01", "2026-01-01T25:00"])
def test_a_day_that_is_in_no_calendar(day: str) -> None:
    with pytest.raises(QueryFault, match="there is no such day or time"):
        read(f"before:{day}")


def test_what_is_too_much() -> None:
    for text in ["x" * 4097, "a " * 201, "(" * 50 + "a" + ")" * 50]:
        with pytest.raises(QueryFault):
            read(text)
    assert read("-" * 4000 + "a") == Text("a")
    assert read("(" * 40 + "a" + ")" * 40) == Text("a")
    assert read("a OR b AND " * 60 + "c")


ANY_TEXT = st.one_of(
    st.text(st.sampled_from('ab:"\\()-!* \t\n@=/é漢'), min_size=1, max_size=12),
    st.sampled_from(["OR", "AND", "NOT", "*", "from:ann", "-a", "ann@shop.test", "@shop.test", "Re:", "http://x"]),
)
VALUE = ANY_TEXT.filter(lambda text: bool(text.strip()))
MOMENT = st.integers(-3_000_000_000_000_000, 200_000_000_000_000_000).map(lambda micros: micros / 1_000_000)
LEAVES: st.SearchStrategy[Leaf] = st.one_of(
    st.builds(Text, ANY_TEXT),
    st.builds(Body, VALUE),
    st.builds(
        Addressed,
        st.sampled_from(sorted(FIELDS)),
        VALUE.filter(lambda who: not (who.startswith("<") and who.endswith(">"))),
    ),
    st.builds(
        Enveloped,
        st.sampled_from(["envelope-from", "envelope-to"]),
        VALUE.filter(lambda who: who == "<>" or not (who.startswith("<") and who.endswith(">"))),
    ),
    st.builds(Field, st.sampled_from(["subject", "message-id", "from", "x-mailer"]), st.one_of(st.just(""), VALUE)),
    st.builds(Tag, VALUE),
    st.builds(Is, st.sampled_from(STATES)),
    st.builds(Has, st.sampled_from(["attachment", "inline"])),
    st.builds(Attached, VALUE),
    st.builds(AttachedType, st.sampled_from(["image/*", "application/pdf"])),
    st.builds(Larger, st.integers(0, 1 << 36)),
    st.builds(Smaller, st.integers(0, 1 << 36)),
    st.builds(Since, MOMENT),
    st.builds(Before, MOMENT),
    st.builds(In, VALUE),
    st.builds(Id, VALUE),
)
QUERIES: st.SearchStrategy[Query] = st.recursive(
    st.one_of(LEAVES, st.just(EVERYTHING)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=0, max_size=3).map(lambda parts: every(*parts)),
        st.lists(inner, min_size=0, max_size=3).map(lambda parts: either(*parts)),
        inner.map(negated),
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(QUERIES)
def test_every_query_has_one_spelling(query: Query) -> None:
    assert read(str(query)) == query


@given(st.text(st.sampled_from('ab:"\\()-! OR*=@fromtissubject'), max_size=40))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    try:
        query = read(text)
    except QueryFault as caught:
        assert 0 <= caught.position <= len(text)  # noqa: PT017
    else:
        assert read(str(query)) == query
        assert explain(query).endswith(".")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "All messages."),
        ("-*", "No messages."),
        ("from:ann@shop.test is:unread", "Messages that are from ann@shop.test and are not read."),
        ("to:@shop.test", "Messages that are to somebody at shop.test."),
        ("cc:ann", "Messages that are copied to somebody with “ann” in name or address."),
        ("envelope-from:<>", "Messages that have no sender in their envelope."),
        ("-envelope-to:@b.test", "Messages that do not have somebody at b.test as a recipient in their envelope."),
        ("envelope-from:ann@shop.test", "Messages that have ann@shop.test as a sender in their envelope."),
        ("a OR b c", "Messages that say “a” anywhere or (say “b” anywhere and say “c” anywhere)."),
        ("-(a OR is:draft)", "Messages that do not say “a” anywhere and are not drafts."),
        ("-(since:2026-01-01 -subject:x)", "Messages that came before 2026-01-01 UTC or have “x” in the subject."),
        ("larger:5M -smaller:10", "Messages that are larger than 5 MiB and are not smaller than 10 octets."),
        ("header:X-A -header:x=y", "Messages that have a header field X-A and do not have “y” in the header field X."),
        ("attachment:*.pdf -has:inline", "Messages that have a file named like “*.pdf” and do not have something inline."),
        ("before:2026-01-01T10:30 in:Sent", "Messages that came before 2026-01-01 10:30:00 UTC and are in the mailbox “Sent”."),
    ],
)  # fmt: skip
def test_a_query_is_told_in_a_sentence(text: str, told: str) -> None:
    assert explain(read(text)) == told


def test_whole_addresses_and_domains_are_known() -> None:
    assert str(Addressed("to", "Ann@Shop.Test").address) == "Ann@shop.test"
    assert Addressed("to", "ann@").address is None
    assert Addressed("to", "@Bücher.test").domain == "xn--bcher-kva.test"
    assert Addressed("to", "ann").domain is None
    assert Addressed("to", "@a b").domain is None


@pytest.mark.parametrize(
    ("pattern", "text", "is_like"),
    [
        ("*.pdf", "a.pdf", True),
        ("*.pdf", "a.pdf.exe", False),
        ("a*b*c", "a-b-b-c", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*", "", True),
        ("", "", True),
        ("**a**", "ba", True),
        ("a[b]", "a[b]", True),
    ],
)
def test_patterns(pattern: str, text: str, is_like: bool) -> None:
    assert globbed(pattern, text) is is_like


def test_the_leaves_of_a_query() -> None:
    assert list(leaves(read("a -(b OR c)"))) == [Text("a"), Text("b"), Text("c")]
    assert not list(leaves(EVERYTHING))
