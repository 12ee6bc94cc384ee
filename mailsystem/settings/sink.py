"""The settings that only a sink has."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from mailsystem.settings.group import Group


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

    @field_validator("passwords_file")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()
