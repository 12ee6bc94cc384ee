"""Header fields and structured values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsystem.mail import header
from mailsystem.mail.header import (
    MAX_ADDRESSES,
    MAX_PARAMETERS,
    Mailbox,
    Text,
    addresses,
    fields,
    media_type,
    of_structure,
    parameter,
    token,
    unfolded,
    without_comments,
)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", []),
        (b"\r\n", []),
        (b"A: b\r\n\r\n", [(b"A", b" b")]),
        (b"A: b\nC:d", [(b"A", b" b"), (b"C", b"d")]),
        (b"A: b\r\n c\r\n\td\r\nE:\r\n\r\n", [(b"A", b" b\r\n c\r\n\td"), (b"E", b"")]),
        (b"A : b\r\n", [(b"A", b" b")]),
        (b"From ann Mon\r\n>From: x\r\nA: b\r\n", [(b">From", b" x"), (b"A", b" b")]),
        (b" lost\r\nno field\r\nA: b\r\n: x\r\n", [(b"A", b" b")]),
        (b"A: 1\r\nA: 2\r\na: 3\r\n", [(b"A", b" 1"), (b"A", b" 2"), (b"a", b" 3")]),
        (b"A: \xff\0\r x\r\n", [(b"A", b" \xff\0\r x")]),
        (b"A: b:c\r\n", [(b"A", b" b:c")]),
    ],
)
def test_fields_are_split_and_keep_their_folds(head: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert fields(head) == expected


NAMES = st.text("ABCxyz-09", min_size=1, max_size=8).map(str.encode)
VALUES = st.lists(st.text("ab :;\t=?", max_size=8).map(str.encode), min_size=1, max_size=3).map(b"\r\n ".join)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_a_clean_header_block_comes_back_from_its_fields(made: list[tuple[bytes, bytes]]) -> None:
    head = b"".join(name + b":" + value + b"\r\n" for name, value in made)
    assert fields(head + b"\r\n") == made


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b" a\r\n b\r\n\tc ", b"a b\tc"), (b"a\n b", b"a b"), (b"a\nb", b"a b"), (b"\r\n \r\n ", b""), (b" a\r", b"a")],
)
def test_unfolding_takes_the_line_breaks_out(value: bytes, expected: bytes) -> None:
    assert unfolded(value) == expected


def test_the_first_of_each_field_counts_whatever_its_case() -> None:
    head = b"SUBJECT : one\r\n two\r\nSubject: three\r\nX-Other: x\r\nfrom:a\r\nTo:\r\nCc b@c\r\n\r\n"
    assert of_structure(head) == {b"subject": b"one two", b"from": b"a", b"to": b""}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a", b"a"),
        (b"a(b)c", b"a c"),
        (b"a(b(c)d)e(f)", b"a e "),
        (b'"(" (x) ")"', b'"("   ")"'),
        (b"a(never closed", b"a"),
        (b"a(b\\)c)d", b"a d"),
        (b"a)b(\\", b"a)b"),
        (b'a"b(c', b'a"b(c'),
        (b"(it's a \" here)b", b" b"),
        (b'"\\"(" (x)', b'"\\"("  '),
    ],
)
def test_comments_become_a_space(value: bytes, expected: bytes) -> None:
    assert without_comments(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/plain", ("text", "plain", [])),
        (b" TEXT / Plain ;Charset = x ", ("text", "plain", [(b"Charset", b"x")])),
        (b'a/b; c="d;\\"e"; f=g h ;i="j', ("a", "b", [(b"c", b'd;"e'), (b"f", b"g h"), (b"i", b"j")])),
        (b"a/b (c) ; (d) e=f (g)", ("a", "b", [(b"e", b"f")])),
        (b"a/b;;; c=d;e;=f;g=", ("a", "b", [(b"c", b"d"), (b"g", b"")])),
        (b"a/b c=d", ("a", "b", [])),
        (b"image/svg+xml", ("image", "svg+xml", [])),
        (b"text", None),
        (b"", None),
        (b"/plain", None),
        (b"text/", None),
        (b"text/pl@in", None),
        (b'"text"/plain', None),
        (b"x" * 128 + b"/plain", None),
        (b"t\xe4xt/plain", None),
    ],
)
def test_a_media_type_is_read(value: bytes, expected: object) -> None:
    assert media_type(value) == expected


def test_a_token_is_read_with_its_parameters() -> None:
    assert token(b"(c) Attachment; filename=x") == ("attachment", [(b"filename", b"x")])
    assert token(b"") is None
    assert token(b"@") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a/b", None),
        (b"a/b; NAME=x; name=y", Text(b"x", None)),
        (b"a/b; name*=utf-8'en'%e2%82%ac%20rates; name=plain", Text("€ rates".encode(), "utf-8")),
        (b"a/b; name*0=a; name*1=b; name*3=d", Text(b"ab", None)),
        (b"a/b; name*1*=%20b; name*0*=UTF-8''a; name*2=\"c%20\"", Text(b"a bc%20", "utf-8")),
        (b"a/b; name*1=b; name=x", Text(b"x", None)),
        (b"a/b; name*=no-quotes%41", Text(b"no-quotesA", None)),
        (b"a/b; name*=''%", Text(b"%", None)),
        (b"a/b; name*0*=utf-8''a'b; name*1*=c'd'e", Text(b"a'bc'd'e", "utf-8")),
        (b"a/b; names=x; nam=y", None),
    ],
)
def test_a_parameter_is_put_together(value: bytes, expected: Text | None) -> None:
    read = media_type(value)
    assert read is not None
    assert parameter(read[2], b"name") == expected


def test_parameters_are_bounded() -> None:
    read = media_type(b"a/b" + b"; x=y" * 10_000)
    assert read is not None
    assert len(read[2]) == MAX_PARAMETERS


COMMENTED = (
    b"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
    b"         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)"
)
GROUP_END = Mailbox(None, None, None, None)


def one(mailbox: bytes, host: bytes, name: bytes | None = None, route: bytes | None = None) -> Mailbox:
    return Mailbox(name, route, mailbox, host)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", []),
        (b" , ,", []),
        (b"ann@example.org", [one(b"ann", b"example.org")]),
        (b"<ann@example.org>", [one(b"ann", b"example.org")]),
        (b"Ann  Lee <ann@example.org>", [one(b"ann", b"example.org", b"Ann Lee")]),
        (b'"Lee, Ann" <ann@example.org>,b@c', [one(b"ann", b"example.org", b"Lee, Ann"), one(b"b", b"c")]),
        (b"ann@[192.0.2.1]", [one(b"ann", b"[192.0.2.1]")]),
        # RFC 5322 A.1 to A.6
        (
            b'"Joe Q. Public" <john.q.public@example.com>',
            [one(b"john.q.public", b"example.com", b"Joe Q. Public")],
        ),
        (
            b'<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
            [one(b"boss", b"nil.test"), one(b"sysservices", b"example.net", b'Giant; "Big" Box')],
        ),
        (
            b"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
            [
                Mailbox(None, None, b"A Group", None),
                one(b"c", b"a.test", b"Ed Jones"),
                one(b"joe", b"where.test"),
                one(b"jdoe", b"one.test", b"John"),
                GROUP_END,
            ],
        ),
        (b"Undisclosed recipients:;", [Mailbox(None, None, b"Undisclosed recipients", None), GROUP_END]),
        (
            b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            [one(b"pete", b"silly.test", b"Pete")],
        ),
        (
            COMMENTED,
            [
                Mailbox(None, None, b"A Group", None),
                one(b"c", b"public.example", b"Chris Jones"),
                one(b"joe", b"example.org"),
                one(b"jdoe", b"one.test", b"John"),
                GROUP_END,
            ],
        ),
        (
            b"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
            [Mailbox(None, None, b"Hidden recipients", None), GROUP_END],
        ),
        (b"Joe Q. Public <john.q.public@example.com>", [one(b"john.q.public", b"example.com", b"Joe Q. Public")]),
        (
            b"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
            [one(b"mary", b"example.net", b"Mary Smith", b"@node.test"), one(b"jdoe", b"test.example")],
        ),
        (b"<@a,@b:c@d>", [one(b"c", b"d", None, b"@a,@b")]),
        (b"g(x): a@b;", [Mailbox(None, None, b"g", None), one(b"a", b"b"), GROUP_END]),
        (b"ann@example.org (Ann Lee)", [one(b"ann", b"example.org", b"Ann Lee")]),
        (b'"a b"@c, "d@e" <f@g>', [one(b"a b", b"c"), one(b"f", b"g", b"d@e")]),
        # not RFC 5322 at all
        (b"MAILER-DAEMON", [one(b"MAILER-DAEMON", b"")]),
        (b"<MAILER-DAEMON>", [one(b"MAILER-DAEMON", b"")]),
        (b"Ann <>", [one(b"", b"", b"Ann")]),
        (b"Ann Lee ann@example.org", [one(b"ann", b"example.org", b"Ann Lee")]),
        (b"Ann <ann@example.org", [one(b"ann", b"example.org", b"Ann")]),
        (b"Ann <<ann@example.org>>", [one(b"ann", b"example.org", b"Ann")]),
        (b"Ann <ann@a> Bob <bob@b>", [one(b"ann", b"a", b"Ann"), one(b"bob", b"b")]),
        (b"ann@a and more, bob@b", [one(b"ann", b"a"), one(b"bob", b"b")]),
        (b"a@b@c", [one(b"a", b"b@c")]),
        (b"a@b; c@d", [one(b"a", b"b"), one(b"c", b"d")]),
        (b"g: a@b, c@d", [Mailbox(None, None, b"g", None), one(b"a", b"b"), one(b"c", b"d"), GROUP_END]),
        ("Jörg <joerg@example.org>".encode(), [one(b"joerg", b"example.org", "Jörg".encode())]),
        (b"=?utf-8?q?J=C3=B6rg?= <j@example.org>", [one(b"j", b"example.org", b"=?utf-8?q?J=C3=B6rg?=")]),
        (b"[List] <list@example.org>", [one(b"list", b"example.org", b"[List]")]),
    ],
)
def test_an_address_list_is_read(value: bytes, expected: list[Mailbox]) -> None:
    assert addresses(value) == expected


WORDS = st.sampled_from([b"Ann", b"Q.", b"=?x?q?y?=", b"O'Neil", b'"Lee, A."', b'""', b" ", b"  ", b"\t"])
SPECS = st.sampled_from([b"a@b", b"a.b@c.d", b"x+y@[192.0.2.1]", b"a.@b.", b"a..b@c", b"a@b@c", b"a", b"@b"])
WRITTEN = st.tuples(st.lists(WORDS, max_size=3).map(b"".join), SPECS).map(lambda pair: b"%b<%b>" % pair) | SPECS


@given(st.lists(WRITTEN, max_size=4).map(b" , ".join))
@settings(max_examples=300)
def test_the_quick_way_reads_what_the_thorough_way_reads(value: bytes) -> None:
    assert addresses(value) == header._all_addresses(value)


@given(st.lists(st.sampled_from(list(b'ab"\\()<>@,;:. \t[]')), max_size=30).map(bytes) | st.binary(max_size=30))
@settings(max_examples=500)
def test_garbage_gives_addresses_with_balanced_groups(value: bytes) -> None:
    depth = 0
    for address in addresses(value):
        if address.host is None:
            depth += 1 if address.mailbox is not None else -1
        else:
            assert address.mailbox is not None
        assert depth in (0, 1)
    assert depth == 0


@pytest.mark.parametrize("item", [b"a@b,", b"a,", b"g:;", b"(c)a@b,", b"<a@b>"])
def test_addresses_are_bounded(item: bytes) -> None:
    assert MAX_ADDRESSES <= len(addresses(item * 100_000)) <= MAX_ADDRESSES + 2
