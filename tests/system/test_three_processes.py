"""SMTP, POP3 and IMAP in processes of their own over one data directory, and in workers that each have all of them."""

from __future__ import annotations

import contextlib
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import messages
import program
import pytest
from wire import Imap, Pop3, Smtp

LOGIN, PASSWORD = "ann@example.org", "correct horse"


@dataclass(frozen=True, slots=True)
class Doors:
    """Three programs, or one three times."""

    smtp: program.Program
    pop3: program.Program
    imap: program.Program

    def send(self) -> Smtp:
        return Smtp(self.smtp.smtp)

    def mailbox(self) -> Imap:
        client = Imap(self.imap.imap, LOGIN, PASSWORD)
        client.ok(b"SELECT INBOX")
        return client

    def maildrop(self) -> Pop3:
        return Pop3(self.pop3.pop3, LOGIN, PASSWORD)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Doors]:
    """A process for each door."""
    data = tmp_path / "data"
    program.add_domain("example.org", data_dir=data)
    program.add_user(LOGIN, PASSWORD, data_dir=data)
    made = [program.serve(tmp_path / role, role, data_dir=data) for role in ("smtp", "pop3", "imap")]
    with program.together(*made) as (smtp, pop3, imap):
        assert len({smtp.pid, pop3.pid, imap.pid}) == 3
        assert (set(smtp.ready), set(pop3.ready), set(imap.ready)) == (
            {"pid", "smtp"},
            {"pid", "pop3"},
            {"pid", "imap"},
        )
        yield Doors(smtp, pop3, imap)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Doors]:
    """Two processes for all doors."""
    data = tmp_path / "data"
    program.add_domain("example.org", data_dir=data)
    program.add_user(LOGIN, PASSWORD, data_dir=data)
    with program.serve(tmp_path, data_dir=data, args=["--workers", "2"]) as both:
        yield Doors(both, both, both)


@pytest.fixture(params=["apart", "workers"])
def doors(request: pytest.FixtureRequest) -> Doors:
    made: Doors = request.getfixturevalue(request.param)
    return made


def test_three_processes_may_start_at_once_on_an_empty_directory(tmp_path: Path) -> None:
    made = [program.serve(tmp_path / role, role, data_dir=tmp_path / "data") for role in ("smtp", "pop3", "imap")]
    with program.together(*made) as (smtp, _, imap):
        program.add_domain("example.org", data_dir=tmp_path / "data")
        program.add_user(LOGIN, PASSWORD, data_dir=tmp_path / "data")
        with Smtp(smtp.smtp) as sender:
            assert sender.message("bob@elsewhere.example", [LOGIN], messages.simple())[0] == 250
        with Imap(imap.imap, LOGIN, PASSWORD) as client:
            assert b"MESSAGES 1" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


def test_an_idling_client_hears_within_milliseconds_of_what_another_process_accepted(doors: Doors) -> None:
    rounds, delays = 15, []
    with doors.send() as sender, doors.mailbox() as idler:
        tag = idler.tag()
        idler.send(tag + b" IDLE\r\n")
        assert idler.line().startswith(b"+")
        for number in range(1, rounds + 1):
            # The safety net looks once a second: at ever other moments of that second it would be seen to be late.
            time.sleep(0.037 * (number % 5))
            assert sender.message("bob@elsewhere.example", [LOGIN], messages.simple(str(number)))[0] == 250
            accepted = time.perf_counter()
            while idler.line() != b"* %d EXISTS" % number:
                pass
            delays.append((time.perf_counter() - accepted) * 1000)
        idler.send(b"DONE\r\n")
        assert idler.answer(tag).status == "OK"
    print("milliseconds from 250 to EXISTS:", " ".join(f"{delay:.1f}" for delay in delays))
    assert statistics.median(delays) < 200


def test_a_killed_process_holds_up_no_other(apart: Doors) -> None:
    doors = apart
    stop = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError, EOFError, AssertionError), doors.send() as client:
            while not stop.is_set():
                client.message("bob@elsewhere.example", [LOGIN], messages.simple(body=b"x" * 50_000 + b"\r\n"))

    with ThreadPoolExecutor(3) as pool, doors.mailbox() as client:
        busy = [pool.submit(send) for _ in range(3)]
        time.sleep(0.2)
        doors.smtp.kill()
        stop.set()
        for one in busy:
            one.result(30)
        started = time.monotonic()
        assert client.append("INBOX", messages.simple("after")).status == "OK"
        assert b"STATUS" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[-1]
        assert time.monotonic() - started < 5
    with doors.maildrop() as maildrop:
        assert messages.simple("after") in maildrop.many(b"RETR %s" % maildrop.ok(b"STAT").split()[1])


def test_what_pop3_deletes_an_idling_client_sees_vanish(doors: Doors) -> None:
    with doors.send() as sender:
        for number in range(3):
            sender.message("bob@elsewhere.example", [LOGIN], messages.simple(str(number)))
    with doors.mailbox() as idler, doors.maildrop() as maildrop:
        tag = idler.tag()
        idler.send(tag + b" IDLE\r\n")
        assert idler.line().startswith(b"+")
        maildrop.ok(b"DELE 2")
        maildrop.ok(b"QUIT")
        quit_at = time.perf_counter()
        assert idler.line() == b"* 2 EXPUNGE"
        print(f"milliseconds from QUIT to EXPUNGE: {(time.perf_counter() - quit_at) * 1000:.1f}")
        idler.send(b"DONE\r\n")
        assert idler.answer(tag).status == "OK"


