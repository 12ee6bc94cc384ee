"""What webhooks are to be told: the units that note it, hand it out in order, and write down what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailsystem.mail.errors import NoSuchRecipient
from mailsystem.mail.mailbox import AccountId, ContentId, Mailbox, MailboxId, ModSeq, Uid
from mailsystem.store.bell import Topic
from mailsystem.store.database import Many, Ring, Row, Sql, Unit

HOOKS: Final[Topic] = (AccountId(-1), MailboxId(0))
"""What the bell says when a webhook is another, or has something to do at once: no account has that number."""
MOST_FAILED: Final = 100_000
"""Deliveries of one hook that were given up and are kept; of more the oldest go."""
_DELIVERY: Final = (
    "id, kind, mailbox_id, mailbox, modseq, uid, content_id, detail, noted, expires, attempts, failed, status, said"
)


class Mark(NamedTuple):
    """Up to where a mailbox was looked at."""

    modseq: ModSeq
    uid: Uid
    """The last that was there."""


class News(NamedTuple):
    """Something that is to be told."""

    kind: str
    mailbox: Mailbox
    modseq: ModSeq
    uid: Uid
    content: ContentId
    detail: str
    """In JSON, what cannot be looked up later."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something that is to be told, once it has been noted."""

    number: int
    kind: str
    mailbox_id: MailboxId
    mailbox: str
    modseq: ModSeq
    uid: Uid
    content: ContentId
    detail: str
    noted: float
    expires: float
    """After that it is given up once it fails."""
    attempts: int
    failed: bool
    status: int | None
    said: str


def _delivery_of(row: Row) -> Delivery:
    values = list(row)
    values[11] = bool(values[11])
    return Delivery(*values)


def listed(ident: str, failed: bool, limit: int) -> Unit[list[Delivery]]:
    number = yield from number_of(ident)
    rows = yield Sql(
        f"SELECT {_DELIVERY} FROM webhook_deliveries WHERE hook_id = $1 AND failed = $2 ORDER BY id LIMIT $3",  # noqa: S608
        number,
        int(failed),
        limit,
    )
    return [_delivery_of(row) for row in rows]


def retry(ident: str, now: float, lifetime: float) -> Unit[int]:
    number = yield from number_of(ident)
    again = yield Sql(
        "UPDATE webhook_deliveries SET failed = 0, expires = $2 WHERE hook_id = $1 AND failed = 1 RETURNING id",
        number,
        now + lifetime,
    )
    yield Sql("UPDATE webhooks SET failures = 0, due = 0, disabled = NULL WHERE id = $1", number)
    yield Ring(HOOKS)
    return len(again)


def drop(ident: str, delivery: int) -> Unit[None]:
    number = yield from number_of(ident)
    if not (yield Sql("DELETE FROM webhook_deliveries WHERE hook_id = $1 AND id = $2 RETURNING id", number, delivery)):
        raise NoSuchRecipient("no such delivery")
    yield Sql("UPDATE webhooks SET due = 0 WHERE id = $1", number)
    yield Ring(HOOKS)


def claim(number: int, holder: str, dead: str, now: float, until: float) -> Unit[str | None]:
    """None where it is ours; else who holds it."""
    if (
        yield Sql(
            "UPDATE webhooks SET holder = $2, held_until = $5"
            " WHERE id = $1 AND (holder = $2 OR holder = $3 OR held_until <= $4) RETURNING id",
            number,
            holder,
            dead,
            now,
            until,
        )
    ):
        return None
    rows = yield Sql("SELECT holder FROM webhooks WHERE id = $1", number)
    return str(rows[0][0]) if rows else " "


def release(number: int, holder: str) -> Unit[None]:
    yield Sql("UPDATE webhooks SET holder = '', held_until = 0 WHERE id = $1 AND holder = $2", number, holder)


def marks(number: int) -> Unit[dict[MailboxId, Mark]]:
    rows = yield Sql("SELECT mailbox_id, modseq, uid FROM webhook_marks WHERE hook_id = $1", number)
    return {mailbox: Mark(modseq, uid) for mailbox, modseq, uid in rows}


def note(
    number: int,
    mailbox: MailboxId,
    before: Mark | None,
    mark: Mark,
    news: Sequence[News],
    now: float,
    expires: float,
) -> Unit[bool]:
    if not (yield Sql("SELECT 1 FROM webhooks WHERE id = $1", number)):
        return False
    rows = yield Sql("SELECT modseq, uid FROM webhook_marks WHERE hook_id = $1 AND mailbox_id = $2", number, mailbox)
    if (Mark(*rows[0]) if rows else None) != before:
        return False
    yield Sql(
        "INSERT INTO webhook_marks (hook_id, mailbox_id, modseq, uid) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (hook_id, mailbox_id) DO UPDATE SET modseq = excluded.modseq, uid = excluded.uid",
        number,
        mailbox,
        mark.modseq,
        mark.uid,
    )
    if news:
        yield Many(
            "INSERT INTO webhook_deliveries (hook_id, kind, mailbox_id, mailbox, modseq, uid, content_id, detail, noted,"
            " expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [(number, one.kind, one.mailbox.id, one.mailbox.shown, *one[2:], now, expires) for one in news],
        )
    return True


def waiting(number: int) -> Unit[int]:
    [[count]] = yield Sql("SELECT COUNT(*) FROM webhook_deliveries WHERE hook_id = $1 AND failed = 0", number)
    return int(count)


def next_(number: int) -> Unit[Delivery | None]:
    rows = yield Sql(
        f"SELECT {_DELIVERY} FROM webhook_deliveries WHERE hook_id = $1 AND failed = 0 ORDER BY id LIMIT 1",  # noqa: S608
        number,
    )
    return _delivery_of(rows[0]) if rows else None


def told(number: int, delivery: int, status: int, now: float) -> Unit[None]:
    yield Sql("DELETE FROM webhook_deliveries WHERE hook_id = $1 AND id = $2", number, delivery)
    yield Sql(
        "UPDATE webhooks SET delivered = delivered + 1, failures = 0, due = 0, status = $2, said = '', tried = $3"
        " WHERE id = $1",
        number,
        status,
        now,
    )


def not_told(
    number: int, delivery: int, status: int | None, said: str, due: float, now: float, disable: str | None
) -> Unit[int]:
    yield Sql(
        "UPDATE webhook_deliveries SET attempts = attempts + 1, status = $3, said = $4 WHERE hook_id = $1 AND id = $2",
        number,
        delivery,
        status,
        said,
    )
    yield Sql(
        "UPDATE webhooks SET failures = failures + 1, due = $2, status = $3, said = $4, tried = $5, disabled = $6"
        " WHERE id = $1",
        number,
        due,
        status,
        said,
        now,
        disable,
    )
    given_up = yield Sql(
        "UPDATE webhook_deliveries SET failed = 1 WHERE hook_id = $1 AND failed = 0 AND expires <= $2 RETURNING id",
        number,
        now,
    )
    if given_up:
        yield Sql(
            "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE hook_id = $1 AND failed = 1"
            " ORDER BY id DESC LIMIT -1 OFFSET $2)",
            number,
            MOST_FAILED,
        )
    return len(given_up)


def number_of(ident: str) -> Unit[int]:
    rows = yield Sql("SELECT id FROM webhooks WHERE ident = $1", ident)
    if not rows:
        raise NoSuchRecipient("no such webhook")
    return int(rows[0][0])
