"""The roll of a mailbox: columns in memory that say at every moment what the rows say, whoever has changed them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from vault import Vault, as_schema_1, letter, post, spooled

from mailsystem.mail.errors import NoSuchMailbox, Unavailable
from mailsystem.mail.mailbox import DELETED, FLAGGED, SEEN, AccountId, Flag, MailboxId, MessageSet, ModSeq, Uid
from mailsystem.store import FlagOp, Having, Store, listing, open_store
from mailsystem.store.roll import Roll
from mailsystem.store.rolls import Rolls

ALL = MessageSet(((1, 0xFFFFFFFF),))
JUNK = Flag("$Junk")


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is asked of the database, on whatever connection."""
    said: list[str] = []
    database = store.mailboxes._database
    connections = [database._brief, database._writer._conn, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(said.append)
    try:
        yield said
    finally:
        for connection in connections:
            connection.set_trace_callback(None)
        said[:] = [
            each for each in said if not each.startswith(("BEGIN", "ROLLBACK", "COMMIT", "SAVEPOINT", "RELEASE"))
        ]


async def inbox(vault: Vault) -> MailboxId:
    return (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).id


def rolls_of(store: Store) -> Rolls:
    return store.mailboxes._rolls


async def check(store: Store, account: AccountId, mailbox: MailboxId) -> Roll:
    """The roll says what the rows say, and counts what STATUS counts."""
    roll = await rolls_of(store).look(account, mailbox)
    rows = await store.mailboxes.messages(account, mailbox, ALL)
    assert list(roll.uids) == [row.uid for row in rows]
    assert list(roll.modseqs) == [row.modseq for row in rows]
    assert [roll.flags[kind] for kind in roll.kinds] == [row.flags for row in rows]
    assert list(roll.dates) == [row.internaldate for row in rows]
    assert list(roll.sizes) == [row.size for row in rows]
    assert list(roll.contents) == [row.content for row in rows]
    assert list(roll.saved) == [row.savedate for row in rows]
    for since in (0, 5, 20, roll.modseq - 3, roll.modseq - 1, roll.modseq):
        changes = await store.mailboxes.changes(account, mailbox, ModSeq(since))
        assert list(changes.messages) == [row for row in rows if row.modseq > since]
        changed, _ = await store.mailboxes.changed(account, mailbox, ModSeq(since), vanished_too=False)
        assert list(changed) == [row.uid for row in rows if row.modseq > since]
    [there] = [each for each in await store.mailboxes.list(account) if each.id == mailbox]
    assert (roll.uidnext, roll.modseq) == (there.uidnext, there.modseq)
    marked = [row.size for row in rows if DELETED in row.flags]
    status = await store.mailboxes.status(account, there.name)
    assert (status.messages, status.size) == (len(rows), sum(row.size for row in rows))
    assert (status.deleted, status.deleted_size) == (len(marked), sum(marked))
    assert status.unseen == sum(SEEN not in row.flags for row in rows)
    *_, recent_from = await store.mailboxes._database.read(listing.entered(account, there.name))
    assert status.recent == sum(row.uid >= recent_from for row in rows)
    assert status.mailbox == there
    opened = await store.mailboxes.open(account, there.name, claim_recent=False)
    assert list(opened.uids) == list(roll.uids)
    assert opened.first_unseen == next((row.uid for row in rows if SEEN not in row.flags), None)
    assert opened.keywords == tuple(sorted({flag for row in rows for flag in row.flags if flag[0] != "\\"}))
    return roll


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_done_by_whomever_the_roll_says_what_the_rows_say(vault: Vault, seed: int) -> None:
    chance = random.Random(seed)
    ann, box = vault.ann.id, await inbox(vault)
    flags = (SEEN, DELETED, FLAGGED, JUNK, Flag("work"))

    def some() -> MessageSet:
        return MessageSet.of(chance.sample(range(1, 40), chance.randint(1, 25)))

    await post(vault, "one", "two")
    await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)
    for _ in range(25):
        store = chance.choice((vault.here, vault.there))
        match chance.randrange(7):
            case 0 | 1:
                await post(vault, *(str(n) for n in range(chance.randint(1, 9))))
            case 2 | 3:
                chosen = frozenset(chance.sample(flags, chance.randint(0, 3)))
                op = chance.choice(tuple(FlagOp))
                since = chance.choice((None, None, ModSeq(chance.randint(1, 30))))
                await store.mailboxes.set_flags(ann, box, chance.choice((some(), ALL)), op, chosen, since=since)
            case 4:
                await store.mailboxes.expunge(ann, box, chance.choice((some(), None)))
            case 5:
                await store.mailboxes.copy(ann, box, some(), chance.choice(("INBOX", "Archive")))
            case 6:
                await store.mailboxes.forget(2)
        if chance.random() < 0.7:
            await check(chance.choice((vault.here, vault.there)), ann, box)
    await check(vault.here, ann, box)
    await check(vault.there, ann, box)


