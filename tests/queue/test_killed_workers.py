"""Workers that are killed in the middle of their work, and several at once: nothing is lost, and almost nothing comes twice."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import messages
import pytest
from outside import Certificates
from program import Person, Program
from remote import Conversation, Remote, Taken
from sending import Sending, bugs, sending, until
from wire import Smtp

DOMAINS = [f"away{number}.example" for number in range(4)]
KILLS = 8
EACH = 150
"""Messages that are sent around each kill."""
COUNT = KILLS * EACH
SENDERS = 3
LINGER = 0.02
"""Seconds that the other side takes over each message, so that a kill often comes between a message and its reply."""


@dataclass
class Load:
    """What somebody sends while workers die."""

    house: Sending
    person: Person
    promised: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Each message's id to whom it is for, and the digest of its octets."""

    def send(self, count: int) -> Load:
        """Some more, to all the domains, over several connections at once."""
        first = len(self.promised)
        with ThreadPoolExecutor(SENDERS) as pool:
            for done in [pool.submit(self._send, range(first + n, first + count, SENDERS)) for n in range(SENDERS)]:
                done.result()
        return self

    def _send(self, numbers: range) -> None:
        with self.house.submit(self.person) as client:
            for number in numbers:
                ident = f"message-{number}"
                raw = f"X-Id: {ident}\r\n".encode() + messages.simple(ident, b".\r\n" + b"and on\r\n" * (number % 97))
                recipient = f"bob@{DOMAINS[number % len(DOMAINS)]}"
                assert client.message(self.person.login, [recipient], raw)[0] == 250
                self.promised[ident] = recipient, messages.digest(raw)


def ident_of(taken: Taken) -> str:
    found = re.search(rb"(?m)^X-Id: (\S+)\r$", taken.raw)
    assert found, taken.raw[:300]
    return found[1].decode()


def came(remote: Remote) -> dict[str, list[tuple[Conversation, Taken]]]:
    """Each message with the connections over which it was taken."""
    found: dict[str, list[tuple[Conversation, Taken]]] = defaultdict(list)
    for conversation in remote.conversations:
        for taken in conversation.taken:
            found[ident_of(taken)].append((conversation, taken))
    return found


def check_whole(load: Load, found: dict[str, list[tuple[Conversation, Taken]]]) -> None:
    """Everything that was promised is there, for whom it is meant, octet for octet; and nothing else is."""
    assert found.keys() == load.promised.keys()
    for ident, copies in found.items():
        recipient, digest = load.promised[ident]
        for _, taken in copies:
            assert taken.recipients == (recipient,)
            assert messages.digest(taken.raw[taken.raw.index(b"X-Id: ") :]) == digest


def finish(house: Sending) -> None:
    until(lambda: not house.queued(), lambda: Counter(house.queued()).most_common(3))


