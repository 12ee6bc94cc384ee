"""A message told in JSON, made into one as it is sent: its attachments stay where they were received, however long they are."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import format_datetime, formataddr, make_msgid
from mmap import mmap
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from mailsystem.mail import header
from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.words import text
from mailsystem.web.composing import File as Enclosed
from mailsystem.web.composing import Unwritable, composed
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Person, Shape, moment

MOST_RECIPIENTS: Final = 1000
LONG: Final = 64 << 10
"""Octets of an attachment, in base64, that are left where they are."""
MOST_BESIDE: Final = 8 << 20
"""Octets of all else that is told."""
_PIECE: Final = 57 << 14
"""Octets that are looked at together."""
_OURS: Final = frozenset(
    {"from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references", "return-path"}
    | {"received", "content-type", "content-transfer-encoding", "mime-version"}
)
_NAME: Final = re.compile(r"[!-9;-~]{1,70}")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NAMES_CONTENT: Final = b'"content"'
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LINE: Final = 76
_ESCAPED: Final = re.compile(rb"\\(?:/|u00([0-7][0-9A-Fa-f]))")
_LONGEST_ESCAPE: Final = 6


class File(Shape):
    """Something that goes with a message."""

    filename: str = Field(min_length=1, max_length=255)
    type: str = Field(default="application/octet-stream", max_length=100, pattern=r"^[\w.+-]+/[\w.+-]+$")
    content: str = Field(description="Its octets in base64.")
    cid: str | None = Field(default=None, max_length=200, description="By which the HTML refers to it.")


Who = Person | str


class Letter(Shape):
    """A message to be sent."""

    sender: Who | None = Field(default=None, alias="from", description="Oneself, where it is left out.")
    to: list[Who] = Field(default=[], max_length=MOST_RECIPIENTS)
    cc: list[Who] = Field(default=[], max_length=MOST_RECIPIENTS)
    bcc: list[Who] = Field(default=[], max_length=MOST_RECIPIENTS)
    reply_to: list[Who] = Field(default=[], max_length=100)
    subject: str = Field(default="", max_length=2000)
    text: str | None = None
    html: str | None = None
    in_reply_to: str | None = Field(default=None, max_length=998)
    references: list[Annotated[str, Field(max_length=998)]] = Field(default=[], max_length=100)
    headers: dict[str, Annotated[str, Field(max_length=8000)]] = Field(default={}, max_length=100)
    attachments: list[File] = Field(default=[], max_length=100)


@dataclass(frozen=True, slots=True)
class Written:
    """A message that is ready to be sent."""

    sender: Address
    recipients: list[Address]
    head: bytes
    """Its first octets; the header is within them."""
    pieces: Iterator[bytes]
    """All of it. To take the next one blocks for some milliseconds."""


@dataclass(frozen=True, slots=True)
class _Left:
    """An attachment that is left where it is: octets of the request, base64 as JSON has it."""

    start: int
    end: int


def written(body: bytes | mmap, login: str, hostname: str, now: float) -> Written:
    """The message of which a request tells. Raises `Problem`. Blocks."""
    beside, left = _parted(body)
    try:
        letter = TypeAdapter(Letter).validate_json(beside)
    except ValidationError as error:
        first = error.errors()[0]
        raise Problem(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")) from None
    sender = letter.sender or (login if "@" in login else f"{login}@{hostname}")
    marks: dict[bytes, _Left] = {}
    octets = _octets(letter, sender, hostname, now, body, left, marks)
    everybody: list[Who] = [*letter.to, *letter.cc, *letter.bcc]
    recipients = [_address(each) for each in everybody]
    return Written(_address(sender), recipients, octets[: 256 << 10], _pieces(octets, marks, body))


def _parted(body: bytes | mmap) -> tuple[bytes, list[_Left]]:
    """All that is told but for long attachments, in whose place stand their numbers. Raises `Problem`."""
    kept: list[bytes] = []
    left: list[_Left] = []
    at = before = 0
    is_content = False
    for found in _STRING.finditer(body):
        start, end = found.span()
        if is_content and end - start > LONG and body[before:start].strip() == b":":
            kept += [body[at : start + 1], b"=%d" % len(left)]  # which is no base64
            left.append(_Left(start + 1, end - 1))
            at = end - 1
        is_content = end - start == len(_NAMES_CONTENT) and found[0] == _NAMES_CONTENT
        before = end
    kept.append(body[at:])
    if sum(map(len, kept)) > MOST_BESIDE:
        raise Problem(413, f"more than {MOST_BESIDE} octets beside the attachments; send it as message/rfc822")
    return b"".join(kept), left


def _octets(
    letter: Letter,
    sender: Who,
    hostname: str,
    now: float,
    body: bytes | mmap,
    left: Sequence[_Left],
    marks: dict[bytes, _Left],
) -> bytes:
    """The message, with a mark of its own for each attachment that is left where it is. Raises `Problem`."""
    fields: list[tuple[str, Any]] = [("From", _spelled(sender))]
    for name, people in (("To", letter.to), ("Cc", letter.cc), ("Reply-To", letter.reply_to)):
        if people:
            fields.append((name, ", ".join(map(_spelled, people))))
    fields += [("Subject", letter.subject), ("Date", format_datetime(moment(now)))]
    fields.append(("Message-ID", make_msgid(domain=hostname)))
    if letter.in_reply_to:
        fields.append(("In-Reply-To", letter.in_reply_to))
        fields.append(("References", " ".join(letter.references or [letter.in_reply_to])))
    for name, value in letter.headers.items():
        if name.lower() in _OURS or not _NAME.fullmatch(name):
            raise Problem(400, f"headers: {name[:70]} is not for you to set here")
        fields.append((name, value))
    words = letter.text if letter.text is not None else "" if letter.html is None else _plain(letter.html)
    files = [_attached(file, body, left, marks) for file in letter.attachments]
    try:
        return composed(fields, text=words, html=letter.html, files=files)
    except Unwritable:
        raise Problem(400, "a header holds what no header may, such as a line break") from None


def _attached(file: File, body: bytes | mmap, left: Sequence[_Left], marks: dict[bytes, _Left]) -> Enclosed:
    try:
        if file.content.startswith("="):
            place = left[int(file.content[1:])]
            if not _is_base64(body, place):
                raise ValueError
            octets = secrets.token_bytes(_LINE // 2)
            marks[base64.b64encode(octets)] = place
        else:
            octets = base64.b64decode(file.content, validate=True)
    except (binascii.Error, ValueError, IndexError):
        raise Problem(400, f"attachments: the content of {file.filename} is not base64") from None
    return Enclosed(octets, file.type, file.filename, file.cid or "")


def _pieces(octets: bytes, marks: dict[bytes, _Left], body: bytes | mmap) -> Iterator[bytes]:
    at = 0
    for found, mark in sorted((octets.index(mark), mark) for mark in marks):
        yield octets[at:found]
        yield from _lines(body, marks[mark])
        at = found + len(mark)
    yield octets[at:]


def _lines(body: bytes | mmap, left: _Left) -> Iterator[bytes]:
    """Base64 in lines (RFC 2045 6.8), without the line end of the last one."""
    held = b""
    for piece in _read(body, left):
        held += piece
        whole = (len(held) - 1) // _LINE * _LINE
        yield b"".join([held[at : at + _LINE] + b"\r\n" for at in range(0, whole, _LINE)])
        held = held[whole:]
    yield held


def _read(body: bytes | mmap, left: _Left) -> Iterator[bytes]:
    at = left.start
    while at < left.end:
        end = min(at + _PIECE, left.end)
        if end < left.end and (begun := body.find(b"\\", end - _LONGEST_ESCAPE + 1, end)) >= 0:
            end = begun  # as a whole, the next time
        piece = body[at:end]
        # Some write `/`, `+` and `=` otherwise (RFC 8259 7). What is left of it is no base64.
        yield _ESCAPED.sub(_unescaped, piece) if b"\\" in piece else piece
        at = end


def _unescaped(found: re.Match[bytes]) -> bytes:
    return b"/" if found[1] is None else bytes([int(found[1], 16)])


def _is_base64(body: bytes | mmap, left: _Left) -> bool:
    size, tail = 0, b""
    for piece in _read(body, left):
        text_ = tail + piece
        tail = text_[-2:]
        if text_[:-2].translate(None, _BASE64):
            return False
        size += len(piece)
    return size % 4 == 0 and not tail.rstrip(b"=").translate(None, _BASE64)


def _plain(html: str) -> str:
    """The words of HTML, for those whose program shows none."""
    words = re.sub(r"<(?:style|script)\b[^<>]*>[^<]*", "", html[: 1 << 20], flags=re.IGNORECASE)
    return re.sub(r"[ \t]+", " ", re.sub(r"<[^<>]*>", " ", words)).strip() + "\n"


def _spelled(who: Who) -> str:
    if isinstance(who, str):
        return who
    return formataddr((who.name, who.address)) if who.name else who.address


def _address(who: Who) -> Address:
    """Raises `Problem`."""
    spelled = who if isinstance(who, str) else who.address
    found = header.addresses(spelled.encode("utf-8", "replace")) if isinstance(who, str) else None
    if found:
        [one, *more] = found
        if more or one.host is None:
            raise Problem(400, f"{spelled[:100]} is not one address")
        spelled = f"{text(one.mailbox or b'', None)}@{text(one.host, None)}"
    try:
        return Address.parse(spelled)
    except SyntaxFault as fault:
        raise Problem(400, f"{spelled[:100]} is not an address: {fault}") from None