def marked(ident: str) -> bytes:
    return b"X-Id: " + ident.encode() + b"\r\n" + messages.simple(ident, b"x\r\n" * (len(ident) * 37 % 400))


def ident_of(raw: bytes) -> str:
    found = re.search(rb"X-Id: (\S+)", raw)
    assert found, raw[:200]
    return found[1].decode()


class Witness:
    """Looks at INBOX again and again, and remembers which message had which UID."""

    def __init__(self, doors: Doors) -> None:
        self.seen: dict[int, str] = {}
        self._client = doors.mailbox()
        self._at_first = self.validity()

    def validity(self) -> bytes:
        told = self._client.ok(b"STATUS INBOX (UIDVALIDITY)").untagged
        [status] = [line for line in told if line.startswith(b"STATUS ")]
        return status

    def look(self) -> dict[int, str]:
        """The mailbox now. Fails when a UID has come to mean another message, or when UIDs do not ascend."""
        now: dict[int, str] = {}
        last = 0
        for line in self._client.ok(b"UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (X-Id)])").untagged:
            if found := re.search(rb"FETCH \(UID (\d+) BODY", line):
                uid, ident = int(found[1]), ident_of(line)
                assert uid > last, "UIDs ascend with the sequence numbers"
                assert self.seen.setdefault(uid, ident) == ident, "a UID means one message for ever"
                now[uid] = ident
                last = uid
        assert self.validity() == self._at_first
        return now

    def close(self) -> None:
        self._client.close()


def test_nothing_is_lost_doubled_or_renumbered_while_seven_work_at_once(doors: Doors) -> None:
    senders, writers, each = 4, 2, 80
    deleted: set[str] = set()
    appended: dict[str, int] = {}
    copied: dict[int, str] = {}
    done = threading.Event()

    def send(k: int) -> None:
        with doors.send() as client:
            for n in range(each):
                assert client.message("bob@elsewhere.example", [LOGIN], marked(f"sent-{k}-{n}"))[0] == 250

    def write(k: int) -> None:
        with doors.mailbox() as client:
            for n in range(each):
                ident = f"written-{k}-{n}"
                told = client.append("INBOX", marked(ident)).text
                found = re.search(rb"APPENDUID \d+ (\d+)", told)
                assert found, told
                uid = appended[ident] = int(found[1])
                client.ok(b"UID STORE %d +FLAGS.SILENT ($Seen%d)" % (uid, k))
                if n % 2:
                    told = client.ok(b"UID COPY %d Archive" % uid).text
                    found = re.search(rb"COPYUID \d+ %d (\d+)" % uid, told)
                    assert found, told
                    copied[int(found[1])] = ident
                if n % 3 == 0:
                    client.ok(b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
                    client.ok(b"UID EXPUNGE %d" % uid)
                    deleted.add(ident)

    def read() -> None:
        while not done.is_set():
            with doors.maildrop() as client:
                count = int(client.ok(b"STAT").split()[1])
                taken = set()
                for number in range(1, min(count, 12) + 1):
                    ident = ident_of(client.many(b"RETR %d" % number))
                    if ident.startswith("sent-") and int(ident.rpartition("-")[2]) % 4 == 0:
                        client.ok(b"DELE %d" % number)
                        taken.add(ident)
                client.ok(b"QUIT")
                deleted.update(taken)

    def watch(witness: Witness) -> None:
        while not done.is_set():
            witness.look()

    with ThreadPoolExecutor(senders + writers + 2) as pool:
        witness = Witness(doors)
        try:
            watching = [pool.submit(read), pool.submit(watch, witness)]
            working = [pool.submit(work, k) for work, ks in ((send, senders), (write, writers)) for k in range(ks)]
            try:
                for work in working:
                    work.result(120)
            finally:
                done.set()
            for watcher in watching:
                watcher.result(60)
            _judge(witness, deleted, appended, senders, writers, each)
        finally:
            witness.close()
    assert any(ident.startswith("sent-") for ident in deleted), "the POP3 reader has deleted"
    with doors.mailbox() as client:
        client.ok(b"SELECT Archive")
        found = [
            (int(uid[1]), ident_of(line))
            for line in client.ok(b"FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (X-Id)])").untagged
            if (uid := re.search(rb"UID (\d+) BODY", line))
        ]
        assert dict(found) == copied
        assert len(found) == len(copied)


def _judge(
    witness: Witness, deleted: set[str], appended: dict[str, int], senders: int, writers: int, each: int
) -> None:
    final = witness.look()
    sent = {f"sent-{k}-{n}" for k in range(senders) for n in range(each)}
    written = {f"written-{k}-{n}" for k in range(writers) for n in range(each)}
    doubled = [ident for ident, count in Counter(final.values()).items() if count > 1]
    assert not doubled
    assert set(final.values()) == (sent | written) - deleted
    assert max(final) >= max(appended.values())
    assert {uid: ident for ident, uid in appended.items() if ident not in deleted}.items() <= final.items()
    order: dict[str, Callable[[str], bool]] = {
        f"sent-{k}-": (lambda ident, k=k: ident.startswith(f"sent-{k}-")) for k in range(senders)
    }
    for mine in order.values():
        numbers = [int(ident.rpartition("-")[2]) for ident in final.values() if mine(ident)]
        assert numbers == sorted(numbers), "what one client sent in turn stands in that order"
