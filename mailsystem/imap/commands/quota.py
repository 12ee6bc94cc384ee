"""QUOTA (RFC 9208): what an account may keep, and what it keeps.

All its mailboxes have one quota root, the account itself; where nothing is limited there is none, for the answer of RFC 9208
has to name a limit.
"""

from __future__ import annotations

from typing import TypeAlias

from mailsystem.imap import reply
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail.errors import NoSuchMailbox, NotPermitted

_Resource: TypeAlias = tuple[bytes, int, int]
"""Its name, the usage and the limit."""


@command("GETQUOTA", AUTHENTICATED, capability="QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE")
async def getquota(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9208 4.1.1: usage and limits of a quota root; there is one, whose name GETQUOTAROOT tells."""
    args.sp()
    root = args.astring()
    args.end()
    resources = await _resources(session)
    if root != _root(session) or not resources:
        raise NoSuchMailbox("no such quota root")
    _tell(session, resources)
    return None


@command("GETQUOTAROOT", AUTHENTICATED)
async def getquotaroot(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9208 4.1.2: the quota root of a mailbox, be there such a mailbox or not, and what GETQUOTA would say of it."""
    args.sp()
    name = args.mailbox()
    args.end()
    try:
        owner = (await session.store.mailboxes.find(session.account.id, name)).account
    except NoSuchMailbox:
        owner = session.account.id  # whose it would be
    # How much others keep is nobody's business: theirs have no quota root here.
    resources = await _resources(session) if owner == session.account.id else []
    if not resources:
        session.send(b"* QUOTAROOT %b\r\n" % session.dialect.mailbox(name))
        return None
    session.send(b"* QUOTAROOT %b %b\r\n" % (session.dialect.mailbox(name), reply.string(_root(session))))
    _tell(session, resources)
    return None


@command("SETQUOTA", AUTHENTICATED)
async def setquota(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9208 4.1.3: not offered (QUOTASET); who runs the server sets quotas."""
    args.sp()
    args.astring()
    args.sp()
    args.enter()
    while args.peek() != b")":
        args.atom()
        args.sp()
        args.number64()
        if not args.accept(b" "):
            break
    args.leave()
    args.end()
    raise NotPermitted("quotas are set by those who run this server")


def _tell(session: Session, resources: list[_Resource]) -> None:
    """quota-list = "(" quota-resource *(SP quota-resource) ")" """
    triplets = b" ".join(b"%b %d %d" % each for each in resources)
    session.send(b"* QUOTA %b (%b)\r\n" % (reply.string(_root(session)), triplets))


async def _resources(session: Session) -> list[_Resource]:
    """Those that are limited; no others are listed (RFC 9208 4.2.1)."""
    kept = await session.store.accounts.summary(session.account.login)
    resources: list[_Resource] = []
    if kept.quota.octets is not None:
        resources.append((b"STORAGE", _units(kept.size), _units(kept.quota.octets)))
    if kept.quota.messages is not None:
        resources.append((b"MESSAGE", kept.messages, kept.quota.messages))
    return resources


def _units(octets: int) -> int:
    """Units of 1024 octets, rounded up."""
    return -(-octets // 1024)


def _root(session: Session) -> bytes:
    return session.account.login.encode()
