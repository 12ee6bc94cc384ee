"""A command line becomes its keyword and its arguments, with RFC 937's quoting by a backslash undone. Sans-IO."""

from __future__ import annotations

import re
from typing import Final

from mailsystem.mail.errors import SyntaxFault

COMMAND_LIMIT: Final = 512
"""RFC 937, Sizes: characters of a command line, its end included."""

_KEYWORD: Final = re.compile(rb"[A-Za-z]{1,16}")
_NUMBER: Final = re.compile(rb"[0-9]{1,10}")
_QUOTED: Final = re.compile(rb"\\(.)", re.DOTALL)
_WORD: Final = re.compile(rb"(?:[^\\ ]|\\.)*", re.DOTALL)


def keyword(line: bytes) -> tuple[str, bytes]:
    """A command line as its keyword in capitals and the rest. Raises `SyntaxFault`."""
    if b"\0" in line or b"\r" in line:
        raise SyntaxFault("control character in command")
    word, _, rest = line.partition(b" ")
    if not _KEYWORD.fullmatch(word):
        raise SyntaxFault("unknown command")
    return word.decode("ascii").upper(), rest


def user_and_password(rest: bytes) -> tuple[bytes, bytes]:
    """<user> <SP> <password>

    A blank within the user is quoted. In the password it need not be: nothing follows it, and clients that never heard of
    the quoting send passwords as they are.
    """
    user, password = split(rest)
    if not user or not password:
        raise SyntaxFault("user and password, please")
    return unquoted(user), unquoted(password)


def split(rest: bytes) -> tuple[bytes, bytes]:
    """The first word, still quoted, and what stands behind the blank after it."""
    found = _WORD.match(rest)
    word = found[0] if found else b""
    return word, rest[len(word) + 1 :] if rest[len(word) : len(word) + 1] == b" " else b""


def mailbox(rest: bytes) -> str:
    """<mailbox> = <string>, with blanks as they are."""
    if not rest.strip(b" "):
        raise SyntaxFault("mailbox missing")
    try:
        return unquoted(rest).decode()
    except UnicodeDecodeError:
        raise SyntaxFault("mailbox name is not UTF-8") from None


def number(rest: bytes) -> int | None:
    """[<SP> <number>]"""
    rest = rest.strip(b" ")
    if not rest:
        return None
    if not _NUMBER.fullmatch(rest):
        raise SyntaxFault("not a number")
    return int(rest)


def nothing(rest: bytes) -> None:
    """Raises `SyntaxFault` where there is an argument. Trailing blanks are none."""
    if rest.strip(b" "):
        raise SyntaxFault("too many arguments")


def unquoted(octets: bytes) -> bytes:
    r"""RFC 937, Quoting: `\ ` is a blank and `\\` a backslash. Raises `SyntaxFault` for a backslash before nothing."""
    if _QUOTED.sub(b"", octets).endswith(b"\\"):
        raise SyntaxFault("nothing is quoted")
    return _QUOTED.sub(rb"\1", octets)
