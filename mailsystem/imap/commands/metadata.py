"""METADATA (RFC 5464): annotations of mailboxes and of the server, those of special uses (RFC 6154 4) among them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailsystem.imap import reply
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.mail.errors import NotPermitted, SyntaxFault
from mailsystem.mail.mailbox import Mailbox
from mailsystem.store import Place, ValueTooLong
from mailsystem.store.metadata import SPECIAL_USE, server

ADMIN: Final = "/shared/admin"

_MOST: Final = 100
"""Entries that one command may name."""
_ENTRY: Final = re.compile(r"/(?:private|shared)(?:/[\x20-\x24\x26-\x29\x2b-\x2e\x30-\x7e]+)*")
_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class _Options:
    """What a GETMETADATA restricts itself to."""

    most: int | None = None
    """Octets of a value."""
    depth: float = 0


@command("GETMETADATA", AUTHENTICATED, capability="METADATA")
async def getmetadata(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 5464 4.2: annotations of a mailbox, or with an empty name of the server."""
    args.sp()
    options = _Options()
    if args.peek() == b"(":
        options = _options(args)
        args.sp()
    name = args.mailbox_or_server()
    args.sp()
    # The grammar wants the options first, the RFC's own examples have them here.
    wanted = None
    if args.accept(b"("):
        if args.peek() in b'"/{':
            wanted = _entry_list(args)
        else:
            options = _options(args, entered=True)
            args.sp()
    wanted = wanted or entries(args)
    args.end()
    mailbox = None if name is None else await session.store.mailboxes.find(session.account.id, name)
    if mailbox is not None and not await session.store.metadata.readable(session.account.id, [mailbox]):
        raise NotPermitted
    found = await _found(session, mailbox, wanted, options.depth)
    longest = max((len(value) for value in found.values() if value is not None), default=0)
    if options.most is not None:
        found = {entry: value for entry, value in found.items() if value is None or len(value) <= options.most}
    for entry, value in found.items():
        say(session, name, {entry: value})
        if session.buffered > FLUSH_AT:
            await session.flush()
    if options.most is not None and longest > options.most:
        return Ok(code=b"METADATA LONGENTRIES %d" % longest)
    return None


