"""Carries an accepted message home or to the queue: trace fields in front, every recipient, one transaction."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final, TypeAlias

from mailsystem.directory import Away, Directory, Target
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import UNIX, Envelope, Notification
from mailsystem.mail.errors import (
    MailError,
    NoSuchMailbox,
    NoSuchRecipient,
    NotPermitted,
    OverQuota,
    SyntaxFault,
    Unavailable,
)
from mailsystem.mail.mailbox import ContentId, Flag
from mailsystem.mail.outgoing import NOTHING_ASKED, State, xtext
from mailsystem.store import Caps, Delivered, Drop, Leaving, Settling, Spool, Store
from mailsystem.telemetry import Trace

LIFETIME: Final = 5 * 86_400.0
"""Seconds that mail for other servers is tried for (RFC 5321 4.5.4.1: at least 4 or 5 days)."""

_NAME: Final = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")
_NEVER: Final = frozenset({"NEVER"})
_NO_FLAGS: Final[Mapping[Target, frozenset[Flag]]] = {}
_RETURN_PATH: Final = re.compile(rb"Return-Path: <([^\r\n]*)>\r\n")
_MOST_PATH: Final = 1024

Places: TypeAlias = Mapping[Address, tuple[Target | Away, ...]]
"""Where mail for each recipient goes."""
_Done: TypeAlias = tuple[Delivered, Sequence[Leaving]]
"""What came of it, and what of that is in the queue."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message that each recipient is answered for by itself."""

    id: str
    failed: dict[Address, MailError]
    """Who did not get it, and why; all others did."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What is delivered, beside its octets."""

    envelope: Envelope
    ident: str
    sender: Account | None
    """Who logged in and may send to other servers."""


class _Idents:
    """Names for messages: 16 hexadecimal digits, as nobody else gives them.

    They ascend, so that whatever is kept by them grows at its end and not all over the place.
    """

    def __init__(self) -> None:
        self._last = 0
        self._mark = secrets.randbits(12)
        """Tells this process from others within a microsecond."""

    def next(self, now: float) -> str:
        self._last = max(self._last + 1, int(now * 1e6))
        return f"{self._last:013x}{self._mark:03x}"


