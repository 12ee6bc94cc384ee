"""Watching mailboxes that a client is not in (RFC 5465): what is now is held against what it has heard, by a few looks at all
of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

from mailsystem.imap import reply
from mailsystem.imap.names import parents
from mailsystem.imap.notify import (
    MESSAGE_EVENTS,
    METADATA_EVENTS,
    Counts,
    Event,
    Place,
    Seen,
    TooMuch,
    Wanted,
    Watch,
)
from mailsystem.imap.session import FLUSH_AT, Session, State
from mailsystem.mail.mailbox import DELIMITER, AccountId, Mailbox, MailboxId, Status
from mailsystem.mail.rights import is_of_others
from mailsystem.store import Topic

MOST_WATCHED: Final = 2000
"""Mailboxes whose messages one client may watch."""
_TO_READ: Final = MESSAGE_EVENTS | {Event.MAILBOX_METADATA_CHANGE}
"""What one hears only of a mailbox that one may read."""
_AT_ONCE: Final = 256
"""Mailboxes that are looked at without a pause."""
OWN: Final = frozenset(
    {"CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "SETMETADATA", "SETACL", "DELETEACL", "NOTIFY"}
)
"""Commands whose effect on names, subscriptions and annotations is no news to who says them (RFC 5465 5)."""


async def begin(session: Session, wanted: Wanted, *, tell: bool) -> None:
    """Watch from now on; with `tell` say how the watched mailboxes stand (RFC 5465 3.1). Raises `TooMuch`."""
    watch = Watch(wanted)
    if wanted.groups:
        now = await _Now.look(session, watch)
        if len(now.watched) > MOST_WATCHED:
            raise TooMuch
        now.remember(watch)
        for mailbox in now.barred:
            session.send(reply.listed(b"LIST", ("\\NoAccess",), session.dialect.mailbox(mailbox.shown)))  # RFC 5465 3.1
        if tell:
            for status in now.statuses:
                if _place(status.mailbox) != _selected(session):
                    session.send(_line(session, status, _first(now.events[_place(status.mailbox)])))
                    if session.buffered > FLUSH_AT:
                        await session.flush()
    session.watch = watch


async def look(session: Session, *, own: bool = False) -> None:
    """Tell what has happened since the last look. With `own` only of messages: the rest was the client's own doing."""
    watch = session.watch
    if watch is None or not watch.wanted.groups:
        return
    if not session.store.bell.sounded(watch.heard, *_about(session, watch)):
        return
    now = await _Now.look(session, watch)
    if len(now.watched) > MOST_WATCHED:
        # RFC 5465 5.8
        session.watch = Watch(Wanted())
        session.send(b"* OK [NOTIFICATIONOVERFLOW] too much to watch\r\n")
        return
    for line in now.news(session, watch, own=own):
        session.send(line)
        if session.buffered > FLUSH_AT:
            await session.flush()
    now.remember(watch)


def topics(session: Session) -> list[Topic]:
    """What the client may be told of without having asked."""
    watch, found = session.watch, []
    if session.state is State.SELECTED and (watch is None or watch.wanted.selected):
        found.append((session.mailbox.account, session.mailbox.id))
    if watch is not None and watch.wanted.groups:
        found += _about(session, watch)
    return found


def heard(session: Session) -> int:
    """What the bell had rung before the last look at any of that."""
    if session.watch is None or not session.watch.wanted.groups:
        return session.heard
    if session.state is State.SELECTED and session.watch.wanted.selected:
        return min(session.heard, session.watch.heard)
    return session.watch.heard


def _about(session: Session, watch: Watch) -> list[Topic]:
    return [(owner, MailboxId(0)) for owner in sorted({session.account.id, *watch.owners})]


def _place(mailbox: Mailbox) -> Place:
    return mailbox.account, mailbox.id


def _selected(session: Session) -> Place | None:
    return _place(session.mailbox) if session.state is State.SELECTED else None


