"""The form of a multipart/report (RFC 6522): a part for people, one for programs, and the message or its header."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from email.header import Header
from typing import Final, NamedTuple

from mailsystem.mail import header
from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import SyntaxFault

FOLD: Final = 76
_MOST_HEADER: Final = 1 << 16
_LONGEST_LINE: Final = 998  # RFC 5322 2.1.1

_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>")
_LONG_LINE = re.compile(rb"[^\n]{999}")


class Part(NamedTuple):
    kind: str
    """Content-Type."""
    description: str
    encoding: str
    body: bytes
    """Encoded, and with CRLF at its end."""


def assembled(fields: Sequence[str], kind: str, parts: Sequence[Part], token: str) -> bytes:
    """A whole report with CRLF: `fields` of its header, and what kind of report it is. `token` makes the boundary unique."""
    # A random one occurs nowhere; but nobody has to believe that.
    boundary = f"=_{token}"
    while any(boundary.encode() in part.body for part in parts):
        boundary += "="
    encoding = "8bit" if any(part.encoding == "8bit" for part in parts) else "7bit"
    head = [
        *fields,
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type={kind};\r\n boundary="{boundary}"',
        f"Content-Transfer-Encoding: {encoding}",
        "",
        "",
    ]
    pieces = ["\r\n".join(head).encode()]
    for part in parts:
        described = f"--{boundary}\r\nContent-Description: {part.description}\r\nContent-Type: {part.kind}\r\n"
        pieces += [f"{described}Content-Transfer-Encoding: {part.encoding}\r\n\r\n".encode(), part.body, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces)


def threading_fields(head: bytes) -> list[str]:
    """What makes a message one about the message with that header, where that can be told (RFC 5322 3.6.4)."""
    found = _MESSAGE_ID.fullmatch(header.unfolded(first(head, b"message-id")))
    return [] if found is None else [f"In-Reply-To: {found[0].decode()}", f"References: {found[0].decode()}"]


def subject_field(text: str) -> str:
    """A field that no program takes for an encoded word unless it is one."""
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    return "Subject: " + Header(text, charset, maxlinelen=FOLD, header_name="Subject").encode(linesep="\r\n")


def text_part(text: str) -> Part:
    octets = text.replace("\n", "\r\n").encode()
    if octets.isascii() and _LONG_LINE.search(octets) is None:
        return Part("text/plain; charset=us-ascii", "Notification", "7bit", octets)
    return Part("text/plain; charset=utf-8", "Notification", "quoted-printable", binascii.b2a_qp(octets, istext=True))


def returned_part(head: bytes, original: bytes | None, *, wide: bool) -> Part:
    """The message, or its header (RFC 6522 3 and 4, RFC 6533 4.2 and 4.3)."""
    if original is None:
        body = _lines_of_header(head)
        name, kind = "Header of the message", "text/rfc822-headers"
    else:
        body = original if original.endswith(b"\r\n") else original + b"\r\n"
        name, kind = "The message", "message/rfc822"
    if body.isascii():
        return Part(kind, name, "7bit", body)
    if _is_global(head):
        kind = "message/global" if original is not None else "message/global-headers"
        if not wide:  # RFC 6533 4.5: its sender may well have no server that knows SMTPUTF8
            return Part(kind, name, "base64", _base64(body))
    elif original is None:
        return Part(kind, name, "base64", _base64(body))  # octets that are no text at all
    return Part(kind, name, "8bit", body)


def _is_global(head: bytes) -> bool:
    """Whether a header is an international one (RFC 6532), and not merely one with octets that nobody declared."""
    if head.isascii():
        return False
    try:
        head.decode()
    except UnicodeDecodeError:
        return False
    return True


def can_travel(octets: bytes) -> bool:
    """Whether a message can be part of another without BINARYMIME: nothing but a transfer encoding would help, and RFC 2046
    5.2.1 allows none."""
    return (
        b"\0" not in octets
        and octets.count(b"\n") == octets.count(b"\r") == octets.count(b"\r\n")
        and _LONG_LINE.search(octets.replace(b"\r\n", b"\n")) is None
    )


def _lines_of_header(head: bytes) -> bytes:
    """A header block as lines that can travel, without the blank line at its end."""
    if len(head) > _MOST_HEADER:
        head = head[: head.rfind(b"\n", 0, _MOST_HEADER) + 1]
    kept = []
    for line in head.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\0", b"").split(b"\n"):
        if not line.strip():
            break
        cut = line[:_LONGEST_LINE]
        kept.append(cut.decode("utf-8", "ignore").encode() if _is_global(line) else cut)
    return b"".join(line + b"\r\n" for line in kept) or b"\r\n"


def first(head: bytes, name: bytes) -> bytes:
    return next((value for key, value in header.fields(head[:_MOST_HEADER]) if key.lower() == name), b"")


def host_name(hostname: str) -> str:
    """Our name, so that it can be part of an address."""
    try:
        return normal_domain(hostname)
    except SyntaxFault:
        return re.sub(r"[^A-Za-z0-9.-]+", "-", hostname)[:255].strip(".-") or "localhost"


def _base64(octets: bytes) -> bytes:
    encoded = binascii.b2a_base64(octets, newline=False)
    return b"".join(encoded[at : at + FOLD] + b"\r\n" for at in range(0, len(encoded), FOLD))
