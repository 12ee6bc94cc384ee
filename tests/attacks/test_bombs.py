"""Header and MIME bombs, sent in by SMTP: kept whole or refused, and read back in bounded time (CVE-2024-23184, -23185)."""

from __future__ import annotations

import base64
import time

import messages
import pytest
from attacked import Target
from program import Person
from wire import Imap

HEAD = b"From: a@b.example\r\nSubject: bomb\r\n"
MIXED = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n"


def _nested_messages(depth: int) -> bytes:
    return HEAD + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: innermost\r\n\r\nx\r\n"


BOMBS = {
    "50,000 addresses": HEAD + b"To: " + b",\r\n ".join(b"a%d@b.example" % n for n in range(50_000)) + b"\r\n\r\nx\r\n",
    "50,000 empty groups": HEAD + b"To: " + b"g:;,\r\n " * 50_000 + b"x@y.example\r\n\r\nx\r\n",
    "deep comments": HEAD + b"To: " + b"(" * 20_000 + b")" * 20_000 + b" a@b.example\r\n\r\nx\r\n",
    "open comments": HEAD + b"To: " + b"(\r\n " * 50_000 + b"\r\n\r\nx\r\n",
    "open quotes": HEAD + b"To: " + b'"\\' * 50_000 + b"\r\n\r\nx\r\n",
    "a header of 4 MB": HEAD + b"X-Long: " + b"x" * (4 << 20) + b"\r\n\r\nx\r\n",
    "100,000 fields": HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\nx\r\n",
    "100,000 folds": HEAD + b"X-Folded:" + b" x\r\n" * 100_000 + b"\r\nx\r\n",
    "one field without end": HEAD + b"x" * (1 << 20),
    "many encoded words": HEAD + b"Comments: " + b"=?utf-8?q?a?=\r\n " * 50_000 + b"\r\n\r\nx\r\n",
    "a bomb of references": HEAD + b"References: " + b"<a@b>\r\n " * 50_000 + b"\r\n\r\nx\r\n",
    "RFC 2231 pieces": HEAD
    + b"Content-Type: text/plain;\r\n "
    + b";\r\n ".join(b"name*%d*=%%41" % n for n in range(50_000))
    + b"\r\n\r\nx\r\n",
    "parameters": HEAD + b"Content-Type: text/plain" + b";\r\n a=b" * 50_000 + b"\r\n\r\nx\r\n",
    "20,000 parts": messages.many_parts(20_000),
    "nested 5,000": messages.nested(5_000),
    "messages in messages": _nested_messages(10_000),
    "a boundary in itself": HEAD + MIXED % b"a" + (b"--a\r\n" + MIXED % b"a") * 5_000,
    "boundaries of boundaries": HEAD
    + MIXED % b"a"
    + b"".join(b"--%s\r\n" % (b"a" * n) + MIXED % (b"a" * (n + 1)) for n in range(1, 400)),
    "dashes": HEAD + MIXED % (b"-" * 70) + b"-" * 500_000 + b"\r\n" + b"--\r\n" * 100_000,
    "an empty boundary": HEAD + b'Content-Type: multipart/mixed; boundary=""\r\n\r\n' + b"--\r\n" * 50_000,
    "marks without end": HEAD
    + b"Subject: a"
    + b"\xcc\x95\xcc\xa7" * 10_000
    + b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    + (b"\xcc\x95\xcc\xa7" * 200 + b"\r\n") * 2_000,
    "marks on one line": HEAD
    + b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + b"\r\n".join([base64.b64encode(("\u0315\u0327" * 10).encode("utf-16-le"))] * 18_000),
    "styles without end": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<style" * 100_000,
    "digests of digests": HEAD + b"Content-Type: multipart/digest; boundary=q\r\n\r\n" + b"--q\r\n\r\n" * 20_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_kept_whole_or_refused_and_read_in_bounded_time(name: str, target: Target, victim: Person) -> None:
    raw = BOMBS[name]
    began = time.monotonic()
    with target.smtp() as client:
        code, text = client.message("sue@elsewhere.example", [victim.login], raw)
    assert code in {250, 550, 552, 554}, (code, text)
    with Imap(target.house.program.imap, victim.login, victim.password) as reader:
        reader.ok(b"SELECT INBOX")
        if code == 250:
            whole = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
            assert messages.received(reader.ok(b"FETCH 1 BODY.PEEK[]").literal()) == whole
            reader.ok(b"FETCH 1 (ENVELOPE BODYSTRUCTURE RFC822.SIZE)")
            reader.ok(b"FETCH 1 (BODY.PEEK[HEADER.FIELDS (TO SUBJECT)] BODY.PEEK[1.MIME] BODY.PEEK[1.1.1.1])")
            reader.ok(b'SEARCH OR TO "nobody" OR SUBJECT "nothing" TEXT "nowhere"')
            reader.ok(b"FETCH 1 PREVIEW")
            reader.ok(b"SORT (SUBJECT FROM DISPLAYTO) UTF-8 ALL")
            reader.ok(b"THREAD REFERENCES UTF-8 ALL")
            reader.ok(b"STORE 1 +FLAGS (\\Deleted)")
            reader.ok(b"EXPUNGE")
    spent = time.monotonic() - began
    assert spent < 20, f"{len(raw)} octets cost {spent:.1f} s"


def test_received_fields_without_end_are_a_loop(target: Target, bystander: Person) -> None:
    """RFC 5321 6.3."""
    loop = b"".join(b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" for _ in range(200))
    with target.smtp() as client:
        code, text = client.message("sue@elsewhere.example", [bystander.login], loop + HEAD + b"\r\nx\r\n")
    assert (code, text[:5]) == (554, "5.4.6")
