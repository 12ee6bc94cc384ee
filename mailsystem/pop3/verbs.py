"""The table of verbs: everything known about a verb stands beside the function that runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailsystem.mail.errors import SyntaxFault, WrongState
from mailsystem.mail.sasl import Credentials
from mailsystem.pop3 import languages
from mailsystem.pop3.grammar import Arguments, Top
from mailsystem.pop3.languages import Phrase
from mailsystem.pop3.session import Session, State

AUTHORIZATION: Final = State.AUTHORIZATION
TRANSACTION: Final = State.TRANSACTION
ANY: Final = AUTHORIZATION | TRANSACTION

Handler: TypeAlias = Callable[[Session, Arguments], Awaitable[str | None]]
Tag: TypeAlias = Callable[[Session], str | None]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb and its facts."""

    name: str
    syntax: str
    """As RFC 1939 writes it: `TOP msg n`."""
    states: State
    """Where it may be used."""
    secret: bool
    """Its arguments never reach a trace."""
    capability: Tag | None
    """What CAPA lists because of it, if anything for this client just now (RFC 2449 5)."""
    handler: Handler


TABLE: Final[dict[str, Verb]] = {}

FEATURES: Final = ("PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION mailsystem")
"""What is listed by CAPA and is no verb; `Session.policies` adds EXPIRE and LOGIN-DELAY."""


def verb(
    syntax: str, states: State, *, secret: bool = False, capability: str | Tag | None = None
) -> Callable[[Handler], Handler]:
    """Put the decorated handler into the table.

    A handler reads its arguments to the end, then acts; it returns the text of its +OK, or None where it has answered. It
    raises `MailError` and never catches.
    """

    def enter(handler: Handler) -> Handler:
        name = syntax.partition(" ")[0]
        tag = (lambda _: capability) if isinstance(capability, str) else capability
        TABLE[name] = Verb(name, syntax, states, secret, tag, handler)
        return handler

    return enter


# RFC 2449


@verb("CAPA", ANY)
async def capa(session: Session, args: Arguments) -> str | None:
    """RFC 2449 5: what can be used here and now, without what is switched off for this account."""
    args.end()
    tags = [tag for entry in TABLE.values() if entry.capability and (tag := entry.capability(session))]
    tags += [*FEATURES, *await session.policies()]
    off = session.account.capabilities_off if session.account is not None else ()
    lines = [tag.encode() for tag in tags if tag.partition(" ")[0] not in off]
    await session.listing("capabilities follow", lines, len(lines))
    return None


# RFC 6856


@verb("UTF8", AUTHORIZATION, capability="UTF8 USER")
async def utf8(session: Session, args: Arguments) -> str:
    """RFC 6856 2.1: messages come as they are, with UTF-8 in their header fields."""
    args.end()
    session.utf8 = True
    return "UTF-8 from here on"


@verb("LANG [language]", ANY, capability="LANG")
async def lang(session: Session, args: Arguments) -> str | None:
    """RFC 6856 3: the language in which replies speak to people, or which there are."""
    if args.at_end():
        lines = [f"{tag} {name}".encode() for tag, name in languages.NAMES.items()]
        await session.listing("languages follow", lines, len(lines))
        return None
    wanted = args.word().decode("ascii", "replace")
    args.end()
    tag = languages.matching(wanted) if languages.is_range(wanted) else None
    if tag is None:
        no = Phrase("no language {tag} here", tag=wanted[:40])
        spoken = session.language  # which stays, and is named as in the RFC's example
        raise SyntaxFault(f"{spoken} {languages.translated(no, spoken)}" if spoken else no)
    session.language = tag
    return f"{tag} {languages.translated('language changed', tag)}"


# AUTHORIZATION


@verb("STLS", AUTHORIZATION, capability=lambda s: "STLS" if s.may_start_tls and s.state is AUTHORIZATION else None)
async def stls(session: Session, args: Arguments) -> str | None:
    """RFC 2595 4: TLS from the next octet on."""
    args.end()
    await session.start_tls()
    return None


@verb("USER name", AUTHORIZATION, capability=lambda s: "USER" if s.may_log_in else None)
async def user(session: Session, args: Arguments) -> str:
    """RFC 1939 7. Every name is taken: who lives here is told to nobody."""
    session.check_privacy()
    name = args.rest().strip(b" ")
    if not name:
        raise SyntaxFault("argument missing")
    session.name = name
    return "and the password?"


@verb("PASS string", AUTHORIZATION, secret=True)
async def pass_(session: Session, args: Arguments) -> str:
    """RFC 1939 7: the password; with it the maildrop is locked."""
    session.check_privacy()
    name, session.name = session.name, None
    if name is None:
        raise WrongState("USER first")
    credentials = Credentials.of(name, args.rest())
    proving = session.directory.login(credentials, session.peer)
    await session.log_in(proving, mechanism="PASS", login=credentials.login)
    return _welcome(session)


