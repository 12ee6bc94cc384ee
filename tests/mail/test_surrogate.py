"""What a client that knows only ASCII in header fields gets of an internationalised message."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.content import scan
from mailsystem.mail.part import Part
from mailsystem.mail.surrogate import NOBODY, Rewriting, block, header_ranges


def surrogate(raw: bytes, *, cut: int | None = None) -> bytes:
    rewriting = Rewriting(header_ranges(Part.load(scan(raw).parts)))
    pieces = [raw] if cut is None else [raw[at : at + cut] for at in range(0, len(raw), cut)]
    return b"".join([*(rewriting.feed(piece) for piece in pieces), rewriting.close()])


def read(octets: bytes) -> EmailMessage:
    """As another program understands it."""
    return email.message_from_bytes(octets, policy=email.policy.default)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("From: Jörg <jorg@example.org>", [("Jörg", "jorg@example.org")]),
        ("To: \"Lee, Ann\" <ann@example.org>, Zoë <zoe@example.org>",
         [("Lee, Ann", "ann@example.org"), ("Zoë", "zoe@example.org")]),
        ("From: ann@bücher.example", [("", "ann@xn--bcher-kva.example")]),
        ("From: Ann <ann@bücher.example>", [("Ann", "ann@xn--bcher-kva.example")]),
        ("From: Jörg <jörg@example.org>", [("Jörg (jörg@example.org)", NOBODY.decode())]),
        ("From: jörg@bücher.example", [("jörg@bücher.example", NOBODY.decode())]),
        ("Cc: Freunde: jörg@example.org, ann@example.org;",
         [("jörg@example.org", NOBODY.decode()), ("", "ann@example.org")]),
        ("Reply-To: =?utf-8?Q?J=C3=B6rg?= ünd <a@example.org>", [("Jörg ünd", "a@example.org")]),
    ],
)  # fmt: skip
def test_addresses_keep_their_names_and_reach_the_right_one_or_nobody(
    field: str, expected: list[tuple[str, str]]
) -> None:
    out = block(field.encode() + b"\r\n\r\n")
    assert out.isascii()
    parsed = read(out)[field.partition(":")[0]]
    assert [(one.display_name, one.addr_spec) for one in parsed.addresses] == expected


@pytest.mark.parametrize("subject", ["Grüße", "größer " * 60, "日本語" * 40, "a 😀 b", "x" * 900 + "é"])
def test_a_subject_reads_the_same(subject: str) -> None:
    out = block(f"Subject: {subject}\r\n\r\n".encode())
    assert out.isascii()
    assert max(map(len, out.split(b"\r\n"))) <= 85
    assert read(out)["Subject"] == subject.strip()


@pytest.mark.parametrize("name", ["Übersicht.pdf", "ein langer Name für eine Datei, die sehr " * 4 + "größ ist.txt"])
def test_a_file_name_reads_the_same(name: str) -> None:
    out = block(
        f'Content-Type: application/pdf; name="{name}"\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\n'.encode()
    )
    assert out.isascii()
    assert read(out).get_filename() == name
    assert read(out)["Content-Type"].params["name"] == name


def test_what_makes_sense_only_unchanged_is_kept_under_another_name() -> None:
    out = block(
        "Message-ID: <größe@example.org>\r\nReceived: from x by y for <jörg@example.org>; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        "Date: Mon, 1 Jan 2024 00:00:00 +0100 (Mitteleuropäische Zeit)\r\nX-Stadt: Köln\r\nReturn-Path: <jörg@example.org>\r\n"
        "\r\n".encode()
    )
    message = read(out)
    assert out.isascii()
    assert message["Message-ID"] is None
    assert message["Downgraded-Message-ID"] == "<größe@example.org>"
    assert message["Received"] is None
    assert "jörg@example.org" in message["Downgraded-Received"]
    assert str(message["Date"]) == "Mon, 01 Jan 2024 00:00:00 +0100"
    assert message["X-Stadt"] == "Köln"
    assert message["Return-Path"] == f"<{NOBODY.decode()}>"


def test_what_is_ascii_or_no_utf8_stays_as_it_is() -> None:
    plain = b"From: Ann\r\n <ann@example.org>\r\nno field at all\r\nSubject: caf\xe9\r\nX: y\n\r\n"
    assert block(plain) == plain
    out = block(plain[:-2] + "To: Zoë <z@example.org>\r\n\r\n".encode())
    assert out.startswith(plain[:-2] + b"To: =?utf-8?B?")
    assert out.endswith(b"?= <z@example.org>\r\n\r\n")


MIXED = (
    "From: Jörg <jörg@example.org>\r\nSubject: äußerst\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\nVorwort\r\n'
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße: bleiben\r\n"
    "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=Größe.txt\r\n\r\nanhang\r\n"
    "--b\r\nContent-Type: message/global\r\n\r\nSubject: Inneres\r\nFrom: Zoë <zoe@example.org>\r\n\r\nübrig\r\n"
    "--b--\r\nNachwort\r\n"
).encode()


def test_the_parts_and_the_message_within_are_rewritten_too_and_bodies_are_not() -> None:
    out = surrogate(MIXED)
    message = read(out)
    text, attached, inner = message.iter_parts()
    assert isinstance(text, EmailMessage)
    assert text.get_content() == "Grüße: bleiben"
    assert isinstance(attached, EmailMessage)
    assert attached.get_filename() == "Größe.txt"
    assert inner.get_content_type() == "message/rfc822"
    assert isinstance(inner, EmailMessage)
    assert inner.get_content()["From"] == "Zoë <zoe@example.org>"
    assert "übrig".encode() in out
    for start, end in header_ranges(Part.load(scan(out).parts)):
        assert out[start:end].isascii()


@pytest.mark.parametrize("cut", [1, 2, 7, 64, 1000])
def test_any_slicing_gives_the_same(cut: int) -> None:
    assert surrogate(MIXED, cut=cut) == surrogate(MIXED)


def test_a_message_that_ends_early_is_passed_to_its_end() -> None:
    rewriting = Rewriting([(0, 100), (200, 300)])
    assert rewriting.feed(b"Subject: x") + rewriting.close() == b"Subject: x"


LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60)
FIELDS = st.sampled_from(
    ["From", "To", "Subject", "Content-Type", "Content-Disposition", "Message-ID", "X-Any", "Date"]
)


@given(st.lists(st.tuples(FIELDS, LINE), max_size=6))
def test_any_field_of_utf8_becomes_ascii_and_stays_a_header_block(fields: list[tuple[str, str]]) -> None:
    raw = "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\n"
    out = block(raw)
    assert out.isascii()
    assert out.endswith(b"\r\n") or not out
    assert b"\r\n\r\n" not in out.removesuffix(b"\r\n").removesuffix(b"\r\n")


@given(st.binary(max_size=400))
def test_any_octets_are_taken(octets: bytes) -> None:
    surrogate(octets)
    block(octets)
