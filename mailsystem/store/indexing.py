"""The index in the database: the units that find what it lacks, put shelves up, take them down, and look.

`index_state.done` is the content up to which everything was looked at. Contents are numbered in the order of their commits,
so whatever is new is beyond it, and delivery need not know of the index. Who moves `done` must say from where: of two who
did the same work, one comes too late and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailsystem.mail.mailbox import AccountId, ContentId, MailboxId
from mailsystem.store.contents import WHOLE
from mailsystem.store.database import Many, Ring, Row, Sql, Unit
from mailsystem.store.piles import Pile
from mailsystem.store.shelves import FAN, Block, Shelf, Stored, dumped, loaded

_NOBODY: Final = (AccountId(0), MailboxId(0))
"""Other processes hear that there was a commit, so that none of them looks what it was about."""


class Overtaken(Exception):
    """Somebody else has done this meanwhile."""


class Waiting(NamedTuple):
    """A content that is not indexed yet."""

    id: ContentId
    parts: bytes
    size: int
    raw: bytes | None
    """None where it lies in a file."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next: contents beyond `done` up to `last`, and in whose mail they are."""

    done: int
    last: int
    waiting: list[Waiting]
    holders: list[tuple[AccountId, ContentId]]


@dataclass(frozen=True, slots=True)
class Counted:
    """How far the index is."""

    contents: int
    """All that are kept."""
    waiting: int
    """Those not looked at yet."""
    shelves: int
    octets: int


def claim(holder: str, now: float, until: float) -> Unit[bool]:
    """Whether it is this holder's turn to index, from now on until then."""
    rows = yield Sql(
        "UPDATE index_state SET holder = $1, held_until = $3 WHERE id = 1 AND (holder = $1 OR held_until <= $2)"
        " RETURNING id",
        holder,
        now,
        until,
    )
    return bool(rows)


def is_behind() -> Unit[bool]:
    """Whether there are contents that nobody has looked at."""
    rows = yield Sql("SELECT 1 FROM contents WHERE id > (SELECT done FROM index_state WHERE id = 1) LIMIT 1")
    return bool(rows)


def next_batch(most: int, octets: int) -> Unit[Batch | None]:
    """The next contents to index, about so many octets of them; None when all is done."""
    [[done]] = yield Sql("SELECT done FROM index_state WHERE id = 1")
    rows = yield Sql("SELECT id, size FROM contents WHERE id > $1 ORDER BY id LIMIT $2", done, most)
    if not rows:
        return None
    last, weight = rows[0][0], 0
    for content, size in rows:
        weight += min(size, WHOLE)
        if weight > octets and content != rows[0][0]:
            break
        last = content
    holders = yield Sql(
        "SELECT DISTINCT account_id, content_id FROM messages WHERE content_id > $1 AND content_id <= $2"
        " ORDER BY account_id, content_id",
        done,
        last,
    )
    found = yield from _read(sorted({content for _, content in holders}))
    return Batch(done, last, found, [(AccountId(account), ContentId(content)) for account, content in holders])


def _read(contents: list[int]) -> Unit[list[Waiting]]:
    rows = yield Sql(
        "SELECT c.id, c.parts, c.size, c.file IS NULL, c.head, b.octets FROM contents c"
        " LEFT JOIN bodies b ON b.content_id = c.id WHERE c.id IN LIST $1 ORDER BY c.id",
        contents,
    )
    return [
        Waiting(ContentId(content), parts, size, head + (octets or b"") if inline else None)
        for content, parts, size, inline, head, octets in rows
    ]


def forgotten(account: AccountId, most: int) -> Unit[Batch | None]:
    """As `next_batch`, for contents that came into this account's mail when they were not new any more."""
    [[done]] = yield Sql("SELECT done FROM index_state WHERE id = 1")
    rows = yield Sql(
        "SELECT DISTINCT content_id FROM messages WHERE account_id = $1 AND content_id <= $2", account, done
    )
    shelves = yield Sql("SELECT contents FROM index_shelves WHERE account_id = $1", account)
    known = {content for [octets] in shelves for content in loaded("Q", octets)}
    missing = sorted({row[0] for row in rows} - known)[:most]
    if not missing:
        return None
    found = yield from _read(missing)
    return Batch(done, done, found, [(account, ContentId(content)) for content in missing])


