"""A small scene for who teaches: Alice sends, Bob's phone is told, his old PC asks, all of it through the sink's own doors."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from email.utils import formatdate
from typing import Final, Self

from mailsystem.net import Bound
from mailsystem.telemetry.watch import Watch

ALICE: Final = "alice@demo.test"
BOB: Final = "bob@demo.test"
PATIENCE: Final = 20.0
"""Seconds after which an answer that does not come ends the scene."""
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class NoAnswer(ValueError):
    """The server did not say what the scene is about."""


class Scene:
    """Played once. What is said in it is told by the doors; who is who, and what it shows, by itself."""

    def __init__(self, bound: Mapping[str, Bound], watch: Watch, pace: float) -> None:
        """`pace` is how slowly: 1 for people, 0 without any pause."""
        self._bound = bound
        self._watch = watch
        self._pace = pace

    async def play(self) -> None:
        """From its first word to its last. Raises `OSError`, `TimeoutError` and `NoAnswer`."""
        failed = True
        self._watch.say("scene", playing=True)
        try:
            async with asyncio.timeout(6 * PATIENCE), AsyncExitStack() as stack:
                await self._told(stack)
            failed = False
        finally:
            self._watch.say("scene", playing=False, failed=failed)

    async def _told(self, stack: AsyncExitStack) -> None:
        alice = Client(self._watch, self._bound, "smtp", "Alice’s client", "SMTP", ALICE)
        phone = Client(self._watch, self._bound, "imap", "Bob’s phone", "IMAP, idles", BOB)
        old_pc = Client(self._watch, self._bound, "pop3", "Bob’s old PC", "POP3", BOB)
        self._chapter(
            "Bob’s phone listens",
            "It opens the connection, for it wants mail: so far that is a pull. With IDLE it lets the server speak by itself. "
            "His old PC knows POP3 only, and is not connected.",
        )
        await stack.enter_async_context(phone)
        await phone.until(b"* OK")
        await phone.ask(b"a1 LOGIN %s demo" % BOB.encode(), b"a1 OK")
        await self._pause(0.3)
        await phone.ask(b"a2 SELECT INBOX", b"a2 OK")
        await self._pause(0.3)
        await phone.ask(b"a3 IDLE", b"+")
        await self._pause(1.2)

        self._chapter(
            "Push: Alice sends",
            "She has the mail, so she opens the connection. 250 means that it is safely on disk. In the same moment the phone "
            "is told, and nobody has asked for it.",
        )
        await stack.enter_async_context(alice)
        await alice.until(b"220")
        await alice.ask(b"EHLO laptop.demo.test", b"250 ")
        await self._pause(0.2)
        await alice.ask(b"MAIL FROM:<%s>" % ALICE.encode(), b"250 ")
        await alice.ask(b"RCPT TO:<%s>" % BOB.encode(), b"250 ")
        await alice.ask(b"DATA", b"354")
        await alice.ask(_letter(), b"250 ")
        await phone.until(b"* ", b" EXISTS")
        await self._pause(0.8)
        await alice.ask(b"QUIT", b"221")
        await alice.__aexit__()

        self._chapter(
            "Bob reads on his phone", "It fetches a copy; the mail itself stays on the server. Then it idles again."
        )
        await phone.ask(b"DONE", b"a3 OK")
        await phone.ask(b"a4 UID FETCH * (FLAGS BODY[])", b"a4 OK")
        await phone.ask(b"a5 IDLE", b"+")
        await self._pause(2.5)

        self._chapter(
            "Pull: the old PC has heard nothing",
            "Nobody tells a POP3 client anything. It has to connect and to ask. What it deletes at QUIT is gone on the phone "
            "too, and that is pushed.",
        )
        await stack.enter_async_context(old_pc)
        await old_pc.until(b"+OK")
        await old_pc.ask(b"USER " + BOB.encode(), b"+OK")
        await old_pc.ask(b"PASS demo", b"+OK")
        await self._pause(0.3)
        held = (await old_pc.ask(b"STAT", b"+OK")).split()
        if len(held) < 2 or held[1] == b"0":
            raise NoAnswer("the mail is gone")
        await old_pc.ask(b"RETR " + held[1], b".\r\n")
        await self._pause(0.4)
        await old_pc.ask(b"DELE " + held[1], b"+OK")
        await old_pc.ask(b"QUIT", b"+OK")
        await phone.until(b"* ", b" EXPUNGE")
        await self._pause(0.6)
        await phone.ask(b"DONE", b"a5 OK")
        await phone.ask(b"a6 LOGOUT", b"a6 OK")

    def _chapter(self, title: str, text: str) -> None:
        self._watch.say("chapter", title=title, text=text)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._pace)


class Client:
    """A mail program of the scene. Whoever looks on is told its name before it says its first word."""

    def __init__(
        self, watch: Watch, bound: Mapping[str, Bound], speaks: str, title: str, note: str, login: str
    ) -> None:
        self._bound = bound[speaks]
        self._watch = watch
        self._named = {"party": f"demo {speaks}", "speaks": speaks, "title": title, "note": note, "login": login}
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader
        watch.say("party", **self._named)

    async def __aenter__(self) -> Self:
        host = _ANYWHERE.get(self._bound.host, self._bound.host)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                # Bound before it is connected, so that its address is known before the server can tell of it.
                sock.bind((host, 0))
                at = sock.getsockname()
                peer = f"[{at[0]}]:{at[1]}" if family == socket.AF_INET6 else f"{at[0]}:{at[1]}"
                self._watch.say("party", peer=peer, **self._named)
                await asyncio.get_running_loop().sock_connect(sock, (host, self._bound.port))
                self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=1 << 20)
        except BaseException:
            sock.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def ask(self, said: bytes, answer: bytes) -> bytes:
        """Say a line, and give the line of the answer that begins with `answer`. Raises `NoAnswer`."""
        if self._writer is None:
            raise NoAnswer("not connected")
        self._writer.write(said + b"\r\n")
        await self._writer.drain()
        return await self.until(answer)

    async def until(self, begin: bytes, word: bytes = b"") -> bytes:
        """The next line that begins so and has the word in it. Raises `NoAnswer`."""
        async with asyncio.timeout(PATIENCE):
            while line := await self._reader.readline():
                if line.startswith(begin) and word in line:
                    return line
                if line.startswith((b"-ERR", b"4", b"5")) or b" NO " in line[:12] or b" BAD " in line[:12]:
                    break
        raise NoAnswer(line[:100].decode("ascii", "replace"))


def _letter() -> bytes:
    lines = [
        f"From: Alice <{ALICE}>",
        f"To: Bob <{BOB}>",
        "Subject: Lunch?",
        f"Date: {formatdate(localtime=True)}",
        f"Message-ID: <{secrets.token_hex(8)}@demo.test>",
        "",
        "Shall we have lunch on Friday?",
        ".",
    ]
    return "\r\n".join(lines).encode()
