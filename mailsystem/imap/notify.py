"""What a client wants to be told of (RFC 5465): values, and the grammar that reads them. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final, NamedTuple

from mailsystem.imap.fetch import Items, Octets, read_items
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.names import parents
from mailsystem.mail.errors import Rejected, SyntaxFault, TooMany
from mailsystem.mail.mailbox import AccountId, MailboxId, ModSeq

MOST_GROUPS: Final = 50
MOST_NAMES: Final = 1000


class BadEvent(Rejected):
    """An event that nobody here knows of."""

    text = "unknown event"


class TooMuch(TooMany):
    """More is to be watched than we are willing to."""

    text = "too much to watch"


class Event(Enum):
    """RFC 5465 5."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


MESSAGE_EVENTS: Final = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})
METADATA_EVENTS: Final = frozenset({Event.MAILBOX_METADATA_CHANGE, Event.SERVER_METADATA_CHANGE})
BADEVENT: Final = b"BADEVENT (" + " ".join(event.value for event in Event).encode("ascii") + b")"
_BY_NAME: Final = {event.value.upper(): event for event in Event}
_NOTHING: Final[frozenset[Event]] = frozenset()


class Which(Enum):
    """RFC 5465 6, but for the selected mailbox. Mail may be delivered into any mailbox, so `inboxes` are all personal ones."""

    PERSONAL = auto()
    SUBSCRIBED = auto()
    SUBTREE = auto()
    MAILBOXES = auto()


_FILTERS: Final = {
    "PERSONAL": Which.PERSONAL,
    "INBOXES": Which.PERSONAL,
    "SUBSCRIBED": Which.SUBSCRIBED,
    "SUBTREE": Which.SUBTREE,
    "MAILBOXES": Which.MAILBOXES,
}


@dataclass(frozen=True, slots=True)
class Group:
    """Some mailboxes, and what of them the client wants to hear."""

    which: Which
    names: frozenset[str]
    events: frozenset[Event]

    def covers(self, name: str, *, own: bool, subscribed: bool) -> bool:
        """Whether a mailbox of that name is among them."""
        match self.which:
            case Which.PERSONAL:
                return own
            case Which.SUBSCRIBED:
                return subscribed
            case Which.MAILBOXES:
                return name in self.names
            case Which.SUBTREE:
                return name in self.names or any(top in self.names for top in parents(name))


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that a client wants to hear; nothing, as it stands."""

    selected: frozenset[Event] = _NOTHING
    """Of the mailbox that it is in."""
    delayed: bool = False
    """But what is gone from there only while a command runs that lets it be told."""
    items: Items | None = None
    """What is to be told of each new message there."""
    groups: tuple[Group, ...] = ()

    def of(self, name: str, *, own: bool, subscribed: bool) -> frozenset[Event]:
        """What it wants to hear of one mailbox that it is not in."""
        covering = [group.events for group in self.groups if group.covers(name, own=own, subscribed=subscribed)]
        return _NOTHING.union(*covering)

    def any_of(self, events: frozenset[Event]) -> bool:
        return any(group.events & events for group in self.groups)


class Counts(NamedTuple):
    """What a client knows of the messages in a mailbox that it watches."""

    uidvalidity: int
    uidnext: int
    messages: int
    unseen: int
    modseq: ModSeq


class Seen(NamedTuple):
    """A mailbox as the client last heard of it."""

    name: str
    use: str | None


Place = tuple[AccountId, MailboxId]


@dataclass(slots=True)
class Watch:
    """What a client wants to hear, and what it has heard: the difference to what is now is the news."""

    wanted: Wanted
    heard: int = 0
    """What the bell had rung when it was last looked."""
    owners: frozenset[AccountId] = frozenset()
    """Whose mailboxes are looked at."""
    boxes: dict[Place, Seen] = field(default_factory=dict)
    counts: dict[Place, Counts] = field(default_factory=dict)
    subscribed: frozenset[str] = frozenset()
    noted: dict[AccountId, ModSeq] = field(default_factory=dict)
    """Up to where changes of annotations were told."""


def read_wanted(args: Arguments) -> Wanted:
    """event-groups = event-group *(SP event-group) (RFC 5465 8)"""
    selected: Wanted | None = None
    groups: list[Group] = []
    while True:
        args.enter()
        word = args.keyword()
        if word in ("SELECTED", "SELECTED-DELAYED"):
            if selected is not None:
                raise SyntaxFault("only one of SELECTED and SELECTED-DELAYED")
            args.sp()
            events, items = _events(args)
            if not events <= MESSAGE_EVENTS:
                raise SyntaxFault("only message events in the selected mailbox")
            selected = Wanted(events, word == "SELECTED-DELAYED", items)
        elif word in _FILTERS:
            names: frozenset[str] = frozenset()
            if _FILTERS[word] in (Which.SUBTREE, Which.MAILBOXES):
                args.sp()
                names = _names(args)
            args.sp()
            events, _ = _events(args)
            groups.append(Group(_FILTERS[word], names, events))
        else:
            raise SyntaxFault("unknown kind of mailboxes")
        args.leave()
        if len(groups) > MOST_GROUPS:
            raise TooMuch
        if not args.accept(b" "):
            return replace(selected or Wanted(), groups=tuple(group for group in groups if group.events))


def _names(args: Arguments) -> frozenset[str]:
    """one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")" """
    if not args.accept(b"("):
        return frozenset(_name(args))
    names = set(_name(args))
    while args.accept(b" "):
        names.update(_name(args))
        if len(names) > MOST_NAMES:
            raise TooMuch
    args.expect(b")")
    return frozenset(names)


def _name(args: Arguments) -> tuple[str, ...]:
    """mailbox ; one that can never exist is passed over like one that does not (RFC 5465 3.1)"""
    try:
        return (args.mailbox(),)
    except Rejected:
        return ()


def _events(args: Arguments) -> tuple[frozenset[Event], Items | None]:
    """events = "(" event *(SP event) ")" / "NONE"; what belongs together has to come together (RFC 5465 5)"""
    if args.accept(b"NONE"):
        return _NOTHING, None
    events: set[Event] = set()
    items: Items | None = None
    unknown = False
    args.enter()
    while True:
        word = args.keyword()
        event = _BY_NAME.get(word)
        if event is None:
            unknown = True
        else:
            events.add(event)
        if not args.accept(b" "):
            break
        if args.peek() == b"(" and event is Event.MESSAGE_NEW:
            items = _never_seen(read_items(args))
            if not args.accept(b" "):
                break
    args.leave()
    if unknown:
        raise BadEvent
    if len(events & {Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE}) == 1 or events & MESSAGE_EVENTS == {Event.FLAG_CHANGE}:
        raise SyntaxFault("MessageNew and MessageExpunge belong together")
    return frozenset(events), items


def _never_seen(items: Items) -> Items:
    """What is told unasked was not seen by anybody."""
    octets = tuple(replace(piece, peek=True) if isinstance(piece, Octets) else piece for piece in items.octets)
    return replace(items, octets=octets)
