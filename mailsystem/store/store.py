"""The store as a whole: opens a database, brings its schema up to date, holds the rooms of the vault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailsystem.mail.clock import Clock, SystemClock
from mailsystem.mail.errors import MailError, Unavailable
from mailsystem.mail.keeping import AS_ELSEWHERE, Keep
from mailsystem.mail.mailbox import AccountId, ContentId
from mailsystem.store import boots, migrations, sqlite
from mailsystem.store.access_tokens import AccessTokens
from mailsystem.store.accounts import Accounts
from mailsystem.store.bell import Bell
from mailsystem.store.contents import INLINE_LIMIT, Contents
from mailsystem.store.database import Database
from mailsystem.store.faults import Faults
from mailsystem.store.fetching import Fetching
from mailsystem.store.greylist import Greylist
from mailsystem.store.headings import Sayings
from mailsystem.store.index import Index
from mailsystem.store.journal import Journal
from mailsystem.store.mailboxes import Mailboxes
from mailsystem.store.maildrops import Maildrops
from mailsystem.store.metadata import Metadata
from mailsystem.store.outbound import Outbound
from mailsystem.store.oversight import Oversight
from mailsystem.store.retention import Retention
from mailsystem.store.segments import LARGEST
from mailsystem.store.sending import Sending
from mailsystem.store.sharing import Sharing
from mailsystem.store.signing_keys import SigningKeys
from mailsystem.store.spaces import Spaces
from mailsystem.store.spelling import SPELLING
from mailsystem.store.spool import SPOOL_LIMIT
from mailsystem.store.suppression import AFTER, Suppression
from mailsystem.store.tls_levels import DAYS, TlsLevels
from mailsystem.store.unread import Unread
from mailsystem.store.webhooks import Webhooks
from mailsystem.telemetry import Trace
from mailsystem.telemetry.journal import Recorder

SWEEP_EVERY: Final = 3600.0
TIDY_EVERY: Final = 60.0
"""Seconds after which it is seen what mail is too old, and which spaces are."""
GRACE: Final = 7 * 86_400.0
"""Seconds that a content stays after its last message went."""


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that is kept."""

    mailboxes: Mailboxes
    fetching: Fetching
    contents: Contents
    index: Index
    headings: Sayings
    accounts: Accounts
    unread: Unread
    access_tokens: AccessTokens
    maildrops: Maildrops
    greylist: Greylist
    sharing: Sharing
    metadata: Metadata
    journal: Journal
    outbound: Outbound
    tls_levels: TlsLevels
    signing_keys: SigningKeys
    oversight: Oversight
    suppression: Suppression
    sending: Sending
    faults: Faults
    retention: Retention
    spaces: Spaces
    webhooks: Webhooks
    bell: Bell
    clock: Clock


