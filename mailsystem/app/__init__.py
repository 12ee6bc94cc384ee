"""The composition root: knows every room and wires them once, straight from top to bottom.

`serve`, `sink`, `demo` and every test that needs a whole house use `running`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from mailsystem.app import web
from mailsystem.app.hooks import hooks
from mailsystem.app.listeners import (
    HISTORIC,
    LISTENERS,
    ROLES,
    TLS_AT_ONCE,
    Listener,
    Role,
    doors_of,
    is_secure,
    listening,
    place_of,
)
from mailsystem.app.passwords import passwords
from mailsystem.app.queue import outward
from mailsystem.app.startup import StartupError, opened
from mailsystem.app.tags import brought, tagging
from mailsystem.app.tls import SELF_SIGNED, certificates, tls_context, watched
from mailsystem.app.workers import Share
from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory, Directory, SinkDirectory, Spaces, token_verifier
from mailsystem.mail.errors import TooMany
from mailsystem.mail.mailbox import SPECIAL_USES
from mailsystem.net import Bound, Certificates, Limits, Terms, is_loopback
from mailsystem.net.counts import Counts, own
from mailsystem.policy.gate import Gatekeeper
from mailsystem.policy.guard import Guard
from mailsystem.policy.relay import is_of_anybody, open_relay_reasons
from mailsystem.settings import Settings
from mailsystem.store import Caps, Store
from mailsystem.telemetry import Sink, Trace
from mailsystem.telemetry.journal import Recorder
from mailsystem.telemetry.neighbours import Neighbours
from mailsystem.telemetry.tally import Tally
from mailsystem.telemetry.watch import Watch

if TYPE_CHECKING:
    from mailsystem.faults import Faults

__all__ = [
    "HISTORIC",
    "LISTENERS",
    "MAILBOXES",
    "ROLES",
    "SELF_SIGNED",
    "TLS_AT_ONCE",
    "Listener",
    "Role",
    "Running",
    "Share",
    "StartupError",
    "certificates",
    "opened",
    "running",
    "tls_context",
]

MAILBOXES: Final = tuple(SPECIAL_USES.items())
"""What a new account has besides INBOX (RFC 6154)."""


SINK_GRACE: Final = 3600.0
"""Seconds for which a sink keeps on disk what no message names any more."""


@dataclass(frozen=True, slots=True)
class Running:
    """The house with its lights on."""

    store: Store
    directory: Directory
    bound: Mapping[str, Bound]
    """Listener to where it listens."""
    certificates: Certificates | None = None
    faults: Faults | None = None
    """What goes wrong on demand: in a sink."""
    limits: Limits = field(default_factory=Limits)
    """Count the connections that are open."""
    visits: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where somebody is about to look at the page: then it waits for them, not they for it."""

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
    share: Share | None = None,
    movable: Collection[Listener] = (),
    keys: Certificates | None = None,
    lasting: bool = True,
) -> AsyncIterator[Running]:
    """Open the store and the doors named by `roles`; yields when every listener is bound. Leaving it is a graceful stop.

    With `sink`, every recipient and every password is good. With `own_certificate`, and in a sink, a certificate is made
    where the settings name none, so that TLS is there to be tried: with that it is there from the beginning, in a sink
    a moment later. With a `share`, this is one of several processes that do the same work: it takes its part of it, at the
    doors that were opened for all of them. Doors that are `movable` take a free port where their own is in use; so far the web
    door can. With `keys`, these are shown, whatever the settings name, and what is to be made of them is made in the first
    handshake. Without `lasting`, nothing waits for the disk: the data are thrown away. Raises `StartupError`.
    """
    made_early = keys is None
    wanted = doors_of(roles, settings)
    journal = settings.journal
    recorder = (
        Recorder(transcripts=sink if journal.transcripts is None else journal.transcripts) if journal.days else None
    )
    watch = Watch() if "web" in wanted else None
    tally = Tally() if share is None else Tally(share.counted, share.number)
    readers: list[Sink] = [*sinks, *([recorder] if recorder else []), *([tally] if watch and sink else [])]
    trace = Trace(
        readers,
        lines=settings.log.lines and bool(sinks),
        contents=bool(recorder),
        transcripts=recorder.transcripts if recorder else None,
        watch=watch,
    )
    counts = own if share is None else share.common.counts

    async with AsyncExitStack() as stack:
        part = {} if share is None else {"indexed": share.indexes, "housekeeping": share.keeps_house}
        # What goes out of a sink makes room at once: nobody keeps its mail for ever.
        grace = SINK_GRACE if sink else None
        store = await stack.enter_async_context(
            opened(settings, trace, recorder, parents=sink, grace=grace, lasting=lasting, **part)
        )
        await _check_relaying(store, settings, sink=sink)
        if keys is None:
            keys = await asyncio.to_thread(certificates, settings, own=sink or own_certificate, trace=trace)
        if keys is not None:
            if own_certificate:
                await asyncio.to_thread(keys.make)
            await stack.enter_async_context(watched(keys))
        elif secure := [name for name in wanted if is_secure(name, settings)]:
            raise StartupError(
                f"{secure[0]} speaks TLS at once and needs a certificate; name one by tls.cert and tls.key"
            )
        directory: Directory = await _everybody(store, settings) if sink else await _accounts(store, settings, counts)
        common: dict[str, Any] = {
            "tls": keys.context if keys is not None else None,
            "cleartext_login": settings.cleartext_login,
            "hostname": settings.hostname,
            "grace": settings.grace,
        }
        limits = Limits(settings.limits.connections, settings.limits.connections_per_address, counts("connections"))
        terms = Terms(limits, settings.proxies)
        gate = None if sink else _gate(store, settings, trace, counts)
        caps = None if sink else _caps(settings)
        sending = bool(settings.queue.sink_allow) or not sink
        delivery = Delivery(
            store,
            directory,
            hostname=settings.hostname,
            lifetime=settings.queue.lifetime,
            caps=caps,
            reporting=sending,
            flagging=brought(settings) if sink else None,
        )
        faults = _faults(store, settings, directory) if isinstance(directory, SinkDirectory) else None
        doors: dict[Listener, AbstractAsyncContextManager[Bound]] = {}
        bound: dict[str, Bound] = {}
        visits = asyncio.Event()
        for name in wanted:
            place = {**common, **place_of(name, settings), "terms": terms}
            if share is not None:
                place["terms"] = replace(terms, sockets=share.sockets[name])
            # Doors are imported when they are wanted: a process that only speaks IMAP does not wait for aiosmtpd.
            match LISTENERS.get(name) or HISTORIC[name]:
                case "smtp":
                    from mailsystem.smtp.server import serving as smtp

                    doors[name] = smtp(
                        store,
                        directory,
                        delivery,
                        trace,
                        gate=None if name == "lmtp" else gate,  # there it is our own mail server that speaks
                        **place,
                        **_smtp(name, settings, sink=sink),
                        relaying=settings.queue.relaying and not sink,
                        faults=faults,
                    )
                case "pop3":
                    from mailsystem.pop3.server import serving as pop3

                    doors[name] = pop3(
                        store, directory, trace, **place, login_delay=settings.pop3.login_delay, faults=faults
                    )
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
                        faults=faults,
                    )
                case "web":
                    doors[name] = await web.door(
                        store,
                        directory,
                        delivery,
                        settings,
                        trace,
                        place,
                        sink=sink,
                        gate=gate,
                        faults=faults,
                        sending=sending,
                        movable=name in movable,
                        bound=lambda: bound,
                        visits=visits,
                        watch=watch,
                        tally=tally,
                        workers=1 if share is None else share.common.processes,
                    )
                case "pop2":
                    from mailsystem.pop2.server import serving as pop2

                    doors[name] = pop2(store, directory, trace, **await _historic(name, settings, place))
                case "pop1":
                    from mailsystem.pop1.server import serving as pop1

                    doors[name] = pop1(store, directory, trace, **await _historic(name, settings, place))
        if watch is not None and share is not None and share.lines:
            stack.enter_context(Neighbours(watch, share.number, share.lines).talking())
        if faults is not None and settings.faults.chaos and (share is None or share.keeps_house):
            from mailsystem.faults.chaos import trigger, triggers_of

            try:
                await trigger(faults, "", triggers_of(settings.faults.chaos))
            except TooMany as error:
                raise StartupError(f"{error}, so that faults.chaos has no room; see `mailsystem fault list`") from None
        if sink and (share is None or share.keeps_house):
            await stack.enter_async_context(tagging(store, settings, trace))
        bound.update(await stack.enter_async_context(listening(doors, settings)))
        if keys is not None and keys.waiting and made_early:
            keys.ask()
        if "queue" in roles and sending and (share is None or share.keeps_house):
            await stack.enter_async_context(outward(store, delivery, settings, trace))
        if "queue" in roles and (share is None or share.keeps_house):
            await stack.enter_async_context(hooks(store, settings, trace, sink=sink))
        if share is None:  # of many, it is said once
            trace.event("listening", **{name: str(place) for name, place in bound.items()})
            stack.callback(trace.event, "stopping")
        yield Running(store, directory, bound, keys, faults, limits, visits)
    if share is None:
        trace.event("stopped")


