"""Carries an accepted message home: trace fields in front, every recipient's mailbox, one transaction."""

from __future__ import annotations

import re
import secrets
from email.utils import formatdate
from typing import Final

from mailsystem.directory import Directory
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope
from mailsystem.mail.errors import NoSuchMailbox, Unavailable
from mailsystem.mail.mailbox import AccountId
from mailsystem.store import Appended, Drop, Spool, Store
from mailsystem.telemetry import Trace

_NAME: Final = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")


class Delivery:
    """The corridor between the SMTP door and the store."""

    def __init__(self, store: Store, directory: Directory, *, hostname: str) -> None:
        self._store = store
        self._directory = directory
        self._hostname = hostname

    async def deliver(self, envelope: Envelope, spool: Spool, *, trace: Trace) -> str:
        """Put the message into every recipient's mailbox, or into none; returns the id that the 250 tells.

        Committed and on disk when it returns. Raises `NoSuchRecipient`, `NotPermitted` and `Unavailable`.
        """
        ident = secrets.token_hex(8)
        prefix = trace_fields(envelope, ident, self._hostname, self._store.clock.now())
        try:
            done = await self._place(envelope, spool, prefix)
        except NoSuchMailbox:
            # An account went since its address was resolved: ask once more, from scratch.
            self._directory.forget()
            try:
                done = await self._place(envelope, spool, prefix)
            except NoSuchMailbox:
                raise Unavailable from None
        trace.event(
            "delivered",
            id=ident,
            sender=str(envelope.sender),
            recipients=[str(recipient) for recipient in envelope.recipients],
            octets=spool.size,
            copies=len(done),
        )
        return ident

    async def _place(self, envelope: Envelope, spool: Spool, prefix: bytes) -> list[Appended]:
        accounts: dict[AccountId, None] = {}
        for recipient in envelope.recipients:
            accounts.update(dict.fromkeys(await self._directory.resolve(recipient)))
        # In one order always, so that two deliveries never wait for each other's rows.
        drops = [Drop(account) for account in sorted(accounts)]
        return list(await self._store.mailboxes.deliver(drops, spool, prefix=prefix))


def trace_fields(envelope: Envelope, ident: str, hostname: str, now: float) -> bytes:
    """Return-Path and Received (RFC 5321 4.4), which go in front of the message as it came.

    `for` is told only where there is one recipient: nobody shall learn of a blind copy.
    """
    helo = envelope.helo if _NAME.fullmatch(envelope.helo) else "unknown"
    host = envelope.peer.host
    literal = f"[IPv6:{host}]" if ":" in host else f"[{host}]"
    lines = [
        f"Return-Path: <{envelope.sender if envelope.sender != Address.NULL else ''}>",
        f"Received: from {helo} ({literal})",
        f"\tby {hostname} with {envelope.protocol} id {ident}",
    ]
    if envelope.tls:
        lines.append(f"\t(using {envelope.tls})")
    if len(envelope.recipients) == 1:
        lines.append(f"\tfor <{envelope.recipients[0]}>")
    lines[-1] += ";"
    lines.append(f"\t{formatdate(now, localtime=True)}")
    return "".join(line + "\r\n" for line in lines).encode()
