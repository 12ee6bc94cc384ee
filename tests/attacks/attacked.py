"""The house that is attacked, and what attackers have in common."""

from __future__ import annotations

import base64
import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import messages
import program
from outside import Certificates
from wire import Imap, Pop3, Smtp, Wire

from mailsystem.settings import knobs

PASSWORD = "correct horse battery staple"
SMTP_DOORS = ("smtp", "submission")
DOORS = (*SMTP_DOORS, "pop3", "imap")
SETTINGS = {knob.name for knob in knobs()}


@dataclass
class Target:
    """A running program, its people, and its doors by name."""

    house: program.House
    certificates: Certificates
    _people: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def somebody(self) -> program.Person:
        return self.house.add(f"victim{next(self._people)}@example.org", PASSWORD)

    def place(self, door: str) -> program.Place:
        bound = self.house.program.ready.get(door) or self.house.program.ready["smtp"]
        return program.Place(bound["host"], bound["port"])

    def smtp(self, door: str = "smtp", *, hello: bool = True) -> Smtp:
        return Smtp(self.place(door), hello=hello)

    def wire(self, door: str) -> Wire:
        """A client of any door, who has read the greeting."""
        client = Wire(self.place(door))
        client.line()
        if door in SMTP_DOORS:
            client.send(b"EHLO client.example\r\n")
            while client.line()[3:4] == b"-":
                pass
        return client

    def inbox(self, person: program.Person) -> list[bytes]:
        """Everything that somebody has received, as it is kept."""
        with Imap(self.house.program.imap, person.login, person.password) as client:
            client.ok(b"EXAMINE INBOX")
            count = len(client.uids())
            return [client.ok(b"FETCH %d BODY.PEEK[]" % number).literal() for number in range(1, count + 1)]

    def still_serves(self, person: program.Person) -> None:
        """Mail still comes in and is still read."""
        raw = messages.simple("still here")
        with self.smtp() as client:
            assert client.message("a@b.example", [person.login], raw)[0] == 250
        assert messages.received(self.inbox(person)[-1]) == raw
        with Pop3(self.house.program.pop3, person.login, person.password) as maildrop:
            maildrop.ok(b"STAT")
            maildrop.ok(b"QUIT")


@contextlib.contextmanager
def opened(home: Path, certificates: Certificates, more: Mapping[str, str] | None = None) -> Iterator[Target]:
    """`mailsystem serve` for example.org, with all that it says in JSON."""
    program.add_domain("example.org", data_dir=home / "data")
    env = {
        "MAILSYSTEM_TLS__CERT": str(certificates.certificate),
        "MAILSYSTEM_TLS__KEY": str(certificates.key),
        "MAILSYSTEM_LOG__FORMAT": "json",
        "MAILSYSTEM_LOG__LEVEL": "debug",
        "MAILSYSTEM_LOG__LINES": "true",
        **(more or {}),
    }
    for door in ("submission", "submissions", "pop3s", "imaps"):
        if f"{door}.port" in SETTINGS:
            env.setdefault(f"MAILSYSTEM_{door.upper()}__PORT", "0")
    with program.serve(home, env=env) as running:
        yield Target(program.House(running, certificates.authority), certificates)


def until_closed(client: Wire) -> bytes:
    """All that the peer still says before it closes; a reset is a close."""
    said = b""
    with contextlib.suppress(ConnectionError):
        said = client.rest()
    return said


def plain(person: program.Person) -> bytes:
    """The command of a login at an SMTP door."""
    return b"AUTH PLAIN " + base64.b64encode(f"\0{person.login}\0{person.password}".encode())