def put_up(batch: Batch, shelves: Sequence[tuple[AccountId, Shelf]], previews: Mapping[ContentId, str]) -> Unit[None]:
    """Let a batch be indexed. Raises `Overtaken`."""
    rows = yield Sql(
        "UPDATE index_state SET done = $2, next_shelf = next_shelf + $3 WHERE id = 1 AND done = $1 RETURNING next_shelf",
        batch.done,
        batch.last,
        len(shelves),
    )
    if not rows:
        raise Overtaken
    # A content that was swept meanwhile must not get a preview that nobody would sweep.
    kept = yield Sql("SELECT id FROM contents WHERE id IN LIST $1", list(previews))
    yield Many(
        "INSERT INTO previews (content_id, text) VALUES ($1, $2) ON CONFLICT (content_id) DO NOTHING",
        [(content, previews[content]) for [content] in kept],
    )
    yield from _insert(rows[0][0] - len(shelves), shelves)
    yield Ring(_NOBODY)


def _insert(first: int, shelves: Sequence[tuple[AccountId, Shelf]]) -> Unit[None]:
    yield Many(
        "INSERT INTO index_shelves (account_id, id, messages, contents, unread, starts, fields, words)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                account,
                first + number,
                len(shelf.contents),
                dumped(shelf.contents),
                dumped(shelf.unread),
                *((b"", b"", b"") if shelf.pile is None else (dumped(shelf.pile.starts), *shelf.pile[1:])),
            )
            for number, (account, shelf) in enumerate(shelves)
        ],
    )
    yield Many(
        "INSERT INTO index_blocks (account_id, shelf_id, kind, terms, places) VALUES ($1, $2, $3, $4, $5)",
        [
            (account, first + number, block.kind, block.terms, block.places)
            for number, (account, shelf) in enumerate(shelves)
            for block in shelf.blocks
        ],
    )


def counts(accounts: Sequence[AccountId]) -> Unit[list[Row]]:
    """Account, shelf, how many messages are on it and whether they are in a pile; oldest first."""
    return (
        yield Sql(
            "SELECT account_id, id, messages, LENGTH(starts) > 0 FROM index_shelves WHERE account_id IN LIST $1"
            " ORDER BY account_id, id",
            list(accounts),
        )
    )


def crowded(accounts: Sequence[AccountId]) -> Unit[list[Row]]:
    """As `counts`, for those of the accounts that have shelves enough to be merged."""
    rows = yield Sql(
        "SELECT account_id FROM index_shelves WHERE account_id IN LIST $1 GROUP BY account_id HAVING COUNT(*) >= $2",
        list(accounts),
        FAN,
    )
    return (yield from counts([row[0] for row in rows])) if rows else []


def take(account: AccountId, ids: Sequence[int]) -> Unit[tuple[list[Stored], set[int]]]:
    """Some shelves, and those of their contents that are still in the account's mail. Raises `Overtaken`."""
    rows = yield Sql(
        "SELECT id, contents, unread, starts, fields, words FROM index_shelves"
        " WHERE account_id = $1 AND id IN LIST $2 ORDER BY id",
        account,
        list(ids),
    )
    if len(rows) < len(ids):
        raise Overtaken
    blocks = yield Sql(
        "SELECT id, shelf_id, kind FROM index_blocks WHERE account_id = $1 AND shelf_id IN LIST $2 ORDER BY id",
        account,
        list(ids),
    )
    of: dict[int, list[tuple[int, int]]] = {shelf: [] for shelf in ids}
    for ident, shelf, kind in blocks:
        of[shelf].append((ident, kind))
    shelves = [
        Stored(
            loaded("Q", contents),
            loaded("H", unread),
            Pile(loaded("I", starts), fields, words) if starts else None,
            of[shelf],
        )
        for shelf, contents, unread, starts, fields, words in rows
    ]
    contents = sorted({content for shelf in shelves for content in shelf.contents})
    alive = yield Sql(
        "SELECT DISTINCT content_id FROM messages WHERE account_id = $1 AND content_id IN LIST $2", account, contents
    )
    return shelves, {row[0] for row in alive}


def block(ident: int) -> Unit[Block]:
    """Raises `Overtaken` where it is gone."""
    rows = yield Sql("SELECT kind, terms, places FROM index_blocks WHERE id = $1", ident)
    if not rows:
        raise Overtaken
    return Block(*rows[0])


def number() -> Unit[int]:
    """For a new shelf."""
    [[after]] = yield Sql("UPDATE index_state SET next_shelf = next_shelf + 1 WHERE id = 1 RETURNING next_shelf")
    return int(after) - 1


