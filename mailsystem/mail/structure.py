"""ENVELOPE, BODY and BODYSTRUCTURE as they go into an IMAP FETCH response (RFC 9051 7.5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from mailsystem.mail.header import Parameters, addresses, media_type, parameter, token
from mailsystem.mail.words import decoded, text

LONGEST_QUOTED: Final = 1000
"""Octets of a quoted string; longer ones become literals."""
LONGEST_BOUNDARY: Final = 900
"""Octets of a boundary that is believed; RFC 2046 5.1.1 allows 70."""
LONGEST_FILENAME: Final = 255

EMPTY_ENVELOPE: Final = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*+").fullmatch
_SPOKEN = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*+").fullmatch
_SPECIAL = re.compile(rb'(["\\])')
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LESS_USUAL: Final = frozenset(
    b"content-" + name for name in [b"disposition", b"id", b"description", b"md5", b"language", b"location"]
)
_USUAL_MULTIPART = re.compile(
    rb'multipart/([a-z-]{1,100}+);[ \t]*+boundary=(?:"([0-9A-Z\'()+_,\-./:=?]{1,200}+)"|([0-9A-Z\'+_\-.:=]{1,200}+))',
    re.IGNORECASE,
).fullmatch
_IDENTITIES: Final = frozenset(["7bit", "8bit", "binary"])


def string(value: bytes) -> bytes:
    """RFC 9051 `string`: quoted where it may be, else a literal. NULs are left out: neither can hold them."""
    if len(value) <= LONGEST_QUOTED:
        if _QUOTABLE(value):
            return b'"%b"' % value
        if _SPOKEN(value):
            return b'"%b"' % _SPECIAL.sub(rb"\\\1", value)
    if b"\0" in value:
        return string(value.replace(b"\0", b""))
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    return b"NIL" if value is None else string(value)


def envelope(found: Mapping[bytes, bytes]) -> bytes:
    """ENVELOPE from the fields that `header.of_structure` found."""
    get = found.get
    sent_by = _addresses(get(b"from"))
    sender = _addresses(get(b"sender"))
    reply_to = _addresses(get(b"reply-to"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(get(b"date")),
        nstring(get(b"subject")),
        sent_by,
        # RFC 9051 7.5.2: absent or empty, these two are From.
        sent_by if sender == b"NIL" else sender,
        sent_by if reply_to == b"NIL" else reply_to,
        _addresses(get(b"to")),
        _addresses(get(b"cc")),
        _addresses(get(b"bcc")),
        nstring(get(b"in-reply-to")),
        nstring(get(b"message-id")),
    )


# A quote within a string follows a backslash: one behind a blank begins a string.
_USUAL_LAST = re.compile(rb' "<([!#-;=?-\[\]-~]{1,200}+)>"\)$')
_LAST_QUOTED = re.compile(rb' "((?:[^"\\]|\\.)*+)"\)$', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_LAST_LITERAL = re.compile(rb"\{(\d{1,9})\}\r\n([^\r\n]*)\)$")


def message_id(envelope: bytes) -> str | None:
    """The Message-ID with which an ENVELOPE ends, without its angle brackets; None where it has none."""
    if usual := _USUAL_LAST.search(envelope):
        return usual[1].decode("ascii")
    literal = _LAST_LITERAL.search(envelope)
    if literal and int(literal[1]) == len(literal[2]):  # else it stands before others
        return named(literal[2].decode("utf-8", "replace"))
    if quoted := _LAST_QUOTED.search(envelope[-2 * LONGEST_QUOTED - 10 :]):
        return named(_QUOTED_PAIR.sub(rb"\1", quoted[1]).decode())
    return None


def named(message_id: str) -> str | None:
    """A Message-ID as it is compared: without angle brackets, comments and white space; None for nothing."""
    inner = re.search(r"<([^<>]+)>", message_id)
    return "".join((inner[1] if inner else message_id).split())[:LONGEST_QUOTED] or None


def _addresses(value: bytes | None) -> bytes:
    if not value:
        return b"NIL"
    return _few_addresses(value) if len(value) <= 100 else _address_list(value)


def _address_list(value: bytes) -> bytes:
    shown = b"".join(
        [
            b"(%b %b %b %b)"
            % (
                b"NIL" if name is None else string(name),
                b"NIL" if route is None else string(route),
                b"NIL" if mailbox is None else string(mailbox),
                b"NIL" if host is None else string(host),
            )
            for name, route, mailbox, host in addresses(value)
        ]
    )
    return b"(%b)" % shown if shown else b"NIL"


_few_addresses = lru_cache(1000)(_address_list)  # the same people write again and again


class Described(NamedTuple):
    """What the header of a part says about it, and how its BODYSTRUCTURE begins and ends."""

    type: str
    subtype: str
    encoding: str
    charset: str | None
    filename: str | None
    boundary: bytes | None
    """Of a multipart: None where it has none that works."""
    front: bytes
    """Up to the size; of a multipart the subtype."""
    extension: bytes
    """What BODYSTRUCTURE has and BODY has not, with a space in front."""
    holds_message: bool
    """Whether a whole message is inside: message/rfc822, message/global."""

    def bare(self) -> Described:
        """The same, showing nothing but its type."""
        return self._replace(front=_front(self.type, self.subtype, b"NIL", {}, self.encoding), extension=_NO_EXTENSION)


_NO_EXTENSION = b" NIL NIL NIL NIL"


def _front(type_: str, subtype: str, parameters: bytes, found: Mapping[bytes, bytes], encoding: str) -> bytes:
    if type_ == "multipart":
        return b'"%b"' % subtype.upper().encode()
    return b'"%b" "%b" %b %b %b "%b"' % (
        type_.upper().encode(),
        subtype.upper().encode(),
        parameters,
        nstring(found.get(b"content-id")),
        nstring(found.get(b"content-description")),
        encoding.upper().encode(),
    )


def describe(found: Mapping[bytes, bytes], *, in_digest: bool = False, opaque: bool = False) -> Described:
    """Read the MIME fields of one part out of what `header.of_structure` found.

    `opaque`: nothing inside it is to be looked at; a multipart or a message is then application/octet-stream.
    """
    if not (in_digest or opaque) and _LESS_USUAL.isdisjoint(found):
        content_type = found.get(b"content-type", b"text/plain")
        encoding = found.get(b"content-transfer-encoding", b"")
        if len(content_type) + len(encoding) <= 100 and content_type[:5].lower() == b"text/":
            return _text(content_type, encoding)
        if not encoding and (match := _USUAL_MULTIPART(content_type)):
            return _multipart(match[1], match[2] or match[3])
    return _describe(found, in_digest, opaque)


@lru_cache(1000)
def _text(content_type: bytes, encoding: bytes) -> Described:
    """Most parts have one of a few dozen spellings of these two fields, and no other."""
    return _describe({b"content-type": content_type, b"content-transfer-encoding": encoding}, False, False)


def _multipart(subtype: bytes, boundary: bytes) -> Described:
    name, shown = subtype.upper(), b'("BOUNDARY" "%b")' % boundary
    return Described(
        "multipart",
        name.decode("ascii").lower(),
        "7bit",
        None,
        None,
        boundary,
        b'"%b"' % name,
        b" %b NIL NIL NIL" % shown,
        False,
    )


def _describe(found: Mapping[bytes, bytes], in_digest: bool, opaque: bool) -> Described:
    encoding = "7bit"
    if (value := found.get(b"content-transfer-encoding")) and (read := token(value)):
        encoding = read[0]
    value = found.get(b"content-type")
    parameters: Parameters = []
    if value is not None:
        # RFC 2045 5.2: one that cannot be read is text/plain; charset=us-ascii
        type_, subtype, parameters = media_type(value) or ("text", "plain", parameters)
    elif in_digest:
        type_, subtype = "message", "rfc822"  # RFC 2046 5.1.5
    else:
        type_, subtype = "text", "plain"
    boundary = None
    if type_ == "multipart":
        if opaque:
            type_, subtype = "application", "octet-stream"
        else:
            boundary = _boundary(parameters)
    holds_message = type_ == "message" and subtype in ("rfc822", "global")
    if holds_message and (opaque or encoding not in _IDENTITIES):
        # RFC 2046 5.2.1 forbids to encode a message; where it was done, there is none to be seen inside.
        type_, subtype, holds_message = "application", "octet-stream", False
    charset = None
    if type_ == "text":
        charset = _charset(parameters)
        if charset is None and subtype == "plain":
            charset = "us-ascii"  # RFC 2046 4.1.2
            parameters = [*parameters, (b"charset", b"us-ascii")]
    disposition, filename = b"NIL", None
    if (value := found.get(b"content-disposition")) and (read := token(value)):
        disposition = b'("%b" %b)' % (read[0].upper().encode(), _parameters(read[1]))
        filename = _filename(read[1], b"filename")
    if filename is None:
        filename = _filename(parameters, b"name")
    shown = _parameters(parameters)
    front = _front(type_, subtype, shown, found, encoding)
    extension = b" %b %b %b %b" % (
        shown if type_ == "multipart" else nstring(found.get(b"content-md5")),
        disposition,
        _language(found.get(b"content-language")),
        nstring(found.get(b"content-location")),
    )
    return Described(type_, subtype, encoding, charset, filename, boundary, front, extension, holds_message)


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (string(name.upper()), string(value)) for name, value in parameters])


def _boundary(parameters: Parameters) -> bytes | None:
    read = parameter(parameters, b"boundary")
    if read is None:
        return None
    # RFC 2046 5.1.1: no boundary ends in white space, which gateways add to lines
    boundary = read.octets.rstrip(b" \t\r")
    return boundary if 0 < len(boundary) <= LONGEST_BOUNDARY else None


def _charset(parameters: Parameters) -> str | None:
    read = parameter(parameters, b"charset")
    if read is None or not (words := read.octets[:256].split()):
        return None
    return words[0][:64].decode("ascii", "replace").lower()


def _filename(parameters: Parameters, name: bytes) -> str | None:
    if not parameters or (read := parameter(parameters, name)) is None:
        return None
    # RFC 2047 5 forbids encoded words here; they are common all the same.
    shown = decoded(read.octets) if read.charset is None else text(read.octets, read.charset)
    return _CONTROLS.sub(" ", shown[:LONGEST_FILENAME]).strip() or None


def _language(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    tags = [tag.strip() for tag in value.split(b",", 100)[:100]]
    shown = [string(tag) for tag in tags if tag]
    if len(shown) == 1:
        return shown[0]
    return b"(%b)" % b" ".join(shown) if shown else b"NIL"


def multipart(described: Described, children: Iterable[bytes]) -> bytes:
    """RFC 9051 `body-type-mpart` without its parentheses and extension data; there must be a child."""
    return b"%b %b" % (b"".join(children), described.front)