async def test_what_has_not_changed_is_not_read_again(vault: Vault) -> None:
    await post(vault, *(str(n) for n in range(300)))
    ann, box = vault.ann.id, await inbox(vault)
    opened = await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)
    with statements(vault.here) as said:
        again = await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)
        assert again.uids == opened.uids
    assert len(said) == 1
    with statements(vault.here) as said:
        await vault.here.mailboxes.changes(ann, box, opened.mailbox.modseq)
    assert len(said) == 1
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([7]), FlagOp.ADD, frozenset({SEEN}))
    with statements(vault.here) as said:
        roll = await rolls_of(vault.here).look(ann, box)
    assert SEEN in roll.flags[roll.kinds[6]]
    assert (
        len(said) == 5
    )  # its ModSeq, the log of changes, from where on they may be new, what has come, what was flagged


async def test_where_more_has_come_than_is_read_where_we_stand_the_old_ones_are_not_walked_through(
    vault: Vault,
) -> None:
    await post(vault, "old")
    box = await inbox(vault)
    since = (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).modseq
    await post(vault, *(str(n) for n in range(listing.FEW + 1)))
    with statements(vault.here) as said:
        unit = listing.news(vault.ann.id, box, since, listing.FEW)
        assert await rolls_of(vault.here)._database.read(unit, brief=True) is None
    assert not any("m.savedate" in statement for statement in said)
    changes = await vault.here.mailboxes.changes(vault.ann.id, box, since)
    assert len(changes.messages) == listing.FEW + 1


async def test_what_was_changed_before_there_was_a_log_is_told_all_the_same(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        ann = (await store.accounts.add("ann@example.org", None)).id
        for number in range(6):
            await store.mailboxes.append(ann, "INBOX", spooled(store, letter(str(number))))
        box = (await store.mailboxes.find(ann, "INBOX")).id
        await store.mailboxes.set_flags(ann, box, MessageSet.of([1, 2, 5]), FlagOp.ADD, frozenset({SEEN}))
        await store.mailboxes.expunge(ann, box, MessageSet.of([2]), quietly=True)
        await store.mailboxes.set_flags(ann, box, MessageSet.of([2, 4]), FlagOp.ADD, frozenset({DELETED}))
        await store.mailboxes.expunge(ann, box, None)
        before = [await store.mailboxes.changes(ann, box, ModSeq(since)) for since in range(12)]
    as_schema_1(tmp_path)
    async with open_store(tmp_path) as store:
        assert [await store.mailboxes.changes(ann, box, ModSeq(since)) for since in range(12)] == before
        await store.mailboxes.set_flags(ann, box, MessageSet.of([1, 3]), FlagOp.ADD, frozenset({JUNK}))
        await store.mailboxes.append(ann, "INBOX", spooled(store, letter("new")))
        await check(store, ann, box)
        now = (await store.mailboxes.find(ann, "INBOX")).modseq
        late = await store.mailboxes.changes(ann, box, ModSeq(now - 2))
        assert [message.uid for message in late.messages] == [1, 3, 7]
        assert (await store.mailboxes.changes(ann, box, ModSeq(2))).vanished == before[2].vanished


async def test_a_change_of_flags_takes_as_few_statements_for_many_messages_as_for_one(vault: Vault) -> None:
    await post(vault, *(str(n) for n in range(40)))
    ann, box = vault.ann.id, await inbox(vault)
    await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)
    for uids, flags in (
        (ALL, {SEEN}),
        (MessageSet.of([3]), {DELETED}),
        (ALL, {JUNK}),
        (MessageSet.of([7, 9, 30]), {FLAGGED}),
    ):
        with statements(vault.here) as said:
            changes = await vault.here.mailboxes.set_flags(ann, box, uids, FlagOp.ADD, frozenset(flags))
        assert [message.uid for message in changes.messages] == [uid for uid in range(1, 41) if uid in uids]
        assert len([each for each in said if each.startswith("UPDATE messages")]) <= 2
        assert len(said) <= 6
        await check(vault.here, ann, box)
        with statements(vault.here) as said:
            await vault.here.mailboxes.set_flags(ann, box, uids, FlagOp.ADD, frozenset(flags))
        assert len(said) == 1  # nothing is to be done, and nothing is written
    with statements(vault.here) as said:
        await vault.here.mailboxes.set_flags(ann, box, MessageSet.of([7, 8]), FlagOp.REMOVE, frozenset({FLAGGED}))
    assert len([each for each in said if each.startswith("INSERT INTO flagged")]) == 1
    assert len(said) == 4  # nothing is looked at before: the change itself tells whether the roll was behind


