"""What is kept of many messages, column by column: nothing is missing, and no slice is larger than it may be."""

from __future__ import annotations

import threading
from dataclasses import astuple

import pytest
from vault import Vault, letter, post, spooled

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.mailbox import FLAGGED, AccountId, MessageSet
from mailsystem.store import FlagOp, Want
from mailsystem.store.database import Sql
from mailsystem.store.fetching import BRIEF, SMALL, Things, portions, slice_of

ALL = MessageSet(((1, 0xFFFFFFFF),))
FACTS = (Kept.ENVELOPE, Kept.BODYSTRUCTURE, Kept.BODY, Kept.PARTS)


async def read(vault: Vault, uids: MessageSet, *things: Kept) -> list[Columns]:
    account = vault.ann.id
    mailbox = (await vault.here.mailboxes.find(account, "INBOX")).id
    return [found async for found in vault.there.fetching.columns(account, mailbox, uids, things)]


async def test_things_come_as_they_are_kept(vault: Vault) -> None:
    await post(vault, "one", "two")
    account, mailbox = vault.ann.id, (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).id
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([2]), FlagOp.ADD, frozenset({FLAGGED}))
    [found] = await read(vault, ALL, *Kept)
    [known] = [found async for found in vault.here.mailboxes.fetch(account, mailbox, ALL, Want.FACTS | Want.RAW)]
    assert set(found) == set(Kept)
    for place, each in enumerate(known):
        one = {thing: values[place] for thing, values in found.items()}
        assert (
            one[Kept.UID], one[Kept.MODSEQ], one[Kept.FLAGS], one[Kept.INTERNALDATE], one[Kept.SIZE], one[Kept.CONTENT],
            one[Kept.SAVEDATE],
        ) == each.message  # fmt: skip
        assert each.facts is not None
        assert (one[Kept.SIZE], one[Kept.HEADER_SIZE], *(one[thing] for thing in FACTS)) == astuple(each.facts)
        assert one[Kept.HEAD] + one[Kept.REST] == each.raw
        assert one[Kept.PREVIEW] is None
    for things in ((), (Kept.FLAGS,), (Kept.SIZE, Kept.FLAGS, Kept.UID), (Kept.PREVIEW,)):
        [some] = await read(vault, ALL, *things)
        assert some == {thing: found[thing] for thing in (Kept.UID, *things)}


async def test_what_is_not_there_is_passed_over(vault: Vault) -> None:
    await post(vault, *"abc")
    assert await read(vault, MessageSet(((4, 9),)), Kept.FLAGS) == []
    [found] = await read(vault, MessageSet(((2, 2), (3, 100), (200, 300))), Kept.UID)
    assert list(found[Kept.UID]) == [2, 3]


async def test_a_stranger_reads_nothing(vault: Vault) -> None:
    await post(vault, "one")
    eve = await vault.here.accounts.add("eve@example.org", None)
    mailbox = (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).id
    with pytest.raises(NoSuchMailbox):
        async for _ in vault.here.fetching.columns(vault.ann.id, mailbox, ALL, (Kept.UID,), actor=AccountId(eve.id)):
            pass


async def test_what_is_large_is_left_to_be_read_alone(vault: Vault) -> None:
    for subject, body in (("a", "b" * 100), ("a", "b" * SMALL), ("a" * SMALL, "b")):
        await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, letter(subject, body)))
    [found] = await read(vault, ALL, Kept.HEAD, Kept.REST)
    assert [value is None for value in found[Kept.HEAD]] == [False, False, True]
    assert [value is None for value in found[Kept.REST]] == [False, True, True]


@pytest.mark.parametrize(
    "uids", [ALL, MessageSet(tuple((uid, uid) for uid in range(1, 200, 2))), MessageSet(((1, 200),))]
)
async def test_slices_are_all_of_it_once(vault: Vault, uids: MessageSet) -> None:
    await post(vault, *map(str, range(150)))
    slices = await read(vault, uids, Kept.HEAD)
    assert [uid for found in slices for uid in found[Kept.UID]] == [uid for uid in range(1, 151) if uid in uids]


