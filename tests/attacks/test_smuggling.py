"""SMTP smuggling: no spelling of the end of a message but one is an end (VU#302671), whoever stands in front of us.

CVE-2023-51764 (Postfix), -51765 (Sendmail), -51766 (Exim), -51747 (James), -52354 (chasquid), CVE-2024-27305 (aiosmtpd).
"""

from __future__ import annotations

import pytest
from attacked import SMTP_DOORS, Target, plain, until_closed
from program import Person

INNER = b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n",
    b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\x00\r\n.\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n .\r\n", b"\n\n.\n\n",
    b"\r\n.\r\x00\n", b"\xc2\x85.\xc2\x85", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\x0b.\x0b", b"\x0c.\x0c", b"\n\r.\n\r",
    b"\r\n\n.\n", b"\r\n\r.\r\n", b"\n.\n\r\n", b"\r\n..\n", b"\r\n=2E\r\n", b"\r\n\xef\xbc\x8e\r\n",
]  # fmt: skip


@pytest.mark.parametrize("door", SMTP_DOORS)
@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_no_message_is_smuggled_in_another(end: bytes, door: str, target: Target, victim: Person) -> None:
    login = victim.login.encode()
    with target.smtp(door) as client:
        sender = b"sue@elsewhere.example"
        if door == "submission":
            client.say(plain(victim), expect=235)
            sender = login
        client.say(b"MAIL FROM:<%s>" % sender, expect=250)
        client.say(b"RCPT TO:<%s>" % login, expect=250)
        client.say(b"DATA", expect=354)
        client.send(b"Subject: outer\r\n\r\ninnocent" + end + INNER % login + b".\r\nQUIT\r\n")
        first, _ = client.reply()
        rest = until_closed(client)
    assert rest.startswith(b"221 "), "one reply for one message, and one for QUIT"
    assert rest.count(b"\r\n") == 1
    without = end.replace(b"\r\n", b"")
    assert (first >= 500) == (b"\r" in without or b"\n" in without), "RFC 5321 2.3.8: only CRLF ends a line"
    kept = target.inbox(victim)
    assert len(kept) == (first == 250)
    for raw in kept:
        assert raw.startswith(b"Return-Path: <%s>\r\n" % sender), "and the smuggled text is only text within it"
        assert raw.endswith(b"smuggled\r\n")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n", b"\n\r"], ids=repr)
def test_no_command_is_smuggled_in_another(end: bytes, target: Target, bystander: Person) -> None:
    with target.smtp() as client:
        client.send(
            b"MAIL FROM:<sue@elsewhere.example>%sRCPT TO:<%s>%sDATA%s" % (end, bystander.login.encode(), end, end)
            + b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
        )
        said = until_closed(client)
    codes = [line[:3] for line in said.splitlines()]
    assert b"354" not in codes
    assert b"250" not in codes
