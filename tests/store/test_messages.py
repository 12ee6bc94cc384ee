"""The contract of mailboxes: numbers, flags, copies, changes."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault import Vault, drop_for, letter, post, spooled

from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailboxExists, NoSuchMailbox, TooMany
from mailsystem.mail.mailbox import ANSWERED, DELETED, FLAGGED, SEEN, Changes, Flag, MessageSet, ModSeq
from mailsystem.store import Delivered, Drop, FlagOp, Want
from mailsystem.store.database import Ring, Unit
from mailsystem.store.fetching import portions
from mailsystem.store.messages import deliver

ALL = MessageSet(((1, 0xFFFFFFFF),))


async def uids(vault: Vault, mailbox: str = "INBOX") -> list[int]:
    return list((await vault.there.mailboxes.open(vault.ann.id, mailbox, claim_recent=False)).uids)


async def inbox(vault: Vault) -> tuple[int, int]:
    return vault.ann.id, (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).id


async def test_uids_ascend_and_are_never_reused(vault: Vault) -> None:
    await post(vault, "one", "two", "three")
    account, mailbox = await inbox(vault)
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([3]), FlagOp.ADD, frozenset({DELETED}))
    await vault.here.mailboxes.expunge(account, mailbox)
    [fourth] = await post(vault, "four")
    assert fourth.uid == 4
    assert await uids(vault) == [1, 2, 4]


async def test_every_change_takes_the_next_modseq_of_the_account(vault: Vault) -> None:
    first, second = await post(vault, "one", "two")
    assert second.modseq == first.modseq + 1
    account, mailbox = await inbox(vault)
    flagged = await vault.here.mailboxes.set_flags(
        account, mailbox, MessageSet.of([1]), FlagOp.ADD, frozenset({FLAGGED})
    )
    assert flagged.modseq == second.modseq + 1
    [elsewhere] = await post(vault, "three", mailbox="Archive")
    assert elsewhere.modseq == flagged.modseq + 1
    assert (await vault.there.mailboxes.find(account, "INBOX")).modseq == flagged.modseq


async def test_a_message_is_delivered_to_all_or_to_none(vault: Vault) -> None:
    bob = await vault.here.accounts.add("bob@example.org", None)
    cid = await vault.here.accounts.add("cid@example.org", None)
    await vault.here.accounts.remove("cid@example.org")
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.deliver(drop_for(vault.ann, bob, cid), spooled(vault.here, letter("x")))
    assert await uids(vault) == []
    done = await vault.here.mailboxes.deliver(drop_for(vault.ann, bob), spooled(vault.here, letter("x")))
    assert [appended.uid for appended in done.places] == [1, 1]
    assert await uids(vault) == [1]


async def test_the_bytes_come_back_as_they_went_in_small_and_large(vault: Vault) -> None:
    for size in (0, 1, 100, 4096, 4097, 70_000, 700_000):
        octets = os.urandom(size)
        spool = spooled(vault.here, octets)
        if spool.wants_flush:
            await spool.flush()
        done = await vault.here.mailboxes.append(vault.ann.id, "INBOX", spool, prefix=b"X-Prefix: yes\r\n")
        spool.discard()
        [message] = await vault.there.mailboxes.messages(vault.ann.id, done.mailbox.id, MessageSet.of([done.uid]))
        whole = b"X-Prefix: yes\r\n" + octets
        assert message.size == len(whole)
        assert await vault.there.contents.read(message.content) == whole
        for start, end in [
            (0, 5),
            (3, 40),
            (14, 17),
            (0, None),
            (len(whole) - 3, None),
            (len(whole), None),
            (60, 5000),
        ]:
            assert await vault.there.contents.read(message.content, start, end) == whole[start:end], (size, start, end)
        [[fetched]] = [
            slice_
            async for slice_ in vault.there.mailboxes.fetch(
                vault.ann.id, done.mailbox.id, MessageSet.of([done.uid]), Want.RAW | Want.HEAD | Want.FACTS
            )
        ]
        assert fetched.facts is not None
        assert fetched.facts.size == len(whole)
        assert fetched.raw == (whole if size <= 4096 else None)
        assert fetched.head is not None
        assert whole.startswith(fetched.head)


async def test_a_large_content_lies_in_a_file_that_no_spool_can_take_back(vault: Vault) -> None:
    spool = vault.here.contents.spool()
    digest = hashlib.sha256()
    for _ in range(40):
        chunk = os.urandom(10_000)
        digest.update(chunk)
        spool.write(chunk)
        if spool.wants_flush:
            await spool.flush()
    done = await vault.here.mailboxes.append(vault.ann.id, "INBOX", spool)
    spool.discard()
    [message] = await vault.here.mailboxes.messages(vault.ann.id, done.mailbox.id, ALL)
    read = hashlib.sha256()
    async for slice_ in vault.there.contents.stream(message.content):
        assert len(slice_) <= 256 << 10
        read.update(slice_)
    assert read.digest() == digest.digest()
    assert list((vault.directory / "contents" / "incoming").iterdir()) == []


async def test_a_discarded_spool_leaves_no_file(vault: Vault) -> None:
    spool = spooled(vault.here, b"x" * 10_000)
    await spool.flush()
    await spool.settle()
    assert len(list((vault.directory / "contents" / "incoming").iterdir())) == 1
    spool.discard()
    spool.discard()
    assert list((vault.directory / "contents" / "incoming").iterdir()) == []


async def test_flags_are_added_removed_and_set(vault: Vault) -> None:
    await post(vault, "one", "two", "three")
    account, mailbox = await inbox(vault)
    set_flags = vault.here.mailboxes.set_flags
    junk, forwarded = Flag("Junk"), Flag("$Forwarded")

    async def flags() -> list[set[str]]:
        return [set(m.flags) for m in await vault.there.mailboxes.messages(account, mailbox, ALL)]

    changed = await set_flags(account, mailbox, MessageSet.of([1, 3]), FlagOp.ADD, frozenset({SEEN, ANSWERED}))
    assert [m.uid for m in changed.messages] == [1, 3]
    changed = await set_flags(account, mailbox, ALL, FlagOp.ADD, frozenset({SEEN}))
    assert [m.uid for m in changed.messages] == [2], "only what did change is told"
    assert await flags() == [{SEEN, ANSWERED}, {SEEN}, {SEEN, ANSWERED}]
    await set_flags(account, mailbox, MessageSet.of([2, 3]), FlagOp.ADD, frozenset({junk, forwarded}))
    await set_flags(account, mailbox, ALL, FlagOp.REMOVE, frozenset({ANSWERED, Flag("junk")}))
    assert await flags() == [{SEEN}, {SEEN, forwarded}, {SEEN, forwarded}], "keywords know no case"
    changed = await set_flags(account, mailbox, MessageSet.of([3]), FlagOp.SET, frozenset({FLAGGED, junk}))
    assert await flags() == [{SEEN}, {SEEN, forwarded}, {FLAGGED, junk}]
    before = changed.modseq
    changed = await set_flags(account, mailbox, MessageSet.of([9]), FlagOp.ADD, frozenset({FLAGGED}))
    assert changed.messages == []
    assert (await vault.there.mailboxes.changes(account, mailbox, before)).messages == []
    with pytest.raises(TooMany):
        await set_flags(account, mailbox, ALL, FlagOp.SET, frozenset(Flag(f"k{n}") for n in range(65)))


async def test_setting_flags_that_turn_into_another_kind_changes_each_message_once(vault: Vault) -> None:
    await post(vault, "one", "two")
    account, mailbox = await inbox(vault)
    a, b = Flag("a"), Flag("b")
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([1]), FlagOp.SET, frozenset({a}))
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([2]), FlagOp.SET, frozenset({a, b}))
    changed = await vault.here.mailboxes.set_flags(account, mailbox, ALL, FlagOp.ADD, frozenset({b}))
    assert [(m.uid, set(m.flags)) for m in changed.messages] == [(1, {a, b})]


async def test_copies_keep_flags_dates_and_order_and_share_the_content(vault: Vault) -> None:
    await post(vault, "one", "two", "three")
    account, mailbox = await inbox(vault)
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([3]), FlagOp.ADD, frozenset({SEEN}))
    vault.clock.time += 1000
    copied = await vault.here.mailboxes.copy(account, mailbox, MessageSet.of([1, 3]), "Archive")
    archive = await vault.here.mailboxes.find(account, "Archive")
    assert (copied.source, copied.target, copied.uidvalidity) == ([1, 3], [1, 2], archive.uidvalidity)
    old = await vault.there.mailboxes.messages(account, mailbox, MessageSet.of([1, 3]))
    new = await vault.there.mailboxes.messages(account, archive.id, ALL)
    assert [(m.flags, m.internaldate, m.content) for m in old] == [(m.flags, m.internaldate, m.content) for m in new]
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.copy(account, mailbox, ALL, "Nowhere")


async def test_a_move_is_seen_on_both_sides_at_once(vault: Vault) -> None:
    appended = await post(vault, "one", "two", "three")
    account, mailbox = await inbox(vault)
    archive = await vault.here.mailboxes.find(account, "Archive")
    moved = await vault.here.mailboxes.move(account, mailbox, MessageSet.of([2]), "Archive")
    assert (moved.source, moved.target) == ([2], [1])
    gone = await vault.there.mailboxes.changes(account, mailbox, appended[-1].modseq)
    come = await vault.there.mailboxes.changes(account, archive.id, appended[-1].modseq)
    assert (gone.messages, gone.vanished) == ([], MessageSet.of([2]))
    assert [m.uid for m in come.messages] == [1]
    assert gone.modseq == come.modseq
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.move(account, mailbox, MessageSet.of([1]), "Nowhere")
    assert await uids(vault) == [1, 3]


async def test_a_move_into_its_own_mailbox_renumbers(vault: Vault) -> None:
    await post(vault, "one", "two")
    account, mailbox = await inbox(vault)
    moved = await vault.here.mailboxes.move(account, mailbox, MessageSet.of([1]), "INBOX")
    assert (moved.source, moved.target) == ([1], [3])
    assert await uids(vault) == [2, 3]


async def test_expunge_takes_only_the_marked_and_only_within_the_set(vault: Vault) -> None:
    await post(vault, *"abcde")
    account, mailbox = await inbox(vault)
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([2, 3, 5]), FlagOp.ADD, frozenset({DELETED}))
    first = await vault.here.mailboxes.expunge(account, mailbox, MessageSet.of([1, 2, 3]))
    assert first.vanished == MessageSet.of([2, 3])
    second = await vault.there.mailboxes.expunge(account, mailbox)
    assert second.vanished == MessageSet.of([5])
    third = await vault.here.mailboxes.expunge(account, mailbox)
    assert not third.vanished
    assert await uids(vault) == [1, 4]


async def test_changes_tell_all_and_only_what_is_new(vault: Vault) -> None:
    account, mailbox = await inbox(vault)
    start = (await vault.here.mailboxes.find(account, "INBOX")).modseq
    await post(vault, "one", "two", "three")
    told = await vault.there.mailboxes.changes(account, mailbox, start)
    assert [m.uid for m in told.messages] == [1, 2, 3]
    assert (await vault.there.mailboxes.changes(account, mailbox, told.modseq)).messages == []
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([1, 2]), FlagOp.ADD, frozenset({DELETED}))
    await vault.here.mailboxes.expunge(account, mailbox, MessageSet.of([1]))
    news = await vault.there.mailboxes.changes(account, mailbox, told.modseq)
    assert [m.uid for m in news.messages] == [2]
    assert news.vanished == MessageSet.of([1])
    assert await vault.there.mailboxes.changes(account, mailbox, news.modseq) == Changes(news.modseq, [], MessageSet())


async def test_changes_of_a_mailbox_that_is_gone_say_so(vault: Vault) -> None:
    archive = await vault.here.mailboxes.find(vault.ann.id, "Archive")
    await vault.there.mailboxes.delete(vault.ann.id, "Archive")
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.changes(vault.ann.id, archive.id, ModSeq(0))
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.append(vault.ann.id, "Archive", spooled(vault.here, letter("late")))


async def test_recent_belongs_to_the_first_who_claims_it(vault: Vault) -> None:
    await post(vault, "one", "two")
    looked = await vault.there.mailboxes.open(vault.ann.id, "INBOX", claim_recent=False)
    claimed = await vault.here.mailboxes.open(vault.ann.id, "INBOX", claim_recent=True)
    later = await vault.there.mailboxes.open(vault.ann.id, "INBOX", claim_recent=True)
    assert [set(opened.recent) for opened in (looked, claimed, later)] == [{1, 2}, {1, 2}, set()]
    await post(vault, "three")
    assert (await vault.there.mailboxes.status(vault.ann.id, "INBOX")).recent == 1
    again = await vault.there.mailboxes.open(vault.ann.id, "INBOX", claim_recent=True)
    assert set(again.recent) == {3}


async def test_status_counts_what_is_there(vault: Vault) -> None:
    await post(vault, "one", "two", "three")
    account, mailbox = await inbox(vault)
    await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([1]), FlagOp.ADD, frozenset({SEEN, DELETED}))
    status = await vault.there.mailboxes.status(account, "INBOX")
    assert (status.messages, status.unseen, status.deleted) == (3, 2, 1)
    assert status.size == sum(m.size for m in await vault.here.mailboxes.messages(account, mailbox, ALL))
    assert status.mailbox.uidnext == 4
    opened = await vault.there.mailboxes.open(account, "INBOX", claim_recent=False)
    assert opened.first_unseen == 2
    assert opened.mailbox == status.mailbox


async def test_opening_twice_is_as_true_as_opening_once(vault: Vault) -> None:
    await post(vault, "one", "two")
    account, mailbox = await inbox(vault)
    for _ in range(3):
        opened = await vault.here.mailboxes.open(account, "INBOX", claim_recent=True)
    await vault.there.mailboxes.set_flags(account, mailbox, MessageSet.of([1]), FlagOp.ADD, frozenset({SEEN}))
    opened = await vault.here.mailboxes.open(account, "INBOX", claim_recent=True)
    assert (list(opened.uids), opened.first_unseen) == ([1, 2], 2)


@given(st.sets(st.integers(1, 60)), st.integers(1, 20))
def test_portions_are_the_set_and_small_unless_they_are_one_range(numbers: set[int], most: int) -> None:
    cut = list(portions(MessageSet.of(numbers), most))
    assert [n for portion in cut for n in portion] == sorted(numbers)
    assert all(len(portion.ranges) == 1 or len(portion) <= most for portion in cut)


async def test_fetch_gives_every_message_once_however_it_is_sliced(vault: Vault) -> None:
    spools = [spooled(vault.here, letter(str(n), "x" * 3000)) for n in range(1200)]
    await asyncio.gather(*(vault.here.mailboxes.append(vault.ann.id, "INBOX", spool) for spool in spools))
    _, mailbox = await inbox(vault)
    for want in (Want.NONE, Want.FACTS, Want.RAW):
        slices = [s async for s in vault.there.mailboxes.fetch(vault.ann.id, mailbox, ALL, want)]
        assert [f.message.uid for s in slices for f in s] == list(range(1, 1201))
        assert len(slices) > 1
        assert max(len(s) for s in slices) <= 1000
        assert max(sum(len(f.raw or b"") for f in s) for s in slices) <= 1 << 21
    for text in ("3:5,9,2000", "1:1100,1150", "2,4:900,1000:1300", ",".join(map(str, range(1, 1200, 2)))):
        wanted = MessageSet.parse(text)
        for want in (Want.NONE, Want.HEAD, Want.RAW | Want.FACTS):
            slices = [s async for s in vault.there.mailboxes.fetch(vault.ann.id, mailbox, wanted, want)]
            assert [f.message.uid for s in slices for f in s] == [n for n in range(1, 1201) if n in wanted]


async def test_concurrent_appends_from_two_processes_lose_and_double_nothing(vault: Vault) -> None:
    async def send(store_name: str, n: int) -> tuple[int, str]:
        store = vault.here if store_name == "here" else vault.there
        subject = f"{store_name}-{n}"
        done = await store.mailboxes.append(vault.ann.id, "INBOX", spooled(store, letter(subject)))
        return done.uid, subject

    sent = await asyncio.gather(*(send(name, n) for n in range(150) for name in ("here", "there")))
    assert sorted(uid for uid, _ in sent) == list(range(1, 301))
    _, mailbox = await inbox(vault)
    found = {}
    async for slice_ in vault.here.mailboxes.fetch(vault.ann.id, mailbox, ALL, Want.HEAD):
        for fetched in slice_:
            assert fetched.head is not None
            found[fetched.message.uid] = fetched.head
    for uid, subject in sent:
        assert f"Subject: {subject}\r\n".encode() in found[uid]
    modseqs = [m.modseq for m in await vault.here.mailboxes.messages(vault.ann.id, mailbox, ALL)]
    assert modseqs == sorted(set(modseqs)), "commit order, UID order and ModSeq order are one"


async def test_a_watcher_that_only_asks_for_changes_misses_nothing_under_load(vault: Vault) -> None:
    account, mailbox = await inbox(vault)
    seen: dict[int, None] = {}
    since = (await vault.there.mailboxes.find(account, "INBOX")).modseq

    async def watch() -> None:
        nonlocal since
        while len(seen) < 200:
            heard = vault.there.bell.rung
            changes = await vault.there.mailboxes.changes(account, mailbox, since)
            since = changes.modseq
            for message in changes.messages:
                assert message.uid not in seen
                seen[message.uid] = None
            if len(seen) < 200:
                await vault.there.bell.wait(heard, (account, mailbox))

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(post(vault, *(str(n) for n in range(20))) for _ in range(10)))
    await asyncio.wait_for(watcher, 10)
    assert list(seen) == list(range(1, 201))


async def test_contents_without_messages_are_swept_after_the_grace_and_shared_ones_stay(vault: Vault) -> None:
    account, mailbox = await inbox(vault)
    big = spooled(vault.here, b"\r\n" + b"x" * 10_000)
    await vault.here.mailboxes.append(account, "INBOX", big)
    await post(vault, "small", "shared")
    [_, _, shared] = await vault.here.mailboxes.messages(account, mailbox, ALL)
    await vault.here.mailboxes.copy(account, mailbox, MessageSet.of([3]), "Archive")
    await vault.here.mailboxes.set_flags(account, mailbox, ALL, FlagOp.ADD, frozenset({DELETED}))
    await vault.here.mailboxes.expunge(account, mailbox)

    def files() -> int:
        return sum(1 for p in (vault.directory / "contents").glob("??/*"))

    assert await vault.here.contents.sweep(grace=60) == 0
    assert files() == 1
    vault.clock.time += 61
    assert await vault.here.contents.sweep(grace=60) == 2
    assert files() == 0
    assert (await vault.there.contents.read(shared.content)).startswith(b"From: bob")


async def test_files_that_no_commit_has_named_go(vault: Vault) -> None:
    def files() -> list[str]:
        return [path.name for path in (vault.directory / "contents").glob("??/*")]

    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.append(vault.ann.id, "Nowhere", spooled(vault.here, b"\r\n" + b"x" * 10_000))
    assert files() == [], "a delivery that failed takes its file along"
    kept = await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, b"\r\n" + b"x" * 10_000))
    [named] = files()
    lost = vault.directory / "contents" / "ab" / "abandoned-by-a-killed-process"
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(b"half")
    vault.clock.time = lost.stat().st_mtime + 30
    await vault.here.contents.sweep(grace=60)
    assert lost.exists(), "a commit may be about to name it"
    vault.clock.time += 60
    await vault.here.contents.sweep(grace=60)
    assert files() == [named]
    [message] = await vault.there.mailboxes.messages(vault.ann.id, kept.mailbox.id, ALL)
    assert len(await vault.there.contents.read(message.content)) == 10_002


async def test_opening_tells_the_keywords_in_use(vault: Vault) -> None:
    await post(vault, "one", "two")
    account, mailbox = await inbox(vault)
    for uid, flags in ((1, {SEEN, Flag("b"), Flag("a")}), (2, {Flag("b")})):
        await vault.here.mailboxes.set_flags(account, mailbox, MessageSet.of([uid]), FlagOp.SET, frozenset(flags))
    assert (await vault.there.mailboxes.open(account, "INBOX", claim_recent=False)).keywords == ("a", "b")


async def test_a_mailbox_of_that_name_cannot_be_made_twice(vault: Vault) -> None:
    await vault.here.mailboxes.create(vault.ann.id, "Plans")
    with pytest.raises(MailboxExists):
        await vault.there.mailboxes.create(vault.ann.id, "Plans")


async def test_many_recipients_take_as_few_statements_as_one(vault: Vault) -> None:
    people = [await vault.here.accounts.add(f"p{number}@example.org", None) for number in range(20)]
    contents = vault.here.contents

    async def said(*accounts: Account) -> list[type]:
        staged = await contents.stage(spooled(vault.here, letter("x")), b"")
        said: list[type] = []
        unit = overheard(deliver(drop_for(*accounts), staged, 0.0, 0.0), said)
        done = await vault.here.mailboxes._database.write(unit)
        assert [place.mailbox.account for place in done.places] == [account.id for account in accounts]
        return [kind for kind in said if kind is not Ring]

    assert len(await said(people[0])) == len(await said(*people)) == 6


def overheard(unit: Unit[Delivered], said: list[type]) -> Unit[Delivered]:
    """The same unit, and what kinds of statements it yields."""
    try:
        statement = next(unit)
        while True:
            said.append(type(statement))
            statement = unit.send((yield statement))
    except StopIteration as done:
        delivered: Delivered = done.value
        return delivered


async def test_two_folders_and_one_twice_have_numbers_of_their_own(vault: Vault) -> None:
    drops = [Drop(vault.ann.id, name) for name in ("INBOX", "Archive", "INBOX")]
    done = await vault.here.mailboxes.deliver(drops, spooled(vault.here, letter("x")))
    assert [(place.mailbox.name, place.uid) for place in done.places] == [("INBOX", 1), ("Archive", 1), ("INBOX", 2)]
    assert await uids(vault) == [1, 2]
    assert await uids(vault, "Archive") == [1]
    seen = await vault.there.mailboxes.find(vault.ann.id, "Archive")
    assert seen.modseq == done.places[1].modseq
    [after] = await post(vault, "later", mailbox="Archive")
    assert after.modseq > max(place.modseq for place in done.places)
