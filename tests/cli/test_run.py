"""`mailsystem sink` and `mailsystem serve` as processes of their own."""

from __future__ import annotations

import imaplib
import json
import os
import poplib
import re
import select
import signal
import smtplib
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import program
import pytest
from pydantic import SecretStr

from mailsystem.cli import banner, run
from mailsystem.net import Bound
from mailsystem.settings import Queue, Settings, Sink, Web
from mailsystem.telemetry import Event

if TYPE_CHECKING:
    from conftest import Tool

ANN = "ann@example.org"
MESSAGE = b"Subject: Hello\r\n\r\nIt works.\r\n"


def send(running: program.Program, recipient: str = ANN) -> None:
    with smtplib.SMTP(*running.smtp, timeout=20) as smtp:
        smtp.sendmail("bob@example.org", [recipient], MESSAGE)


def pop3(running: program.Program, login: str, password: str = "any") -> list[bytes]:
    with closing(poplib.POP3(*running.pop3, timeout=20)) as client:
        client.user(login)
        client.pass_(password)
        count = client.stat()[0]
        messages = [b"\r\n".join(client.retr(number)[1]) + b"\r\n" for number in range(1, count + 1)]
        client.quit()
        return messages


def imap(running: program.Program, login: str, password: str = "any") -> list[bytes]:
    with imaplib.IMAP4(*running.imap, timeout=20) as client:
        client.login(login, password)
        if client.select("INBOX", readonly=True)[1] == [b"0"]:
            return []
        return [part[1] for part in client.fetch("1:*", "BODY.PEEK[]")[1] if isinstance(part, tuple)]


def test_a_sink_catches_a_message_and_gives_it_by_pop3_and_imap(tmp_path: Path) -> None:
    with program.sink(tmp_path) as running:
        assert running.ready["pid"] == running.pid
        assert set(running.ready) == {"pid", "smtp", "pop3", "imap", "web"}
        send(running)
        for read in (pop3, imap):
            for login in (ANN, "sink"):
                [message] = read(running, login)
                assert message.endswith(MESSAGE)
            assert read(running, "somebody@else.example") == []
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 0
        assert not running.ready_file.exists()
    said = running.output()
    assert f"SMTP  {running.smtp.host}:{running.smtp.port}" in said
    assert str(running.data_dir) in said.replace("~", str(running.home))
    assert "imap ← ann@example.org read 1 message" in said
    assert "pop3 ← sink read " in said
    assert re.search(r"smtp → bob@example\.org → ann@example\.org  \d+ B", said)
    assert "Traceback" not in said


def test_what_the_sink_says_to_try_works_word_by_word(tmp_path: Path, tool: Tool) -> None:
    tool("curl")
    with program.sink(tmp_path) as running:
        deadline = time.monotonic() + 10
        while running.output().count("curl") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        lines = [line.strip() for line in running.output().splitlines() if " curl " in f" {line} "]
        assert len(lines) == 3
        said = []
        for line in lines:
            done = subprocess.run(line, shell=True, capture_output=True, timeout=20)
            assert done.returncode == 0, (line, done.stderr)
            said.append(done.stdout)
        assert said[1].replace(b"\r\n", b"\n").endswith(b"Subject: Hello\n\nIt works.\n")
        assert b"It works." in said[2]


LATER = (
    "mailsystem.finding.key",
    "mailsystem.finding.searching",
    "mailsystem.imap.threading",
    "mailsystem.cli.user",
    "mailsystem.cli.doctor",
    "asyncpg",
    "cryptography",
    "dkim",
    "dns",
    "fastapi",
    "httpx",
    "nh3",
    "prometheus_client",
    "pydantic_settings",
    "rich",
    "spf",
    "starlette",
    "uvicorn",
)
"""What nobody needs before the first of his commands, or before anything goes wrong."""


