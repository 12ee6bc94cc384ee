"""The FETCH response about one message whose octets are read for it alone: piece by piece, and never held whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from mailsystem.imap.fetch import DecodedSize, Octets, Piece
from mailsystem.imap.fetched import encoded, extent, octets_of
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.imap.structure import pick_fields
from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.part import Part
from mailsystem.mail.transfer import Identity
from mailsystem.net import Closed

_LONGEST_HEADER: Final = 8 << 20
"""Octets of a header block in which fields are looked for; what is longer holds no mail."""


class Letter(NamedTuple):
    """What it takes to read the octets of one message."""

    content: ContentId
    size: int
    header_size: int
    root: Part | None
    head: bytes | None
    raw: bytes | None


class Line:
    """One FETCH response that holds octets."""

    def __init__(self, session: Session, begun: bytes) -> None:
        self._session = session
        self._said = [begun]
        """What was not sent yet: while nothing was, the command may still fail without harm."""
        self._space = b"" if begun.endswith(b"(") else b" "
        self._sent = False

    async def add(self, piece: Piece, message: Letter) -> None:
        """Say what `piece` asks for. Raises `MailError`, and `Closed` where the promised octets do not come."""
        if isinstance(piece, DecodedSize):
            await self._measure(piece, message)
        elif piece.decoded:
            await self._decode(piece, message)
        else:
            await self._quote(piece, message)

    async def _quote(self, item: Octets, message: Letter) -> None:
        """`BODY[section]`: octets as they came."""
        octets = octets_of(item, *message[2:])
        if octets is None:
            first, last = extent(item.section, message.size, message.header_size, message.root)
            if not item.section.picks_fields:
                first, last = item.within(first, last)
                await self._stream(
                    b"%b {%d}" % (item.name, last - first), self._pieces(message, first, last), last - first
                )
                return
            contents = self._session.store.contents
            header = await contents.read(message.content, first, min(last, first + _LONGEST_HEADER))
            octets = await asyncio.to_thread(pick_fields, header, item.section)
            first, last = item.within(0, len(octets))
            octets = octets[first:last]
        # RFC 3501 4.3 has no NUL in literals, and some write 0x80 instead. Here a message comes out as it went in: sizes,
        # digests and signatures hold, and clients count octets anyway.
        self._add(b"%b {%d}\r\n%b" % (item.name, len(octets), octets))

    async def _measure(self, item: DecodedSize, message: Letter) -> None:
        """`BINARY.SIZE[section]`, exactly: whoever says so many octets must not say fewer later."""
        size = 0
        async for piece in self._decoded(item, message):
            size += len(piece)
        self._add(b"%b %d" % (item.name, size))

    async def _decode(self, item: Octets, message: Letter) -> None:
        """`BINARY[section]`: octets with their transfer encoding undone; as a literal8 where NUL is among them, and only there,
        for so the client knows (RFC 3516 4.3)."""
        size = 0
        tilde = b""
        whole: list[bytes] | None = []
        async for piece in self._decoded(item, message):
            size += len(piece)
            if b"\0" in piece:
                tilde = b"~"
            if whole is not None:
                whole.append(piece)
                if size > FLUSH_AT:
                    whole = None
        first, last = item.within(0, size)
        announced = b"%b %b{%d}" % (item.name, tilde, last - first)
        if whole is not None:
            self._add(b"%b\r\n%b" % (announced, b"".join(whole)[first:last]))
        else:
            # How long a part is once it is decoded is only known at its end. So a large one is read twice, but never held.
            await self._stream(announced, self._decoded(item, message), last - first, skip=first)

    async def _decoded(self, item: Piece, message: Letter) -> AsyncIterator[bytes]:
        """The octets of BINARY, piece by piece. Raises `UnknownEncoding`."""
        first, last, make = encoded(item.section, message.size, message.root)
        undo = make()
        if message.raw is not None:
            yield undo.feed(message.raw[first:last])
        elif first < last:
            async for piece in self._pieces(message, first, last):
                yield undo.feed(piece) if isinstance(undo, Identity) else await asyncio.to_thread(undo.feed, piece)
        yield undo.close()

    def _pieces(self, message: Letter, first: int, last: int) -> AsyncIterator[bytes]:
        return self._session.store.contents.stream(message.content, first, last)

    async def _stream(self, announced: bytes, pieces: AsyncIterator[bytes], left: int, skip: int = 0) -> None:
        """Say octets that are not in memory, `left` of them after the first `skip`: one piece after the other, as the
        client takes them."""
        session = self._session
        self._add(announced + b"\r\n")
        # A piece leaves when the next one is here: the first may be at hand where the file that holds the rest is not.
        holding = False
        try:
            if left:
                async for piece in pieces:
                    if holding:
                        self._send()
                        await session.flush()
                    if skip >= len(piece):
                        skip -= len(piece)
                        continue
                    piece = piece[skip : skip + left]
                    skip = 0
                    self._said.append(piece)
                    left -= len(piece)
                    holding = True
                    del piece
                    if not left:
                        break
        except Exception as error:
            # Within a literal no answer would be understood as one.
            if self._sent:
                raise Closed(f"cut off in a literal: {error}") from error
            raise
        if left:
            raise Closed("a message is shorter than it was")

    def _add(self, said: bytes) -> None:
        self._said += [self._space, said]
        self._space = b" "

    def _send(self) -> None:
        self._session.send(b"".join(self._said))
        self._said.clear()
        self._sent = True

    def end(self) -> None:
        self._said.append(b")\r\n")
        self._send()