@asynccontextmanager
async def open_store(
    directory: Path,
    *,
    clock: Clock | None = None,
    trace: Trace | None = None,
    inline_limit: int = INLINE_LIMIT,
    spool_limit: int = SPOOL_LIMIT,
    segment: int = LARGEST,
    indexed: bool = True,
    housekeeping: bool = True,
    tls_memory_days: float = DAYS,
    suppress_after: int = AFTER,
    durable_flags: bool = True,
    recorder: Recorder | None = None,
    journal_days: float | None = None,
    keep: Keep = AS_ELSEWHERE,
    grace: float = GRACE,
    lasting: bool = True,
) -> AsyncIterator[Store]:
    """Open the store in `directory`, made where it is missing; any number of processes on one host may.

    With `indexed`, this one takes its turns at indexing what is new, for as long as it is open; with `housekeeping`, it takes
    away what nobody needs any more. Of processes that are one program, one of them does. What `recorder` hears goes into
    the journal, of which `journal_days` are kept; None leaves that to others. `suppress_after` failures in a row suppress an
    address. Messages above `inline_limit` octets share files of about `segment` octets, and those above `spool_limit` have
    one each. Without `durable_flags` a change of flags is answered before it is on disk: a power cut may undo those of the
    last seconds, the end of a process none.

    `keep` is what accounts keep where nothing else is said. What no message names any more gives its space free after `grace`
    seconds. What is not `lasting` is of no use after a power cut: nothing waits for the disk.

    Raises `OSError` where the directory cannot be used, and `Unavailable` for data from a newer program or another one.
    """
    clock = clock or SystemClock()
    trace = trace or Trace()
    await asyncio.to_thread(directory.mkdir, mode=0o700, parents=True, exist_ok=True)
    opening = sqlite.open_sqlite(directory, trace, lasting=lasting, is_foreign=migrations.is_foreign)
    async with opening as database:
        await _migrate(database)
        await database.write(boots.noticed(await asyncio.to_thread(boots.current)))
        contents = Contents(
            database,
            directory / "contents",
            clock=clock,
            trace=trace,
            inline_limit=inline_limit,
            spool_limit=spool_limit,
            segment=segment,
        )
        await asyncio.to_thread(contents.prepare)
        accounts = Accounts(database, clock=clock)
        index = Index(database, contents, clock=clock)
        maildrops = Maildrops(database, clock=clock)
        mailboxes = Mailboxes(database, contents, clock=clock, durable_flags=durable_flags)
        retention = Retention(database, clock=clock, keep=keep)
        spaces = Spaces(database, clock=clock)
        chores = [asyncio.create_task(accounts.history.keep())]
        if housekeeping:
            chores.append(asyncio.create_task(_sweep(contents, mailboxes, retention, trace, grace)))
            chores.append(asyncio.create_task(_expire(maildrops, trace)))
            chores.append(asyncio.create_task(_tidy(retention, spaces, trace)))
        else:
            chores.append(asyncio.create_task(_let_go(contents)))
        journal = Journal(database, clock=clock, recorder=recorder, trace=trace)
        if recorder is not None:
            chores.append(asyncio.create_task(journal.keep(recorder, trace)))
        if journal_days is not None:
            chores.append(asyncio.create_task(journal.drop_old(journal_days, trace)))
        if indexed:
            chores.append(asyncio.create_task(index.keep(trace)))
        try:
            yield Store(
                mailboxes=mailboxes,
                fetching=Fetching(database),
                contents=contents,
                index=index,
                headings=Sayings(database),
                accounts=accounts,
                unread=Unread(database),
                access_tokens=AccessTokens(database, clock=clock),
                maildrops=maildrops,
                greylist=Greylist(database, clock=clock),
                sharing=Sharing(database),
                metadata=Metadata(database),
                journal=journal,
                outbound=Outbound(database, clock=clock),
                tls_levels=TlsLevels(database, clock=clock, days=tls_memory_days),
                signing_keys=SigningKeys(database, clock=clock),
                oversight=Oversight(database, clock=clock),
                suppression=Suppression(database, clock=clock, after=suppress_after),
                sending=Sending(database, clock=clock),
                faults=Faults(database, clock),
                retention=retention,
                spaces=spaces,
                webhooks=Webhooks(database, clock=clock),
                bell=database.bell,
                clock=clock,
            )
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)
            await index.release()
            await contents.close()
            with suppress(Unavailable):
                await accounts.history.settle()
            with suppress(Unavailable):
                await maildrops.settle()
            if recorder is not None:
                await journal.settle(recorder, trace)


async def _migrate(database: Database) -> None:
    have = await database.write(migrations.applied())
    if not have:
        # Nothing is there that each step must find as the one before has left it: all of them are one transaction.
        await database.write(migrations.apply_all(SPELLING))
        return
    for step in migrations.pending(have):
        await database.write(migrations.apply(step, SPELLING))


async def _sweep(contents: Contents, mailboxes: Mailboxes, retention: Retention, trace: Trace, grace: float) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        try:
            if swept := await contents.sweep(grace=grace):
                trace.event("swept", contents=swept)
            await mailboxes.forget()
            await retention.forget()
        except (Unavailable, OSError) as error:
            trace.event("store failed", what="sweep", reason=str(error))  # the next one may succeed


async def _let_go(contents: Contents) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        await contents.let_go(grace=GRACE)


async def _expire(maildrops: Maildrops, trace: Trace) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        try:
            gone: dict[AccountId, list[ContentId]] = {}
            for account, content in await maildrops.expire():
                gone.setdefault(account, []).append(content)
            for account, contents in gone.items():
                trace.event("expired", account=account, messages=len(contents), contents=contents)
        except MailError as error:
            trace.event("store failed", what="expire", reason=str(error))  # the next one may succeed


async def _tidy(retention: Retention, spaces: Spaces, trace: Trace) -> None:
    while True:
        await asyncio.sleep(TIDY_EVERY)
        try:
            await spaces.expire(trace)
            await retention.enforce(trace)
        except MailError as error:
            trace.event("store failed", what="tidy", reason=str(error))  # the next one may succeed
