"""What a second worker is worth: the same work for one and for two, in turn, with a client that costs little.

Server and client share the machine, so two figures are told. `clock` is what this machine gave: two workers and the client may
want more than it has. `busiest` is the processor's time of the worker that had most of it: what two would give if nothing
else wanted their cores. It leaves out where they wait for each other, at the lock of the database; `clock` has that in it.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROUNDS: Final = 3
CLIENTS: Final = 20
MAILBOX: Final = 1000
"""Messages in each mailbox that is read."""
_PATIENCE: Final = 120.0
_AT_REST: Final = 0.03
"""Seconds of the processor in a second."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")

Step = tuple[bytes, bytes]
"""What is said in one piece, and how the last line of the answer begins."""
Script = Callable[[int], Iterator[Step]]
"""By the number of the client."""


@dataclass(frozen=True)
class Row:
    """One kind of work."""

    name: str
    door: str
    count: int
    """How much of it each client does."""
    script: Script
    fresh: bool = False
    """Whether each step is a connection of its own."""


@dataclass(frozen=True)
class Cost:
    seconds: float
    workers: tuple[float, ...]
    """The processor's time of each worker."""
    done: int

    @property
    def milliseconds(self) -> float:
        """Of all workers together, for one."""
        return sum(self.workers) / self.done * 1000

    @property
    def busiest(self) -> float:
        return max(self.workers) / self.done * 1000


