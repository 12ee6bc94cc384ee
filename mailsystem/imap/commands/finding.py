"""SEARCH, SORT, THREAD and ESEARCH. What does their work is imported by the first of them: a server starts without it."""

from __future__ import annotations

from mailsystem.imap.command import AUTHENTICATED, SELECTED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session


@command("SEARCH", SELECTED, uid=True, numbers=True)
async def search(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.4.4: the messages for which all keys hold; RETURN says what is told (RFC 4731, 9394) or saved (RFC 5182)."""
    from mailsystem.imap.commands import search

    return await search.search(session, args, by_uid)


@command("SORT", SELECTED, uid=True, numbers=True, capability="SORT")
async def sort(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 5256 3: the messages for which all keys hold, in the order that is asked for."""
    from mailsystem.imap.commands import sort

    return await sort.sort(session, args, by_uid)


@command("THREAD", SELECTED, uid=True, numbers=True, capability="THREAD=REFERENCES")
async def thread(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 5256 3: the messages for which all keys hold, as conversations: by subject, or by what refers to what."""
    from mailsystem.imap.commands import thread

    return await thread.thread(session, args, by_uid)


@command("ESEARCH", AUTHENTICATED, capability="MULTISEARCH")
async def esearch(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 7377 2: the messages for which all keys hold, in each of the mailboxes that are named, by UID."""
    from mailsystem.imap.commands import multisearch

    return await multisearch.esearch(session, args, by_uid)


def correlator(session: Session) -> bytes:
    """ "TAG" SP tag-string"""
    return b'TAG "%b"' % session.tag
