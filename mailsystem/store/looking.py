"""Looking into the index: the units that look for clues on shelves, and say which messages have what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from mailsystem.mail.mailbox import AccountId, MailboxId
from mailsystem.mail.terms import Clue, Probe
from mailsystem.store.database import Row, Sql, Unit
from mailsystem.store.piles import Pile, holding, is_of_words
from mailsystem.store.shelves import chosen, loaded, matches, union

_AT_ONCE: Final = 4 << 20
"""Octets of terms that are in memory at a time, beyond those of one shelf."""


class Looked(NamedTuple):
    """What some shelves say."""

    shelves: list[int]
    """Those that were still there."""
    found: list[list[int]]
    """For each probe, the contents in which no clue is missing."""


def look(account: AccountId, ids: list[int], probes: Sequence[Probe]) -> Unit[Looked]:
    """Look for the clues of probes on these shelves, of which as many are in memory at a time as have little on them, or one;
    or one pile of each that has one."""
    clues = list(dict.fromkeys(clue for probe in probes for clue in probe.clues))
    kinds = sorted({int(kind) for clue in clues for kind in clue.kinds})
    rows = yield Sql(
        "SELECT id, messages, LENGTH(starts) FROM index_shelves WHERE account_id = $1 AND id IN LIST $2", account, ids
    )
    found: list[list[int]] = [[] for _ in probes]
    piles = [shelf for shelf, _, in_pile in rows if in_pile]
    if piles:
        words = "words" if any(map(is_of_words, kinds)) else "''"
        laid = yield Sql(
            f"SELECT contents, starts, fields, {words} FROM index_shelves WHERE account_id = $1 AND id IN LIST $2",  # noqa: S608
            account,
            piles,
        )
        for contents, starts, *octets in laid:
            pile = Pile(loaded("I", starts), *octets)
            _collect(found, probes, {clue: holding(pile, clue.octets, clue.kinds) for clue in clues}, contents)
    messages = {shelf: count for shelf, count, in_pile in rows if not in_pile}
    for lot in (yield from _lots(account, list(messages), kinds)):
        bits = yield from _on_shelves(account, {shelf: messages[shelf] for shelf in lot}, clues, kinds)
        hit = [shelf for shelf in lot if any(_common(probe, bits[shelf]) for probe in probes)]
        if hit:
            for shelf, contents in (
                yield Sql(
                    "SELECT id, contents FROM index_shelves WHERE account_id = $1 AND id IN LIST $2", account, hit
                )
            ):
                _collect(found, probes, bits[shelf], contents)
    return Looked([row[0] for row in rows], found)


def _lots(account: AccountId, shelves: list[int], kinds: list[int]) -> Unit[list[list[int]]]:
    """Shelves that are looked through in one go."""
    if len(shelves) < 2:
        return [shelves] if shelves else []
    sizes = yield Sql(
        "SELECT shelf_id, SUM(LENGTH(terms)) FROM index_blocks WHERE account_id = $1 AND shelf_id IN LIST $2"
        " AND kind IN LIST $3 GROUP BY shelf_id",
        account,
        shelves,
        kinds,
    )
    octets: dict[int, int] = dict(sizes)
    lots: list[list[int]] = []
    left = -1
    for shelf in shelves:
        left -= octets.get(shelf, 0)
        if left < 0:
            lots.append([])
            left = _AT_ONCE - octets.get(shelf, 0)
        lots[-1].append(shelf)
    return lots


def _on_shelves(
    account: AccountId, messages: Mapping[int, int], clues: Sequence[Clue], kinds: list[int]
) -> Unit[dict[int, dict[Clue, int]]]:
    """For each of the shelves on which so many messages are, and each clue, where it is found, as the bits of places."""
    blocks = yield Sql(
        "SELECT id, shelf_id, kind, terms FROM index_blocks WHERE account_id = $1 AND shelf_id IN LIST $2 AND kind IN LIST $3",
        account,
        list(messages),
        kinds,
    )
    hits: dict[int, list[tuple[Clue, list[int]]]] = {}
    whose: dict[int, tuple[int, int]] = {}
    for block, shelf, kind, terms in blocks:
        for clue in clues:
            if kind in clue.kinds and (numbers := matches(terms, clue.octets)):
                hits.setdefault(block, []).append((clue, numbers))
                whose[block] = shelf, terms.count(b"\n") - 1
    del blocks
    bits: dict[int, dict[Clue, int]] = {shelf: {} for shelf in messages}
    if hits:
        for block, octets in (yield Sql("SELECT id, places FROM index_blocks WHERE id IN LIST $1", sorted(hits))):
            shelf, terms = whose[block]
            there = bits[shelf]
            for clue, numbers in hits[block]:
                there[clue] = there.get(clue, 0) | union(octets, terms, numbers, messages[shelf])
    return bits


def _common(probe: Probe, bits: Mapping[Clue, int]) -> int:
    common = -1
    for clue in probe.clues:
        common &= bits.get(clue, 0)
    return common


def _collect(found: list[list[int]], probes: Sequence[Probe], bits: Mapping[Clue, int], contents: bytes) -> None:
    on = loaded("Q", contents)
    for probe, in_it in zip(probes, found, strict=True):
        if common := _common(probe, bits):
            in_it += chosen(on, common)


def covered(account: AccountId, ids: list[int]) -> Unit[set[int]]:
    """The contents on these shelves, but for those of which no terms are kept."""
    rows = yield Sql("SELECT contents, unread FROM index_shelves WHERE account_id = $1 AND id IN LIST $2", account, ids)
    found: set[int] = set()
    for contents, octets in rows:
        unread = set(loaded("H", octets))
        on = loaded("Q", contents)
        found.update([content for place, content in enumerate(on) if place not in unread] if unread else on)
    return found


def contents_of(account: AccountId, mailbox: MailboxId, after: int, most: int) -> Unit[list[Row]]:
    """UID and content of the first messages beyond a UID."""
    return (
        yield Sql(
            "SELECT uid, content_id FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND uid > $3 ORDER BY uid"
            " LIMIT $4",
            account,
            mailbox,
            after,
            most,
        )
    )
