"""What MAIL and RCPT are asked for beside an address: the parameters of every extension, each checked. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from mailsystem.mail.envelope import Body, Notification
from mailsystem.mail.errors import SyntaxFault, TooLarge
from mailsystem.smtp import grammar, replies
from mailsystem.smtp.replies import Refusal

_ENVID_LIMIT: Final = 100
_ORCPT_LIMIT: Final = 500
_NOTIFY: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_PLUS: Final = re.compile(r"\+([0-9A-F]{2})")
_ATOM: Final = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~.-]+")


@dataclass(slots=True)
class MailParameters:
    """What the parameters of MAIL ask for."""

    utf8: bool = False
    body: Body = "7BIT"
    require_tls: bool = False
    ret: Literal["FULL", "HDRS"] | None = None
    envid: str | None = None
    given: Mapping[str, str | None] = field(default_factory=dict)
    """All of them, by keyword in upper case."""
    size: int = 0
    """Octets of the message, as far as its sender knows; 0 where nothing is said."""


def of_mail(text: bytes, *, size_limit: int, secure: bool) -> MailParameters:
    """SIZE, BODY, SMTPUTF8, AUTH, RET, ENVID and, where the connection is `secure`, REQUIRETLS.

    Raises `SyntaxFault`, `TooLarge`, and `Refusal` for a parameter that nobody offered.
    """
    asked = MailParameters()
    if not text:
        return asked
    asked.given = grammar.parameters(text)
    for keyword, value in asked.given.items():
        match keyword:
            case "SIZE":
                asked.size = grammar.size(value)
                if asked.size > size_limit:
                    raise TooLarge("message too large")  # RFC 1870 6.1
            case "BODY":
                asked.body = grammar.body(value)
            case "SMTPUTF8":
                asked.utf8 = grammar.nothing(value)
            case "AUTH":
                grammar.auth(value)
            case "RET":
                asked.ret = ret(value)
            case "ENVID":
                asked.envid = envid(value)
            case "REQUIRETLS" if secure:  # RFC 8689 2: offered, and so known, only under TLS
                asked.require_tls = grammar.nothing(value)
            case _:
                raise Refusal(replies.UNKNOWN_PARAMETER)
    return asked


def of_rcpt(text: bytes) -> Notification | None:
    """NOTIFY and ORCPT; None where neither is given. Raises `SyntaxFault` and `Refusal`."""
    if not text:
        return None
    wanted: frozenset[str] | None = None
    original: str | None = None
    for keyword, value in grammar.parameters(text).items():
        match keyword:
            case "NOTIFY":
                wanted = notify(value)
            case "ORCPT":
                original = orcpt(value)
            case _:
                raise Refusal(replies.UNKNOWN_PARAMETER)
    return None if wanted is None and original is None else Notification(wanted, original)


def ret(value: str | None) -> Literal["FULL", "HDRS"]:
    """RET (RFC 3461 4.3)."""
    match (value or "").upper():
        case "FULL":
            return "FULL"
        case "HDRS":
            return "HDRS"
        case _:
            raise SyntaxFault("RET is FULL or HDRS")


def envid(value: str | None) -> str:
    """ENVID (RFC 3461 4.4): at most 100 octets of xtext, printable once decoded. Its case is kept."""
    if value is None or len(value) > _ENVID_LIMIT or not _is_printable_xtext(value):
        raise SyntaxFault("bad ENVID")
    return value


def notify(value: str | None) -> frozenset[str]:
    """NOTIFY (RFC 3461 4.1): NEVER alone, or some of the others."""
    words = (value or "").upper().split(",")
    if words == ["NEVER"]:
        return frozenset(words)
    if not _NOTIFY.issuperset(words) or len(set(words)) < len(words):
        raise SyntaxFault("NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY")
    return frozenset(words)


def orcpt(value: str | None) -> str:
    """ORCPT (RFC 3461 4.2): a type of address and the address in xtext; with the type utf-8 also as RFC 6533 3 has it."""
    kind, semicolon, address = (value or "").partition(";")
    if not semicolon or not address or len(value or "") > _ORCPT_LIMIT or not _ATOM.fullmatch(kind):
        raise SyntaxFault("bad ORCPT")
    if kind.lower() == "utf-8":
        address = "".join(c for c in address if c.isascii())
    # Postfix writes octets of UTF-8 in xtext, with the type rfc822, where a recipient is not ASCII: refusing that loses mail.
    if not _is_printable_xtext(address, eight_bit=True):
        raise SyntaxFault("bad ORCPT")
    return value or ""


def _is_printable_xtext(value: str, *, eight_bit: bool = False) -> bool:
    """Whether this is xtext (RFC 3461 4) without controls, and of ASCII: it will stand in the header of a report."""
    codes = (int(code, 16) for code in _PLUS.findall(value))
    return grammar.XTEXT.fullmatch(value) is not None and all(
        0x20 <= code < 0x7F or (eight_bit and code >= 0x80) for code in codes
    )
