"""Tells senders what became of their mail: one report for a message, about all of its recipients that are at an end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

from mailsystem.delivery import Delivery
from mailsystem.directory import POSTMASTER
from mailsystem.mail.address import Address
from mailsystem.mail.errors import MailError, NoSuchRecipient, NotPermitted
from mailsystem.mail.outgoing import OutboundId, Outgoing, State, Waiting
from mailsystem.mail.report import report, returns_body
from mailsystem.mail.reported import Action, Reported, wanted
from mailsystem.queue.schedule import Schedule
from mailsystem.store import (
    QUEUE,
    AlreadyReported,
    Settling,
    Store,
    mark_delay_told,
    mark_reported,
)
from mailsystem.telemetry import Trace

_LOOK_EVERY: Final = 60.0
_AGAIN_AFTER: Final = 900.0
"""Seconds until a report is tried again that nobody could take."""
_MOST_HEAD: Final = 64 << 10


class Reporter:
    """Makes the reports of one process's queue, and delivers them."""

    def __init__(self, store: Store, delivery: Delivery, trace: Trace, *, hostname: str, schedule: Schedule) -> None:
        self._store = store
        self._delivery = delivery
        self._trace = trace
        self._hostname = hostname
        self._schedule = schedule
        self._due = asyncio.Event()

    def look(self) -> None:
        """There is something to report."""
        self._due.set()

    async def run(self) -> None:
        """Report until it is cancelled."""
        while True:
            heard = self._store.bell.rung
            self._due.clear()
            wait = _LOOK_EVERY
            try:
                ready, following = await self._store.outbound.to_report()
                for id_ in ready:
                    await self._finished(id_)
                if following is not None:
                    wait = min(wait, following - self._store.clock.now())
            except MailError as error:
                self._trace.event("store failed", what="reports", reason=str(error))
            except Exception as error:
                self._trace.bug(error, where="reports")
            await self._sleep(heard, wait)

    async def _sleep(self, heard: int, wait: float) -> None:
        waits = [asyncio.ensure_future(self._store.bell.wait(heard, QUEUE)), asyncio.ensure_future(self._due.wait())]
        try:
            await asyncio.wait(waits, timeout=max(wait, 0.05), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def delayed(self, message: Outgoing) -> None:
        """Tell the sender which recipients still wait, each once: all that were tried in vain, wherever they are."""
        _, recipients = await self._store.outbound.recipients(message.id) or (message, ())
        late = [
            each
            for each in recipients
            if each.state is State.WAITING
            and each.attempts
            and not each.delay_told
            and _action(message, each, State.WAITING) is not None
        ]
        if not late:
            return
        told = [Reported.of(each, Action.DELAYED, expires=message.expires) for each in late]
        settling = mark_delay_told(message.id, [each.address for each in late])
        try:
            await self._deliver(message, told, settling)
        except MailError as error:
            # It is merely a courtesy: whoever cannot take it now hears with the next try, or of the end.
            self._trace.event("report failed", id=message.ident, reason=str(error))

    async def _finished(self, id_: OutboundId) -> None:
        found = await self._store.outbound.unreported(id_)
        if found is None:
            return
        message, recipients = found
        addresses = [each.address for each in recipients]
        actions = [(each, _action(message, each, each.state)) for each in recipients]
        told = [Reported.of(each, action) for each, action in actions if action is not None]
        now = self._store.clock.now()
        try:
            if told:
                await self._deliver(message, told, mark_reported(id_, addresses, now))
            else:
                await self._store.outbound.reported(id_, addresses)
        except AlreadyReported:
            return  # by another process
        except (NoSuchRecipient, NotPermitted) as error:
            await self._abandon(message, addresses, error)
        except MailError as error:
            await self._put_off(message, addresses, error)
        except Exception as error:
            # Whatever it is about this one, the others are reported.
            self._trace.bug(error, where="reports", id=message.ident)
            await self._put_off(message, addresses, error)

    async def _put_off(self, message: Outgoing, addresses: Sequence[Address], why: Exception) -> None:
        now = self._store.clock.now()
        if now > message.expires + self._schedule.lifetime:
            await self._abandon(message, addresses, why)
        else:
            await self._store.outbound.put_off(message.id, now + _AGAIN_AFTER)

    async def _abandon(self, message: Outgoing, addresses: Sequence[Address], why: Exception) -> None:
        """There is nobody to tell: a report about a report is none of our business (RFC 3464 2)."""
        self._trace.event("report abandoned", id=message.ident, recipient=str(message.sender), reason=str(why))
        await self._store.outbound.reported(message.id, addresses)

    async def _deliver(self, message: Outgoing, told: Sequence[Reported], settling: Settling) -> None:
        contents = self._store.contents
        try:
            author = await self._author(message, told)
            # Its sender does not need the trace fields, nor to see what signs it.
            head = _header(await contents.read(message.content, 0, _MOST_HEAD))
            whole = None
            # Who came without a login may well have named somebody else as the sender: they get no more of it than they must.
            # What must stay under TLS never comes back whole, whatever RET says (RFC 8689 5).
            ret = "HDRS" if message.require_tls else message.ret or (None if message.login else "HDRS")
            if returns_body(ret, [each.action for each in told], message.size):
                whole = _without_return_path(await contents.read(message.content))
            octets = await asyncio.to_thread(
                report,
                to=message.sender,
                hostname=self._hostname,
                ident=message.ident,
                arrived=message.arrived,
                recipients=told,
                original_head=head,
                original=whole,
                envid=message.envid,
                ret=ret,
                now=self._store.clock.now(),
                token=secrets.token_hex(16),
                author=author,
            )
        except BaseException:
            settling.close()
            raise
        ident = await self._delivery.report(
            message.sender, octets, settling=settling, trace=self._trace, require_tls=message.require_tls
        )
        for each in told:
            self._trace.event(
                "bounced" if each.action is Action.FAILED else "notified",
                id=message.ident,
                contents=[message.content],
                recipient=str(each.address),
                to=str(message.sender),
                action=each.action.value,
                status=each.status,
                report=ident,
            )

    async def _author(self, message: Outgoing, told: Sequence[Reported]) -> Address | None:
        """The postmaster of the domain of ours that the message came from, or was for: so it can be answered, and is signed."""
        ours = await self._store.accounts.domains()
        domains = (message.sender.domain, *(each.address.domain for each in told))
        domain = next((domain for domain in domains if domain in ours), None)
        return None if domain is None else Address(POSTMASTER, domain)


def wants_report(message: Outgoing, recipient: Waiting, state: State) -> bool:
    """Whether the sender is to hear that a recipient has come to this end."""
    return state.is_final and wanted(state, recipient.asked, message.sender) is not None


def _action(message: Outgoing, recipient: Waiting, state: State) -> Action | None:
    return wanted(state, recipient.asked, message.sender)


def _without_return_path(octets: bytes) -> bytes:
    return octets.partition(b"\r\n")[2] if octets.startswith(b"Return-Path:") else octets


def _header(octets: bytes) -> bytes:
    """The header block, as far as it is there."""
    octets = _without_return_path(octets)
    end = octets.find(b"\r\n\r\n")
    return octets[: end + 2] if end >= 0 else octets[: octets.rfind(b"\n") + 1]
