"""The `mail` of a test: wait for messages, look at them, send some, let things go wrong."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from email.message import Message as Parsed
from email.utils import parseaddr
from pathlib import Path
from typing import Literal, TypeVar, Unpack, overload

from mailsystem.testing.alone import runs_tasks
from mailsystem.testing.clients import Clients, Security, octets_of
from mailsystem.testing.driving import Steps, led
from mailsystem.testing.expecting import Expected
from mailsystem.testing.failing import MailFailure, hidden
from mailsystem.testing.faulting import Door, rules_for
from mailsystem.testing.matching import Asked
from mailsystem.testing.message import Message
from mailsystem.testing.place import Where
from mailsystem.testing.postbox import Expecting, Postbox

__tracebackhide__ = hidden

T = TypeVar("T")


class Belongings:
    """What an inbox has, whether one waits for its mail in a thread or in a task."""

    def __init__(self, box: Postbox) -> None:
        self._box = box
        self._clients = Clients(box.server)
        self._address = box.fresh_address()

    @property
    def address(self) -> str:
        """An address that this test alone has. Mail to it with any detail (`ann+shop@…`) comes here as well."""
        return self._address

    def new_address(self, name: str = "") -> str:
        """Another address of this test alone, which begins with `name`."""
        return self._box.fresh_address(name)

    def domain(self, name: str | None = None) -> str:
        """A domain of which all mail comes to this test: `shop.test`, or without a name one that nobody else has.

        Where several workers of pytest-xdist share a server, it is one below that name: use what this returns.
        """
        return self._box.claim_domain(name)

    @property
    def server(self) -> Where:
        """Where the mail server listens."""
        return self._box.server.where

    @property
    def url(self) -> str | None:
        """Of the page that shows all mail; None where there is none."""
        return self._box.server.where.url

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """For clients: trusts the mail server's certificate, and no other."""
        return self._box.server.trusted()

    @property
    def authority(self) -> Path | None:
        """A PEM file with the certificate of whoever vouches for the mail server."""
        return self._box.server.authority()

    # Clients of the standard library, which are closed at the end of the test

    def smtp(self, *, tls: Security | None = None, login: bool = True, user: str | None = None) -> smtplib.SMTP:
        """An SMTP client, logged in as this test's address or as `user`."""
        return self._clients.smtp((user or self._address) if login else None, tls)

    def imap(self, *, tls: Security | None = None, user: str | None = None) -> imaplib.IMAP4:
        """An IMAP client, logged in as this test's address or as `user`."""
        return self._clients.imap(user or self._address, tls)

    def pop3(self, *, tls: Security | None = None, user: str | None = None) -> poplib.POP3:
        """A POP3 client, logged in as this test's address or as `user`."""
        return self._clients.pop3(user or self._address, tls)

    def faults(
        self,
        *,
        at: str = "RCPT",
        reply: str = "",
        times: int | None = None,
        rcpt: str | None = None,
        from_: str | None = None,
        login: str | None = None,
        door: Door = "smtp",
        delay: float = 0.0,
        disconnect: Literal["before", "after"] | None = None,
        after: int = 0,
    ) -> AbstractContextManager[None]:
        """For as long as this is entered, a command to do with this test's own mail goes wrong.

        `at` is the command (`BODY` the end of a message). It is answered by `reply`, after `delay` seconds, or the connection
        is ended; `times` times, for each address, having gone well `after` times, and then all is as usual. By SMTP it is
        about mail to this test's addresses, or to `rcpt`; MAIL is about mail from `from_`. By POP3 and IMAP, and at AUTH, it
        is about who is logged in as this test's address, or as `login`. Raises `ValueError` for what makes no sense.
        """
        rules = rules_for(
            self._box.arrivals.claims,
            door=door,
            at=at,
            rcpt=rcpt,
            from_=from_,
            login=login,
            what={
                "reply": reply,
                "delay": delay,
                "times": times,
                "disconnect": disconnect or "",
                "after": after,
            },
        )
        return self._box.server.faults(rules)

    def idle(self) -> None:
        """The application has nothing left to send: from here on `none()` does not wait. `expecting` ends that."""
        led(self._box.settled())
        self._box.is_idle = True

    def close(self) -> None:
        """Close its clients."""
        self._clients.close()

    def _send(self, message: Parsed | bytes, to: str | None, from_: str | None) -> None:
        recipient = to or self._address
        if not self._box.arrivals.claims.has(recipient):
            raise ValueError(f"{recipient} is no address of this test; domain() and new_address() make some")
        sender = from_
        if sender is None:
            sender = "" if isinstance(message, bytes) else parseaddr(str(message.get("From", "")))[1]
        self._clients.send(octets_of(message), sender, [recipient])


def _waited(steps: Steps[T]) -> T:
    try:
        return led(steps)
    except MailFailure as failure:
        if failure.is_late and runs_tasks():
            failure.add_note(
                "while a coroutine waits by `mail`, no other task of its loop sends anything: use `await amail.expect(…)`"
            )
        raise


class Inbox(Belongings):
    """The mail of one test. What does not come raises `MailFailure`, with a table of what did."""

    @property
    def messages(self) -> list[Message]:
        """All that have arrived, in the order in which they came."""
        return led(self._box.every())

    @property
    def latest(self) -> Message:
        """The last that has arrived. Raises `MailFailure` where there is none."""
        return led(self._box.latest())

    def clear(self) -> None:
        """Forget all messages, and remove them from what their recipients read by POP3 and IMAP."""
        led(self._box.clear())

    # One message is asked for by far the most often.
    @overload
    def expect(self, *, count: Literal[1] = 1, **asked: Unpack[Expecting]) -> Message: ...  # type: ignore[overload-overlap]
    @overload
    def expect(self, *, count: int, **asked: Unpack[Expecting]) -> list[Message]: ...
    def expect(self, *, count: int = 1, **asked: Unpack[Expecting]) -> Message | list[Message]:
        """The one message that is like this, here already or within `timeout` seconds; with a `count`, all of so many, in an
        `order`.

        `subject` is a part of it, `from_` and `to` are whole addresses in the message or its envelope, with `*` for any
        letters; each may be a compiled expression instead. `query` is in the language of searches. Fails where there are more.
        """
        messages = _waited(self._box.expect(count, **asked))
        return messages[0] if count == 1 else messages

    @contextmanager
    def expecting(self, *, count: int = 1, **asked: Unpack[Expecting]) -> Iterator[Expected]:
        """The same of what comes because of the block, and not before: it is waited for at the block's end."""
        after = led(self._box.mark())
        self._box.is_idle = False
        expected, steps = Expected(), self._box.expect(count, after, **asked)
        yield expected
        expected.fill(_waited(steps))

    def none(self, *, within: float | None = None, **asked: Unpack[Asked]) -> None:
        """Nothing like this has come, nor is anybody left who could send it.

        At once after `idle()`, or if nobody is connected to the mail server and nothing else runs in this process: no other
        thread, task or child. Otherwise once it has been quiet for 0.3 seconds. With `within`, in any case once it has been
        quiet for so many seconds.
        """
        led(self._box.none(within, **asked))

    def deliver(self, message: Parsed | bytes, *, to: str | None = None, from_: str | None = None) -> Message:
        """Let a message arrive, for whoever reads mail: octets as they are, to this test's address or another one of it.

        Its envelope is from `from_`, or the address in From. Returns it as it has come.
        """
        after = led(self._box.mark())
        self._send(message, to, from_)
        return led(self._box.expect(after=after))[0]
