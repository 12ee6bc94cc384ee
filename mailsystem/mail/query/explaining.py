"""A query in a sentence."""

from __future__ import annotations

from typing import Final

from mailsystem.mail.query.values import (
    NOBODY,
    Addressed,
    And,
    Attached,
    AttachedType,
    Before,
    Body,
    Enveloped,
    Field,
    Has,
    Id,
    In,
    Is,
    Larger,
    Leaf,
    Not,
    Or,
    Query,
    Since,
    Smaller,
    Tag,
    Text,
    negated,
    when,
)

_PEOPLE: Final = {
    "from": "are from",
    "to": "are to",
    "cc": "are copied to",
    "bcc": "are blind-copied to",
    "reply-to": "want replies to go to",
    "addressed": "are from or to",
}
_STATES: Final = {"draft": "are drafts", "deleted": "are marked as deleted", "tagged": "have a tag"}
_FIELDS: Final = {"subject": "subject", "message-id": "Message-ID"}
_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def explain(query: Query) -> str:
    """What is looked for, in one sentence of plain English."""
    if query == And():
        return "All messages."
    if query == Not(And()):
        return "No messages."
    return f"Messages that {_clause(query, holds=True)}."


def _clause(query: Query, *, holds: bool, within: str = "") -> str:
    match query:
        case And(()):
            return "are any messages" if holds else "are none"
        case Not(part):
            return _clause(part, holds=not holds, within=within)
        case And(parts) | Or(parts):
            # What does not hold of all together does not hold of one of them.
            word = "and" if isinstance(query, And) is holds else "or"
            told = [_clause(part, holds=holds, within=word) for part in parts]
            row = f" {word} ".join([", ".join(told[:-1]), told[-1]])
            return f"({row})" if within not in ("", word) else row
        case Since() | Before() if not holds:
            return _clause(negated(query), holds=True)
        case _:
            return _leaf(query) if holds else _denied(_leaf(query))


def _denied(phrase: str) -> str:
    verb, _, rest = phrase.partition(" ")
    if verb == "are":
        return f"are not {rest}"
    return f"do not {phrase}"


def _leaf(leaf: Leaf) -> str:
    match leaf:
        case Text(text):
            return f"say “{text}” anywhere"
        case Body(text):
            return f"say “{text}” in their text"
        case Addressed():
            return f"{_PEOPLE[leaf.word]} {_who(leaf)}"
        case Enveloped(word, who):
            way = "sender" if word == "envelope-from" else "recipient"
            if who == NOBODY:
                return f"have no {way} in their envelope"
            return f"have {_who(leaf)} as a {way} in their envelope"
        case Field(name, text):
            named = _FIELDS.get(name, f"header field {name.title()}")
            return f"have “{text}” in the {named}" if text else f"have a {named}"
        case Tag(name):
            return f"have the tag “{name}”"
        case Is(state):
            return _STATES.get(state, f"are {state}")
        case Has(what):
            return "have an attachment" if what == "attachment" else "have something inline"
        case Attached(name):
            is_pattern = "*" in name or "?" in name
            return f"have a file named like “{name}”" if is_pattern else f"have a file with “{name}” in its name"
        case AttachedType(kind):
            return f"have a file of type {kind}"
        case Larger(octets):
            return f"are larger than {_size(octets)}"
        case Smaller(octets):
            return f"are smaller than {_size(octets)}"
        case Since(moment):
            return f"came at {_moment(moment)} or later"
        case Before(moment):
            return f"came before {_moment(moment)}"
        case In(mailbox):
            return f"are in the mailbox “{mailbox}”"
        case Id(id_):
            return f"have the id {id_}"


def _who(leaf: Addressed | Enveloped) -> str:
    if leaf.address is not None:
        return str(leaf.address)
    if leaf.domain is not None:
        return f"somebody at {leaf.domain}"
    return f"somebody with “{leaf.who}” in name or address"


def _size(octets: int) -> str:
    for unit, name in _UNITS:
        if octets and octets % (unit // 4) == 0 and octets >= unit:
            return f"{octets / unit:g} {name}"
    return f"{octets} octets"


def _moment(moment: float) -> str:
    at = when(moment)
    return at.isoformat(" ").removesuffix("+00:00").removesuffix(" 00:00:00") + " UTC"
