"""A quick comparison against our own server, and what the command line says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import benchmarks
from benchmarks import machine, tasks
from benchmarks.bench import Bench, Options
from benchmarks.cli import MICRO
from benchmarks.clients import Refused, Server
from benchmarks.crew import Crew, Task
from benchmarks.scenarios import ALL, GROUPS, chosen
from benchmarks.scenarios.idle import delays
from benchmarks.targets import free_port, ours

ROOT = Path(benchmarks.__file__).parents[1]


def run(*words: str, expect: int = 0) -> str:
    command = [sys.executable, "-m", "benchmarks", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_quick_run_of_two_scenarios(tmp_path: Path) -> None:
    kept, drawn = tmp_path / "run.json", tmp_path / "run.svg"
    said = run(
        *("--quick", "--no-peers", "--only", "smtp-1k,imap-select", "--scale", "0.02", "--messages", "60"),
        *("--json", str(kept), "--svg", str(drawn)),
    )
    assert "mail in, 1 KB" in said
    assert "IMAP SELECT" in said
    rows = json.loads(kept.read_text())["rows"]
    assert [row["label"] for row in rows].count("IMAP SELECT") == 2
    for row in rows:
        assert row["errors"] == 0
        assert row["value"] > 0
        assert row["server_ms"] > 0
    ElementTree.fromstring(drawn.read_text())


def test_help_and_list_teach() -> None:
    assert "growth" in run("--help")
    assert "--against" in run("compare", "--help")
    listed = run("--list")
    assert all(name in listed for name in ALL)
    assert "smtp-25m" not in run("--list", "--only", "imap")


def test_what_there_is_not_is_told() -> None:
    assert "no scenario warp" in run("--only", "warp", expect=2)
    assert "no format" in run("--peers", "mbox", expect=2)
    assert "a target is" in run("--target", "nowhere", expect=2)


def test_scenarios_are_chosen_by_name_and_group() -> None:
    assert chosen(["pop3", "smtp-1k"])[0].name == "smtp-1k"
    assert {each.group for each in chosen(["pop3"])} == {"pop3"}
    assert len(chosen([])) == len(ALL)
    assert set(GROUPS) >= {"smtp", "pop3", "imap", "idle"}
    assert {"idle", "relay", "scan", "search", "store"} <= set(MICRO)


def test_clients_and_servers_tell_their_cpu() -> None:
    with Crew() as crew, ours() as target:
        bench = Bench(crew, Options(scale=0.005, processes=2, patience=60))
        for name in ("pop3-eight", "logins-imap"):
            for row in ALL[name].run(bench, target):
                assert (row.errors, row.error) == (0, "")
                assert row.server_ms
                assert row.client_load
                assert 0 < row.client_load <= 1.1
        assert machine.memory(target.roots) > 1 << 20


def test_what_goes_wrong_in_a_client_is_told() -> None:
    nobody = Server("nobody", "127.0.0.1", 0, 0, free_port())
    arguments = {"server": nobody, "user": "ann@bench.test", "timed": ["NOOP"]}
    with Crew() as crew:
        with pytest.raises(Refused, match="ConnectionRefused"):
            crew.run([Task(tasks.commands, arguments)], patience=30)
        # And there are clients again.
        with pytest.raises(Refused, match="ConnectionRefused"):
            crew.run([Task(tasks.commands, arguments)] * 2, patience=30)


def test_delays_are_counted_from_the_message_that_was_told() -> None:
    sent = [("a", 1.0, 2.0), ("b", 3.0, 4.0), ("a", 5.0, 6.0)]
    seen = [[("a", 10, [(11, 2.5), (12, 6.25)])], [("b", 0, []), ("a", 10, [(12, 7.0)])]]
    after_250, after_data = delays(sent, seen)
    assert after_250 == [0.5, 0.25, 5.0, 1.0]
    assert after_data == [1.5, 1.25, 6.0, 2.0]
