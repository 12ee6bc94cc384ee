"""Delivery status notifications: what the sender of a message gets to read about what became of it (RFC 3461 6, RFC 3464).

A report is a multipart/report (RFC 6522) of three parts: one for people, one for programs, and the message or its header.
It leaves with the null sender, and is never made for one: `reported.wanted` says what is to be told of which recipient, and one
report tells it of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from typing import Final, Literal

from mailsystem.mail.address import Address
from mailsystem.mail.explanation import ORDER, TITLES, explanation
from mailsystem.mail.multipart_report import (
    FOLD,
    Part,
    assembled,
    can_travel,
    first,
    host_name,
    returned_part,
    subject_field,
    text_part,
    threading_fields,
)
from mailsystem.mail.reported import Action, Reported, clean
from mailsystem.mail.words import decoded

MOST_RETURNED: Final = 1 << 20
"""Octets of a message up to which it comes back whole (RFC 3461 6.2); of a longer one only the header does."""
_LONGEST_ADDRESS: Final = (
    900  # of one that can be accepted, all is there: so has 64 octets before the @ and 255 behind it
)

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
    author: Address | None = None,
) -> bytes:
    """A whole message, with CRLF, to be sent to `to` from the null sender.

    `to` is the sender of the message, and not null; `hostname` ours, `ident` and `arrived` those of the message here; `envid`
    and `ret` as they came with it. `original_head` is its header block, with or without the blank line; `original` all of it,
    or None: it is left out where `returns_body` says no, or where it could not travel as it is. `token` makes the boundary
    and the Message-ID unique: letters and digits, not to be guessed. `author` is whose name it bears and who reads what is
    answered to it (RFC 3464 2); None where nobody does.

    It needs 8BITMIME where it is not all ASCII, and SMTPUTF8 where `to` is not. In a report to an address that is ASCII
    nothing needs SMTPUTF8, whatever the recipients are: their addresses are written in ASCII (RFC 6533 3).
    """
    if not to or not recipients:
        raise ValueError("a report goes to somebody, about somebody")
    host = host_name(hostname)
    wide = not to.is_ascii
    if original is not None and not (
        returns_body(ret, [each.action for each in recipients], len(original)) and can_travel(original)
    ):
        original = None
    subject = clean(decoded(first(original_head, b"subject")), 400)
    text = explanation(
        hostname=host, recipients=recipients, subject=subject, arrived=arrived, now=now, attached=_attached(original)
    )
    parts = [
        text_part(text),
        _status_part(host, ident, arrived, envid, recipients, wide=wide),
        returned_part(original_head, original, wide=wide),
    ]
    actions = {each.action for each in recipients}
    title = TITLES[next(action for action in ORDER if action in actions)]
    fields = [
        f"From: Mail Delivery System <{author or f'mailer-daemon@{host}'}>",
        f"To: <{to}>",
        subject_field(f"{title}: {subject}" if subject else f"{title}: your message"),
        f"Date: {formatdate(now, localtime=True)}",
        f"Message-ID: <{token}@{host}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 5
        *threading_fields(original_head),
    ]
    return assembled(fields, "delivery-status", parts, token)


def _status_part(
    host: str, ident: str, arrived: float, envid: str | None, recipients: Sequence[Reported], *, wide: bool
) -> Part:
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
    return Part(kind, "Delivery report", encoding, body)


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


def _attached(original: bytes | None) -> str:
    return "Your message is attached." if original is not None else "The header of your message is attached."


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
        if lines[-1] and len(lines[-1]) + 1 + len(word) > FOLD:
            lines.append(word)
        else:
            lines[-1] += (" " if lines[-1] else "") + word
    return lines
