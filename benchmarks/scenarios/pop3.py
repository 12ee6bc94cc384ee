"""Mailboxes emptied by POP3: login, STAT, UIDL, RETR and DELE of each message, QUIT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import tasks
from benchmarks.bench import MAIL_SIZE, Bench, row
from benchmarks.crew import Task
from benchmarks.results import Row
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target


@dataclass(frozen=True, slots=True)
class Draining:
    """How mail is fetched."""

    about: str
    count: int
    """Of messages in each mailbox."""
    mailboxes: int = 1
    window: int = 1
    """Commands that are on the way at once."""
    size: int = MAIL_SIZE


def drain(bench: Bench, target: Target, *, how: Draining) -> Iterator[Row]:
    count, mailboxes = bench.scaled(how.count), how.mailboxes
    users = bench.users(target, mailboxes)
    octets = bench.fill(target, users, count, size=how.size)
    work = [
        Task(tasks.drain, {"server": target.server, "users": share, "window": how.window})
        for share in bench.split(users)
    ]
    done = bench.measure(target, work)
    wrong = []
    if done.operations != mailboxes * count:
        wrong.append(f"{done.operations} of {mailboxes * count} messages were fetched")
    elif done.octets != mailboxes * octets:
        wrong.append(f"{done.octets} octets were fetched of {mailboxes * octets}")
    yield row(f"POP3 drain, {how.about}", target, done, wrong=wrong, mb_s=done.octets / done.seconds / 1e6)


def _scenario(name: str, how: Draining) -> Scenario:
    about = f"one message fetched and deleted, {how.about}"
    return Scenario(name, "pop3", about, partial(drain, how=how), ("pop3", "imap"))


SCENARIOS: Sequence[Scenario] = (
    _scenario("pop3-one", Draining("one client", 2000)),
    _scenario("pop3-pipelined", Draining("one client, pipelined", 2000, window=32)),
    _scenario("pop3-eight", Draining("8 clients", 500, mailboxes=8)),
    _scenario("pop3-1m", Draining("one client, 1 MB each", 60, size=1 << 20)),
)
