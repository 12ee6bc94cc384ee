"""What a POP3 session remembers while it lasts, and what stays on the server behind it and behind IMAP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from mailsystem.cli.demo.play import Comparison, Remembered
from mailsystem.telemetry.flow import Flow

if TYPE_CHECKING:
    from mailsystem.mail.mailbox import Status
    from mailsystem.store import Store

_HOLDS: Final = re.compile(r"\+OK ([0-9]+) messages? \(([0-9]+) octets\)")


class Memory(NamedTuple):
    """What one POP3 session has in its memory, as its own lines tell."""

    messages: int | None = None
    """In the snapshot, once there is one."""
    octets: int = 0
    marked: tuple[int, ...] = ()
    is_over: bool = False


def memory(lines: Sequence[tuple[bool, str]]) -> Memory:
    """Out of all that was said so far; True is the client's."""
    now, asked = Memory(), ""
    for of_client, line in lines:
        if of_client:
            asked = line
            continue
        if not line.startswith("+OK"):
            continue
        verb, _, argument = asked.partition(" ")
        match verb.upper():
            case "PASS" if holds := _HOLDS.match(line):
                now = Memory(int(holds[1]), int(holds[2]))
            case "DELE":
                now = now._replace(marked=(*now.marked, int(argument)))
            case "RSET":
                now = now._replace(marked=())
            case "QUIT":
                now = Memory(is_over=True)
    return now


class Watched:
    """One person's mail on a server, looked at from outside: in the store, and in what is said about it."""

    def __init__(self, store: Store, login: str, server: str, lane: str, flow: Flow) -> None:
        """`lane` is the POP3 client's."""
        self._store = store
        self._login = login
        self._server = server
        self._lane = lane
        self._flow = flow
        self.moments: list[Remembered] = []
        self.read = ""
        """What lay on the server after IMAP had read."""
        self.deleted = ""
        """… and after IMAP had deleted."""

    async def remembered(self, after: str) -> Remembered:
        """What is so now, after something was done."""
        now = memory([(not a.of_server, line) for a in self._flow.arrows if a.door == "pop3" for line in a.lines])
        forgotten = "forgotten" if now.is_over else "none"
        locked = await self._is_locked()
        moment = Remembered(
            self._server,
            after,
            lock="held" if locked else "given back" if now.is_over else "none",
            snapshot=forgotten if now.messages is None else f"{_counted(now.messages)}, {now.octets} octets",
            marked=forgotten if not now.marked else ", ".join(map(str, now.marked)),
            inbox=_counted((await self._status()).messages),
        )
        self.moments.append(moment)
        return moment

    async def note_read(self) -> None:
        self.read = _told(await self._status())

    async def note_deleted(self) -> None:
        self.deleted = _told(await self._status())

    async def _status(self) -> Status:
        account = await self._store.accounts.find(self._login)
        return await self._store.mailboxes.status(account.id, "INBOX")

    async def _is_locked(self) -> bool:
        """Whether the store would refuse the maildrop to another session, as RFC 1939 wants."""
        from mailsystem.mail.errors import InUse

        account = await self._store.accounts.find(self._login)
        try:
            lease = await self._store.maildrops.acquire(account.id, login_delay=None)
        except InUse:
            return True
        await self._store.maildrops.release(lease, undone=True)
        return False


def compared(drop: Watched) -> Sequence[Comparison]:
    """What the server remembered of the session step by step, and what stays on it, by POP3 and by IMAP."""
    last = drop.moments[-1]
    return (
        Comparison(
            "session",
            "What server B remembered of the POP3 session",
            "Between PASS and QUIT, and no longer. A connection that breaks off before QUIT deletes nothing (RFC 1939).",
            ("after", *(name for name, _ in last.facts)),
            tuple((one.after, *(value for _, value in one.facts)) for one in drop.moments),
        ),
        Comparison(
            "stays",
            "What stays on the server",
            "The same mail, taken from the same store: POP3 as most set it up, to download and delete, beside IMAP.",
            ("", "POP3, download and delete", "IMAP"),
            (
                ("when it has been read", f"INBOX: {last.inbox} (the one that came meanwhile)", f"INBOX: {drop.read}"),
                ("where the mail is", "on that one computer, and nowhere else", "on the server; devices have copies"),
                ("another device sees", "that it is gone", "the same mail with the same marks"),
                ("who knows what is read", "that one computer", "the server, for all devices"),
                ("deleting", "DELE marks, QUIT deletes", f"EXPUNGE deletes, everywhere at once: {drop.deleted}"),
                ("news", "when it asks the next time", "at once, while it idles"),
                ("remembered after the end", "nothing", "mailboxes, flags, numbers (UIDs)"),
            ),
        ),
    )


def _counted(number: int) -> str:
    return f"{number} message" if number == 1 else f"{number} messages"


def _told(status: Status) -> str:
    return f"{_counted(status.messages)}, {status.unseen} unread" if status.messages else _counted(status.messages)
