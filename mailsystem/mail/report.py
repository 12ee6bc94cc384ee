"""Delivery status notifications: what the sender of a message gets to read about what became of it (RFC 3461 6, RFC 3464).

A report is a multipart/report (RFC 6522) of three parts: one for people, one for programs, and the message or its header.
It leaves with the null sender, and is never made for one: `reported.wanted` says what is to be told of which recipient, and one
report tells it of all.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from email.header import Header
from email.utils import formatdate
from typing import Final, Literal, NamedTuple

from mailsystem.mail import header
from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.explanation import ORDER, TITLES, explanation
from mailsystem.mail.reported import Action, Reported, clean
from mailsystem.mail.words import decoded

MOST_RETURNED: Final = 1 << 20
"""Octets of a message up to which it comes back whole (RFC 3461 6.2); of a longer one only the header does."""
_MOST_HEADER: Final = 1 << 16
_LONGEST_LINE: Final = 998  # RFC 5322 2.1.1
_LONGEST_ADDRESS: Final = (
    900  # of one that can be accepted, all is there: so has 64 octets before the @ and 255 behind it
)
_FOLD: Final = 76

_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>")
_LONG_LINE = re.compile(rb"[^\n]{999}")
_XTEXT = re.compile(rb"\+([0-9A-F]{2})")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_QCHAR = re.compile(r"[!-*,-<>-\[\]-~]")
_NO_ATOM = re.compile(r"[^A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+")


def returns_body(ret: Literal["FULL", "HDRS"] | None, actions: Sequence[Action], size: int) -> bool:
    """Whether the message itself belongs into the report (RFC 3461 6.2), and so `report` should get it as `original`.

    Only where something failed, its sender did not ask for the header alone, and it is not too large.
    """
    return Action.FAILED in actions and ret != "HDRS" and size <= MOST_RETURNED


def report(
    *,
    to: Address,
    hostname: str,
    ident: str,
    arrived: float,
    recipients: Sequence[Reported],
    original_head: bytes,
    original: bytes | None = None,
    envid: str | None = None,
    ret: Literal["FULL", "HDRS"] | None = None,
    now: float,
    token: str,
) -> bytes:
    """A whole message, with CRLF, to be sent to `to` from the null sender.

    `to` is the sender of the message, and not null; `hostname` ours, `ident` and `arrived` those of the message here; `envid`
    and `ret` as they came with it. `original_head` is its header block, with or without the blank line; `original` all of it,
    or None: it is left out where `returns_body` says no, or where it could not travel as it is. `token` makes the boundary
    and the Message-ID unique: letters and digits, not to be guessed.

    It needs 8BITMIME where it is not all ASCII, and SMTPUTF8 where `to` is not. In a report to an address that is ASCII
    nothing needs SMTPUTF8, whatever the recipients are: their addresses are written in ASCII (RFC 6533 3).
    """
    if not to or not recipients:
        raise ValueError("a report goes to somebody, about somebody")
    host = _host(hostname)
    wide = not to.is_ascii
    if original is not None and not (
        returns_body(ret, [each.action for each in recipients], len(original)) and _can_travel(original)
    ):
        original = None
    subject = clean(decoded(_first(original_head, b"subject")), 400)
    text = explanation(
        hostname=host, recipients=recipients, subject=subject, arrived=arrived, now=now, attached=_attached(original)
    )
    parts = [
        _text_part(text),
        _status_part(host, ident, arrived, envid, recipients, wide=wide),
        _returned_part(original_head, original, wide=wide),
    ]
    # A random one occurs nowhere; but nobody has to believe that.
    boundary = f"=_{token}"
    while any(boundary.encode() in part.body for part in parts):
        boundary += "="
    return b"".join(_message(host, to, subject, recipients, original_head, now, token, boundary, parts))


class _Part(NamedTuple):
    kind: str
    """Content-Type."""
    description: str
    encoding: str
    body: bytes
    """Encoded, and with CRLF at its end."""


def _message(
    host: str,
    to: Address,
    subject: str,
    recipients: Sequence[Reported],
    original_head: bytes,
    now: float,
    token: str,
    boundary: str,
    parts: Sequence[_Part],
) -> Iterator[bytes]:
    actions = {each.action for each in recipients}
    title = TITLES[next(action for action in ORDER if action in actions)]
    fields = [
        f"From: Mail Delivery System <mailer-daemon@{host}>",
        f"To: <{to}>",
        _subject(f"{title}: {subject}" if subject else f"{title}: your message"),
        f"Date: {formatdate(now, localtime=True)}",
        f"Message-ID: <{token}@{host}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 5
    ]
    if (found := _MESSAGE_ID.fullmatch(header.unfolded(_first(original_head, b"message-id")))) is not None:
        fields += [f"In-Reply-To: {found[0].decode()}", f"References: {found[0].decode()}"]
    encoding = "8bit" if any(part.encoding == "8bit" for part in parts) else "7bit"
    fields += [
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
        f"Content-Transfer-Encoding: {encoding}",
        "",
        "",
    ]
    yield "\r\n".join(fields).encode()
    for part in parts:
        yield (
            f"--{boundary}\r\nContent-Description: {part.description}\r\nContent-Type: {part.kind}\r\n"
            f"Content-Transfer-Encoding: {part.encoding}\r\n\r\n"
        ).encode()
        yield part.body
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _subject(text: str) -> str:
    """A field that no program takes for an encoded word unless it is one."""
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    return "Subject: " + Header(text, charset, maxlinelen=_FOLD, header_name="Subject").encode(linesep="\r\n")


def _text_part(text: str) -> _Part:
    octets = text.replace("\n", "\r\n").encode()
    if octets.isascii() and _LONG_LINE.search(octets) is None:
        return _Part("text/plain; charset=us-ascii", "Notification", "7bit", octets)
    return _Part("text/plain; charset=utf-8", "Notification", "quoted-printable", binascii.b2a_qp(octets, istext=True))


def _status_part(
    host: str, ident: str, arrived: float, envid: str | None, recipients: Sequence[Reported], *, wide: bool
) -> _Part:
    """message/delivery-status (RFC 3464 2), or its international sister (RFC 6533 4.1)."""
    fields = []
    if envid is not None:
        fields.append(f"Original-Envelope-Id: {_visible(_unxtext(envid))[:400]}")
    # RFC 3461 6.3: `dns` is only for a full name.
    fields.append(f"Reporting-MTA: {'dns' if '.' in host or ':' in host else 'x-local-hostname'}; {host}")
    fields.append(f"X-Mailsystem-Queue-ID: {_plain(ident, 100)}")
    fields.append(f"Arrival-Date: {formatdate(arrived, localtime=True)}")
    for each in recipients:
        fields.append("")
        fields.extend(_of_recipient(each, wide=wide))
    body = "".join(field + "\r\n" for field in fields).encode()
    kind, encoding = "message/delivery-status", "7bit"
    if not body.isascii():
        kind, encoding = "message/global-delivery-status", "8bit"
    return _Part(kind, "Delivery report", encoding, body)


def _of_recipient(each: Reported, *, wide: bool) -> Iterator[str]:
    """RFC 3464 2.3."""
    if each.original is not None:
        yield f"Original-Recipient: {_original(each.original, wide=wide)}"
    yield f"Final-Recipient: {_typed('rfc822', str(each.address), wide=wide)}"
    yield f"Action: {each.action.value}"
    yield f"Status: {each.code}"
    if remote := _plain(each.remote, 255):
        yield f"Remote-MTA: dns; {remote}"
    if each.is_of_remote:
        # RFC 3461 9.2: a reply of several lines keeps them, each further one behind a space.
        lines = [line if wide else _ascii(line) for line in each.lines]
        lines[0] = f"Diagnostic-Code: smtp; {lines[0]}"
        yield "\r\n ".join(piece for line in lines for piece in _folded(line))
    if each.attempted is not None:
        yield f"Last-Attempt-Date: {formatdate(each.attempted, localtime=True)}"
    if each.action is Action.DELAYED and each.retry_until is not None:
        yield f"Will-Retry-Until: {formatdate(each.retry_until, localtime=True)}"


def _original(orcpt: str, *, wide: bool) -> str:
    """Original-Recipient from ORCPT, whose xtext is undone (RFC 3461 4.2), and from that of RFC 6533 3."""
    kind, _, text = orcpt.partition(";")
    kind = _NO_ATOM.sub("", kind)[:100] or "unknown"
    if kind.lower() == "utf-8":
        address = _EMBEDDED.sub(_embedded, text)
        if "\\" in address and text.isascii():
            return f"{kind}; {_visible(text)[:_LONGEST_ADDRESS]}"  # not what it says it is: copied as it came
        return _typed(kind, address, wide=wide)
    return _typed(kind, _unxtext(text), wide=wide)


def _typed(kind: str, address: str, *, wide: bool) -> str:
    """An address with its type. One that is not ASCII is written as RFC 6533 3 has it, and so is one that breaks lines."""
    if address.isascii() and address.isprintable() and kind.lower() != "utf-8":
        return f"{kind}; {address[:_LONGEST_ADDRESS]}"
    written, left = [], _LONGEST_ADDRESS
    for character in address:
        # The escapes may stand wherever the character itself may, and are all that a report in ASCII can have.
        plain = _QCHAR.fullmatch(character) or (wide and character > "\x7f" and character.isprintable())
        piece = character if plain else f"\\x{{{ord(character):02X}}}"
        left -= len(piece.encode("utf-8", "replace"))
        if left < 0:
            break
        written.append(piece)
    return "utf-8; " + "".join(written)


def _embedded(match: re.Match[str]) -> str:
    point = int(match[1], 16)
    return chr(point) if point < 0xD800 or 0xDFFF < point < 0x110000 else match[0]


def _returned_part(head: bytes, original: bytes | None, *, wide: bool) -> _Part:
    """The message, or its header (RFC 6522 3 and 4, RFC 6533 4.2 and 4.3)."""
    if original is None:
        body = _lines_of_header(head)
        name, kind = "Header of the message", "text/rfc822-headers"
    else:
        body = original if original.endswith(b"\r\n") else original + b"\r\n"
        name, kind = "The message", "message/rfc822"
    if body.isascii():
        return _Part(kind, name, "7bit", body)
    if _is_global(head):
        kind = "message/global" if original is not None else "message/global-headers"
        if not wide:  # RFC 6533 4.5: its sender may well have no server that knows SMTPUTF8
            return _Part(kind, name, "base64", _base64(body))
    elif original is None:
        return _Part(kind, name, "base64", _base64(body))  # octets that are no text at all
    return _Part(kind, name, "8bit", body)


def _is_global(head: bytes) -> bool:
    """Whether a header is an international one (RFC 6532), and not merely one with octets that nobody declared."""
    if head.isascii():
        return False
    try:
        head.decode()
    except UnicodeDecodeError:
        return False
    return True


def _can_travel(octets: bytes) -> bool:
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


def _attached(original: bytes | None) -> str:
    return "Your message is attached." if original is not None else "The header of your message is attached."


def _first(head: bytes, name: bytes) -> bytes:
    return next((value for key, value in header.fields(head[:_MOST_HEADER]) if key.lower() == name), b"")


def _host(hostname: str) -> str:
    """Our name, so that it can be part of an address."""
    try:
        return normal_domain(hostname)
    except SyntaxFault:
        return re.sub(r"[^A-Za-z0-9.-]+", "-", hostname)[:255].strip(".-") or "localhost"


def _unxtext(text: str) -> str:
    """RFC 3461 4, undone; octets of UTF-8 in it as what they stand for."""
    octets = _XTEXT.sub(lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "replace"))
    return octets.decode("utf-8", "replace")


def _visible(text: str) -> str:
    """As it is, spaces and all (RFC 3464 2.2.1), but for what could be no part of a field."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def _plain(text: str, octets: int) -> str:
    return _ascii(clean(text, octets))


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _folded(line: str) -> list[str]:
    """A field's line as several, to be put together with a fold between them; none is too long, since all words are short."""
    lines = [""]
    for word in line.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _FOLD:
            lines.append(word)
        else:
            lines[-1] += (" " if lines[-1] else "") + word
    return lines


def _base64(octets: bytes) -> bytes:
    encoded = binascii.b2a_base64(octets, newline=False)
    return b"".join(encoded[at : at + _FOLD] + b"\r\n" for at in range(0, len(encoded), _FOLD))
