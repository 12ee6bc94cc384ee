"""The size of a message costs disk, not memory."""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import program
import pytest
from wire import Imap, Pop3, Smtp

OCTETS = 100 << 20
ALLOWED = 40 << 20

needs_uvloop = pytest.mark.skipif(
    find_spec("uvloop") is None, reason="asyncio keeps 32 KiB more for each TLS connection"
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[program.Program]:
    with program.sink(tmp_path) as running:
        yield running


def slices() -> Iterator[bytes]:
    """A message of 100 MB, some at a time."""
    yield b"From: a@b.example\r\nSubject: large\r\n\r\n"
    block = b"".join(b"%s\r\n" % random.Random(n).randbytes(38).hex().encode() for n in range(1 << 12))
    for _ in range(OCTETS // len(block)):
        yield block


def through(client: Smtp | Pop3 | Imap, count: int) -> str:
    """The digest of the next `count` octets, which are never held together."""
    digest = hashlib.sha256()
    while count:
        piece = client.exactly(min(count, 1 << 16))
        digest.update(piece)
        count -= len(piece)
    return digest.hexdigest()


@pytest.mark.slow
def test_a_message_of_100_mb_costs_the_server_little_memory(running: program.Program) -> None:
    sent, size = hashlib.sha256(), 0
    login = "ann@example.org"
    with Imap(running.imap, login) as client:  # everything that is loaded on first use is loaded before we measure
        client.append("INBOX", b"Subject: small\r\n\r\nsmall\r\n")
        client.ok(b"SELECT INBOX")
        client.ok(b"FETCH 1 (BODYSTRUCTURE BODY.PEEK[])")
        client.ok(b"STORE 1 +FLAGS (\\Deleted)")
        client.ok(b"EXPUNGE")
    running.reset_peak()
    before = running.memory()
    grown = {}
    with Smtp(running.smtp, timeout=60) as sender:
        sender.say(b"MAIL FROM:<bob@example.org>", expect=250)
        sender.say(b"RCPT TO:<ann@example.org>", expect=250)
        sender.say(b"DATA", expect=354)
        for piece in slices():
            sender.send(piece)
            sent.update(piece)
            size += len(piece)
        sender.send(b".\r\n")
        assert sender.reply()[0] == 250
    grown["in by SMTP"] = running.peak_memory() - before
    with Imap(running.imap, login, timeout=60) as client:
        client.ok(b"SELECT INBOX")
        [line] = [x for x in client.ok(b"FETCH 1 (RFC822.SIZE BODY.PEEK[HEADER])").untagged if b"RFC822.SIZE" in x]
        whole = int(line.split(b"RFC822.SIZE ")[1].split()[0].rstrip(b")"))
        client.send(b"x FETCH 1 BODY.PEEK[]\r\n")
        assert client.line() == b"* 1 FETCH (BODY[] {%d}" % whole
        client.exactly(whole - size)
        assert through(client, size) == sent.hexdigest()
        assert client.line() == b")"
        assert client.line().startswith(b"x OK")
    grown["out by IMAP"] = running.peak_memory() - before
    with Pop3(running.pop3, login, timeout=60) as client:
        client.ok(b"RETR 1")
        client.exactly(whole - size)
        assert through(client, size) == sent.hexdigest()
        assert client.exactly(3) == b".\r\n"
        client.ok(b"QUIT")
    grown["out by POP3"] = running.peak_memory() - before
    print({name: f"{octets / 2**20:.1f} MiB" for name, octets in grown.items()})
    assert max(grown.values()) < ALLOWED


IDLING = 300
FOR_EACH = 20_000
OF_TLS = 25_000
"""What `python -m benchmarks idle` measures for TLS alone."""


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, pytest.param(True, marks=needs_uvloop)], ids=["in clear", "under TLS"])
def test_an_idling_client_costs_little_memory(running: program.Program, tls: bool) -> None:
    """`python -m benchmarks idle` measures more of this; here twice the limit is too much."""
    clients: list[Imap] = []
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def idle(number: int) -> None:
        client = Imap(running.imap)
        clients.append(client)
        if tls:
            client.ok(b"STARTTLS")
            client.socket = context.wrap_socket(client.socket)
        client.ok(b"LOGIN user%d@example.org secret" % (number % 20))
        client.ok(b"SELECT INBOX")
        client.send(b"x IDLE\r\n")
        assert client.line() == b"+ idling"

    try:
        for number in range(50):  # what is made once is made now
            idle(number)
        before = running.memory()
        for number in range(IDLING):
            idle(number)
        each = (running.memory() - before) / IDLING
    finally:
        for client in clients:
            client.socket.close()
    print(f"{each / 1000:.1f} kB for each idling client")
    assert each < (OF_TLS + FOR_EACH * 1.5 if tls else 2 * FOR_EACH)
