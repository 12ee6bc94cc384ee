"""The mail of one test, and what a test can ask about it. Whoever waits does so by `driving`: here nothing blocks."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias, Unpack

from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.errors import SyntaxFault
from mailsystem.testing.alone import is_alone
from mailsystem.testing.arrival import Parcel
from mailsystem.testing.arrivals import Arrivals
from mailsystem.testing.driving import Steps, Wait, clock
from mailsystem.testing.failing import MailFailure, Row, hidden, table
from mailsystem.testing.matching import Asked, Wanted, wanted_of
from mailsystem.testing.message import Comparing, Message
from mailsystem.testing.place import Server

__tracebackhide__ = hidden

Order: TypeAlias = Literal["arrival", "newest", "subject"]
"""As they came, the last one first, or by their subjects."""

TIMEOUT: Final = 5.0
"""Seconds that an expected message may take."""
QUIET: Final = 0.3
"""Seconds without a message after which none is believed to come."""


class Expecting(Asked, total=False):
    """What may be said to those who wait for messages."""

    order: Order
    timeout: float
    """Seconds; 5 unless something else is said."""


_PATIENCE: Final = 30.0
"""Seconds that a server may take to say what it has."""
_LONGEST: Final = 24
_ORDERS: Final[dict[Order, Callable[[list[Message]], list[Message]]]] = {
    "arrival": list,
    "newest": lambda messages: messages[::-1],
    "subject": lambda messages: sorted(messages, key=lambda each: each.subject),
}


class Postbox:
    """The messages for some addresses, since it was opened or cleared."""

    def __init__(
        self,
        server: Server,
        arrivals: Arrivals,
        *,
        hint: str = "",
        worker: str = "",
        run: str = "",
        domain: str = "example.org",
        snapshots: Comparing | None = None,
    ) -> None:
        """`hint` is what addresses begin with; `worker` and `run` tell apart those who share a server.

        Raises `ValueError` for a `domain` that is none.
        """
        self.server = server
        self.arrivals = arrivals
        self.snapshots = snapshots
        self.is_idle = False
        self._hint = hint
        self._worker = worker
        self._run = run
        try:
            self._domain = normal_domain(domain)
        except SyntaxFault:
            raise ValueError(f"mail_domain: {domain!r} is no domain") from None
        self._messages: list[Message] = []
        self._start = 0

    def fresh_address(self, hint: str = "") -> str:
        """An address that nobody else has, and that is ours from here on."""
        words = re.sub(r"[^a-z0-9]+", "-", (hint or self._hint).lower()).strip("-")[:_LONGEST].strip("-")
        local = ".".join(filter(None, [words or "mail", self._worker, secrets.token_hex(3)]))
        self.arrivals.claims.addresses.append(f"{local}@{self._domain}")
        return self.arrivals.claims.addresses[-1]

    def claim_domain(self, name: str | None) -> str:
        """All of a domain is ours from here on; without a name it is one that nobody else has.

        Of workers that share a server, each has a part of its own below the name. Raises `SyntaxFault`.
        """
        if name is not None and self._worker and self.server.is_shared:
            name = f"{'-'.join(filter(None, [self._worker, self._run]))}.{name}"
        name = normal_domain(name or f"{'-'.join(filter(None, ['shop', self._worker, secrets.token_hex(3)]))}.test")
        self.arrivals.claims.domains.append(name)
        return name

    def masks(self) -> Sequence[tuple[re.Pattern[str], str]]:
        """What differs from run to run because tests have addresses of their own."""
        claims = self.arrivals.claims
        masks = [
            (re.compile(re.escape(each), re.IGNORECASE), f"<address {number}>" if number > 1 else "<address>")
            for number, each in enumerate(claims.addresses, 1)
        ]
        masks += [(re.compile(re.escape(each), re.IGNORECASE), "<domain>") for each in claims.domains]
        return masks

    def now(self, after: int | None = None) -> list[Message]:
        """Those that are here now; with `after` a `mark`, only those that came later."""
        parcels = self.arrivals.all()
        self._messages += [Message(each, self.snapshots) for each in parcels[len(self._messages) :]]
        return self._messages[self._start if after is None else max(after, self._start) :]

    # What takes time

    def settled(self) -> Steps[None]:
        """Wait until all that was sent before is here."""
        try:
            yield Wait(self.server.settled(), _PATIENCE)
        except TimeoutError:
            raise MailFailure("the mail server does not answer") from None

    def mark(self) -> Steps[int]:
        """Where what comes from now on begins."""
        yield from self.settled()
        return len(self.arrivals.all())

    def every(self) -> Steps[list[Message]]:
        """All messages that are here."""
        yield from self.settled()
        return self.now()

    def latest(self) -> Steps[Message]:
        """The last one. Raises `MailFailure`."""
        messages = yield from self.every()
        if not messages:
            raise self._failure("no message has arrived", Wanted(), [])
        return messages[-1]

    def clear(self) -> Steps[None]:
        """Forget all messages, and remove them from what their recipients read."""
        messages = yield from self.every()
        self._start += len(messages)
        claims = self.arrivals.claims
        theirs = {Address.kept(each).key for one in messages for each in one.envelope.rcpt if claims.has(each)}
        if messages:
            future = self.server.forget(sorted(theirs), frozenset(each.id for each in messages))
            yield Wait(future, _PATIENCE)

    def expect(
        self,
        count: int = 1,
        after: int | None = None,
        *,
        order: Order = "arrival",
        timeout: float = TIMEOUT,
        **asked: Unpack[Asked],
    ) -> Steps[list[Message]]:
        """Wait for exactly so many. Raises `MailFailure` where there are more, or not enough in time.

        Raises `ValueError` at once for what makes no sense.
        """
        if count < 1:
            raise ValueError("count should be at least 1; none() expects that nothing comes")
        if order not in _ORDERS:
            raise ValueError(f"order should be one of {', '.join(_ORDERS)}")
        return self._expect(wanted_of(asked), count, after, order, timeout)

    def _expect(
        self, wanted: Wanted, count: int, after: int | None, order: Order, timeout: float
    ) -> Steps[list[Message]]:
        until = clock() + timeout
        yield from self.settled()
        # What a message says stays as it is, so it is looked at once; what a query finds may depend on more.
        plain, looked_at, likely = replace(wanted, query=None), 0, list[Message]()
        while True:
            seen = len(self.arrivals.all())
            messages = self.now(after)
            likely += [each for each in messages[looked_at:] if not plain.why_not(each)]
            looked_at = len(messages)
            wanted = yield from self._looked(wanted, likely)
            hits = [each for each in likely if wanted.found is None or each.id in wanted.found]
            if len(hits) == count:
                return _ORDERS[order](hits)
            left = until - clock()
            if len(hits) > count or left <= 0:
                failure = self._failure(_told(wanted, count, len(hits), timeout), wanted, messages)
                failure.is_late = len(hits) < count
                raise failure
            yield from self._more_than(seen, left)

    def none(self, within: float | None = None, after: int | None = None, **asked: Unpack[Asked]) -> Steps[None]:
        """Wait until it has been quiet for so long; not at all where the application is idle. Where nothing is said, it is seen
        whether anybody is left who could send something, and only then waited. Raises `MailFailure`."""
        wanted = wanted_of(asked)
        sees, quiet = within is None, QUIET if within is None else within
        while True:
            since, before = clock(), len(self.arrivals.all())
            is_over = self.is_idle or quiet <= 0 or (sees and (yield from self._is_still(quiet)))
            yield from self.settled()
            seen = len(self.arrivals.all())
            messages = self.now(after)
            wanted = yield from self._looked(wanted, messages)
            if hits := [each for each in messages if not wanted.why_not(each)]:
                said = f"expected no message{_with(wanted)}; {len(hits)} came"
                # Here it is those that are as they should not be that are told of.
                raise MailFailure(f"{said}:\n{table([row_of(each) for each in hits])}")
            left = quiet if seen > before else quiet - (clock() - since)
            if is_over or left <= 0 or not (yield from self._more_than(seen, left)):
                return

    def _is_still(self, seconds: float) -> Steps[bool]:
        """Whether nobody is left who could send: what was sent by then is on its way here, and nothing follows."""
        if not is_alone() or (still := self.server.still()) is None:
            return False
        try:
            yield Wait(still, seconds)
        except TimeoutError:
            return False
        return True

    def _more_than(self, seen: int, seconds: float) -> Steps[bool]:
        """Wait for another message; whether one came."""
        try:
            yield Wait(self.arrivals.more_than(seen), seconds)
        except TimeoutError:
            return False
        return True

    def _looked(self, wanted: Wanted, messages: Sequence[Message]) -> Steps[Wanted]:
        """The same with what its query finds among these."""
        if wanted.query is None:
            return wanted
        found = yield Wait(self.server.found(wanted.query, frozenset(each.id for each in messages)), _PATIENCE)
        return replace(wanted, found=found)

    def _failure(self, said: str, wanted: Wanted, messages: Sequence[Message]) -> MailFailure:
        parts = [said]
        if messages:
            parts.append("what did arrive:\n" + table([row_of(each, wanted.why_not(each)) for each in messages]))
        else:
            parts.append(f"nothing arrived for {', '.join([*self.arrivals.claims.addresses, *self._domains()])}")
        if strays := self.server.strays():
            parts.append("for nobody's test came:\n" + table(strays))
        return MailFailure("\n".join(parts))

    def _domains(self) -> list[str]:
        return [f"*@{each}" for each in self.arrivals.claims.domains]


def row_of(message: Message, why: str = "") -> Row:
    """A message in a table."""
    sender = message.sender or message.envelope.mail_from or "<>"
    return Row(message.arrived, sender, ", ".join(message.envelope.rcpt) or ", ".join(message.to), message.subject, why)


def stray(parcel: Parcel) -> Row:
    """A message that came for no test."""
    message = Message(parcel)
    return Row(parcel.at, message.sender or parcel.envelope.mail_from, ", ".join(parcel.envelope.rcpt), message.subject)


def _with(wanted: Wanted) -> str:
    return f" with {wanted}" if str(wanted) else ""


def _told(wanted: Wanted, count: int, hits: int, timeout: float) -> str:
    one = "exactly one message" if count == 1 else f"exactly {count} messages"
    came = f"{hits} came" if hits else "none came"
    return f"expected {one}{_with(wanted)} within {timeout:g} s; {came}"
