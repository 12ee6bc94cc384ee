"""Carries an accepted message home: trace fields in front, every recipient's mailbox, one transaction."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from mailsystem.directory import Directory, Target
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import UNIX, Envelope
from mailsystem.mail.errors import MailError, NoSuchMailbox, NoSuchRecipient, NotPermitted, OverQuota, Unavailable
from mailsystem.store import Appended, Drop, Spool, Store
from mailsystem.telemetry import Trace

_NAME: Final = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message that each recipient is answered for by itself."""

    id: str
    failed: dict[Address, MailError]
    """Who did not get it, and why; all others did."""


class Delivery:
    """The corridor between the SMTP door and the store."""

    def __init__(self, store: Store, directory: Directory, *, hostname: str) -> None:
        self._store = store
        self._directory = directory
        self._hostname = hostname

    async def deliver(self, envelope: Envelope, spool: Spool, *, trace: Trace) -> str:
        """Put the message into every recipient's mailbox, or into none; returns the id that the 250 tells.

        Committed and on disk when it returns. Raises `NoSuchRecipient`, `NotPermitted`, `OverQuota` and `Unavailable`.
        """
        ident, prefix = self._begun(envelope)
        done = await self._settled(envelope.recipients, spool, prefix)
        self._told(trace, envelope, ident, envelope.recipients, spool.size, len(done))
        return ident

    async def _settled(self, recipients: Iterable[Address], spool: Spool, prefix: bytes) -> list[Appended]:
        try:
            return await self._place([await self._directory.resolve(each) for each in recipients], spool, prefix)
        except NoSuchMailbox:
            # An account went since its address was resolved: ask once more, from scratch.
            self._directory.forget()
        try:
            return await self._place([await self._directory.resolve(each) for each in recipients], spool, prefix)
        except (NoSuchMailbox, NoSuchRecipient, NotPermitted):
            # RCPT promised somebody who is gone. Who sends it again hears at RCPT who it is, and the others get theirs.
            raise Unavailable from None

    async def deliver_each(self, envelope: Envelope, spool: Spool, *, trace: Trace) -> Outcome:
        """Put the message into the mailboxes of all recipients who can have it (RFC 2033 4.2), in one transaction.

        Who cannot have it is told by the outcome. Raises what goes wrong for all of them alike.
        """
        failed: dict[Address, MailError] = {}
        ident, prefix = self._begun(envelope)
        stale = False
        while True:
            # Everybody anew in each round: what changed since the last one concerns whom it concerns, and nobody else.
            targets: dict[Address, tuple[Target, ...]] = {}
            for recipient in envelope.recipients:
                if recipient not in failed:
                    try:
                        targets[recipient] = await self._directory.resolve(recipient)
                    except MailError as error:
                        failed[recipient] = error
            if not targets:
                return Outcome(ident, failed)
            try:
                done = await self._place(targets.values(), spool, prefix)
            except OverQuota as error:
                # Somebody had room for mail, but not for this one: the others shall have it.
                full = [each for each, places in targets.items() if error.account in {to.account for to in places}]
                failed.update(dict.fromkeys(full or targets, error))
            except NoSuchMailbox:
                if stale:
                    raise Unavailable from None
                stale = True
                self._directory.forget()
            else:
                self._told(trace, envelope, ident, targets, spool.size, len(done))
                return Outcome(ident, failed)

    def _begun(self, envelope: Envelope) -> tuple[str, bytes]:
        ident = secrets.token_hex(8)
        return ident, trace_fields(envelope, ident, self._hostname, self._store.clock.now())

    async def _place(self, targets: Iterable[tuple[Target, ...]], spool: Spool, prefix: bytes) -> list[Appended]:
        """Each target once, in one order always, so that two deliveries never wait for each other's rows."""
        places = sorted({target for some in targets for target in some})
        drops = [Drop(target.account, target.mailbox) for target in places]
        return list(await self._store.mailboxes.deliver(drops, spool, prefix=prefix))

    @staticmethod
    def _told(
        trace: Trace, envelope: Envelope, ident: str, recipients: Iterable[Address], octets: int, copies: int
    ) -> None:
        trace.event(
            "delivered",
            id=ident,
            sender=str(envelope.sender),
            recipients=[str(recipient) for recipient in recipients],
            octets=octets,
            copies=copies,
        )


def trace_fields(envelope: Envelope, ident: str, hostname: str, now: float) -> bytes:
    """Return-Path and Received (RFC 5321 4.4), which go in front of the message as it came, and what it came without.

    `for` is told only where there is one recipient: nobody shall learn of a blind copy.
    """
    helo = envelope.helo if _NAME.fullmatch(envelope.helo) else "unknown"
    host = envelope.peer.host
    literal = f"[IPv6:{host}]" if ":" in host else f"[{host}]"
    source = helo if host == UNIX else f"{helo} ({literal})"  # a socket file has no address to tell
    lines = [
        f"Return-Path: <{envelope.sender if envelope.sender != Address.NULL else ''}>",
        f"Received: from {source}",
        f"\tby {hostname} with {envelope.protocol} id {ident}",
    ]
    if envelope.tls:
        lines.append(f"\t(using {envelope.tls})")
    if len(envelope.recipients) == 1:
        lines.append(f"\tfor <{envelope.recipients[0]}>")
    lines[-1] += ";"
    date = formatdate(now, localtime=True)
    lines.append(f"\t{date}")
    if "Date" in envelope.missing:
        lines.append(f"Date: {date}")
    if "Message-ID" in envelope.missing:
        lines.append(f"Message-ID: <{ident}@{hostname}>")
    return "".join(line + "\r\n" for line in lines).encode()
