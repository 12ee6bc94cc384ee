"""The journey of a message, step by step: two servers push it on, one client pulls it, two are told of everything.

What is shown of it comes from the traces of both servers, never from here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING

from mailsystem.cli.demo import play
from mailsystem.cli.demo.clients import Client, Imap, NoAnswer, Pop3, Smtp, until
from mailsystem.cli.demo.maildrop import Watched, compared
from mailsystem.cli.demo.parties import (
    ALICE,
    ALICE_ADDRESS,
    ALICE_DOMAIN,
    BOB_ADDRESS,
    BOB_DOMAIN,
    LANES,
    NOBODY,
    OLD_PC,
    PC,
    PHONE,
    SERVER_A,
    SERVER_B,
)
from mailsystem.cli.demo.play import STEP, Chapter, Comparison, Moment, Play, Reading, Silence
from mailsystem.cli.demo.stage import HOST, hashed, house, premises, published, settings_for, signing_keys
from mailsystem.cli.demo.times import is_sent, taken
from mailsystem.telemetry.flow import Flow

if TYPE_CHECKING:
    from mailsystem.app import Running


class Cast:
    """Everybody in the story. Use it in a `with`; nobody stays connected behind it."""

    def __init__(self, a: Running, b: Running, flow: Flow, trusting: ssl.SSLContext) -> None:
        self.flow = flow
        self.trusting = trusting
        self.alice = Smtp(ALICE, a.bound["submission"], flow)
        self.alice_again = Smtp(ALICE, a.bound["submission"], flow)
        self.alice_reads = Imap(ALICE, a.bound["imap"], flow)
        self.old_pc = Pop3(OLD_PC, b.bound["pop3"], flow)
        self.phone = Imap(PHONE, b.bound["imap"], flow)
        self.pc = Imap(PC, b.bound["imap"], flow)
        self.maildrop = Watched(b.store, BOB_ADDRESS, SERVER_B, OLD_PC, flow)

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *_: object) -> None:
        everybody: Sequence[Client] = (
            self.phone,
            self.pc,
            self.old_pc,
            self.alice,
            self.alice_again,
            self.alice_reads,
        )
        for client in everybody:
            client.hang_up()


@asynccontextmanager
async def stage(flow: Flow) -> AsyncIterator[Cast]:
    """Two servers, each with people of its own, and the name server by which one finds the other."""
    from mailsystem.app import SELF_SIGNED
    from mailsystem.cli.demo.dns import answering
    from mailsystem.cli.demo.names import names
    from mailsystem.settings import Queue, Submission

    async with AsyncExitStack() as stack:
        # Both take their time, and can do so side by side.
        password, keys = await asyncio.gather(hashed(), signing_keys(ALICE_DOMAIN))
        at_a, at_b = await stack.enter_async_context(premises("a", "b"))
        b = await stack.enter_async_context(
            house(
                settings_for(at_b, f"mx.{BOB_DOMAIN}"),
                flow.at(SERVER_B, strangers=SERVER_A),
                roles=("smtp", "pop3", "imap"),
                people=[BOB_ADDRESS],
                password=password,
            )
        )
        known = names({BOB_DOMAIN: [f"MX 10 mx.{BOB_DOMAIN}."], f"mx.{BOB_DOMAIN}": [f"A {HOST}"]}, flow.at(SERVER_A))
        resolver, port = await stack.enter_async_context(answering(known))
        queue = Queue(
            nameservers=(f"{resolver}:{port}",),
            port=b.bound["smtp"].port,
            private_hosts=True,
            ca_file=at_b / SELF_SIGNED,
        )
        a = await stack.enter_async_context(
            house(
                settings_for(at_a, f"mx.{ALICE_DOMAIN}", submission=Submission(port=0), queue=queue),
                flow.at(SERVER_A),
                roles=("smtp", "imap", "queue"),
                people=[ALICE_ADDRESS],
                password=password,
            )
        )
        await a.store.signing_keys.add(keys)
        known.publish(published(keys))
        trusting = ssl.create_default_context(cafile=at_a / SELF_SIGNED)
        yield stack.enter_context(Cast(a, b, flow, trusting))


async def tell(cast: Cast, *, bounce: bool = False) -> AsyncIterator[Moment]:
    """One message's life, the end of a second one, and what becomes of one that nobody takes."""
    parts = [_listen, _submit, _travel, _read, _pull, _mirror, *([_bounce] if bounce else [])]
    for part in parts:
        async for moment in part(cast):
            yield moment


