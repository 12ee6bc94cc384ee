"""Mailpit's variables, `MP_…`, as settings of a sink that stands in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.webhook import receiver
from mailsystem.settings.faults import CHAOS

PREFIX: Final = "MP_"

_PLACE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]*)):([0-9]{1,5})")
_YES: Final = frozenset({"1", "t", "true", "on", "yes"})
_SO_ANYWAY: Final = frozenset(
    {
        "MP_SMTP_AUTH_ACCEPT_ANY",
        "MP_SMTP_AUTH_ALLOW_INSECURE",
        "MP_SEND_API_AUTH_ACCEPT_ANY",
        "MP_SMTP_DISABLE_RDNS",
        "MP_DISABLE_VERSION_CHECK",
        "MP_ENABLE_CHAOS",
        "MP_DISABLE_HTTP_COMPRESSION",
        "MP_WEBHOOK_LIMIT",  # one after the other goes there, and none is left out
        "MP_BLOCK_REMOTE_CSS_AND_FONTS",
        "MP_SENDMAIL_SMTP_ADDR",  # that of another command
        "MP_SENDMAIL_FROM",
    }
)
"""What they ask for goes without saying."""


class Understood(NamedTuple):
    """What the variables mean."""

    settings: Mapping[str, tuple[object, str]]
    """By name of a setting its value, and the variable that says so."""
    ignored: tuple[str, ...]
    """Variables that mean nothing here."""


def understood(environ: Mapping[str, str]) -> Understood:
    """The settings that Mailpit's variables stand for."""
    found: dict[str, tuple[object, str]] = {}
    ignored: list[str] = []
    for name in sorted(environ):
        value = environ[name].strip()
        if not name.startswith(PREFIX) or not value or name in _SO_ANYWAY:
            continue
        meant = _MEANT[name](value) if name in _MEANT else None
        if meant is None:
            ignored.append(name)
        else:
            found |= {setting: (one, name) for setting, one in meant.items()}
    passwords = [environ[name].strip() for name in ("MP_SMTP_AUTH", "MP_POP3_AUTH") if environ.get(name, "").strip()]
    if passwords:
        source = "MP_SMTP_AUTH" if environ.get("MP_SMTP_AUTH") else "MP_POP3_AUTH"
        found["sink.passwords"] = (" ".join(passwords), source)
    return Understood(found, tuple(ignored))


_Meaning = Callable[[str], "Mapping[str, Any] | None"]


def _place(door: str, host: str) -> _Meaning:
    def meaning(value: str) -> Mapping[str, Any] | None:
        place = _PLACE.fullmatch(value)
        if place is None:  # a socket file, for one
            return None
        address = place[1] or place[2] or "*"
        named = {host: "*" if address in ("::", "0.0.0.0") else address} if host else {}
        return {f"{door}.port": int(place[3]), **named}

    return meaning


def _is(setting: str, **more: object) -> _Meaning:
    return lambda value: {setting: value, **more}


def _where(*settings: tuple[str, object]) -> _Meaning:
    return lambda value: dict(settings) if value.lower() in _YES else {}


def _database(value: str) -> Mapping[str, Any] | None:
    """Its file is a directory here: /data/mailpit.db is /data/mailpit."""
    return None if "://" in value else {"data_dir": Path(value).with_suffix("")}


def _logins(setting: str, *, required: bool) -> _Meaning:
    return lambda value: {setting: value, **({"sink.login_required": True} if required else {})}


def _spamd(value: str) -> Mapping[str, Any] | None:
    """What is not a place is a service of somebody else's, or `false`."""
    place = _PLACE.fullmatch(value)
    return {"sink.spamd": value} if place is not None and (place[1] or place[2]) else None


def _untagged(value: str) -> Mapping[str, Any] | None:
    names = {name.strip() for name in value.lower().split(",")} - {""}
    known = {"x-tags": "tags.header", "plus-addresses": "tags.addresses"}
    if names <= _YES:
        names = set(known)
    return {known[name]: False for name in sorted(names)} if names <= known.keys() else None


