"""Questions to DNS and their answers: bounded, remembered for as long as they hold, asked once by many at a time."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from mailsystem.mail.address import normal_domain
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import SyntaxFault

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.message
    import dns.name
    import dns.resolver

Kind: TypeAlias = Literal["MX", "A", "AAAA", "TXT"]

MOST_MX: Final = 100
"""MX records of one domain that are looked at: those that are preferred."""
MOST_TXT: Final = 200
"""TXT records of one name that are looked at."""
MOST_ADDRESSES: Final = 20
"""Addresses of one host, of each family, that are looked at."""
MOST_CNAMES: Final = 8
"""Names that one leads to, one after the other."""

PATIENCE: Final = 10.0
"""Seconds for one question, all name servers and repetitions together."""
SHORTEST, LONGEST = 30.0, 3600.0
"""Seconds for which an answer is kept, whatever its TTL says (RFC 2181 8)."""
LONGEST_NO: Final = 300.0
"""Seconds for which it is remembered at most that there is none (RFC 2308 5)."""
FAILED_FOR: Final = 30.0
"""Seconds for which nobody asks again where DNS failed."""

_TRY: Final = 3.0
_READ_AGAIN: Final = 60.0
"""Seconds after which the system's name servers are read again."""
_MOST_REMEMBERED: Final = 10_000
_MOST_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Record:
    value: str
    """An address, a text, or the name of a host: `.` where an MX record names none (RFC 7505), empty where it names no
    possible one."""
    preference: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS says: records, none of that kind, or that there is no such name."""

    records: tuple[Record, ...] = ()
    exists: bool = True
    ttl: float = LONGEST


class LookupFailed(Exception):
    """DNS did not say; it may later."""


class Resolver(Protocol):
    """Whoever answers questions; the second implementation is a test's."""

    async def ask(self, name: str, kind: Kind) -> Answer:
        """CNAMEs are followed. Raises `LookupFailed`."""
        ...


class Dns:
    """Asks name servers, by dnspython: these (address and port), or the system's."""

    def __init__(self, nameservers: Sequence[tuple[str, int]] = (), *, patience: float = PATIENCE) -> None:
        # Brought in here, so that it is there before the first message, and never where nothing is sent.
        import mailsystem.queue.name_server  # noqa: F401

        self._nameservers = tuple(nameservers)
        self._patience = patience
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._read = 0.0

    async def ask(self, name: str, kind: Kind) -> Answer:
        import dns.exception
        import dns.flags
        import dns.name
        import dns.resolver

        try:
            asked = dns.name.from_text(name.rstrip(".") + ".")
        except (dns.exception.DNSException, UnicodeError, ValueError):
            return Answer(exists=False)  # no name at all, or longer than any can be
        ttl = LONGEST
        try:
            async with asyncio.timeout(self._patience):
                left = MOST_CNAMES
                while True:
                    found = await self._resolving().resolve(
                        asked, kind, lifetime=self._patience, search=False, raise_on_no_answer=False
                    )
                    if found.response.flags & dns.flags.TC:
                        # Even by TCP: what is missing may be the very record that counts.
                        raise LookupFailed("no whole answer")
                    chain = found.chaining_result
                    ttl = min(ttl, float(chain.minimum_ttl))
                    left -= len(chain.cnames)
                    if left < 0:
                        raise LookupFailed("too many aliases, one leading to the next")
                    if chain.answer is not None or chain.canonical_name == asked:
                        return Answer(_bounded(_records(found, kind), kind), ttl=ttl)
                    # The name server has left the rest of the way to us.
                    asked = chain.canonical_name
        except dns.resolver.NXDOMAIN as error:
            return Answer(exists=False, ttl=min([ttl, *_ttls(error)]))
        except TimeoutError:
            raise LookupFailed("no answer in time") from None
        except dns.exception.Timeout:
            raise LookupFailed("no answer in time") from None
        except LookupFailed:
            raise
        except Exception as error:
            # Whatever ails DNS, or the answer of some name server, mail waits and is tried again.
            raise LookupFailed("no usable answer") from error

    def _resolving(self) -> dns.asyncresolver.Resolver:
        import dns.asyncresolver

        from mailsystem.queue.name_server import NameServer

        now = asyncio.get_running_loop().time()
        if self._resolver is None or (not self._nameservers and now - self._read > _READ_AGAIN):
            resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
            places = self._nameservers or [(str(address), resolver.port) for address in resolver.nameservers]
            resolver.nameservers = [NameServer(host, port) for host, port in places]
            resolver.timeout = min(_TRY, self._patience)
            self._resolver, self._read = resolver, now
        return self._resolver