class _Now:
    """How all that is watched stands now."""

    def __init__(self, session: Session, rung: int, mailboxes: Sequence[Mailbox], subscribed: frozenset[str]) -> None:
        self.reader = session.account.id
        self.selected = _selected(session)
        self.rung = rung
        self.mailboxes = {_place(mailbox): mailbox for mailbox in mailboxes}
        self.subscribed = subscribed
        self.names = {mailbox.shown: mailbox for mailbox in mailboxes}
        self.events: dict[Place, frozenset[Event]] = {}
        self.watched: list[Mailbox] = []
        self.barred: list[Mailbox] = []
        """Those of which the client wants to hear more than it has a right to."""
        self.statuses: Sequence[Status] = ()
        self.noted: dict[AccountId, tuple[int, dict[Place, list[str]]]] = {}

    @classmethod
    async def look(cls, session: Session, watch: Watch) -> _Now:
        """A few statements, however many mailboxes there are; what has not changed is not counted again."""
        store, reader = session.store, session.account.id
        rung = store.bell.rung
        visible = await store.mailboxes.visible(reader)
        mailboxes = [mailbox for mailbox, _ in visible]
        now = cls(session, rung, mailboxes, frozenset(await store.mailboxes.subscriptions(reader)))
        for count, (mailbox, rights) in enumerate(visible, 1):
            if not count % _AT_ONCE:
                await asyncio.sleep(0)  # others have their turns
            events = now.wanted(watch, mailbox.shown)
            if "r" not in rights and events & _TO_READ:
                events -= _TO_READ
                now.barred.append(mailbox)
            now.events[_place(mailbox)] = events
            if events & MESSAGE_EVENTS:
                now.watched.append(mailbox)
        changed = [mailbox for mailbox in now.watched if _stirred(watch.counts.get(_place(mailbox)), mailbox)]
        if changed and len(now.watched) <= MOST_WATCHED:
            now.statuses = await store.mailboxes.statuses(changed, actor=reader)
        if watch.wanted.any_of(METADATA_EVENTS):
            for owner in {reader, *(account for account, _ in now.mailboxes)}:
                now.noted[owner] = await store.metadata.changes(reader, owner, watch.noted.get(owner))
        return now

    @cached_property
    def above(self) -> set[str]:
        """Every name that has another below it: few news ask for that, and the names may be many."""
        return {parent for name in self.names for parent in parents(name)}

    def wanted(self, watch: Watch, name: str) -> frozenset[Event]:
        """What the client wants to hear of the mailbox that it calls so, be there one or not."""
        return watch.wanted.of(name, own=not is_of_others(name), subscribed=name in self.subscribed)

    def remember(self, watch: Watch) -> None:
        """From here on this is what the client knows."""
        watch.heard = self.rung
        watch.owners = frozenset(account for account, _ in self.mailboxes)
        watch.boxes = {place: Seen(mailbox.shown, mailbox.special_use) for place, mailbox in self.mailboxes.items()}
        # What happens in the mailbox that it is in, it hears otherwise; and if it does not, when it has left.
        counts = {_place(status.mailbox): _counts(status) for status in self.statuses}
        if self.selected in counts and self.selected in watch.counts:
            del counts[self.selected]
        counts = {**watch.counts, **counts}
        watch.counts = {place: counts[place] for place in map(_place, self.watched) if place in counts}
        watch.subscribed = self.subscribed
        watch.noted = {owner: modseq for owner, (modseq, _) in self.noted.items()}  # type: ignore[misc]

    def news(self, session: Session, watch: Watch, *, own: bool) -> Iterable[bytes]:
        """The lines that say what is different from what the client knows."""
        if not own:
            yield from self._names(session, watch)
            yield from self._annotations(session, watch)
        for status in self.statuses:
            place = _place(status.mailbox)
            if place != self.selected:
                atts = _changed(watch.counts.get(place), status, self.events[place], session.dialect.condstore)
                if atts:
                    yield _line(session, status, atts)

    def _names(self, session: Session, watch: Watch) -> Iterable[bytes]:
        """Names that came, went or changed, and subscriptions (RFC 5465 5.4 and 5.5): each name once."""
        told: dict[str, str | None] = {}
        before = {place: seen.name for place, seen in watch.boxes.items()}
        after = {place: mailbox.shown for place, mailbox in self.mailboxes.items()}
        moved = {old: after[place] for place, old in before.items() if place in after and after[place] != old}
        # Those below a renamed one are renamed with it, and that is understood.
        told |= {new: old for old, new in moved.items() if not _follows(old, new, moved)}
        for name in (set(before.values()) ^ set(after.values())) - {*moved, *moved.values()}:
            told.setdefault(name, None)
            if parent := name.rpartition(DELIMITER)[0]:
                told.setdefault(parent, None)
        wanted = {name for name in told if Event.MAILBOX_NAME in self._wanted_either(watch, name, told[name])}
        for name in watch.subscribed ^ self.subscribed:
            if Event.SUBSCRIPTION_CHANGE in self._wanted_either(watch, name, None):
                told.setdefault(name, None)
                wanted.add(name)
        for name in sorted(wanted):
            old_name = told[name]
            extended = b"" if old_name is None else reply.old_name(session.dialect.mailbox(old_name))
            yield reply.listed(b"LIST", self._attributes(name), session.dialect.mailbox(name), extended)

    def _wanted_either(self, watch: Watch, name: str, old: str | None) -> frozenset[Event]:
        """What is wanted of a name, or was of what it was called before; unsubscribing ends it only after it was told."""
        events = self.wanted(watch, name)
        if old is not None:
            events |= self.wanted(watch, old)
        if name in watch.subscribed:
            events |= watch.wanted.of(name, own=False, subscribed=True)
        return events

    def _attributes(self, name: str) -> list[str]:
        mailbox = self.names.get(name)
        attributes = ["\\NonExistent"] if mailbox is None else []
        if mailbox is not None or name in self.above:
            attributes.append("\\HasChildren" if name in self.above else "\\HasNoChildren")
        if mailbox is not None and mailbox.special_use is not None:
            attributes += mailbox.special_use.split()
        if name in self.subscribed:
            attributes.append("\\Subscribed")
        return attributes

    def _annotations(self, session: Session, watch: Watch) -> Iterable[bytes]:
        """RFC 5465 5.6 and 5.7: which entries have changed; the client asks for those that it likes."""
        for owner, (_, changed) in self.noted.items():
            if owner not in watch.noted:
                continue  # whose mailboxes it sees for the first time
            for place, entries in changed.items():
                mailbox = self.mailboxes.get(place)
                if place[1] == 0 and owner == self.reader:
                    if watch.wanted.any_of(frozenset({Event.SERVER_METADATA_CHANGE})):
                        yield reply.annotated(b'""', entries)
                elif mailbox is not None and Event.MAILBOX_METADATA_CHANGE in self.events[place]:
                    yield reply.annotated(session.dialect.mailbox(mailbox.shown), entries)