def _recipients(value: str) -> Mapping[str, Any] | None:
    """RFC 5321 4.5.3.1.8 lets nobody take less than 100."""
    return {"limits.recipients": int(value)} if value.isdigit() and len(value) < 8 and int(value) >= 100 else None


def _size(value: str) -> Mapping[str, Any] | None:
    """In megabytes."""
    return {"limits.message_size": int(value) << 20} if re.fullmatch(r"[1-9][0-9]{0,5}", value) else None


def _hosts(value: str) -> Mapping[str, Any] | None:
    """By which port one of them is asked makes no difference here."""
    names = [re.sub(r":[0-9]+$", "", name) for name in re.split(r"[\s,]+", value) if name]
    return {"web.hosts": ",".join(names)} if names and all(re.fullmatch(r"[\w.-]+", name) for name in names) else None


def _webhook(value: str) -> Mapping[str, Any] | None:
    """An address without a login in it."""
    try:
        return {"sink.webhook": receiver(value)}
    except SyntaxFault:
        return None


def _chaos(value: str) -> Mapping[str, Any] | None:
    return {"faults.chaos": value} if CHAOS.fullmatch(value) else None


def _metrics(value: str) -> Mapping[str, Any] | None:
    """They are there anyway, beside the page; a port of their own is not."""
    return {} if value.lower() in _YES | {"false", "0", "no"} else None


def _most(value: str) -> Mapping[str, Any] | None:
    return {"retention.messages": int(value)} if value.isdigit() and len(value) < 12 else None


def _age(value: str) -> Mapping[str, Any] | None:
    return {"retention.age": value.lower()} if re.fullmatch(r"[0-9]{1,6}[hHdD]", value) else None


_MEANT: Final[Mapping[str, _Meaning]] = {
    "MP_SMTP_BIND_ADDR": _place("smtp", "host"),
    "MP_UI_BIND_ADDR": _place("web", "web.host"),
    "MP_POP3_BIND_ADDR": _place("pop3", ""),
    "MP_DATABASE": _database,
    "MP_DATA_FILE": _database,
    "MP_MAX_MESSAGES": _most,
    "MP_MAX_AGE": _age,
    "MP_LABEL": _is("web.label"),
    "MP_WEBROOT": _is("web.root"),
    "MP_UI_AUTH": _is("web.auth"),
    "MP_UI_AUTH_FILE": _is("web.auth_file"),
    "MP_UI_TLS_CERT": _is("tls.cert", **{"web.tls": True}),
    "MP_UI_TLS_KEY": _is("tls.key"),
    "MP_SMTP_TLS_CERT": _is("tls.cert"),
    "MP_SMTP_TLS_KEY": _is("tls.key"),
    "MP_SMTP_AUTH": _logins("sink.passwords", required=True),
    "MP_SMTP_AUTH_FILE": _logins("sink.passwords_file", required=True),
    "MP_POP3_AUTH": _logins("sink.passwords", required=False),
    "MP_POP3_AUTH_FILE": _logins("sink.passwords_file", required=False),
    "MP_API_CORS": _is("web.origins"),
    "MP_CORS": _is("web.origins"),
    "MP_ENABLE_SPAMASSASSIN": _spamd,
    "MP_CHAOS_TRIGGERS": _chaos,
    "MP_WEBHOOK_URL": _webhook,
    "MP_TAG": _is("tags.rules"),
    "MP_TAGS_TITLE_CASE": _where(("tags.title", True)),
    "MP_TAGS_USERNAME": _where(("tags.logins", True)),
    "MP_TAGS_DISABLE": _untagged,
    "MP_SMTP_MAX_RECIPIENTS": _recipients,
    "MP_MAX_MESSAGE_SIZE": _size,
    "MP_ALLOWED_HOSTS": _hosts,
    "MP_ENABLE_PROMETHEUS": _metrics,
    "MP_VERBOSE": _where(("log.level", "debug")),
    "MP_QUIET": _where(("log.level", "error")),
}
