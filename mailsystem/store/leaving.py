"""What is accepted for other servers: it enters the queue in the transaction that accepts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Body, Notification
from mailsystem.mail.mailbox import AccountId, ContentId, MailboxId
from mailsystem.mail.outgoing import State
from mailsystem.store import sending
from mailsystem.store.bell import Topic
from mailsystem.store.database import Many, Ring, Sql, Unit
from mailsystem.store.sending import Caps

QUEUE: Final[Topic] = (AccountId(0), MailboxId(0))
"""What the bell says when the queue has something new: no account has that number."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A message for recipients elsewhere, as it is accepted."""

    ident: str
    sender: Address
    recipients: Mapping[Address, Notification]
    lifetime: float
    """Seconds that it is tried for."""
    arrived: Mapping[Address, tuple[State, Notification]] = field(default_factory=dict)
    """Those who have it with this commit, and whose sender asked to be told."""
    account: AccountId | None = None
    """Who logged in to send it; whose caps it counts for."""
    login: str = ""
    body: Body = "7BIT"
    utf8: bool = False
    require_tls: bool = False
    ret: Literal["FULL", "HDRS"] | None = None
    envid: str | None = None
    caps: Caps | None = None


def enqueue(leaving: Leaving, content: ContentId, size: int, now: float) -> Unit[None]:
    """Let a content leave. Raises `TooMany` where the sender's caps are reached."""
    if leaving.account is not None and leaving.caps is not None:
        addresses = [each.key for each in leaving.recipients]
        yield from sending.count(leaving.account, addresses, now, leaving.caps)
    [[id_]] = yield Sql(
        "INSERT INTO outbound (ident, content_id, sender, login, size, body, utf8, require_tls, ret, envid, arrived, expires)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
        leaving.ident,
        content,
        str(leaving.sender),
        leaving.login,
        size,
        leaving.body,
        int(leaving.utf8),
        int(leaving.require_tls),
        leaving.ret,
        leaving.envid,
        now,
        now + leaving.lifetime,
    )
    yield Many(
        "INSERT INTO outbound_recipients (outbound_id, recipient, domain, state, due, notify, original)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [
            (id_, str(each), each.domain, state.value, now, _notify(asked), asked.original)
            for each, (state, asked) in {
                **{each: (State.WAITING, asked) for each, asked in leaving.recipients.items()},
                **leaving.arrived,
            }.items()
        ],
    )
    yield Ring(QUEUE)


def _notify(asked: Notification) -> str | None:
    return None if asked.notify is None else ",".join(sorted(asked.notify))