def _records(found: dns.resolver.Answer, kind: Kind) -> Iterator[Record]:
    for data in found.rrset or ():
        if kind == "TXT":
            yield Record(b"".join(data.strings).decode("utf-8", "replace"))
        elif kind != "MX":
            yield Record(str(ipaddress.ip_address(data.address)))
        elif len(data.exchange.labels) == 1:
            yield Record(".", data.preference)
        else:
            yield Record(_name(data.exchange), data.preference)


def _name(exchange: dns.name.Name) -> str:
    """Of a host; empty where it cannot be one, such as an address in the place of a name."""
    try:
        name = normal_domain(exchange.to_text(omit_final_dot=True))
    except SyntaxFault:
        return ""
    return "" if name.rpartition(".")[2].isdigit() else name


def _bounded(records: Iterator[Record], kind: Kind) -> tuple[Record, ...]:
    if kind == "TXT":
        return tuple(records)[:MOST_TXT]
    if kind != "MX":
        return tuple(dict.fromkeys(records))[:MOST_ADDRESSES]
    return tuple(sorted(records, key=lambda record: record.preference)[:MOST_MX])


def _ttls(error: dns.resolver.NXDOMAIN) -> Iterator[float]:
    responses: dict[dns.name.Name, dns.message.QueryMessage] = error.responses()  # type: ignore[no-untyped-call]
    for response in responses.values():
        yield float(response.resolve_chaining().minimum_ttl)


async def of_system(name: str) -> Sequence[str]:
    """The addresses that a program of this machine finds for a name, by /etc/hosts and whatever else is set up here."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(place[0]) for *_, place in found))


class Remembering:
    """Asks another one, and only where it does not know itself."""

    def __init__(self, resolver: Resolver, clock: Clock, most: int = _MOST_REMEMBERED) -> None:
        self._resolver = resolver
        self._clock = clock
        self._most = most
        self._known: OrderedDict[tuple[str, Kind], tuple[float, float, Answer | LookupFailed]] = OrderedDict()
        self._asking: dict[tuple[str, Kind], asyncio.Task[Answer | LookupFailed]] = {}
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)

    async def ask(self, name: str, kind: Kind) -> Answer:
        said = self._remembered(name, kind)
        if said is None:
            task = self._asking.get((name, kind))
            if task is None:
                task = self._asking[name, kind] = asyncio.create_task(self._ask(name, kind))
                task.add_done_callback(lambda _: self._asking.pop((name, kind), None))
            said = await asyncio.shield(task)  # whoever stops waiting leaves it to the others
        if isinstance(said, LookupFailed):
            raise LookupFailed(str(said))
        return said

    async def close(self) -> None:
        """Nobody waits for an answer any more."""
        waiting = list(self._asking.values())
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)

    def _remembered(self, name: str, kind: Kind) -> Answer | LookupFailed | None:
        since, until, said = self._known.get((name, kind), (0.0, 0.0, None))
        return said if since <= self._clock.now() < until else None

    async def _ask(self, name: str, kind: Kind) -> Answer | LookupFailed:
        said: Answer | LookupFailed
        async with self._turns:
            try:
                said = await self._resolver.ask(name, kind)
            except LookupFailed as error:
                said = error
        now = self._clock.now()
        self._known[name, kind] = (now, now + _seconds(said), said)
        self._known.move_to_end((name, kind))
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return said


def _seconds(said: Answer | LookupFailed) -> float:
    if isinstance(said, LookupFailed):
        return FAILED_FOR
    return min(max(said.ttl, SHORTEST), LONGEST if said.records else LONGEST_NO)
