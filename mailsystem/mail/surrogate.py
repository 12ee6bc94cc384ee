"""A message with internationalised header fields (RFC 6532) for a client that can read only ASCII there: its surrogate.

RFC 6858's simple way, without its losses where RFC 2047, RFC 2231 and A-labels can say the same in ASCII: names, subjects and
file names come out as they are, and so does an address whose domain alone is international. An address whose local part is
cannot be written in ASCII: it is shown beside the name, and the address itself is one that reaches nobody. A field that only
makes sense unchanged (Message-ID, Received, a signature) is kept under the name that RFC 6857 gives it, `Downgraded-…`.

Header fields with octets that are not UTF-8 are no internationalised ones, but somebody's mistake, and stay as they are.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from mailsystem.mail import header
from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import NotPermitted, SyntaxFault
from mailsystem.mail.part import Part
from mailsystem.mail.words import decoded

NOBODY: Final = b"invalid@internationalized-address.invalid"
"""RFC 6858 2.1: an address that surely is nobody's."""
LARGEST_HEADER: Final = 1 << 20
"""A header block over this should get no surrogate: nobody writes such, and it would have to be held in memory."""

_UNIT = re.compile(rb"[^\n]*+\n?(?:[ \t][^\n]*+\n?)*+")
_NAME = re.compile(rb"([!-9;-~]++)[ \t]*+:")
_ATOMS = re.compile(rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++(?:[ .][A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++)*+\.?")
_DOT_ATOM = re.compile(rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++)*+")
_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]++")
_GLOBAL = re.compile(rb"message/global(?![A-Za-z0-9-])", re.IGNORECASE)
_WORD: Final = 42
"""Octets in one encoded word: 56 of base64, so that a line has less than 76 characters (RFC 2047 2)."""
_PIECE: Final = 20
"""The same for one section of a parameter (RFC 2231 3)."""

_ADDRESSES: Final = frozenset(
    b"from sender reply-to to cc bcc resent-from resent-sender resent-to resent-cc resent-bcc".split()
)
_PROSE: Final = frozenset(b"subject comments keywords content-description thread-topic organization".split())


class NeedsUtf8(NotPermitted):
    """RFC 6856 5: there is no surrogate, so the client would have to say UTF8 first."""

    text = "this message needs UTF8 mode"


def header_ranges(part: Part) -> list[tuple[int, int]]:
    """Where header blocks stand in a message, its own and those of its parts, in ascending order."""
    found, waiting = [], [part]
    while waiting:
        one = waiting.pop()
        waiting.extend(one.children)
        if one.header[0] < one.header[1]:
            found.append(one.header)
    return sorted(found)


class Rewriting:
    """Passes a message in any pieces, each header block as its surrogate."""

    __slots__ = ("_at", "_held", "_ranges")

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._ranges = list(reversed(list(ranges)))
        self._at = 0
        self._held = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """What can be said now."""
        out: list[bytes] = []
        end = self._at + len(chunk)
        position = 0
        while self._ranges and self._ranges[-1][0] < end:
            start, stop = self._ranges[-1]
            if self._at < start:
                out.append(chunk[position : position + start - self._at])
                position += start - self._at
                self._at = start
            taken = chunk[position : position + stop - self._at]
            self._held += taken
            position += len(taken)
            self._at += len(taken)
            if self._at < stop:
                break
            out.append(block(bytes(self._held)))
            self._held.clear()
            self._ranges.pop()
        out.append(chunk[position:])
        self._at = end
        return b"".join(out)

    def close(self) -> bytes:
        """What is left of a message that was shorter than it should have been."""
        return bytes(self._held)


def block(octets: bytes) -> bytes:
    """A header block with its blank line, in ASCII."""
    if octets.isascii() and not _GLOBAL.search(octets):
        return octets
    return b"".join(_units(octets))


def _units(octets: bytes) -> Iterator[bytes]:
    for match in _UNIT.finditer(octets):
        unit = match[0]
        if unit.isascii():
            yield _GLOBAL.sub(b"message/rfc822", unit) if unit[:13].lower() == b"content-type:" else unit
            continue
        named = _NAME.match(unit)
        try:
            unit.decode()
        except UnicodeDecodeError:
            named = None
        if named is None:
            yield unit
            continue
        end = b"\r\n" if unit.endswith(b"\r\n") else b"\n" if unit.endswith(b"\n") else b""
        name, value = _field(named[1], header.unfolded(unit[named.end() :]))
        if value:
            yield b"%b: %b%b" % (name, value.replace(b"\r\n", end or b"\r\n"), end)


def _field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A field's name and its value in ASCII, folded; an empty one says nothing any more."""
    kind = name.lower()
    if kind in _ADDRESSES:
        return name, _addresses(value)
    if kind == b"return-path":
        return name, b"<%b>" % NOBODY
    if kind in _PROSE or kind.startswith(b"x-"):
        return name, _words(decoded(value))
    if kind == b"content-type" and (media := header.media_type(value)) is not None:
        type_ = f"{media[0]}/{media[1]}".encode("ascii", "replace")
        return name, _GLOBAL.sub(b"message/rfc822", type_) + _parameters(media[2])
    if kind == b"content-disposition" and (token := header.token(value)) is not None:
        return name, token[0].encode("ascii", "replace") + _parameters(token[1])
    plain = header.without_comments(value).strip()
    if plain and plain.isascii():  # a date with the name of its zone
        return name, plain
    return b"Downgraded-" + name, _words(decoded(value))


def _words(text: str) -> bytes:
    """Encoded words (RFC 2047), each of whole characters, on lines of their own."""
    words: list[bytes] = []
    held = b""
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(held) + len(octets) > _WORD:
            words.append(held)
            held = b""
        held += octets
    words.append(held)
    return b"\r\n ".join(b"=?utf-8?B?%b?=" % base64.b64encode(word) for word in words if word)


def _phrase(text: str) -> bytes:
    """A name before an address."""
    octets = text.encode("utf-8", "replace")
    if not text.isascii() or not text.isprintable():
        return _words(text)
    if _ATOMS.fullmatch(octets):
        return octets
    return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _addresses(value: bytes) -> bytes:
    out: list[bytes] = []
    joint = b""
    for one in header.addresses(value):
        if one.host is None and one.mailbox is None:
            out.append(b";")
            joint = b",\r\n "
        elif one.host is None:
            out.append(b"%b%b:" % (joint, _phrase(decoded(one.mailbox or b""))))
            joint = b" "
        else:
            out.append(joint + _address(one))
            joint = b",\r\n "
    return b"".join(out)


def _address(one: header.Mailbox) -> bytes:
    name = decoded(one.name) if one.name else ""
    local, host = one.mailbox or b"", one.host or b""
    if local.isascii() and not host.isascii():
        with suppress(SyntaxFault, UnicodeDecodeError):
            host = normal_domain(host.decode()).encode()
    if local and local.isascii() and host and host.isascii():
        if not _DOT_ATOM.fullmatch(local):
            local = b'"%b"' % local.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        spec = b"%b@%b" % (local, host)
        return b"%b <%b>" % (_phrase(name), spec) if name else spec
    # RFC 6858 2.1
    shown = (local + b"@" + host if host else local).decode("utf-8", "replace")
    return b"%b <%b>" % (_phrase(f"{name} ({shown})" if name else shown), NOBODY)


def _parameters(parameters: header.Parameters) -> bytes:
    return b"".join(b";\r\n " + piece for name, value in parameters for piece in _parameter(name, value))


def _parameter(name: bytes, value: bytes) -> Iterator[bytes]:
    """One parameter; in RFC 2231's extended form where it has to be."""
    if not name.isascii():
        return
    if value.isascii():
        plain = _TOKEN.fullmatch(value) or name.endswith(b"*")
        yield name + b"=" + (value if plain else b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
        return
    text = value.decode("utf-8", "replace")
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    for number, piece in enumerate(pieces):
        section = b"*" if len(pieces) == 1 else b"*%d*" % number
        charset = b"utf-8''" if number == 0 else b""
        yield name + section + b"=" + charset + quote(piece, safe="").encode()
