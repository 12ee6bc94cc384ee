"""What DNS has to say about a domain, so that mail for it finds the way and mail from it is believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mailsystem.mailauth.keys import DkimRecord, record_of
from mailsystem.store import SigningKey

TTL: Final = 3600
MX_PREFERENCE: Final = 10


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish."""

    name: str
    """The full name, without the dot at its end."""
    kind: Literal["MX", "TXT"]
    value: str
    """Of a TXT record all its strings in one."""
    purpose: str

    @property
    def strings(self) -> list[str]:
        """RFC 1035 3.3.14: the strings of a TXT record, which have at most 255 octets each."""
        return DkimRecord(self.name, self.value).strings

    @property
    def line(self) -> str:
        """As it stands in a zone file (RFC 1035 5.1)."""
        if self.kind == "MX":
            return f"{self.name}. {TTL} IN MX {self.value}."
        strings = [f'"{string}"' for string in self.strings]
        data = strings[0] if len(strings) == 1 else "( " + "\n    ".join(strings) + " )"
        return f"{self.name}. {TTL} IN TXT {data}"


def records_of(domain: str, hostname: str, keys: Sequence[SigningKey]) -> Iterator[Record]:
    """Everything to publish for a domain whose mail comes in and leaves by `hostname`. Raises `ValueError` for a broken key."""
    purpose = (
        f"mail for {domain} goes to this server; {hostname} must have an address, and that a PTR record back to it"
    )
    yield Record(domain, "MX", f"{MX_PREFERENCE} {hostname}", purpose)
    # `~all`, not `-all`: some refuse a message for the latter before they have seen its signature, which is good even where
    # the message was forwarded. With DMARC nothing is lost by that (RFC 7489 10.1).
    yield Record(domain, "TXT", "v=spf1 mx ~all", f"SPF: mail from {domain} comes from there")
    for key in keys:
        record = record_of(key)
        yield Record(record.name, "TXT", record.value, f"DKIM: the {key.state} key for {key.algorithm}")
    yield Record(
        f"_dmarc.{domain}",
        "TXT",
        f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}",
        "DMARC: only tells for now; once all is well, p=quarantine, then p=reject",
    )


def is_published(record: DkimRecord, found: Sequence[str]) -> bool:
    """Whether one of these TXT records holds that key, however it is written (RFC 6376 3.6.1)."""
    return any(_key(text) == _key(record.value) for text in found)


def _key(text: str) -> tuple[str, str]:
    tags = dict(_tags(text))
    return tags.get("k", "rsa"), tags.get("p", "")


def _tags(text: str) -> Iterator[tuple[str, str]]:
    for tag in text.split(";"):
        name, _, value = tag.partition("=")
        yield name.strip(), "".join(value.split())