def letter(size: int) -> bytes:
    head = b"From: Bob <bob@example.net>\r\nTo: Ann <ann@example.org>\r\nSubject: Minutes of the meeting\r\n"
    head += b"Message-ID: <1@example.net>\r\nDate: Fri, 27 Nov 2026 09:00:00 +0000\r\n\r\n"
    line = b"The meeting will be held on Tuesday, as always, unless it rains.\r\n"
    return head + line * ((size - len(head)) // len(line) + 1)


def mail(size: int, count: int, each: int = 20) -> Script:
    """Messages in chunks (RFC 3030), so that nobody waits for anybody's go-ahead."""

    def script(number: int) -> Iterator[Step]:
        yield b"EHLO client.example\r\n", b"250 "
        octets = letter(size)
        one = b"MAIL FROM:<bob@example.net>\r\nRCPT TO:<u%d@example.org>\r\nBDAT %d LAST\r\n" % (number, len(octets))
        for _ in range(count // each):
            # NOOP answers last, and with words of its own.
            yield (one + octets) * each + b"VRFY u%d\r\n" % number, b"252 "

    return script


def imap(number: int, command: bytes, count: int) -> Iterator[Step]:
    yield b"a LOGIN u%d@example.org pw\r\nb SELECT INBOX\r\n" % number, b"b OK"
    for _ in range(count):
        yield b"c " + command + b"\r\n", b"c OK"


def sync(number: int) -> Iterator[Step]:
    return imap(number, b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", 2)


def search(number: int) -> Iterator[Step]:
    return imap(number, b"SEARCH SUBJECT minutes FROM bob", 20)


def login(number: int) -> Iterator[Step]:
    for _ in range(100):
        yield b"a LOGIN u%d@example.org pw\r\nb LOGOUT\r\n" % number, b"b OK"


ROWS: Final = (
    Row("smtp 1K", "smtp", 300, mail(1000, 300)),
    Row("smtp 10K", "smtp", 100, mail(10_000, 100)),
    Row("imap sync", "imap", 2 * MAILBOX, sync),
    Row("imap search", "imap", 20, search),
    Row("logins", "imap", 100, login, fresh=True),
)


class Client:
    """One connection and what is left to be said."""

    def __init__(self, place: tuple[str, int], row: Row, number: int) -> None:
        self._place = place
        self._fresh = row.fresh
        self._script = row.script(number)
        self._mark = b""
        self._heard = b""
        self.socket: socket.socket | None = None
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(self._place, _PATIENCE)
        self.socket.recv(1000)

    def next(self) -> bool:
        """Say what comes next; whether there was anything."""
        step = next(self._script, None)
        if step is None:
            return False
        if self.socket is None:
            self._connect()
        assert self.socket is not None
        words, mark = step
        self._mark, self._heard = b"\n" + mark, b"\n"
        self.socket.sendall(words)
        return True

    def hear(self) -> bool:
        """Whether the answer is whole."""
        assert self.socket is not None
        data = self.socket.recv(1 << 20)
        self._heard = self._heard[-1000:] + data
        whole = self._heard.endswith(b"\n") and self._mark in self._heard[-1000:]
        if not (data or whole):
            raise EOFError(self._heard)
        if whole and self._fresh:
            self.socket.close()
            self.socket = None
        return whole


def play(place: tuple[str, int], row: Row) -> None:
    """Let all clients do their work at once, in one thread of this process."""
    clients = [Client(place, row, number) for number in range(CLIENTS)]
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            if client.next():
                assert client.socket is not None
                waiting.register(client.socket, selectors.EVENT_READ, client)
        while waiting.get_map():
            for key, _ in waiting.select(_PATIENCE):
                client = key.data
                waiting.unregister(key.fileobj) if row.fresh else None
                if not client.hear():
                    if row.fresh:
                        waiting.register(client.socket, selectors.EVENT_READ, client)
                elif not client.next():
                    if client.socket is not None:
                        waiting.unregister(client.socket)
                        client.socket.close()
                elif row.fresh:
                    waiting.register(client.socket, selectors.EVENT_READ, client)


@contextmanager
def served(directory: Path, workers: int) -> Iterator[tuple[dict[str, tuple[str, int]], list[int]]]:
    """A sink with so many workers: where its doors are, and the processes that do the work."""
    ready = directory / f"ready-{workers}.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mailsystem", "sink", "--workers", str(workers), "--log-level", "warning"),
            *("--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0"),
            *("--data-dir", str(directory / f"data-{workers}"), "--ready-file", str(ready)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        told = json.loads(ready.read_text())
        doors = {door: (told[door]["host"], told[door]["port"]) for door in ("smtp", "pop3", "imap")}
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield doors, [int(pid) for pid in children] if workers > 1 else [process.pid]
    finally:
        process.terminate()
        process.wait()


def used(pids: Sequence[int]) -> list[float]:
    """Seconds of the processor that each has had."""
    spent = []
    for pid in pids:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        spent.append((int(user) + int(system)) / _TICKS)
    return spent


def measured(doors: dict[str, tuple[str, int]], pids: list[int], row: Row) -> Cost:
    before, begun = used(pids), time.perf_counter()
    play(doors[row.door], row)
    seconds = time.perf_counter() - begun
    return Cost(seconds, tuple(b - a for a, b in zip(before, used(pids), strict=True)), row.count * CLIENTS)


def settle(pids: Sequence[int]) -> None:
    """Wait until what came in is indexed, and nobody has anything to do."""
    before = used(pids)
    for _ in range(int(_PATIENCE)):
        time.sleep(1)
        now = used(pids)
        if sum(now) - sum(before) < _AT_REST:
            return
        before = now


def main() -> None:
    """Prints a line for each kind of work: the medians of several turns."""
    with tempfile.TemporaryDirectory(prefix="mailsystem-bench-") as place, ExitStack() as stack:
        servers = {number: stack.enter_context(served(Path(place), number)) for number in (1, 2)}
        for doors, _ in servers.values():
            play(doors["smtp"], Row("filling", "smtp", MAILBOX, mail(1000, MAILBOX, 100)))
        print(f"{'':<12}{'one worker':>22}{'two workers':>34}{'ratio':>20}")
        print(
            f"{'':<12}{'a second':>11}{'ms':>11}{'a second':>12}{'ms':>11}{'busiest ms':>12}{'clock':>10}{'busiest':>10}"
        )
        for row in ROWS:
            costs: dict[int, list[Cost]] = {1: [], 2: []}
            for _ in range(ROUNDS):
                for number, (doors, pids) in servers.items():
                    settle(pids)
                    costs[number].append(measured(doors, pids, row))
            rate, spent, busiest = (
                {number: statistics.median(map(told, costs[number])) for number in (1, 2)}
                for told in (
                    lambda cost: cost.done / cost.seconds,
                    lambda cost: cost.milliseconds,
                    lambda cost: cost.busiest,
                )
            )
            print(
                f"{row.name:<12}{rate[1]:>11,.0f}{spent[1]:>11.3f}{rate[2]:>12,.0f}{spent[2]:>11.3f}{busiest[2]:>12.3f}"
                f"{rate[2] / rate[1]:>9.2f}x{busiest[1] / busiest[2]:>9.2f}x"
            )


if __name__ == "__main__":
    main()