def _follows(old: str, new: str, moved: Mapping[str, str]) -> bool:
    """Whether one above it was renamed in the same way."""
    return any(moved[top] + old[len(top) :] == new for top in parents(old) if top in moved)


def _stirred(before: Counts | None, mailbox: Mailbox) -> bool:
    """Whether anything has happened to its messages."""
    return before is None or (before.modseq, before.uidvalidity) != (mailbox.modseq, mailbox.uidvalidity)


def _counts(status: Status) -> Counts:
    mailbox = status.mailbox
    return Counts(mailbox.uidvalidity, mailbox.uidnext, status.messages, status.unseen, mailbox.modseq)


def _first(events: frozenset[Event]) -> list[bytes]:
    """What NOTIFY SET STATUS tells of a mailbox (RFC 5465 3.1)."""
    atts = [b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"]
    return [*atts, b"UNSEEN", b"HIGHESTMODSEQ"] if Event.FLAG_CHANGE in events else atts


def _changed(before: Counts | None, status: Status, events: frozenset[Event], condstore: bool) -> list[bytes]:
    """What is to be told of a mailbox that the client knew so (RFC 5465 5.1 to 5.3); nothing if nothing has happened."""
    now = _counts(status)
    if before is None:
        # One that has just been made, or that just came into sight.
        before = Counts(now.uidvalidity, 1, 0, 0, now.modseq)
    if now[:3] != before[:3]:
        atts = [b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"]
        if Event.FLAG_CHANGE in events:
            atts.append(b"UNSEEN")
    elif Event.FLAG_CHANGE in events and (now.unseen != before.unseen or (condstore and now.modseq != before.modseq)):
        atts = [b"UIDVALIDITY", b"UNSEEN"]
    else:
        return []
    return [*atts, b"HIGHESTMODSEQ"] if condstore else atts


def _line(session: Session, status: Status, atts: Sequence[bytes]) -> bytes:
    now = _counts(status)
    values = {
        b"MESSAGES": now.messages,
        b"UIDNEXT": now.uidnext,
        b"UIDVALIDITY": now.uidvalidity,
        b"UNSEEN": now.unseen,
        b"HIGHESTMODSEQ": now.modseq,
    }
    told = b" ".join(b"%b %d" % (att, values[att]) for att in atts)
    return b"* STATUS %b (%b)\r\n" % (session.dialect.mailbox(status.mailbox.shown), told)
