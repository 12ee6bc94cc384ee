"""Octets to text: charsets, RFC 2047's encoded words, transfer encodings. Takes any octets, never raises."""

from __future__ import annotations

import binascii
import re
from encodings.aliases import aliases
from functools import lru_cache
from typing import Final

from mailsystem.mail.header import unfolded

_ENCODED_WORD = re.compile(rb"=\?([^?\s]++)\?([bBqQ])\?([^?]*+)\?=")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))

# Only what is named here is ever looked up: Python remembers every name it was asked for, and some of its codecs are no
# charsets, or take quadratic time (punycode), or run on other systems only.
_NOT_CHARSETS: Final = frozenset(
    ["base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"]
)
_CODECS: Final = {
    **{name: name for name in aliases.values()},
    **aliases,
    **{name: name for name in ["koi8_t", "koi8_u", "cp720", "cp737", "cp856", "cp874", "cp1006", "utf_8_sig"]},
    "iso_8859_6_i": "iso8859_6",
    "iso_8859_6_e": "iso8859_6",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "gb2312": "gb18030",  # what calls itself so is mostly its superset
    "windows_874": "cp874",
    "x_gbk": "gbk",
    "x_sjis": "cp932",
    "x_mac_roman": "mac_roman",
}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_BEYOND_ASCII: Final = frozenset(
    ["ascii", "utf_8", "latin_1", "koi8_r", "koi8_u"]
    + [f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)]
    + [f"cp125{page}" for page in range(9)]
)
"""Codecs in which octets of ASCII stand for themselves."""


def codec(charset: str) -> str | None:
    """Python's codec for a MIME charset; None where the name is unknown."""
    if len(charset) > 64:
        return None
    name = _CODECS.get(_SEPARATORS.sub("_", charset.strip().lower()).strip("_"))
    return None if name in _NOT_CHARSETS else name


def is_beyond_ascii(charset: str) -> bool:
    """Whether octets of ASCII are their text in this charset; unknown ones are read as UTF-8."""
    return len(charset) > 64 or _is_beyond_ascii(charset)


@lru_cache(maxsize=64)
def _is_beyond_ascii(charset: str) -> bool:
    name = codec(charset)
    return name is None or name in _BEYOND_ASCII


def text(octets: bytes, charset: str | None) -> str:
    """Octets as text in `charset`, without lone surrogates. What does not decode is replaced.

    Without a charset, or with one that is too small for what is there, UTF-8 is tried first and Latin-1 is the rest.
    """
    name = codec(charset) if charset else "ascii"
    if name is None:
        return octets.decode("utf-8", "replace")
    if name in ("ascii", "utf_8"):
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return octets.decode("latin-1") if name == "ascii" else octets.decode("utf-8", "replace")
    try:
        decoded = octets.decode(name, "replace")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")
    try:
        decoded.encode()
    except UnicodeEncodeError:  # UTF-7 lets lone surrogates through
        return decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return decoded


def utf8(octets: bytes, charset: str | None) -> bytes:
    """What `text` gives, in UTF-8: mostly these octets as they are."""
    if octets.isascii():
        return octets if not charset or is_beyond_ascii(charset) else text(octets, charset).encode()
    name = codec(charset) if charset else "ascii"
    if name in ("ascii", "utf_8"):
        try:
            octets.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return octets
    return text(octets, charset).encode()


def decoded(value: bytes) -> str:
    """A header value as people read it: unfolded, its encoded words (RFC 2047) decoded and joined."""
    value = unfolded(value)
    if b"=?" not in value:
        return text(value, None)
    done: list[str] = []
    held: list[bytes] = []
    charset: str | None = None
    at = 0
    for match in _ENCODED_WORD.finditer(value):
        between = value[at : match.start()]
        at = match.end()
        name, encoding, encoded = match.groups()
        # RFC 2231 5: charset*language
        its_charset = name.partition(b"*")[0].decode("ascii", "replace").lower()
        # RFC 2047 6.2: white space between two encoded words is not shown; a character may be cut in two by it.
        adjacent = bool(held) and not between.strip(b" \t")
        if held and not (adjacent and its_charset == charset):
            done.append(text(b"".join(held), charset))
            held = []
        if between and not adjacent:
            done.append(text(between, None))
        charset = its_charset
        held.append(base64_octets(encoded) if encoding in b"bB" else binascii.a2b_qp(encoded, header=True))
    if held:
        done.append(text(b"".join(held), charset))
    done.append(text(value[at:], None))
    return "".join(done)


def base64_octets(encoded: bytes) -> bytes:
    """What base64 stands for, garbage passed over and a cut end dropped."""
    try:
        return binascii.a2b_base64(encoded)
    except binascii.Error:
        kept = encoded.translate(None, _NOT_BASE64)
        if len(kept) % 4 == 1:
            kept = kept[:-1]
        return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def transferred(octets: bytes, encoding: str) -> bytes:
    """A body with its transfer encoding (RFC 2045 6) undone; unknown ones are left as they are."""
    if encoding == "base64":
        return base64_octets(octets)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(octets)
    return octets
