"""The role `web`: the page and the interface for programs, as the settings have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from mailsystem.app.hooks import reaches_private
from mailsystem.app.passwords import passwords
from mailsystem.app.startup import StartupError
from mailsystem.delivery import Delivery
from mailsystem.directory import Directory
from mailsystem.directory.sink import SINK_LOGIN
from mailsystem.mail.mailbox import INBOX
from mailsystem.net import Bound, is_loopback
from mailsystem.policy.gate import Gatekeeper
from mailsystem.settings import Settings
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.tally import Tally
from mailsystem.telemetry.watch import Watch

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mailsystem.faults import Faults


async def door(
    store: Store,
    directory: Directory,
    delivery: Delivery,
    settings: Settings,
    trace: Trace,
    place: Mapping[str, Any],
    *,
    sink: bool,
    gate: Gatekeeper | None,
    faults: Faults | None,
    sending: bool,
    movable: bool,
    bound: Callable[[], Mapping[str, Bound]],
    visits: asyncio.Event,
    watch: Watch | None,
    tally: Tally,
    workers: int,
) -> AbstractAsyncContextManager[Bound]:
    """The door, to be opened. Raises `StartupError`."""
    from mailsystem.web.server import serving

    # Passwords in clear are for this machine only.
    clear = not sink and not place["implicit_tls"] and not settings.cleartext_login
    if clear and not await asyncio.to_thread(is_loopback, place["host"]):
        raise StartupError(
            "the page takes passwords and so needs TLS: name a certificate by tls.cert and tls.key, or set web.host to "
            "127.0.0.1 and let a proxy with TLS stand before it"
        )

    own = settings.web
    if sink:
        tally.begin(await _gone(store))
    known_people = await passwords(own.auth, own.auth_file, "web.auth") if sink else None

    def application(stopping: asyncio.Event) -> ASGIApp:
        from mailsystem.finding.finder import Finder
        from mailsystem.web.app import application
        from mailsystem.web.context import Context

        return application(
            Context(
                store,
                directory,
                delivery,
                Finder(store, store.journal.recipients if sink and settings.journal.days else None),
                trace,
                hostname=settings.hostname,
                gate=gate,
                faults=faults,
                everybody=SINK_LOGIN if sink else None,
                sending=sending,
                space_ttl=settings.spaces.ttl,
                cleartext_login=settings.cleartext_login,
                largest_message=settings.limits.message_size,
                streams_per_account=settings.limits.streams_per_account,
                streams_per_address=settings.limits.streams_per_address,
                hosts=settings.web.hosts,
                origins=settings.web.origins,
                sent_on=settings.queue.sink_allow,
                spamd=settings.sink.spamd,
                tally=tally,
                label=settings.web.label,
                delete_all=settings.web.delete_all,
                root=settings.web.root if sink else "",
                passwords=known_people,
                bound=bound,
                watch=watch,
                workers=workers,
                stopping=stopping,
                private_webhooks=reaches_private(settings, sink=sink),
                webhook_lifetime=settings.webhooks.lifetime,
            )
        )

    known = {name: place[name] for name in ("host", "port", "tls", "implicit_tls", "terms", "grace")}
    return serving(application, **known, movable=movable, visits=visits)


async def _gone(store: Store) -> int:
    """How many messages have left the INBOX of everybody."""
    everybody = await store.accounts.ensure(SINK_LOGIN)
    inbox = await store.mailboxes.find(everybody.id, INBOX)
    [status] = await store.mailboxes.statuses([inbox])
    return inbox.uidnext - 1 - status.messages
