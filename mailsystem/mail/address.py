"""Mail addresses: local part and domain, normalised once (RFC 5321 4.1.2, RFC 6531)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from mailsystem.mail.errors import SyntaxFault

MAX_LOCAL: Final = 64
MAX_DOMAIN: Final = 255
MAX_PATH: Final = 256
REMEMBERED: Final = 1024
"""Addresses that need not be taken apart or put together once more."""

# Told by what does not belong: `re` takes milliseconds for a class with all of Unicode in it.
_ATEXT = r'[^\x00-\x20"(),.:;<>@\[\\\]\x7f]'
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED = re.compile(r'"(?:[^\x00-\x1f"\\\x7f]|\\[\x20-\x7e])*"')
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # RFC 3490 3.1
_STAYING = re.compile("([\u00df\u03c2\u200c\u200d])")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address.

    `local` is unquoted and keeps its case; `domain` is lower case and, where it is international, in its ASCII form
    (A-labels), so that two spellings of one domain are equal. The null reverse-path `<>` is `Address.NULL`.
    """

    local: str
    domain: str

    NULL: ClassVar[Address]

    @staticmethod
    def parse(text: str) -> Address:
        """Read `local@domain`, without angle brackets. Raises `SyntaxFault` on anything else."""
        return _parsed(text)

    @classmethod
    def kept(cls, text: str) -> Address:
        """The same of one that was accepted before, as `str` tells it: an international one is longer there than it came."""
        local, at, domain = text.rpartition("@")
        if not at:
            raise SyntaxFault("address needs a domain")
        return cls(_local(local), normal_domain(domain))

    @property
    def key(self) -> str:
        """What two addresses of one person share: the whole address, case folded."""
        return _key(self.local, self.domain)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be spoken without SMTPUTF8."""
        return self.local.isascii()

    def without_detail(self, separator: str = "+") -> tuple[Address, str | None]:
        """Split a sub-address (RFC 5233): `ann+shop@…` is `ann@…` and `shop`; no detail gives `None`."""
        base, found, detail = self.local.partition(separator)
        if not found or not base:
            return self, None
        return Address(base, self.domain), detail

    def __str__(self) -> str:
        """As it stands in a path: the local part quoted where it must be."""
        return _path(self.local, self.domain)

    def __bool__(self) -> bool:
        return bool(self.local or self.domain)


Address.NULL = Address("", "")


# The same few people write and are written to, so the last of them are remembered: each is at most some 500 octets.


@lru_cache(maxsize=REMEMBERED)
def _parsed(text: str) -> Address:
    if _octets(text) > MAX_PATH:
        raise SyntaxFault("address too long")
    return Address.kept(text)


@lru_cache(maxsize=REMEMBERED)
def _key(local: str, domain: str) -> str:
    return f"{local.casefold()}@{domain}" if domain else local.casefold()


@lru_cache(maxsize=REMEMBERED)
def _path(local: str, domain: str) -> str:
    if not domain:
        return local
    if not _DOT_STRING.fullmatch(local):
        local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local}@{domain}"


def _local(text: str) -> str:
    if _DOT_STRING.fullmatch(text):
        local = text
    elif _QUOTED.fullmatch(text):
        local = re.sub(r"\\(.)", r"\1", text[1:-1])
    else:
        raise SyntaxFault("bad local part")
    if _octets(local) > MAX_LOCAL:
        raise SyntaxFault("local part too long")
    return local


def _octets(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise SyntaxFault("address is not UTF-8") from None


def normal_domain(text: str) -> str:
    """A domain or address literal in the one spelling we keep. Raises `SyntaxFault`.

    International names become A-labels; names are lower case; an IPv6 literal is compressed.
    """
    if text.startswith("[") and text.endswith("]"):
        return _literal(text[1:-1])
    name = text.replace("\u03a3", "\u03c3").lower()  # or a capital sigma becomes a final one by where it stands
    if len(name) > MAX_DOMAIN:  # before anything slow is done with it
        raise SyntaxFault("bad domain")
    if not name.isascii():
        try:
            name = ".".join(map(_a_label, _DOTS.split(name))).lower()
        except UnicodeError:
            raise SyntaxFault("bad domain") from None
    if not name or len(name) > MAX_DOMAIN:
        raise SyntaxFault("bad domain")
    for label in name.split("."):
        if len(label) > 63 or not _LABEL.fullmatch(label):
            raise SyntaxFault("bad domain")
    return name


def _a_label(label: str) -> str:
    """A label as DNS has it (RFC 5891). Python's codec is of IDNA 2003, which makes of some names those of somebody else:
    "ss" of a sharp s, and nothing of what joins letters. So what RFC 5892 2.6 lets stay is kept from it. Raises `UnicodeError`.
    """
    if _STAYING.search(label) is None:
        return label.encode("idna").decode("ascii")
    from encodings.idna import nameprep  # nearly nobody needs it

    pieces = [piece if _STAYING.fullmatch(piece) else nameprep(piece) for piece in _STAYING.split(label)]
    return "xn--" + "".join(pieces).encode("punycode").decode("ascii")


def _literal(text: str) -> str:
    try:
        # A scope (RFC 4007) has no place in RFC 5321 4.1.3, and Python lets it hold anything.
        if text[:5].lower() == "ipv6:" and "%" not in text:
            return f"[IPv6:{ipaddress.IPv6Address(text[5:])}]"
        return f"[{ipaddress.IPv4Address(text)}]"
    except ValueError:
        raise SyntaxFault("bad address literal") from None
