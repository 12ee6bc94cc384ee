"""The program's voice: parses, calls `app`, prints. Heavy things are imported by the command that needs them.

Whatever cannot be done ends in one sentence on stderr and exit status 1 (2 for a command line that makes no sense).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mailsystem import __version__
from mailsystem.cli import alias, demo, doctor, domain, index, queue, run, settings, trace, user
from mailsystem.cli.accounts import Refused
from mailsystem.cli.options import examples
from mailsystem.cli.terminal import complain
from mailsystem.mail.errors import MailError

ADVICE = "this is a bug of ours; `mailsystem --traceback …` shows where it arose"


class _Commands(TyperGroup):
    """The one place where a failure becomes a sentence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if _is_typers(error) or ctx.params.get("traceback"):
                raise
            known = isinstance(error, _expected())
            complain(str(error) if known else f"{type(error).__name__}: {error}; {ADVICE}")
            raise typer.Exit(1) from None


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
app.command("demo", epilog=demo.epilog)(demo.watch)
app.add_typer(user.app, name="user")
app.add_typer(domain.app, name="domain")
app.add_typer(alias.app, name="alias")
app.add_typer(queue.app, name="queue")
app.add_typer(index.app, name="index")
app.command("trace", epilog=trace.epilog)(trace.trace)
app.command("settings", epilog=settings.epilog)(settings.show)
app.command("doctor", epilog=doctor.epilog)(doctor.examine)


def main() -> None:
    """The command `mailsystem`."""
    app(prog_name="mailsystem")
