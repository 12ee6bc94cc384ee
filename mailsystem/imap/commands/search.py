"""SEARCH (RFC 3501 6.4.4)."""

from __future__ import annotations

from mailsystem.imap.command import SELECTED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.search import read_search
from mailsystem.imap.searching import Searching
from mailsystem.imap.session import Session
from mailsystem.imap.view import View
from mailsystem.mail.mailbox import STAR, MessageSet


@command("SEARCH", SELECTED, uid=True, numbers=True)
async def search(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.4.4: the messages for which all keys hold, in ascending order."""
    args.sp()
    view = session.view
    key = read_search(args, lambda chosen, of_uids: _resolve(view, chosen, of_uids))
    uids = await Searching(session, key).run()
    numbers = uids if by_uid else [number for uid in uids if (number := view.number(uid))]
    session.send(b"* SEARCH%b\r\n" % b"".join([b" %d" % number for number in numbers]))
    return None


def _resolve(view: View, chosen: MessageSet, of_uids: bool) -> MessageSet:
    """A set of numbers beyond the end is a mistake for FETCH, but a SEARCH among them only finds nothing there."""
    if of_uids:
        return view.pick(chosen, True)
    count = view.exists
    clipped = [
        (min(low, count), min(high, count)) for low, high in chosen.ranges if low <= count or STAR in (low, high)
    ]
    return view.pick(MessageSet.of_ranges(clipped), False) if count else MessageSet()