async def test_many_who_watch_one_mailbox_make_its_news_be_read_once(vault: Vault) -> None:
    await post(vault, "a", "b")
    ann, box = vault.ann.id, await inbox(vault)
    before = (await vault.here.mailboxes.find(ann, "INBOX")).modseq
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([2]), FlagOp.ADD, frozenset({SEEN}))
    with statements(vault.here) as said:
        told = []
        for _ in range(10):
            told.append(await vault.here.mailboxes.changes(ann, box, before))
            await asyncio.sleep(0)
    assert [[message.uid for message in each.messages] for each in told] == [[2]] * 10
    assert len([each for each in said if "messages m" in each]) == 1
    assert len([each for each in said if "FROM mailboxes" in each]) == 10
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([1]), FlagOp.ADD, frozenset({SEEN}))
    assert [message.uid for message in (await vault.here.mailboxes.changes(ann, box, before)).messages] == [1, 2]
    assert [message.uid for message in (await vault.here.mailboxes.changes(ann, box, told[0].modseq)).messages] == [1]


async def test_who_asks_in_the_same_turn_of_the_loop_is_told_the_same_and_after_it_what_is_new(vault: Vault) -> None:
    await post(vault, "a", "b")
    ann, box = vault.ann.id, await inbox(vault)
    before = (await vault.here.mailboxes.find(ann, "INBOX")).modseq

    async def asked() -> list[int]:
        changes = await vault.here.mailboxes.changes(ann, box, before, together=True)
        return [message.uid for message in changes.messages]

    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([2]), FlagOp.ADD, frozenset({SEEN}))
    with statements(vault.here) as said:
        assert await asyncio.gather(*(asked() for _ in range(100))) == [[2]] * 100
    assert len([each for each in said if "FROM mailboxes" in each]) == 1
    # Whoever asks in the same turn, and not together with others, hears of what has not rung yet; and so does who asks later.
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([1]), FlagOp.ADD, frozenset({SEEN}))
    assert await asked() == [1, 2]
    await post(vault, "c")
    assert await asked() == [1, 2, 3]


async def test_who_asks_after_another_stroke_is_told_what_has_rung(tmp_path: Path) -> None:
    async with open_store(tmp_path, durable_flags=False, indexed=False, housekeeping=False) as store:
        ann = (await store.accounts.add("ann@example.org", None)).id
        for _ in range(2):
            await store.mailboxes.append(ann, "INBOX", spooled(store, letter("a")))
        box = await store.mailboxes.find(ann, "INBOX")
        await rolls_of(store).look(ann, box.id)
        turn = rolls_of(store)._this_turn()
        for uid in (1, 2):
            await store.mailboxes.set_flags(ann, box.id, MessageSet.of([uid]), FlagOp.ADD, frozenset({SEEN}))
            told = await store.mailboxes.changes(ann, box.id, box.modseq, together=True)
            assert [message.uid for message in told.messages] == list(range(1, uid + 1))
        assert rolls_of(store)._turn == turn, "nothing here has waited for anything"


