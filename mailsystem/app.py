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
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory, Directory, SinkDirectory, token_verifier
from mailsystem.mail.errors import MailError
from mailsystem.mail.mailbox import SPECIAL_USES
from mailsystem.net import BadCertificate, Bound, Certificates, Limits, Pair, Terms, is_loopback, self_signed
from mailsystem.policy.gate import Gatekeeper
from mailsystem.policy.guard import Guard
from mailsystem.policy.relay import open_relay_reasons
from mailsystem.settings import Settings, Tls
from mailsystem.store import Caps, Store, open_store
from mailsystem.telemetry import Sink, Trace
from mailsystem.telemetry.journal import Recorder

Role = Literal["smtp", "pop3", "imap", "pop2", "pop1"]
ROLES: Final[tuple[Role, ...]] = ("smtp", "pop3", "imap")

Listener = Literal["smtp", "submission", "submissions", "lmtp", "pop3", "pop3s", "imap", "imaps", "pop2", "pop1"]
LISTENERS: Final[Mapping[Listener, Role]] = {
    "smtp": "smtp",
    "submission": "smtp",
    "submissions": "smtp",
    "lmtp": "smtp",
    "pop3": "pop3",
    "pop3s": "pop3",
    "imap": "imap",
    "imaps": "imap",
}
"""Every place where a role may listen; each has settings of its own under its name."""
HISTORIC: Final[Mapping[Listener, Role]] = {"pop2": "pop2", "pop1": "pop1"}
"""Those of roles that nobody is unless they are named."""
TLS_AT_ONCE: Final = frozenset({"submissions", "pop3s", "imaps"})
SELF_SIGNED: Final = "self-signed.pem"
"""The sink's certificate and key, in its data directory."""

MAILBOXES: Final = tuple(SPECIAL_USES.items())
"""What a new account has besides INBOX (RFC 6154)."""


