"""The composition root: knows every room and wires them once, straight from top to bottom.

`serve`, `sink`, `demo` and every test that needs a whole house use `running`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory, Directory, SinkDirectory
from mailsystem.mail.errors import MailError
from mailsystem.net import Bound
from mailsystem.settings import Settings, Tls
from mailsystem.store import Store, open_store
from mailsystem.telemetry import Sink, Trace

Role = Literal["smtp", "pop3", "imap"]
ROLES: Final[tuple[Role, ...]] = ("smtp", "pop3", "imap")

MAILBOXES: Final = (
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
)
"""What a new account has besides INBOX (RFC 6154)."""


class StartupError(Exception):
    """Why the program cannot start; its text is one clear sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """The house with its lights on."""

    store: Store
    directory: Directory
    bound: Mapping[str, Bound]
    """Role to where its door listens."""


@asynccontextmanager
async def running(
    settings: Settings, roles: Collection[Role] = ROLES, *, sink: bool = False, sinks: Sequence[Sink] = ()
) -> AsyncIterator[Running]:
    """Open the store and the doors named by `roles`; yields when every listener is bound. Leaving it is a graceful stop.

    With `sink`, every recipient and every password is good. Raises `StartupError`.
    """
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        asked = f"there is no role {unknown[0]}" if unknown else "no role was named"
        raise StartupError(f"{asked}; the roles are {', '.join(ROLES)}")
    trace = Trace(sinks, lines=settings.log.lines)
    tls = tls_context(settings.tls)
    host = "" if settings.host == "*" else settings.host
    clear = settings.cleartext_login
    name = settings.hostname
    grace = settings.grace

    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(settings, parents=sink, trace=trace))
        directory = await (_everybody if sink else _accounts)(store, settings)
        doors: dict[Role, AbstractAsyncContextManager[Bound]] = {}
        # Doors are imported when they are wanted: a process that only speaks IMAP does not wait for aiosmtpd.
        if "smtp" in roles:
            from mailsystem.smtp.server import serving as smtp

            delivery = Delivery(store, directory, hostname=name)
            doors["smtp"] = smtp(
                store,
                directory,
                delivery,
                trace,
                host=host,
                port=settings.smtp.port,
                tls=tls,
                cleartext_login=clear,
                hostname=name,
                size_limit=settings.limits.message_size,
                recipient_limit=settings.limits.recipients,
                bare_newline=settings.bare_newline,
                grace=grace,
            )
        if "pop3" in roles:
            from mailsystem.pop3.server import serving as pop3

            doors["pop3"] = pop3(
                store,
                directory,
                trace,
                host=host,
                port=settings.pop3.port,
                tls=tls,
                cleartext_login=clear,
                hostname=name,
                grace=grace,
            )
        if "imap" in roles:
            from mailsystem.imap.server import serving as imap

            doors["imap"] = imap(
                store,
                directory,
                trace,
                host=host,
                port=settings.imap.port,
                tls=tls,
                cleartext_login=clear,
                hostname=name,
                largest_message=settings.limits.message_size,
                grace=grace,
            )
        bound = await stack.enter_async_context(_listening(doors, settings))
        trace.event("listening", **{role: f"{place.host}:{place.port}" for role, place in bound.items()})
        stack.callback(trace.event, "stopping")
        yield Running(store, directory, bound)
    trace.event("stopped")


@asynccontextmanager
async def opened(settings: Settings, *, parents: bool = False, trace: Trace | None = None) -> AsyncIterator[Store]:
    """The store alone, as the commands for accounts need it. Raises `StartupError`.

    A directory that is missing is made, but only with `parents` those above it: a disk that is not mounted, or a slip of the
    pen, must not look like a server without any mail.
    """
    directory = settings.data_dir
    _check_directory(directory, parents=parents)
    async with AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(open_store(directory, trace=trace or Trace()))
        except Exception as error:
            # A driver has errors of its own that only the store knows: whatever keeps it closed is told here.
            raise StartupError(f"cannot open the mail in {directory} (data_dir): {error}") from error
        yield store


def _check_directory(directory: Path, *, parents: bool) -> None:
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
        raise StartupError(f"cannot make {directory} (data_dir): {_said(error)}; {advice}") from None
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StartupError(f"cannot write to {directory} (data_dir): permission denied; {advice}")


async def _accounts(store: Store, settings: Settings) -> Directory:
    directory = AccountsDirectory(store, default_domain=settings.default_domain)
    await directory.warm()
    return directory


async def _everybody(store: Store, settings: Settings) -> Directory:
    if await store.accounts.domains():
        raise StartupError(
            f"{settings.data_dir} (data_dir) holds a server's accounts, and a sink lets anybody in with any password; "
            "choose another with --data-dir"
        )
    directory = SinkDirectory(store, default_domain=settings.default_domain)
    await directory.warm()
    return directory


def tls_context(tls: Tls) -> ssl.SSLContext | None:
    """A server's TLS from the files named by the settings, or None where none are. Raises `StartupError`."""
    if tls.cert is None or tls.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, path in (("tls.cert", tls.cert), ("tls.key", tls.key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise StartupError(f"cannot read {path} ({name}): {_said(error)}") from None
    try:
        # Without a password given here, a key with a passphrase would ask for it at the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) in _NOT_ITS_KEY:
            why = f"the key in {tls.key} (tls.key) does not belong to the certificate in {tls.cert} (tls.cert)"
        else:
            why = (
                f"{tls.cert} (tls.cert) and {tls.key} (tls.key) are not a certificate and its key in PEM "
                "without a passphrase"
            )
        raise StartupError(why) from None
    return context


_NOT_ITS_KEY: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""OpenSSL's names for a key that is another's; the last one where it is of another kind."""


@asynccontextmanager
async def _listening(
    doors: Mapping[Role, AbstractAsyncContextManager[Bound]], settings: Settings
) -> AsyncIterator[dict[str, Bound]]:
    """Open the doors one after the other, each in a task of its own, so that all are closed at once and share one grace."""
    stop = asyncio.Event()

    async def keep(door: AbstractAsyncContextManager[Bound], opened: asyncio.Future[Bound]) -> None:
        try:
            async with door as place:
                opened.set_result(place)
                await stop.wait()
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)

    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []
    bound: dict[str, Bound] = {}
    try:
        for role, door in doors.items():
            place: asyncio.Future[Bound] = loop.create_future()
            tasks.append(loop.create_task(keep(door, place)))
            try:
                bound[role] = await place
            except (OSError, MailError) as error:
                raise StartupError(_why_not(error, role, settings)) from error
        yield bound
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def _why_not(error: OSError | MailError, role: Role, settings: Settings) -> str:
    """Why a door could not listen, and what to do about it."""
    port: int = getattr(settings, role).port
    choose = f"choose another with --{role}-port (setting {role}.port)"
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return f"port {port} is in use by another program; stop that one, or {choose}"
        case OSError(errno=errno.EACCES | errno.EPERM):
            return (
                f"port {port} may only be opened by root or with CAP_NET_BIND_SERVICE; "
                f"give that, or choose one from 1024 with --{role}-port (setting {role}.port)"
            )
        case OSError(errno=errno.EADDRNOTAVAIL):
            return f"{settings.host} is not an address of this machine; choose another with --host (setting host)"
        case socket.gaierror():
            return f"there is no address for the name {settings.host}; choose another with --host (setting host)"
        case _:
            return f"cannot listen on {settings.host} port {port} for {role}: {_said(error)}"


def _said(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
