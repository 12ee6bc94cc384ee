"""A query as a search key: the same conditions, in the words in which a mailbox is searched."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

from mailsystem.finding import key
from mailsystem.finding.enveloped import Enveloped
from mailsystem.finding.key import Key
from mailsystem.mail import query as asked
from mailsystem.mail.haystack import Words, fold
from mailsystem.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailsystem.mail.query.values import FIELDS, NOBODY

EVERYTHING: Final = key.All()
NOTHING: Final = key.Not(EVERYTHING)

_FLAGS: Final = {"read": SEEN, "flagged": FLAGGED, "answered": ANSWERED, "draft": DRAFT, "deleted": DELETED}


def key_of(query: asked.Query, mailbox: str) -> Key:
    """What the query asks of the messages of the mailbox with this name; `EVERYTHING` and `NOTHING` where that is plain."""
    match query:
        case asked.And(parts):
            return _every(key_of(part, mailbox) for part in parts)
        case asked.Or(parts):
            return _any(key_of(part, mailbox) for part in parts)
        case asked.Not(part):
            return _not(key_of(part, mailbox))
        case asked.In(name):
            is_here = asked.globbed(fold(name), fold(mailbox))
            return EVERYTHING if is_here else NOTHING
        case _:
            return _leaf(query)


def _leaf(leaf: asked.Leaf) -> Key:
    match leaf:
        case asked.Text(text):
            return _text(text, headers=True)
        case asked.Body(text):
            return _text(text, headers=False)
        case asked.Addressed():
            return _any(_people(leaf, name.upper().encode()) for name in FIELDS[leaf.word])
        case asked.Enveloped():
            return _envelope(leaf)
        case asked.Field(name, text):
            return key.Field(name.upper().encode("utf-8", "replace"), fold(text))
        case asked.Tag(name):
            return key.Keyword(name.lower())
        case asked.Is(state):
            return key.Tagged() if state == "tagged" else key.Flagged(_FLAGS[state])
        case asked.Has(what):
            return key.Attached(inline=what == "inline")
        case asked.Attached(name):
            return key.Attached(name=fold(name))
        case asked.AttachedType(type_):
            return key.Attached(type=type_)
        case asked.Larger(octets):
            return key.Size(octets, inf)
        case asked.Smaller(octets):
            return key.Size(-inf, octets)
        case asked.Since(moment):
            return key.Arrived(moment, inf)
        case asked.Before(moment):
            return key.Arrived(-inf, moment)
        case asked.Id(id_):
            return key.EmailId(id_.strip().upper())
        case asked.In():
            raise AssertionError(leaf)


def _text(text: str, *, headers: bool) -> Key:
    needle = fold(text)
    # The empty string is in every text, even where there is none.
    return key.Text(Words(needle, headers)) if needle else EVERYTHING


def _envelope(leaf: asked.Enveloped) -> Key:
    is_sender = leaf.word == "envelope-from"
    if leaf.who == NOBODY:
        return Enveloped(is_sender, None, None, "", is_null=True)
    if (address := leaf.address) is not None:
        return Enveloped(is_sender, fold(address.local), address.domain, "")
    if (domain := leaf.domain) is not None:
        return Enveloped(is_sender, None, domain, "")
    return Enveloped(is_sender, None, None, fold(leaf.who))


def _people(leaf: asked.Addressed, name: bytes) -> Key:
    address = leaf.address
    if address is not None:
        local, at = fold(address.local), str(address).rpartition("@")[0]
        return _any(
            key.Correspondent(name, local, each, fold(f"{at}@{shown}")) for each, shown in _domains(address.domain)
        )
    domain = leaf.domain
    if domain is not None:
        return _any(key.Correspondent(name, None, each, fold(f"@{shown}")) for each, shown in _domains(domain))
    return key.Field(name, fold(leaf.who))


def _domains(domain: str) -> Iterable[tuple[str, str]]:
    """A domain, and how it may be spelled."""
    yield domain, domain
    if "xn--" in domain:
        try:
            yield domain, domain.encode().decode("idna")
        except UnicodeError:
            return


def _every(keys: Iterable[Key]) -> Key:
    parts: list[Key] = []
    for one in dict.fromkeys(keys):
        if one == NOTHING:
            return NOTHING
        if one != EVERYTHING:
            parts.append(one)
    if not parts:
        return EVERYTHING
    return parts[0] if len(parts) == 1 else key.Every(tuple(sorted(parts, key=lambda part: part.cost)))


def _any(keys: Iterable[Key]) -> Key:
    parts: list[Key] = []
    for one in dict.fromkeys(keys):
        if one == EVERYTHING:
            return EVERYTHING
        if one != NOTHING:
            parts.append(one)
    if not parts:
        return NOTHING
    return parts[0] if len(parts) == 1 else key.Any(tuple(sorted(parts, key=lambda part: part.cost)))


def _not(one: Key) -> Key:
    return one.key if isinstance(one, key.Not) else key.Not(one)
