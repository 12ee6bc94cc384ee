"""Sending: a message told in JSON or as it is, on the same terms as by submission."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from contextlib import suppress
from email.utils import format_datetime, formataddr, make_msgid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from pydantic import Field, TypeAdapter, ValidationError

from mailsystem.directory import Away
from mailsystem.mail import header
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope
from mailsystem.mail.errors import MailError, NotPermitted, SyntaxFault, TooLarge
from mailsystem.mail.mailbox import SEEN
from mailsystem.mail.space import PREFIX
from mailsystem.mail.words import text
from mailsystem.web.composing import File as Enclosed
from mailsystem.web.composing import Unwritable, composed
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Person, Shape, moment
from mailsystem.web.visitors import SEND, Doorkeeper, Visitor

_MOST_RECIPIENTS: Final = 1000
_OURS: Final = frozenset(
    {"from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references", "return-path"}
    | {"received", "content-type", "content-transfer-encoding", "mime-version"}
)
_NAME: Final = re.compile(r"[!-9;-~]{1,70}")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


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
    to: list[Who] = Field(default=[], max_length=_MOST_RECIPIENTS)
    cc: list[Who] = Field(default=[], max_length=_MOST_RECIPIENTS)
    bcc: list[Who] = Field(default=[], max_length=_MOST_RECIPIENTS)
    reply_to: list[Who] = Field(default=[], max_length=100)
    subject: str = Field(default="", max_length=2000)
    text: str | None = None
    html: str | None = None
    in_reply_to: str | None = Field(default=None, max_length=998)
    references: list[Annotated[str, Field(max_length=998)]] = Field(default=[], max_length=100)
    headers: dict[str, Annotated[str, Field(max_length=8000)]] = Field(default={}, max_length=100)
    attachments: list[File] = Field(default=[], max_length=100)


class Sent(Shape):
    queue_id: str = Field(description="By which `mailsystem trace` and the log know it.")
    message_id: str | None


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["sending"])
    body = {
        "content": {
            "application/json": {"schema": Letter.model_json_schema()},
            "message/rfc822": {"schema": {"type": "string", "format": "binary"}},
        },
        "required": True,
    }

    @router.post("/send", status_code=201, openapi_extra={"requestBody": body})
    async def send(
        request: Request,
        sender: Annotated[str | None, Parameter(alias="from", description="Of a message as it is: MAIL FROM.")] = None,
        to: Annotated[list[str] | None, Parameter(description="Of a message as it is: RCPT TO.")] = None,
    ) -> Sent:
        """Send a message: told in JSON, or whole as message/rfc822. It is on disk when this is answered."""
        visitor = await keeper.visitor(request)
        visitor.must(SEND)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        octets = await request.body()
        if kind == "message/rfc822":
            envelope_from, recipients, message = await asyncio.to_thread(_as_it_is, octets, sender, to or [])
        elif kind == "application/json":
            try:
                letter = TypeAdapter(Letter).validate_json(octets)
            except ValidationError as error:
                first = error.errors()[0]
                raise Problem(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")) from None
            envelope_from, recipients, message = await asyncio.to_thread(_made, letter, visitor, context)
        else:
            raise Problem(415, "send application/json or message/rfc822")
        return await _Sending(context, visitor).send(envelope_from, recipients, message)

    return router


class _Sending:
    def __init__(self, context: Context, visitor: Visitor) -> None:
        self._context = context
        self._visitor = visitor

    async def send(self, sender: Address, recipients: list[Address], message: bytes) -> Sent:
        context, account, peer = self._context, self._visitor.account, self._visitor.peer
        if len(message) > context.largest_message:
            raise TooLarge
        if not recipients:
            raise Problem(400, "nobody to send it to")
        if len(recipients) > _MOST_RECIPIENTS:
            raise Problem(400, f"more than {_MOST_RECIPIENTS} recipients")
        if not await context.directory.may_send(account, sender):
            raise NotPermitted(f"{sender} is not an address of yours")
        if context.gate:
            await context.gate.sender(peer, account.login, sender)
        relaying = account if context.sending and not context.is_sink else None
        away: list[Address] = []
        for each in recipients:
            try:
                places = await context.directory.resolve(
                    each,
                    sending=relaying is not None,
                    login=self._visitor.account.login if self._visitor.space else None,
                )
            except MailError as error:
                raise Problem(422, f"{each}: {error}") from None
            if Away(each) in places:
                if context.gate and relaying is not None:
                    await context.gate.relay(relaying, each, away)
                away.append(each)
        accepted = Envelope(
            sender=sender,
            recipients=tuple(dict.fromkeys(recipients)),
            peer=peer,
            helo="",
            protocol="HTTP",
            login=account.login,
            body="8BITMIME",
            utf8=not all(str(each).isascii() for each in (sender, *recipients)),
        )
        if context.gate:
            await context.gate.message(accepted)
        trace = context.trace.child("web", peer=str(peer), login=account.login)
        spool = context.store.contents.spool()
        try:
            spool.write(message)
            ident = await context.delivery.deliver(accepted, spool, trace=trace, sender=relaying)
        finally:
            spool.discard()
        if not context.is_sink:
            with suppress(MailError):  # it has left: that there is no room for a copy changes nothing
                await self._keep(account, message)
        found = header.of_structure(message[: 256 << 10]).get(b"message-id")
        return Sent(queue_id=ident, message_id=text(found, None) if found else None)

    async def _keep(self, account: Account, message: bytes) -> None:
        """A copy among what was sent."""
        store = self._context.store
        boxes = await store.mailboxes.list(account.id)
        sent = next((box for box in boxes if box.special_use and "\\Sent" in box.special_use.split()), None)
        if sent is not None:
            spool = store.contents.spool()
            try:
                spool.write(message)
                await store.mailboxes.append(account.id, sent.name, spool, flags=frozenset({SEEN}))
            finally:
                spool.discard()


def _as_it_is(octets: bytes, sender: str | None, to: list[str]) -> tuple[Address, list[Address], bytes]:
    message = _BARE_LF.sub(b"\r\n", octets)
    if sender is None or not to:
        raise Problem(400, "a message as it is needs from= and to= beside it")
    return Address.parse(sender), [Address.parse(each) for each in to], message


def _made(letter: Letter, visitor: Visitor, context: Context) -> tuple[Address, list[Address], bytes]:
    login = visitor.account.login.removeprefix(PREFIX)
    sender = letter.sender or (login if "@" in login else f"{login}@{context.hostname}")
    fields: list[tuple[str, Any]] = [("From", _spelled(sender))]
    for name, people in (("To", letter.to), ("Cc", letter.cc), ("Reply-To", letter.reply_to)):
        if people:
            fields.append((name, ", ".join(map(_spelled, people))))
    fields += [("Subject", letter.subject), ("Date", format_datetime(moment(context.store.clock.now())))]
    fields.append(("Message-ID", make_msgid(domain=context.hostname)))
    if letter.in_reply_to:
        fields.append(("In-Reply-To", letter.in_reply_to))
        fields.append(("References", " ".join(letter.references or [letter.in_reply_to])))
    for name, value in letter.headers.items():
        if name.lower() in _OURS or not _NAME.fullmatch(name):
            raise Problem(400, f"headers: {name[:70]} is not for you to set here")
        fields.append((name, value))
    words = letter.text if letter.text is not None else "" if letter.html is None else _plain(letter.html)
    try:
        octets = composed(fields, text=words, html=letter.html, files=[_attached(file) for file in letter.attachments])
    except Unwritable:
        raise Problem(400, "a header holds what no header may, such as a line break") from None
    everybody: list[Who] = [*letter.to, *letter.cc, *letter.bcc]
    return _address(sender), [_address(each) for each in everybody], octets


def _attached(file: File) -> Enclosed:
    try:
        octets = base64.b64decode(file.content, validate=True)
    except (binascii.Error, ValueError):
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
