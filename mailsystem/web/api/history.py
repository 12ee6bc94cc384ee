"""How a message came and what became of it since: its envelope, the session in which it came, its journey."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from pydantic import Field

from mailsystem.mail.account import Account
from mailsystem.mail.errors import NoSuchRecipient
from mailsystem.mail.mailbox import MessageSet
from mailsystem.mail.objectid import emailid
from mailsystem.store import Note, SessionRecord
from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, Found
from mailsystem.web.context import Context
from mailsystem.web.parting import Conversation, Own
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Moment, Shape, moment
from mailsystem.web.visitors import ADMIN, READ, Doorkeeper, needs

_NEW: Final = 3.0
_TRIES: Final = 20
_REST: Final = 0.1
"""Seconds."""
_MOST_LOOKED_AT: Final = 2000
"""Sessions among which those of a space are looked for at one time."""
_MOST_AT_ONCE: Final = 200
_TRANSACTS: Final = frozenset({"MAIL", "RCPT", "VRFY", "EXPN", "DATA", "BDAT"})
_ADDRESS: Final = re.compile(r"RCPT TO:\s*<([^<>]*)>", re.IGNORECASE)


class Said(Shape):
    """One line of a session."""

    at_ms: int
    who: Literal["C", "S"] = Field(description="The client or the server.")
    text: str


class RecipientShape(Shape):
    address: str
    parameters: dict[str, str]


class Tls(Shape):
    version: str
    cipher: str | None


class EnvelopeShape(Shape):
    """How a message came, beside what is in it."""

    mail_from: str = Field(description="Empty for the null sender.")
    parameters: dict[str, str | None]
    rcpt_to: list[RecipientShape]
    helo: str | None
    peer: str
    protocol: str
    tls: Tls | None
    login: str | None
    received: Moment
    size: int
    queue_id: str
    session: str | None
    transcript: list[Said] = Field(description="The whole session; empty where it is not kept (any more).")


class Happened(Shape):
    """Something that happened to a message, or the same thing several times."""

    at: Moment
    last: Moment
    times: int
    name: str
    door: str | None
    client: str | None
    login: str | None
    peer: str | None
    detail: dict[str, Any]


class Journey(Shape):
    events: list[Happened]


class RefusalShape(Shape):
    at_ms: int
    command: str
    reply: str


class SessionSummary(Shape):
    id: str
    door: str
    peer: str
    helo: str | None
    tls: str | None
    login: str | None
    began: Moment
    ended: Moment | None
    reason: str
    failed: bool
    messages: list[str]
    refused: list[RefusalShape]


class SessionShape(SessionSummary):
    transcript: list[Said]


class Sessions(Shape):
    sessions: list[SessionSummary]
    before: str | None = Field(description="What leads to earlier ones.")


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["history"])
    asked, journal = Asked(context, keeper), context.store.journal

    async def own_of(request: Request) -> Own | None:
        """What the visitor may see of envelopes and sessions; None where that is all. An envelope tells who else got it, and a
        session what others sent."""
        visitor = await asked.visitor(request)
        if visitor.space:
            return Own(context, visitor.space)
        visitor.must(ADMIN)
        return None

    async def found_session(request: Request, id_: str) -> tuple[SessionRecord, list[Said]]:
        """A session, and what may be seen of it. Raises `Problem`."""
        own = await own_of(request)
        found = await journal.session(id_) if len(id_) == 16 else None
        said = [] if found is None else await said_of(found, own)
        if found is None or (own is not None and not said):
            raise Problem(404, "there is no such session (any more)")
        return found, said

    async def said_of(session: SessionRecord, own: Own | None) -> list[Said]:
        return _said(session) if own is None else await _said_here(session, own, await opened(own))

    async def opened(own: Own) -> float:
        """When the space began: what was before it was in another one of that name. Raises `Problem`."""
        try:
            return (await context.store.spaces.find(own.space)).created
        except NoSuchRecipient:
            raise Problem(404, "there is no such space (any more)") from None

    async def concerns(session: SessionRecord, own: Own, account: Account, since: float) -> bool:
        """Whether anything of a session is a space's; most are not read for that."""
        if _is_over(session, since):
            return False
        if session.began < since:
            # It lasts, or its server was killed: what was said in it may all have been before.
            whole = await journal.session(session.id)
            return whole is not None and bool(await _said_here(whole, own, since))
        if own.is_in(session.login or ""):
            return True
        return bool(await context.store.mailboxes.whereabouts(account.id, session.messages))

    @router.get("/messages/{id}/envelope", **needs(READ, ADMIN, in_space=(READ,)))
    async def envelope(request: Request, id: str, account: AccountName = None) -> EnvelopeShape:  # noqa: A002
        """The envelope, and the session in which the message came."""
        own = await own_of(request)
        one = await asked.message(await asked.account(request, account), id, EVERYWHERE)
        evidence = await journal.evidence(one.content)
        if evidence is None and await _is_new(one):
            # It is told to the journal right after it is on disk, in another process and a second later perhaps.
            for _ in range(_TRIES):
                await asyncio.sleep(_REST)
                if (evidence := await journal.evidence(one.content)) is not None:
                    break
        if evidence is None:
            raise Problem(404, "how the message came is not known: it was put here, or came too long ago")
        session = await journal.session(evidence.session) if evidence.session else None
        seen = None if own is None else await own.recipients(evidence)
        return EnvelopeShape(
            mail_from=evidence.sender,
            parameters=dict(evidence.parameters),
            rcpt_to=[
                RecipientShape(address=each.address, parameters=dict(each.parameters))
                for each in evidence.recipients
                if seen is None or each.address in seen
            ],
            helo=evidence.helo,
            peer=evidence.peer,
            protocol=evidence.protocol,
            tls=Tls(version=evidence.tls, cipher=evidence.cipher) if evidence.tls else None,
            login=evidence.login,
            received=moment(evidence.received_at),
            size=evidence.octets,
            queue_id=evidence.id,
            session=session.id if session else None,
            transcript=[] if session is None else await said_of(session, own),
        )

    @router.get("/messages/{id}/journey", **needs(READ))
    async def journey(request: Request, id: str, account: AccountName = None) -> Journey:  # noqa: A002
        """Who did what with the message, over which protocol, the oldest first."""
        whose = await asked.account(request, account)
        visitor = await asked.visitor(request)
        one = await asked.message(whose, id, EVERYWHERE)
        life = await journal.life(one.content)
        notes = life.notes if life else []
        if visitor.space:
            here = [await Own(context, visitor.space).note(note) for note in notes]
            notes = [note for note in here if note is not None]
        elif ADMIN not in visitor.scopes:
            # What others do with theirs is theirs.
            notes = [note for note in notes if note.data.get("login") == whose.login]
        return Journey(events=[_happened(note) for note in notes])

    @router.get("/sessions", **needs(READ, ADMIN, in_space=(READ,)))
    async def sessions(
        request: Request,
        refused: Annotated[bool, Parameter(description="Only those in which something was refused.")] = False,
        limit: Annotated[int, Parameter(ge=1, le=500)] = 50,
        before: Annotated[str | None, Parameter(pattern=r"^[0-9a-f]{16}$")] = None,
    ) -> Sessions:
        """The latest sessions by SMTP, submission and LMTP, those that brought nothing included."""
        own = await own_of(request)
        only: Literal["refused", "all"] = "refused" if refused else "all"
        found = await journal.sessions(limit=limit, before=before, only=only)
        earlier = found[-1].id if len(found) == limit else None
        if own is None:
            return Sessions(sessions=[SessionSummary(**_session(each)) for each in found], before=earlier)
        whose, since = await asked.account(request, None), await opened(own)
        there = [each for each in found if await concerns(each, own, whose, since)]
        looked = 0
        while len(there) < limit and earlier is not None and looked < _MOST_LOOKED_AT:
            found = await journal.sessions(limit=_MOST_AT_ONCE, before=earlier, only=only)
            earlier = found[-1].id if len(found) == _MOST_AT_ONCE else None
            looked += len(found)
            there += [each for each in found if await concerns(each, own, whose, since)]
        if len(there) > limit:
            there = there[:limit]
            earlier = there[-1].id
        return Sessions(
            sessions=[SessionSummary(**await _session_here(each, own, whose, since)) for each in there], before=earlier
        )

    @router.get("/sessions/{id}", **needs(READ, ADMIN, in_space=(READ,)))
    async def session(request: Request, id: str) -> SessionShape:  # noqa: A002
        """One session with every line."""
        found, said = await found_session(request, id)
        own = await own_of(request)
        if own is None:
            return SessionShape(**_session(found), transcript=said)
        whose = await asked.account(request, None)
        return SessionShape(**await _session_here(found, own, whose, await opened(own)), transcript=said)

    async def _session_here(session: SessionRecord, own: Own, account: Account, since: float) -> dict[str, Any]:
        """What is told of a session to a space, which is there since then: which of its messages are there, and who of it was
        refused."""
        told = _session(session)
        there = await context.store.mailboxes.whereabouts(account.id, session.messages)
        told["messages"] = [emailid(content) for content in session.messages if content in there]
        told["refused"] = [each for each in told["refused"] if not _is_before(session, each.at_ms, since)]
        if not own.is_in(session.login or ""):
            told["refused"] = [
                each for each in told["refused"] if await own.has(_named(each.command), session.login or "")
            ]
        return told

    async def _is_new(one: Found) -> bool:
        place = one.places[0]
        rows = await context.store.mailboxes.messages(one.account.id, place.mailbox.id, MessageSet.of([place.uid]))
        now = context.store.clock.now()
        return any(0 <= now - max(row.savedate, row.internaldate) < _NEW for row in rows)

    return router


