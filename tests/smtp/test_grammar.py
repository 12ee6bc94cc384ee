"""Paths, parameters and greetings: what is one, what is none, and nothing in between."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.address import Address
from mailsystem.mail.errors import MailError, SyntaxFault
from mailsystem.smtp import grammar


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        (b"FROM:<>", Address.NULL),
        (b"from:<ann@example.org>", Address("ann", "example.org")),
        (b"FROM:<Ann.B+c@EXAMPLE.org>", Address("Ann.B+c", "example.org")),
        (b"FROM: <ann@example.org>", Address("ann", "example.org")),
        (b"FROM:   <ann@example.org>", Address("ann", "example.org")),
        (b"FROM:<!#$%&'*+-/=?^_`{|}~@example.org>", Address("!#$%&'*+-/=?^_`{|}~", "example.org")),
        (b"FROM:<@relay.example:ann@example.org>", Address("ann", "example.org")),
        (b"FROM:<@a.example,@b.example:ann@example.org>", Address("ann", "example.org")),
        (b'FROM:<"ann b"@example.org>', Address("ann b", "example.org")),
        (b'FROM:<"a>b"@example.org>', Address("a>b", "example.org")),
        (b'FROM:<"a@b"@example.org>', Address("a@b", "example.org")),
        (b'FROM:<"a\\"b\\\\c"@example.org>', Address('a"b\\c', "example.org")),
        (b'FROM:<""@example.org>', Address("", "example.org")),
        (b"FROM:<ann@[127.0.0.1]>", Address("ann", "[127.0.0.1]")),
        (b"FROM:<ann@[IPv6:2001:DB8::1]>", Address("ann", "[IPv6:2001:db8::1]")),
        (b"FROM:<ann@localhost>", Address("ann", "localhost")),
        (b"FROM:<a_b@under_score.example>", Address("a_b", "under_score.example")),
        ("FROM:<jörg@bücher.example>".encode(), Address("jörg", "xn--bcher-kva.example")),
        (b"FROM:<" + b"l" * 64 + b"@example.org>", Address("l" * 64, "example.org")),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("more", "rest"), [(b"", b""), (b" SIZE=1 BODY=7BIT", b"SIZE=1 BODY=7BIT"), (b"  X", b"X")])
def test_a_path_is_read_whole(argument: bytes, address: Address, more: bytes, rest: bytes) -> None:
    mailbox, left = grammar.path(argument + more, b"FROM:")
    assert (grammar.sender(mailbox).key, left) == (address.key, rest)
    assert grammar.sender(mailbox).local == address.local
    if address:
        assert grammar.recipient(mailbox) == grammar.sender(mailbox)


@pytest.mark.parametrize(
    "argument",
    [
        b"", b"FROM", b"FROM:", b"FROM: ", b"TO:<ann@example.org>", b"FROM ann@example.org", b"FROM:ann@example.org",
        b"FROM:<ann@example.org", b"FROM:ann@example.org>", b"FROM:<<ann@example.org>>", b"FROM:<ann>",
        b"FROM:<@example.org>", b"FROM:<ann@>", b"FROM:<ann@@example.org>", b"FROM:<a@b@example.org>",
        b"FROM:<ann@example..org>", b"FROM:<.ann@example.org>", b"FROM:<ann.@example.org>", b"FROM:<a..b@example.org>",
        b"FROM:<an n@example.org>", b"FROM:<ann@exam ple.org>", b"FROM:<ann@-example.org>", b"FROM:<ann@example-.org>",
        b"FROM:<ann@example.org>SIZE=1", b"FROM:<ann@example.org>\tSIZE=1", b"FROM:<ann@example.org>,",
        b"FROM:<(comment)ann@example.org>", b'FROM:<"ann@example.org>', b'FROM:<"a"b@example.org>',
        b"FROM:<ann@[127.0.0.256]>", b"FROM:<ann@[IPv6:1]>", b"FROM:<ann@[nonsense]>", b"FROM:<ann@127.0.0.1]>",
        b"FROM:<relay.example:ann@example.org>", b"FROM:<@relay.example>", b"FROM:<@relay.example:>",
        b"FROM:<a\0b@example.org>", b"FROM:<a\tb@example.org>", b"FROM:<a\xffb@example.org>", b"FROM:<\xe4@example.org>",
        b'FROM:<"a\0b"@example.org>', b"FROM:<" + b"l" * 65 + b"@example.org>", b"FROM:<a@" + b"d" * 64 + b".org>",
        b"FROM:<a@" + b"d." * 130 + b"org>", b"FROM:<>ann@example.org", b"FROM:< >", b"FROM:\t<ann@example.org>",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_path_is_a_syntax_fault(argument: bytes) -> None:
    def both() -> None:
        mailbox, rest = grammar.path(argument, b"FROM:")
        grammar.sender(mailbox)
        grammar.parameters(rest)

    with pytest.raises(SyntaxFault):
        both()


def test_the_null_path_receives_nothing() -> None:
    mailbox, _ = grammar.path(b"TO:<>", b"TO:")
    with pytest.raises(SyntaxFault):
        grammar.recipient(mailbox)


@pytest.mark.parametrize("name", [b"Postmaster", b"postmaster", b"POSTMASTER"])
def test_the_postmaster_needs_no_domain(name: bytes) -> None:
    mailbox, _ = grammar.path(b"TO:<" + name + b">", b"TO:")
    assert grammar.recipient(mailbox).key == "postmaster"
    with pytest.raises(SyntaxFault):
        grammar.sender(mailbox)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        (b"", {}),
        (b"SIZE=1000", {"SIZE": "1000"}),
        (b"size=1 Body=8bitmime SMTPUTF8", {"SIZE": "1", "BODY": "8bitmime", "SMTPUTF8": None}),
        (b" SIZE=1   BODY=7BIT ", {"SIZE": "1", "BODY": "7BIT"}),
        (b"ENVID=QQ314159 AUTH=<>", {"ENVID": "QQ314159", "AUTH": "<>"}),
        (b"AUTH=e+3Dmc2@example.com", {"AUTH": "e+3Dmc2@example.com"}),
        (b"MT-PRIORITY=3", {"MT-PRIORITY": "3"}),
        ("X=ü".encode(), {"X": "ü"}),
    ],
    ids=repr,
)
def test_parameters_are_read(text: bytes, parameters: dict[str, str | None]) -> None:
    assert grammar.parameters(text) == parameters


@pytest.mark.parametrize(
    "text",
    [b"=1", b"SIZE=", b"SIZE=1=2", b"-X=1", b"S_Z=1", b"SIZE=1 size=2", b"X=\0", b"X=\xff", b"\xc3\xbc=1", b"X=\x7f"],
)
def test_bad_parameters_are_syntax_faults(text: bytes) -> None:
    with pytest.raises(SyntaxFault):
        grammar.parameters(text)


def test_values_of_parameters_are_read() -> None:
    assert grammar.size("0") == 0
    assert grammar.size("9" * 20) == int("9" * 20)
    assert grammar.body("8bitmime") == "8BITMIME"
    assert grammar.body("7BIT") == "7BIT"
    assert grammar.body("BinaryMime") == "BINARYMIME"
    assert grammar.nothing(None) is True
    grammar.auth("<>")
    grammar.auth("e+3Dmc2@example.com")


@pytest.mark.parametrize("value", [None, "", "-1", "+1", "1.5", "1e3", "9" * 21, "١", "many"])
def test_a_bad_size_is_a_syntax_fault(value: str | None) -> None:
    with pytest.raises(SyntaxFault):
        grammar.size(value)


@pytest.mark.parametrize("value", [None, "", "BINARY", "8BIT"])
def test_a_bad_body_is_a_syntax_fault(value: str | None) -> None:
    with pytest.raises(SyntaxFault):
        grammar.body(value)


@pytest.mark.parametrize("value", [None, "a+3d", "a+", "a=b", "ü"])
def test_a_bad_auth_is_a_syntax_fault(value: str | None) -> None:
    with pytest.raises(SyntaxFault):
        grammar.auth(value)


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        (b"client.example", "client.example"),
        (b" client.example ", "client.example"),
        (b"[127.0.0.1]", "[127.0.0.1]"),
        (b"[IPv6:::1]", "[IPv6:::1]"),
        (b"under_score", "under_score"),
        (b"my pc", "my?pc"),
        (b"evil) by (other", "evil??by??other"),
        (b"a\0b\xff\xc3\xbc", "a?b??"),
    ],
)
def test_a_greeting_may_be_anything_and_is_made_harmless(argument: bytes, name: str) -> None:
    assert grammar.greeting(argument) == name


@pytest.mark.parametrize("argument", [b"", b"  ", b"x" * 256])
def test_a_greeting_without_a_name_is_a_syntax_fault(argument: bytes) -> None:
    with pytest.raises(SyntaxFault):
        grammar.greeting(argument)


words = st.sampled_from(
    [
        b"FROM:",
        b"TO:",
        b"<",
        b">",
        b"@",
        b'"',
        b"\\",
        b":",
        b",",
        b" ",
        b"a",
        b"example.org",
        b"[",
        b"]",
        b"=",
        b"SIZE",
        b"\xc3\xbc",
    ]
)


@given(st.lists(words | st.binary(max_size=3), max_size=20).map(b"".join))
def test_garbage_is_a_value_or_a_mail_error_and_nothing_else(argument: bytes) -> None:
    for reading in (
        lambda: grammar.sender(grammar.path(b"FROM:" + argument, b"FROM:")[0]),
        lambda: grammar.recipient(grammar.path(b"TO:<" + argument, b"TO:")[0]),
        lambda: grammar.path(argument, b"TO:"),
        lambda: grammar.parameters(argument),
        lambda: grammar.greeting(argument),
    ):
        try:
            value = reading()
        except MailError:
            continue
        if isinstance(value, Address) and value.domain:
            assert Address.parse(str(value)) == value


@given(st.text(max_size=30))
def test_garbage_in_values_is_a_syntax_fault_and_nothing_else(value: str) -> None:
    for reading in (grammar.size, grammar.body, grammar.nothing, grammar.auth):
        with contextlib.suppress(SyntaxFault):
            reading(value)
