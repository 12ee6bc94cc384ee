"""Raw clients over a socket: they say exactly the octets they are told to, and change none that they get."""

from __future__ import annotations

import re
import socket
import ssl
from types import TracebackType
from typing import NamedTuple, Self

from program import Place

PATIENCE = 20.0


class Wire:
    """A connection that is read by line, by number of octets, or to its end."""

    def __init__(self, place: Place, *, timeout: float = PATIENCE, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(place, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.socket.getsockname()[1]
        """Ours: the program's log knows this connection by it."""
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._held = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        data = self.socket.recv(1 << 18)
        self._held += data
        return bool(data)

    def line(self) -> bytes:
        """The next line, without its CRLF; `EOFError` where there is none."""
        looked = 0
        while (end := self._held.find(b"\r\n", looked)) < 0:
            looked = max(0, len(self._held) - 1)
            if not self._more():
                raise EOFError(bytes(self._held))
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line

    def exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            if not self._more():
                raise EOFError(bytes(self._held))
        data = bytes(self._held[:count])
        del self._held[:count]
        return data

    def up_to(self, mark: bytes) -> bytes:
        """All up to and with `mark`."""
        looked = 0
        while (at := self._held.find(mark, looked)) < 0:
            looked = max(0, len(self._held) - len(mark))
            if not self._more():
                raise EOFError(bytes(self._held[-200:]))
        return self.exactly(at + len(mark))

    def rest(self) -> bytes:
        """All until the peer closes."""
        while self._more():
            pass
        data = bytes(self._held)
        self._held.clear()
        return data

    def is_closed(self) -> bool:
        """Whether the peer has closed; waits for it."""
        try:
            return not self._more()
        except ConnectionResetError:
            return True


class Smtp(Wire):
    """An SMTP client that has read the greeting and, unless told otherwise, said EHLO."""

    def __init__(self, place: Place, *, hello: bool = True, timeout: float = PATIENCE) -> None:
        super().__init__(place, timeout=timeout)
        try:
            self.greeting = self.reply()
            if hello:
                self.say(b"EHLO client.example", expect=250)
        except BaseException:
            self.close()
            raise

    def reply(self) -> tuple[int, str]:
        texts = []
        while True:
            line = self.line().decode("utf-8", "replace")
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(texts)

    def say(self, line: bytes, *, expect: int | None = None) -> tuple[int, str]:
        self.send(line + b"\r\n")
        reply = self.reply()
        assert expect is None or reply[0] == expect, (line, reply)
        return reply

    def message(self, sender: str, recipients: list[str], raw: bytes, parameters: str = "") -> tuple[int, str]:
        """One mail transaction. The octets go as they are, dots stuffed; a last CRLF is added where it is missing."""
        self.say(f"MAIL FROM:<{sender}>{parameters}".encode(), expect=250)
        for recipient in recipients:
            self.say(f"RCPT TO:<{recipient}>".encode(), expect=250)
        self.say(b"DATA", expect=354)
        self.send(stuffed(raw))
        return self.reply()


def stuffed(raw: bytes) -> bytes:
    """RFC 5321 4.5.2: a message as it goes over the wire after DATA."""
    body = re.sub(rb"(^|\r\n)\.", rb"\1..", raw)
    return body + (b".\r\n" if body.endswith(b"\r\n") or not body else b"\r\n.\r\n")


class Pop3(Wire):
    """A POP3 client that has read the greeting."""

    def __init__(self, place: Place, login: str | None = None, password: str = "secret", **options: float) -> None:
        super().__init__(place, **options)  # type: ignore[arg-type]
        self.greeting = self.line()
        if login is not None:
            self.ok(b"USER " + login.encode())
            self.ok(b"PASS " + password.encode())

    def say(self, line: bytes) -> bytes:
        self.send(line + b"\r\n")
        return self.line()

    def ok(self, line: bytes) -> bytes:
        answer = self.say(line)
        assert answer.startswith(b"+OK"), (line, answer)
        return answer

    def many(self, line: bytes) -> bytes:
        """A multi-line response, dots unstuffed, with the CRLF of its last line."""
        self.ok(line)
        first = self.exactly(3)
        if first == b".\r\n":
            return b""
        self._held[:0] = first
        data = self.up_to(b"\r\n.\r\n")[:-3]
        return re.sub(rb"(^|\r\n)\.", rb"\1", data)


class Answer(NamedTuple):
    """All that came in answer to one IMAP command."""

    untagged: list[bytes]
    """Each without its `* `; literals stand in place, with their `{n}` and CRLF."""
    status: str
    """OK, NO or BAD."""
    text: bytes

    def literal(self) -> bytes:
        """The octets of the first literal, or of the quoted string after `BODY[…]`."""
        for response in self.untagged:
            if found := re.search(rb"\{(\d+)\}\r\n", response):
                return response[found.end() : found.end() + int(found[1])]
            if found := re.search(rb'BODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*)"', response):
                return re.sub(rb"\\(.)", rb"\1", found[1])
        raise AssertionError(self)


class Imap(Wire):
    """An IMAP client that has read the greeting."""

    def __init__(self, place: Place, login: str | None = None, password: str = "secret", **options: float) -> None:
        super().__init__(place, **options)  # type: ignore[arg-type]
        self._count = 0
        self.greeting = self.line()
        if login is not None:
            # RFC 9051 4.3: quoted strings are for ASCII; a literal carries any octets.
            self.ok(b'LOGIN {%d+}\r\n%s "%s"' % (len(login.encode()), login.encode(), password.encode()))

    def response(self) -> bytes:
        """One whole response with its literals, without the last CRLF."""
        pieces = [self.line()]
        while found := re.search(rb"\{(\d+)\}$", pieces[-1]):
            pieces += [b"\r\n", self.exactly(int(found[1])), self.line()]
        return b"".join(pieces)

    def tag(self) -> bytes:
        self._count += 1
        return b"t%d" % self._count

    def answer(self, tag: bytes) -> Answer:
        untagged = []
        while True:
            response = self.response()
            if response.startswith(b"* "):
                untagged.append(response[2:])
                continue
            assert response.startswith(tag + b" "), response
            status, _, text = response[len(tag) + 1 :].partition(b" ")
            return Answer(untagged, status.decode(), text)

    def say(self, command: bytes) -> Answer:
        tag = self.tag()
        self.send(tag + b" " + command + b"\r\n")
        return self.answer(tag)

    def ok(self, command: bytes) -> Answer:
        answer = self.say(command)
        assert answer.status == "OK", (command[:200], answer)
        return answer

    def append(self, mailbox: str, raw: bytes, flags: bytes = b"") -> Answer:
        """APPEND with a synchronising literal."""
        tag = self.tag()
        self.send(tag + b' APPEND "%s" %s{%d}\r\n' % (mailbox.encode(), flags and flags + b" ", len(raw)))
        going = self.line()
        assert going.startswith(b"+"), going
        self.send(raw + b"\r\n")
        return self.answer(tag)

    def uids(self) -> list[int]:
        """The UIDs of the selected mailbox."""
        found = self.ok(b"UID SEARCH ALL")
        return [int(uid) for line in found.untagged if line.startswith(b"SEARCH") for uid in line.split()[1:]]
