"""Sending: a message told in JSON or as it is, on the same terms as by submission."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Annotated, Final, Self

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from pydantic import Field

from mailsystem.directory import Away
from mailsystem.mail import header
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope
from mailsystem.mail.errors import MailError, NotPermitted
from mailsystem.mail.mailbox import SEEN
from mailsystem.mail.space import PREFIX
from mailsystem.mail.words import text
from mailsystem.web.api.writing import MOST_RECIPIENTS, Letter, written
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.received import in_thread, keep, opened
from mailsystem.web.shapes import Shape
from mailsystem.web.visitors import SEND, Doorkeeper, Visitor, needs

_MOST_HEAD: Final = 256 << 10


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

    @router.post("/send", status_code=201, openapi_extra={"requestBody": body, **needs(SEND)["openapi_extra"]})
    async def send(
        request: Request,
        sender: Annotated[str | None, Parameter(alias="from", description="Of a message as it is: MAIL FROM.")] = None,
        to: Annotated[list[str] | None, Parameter(description="Of a message as it is: RCPT TO.")] = None,
    ) -> Sent:
        """Send a message: told in JSON, or whole as message/rfc822. It is on disk when this is answered."""
        visitor = await keeper.visitor(request)
        visitor.must(SEND)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        async with _Sending(context, visitor) as sending:
            if kind == "message/rfc822":
                if sender is None or not to:
                    raise Problem(400, "a message as it is needs from= and to= beside it")
                path, recipients = Address.parse(sender), [Address.parse(each) for each in to]
                await sending.take(_with_crlf(request.stream()))
                return await sending.send(path, recipients)
            if kind == "application/json":
                return await _told(request, sending, visitor)
        raise Problem(415, "send application/json or message/rfc822")

    async def _told(request: Request, sending: _Sending, visitor: Visitor) -> Sent:
        """Of a message in JSON neither what comes nor what it becomes is in memory as a whole."""
        received = context.store.contents.spool()
        try:
            await keep(request.stream(), received)
            with await opened(received) as told:
                made = await asyncio.to_thread(
                    written,
                    told,
                    visitor.account.login.removeprefix(PREFIX),
                    context.hostname,
                    context.store.clock.now(),
                )
                await sending.take(in_thread(made.pieces))
            return await sending.send(made.sender, made.recipients)
        finally:
            received.discard()

    return router


async def _with_crlf(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same with CRLF for every bare LF."""
    held = b""
    async for piece in pieces:
        octets = held + piece
        held = b"\r" if octets.endswith(b"\r") else b""
        yield octets.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield held


class _Sending:
    """One message on its way."""

    def __init__(self, context: Context, visitor: Visitor) -> None:
        self._context = context
        self._visitor = visitor
        self._sent: str | None = None
        """The mailbox for a copy of it."""
        self._head = bytearray()

    async def __aenter__(self) -> Self:
        store = self._context.store
        self._spool, self._copy = store.contents.spool(), store.contents.spool()
        if not self._context.is_sink:
            boxes = await store.mailboxes.list(self._visitor.account.id)
            self._sent = next(
                (box.name for box in boxes if box.special_use and "\\Sent" in box.special_use.split()), None
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._spool.discard()
        self._copy.discard()

    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        """Take the message in, to disk where it is not small. Raises `TooLarge`, `Unavailable`."""
        spools = [self._spool, *([self._copy] if self._sent is not None else [])]
        await keep(self._with_head(pieces), *spools, most=self._context.largest_message)

    async def _with_head(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            if len(self._head) < _MOST_HEAD:
                self._head += piece[: _MOST_HEAD - len(self._head)]
            yield piece

    async def send(self, sender: Address, recipients: Sequence[Address]) -> Sent:
        """Send what was taken in. Raises `Problem`, `MailError`."""
        context, account, peer = self._context, self._visitor.account, self._visitor.peer
        if not recipients:
            raise Problem(400, "nobody to send it to")
        if len(recipients) > MOST_RECIPIENTS:
            raise Problem(400, f"more than {MOST_RECIPIENTS} recipients")
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
        ident = await context.delivery.deliver(accepted, self._spool, trace=trace, sender=relaying)
        if self._sent is not None:
            with suppress(MailError):  # it has left: that there is no room for a copy changes nothing
                await context.store.mailboxes.append(account.id, self._sent, self._copy, flags=frozenset({SEEN}))
        found = header.of_structure(bytes(self._head)).get(b"message-id")
        return Sent(queue_id=ident, message_id=text(found, None) if found else None)