def _faults(store: Store, settings: Settings, directory: SinkDirectory) -> Faults:
    from mailsystem.faults import Faults, Scene  # only a sink has them

    async def namespace_of(scene: Scene) -> str:
        return await directory.space_of(scene.login, scene.recipients[0] if scene.recipients else None)

    return Faults(store, magic=settings.faults.magic, namespace_of=namespace_of)


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
        "login_first": sink and name != "lmtp" and settings.sink.login_required,
        "offer_auth": name != "lmtp" and (sink or name != "smtp"),  # never where strangers come (RFC 6409 3.1)
        # Our own people and our own programs need not prove that they are patient.
        "greeting_delay": settings.smtp.greeting_delay if name == "smtp" else 0.0,
    }


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
        relays=sink and any(map(is_of_anybody, settings.queue.sink_allow)),
    )
    if reasons:
        raise StartupError(reasons[0])


async def _accounts(store: Store, settings: Settings, counts: Callable[[str], Counts]) -> Directory:
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
    return Guard(directory, store.clock, default_domain=settings.default_domain, counts=counts)


def _gate(store: Store, settings: Settings, trace: Trace, counts: Callable[[str], Counts]) -> Gatekeeper:
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
        counts=counts,
    )


def _caps(settings: Settings) -> Caps:
    return Caps(settings.limits.recipients_per_day_login, settings.limits.strangers_per_day_login)


async def _everybody(store: Store, settings: Settings) -> SinkDirectory:
    if await store.accounts.domains():
        raise StartupError(
            f"{settings.data_dir} (data_dir) holds a server's accounts, and a sink lets anybody in with any password; "
            "choose another with --data-dir"
        )
    own = settings.spaces
    directory = SinkDirectory(
        store,
        default_domain=settings.default_domain,
        sent_on=settings.queue.sink_allow,
        spaces=Spaces(store, logins=own.logins, ttl=own.ttl),
        copies=own.copies,
        passwords=await passwords(settings.sink.passwords, settings.sink.passwords_file, "sink.passwords"),
    )
    await directory.warm()
    return directory
