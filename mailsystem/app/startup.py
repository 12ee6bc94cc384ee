"""Why the program cannot start, and the store that it starts with."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from mailsystem.mail.keeping import Keep
from mailsystem.settings import Settings, sink_defaults
from mailsystem.store import Store, health, open_store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.journal import Recorder


class StartupError(Exception):
    """Why the program cannot start; its text is one clear sentence that says what to do."""


@asynccontextmanager
async def opened(
    settings: Settings,
    trace: Trace | None = None,
    recorder: Recorder | None = None,
    *,
    parents: bool = False,
    begins: bool = True,
    indexed: bool = True,
    housekeeping: bool = True,
    grace: float | None = None,
    lasting: bool = True,
) -> AsyncIterator[Store]:
    """The store alone, as the commands for accounts need it: without a `trace` they leave its chores to the servers. Of
    several processes of one server, one is `indexed` and one does the `housekeeping`; `grace` is how many seconds what was
    removed stays on disk.

    A directory that is missing is made, but only with `parents` those above it: a disk that is not mounted, or a slip of the
    pen, must not look like a server without any mail. For the same reason nothing is made at all unless it `begins` here.
    Raises `StartupError`."""
    directory = settings.data_dir
    if not begins:
        _check_kept(directory)
    check_directory(directory, parents=parents)
    _check_rights(directory)
    async with AsyncExitStack() as stack:
        own: dict[str, Any] = {
            "tls_memory_days": settings.queue.tls_memory_days,
            "suppress_after": settings.queue.suppress_after,
            "durable_flags": settings.durable_flags,
            "indexed": indexed and trace is not None,
            "housekeeping": housekeeping and trace is not None,
            "keep": Keep(settings.retention.age, settings.retention.messages, settings.retention.octets),
            **({} if grace is None else {"grace": grace}),
            "lasting": lasting,
        }
        if trace is not None:
            own |= {
                "trace": trace,
                "recorder": recorder,
                "journal_days": settings.journal.days if housekeeping else None,
            }
        try:
            store = await stack.enter_async_context(open_store(directory, **own))
        except Exception as error:
            # A driver has errors of its own that only the store knows: whatever keeps it closed is told here.
            raise StartupError(f"cannot open the mail in {directory} (data_dir): {error}") from error
        yield store


def check_directory(directory: Path, *, parents: bool) -> None:
    """Make the directory of the data where it is missing. Raises `StartupError`."""
    advice = "choose another with --data-dir or MAILSYSTEM_DATA_DIR"
    try:
        directory.mkdir(mode=0o700, parents=parents, exist_ok=True)
    except FileNotFoundError:
        raise StartupError(
            f"{directory} (data_dir) cannot be made, since {directory.parent} does not exist; make that, or {advice}"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise StartupError(f"{directory} (data_dir) is not a directory; {advice}") from None
    except OSError as error:
        raise StartupError(f"cannot make {directory} (data_dir): {said(error)}; {advice}") from None
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StartupError(f"cannot write to {directory} (data_dir): permission denied; {advice}")


def _check_kept(directory: Path) -> None:
    """Raises `StartupError` where nobody has kept any mail yet."""
    # What is there and cannot be looked into is told by who opens it.
    is_kept = os.path.exists(health.database(directory)) or (
        os.path.exists(directory) and not (directory.is_dir() and os.access(directory, os.R_OK | os.X_OK))
    )
    if not is_kept:
        caught = sink_defaults()["data_dir"]
        hint = f"; a sink of yours keeps its mail in {caught}" if health.database(Path(str(caught))).exists() else ""
        raise StartupError(
            f"no mail is kept in {directory} (data_dir) yet; choose another with --data-dir or MAILSYSTEM_DATA_DIR, or"
            f" begin there: mailsystem domain add example.org, or mailsystem sink{hint}"
        )


def _check_rights(directory: Path) -> None:
    """Raises `StartupError` where the files are somebody else's."""
    for path in (health.database(directory), directory / "mail.lock"):
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise StartupError(
                f"{path} is not to be read or written by this user: permission denied; run this as whose it is"
                f" ({_owner(path)}), or give {directory} with all that is in it to who runs the servers"
            )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def said(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
