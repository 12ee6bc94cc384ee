"""The program's voice: parses, calls `app`, prints. Heavy things are imported by the command that needs them, and the
commands but for those that start the program when they are asked for.

Whatever cannot be done ends in one sentence on stderr and exit status 1 (2 for a command line that makes no sense).
"""

from __future__ import annotations

import errno
import importlib
import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mailsystem import __version__
from mailsystem.cli import run
from mailsystem.cli.accounts import Refused
from mailsystem.cli.options import examples
from mailsystem.cli.terminal import complain
from mailsystem.mail.errors import MailError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
ADVICE = "this is a bug of ours; `mailsystem --traceback …` shows where it arose"


_ALONE = {
    "demo": "watch",
    "trace": "trace",
    "settings": "show",
    "doctor": "examine",
    "check": "check",
    "extract": "extract",
    "diff": "diff",
    "find": "find",
    "ingest": "ingest",
    "dump": "dump",
    "sendmail": "sendmail",
    "release": "release",
}
"""Commands with none below them, each a module of that name, and what does it there."""
_GROUPS = ("user", "domain", "alias", "token", "webhook", "queue", "index", "fault", "space")
"""Commands with others below them, each a module of that name with an `app`."""
_COMMANDS = ("sink", "serve", "demo", *_GROUPS, *(name for name in _ALONE if name != "demo"))


def _later(name: str) -> typer.Typer | None:
    """A command that is imported when it is wanted: none of them should make the start of the program longer."""
    one = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
    one.callback()(lambda: None)  # or typer takes a command that is alone for all there is
    if name in _ALONE:
        module = importlib.import_module(f"mailsystem.cli.{name}")
        one.command(name, epilog=module.epilog)(getattr(module, _ALONE[name]))
    elif name in _GROUPS:
        one.add_typer(importlib.import_module(f"mailsystem.cli.{name}").app, name=name)
    else:
        return None
    return one


class _Commands(TyperGroup):
    """All commands; and the one place where a failure becomes a sentence."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # Whoever mistypes one is told which is like it: of all there are.
        for name in (cmd_name,) if cmd_name in _COMMANDS else _COMMANDS:
            if name not in self.commands and (later := _later(name)) is not None:
                self.commands.update(typer.main.get_group(later).commands)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if _is_typers(error) or ctx.params.get("traceback"):
                raise
            complain(_outside(error) or (str(error) if isinstance(error, _expected()) else _bug(error)))
            raise typer.Exit(1) from None


def _outside(error: Exception) -> str:
    """What is wrong with the machine or with what was typed, if it is that."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return f"{error.filename or 'standard output'} cannot be written: {error.strerror}"
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return f"{error.object.encode('unicode_escape').decode()} is not UTF-8"
    return ""


def _bug(error: Exception) -> str:
    return f"{type(error).__name__}: {error}; {ADVICE}"


def _expected() -> tuple[type[Exception], ...]:
    # Only when something has failed is there time to import these rooms for the sake of a name.
    from mailsystem.app import StartupError
    from mailsystem.settings import SettingsError

    return SettingsError, StartupError, Refused, MailError


def _is_typers(error: Exception) -> bool:
    """Whether it is one of typer's own ways to end, which it handles itself. Its versions keep them in different places."""
    return isinstance(error, BrokenPipeError) or any(
        kind.__module__.startswith(("typer", "click")) for kind in type(error).__mro__
    )


app = typer.Typer(
    cls=_Commands,
    name="mailsystem",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "mailsystem sink                        catch mail on this machine",
        "mailsystem demo                        watch one message's life",
        "mailsystem domain add example.org      then, for real accounts,",
        "mailsystem user add ann@example.org    somebody who lives there",
        "mailsystem serve                       and the server for them",
    ),
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mailsystem {__version__}")
        raise typer.Exit


@app.callback()
def _mailsystem(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where in the program an unexpected failure arose.")
    ] = False,
) -> None:
    """A whole small mail system: SMTP in, POP3 and IMAP out, one store between them."""


app.command(epilog=run.sink_epilog)(run.sink)
app.command(epilog=run.serve_epilog)(run.serve)


def everything() -> Any:
    """The command with all that are below it, for whoever lists them."""
    command = typer.main.get_command(app)
    for name in _COMMANDS:
        command.get_command(None, name)  # type: ignore[attr-defined]
    return command


def main() -> None:
    """The command `mailsystem`; under the name of sendmail, which other programs look for, that one alone."""
    if Path(sys.argv[0]).name == "sendmail":
        sys.argv.insert(1, "sendmail")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal's encoding lacks shall not keep the rest from being told.
        sys.stdout.reconfigure(errors="replace")
    app(prog_name="mailsystem")