async def _listen(cast: Cast) -> AsyncIterator[Moment]:
    yield Chapter(
        "Bob’s phone and PC listen",
        "Each opens one IMAP connection to server B and keeps it. With IDLE they hand the word to the server: from now on "
        "it may speak whenever it has news. Bob’s old PC only knows POP3 and is not connected at all.",
    )
    for device in (cast.phone, cast.pc):
        await device.connect()
        await device.line()
        yield STEP
        await device.ask(b"LOGIN %s %s" % (BOB_ADDRESS.encode(), play.PASSWORD.encode()))
        yield STEP
        await device.ask(b"SELECT INBOX")
        yield STEP
        await device.idle()
        yield STEP


async def _submit(cast: Cast) -> AsyncIterator[Moment]:
    yield Chapter(
        "Push: Alice’s client hands over to her server",
        "Whoever has the mail opens the connection. Alice’s client proves under TLS who it is: only to its own people does a "
        "server promise to carry mail to other servers.",
    )
    await cast.alice.connect()
    async for moment in _log_in(cast.alice, cast.trusting):
        yield moment
    await _address(cast.alice, BOB_ADDRESS)
    yield STEP


async def _travel(cast: Cast) -> AsyncIterator[Moment]:
    yield Chapter(
        "Push: server A passes it on to server B, and server B to whoever listens",
        "Server A says 250 when the message is safely on disk, in its queue. The queue asks the DNS who takes mail for "
        f"{BOB_DOMAIN}, and now it is server A that opens a connection and pushes. Server B has it on disk, says 250, and in "
        "the same moment tells all who idle. Nobody has asked for anything.",
    )
    await cast.alice.ask(_message(1, BOB_ADDRESS, "Lunch?", "Shall we have lunch on Friday?"), b"250")
    for device in (cast.phone, cast.pc):
        await device.line_with(b" EXISTS")
    await until(cast.flow, lambda: is_sent(cast.flow, 1))
    yield STEP
    yield Silence(OLD_PC, "hears nothing")


async def _read(cast: Cast) -> AsyncIterator[Moment]:
    yield Chapter(
        "Bob reads on his phone, and the mail stays where it is",
        "The phone ends IDLE and fetches the message: a copy, the mail itself stays on server B. That it has been read is told "
        "to the PC, again without having been asked.",
    )
    await cast.phone.done()
    yield STEP
    await cast.phone.ask(b"UID FETCH 1 BODY[]")
    await cast.pc.line_with(b" FETCH ")
    yield STEP
    await cast.phone.idle()
    yield STEP
    await cast.maildrop.note_read()


async def _pull(cast: Cast) -> AsyncIterator[Moment]:
    yield Chapter(
        "Pull: POP3 hears nothing until it asks",
        "Nobody tells a POP3 client anything: it has to connect and to ask. From PASS on, the server keeps three things for "
        "this one session: a lock on the maildrop, a snapshot of what is in it, and the marks that DELE makes. RSET takes the "
        "marks back. Only QUIT deletes; then all of that is forgotten, and phone and PC are told what is gone.",
    )
    old_pc, maildrop = cast.old_pc, cast.maildrop
    yield Silence(OLD_PC, "still nothing", long=True)
    await old_pc.connect()
    await old_pc.answer()
    yield STEP
    yield await maildrop.remembered("the greeting")
    await old_pc.ask(b"USER " + BOB_ADDRESS.encode())
    await old_pc.ask(b"PASS " + play.PASSWORD.encode())
    yield STEP
    yield await maildrop.remembered("PASS")
    await old_pc.ask(b"RETR 1", many=True)
    yield STEP
    # Meanwhile Alice sends again, over the connection that she still has.
    await _address(cast.alice, BOB_ADDRESS)
    await cast.alice.ask(_message(2, BOB_ADDRESS, "Never mind", "Friday does not work after all."), b"250")
    for device in (cast.phone, cast.pc):
        await device.line_with(b" EXISTS")
    await until(cast.flow, lambda: is_sent(cast.flow, 2))
    await cast.alice.ask(b"QUIT", b"221")
    await cast.alice.close()
    yield STEP
    await old_pc.ask(b"STAT")
    yield STEP
    yield await maildrop.remembered("new mail")
    await old_pc.ask(b"DELE 1")
    yield STEP
    yield await maildrop.remembered("DELE 1")
    await old_pc.ask(b"RSET")
    yield STEP
    yield await maildrop.remembered("RSET")
    await old_pc.ask(b"DELE 1")
    await old_pc.ask(b"QUIT")
    for device in (cast.phone, cast.pc):
        await device.line_with(b" EXPUNGE")
    await old_pc.close()
    yield STEP
    yield await maildrop.remembered("QUIT")


