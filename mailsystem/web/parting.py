"""What of a sink belongs to one of its spaces, for whoever may see no more than that: of the sessions in which mail came for
several, and of what is known of a message that went to several."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from mailsystem.directory.sink import SinkDirectory
from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.space import space_of
from mailsystem.store import Evidence, Note
from mailsystem.telemetry.trace import CLIENT
from mailsystem.telemetry.watch import Told, fields
from mailsystem.web.context import Context

SENDING: Final = frozenset({"smtp", "lmtp", "submission"})
"""Doors where a session may be about several people's mail."""
INSIDE: Final = frozenset({"web"})
"""Doors where each event says whose it is, and none belongs to a session."""
MOST_HELD: Final = 60
"""Lines of a session, and of a transaction, that are held until it is known whose they are."""
MOST_STRANGE: Final = 1000
LEFT_OUT: Final = "[not of this space]"
_PATH: Final = re.compile(r"RCPT TO:\s*<(?:@[^:>]*:)?([^<>]*)>", re.IGNORECASE)
_NAMES_SOMEBODY: Final = frozenset({"VRFY", "EXPN"})
_FAULT: Final = "[fault"
_ENDS: Final = frozenset({"RSET", "QUIT", "EHLO", "HELO", "LHLO"})
_ARRIVAL: Final = "accepted"

T = TypeVar("T")


class Own:
    """Tells what is a space's."""

    def __init__(self, context: Context, space: str) -> None:
        if not isinstance(context.directory, SinkDirectory):
            raise TypeError("only a sink has spaces")
        self._directory = context.directory
        self.space: Final = space

    async def has(self, address: str, login: str = "") -> bool:
        """Whether mail for that address from who logged in, if anybody, is for it."""
        try:
            return await self._directory.space_of(login, Address.parse(address)) == self.space
        except SyntaxFault:
            return bool(login) and self.is_in(login)

    def is_in(self, login: str) -> bool:
        """Whether who has logged in so is in it."""
        return space_of(login) == self.space

    async def among(self, addresses: Iterable[str], login: str = "") -> list[str]:
        """Those of the addresses for which that is so."""
        return [each for each in addresses if await self.has(each, login)]

    async def recipients(self, came: Evidence) -> list[str]:
        """For whom in the space a message came."""
        return await self.among((each.address for each in came.recipients), came.login or "")

    async def note(self, note: Note) -> Note | None:
        """What happened to a message as far as it did here; None where it did elsewhere."""
        data, login = dict(note.data), str(note.data.get("login", ""))
        if self.is_in(login):
            return note
        if note.name != _ARRIVAL:
            return None
        data["recipients"] = await self.among(map(str, data.get("recipients", ())), login)
        if not data["recipients"]:
            return None
        return note._replace(data={key: data[key] for key in data if key not in ("places", "session")})


class Conversation(Generic[T]):
    """One session. Those who have logged in into the space see all of it. Of others by SMTP, what led to a transaction with a
    recipient of the space, and that, without the other recipients; nothing of other transactions."""

    def __init__(self, own: Own, door: str, *, login: str = "") -> None:
        self._own = own
        self._sends = door in SENDING
        self._login = login
        self.is_in = own.is_in(login)
        """Whether who has logged in is in the space."""
        self.is_own = self.is_in
        """Whether anything of it is to be seen."""
        self._before: deque[tuple[T, str | None]] = deque(maxlen=MOST_HELD)
        self._held: deque[tuple[T, str | None]] = deque(maxlen=MOST_HELD)
        self._open = False
        """In a transaction."""
        self._ours = False
        """In one that has a recipient of the space."""
        self._strange = False
        """What is said now is about a recipient of others."""

    def enter(self, login: str) -> None:
        """Somebody has logged in, or with an empty name out."""
        self._login = login
        self.is_in = self._own.is_in(login)
        self._open = self._ours = False
        self._held.clear()

    async def hear(self, item: T, who: str = "", text: str = "") -> list[tuple[T, str | None]]:
        """What is to be seen now, each with the text that stands for its own where that is not to be seen."""
        if self.is_in:
            return self._shown(item, None)
        if not who and self._strange:
            return []
        if not self._sends:
            self._before.append((item, None))
            return []
        instead = None
        if who == CLIENT:
            verb = text[:4].upper()
            self._strange = False
            if verb == "RCPT":
                path = _PATH.match(text)
                # What comes from another space stays there, whatever the address says.
                if path is not None and await self._own.has(path[1], self._login):
                    self._open = self._ours = True
                    return self._shown(item, None)
                instead, self._strange = f"RCPT TO:<{LEFT_OUT}>", True
            elif verb in _NAMES_SOMEBODY:
                instead = f"{verb} {LEFT_OUT}"
            elif verb == "MAIL":
                self._begin(is_open=True)
            elif verb in _ENDS:
                self._begin(is_open=False)
        elif text.startswith(_FAULT):  # a rule may name others
            instead = "[fault]"
        if who != CLIENT and self._strange:
            if text.startswith("["):
                return []
            instead = f"{text[:3]} {LEFT_OUT}"
        if self._open and not self._ours:
            self._held.append((item, instead))
            return []
        if self.is_own:
            return [(item, instead)]
        self._before.append((item, instead))
        return []

    def _begin(self, *, is_open: bool) -> None:
        self._open, self._ours = is_open, False
        self._held.clear()

    def _shown(self, item: T, instead: str | None) -> list[tuple[T, str | None]]:
        self.is_own = True
        shown = [*self._before, *self._held, (item, instead)]
        self._before.clear()
        self._held.clear()
        return shown


