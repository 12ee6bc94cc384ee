"""How the accounts of a space are called: as no address can be spelled, so that mail never gets there by its address alone.

An address has an `@` with a domain behind it, and a domain has neither `:` nor `/` in it.
"""

from __future__ import annotations

import re
from typing import Final

from mailsystem.mail.errors import SyntaxFault

PREFIX: Final = "space:"
DISSOLVED: Final = "gone:"
"""Begins the login of an account of a space that was removed, until its mail is."""
_RESERVED: Final = "sink"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def is_space(name: str) -> bool:
    """Whether a space can be called so: as a label of a domain, and not as who sees all that is in none."""
    return name != _RESERVED and _NAME.fullmatch(name) is not None


def space_name(text: str) -> str:
    """The name of a space as it is kept. Raises `SyntaxFault`."""
    name = text.casefold()
    if not is_space(name):
        raise SyntaxFault("a space is called by letters, digits and hyphens, at most 63 of them, and not sink")
    return name


def login_of(space: str) -> str:
    """The login of the account that has a copy of everything in a space."""
    return PREFIX + space


def login_within(space: str, address: str) -> str:
    """The login of an address within a space."""
    return f"{address}/{space}"


def space_of(login: str) -> str:
    """The space that an account of that login is in; empty where it is in none."""
    if login.startswith(PREFIX) and "@" not in login:
        return login[len(PREFIX) :]
    _, at, domain = login.rpartition("@")
    return domain.partition("/")[2] if at else ""


def parted(login: str) -> tuple[str, str] | None:
    """Address and space of a login within a space, as somebody spelled it; None where it is another."""
    address, slash, space = login.rpartition("/")
    return (address, space) if slash and "@" in address and "@" not in space else None