async def test_the_uids_that_somebody_holds_stay_as_they_are(vault: Vault) -> None:
    await post(vault, "a", "b", "c")
    ann, box = vault.ann.id, await inbox(vault)
    held = [(await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)).uids]
    assert (await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)).uids is held[0]
    await post(vault, "d")
    held.append((await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)).uids)
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([2]), FlagOp.ADD, frozenset({DELETED}))
    await vault.there.mailboxes.expunge(ann, box, None)
    held.append((await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)).uids)
    assert [list(each) for each in held] == [[1, 2, 3], [1, 2, 3, 4], [1, 3, 4]]


async def test_who_was_not_quick_enough_changes_what_is_there_by_now(vault: Vault) -> None:
    """Many change flags of the same messages at once, from two processes, and nobody's change is lost."""
    await post(vault, *(str(n) for n in range(9)))
    ann, box = vault.ann.id, await inbox(vault)
    words = [Flag(f"k{number}") for number in range(16)]
    changes = await asyncio.gather(
        *(
            (vault.here, vault.there)[number % 2].mailboxes.set_flags(ann, box, ALL, FlagOp.ADD, frozenset({word}))
            for number, word in enumerate(words)
        )
    )
    assert len({each.modseq for each in changes}) == len(words)
    roll = await check(vault.here, ann, box)
    await check(vault.there, ann, box)
    assert {roll.flags[kind] for kind in roll.kinds} == {frozenset(words)}
    for each, word in zip(changes, words, strict=True):
        assert len(each.messages) == 9
        assert all(message.modseq == each.modseq and word in message.flags for message in each.messages)


async def test_a_roll_that_nobody_has_rung_for_is_behind_all_the_same(vault: Vault) -> None:
    await post(vault, "a", "b")
    ann, box = vault.ann.id, await inbox(vault)
    await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)
    await vault.here.mailboxes.set_flags(ann, box, ALL, FlagOp.ADD, frozenset({JUNK}))
    for bell in (vault.directory / "bells").iterdir():
        bell.unlink()
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([1]), FlagOp.ADD, frozenset({SEEN}))
    changes = await vault.here.mailboxes.set_flags(ann, box, ALL, FlagOp.SET, frozenset({SEEN}))
    assert [message.uid for message in changes.messages] == [1, 2]
    again = await vault.here.mailboxes.set_flags(ann, box, ALL, FlagOp.SET, frozenset({SEEN}))
    assert not again.messages
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([2]), FlagOp.REMOVE, frozenset({SEEN}))
    # Here it seems that there is nothing to change.
    changes = await vault.here.mailboxes.set_flags(ann, box, ALL, FlagOp.ADD, frozenset({SEEN}))
    assert [message.uid for message in changes.messages] == [2]
    await check(vault.here, ann, box)


async def test_a_condition_is_weighed_on_the_roll(vault: Vault) -> None:
    await post(vault, *(str(n) for n in range(5)))
    ann, box = vault.ann.id, await inbox(vault)
    await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)
    before = (await vault.here.mailboxes.find(ann, "INBOX")).modseq
    await vault.there.mailboxes.set_flags(ann, box, MessageSet.of([2, 4]), FlagOp.ADD, frozenset({SEEN}))
    changes = await vault.here.mailboxes.set_flags(ann, box, ALL, FlagOp.ADD, frozenset({JUNK}), since=before)
    assert [message.uid for message in changes.messages] == [1, 3, 5]
    assert changes.unchanged == MessageSet.of([1, 3, 5])
    await check(vault.here, ann, box)
    await check(vault.there, ann, box)


