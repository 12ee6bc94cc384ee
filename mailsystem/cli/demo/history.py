"""The same mail fetched by three generations of POP. What is shown of it comes from the trace, never from here."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Final

from mailsystem.cli.demo import play
from mailsystem.cli.demo.clients import Counted, Pop3, Smtp
from mailsystem.cli.demo.play import STEP, Chapter, Generation, Lane, Moment, Play, Took
from mailsystem.cli.demo.stage import hashed, house, premises, settings_for
from mailsystem.net import Bound
from mailsystem.telemetry.flow import SERVER_LANE, Flow

ALICE: Final = "alice"
BOB: Final = "bob@example.org"
FOLDER: Final = "Lists"
POP1, POP2, POP3 = "pop1", "pop2", "pop3"

LANES: Final = (
    Lane(ALICE, "Alice", "SMTP client"),
    Lane(SERVER_LANE, "server", "one store", is_server=True),
    Lane(POP1, "Bob, 1984", "POP1", only_pulls=True),
    Lane(POP2, "Bob, 1985", "POP2", only_pulls=True),
    Lane(POP3, "Bob, today", "POP3", only_pulls=True),
)


GENERATIONS: Final = (
    Generation(
        "POP1",
        "1984",
        "RFC 918",
        "mail waits on a machine that is always on, and comes when the workstation asks; all of a mailbox at once, to be "
        "kept (RETR) or deleted (RDEL); nothing goes before it has been acknowledged (RCVD)",
    ),
    Generation(
        "POP2",
        "1985",
        "RFC 937",
        "messages: each has a number (READ), comes by itself and is acknowledged by itself: keep it (ACKS), delete it (ACKD), "
        "send it again (NACK); folders (FOLD); a state table that leaves nothing open",
    ),
    Generation(
        "POP3",
        "1988–",
        "RFC 1081 to 6856",
        "any message at any time, and the end of each is marked, not counted: LIST, RETR, DELE, RSET, and deletions that come "
        "true at QUIT; TOP to look before fetching; UIDL (1994) to know what is here already, so that mail can stay on the "
        "server; CAPA (1998); STLS (1999) and SASL (2007), so that no password goes in clear; UTF8 (2013)",
    ),
)


class Cast:
    """Everybody in the story. Use it in a `with`; nobody stays connected behind it."""

    def __init__(self, bound: Mapping[str, Bound], flow: Flow, place: Path) -> None:
        from mailsystem.app import SELF_SIGNED

        self.trusting = ssl.create_default_context(cafile=place / SELF_SIGNED)
        self.alice = Smtp(ALICE, bound["smtp"], flow)
        self.pop1 = Counted(POP1, bound["pop1"], flow)
        self.early = Counted(POP1, bound["pop1"], flow)
        self.pop2 = Counted(POP2, bound["pop2"], flow)
        self.pop3 = Pop3(POP3, bound["pop3"], flow)

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self.alice, self.pop1, self.early, self.pop2, self.pop3):
            client.hang_up()


@asynccontextmanager
async def stage(flow: Flow) -> AsyncIterator[Cast]:
    """One server with the doors of all three generations."""
    from mailsystem.settings import Accounts, Pop1, Pop2

    async with premises("server") as [place]:
        settings = settings_for(
            place, "mail.example.org", pop2=Pop2(port=0), pop1=Pop1(port=0), accounts=Accounts(detail_folder=True)
        )
        async with house(
            settings,
            flow,
            roles=("smtp", "pop3", "pop2", "pop1"),
            people=[BOB],
            password=await hashed(),
            mailboxes=[FOLDER],
        ) as server:
            with Cast(server.bound, flow, place) as cast:
                yield cast


async def tell(cast: Cast) -> AsyncIterator[Moment]:
    """Three messages, fetched three times."""
    for part in (
        _sent(cast.alice),
        _whole(cast.pop1),
        _each(cast.pop2),
        _locked(cast.pop2, cast.early),
        _today(cast.pop3, cast.trusting),
    ):
        async for moment in part:
            yield moment


async def _sent(alice: Smtp) -> AsyncIterator[Moment]:
    yield Chapter(
        "Alice writes",
        "Mail comes in by SMTP, then as now. Two messages are for Bob’s INBOX, one of them for his folder Lists too. Once that "
        "was enough, for he sat at the machine itself; now he has a workstation, and it is often switched off.",
    )
    await alice.connect()
    await alice.reply(b"220")
    await alice.ask(b"EHLO laptop.alice.example", b"250")
    yield STEP
    lists = BOB.replace("@", f"+{FOLDER.lower()}@")
    for number, recipients in enumerate(((BOB, lists), (BOB,)), 1):
        await alice.ask(b"MAIL FROM:<alice@example.net>", b"250")
        for recipient in recipients:
            await alice.ask(b"RCPT TO:<%s>" % recipient.encode(), b"250")
        await alice.ask(b"DATA", b"354")
        yield STEP
        await alice.ask(_message(number), b"250")
        yield STEP
    await alice.ask(b"QUIT", b"221")
    await alice.close()
    yield STEP


async def _whole(pop1: Counted) -> AsyncIterator[Moment]:
    yield Chapter(
        "1984, POP1: a mailbox in one piece",
        "RFC 918 has nine commands. The mailbox comes whole, as it lay on the disk; # says how many characters. Bob chooses "
        "RETR, so it stays; RDEL would empty it, all or nothing, once RCVD says that it came. His password goes in clear.",
    )
    await pop1.connect()
    await pop1.reply(b"+OK")
    yield STEP
    await pop1.ask(b"USER " + BOB.encode(), b"+OK")
    await pop1.ask(b"PASS " + play.PASSWORD.encode(), b"+OK")
    yield STEP
    octets = await pop1.ask(b"RETR INBOX", b"#")
    yield STEP
    await pop1.fetch(b"RCEV", octets)
    yield STEP
    await pop1.ask(b"RCVD", b"+OK")
    await pop1.ask(b"QUIT", b"+OK")
    await pop1.close()
    yield STEP


async def _each(pop2: Counted) -> AsyncIterator[Moment]:
    yield Chapter(
        "1985, POP2: one message after the other, and folders",
        "RFC 937 knows messages. # counts them, = counts the characters of the next one. Each is acknowledged: NACK has it "
        "sent again, ACKS keeps it, ACKD deletes it, but only when Bob leaves the mailbox. FOLD enters another one. Whatever "
        "goes wrong ends the connection.",
    )
    await pop2.connect()
    await pop2.reply(b"+ POP2")
    yield STEP
    await pop2.ask(b"HELO %s %s" % (BOB.encode(), play.PASSWORD.encode()), b"#2")
    yield STEP
    octets = await pop2.ask(b"READ 1", b"=")
    await pop2.fetch(b"RETR", octets)
    yield STEP
    octets = await pop2.ask(b"NACK", b"=")
    await pop2.fetch(b"RETR", octets)
    yield STEP
    octets = await pop2.ask(b"ACKS", b"=")
    await pop2.fetch(b"RETR", octets)
    yield STEP
    await pop2.ask(b"ACKS", b"=0")
    yield STEP
    await pop2.ask(b"FOLD " + FOLDER.encode(), b"#1")
    octets = await pop2.ask(b"READ", b"=")
    yield STEP
    await pop2.fetch(b"RETR", octets)
    await pop2.ask(b"ACKD", b"=0")
    yield STEP


async def _locked(pop2: Counted, pop1: Counted) -> AsyncIterator[Moment]:
    yield Chapter(
        "One at a time",
        "POP2 still holds Bob’s mail. RFC 918 said “opens and locks the mailbox”, and POP has kept to that: whoever comes "
        "meanwhile is told to come again. Here it is one lock for all three, so they cannot hurt each other.",
    )
    await pop1.connect()
    await pop1.reply(b"+OK")
    await pop1.ask(b"USER " + BOB.encode(), b"+OK")
    await pop1.ask(b"PASS " + play.PASSWORD.encode(), b"+OK")
    yield STEP
    await pop1.ask(b"RDEL INBOX", b"-ERR")
    yield STEP
    await pop2.ask(b"QUIT", b"+ OK")
    await pop2.close()
    yield STEP
    await pop1.ask(b"RETR INBOX", b"#")
    await pop1.ask(b"RSET", b"+OK")
    await pop1.ask(b"QUIT", b"+OK")
    await pop1.close()
    yield STEP


async def _today(pop3: Pop3, trusting: ssl.SSLContext) -> AsyncIterator[Moment]:
    yield Chapter(
        "1988 until today, POP3: any message, at any time, under TLS",
        "POP3 began again from POP1’s words. CAPA says what the server can do and STLS encrypts what follows: only here does "
        "nobody on the way see the password. UIDL names messages for ever, so Bob’s program knows what it has already; TOP "
        "looks at the header alone. DELE can be undone by RSET, and comes true at QUIT. Folders were left to IMAP.",
    )
    await pop3.connect()
    await pop3.answer()
    await pop3.ask(b"CAPA", many=True)
    yield STEP
    await pop3.ask(b"STLS")
    await pop3.secure(trusting)
    yield STEP
    await pop3.ask(b"USER " + BOB.encode())
    await pop3.ask(b"PASS " + play.PASSWORD.encode())
    yield STEP
    await pop3.ask(b"UIDL", many=True)
    yield STEP
    await pop3.ask(b"RETR 1", many=True)
    await pop3.ask(b"TOP 2 0", many=True)
    yield STEP
    await pop3.ask(b"DELE 1")
    await pop3.ask(b"DELE 2")
    await pop3.ask(b"RSET")
    yield STEP
    await pop3.ask(b"DELE 2")
    await pop3.ask(b"QUIT")
    await pop3.close()
    yield STEP


def _message(number: int) -> bytes:
    """A message as it goes behind DATA, with the dot that ends it."""
    lines = [
        "From: Alice <alice@example.net>",
        f"To: Bob <{BOB}>",
        f"Subject: Lunch, number {number}",
        f"Date: {formatdate(localtime=True)}",
        f"Message-ID: <history-{number}@example.net>",
        "",
        "Shall we have lunch on Friday?",
        ".",
    ]
    return "\r\n".join(lines).encode()


def taken(flow: Flow) -> list[Took]:
    """How long each generation took from its login to the first mail, and how often it had to ask, read from the flow."""
    found = []
    for lane, what in ((POP1, "all of INBOX"), (POP2, "the first message"), (POP3, "the first message")):
        said = [arrow for arrow in flow.arrows if lane in (arrow.source, arrow.target)]
        # In POP3 the octets come between a +OK and a dot, in one breath.
        came = next((n for n, one in enumerate(said) if any(" octets]" in line for line in one.lines)), None)
        known = next((n for n, one in enumerate(said) if any("[redacted]" in line for line in one.lines)), None)
        if came is None or known is None:
            continue
        turns = sum(one.source == lane for one in said[:came])
        asked = said[known + 2].time  # what it says after the answer to its password, which took what a hash takes
        ms = round((said[came].time - asked) * 1000, 3)
        text = f"{lane.upper()}, from login to {what}, {turns} turns in all"
        found.append(Took(f"{lane}_to_first_mail", text, ms, "pull"))
    return found


PLAY: Final = Play(
    title="The same mail, fetched by three generations of POP",
    lead="Two messages lie in one store. Bob fetches them as he would have done in 1984, in 1985, and as he does today.",
    lanes=LANES,
    stage=stage,
    tell=tell,
    taken=taken,
    generations=GENERATIONS,
)
