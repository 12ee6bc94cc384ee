"""`mailsystem sendmail`, as programs use /usr/sbin/sendmail."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import program
import pytest

LETTER = """From: Shop <shop@shop.test>
To: "Lee, Ann" <ann@shop.test>
Cc: bob@shop.test
Bcc: kim@shop.test,
 lee@shop.test
Subject: Hi

A line.
.
.. and the end
"""


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[program.Program]:
    home = tmp_path_factory.mktemp("sink")
    with program.Program(["sink", "--web-port", "0"], home=home, data_dir=home / "data") as running:
        yield running


def latest(sink: program.Program, path: str = "") -> Any:
    web = sink.ready["web"]
    with urllib.request.urlopen(f"http://{web['host']}:{web['port']}/v1/messages/latest{path}", timeout=30) as answer:
        octets = answer.read()
    return octets if path == "/raw" else json.loads(octets)


def send(sink: program.Program, home: Path, *args: str, stdin: str = LETTER, expect: int = 0, **env: str) -> str:
    place = {"MP_SENDMAIL_SMTP_ADDR": f"{sink.smtp.host}:{sink.smtp.port}"}
    return program.command("sendmail", *args, home=home, stdin=stdin, expect=expect, **{**place, **env})


def test_it_is_sent_to_those_in_the_header_and_none_learns_of_blind_copies(
    sink: program.Program, tmp_path: Path
) -> None:
    assert send(sink, tmp_path, "-t", "-i", "-oi", "-f", "bounces@shop.test") == ""
    came = latest(sink, "/envelope")
    assert came["mail_from"] == "bounces@shop.test"
    assert [one["address"] for one in came["rcpt_to"]] == [f"{name}@shop.test" for name in ("ann", "bob", "kim", "lee")]
    raw = latest(sink, "/raw")
    assert raw.endswith(b"Subject: Hi\r\n\r\nA line.\r\n.\r\n.. and the end\r\n")
    assert b"Bcc" not in raw
    assert b"lee@shop.test" not in raw


def test_it_is_sent_to_those_who_are_named(sink: program.Program, tmp_path: Path) -> None:
    send(sink, tmp_path, "-bm", "-F", "Shop", "--", "zoe@shop.test", "root", MP_SENDMAIL_FROM="app@shop.test")
    came = latest(sink, "/envelope")
    assert came["mail_from"] == "app@shop.test"
    assert [one["address"] for one in came["rcpt_to"]] == ["zoe@shop.test", "root@localhost"]
    assert b"Bcc: kim" in latest(sink, "/raw")
    send(sink, tmp_path, "-f", "<>", "zoe@shop.test")
    assert latest(sink, "/envelope")["mail_from"] == ""
    send(sink, tmp_path, "zoe@shop.test")
    assert "@" in latest(sink, "/envelope")["mail_from"]


def test_what_goes_wrong_is_said_in_a_sentence(sink: program.Program, tmp_path: Path) -> None:
    assert "nobody is named" in send(sink, tmp_path, "-t", stdin="Subject: Hi\n\nx\n", expect=1)
    assert "host and its port" in send(sink, tmp_path, "-S", "nowhere", "a@b.test", expect=1)
    assert "-bd is not here" in send(sink, tmp_path, "-bd", expect=1)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{nobody.getsockname()[1]}"
        assert "cannot send by" in send(sink, tmp_path, "-S", place, "a@b.test", expect=1)
    assert "a@: 5" in send(sink, tmp_path, "a@", expect=1)


def test_smtp_is_spoken_on_standard_input_and_output(sink: program.Program, tmp_path: Path) -> None:
    said = send(
        sink,
        tmp_path,
        "-bs",
        stdin="EHLO x\nMAIL FROM:<s@shop.test>\nRCPT TO:<dan@shop.test>\nDATA\nSubject: By hand\n\nHi\n.\nQUIT\n",
    )
    assert [line[:3] for line in said.splitlines() if line[3:4] == " "] == [
        "220",
        "250",
        "250",
        "250",
        "354",
        "250",
        "221",
    ]
    assert latest(sink)["subject"] == "By hand"


def test_a_program_of_that_name_is_this_command(sink: program.Program, tmp_path: Path) -> None:
    script = tmp_path / "sendmail"
    script.write_text("from mailsystem.cli import main\nmain()\n")
    subprocess.run(
        [sys.executable, str(script), "-t", "-S", f"{sink.smtp.host}:{sink.smtp.port}"],
        input=LETTER.replace("Hi", "By link").encode(),
        check=True,
        timeout=60,
        env=program.environment(tmp_path),
    )
    assert latest(sink)["subject"] == "By link"