@pytest.mark.slow
def test_workers_killed_over_and_over_lose_nothing_and_double_only_what_was_on_its_way(
    tmp_path: Path, certificates: Certificates
) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with sending(tmp_path, certificates) as house, house.remote(DOMAINS[0]) as remote:
        for domain in DOMAINS:
            house.names.mx(domain, remote.place.host)
        remote.linger = LINGER
        person = house.person()
        workers: list[Program] = [house.worker(number).wait_ready() for number in range(2)]
        try:
            load = Load(house, person)
            for number in range(KILLS):
                before = len(remote.taken)
                load.send(EACH)
                enough = before + chance.randrange(1, EACH // 2)
                until(lambda enough=enough: len(remote.taken) >= enough, house.queued)  # type: ignore[misc]
                workers[number % 2].wait_ready().kill()
                workers[number % 2] = house.worker(number % 2)
            finish(house)
        finally:
            for worker in workers:
                worker.stop()
        assert not any(bugs(worker) for worker in workers)
    found = came(remote)
    check_whole(load, found)
    cut = [one for one in remote.conversations if one.is_cut]
    doubled = {ident: copies for ident, copies in found.items() if len(copies) > 1}
    print(f"{len(doubled)} of {COUNT} came twice; {len(cut)} connections were cut by {KILLS} kills")
    # The other side has a message that the queue does not know to be sent: only while its 250 is on the way or being written
    # down. So it was the last of a connection that a kill has cut, or the last but one where another job has that connection
    # by then.
    for ident, copies in doubled.items():
        for conversation, taken in sorted(copies, key=lambda copy: copy[1].at)[:-1]:
            assert conversation.is_cut, f"{ident} came twice, and no kill had cut the connection"
            assert taken in conversation.taken[-2:], f"{ident} came twice, long after it was answered"
    assert sum(len(copies) - 1 for copies in doubled.values()) <= 2 * len(cut)


@pytest.mark.slow
def test_no_message_is_sent_twice_by_workers_that_share_a_queue(tmp_path: Path, certificates: Certificates) -> None:
    with sending(tmp_path, certificates) as house, house.remote(DOMAINS[0]) as remote:
        for domain in DOMAINS:
            house.names.mx(domain, remote.place.host)
        person = house.person()
        workers = [house.worker(number) for number in range(3)]
        try:
            for worker in workers:
                worker.wait_ready()
            load = Load(house, person).send(400)
            finish(house)
        finally:
            for worker in workers:
                worker.stop()
    found = came(remote)
    check_whole(load, found)
    assert {ident: len(copies) for ident, copies in found.items() if len(copies) > 1} == {}


def test_a_worker_that_is_asked_to_stop_finishes_what_is_on_its_way_and_nothing_comes_twice(
    tmp_path: Path, certificates: Certificates
) -> None:
    with sending(tmp_path, certificates) as house, house.remote(DOMAINS[0]) as remote:
        for domain in DOMAINS:
            house.names.mx(domain, remote.place.host)
        remote.linger = 10 * LINGER
        load = Load(house, house.person()).send(200)
        for stops_after in (20, 80):
            with house.worker() as worker:
                until(lambda enough=stops_after: len(remote.taken) >= enough, house.queued)  # type: ignore[misc]
                assert worker.stop() == 0
                assert not bugs(worker)
        with house.worker():
            finish(house)
    found = came(remote)
    check_whole(load, found)
    assert {ident: len(copies) for ident, copies in found.items() if len(copies) > 1} == {}


@pytest.mark.parametrize("already", [True, False], ids=["that ran already", "that comes later"])
def test_what_a_worker_had_taken_when_it_died_is_sent_by_another(
    tmp_path: Path, certificates: Certificates, already: bool
) -> None:
    """Even where the dead one never comes back: the lease of an hour is for those who may still be alive."""
    with sending(tmp_path, certificates) as house, house.remote(DOMAINS[0]) as remote:
        remote.linger = 60  # whoever sends now, waits
        person = house.person()
        first = house.worker(0).wait_ready()
        house.send(person, [f"bob@{DOMAINS[0]}"], messages.simple("taken over"))
        until(lambda: remote.taken, house.queued)
        second = house.worker(1)
        try:
            if already:
                second.wait_ready()
            first.kill()
            remote.linger = 0
            second.wait_ready()
            until(lambda: not house.queued(), house.queued)
        finally:
            second.stop()
        assert len(remote.taken) == 2


@pytest.mark.slow
def test_each_refusal_is_told_once_though_the_workers_that_tell_it_are_killed(
    tmp_path: Path, certificates: Certificates
) -> None:
    """A report and the note that it was made are one: neither is lost, and nobody hears twice of what failed once."""
    with sending(tmp_path, certificates) as house, house.remote(DOMAINS[0]) as remote:
        for domain in DOMAINS:
            house.names.mx(domain, remote.place.host)
        remote.verdict = lambda line: "550 5.1.1 no such user" if line.startswith("RCPT TO:<nobody") else None
        person, rounds, each = house.person(), 4, 30
        workers = [house.worker(number) for number in range(3)]
        try:
            for turn in range(rounds):
                for worker in workers:
                    worker.wait_ready()
                before = remote.misbehaved
                with house.submit(person) as client:
                    for number in range(turn * each, (turn + 1) * each):
                        raw = f"X-Id: message-{number}\r\n".encode() + messages.simple("refused")
                        # Nobody is named twice: after some refusals nothing is sent there any more.
                        nobody = [f"nobody{number}@{domain}" for domain in DOMAINS[:2]]
                        assert client.message(person.login, [*nobody, f"bob@{DOMAINS[2]}"], raw)[0] == 250
                until(lambda before=before: remote.misbehaved >= before + each // 2, house.queued)  # type: ignore[misc]
                workers[0].kill()
                workers.append(house.worker(len(workers) + turn))
                del workers[0]
            finish(house)
        finally:
            for worker in workers:
                worker.stop()
        assert not any(bugs(worker) for worker in workers)
        reports = house.inbox(person)
    told = Counter(
        (ident.decode(), recipient.decode())
        for report in reports
        for ident in re.findall(rb"(?m)^X-Id: (\S+)\r$", report)
        for recipient in re.findall(rb"(?m)^Final-Recipient: rfc822; *(\S+)\r$", report)
    )
    wanted = [(f"message-{n}", f"nobody{n}@{domain}") for n in range(rounds * each) for domain in DOMAINS[:2]]
    assert told == Counter(wanted)
    print(f"{len(reports)} reports of {rounds * each} messages")


@pytest.mark.slow
def test_what_is_promised_while_the_door_is_killed_goes_here_and_elsewhere_or_nowhere(
    tmp_path: Path, certificates: Certificates
) -> None:
    """It is accepted for both in one transaction."""
    chance = random.Random(random.SystemRandom().randrange(10**9))
    tried: set[str] = set()
    promised: set[str] = set()
    with sending(tmp_path, certificates) as house, house.remote(DOMAINS[0]) as remote, ExitStack() as stack:
        ann, eve = house.person(), house.person()
        stack.enter_context(house.worker())

        def send_until_it_dies(client: Smtp, turn: str, sent: threading.Event) -> None:
            with suppress(OSError, EOFError, AssertionError), client:
                for number in range(1_000_000):
                    ident = f"{turn}-{number}"
                    tried.add(ident)
                    raw = f"X-Id: {ident}\r\n".encode() + messages.simple("both", b"line\r\n" * (number % 5000))
                    if client.message(ann.login, [eve.login, f"bob@{DOMAINS[0]}"], raw)[0] == 250:
                        promised.add(ident)
                        sent.set()

        for turn in range(KILLS // 2):
            first = threading.Event()
            threads = [
                threading.Thread(target=send_until_it_dies, args=(house.submit(ann), f"{turn}-{n}", first))
                for n in range(SENDERS)
            ]
            for thread in threads:
                thread.start()
            assert first.wait(60)
            time.sleep(chance.uniform(0, 0.5))
            house.doors.kill()
            for thread in threads:
                thread.join()
            house.doors = stack.enter_context(house.open_doors())
        finish(house)
        here = Counter(ident_of(Taken("", (), raw, 0)) for raw in house.inbox(eve))
    there = Counter({ident: len(copies) for ident, copies in came(remote).items()})
    print(f"{len(promised)} of {len(tried)} were promised, and {len(here)} arrived")
    assert here == there
    assert set(here.values()) == {1}
    assert promised <= here.keys() <= tried