async def _mirror(cast: Cast) -> AsyncIterator[Moment]:
    phone, pc = cast.phone, cast.pc
    yield Chapter(
        "What one device deletes is gone on the other",
        "The second message came too late for the old PC’s snapshot. Bob deletes it on his PC; IMAP mirrors that to the phone "
        "at once. The old PC will never know that there was a second message.",
    )
    await pc.done()
    yield STEP
    await pc.ask(rb"STORE 1 +FLAGS (\Deleted)")
    await phone.line_with(b" FETCH ")
    yield STEP
    await pc.ask(b"EXPUNGE")
    await phone.line_with(b" EXPUNGE")
    yield STEP
    yield Silence(OLD_PC, "never knew")
    await cast.maildrop.note_deleted()
    await phone.done()
    for device in (phone, pc):
        await device.ask(b"LOGOUT")
        await device.close()
    yield STEP


async def _bounce(cast: Cast) -> AsyncIterator[Moment]:
    alice, reads = cast.alice_again, cast.alice_reads
    yield Chapter(
        "A bounce: nobody there",
        f"Alice writes to {NOBODY} and listens by IMAP herself. Her server cannot know who lives in {BOB_DOMAIN}, so it says "
        "250. Server B says 550 as soon as it hears the name. Now server A has to keep its word: it writes a report from the "
        "null sender <>, so that no report can ever cause another, and pushes it to Alice.",
    )
    await reads.connect()
    await reads.line()
    await reads.ask(b"LOGIN %s %s" % (ALICE_ADDRESS.encode(), play.PASSWORD.encode()))
    yield STEP
    await reads.ask(b"SELECT INBOX")
    await reads.idle()
    yield STEP
    await alice.connect()
    async for moment in _log_in(alice, cast.trusting):
        yield moment
    await _address(alice, NOBODY)
    yield STEP
    await alice.ask(_message(3, NOBODY, "Hello?", "Is anybody there?"), b"250")
    await reads.line_with(b" EXISTS")
    yield STEP
    await reads.done()
    fetched = await reads.ask(b"UID FETCH 1 (BODY.PEEK[2])")
    yield STEP
    yield Reading(ALICE, "What Alice’s client reads in the report", _fields(fetched))
    await alice.ask(b"QUIT", b"221")
    await alice.close()
    await reads.ask(b"LOGOUT")
    await reads.close()
    yield STEP


async def _log_in(alice: Smtp, trusting: ssl.SSLContext) -> AsyncIterator[Moment]:
    await alice.reply(b"220")
    await alice.ask(b"EHLO laptop.a.test", b"250")
    yield STEP
    await alice.ask(b"STARTTLS", b"220")
    await alice.secure(trusting)
    yield STEP
    await alice.ask(b"EHLO laptop.a.test", b"250")
    await alice.log_in(ALICE_ADDRESS, play.PASSWORD)
    yield STEP


async def _address(alice: Smtp, recipient: str) -> None:
    await alice.ask(b"MAIL FROM:<%s>" % ALICE_ADDRESS.encode(), b"250")
    await alice.ask(b"RCPT TO:<%s>" % recipient.encode(), b"250")
    await alice.ask(b"DATA", b"354")


def _message(number: int, recipient: str, subject: str, text: str) -> bytes:
    """A message as it goes behind DATA, with the dot that ends it."""
    lines = [
        f"From: Alice <{ALICE_ADDRESS}>",
        f"To: <{recipient}>",
        f"Subject: {subject}",
        f"Date: {formatdate(localtime=True)}",
        f"Message-ID: <demo-{number}@{ALICE_DOMAIN}>",
        "",
        text,
        ".",
    ]
    return "\r\n".join(lines).encode()


def _fields(fetched: Sequence[bytes]) -> tuple[str, ...]:
    """The fields of a delivery report (RFC 3464), out of the literal of a FETCH."""
    literal = next((line for line in fetched if b"{" in line), b"")
    lines = [line.strip().decode("utf-8", "replace") for line in literal.split(b"\r\n")[1:-2]]
    wanted = ("Reporting-MTA:", "Final-Recipient:", "Action:", "Status:", "Remote-MTA:", "Diagnostic-Code:")
    found = tuple(line for line in lines if line.startswith(wanted))
    if not found:
        raise NoAnswer(f"{ALICE} found no report in what she fetched")
    return found


def _compared(cast: Cast) -> Sequence[Comparison]:
    return compared(cast.maildrop)


def the_play(*, bounce: bool) -> Play:
    return Play(
        title="One message, pushed and pulled",
        lead="Alice sends, two servers pass it on, Bob reads it on two devices and fetches it to a third.",
        lanes=LANES,
        stage=stage,
        tell=partial(tell, bounce=bounce),
        taken=taken,
        headline={
            "message_to_server_b": "from Alice’s last octet until server B had it on disk",
            "message_to_phone": "until Bob’s phone was told, unasked",
            "message_to_old_pc": "until his POP3 client came and asked",
        },
        compared=_compared,
    )
