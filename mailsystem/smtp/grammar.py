"""SMTP's own grammar: greetings, paths and parameters (RFC 5321 4.1.2, RFC 6531 3.3). Sans-IO.

Every function takes the octets of an argument and gives a value or raises `SyntaxFault`, nothing else.
"""

from __future__ import annotations

import re
from typing import Final

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Body
from mailsystem.mail.errors import SyntaxFault

# A-d-l ":" in front of a mailbox is a source route: "MUST be accepted … SHOULD be ignored" (RFC 5321 4.1.1.3, F.2).
# A local part in quotes may hold nearly anything, brackets and blanks included; what exactly is `Address.parse`'s say.
_PATH: Final = re.compile(
    rb"""[ ]*  # Postfix and most others let blanks pass behind the colon: small devices send them
    <(?:(?:@[^:<>"\\ ]*:)?((?:[^<>"@:\\ ]+|"(?:[^"\\]|\\.)*")@[^<>"@ ]+)|([^<>"@:\\ ]*))>
    (?:[ ]+(.*))?""",
    re.VERBOSE | re.DOTALL,
)
# esmtp-param = esmtp-keyword ["=" esmtp-value]; a value is anything but "=", blanks and controls, with UTF-8 since 6531.
_PARAMETER: Final = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\xff]+))?")
_GREETING_NOISE: Final = re.compile(r"[^A-Za-z0-9.\-_:\[\]]")
XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")

Parameters = dict[str, str | None]
"""By keyword in upper case; None where no value was given."""


def greeting(argument: bytes) -> str:
    """What EHLO or HELO says the client is called.

    It is trusted for nothing, so nothing is checked but that there is something: half the world's clients do not know
    their name. Whatever could not stand in a Received field becomes `?`.
    """
    name = argument.strip(b" ").decode("utf-8", "replace")
    if not name or len(name) > 255:
        raise SyntaxFault("what is your name?")
    return _GREETING_NOISE.sub("?", name)


def path(argument: bytes, keyword: bytes) -> tuple[str, bytes]:
    """The mailbox of a `Reverse-path` or `Forward-path` behind `FROM:` or `TO:`, as written, and what follows it.

    The brackets are required, unlike at Postfix: without them nobody can tell where parameters begin. The mailbox of
    `<>` is the empty string.
    """
    if argument[: len(keyword)].upper() != keyword:
        raise SyntaxFault(f"syntax: {keyword.decode()}<address>")
    found = _PATH.fullmatch(argument, len(keyword))
    if found is None:
        raise SyntaxFault(f"syntax: {keyword.decode()}<address>")
    mailbox, bare, rest = found.groups(b"")
    try:
        return (mailbox or bare).decode(), rest
    except UnicodeDecodeError:
        raise SyntaxFault("address is not UTF-8") from None


def sender(mailbox: str) -> Address:
    """`Reverse-path`: a mailbox or `<>`."""
    return Address.parse(mailbox) if mailbox else Address.NULL


def recipient(mailbox: str) -> Address:
    """`Forward-path`; `Postmaster` may stand without a domain (RFC 5321 4.1.1.3), and so may any other name of a machine's own
    programs (`root`, `www-data`), as at other servers: the directory completes it.
    """
    if "@" not in mailbox:
        return Address(Address.parse(f"{mailbox}@localhost").local, "")
    return Address.parse(mailbox)


def parameters(text: bytes) -> Parameters:
    """`Mail-parameters` or `Rcpt-parameters`; each at most once."""
    found: Parameters = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise SyntaxFault("bad parameter")
        keyword = match[1].decode().upper()
        if keyword in found:
            raise SyntaxFault(f"{keyword} given twice")
        try:
            found[keyword] = None if match[2] is None else match[2].decode()
        except UnicodeDecodeError:
            raise SyntaxFault("bad parameter") from None
    return found


def size(value: str | None) -> int:
    """SIZE (RFC 1870 3): 1 to 20 digits."""
    if value is None or not 0 < len(value) <= 20 or not (value.isascii() and value.isdigit()):
        raise SyntaxFault("bad SIZE")
    return int(value)


def body(value: str | None) -> Body:
    """BODY (RFC 6152 2, RFC 3030 3): what the client declares to send."""
    match (value or "").upper():
        case "7BIT":
            return "7BIT"
        case "8BITMIME":
            return "8BITMIME"
        case "BINARYMIME":
            return "BINARYMIME"
        case _:
            raise SyntaxFault("BODY is 7BIT, 8BITMIME or BINARYMIME")


def chunk(argument: bytes) -> tuple[int, bool]:
    """The size of a chunk, and whether it is the last (RFC 3030 2)."""
    words = argument.split()
    if not words or len(words) > 2 or not words[0].isdigit() or len(words[0]) > 20:
        raise SyntaxFault("syntax: BDAT size [LAST]")
    if len(words) == 2 and words[1].upper() != b"LAST":
        raise SyntaxFault("syntax: BDAT size [LAST]")
    return int(words[0]), len(words) == 2


def nothing(value: str | None) -> bool:
    """A parameter that takes no value."""
    if value is not None:
        raise SyntaxFault("a value where none belongs")
    return True


def auth(value: str | None) -> None:
    """AUTH (RFC 4954 5): `<>` or a mailbox in xtext. Checked for its form only; nobody here is trusted to say it."""
    if value is None or not (value == "<>" or XTEXT.fullmatch(value)):
        raise SyntaxFault("bad AUTH")