class Delivery:
    """The corridor between the SMTP door and the store."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        *,
        hostname: str,
        lifetime: float = LIFETIME,
        caps: Caps | None = None,
        reporting: bool = True,
        flagging: Callable[[Envelope, Sequence[Address], Spool], Awaitable[frozenset[Flag]]] | None = None,
    ) -> None:
        """`caps` are for what each account sends to other servers; `reporting` is whether there is a queue that tells those
        who ask that their mail has arrived. `flagging` finds the flags that a copy for these recipients has where all
        is gathered; without it mail has no flags when it comes."""
        self._store = store
        self._directory = directory
        self._hostname = hostname
        self._lifetime = lifetime
        self._caps = caps
        self._reporting = reporting
        self._flagging = flagging
        self._idents = _Idents()

    async def deliver(self, envelope: Envelope, spool: Spool, *, trace: Trace, sender: Account | None = None) -> str:
        """Put the message into every recipient's mailbox and the queue, or nowhere; returns the id that the 250 tells.

        `sender` is who logged in and may send to other servers. Committed and on disk when it returns. Raises
        `NoSuchRecipient`, `NotPermitted`, `OverQuota`, `TooMany` and `Unavailable`.
        """
        message = _Message(envelope, self._ident(), sender)
        done, leaving = await self._settled(message, spool)
        self._told(trace, message, envelope.recipients, spool.size, done, leaving)
        return message.ident

    def _ident(self) -> str:
        return self._idents.next(self._store.clock.now())

    async def _settled(self, message: _Message, spool: Spool) -> _Done:
        try:
            return await self._place(message, await self._resolved(message), spool)
        except NoSuchMailbox:
            # An account went since its address was resolved: ask once more, from scratch.
            self._directory.forget()
        try:
            return await self._place(message, await self._resolved(message), spool)
        except (NoSuchMailbox, NoSuchRecipient, NotPermitted):
            # RCPT promised somebody who is gone. Who sends it again hears at RCPT who it is, and the others get theirs.
            raise Unavailable from None

    async def _resolved(self, message: _Message) -> Places:
        return {each: await self._resolve(message, each) for each in message.envelope.recipients}

    async def _resolve(self, message: _Message, recipient: Address) -> tuple[Target | Away, ...]:
        sending, login = message.sender is not None, message.envelope.login
        return await self._directory.resolve(recipient, sending=sending, login=login)

    async def deliver_each(self, envelope: Envelope, spool: Spool, *, trace: Trace) -> Outcome:
        """Give the message to all recipients who can have it (RFC 2033 4.2), in one transaction.

        Who cannot have it is told by the outcome. Raises what goes wrong for all of them alike.
        """
        failed: dict[Address, MailError] = {}
        message = _Message(envelope, self._ident(), None)
        stale = False
        while True:
            # Everybody anew in each round: what changed since the last one concerns whom it concerns, and nobody else.
            places: dict[Address, tuple[Target | Away, ...]] = {}
            for recipient in envelope.recipients:
                if recipient not in failed:
                    try:
                        places[recipient] = await self._resolve(message, recipient)
                    except MailError as error:
                        failed[recipient] = error
            if not places:
                return Outcome(message.ident, failed)
            try:
                done, leaving = await self._place(message, places, spool)
            except OverQuota as error:
                # Somebody had room for mail, but not for this one: the others shall have it.
                full = [each for each, some in places.items() if error.account in {to.account for to in _here(some)}]
                failed.update(dict.fromkeys(full or places, error))
            except NoSuchMailbox:
                if stale:
                    raise Unavailable from None
                stale = True
                self._directory.forget()
            else:
                self._told(trace, message, places, spool.size, done, leaving)
                return Outcome(message.ident, failed)

    async def report(
        self,
        to: Address,
        octets: bytes,
        *,
        settling: Settling | None = None,
        trace: Trace,
        require_tls: bool = False,
        login: str | None = None,
    ) -> str:
        """Deliver a report of ours (RFC 3464), from the null sender (RFC 5321 6.1); returns its id.

        It is protected as what it reports on had to be: `require_tls` (RFC 8689 5). With a `login` it comes from somebody here,
        who may be in a space of their own. It and what is `settling` happen both or not at all. Raises as `deliver` does, and
        what `settling` raises.
        """
        ident = self._ident()
        places = {to: await self._directory.resolve(to, sending=True, login=login)}
        # Of a report nobody is told anything, or two servers would never stop.
        away = {place.address: Notification(_NEVER) for place in _elsewhere(places[to])}
        leaving = [Leaving(ident, Address.NULL, away, self._lifetime, require_tls=require_tls)] if away else []
        spool = self._store.contents.spool()
        try:
            spool.write(octets)
            if spool.wants_flush:
                await spool.flush()
            done = await self._store.mailboxes.deliver(
                _drops(places), spool, prefix=b"Return-Path: <>\r\n", leaving=leaving, settling=settling
            )
        finally:
            spool.discard()
        trace.event("reported", id=ident, recipient=str(to), octets=len(octets), **_where(done))
        return ident

    async def send_on(self, sender: Address, recipients: Sequence[Address], spool: Spool, *, trace: Trace) -> str:
        """Queue a message for other servers and for nobody here, such as one that is here already; returns its id.

        The caller knows that it may go there. Committed and on disk when it returns. Raises `Unavailable`.
        """
        ident = self._ident()
        leaving = [Leaving(ident, sender, dict.fromkeys(recipients, NOTHING_ASKED), self._lifetime)]
        done = await self._store.mailboxes.deliver([], spool, prefix=b"", leaving=leaving)
        away = [str(recipient) for recipient in recipients]
        trace.event("queued", id=ident, sender=str(sender), recipients=away, contents=[done.content])
        return ident

    async def release(
        self, content: ContentId, recipients: Sequence[Address], *, sender: Address | None = None, trace: Trace
    ) -> str:
        """Put a message that is here already into the queue, as it is, for these on other servers; returns its id there.

        Without a `sender` it leaves from who sent it, as its Return-Path tells. Whether that is allowed is for the caller to
        say. In the queue and on disk when it returns. Raises `NoSuchMailbox` where there is no such message, and `Unavailable`.
        """
        if sender is None:
            sender = _returned_to(await self._store.contents.read(content, 0, _MOST_PATH))
        ident = self._ident()
        leaving = Leaving(
            ident,
            sender,
            dict.fromkeys(recipients, NOTHING_ASKED),
            self._lifetime,
            body="8BITMIME",
            utf8=not all(each.is_ascii for each in (sender, *recipients)),
        )
        await self._store.outbound.add(leaving, content)
        away = [str(recipient) for recipient in recipients]
        trace.event("queued", id=ident, sender=str(sender), recipients=away, contents=[content])
        return ident

    async def _place(self, message: _Message, places: Places, spool: Spool) -> _Done:
        prefix = trace_fields(message.envelope, message.ident, self._hostname, self._store.clock.now())
        leaving = await self._leaving(message, places)
        flags: dict[Target, frozenset[Flag]] = {}
        if self._flagging is not None:
            for to in {to for some in places.values() for to in _here(some) if to.gathers}:
                # Each by those for whom it is there: of the others, blind copies among them, it shall not tell.
                recipients = [each for each, some in places.items() if to in some]
                flags[to] = await self._flagging(message.envelope, recipients, spool)
        drops = _drops(places, flags)
        return await self._store.mailboxes.deliver(drops, spool, prefix=prefix, leaving=leaving), leaving

    async def _leaving(self, message: _Message, places: Places) -> list[Leaving]:
        """What the queue gets: once with the sender as it is, and once for each other return path."""
        envelope = message.envelope
        if not envelope.notifications and all(type(place) is Target for some in places.values() for place in some):
            return []  # nearly all mail is for here, and asks for nothing
        by_sender: dict[Address, dict[Address, Notification]] = {}
        arrived: dict[Address, tuple[State, Notification]] = {}
        for recipient, some in places.items():
            asked = envelope.notifications.get(recipient, NOTHING_ASKED)
            away = _elsewhere(some)
            telling = self._reporting and envelope.sender and "SUCCESS" in (asked.notify or ())
            if telling and (len(some) > 1 or not away):
                # RFC 3461 5.2.7: who it was for has it, and of those to whom it is led on only failures are told.
                arrived[recipient] = State.EXPANDED if away else State.DELIVERED, asked
                asked = Notification(((asked.notify or _NEVER) - {"SUCCESS"}) or _NEVER, asked.original)
            for place in away:
                sender, original = envelope.sender, asked.original
                if place.by:
                    sender = await self._directory.return_path(sender, place.by)
                    original = original or f"rfc822;{xtext(str(recipient))}"
                by_sender.setdefault(sender, {}).setdefault(place.address, Notification(asked.notify, original))
        if arrived:
            by_sender.setdefault(envelope.sender, {})
        return [
            self._part(message, sender, recipients, arrived if sender == envelope.sender else {})
            for sender, recipients in by_sender.items()
        ]

    def _part(
        self,
        message: _Message,
        sender: Address,
        recipients: Mapping[Address, Notification],
        arrived: Mapping[Address, tuple[State, Notification]],
    ) -> Leaving:
        envelope, own = message.envelope, message.sender
        return Leaving(
            ident=message.ident,
            sender=sender,
            recipients=recipients,
            lifetime=self._lifetime,
            arrived=arrived,
            account=own.id if own is not None else None,
            login=own.login if own is not None else "",
            body=envelope.body,
            utf8=envelope.utf8,
            require_tls=envelope.require_tls,
            ret=envelope.ret,
            envid=envelope.envid,
            caps=self._caps,
        )

    @staticmethod
    def _told(
        trace: Trace,
        message: _Message,
        recipients: Iterable[Address],
        octets: int,
        done: Delivered,
        leaving: Sequence[Leaving],
    ) -> None:
        if not (trace.wants("delivered") or trace.wants("queued")):
            return
        envelope = message.envelope
        trace.event(
            "delivered",
            id=message.ident,
            sender=str(envelope.sender),
            recipients=[str(recipient) for recipient in recipients],
            octets=octets,
            copies=len(done.places),
            protocol=envelope.protocol,
            tls=envelope.tls,
            login=envelope.login,
            helo=envelope.helo,
            **_asked(envelope),
            **_where(done),
        )
        for each in leaving:
            if each.recipients:
                away = [str(recipient) for recipient in each.recipients]
                trace.event("queued", id=each.ident, sender=str(each.sender), recipients=away, contents=[done.content])


def _where(done: Delivered) -> dict[str, Any]:
    """Which message it is, and where it is now."""
    places = [(each.mailbox.account, each.mailbox.name, each.uid) for each in done.places]
    return {"contents": [done.content], "places": places}


def _asked(envelope: Envelope) -> dict[str, Any]:
    """The parameters of MAIL, and those of RCPT by recipient, if there were any."""
    if not (envelope.parameters or envelope.notifications):
        return {}
    recipients = {str(each): _parameters(asked) for each, asked in envelope.notifications.items()}
    return {"asked": {"mail": envelope.parameters, "recipients": recipients}}


def _parameters(asked: Notification) -> dict[str, str]:
    given = {"NOTIFY": ",".join(sorted(asked.notify or ())), "ORCPT": asked.original or ""}
    return {keyword: value for keyword, value in given.items() if value}


def _returned_to(head: bytes) -> Address:
    """Who sent a message, as the field in front of it tells."""
    match = _RETURN_PATH.match(head)
    try:
        return Address.kept(match[1].decode()) if match and match[1] else Address.NULL
    except (SyntaxFault, UnicodeDecodeError):
        return Address.NULL


def _here(places: Iterable[Target | Away]) -> list[Target]:
    return [place for place in places if isinstance(place, Target)]


def _elsewhere(places: Iterable[Target | Away]) -> list[Away]:
    return [place for place in places if isinstance(place, Away)]


def _drops(places: Places, flags: Mapping[Target, frozenset[Flag]] = _NO_FLAGS) -> list[Drop]:
    """Each target once, in one order always, so that two deliveries never wait for each other's rows."""
    targets = sorted({to for some in places.values() for to in _here(some)})
    return [Drop(to.account, to.mailbox, flags.get(to, frozenset())) for to in targets]


