"""One session's hold on an account's mail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailError
from mailsystem.mail.mailbox import INBOX, MessageSet
from mailsystem.maildrop.lock import Lock
from mailsystem.maildrop.reading import Reading
from mailsystem.maildrop.view import NOTHING, View
from mailsystem.store import Choices, Handled, Store
from mailsystem.store import Maildrop as Found
from mailsystem.telemetry import Trace


class Maildrop:
    """An account's mail in the hands of one session. It is looked at under the lock: what is shown then, `view` knows."""

    __slots__ = ("_delay", "_lock", "_reading", "_store", "_trace", "_utf8", "account", "choices", "view")

    def __init__(
        self, store: Store, account: Account, trace: Trace, *, utf8: bool = True, login_delay: int = 0
    ) -> None:
        """Without `utf8`, the client is given surrogates. `login_delay` is for those who have chosen none of their own."""
        self.account = account
        self.choices = Choices()
        """What the account had chosen when it was looked at."""
        self._store = store
        self._trace = trace
        self._utf8 = utf8
        self._delay: int | None = login_delay
        self._lock = Lock(store.maildrops, trace)
        self._show(NOTHING)

    def _show(self, view: View) -> None:
        self.view = view
        self._reading = Reading(self._store, view, utf8=self._utf8)

    async def open(self, mailbox: str | None = None) -> None:
        """`lock` and `look`, or neither. Raises `InUse`, `TooSoon`, `NoSuchMailbox`, `MailError`."""
        entering = self._delay is not None
        found = await self._lock.take(self.account.id, login_delay=self._delay, look=mailbox is None)
        self._delay = None
        try:
            if found is None:
                await self.look(mailbox)
            else:
                self._see(found)
        except MailError:
            await self.release(undone=entering)
            raise

    async def lock(self) -> None:
        """Raises `InUse` where another session has it, and `TooSoon` where too little time is between two logins."""
        await self._lock.take(self.account.id, login_delay=self._delay)
        self._delay = None  # only the first time is a login

    async def look(self, mailbox: str | None = None) -> None:
        """See the messages as they are now, with no marks: those that the account has chosen to show, or those of one mailbox.

        Raises `NoSuchMailbox`, and then there are none.
        """
        self._show(NOTHING)
        if mailbox is None:
            found = await self._store.maildrops.listing(self.account.id)
        else:
            name = INBOX if mailbox.upper() == INBOX else mailbox
            found = await self._store.maildrops.listing_of(self.account.id, name)
        self._see(found)

    def _see(self, found: Found) -> None:
        self.choices = found.choices
        self._show(View(*((folder.mailbox, folder.messages) for folder in found.folders), names=found.names))

    @property
    def lost(self) -> bool:
        """The lock is somebody else's, or may be."""
        return self._lock.lost

    def check(self) -> None:
        """Raises `InUse` when the mail may be in somebody else's hands by now."""
        self._lock.check()

    async def whole(self, number: int) -> bytes | None:
        """A small message, as this client can take it; None for one that has to be read in slices. Raises `MailError`."""
        return await self._reading.whole(number)

    def octets(self, number: int) -> AsyncGenerator[bytes, None]:
        """A message in slices, as this client can take it. Raises `MailError`, and that before the first of them."""
        return self._reading.octets(number)

    @property
    def changes(self) -> bool:
        """Whether there is anything that `update` would do."""
        return any(self._handled())

    def _handled(self) -> Iterable[Handled]:
        noting = self.choices.notes_downloads
        for mailbox, deleted, retrieved in self.view.handled():
            if deleted or noting:
                yield Handled(mailbox.id, deleted, retrieved if noting else MessageSet())

    async def update(self) -> int:
        """What is marked goes, with what was retrieved if that was chosen, and the lock is given back; returns how many
        messages went.

        All or none. However it ends, nothing is seen any more. Raises `MailError`.
        """
        try:
            gone = await self._lock.finish(list(self._handled()))
        except MailError:
            await self.release()
            raise
        # What another client has removed meanwhile went, too.
        removed = max(len(gone), self.view.marked)
        self._show(NOTHING)
        if removed:
            to = {"target": "Trash"} if self.choices.trash else {}
            self._trace.event("deleted", login=self.account.login, messages=removed, contents=gone, **to)
        return removed

    async def release(self, *, undone: bool = False) -> None:
        """However it ended: give the lock back, and leave everything as it is. With `undone` nobody did log in."""
        self._show(NOTHING)
        await self._lock.leave(undone=undone)