class Seen(NamedTuple):
    """An event, as whoever sees a space alone is told it."""

    told: Told
    data: Mapping[str, Any]


class Parting:
    """What of all that is said belongs to one space."""

    def __init__(self, own: Own, sessions: Sequence[Mapping[str, Any]]) -> None:
        """`sessions` are those that are open already."""
        self._own = own
        self._ours: dict[int, Conversation[Told]] = {}
        """Sessions of which something was seen."""
        self._strange: OrderedDict[int, Conversation[Told]] = OrderedDict()
        """Those that may still turn out to be of that kind, as far as there is room for them."""
        for each in sessions:
            self._begin(each["session"], each["door"], str(each.get("login", "")))

    def sessions(self, sessions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of them who are in the space."""
        return [each for each in sessions if self._own.is_in(str(each.get("login", "")))]

    async def take(self, told: Told) -> list[Seen]:
        """What is to be told now that this was said: nothing, this, or what was held till now and this."""
        event = told.event
        if event.door in INSIDE:
            is_own = self._own.is_in(str(event.data.get("login", "")))
            return [await self._seen(told, None, is_in=True)] if is_own else []
        if not event.session or event.door in ("app", "queue"):
            return []
        known = self._ours.get(event.session) or self._strange.get(event.session)
        if known is None or event.name == "connected":
            known = self._begin(event.session, event.door, "")
        match event.name:
            case "logged in":
                login = str(event.data.get("login", ""))
                known.enter(login)
                if space_of(login) not in ("", self._own.space):
                    return []
            case "logged out":
                known.enter("")
            case "disconnected":
                self._ours.pop(event.session, None)
                self._strange.pop(event.session, None)
                return [await self._seen(told, None, is_in=True)] if known.is_own else []
        line = (str(event.data["who"]), str(event.data["text"])) if event.name == "line" else ("", "")
        heard = await known.hear(told, *line)
        if known.is_own and self._strange.pop(event.session, None) is not None:
            self._ours[event.session] = known
        return [await self._seen(one, instead, is_in=known.is_in) for one, instead in heard]

    def _begin(self, session: int, door: str, login: str) -> Conversation[Told]:
        made: Conversation[Told] = Conversation(self._own, door, login=login)
        self._ours.pop(session, None)
        if made.is_own:
            self._ours[session] = made
        else:
            self._strange[session] = made
            if len(self._strange) > MOST_STRANGE:
                self._strange.popitem(last=False)
        return made

    async def _seen(self, told: Told, instead: str | None, *, is_in: bool) -> Seen:
        data = fields(told.event)
        if instead is not None:
            data["text"] = instead
        if not is_in:
            if isinstance(each := data.get("recipients"), list):
                data["recipients"] = await self._own.among(each, str(data.get("login", "")))
            if told.event.name == "fault":  # a rule may name others
                data = {name: data[name] for name in data if name not in ("fault", "recipient")}
        return Seen(told, data)
