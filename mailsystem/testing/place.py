"""What a test needs of a server, wherever that runs."""

from __future__ import annotations

import ssl
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from mailsystem.testing.arrivals import Arrivals, Claims
from mailsystem.testing.failing import Row

Door: TypeAlias = Literal["smtp", "submissions", "pop3", "pop3s", "imap", "imaps"]


@dataclass(frozen=True, slots=True)
class Where:
    """Where a server listens."""

    host: str
    ports: dict[str, int]
    """Listener to port; those with an `s` at their end speak TLS at once."""
    url: str | None = None
    """Of its page; None where it has none."""

    def port(self, door: Door) -> int:
        """Raises `LookupError` where the server does not listen there."""
        try:
            return self.ports[door]
        except KeyError:
            raise LookupError(f"the server does not listen for {door}") from None


class Server(Protocol):
    """A running sink."""

    where: Where
    is_shared: bool
    """Whether others, who know nothing of us, may use it at the same time."""

    def watch(self, claims: Claims) -> AbstractContextManager[Arrivals]:
        """For as long as this is entered, what comes for these is told."""
        ...

    def settled(self) -> Future[None]:
        """Is done once all that had come when this was called has been told."""
        ...

    def still(self) -> Future[None] | None:
        """Is done once nobody is connected who could bring mail; None where that cannot be known."""
        ...

    def found(self, query: str, ids: frozenset[str]) -> Future[frozenset[str]]:
        """Which of these messages a query finds. Raises `ValueError` where it is none."""
        ...

    def strays(self) -> list[Row]:
        """The last messages that came for no test."""
        ...

    def forget(self, logins: list[str], ids: frozenset[str]) -> Future[None]:
        """Remove these messages from what these people read."""
        ...

    def faults(self, rules: list[dict[str, Any]]) -> AbstractContextManager[None]:
        """For as long as this is entered, these things go wrong. Raises `ValueError` for what makes no sense."""
        ...

    def trusted(self) -> ssl.SSLContext:
        """For clients: the server's certificate is good, and nobody else's."""
        ...

    def authority(self) -> Path | None:
        """A file with the certificate of whoever vouches for the server; None where nobody knows it."""
        ...
