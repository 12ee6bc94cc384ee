"""Where ESEARCH searches (RFC 7377 2.2, with the filters of RFC 5465 6). Sans-IO."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from mailsystem.imap.grammar import Arguments
from mailsystem.imap.names import parents
from mailsystem.mail.errors import Rejected, SyntaxFault, TooMany
from mailsystem.mail.mailbox import DELIMITER, INBOX

MOST_SOURCES: Final = 50
_BY_NAME: Final = ("MAILBOXES", "SUBTREE", "SUBTREE-ONE")
_WITHOUT_NAME: Final = ("SELECTED", "INBOXES", "PERSONAL", "SUBSCRIBED")


class Source(NamedTuple):
    """Mailboxes by one filter."""

    kind: str
    names: tuple[str, ...] = ()

    @property
    def is_selected(self) -> bool:
        return self.kind == "SELECTED"


def read_sources(args: Arguments) -> list[Source] | None:
    """["IN" SP "(" source-mbox [SP "(" scope-options ")"] ")" SP] ; None where there is none"""
    if not args.accept(b"IN ("):
        return None
    sources: list[Source] = []
    while True:
        sources.append(_source(args))
        if len(sources) > MOST_SOURCES:
            raise TooMany("too many filters")
        if args.accept(b")"):
            break
        args.sp()
        if args.peek() == b"(":
            raise SyntaxFault("unknown scope option")  # none has been defined so far
    args.sp()
    return sources


def _source(args: Arguments) -> Source:
    """filter-mailboxes = "selected" / … / (("subtree" / "subtree-one" / "mailboxes") SP one-or-more-mailbox)"""
    kind = args.keyword()
    if kind in _WITHOUT_NAME:
        return Source(kind)
    if kind not in _BY_NAME:
        raise SyntaxFault("unknown filter for mailboxes")
    args.sp()
    if args.peek() != b"(":
        return Source(kind, _name(args))
    args.enter()
    names = [*_name(args)]
    while args.accept(b" "):
        names += _name(args)
    args.leave()
    return Source(kind, tuple(names))


def _name(args: Arguments) -> tuple[str, ...]:
    """mailbox ; one that cannot exist only finds nothing, and the empty one is above all"""
    try:
        return (args.reference().removesuffix(DELIMITER),)
    except Rejected:
        return ()


def chosen(
    sources: Iterable[Source], own: Sequence[str], others: Collection[str], subscribed: Collection[str]
) -> list[str]:
    """The names that are meant, each once, in the order in which they are spoken of; `selected` is none of them.

    `own` and `others` are those that can be seen. What is named outright may be none of these, or nothing at all.
    """
    seen = (*own, *others)
    meant: dict[str, None] = {}
    for source in sources:
        match source.kind:
            case "PERSONAL":
                found: Iterable[str] = own
            case "INBOXES":
                found = (INBOX,)
            case "SUBSCRIBED":
                found = (name for name in seen if name in subscribed)
            case "MAILBOXES":
                found = source.names
            case "SUBTREE" | "SUBTREE-ONE":
                found = _below(source.names, seen, deep=source.kind == "SUBTREE")
            case _:
                found = ()
        meant.update(dict.fromkeys(found))
    return list(meant)


def _below(tops: Sequence[str], seen: Sequence[str], *, deep: bool) -> Iterable[str]:
    # Each name is asked for those above it, for there may be many of both.
    found: dict[str, list[str]] = {top: [] for top in tops}
    for name in seen:
        above = ["", *parents(name)]
        for top in dict.fromkeys((*(above if deep else above[-1:]), name)):
            if top in found:
                found[top].append(name)
    for names in found.values():
        yield from names
