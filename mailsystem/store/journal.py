"""The journal: what became of each message, for as many days as the settings say.

A `Recorder` hears it; here it is written down about once a second, together, behind everybody who waits for an answer. What a
client does with one message again and again on one day is one row with a count. Nothing here need survive a loss of power.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.mailbox import ContentId, Flag, Uid
from mailsystem.mail.outgoing import Outgoing, Waiting
from mailsystem.mail.structure import message_id, named
from mailsystem.store.database import Database, Many, Row, Sql, Unit
from mailsystem.store.outbound import OUTGOING, WAITING, outgoing_of, waiting_of
from mailsystem.store.rows import flags_of
from mailsystem.telemetry import Trace
from mailsystem.telemetry.journal import REPEATED, Entry, Recorder

DAY: Final = 86_400.0
MOST_LIVES: Final = 100
"""Messages of one Message-ID that are told of, the newest."""
MOST_NOTES: Final = 20_000
"""Rows that are told of all those together, the newest."""

_SOON: Final = 1.0
_AT_ONCE: Final = 4000
"""Rows that one transaction writes or drops: others want to write, too."""
_FORGET_EVERY: Final = 3600.0
_FEW: Final = 16
_ENCODED: Final = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode
_COUNTING: Final = (
    "ON CONFLICT (day, content_id, habit_id)"
    " DO UPDATE SET last = excluded.last, times = journal_again.times + excluded.times"
)


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


class Journal:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # Writing

    async def keep(self, recorder: Recorder, trace: Trace) -> None:
        """Write what is heard, again and again, until cancelled; the last of it is left to `settle`."""
        while True:
            await recorder.some()
            await asyncio.sleep(_SOON)
            while entries := recorder.take(_AT_ONCE):
                # What has been taken out of memory is written even if this is cancelled meanwhile.
                await asyncio.shield(self._write(entries, recorder, trace))
            if lost := recorder.lost():
                trace.event("journal fell behind", dropped=lost)

    async def settle(self, recorder: Recorder, trace: Trace) -> None:
        """Write what is left."""
        while entries := recorder.take(_AT_ONCE):
            await self._write(entries, recorder, trace)

    async def _write(self, entries: Sequence[Entry], recorder: Recorder, trace: Trace) -> None:
        try:
            await self.write(entries)
        except Exception as error:
            # Nobody's mail hangs on it, whatever it was.
            recorder.lose(sum(entry.lines for entry in entries))
            if not isinstance(error, Unavailable):
                trace.bug(error, what="journal")

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write these down. Raises `Unavailable`."""
        await self._database.write(_write(entries), durable=False, patient=True)

    async def drop_old(self, days: float, trace: Trace) -> None:
        """Forget what is older than so many days, at once and then every hour, until cancelled."""
        while True:
            try:
                # What is counted by the day goes when its day is over; if nothing is to be kept, today's too.
                await self.forget(self._clock.now() + (-days if days else 1) * DAY)
            except Unavailable as error:
                trace.event("store failed", what="journal", reason=str(error))  # the next one may succeed
            await asyncio.sleep(_FORGET_EVERY)

    async def forget(self, before: float) -> int:
        """Drop what happened before that time; returns how many rows went. Raises `Unavailable`."""
        gone = 0
        while some := await self._database.write(_forget(before), durable=False, patient=True):
            gone += some
        return gone

    # Reading

    async def find(self, name: str) -> Sequence[Life]:
        """All that is known of the messages with that queue id or Message-ID, the oldest message first."""
        wanted = named(name)
        return await self._database.read(_find(wanted)) if wanted else []


def _write(entries: Sequence[Entry]) -> Unit[None]:
    contents = sorted({content for entry in entries for content in entry.contents})
    # The list leads (CROSS JOIN): rows of `contents` are wide, and most of what is read has a name already.
    rows = yield Sql(
        "SELECT c.id, c.envelope FROM LIST $1 AS l CROSS JOIN contents c WHERE c.id = l.value"
        " AND NOT EXISTS (SELECT 1 FROM journal_names n WHERE n.content_id = l.value)",
        contents,
    )
    names = {(name, content) for content, envelope in rows if (name := message_id(envelope))}
    names |= {(str(id_), content) for entry in entries for content in entry.contents if (id_ := entry.data.get("id"))}
    yield Many("INSERT INTO journal_names (name, content_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", sorted(names))
    logins = yield from _logins(entries)
    yield Many(
        "INSERT INTO journal (content_id, at, name, uid, data) VALUES ($1, $2, $3, $4, $5)",
        list(_rows([entry for entry in entries if entry.name not in REPEATED], logins)),
    )
    yield from _again([entry for entry in entries if entry.name in REPEATED])


