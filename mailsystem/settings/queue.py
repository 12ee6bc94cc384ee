"""The settings of what leaves."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import SyntaxFault
from mailsystem.settings.group import Group, Names, parsed

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


def host_and_port(text: str) -> tuple[str, int | None]:
    """Name or address, and port if it is named, of `mail.example.net`, `192.0.2.1:25` or `[2001:db8::1]:587`.

    Raises `ValueError`.
    """
    place = _PLACE.fullmatch(text)
    if place is None:
        return str(ipaddress.IPv6Address(text)), None
    host = place["four"] if place["six"] is None else str(ipaddress.IPv6Address(place["six"]))
    port = None if place["port"] is None else int(place["port"])
    if not host or not host.isprintable() or " " in host or (port is not None and not 1 <= port <= 65_535):
        raise ValueError(f"{text} is no host and port")
    return host, port


class Queue(Group):
    """How mail for other servers is handed on."""

    relaying: bool = Field(
        default=True,
        description="Take mail for other servers from people who have logged in; without it, mail is for people here only.",
    )
    sink_allow: Names = Field(
        default=(),
        description="Addresses that a sink sends mail on to as well, as ann@example.org or *@example.org; empty sends nothing.",
    )
    connections: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Most connections to other servers at once. Those on which one message takes more than a minute are not"
        " counted, so that slow servers hold up nobody else, until there are ten times as many.",
    )
    connections_per_domain: int = Field(
        default=5, ge=1, le=1000, description="Most of them for the mail of one domain, for each process of the queue."
    )
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

    port: int = Field(default=25, ge=1, le=65_535, description="Port at which the hosts of other domains are asked.")
    smarthost: str = Field(
        default="",
        description="Server that carries all mail on, as mail.example.net or with a port as mail.example.net:587; empty"
        " sends mail to the hosts of each domain. Without a port 587, with `implicit` 465, with `none` 25.",
    )
    smarthost_login: str = Field(default="", description="Login at the smarthost; empty for none.")
    smarthost_password: SecretStr | None = Field(default=None, description="The password that goes with it.")
    smarthost_tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls",
        description="TLS with the smarthost: never without it (starttls), from the first octet (implicit), or none. A"
        " password is told only to a smarthost with a valid certificate, or with none to one on this machine.",
    )
    smarthosts: Annotated[dict[str, str], BeforeValidator(parsed)] = Field(
        default={},
        description="Servers that carry on the mail for single domains, without a login: domain and server, the latter as"
        " in smarthost, with port 25 where none is named. An empty server sends mail to the hosts of that domain.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file with further authorities whose certificates are valid where mail is sent to.",
    )
    connect_timeout: float = Field(
        default=30.0, ge=1, le=300, description="Seconds that one address of another server has to answer at all."
    )
    answer_timeout: float = Field(
        default=300.0,
        ge=10,
        le=600,
        description="Seconds that another server has for its greeting and for each of its answers.",
    )

    @field_validator("smarthost")
    @classmethod
    def _smarthost(cls, text: str) -> str:
        try:
            if text:
                host_and_port(text)
        except ValueError:
            raise ValueError("should be a server such as mail.example.net or mail.example.net:587") from None
        return text

    @field_validator("smarthosts")
    @classmethod
    def _smarthosts(cls, table: dict[str, str]) -> dict[str, str]:
        try:
            for server in table.values():
                if server:
                    host_and_port(server)
            return {normal_domain(domain): server for domain, server in table.items()}
        except (ValueError, SyntaxFault):
            raise ValueError('should be domains and servers such as "example.net" = "mail.example.net:25"') from None

    @field_validator("ca_file")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @field_validator("sink_allow")
    @classmethod
    def _sent_on(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            local, _, domain = pattern.rpartition("@")
            if not local or not domain:
                raise ValueError("should be addresses such as ann@example.org, or *@example.org")
        return patterns

    @field_validator("nameservers")
    @classmethod
    def _asked(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for name in names:
                name_server(name)
        except ValueError:
            raise ValueError("should be addresses such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53") from None
        return names

    @property
    def carrier(self) -> tuple[str, int] | None:
        """Host and port of the smarthost."""
        if not self.smarthost:
            return None
        host, port = host_and_port(self.smarthost)
        return host, port or {"starttls": 587, "implicit": 465, "none": 25}[self.smarthost_tls]

    @property
    def carriers(self) -> dict[str, tuple[str, int] | None]:
        """Host and port by domain; None where mail goes to the domain's own hosts."""
        places = {domain: host_and_port(server) if server else None for domain, server in self.smarthosts.items()}
        return {domain: place and (place[0], place[1] or 25) for domain, place in places.items()}

    @model_validator(mode="after")
    def _ascending(self) -> Queue:
        if self.retry_first > self.retry_most:
            raise ValueError("retry_first is the shortest wait and retry_most the longest: it cannot be less")
        return self
