"""The fields of the header: those that must be there, how often, and whether they can be read (RFC 5322 3.6)."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import filterfalse
from typing import Final

from mailsystem.checks.addresses import doubtful
from mailsystem.checks.rule import Findings, shown
from mailsystem.checks.rules import writing
from mailsystem.mail.header import Mailbox, addresses, unfolded, without_comments
from mailsystem.mail.reading import Reading
from mailsystem.mail.words import base64_octets, codec

ONCE: Final = (
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
)
"""Fields of which there may be one (RFC 5322 3.6, RFC 2045 3, RFC 2369 3)."""
TOLERANCE: Final = 24 * 3600.0
"""Seconds that a Date may be ahead: time zones are wrong more often than clocks."""

_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),\s+)?\d{1,2}\s+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{4}\s+"
    r"\d{2}:\d{2}(?::\d{2})?\s+(?:[+-]\d{4}|UT|GMT|[ECMP][SD]T|[A-IK-Za-ik-z])",
    re.IGNORECASE,
)
_MESSAGE_ID = re.compile(rb"<[^\s<>@]+@[^\s<>@]+>|<\"(?:[^\"\\\r\n]|\\.)*\"@[^\s<>@]+>")
_ENCODED = re.compile(rb"=\?([^?\s]*+)\?([^?\s]*+)\?([^?]*+)\?=")
_BROKEN_Q = re.compile(rb"=(?![0-9A-Fa-f]{2})")


def check_header(message: Reading, findings: Findings, *, now: float) -> None:
    """All of it; `now` in seconds since the epoch."""
    lines = _lines(message)
    for name in ONCE:
        count = len(message.values(name))
        if count > 1:
            findings.add(
                writing.HEADER_DUPLICATE, f"{name} is there {count} times", header=name, line=lines.get(name.lower())
            )
    _date(message, findings, lines, now)
    _people(message, findings, lines)
    _ids(message, findings, lines)
    if not (message.header("Subject") or "").strip():
        findings.add(writing.SUBJECT_EMPTY, header="Subject", line=lines.get("subject"))
    if message.values("Bcc"):
        findings.add(writing.BCC_SHOWN, header="Bcc", line=lines.get("bcc"))
    mime = any(name.lower().startswith(b"content-") for name, _ in message.fields)
    if mime and not message.values("MIME-Version"):
        findings.add(writing.MIME_VERSION, header="MIME-Version")
    for raw_name, value in message.fields:
        _encoded_words(raw_name.decode("ascii", "replace"), value, findings, lines)


def _lines(message: Reading) -> dict[str, int]:
    """The line of the first field of each name."""
    found: dict[str, int] = {}
    start, end = message.root.header
    for number, line in enumerate(message.octets[start:end].split(b"\n"), 1):
        name, colon, _ = line.partition(b":")
        if colon and line[:1] not in (b" ", b"\t"):
            found.setdefault(name.strip().decode("ascii", "replace").lower(), number)
    return found


def _date(message: Reading, findings: Findings, lines: dict[str, int], now: float) -> None:
    values = message.values("Date")
    if not values:
        findings.add(writing.DATE_MISSING, header="Date")
        return
    line = lines.get("date")
    value = " ".join(without_comments(unfolded(values[0])[:200]).decode("ascii", "replace").split())
    try:
        date: datetime | None = parsedate_to_datetime(value) if _DATE.fullmatch(value) else None
    except (ValueError, TypeError, OverflowError):
        date = None
    if date is None:
        findings.add(writing.DATE_MALFORMED, f"this is no date: {shown(value)}", header="Date", line=line)
        return
    try:
        ahead = date.timestamp() - now
    except (OverflowError, ValueError):
        findings.add(writing.DATE_MALFORMED, f"there is no such time: {shown(value)}", header="Date", line=line)
        return
    if ahead > TOLERANCE:
        days = int(ahead // 86_400)
        told = f"Date lies {days} {'day' if days == 1 else 'days'} in the future"
        findings.add(writing.DATE_FAR_OFF, told, header="Date", line=line)


def people(message: Reading, name: str) -> list[Mailbox]:
    """The mailboxes in the fields of that name, without the names of groups."""
    return [one for value in message.values(name) for one in addresses(unfolded(value)) if one.host is not None]


def _is_whole(mailbox: Mailbox) -> bool:
    return bool(mailbox.mailbox) and bool(mailbox.host)


def _people(message: Reading, findings: Findings, lines: dict[str, int]) -> None:
    values = message.values("From")
    authors = people(message, "From")
    if not values:
        findings.add(writing.FROM_MISSING, header="From")
    elif not authors or not all(map(_is_whole, authors)):
        findings.add(
            writing.FROM_MALFORMED,
            f"this holds no complete address: {shown(unfolded(values[0]))}",
            header="From",
            line=lines.get("from"),
        )
    elif len(authors) > 1 and not message.values("Sender"):
        findings.add(writing.SENDER_MISSING, header="Sender")
    for name in ("From", "Sender", "Reply-To", "To", "Cc"):
        mailboxes = people(message, name)
        if all(map(_is_whole, mailboxes)):
            for value in filter(doubtful, map(unfolded, message.values(name))):
                told = f"programs may read other addresses in this: {shown(value)}"
                findings.add(writing.ADDRESS_MALFORMED, told, header=name, line=lines.get(name.lower()))
        elif name != "From":
            for mailbox in filterfalse(_is_whole, mailboxes):
                found = b"@".join(part for part in (mailbox.mailbox, mailbox.host) if part) or mailbox.name or b""
                told = f"this is no complete address: {shown(found)}"
                findings.add(writing.ADDRESS_MALFORMED, told, header=name, line=lines.get(name.lower()))
    replies = {(one.host or b"").lower() for one in people(message, "Reply-To")} - {b""}
    domains = {(one.host or b"").lower() for one in authors} - {b""}
    if domains and replies - domains:
        told = f"replies go to {shown(sorted(replies - domains)[0])}"
        findings.add(writing.REPLY_ELSEWHERE, told, header="Reply-To", line=lines.get("reply-to"))


def _ids(message: Reading, findings: Findings, lines: dict[str, int]) -> None:
    values = message.values("Message-ID")
    if not values:
        findings.add(writing.MESSAGE_ID_MISSING, header="Message-ID")
    elif not _MESSAGE_ID.fullmatch(without_comments(unfolded(values[0])).strip()[:2000]):
        told = f"this is no Message-ID: {shown(unfolded(values[0]))}"
        findings.add(writing.MESSAGE_ID_MALFORMED, told, header="Message-ID", line=lines.get("message-id"))


def _encoded_words(name: str, value: bytes, findings: Findings, lines: dict[str, int]) -> None:
    if b"=?" not in value or b"?=" not in value:
        return
    for match in _ENCODED.finditer(unfolded(value)):
        why = _why_unreadable(match)
        if why:
            findings.add(
                writing.ENCODED_WORD, f"{why}: {shown(match[0], 60)}", header=name, line=lines.get(name.lower())
            )


def _why_unreadable(match: re.Match[bytes]) -> str:
    charset, encoding, encoded = match.groups()
    name = codec(charset.partition(b"*")[0].decode("ascii", "replace"))
    if name is None:
        return "the charset is unknown"
    if encoding.upper() not in (b"B", b"Q"):
        return "the encoding is neither B nor Q"
    if len(match[0]) > 75:
        return f"the encoded word has {len(match[0])} characters"
    if b" " in encoded:
        return "there is a space in the encoded word"
    if encoding in b"bB":
        octets = base64_octets(encoded)
        if len(encoded) % 4 or re.search(rb"[^A-Za-z0-9+/=]", encoded):
            return "the base64 is damaged"
    else:
        if _BROKEN_Q.search(encoded):
            return "the quoted-printable is damaged"
        octets = re.sub(
            rb"=([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), encoded.replace(b"_", b" ")
        )
    try:
        octets.decode(name)
    except (UnicodeDecodeError, LookupError, ValueError):
        return "the octets do not decode in the charset, or a character is cut in two"
    return ""
