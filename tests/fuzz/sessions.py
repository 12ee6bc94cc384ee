"""Whole sessions without a socket: octets in, replies out, and a judgement of them. What all fuzzers of sessions share."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

from argon2 import PasswordHasher

import mailsystem.imap.server
import mailsystem.pop3.server
import mailsystem.smtp.server
from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory
from mailsystem.net import Bound, Connection
from mailsystem.store import open_store
from mailsystem.telemetry import Event, Trace

PASSWORD = "secret"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the store lies: nothing is lost with it, and a disk would be what takes the time."""
LONGEST = 20.0
"""Seconds that a session of a few kilobytes may take, on a machine that has more to do."""
Protocol = Literal["smtp", "pop3", "imap"]
Serve = Callable[[Connection], Awaitable[None]]

REPLIES: Final[dict[str, re.Pattern[bytes]]] = {
    "smtp": re.compile(rb"(?:[2345]\d\d[ -][\x20-\x7e]*\r\n)*"),
    # After a login messages are among the answers, and they hold anything.
    # LANG lets people be spoken to in UTF-8.
    "pop3": re.compile(rb"\+OK[ -~]*\r\n(?:(?:\+OK|-ERR|\+ ?)[ -~\x80-\xff]*\r\n|[ -~\x80-\xff]*\r\n)*"),
    "imap": re.compile(rb"\* OK[ -~]*\r\n(?:(?:\* |\+ ?|[^ \r\n\0]+ (?:OK|NO|BAD)).*)?", re.DOTALL),
}


def in_memory() -> tempfile.TemporaryDirectory[str]:
    """A directory for a store, without a disk where there is such a place."""
    return tempfile.TemporaryDirectory(prefix="mailsystem-fuzz-", dir=MEMORY)


