"""The journal: what became of each message, for as many days as the settings say.

A `Recorder` hears it; here it is written down about once a second, together, behind everybody who waits for an answer. What a
client does with one message again and again on one day is one row with a count. Nothing here need survive a loss of power.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Literal

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.structure import message_id, named
from mailsystem.store import lives, transcripts
from mailsystem.store.database import Database, Many, Row, Sql, Unit
from mailsystem.store.lives import Life
from mailsystem.store.transcripts import Evidence, SessionRecord
from mailsystem.telemetry import Trace
from mailsystem.telemetry.journal import REPEATED, Entry, Recorder
from mailsystem.telemetry.transcript import Transcript

DAY: Final = 86_400.0
_SOON: Final = 1.0
_AT_ONCE: Final = 4000
"""Rows that one transaction writes or drops: others want to write, too."""
_SESSIONS_AT_ONCE: Final = 500
_PRUNE_AFTER: Final = 1000
"""Sessions written, after which those beyond the most that are kept go."""
_FORGET_EVERY: Final = 3600.0
_FEW: Final = 16
_ENCODED: Final = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode
_COUNTING: Final = (
    "ON CONFLICT (day, content_id, habit_id)"
    " DO UPDATE SET last = excluded.last, times = journal_again.times + excluded.times"
)


class Journal:
    def __init__(
        self, database: Database, *, clock: Clock, recorder: Recorder | None = None, trace: Trace | None = None
    ) -> None:
        """`recorder` is who hears what happens in this process, where it is kept."""
        self._database = database
        self._clock = clock
        self._recorder = recorder
        self._trace = trace or Trace()
        self._writing = asyncio.Lock()
        self._unpruned = 0

    # Writing

    async def keep(self, recorder: Recorder, trace: Trace) -> None:
        """Write what is heard, again and again, until cancelled; the last of it is left to `settle`."""
        while True:
            await recorder.some()
            await asyncio.sleep(_SOON)
            # What has been taken out of memory is written even if this is cancelled meanwhile.
            await asyncio.shield(self.settle(recorder, trace))
            if lost := recorder.lost():
                trace.event("journal fell behind", dropped=lost)

    async def settle(self, recorder: Recorder, trace: Trace, *, patient: bool = True) -> None:
        """Write what is there now. What comes meanwhile waits for the next time: else there would be a write for each."""
        async with self._writing:
            sessions = recorder.news()
            more = True
            while more:
                entries = recorder.take(_AT_ONCE)
                ended = recorder.ended(_SESSIONS_AT_ONCE)
                lines = sum(entry.lines for entry in entries)
                more = lines >= _AT_ONCE or len(ended) >= _SESSIONS_AT_ONCE
                sessions += ended
                try:
                    if entries or sessions:
                        await self.write(entries, sessions, patient=patient)
                except Exception as error:
                    # Nobody's mail hangs on it, whatever it was.
                    recorder.lose(lines + len(sessions))
                    if not isinstance(error, Unavailable):
                        trace.bug(error, what="journal")
                sessions = []
            recorder.look_again()

    async def settled(self) -> None:
        """Wait until all that has happened in this process is written, so that whoever reads next sees it."""
        if self._recorder is not None and (self._recorder.has_news or self._writing.locked()):
            await asyncio.shield(self.settle(self._recorder, self._trace, patient=False))

    async def write(
        self, entries: Sequence[Entry], sessions: Sequence[Transcript] = (), *, patient: bool = True
    ) -> None:
        """Write these down. Raises `Unavailable`."""
        self._unpruned += len(sessions)
        prune = self._unpruned >= _PRUNE_AFTER
        await self._database.write(_all(entries, sessions, prune=prune), durable=False, patient=patient)
        if prune:
            self._unpruned = 0

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
        while some := await self._database.write(transcripts.forget(before, _AT_ONCE), durable=False, patient=True):
            gone += some
        await self._database.write(transcripts.prune(), durable=False, patient=True)
        return gone

    # Reading. What has happened in this process before is seen; of other processes' news, what is about a second old.

    async def find(self, name: str) -> Sequence[Life]:
        """All that is known of the messages with that queue id or Message-ID, the oldest message first."""
        await self.settled()
        wanted = named(name)
        return await self._database.read(lives.find(wanted)) if wanted else []

    async def lives(self, contents: Sequence[ContentId]) -> Sequence[Life]:
        """All that is known of these messages, in that order, without those of which nothing is."""
        await self.settled()
        return await self._database.read(lives.of(contents))

    async def life(self, content: ContentId) -> Life | None:
        """All that is known of one message."""
        found = await self.lives([content])
        return found[0] if found else None

    async def evidences(self, contents: Sequence[ContentId]) -> Mapping[ContentId, Evidence]:
        """How these messages came, those that came by SMTP, and of which it is still kept."""
        await self.settled()
        return await self._database.read(transcripts.evidences(contents))

    async def recipients(self, contents: Sequence[ContentId]) -> Mapping[ContentId, Sequence[str]]:
        """To whom these messages were sent, as RCPT TO named them, of those of which it is still kept."""
        return {
            content: [each.address for each in one.recipients]
            for content, one in (await self.evidences(contents)).items()
        }

    async def evidence(self, content: ContentId) -> Evidence | None:
        """How a message came."""
        return (await self.evidences([content])).get(content)

    async def session(self, id_: str) -> SessionRecord | None:
        """One session by SMTP, from its greeting to its end, or as far as it has come."""
        await self.settled()
        return await self._database.read(transcripts.session(id_))

    async def sessions(
        self, limit: int = 100, before: str | None = None, only: Literal["all", "refused"] = "all"
    ) -> Sequence[SessionRecord]:
        """The last sessions, the newest first, that began before the one with the id `before`; or only those in which
        something was refused, or which broke off before all was delivered."""
        await self.settled()
        return await self._database.read(transcripts.sessions(limit, before, failed=only == "refused"))


def _all(entries: Sequence[Entry], sessions: Sequence[Transcript], *, prune: bool) -> Unit[None]:
    if entries:
        yield from _write(entries)
    if sessions:
        yield from transcripts.write(sessions)
    if prune:
        yield from transcripts.prune()


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
    days = yield from lives.days()
    yield Sql("DELETE FROM journal_habits WHERE day < $1", day)
    yield Sql(
        "DELETE FROM journal_names WHERE content_id IN LIST $1"
        " AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.content_id = journal_names.content_id)"
        " AND NOT EXISTS (SELECT 1 FROM journal_again a WHERE a.day IN LIST $2 AND a.content_id = journal_names.content_id)",
        sorted({row[0] for row in rows}),
        days,
    )
    return len(rows)