@verb("AUTH mechanism [initial-response]", AUTHORIZATION, secret=True,
      capability=lambda s: f"SASL {' '.join(names)}" if (names := s.mechanisms) else None)  # fmt: skip
async def auth(session: Session, args: Arguments) -> str | None:
    """RFC 5034 4; without a mechanism it lists them, as clients from before CAPA expect."""
    if args.at_end():
        lines = [name.encode() for name in session.mechanisms]
        await session.listing("mechanisms follow", lines, len(lines))
        return None
    session.check_privacy()
    mechanism = args.word().decode("ascii", "replace").upper()
    if mechanism not in session.mechanisms:
        raise SyntaxFault("unknown authentication mechanism")
    initial = None if args.at_end() else args.word()
    args.end()
    session.name = None
    proving = session.directory.authenticate(
        mechanism, initial, session.ask, peer=session.peer, binding=session.binding
    )
    await session.log_in(proving, mechanism=mechanism)
    return _welcome(session)


def _welcome(session: Session) -> Phrase:
    return Phrase("{count} messages ({octets} octets)", count=session.view.count, octets=session.view.octets)


# TRANSACTION


@verb("STAT", TRANSACTION)
async def stat(session: Session, args: Arguments) -> str:
    """RFC 1939 5: how many messages and octets."""
    args.end()
    return f"{session.view.count} {session.view.octets}"


@verb("LIST [msg]", TRANSACTION)
async def list_(session: Session, args: Arguments) -> str | None:
    """RFC 1939 5: the octets of each message, or of one."""
    view = session.view
    if not args.at_end():
        number = args.number()
        args.end()
        return f"{number} {view.message(number).size}"
    lines = map(b"%d %d".__mod__, view.listed())
    await session.listing(_welcome(session), lines, view.count)
    return None


@verb("UIDL [msg]", TRANSACTION, capability="UIDL")
async def uidl(session: Session, args: Arguments) -> str | None:
    """RFC 1939 7: a name for each message, or for one, that it keeps for ever."""
    view = session.view
    if not args.at_end():
        number = args.number()
        args.end()
        return f"{number} {view.name(view.message(number))}"
    lines = (f"{number} {name}".encode() for number, name in view.named())
    await session.listing("unique-ids follow", lines, view.count)
    return None


@verb("RETR msg", TRANSACTION)
async def retr(session: Session, args: Arguments) -> None:
    """RFC 1939 5: a whole message."""
    number = args.number()
    args.end()
    message = session.view.message(number)
    size = message.size
    await session.retrieve(Phrase("{octets} octets", octets=size), number)
    session.view.retrieved(number)
    session.trace.event("retrieved", login=session.login, message=number, octets=size, contents=[message.content])


@verb("TOP msg n", TRANSACTION, capability="TOP")
async def top(session: Session, args: Arguments) -> None:
    """RFC 1939 7: the header of a message and so many lines of its body."""
    number, lines = args.number(), args.number()
    args.end()
    message = session.view.message(number)
    await session.message("top of message follows", _top(session.octets(number), lines))
    if session.trace.wants_contents and lines:
        session.trace.event("read", top=True, contents=[message.content])  # without a line of it, it is but listed


async def _top(octets: AsyncGenerator[bytes, None], lines: int) -> AsyncGenerator[bytes, None]:
    cut = Top(lines)
    async with aclosing(octets):
        async for chunk in octets:
            yield cut.feed(chunk)
            if cut.done:
                return


@verb("DELE msg", TRANSACTION)
async def dele(session: Session, args: Arguments) -> str:
    """RFC 1939 5: marks; what is marked goes at QUIT."""
    number = args.number()
    args.end()
    session.view.delete(number)
    return Phrase("message {number} deleted", number=number)


@verb("RSET", TRANSACTION)
async def rset(session: Session, args: Arguments) -> str:
    """RFC 1939 5: takes all marks away."""
    args.end()
    session.view.reset()
    return _welcome(session)


@verb("NOOP", TRANSACTION)
async def noop(session: Session, args: Arguments) -> str:
    """RFC 1939 5: nothing."""
    args.end()
    return ""


@verb("QUIT", ANY)
async def quit_(session: Session, args: Arguments) -> str:
    """RFC 1939 4 and 6: the only way to delete. Whether that succeeds or not, the session is over."""
    args.end()
    session.ended = True
    removed = await session.update()
    return Phrase("bye, {count} deleted", count=removed) if removed else "bye"
