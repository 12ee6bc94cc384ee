"""LIST and LSUB (RFC 3501 6.3.8 and 6.3.9), with the attributes of RFC 3348 and RFC 6154."""

from __future__ import annotations

from collections.abc import Iterable

from mailsystem.imap import names, reply
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.mail.mailbox import INBOX, Mailbox


@command("LIST", AUTHENTICATED, capability=None)
async def list_(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.8: the names that match a pattern."""
    pattern = _pattern(args)
    if pattern is None:
        # It is only the delimiter that is asked for.
        session.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return None
    mailboxes = {mailbox.name: mailbox for mailbox in await session.store.mailboxes.list(session.account.id)}
    above = _above(mailboxes)
    matches = names.matcher(pattern)
    for name in _ordered({*mailboxes, *above}):
        if matches(name):
            attributes = _attributes(mailboxes.get(name), name in above)
            session.send(reply.listed(b"LIST", attributes, session.dialect.mailbox(name)))
            if session.buffered > FLUSH_AT:
                await session.flush()
    return None


@command("LSUB", AUTHENTICATED)
async def lsub(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.9: the subscribed names that match a pattern."""
    pattern = _pattern(args)
    if pattern is None:
        session.send(b'* LSUB (\\Noselect) "/" ""\r\n')
        return None
    subscribed = set(await session.store.mailboxes.subscriptions(session.account.id))
    existing = {mailbox.name for mailbox in await session.store.mailboxes.list(session.account.id)}
    matches = names.matcher(pattern)
    # RFC 3501 6.3.9: a level that is not subscribed but stands above one that is, is told where `%` stopped at it.
    implied = _above(subscribed) - subscribed if pattern.endswith("%") else set()
    for name in _ordered(subscribed | implied):
        if matches(name):
            plain = name in existing and name not in implied
            attributes = () if plain else ("\\Noselect",)
            session.send(reply.listed(b"LSUB", attributes, session.dialect.mailbox(name)))
            if session.buffered > FLUSH_AT:
                await session.flush()
    return None


def _pattern(args: Arguments) -> str | None:
    """reference and pattern in one; None where there is no pattern."""
    args.sp()
    reference = args.reference()
    args.sp()
    pattern = args.list_mailbox()
    args.end()
    return reference + pattern if pattern else None


def _above(existing: Iterable[str]) -> set[str]:
    """Every name that has another below it."""
    return {parent for name in existing for parent in names.parents(name)}


def _ordered(found: Iterable[str]) -> list[str]:
    return sorted(found, key=lambda name: (name != INBOX, name))


def _attributes(mailbox: Mailbox | None, has_children: bool) -> list[str]:
    # RFC 3501 6.3.8: a name that is only there because of those below it cannot be selected.
    attributes = [] if mailbox is not None else ["\\Noselect"]
    attributes.append("\\HasChildren" if has_children else "\\HasNoChildren")
    if mailbox is not None and mailbox.special_use is not None:
        attributes.append(mailbox.special_use)
    return attributes
