"""The command line in a test: every command with a data directory of its own and none of this machine's settings."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mailsystem import settings
from mailsystem.cli import app


@dataclass(frozen=True, slots=True)
class Told:
    """What a command has said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """`cli("user", "list")` runs `mailsystem user list`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data_dir = home / "data"

    def __call__(self, *args: str, stdin: str = "", status: int = 0) -> Told:
        result = CliRunner().invoke(app, args, input=stdin, prog_name="mailsystem")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return Told(result.exit_code, result.stdout, result.stderr)

    def refused(self, *args: str, stdin: str = "") -> str:
        """The one sentence on stderr of a command that must fail."""
        told = self(*args, stdin=stdin, status=1)
        assert told.out == ""
        assert told.err.startswith("error: ")
        assert told.err.count("\n") == 1
        return told.err.removeprefix("error: ").rstrip("\n")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in os.environ:
        if name.startswith(("MAILSYSTEM_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "SEARCHED", (Path("mailsystem.toml"),))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAILSYSTEM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    return Cli(tmp_path)