async def _said_here(session: SessionRecord, own: Own, since: float) -> list[Said]:
    """What a space, which is there since then, sees of a session: all that was said once somebody had logged in into it, and
    what led to that; else what is about its own recipients."""
    talk: Conversation[Said] = Conversation(own, session.door)
    seen: list[Said] = []
    proving = False
    for each in _said_since(session, since):
        proving = proving or (each.who == "C" and each.text[:4].upper() == "AUTH")
        if session.login and proving and each.who == "S" and each.text.startswith("235"):
            talk.enter(session.login)
        shown = await talk.hear(each, each.who, each.text)
        seen += [one if instead is None else Said(at_ms=one.at_ms, who=one.who, text=instead) for one, instead in shown]
    return seen if talk.is_own else []


def _is_over(session: SessionRecord, since: float) -> bool:
    """Whether it had ended by then."""
    return session.ended is not None and session.ended < since


def _is_before(session: SessionRecord, at_ms: int, since: float) -> bool:
    """Whether a moment of it was before that; it is known by the millisecond."""
    return session.began + (at_ms + 1) / 1000 < since


def _said_since(session: SessionRecord, since: float) -> list[Said]:
    """What was said since then, after how the session began, since a space may begin with that somebody logs in."""
    said = _said(session)
    at = next((place for place, each in enumerate(said) if not _is_before(session, each.at_ms, since)), None)
    if at is None:
        return []
    verbs = (each.text[:4].upper() if each.who == "C" else "" for each in said[:at])
    opening = next((place for place, verb in enumerate(verbs) if verb in _TRANSACTS), at)
    return [*said[:opening], *said[at:]]


def _named(command: str) -> str:
    """The address in a command that was refused; empty where there is none."""
    found = _ADDRESS.search(command)
    return found[1] if found else ""


def _said(session: SessionRecord) -> list[Said]:
    return [Said(at_ms=at, who="C" if who == "C" else "S", text=text) for at, who, text in session.lines]


def _session(session: SessionRecord) -> dict[str, Any]:
    return {
        "id": session.id,
        "door": session.door,
        "peer": session.peer,
        "helo": session.helo,
        "tls": session.tls,
        "login": session.login,
        "began": moment(session.began),
        "ended": None if session.ended is None else moment(session.ended),
        "reason": session.reason,
        "failed": session.failed,
        "messages": [emailid(content) for content in session.messages],
        "refused": [RefusalShape(at_ms=each.at_ms, command=each.command, reply=each.reply) for each in session.refused],
    }


def _happened(note: Note) -> Happened:
    data = dict(note.data)
    told = {name: data.pop(name, None) for name in ("door", "client", "login", "peer")}
    return Happened(at=moment(note.at), last=moment(note.last), times=note.times, name=note.name, detail=data, **told)
