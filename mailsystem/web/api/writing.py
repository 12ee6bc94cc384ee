"""A message told in JSON, made into one as it is sent: its attachments stay where they were received, however long they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
from mailsystem.web.received import Received
from mailsystem.web.shapes import Person, Shape, moment

MOST_RECIPIENTS: Final = 1000
_OURS: Final = frozenset(
    {"from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references", "return-path"}
    | {"received", "content-type", "content-transfer-encoding", "mime-version"}
)
_NAME: Final = re.compile(r"[!-9;-~]{1,70}")


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


def written(body: bytes | mmap, login: str, hostname: str, now: float) -> Written:
    """The message of which a request tells. Raises `Problem`. Blocks."""
    received = Received(body)
    try:
        letter = TypeAdapter(Letter).validate_json(received.beside)
    except ValidationError as error:
        first = error.errors()[0]
        raise Problem(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")) from None
    sender = letter.sender or (login if "@" in login else f"{login}@{hostname}")
    octets = _octets(letter, sender, hostname, now, received)
    everybody: list[Who] = [*letter.to, *letter.cc, *letter.bcc]
    recipients = [_address(each) for each in everybody]
    return Written(_address(sender), recipients, octets[: 256 << 10], received.pieces(octets))


def _octets(letter: Letter, sender: Who, hostname: str, now: float, received: Received) -> bytes:
    """The message, with a mark for each attachment that is left where it was received. Raises `Problem`."""
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
    files = [_attached(file, received) for file in letter.attachments]
    if not received.is_taken:
        raise Problem(400, "something long is named content and is no attachment's")
    try:
        return composed(fields, text=words, html=letter.html, files=files)
    except Unwritable:
        raise Problem(400, "a header holds what no header may, such as a line break") from None


def _attached(file: File, received: Received) -> Enclosed:
    try:
        octets = received.content(file.content)
    except ValueError:
        raise Problem(400, f"attachments: the content of {file.filename} is not base64") from None
    return Enclosed(octets, file.type, file.filename, file.cid or "")


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