def test_what_a_start_does_not_need_is_not_brought_in() -> None:
    doors = (
        "import mailsystem.cli, mailsystem.app, mailsystem.smtp.server, mailsystem.pop3.server, mailsystem.imap.server"
    )
    said = subprocess.run(
        [sys.executable, "-c", f"import sys\n{doors}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(said.stdout.split()) & {*LATER, "mailsystem.faults"} == set()


def test_what_a_sink_does_not_need_until_somebody_comes_is_not_brought_in(tmp_path: Path) -> None:
    with program.sink(tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"}) as running:
        told = running.output()
    brought = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    assert brought >= {"mailsystem.smtp.server", "mailsystem.pop3.server", "mailsystem.imap.server"}
    above = {name[:end] for name in brought for end, each in enumerate(f"{name}.") if each == "."}
    assert above & set(LATER) == set()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_starts_a_sink_in_a_terminal_does_not_wait_for_the_page(tmp_path: Path, workers: str) -> None:
    here, there = os.openpty()
    args = [
        "sink",
        "--data-dir",
        "data",
        "--workers",
        workers,
        *(f"--{door}-port=0" for door in ("smtp", "pop3", "imap", "web")),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "mailsystem", *args],
        stdin=subprocess.DEVNULL,
        stdout=there,
        stderr=there,
        cwd=tmp_path,
        env=program.environment(tmp_path, PYTHONPROFILEIMPORTTIME="1"),
    )
    os.close(there)
    told, wanted = b"", (b"http://127.0.0.1:", b" uvicorn.server\r\n")
    try:
        while not all(each in told for each in wanted) and select.select([here], [], [], program.PATIENCE)[0]:
            told += os.read(here, 65536)
    finally:
        process.kill()
        process.wait()
        os.close(here)
    assert all(each in told for each in wanted)


def test_it_may_have_as_many_connections_as_the_system_allows(tmp_path: Path) -> None:
    with program.sink(tmp_path) as running:
        limits = Path(f"/proc/{running.pid}/limits").read_text()
    [soft, hard] = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]
    assert soft == hard


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_with_clients_connected(tmp_path: Path, number: signal.Signals) -> None:
    with program.sink(tmp_path) as running:
        idle = [socket.create_connection(place, 20) for place in (running.smtp, running.pop3, running.imap)]
        for client in idle:
            assert client.recv(1000)
        start = time.monotonic()
        running.process.send_signal(number)
        assert running.process.wait(20) == 0
        assert time.monotonic() - start < 4
        assert idle[0].recv(1000).startswith(b"421 ")
        for client in idle:
            client.close()


def test_one_wish_told_twice_ends_it_cleanly(tmp_path: Path) -> None:
    """`timeout` sends its signal to the process and then to its group."""
    with program.sink(tmp_path) as running:
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with (
        program.sink(tmp_path, env={"MAILSYSTEM_GRACE": "60"}) as running,
        smtplib.SMTP(*running.smtp, timeout=20) as busy,
    ):
        # In the middle of DATA a session may use up its grace.
        busy.ehlo()
        busy.mail("bob@example.org")
        busy.rcpt(ANN)
        assert busy.docmd("DATA")[0] == 354
        busy.send(b"Subject: half\r\n")
        running.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(5) == 130
        busy.close()


def test_json_logs_are_nothing_but_json(tmp_path: Path) -> None:
    with program.sink(tmp_path, args=["--log-format", "json", "--log-lines"]) as running:
        send(running)
        pop3(running, ANN, "a-secret-word")
        running.stop()
        lines = running.output().splitlines()
    events = [json.loads(line) for line in lines]
    names = [event["event"] for event in events]
    assert names[0] == "listening"
    assert names[-2:] == ["stopping", "stopped"]
    assert {"accepted", "delivered", "line"} <= set(names)
    assert "a-secret-word" not in running.output()


def test_a_role_is_a_process_of_its_own_and_people_are_added_while_it_runs(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    where = ("--data-dir", str(data_dir))
    program.command("domain", "add", "example.org", *where, home=tmp_path)
    with (
        program.serve(tmp_path, "smtp", data_dir=data_dir) as smtp,
        program.serve(tmp_path, "pop3", "imap", data_dir=data_dir) as readers,
    ):
        assert set(smtp.ready) == {"pid", "smtp"}
        assert set(readers.ready) == {"pid", "pop3", "imap"}
        with smtplib.SMTP(*smtp.smtp, timeout=20) as client:
            client.ehlo()
            client.mail("bob@example.net")
            assert client.rcpt(ANN) == (550, b"5.1.1 no such recipient")
        program.command("user", "add", ANN, "--password-stdin", *where, home=tmp_path, stdin="secret\n")
        send(smtp)
        assert len(pop3(readers, ANN, "secret")) == 1
        assert len(imap(readers, ANN, "secret")) == 1
        with pytest.raises(poplib.error_proto):
            pop3(readers, ANN, "wrong")


def refused(home: Path, *args: str, **env: str) -> str:
    """The one sentence on stderr."""
    told = program.command(*args, home=home, expect=1, **env)
    assert told.count("\n") == 1
    assert told.startswith("error: ")
    return told.removeprefix("error: ").strip()


def test_each_failure_to_start_is_one_sentence(tmp_path: Path) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = refused(tmp_path, "sink", "--smtp-port", port, "--pop3-port", "0", "--imap-port", "0")
        assert said.startswith(f"port {port} is in use by another program; ")
    assert "(data_dir) cannot be made" in refused(tmp_path, "serve", "--data-dir", "no/such/place")
    assert refused(tmp_path, "serve", MAILSYSTEM_SMPT__PORT="1").startswith("unknown variable MAILSYSTEM_SMPT__PORT")
    assert refused(tmp_path, "sink", "--smtp-port", "70000").startswith("smtp.port (from --smtp-port) should be less")
    assert refused(tmp_path, "sink", "--config", "nothing.toml").startswith("there is no file of settings")
    said = refused(
        tmp_path,
        *("sink", "--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0", "--ready-file", "no/such/place/ready"),
    )
    assert said == "cannot write no/such/place/ready (--ready-file): No such file or directory"


def test_the_sink_keeps_its_mail_in_a_directory_of_the_user(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(program.sys.executable, "-m", "mailsystem", "sink", "--ready-file", "ready.json"),
            *("--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0"),
        ],
        cwd=tmp_path,
        env=program.environment(tmp_path, XDG_STATE_HOME=str(tmp_path / "state")),
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "ready.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    said = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert (tmp_path / "state" / "mailsystem" / "sink" / "mail.db").exists()
    assert "mail  ~/state/mailsystem/sink" in said


def test_the_banner_reaches_a_door_that_listens_everywhere() -> None:
    assert " smtp://127.0.0.1:25 " in banner.send_line(Bound("0.0.0.0", 25))
    assert " pop3://[::1]:110/1 " in banner.pop3_line(Bound("::", 110))
    told = banner.of({"imap": Bound("0.0.0.0", 143)}, Settings(), sink=False)
    assert "IMAP  0.0.0.0:143" in told
    assert "serving imap" in told


def test_a_sink_with_passwords_does_not_say_that_any_is_good() -> None:
    doors = {name: Bound("127.0.0.1", 1000) for name in ("smtp", "pop3", "imap", "web")}
    own = Sink(passwords=SecretStr("app:s3cret"), login_required=True)
    told = banner.of(doors, Settings(sink=own, web=Web(root="/mail")), sink=True)
    for wrong in ("any password", ":any", "login sink", "s3cret"):
        assert wrong not in told
    assert "sink.passwords" in told
    assert told.count("--user LOGIN:PASSWORD") == 3
    assert "http://127.0.0.1:1000/mail/" in told
    assert "any password" in banner.of(doors, Settings(), sink=True)
    assert "any password" not in banner.of(doors, Settings(sink=Sink(passwords_file=Path("people"))), sink=True)


def test_a_sink_that_sends_mail_on_says_so() -> None:
    doors = {name: Bound("127.0.0.1", 1000) for name in ("smtp", "pop3", "imap")}
    allowed = Settings(queue=Queue(sink_allow=("*@example.net",)))
    assert "sends to *@example.net, and to nobody else" in banner.of(doors, allowed, sink=True)
    assert "sends" not in banner.of(doors, Settings(), sink=True)


@pytest.mark.parametrize(
    ("name", "door", "data", "text"),
    [
        (
            "delivered",
            "smtp",
            {"sender": "", "recipients": ["a@x.example", "b@x.example"], "octets": 1500},
            "smtp → <> → a@x.example, b@x.example  1.5 kB",
        ),
        ("retrieved", "pop3", {"login": "a@x.example", "octets": 20}, "pop3 ← a@x.example read 20 B"),
        ("retrieved", "imap", {"login": "sink", "messages": 3}, "imap ← sink read 3 messages"),
        ("refused", "smtp", {"command": "RCPT", "reason": "no\x1b[2J"}, "smtp × RCPT: no\\x1b[2J"),
        ("fault", "pop3", {"command": "STAT", "fault": "pop3 STAT reply=no"}, "pop3 ! STAT: pop3 STAT reply=no"),
    ],
)
def test_the_console_has_a_line_for_each_message(name: str, door: str, data: dict[str, object], text: str) -> None:
    line = banner.message_line(Event(0.0, name, door, 1, data))
    assert line is not None
    assert line.endswith(text)
    assert banner.message_line(Event(0.0, "connected", door, 1, data)) is None


def test_the_ready_file_is_written_through_nobodys_link(tmp_path: Path) -> None:
    """It may lie where everybody can put one."""
    file, victim = tmp_path / "ready.json", tmp_path / "victim"
    victim.write_text("precious")
    with run.ready_teller(file) as tell:
        for name in (f".ready.json.{os.getpid()}", "ready.json"):
            (tmp_path / name).symlink_to(victim)
        tell({"pid": 1})
        assert json.loads(file.read_text()) == {"pid": 1}
        assert not file.is_symlink()
    assert victim.read_text() == "precious"


LOOKED_INTO = """
import gc, os, signal, sys, threading, time
from pathlib import Path
from mailsystem.cli import main

def look():
    while not gc.get_freeze_count():
        time.sleep(0.01)
    while not gc.isenabled():
        time.sleep(0.01)
    began = len(gc.get_objects())
    print(gc.get_freeze_count() // 1000 > began // 1000, Path("ready").exists(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=look, daemon=True).start()
main()
"""


def test_what_is_there_when_it_listens_is_not_searched_for_garbage_any_more(tmp_path: Path) -> None:
    ports = [word for door in ("smtp", "pop3", "imap", "web") for word in (f"--{door}-port", "0")]
    done = subprocess.run(
        [sys.executable, "-c", LOOKED_INTO, "sink", "--data-dir", "data", "--ready-file", "ready", *ports],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=program.environment(tmp_path),
        timeout=program.PATIENCE,
    )
    assert "True True" in done.stdout.splitlines(), done.stdout + done.stderr
