"""The settings of what leaves."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from pydantic import Field, field_validator, model_validator

from mailsystem.settings.group import Group, Names

_PLACE: Final = re.compile(r"(?:\[(?P<six>[^]]*)\]|(?P<four>[^:]*))(?::(?P<port>[0-9]{1,5}))?", re.ASCII)


def name_server(text: str) -> tuple[str, int]:
    """Address and port of `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:53`. Raises `ValueError`."""
    place = _PLACE.fullmatch(text)
    if place is None:
        return str(ipaddress.IPv6Address(text)), 53
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    address = ipaddress.IPv4Address(place["four"]) if place["six"] is None else ipaddress.IPv6Address(place["six"])
    port = int(place["port"] or 53)
    if not 1 <= port <= 65_535:
        raise ValueError(f"{port} is no port")
    return str(address), port


class Queue(Group):
    """How mail for other servers is handed on."""

    retry_first: float = Field(
        default=120.0,
        ge=1,
        le=86_400,
        description="Seconds until mail that could not be handed on is tried again; each further wait is twice as long.",
    )
    retry_most: float = Field(
        default=14_400.0, ge=1, le=172_800, description="Most seconds between two tries to hand mail on."
    )
    delay_notice: float = Field(
        default=14_400.0,
        ge=0,
        description="Seconds after which senders are told that their mail is still waiting; 0 tells them nothing.",
    )
    lifetime: float = Field(
        default=432_000.0,
        ge=60,
        le=2_592_000,
        description="Seconds that mail is tried before it is given up and goes back to its sender.",
    )
    suppress_after: int = Field(
        default=3,
        ge=0,
        description="Failures in a row, each because there is no such mailbox, after which nothing is sent to an address any"
        " more; 0 suppresses none by itself.",
    )

    nameservers: Names = Field(
        default=(),
        description="Name servers that are asked where mail goes, each with its port or without, as 192.0.2.1 or"
        " [2001:db8::1]:53; empty asks those of the system.",
    )
    private_hosts: bool = Field(
        default=False,
        description="Send mail also to loopback, link-local and private addresses where DNS leads there; a smarthost may"
        " always have one.",
    )
    tls_memory_days: float = Field(
        default=30.0,
        ge=0,
        le=3650,
        description="Days for which a domain that has once taken mail under TLS is sent none without.",
    )

    @field_validator("nameservers")
    @classmethod
    def _asked(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for name in names:
                name_server(name)
        except ValueError:
            raise ValueError("should be addresses such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53") from None
        return names

    @model_validator(mode="after")
    def _ascending(self) -> Queue:
        if self.retry_first > self.retry_most:
            raise ValueError("retry_first is the shortest wait and retry_most the longest: it cannot be less")
        return self
