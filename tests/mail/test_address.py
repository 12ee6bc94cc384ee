"""Addresses: one spelling of each, and nothing that could break out of a line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsystem.mail.address import MAX_PATH, REMEMBERED, Address, _key, _parsed, _path, normal_domain
from mailsystem.mail.errors import SyntaxFault


@pytest.mark.parametrize(
    ("written", "local", "domain"),
    [
        ("ann@example.org", "ann", "example.org"),
        ("Ann.Lee+x@Example.ORG", "Ann.Lee+x", "example.org"),
        ('"a b"@example.org', "a b", "example.org"),
        ('"a\\"b\\\\"@example.org', 'a"b\\', "example.org"),
        ('"ann"@example.org', "ann", "example.org"),
        ('""@example.org', "", "example.org"),
        ('"a@b"@example.org', "a@b", "example.org"),
        ("jörg@example.org", "jörg", "example.org"),
        ("ann@bücher.example", "ann", "xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann", "xn--bcher-kva.example"),
        ("ann@faß.example", "ann", "xn--fa-hia.example"),
        ("ann@Faß.BÜCHER.example", "ann", "xn--fa-hia.xn--bcher-kva.example"),
        ("ann@βόλος.example", "ann", "xn--nxasmm1c.example"),
        ("ann@ΒΌΛΟΣ.example", "ann", "xn--nxasmq6b.example"),
        ("ann@[192.0.2.1]", "ann", "[192.0.2.1]"),
        ("ann@[IPv6:2001:DB8:0:0::1]", "ann", "[IPv6:2001:db8::1]"),
        ("ann@localhost", "ann", "localhost"),
        ("x" * 64 + "@example.org", "x" * 64, "example.org"),
    ],
)
def test_an_address_is_read_into_one_spelling(written: str, local: str, domain: str) -> None:
    address = Address.parse(written)
    assert (address.local, address.domain) == (local, domain)
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "written",
    ["", "ann", "@example.org", "ann@", "a..b@example.org", ".a@example.org", "a.@example.org", "a b@example.org", "a@b c",
     "a@-b.org", "a@b-.org", "a@b..org", "a@.org", "a@b.org.", "a@b_", "a@" + "x" * 64, "a@" + "x." * 150 + "org",
     "x" * 65 + "@example.org", '"a@example.org', '"a"b"@example.org', "<a@b>", "a@b>", "a@[1.2.3]", "a@[IPv6:1]", "a@[]",
     "a@[IPv6:fe80::1%eth0]", "a@[IPv6:fe80::1%\r\nX: y]", "a\r\n@b", "a@b\n", '"\n"@b', "a\0@b", "é" * 33 + "@b",
     "a\udc80@example.org", "\ud800", "a@b\udc80.org", "a@[192.0.2.1", "a@192.0.2.1]", "ä" * 200 + "@b"],
)  # fmt: skip
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(SyntaxFault):
        Address.parse(written)


@given(st.text(max_size=30) | st.text('ab@."\\[]:%-\r\n\udc80', max_size=12))
@settings(max_examples=500)
def test_any_text_is_an_address_in_one_line_or_a_syntax_fault(written: str) -> None:
    try:
        address = Address.parse(written)
    except SyntaxFault:
        return
    assert not set(str(address)) & set("\r\n\0")
    assert Address.parse(str(address)) == address


def test_a_very_long_domain_is_refused_quickly() -> None:
    with pytest.raises(SyntaxFault):
        normal_domain("ü" * 1_000_000)


def test_two_spellings_of_one_person_share_a_key() -> None:
    assert Address.parse("Ann@Example.org").key == Address.parse("aNN@example.ORG").key
    assert Address.parse("ann@example.org").key != Address.parse("ann@example.net").key
    assert Address.NULL.key == ""


def test_a_detail_is_split_off() -> None:
    assert Address.parse("ann+shop+x@example.org").without_detail() == (Address("ann", "example.org"), "shop+x")
    assert Address.parse("ann@example.org").without_detail() == (Address("ann", "example.org"), None)
    assert Address.parse("+x@example.org").without_detail() == (Address("+x", "example.org"), None)
    assert Address.parse("a-b@example.org").without_detail("-") == (Address("a", "example.org"), "b")


def test_the_null_path_is_false_and_nothing() -> None:
    assert not Address.NULL
    assert str(Address.NULL) == ""
    assert Address("postmaster", "")
    assert str(Address("postmaster", "")) == "postmaster"


def test_only_the_local_part_can_need_smtputf8() -> None:
    assert Address.parse("ann@bücher.example").is_ascii
    assert not Address.parse("jörg@example.org").is_ascii


def test_one_that_was_accepted_can_be_read_again_however_long_its_normal_spelling_is() -> None:
    accepted = Address.parse("x" * 64 + "@" + ".".join(["ü"] * 30) + ".example")
    assert len(str(accepted)) > MAX_PATH
    assert Address.kept(str(accepted)) == accepted
    for text in ('"two words"@example.org', '"a@b"@example.org', "Ann+x@[192.0.2.1]", "ü@example.org"):
        assert Address.kept(str(Address.parse(text))) == Address.parse(text)


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    for number in range(3 * REMEMBERED):
        text = f"u{number}@example.org"
        assert str(Address.parse(text)) == Address.parse(text).key == text
    assert Address.parse("U1@Example.ORG") == Address("U1", "example.org")
    assert Address.parse("U1@example.org").key == "u1@example.org"
    for memory in (_parsed, _key, _path):
        assert memory.cache_info().currsize <= REMEMBERED
