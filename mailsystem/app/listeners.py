"""Where each door listens, and why it cannot."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, Literal

from mailsystem.app.startup import StartupError, said
from mailsystem.mail.errors import MailError
from mailsystem.net import Bound
from mailsystem.net.listening import opened
from mailsystem.settings import Settings

Role = Literal["smtp", "pop3", "imap", "web", "queue", "pop2", "pop1"]
ROLES: Final[tuple[Role, ...]] = ("smtp", "pop3", "imap", "web", "queue")

Listener = Literal["smtp", "submission", "submissions", "lmtp", "pop3", "pop3s", "imap", "imaps", "web", "pop2", "pop1"]
LISTENERS: Final[Mapping[Listener, Role]] = {
    "smtp": "smtp",
    "submission": "smtp",
    "submissions": "smtp",
    "lmtp": "smtp",
    "pop3": "pop3",
    "pop3s": "pop3",
    "imap": "imap",
    "imaps": "imap",
    "web": "web",
}
"""Every place where a role may listen; each has settings of its own under its name."""
HISTORIC: Final[Mapping[Listener, Role]] = {"pop2": "pop2", "pop1": "pop1"}
"""Those of roles that nobody is unless they are named."""
TLS_AT_ONCE: Final = frozenset({"submissions", "pop3s", "imaps"})


def is_open(name: Listener, settings: Settings) -> bool:
    own = getattr(settings, name)
    return own.port is not None or (name == "lmtp" and own.path is not None)


def doors_of(roles: Collection[Role], settings: Settings) -> list[Listener]:
    """Where those roles listen. Raises `StartupError` for a role that there is not."""
    unknown = sorted(set(roles) - {*ROLES, *HISTORIC})
    if unknown or not roles:
        asked = f"there is no role {unknown[0]}" if unknown else "no role was named"
        raise StartupError(f"{asked}; the roles are {', '.join([*ROLES, *HISTORIC])}")
    if "web" in roles and set(roles) != set(ROLES) and not is_open("web", settings):
        raise StartupError("the role web has no port; give it one by --web-port (setting web.port)")
    return [name for name, role in {**LISTENERS, **HISTORIC}.items() if role in roles and is_open(name, settings)]


def place_of(name: Listener, settings: Settings) -> dict[str, Any]:
    """Where a door listens, and whether under TLS at once."""
    own = getattr(settings, name)
    if name == "lmtp" and own.path is not None:
        return {"host": "", "port": 0, "path": own.path}
    host = host_of(name, settings)
    return {"host": "" if host == "*" else host, "port": own.port, "implicit_tls": is_secure(name, settings)}


def is_secure(name: Listener, settings: Settings) -> bool:
    """Whether a door speaks TLS from the first octet."""
    if name == "web":
        return settings.tls.cert is not None if settings.web.tls is None else settings.web.tls
    return name in TLS_AT_ONCE


def host_of(name: Listener, settings: Settings) -> str:
    return str(getattr(getattr(settings, name), "host", None) or settings.host)


@asynccontextmanager
async def listening(
    doors: Mapping[Listener, AbstractAsyncContextManager[Bound]], settings: Settings
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
        for name, door in doors.items():
            place: asyncio.Future[Bound] = loop.create_future()
            tasks.append(loop.create_task(keep(door, place)))
            try:
                bound[name] = await place
            except (OSError, MailError) as error:
                raise StartupError(why_not(error, name, settings)) from error
        yield bound
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@contextmanager
def opened_doors(
    names: Sequence[Listener], settings: Settings, movable: Collection[Listener] = ()
) -> Iterator[dict[Listener, list[socket.socket]]]:
    """The sockets of doors that several processes will listen at. Those that are `movable` take a free port where their own is
    in use. Blocks. Raises `StartupError`."""
    with ExitStack() as stack:
        sockets: dict[Listener, list[socket.socket]] = {}
        for name in names:
            place = place_of(name, settings)
            try:
                sockets[name] = stack.enter_context(
                    opened(place["host"], place["port"], place.get("path"), movable=name in movable)
                )
            except OSError as error:
                raise StartupError(why_not(error, name, settings)) from error
        yield sockets


def why_not(error: OSError | MailError, name: Listener, settings: Settings) -> str:
    """Why a door could not listen, and what to do about it."""
    own = getattr(settings, name)
    host = host_of(name, settings)
    if name == "lmtp" and own.path is not None:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return f"{own.path} (lmtp.path) is in use by another program, or is no socket; stop that one, or choose another"
        return f"cannot listen on {own.path} (lmtp.path): {said(error)}"
    port: int = own.port
    elsewhere = f"setting {name}.host" if hasattr(own, "host") else "--host (setting host)"
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return (
                f"port {port} is in use by another program; stop that one, "
                f"or choose another with --{name}-port (setting {name}.port)"
            )
        case OSError(errno=errno.EACCES | errno.EPERM):
            return (
                f"port {port} may only be opened by root or with CAP_NET_BIND_SERVICE; "
                f"give that, or choose one from 1024 with --{name}-port (setting {name}.port)"
            )
        case OSError(errno=errno.EADDRNOTAVAIL):
            return f"{host} is not an address of this machine; choose another with {elsewhere}"
        case socket.gaierror():
            return f"there is no address for the name {host}; choose another with {elsewhere}"
        case _:
            return f"cannot listen on {host} port {port} for {name}: {said(error)}"
