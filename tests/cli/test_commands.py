"""What holds for every command: it explains itself, and it never ends in a traceback."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from mailsystem import __version__
from mailsystem.cli import everything

if TYPE_CHECKING:
    from conftest import Cli

ROOT: Any = everything()


def walk(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group with its path."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


COMMANDS = dict(walk())
LEAVES = {path: command for path, command in COMMANDS.items() if not hasattr(command, "commands")}


def examples(command: Any) -> list[str]:
    return re.findall(r"\[dim\]  \$\[/dim\] (.*)", command.epilog or "")


def named(paths: Any) -> Any:
    return pytest.mark.parametrize("path", list(paths), ids=lambda path: " ".join(path) or "mailsystem")


def test_all_the_commands_are_there() -> None:
    assert {" ".join(path) for path in LEAVES} == {
        "sink",
        "serve",
        "demo",
        "settings",
        "find",
        "check",
        "extract",
        "diff",
        "ingest",
        "dump",
        "sendmail",
        "release",
        "trace",
        "doctor",
        *(f"user {verb}" for verb in ("add", "list", "password", "remove", "show")),
        *(
            f"user {verb}"
            for verb in ("quota", "limits", "sender", "capability", "maildrop", "disable", "enable", "logins")
        ),
        *(f"user {kind} {verb}" for kind in ("address", "app-password") for verb in ("add", "list", "remove")),
        *(f"user share {verb}" for verb in ("grant", "list", "revoke")),
        *(f"domain {verb}" for verb in ("add", "list", "remove", "catch-all", "disable", "enable")),
        *(f"domain {verb}" for verb in ("dns", "keys", "rotate")),
        *(f"alias {verb}" for verb in ("add", "list", "remove")),
        *(f"token {verb}" for verb in ("add", "list", "remove")),
        *(f"space {verb}" for verb in ("add", "list", "remove", "token", "tokens", "revoke")),
        *(f"webhook {verb}" for verb in ("add", "list", "remove", "test", "retry")),
        *(f"queue {verb}" for verb in ("list", "show", "retry", "hold", "release", "drop")),
        *(f"queue suppress {verb}" for verb in ("add", "list", "remove")),
        *(f"queue tls {verb}" for verb in ("list", "forget")),
        *(f"index {verb}" for verb in ("rebuild", "status")),
        *(f"fault {verb}" for verb in ("add", "list", "remove", "clear", "reset", "bounce", "autoreply", "complaint")),
    }


@named(COMMANDS)
def test_every_command_says_what_it_does(path: tuple[str, ...]) -> None:
    first = (COMMANDS[path].help or "").split("\n\n")[0]
    assert first.endswith(".")
    assert len(first) > 20


@named(COMMANDS)
def test_every_option_and_argument_says_what_it_is(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        assert (parameter.help or "").endswith("."), parameter.name


@named(LEAVES)
def test_every_command_has_an_example(path: tuple[str, ...]) -> None:
    assert examples(LEAVES[path])


@named(COMMANDS)
def test_every_example_is_a_command_that_exists(path: tuple[str, ...]) -> None:
    for line in examples(COMMANDS[path]):
        words = shlex.split(line.split("  ")[0].split(" < ")[0])
        assert words.pop(0) == "mailsystem"
        name = next(tuple(words[:n]) for n in (3, 2, 1) if tuple(words[:n]) in LEAVES)
        command = LEAVES[name]
        if path:
            assert name == path
        # Parses as it stands, with nothing left over.
        with command.make_context("mailsystem", list(words[len(name) :])):
            pass


@named(COMMANDS)
def test_every_help_page_fits_into_eighty_columns(
    path: tuple[str, ...], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    page = cli(*path, "--help").out
    assert max(len(line.rstrip()) for line in page.splitlines()) <= 80
    for line in examples(COMMANDS[path]):
        assert f"$ {line}" in page, "an example is broken in two"


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version").out == f"mailsystem {__version__}\n"


def test_an_unknown_command_or_option_is_a_usage_error(cli: Cli) -> None:
    assert "No such command 'snik'" in cli("snik", status=2).err
    assert "No such option: --prot" in cli("sink", "--prot", "1", status=2).err
    assert "'www'" in cli("serve", "www", status=2).err


def test_a_bug_is_told_without_a_traceback_unless_it_is_asked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the dog ate it")

    monkeypatch.setattr("mailsystem.settings.load", broken)
    said = cli.refused("settings")
    assert (
        said == "RuntimeError: the dog ate it; this is a bug of ours; `mailsystem --traceback …` shows where it arose"
    )
    with pytest.raises(RuntimeError, match="the dog ate it"):
        cli("--traceback", "settings")


def _run(*args: str, encoding: str = "utf-8", stdout: Any = subprocess.PIPE) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "mailsystem", *args],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_what_a_terminal_cannot_show_keeps_nothing_else_from_it(cli: Cli) -> None:
    said = "Messages that say ?caf\u00e9? anywhere.\n".encode("latin-1")
    assert _run("find", "--explain", "caf\u00e9", encoding="latin-1")[:2] == (0, said)
    status, out, _ = _run("find", "--explain", "--json", "\u2192", encoding="latin-1")
    assert (status, json.loads(out)["query"]) == (0, "\u2192")
    assert _run("find", "--explain", os.fsdecode(b"\xff"))[0] == 0
    assert _run("settings", encoding="ascii")[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
@pytest.mark.parametrize("args", [("find", "--explain", "x"), ("settings",), ("settings", "--json")])
def test_a_full_disk_is_no_bug(cli: Cli, args: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        status, _, err = _run(*args, stdout=full)
    assert (status, err) == (1, b"error: standard output cannot be written: No space left on device\n")


def test_what_is_not_utf_8_is_said_to_be_so(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", "ann@example.org", "--generate")
    Path("a.eml").write_bytes(b"Subject: x\r\n\r\nx\r\n")
    odd = os.fsdecode(b"a\xffb")
    assert cli.refused("ingest", "a.eml", "-m", odd) == "a\\udcffb is not UTF-8"
    assert cli.refused("trace", odd) == "a\\udcffb is not UTF-8"
    assert cli.refused("ingest", "").startswith("a file without a name was named")


@pytest.mark.parametrize(
    ("args", "prompt"),
    [(("user", "remove", "ann@example.org"), "confirm"), (("user", "add", "bob@example.org"), "prompt")],
)
def test_ctrl_c_ends_a_question(cli: Cli, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], prompt: str) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", "ann@example.org", "--generate")
    went_on, before = [], signal.getsignal(signal.SIGINT)

    def interrupted(*args: object, **options: object) -> str:
        signal.raise_signal(signal.SIGINT)
        went_on.append(prompt)  # as who waits for a line that was typed
        return "a long password"

    monkeypatch.setattr(typer, prompt, interrupted)
    monkeypatch.setattr("mailsystem.cli.accounts.at_terminal", lambda: True)
    monkeypatch.setattr("mailsystem.cli.user.people.at_terminal", lambda: True)
    cli(*args, status=130)
    assert not went_on
    assert signal.getsignal(signal.SIGINT) is before


INTERRUPTED = """
import runpy, sys

class Interrupts:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
runpy.run_module("mailsystem", run_name="__main__")
"""


def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_word() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
