"""THREAD (RFC 5256): conversations, as the server sees them."""

from __future__ import annotations

import asyncio

from mailsystem.imap import limiting
from mailsystem.imap.command import Ok
from mailsystem.imap.commands.search import candidates, resolver
from mailsystem.imap.commands.sort import read
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.progress import Progress
from mailsystem.imap.search import read_criteria
from mailsystem.imap.session import Session
from mailsystem.imap.sought import sought
from mailsystem.imap.threading import ALGORITHMS, Letter, letter, response
from mailsystem.mail.errors import SyntaxFault
from mailsystem.store import Fetched, Want


async def thread(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """What THREAD does."""
    args.sp()
    name = args.keyword()
    algorithm = ALGORITHMS.get(name)
    if algorithm is None:
        raise SyntaxFault("unknown threading algorithm")
    args.sp()
    key = read_criteria(args, resolver(session), now=session.store.clock.now())
    limiting.whole(session, candidates(session, key))
    view, links = session.view, name == "REFERENCES"

    def make(fetched: Fetched) -> Letter:
        one = letter(fetched.message, fetched.head, links=links)
        return one if by_uid else one._replace(number=view.number(one.number))

    async with Progress(session, 2 * view.exists) as progress:
        uids = await sought(session, key, progress=progress)
        letters = await read(session, uids, Want.HEAD, make, progress)
        said = await asyncio.to_thread(lambda: response(algorithm(letters)))
    session.send(said)
    return None