def trace_fields(envelope: Envelope, ident: str, hostname: str, now: float) -> bytes:
    """Return-Path and Received (RFC 5321 4.4), which go in front of the message as it came, and what it came without.

    `for` is told only where there is one recipient: nobody shall learn of a blind copy.
    """
    sender = envelope.sender
    lines = [
        f"Return-Path: <{sender if sender != Address.NULL else ''}>",
        f"Received: from {_source(envelope.helo, envelope.peer.host)}",
        f"\tby {hostname} with {envelope.protocol} id {ident}",
    ]
    if envelope.tls:
        lines.append(f"\t(using {envelope.tls})")
    if len(envelope.recipients) == 1:
        lines.append(f"\tfor <{envelope.recipients[0]}>")
    date = _date(int(now))
    lines[-1] += ";"
    lines.append(f"\t{date}")
    if "Date" in envelope.missing:
        lines.append(f"Date: {date}")
    if "Message-ID" in envelope.missing:
        lines.append(f"Message-ID: <{ident}@{hostname}>")
    lines += ["", ""] if envelope.unheaded else [""]  # or its text would become a part of ours, and say what it likes
    return "\r\n".join(lines).encode()


@lru_cache(maxsize=256)
def _source(helo: str, host: str) -> str:
    """Where a message came from, as Received tells it: what the client calls itself, and its address."""
    helo = helo if _NAME.fullmatch(helo) else "unknown"
    literal = f"[IPv6:{host.partition('%')[0]}]" if ":" in host else f"[{host}]"  # a scope is ours alone (RFC 4007)
    return helo if host == UNIX else f"{helo} ({literal})"  # a socket file has no address to tell


@lru_cache(maxsize=2)
def _date(now: int) -> str:
    """A second since the epoch as RFC 5322 3.3 has it, here: many messages come in one."""
    return formatdate(now, localtime=True)