def statements(things: Things, sizes: list[int], most_rows: int, most_octets: int, uids: MessageSet = ALL) -> list[int]:
    """The rows that each statement of a slice gave, where octets of these sizes are kept for messages 1, 2, 3, …"""
    unit = slice_of(1, 1, uids, things, most_rows, most_octets)  # type: ignore[arg-type]
    given: list[int] = []
    rows: list[tuple[object, ...]] = []
    try:
        asked = next(unit)
        while True:
            assert isinstance(asked, Sql)
            low, limit = asked.params[2], asked.params[-1]
            rows = [(uid, *[b"x" * sizes[uid - 1]] * len(things)) for uid in range(low, len(sizes) + 1)][:limit]
            given.append(len(rows))
            asked = unit.send(rows)
    except StopIteration as end:
        found, rest = end.value
        count = sum(given)
        assert list(found[Kept.UID]) == list(range(1, count + 1))
        assert rest == (MessageSet() if count == len(sizes) and rows == [] else rest)
        assert not rest or rest == MessageSet(((count + 1, uids.ranges[0][1]),))
        assert rest or count == len(sizes)
    return given


def test_a_slice_ends_where_it_is_heavy_enough() -> None:
    # Small ones: few statements for a thousand; heavy ones: one statement, which reads no more than that much at once.
    assert len(statements((Kept.ENVELOPE,), [300] * 3000, 1000, 1 << 20)) <= 8
    assert sum(statements((Kept.ENVELOPE,), [300] * 3000, 1000, 1 << 20)) == 1000
    [few] = statements((Kept.REST,), [SMALL] * 3000, 1000, 1 << 20)
    assert few * SMALL <= 1 << 20
    assert sum(statements((Kept.UID,), [0] * 3000, 1000, 1 << 20)) == 1000
    assert sum(statements((Kept.REST,), [10] * 31, 1000, 1 << 20)) == 31
    assert statements((Kept.REST,), [], 1000, 1 << 20) == [0]
    assert sum(statements((Kept.HEAD,), [10] * 40, 1000, 1 << 20, MessageSet(((1, 40),)))) == 40


async def test_few_are_read_where_we_stand(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(vault, *map(str, range(BRIEF + 10)))
    database = vault.there.fetching._database
    asked: list[bool] = []
    read_, briefly = database.read, []

    async def noting(unit: object, *, brief: bool = False) -> object:
        asked.append(brief)
        return await read_(unit, brief=brief)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "read", noting)
    for uids in (MessageSet.of([3]), MessageSet(((1, BRIEF),)), MessageSet(((1, BRIEF + 1),)), ALL):
        asked.clear()
        await read(vault, uids, Kept.HEAD, Kept.REST)
        briefly.append(all(asked))
    assert briefly == [True, True, False, False]


async def test_what_is_made_of_many_is_made_where_they_were_read(vault: Vault) -> None:
    await post(vault, *map(str, range(BRIEF + 1)))
    mailbox = (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).id
    threads: list[list[int]] = []
    for uids in (MessageSet(((1, BRIEF),)), ALL):
        slices = vault.there.fetching.made(vault.ann.id, mailbox, uids, (Kept.SIZE,), lambda _: threading.get_ident())
        threads.append([found async for found in slices])
    few = vault.there.fetching.made(
        vault.ann.id, mailbox, ALL, (Kept.SIZE,), lambda columns: threading.get_ident(), about=BRIEF
    )
    here = threading.get_ident()
    assert {found async for found in few} == {here}
    assert threads[0] == [here]
    assert here not in threads[1]


def test_portions_are_whole_ranges_or_few_messages() -> None:
    uids = MessageSet(((1, 1), (3, 4), (10, 5000), (6000, 6000)))
    assert list(portions(uids, 10)) == [
        MessageSet(((1, 1), (3, 4))),
        MessageSet(((10, 5000),)),
        MessageSet(((6000, 6000),)),
    ]