def put(account: AccountId, shelf: int, new: Block) -> Unit[None]:
    """The next block of a shelf, which may not be there yet."""
    yield Sql(
        "INSERT INTO index_blocks (account_id, shelf_id, kind, terms, places) VALUES ($1, $2, $3, $4, $5)",
        account,
        shelf,
        *new,
    )


def _remove(account: AccountId, ids: Sequence[int]) -> Unit[None]:
    gone = yield Sql(
        "DELETE FROM index_shelves WHERE account_id = $1 AND id IN LIST $2 RETURNING id", account, list(ids)
    )
    if len(gone) < len(ids):
        raise Overtaken


def replace(account: AccountId, ids: Sequence[int], shelf: Shelf) -> Unit[None]:
    """One shelf instead of these piles, or none where nothing is left on it. Raises `Overtaken`."""
    yield from _remove(account, ids)
    if shelf.contents:
        yield from _insert((yield from number()), [(account, shelf)])
    yield Ring(_NOBODY)


def exchange(account: AccountId, ids: Sequence[int], new: int, shelf: Shelf, blocks: int) -> Unit[None]:
    """As `replace`, by a shelf without its blocks: so many were put before. Those of the old ones are to be swept."""
    yield from _remove(account, ids)
    [[there]] = yield Sql("SELECT COUNT(*) FROM index_blocks WHERE account_id = $1 AND shelf_id = $2", account, new)
    if there != blocks:
        raise Overtaken
    if shelf.contents:
        yield from _insert(new, [(account, shelf)])
    yield Ring(_NOBODY)


def swept(account: AccountId, shelves: Sequence[int], most: int) -> Unit[int]:
    """Remove up to `most` blocks of those shelves that are not there; returns how many it were."""
    gone = yield Sql(
        "DELETE FROM index_blocks WHERE id IN (SELECT id FROM index_blocks b WHERE account_id = $1 AND shelf_id IN LIST $2"
        " AND NOT EXISTS (SELECT 1 FROM index_shelves s WHERE s.account_id = b.account_id AND s.id = b.shelf_id)"
        " LIMIT $3) RETURNING id",
        account,
        list(shelves),
        most,
    )
    return len(gone)


def remnants() -> Unit[list[Row]]:
    """Account and number of shelves of which there is nothing but blocks."""
    return (
        yield Sql(
            "SELECT DISTINCT account_id, shelf_id FROM index_blocks b WHERE NOT EXISTS"
            " (SELECT 1 FROM index_shelves s WHERE s.account_id = b.account_id AND s.id = b.shelf_id)"
        )
    )


def stale(account: AccountId) -> Unit[list[tuple[int, int, int]]]:
    """Shelves with contents that have left the account's mail: how many messages are on them, and how many are gone."""
    rows = yield Sql("SELECT DISTINCT content_id FROM messages WHERE account_id = $1", account)
    alive = {row[0] for row in rows}
    shelves = yield Sql("SELECT id, messages, contents FROM index_shelves WHERE account_id = $1", account)
    found = [(shelf, messages, len(set(loaded("Q", octets)) - alive)) for shelf, messages, octets in shelves]
    return [one for one in found if one[2]]


def accounts() -> Unit[list[AccountId]]:
    """All that have mail or shelves."""
    rows = yield Sql(
        "SELECT id FROM accounts a WHERE EXISTS (SELECT 1 FROM messages m WHERE m.account_id = a.id)"
        " UNION SELECT account_id FROM index_shelves ORDER BY 1"
    )
    return [AccountId(row[0]) for row in rows]


def clear() -> Unit[None]:
    """Forget everything; it will be read anew."""
    yield Sql("UPDATE index_state SET done = 0 WHERE id = 1")
    yield Sql("DELETE FROM index_blocks")
    yield Sql("DELETE FROM index_shelves")
    yield Ring(_NOBODY)


def counted() -> Unit[Counted]:
    """How far the index is, and how large."""
    [[contents, waiting]] = yield Sql(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE id > (SELECT done FROM index_state WHERE id = 1)) FROM contents"
    )
    [[shelves]] = yield Sql("SELECT COUNT(*) FROM index_shelves")
    [[octets]] = yield Sql("SELECT COALESCE(SUM(LENGTH(terms) + LENGTH(places)), 0) FROM index_blocks")
    [[piled]] = yield Sql("SELECT COALESCE(SUM(LENGTH(starts) + LENGTH(fields) + LENGTH(words)), 0) FROM index_shelves")
    return Counted(contents, waiting, shelves, octets + piled)
