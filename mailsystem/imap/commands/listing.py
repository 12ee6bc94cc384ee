"""LIST and LSUB (RFC 9051 6.3.9, RFC 3501 6.3.9), with LIST-EXTENDED, LIST-STATUS and SPECIAL-USE."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from mailsystem.imap import names, reply
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.commands import acl, metadata, status
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.mail.errors import Rejected, SyntaxFault
from mailsystem.mail.mailbox import INBOX, Mailbox
from mailsystem.mail.rights import EVERY, Rights, is_of_others

_MOST_PATTERNS: Final = 100
_LONGEST_PATTERNS: Final = 10_000
"""Characters of all of them together."""
_MANY: Final = 500
"""Names of which to choose some holds others up."""
_SELECTIONS: Final = frozenset({"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"})
_CHILDINFO: Final = b' ("CHILDINFO" ("SUBSCRIBED"))'

T = TypeVar("T")
Teller: TypeAlias = Callable[[Mailbox], None]
"""Says what is told behind the LIST line of a mailbox, because a return option asks for it."""


@dataclass(slots=True)
class _Query:
    """What a LIST asks for."""

    patterns: list[str] = field(default_factory=list)
    extended: bool = False
    """It is said in the words of RFC 5258."""
    selection: frozenset[str] = frozenset()
    returns: set[str] = field(default_factory=set)
    status_atts: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()

    def matcher(self) -> Callable[[str], bool]:
        """What tells whether a name matches any of the patterns."""
        return names.matcher(*filter(None, self.patterns))


@command("LIST", AUTHENTICATED, capability="LIST-EXTENDED LIST-STATUS LIST-METADATA LIST-MYRIGHTS")
async def list_(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.3.9: the names that match patterns, and what is asked for of each of them (RFC 5258, 5819, 6154, 8440)."""
    query = _query(session, args)
    if not query.extended and query.patterns == [""]:
        # It is only the delimiter that is asked for.
        session.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return None
    visible, above = await _visible(session, query)
    mailboxes = {mailbox.shown: mailbox for mailbox, _ in visible}
    subscribed: Collection[str] = ()
    if "SUBSCRIBED" in query.selection or "SUBSCRIBED" in query.returns:
        subscribed = set(await session.store.mailboxes.subscriptions(session.account.id))
    many = len(mailboxes) + len(subscribed)
    chosen, parents = await _aside(many, lambda: _chosen(query, mailboxes, above, subscribed))
    tellers = await _tellers(session, query, [mailboxes[name] for name in _ordered(chosen) if name in mailboxes])
    if "MYRIGHTS" in query.returns:
        rights = {mailbox.shown: held for mailbox, held in visible}
        tellers.append(lambda mailbox: session.send(acl.my_rights(session, mailbox.shown, rights[mailbox.shown])))
    plain = not query.extended and not session.dialect.rev2
    for name in _ordered({*chosen, *parents}):
        mailbox = mailboxes.get(name)
        attributes = _attributes(mailbox, name in above, missing="\\Noselect" if plain else "\\NonExistent")
        if name in subscribed:
            attributes.append("\\Subscribed")
        childinfo = _CHILDINFO if name in parents else b""
        session.send(reply.listed(b"LIST", attributes, session.dialect.mailbox(name), childinfo))
        if mailbox is not None and name in chosen:
            for tell in tellers:
                tell(mailbox)
        if session.buffered > FLUSH_AT:
            await session.flush()
    return None


async def _visible(session: Session, query: _Query) -> tuple[Sequence[tuple[Mailbox, Rights]], Collection[str]]:
    """What can be seen of all that may match, with the rights on it, and every such name that has another below it."""
    called = None if query.selection else names.spelled_out(*filter(None, query.patterns))
    if called is not None and not any(map(is_of_others, called)):
        # No other name is of any matter.
        own, above = await session.store.mailboxes.named(session.account.id, called)
        return [(mailbox, EVERY) for mailbox in own], above
    visible = await session.store.mailboxes.visible(session.account.id)
    return visible, await _aside(len(visible), lambda: _above(mailbox.shown for mailbox, _ in visible))


def _chosen(
    query: _Query, mailboxes: dict[str, Mailbox], above: Collection[str], subscribed: Collection[str]
) -> tuple[Collection[str], Collection[str]]:
    """The names that match, and those above others that would (CHILDINFO, RFC 5258 3.5); a name may be both."""
    matches = query.matcher()
    candidates: Collection[str] = mailboxes
    if "SUBSCRIBED" in query.selection:
        candidates = subscribed
    if "SPECIAL-USE" in query.selection:
        candidates = {name for name in candidates if (box := mailboxes.get(name)) is not None and box.special_use}
    elif "SUBSCRIBED" not in query.selection:
        candidates = {*mailboxes, *above}
    chosen = {name for name in candidates if matches(name)}
    if "RECURSIVEMATCH" not in query.selection:
        return chosen, ()
    # One that is not chosen itself is told only where the client would not hear of those below it anyhow.
    parents = (_above(candidates) & chosen) | {name for name in _above(set(candidates) - chosen) if matches(name)}
    return chosen, parents


