"""Mail coming in: from the first connection until every message is seen in its mailbox, and until the last 250."""

from __future__ import annotations

import imaplib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks import machine, tasks
from benchmarks.bench import Bench, row
from benchmarks.clients import Refused, Server
from benchmarks.crew import Task
from benchmarks.letters import Letters
from benchmarks.results import Row
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target

_MAILBOXES = 20


class Watcher:
    """Looks by IMAP how many messages a mailbox has."""

    def __init__(self, server: Server, user: str) -> None:
        self._imap = imaplib.IMAP4(server.host, server.imap)
        self._imap.login(user, server.password)

    def messages(self) -> int:
        _, [answer] = self._imap.status("INBOX", "(MESSAGES)")
        return int(answer.split()[-1].rstrip(b")"))

    def newest(self) -> bytes:
        self._imap.select("INBOX", readonly=True)
        _, data = self._imap.fetch("*", "(BODY.PEEK[])")
        return bytes(data[0][1]) if data and isinstance(data[0], tuple) else b""

    def close(self) -> None:
        self._imap.logout()


def wait_until_seen(watchers: dict[str, Watcher], expected: dict[str, int], patience: float) -> float:
    """Return, by `time.monotonic`, when the last message was seen. Raises `Refused`."""
    until = time.monotonic() + patience
    for user, count in expected.items():
        while (seen := watchers[user].messages()) < count:
            if time.monotonic() > until:
                raise Refused(f"{seen} of {count} messages arrived within {patience:.0f} s")
            time.sleep(0.002)
        if seen > count:
            raise Refused(f"{seen} messages arrived of {count} that were sent")
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Sending:
    """How mail comes in."""

    about: str
    size: int
    """Octets of each message."""
    count: int
    recipients: int = 1
    connections: int = 20
    """At once."""
    per_connection: int = 10


def arrive(bench: Bench, target: Target, *, how: Sending) -> Iterator[Row]:
    label, size, recipients = f"mail in, {how.about}", how.size, how.recipients
    count = bench.scaled(how.count, 4)
    users = bench.users(target, max(_MAILBOXES, recipients))
    places = [[users[(number * recipients + n) % len(users)] for n in range(recipients)] for number in range(count)]
    expected = {user: sum(place.count(user) for place in places) for user in users}
    shares = [list(range(start, count, bench.options.processes)) for start in range(bench.options.processes)]
    # One connection cannot be shared by two processes.
    shares = [list(range(count))] if how.connections == 1 else [share for share in shares if share]
    work = [
        Task(
            tasks.deliver,
            {
                "server": target.server,
                "size": size,
                "drops": [(n, [target.server.address(user) for user in places[n]]) for n in share],
                "connections": min(len(share), max(1, how.connections // len(shares))),
                "per_connection": how.per_connection,
            },
        )
        for share in shares
    ]
    watchers = {user: Watcher(target.server, user) for user in users}
    done = bench.measure(target, work)
    copies = count * recipients
    if done.errors:
        yield row(label, target, done, operations=copies)
        return
    seen = wait_until_seen(watchers, expected, bench.options.patience) - done.began
    spent = machine.cpu(target.roots) - done.cpu_before
    wrong = _changed(watchers[users[0]].newest(), size)
    for watcher in watchers.values():
        watcher.close()
    rate = copies * size / seen / 1e6
    whole = row(
        label, target, done, operations=copies, seconds=seen, wrong=wrong, behind_s=seen - done.seconds, mb_s=rate
    )
    yield replace(whole, server_ms=1000 * spent / copies if target.roots else None)
    yield row(f"{label}, to the 250", target, done, operations=count)


def _changed(message: bytes, size: int) -> Iterable[str]:
    """Nothing, if that is one of the letters with lines before it."""
    letters = Letters(size)
    if not any(message.endswith(letters.body(number)) for number in (*range(40), 500)):
        yield f"what arrived is not what was sent: {message[-60:]!r}"


def _scenario(name: str, how: Sending) -> Scenario:
    return Scenario(name, "smtp", f"one copy of a message, {how.about}", partial(arrive, how=how), ("smtp", "imap"))


SCENARIOS: Sequence[Scenario] = (
    _scenario("smtp-1k", Sending("1 KB", 1 << 10, 2000)),
    _scenario("smtp-10k", Sending("10 KB", 10 << 10, 2000)),
    _scenario("smtp-one", Sending("10 KB, one connection", 10 << 10, 400, connections=1, per_connection=1 << 30)),
    _scenario("smtp-new", Sending("10 KB, a connection each", 10 << 10, 1000, per_connection=1)),
    _scenario("smtp-ten", Sending("10 KB, 10 recipients", 10 << 10, 300, recipients=10)),
    _scenario("smtp-100k", Sending("100 KB", 100 << 10, 500)),
    _scenario("smtp-1m", Sending("1 MB", 1 << 20, 60)),
    _scenario("smtp-25m", Sending("25 MB", 25 << 20, 4, connections=2, per_connection=2)),
)
