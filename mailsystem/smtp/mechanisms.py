"""SASL exchanges as AUTH has them (RFC 4954): generators that yield challenges and are sent responses. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Final

from mailsystem.mail import sasl
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.sasl import Credentials

Exchange = Generator[bytes, bytes, Credentials]


def plain(initial: bytes | None) -> Exchange:
    """RFC 4616: all in one response."""
    return sasl.plain((yield b"") if initial is None else initial)


def login(initial: bytes | None) -> Exchange:
    """LOGIN, which no RFC has and every client knows: name and password asked for one by one."""
    name = (yield b"Username:") if initial is None else initial
    password = yield b"Password:"
    try:
        return Credentials(name.decode(), password.decode())
    except UnicodeDecodeError:
        raise SyntaxFault("not UTF-8") from None


MECHANISMS: Final[Mapping[str, Callable[[bytes | None], Exchange]]] = {"PLAIN": plain, "LOGIN": login}
