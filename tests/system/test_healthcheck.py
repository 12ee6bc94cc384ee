"""The health check of the container image tells a greeting house from a silent one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import program

import mailsystem

SCRIPT = Path(mailsystem.__file__).parents[1] / "deploy" / "healthcheck.py"


def check(ready_file: Path) -> int:
    return subprocess.run([sys.executable, "-I", str(SCRIPT), str(ready_file)], capture_output=True).returncode


def test_it_is_well_while_every_door_greets_and_ill_when_one_is_silent(tmp_path: Path) -> None:
    assert check(tmp_path / "nothing.json") == 1
    with program.sink(tmp_path) as running:
        assert check(running.ready_file) == 0
        kept = json.loads(running.ready_file.read_text())
        copy = tmp_path / "copy.json"
        copy.write_text(json.dumps(kept))
    assert check(running.ready_file) == 1, "it is taken away when the program ends"
    assert check(copy) == 1, "nobody greets any more"


def test_the_queue_is_well_while_its_process_lives(tmp_path: Path) -> None:
    with program.serve(tmp_path, "queue") as running:
        assert check(running.ready_file) == 0
        copy = tmp_path / "copy.json"
        copy.write_text(running.ready_file.read_text())
    assert check(copy) == 1
