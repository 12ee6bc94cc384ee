"""What has arrived for one test, told by the server's thread to whoever waits in any other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault
from mailsystem.testing.arrival import Parcel


class Claims:
    """Whose mail it is: some addresses, with any detail (`ann+shop@…`), and whole domains."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.domains: list[str] = []

    def has(self, recipient: str) -> bool:
        """Whether mail for that recipient belongs here."""
        try:
            address = Address.kept(recipient)
        except SyntaxFault:
            return recipient.casefold() in self.addresses
        return (
            address.domain in self.domains
            or address.key in self.addresses
            or address.without_detail()[0].key in self.addresses
        )


class Arrivals:
    """The messages for some addresses and domains, in the order in which they came."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self._lock = threading.Lock()
        self._parcels: list[Parcel] = []
        self._waiting: list[Future[None]] = []

    def takes(self, parcel: Parcel) -> bool:
        """Add it, if it is for one of these; and wake who waits."""
        if not any(map(self.claims.has, parcel.envelope.rcpt)):
            return False
        with self._lock:
            self._parcels.append(parcel)
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            if each.set_running_or_notify_cancel():
                each.set_result(None)
        return True

    def all(self) -> Sequence[Parcel]:
        """Those that there are now."""
        with self._lock:
            return tuple(self._parcels)

    def more_than(self, count: int) -> Future[None]:
        """Is done once there are more than so many."""
        future: Future[None] = Future()
        with self._lock:
            if len(self._parcels) <= count:
                self._waiting.append(future)
                return future
        future.set_result(None)
        return future
