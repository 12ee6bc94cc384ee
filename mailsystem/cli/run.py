"""`mailsystem sink` and `mailsystem serve`: start the doors, say so, and stop when told to."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mailsystem.cli import options
from mailsystem.cli.accounts import Refused
from mailsystem.cli.options import examples

if TYPE_CHECKING:
    import asyncio

    from mailsystem.app import Listener, Role
    from mailsystem.net import Bound
    from mailsystem.settings import Loaded, Settings
    from mailsystem.telemetry.log import Log

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""malloc.h has them so."""
_LOOK_FOR_GARBAGE_AFTER: Final = 10_000
"""Objects that are more than before."""
_SAME_WISH: Final = 0.3
"""Seconds within which a second signal says no more than the first."""
_LISTENERS: Final = (
    "smtp",
    "submission",
    "submissions",
    "lmtp",
    "pop3",
    "pop3s",
    "imap",
    "imaps",
    "web",
    "pop2",
    "pop1",
)
"""Those with a flag of their own."""
_ROLES: Final = (options.Role.SMTP, options.Role.POP3, options.Role.IMAP, options.Role.WEB, options.Role.QUEUE)
"""Whoever names none is these."""


def sink(
    data_dir: options.DataDir = None,
    host: options.Host = None,
    smtp_port: options.SmtpPort = None,
    pop3_port: options.Pop3Port = None,
    imap_port: options.ImapPort = None,
    web_port: options.WebPort = None,
    workers: options.SinkWorkers = None,
    ready_file: options.ReadyFile = None,
    config: options.Config = None,
    log_format: options.Format = None,
    log_level: options.Level = None,
    log_lines: options.Lines = None,
) -> None:
    """Catch mail: every recipient is accepted and every password is good.

    SMTP listens on 1025, POP3 on 1110 and IMAP on 1143, on this machine only,
    and http://127.0.0.1:8025 shows what has come (another port, if that is in
    use). Log in as an address to see the mail for it, or as sink to see all.
    Mail stays in a directory of your own until somebody deletes it. A
    mailsystem.toml is read only if --config names it.
    """
    flags = _flags(locals())
    _run(flags, config, _ROLES, sink=True, ready_file=ready_file)


sink_epilog = examples(
    "mailsystem sink",
    "mailsystem sink --smtp-port 2525 --data-dir ./caught",
    "mailsystem sink --imap-port 0 --ready-file ready.json",
    "mailsystem sink --log-lines",
)


def serve(
    roles: Annotated[
        list[options.Role] | None,
        typer.Argument(help="The doors that this process is; smtp, pop3, imap, web and queue if none is named."),
    ] = None,
    data_dir: options.DataDir = None,
    host: options.Host = None,
    smtp_port: options.SmtpPort = None,
    submission_port: options.SubmissionPort = None,
    submissions_port: options.SubmissionsPort = None,
    lmtp_port: options.LmtpPort = None,
    pop3_port: options.Pop3Port = None,
    pop3s_port: options.Pop3sPort = None,
    imap_port: options.ImapPort = None,
    imaps_port: options.ImapsPort = None,
    web_port: options.WebPort = None,
    pop2_port: options.Pop2Port = None,
    pop1_port: options.Pop1Port = None,
    workers: options.Workers = None,
    ready_file: options.ReadyFile = None,
    config: options.Config = None,
    log_format: options.Format = None,
    log_level: options.Level = None,
    log_lines: options.Lines = None,
) -> None:
    """Serve real accounts: SMTP, POP3, IMAP and the queue together, or each in a process of its own over one data directory.

    The page, for people with a browser, is there once web.port is set.

    Say which domain is yours with `mailsystem domain add`, and who lives there
    with `mailsystem user add`: before the first start or at any time later.

    With a certificate, submission listens on 587, and under TLS from the first
    octet submission on 465, POP3 on 995 and IMAP on 993. New files of the
    certificate are noticed; SIGHUP has them read at once.

    The queue carries mail to other servers. Where each door is a process of its
    own, one must be the queue, or that mail waits.

    The doors are served by as many workers as there are cores, which share what
    comes in; one that dies is started again.

    Two doors are there for history's sake, if they are named: pop2 of 1985 on
    port 109 and pop1 of 1984 on 918, for this machine only, whatever --host
    says; the settings pop2.host and pop2.anywhere can let in others.
    """
    flags = _flags(locals())
    _run(flags, config, tuple(roles or _ROLES), sink=False, ready_file=ready_file)


serve_epilog = examples(
    "mailsystem serve",
    "mailsystem serve imap --data-dir /srv/mail",
    "mailsystem serve smtp --smtp-port 2525 --log-format json",
    "mailsystem serve --workers 4",
    "mailsystem serve queue",
    "mailsystem serve pop2 pop1 --pop2-port 1109 --pop1-port 1918",
)


def _flags(given: Mapping[str, Any]) -> dict[str, object]:
    """What was given on the command line, by the names of the settings."""
    return {
        "data_dir": given["data_dir"],
        "host": given["host"],
        "workers": given["workers"],
        **{f"{name}.port": given.get(f"{name}_port") for name in _LISTENERS},
        "log.format": given["log_format"] and given["log_format"].value,
        "log.level": given["log_level"] and given["log_level"].value,
        "log.lines": given["log_lines"],
    }


