"""Reads by IMAP. Replies are kept as they come, up to the tagged line, and looked at when the clock has stopped."""

from __future__ import annotations

import base64
import itertools
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Self

from benchmarks.clients.connection import Peer, Refused, Server

_TAIL: Final = 16_384
"""Octets of the end in which the tagged line is looked for."""
_LITERAL: Final = re.compile(rb"\{(\d+)\}$")


class Imap(Peer):
    def __init__(self) -> None:
        super().__init__()
        # Nobody can guess them: mail cannot look like the end of a reply.
        self._tag, self._numbers = b"t" + secrets.token_hex(4).encode(), itertools.count()
        self._expected = b""
        self._pieces: list[bytes] = []
        self._tail = self._last = b""
        self.capabilities = b""

    @classmethod
    async def open(cls, server: Server, user: str, *, tls: bool = False) -> Self:
        peer = await cls.connect(server.host, server.imap)
        greeting = await peer.line()
        if not greeting.startswith(b"* OK"):
            raise Refused(f"IMAP: {greeting[:200]!r}")
        if tls:
            await peer.command(b"STARTTLS")
            await peer.secure()
        plain = base64.b64encode(f"\0{user}\0{server.password}".encode())
        if b"SASL-IR" in greeting and not tls:
            answer = await peer.command(b"AUTHENTICATE PLAIN " + plain)
        else:
            answer = await peer.command(f'LOGIN "{user}" "{server.password}"'.encode())
        peer.capabilities = answer if b"CAPABILITY" in answer else await peer.command(b"CAPABILITY")
        return peer

    # -- replies

    def _expect(self, tag: bytes) -> None:
        self._expected, self._pieces, self._tail, self._last = tag + b" ", [], b"", b""
        self.tap = self._collect
        if self.buffer:
            early = bytes(self.buffer)
            self.buffer.clear()
            self._collect(early)

    def _collect(self, data: bytes) -> None:
        self._pieces.append(data)
        tail = self._tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]
        if not tail.endswith(b"\r\n"):
            return
        at = tail.rfind(b"\n", 0, -1) + 1
        if tail.startswith(self._expected, at) and (at or len(self._pieces) == 1 or len(tail) < _TAIL):
            self._last, self.tap = tail[at:], None
            self.wake()

    async def _answer(self, about: bytes) -> bytes:
        while not self._last:
            await self.more()
        answer, self._pieces = b"".join(self._pieces), []
        if not self._last.startswith(self._expected + b"OK"):
            raise Refused(f"IMAP: {about[:60]!r}: {self._last[:200]!r}")
        return answer

    def _next_tag(self) -> bytes:
        return b"%b%d" % (self._tag, next(self._numbers))

    async def command(self, words: bytes) -> bytes:
        """The whole reply. Raises `Refused` unless it is OK."""
        if self.lost is not None:
            raise self.lost
        tag = self._next_tag()
        self._expect(tag)
        self.transport.write(b"%b %b\r\n" % (tag, words))
        return await self._answer(words)

    async def count(self, words: bytes) -> int:
        """The octets of a reply that is too large to be kept."""
        tag, octets = self._next_tag(), 0
        self._expect(tag)

        def tap(data: bytes) -> None:
            nonlocal octets
            octets += len(data)
            self._collect(data)
            self._pieces.clear()

        self.tap = tap
        self.transport.write(b"%b %b\r\n" % (tag, words))
        await self._answer(words)
        return octets

    async def select(self, mailbox: str = "INBOX") -> int:
        """How many messages are in it."""
        return exists(await self.command(f"SELECT {mailbox}".encode()))

    async def append(self, mailbox: str, letters: Sequence[tuple[str, bytes]]) -> bytes:
        """Messages with their INTERNALDATE, in one command (MULTIAPPEND for several), without a wait where that can be."""
        largest = max(len(letter) for _, letter in letters)
        at_once = b"LITERAL+" in self.capabilities or (b"LITERAL-" in self.capabilities and largest <= 4096)
        tag = self._next_tag()
        if at_once:
            pieces = [b"%b APPEND %b" % (tag, mailbox.encode())]
            for date, letter in letters:
                pieces += [b' "%b" {%d+}\r\n' % (date.encode(), len(letter)), letter]
            self._expect(tag)
            self.transport.write(b"".join([*pieces, b"\r\n"]))
            return await self._answer(b"APPEND")
        self.transport.write(b"%b APPEND %b" % (tag, mailbox.encode()))
        for date, letter in letters:
            self.transport.write(b' "%b" {%d}\r\n' % (date.encode(), len(letter)))
            while not (line := await self.line()).startswith(b"+"):
                if line.startswith(tag):
                    raise Refused(f"IMAP: APPEND: {line[:200]!r}")
            self.transport.write(letter)
        self._expect(tag)
        self.transport.write(b"\r\n")
        return await self._answer(b"APPEND")

    async def idle(self, tap: Callable[[bytes], None]) -> None:
        """Idle from now on; what comes goes to `tap`."""
        tag = self._next_tag()
        self.transport.write(tag + b" IDLE\r\n")
        while not (line := await self.line()).startswith(b"+"):
            if line.startswith(tag):
                raise Refused(f"IMAP: IDLE: {line[:200]!r}")
        if self.buffer:
            tap(bytes(self.buffer))
            self.buffer.clear()
        self.tap = tap

    async def logout(self) -> None:
        await self.command(b"LOGOUT")
        self.close()


def untagged(answer: bytes) -> Iterator[bytes]:
    """The untagged responses of a reply, each with its literals."""
    at = 0
    while at < len(answer):
        start = at
        while True:
            end = answer.find(b"\r\n", at)
            if end < 0:
                return
            literal = _LITERAL.search(answer, max(at, end - 14), end)
            at = end + 2
            if literal is None:
                break
            at += int(literal[1])
        if answer.startswith(b"* ", start):
            yield answer[start:at]


def responses(answer: bytes, kind: bytes) -> int:
    """How many untagged responses of a kind there are, as FETCH or EXPUNGE."""
    pattern = re.compile(rb"\* \d+ " + kind)
    return sum(1 for each in untagged(answer) if pattern.match(each))


def literals(answer: bytes) -> tuple[int, int]:
    """How many literals a reply has, and their octets."""
    count = octets = 0
    for each in untagged(answer):
        at = 0
        while (end := each.find(b"\r\n", at)) >= 0:
            literal = _LITERAL.search(each, max(at, end - 14), end)
            at = end + 2
            if literal is not None:
                count, octets, at = count + 1, octets + int(literal[1]), at + int(literal[1])
    return count, octets


def exists(answer: bytes) -> int:
    return _number(rb"\* (\d+) EXISTS", answer)


def status(answer: bytes, item: bytes = b"MESSAGES") -> int:
    return _number(re.escape(item) + rb" (\d+)", answer)


def _number(pattern: bytes, answer: bytes) -> int:
    found = re.search(pattern, answer)
    if found is None:
        raise Refused(f"IMAP: no {pattern!r} in {answer[:200]!r}")
    return int(found[1])


def found(answer: bytes) -> int:
    """How many messages a SEARCH found."""
    lines = re.search(rb"^\* SEARCH([^\r]*)\r", answer, re.MULTILINE)
    if lines is None:
        raise Refused(f"IMAP: no SEARCH in {answer[:200]!r}")
    return len(lines[1].split())
