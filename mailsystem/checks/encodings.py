"""Charsets and transfer encodings of the parts: whether they are what they say (RFC 2045 6, RFC 2046 4.1)."""

from __future__ import annotations

import re
from typing import Final

from mailsystem.checks.rule import Findings, Rule, Severity, shown
from mailsystem.checks.rules import writing
from mailsystem.mail.reading import Piece, Reading
from mailsystem.mail.words import codec, transferred

MOST: Final = 32 << 20
"""Octets of one part that are looked at."""
LONGEST_ENCODED: Final = 76

_EIGHT_BIT = re.compile(rb"[\x80-\xff]")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_AFTER_PADDING = re.compile(rb"=\s*+[A-Za-z0-9+/]")
_BROKEN_QP = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]{0,76}\r?\n|[ \t]{0,76}\Z)")
_AS_LONG_AS_ANY: Final = 78
"""Characters of a line that every program takes (RFC 5322 2.1.1)."""
_WIDE = re.compile(rb"(?m)^[^\r\n]{%d,}+" % (LONGEST_ENCODED + 1))
_TOO_WIDE = re.compile(rb"(?m)^[^\r\n]{%d,}+" % (_AS_LONG_AS_ANY + 1))
_KNOWN: Final = ("7bit", "8bit", "binary", "quoted-printable", "base64")


def check_encodings(message: Reading, findings: Findings) -> None:
    """Every part of the message, those of messages within it too."""
    for piece in message.pieces:
        part = _Part(message, piece, findings)
        declared = _declared(message, piece)
        if declared in ("base64", "quoted-printable") and _should_hold_parts(message, piece):
            part.note(writing.ENCODED_MULTIPART, f"a part that holds parts is encoded as {declared}")
        elif piece.part.children:
            continue
        elif declared is not None and declared not in _KNOWN:
            part.note(writing.ENCODING_UNKNOWN, f"there is no encoding {shown(declared, 40) or 'without a name'}")
        else:
            _check(part, declared)


class _Part:
    """One part, and a way to say what is wrong with it."""

    def __init__(self, message: Reading, piece: Piece, findings: Findings) -> None:
        self.message = message
        self.piece = piece
        self.body = message.body(piece.part, MOST)
        self._findings = findings

    def note(self, rule: Rule, told: str = "", offset: int | None = None, severity: Severity | None = None) -> None:
        """Something is wrong with the part, or at an offset in its body."""
        at = self.piece.part.header[0] if offset is None else self.piece.part.body[0] + offset
        # Counting lines takes as long as the message is, so it is done for what is told only.
        line = self.message.octets.count(b"\n", 0, at) + 1 if self._findings.has_room(rule) else None
        self._findings.add(rule, told, line=line, part=self.piece.section, severity=severity)


def _check(part: _Part, declared: str | None) -> None:
    encoding = part.piece.part.encoding
    if encoding == "base64":
        _base64(part)
    elif encoding == "quoted-printable":
        _quoted_printable(part)
    elif encoding == "7bit" and (found := _EIGHT_BIT.search(part.body)):
        told = "" if declared else "a part has octets beyond ASCII and no Content-Transfer-Encoding"
        part.note(writing.EIGHT_BIT_BODY, told, found.start())
    if part.piece.part.type == "text":
        _charset(part)


def _declared(message: Reading, piece: Piece) -> str | None:
    value = message.field_of(piece.part, "Content-Transfer-Encoding")
    if value is None:
        return None
    return re.sub(r"\(.*", "", value.decode("ascii", "replace"), flags=re.DOTALL).strip().lower()


def _should_hold_parts(message: Reading, piece: Piece) -> bool:
    value = (message.field_of(piece.part, "Content-Type") or b"").lstrip().lower()
    return value.startswith((b"multipart/", b"message/rfc822", b"message/global;"))


def _base64(part: _Part) -> None:
    body = part.body
    found = _NOT_BASE64.search(body)
    why = "there is a character that is no base64"
    if found is None:
        found, why = _AFTER_PADDING.search(body), "there is something behind the padding"
    if found is not None:
        part.note(writing.BASE64_DAMAGED, why, found.start())
    elif len(body) < MOST and len(body.translate(None, b" \t\r\n")) % 4:
        part.note(writing.BASE64_DAMAGED, "the end is missing", len(body))
    _width(part, "base64")


def _quoted_printable(part: _Part) -> None:
    body = part.body
    if found := _BROKEN_QP.search(body):
        told = f"there is a loose equals sign: {shown(body[found.start() : found.start() + 12])}"
        part.note(writing.QP_DAMAGED, told, found.start())
    elif found := _EIGHT_BIT.search(body):
        part.note(writing.QP_DAMAGED, "there are octets beyond ASCII that are not encoded", found.start())
    _width(part, "quoted-printable")


def _width(part: _Part, encoding: str) -> None:
    if wide := _TOO_WIDE.search(part.body) or _WIDE.search(part.body):
        told = f"a line of {encoding} has {len(wide[0])} characters"
        # So long are those of Python's own library, and of others that count the line's end: nobody cuts them.
        severity = Severity.INFO if len(wide[0]) <= _AS_LONG_AS_ANY else None
        part.note(writing.ENCODED_LINE, told, wide.start(), severity)


def _charset(part: _Part) -> None:
    octets = transferred(part.body, part.piece.part.encoding)
    charset = part.piece.part.charset
    said = b"charset" in (part.message.field_of(part.piece.part, "Content-Type") or b"").lower()
    if not (said and charset):
        if _EIGHT_BIT.search(octets):
            part.note(writing.CHARSET_MISSING)
        return
    name = codec(charset)
    if name is None:
        part.note(writing.CHARSET_UNKNOWN, f"there is no charset {shown(charset, 40)}")
        return
    try:
        octets.decode(name)
    except UnicodeDecodeError as error:
        if error.end < len(octets) - 4 or len(part.body) < MOST:  # else a character was cut in two by us
            octet = octets[error.start]
            part.note(
                writing.CHARSET_WRONG, f"octet {octet:#04x} at {error.start} of the text is not {shown(charset, 40)}"
            )
    except (LookupError, ValueError):
        part.note(writing.CHARSET_WRONG, f"the text is not {shown(charset, 40)}")
