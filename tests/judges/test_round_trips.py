"""What goes in comes out, octet for octet, past the standard library's own clients."""

from __future__ import annotations

import contextlib
import imaplib
import poplib
import smtplib
from collections.abc import Iterator

import messages
import pytest
from outside import missing
from program import Program
from wire import Imap, Pop3, Smtp

pytestmark = pytest.mark.judge

EVERY = {**messages.ODD, **messages.library()}


@contextlib.contextmanager
def imap(sink: Program, login: str) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4(*sink.imap, timeout=20) as client:
        client.login(login, "any")
        yield client


@contextlib.contextmanager
def pop3(sink: Program, login: str) -> Iterator[poplib.POP3]:
    client = poplib.POP3(*sink.pop3, timeout=20)
    try:
        client.utf8()  # RFC 6856: who does not say it gets only ASCII in header fields
        client.user(login)
        client.pass_("any")
        yield client
        client.quit()
    finally:
        client.close()


def fetched(client: imaplib.IMAP4, uid: int, item: str = "BODY.PEEK[]") -> bytes:
    status, data = client.uid("FETCH", str(uid), f"({item})")
    assert status == "OK"
    assert isinstance(data[0], tuple), data
    return bytes(data[0][1])


def retrieved(client: poplib.POP3, number: int) -> bytes:
    _, lines, _ = client.retr(number)
    return b"".join(line + b"\r\n" for line in lines)


@pytest.fixture(autouse=True)
def _long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """poplib gives up at 2,048 octets a line; messages need not."""
    monkeypatch.setattr(poplib, "_MAXLINE", 1 << 20)


def test_the_standard_library_has_its_odd_messages() -> None:
    if not messages.library():
        missing("the running Python's test.test_email")
    assert len(messages.library()) > 40


@pytest.mark.parametrize("name", EVERY)
def test_what_smtp_takes_pop3_and_imap_give(name: str, sink: Program, address: str) -> None:
    raw = EVERY[name]
    with smtplib.SMTP(*sink.smtp, local_hostname="client.example", timeout=20) as sender:
        sender.ehlo_or_helo_if_needed()
        assert sender.has_extn("8bitmime")
        assert sender.has_extn("smtputf8")
        sender.sendmail("ann@example.org", [address], raw, ["BODY=8BITMIME", "SMTPUTF8"])
    # RFC 5321 4.1.1.4: the end of DATA is CRLF.CRLF, so a message without a last line end gets one on the way.
    sent = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
    with imap(sink, address) as client:
        client.select("INBOX", readonly=True)
        by_imap = fetched(client, 1)
        assert messages.digest(messages.received(by_imap)) == messages.digest(messages.bare(sent))
        _, [sizes] = client.uid("FETCH", "1", "(RFC822.SIZE)")
        assert b"RFC822.SIZE %d" % len(by_imap) in sizes
        whole = fetched(client, 1, "BODY.PEEK[HEADER]") + fetched(client, 1, "BODY.PEEK[TEXT]")
        assert messages.digest(whole) == messages.digest(by_imap)
        halves = fetched(client, 1, f"BODY.PEEK[]<0.{len(by_imap) // 2}>") + fetched(
            client, 1, f"BODY.PEEK[]<{len(by_imap) // 2}.{len(by_imap)}>"
        )
        assert messages.digest(halves) == messages.digest(by_imap)
    with pop3(sink, address) as maildrop:
        assert maildrop.stat() == (1, len(by_imap))
        assert maildrop.list(1) == b"+OK 1 %d" % len(by_imap)
        assert messages.digest(retrieved(maildrop, 1)) == messages.digest(by_imap)


