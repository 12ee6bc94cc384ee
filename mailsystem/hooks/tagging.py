"""Tags that mail has when it comes, as keywords: those that it brings, and those that rules give it.

What it brings is found while it is delivered, and costs a microsecond where there is nothing. Rules are searches, which are
asked once it is here: by a task that is there only where there are rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope
from mailsystem.mail.errors import MailError, TooMany
from mailsystem.mail.header import addresses, fields
from mailsystem.mail.mailbox import INBOX, Flag, Mailbox, MessageSet, Uid
from mailsystem.mail.tags import keywords_of, tags_in, tags_of_address, titled
from mailsystem.mail.words import text
from mailsystem.store import FlagOp, Spool, Store
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from mailsystem.finding.finder import Finder
    from mailsystem.mail.query import Query

MOST_HEAD: Final = 64 << 10
"""Octets of a header in which tags are looked for."""
_PORTION: Final = 500
_FAULT: Final = 1.0
"""Seconds to wait where the store fails."""
NO_TAGS: Final[frozenset[Flag]] = frozenset()


class Brought:
    """Finds the tags that a message brings with it."""

    def __init__(
        self, *, header: bool = True, addresses: bool = True, logins: bool = False, title: bool = False
    ) -> None:
        """By the field X-Tags of its `header`, by what stands behind a plus in `addresses`, by who has logged in; with
        `title` those of the first two are spelled in title case."""
        self._header = header
        self._addresses = addresses
        self._logins = logins
        self._title = title

    async def __call__(self, envelope: Envelope, recipients: Sequence[Address], spool: Spool) -> frozenset[Flag]:
        """Of a copy that came for these of its recipients."""
        found: list[str] = []
        if self._header or self._addresses:
            head = _head(spool)
            if head is None:
                await spool.settle()
                head = _cut(await asyncio.to_thread(_beginning, spool.path)) if spool.path is not None else b""
            lowered = head.lower()
            if self._header and b"x-tags" in lowered:
                found += tags_in(bytes(head))
            if self._addresses:
                for recipient in recipients:
                    if "+" in recipient.local:
                        found += tags_of_address(recipient.local)
                if _has_plus(lowered):
                    found += _tags_of_author(head)
        if self._title:
            found = [titled(tag) for tag in found]
        if self._logins and envelope.login:
            found.append(envelope.login)
        return keywords_of(found) if found else NO_TAGS


def _head(spool: Spool) -> bytes | bytearray | None:
    """The header of what has come, at most so much of it as is looked into; None where it is not in memory."""
    chunks = spool.octets()
    if not chunks:
        return b"" if chunks is not None else None
    octets, at = chunks[0], 1
    while at < len(chunks) and len(octets) < MOST_HEAD and b"\r\n\r\n" not in octets:
        octets, at = octets + chunks[at], at + 1
    return _cut(octets)


def _cut(octets: bytes | bytearray) -> bytes | bytearray:
    end = octets.find(b"\r\n\r\n", 0, MOST_HEAD)
    return octets[: end + 2] if end >= 0 else octets[:MOST_HEAD]


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_HEAD)


def _has_plus(lowered: bytes | bytearray) -> bool:
    """Whether there is a plus in From, which is asked of a header in lower case."""
    start = 0 if lowered.startswith(b"from") else lowered.find(b"\nfrom")
    if start < 0:
        return False
    end = lowered.find(b"\n", start + 1)
    while end >= 0 and lowered[end + 1 : end + 2] in (b" ", b"\t"):
        end = lowered.find(b"\n", end + 1)
    return lowered.find(b"+", start, end if end >= 0 else len(lowered)) >= 0


def _tags_of_author(head: bytes | bytearray) -> list[str]:
    authors = [one for name, value in fields(bytes(head)) if name.lower() == b"from" for one in addresses(value)]
    return [tag for one in authors[:10] for tag in tags_of_address(text(one.mailbox or b"", None))]


class Ruling:
    """Gives tags to what comes for an account, by searches."""

    def __init__(
        self, store: Store, finder: Finder, account: Account, rules: Mapping[Query, frozenset[Flag]], trace: Trace
    ) -> None:
        self._store = store
        self._finder = finder
        self._account = account
        self._rules = rules
        self._trace = trace

    async def inbox(self) -> Mailbox:
        return await self._store.mailboxes.find(self._account.id, INBOX)

    async def run(self, inbox: Mailbox) -> None:
        """Look at all that comes from then on when the INBOX was like that, until it is cancelled."""
        bell, first = self._store.bell, inbox.uidnext
        while True:
            heard = bell.rung
            try:
                before, inbox = inbox, await self.inbox()
                if inbox.uidvalidity != before.uidvalidity:
                    first = Uid(1)
                while first < inbox.uidnext:
                    last = Uid(min(inbox.uidnext - 1, first + _PORTION - 1))
                    await self._give(inbox, MessageSet(((first, last),)))
                    first = Uid(last + 1)
            except MailError as error:
                self._trace.event("store failed", what="tags", reason=str(error))
                await asyncio.sleep(_FAULT)
                continue
            await bell.wait(heard, (self._account.id, inbox.id))

    async def _give(self, inbox: Mailbox, uids: MessageSet) -> None:
        for query, keywords in self._rules.items():
            meant: Sequence[Uid] = [
                one.uid for one in await self._finder.matching(inbox.account, inbox.id, query, uids)
            ]
            if meant:
                with suppress(TooMany):  # one of them has as many as a message may have
                    await self._store.mailboxes.set_flags(
                        inbox.account, inbox.id, MessageSet.of(meant), FlagOp.ADD, keywords
                    )


@asynccontextmanager
async def ruled(ruling: Ruling) -> AsyncIterator[None]:
    """Give tags for as long as this is open, to all that comes from now on."""
    task = asyncio.create_task(ruling.run(await ruling.inbox()))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
