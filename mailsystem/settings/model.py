"""The settings themselves: every knob with its default and the sentence that describes it."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import SyntaxFault
from mailsystem.settings.doors import (
    Imap,
    Imaps,
    Lmtp,
    Pop1,
    Pop2,
    Pop3,
    Pop3s,
    Smtp,
    Submission,
    Submissions,
    Web,
)
from mailsystem.settings.faults import Faults
from mailsystem.settings.group import Group, Names, defaults, listed, parsed
from mailsystem.settings.keeping import Retention, Spaces
from mailsystem.settings.queue import Queue
from mailsystem.settings.sink import Sink, Tags
from mailsystem.settings.webhooks import Webhooks

PREFIX: Final = "MAILSYSTEM_"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(value: object) -> object:
    try:
        return ipaddress.ip_network(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("should be addresses or networks such as 192.0.2.1 or 2001:db8::/32") from None


def _cores() -> int:
    """Processors that we may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


Networks = Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(listed)]


class Pair(Group):
    """A further certificate."""

    cert: Path
    key: Path

    @field_validator("cert", "key")
    @classmethod
    def _home(cls, path: Path) -> Path:
        return path.expanduser()


class Tls(Group):
    """The certificate for STARTTLS, STLS and the doors that speak TLS at once."""

    cert: Path | None = Field(
        default=None, description="PEM file with the certificate and its chain; with it, every door offers TLS."
    )
    key: Path | None = Field(
        default=None, description="PEM file with the certificate's private key, without a passphrase."
    )
    names: Annotated[dict[str, Pair], BeforeValidator(parsed)] = Field(
        default={},
        description='Certificates for further names that clients ask for: under [tls.names."mail.example.net"] '
        "a cert and a key.",
    )

    @field_validator("cert", "key")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @model_validator(mode="after")
    def _both(self) -> Tls:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: set both or neither")
        if self.names and self.cert is None:
            raise ValueError("names are further certificates: cert and key name the first")
        return self


class Limits(Group):
    """What is too much."""

    message_size: ByteSize = Field(
        default=ByteSize(50 * 1024 * 1024),
        ge=65_536,  # RFC 5321 4.5.3.1.7: at least 64K octets
        description='Largest message accepted, in octets or as "50 MiB"; told to senders by SIZE.',
    )
    recipients: int = Field(
        default=1000, ge=100, description="Most recipients of one message."
    )  # RFC 5321 4.5.3.1.8: at least 100
    messages_per_command: int = Field(
        default=0,
        ge=0,
        description="Most messages that one IMAP command may be about, told by MESSAGELIMIT; at least 1000 is what clients"
        " expect; 0 sets no limit.",
    )
    connections: int = Field(
        default=20_000,
        ge=0,
        description="Most connections that are open at once, at all workers together; 0 sets no limit.",
    )
    connections_per_address: int = Field(
        default=200,
        ge=0,
        description="Most of them from one IPv4 address or one IPv6 /64, this machine apart; 0 sets no limit.",
    )
    streams_per_account: int = Field(
        default=200,
        ge=0,
        description="Most streams of events and waits that one account may have open by HTTP at once, at each worker; 0 sets"
        " no limit.",
    )
    streams_per_address: int = Field(
        default=200,
        ge=0,
        description="Most of them from one IPv4 address or one IPv6 /64, this machine apart; 0 sets no limit.",
    )
    messages_per_hour_login: int = Field(
        default=0, ge=0, description="Most messages that one login may send in an hour; 0 sets no limit."
    )
    messages_per_hour_address: int = Field(
        default=0,
        ge=0,
        description="Most messages in an hour from one IPv4 address or one IPv6 /64, this machine apart; 0 sets no limit.",
    )
    recipients_per_day_login: int = Field(
        default=1000,
        ge=0,
        description="Most recipients on other servers that one login may write to in a day of UTC, each counted as often as"
        " a message is sent there; 0 sets no limit. `mailsystem user limits` sets another for one person.",
    )
    strangers_per_day_login: int = Field(
        default=200,
        ge=0,
        description="Most of them to whom that login has never written before, so that little is lost with a stolen password;"
        " 0 sets no limit.",
    )
    minimum_rate: int = Field(
        default=64,
        ge=0,
        description="Octets a second that a message must come with, after its first half minute; 0 waits for the slowest.",
    )
    data_total: float = Field(
        default=7200.0, ge=0, description="Seconds that one message may take to come in altogether; 0 sets no limit."
    )


class Policy(Group):
    """Whose mail is not wanted."""

    dnsbl: Names = Field(
        default=(), description="DNS block lists: mail from an address that one of them has is refused."
    )
    greylisting: bool = Field(
        default=False, description="Put off the first message of an unknown sender: who tries again is let in."
    )