def _again(entries: Sequence[Entry]) -> Unit[None]:
    """Count what clients do again and again. Few messages of many clients are rows of one statement, many of one are a list."""
    habits: dict[int, tuple[int, str, str]] = {}
    rows = []
    for entry in entries:
        day, text = int(entry.at // DAY), _ENCODED(entry.data)
        habit = _digest(f"{entry.name} {day} {text}")
        habits[habit] = day, entry.name, text
        # No statement counts one message twice: those that came as often as each other are a list.
        alike: dict[int, list[int]] = {}
        for content, times in Counter(entry.contents).items():
            alike.setdefault(times, []).append(content)
        for times, contents in alike.items():
            if len(contents) <= _FEW:
                rows += [(day, content, habit, entry.at, times) for content in contents]
            else:
                yield Sql(
                    "INSERT INTO journal_again (day, content_id, habit_id, at, last, times)"  # noqa: S608
                    f" SELECT $1, value, $3, $4, $4, $5 FROM LIST $2 WHERE 1 = 1 {_COUNTING}",
                    day,
                    contents,
                    habit,
                    entry.at,
                    times,
                )
    yield Many(
        f"INSERT INTO journal_again (day, content_id, habit_id, at, last, times) VALUES ($1, $2, $3, $4, $4, $5) {_COUNTING}",  # noqa: S608
        rows,
    )
    yield Many(
        "INSERT INTO journal_habits (id, day, name, data) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        [(habit, *what) for habit, what in habits.items()],
    )


def _logins(entries: Iterable[Entry]) -> Unit[dict[int, str]]:
    """Accounts are named as they were called when it happened: later they may be gone."""
    numbers = {place[0] for entry in entries for place in entry.data.get("places", ())}
    numbers |= {entry.data["account"] for entry in entries if "account" in entry.data}
    if not numbers:
        return {}
    rows = yield Sql("SELECT id, login FROM accounts WHERE id IN LIST $1", sorted(numbers))
    return dict(rows)


def _rows(entries: Iterable[Entry], logins: Mapping[int, str]) -> Iterable[Row]:
    for entry in entries:
        data = entry.data
        if "places" in data:
            where = [(logins.get(account, ""), mailbox, uid) for account, mailbox, uid in data["places"]]
            data = {**data, "places": where}
        if "account" in data:
            data = {**data, "login": logins.get(data["account"], "")}
            del data["account"]
        text = _ENCODED(data)
        for index, content in enumerate(entry.contents):
            uid = entry.uids[index] if index < len(entry.uids) else None
            yield content, entry.at, entry.name, uid, text


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _forget(before: float) -> Unit[int]:
    rows = yield Sql(
        "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE at < $1 ORDER BY at LIMIT $2) RETURNING content_id",
        before,
        _AT_ONCE,
    )
    day = int(before // DAY)
    rows += yield Sql(
        "DELETE FROM journal_again WHERE (day, content_id, habit_id) IN (SELECT day, content_id, habit_id"
        " FROM journal_again WHERE day < $1 ORDER BY day, content_id, habit_id LIMIT $2) RETURNING content_id",
        day,
        _AT_ONCE,
    )
    days = yield from _days()
    yield Sql("DELETE FROM journal_habits WHERE day < $1", day)
    yield Sql(
        "DELETE FROM journal_names WHERE content_id IN LIST $1"
        " AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.content_id = journal_names.content_id)"
        " AND NOT EXISTS (SELECT 1 FROM journal_again a WHERE a.day IN LIST $2 AND a.content_id = journal_names.content_id)",
        sorted({row[0] for row in rows}),
        days,
    )
    return len(rows)


def _days() -> Unit[list[int]]:
    """The days on which anything happened again and again: with them a message's rows are found by the primary key."""
    rows = yield Sql("SELECT DISTINCT day FROM journal_habits")
    return [row[0] for row in rows]


def _find(name: str) -> Unit[list[Life]]:
    found = yield Sql(
        "SELECT content_id FROM journal_names WHERE name = $1 ORDER BY content_id DESC LIMIT $2", name, MOST_LIVES
    )
    contents = sorted(row[0] for row in found)
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
    days = yield from _days()
    notes += yield Sql(
        "SELECT a.content_id, h.name, a.at, a.last, a.times, NULL, h.data FROM journal_again a"
        " JOIN journal_habits h ON h.id = a.habit_id WHERE a.day IN LIST $2 AND a.content_id IN LIST $1"
        " ORDER BY a.at DESC LIMIT $3",
        contents,
        days,
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
    ]


def _queued(contents: list[int]) -> Unit[list[tuple[Outgoing, list[Waiting]]]]:
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