def _run(
    flags: Mapping[str, object],
    config: Path | None,
    roles: Sequence[options.Role],
    *,
    sink: bool,
    ready_file: Path | None,
) -> None:
    with ExitStack() as starting:
        # The search for garbage goes through all that is imported, again and again, and finds none: a tenth of a start.
        gc.disable()
        starting.callback(gc.enable)
        # Nor shall it later: to look at all of that stops everybody for 30 ms and more.
        starting.callback(gc.freeze)
        # Little of what comes and goes with a message is in a ring. To look after each 700 takes 3 % of what mail costs.
        gc.set_threshold(_LOOK_FOR_GARBAGE_AFTER)
        import asyncio

        from mailsystem.settings import load

        loaded = load(flags, config=config, sink=sink)
        if loaded.ignored:
            typer.echo(f"ignored, since they mean nothing here: {', '.join(loaded.ignored)}", err=True)
        _allow_many_files()
        # A name that the terminal cannot spell must not silence the log.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        _arrange_memory()
        named: list[Role] = [role.value for role in dict.fromkeys(roles)]
        if loaded.settings.workers > 1 and named != [options.Role.QUEUE]:
            from mailsystem.cli import together

            together.serve(loaded, named, sink=sink, ready_file=ready_file, starting=starting)
            return
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(loaded, named, sink=sink, ready_file=ready_file, starting=starting))


async def _serve(
    loaded: Loaded, roles: Sequence[Role], *, sink: bool, ready_file: Path | None, starting: ExitStack
) -> None:
    """`starting` is closed once we listen."""
    import asyncio

    from mailsystem.app import running

    told = asyncio.Event()
    settings = loaded.settings
    with ready_teller(ready_file) as ready, log_of(loaded, sink=sink) as log:
        _on_signals(told, quiet=settings.log.format == "json")
        async with running(settings, roles, sink=sink, sinks=[log], movable=movable(loaded)) as house:
            if not sink and not sys.stdin.isatty():
                # A terminal that is closed says so with the same signal, and means the end.
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, house.reload)
            listens(house.bound, settings, ready, sink=sink)
            starting.close()
            if sink and sys.stdout.isatty():
                house.visits.set()  # whoever has just read where the page is goes there
            await told.wait()


def movable(loaded: Loaded) -> Sequence[Listener]:
    """Doors that may be elsewhere than their default says: that of a sink's page, which nobody has chosen."""
    return ("web",) if loaded.sources["web.port"] == "sink" else ()


def listens(bound: Mapping[str, Bound], settings: Settings, ready: Callable[[object], None], *, sink: bool) -> None:
    """Say so to whoever waits for it."""
    ready({"pid": os.getpid(), **{name: _place(place) for name, place in bound.items()}})
    # A server's journal has the event; a person before a terminal gets more.
    if settings.log.format == "text" and (sink or sys.stdout.isatty()):
        from mailsystem.cli import banner

        typer.echo(banner.of(bound, settings, sink=sink))


def log_of(loaded: Loaded, *, sink: bool) -> Log:
    from mailsystem.telemetry import log

    wanted = loaded.settings.log
    if wanted.format == "json":
        return log.json_log(sys.stdout, level=wanted.level)
    if sink:
        from mailsystem.cli import banner

        return banner.console_log(sys.stdout, level=wanted.level)
    return log.text_log(sys.stdout, level=wanted.level)


def _on_signals(told: asyncio.Event, *, quiet: bool) -> None:
    """The first Ctrl-C or SIGTERM asks for a graceful end, the second gets its way at once: what was answered is on disk."""
    import asyncio

    asked = 0.0

    def stop() -> None:
        nonlocal asked
        if told.is_set():
            # One wish may come as two signals: `timeout`, for one, tells the process and then its group.
            if loop.time() - asked > _SAME_WISH:
                os._exit(130)
            return
        asked = loop.time()
        told.set()
        says_it_stops(quiet=quiet)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def says_it_stops(*, quiet: bool) -> None:
    if not quiet and sys.stdout.isatty():
        typer.echo("\nstopping; once more Ctrl-C ends it at once")


@contextmanager
def ready_teller(file: Path | None) -> Iterator[Any]:
    """Gives what writes the ready file, in one piece; a stale one is gone before, and this one when the program ends."""
    if file is None:
        yield lambda told: None
        return

    def write(told: object) -> None:
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            draft.unlink(missing_ok=True)
            # Never through a link that somebody else has put there: it may lie in /tmp.
            with draft.open("x") as out:
                out.write(json.dumps(told) + "\n")
            draft.replace(file)
        except OSError as error:
            raise Refused(f"cannot write {file} (--ready-file): {error.strerror}") from None

    with suppress(OSError):
        file.unlink(missing_ok=True)
    try:
        yield write
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _place(bound: Bound) -> dict[str, object]:
    return {"host": bound.host, "port": bound.port} if bound.path is None else {"path": bound.host}


def _arrange_memory() -> None:
    """Let the C library map large pieces of memory each for itself, as it does until it has freed the first of them.

    The buffers of TLS are 256 KiB, of which an idle connection touches little. Cut out of the heap they lie on pages that were
    used before: that is 22 kB more for each connection, as `python -m benchmarks idle` measures.

    What lies on the heap is smaller, and up to 8 MiB that become free at its end stay with the process: large messages come in
    in such pieces, and to ask for new memory each time costs a page fault for every 4 KiB, in all as much as to read them.
    """
    with suppress(OSError, AttributeError, TypeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        libc.mallopt(_M_TRIM_THRESHOLD, 8 << 20)


def loop_factory() -> Any:
    """uvloop's where it is installed, else None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _allow_many_files() -> None:
    """Every connection is an open file: take as many as the system lets us."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems call unlimited what they do not give
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
