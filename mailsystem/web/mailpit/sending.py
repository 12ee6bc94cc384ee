"""Mail that comes by HTTP, and mail that is sent on to where it was meant for."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from email.errors import MessageError
from email.headerregistry import Address as Named
from email.utils import formatdate, make_msgid
from mmap import mmap
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope, Peer
from mailsystem.mail.errors import MailError, SyntaxFault
from mailsystem.mail.header import picker
from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.outgoing import releasable
from mailsystem.mail.tags import keyword_of
from mailsystem.telemetry import Event, Trace
from mailsystem.web.composing import File, Unwritable, composed
from mailsystem.web.context import Context
from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal, body_of, object_of, ok, text_in, texts_in, whole
from mailsystem.web.mailpit.reading import told_of
from mailsystem.web.mailpit.shapes import Told, apart
from mailsystem.web.problems import Problem, status_of
from mailsystem.web.received import Received, in_thread, keep, opened
from mailsystem.web.visitors import SEND, peer_of

MOST_RECIPIENTS: Final = 1000
MOST_HEADER: Final = 1 << 20
"""Octets of the header of a message that is sent on: only of that fields are left out."""
_ADDRESSED: Final = ("from", "to", "cc", "bcc", "reply-to")
_OWN: Final = frozenset(
    {*_ADDRESSED, "date", "subject", "mime-version", "content-type", "content-transfer-encoding", "x-tags"}
)
"""Fields that are made of what else was said."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,76}")
_BREAKS: Final = re.compile(r"[\r\n]+")
_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,60}/[A-Za-z0-9!#$&^_.+-]{1,100}")


def add_to(router: APIRouter, box: Box) -> None:
    context = box.context

    @router.post("/api/v1/send")
    async def send(request: Request) -> JSONResponse:
        # Neither what comes nor what it becomes is in memory as a whole.
        received = context.store.contents.spool()
        try:
            visitor = await box.visitor(request, SEND)
            account, login = visitor.account, visitor.account.login if visitor.space else None
            await keep(request.stream(), received)
            with await opened(received) as told:
                written = await asyncio.to_thread(_Written, told, context.hostname)
                content = await delivered(context, written, peer_of(request), login=login)
            keywords = frozenset(filter(None, map(keyword_of, written.tags)))
            if keywords:
                await box.tag(account, await box.named(account, [f"M{content}"]), keywords)
        except Refusal as error:
            return JSONResponse({"Error": str(error)}, error.status)
        except Problem as error:
            return JSONResponse({"Error": error.detail}, error.status)
        except MailError as error:
            return JSONResponse({"Error": str(error)}, status_of(error))
        finally:
            received.discard()
        return JSONResponse({"ID": f"M{content}"})

    @router.post("/api/v1/message/{id}/release")
    async def release(request: Request, id: str) -> PlainTextResponse:  # noqa: A002
        found = await box.one(request, id, SEND)
        # mailpit-api sends the list itself, the documentation of Mailpit has an object around it.
        recipients = await _released_to(request)
        strangers = [str(each) for each in recipients if not releasable(each, context.sent_on)]
        if not context.sending or strangers:
            raise Refusal(
                "mail is sent on only to addresses that the setting queue.sink_allow names"
                + (f", not to {', '.join(strangers)[:500]}" if strangers else "")
            )
        told = await told_of(box, found)
        spool = context.store.contents.spool()
        try:
            await keep(_as_sent(context, told), spool)
            sender = _path_of(await box.sender_of(found.content))
            await context.delivery.send_on(sender, recipients, spool, trace=context.trace.child("web"))
        finally:
            spool.discard()
        return ok()


async def _released_to(request: Request) -> list[Address]:
    import json

    octets = await request.body()
    try:
        value = json.loads(octets) if octets.strip() else {}
    except (ValueError, RecursionError):
        raise Refusal("the body is no JSON") from None
    names = value if isinstance(value, list) else texts_in(await body_of(request), "To", MOST_RECIPIENTS)
    if not names or len(names) > MOST_RECIPIENTS or not all(isinstance(one, str) for one in names):
        raise Refusal("there is no address to send it to")
    return [_address(one, "To") for one in dict.fromkeys(names)]


async def delivered(context: Context, written: _Written, peer: Peer, *, login: str | None = None) -> ContentId:
    """Deliver a message as if it had come by SMTP from who has logged in so, and say which it has become. Raises what
    `Delivery.deliver` raises."""
    envelope = Envelope(
        written.sender,
        tuple(written.recipients),
        peer,
        "web",
        "HTTP",
        login=login,
        body="8BITMIME",
        utf8=not written.octets.isascii(),
    )
    trace = context.trace.child("web", peer=str(peer), **({"login": login} if login else {}))
    become: list[ContentId] = []

    def hear(event: Event) -> None:
        if event.name == "delivered":
            become.extend(event.data["contents"])
        trace.event(event.name, **event.data)

    spool = context.store.contents.spool()
    try:
        await keep(in_thread(written.pieces()), spool, most=context.largest_message)
        await context.delivery.deliver(envelope, spool, trace=Trace([hear]))
    finally:
        spool.discard()
    return become[0]


async def _as_sent(context: Context, told: Told) -> AsyncIterator[bytes]:
    """A message as it may be sent on: without our trace fields and without who got it blindly. Raises `Refusal`."""
    end = told.root.header[1]
    if end > MOST_HEADER:
        raise Refusal(f"the header of the message is longer than {MOST_HEADER} octets")
    head = await context.store.contents.read(told.content, 0, end)
    yield await apart(head, picker((b"BCC", b"RETURN-PATH"), True))
    async for piece in context.store.contents.stream(told.content, end):
        yield piece


class _Written:
    """A message out of what was said about it in JSON."""

    def __init__(self, told: bytes | mmap, hostname: str) -> None:
        """Raises `Refusal` and `Problem`. Blocks for as long as it takes to read all of it."""
        self._received = Received(told)
        self._body = body = object_of(self._received.beside)
        sender = _object(body.get("from"), "From")
        self.sender = _address(_text(sender, "Email"), "From")
        self._from = _named(sender, "From")
        to, cc, reply_to = (_people(body, name) for name in ("To", "Cc", "ReplyTo"))
        self._named_people = (("To", to), ("Cc", cc), ("Reply-To", reply_to))
        bcc = [_address(one, "Bcc") for one in texts_in(body, "Bcc", MOST_RECIPIENTS)]
        meant = [*(_address(one.addr_spec, "To") for one in (*to, *cc)), *bcc]
        self.recipients = list(dict.fromkeys(meant))
        if not self.recipients:
            raise Refusal("there is no recipient")
        if len(self.recipients) > MOST_RECIPIENTS:
            raise Refusal(f"a message may have {MOST_RECIPIENTS} recipients")
        self._headers = _headers(body.get("headers"))
        self.tags = texts_in(body, "Tags", 100)
        self._attachments = _attachments(body.get("attachments"), self._received)
        if not self._received.is_taken:
            raise Refusal("something long is named Content and is no attachment's")
        self.octets = self._composed(hostname)
        """The message, in which marks stand for attachments that are left where they were received."""

    def pieces(self) -> Iterator[bytes]:
        """All of it."""
        return self._received.pieces(self.octets)

    def _composed(self, hostname: str) -> bytes:
        fields: list[tuple[str, Any]] = [("From", self._from)]
        fields += [(name, some) for name, some in self._named_people if some]
        fields += [("Subject", _line(text_in(self._body, "Subject"))), ("Date", formatdate(localtime=True))]
        if "message-id" not in {name.lower() for name in self._headers}:
            fields.append(("Message-ID", make_msgid(domain=hostname)))
        fields += self._headers.items()
        if self.tags:
            fields.append(("X-Tags", _line(", ".join(self.tags))))
        words, rich = text_in(self._body, "Text"), text_in(self._body, "HTML")
        try:
            return composed(fields, text=words or None, html=rich or None, files=self._attachments, exactly=True)
        except Unwritable:
            raise Refusal("no message can be made of that: a header may hold no control characters") from None


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(f"{name} should be an object")
    return {str(key).lower(): one for key, one in value.items()}


def _text(value: Mapping[str, Any], name: str) -> str:
    return text_in(dict(value), name)


def _line(text: str) -> str:
    """A text that stays on one line of a header."""
    return _BREAKS.sub(" ", whole(text))


def _address(text: str, name: str) -> Address:
    try:
        return Address.parse(text.strip())
    except SyntaxFault:
        raise Refusal(f"invalid {name} address: {text[:100]}") from None


def _named(value: Mapping[str, Any], name: str) -> Named:
    address = _address(_text(value, "Email"), name)
    try:
        return Named(_line(_text(value, "Name")), addr_spec=str(address))
    except (ValueError, IndexError, MessageError):
        raise Refusal(f"invalid {name} address: {str(address)[:100]}") from None


def _people(body: Mapping[str, Any], name: str) -> list[Named]:
    value = body.get(name.lower()) or []
    if not isinstance(value, list) or len(value) > MOST_RECIPIENTS:
        raise Refusal(f"{name} should be a list of addresses")
    return [_named(_object(one, name), name) for one in value]


def _headers(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 1000:
        raise Refusal("Headers should be an object of strings")
    found: dict[str, str] = {}
    for name, text in value.items():
        if not _NAME.fullmatch(name) or not isinstance(text, str):
            raise Refusal(f"invalid header: {str(name)[:100]}")
        if name.lower() in _OWN:
            raise Refusal(f'cannot overwrite header: "{name}"')
        found[name] = _line(text)
    return found


def _attachments(value: object, received: Received) -> list[File]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > 1000:
        raise Refusal("Attachments should be a list")
    found = []
    for each in value:
        one = _object(each, "Attachment")
        name = _line(_text(one, "Filename"))
        try:
            # A browser puts the type in front: data:image/png;base64,…
            octets = received.content(_text(one, "Content").rpartition(",")[2])
        except ValueError:
            raise Refusal(f'the attachment "{name[:100]}" is not in base64') from None
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        kind = _TYPE.match(_text(one, "ContentType")) or _TYPE.match(guessed)
        cid = _text(one, "ContentID").strip().strip("<>")
        if cid and not re.fullmatch(r"[!-;=?-~]{1,200}", cid):
            raise Refusal(f"invalid ContentID: {cid[:100]}")
        found.append(File(octets, kind[0] if kind is not None else "", name, cid))
    return found


def _path_of(text: str) -> Address:
    try:
        return Address.kept(text) if text else Address.NULL
    except SyntaxFault:
        return Address.NULL
