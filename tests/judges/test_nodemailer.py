"""nodemailer, by which most of what is written for Node.js sends its mail."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import messages
import pytest
from outside import Run, Tool, missing
from private_servers import Tap
from program import House, Person, Place, Program
from wire import Imap

import mailsystem

pytestmark = pytest.mark.judge

SCRIPT = Path(__file__).parent / "nodemailer/send.js"
INSTALLED = Path(mailsystem.__file__).parents[1] / ".venv/nodemailer/node_modules"
Send = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def send(tool: Tool, run: Run) -> Send:
    """`send({transport}, {mail}, …)`: what nodemailer was told for each mail, or its one error."""
    node = tool("node")
    modules = os.environ.get("NODE_PATH", str(INSTALLED))
    if not (Path(modules) / "nodemailer/package.json").exists():
        missing("nodemailer")

    def go(transport: dict[str, Any], *mails: dict[str, Any], expect: int = 0) -> list[dict[str, Any]]:
        given = json.dumps({"transport": transport, "mails": mails}).encode()
        done = run(node, str(SCRIPT), stdin=given, env={"NODE_PATH": modules}, expect=expect)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return go


def arrived(place: Place, login: str, password: str) -> list[bytes]:
    with Imap(place, login, password) as client:
        client.ok(b"SELECT INBOX")
        return [client.ok(b"UID FETCH %d BODY.PEEK[]" % uid).literal() for uid in client.uids()]


def test_a_mail_with_attachments_arrives_whole(sink: Program, address: str, send: Send) -> None:
    attached = random.Random(7).randbytes(300_000)
    [told] = send(
        {"host": sink.smtp.host, "port": sink.smtp.port, "secure": False, "ignoreTLS": True},
        {
            "from": '"Jörg Müller" <ann@example.org>',
            "to": [address, f"other-{address}"],
            "subject": "Grüße aus Köln ✉",
            "text": "first\n.second begins with a dot\n.\nlast",
            "html": "<p>first</p>",
            "attachments": [
                {"filename": "häßlich 名.bin", "content": base64.b64encode(attached).decode(), "encoding": "base64"},
                {"filename": "empty.txt", "content": ""},
            ],
        },
    )
    assert told["accepted"] == [address, f"other-{address}"]
    [raw] = arrived(sink.imap, address, "any")
    [other] = arrived(sink.imap, f"other-{address}", "any")
    assert messages.received(raw) == messages.received(other)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed["Subject"] == "Grüße aus Köln ✉"
    [first, second] = parsed.iter_attachments()
    assert first.get_content() == attached
    assert first.get_filename() == "häßlich 名.bin"
    assert second.get_filename() == "empty.txt"
    text = parsed.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["first", ".second begins with a dot", ".", "last"]


def test_utf8_addresses_are_sent_by_smtputf8(sink: Program, send: Send) -> None:
    recipient = "юзер@bücher.example"
    transport = {"host": sink.smtp.host, "port": sink.smtp.port, "ignoreTLS": True}
    with Tap(sink.smtp) as tap:
        [told] = send(
            transport | {"port": tap.place.port},
            {"from": "jörg@bücher.example", "to": recipient, "subject": "utf-8", "text": "x"},
        )
        assert told["response"].startswith("250 ")
        assert b" SMTPUTF8\r\n" in b"".join(tap.said)
    [raw] = arrived(sink.imap, recipient, "any")
    assert raw.startswith("Return-Path: <jörg@".encode())


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("door", ["submission", "submissions"])
def test_a_login_under_tls_submits(mechanism: str, door: str, house: House, person: Person, send: Send) -> None:
    place = house.program.ready[door]
    [told] = send(
        {
            "host": "localhost",
            "port": place["port"],
            "secure": door == "submissions",
            "requireTLS": True,
            "tls": {"ca": house.authority.read_text()},
            "auth": {"user": person.login, "pass": person.password},
            "authMethod": mechanism,
        },
        {"from": person.login, "to": person.login, "subject": "under TLS", "text": "x"},
    )
    assert told["accepted"] == [person.login]
    [raw] = arrived(house.program.imap, person.login, person.password)
    assert b"with ESMTPSA" in raw


def test_a_pool_sends_many_over_few_connections(sink: Program, address: str, send: Send) -> None:
    transport = {"pool": True, "host": sink.smtp.host, "port": sink.smtp.port, "ignoreTLS": True, "maxConnections": 2}
    mails = [{"from": "a@b.example", "to": address, "subject": f"number {n}", "text": f"{n}"} for n in range(30)]
    assert all(told["response"].startswith("250 ") for told in send(transport, *mails))
    raws = arrived(sink.imap, address, "any")
    assert sorted(email.message_from_bytes(raw)["Subject"] for raw in raws) == sorted(f"number {n}" for n in range(30))


def test_a_wrong_password_and_a_recipient_whom_nobody_has_are_told(house: House, person: Person, send: Send) -> None:
    secure = {
        "host": "localhost",
        "port": house.program.ready["submission"]["port"],
        "requireTLS": True,
        "tls": {"ca": house.authority.read_text()},
    }
    [told] = send(secure | {"auth": {"user": person.login, "pass": "wrong"}}, expect=1)
    assert (told["error"], told["code"]) == ("EAUTH", 535)
    [told] = send(
        secure | {"auth": {"user": person.login, "pass": person.password}},
        {"from": person.login, "to": "nobody-at-all@example.org", "text": "x"},
        expect=1,
    )
    assert (told["error"], told["code"]) == ("EENVELOPE", 550)
    [told] = send(
        secure | {"auth": {"user": person.login, "pass": person.password}},
        {"from": person.login, "to": "x@elsewhere.example", "text": "x"},
    )
    assert told["accepted"] == ["x@elsewhere.example"]