async def test_a_change_that_fails_is_in_no_roll(vault: Vault) -> None:
    await post(vault, "a")
    ann, box = vault.ann.id, await inbox(vault)
    await vault.here.mailboxes.open(ann, "INBOX", claim_recent=True)
    database = vault.here.mailboxes._database
    connection = database._writer._conn  # type: ignore[attr-defined]
    connection.execute("CREATE TEMP TRIGGER broken BEFORE INSERT ON flagged BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Unavailable):
        await vault.here.mailboxes.set_flags(ann, box, ALL, FlagOp.ADD, frozenset({SEEN}))
    connection.execute("DROP TRIGGER broken")
    roll = await check(vault.here, ann, box)
    assert roll.flags[roll.kinds[0]] == frozenset()


async def test_many_news_are_read_apart(vault: Vault) -> None:
    """A bulk change elsewhere is not taken in row by row on the loop."""
    await post(vault, *(str(n) for n in range(12)))
    ann, box = vault.ann.id, await inbox(vault)
    roll = await rolls_of(vault.here).look(ann, box)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailsystem.store.listing.FEW", 3)
        patch.setattr("mailsystem.store.rolls.FEW", 3)
        patch.setattr("mailsystem.store.rolls._SLICE", 4)
        await vault.there.mailboxes.set_flags(ann, box, ALL, FlagOp.ADD, frozenset({SEEN}))
        assert await check(vault.here, ann, box) is not roll


async def test_those_who_ask_at_once_make_it_be_read_once(vault: Vault) -> None:
    await post(vault, *(str(n) for n in range(300)))
    with statements(vault.there) as said:
        opened = await asyncio.gather(
            *(vault.there.mailboxes.open(vault.ann.id, "INBOX", claim_recent=False) for _ in range(20))
        )
    assert {len(each.uids) for each in opened} == {300}
    assert len([each for each in said if "FROM messages" in each]) == 1


async def test_it_is_not_read_for_the_sake_of_a_few_messages(vault: Vault) -> None:
    await post(vault, *(str(n) for n in range(60)))
    box = await inbox(vault)
    assert await rolls_of(vault.there).look(vault.ann.id, box, about=1) is None
    assert await rolls_of(vault.there).look(vault.ann.id, box, about=10) is not None
    assert await rolls_of(vault.there).look(vault.ann.id, box, about=1) is not None


async def test_rolls_are_bounded_in_octets(vault: Vault) -> None:
    rolls = Rolls(vault.here.mailboxes._database, most_octets=3000)
    await post(vault, "a", "b")
    ann = vault.ann.id
    boxes = [each.id for each in await vault.here.mailboxes.list(ann)]
    for box in boxes:
        await rolls.look(ann, box)
        assert len(rolls._rolls) == 1
        assert rolls._octets == sum(roll.octets for roll, _ in rolls._rolls.values()) <= 3000


async def test_of_a_mailbox_that_is_gone_nothing_is_kept(vault: Vault) -> None:
    ann = vault.ann.id
    archive = await vault.here.mailboxes.find(ann, "Archive")
    rolls = rolls_of(vault.there)
    await rolls.look(ann, archive.id)
    await vault.here.mailboxes.delete(ann, "Archive")
    with pytest.raises(NoSuchMailbox):
        await rolls.look(ann, archive.id)
    assert not rolls._rolls
    assert rolls._octets == 0


async def test_one_who_has_no_right_to_read_does_not_see_it(vault: Vault) -> None:
    bob = await vault.here.accounts.add("bob@example.org", None)
    await post(vault, "a")
    box = await inbox(vault)
    for _ in range(2):
        with pytest.raises(NoSuchMailbox):
            await rolls_of(vault.here).look(vault.ann.id, box, actor=bob.id)
        await rolls_of(vault.here).look(vault.ann.id, box)


async def test_combinations_of_flags_that_nobody_has_any_more_are_forgotten(vault: Vault) -> None:
    await post(vault, "a")
    ann, box = vault.ann.id, await inbox(vault)
    for number in range(300):
        word = frozenset({Flag(f"k{number}")})
        await vault.here.mailboxes.set_flags(ann, box, ALL, FlagOp.SET, word)
        roll = await rolls_of(vault.here).look(ann, box)
    assert len(roll.flags) < 258
    await check(vault.here, ann, box)


async def test_conditions_are_weighed_on_the_columns(vault: Vault) -> None:
    ann, box = vault.ann.id, await inbox(vault)
    for number in range(6):
        octets = letter("x", "y" * 100 * number)
        await vault.here.mailboxes.append(ann, "INBOX", spooled(vault.here, octets), internaldate=1000.0 + number)
    await vault.here.mailboxes.set_flags(ann, box, MessageSet.of([1, 4]), FlagOp.ADD, frozenset({JUNK, FLAGGED}))
    rows = {row.uid: row for row in await vault.here.mailboxes.messages(ann, box, ALL)}

    async def having(what: Having) -> list[int]:
        return list(await vault.there.mailboxes.having(ann, box, what))

    assert await having(Having()) == [1, 2, 3, 4, 5, 6]
    assert await having(Having(flag=FLAGGED)) == [1, 4]
    assert await having(Having(flag=Flag("$junk"))) == [1, 4]
    assert await having(Having(flag=Flag("$jun"))) == []
    assert await having(Having(above=rows[Uid(3)].size)) == [4, 5, 6]
    assert await having(Having(below=rows[Uid(3)].size)) == [1, 2]
    assert await having(Having(since=1002.0, before=1004.0)) == [3, 4]
    assert await having(Having(flag=JUNK, since=1001.0)) == [4]


def counting(said: list[str]) -> list[str]:
    return [each for each in said if "COUNT(*)" in each]


async def test_where_a_roll_is_in_memory_no_messages_are_counted(vault: Vault) -> None:
    await post(vault, "one", "two")
    await rolls_of(vault.here).look(vault.ann.id, await inbox(vault))
    with statements(vault.here) as said:
        assert (await vault.here.mailboxes.status(vault.ann.id, "INBOX")).unseen == 2
    assert len(said) == 2  # which mailbox that is, and how it stands
    await post(vault, "three")
    with statements(vault.here) as said:
        [status] = await vault.here.mailboxes.statuses([await vault.here.mailboxes.find(vault.ann.id, "INBOX")])
    assert (status.messages, status.recent) == (3, 3)
    assert not counting(said)


async def test_a_large_mailbox_is_counted_once_though_nobody_opens_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsystem.store.counting._LARGE", 20)
    await post(vault, *map(str, range(30)))
    with statements(vault.here) as said:
        assert (await vault.here.mailboxes.status(vault.ann.id, "INBOX")).messages == 30
    assert len(counting(said)) == 1
    for more in range(1, 4):
        await post(vault, "more")
        with statements(vault.here) as said:
            assert (await vault.here.mailboxes.status(vault.ann.id, "INBOX")).messages == 30 + more
        assert not counting(said)
    # Its rows were read for the first of these; then only what is new.
    [new] = [each for each in said if each.startswith("SELECT m.uid, m.modseq")]
    assert "m.uid > 32" in new
    await vault.here.mailboxes.create(vault.ann.id, "Few")
    for _ in range(2):
        await post(vault, "few", mailbox="Few")
        with statements(vault.here) as said:
            await vault.here.mailboxes.status(vault.ann.id, "Few")
        assert len(counting(said)) == 1


async def test_many_that_are_marked_in_a_large_mailbox_are_counted_apart(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(vault, "one", "two")
    box = await inbox(vault)
    await vault.here.mailboxes.set_flags(vault.ann.id, box, MessageSet.of([1]), FlagOp.ADD, frozenset({DELETED}))
    monkeypatch.setattr("mailsystem.store.roll._MANY", 1)
    await rolls_of(vault.here).look(vault.ann.id, box)
    with statements(vault.here) as said:
        status = await vault.here.mailboxes.status(vault.ann.id, "INBOX")
    assert (status.deleted, status.deleted_size) == (1, status.size // 2)
    assert len(counting(said)) == 1
