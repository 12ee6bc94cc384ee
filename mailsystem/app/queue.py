"""The role `queue`: how mail for other servers is handed on, as the settings have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mailsystem.app.startup import StartupError, said
from mailsystem.delivery import Delivery
from mailsystem.settings import Settings, name_server
from mailsystem.store import Store
from mailsystem.telemetry import Trace


@asynccontextmanager
async def outward(store: Store, delivery: Delivery, settings: Settings, trace: Trace) -> AsyncIterator[None]:
    """Work at the queue; leaving it finishes what is on its way, within the grace. Raises `StartupError`."""
    # Brought in here: a process that only takes mail in waits for none of it.
    from mailsystem.mailauth.signing import Signer
    from mailsystem.queue.client import Timeouts
    from mailsystem.queue.hosts import Hosts
    from mailsystem.queue.opening import Credentials, trusting
    from mailsystem.queue.relay import Relay, Smarthost
    from mailsystem.queue.reporting import Reporter
    from mailsystem.queue.resolving import Dns, of_system
    from mailsystem.queue.schedule import Schedule
    from mailsystem.queue.worker import Worker, working

    own = settings.queue
    try:
        trust = await asyncio.to_thread(trusting, str(own.ca_file) if own.ca_file else None)
    except OSError as error:  # ssl.SSLError is one
        raise StartupError(f"cannot read {own.ca_file} (queue.ca_file): {said(error)}") from error
    password = own.smarthost_password.get_secret_value() if own.smarthost_password is not None else ""
    smarthost = None
    if own.carrier is not None:
        credentials = Credentials(own.smarthost_login, password) if own.smarthost_login else None
        smarthost = Smarthost(*own.carrier, own.smarthost_tls, credentials)
    hosts = Hosts(
        Dns([name_server(text) for text in own.nameservers]),
        store.clock,
        hostname=settings.hostname,
        is_us=_is_us(settings),
        private=own.private_hosts,
        known=None if own.nameservers else of_system,
    )
    relay = Relay(
        hosts,
        store.tls_levels,
        trace,
        hostname=settings.hostname,
        trust=trust,
        port=own.port,
        smarthost=smarthost,
        smarthosts=own.carriers,
        timeouts=Timeouts(connect=own.connect_timeout, greeting=own.answer_timeout, command=own.answer_timeout),
    )
    schedule = Schedule(first=own.retry_first, most=own.retry_most, notice=own.delay_notice, lifetime=own.lifetime)
    trace = trace.child("queue")
    reporter = Reporter(store, delivery, trace, hostname=settings.hostname, schedule=schedule)
    worker = Worker(
        store,
        relay,
        reporter,
        trace,
        schedule=schedule,
        signing=Signer(store.signing_keys, trace, clock=store.clock),
        per_domain=own.connections_per_domain,
        at_once=own.connections,
    )
    try:
        async with working(worker, reporter, grace=settings.grace):
            yield
    finally:
        await hosts.close()


def _is_us(settings: Settings) -> Callable[[str, str], bool]:
    """Whether mail for a host at an address would come back to us, whatever it is called: we listen there at the same port."""
    from mailsystem.queue.hosts import is_of_this_machine

    if settings.smtp.port != settings.queue.port:
        return lambda name, ip: False
    return is_of_this_machine if settings.host == "*" else lambda name, ip: ip == settings.host