class Memory(asyncio.Transport):
    """A transport to nowhere: what is written is kept."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 25_000), "sockname": ("127.0.0.1", 25)})
        self.written = bytearray()
        self._protocol: asyncio.Protocol | None = None
        self._over = False

    def attach(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        if not self._over and self._protocol is not None:
            self._over = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self._over

    def is_reading(self) -> bool:
        return not self._over

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class Doors:
    """All doors before one store, with octets for clients."""

    def __init__(self, directory: Path | None = None) -> None:
        """With a store in `directory`, or in a temporary one that `close` removes."""
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._events: list[Event] = []
        self._serve: dict[str, list[Serve]] = {}
        self._loop.run_until_complete(self._open())

    async def _open(self) -> None:
        path = self._directory or Path(self._stack.enter_context(in_memory()))
        store = await self._stack.enter_async_context(open_store(path / "data", inline_limit=4096, spool_limit=16384))
        await store.accounts.add_domain("example.org")
        await store.accounts.add("ann@example.org", CHEAP)
        directory = AccountsDirectory(store, default_domain="example.org")
        delivery = Delivery(store, directory, hostname="mx.example.org")
        trace = Trace([self._events.append], lines=True)
        place: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "hostname": "mx.example.org"}
        caught: list[Serve] = []

        @asynccontextmanager
        async def listen(serve: Serve, *_: object, **__: object) -> AsyncIterator[Bound]:
            caught.append(serve)
            yield Bound("127.0.0.1", 0)

        for module in (mailsystem.smtp.server, mailsystem.pop3.server, mailsystem.imap.server):
            module.listen = listen  # type: ignore[attr-defined]
        try:
            for kind in ("mx", "submission", "lmtp"):
                serving = mailsystem.smtp.server.serving(store, directory, delivery, trace, kind=kind, **place)
                await self._stack.enter_async_context(serving)
            self._serve["smtp"] = caught[:]
            for name, module in (("pop3", mailsystem.pop3.server), ("imap", mailsystem.imap.server)):
                caught.clear()
                await self._stack.enter_async_context(module.serving(store, directory, trace, **place))
                self._serve[name] = caught[:]
        finally:
            from mailsystem.net import listen as real

            for module in (mailsystem.smtp.server, mailsystem.pop3.server, mailsystem.imap.server):
                module.listen = real  # type: ignore[attr-defined]

    def close(self) -> None:
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def try_out(self, protocol: Protocol, data: bytes) -> bytes:
        """Let a client say `data`, and judge what it gets. Raises `AssertionError` for anything but replies and a close.

        The first octet says what kind of door it is, whether the client logs in, and in which pieces the rest comes.
        """
        how, said = (data[0], data[1:]) if data else (0, b"")
        serve = self._serve[protocol][how % len(self._serve[protocol])]
        if how & 4:
            said = LOGIN[protocol] + said
        size = (1, 7, 64, 1 << 20)[how >> 3 & 3]
        answers = self._loop.run_until_complete(self._converse(serve, said, max(size, len(said) // 200)))
        bugs = [dict(event.data) for event in self._events if event.name == "bug"]
        known = any(event.name == "logged in" for event in self._events)  # chance may know the password, too
        seen = repr([event for event in self._events if event.name != "line"]) if how & 4 else ""
        self._events.clear()
        assert not bugs, bugs[0].get("traceback", bugs[0])
        assert "\x00secret" not in seen
        assert answers == b"" or answers.endswith(b"\r\n"), answers[-200:]
        if protocol != "pop3" or not known:
            assert REPLIES[protocol].fullmatch(answers), answers[-2000:]
        return answers

    @staticmethod
    async def _converse(serve: Serve, said: bytes, size: int) -> bytes:
        connection, transport = Connection(), Memory()
        transport.attach(connection)

        async def talk() -> None:
            for start in range(0, len(said), size):
                connection.data_received(said[start : start + size])
                await asyncio.sleep(0)
                if transport.is_closing():
                    return
            connection.eof_received()

        async with asyncio.timeout(LONGEST), asyncio.TaskGroup() as tasks:
            tasks.create_task(talk())
            try:
                await serve(connection)
                await connection.close()
            except ConnectionError:
                pass  # the peer is gone
        return bytes(transport.written)


LOGIN: Final = {
    "smtp": b"EHLO c.example\r\nAUTH PLAIN AGFubkBleGFtcGxlLm9yZwBzZWNyZXQ=\r\n",
    "pop3": b"USER ann@example.org\r\nPASS secret\r\n",
    "imap": b"a LOGIN ann@example.org secret\r\nb SELECT INBOX\r\n",
}

SEEDS: Final[dict[Protocol, tuple[bytes, ...]]] = {
    "smtp": (
        (
            b"EHLO c.example\r\nMAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<ann@example.org>\r\n"
            b"DATA\r\nSubject: x\r\n\r\n.x\r\n..\r\n.\r\nQUIT\r\n"
        ),
        (
            b"EHLO c.example\r\nMAIL FROM:<> RET=HDRS ENVID=x+2By SMTPUTF8 REQUIRETLS\r\n"
            b"RCPT TO:<ann@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;ann+40x@example.org\r\nBDAT 5\r\n"
            b"ab\r\ncBDAT 0 LAST\r\n"
        ),
        (
            b"EHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<ann@example.org>\r\nBDAT 3 LAST\r\n"
            b"\x00\n\rRSET\r\nNOOP\r\n"
        ),
        (b"LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<ann@example.org>\r\nRCPT TO:<x@example.org>\r\nDATA\r\nx\r\n.\r\n"),
        b"EHLO c\r\nAUTH PLAIN\r\nAGEAYg==\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\nAUTH PLAIN *\r\n",
        b"EHLO c\r\nAUTH SCRAM-SHA-256 bixubj1hbm4scj1hYmM=\r\nYz1iaXdzLHI9YWJjLHA9eA==\r\n*\r\n",
        (
            b"EHLO c\r\nAUTH OAUTHBEARER bixhPWFubiwBYXV0aD1CZWFyZXIgeAEB\r\nAQ==\r\n"
            b"AUTH XOAUTH2 dXNlcj1hAWF1dGg9QmVhcmVyIHgBAQ==\r\n"
        ),
        b"HELO c\r\nVRFY x\r\nEXPN x\r\nHELP\r\nSTARTTLS\r\nGET / HTTP/1.1\r\n",
        (
            b'EHLO [127.0.0.1]\r\nMAIL FROM:<"a\\"b"@[IPv6:::1]>\r\nRCPT TO:<@a,@b:ann@example.org>\r\n'
            b"RCPT TO:<Postmaster>\r\n"
        ),
    ),
    "pop3": (
        b"CAPA\r\nUSER ann@example.org\r\nPASS x\r\nAUTH PLAIN AGEAYg==\r\nAUTH\r\nSTLS\r\nQUIT\r\n",
        b"STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 0\r\nDELE 1\r\nRSET\r\nLIST 2\r\nUIDL 1\r\nNOOP\r\nQUIT\r\n",
        b"AUTH SCRAM-SHA-256\r\nbixubj1hbm4scj1hYmM=\r\n*\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\n",
    ),
    "imap": (
        (
            b"a CAPABILITY\r\nb LOGIN {3}\r\nann {6+}\r\nsecret\r\nc AUTHENTICATE PLAIN AGEAYg==\r\n"
            b"d ID NIL\r\ne LOGOUT\r\n"
        ),
        (
            b'c APPEND INBOX (\\Seen) " 1-Jan-2024 00:00:00 +0000" {14+}\r\nSubject: x\r\n\r\n\r\n'
            b"d FETCH 1:* (FLAGS BODY[]<0.5>)\r\n"
        ),
        (
            b'c SEARCH OR FROM "x" NOT (SINCE 1-Jan-2024 UID 1:*) CHARSET UTF-8\r\n'
            b"d STORE 1 +FLAGS (\\Deleted $x)\r\ne EXPUNGE\r\n"
        ),
        (
            b"c UID SEARCH RETURN (MIN PARTIAL -1:-9 COUNT SAVE) NOT $ OLDER 9 MODSEQ 1\r\nd UIDBATCHES 500 1:2\r\n"
            b"e UID SORT RETURN (ALL) (REVERSE DATE SUBJECT) UTF-8 ALL\r\nf THREAD REFERENCES UTF-8 1:*\r\n"
            b'g ESEARCH IN (selected subtree ("" a) personal) RETURN () EMAILID M1\r\n'
        ),
        (
            b'c LIST "" (% "*") RETURN (STATUS (MESSAGES))\r\nd CREATE a/b\r\ne RENAME a/b c\r\nf DELETE c\r\n'
            b'g STATUS INBOX (UIDNEXT HIGHESTMODSEQ)\r\nh LIST (SUBSCRIBED RECURSIVEMATCH) "" *\r\n'
            b"i NOTIFY SET STATUS (personal (MessageNew MessageExpunge MailboxName)) (selected (MessageNew (UID)"
            b" MessageExpunge))"
            b'\r\nj SETMETADATA INBOX (/private/x "y")\r\nk GETMETADATA (DEPTH 1) INBOX /private\r\nl GETQUOTAROOT INBOX\r\n'
        ),
        (
            b"c UID FETCH 1 (MODSEQ PREVIEW (LAZY) THREADID SAVEDATE BINARY.SIZE[1] BINARY[1]<0.9>) (CHANGEDSINCE 1)\r\n"
            b"d APPEND INBOX {1+}\r\nx ~{3+}\r\n\0\0\0 UTF8 (~{1+}\r\ny)\r\ne STORE 1 (UNCHANGEDSINCE 9) FLAGS ()\r\n"
            b"f UID REPLACE 1 INBOX (\\Draft) {3+}\r\nnew\r\ng UID FETCH 1:* FLAGS (PARTIAL -1:-9)\r\n"
        ),
        (
            b"c IDLE\r\nDONE\r\nd UID FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (TO)])\r\n"
            b"e MOVE 1 Trash\r\n"
        ),
    ),
}
"""Sessions as they should be, for a start."""
WORDS: Final[dict[Protocol, tuple[bytes, ...]]] = {
    "smtp": (
        b"EHLO c\r\n", b"MAIL FROM:<a@b.example>", b"RCPT TO:<ann@example.org>", b"DATA\r\n", b"\r\n.\r\n",
        b"BDAT 4 LAST\r\n", b"BDAT 3\r\n", b"AUTH PLAIN ", b"AGEAYg==", b"RSET\r\n", b"NOOP\r\n", b"LHLO c\r\n", b"*",
        b"=", b"<", b">", b"\r\n", b"\n", b" SIZE=", b" BODY=BINARYMIME", b" SMTPUTF8", b" RET=FULL", b" ENVID=+2B",
        b" NOTIFY=NEVER", b" ORCPT=utf-8;\\x{20AC}", b"AUTH SCRAM-SHA-256 ", b"n,,n=ann,r=abc", b"STARTTLS\r\n",
        b"QUIT\r\n", b"\xc3\xbc", b'"', b"\\", b"[IPv6:",
    ),
    "pop3": (
        b"USER ann@example.org\r\n", b"PASS secret\r\n", b"STAT\r\n", b"LIST ", b"RETR 1\r\n", b"TOP 1 ",
        b"DELE 1\r\n", b"UIDL\r\n", b"AUTH PLAIN", b"AUTH LOGIN\r\n", b"CAPA\r\n", b"RSET\r\n", b"\r\n", b"\n", b"*",
        b"=", b"QUIT\r\n", b"99999999999999999999",
    ),
    "imap": (
        b"a ", b"FETCH ", b"UID ", b"1:*", b"(", b")", b"{3}\r\n", b"{3+}\r\n", b"{99999999999}\r\n", b'"', b"\\Seen",
        b"BODY[", b"]", b"HEADER.FIELDS", b"<0.1>", b"SEARCH ", b"STORE ", b"+FLAGS.SILENT", b"APPEND ", b"INBOX",
        b"LIST ", b"%", b"*", b"\r\n", b"AUTHENTICATE PLAIN", b"LOGIN ", b"IDLE\r\n", b"DONE\r\n", b"&AOQ-", b"NIL",
        b"SELECT ", b"~{3+}\r\n", b"COPY ", b"NOT ", b"OR ",
        b"RETURN (", b"SAVE", b"$", b"PARTIAL -1:-2", b"SORT (", b"REVERSE ", b"THREAD REFERENCES ", b"UTF-8 ", b"ESEARCH ",
        b"IN (", b"UIDBATCHES 500 ", b"REPLACE 1 ", b"UTF8 (~{1+}\r\nx)", b" (CHANGEDSINCE 1 VANISHED)", b" (PARTIAL 1:2)",
        b"(UNCHANGEDSINCE 0) ", b"BINARY.SIZE[1]", b"BINARY.PEEK[]", b"PREVIEW (LAZY)", b"THREADID", b"MODSEQ",
    ),
}  # fmt: skip
