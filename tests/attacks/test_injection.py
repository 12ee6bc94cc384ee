"""CR, LF and NUL in what a client says of itself reach no header, no reply and no line of the log."""

from __future__ import annotations

import base64
import json

import pytest
from attacked import PASSWORD, Target, until_closed
from program import Person

HEADER = b"X-Injected: yes"
GREETINGS = [
    b"evil.example\r" + HEADER,
    b"evil.example\n" + HEADER,
    b"evil.example\0" + HEADER,
    b"evil.example) by (mx.example.org",
    b"evil.example;\x0b" + HEADER,
    b"evil.example\x1b[2J\x1b]0;owned\x07",
    "evil.example\u2028X-Injected: yes".encode(),
    b"evil.example\x85" + HEADER,
    b"=?utf-8?q?=0d=0aX-Injected:_yes?=",
    b"%0d%0a" + HEADER,
    b"\xff\xfe\xfd",
    b"[127.0.0.1] (trusted.example [1.2.3.4]) for <x@y>",
]
SENDERS = [
    b"<evil@e.example\r" + HEADER + b">",
    b"<evil@e.example\0" + HEADER + b">",
    b"<evil@e.example>\r" + HEADER,
    b'<"evil\r' + HEADER + b'"@e.example>',
    b'<"evil\\\r' + HEADER + b'"@e.example>',
    b'<"evil\0"@e.example>',
    b"<evil@e.example> SIZE=1\rX",
    b'<"evil> ' + HEADER + b'"@e.example>',
    b"<evil@e.example> AUTH=a+0Aa",
    b"<evil@e.example> AUTH=a+0D+0Aa@b.example",
    b'<"x\x1b[2J"@e.example>',
    "<\u2028X-Injected@e.example> SMTPUTF8".encode(),
    "<a\x85b@e.example> SMTPUTF8".encode(),
]


def intact(target: Target, victim: Person, client_port: int) -> None:
    """Whatever arrived has our trace fields and nothing of the attacker's among them; the log is one event per line."""
    for raw in target.inbox(victim):
        head = raw.partition(b"\r\n\r\n")[0]
        assert b"\0" not in head
        assert b"\r" not in head.replace(b"\r\n", b"")
        assert b"\n" not in head.replace(b"\r\n", b"")
        lines = head.split(b"\r\n")
        assert not any(line.lower().startswith(b"x-injected") for line in lines)
        names = [line.partition(b":")[0] for line in lines if line[:1] not in b" \t"]
        assert names == [b"Return-Path", b"Received", b"Subject"], names
        assert not any(octet < 32 and octet not in (9, 10, 13) for octet in head)
    output = target.house.program.output()
    for line in output.splitlines() if output.isascii() else output.split("\n"):
        assert not line or line.startswith("{"), "nothing wrote a line of its own"
        assert not line or json.loads(line)
    assert "\x1b" not in output
    assert "\0" not in output
    assert any(str(event.get("peer")).endswith(f":{client_port}") for event in target.house.program.log())


@pytest.mark.parametrize("verb", [b"HELO ", b"EHLO "])
@pytest.mark.parametrize("greeting", GREETINGS)
def test_a_greeting_writes_no_header_and_no_line_of_the_log(
    greeting: bytes, verb: bytes, target: Target, victim: Person
) -> None:
    with target.smtp(hello=False) as client:
        client.send(verb + greeting + b"\r\n")
        client.send(
            b"MAIL FROM:<evil@e.example>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
            % victim.login.encode()
        )
        said = until_closed(client)
        port = client.port
    assert all(line[:3].isdigit() and line[3:4] in b" -" for line in said.split(b"\r\n")[:-1])
    assert said.isascii()
    assert b"\0" not in said
    intact(target, victim, port)


@pytest.mark.parametrize("sender", SENDERS)
def test_a_sender_writes_no_header_and_no_line_of_the_log(sender: bytes, target: Target, victim: Person) -> None:
    with target.smtp() as client:
        client.send(
            b"MAIL FROM:%s\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
            % (sender, victim.login.encode())
        )
        said = until_closed(client)
        port = client.port
    assert b"X-Injected" not in said
    assert b"\x1b" not in said
    intact(target, victim, port)


@pytest.mark.parametrize("sender", SENDERS)
def test_a_recipient_is_as_harmless(sender: bytes, target: Target, victim: Person) -> None:
    with target.smtp() as client:
        client.send(b"MAIL FROM:<evil@e.example>\r\nRCPT TO:%s\r\nRCPT TO:<%s>\r\n" % (sender, victim.login.encode()))
        client.send(b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
        said = until_closed(client)
        port = client.port
    assert b"X-Injected" not in said
    intact(target, victim, port)


NAMES = [
    b"ann\r\nX-Injected: yes", b"ann\nX", b"ann\rX", b"\x1b[2J", b"ann\t", b"\xff\xfe", "ann\u2028".encode(), b"%s%n%x",
    b"{0.__class__}", b"' OR '1'='1", b"*)(uid=*", b"ann\\", b'"', b"a" * 5000, b"../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:30])
@pytest.mark.parametrize("door", ["submission", "pop3", "imap"])
def test_a_login_name_is_only_a_wrong_one(name: bytes, door: str, target: Target, bystander: Person) -> None:
    proof = base64.b64encode(b"\0" + name + b"\0wrong")
    command = {"pop3": b"AUTH PLAIN", "imap": b"a AUTHENTICATE PLAIN"}.get(door, b"AUTH PLAIN")
    go_ahead, refused = {"pop3": (b"+", b"-ERR"), "imap": (b"+", b"a NO")}.get(door, (b"334", b"5"))
    with target.wire(door) as client:
        client.send(command + b"\r\n")
        assert client.line().startswith(go_ahead)
        client.send(proof + b"\r\n")
        answer = client.line()
        assert answer.startswith((refused, b"a BAD", b"421")), answer
        assert b"Injected" not in answer
        assert answer.isascii()
        intact(target, bystander, client.port)
    assert PASSWORD not in target.house.program.output()