@command("SETMETADATA", AUTHENTICATED, secret=True)
async def setmetadata(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 5464 4.3: set annotations, or with NIL delete them: all or none."""
    args.sp()
    name = args.mailbox_or_server()
    args.sp()
    values = _values(args)
    args.end()
    if name is None:
        if any(entry.startswith("/shared") for entry in values):
            raise NotPermitted("what all see on the server is set by those who run it")
        await session.store.metadata.write(session.account.id, server(session.account.id), values)
        return None
    mailbox = await session.store.mailboxes.find(session.account.id, name)
    for other in await session.store.metadata.write(session.account.id, (mailbox.account, mailbox.id), values):
        # RFC 6154 5.4: what it was for before is news.
        session.send(line(session, other, {SPECIAL_USE: None}))
    return None


async def noted(
    session: Session, mailboxes: Sequence[Mailbox], wanted: Sequence[str]
) -> Mapping[Place, Mapping[str, bytes]]:
    """What there is of these entries in all these mailboxes that may be read, by one look."""
    mailboxes = await session.store.metadata.readable(session.account.id, mailboxes)
    places = [(mailbox.account, mailbox.id) for mailbox in mailboxes]
    return await session.store.metadata.read(session.account.id, places, wanted)


def complete(mailbox: Mailbox, wanted: Sequence[str], found: Mapping[str, bytes]) -> dict[str, bytes | None]:
    """Every wanted entry, None where one is not set (RFC 9590 3)."""
    told: dict[str, bytes | None] = {entry: found.get(entry) for entry in wanted}
    if SPECIAL_USE in told:
        told[SPECIAL_USE] = _use(mailbox)
    return told


async def _found(
    session: Session, mailbox: Mailbox | None, wanted: Sequence[str], depth: float
) -> dict[str, bytes | None]:
    """What was asked for, or with `depth` what of it and below it there is."""
    reader = session.account.id
    place = server(reader) if mailbox is None else (mailbox.account, mailbox.id)
    found = (await session.store.metadata.read(reader, [place], None if depth else wanted))[place]
    if mailbox is not None and (use := _use(mailbox)) is not None:
        found[SPECIAL_USE] = use
    if mailbox is None:
        found[ADMIN] = b"mailto:postmaster@" + session.account.login.rpartition("@")[2].encode()
    if not depth:
        return {entry: found.get(entry) for entry in wanted}
    return {entry: value for entry, value in sorted(found.items()) if any(_within(entry, top, depth) for top in wanted)}


def _within(entry: str, top: str, depth: float) -> bool:
    return entry == top or (entry.startswith(top + "/") and entry.count("/") - top.count("/") <= depth)


def _use(mailbox: Mailbox) -> bytes | None:
    return None if mailbox.special_use is None else mailbox.special_use.encode()


def line(session: Session, name: str | None, values: Mapping[str, bytes | None]) -> bytes:
    """metadata-resp = "METADATA" SP mailbox SP entry-values"""
    spelled = b'""' if name is None else session.dialect.mailbox(name)
    pairs = b" ".join(reply.astring(entry.encode()) + b" " + reply.value(value) for entry, value in values.items())
    return b"* METADATA " + spelled + b" (" + pairs + b")\r\n"


def say(session: Session, name: str | None, values: Mapping[str, bytes | None]) -> None:
    """Send that line. What people note for themselves reaches no trace, only how long it is."""
    sizes = {entry: None if value is None else b"[%d octets]" % len(value) for entry, value in values.items()}
    session.send(line(session, name, values), traced=line(session, name, sizes))


def entries(args: Arguments) -> tuple[str, ...]:
    """entries = entry / "(" entry *(SP entry) ")" """
    return _entry_list(args) if args.accept(b"(") else (_entry(args),)


def _entry_list(args: Arguments) -> tuple[str, ...]:
    named = [_entry(args)]
    while args.accept(b" "):
        named.append(_entry(args))
        if len(named) > _MOST:
            raise SyntaxFault("too many entries")
    args.expect(b")")
    return tuple(dict.fromkeys(named))


def _entry(args: Arguments) -> str:
    """entry = astring ; RFC 5464 3.2 says what its levels may hold, and that their case means nothing"""
    entry = args.astring().decode("ascii", "replace").lower()
    if len(entry) > _LONGEST or not _ENTRY.fullmatch(entry):
        raise SyntaxFault("bad entry name")
    return entry


def _values(args: Arguments) -> dict[str, bytes | None]:
    """entry-values = "(" entry-value *(SP entry-value) ")" """
    values: dict[str, bytes | None] = {}
    args.enter()
    while True:
        entry = _entry(args)
        if entry.count("/") < 2 or entry in values or len(values) >= _MOST:
            raise SyntaxFault("bad, repeated or too many entries")
        args.sp()
        value = args.value()
        if value is not None and not isinstance(value, bytes):
            raise ValueTooLong  # it was too long to be kept in memory
        values[entry] = value
        if not args.accept(b" "):
            break
    args.leave()
    return values


def _options(args: Arguments, *, entered: bool = False) -> _Options:
    """getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")" """
    most: int | None = None
    depth = 0.0
    if not entered:
        args.expect(b"(")
    while True:
        word = args.keyword()
        args.sp()
        if word == "MAXSIZE":
            most = args.number()
        elif word == "DEPTH":
            depth = _depth(args)
        else:
            raise SyntaxFault("unknown option")
        if not args.accept(b" "):
            break
    args.expect(b")")
    return _Options(most, depth)


def _depth(args: Arguments) -> float:
    """ "0" / "1" / "infinity" """
    word = args.keyword()
    if word not in ("0", "1", "INFINITY"):
        raise SyntaxFault("unknown depth")
    return float(word)