class Accounts(Group):
    """How addresses lead to accounts."""

    separator: str = Field(
        default="+",
        max_length=1,
        description="Character that begins a detail: ann+shop@example.org reaches ann; empty for none.",
    )
    detail_folder: bool = Field(
        default=False, description="Deliver mail for ann+shop@example.org into ann's mailbox shop where she has one."
    )
    share_with_anyone: bool = Field(
        default=False,
        description="Let people share mailboxes with everybody here at once, by IMAP; `mailsystem user share` always may.",
    )


class Oauth(Group):
    """Who vouches for the tokens of OAUTHBEARER and XOAUTH2."""

    introspection_url: str = Field(
        default="", description="Where a token is asked about (RFC 7662); empty for nowhere."
    )
    client_id: str = Field(default="", description="What this server calls itself there.")
    client_secret: SecretStr | None = Field(default=None, description="The secret that goes with the client_id.")
    jwks_url: str = Field(default="", description="Where the keys that sign tokens are published (RFC 7517).")
    issuer: str = Field(default="", description="Who must have issued a token, as its iss claim says it.")
    audience: str = Field(default="", description="For whom a token must be meant, as its aud claim says it.")


class Journal(Group):
    """What is kept of each message's life, for `mailsystem trace`."""

    days: int = Field(
        default=14,
        ge=0,
        le=3650,
        description="Days for which it is kept who sent, got, read and deleted each message; 0 keeps nothing of that.",
    )
    transcripts: bool | None = Field(
        default=None, description="Keep every line of the newest 10,000 SMTP sessions, too; by default a sink does."
    )


class Log(Group):
    """What is written down about what happens."""

    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people (text) or for machines (json)."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important events that are written."
    )
    lines: bool = Field(
        default=False, description="Write every protocol line as well; passwords and message bodies are never in it."
    )


class Settings(BaseModel):
    """All settings; `Settings()` is their defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, validate_default=True)

    data_dir: Path = Field(
        default=Path("/var/lib/mailsystem"),
        description="Directory of all mail and accounts, on a local disk. In the file of settings, relative to that file.",
    )
    host: str = Field(
        default="*", min_length=1, description="Address or name to listen on; * is every address, IPv4 and IPv6."
    )
    hostname: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="What this server calls itself in greetings and Received lines; by default the machine's name.",
    )
    default_domain: str = Field(
        default="", description="Domain that completes a login without one; empty completes nothing."
    )
    workers: int = Field(
        default_factory=_cores,
        ge=1,
        le=512,
        description="Processes that share the work at all doors; by default one for each core, and one for a sink.",
    )
    smtp: Smtp = defaults(Smtp)
    submission: Submission = defaults(Submission)
    submissions: Submissions = defaults(Submissions)
    lmtp: Lmtp = defaults(Lmtp)
    pop3: Pop3 = defaults(Pop3)
    pop3s: Pop3s = defaults(Pop3s)
    imap: Imap = defaults(Imap)
    imaps: Imaps = defaults(Imaps)
    web: Web = defaults(Web)
    pop2: Pop2 = defaults(Pop2)
    pop1: Pop1 = defaults(Pop1)
    tls: Tls = defaults(Tls)
    proxies: Networks = Field(
        default=(),
        description="Addresses or networks of proxies that must begin each connection with the PROXY protocol; "
        "anybody else never may.",
    )
    cleartext_login: bool = Field(
        default=False,
        description="Let people on other machines log in without TLS, so that their password can be read on the way.",
    )
    limits: Limits = defaults(Limits)
    queue: Queue = defaults(Queue)
    webhooks: Webhooks = defaults(Webhooks)
    policy: Policy = defaults(Policy)
    accounts: Accounts = defaults(Accounts)
    oauth: Oauth = defaults(Oauth)
    bare_newline: Literal["refuse", "accept", "normalize"] = Field(
        default="refuse",
        description="What becomes of a message with a CR or LF on its own: refused with 554, stored as it is (accept), "
        "or, from our own people, mended (normalize).",
    )
    faults: Faults = defaults(Faults)
    sink: Sink = defaults(Sink)
    tags: Tags = defaults(Tags)
    log: Log = defaults(Log)
    journal: Journal = defaults(Journal)
    retention: Retention = defaults(Retention)
    spaces: Spaces = defaults(Spaces)
    durable_flags: bool = Field(
        default=True,
        description="Answer a change of flags once it is on disk, as messages always are. Without, it is answered at once, as "
        "by other servers: a power cut may undo those of the last seconds, the end of a process none.",
    )
    grace: float = Field(
        default=5.0, ge=0, le=600, description="Seconds that open sessions are given to end when the program stops."
    )

    @field_validator("data_dir")
    @classmethod
    def _home(cls, path: Path) -> Path:
        return path.expanduser()

    @field_validator("default_domain")
    @classmethod
    def _domain(cls, name: str) -> str:
        try:
            return normal_domain(name) if name else ""
        except SyntaxFault:
            raise ValueError("should be a domain such as example.org") from None


def value_of(settings: Settings, name: str) -> Any:
    """A setting by its dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value
