"""DNS as checks ask it: a zone that is given, so that nothing leaves this machine, or the real one where that is wanted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

MOST_ALIASES: Final = 8
LIFETIME: Final = 5.0
"""Seconds in which the real DNS has to answer one question."""


class NotAnswered(Exception):
    """DNS could not be asked, which says nothing about what it knows."""


class BadZone(ValueError):
    """A text that is no zone."""


class Zone(Protocol):
    """Whoever answers. A name without records has an empty answer. Blocks while it asks."""

    def records(self, name: str, kind: str) -> list[str]:
        """Records of a kind (A, AAAA, MX, PTR) as a zone file writes their values. Raises `NotAnswered`."""
        ...

    def text(self, name: str) -> list[str]:
        """TXT records, each with its strings joined. Raises `NotAnswered`."""
        ...


class GivenZone:
    """Records that are written down: the names that are not among them do not exist."""

    def __init__(self, records: Iterable[tuple[str, str, str]]) -> None:
        """Name, kind and value, with or without a dot at the end; TXT values as plain text."""
        self._known: dict[tuple[str, str], list[str]] = {}
        for name, kind, value in records:
            self._known.setdefault((_normal(name), kind.upper()), []).append(value)

    @classmethod
    def parse(cls, text: str) -> GivenZone:
        """A zone file (RFC 1035 5.1) without $INCLUDE, of any number of domains. Raises `BadZone`."""
        import dns.exception
        import dns.name
        import dns.rdataclass
        import dns.rdatatype
        import dns.tokenizer
        import dns.zonefile

        found: list[tuple[str, str, str]] = []

        class Gathering(dns.zonefile.RRsetsReaderTransaction):
            """Takes every record, also those that a zone may not have together, such as the SOA of a second one."""

            def add(self, *record: Any) -> None:
                name, _, value = record
                kind = dns.rdatatype.to_text(value.rdtype)
                text = b"".join(value.strings).decode("utf-8", "replace") if kind == "TXT" else value.to_text()
                found.append((name.to_text(), kind, text))

        try:
            dns.zonefile.Reader(
                dns.tokenizer.Tokenizer(text, "zone"),
                dns.rdataclass.IN,
                Gathering(dns.zonefile.RRSetsReaderManager(), True, False),  # type: ignore[no-untyped-call]
                allow_directives=("$ORIGIN", "$TTL"),  # nothing that reads files or makes records without end
                default_ttl=3600,
            ).read()
        except (dns.exception.DNSException, ValueError, IndexError, KeyError) as error:
            raise BadZone(f"this is no zone file: {error or type(error).__name__}") from error
        return cls(found)

    @classmethod
    def read(cls, file: Path) -> GivenZone:
        """A zone file. Raises `BadZone` and `OSError`."""
        return cls.parse(file.read_text(encoding="utf-8"))

    def records(self, name: str, kind: str) -> list[str]:
        name = _normal(name)
        for _ in range(MOST_ALIASES):
            if found := self._known.get((name, kind)):
                return list(found)
            alias = self._known.get((name, "CNAME"))
            if not alias:
                break
            name = _normal(alias[0])
        return []

    def text(self, name: str) -> list[str]:
        return self.records(name, "TXT")


class RealZone:
    """The DNS of this machine, or name servers that are named by address, at one port."""

    def __init__(self, nameservers: Iterable[str] = (), port: int = 53) -> None:
        import dns.resolver

        named = list(nameservers)
        self._resolver = dns.resolver.Resolver(configure=not named)
        self._resolver.lifetime = LIFETIME
        if named:
            self._resolver.nameservers = named
            self._resolver.port = port

    def _ask(self, name: str, kind: str) -> list[object]:
        import dns.exception
        import dns.name
        import dns.resolver

        try:
            return list(self._resolver.resolve(_normal(name) + ".", kind, raise_on_no_answer=False))
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong):
            return []
        except (dns.exception.DNSException, UnicodeError, OSError) as error:
            raise NotAnswered(f"DNS does not answer about {name}") from error

    def records(self, name: str, kind: str) -> list[str]:
        return [str(value) for value in self._ask(name, kind)]

    def text(self, name: str) -> list[str]:
        return [b"".join(value.strings).decode("utf-8", "replace") for value in self._ask(name, "TXT")]  # type: ignore[attr-defined]


def _normal(name: str) -> str:
    return name.lower().rstrip(".")
