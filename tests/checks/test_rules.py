"""Every rule that needs no DNS: what it finds, and what it leaves alone."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.policy import SMTP
from xml.etree import ElementTree

import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import HEAD, MIME, PNG, WORDS, html, parts, plain, report, told

from mailsystem.checks import RULES, Options, Severity, check
from mailsystem.checks.reports import as_junit
from mailsystem.checks.rule import MOST_OF_A_RULE

GOOD = html(f"<p>{WORDS}</p>", WORDS)
TEXT = b"Content-Type: text/plain\r\n\r\nHello."
NESTED = messages.nested(12)
FROM = b"From: Shop <shop@example.org>\r\n"
DATE = b"Date: Fri, 27 Nov 2026 09:00:00 +0000\r\n"
ID = b"Message-ID: <1@example.org>\r\n"
SUBJECT = b"Subject: Your order\r\n"
SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=From:Subject; bh=AAAA; b=AAAA%s\r\n"
    + HEAD
    + b"\r\nx\r\n"
)
LISTED = b"List-Unsubscribe: <https://example.org/u>\r\n"
CLICK = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def part(octets: bytes, mime: bytes = b"Content-Type: text/plain; charset=utf-8\r\n") -> bytes:
    return plain(octets, HEAD, MIME + mime)


B64 = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
QP = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
EIGHT = b"Content-Transfer-Encoding: 8bit\r\n"

WRONG: list[tuple[str, bytes]] = [
    ("bare-lf", plain(b"a\nb\r\n")),
    ("bare-cr", plain(b"a\rb\r\n")),
    ("nul", plain(b"a\0b\r\n")),
    ("long-line", plain(b"x" * 999 + b"\r\n")),
    ("wide-line", plain(b"x" * 79 + b"\r\n")),
    ("eight-bit-header", plain(head=HEAD.replace(b"order", "Äpfel".encode()))),
    ("header-syntax", plain(head=HEAD + b"no field\r\n")),
    ("header-syntax", plain(head=HEAD + b"X-Space : x\r\n")),
    ("header-controls", plain(head=HEAD.replace(b"order", b"or\x07der"))),
    ("date-missing", plain(head=HEAD.replace(DATE, b""))),
    ("date-malformed", plain(head=HEAD.replace(DATE, b"Date: 2026-11-27T09:00:00Z\r\n"))),
    ("date-malformed", plain(head=HEAD.replace(b"27 Nov", b"31 Nov"))),
    ("date-far-off", plain(head=HEAD.replace(b"2026", b"2027"))),
    ("from-missing", plain(head=HEAD.replace(FROM, b""))),
    ("from-malformed", plain(head=HEAD.replace(b"shop@example.org>\r\nTo", b"shop>\r\nTo"))),
    ("from-malformed", plain(head=HEAD.replace(FROM, b"From: \r\n"))),
    ("sender-missing", plain(head=HEAD.replace(FROM, b"From: a@example.org, b@example.org\r\n"))),
    ("address-malformed", plain(head=HEAD.replace(b"ann@example.net", b"ann"))),
    ("message-id-missing", plain(head=HEAD.replace(ID, b""))),
    ("message-id-malformed", plain(head=HEAD.replace(b"<1@example.org>", b"1@example.org"))),
    ("message-id-malformed", plain(head=HEAD.replace(b"<1@example.org>", b"<1 2@example.org>"))),
    ("header-duplicate", plain(head=HEAD + SUBJECT)),
    ("subject-empty", plain(head=HEAD.replace(SUBJECT, b"Subject:  \r\n"))),
    ("subject-empty", plain(head=HEAD.replace(SUBJECT, b""))),
    ("bcc-shown", plain(head=HEAD + b"Bcc: eve@example.com\r\n")),
    ("encoded-word", plain(head=HEAD.replace(b"Your order", b"=?x-none?q?a?="))),
    ("encoded-word", plain(head=HEAD.replace(b"Your order", b"=?utf-8?q?=C3?="))),
    ("encoded-word", plain(head=HEAD.replace(b"Your order", b"=?utf-8?q?a b?="))),
    ("encoded-word", plain(head=HEAD.replace(b"Your order", b"=?utf-8?q?" + b"a" * 80 + b"?="))),
    ("reply-elsewhere", plain(head=HEAD + b"Reply-To: help@example.com\r\n")),
    ("mime-version-missing", plain(head=HEAD + b"Content-Type: text/plain\r\n")),
    ("charset-unknown", part(b"x\r\n", b"Content-Type: text/plain; charset=utf-9\r\n")),
    ("charset-wrong", part(b"caf\xe9\r\n", b"Content-Type: text/plain; charset=utf-8\r\n" + EIGHT)),
    ("charset-wrong", part("café\r\n".encode(), b"Content-Type: text/plain; charset=us-ascii\r\n" + EIGHT)),
    ("charset-wrong", part(b"caf=E9\r\n", QP)),
    ("charset-missing", part("café\r\n".encode(), b"Content-Type: text/plain\r\n" + EIGHT)),
    ("encoding-unknown", part(b"x\r\n", b"Content-Transfer-Encoding: rot13\r\n")),
    ("eight-bit-body", part("café\r\n".encode())),
    ("encoded-multipart", parts("mixed", TEXT).replace(b"MIME-Version", b"Content-Transfer-Encoding: base64\r\nMIME-Version")),
    ("base64-damaged", part(b"AA!A\r\n", B64)),
    ("base64-damaged", part(b"AAA=AAAA\r\n", B64)),
    ("base64-damaged", part(b"AAAAA\r\n", B64)),
    ("quoted-printable-damaged", part(b"1 + 1 = 2\r\n", QP)),
    ("quoted-printable-damaged", part("café\r\n".encode(), QP)),
    ("encoded-line-long", part(b"AAAA" * 20 + b"\r\n", B64)),
    ("encoded-line-long", part(b"a" * 77 + b"\r\n", QP)),
    ("boundary-missing", part(b"x\r\n", b"Content-Type: multipart/mixed\r\n")),
    ("multipart-empty", part(b"x\r\n", b"Content-Type: multipart/mixed; boundary=none\r\n")),
    ("multipart-open", parts("mixed", TEXT, end=b"")),
    ("multipart-open", parts("mixed", TEXT, end=b"--b--x\r\n x--b--\r\n")),
    ("nested-deeply", NESTED),
    ("cid-broken", html("<img src=cid:none alt=x width=1>")),
    ("inline-unused", parts("related", b"Content-Type: text/html\r\n\r\n<p>x", PNG + b"Content-ID: <logo>\r\n\r\nAAAA")),
    ("cid-duplicate", parts("mixed", TEXT, *[PNG + b"Content-ID: <logo>\r\n\r\nAAAA"] * 2)),
    ("attachment-dangerous", parts("mixed", TEXT, b'Content-Type: text/plain; name="a.PDF.exe. "\r\n\r\nx')),
    ("attachment-dangerous", parts("mixed", TEXT, b"Content-Type: application/x-msdownload\r\n\r\nx")),
    ("text-missing", html("<p>Hello")),
    ("text-missing", html("<img src=x.png>")),
    ("text-missing", html("<p>Hello", "  ")),
    ("text-differs", html(f"<p>{WORDS}", "Please use another program to read this message.")),
    ("alternative-order", parts("alternative", b"Content-Type: text/html\r\n\r\n<p>x", TEXT)),
    ("body-empty", plain(b"")),
    ("html-clipped", html("<p>Hello.</p>\r\n" + "<!-- comment -->\r\n" * 6000)),
    ("alt-missing", html("<img src=https://example.org/x.png width=1>")),
    ("image-unsized", html("<img src=https://example.org/x.png alt=x>")),
    ("remote-content", html("<img src=https://example.org/x.png alt=x width=1>")),
    ("active-content", html("<form action=x><input></form>")),
    ("active-content", html("<p onclick='x()'>x")),
    ("script-link", html("<a href=' java\tscript:alert(1)'>x</a>")),
    ("script-link", html("<a href='DATA:text/html,x'>x</a>")),
    ("link-disguised", html("<a href=https://evil.example.com/>https://www.bank.example/login</a>")),
    ("link-disguised", html("<a href=https://bank.example@evil.example.com/>bank.example</a>")),
    ("link-empty", html("<a href=#>x</a>")),
    ("link-local", plain(b"http://localhost:8000/reset\r\n")),
    ("link-local", plain(b"http://192.168.1.1/reset http://app.internal/ http://web/\r\n")),
    ("link-local", html("<img src=http://127.0.0.1/x.png alt=x width=1>")),
    ("placeholder", plain(b"Hello {{ user.name }},\r\n")),
    ("placeholder", plain(b"Hello None,\r\n")),
    ("placeholder", plain(head=HEAD.replace(b"Your order", b"%%NAME%%, your order"))),
    ("placeholder", html("<p>Dear *|FNAME|*")),
    ("unsubscribe-missing", plain(head=HEAD + b"Precedence: bulk\r\n")),
    ("unsubscribe-malformed", plain(head=HEAD + b"List-Unsubscribe: https://example.org/u\r\n")),
    ("unsubscribe-malformed", plain(head=HEAD + CLICK)),
    ("one-click-missing", plain(head=HEAD + LISTED)),
    ("one-click-unsigned", SIGNED.replace(b"From: Shop", LISTED + CLICK + b"From: Shop") % b""),
    ("dkim-malformed", SIGNED.replace(b"s=x; ", b"") % b""),
    ("dkim-malformed", SIGNED % b"!"),
    ("dkim-malformed", SIGNED % b"; i=@example.com"),
    ("dkim-from-unsigned", SIGNED.replace(b"From:Subject", b"Subject") % b""),
    ("dkim-length", SIGNED % b"; l=100"),
    ("dkim-algorithm", SIGNED.replace(b"rsa-sha256", b"rsa-sha1") % b""),
    ("dkim-expired", SIGNED % b"; x=1600000000"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "raw"), WRONG, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(WRONG)])
def test_what_is_wrong_is_found_and_can_be_left_out(rule: str, raw: bytes) -> None:
    assert rule in told(raw)
    assert rule not in told(raw, disabled=[rule])


RIGHT = {
    "plain": plain(),
    "both": GOOD,
    "lists": plain(
        head=HEAD + LISTED + CLICK + b"List-Id: <news.example.org>\r\n"
    ),
    "encoded words": plain(head=HEAD.replace(b"Your order", b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?B?w7w=?=")),
    "quoted-printable": part(b"caf=C3=A9 =\r\n= \r\nx=\r\n", QP),
    "base64": part(b"AAAA\r\nAA==\r\n", B64),
    "latin-1": part(b"caf\xe9\r\n", b"Content-Type: text/plain; charset=iso-8859-1\r\n" + EIGHT),
    "shown images": parts(
        "related",
        b"Content-Type: text/html\r\n\r\n<img src='cid:a%2Bb@x' alt='' width=1>",
        PNG + b"Content-ID: <a+b@x>\r\n\r\nAAAA",
    ),
    "words that are no host": html('<a href="https://click.example.com/x">Read more... now.</a>', "Read more now"),
    "the same host": html('<a href="https://www.example.org/x">example.org</a>', "example.org"),
    "a comment in the date": plain(head=HEAD.replace(b"+0000", b"+0000 (UTC)")),
    "a quoted Message-ID": plain(head=HEAD.replace(b"<1@", b'<"1 2"@')),
    "no reply-to elsewhere": plain(head=HEAD + b"Reply-To: x@EXAMPLE.org\r\n"),
    "an mbox line": b"From shop@example.org Fri Nov 27 09:00:00 2026\r\n" + plain(),
    "an attachment alone": parts("mixed", PNG + b"\r\nAAAA"),
    "braces": plain(b"Use { and } and $5 and 100%% of [it], Hello Nonesuch.\r\n"),
}  # fmt: skip
EXPECTED = {
    "shown images": ["text-missing"],
    "lists": [],
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_left_alone(name: str) -> None:
    found = told(RIGHT[name])
    assert [rule for rule in found if rule != "wide-line"] == EXPECTED.get(name, [])


ADDRESSES = [
    *(
        b"ann@example.org",
        b"Ann <ann@example.org>",
        b"John Q. Public <a@b.test>",
        b'"Doe, J" <a@b.test> (Joe)',
        b"a@localhost",
    ),
    *(b"undisclosed-recipients:;", b"People: a@b.test, Bob <c@d.test>;, e@f.test", b"a@b.test, , c@d.test,"),
    *(
        b"a@[192.0.2.1]",
        b"<a@[IPv6:::1]>",
        b'"a b"@c.test',
        b"=?utf-8?q?J=C3=B6rg?= <a@b.test>",
        b"O'Brien <o'brien+x=1@b.test>",
    ),
    *("Jörg <jörg@bücher.example>".encode(), b"<@relay.test:a@b.test>"),
]
DOUBTFUL = [
    *(
        b"Ann ann@example.org",
        b'"Ann" ann@example.org',
        b"<ann@example.org",
        b"Ann <ann@example.org> x",
        b"a@b.test; c@d.test",
    ),
    *(
        b"a@b.test c@d.test",
        b"<a@b.test><c@d.test>",
        b"a@b@c.test",
        b"a@b..test",
        b"a..b@c.test",
        b"a@b c.test",
        b"mailto:a@b.test",
    ),
    *(b"'ann@b.test'", b'"Ann <ann@b.test>', b"News: shop <a@b.test>", b"Ann [Shop] <a@b.test>"),
]


@pytest.mark.parametrize(
    ("value", "wrong"), [*((each, False) for each in ADDRESSES), *((each, True) for each in DOUBTFUL)]
)
def test_addresses_are_written_so_that_all_programs_read_the_same(value: bytes, wrong: bool) -> None:
    found = told(plain(head=HEAD.replace(b"Ann <ann@example.net>", value)))
    assert ("address-malformed" in found) is wrong


def test_lines_as_long_as_libraries_write_them_are_no_warning() -> None:
    as_python_does = EmailMessage(policy=SMTP)
    as_python_does.set_content(f"ü{'x' * 500}\n", cte="quoted-printable")
    [found] = report(HEAD + as_python_does.as_bytes()).findings
    assert (found.rule, found.severity) == ("encoded-line-long", Severity.INFO)
    [worse] = report(part(b"a" * 77 + b"\r\n" + b"a" * 79 + b"\r\n", QP), disabled=["wide-line"]).findings
    assert (worse.rule, worse.severity) == ("encoded-line-long", Severity.WARNING)


def test_the_author_is_one_of_them() -> None:
    assert told(plain(head=HEAD.replace(b"Shop <shop@example.org>", b"Shop shop@example.org"))) == ["address-malformed"]


def test_every_rule_is_explained_and_tested() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    for rule in RULES:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)
        assert 20 < len(rule.explanation) < 500
        assert rule.explanation.endswith(".")
        assert not rule.title.endswith(".")
    elsewhere = {"unix-line-ends", "link-broken", "link-unreachable", "link-not-followed"}
    elsewhere |= {"html-unsupported", "html-partial"}
    elsewhere |= {rule for rule in ids if rule.startswith(("dkim-", "spf-", "dmarc-"))}
    assert {rule for rule, _ in WRONG} | elsewhere == set(ids)


def test_places_are_told() -> None:
    [finding] = [one for one in report(plain(b"a\r\nb\nc\r\n")).findings if one.rule == "bare-lf"]
    assert (finding.where.line, str(finding.where)) == (8, "line 8")
    [finding] = [one for one in report(plain(head=HEAD + SUBJECT)).findings if one.rule == "header-duplicate"]
    assert (finding.where.line, finding.where.header) == (3, "Subject")
    [finding] = [
        one for one in report(parts("mixed", TEXT, B64 + b"\r\nAA!A")).findings if one.rule == "base64-damaged"
    ]
    assert (finding.where.line, finding.where.part) == (17, "2")


def test_the_worst_comes_first_and_decides() -> None:
    found = report(plain(b"x" * 79 + b"\r\nx\ny\r\n", HEAD.replace(ID, b"")))
    assert [finding.severity for finding in found.findings] == [Severity.ERROR, Severity.WARNING, Severity.INFO]
    assert found.worst() is Severity.ERROR
    assert found.fails(Severity.WARNING)
    assert not report(plain(b"x" * 79 + b"\r\n")).fails(Severity.WARNING)
    assert report(plain()).worst() is None


def test_names_of_fields_steer_no_terminal_and_break_no_file() -> None:
    raw = plain(head=HEAD + b"X\x1b[2J\x00: =?nonsense?q?x?=\r\n")
    found = [finding for finding in report(raw).findings if finding.rule == "encoded-word"]
    assert [finding.where.header for finding in found] == ["X [2J"]
    ElementTree.fromstring(as_junit([("x.eml", report(raw))], Severity.INFO))


def test_unknown_rules_cannot_be_disabled() -> None:
    with pytest.raises(ValueError, match="no rule nonsense"):
        check(plain(), options=Options(disabled=["nonsense"]))


def test_a_file_with_unix_line_ends_is_checked_as_if_it_were_mail() -> None:
    assert told(GOOD.replace(b"\r\n", b"\n"), from_file=True) == ["unix-line-ends", *told(GOOD)]
    assert "bare-lf" in told(GOOD.replace(b"\r\n", b"\n"))
    assert "bare-lf" in told(plain(b"a\nb\r\n"), from_file=True)


def test_smtputf8_and_bulk_can_be_said() -> None:
    utf8 = plain(head=HEAD.replace(b"order", "Äpfel".encode()))
    assert told(utf8, smtputf8=True) == []
    assert told(plain(), bulk=True) == ["unsubscribe-missing"]
    assert told(plain(head=HEAD + b"Precedence: bulk\r\n"), bulk=False) == []


HOSTILE = {
    "line feeds": plain(b"\n" * 2_000_000),
    "carriage returns": plain(b"\r" * 2_000_000),
    "lines just short enough": plain((b"x" * 998 + b"\r\n") * 20_000),
    "NULs": plain(b"\0" * 2_000_000),
    "angles": html("<" * 2_000_000),
    "nested tags": html("<div>" * 400_000),
    "links": html("<a href=x>x</a>" * 100_000),
    "images": html("<img src=x>" * 100_000),
    "delimiters": parts("mixed", *[b"\r\nx"] * 20_000),
    "open delimiters": parts("mixed", TEXT, end=b"--b--x\r\n" * 100_000),
    "open delimiters in one line": parts("mixed", TEXT, end=b"--b--x" * 1_500_000),
    "nested parts": messages.nested(1000),
    "fields": plain(head=HEAD + b"X: y\r\n" * 100_000),
    "no fields": plain(head=HEAD + b"x\r\n" * 100_000),
    "addresses": plain(head=HEAD + b"Cc: " + b"a," * 100_000 + b"\r\n"),
    "encoded words": plain(head=HEAD + b"X: " + b"=?x?q?y?=" * 20_000 + b"\r\n"),
    "signatures": (b"DKIM-Signature: " + b"a=b;" * 1000 + b"\r\n") * 50 + plain(),
    "equals signs": part(b"=" * 2_000_000, QP),
    "blanks behind equals signs": part((b"=" + b" " * 70) * 30_000, QP),
    "braces": plain(b"{{" * 1_000_000),
    "hyphens": html(f"<a href=http://a>{'a.' * 500_000}</a>"),
    "damaged parts": parts("mixed", *[B64 + b"\r\n!"] * 9_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_have_short_reports(name: str) -> None:
    found = report(HOSTILE[name])
    assert len(found.findings) <= (MOST_OF_A_RULE + 1) * 12
    assert all(len(finding.message) < 300 for finding in found.findings)


def test_what_is_found_often_is_counted() -> None:
    found = [finding.message for finding in report(HOSTILE["NULs"]).findings if finding.rule == "nul"]
    assert len(found) == MOST_OF_A_RULE + 1
    assert found[-1] == "and 1999980 more: there is a NUL octet"


@given(st.binary() | st.binary().map(lambda octets: HEAD + MIME + octets))
def test_any_octets_have_a_report(raw: bytes) -> None:
    for finding in report(raw).findings:
        assert finding.message.isprintable()


@pytest.mark.parametrize("name", [*messages.ODD, *messages.library()])
def test_odd_messages_have_a_report(name: str) -> None:
    raw = messages.ODD.get(name) or messages.library()[name]
    for finding in report(raw, from_file=True).findings:
        assert finding.message.isprintable()