async def _tellers(session: Session, query: _Query, mailboxes: list[Mailbox]) -> list[Teller]:
    """One for each return option that tells more of a mailbox; each looks once, whatever their number."""
    tellers: list[Teller] = []
    if query.status_atts:
        statuses = await session.store.mailboxes.statuses(mailboxes, actor=session.account.id)
        counted = {each.mailbox.shown: each for each in statuses}

        def tell_status(mailbox: Mailbox) -> None:
            if (found := counted.get(mailbox.shown)) is not None:
                session.send(status.line(session, found, query.status_atts))

        tellers.append(tell_status)
    if query.entries:
        noted = await metadata.noted(session, mailboxes, query.entries)

        def tell_noted(mailbox: Mailbox) -> None:
            if (found := noted.get((mailbox.account, mailbox.id))) is not None:
                metadata.say(session, mailbox.shown, metadata.complete(mailbox, query.entries, found))

        tellers.append(tell_noted)
    return tellers


def _query(session: Session, args: Arguments) -> _Query:
    """list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts] (RFC 5258 6)"""
    query = _Query()
    args.sp()
    if args.peek() == b"(":
        query.extended = True
        query.selection = _selection(args)
        args.sp()
    reference = args.reference()
    args.sp()
    if args.accept(b"("):
        query.extended = True
        while True:
            query.patterns += _pattern(args, reference)
            if len(query.patterns) > _MOST_PATTERNS or sum(map(len, query.patterns)) > _LONGEST_PATTERNS:
                raise SyntaxFault("too many patterns")
            if not args.accept(b" "):
                break
        args.expect(b")")
    else:
        query.patterns += _pattern(args, reference)
    if args.accept(b" "):
        query.extended = True
        args.expect(b"RETURN")
        args.sp()
        _returns(session, args, query)
    args.end()
    return query


def _pattern(args: Arguments, reference: str) -> list[str]:
    """list-mailbox, behind the reference; the empty one stays empty, and there is none where no name can be like it."""
    try:
        pattern = args.list_mailbox()
    except Rejected:
        return []  # RFC 5258 3: it is passed over in silence
    return [reference + pattern if pattern else ""]


def _selection(args: Arguments) -> frozenset[str]:
    """list-select-opts; RECURSIVEMATCH only beside what it can recur on. A word said twice counts once (RFC 5258 3)."""
    words: set[str] = set()
    args.enter()
    while args.peek() != b")":
        if words:
            args.sp()
        word = args.keyword()
        if word not in _SELECTIONS:
            raise SyntaxFault("unknown selection option")
        words.add(word)
    args.leave()
    if "RECURSIVEMATCH" in words and "SUBSCRIBED" not in words:
        raise SyntaxFault("RECURSIVEMATCH needs SUBSCRIBED")
    return frozenset(words)


def _returns(session: Session, args: Arguments, query: _Query) -> None:
    """list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"; one said twice counts once (RFC 5258 3)"""
    args.enter()
    while args.peek() != b")":
        if query.returns:
            args.sp()
        word = args.keyword()
        match word:
            case "SUBSCRIBED" | "CHILDREN" | "SPECIAL-USE" | "MYRIGHTS":
                pass  # children and uses are always told
            case "STATUS":
                args.sp()
                query.status_atts = status.status_atts(session, args)
            case "METADATA":
                args.sp()
                query.entries = metadata.entries(args)
            case _:
                raise SyntaxFault("unknown return option")
        query.returns.add(word)
    args.leave()


@command("LSUB", AUTHENTICATED)
async def lsub(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.9: the subscribed names that match a pattern."""
    args.sp()
    reference = args.reference()
    args.sp()
    patterns = _pattern(args, reference)
    args.end()
    if patterns == [""]:
        session.send(b'* LSUB (\\Noselect) "/" ""\r\n')
        return None
    subscribed = set(await session.store.mailboxes.subscriptions(session.account.id))
    existing = {mailbox.shown for mailbox, _ in await session.store.mailboxes.visible(session.account.id)}

    def chosen() -> list[str]:
        matches = names.matcher(*patterns)
        # RFC 3501 6.3.9: a level that is not subscribed but stands above one that is, is told where `%` stopped at it.
        implied = _above(subscribed) if any(pattern.endswith("%") for pattern in patterns) else set()
        return [name for name in _ordered(subscribed | implied) if matches(name)]

    for name in await _aside(len(subscribed), chosen):
        attributes = () if name in existing and name in subscribed else ("\\Noselect",)
        session.send(reply.listed(b"LSUB", attributes, session.dialect.mailbox(name)))
        if session.buffered > FLUSH_AT:
            await session.flush()
    return None


async def _aside(many: int, work: Callable[[], T]) -> T:
    """The same as `work()`, in a thread if it is about many names."""
    return await asyncio.to_thread(work) if many > _MANY else work()


def _above(existing: Iterable[str]) -> set[str]:
    """Every name that has another below it."""
    return {parent for name in existing for parent in names.parents(name)}


def _ordered(found: Iterable[str]) -> list[str]:
    return sorted(found, key=lambda name: (name != INBOX, name))


def _attributes(mailbox: Mailbox | None, has_children: bool, *, missing: str) -> list[str]:
    if mailbox is None:
        # RFC 3501 6.3.8: a name that is only there because of those below it cannot be selected.
        return [missing, "\\HasChildren"] if has_children else [missing]
    attributes = ["\\HasChildren" if has_children else "\\HasNoChildren"]
    if mailbox.special_use is not None:
        attributes += mailbox.special_use.split()
    return attributes
