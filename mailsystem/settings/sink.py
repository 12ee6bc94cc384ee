"""The settings that only a sink has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.webhook import receiver
from mailsystem.settings.group import Group


def _quoted(value: object) -> object:
    """A variable or a flag names several things with blanks between them, and quotes around what has some within."""
    return shlex.split(value) if isinstance(value, str) else value


Rules = Annotated[tuple[str, ...], BeforeValidator(_quoted)]


class Sink(Group):
    """Who may log in at a sink; without any of these, whoever likes, by any password."""

    passwords: SecretStr | None = Field(
        default=None,
        description="Logins and passwords for SMTP, POP3 and IMAP, as login:password with blanks between them; a login without"
        " an @ sees all mail.",
    )
    passwords_file: Path | None = Field(
        default=None,
        description="File with more of them, one on each line; a password may be hashed as {SHA} or {SSHA} in it.",
    )
    login_required: bool = Field(default=False, description="Take mail by SMTP only from those who have logged in.")

    webhook: str = Field(
        default="",
        description="Address that hears of each message that comes, as Mailpit's webhook tells it, and again of what it did"
        " not take.",
    )

    spamd: str = Field(
        default="",
        description="Where SpamAssassin's spamd listens, as host:port; Mailpit's clients may then ask it what it thinks of a"
        " message.",
    )

    @field_validator("webhook")
    @classmethod
    def _receiver(cls, url: str) -> str:
        try:
            return receiver(url) if url else ""
        except SyntaxFault as fault:
            raise ValueError(str(fault).removeprefix("url: ")) from None

    @field_validator("spamd")
    @classmethod
    def _place(cls, place: str) -> str:
        if place and not re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}", place):
            raise ValueError("should be a host and a port such as 127.0.0.1:783")
        return place

    @field_validator("passwords_file")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()


class Tags(Group):
    """What tags, which are keywords of IMAP, mail has in a sink when it comes."""

    header: bool = Field(
        default=True, description="Those that the field X-Tags of a message names, with commas between."
    )
    addresses: bool = Field(
        default=True, description="Those behind the plus of an address: of each recipient and of who is named in From."
    )
    logins: bool = Field(default=False, description="The login by which it was sent.")
    title: bool = Field(default=False, description="Spell those of X-Tags and addresses in Title Case.")
    rules: Rules = Field(
        default=(),
        description='Tags for what a search finds, as tag=search, such as "Big ones=larger:1MB"; several tags with commas.',
    )

    @field_validator("rules")
    @classmethod
    def _rules(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            tags, _, search = rule.partition("=")
            if not tags.strip() or not search.strip():
                raise ValueError("should each be tag=search, such as invoices=subject:invoice")
        return rules
