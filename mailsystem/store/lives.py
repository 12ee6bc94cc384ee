"""What is known of single messages: what happened to each, and where it is now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mailsystem.mail.mailbox import ContentId, Flag, Uid
from mailsystem.mail.outgoing import Outgoing, Waiting
from mailsystem.store.database import Row, Sql, Unit
from mailsystem.store.outbound import OUTGOING, WAITING, outgoing_of, waiting_of
from mailsystem.store.rows import flags_of

MOST_LIVES: Final = 100
"""Messages of one Message-ID that are told of, the newest."""
MOST_NOTES: Final = 20_000
"""Rows that are told of all those together, the newest."""


class Note(NamedTuple):
    """One thing that happened to a message, or the same thing several times."""

    name: str
    at: float
    """Seconds since the epoch."""
    last: float
    """The same of the last time."""
    times: int
    uid: int | None
    data: Mapping[str, Any]


class Whereabouts(NamedTuple):
    """A place where a message is."""

    login: str
    mailbox: str
    uid: Uid
    flags: frozenset[Flag]


@dataclass(frozen=True, slots=True)
class Life:
    """All that is known of one message."""

    content: ContentId
    names: Sequence[str]
    """Its Message-ID, and the ids that it had in queues."""
    size: int | None
    """Octets; None where it is gone for good."""
    notes: Sequence[Note]
    places: Sequence[Whereabouts]
    """Where it is now."""
    queued: Sequence[tuple[Outgoing, Sequence[Waiting]]] = ()
    """What of it is in the queue now."""


def days() -> Unit[list[int]]:
    """The days on which anything happened again and again: with them a message's rows are found by the primary key."""
    rows = yield Sql("SELECT DISTINCT day FROM journal_habits")
    return [row[0] for row in rows]


def find(name: str) -> Unit[list[Life]]:
    """Those with that queue id or Message-ID, the oldest first."""
    found = yield Sql(
        "SELECT content_id FROM journal_names WHERE name = $1 ORDER BY content_id DESC LIMIT $2", name, MOST_LIVES
    )
    return (yield from of(sorted(row[0] for row in found)))


def of(contents: Sequence[int]) -> Unit[list[Life]]:
    """Those of these contents of which anything is known, in that order."""
    if not contents:
        return []
    named_ = yield Sql("SELECT content_id, name FROM journal_names WHERE content_id IN LIST $1 ORDER BY name", contents)
    sizes = yield Sql("SELECT id, size FROM contents WHERE id IN LIST $1", contents)
    notes = yield Sql(
        "SELECT content_id, name, at, at, 1, uid, data FROM journal WHERE content_id IN LIST $1"
        " ORDER BY at DESC, id DESC LIMIT $2",
        contents,
        MOST_NOTES,
    )
    within = yield from days()
    notes += yield Sql(
        "SELECT a.content_id, h.name, a.at, a.last, a.times, NULL, h.data FROM journal_again a"
        " JOIN journal_habits h ON h.id = a.habit_id WHERE a.day IN LIST $2 AND a.content_id IN LIST $1"
        " ORDER BY a.at DESC LIMIT $3",
        contents,
        within,
        MOST_NOTES,
    )
    places = yield Sql(
        "SELECT m.content_id, a.login, b.name, m.uid, m.flags, m.keywords FROM messages m"
        " JOIN accounts a ON a.id = m.account_id JOIN mailboxes b ON b.account_id = m.account_id AND b.id = m.mailbox_id"
        " WHERE m.content_id IN LIST $1 ORDER BY a.login, b.name, m.uid",
        contents,
    )
    queued = yield from _queued(contents)
    size_of: dict[int, int] = dict(sizes)
    known = {row[0] for row in notes} | set(size_of)
    return [
        Life(
            ContentId(content),
            [row[1] for row in named_ if row[0] == content],
            size_of.get(content),
            sorted((note for row in reversed(notes) if row[0] == content for note in _notes(row)), key=_by_time),
            [
                Whereabouts(login, mailbox, uid, flags_of(bits, keywords))
                for of, login, mailbox, uid, bits, keywords in places
                if of == content
            ],
            [(message, waiting) for message, waiting in queued if message.content == content],
        )
        for content in contents
        if content in known
    ]


def _queued(contents: Sequence[int]) -> Unit[list[tuple[Outgoing, list[Waiting]]]]:
    messages = yield Sql(f"SELECT {OUTGOING} FROM outbound WHERE content_id IN LIST $1 ORDER BY id", contents)  # noqa: S608
    recipients = yield Sql(
        f"SELECT outbound_id, {WAITING} FROM outbound_recipients WHERE outbound_id IN LIST $1 ORDER BY domain, recipient",  # noqa: S608
        [row[0] for row in messages],
    )
    return [
        (outgoing_of(message), [waiting_of(row[1:]) for row in recipients if row[0] == message[0]])
        for message in messages
    ]


def _by_time(note: Note) -> float:
    return note.at


def _notes(row: Row) -> list[Note]:
    """What a row tells: of a message that came, also where it was delivered in the same moment."""
    _, name, at, last, times, uid, text = row
    data = json.loads(text)
    places = data.pop("places", None)
    told = [Note(name, at, last, times, uid, data)]
    if places:
        there = {key: data[key] for key in ("door", "id") if key in data}
        told.append(Note("delivered", at, at, 1, None, {**there, "places": places}))
    return told