class StartupError(Exception):
    """Why the program cannot start; its text is one clear sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """The house with its lights on."""

    store: Store
    directory: Directory
    bound: Mapping[str, Bound]
    """Listener to where it listens."""
    certificates: Certificates | None = None

    def reload(self) -> None:
        """Read again what may change while the program runs: the certificates."""
        if self.certificates is not None:
            self.certificates.ask()


@asynccontextmanager
async def running(
    settings: Settings,
    roles: Collection[Role] = ROLES,
    *,
    sink: bool = False,
    own_certificate: bool = False,
    sinks: Sequence[Sink] = (),
) -> AsyncIterator[Running]:
    """Open the store and the doors named by `roles`; yields when every listener is bound. Leaving it is a graceful stop.

    With `sink`, every recipient and every password is good. With `own_certificate`, and in a sink, a certificate is made
    where the settings name none, so that TLS is there to be tried. Raises `StartupError`.
    """
    unknown = sorted(set(roles) - {*ROLES, *HISTORIC})
    if unknown or not roles:
        asked = f"there is no role {unknown[0]}" if unknown else "no role was named"
        raise StartupError(f"{asked}; the roles are {', '.join([*ROLES, *HISTORIC])}")
    recorder = Recorder() if settings.journal.days else None
    readers: list[Sink] = [*sinks, recorder] if recorder else [*sinks]
    trace = Trace(readers, lines=settings.log.lines and bool(sinks), contents=bool(recorder))
    wanted = [name for name, role in {**LISTENERS, **HISTORIC}.items() if role in roles and _is_open(name, settings)]

    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(settings, trace, recorder, parents=sink))
        await _check_relaying(store, settings, sink=sink)
        keys = await asyncio.to_thread(certificates, settings, own=sink or own_certificate, trace=trace)
        if keys is not None:
            await stack.enter_async_context(_watched(keys))
        elif secure := sorted(TLS_AT_ONCE.intersection(wanted)):
            raise StartupError(
                f"{secure[0]} speaks TLS at once and needs a certificate; name one by tls.cert and tls.key"
            )
        directory = await (_everybody if sink else _accounts)(store, settings)
        common: dict[str, Any] = {
            "tls": keys.context if keys is not None else None,
            "cleartext_login": settings.cleartext_login,
            "hostname": settings.hostname,
            "terms": Terms(
                Limits(settings.limits.connections, settings.limits.connections_per_address), settings.proxies
            ),
            "grace": settings.grace,
        }
        gate = None if sink else _gate(store, settings, trace)
        doors: dict[Listener, AbstractAsyncContextManager[Bound]] = {}
        for name in wanted:
            place = {**common, **_place(name, settings)}
            # Doors are imported when they are wanted: a process that only speaks IMAP does not wait for aiosmtpd.
            match LISTENERS.get(name) or HISTORIC[name]:
                case "smtp":
                    from mailsystem.smtp.server import serving as smtp

                    doors[name] = smtp(
                        store,
                        directory,
                        Delivery(store, directory, hostname=settings.hostname),
                        trace,
                        gate=None if name == "lmtp" else gate,  # there it is our own mail server that speaks
                        **place,
                        **_smtp(name, settings, sink=sink),
                    )
                case "pop3":
                    from mailsystem.pop3.server import serving as pop3

                    doors[name] = pop3(store, directory, trace, **place, login_delay=settings.pop3.login_delay)
                case "imap":
                    from mailsystem.imap.server import serving as imap

                    doors[name] = imap(
                        store,
                        directory,
                        trace,
                        **place,
                        largest_message=settings.limits.message_size,
                        messages_per_command=settings.limits.messages_per_command,
                        share_with_anyone=settings.accounts.share_with_anyone,
                    )
                case "pop2":
                    from mailsystem.pop2.server import serving as pop2

                    doors[name] = pop2(store, directory, trace, **await _historic(name, settings, place))
                case "pop1":
                    from mailsystem.pop1.server import serving as pop1

                    doors[name] = pop1(store, directory, trace, **await _historic(name, settings, place))
        bound = await stack.enter_async_context(_listening(doors, settings))
        trace.event("listening", **{name: str(place) for name, place in bound.items()})
        stack.callback(trace.event, "stopping")
        yield Running(store, directory, bound, keys)
    trace.event("stopped")


def _is_open(name: Listener, settings: Settings) -> bool:
    own = getattr(settings, name)
    return own.port is not None or (name == "lmtp" and own.path is not None)


def _place(name: Listener, settings: Settings) -> dict[str, Any]:
    """Where a door listens, and whether under TLS at once."""
    own = getattr(settings, name)
    if name == "lmtp" and own.path is not None:
        return {"host": "", "port": 0, "path": own.path}
    host = _host(name, settings)
    return {"host": "" if host == "*" else host, "port": own.port, "implicit_tls": name in TLS_AT_ONCE}


def _host(name: Listener, settings: Settings) -> str:
    return str(getattr(getattr(settings, name), "host", settings.host))


async def _historic(name: Listener, settings: Settings, place: dict[str, Any]) -> dict[str, Any]:
    """Where a door from before TLS listens: on this machine, unless that is forced otherwise. Raises `StartupError`."""
    own = settings.pop2 if name == "pop2" else settings.pop1
    if not own.anywhere and not await asyncio.to_thread(is_loopback, own.host):
        raise StartupError(
            f"{name} takes passwords in clear and so listens on this machine only; set {name}.host to 127.0.0.1, "
            f"or {name}.anywhere to true if everybody on the way may read them"
        )
    # It has no TLS, and cleartext_login is not meant for it.
    kept = {key: place[key] for key in ("host", "port", "hostname", "terms", "grace")}
    return {**kept, "cleartext_login": own.anywhere}


def _smtp(name: Listener, settings: Settings, *, sink: bool) -> dict[str, Any]:
    """What the SMTP doors are told beyond all others."""
    return {
        "size_limit": settings.limits.message_size,
        "recipient_limit": settings.limits.recipients,
        "bare_newline": settings.bare_newline,
        "data_total": settings.limits.data_total,
        "minimum_rate": settings.limits.minimum_rate,
        "kind": "lmtp" if name == "lmtp" else "mx" if name == "smtp" else "submission",
        "offer_auth": name != "lmtp" and (sink or name != "smtp"),  # never where strangers come (RFC 6409 3.1)
        # Our own people and our own programs need not prove that they are patient.
        "greeting_delay": settings.smtp.greeting_delay if name == "smtp" else 0.0,
    }


@asynccontextmanager
async def _watched(keys: Certificates) -> AsyncIterator[None]:
    task = asyncio.create_task(keys.watch())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def opened(
    settings: Settings, trace: Trace | None = None, recorder: Recorder | None = None, *, parents: bool = False
) -> AsyncIterator[Store]:
    """The store alone, as the commands for accounts need it: without a `trace` they leave its chores to the servers.

    A directory that is missing is made, but only with `parents` those above it: a disk that is not mounted, or a slip of the
    pen, must not look like a server without any mail. Raises `StartupError`."""
    directory = settings.data_dir
    _check_directory(directory, parents=parents)
    async with AsyncExitStack() as stack:
        own: dict[str, Any] = {
            "tls_memory_days": settings.queue.tls_memory_days,
            "suppress_after": settings.queue.suppress_after,
            "indexed": trace is not None,
        }
        if trace is not None:
            own |= {"trace": trace, "recorder": recorder, "journal_days": settings.journal.days}
        try:
            store = await stack.enter_async_context(open_store(directory, **own))
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


async def _check_relaying(store: Store, settings: Settings, *, sink: bool) -> None:
    """Never start as an open relay. Raises `StartupError`."""
    listed = await store.accounts.domain_list()
    reasons = open_relay_reasons(
        domains={domain.name for domain in listed} | ({settings.default_domain} - {""}),
        aliases=[(alias.address, alias.targets) for alias in await store.accounts.aliases()],
        catch_alls=[(domain.name, domain.catch_all) for domain in listed if domain.catch_all],
        proxies=settings.proxies,
        host=settings.host,
        anybody_logs_in=sink,
    )
    if reasons:
        raise StartupError(reasons[0])


async def _accounts(store: Store, settings: Settings) -> Directory:
    oauth, accounts = settings.oauth, settings.accounts
    secret = oauth.client_secret.get_secret_value() if oauth.client_secret is not None else ""
    try:
        tokens = token_verifier(
            store.clock,
            introspection_url=oauth.introspection_url,
            client_id=oauth.client_id,
            client_secret=secret,
            jwks_url=oauth.jwks_url,
            issuer=oauth.issuer,
            audience=oauth.audience,
        )
    except ValueError as error:
        raise StartupError(str(error)) from None
    directory = AccountsDirectory(
        store,
        default_domain=settings.default_domain,
        separator=accounts.separator,
        detail_folder=accounts.detail_folder,
        tokens=tokens,
    )
    await directory.warm()
    return Guard(directory, store.clock, default_domain=settings.default_domain)


def _gate(store: Store, settings: Settings, trace: Trace) -> Gatekeeper:
    limits, policy = settings.limits, settings.policy
    return Gatekeeper(
        store.clock,
        messages_per_hour_login=limits.messages_per_hour_login,
        messages_per_hour_address=limits.messages_per_hour_address,
        block_lists=policy.dnsbl,
        greylist=store.greylist if policy.greylisting else None,
        suppression=store.suppression,
        sending=store.sending,
        caps=_caps(settings),
        trace=trace,
    )


def _caps(settings: Settings) -> Caps:
    return Caps(settings.limits.recipients_per_day_login, settings.limits.strangers_per_day_login)


async def _everybody(store: Store, settings: Settings) -> Directory:
    if await store.accounts.domains():
        raise StartupError(
            f"{settings.data_dir} (data_dir) holds a server's accounts, and a sink lets anybody in with any password; "
            "choose another with --data-dir"
        )
    directory = SinkDirectory(store, default_domain=settings.default_domain)
    await directory.warm()
    return directory


def certificates(settings: Settings, *, own: bool = False, trace: Trace | None = None) -> Certificates | None:
    """The certificates named by the settings; with `own`, where there are none, one of our making. Blocks.

    Raises `StartupError`.
    """
    tls = settings.tls
    try:
        if tls.cert is not None and tls.key is not None:
            further = {name: Pair(one.cert, one.key, f'tls.names."{name}"') for name, one in tls.names.items()}
            return Certificates(Pair(tls.cert, tls.key), further, trace=trace)
        if own:
            names = dict.fromkeys(["localhost", settings.hostname, "127.0.0.1", "::1"])
            return Certificates(self_signed(settings.data_dir / SELF_SIGNED, list(names)), trace=trace)
    except BadCertificate as error:
        raise StartupError(str(error)) from None
    except OSError as error:
        raise StartupError(f"cannot make a certificate in {settings.data_dir} (data_dir): {_said(error)}") from None
    return None


def tls_context(tls: Tls) -> ssl.SSLContext | None:
    """A server's TLS from the files named by the settings, or None where none are. Raises `StartupError`."""
    keys = certificates(Settings(tls=tls))
    return None if keys is None else keys.context


@asynccontextmanager
async def _listening(
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
                raise StartupError(_why_not(error, name, settings)) from error
        yield bound
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def _why_not(error: OSError | MailError, name: Listener, settings: Settings) -> str:
    """Why a door could not listen, and what to do about it."""
    own = getattr(settings, name)
    host = _host(name, settings)
    if name == "lmtp" and own.path is not None:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return f"{own.path} (lmtp.path) is in use by another program, or is no socket; stop that one, or choose another"
        return f"cannot listen on {own.path} (lmtp.path): {_said(error)}"
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
            return f"cannot listen on {host} port {port} for {name}: {_said(error)}"


def _said(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
