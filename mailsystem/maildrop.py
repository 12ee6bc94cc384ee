"""One reader's hold on somebody's mail: the lock, the messages as they were when they were looked at, and what shall go.

Nothing goes but by `update`, and then all of it or nothing. The lock is the one that POP3 takes too, so whoever reads by
which protocol ever: there is one of them at a time.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from typing import Final

from mailsystem.directory import Directory
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, InUse, MailError, NoSuchMailbox
from mailsystem.mail.mailbox import INBOX, ContentId, Mailbox, Message, MessageSet, Uid
from mailsystem.store import Lease, Store, Want
from mailsystem.telemetry import Trace

RENEW_EVERY: Final = 20.0
"""Seconds; the lease lives 60."""
ACQUIRE_PAUSES: Final = (0.05, 0.2, 0.5)
"""A client that lost its connection comes back faster than its old session has noticed: worth a moment."""
_AHEAD_MOST: Final = 64
_AHEAD_OCTETS: Final = 256 * 1024
_AHEAD_LARGEST: Final = 64 * 1024
_ALL: Final = MessageSet(((1, 0xFFFFFFFF),))


async def log_in(directory: Directory, proving: Awaitable[Account], trace: Trace, *, login: str, peer: Peer) -> Account:
    """Wait for the proof of who it is, and note how it went. Raises `AuthFailed`, `MailError`."""
    about = {"door": trace.door, "peer": peer, "mechanism": "password"}
    try:
        account = await proving
    except AuthFailed as failure:
        login = failure.login or login
        trace.event("login failed", login=login, mechanism="password")
        await directory.record_login(login, ok=False, **about)  # type: ignore[arg-type]
        raise
    await directory.record_login(account, ok=True, **about)  # type: ignore[arg-type]
    trace.event("logged in", login=account.login, mechanism="password")
    return account


class Maildrop:
    """An account's mail in the hands of one session: one mailbox at a time, its messages numbered from 1."""

    __slots__ = (
        "_ahead",
        "_contents",
        "_dates",
        "_delay",
        "_last",
        "_lease",
        "_marks",
        "_renewal",
        "_sizes",
        "_store",
        "_timer",
        "_trace",
        "_uids",
        "account",
        "lost",
        "mailbox",
    )

    def __init__(self, store: Store, account: Account, trace: Trace) -> None:
        self.account = account
        self.lost = False
        """The lock is somebody else's, or may be."""
        self.mailbox: Mailbox | None = None
        self._store = store
        self._trace = trace
        self._lease: Lease | None = None
        self._delay: int | None = 0  # only the first time is a login
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        # 33 octets a message: some mailboxes hold a hundred thousand.
        self._uids, self._sizes, self._contents = array("Q"), array("Q"), array("Q")
        self._dates = array("d")
        self._marks = bytearray()
        self._ahead: dict[Uid, bytes] = {}
        self._last = 0

    # What is in it

    def __len__(self) -> int:
        return len(self._uids)

    def size(self, number: int) -> int:
        """Octets of a message; 0 for one that does not exist or is marked."""
        if not 0 < number <= len(self._uids) or self._marks[number - 1]:
            return 0
        return self._sizes[number - 1]

    def date(self, number: int) -> float:
        """When it came, in seconds since the epoch."""
        return self._dates[number - 1]

    @property
    def marked(self) -> int:
        """How many shall go."""
        return self._marks.count(1)

    def mark(self, number: int) -> None:
        """It shall go."""
        self._marks[number - 1] = 1

    def mark_all(self) -> None:
        self._marks = bytearray(b"\1") * len(self._marks)

    async def look(self, name: str) -> None:
        """See the messages of a mailbox as they are now, with no marks. Raises `NoSuchMailbox`, and then there are none."""
        self._forget()
        name = INBOX if name.upper() == INBOX else name
        mailbox = await self._store.mailboxes.find(self.account.id, name)
        messages = await self._store.mailboxes.messages(self.account.id, mailbox.id, _ALL)
        self._take(messages)
        self.mailbox = mailbox

    def _forget(self) -> None:
        self.mailbox = None
        self._take(())

    def _take(self, messages: Sequence[Message]) -> None:
        self._uids = array("Q", [message.uid for message in messages])
        self._sizes = array("Q", [message.size for message in messages])
        self._contents = array("Q", [message.content for message in messages])
        self._dates = array("d", [message.internaldate for message in messages])
        self._marks = bytearray(len(messages))
        self._ahead.clear()
        self._last = 0

    async def octets(self, number: int) -> AsyncGenerator[bytes, None]:
        """A message in slices, `size` octets together. Raises `MailError`."""
        content = ContentId(self._contents[number - 1])
        whole = await self._small(number)
        self._last = number
        if whole is not None:
            yield whole
            return
        async with aclosing(self._store.contents.stream(content)) as slices:  # type: ignore[type-var]
            async for chunk in slices:
                yield chunk

    async def _small(self, number: int) -> bytes | None:
        """A small message whole, None where it has to be streamed; whoever reads in order has the next few read with it."""
        uid, size = Uid(self._uids[number - 1]), self._sizes[number - 1]
        if size > _AHEAD_LARGEST or self.mailbox is None:
            return None
        if (found := self._ahead.pop(uid, None)) is not None:
            return found
        last, octets = number, _AHEAD_OCTETS - size
        if number == self._last + 1:
            while last < min(len(self), number + _AHEAD_MOST - 1):
                octets -= self._sizes[last]
                if octets < 0 or self._sizes[last] > _AHEAD_LARGEST:
                    break
                last += 1
        self._ahead.clear()
        uids = MessageSet(((uid, self._uids[last - 1]),))
        async for some in self._store.mailboxes.fetch(self.account.id, self.mailbox.id, uids, Want.RAW):
            self._ahead.update((one.message.uid, one.raw) for one in some if one.raw is not None)
        # Another client may have expunged it since. Its content stays for a while, so it can be streamed.
        return self._ahead.pop(uid, None)

    # The lock

    async def lock(self) -> None:
        """Raises `InUse` where another session has it, and `TooMany` where the account wants more time between two logins."""
        self._lease = await self._acquire()
        self._delay = None
        self.lost = False
        self._renew_later()

    async def _acquire(self) -> Lease:
        for pause in ACQUIRE_PAUSES:
            try:
                return await self._store.maildrops.acquire(self.account.id, login_delay=self._delay)
            except InUse:
                await asyncio.sleep(pause)
        return await self._store.maildrops.acquire(self.account.id, login_delay=self._delay)

    def check(self) -> None:
        """Raises `InUse` when the mail may be in somebody else's hands by now."""
        if self.lost:
            raise InUse("the maildrop lock was lost")

    async def update(self) -> int:
        """What is marked goes, and the lock is given back; returns how many messages went. Raises `MailError`."""
        lease, mailbox = self._lease, self.mailbox
        if lease is None:
            return 0
        if mailbox is None:
            await self.release()
            return 0
        await self._stop_renewing()
        self.check()
        count = self.marked
        try:
            await self._store.maildrops.update(self._lease or lease, mailbox.id, self._uids_marked())
        except NoSuchMailbox:
            # Somebody has deleted the whole of it meanwhile.
            await self.release()
            return 0
        self._lease = None
        if count:
            self._trace.event("deleted", login=self.account.login, messages=count)
        self._forget()
        return count

    def _uids_marked(self) -> MessageSet:
        """Neighbours as one range, over the holes between their UIDs, which stay empty."""
        ranges: list[tuple[int, int]] = []
        end = 0
        while (start := self._marks.find(1, end)) >= 0:
            end = self._marks.find(0, start)
            end = end if end >= 0 else len(self._marks)
            ranges.append((self._uids[start], self._uids[end - 1]))
        return MessageSet(tuple(ranges))

    async def release(self) -> None:
        """However it ended: give the lock back, and leave everything as it is."""
        await self._stop_renewing()
        self._forget()
        lease, self._lease = self._lease, None
        if lease is not None and not self.lost:
            try:
                await self._store.maildrops.release(lease)
            except MailError as error:
                self._trace.event("lease kept", reason=str(error))  # it ends by itself

    def _renew_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(RENEW_EVERY, self._renew_soon)

    def _renew_soon(self) -> None:
        self._timer = None
        self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        if self._lease is None:
            return
        try:
            self._lease = await self._store.maildrops.renew(self._lease)
        except InUse as error:
            self.lost = True
            self._trace.event("lease lost", reason=str(error))
            return
        except MailError as error:
            self._trace.event("lease not renewed", reason=str(error))  # there is time for another attempt
        self._renew_later()

    async def _stop_renewing(self) -> None:
        # A renewal that runs is not cancelled: it writes. It is over soon, and may have set the next timer.
        if self._renewal is not None:
            await asyncio.wait([self._renewal])
            self._renewal = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
