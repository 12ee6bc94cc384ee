"""The settings of the doors: where each listens, and what is its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from mailsystem.settings.group import Group, Names

OFF: Final = "off"
"""What a file or a variable says to close a door that would be open by default."""


def _or_off(value: object) -> object:
    return None if isinstance(value, str) and value.lower() == OFF else value


Port = Annotated[int, Field(ge=0, le=65535)]
Door = Annotated[Port | None, BeforeValidator(_or_off)]


class Smtp(Group):
    """The door by which mail comes in."""

    port: Port = Field(default=25, description="Port for SMTP; 0 takes a free one.")
    greeting_delay: float = Field(
        default=0.0, ge=0, le=60, description="Seconds before the greeting; who talks earlier is no mail server."
    )


class Submission(Group):
    """The door by which our own people send, with STARTTLS (RFC 6409)."""

    port: Door = Field(
        default=None,
        description="Port for submission with STARTTLS; 0 takes a free one. With a certificate 587, unless it is off.",
    )


class Submissions(Group):
    """The same with TLS from the first octet (RFC 8314)."""

    port: Door = Field(
        default=None,
        description="Port for submission under TLS at once; 0 takes a free one. With a certificate 465, unless it is off.",
    )


class Lmtp(Group):
    """The door by which a mail server on this machine hands over (RFC 2033)."""

    port: Door = Field(default=None, description="Port for LMTP; 0 takes a free one.")
    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address for LMTP by port: whoever reaches it may deliver."
    )
    path: Path | None = Field(default=None, description="Unix socket for LMTP, instead of a port.")

    @field_validator("path")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()


class Pop3(Group):
    """The door for those who come and ask."""

    port: Port = Field(default=110, description="Port for POP3; 0 takes a free one.")
    login_delay: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Seconds that must pass between two logins of one person by POP3, at either port; 0 sets none.",
    )


class Pop3s(Group):
    """The same with TLS from the first octet."""

    port: Door = Field(
        default=None,
        description="Port for POP3 under TLS at once; 0 takes a free one. With a certificate 995, unless it is off.",
    )


class Pop2(Group):
    """The door of 1985 (RFC 937), for history's sake."""

    port: Port = Field(
        default=109, description="Port for POP2, once `mailsystem serve pop2` asks for it; 0 takes a free one."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address for POP2, whose passwords go in clear.")
    anywhere: bool = Field(
        default=False, description="Let POP2 listen beyond this machine, where its passwords can be read on the way."
    )


class Pop1(Group):
    """The door of 1984 (RFC 918), for history's sake."""

    # RFC 918 names no port. Assigned Numbers of its month (RFC 923) gave POP 109, which POP2 took over; 918 is nobody's.
    port: Port = Field(
        default=918, description="Port for POP1, once `mailsystem serve pop1` asks for it; 0 takes a free one."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address for POP1, whose passwords go in clear.")
    anywhere: bool = Field(
        default=False, description="Let POP1 listen beyond this machine, where its passwords can be read on the way."
    )


class Imap(Group):
    """The door for those who stay and are told."""

    port: Port = Field(default=143, description="Port for IMAP; 0 takes a free one.")


class Imaps(Group):
    """The same with TLS from the first octet."""

    port: Door = Field(
        default=None,
        description="Port for IMAP under TLS at once; 0 takes a free one. With a certificate 993, unless it is off.",
    )


class Web(Group):
    """The door for browsers and for programs that speak HTTP."""

    port: Door = Field(default=None, description="Port for the page and the REST interface; 0 takes a free one.")
    host: str | None = Field(
        default=None, min_length=1, description="Address for HTTP, if it is another than that of all doors."
    )
    tls: bool | None = Field(
        default=None, description="Speak HTTPS there; by default where tls.cert names a certificate, and not in a sink."
    )
    hosts: Names = Field(
        default=(),
        description="Names beside hostname by which browsers may ask; any address and any name of one label may.",
    )
    origins: Names = Field(
        default=(),
        description="Pages of other sites whose scripts may use the interface (CORS), as https://app.test, as app.test:8080, or"
        " * for all.",
    )
    root: str = Field(
        default="",
        description="Path below which a sink and its page are, such as /mail behind a proxy; it answers without it, too.",
    )
    label: str = Field(default="", max_length=100, description="What a sink calls itself, to tell it from others.")
    delete_all: bool = Field(
        default=False,
        description="Let Mailpit's way to delete everything in a sink do so: DELETE /api/v1/messages with no IDs named.",
    )
    auth: SecretStr | None = Field(
        default=None,
        description="Who may use the page and the interface of a sink: user:password, several with blanks.",
    )
    auth_file: Path | None = Field(
        default=None,
        description="File with more of them, one on each line; a password may be hashed as {SHA} or {SSHA} in it.",
    )

    @field_validator("auth_file")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if not all(one == "*" or re.fullmatch(r"(?:https?://)?[^/*@\s]+/?", one, re.IGNORECASE) for one in origins):
            raise ValueError("should each be a site such as https://app.test")
        return origins

    @field_validator("root")
    @classmethod
    def _root(cls, root: str) -> str:
        root = root.strip().strip("/")
        if root and not re.fullmatch(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*", root):
            raise ValueError("should be a path such as /mail")
        return f"/{root}" if root else ""
