"""A house that sends to other servers, in processes of its own: doors, queue workers, and a name server that says where."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import program
from outside import Certificates
from program import Person, Place, Program
from remote import OFFERED, Remote
from wire import Imap, Smtp

from mailsystem.cli.demo.dns import NameServer, answering

PATIENCE = 90.0
"""Seconds after which what must come has not come. No test needs them."""
DOMAIN = "home.example"


class Names:
    """A name server in a thread. Use it in a `with`; `records` may change at any time."""

    def __init__(self) -> None:
        self.server = NameServer({})
        self.place = Place("", 0)
        self._loop = asyncio.new_event_loop()
        self._up, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._answer(),), daemon=True)

    def __enter__(self) -> Names:
        self._thread.start()
        assert self._up.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _answer(self) -> None:
        async with answering(self.server) as (host, port):
            self.place = Place(host, port)
            self._up.set()
            await self._stop.wait()

    def mx(self, domain: str, *addresses: str) -> None:
        """Mail for a domain goes to hosts at these addresses, the first preferred."""
        hosts = {f"mx{number}.{domain}": address for number, address in enumerate(addresses)}
        self.server.records.update({name: [f"A {address}"] for name, address in hosts.items()})
        self.server.records[domain] = [f"MX {10 + number} {name}." for number, name in enumerate(hosts)]


@dataclass
class Sending:
    """What `sending` gives."""

    home: Path
    names: Names
    env: Mapping[str, str]
    authority: Path
    port: int
    """Where mail for other servers goes, at whatever address: each of them has one of its own (127.0.0.0/8)."""
    doors: Program = field(init=False)
    _remotes: int = 0
    _places: dict[str, str] = field(default_factory=dict)
    _people: int = 0

    def open_doors(self) -> Program:
        """A process that takes mail in, and shows it."""
        return program.serve(self.home / "doors", "smtp", "imap", data_dir=self.home / "data", env=self.env)

    def worker(self, number: int = 0) -> Program:
        """A process that works at the queue; to be started by `with`, or `wait_ready`."""
        return program.serve(self.home / f"queue{number}", "queue", data_dir=self.home / "data", env=self.env)

    def remote(
        self, domain: str, *, offers: Sequence[str] = OFFERED, certificates: Certificates | None = None
    ) -> Remote:
        """Another mail server, for a domain; at the address that the last one for it had, which may be remembered."""
        if domain not in self._places:
            self._places[domain] = self.address()
            self.names.mx(domain, self._places[domain])
        return Remote(
            self._places[domain],
            self.port,
            offers=offers,
            tls=certificates.server() if certificates is not None else None,
        )

    def address(self) -> str:
        """One of this machine's that nobody else here has."""
        self._remotes += 1
        return f"127.0.{self._remotes // 250 + 1}.{self._remotes % 250 + 1}"

    def person(self) -> Person:
        self._people += 1
        person = Person(f"person{self._people}@{DOMAIN}", "correct horse")
        program.add_user(person.login, person.password, data_dir=self.home / "data")
        return person

    def submit(self, person: Person, *, to: Place | None = None) -> Smtp:
        """A client that has logged in to send, here or at another server."""
        client = Smtp(to or self.doors.submission, timeout=60)
        secret = base64.b64encode(f"\0{person.login}\0{person.password}".encode())
        client.say(b"AUTH PLAIN " + secret, expect=235)
        return client

    def send(self, person: Person, recipients: Sequence[str], raw: bytes, parameters: str = "") -> None:
        with self.submit(person) as client:
            told = client.message(person.login, list(recipients), raw, parameters)
            assert told[0] == 250, told

    def inbox(self, person: Person) -> list[bytes]:
        """Everything in somebody's INBOX."""
        with Imap(self.doors.imap, person.login, person.password, timeout=60) as client:
            client.ok(b"EXAMINE INBOX")
            return [client.ok(b"UID FETCH %d BODY.PEEK[]" % uid).literal() for uid in client.uids()]

    def queued(self) -> list[tuple[str, str, str, str]]:
        """Recipient, state, last status and last reply of whatever waits."""
        with closing(sqlite3.connect(f"file:{self.home / 'data/mail.db'}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(
                "SELECT recipient, state, status, reply FROM outbound_recipients ORDER BY recipient"
            ).fetchall()

    def queued_for(self, domain: str) -> list[tuple[str, str, str, str]]:
        return [row for row in self.queued() if re.search(rf"[@.]{re.escape(domain)}$", row[0])]


def until(true: Callable[[], object], told: Callable[[], object] = lambda: "", *, seconds: float = PATIENCE) -> None:
    """Return once it is; what `told` says is in the failure."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, told()
        time.sleep(0.02)


@contextlib.contextmanager
def sending(home: Path, certificates: Certificates, *, port: int | None = None, **env: str) -> Iterator[Sending]:
    """Doors for people of `DOMAIN`; who works at the queue is up to the test. `port` is the other servers'."""
    with Names() as names:
        port = port or _free_port()
        settings = {
            "MAILSYSTEM_TLS__CERT": str(certificates.certificate),
            "MAILSYSTEM_TLS__KEY": str(certificates.key),
            "MAILSYSTEM_HOSTNAME": f"mail.{DOMAIN}",
            "MAILSYSTEM_LOG__FORMAT": "json",
            "MAILSYSTEM_QUEUE__NAMESERVERS": f"{names.place.host}:{names.place.port}",
            "MAILSYSTEM_QUEUE__PRIVATE_HOSTS": "true",
            "MAILSYSTEM_QUEUE__PORT": str(port),
            "MAILSYSTEM_LIMITS__RECIPIENTS_PER_DAY_LOGIN": "0",
            "MAILSYSTEM_LIMITS__STRANGERS_PER_DAY_LOGIN": "0",
            "MAILSYSTEM_QUEUE__RETRY_FIRST": "1",
            "MAILSYSTEM_QUEUE__RETRY_MOST": "2",
            **{f"MAILSYSTEM_{name}": value for name, value in env.items()},
        }
        program.add_domain(DOMAIN, data_dir=home / "data")
        house = Sending(home, names, settings, certificates.authority, port)
        with house.open_doors() as house.doors:
            yield house
        assert not bugs(house.doors), bugs(house.doors)


def bugs(running: Program) -> list[object]:
    """Whatever another server says, it is never a bug of ours."""
    return [event for event in running.log() if event["event"] == "bug"]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
