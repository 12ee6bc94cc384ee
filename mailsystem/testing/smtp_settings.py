"""How an application reaches the test's mail server, in the words of those that applications are written with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mailsystem.testing.clients import PASSWORD, Security
from mailsystem.testing.place import Where


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """A server that takes all mail and sends none."""

    where: Where
    username: str
    """Any would do; this one is the test's address."""
    password: str = PASSWORD
    tls: Security | None = None
    authority: Path | None = None
    """With `tls`, whom an application has to trust."""

    @property
    def host(self) -> str:
        return self.where.host

    @property
    def port(self) -> int:
        return self.where.port("submissions" if self.tls == "tls" else "smtp")

    @property
    def url(self) -> str:
        """`smtp://user:password@host:port`"""
        scheme = "smtps" if self.tls == "tls" else "smtp"
        return f"{scheme}://{quote(self.username, safe='')}:{quote(self.password, safe='')}@{self.host}:{self.port}"

    def secured(self, tls: Security, authority: Path | None = None) -> SmtpSettings:
        """The same under TLS."""
        return replace(self, tls=tls, authority=authority)

    def django(self) -> dict[str, Any]:
        """Django's settings."""
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": self.host,
            "EMAIL_PORT": self.port,
            "EMAIL_HOST_USER": self.username,
            "EMAIL_HOST_PASSWORD": self.password,
            "EMAIL_USE_TLS": self.tls == "starttls",
            "EMAIL_USE_SSL": self.tls == "tls",
        }

    def flask_mail(self) -> dict[str, Any]:
        """The configuration of Flask-Mail and Flask-Mailman."""
        return {
            "MAIL_SERVER": self.host,
            "MAIL_PORT": self.port,
            "MAIL_USERNAME": self.username,
            "MAIL_PASSWORD": self.password,
            "MAIL_USE_TLS": self.tls == "starttls",
            "MAIL_USE_SSL": self.tls == "tls",
            # While an application is tested, the one would send nothing, and the other keep it in memory.
            "MAIL_SUPPRESS_SEND": False,
            "MAIL_BACKEND": "smtp",
        }

    def fastapi_mail(self) -> dict[str, Any]:
        """What fastapi-mail's `ConnectionConfig` takes, beside MAIL_FROM."""
        return {
            "MAIL_SERVER": self.host,
            "MAIL_PORT": self.port,
            "MAIL_USERNAME": self.username,
            "MAIL_PASSWORD": self.password,
            "MAIL_STARTTLS": self.tls == "starttls",
            "MAIL_SSL_TLS": self.tls == "tls",
            "USE_CREDENTIALS": True,
            "VALIDATE_CERTS": False,
        }

    def aiosmtplib(self) -> dict[str, Any]:
        """What aiosmtplib's `send` and `SMTP` take. By itself it turns to TLS wherever a server has that."""
        return {
            "hostname": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "start_tls": self.tls == "starttls",
            "use_tls": self.tls == "tls",
            "cert_bundle": None if self.authority is None else str(self.authority),
        }

    def environment(self, lines: Iterable[str] = ()) -> Mapping[str, str]:
        """Variables for programs that are set up by them; `lines` add some, as `NAME = smtp://{host}:{port}`.

        Raises `ValueError` for a line that says something else.
        """
        values = {
            "SMTP_HOST": self.host,
            "SMTP_PORT": str(self.port),
            "SMTP_USERNAME": self.username,
            "SMTP_PASSWORD": self.password,
            "SMTP_URL": self.url,
        }
        return {**values, **dict(self._further(lines))}

    def _further(self, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
        known = {name: getattr(self, name) for name in ("host", "port", "username", "password", "url")}
        for line in lines:
            name, equals, value = line.partition("=")
            try:
                if not equals:
                    raise KeyError
                yield name.strip(), value.strip().format_map(known)
            except (KeyError, ValueError, IndexError):
                raise ValueError(
                    f"mail_env: should be NAME = value, with {{host}}, {{port}}, …; not {line!r}"
                ) from None
