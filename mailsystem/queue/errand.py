"""One message on its way to the servers of one domain: whom it still has to reach, and what came of each try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from mailsystem.mail.address import Address
from mailsystem.mail.outgoing import Attempt, State, Waiting
from mailsystem.queue.client import Fault, Loop, NoHandshake, Session, Untrusted
from mailsystem.queue.content import Content
from mailsystem.queue.opening import TooWeak, Way
from mailsystem.store.tls_levels import Level


class Errand:
    """What is known so far. Who is `left` has no answer of any server."""

    def __init__(self, content: Content, recipients: Sequence[Waiting], *, until: float) -> None:
        self.content = content
        self.message = content.message
        self.until = until
        self.took: Level | None = None
        """How well it was protected on its way to somebody who has taken it."""
        self._recipients = list(recipients)
        self._settled: dict[Address, Attempt] = {}
        self._fault: Attempt | None = None

    @property
    def left(self) -> list[Waiting]:
        return [one for one in self._recipients if one.address not in self._settled]

    @property
    def is_over(self) -> bool:
        return all(one.address in self._settled for one in self._recipients)

    @property
    def is_answered(self) -> bool:
        """Whether anything is known of anybody."""
        return bool(self._settled)

    @property
    def attempts(self) -> list[Attempt]:
        """One for each recipient, once it is over."""
        return [self._settled[one.address] for one in self._recipients]

    def take(self, attempts: Mapping[Address, Attempt], level: Level) -> None:
        """What one server has answered."""
        self._settled.update(attempts)
        if any(attempt.state in {State.SENT, State.RELAYED} for attempt in attempts.values()):
            self.took = level

    def settle(self, state: Literal[State.FAILED, State.WAITING], status: str, text: str) -> None:
        """The same for all who are left, since there is no server to ask."""
        for one in self.left:
            self._settled[one.address] = Attempt(one.address, state, status, text)

    def note(self, fault: Fault, way: Way, session: Session | None) -> None:
        """A server was of no use. Where there is no use in asking another, that is it for all who are left."""
        status, final, text = fault.status, fault.final, fault.text
        if self.message.require_tls and isinstance(fault, Untrusted | NoHandshake | TooWeak):
            status, final = "5.7.10", True  # RFC 8689 4.2.1: it does not wait for better times
        if not final:
            status = f"4{status[1:]}"
        if fault.after_end:
            text = f"{text}; it had the whole message, and may have taken it"
        attempt = Attempt(
            Address.NULL,
            State.FAILED if final else State.WAITING,
            status,
            text,
            way.host,
            way.address,
            session.secure if session is not None else None,
        )
        decides = fault.after_end or isinstance(fault, Loop)
        # One that may do better next time counts for more than one that never will.
        if decides or self._fault is None or not final or self._fault.state is State.FAILED:
            self._fault = attempt
        if decides:
            self.give_up()

    def give_up(self) -> None:
        """There is nobody else to ask."""
        found = self._fault or Attempt(Address.NULL, State.WAITING, "4.4.1", "no server was reached")
        for one in self.left:
            self._settled[one.address] = replace(found, address=one.address)
