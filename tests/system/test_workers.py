"""Several workers are one server: at the same doors, with the same limits, and none of them is missed when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import messages
import program
import pytest
import trustme
from program import is_alive
from remote import Remote
from wire import Imap, Pop3, Smtp

if TYPE_CHECKING:
    from conftest import Certificates

ANN, PASSWORD = "ann@example.org", "correct horse"
SENDER = "bob@elsewhere.example"


def sink(home: Path, *args: str, **env: str) -> program.Program:
    return program.sink(home, args=["--workers", "2", *args], env=env)


def serve(home: Path, *args: str, **env: str) -> program.Program:
    program.add_domain("example.org", data_dir=home / "data")
    program.add_user(ANN, PASSWORD, data_dir=home / "data")
    return program.serve(home, args=["--workers", "2", *args], env=env)


def workers_of(running: program.Program) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()]


def until(true: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[program.Program]:
    with sink(tmp_path, "--log-format", "json", "--log-level", "debug") as running:
        yield running


def test_all_of_them_are_at_each_door_and_see_one_store(both: program.Program) -> None:
    assert set(both.ready) == {"pid", "smtp", "pop3", "imap", "web"}
    assert both.ready["pid"] == both.pid
    with contextlib.ExitStack() as stack:
        senders = at_both(both, lambda: stack.enter_context(Smtp(both.smtp)))
        readers = at_both(both, lambda: stack.enter_context(Imap(both.imap, ANN)))
        for number, sender in enumerate(senders):
            assert sender.message(SENDER, [ANN], messages.simple(str(number)))[0] == 250
        for reader in readers:
            assert b"%d EXISTS" % len(senders) in reader.ok(b"SELECT INBOX").untagged
    with contextlib.ExitStack() as stack:
        # One after the other: a maildrop is for one at a time.
        at_both(both, lambda: stack.enter_context(Pop3(both.pop3)))
        with Pop3(both.pop3, ANN) as maildrop:
            assert int(maildrop.ok(b"STAT").split()[1]) == len(senders)


T = TypeVar("T")


def at_both(running: program.Program, connect: Callable[[], T]) -> list[T]:
    """Connections, so many that each worker has at least one of them."""
    before = {pid: _sockets(pid) for pid in workers_of(running)}
    made = []
    for _ in range(100):
        made.append(connect())
        if all(_sockets(pid) > there for pid, there in before.items()):
            return made
    raise AssertionError("one worker takes in nobody")


def _sockets(pid: int) -> int:
    """How many sockets a process has open."""
    names = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(os.readlink(file))
    return sum(name.startswith("socket:") for name in names)


def test_who_looks_on_at_one_sees_the_sessions_of_all(both: program.Program) -> None:
    place = both.ready["web"]
    with contextlib.ExitStack() as stack:
        there = at_both(both, lambda: stack.enter_context(Imap(both.imap, ANN)))
        with httpx.stream("GET", f"http://{place['host']}:{place['port']}/v1/flow", timeout=30) as stream:
            events = _events(stream)
            ready = next(events)
            assert ready["workers"] == 2
            known = {each["session"] for each in ready["sessions"]}
            assert len(known) == len(there)
            for reader in there:
                reader.ok(b"SELECT INBOX")
            senders = at_both(both, lambda: stack.enter_context(Smtp(both.smtp)))
            for sender in senders:
                assert sender.message(SENDER, [ANN], messages.simple("x"))[0] == 250
                sender.say(b"QUIT")
            told = []
            while sum(one["name"] == "disconnected" for one in told) < len(senders):
                told.append(next(events))
    sent = [one["session"] for one in told if one["name"] == "connected"]
    assert len(sent) == len(set(sent)) == len(senders)
    assert not known & set(sent)
    selected = {one["session"] for one in told if one.get("who") == "C" and "SELECT" in one["text"]}
    assert selected == known
    numbers = [one["id"] for one in told]
    assert numbers == sorted(set(numbers))
    for session in sent:  # each of them whole, and in order
        names = [one["name"] for one in told if one["session"] == session]
        assert (names[0], names[-1], names.count("delivered")) == ("connected", "disconnected", 1)


def _events(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in stream.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


def test_what_comes_to_one_is_told_by_the_other(both: program.Program) -> None:
    with contextlib.ExitStack() as stack:
        idlers = at_both(both, lambda: stack.enter_context(Imap(both.imap, ANN)))
        for idler in idlers:
            idler.ok(b"SELECT INBOX")
            idler.send(idler.tag() + b" IDLE\r\n")
            assert idler.line().startswith(b"+")
        sender = stack.enter_context(Smtp(both.smtp))
        for number in range(1, 6):
            assert sender.message(SENDER, [ANN], messages.simple())[0] == 250
            for idler in idlers:
                while idler.line() != b"* %d EXISTS" % number:
                    pass


def test_each_tells_what_came_to_all_of_them(both: program.Program) -> None:
    place = both.ready["web"]

    def asked() -> set[int]:
        """How many messages came, as each of them says."""
        with contextlib.ExitStack() as stack:

            def ask() -> int:
                client = stack.enter_context(httpx.Client(timeout=30))
                told = client.get(f"http://{place['host']}:{place['port']}/api/v1/info").json()
                return int(told["RuntimeStats"]["SMTPAccepted"])

            return set(at_both(both, ask))

    sent = 0
    for _ in range(2):
        with contextlib.ExitStack() as stack:
            senders = at_both(both, lambda: stack.enter_context(Smtp(both.smtp)))
            for sender in senders:
                assert sender.message(SENDER, [ANN], messages.simple("x"))[0] == 250
                sent += 1
        assert asked() == {sent}
        victim = workers_of(both)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: len(workers_of(both)) == 2 and victim not in workers_of(both))


def test_a_killed_worker_is_replaced_and_nothing_that_was_accepted_is_lost(both: program.Program) -> None:
    promised: list[bytes] = []
    stop = threading.Event()

    def send(name: int) -> None:
        for number in range(1_000_000):
            if stop.is_set():
                return
            subject = f"{name}-{number}"
            with contextlib.suppress(OSError, EOFError, AssertionError), Smtp(both.smtp) as client:
                if client.message(SENDER, [ANN], messages.simple(subject))[0] == 250:
                    promised.append(subject.encode())

    threads = [threading.Thread(target=send, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    seen = set(workers_of(both))
    for turn in range(3):
        enough = len(promised) + 5
        until(lambda enough=enough: len(promised) >= enough)
        victim = workers_of(both)[turn % 2]
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: len(workers_of(both)) == 2 and victim not in workers_of(both))
        seen |= set(workers_of(both))
    stop.set()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 5
    with Imap(both.imap, ANN) as client:
        client.ok(b"SELECT INBOX")
        told = b"".join(client.ok(b"FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]").untagged)
    there = Counter(line.removeprefix(b"Subject: ") for line in told.splitlines() if line.startswith(b"Subject: "))
    assert not set(promised) - set(there)
    assert set(there.values()) == {1}
    ended = [event for event in both.log() if event["event"] == "worker ended"]
    assert [event["how"] for event in ended] == ["signal 9"] * 3
    assert {event["worker"] for event in ended} == {1, 2}
    assert [event["level"] for event in ended] == ["error"] * 3


def test_a_worker_that_fails_to_start_again_is_tried_at_ever_longer_intervals(both: program.Program) -> None:
    # A directory that is no directory any more: whoever opens the store now cannot.
    kept = both.data_dir.with_name("kept")
    both.data_dir.rename(kept)
    both.data_dir.write_text("")
    victim = workers_of(both)[0]
    os.kill(victim, signal.SIGKILL)

    def ended() -> list[dict[str, Any]]:
        return [event for event in both.log() if event["event"] == "worker ended"]

    until(lambda: len(ended()) >= 3)
    first, second, third = ended()[:3]
    assert first["again_in"] < second["again_in"] < third["again_in"]
    assert "is not a directory" in second["reason"]
    with socket.create_connection(both.imap, 20) as client:
        assert client.recv(100).startswith(b"* OK"), "the other one is still there"
    both.data_dir.unlink()
    kept.rename(both.data_dir)
    until(lambda: len(workers_of(both)) == 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_them_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with sink(tmp_path) as running:
        workers = workers_of(running)
        idle = [socket.create_connection(running.smtp, 20) for _ in range(4)]
        for client in idle:
            assert client.recv(1000).startswith(b"220 ")
        running.process.send_signal(number)
        assert running.process.wait(20) == 0
        for client in idle:
            assert client.recv(1000).startswith(b"421 ")
            client.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(running.smtp, 5)
        assert not running.ready_file.exists()
        assert not any(map(is_alive, workers))
        assert "Traceback" not in running.output()


def test_ctrl_c_reaches_all_of_them_at_once_and_ends_them_once(tmp_path: Path) -> None:
    """A terminal tells the whole group, as a service manager tells the whole control group."""
    with sink(tmp_path) as running:
        for pid in [running.pid, *workers_of(running)]:
            os.kill(pid, signal.SIGINT)
        assert running.process.wait(20) == 0
        assert "ended" not in running.output()


def test_a_second_signal_ends_all_of_them_at_once(tmp_path: Path) -> None:
    with sink(tmp_path, MAILSYSTEM_GRACE="60") as running, Smtp(running.smtp) as busy:
        workers = workers_of(running)
        busy.say(b"MAIL FROM:<bob@elsewhere.example>", expect=250)
        busy.say(b"RCPT TO:<ann@example.org>", expect=250)
        busy.say(b"DATA", expect=354)
        busy.send(b"Subject: half\r\n")
        running.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(5) == 130
        until(lambda: not any(map(is_alive, workers)))


def test_no_worker_outlives_who_watches_it(tmp_path: Path) -> None:
    running = sink(tmp_path).wait_ready()
    workers = workers_of(running)
    assert len(workers) == 2
    running.kill()
    until(lambda: not any(map(is_alive, workers)))


def test_each_failure_to_start_is_one_sentence(tmp_path: Path, certificates: Certificates) -> None:
    ports = ("--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0")

    def refused(*args: str, **env: str) -> str:
        told = program.command(*args, "--workers", "2", home=tmp_path, expect=1, **env)
        assert told.count("\n") == 1
        assert told.startswith("error: ")
        return told.removeprefix("error: ").strip()

    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert refused("sink", *ports, "--smtp-port", port).startswith(f"port {port} is in use by another program; ")
    assert "(data_dir) cannot be made" in refused("serve", *ports, "--data-dir", "no/such/place")
    said = refused("serve", *ports, "--data-dir", "data", MAILSYSTEM_TLS__CERT="nothing.pem", MAILSYSTEM_TLS__KEY="x")
    assert "nothing.pem" in said
    said = refused("sink", *ports, "--ready-file", "no/such/place/ready")
    assert said == "cannot write no/such/place/ready (--ready-file): No such file or directory"
    assert program.command("sink", "--workers", "0", home=tmp_path, expect=1).startswith(
        "error: workers (from --workers)"
    )


def test_the_log_is_one(both: program.Program) -> None:
    def talk() -> None:
        for _ in range(20):
            with Imap(both.imap, ANN) as client:
                client.ok(b"SELECT INBOX")
                client.ok(b"NOOP")

    threads = [threading.Thread(target=talk) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both.stop()
    events = [json.loads(line) for line in both.output().splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "listening"
    assert events[0]["workers"] == 2
    assert names[-1] == "stopped"
    assert Counter(names)["listening"] == Counter(names)["stopping"] == Counter(names)["stopped"] == 1
    sessions = [event["session"] for event in events if event["event"] == "connected"]
    assert sorted(sessions) == list(range(1, 121))


def test_lines_of_the_protocol_do_not_run_into_each_other(tmp_path: Path) -> None:
    """A pipe takes 4096 octets in one piece, and more of them as it likes."""
    environment = program.environment(tmp_path)
    command = [program.sys.executable, "-m", "mailsystem", "sink", "--workers", "2", "--log-format", "json"]
    ready = tmp_path / "piped.json"
    ports = ["--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0"]
    process = subprocess.Popen(
        [*command, *ports, "--log-lines", "--data-dir", str(tmp_path / "data"), "--ready-file", str(ready)],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
    )
    heard: list[bytes] = []

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            heard.extend(lines)

    reading = threading.Thread(target=read)
    reading.start()
    until(ready.exists)
    bound = json.loads(ready.read_text())["imap"]

    def talk() -> None:
        with Imap(program.Place(bound["host"], bound["port"]), ANN) as client:
            for turn in range(10):
                # Together, so that they are written together.
                client.send(b"".join(b't%d-%d LIST "" %s\r\n' % (turn, number, b"y" * 800) for number in range(50)))
                while not client.line().startswith(b"t%d-49 OK" % turn):
                    pass

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.terminate()
    reading.join(20)
    assert process.wait(20) == 0
    assert sum(len(json.loads(line).get("text", "")) > 800 for line in heard) == 4 * 10 * 50


def test_wrong_passwords_count_at_all_of_them_together(tmp_path: Path) -> None:
    with serve(tmp_path) as running:
        begun = time.monotonic()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Imap(running.imap)) for _ in range(24)]
            said = [client.say(b'LOGIN %s "wrong"' % ANN.encode()).text for client in clients]
        looked_at = sum(b"too many" not in text for text in said)
        # Ten a minute, of which some come back while we try.
        assert 10 <= looked_at <= 11 + (time.monotonic() - begun) / 6


def test_connections_count_at_all_of_them_together(tmp_path: Path) -> None:
    with serve(tmp_path, MAILSYSTEM_LIMITS__CONNECTIONS="5") as running:
        with contextlib.ExitStack() as stack:
            inside = [stack.enter_context(socket.create_connection(running.imap, 20)) for _ in range(5)]
            for each in inside:
                assert each.recv(100).startswith(b"* OK")
            with socket.create_connection(running.smtp, 20) as sixth:
                assert sixth.recv(100).startswith(b"421 ")

        def lets_in() -> bool:
            with socket.create_connection(running.smtp, 20) as again:
                return again.recv(100).startswith(b"220 ")

        def hold() -> socket.socket | None:
            one = socket.create_connection(running.imap, 20)
            if one.recv(100).startswith(b"* OK"):
                return one
            one.close()
            return None

        # Those of a worker that dies are gone with it.
        held: list[socket.socket] = []

        def holds_all() -> bool:
            held.extend(one for one in (hold(),) if one is not None)
            return len(held) == 5

        until(holds_all)
        os.kill(max(workers_of(running), key=_sockets), signal.SIGKILL)
        until(lets_in)
        for each in held:
            each.close()


def test_all_of_them_read_a_new_certificate(tmp_path: Path, certificates: Certificates) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(certificates.certificate, cert)
    shutil.copy(certificates.key, key)
    with serve(tmp_path, MAILSYSTEM_TLS__CERT=str(cert), MAILSYSTEM_TLS__KEY=str(key)) as running:
        with _secured(running) as client:
            old = _certificate(client)
        issued = trustme.CA().issue_cert("localhost")
        key.write_bytes(issued.private_key_pem.bytes())
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        running.process.send_signal(signal.SIGHUP)

        def are_new() -> bool:
            with contextlib.ExitStack() as stack:  # four that are open at once are two at each
                return old not in {_certificate(stack.enter_context(_secured(running))) for _ in range(4)}

        until(are_new)
        assert len(workers_of(running)) == 2
        assert "worker ended" not in running.output()


def _secured(running: program.Program) -> ssl.SSLSocket:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    place = running.ready["imaps"]
    return anybody.wrap_socket(socket.create_connection((place["host"], place["port"]), 20))


def _certificate(client: ssl.SSLSocket) -> bytes | None:
    return client.getpeercert(binary_form=True)


def test_mail_that_one_takes_in_is_sent_by_the_one_that_has_the_queue(tmp_path: Path) -> None:
    with (
        Remote() as remote,
        serve(
            tmp_path,
            "--submission-port",
            "0",
            MAILSYSTEM_QUEUE__SMARTHOST=f"{remote.place.host}:{remote.place.port}",
            MAILSYSTEM_QUEUE__SMARTHOST_TLS="none",
        ) as running,
        contextlib.ExitStack() as stack,
    ):
        senders = [stack.enter_context(Smtp(running.submission)) for _ in range(4)]
        for sender in senders:
            sender.say(b"AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBjb3JyZWN0IGhvcnNl", expect=235)
        for number, sender in enumerate(senders):
            assert sender.message(ANN, [f"p{number}@elsewhere.example"], messages.simple(str(number)))[0] == 250
        until(lambda: len(remote.taken) == 4)
    assert len({taken.recipients for taken in remote.taken}) == 4


def test_lmtp_at_a_path_is_served_by_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    with serve(tmp_path, MAILSYSTEM_LMTP__PATH=str(path)) as running:
        assert running.ready["lmtp"] == {"path": str(path)}
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(20)
                client.connect(str(path))
                assert client.recv(100).startswith(b"220 ")
        os.kill(workers_of(running)[0], signal.SIGKILL)
        until(lambda: len(workers_of(running)) == 2)
        assert path.exists()
    assert not path.exists()


@pytest.mark.skipif(find_spec("uvloop") is None, reason="it is not installed")
def test_uvloop_is_used_by_all_of_them(both: program.Program) -> None:
    for pid in workers_of(both):
        assert "uvloop" in Path(f"/proc/{pid}/maps").read_text()


def test_the_queue_alone_needs_no_workers(tmp_path: Path) -> None:
    with program.serve(tmp_path, "queue", args=["--workers", "4"]) as running:
        assert workers_of(running) == []
