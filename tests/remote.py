"""The other end of what we send: a mail server that keeps what it takes, and misbehaves where it is told to."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from program import Place

OFFERED: Final = ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES")
DROP: Final = "drop"
"""Instead of a reply: close the connection. After the message itself, it was not taken."""
LOSE: Final = "lose"
"""The same after the message was taken: whoever sent it cannot know."""
HANG: Final = "hang"
"""Instead of a reply: nothing, until `release`."""
END: Final = "."
"""What `verdict` is asked about once a message is here whole."""

Verdict = Callable[[str], str | None]
"""From a command line, or `END`, to the reply in place of the usual one; None for that. `GREETING` is asked about as well."""
GREETING: Final = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was taken."""

    sender: str
    """What MAIL said, parameters included."""
    recipients: tuple[str, ...]
    raw: bytes
    at: float
    """By `time.monotonic`, before it was answered."""


@dataclass(slots=True)
class Conversation:
    """One connection."""

    said: list[str] = field(default_factory=list)
    """The command lines of the other side."""
    taken: list[Taken] = field(default_factory=list)
    tls: str | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the other side went without a word."""
        return self.ended is not None and (not self.said or self.said[-1].upper() != "QUIT")


class Remote:
    """Use it in a `with`: it listens until that is left. Its knobs may be turned at any time."""

    def __init__(
        self,
        ip: str = "127.0.0.1",
        port: int = 0,
        *,
        offers: Sequence[str] = OFFERED,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.offers = offers
        self.verdict: Verdict = lambda line: None
        self.linger = 0.0
        """Seconds between a message and its 250."""
        self.conversations: list[Conversation] = []
        self.misbehaved = 0
        """How often there was another reply than the usual one, or none."""
        self._tls = tls
        self._listening = socket.create_server((ip, port), backlog=100)
        self.place = Place(ip, self._listening.getsockname()[1])
        self._released = threading.Event()
        self._turn = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Remote:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._stop()

    def close(self) -> None:
        """Not to listen at all, where it never began."""
        self._listening.close()

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the one that accepts
        self._threads[0].join()
        self._listening.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    @property
    def taken(self) -> list[Taken]:
        """All that was taken so far, in the order in which it came."""
        return sorted((one for each in list(self.conversations) for one in list(each.taken)), key=lambda one: one.at)

    def release(self) -> None:
        """End what hangs: the connections are closed."""
        self._released.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.remember(client)
                conversation = Conversation()
                self.conversations.append(conversation)
                thread = threading.Thread(target=self._serve, args=(client, conversation), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket, conversation: Conversation) -> None:
        session = _Session(self, client, conversation, self._tls)
        with contextlib.suppress(OSError, EOFError, _Closed):
            session.run()
        conversation.ended = time.monotonic()
        session.close()

    def judge(self, line: str) -> str | None:
        """`verdict`, counted."""
        with self._turn:
            told = self.verdict(line)
            self.misbehaved += told is not None
        return told

    def remember(self, client: socket.socket) -> None:
        """It is to be closed when this ends."""
        self._sockets.append(client)

    def wait_for_release(self, seconds: float | None = None) -> None:
        self._released.wait(seconds)


class _Closed(Exception):
    """We close."""


class _Session:
    """One client, from its greeting to its end."""

    def __init__(
        self, remote: Remote, client: socket.socket, conversation: Conversation, tls: ssl.SSLContext | None
    ) -> None:
        self._remote = remote
        self._socket = client
        self._conversation = conversation
        self._tls = tls
        self._held = bytearray()
        self._sender = ""
        self._recipients: list[str] = []
        self._chunks = b""

    def close(self) -> None:
        self._socket.close()

    def run(self) -> None:
        self._answer(GREETING, "220 remote.example ESMTP")
        while True:
            line = self._line().decode("utf-8", "surrogateescape")
            self._conversation.said.append(line)
            self._command(line)

    def _command(self, line: str) -> None:
        match line.split(" ")[0].upper():
            case "EHLO":
                words = [*self._remote.offers, *(["STARTTLS"] if self._tls and not self._conversation.tls else [])]
                self._answer(line, *(f"250-{word}" for word in ["remote.example", *words]), "250 HELP")
            case "STARTTLS" if self._tls:
                if self._answer(line, "220 2.0.0 go on"):
                    self._socket = self._tls.wrap_socket(self._socket, server_side=True)
                    self._remote.remember(self._socket)
                    self._held.clear()
                    self._conversation.tls = self._socket.version()  # type: ignore[attr-defined]
            case "MAIL":
                self._forget()
                if self._answer(line, "250 2.1.0 sender ok"):
                    self._sender = line
            case "RCPT":
                # Whoever sends in groups asks after a MAIL that was refused.
                if not self._sender:
                    self._say("503 5.5.1 MAIL first")
                elif self._answer(line, "250 2.1.5 recipient ok"):
                    found = re.search("<(.*)>", line)
                    self._recipients.append(found[1] if found else line)
            case "DATA" if not self._recipients:
                self._say("554 5.5.1 no valid recipients")
            case "DATA":
                if self._answer(line, "354 go on"):
                    self._whole(re.sub(rb"(^|\r\n)\.", rb"\1", self._body()))
            case "BDAT":
                words = line.split()
                self._chunks += self._exactly(int(words[1]))
                if not self._recipients:
                    self._say("503 5.5.1 RCPT first")
                elif words[-1].upper() == "LAST":
                    self._whole(self._chunks)
                else:
                    self._answer(line, "250 2.0.0 and more")
            case "RSET":
                self._forget()
                self._say("250 2.0.0 ok")
            case "NOOP":
                self._say("250 2.0.0 ok")
            case "QUIT":
                self._say("221 2.0.0 bye")
                raise _Closed
            case _:
                self._say("500 5.5.1 what?")

    def _forget(self) -> None:
        self._sender, self._recipients, self._chunks = "", [], b""

    def _whole(self, raw: bytes) -> None:
        verdict = self._remote.judge(END)
        taken = Taken(self._sender, tuple(self._recipients), raw, time.monotonic())
        self._forget()
        if verdict in {None, LOSE}:
            self._conversation.taken.append(taken)
        self._remote.wait_for_release(self._remote.linger)
        self._follow(verdict, "250 2.0.0 taken")

    def _answer(self, line: str, *usual: str) -> bool:
        """Reply; whether in the usual way."""
        verdict = self._remote.judge(line)
        self._follow(verdict, *usual)
        return verdict is None

    def _follow(self, verdict: str | None, *usual: str) -> None:
        match verdict:
            case None:
                self._say(*usual)
            case "drop" | "lose":
                raise _Closed
            case "hang":
                self._remote.wait_for_release()
                raise _Closed
            case _:
                self._say(verdict)
                if verdict.startswith("421"):
                    raise _Closed

    def _say(self, *lines: str) -> None:
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def _more(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise EOFError
        self._held += data

    def _line(self) -> bytes:
        return self._up_to(b"\r\n")[:-2]

    def _body(self) -> bytes:
        """All up to the line with a dot alone, without that."""
        while len(self._held) < 3:
            self._more()
        if self._held.startswith(b".\r\n"):
            del self._held[:3]
            return b""
        return self._up_to(b"\r\n.\r\n")[:-3]

    def _up_to(self, mark: bytes) -> bytes:
        looked = 0
        while (at := self._held.find(mark, looked)) < 0:
            looked = max(0, len(self._held) - len(mark))
            self._more()
        return self._exactly(at + len(mark))

    def _exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            self._more()
        data = bytes(self._held[:count])
        del self._held[:count]
        return data