@pytest.mark.parametrize("name", EVERY)
def test_what_imap_appends_imap_and_pop3_give(name: str, sink: Program, address: str) -> None:
    raw = EVERY[name]
    with imap(sink, address) as client:
        status, [told] = client.append("INBOX", "(\\Seen $Label)", None, raw)  # type: ignore[arg-type]
        assert status == "OK"
        assert b"APPENDUID" in told
        client.select("INBOX", readonly=True)
        assert messages.digest(fetched(client, 1)) == messages.digest(raw)
        _, [flags] = client.uid("FETCH", "1", "(FLAGS RFC822.SIZE)")
        assert b"\\Seen" in flags
        assert b"$Label" in flags
        assert b"RFC822.SIZE %d" % len(raw) in flags
    with pop3(sink, address) as maildrop:
        # RFC 1939 3: the dot that ends a response stands on a line of its own.
        ended = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
        assert messages.digest(retrieved(maildrop, 1)) == messages.digest(ended)


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: a\n\nbare\nline\nfeeds\n",
        b"Subject: b\r\n\r\nbare\rreturns\r\r\n",
        b"Subject: c\r\n\r\n\n.\n..\r.\r\n",
    ],
)
def test_line_ends_that_are_not_mails_own_are_kept_as_they_were_appended(
    raw: bytes, sink: Program, address: str
) -> None:
    with Imap(sink.imap, address) as client:
        assert client.append("INBOX", raw).status == "OK"
        client.ok(b"SELECT INBOX")
        assert client.ok(b"FETCH 1 BODY.PEEK[]").literal() == raw


def test_top_gives_the_header_and_so_many_lines(sink: Program, address: str) -> None:
    raw = messages.simple(body=b"one\r\n.two\r\n..\r\nfour\r\n")
    with Imap(sink.imap, address) as client:
        client.append("INBOX", raw)
    with pop3(sink, address) as maildrop:
        head = raw[: raw.index(b"\r\n\r\n") + 4]
        for count, body in enumerate((b"", b"one\r\n", b"one\r\n.two\r\n", b"one\r\n.two\r\n..\r\n")):
            _, lines, _ = maildrop.top(1, count)
            assert b"".join(line + b"\r\n" for line in lines) == head + body


def test_an_attachment_of_30_mb_comes_out_as_it_went_in(sink: Program, address: str) -> None:
    raw = messages.large(30 << 20)
    with smtplib.SMTP(*sink.smtp, timeout=60) as sender:
        sender.sendmail("ann@example.org", [address], raw)
    with Imap(sink.imap, address, timeout=60) as client:
        client.ok(b"SELECT INBOX")
        by_imap = client.ok(b"FETCH 1 BODY.PEEK[]").literal()
        assert messages.digest(messages.received(by_imap)) == messages.digest(raw)
        part = client.ok(b"FETCH 1 BODY.PEEK[2]").literal()
        rest = raw.partition(b"Content-Transfer-Encoding: base64\r\n\r\n")[2]
        assert messages.digest(part) == messages.digest(rest[: -len(b"\r\n--cut here--\r\n")])
        assert client.append("INBOX", raw).status == "OK"
    with Pop3(sink.pop3, address, timeout=60) as maildrop:
        assert messages.digest(maildrop.many(b"RETR 1")) == messages.digest(by_imap)
        assert messages.digest(maildrop.many(b"RETR 2")) == messages.digest(raw)
        maildrop.ok(b"QUIT")


def test_smtputf8_addresses_are_delivered_and_kept(sink: Program) -> None:
    with Smtp(sink.smtp) as sender:
        code, _ = sender.message(
            "jörg@bücher.example", ["пример@bücher.example"], messages.simple("utf-8"), " SMTPUTF8"
        )
        assert code == 250
    with Imap(sink.imap, "пример@bücher.example") as client:
        client.ok(b"SELECT INBOX")
        raw = client.ok(b"FETCH 1 BODY.PEEK[]").literal()
        assert raw.startswith("Return-Path: <jörg@".encode())
        assert messages.received(raw) == messages.simple("utf-8")


def test_the_sink_shows_everything_to_the_login_sink(sink: Program, address: str) -> None:
    raw = messages.simple(f"for {address}")
    with Smtp(sink.smtp) as sender:
        sender.message("ann@example.org", [address], raw)
    with imap(sink, "sink") as client:
        client.select("INBOX", readonly=True)
        _, [found] = client.uid("SEARCH", f'SUBJECT "for {address}"')
        assert messages.received(fetched(client, int(found))) == raw
