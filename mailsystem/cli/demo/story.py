"""What happens in the demonstration, step by step. What is shown of it comes from the trace, never from here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mailsystem.cli.demo.clients import Imap, Pop3, Smtp
from mailsystem.net import Bound
from mailsystem.telemetry.flow import SERVER_LANE, Flow, Way

if TYPE_CHECKING:
    from mailsystem.app import Role

DOMAIN: Final = "example.org"
BOB: Final = f"bob@{DOMAIN}"
PASSWORD: Final = "correct-horse"  # noqa: S105 - of an account that lives for a minute
ALICE, PHONE, PC, OLD_PC = "alice", "phone", "pc", "old-pc"


class Lane(NamedTuple):
    """One party of the story."""

    key: str
    title: str
    note: str


LANES: Final = (
    Lane(ALICE, "Alice", "SMTP client"),
    Lane(SERVER_LANE, "server", "one store"),
    Lane(PHONE, "Bob’s phone", "IMAP"),
    Lane(PC, "Bob’s PC", "IMAP"),
    Lane(OLD_PC, "Bob’s old PC", "POP3"),
)


@dataclass(frozen=True, slots=True)
class Chapter:
    """A new part of the story."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something was done, and the answers are there."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Somebody hears nothing, and that is worth showing."""

    lane: str
    text: str
    long: bool = False
    """Time passes before anything else happens."""


Moment = Chapter | Step | Silence
STEP: Final = Step()


class Generation(NamedTuple):
    """What one generation of a protocol brought."""

    name: str
    year: str
    rfc: str
    added: str


class Took(NamedTuple):
    """How long something in the story took, and whether somebody had to ask for it."""

    key: str
    text: str
    ms: float
    way: Way


@dataclass(frozen=True, slots=True)
class Play:
    """A story with everything that it takes to put it on."""

    title: str
    lanes: tuple[Lane, ...]
    cast: Callable[[Mapping[str, Bound], Flow, Path], AbstractContextManager[Any]]
    """Everybody, by where the doors listen and where the server's files are."""
    tell: Callable[[Any], AsyncIterator[Moment]]
    taken: Callable[[Flow], list[Took]]
    roles: tuple[Role, ...]
    mailboxes: tuple[tuple[str, str | None], ...] = ()
    """That Bob has besides the usual ones."""
    generations: tuple[Generation, ...] = ()


class Cast:
    """Everybody in the story. Use it in a `with`; nobody stays connected behind it."""

    def __init__(self, bound: Mapping[str, Bound], flow: Flow, place: Path) -> None:
        self.phone = Imap(PHONE, bound["imap"], flow)
        self.pc = Imap(PC, bound["imap"], flow)
        self.old_pc = Pop3(OLD_PC, bound["pop3"], flow)
        self.alice = Smtp(ALICE, bound["smtp"], flow)
        self.alice_again = Smtp(ALICE, bound["smtp"], flow)

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self.phone, self.pc, self.old_pc, self.alice, self.alice_again):
            client.hang_up()


async def story(cast: Cast) -> AsyncIterator[Moment]:
    """One message's life, and the end of a second one."""
    for part in (
        _listen(cast.phone, cast.pc),
        _push(cast.alice, cast.phone, cast.pc),
        _read(cast.phone, cast.pc),
        _pull(cast.old_pc, cast.phone, cast.pc),
        _mirror(cast.alice_again, cast.phone, cast.pc),
    ):
        async for moment in part:
            yield moment


async def _listen(phone: Imap, pc: Imap) -> AsyncIterator[Moment]:

    yield Chapter(
        "Bob’s phone and PC listen",
        "Each opens one IMAP connection and keeps it. With IDLE they hand the word to the server: from now on it may "
        "speak whenever it has news. Bob’s old PC only knows POP3 and is not connected at all.",
    )
    for device in (phone, pc):
        await device.connect()
        await device.line()
        yield STEP
        await device.ask(b"LOGIN %s %s" % (BOB.encode(), PASSWORD.encode()))
        yield STEP
        await device.ask(b"SELECT INBOX")
        yield STEP
        await device.idle()
        yield STEP


async def _push(alice: Smtp, phone: Imap, pc: Imap) -> AsyncIterator[Moment]:
    yield Chapter(
        "Push: Alice sends, the server passes it on",
        "SMTP: whoever has the mail opens the connection. The server says 250 only when the message is safely on disk, "
        "and in the same moment it tells all who idle. Nobody has asked.",
    )
    await alice.connect()
    await alice.reply(b"220")
    await alice.ask(b"EHLO laptop.alice.example", b"250")
    yield STEP
    await alice.ask(b"MAIL FROM:<alice@example.net>", b"250")
    await alice.ask(b"RCPT TO:<%s>" % BOB.encode(), b"250")
    await alice.ask(b"DATA", b"354")
    yield STEP
    await alice.ask(_message(1, "Lunch?", "Shall we have lunch on Friday?"), b"250")
    for device in (phone, pc):
        await device.line_with(b" EXISTS")
    yield STEP
    yield Silence(OLD_PC, "hears nothing")
    await alice.ask(b"QUIT", b"221")
    await alice.close()
    yield STEP


async def _read(phone: Imap, pc: Imap) -> AsyncIterator[Moment]:
    yield Chapter(
        "Bob reads on his phone, and the mail stays where it is",
        "The phone ends IDLE and fetches the message: a copy, the mail itself stays on the server. That it has been read "
        "is told to the PC, again without having been asked.",
    )
    await phone.done()
    yield STEP
    await phone.ask(b"UID FETCH 1 BODY[]")
    await pc.line_with(b" FETCH ")
    yield STEP
    await phone.idle()
    yield STEP


async def _pull(old_pc: Pop3, phone: Imap, pc: Imap) -> AsyncIterator[Moment]:
    yield Chapter(
        "Pull: POP3 hears nothing until it asks",
        "Nobody tells a POP3 client anything. It has to connect and to ask; while it does, the mailbox is locked for it. It "
        "takes the message and marks it deleted, but only QUIT deletes; then the server forgets that it was ever there, "
        "and tells phone and PC.",
    )
    yield Silence(OLD_PC, "still nothing", long=True)
    await old_pc.connect()
    await old_pc.answer()
    yield STEP
    await old_pc.ask(b"USER " + BOB.encode())
    await old_pc.ask(b"PASS " + PASSWORD.encode())
    yield STEP
    await old_pc.ask(b"STAT")
    yield STEP
    await old_pc.ask(b"RETR 1", many=True)
    yield STEP
    await old_pc.ask(b"DELE 1")
    yield STEP
    await old_pc.ask(b"QUIT")
    for device in (phone, pc):
        await device.line_with(b" EXPUNGE")
    await old_pc.close()
    yield STEP


async def _mirror(alice: Smtp, phone: Imap, pc: Imap) -> AsyncIterator[Moment]:
    yield Chapter(
        "What one device deletes is gone on the other",
        "Alice sends once more. Bob deletes the message on his PC; IMAP mirrors that to the phone at once. The old PC will "
        "never know that there was a second message.",
    )
    await alice.connect()
    await alice.reply(b"220")
    await alice.ask(b"EHLO laptop.alice.example", b"250")
    yield STEP
    await alice.ask(b"MAIL FROM:<alice@example.net>", b"250")
    await alice.ask(b"RCPT TO:<%s>" % BOB.encode(), b"250")
    await alice.ask(b"DATA", b"354")
    yield STEP
    await alice.ask(_message(2, "Never mind", "Friday does not work after all."), b"250")
    for device in (phone, pc):
        await device.line_with(b" EXISTS")
    await alice.ask(b"QUIT", b"221")
    await alice.close()
    yield STEP
    yield Silence(OLD_PC, "hears nothing")
    await pc.done()
    yield STEP
    await pc.ask(rb"STORE 1 +FLAGS (\Deleted)")
    await phone.line_with(b" FETCH ")
    yield STEP
    await pc.ask(b"EXPUNGE")
    await phone.line_with(b" EXPUNGE")
    yield STEP
    await phone.done()
    for device in (phone, pc):
        await device.ask(b"LOGOUT")
        await device.close()
    yield STEP


def _message(number: int, subject: str, text: str) -> bytes:
    """A message as it goes behind DATA, with the dot that ends it."""
    lines = [
        "From: Alice <alice@example.net>",
        f"To: Bob <{BOB}>",
        f"Subject: {subject}",
        f"Date: {formatdate(localtime=True)}",
        f"Message-ID: <demo-{number}@example.net>",
        "",
        text,
        ".",
    ]
    return "\r\n".join(lines).encode()


def taken(flow: Flow) -> list[Took]:
    """What the story took, read from the flow."""
    pushes = [arrow for arrow in flow.arrows if arrow.way == "push" and arrow.door == "imap"]

    def pushed(what: str, lane: str, number: int = 0) -> float | None:
        told = [a.ms for a in pushes if a.target == lane and any(what in line for line in a.lines)]
        return told[number] if number < len(told) else None

    sent = next((a.time for a in flow.arrows if a.source == ALICE and a.lines[-1].endswith(" octets]")), None)
    asked = flow.first_said(OLD_PC)
    waited = None if sent is None or asked is None else round((asked - sent) * 1000, 3)
    found: list[tuple[str, str, float | None, Way]] = [
        (
            "message_to_phone",
            "from the message’s last octet until Bob’s phone was told",
            pushed(" EXISTS", PHONE),
            "push",
        ),
        ("message_to_pc", "… until his PC was told", pushed(" EXISTS", PC), "push"),
        ("message_to_old_pc", "… until his old PC came and asked; it would not know yet", waited, "pull"),
        ("pop3_quit_to_phone", "from QUIT of POP3 until it was gone on the phone", pushed(" EXPUNGE", PHONE), "push"),
        ("pop3_quit_to_pc", "… until it was gone on the PC", pushed(" EXPUNGE", PC), "push"),
        (
            "pc_expunge_to_phone",
            "from EXPUNGE on the PC until it was gone on the phone",
            pushed(" EXPUNGE", PHONE, 1),
            "push",
        ),
    ]
    return [Took(key, text, ms, way) for key, text, ms, way in found if ms is not None]


PLAY: Final = Play("One message, pushed and pulled", LANES, Cast, story, taken, roles=("smtp", "pop3", "imap"))
