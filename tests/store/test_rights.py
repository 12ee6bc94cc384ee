"""The contract of shared mailboxes: who may do what, asked in the transaction of the act itself."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from vault import Vault, letter, post, spooled

from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailboxExists, NoSuchMailbox, NotPermitted, OverQuota, TooMany
from mailsystem.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Flag, Mailbox, MessageSet, ModSeq
from mailsystem.mail.rights import ANYONE, EVERY, Entry, Identifier, Rights, rights_of
from mailsystem.store import FlagOp, New, Quota, Want
from mailsystem.store.rights import MOST_ENTRIES

ANN = "ann@example.org"
BOB = "bob@example.org"
TEAM = f"Other Users/{ANN}/Team"
ALL = MessageSet(((1, 0xFFFFFFFF),))


@dataclass
class Shared:
    """Ann's mailbox Team with three messages, and Bob, to whom she may give rights on it."""

    vault: Vault
    ann: Account
    bob: Account
    team: int

    async def give(self, letters: str, who: str = BOB, name: str = "Team") -> None:
        negative = who.startswith("-")
        identifier = Identifier(who.removeprefix("-"), negative)
        await self.vault.here.sharing.change(self.ann.id, name, identifier, rights_of(letters))

    async def others(self, account: Account) -> list[tuple[Mailbox, Rights]]:
        """What somebody sees of others' mailboxes."""
        visible = await self.vault.there.mailboxes.visible(account.id)
        return [(mailbox, rights) for mailbox, rights in visible if mailbox.account != account.id]

    async def flags(self, name: str = "Team") -> list[set[Flag]]:
        mailbox = await self.vault.there.mailboxes.find(self.ann.id, name)
        return [set(each.flags) for each in await self.vault.there.mailboxes.messages(self.ann.id, mailbox.id, ALL)]

    async def store(self, op: FlagOp, *flags: Flag, quietly: bool = False) -> None:
        await self.vault.there.mailboxes.set_flags(
            self.ann.id, self.team, ALL, op, frozenset(flags), actor=self.bob.id, quietly=quietly
        )


@pytest.fixture
async def shared(vault: Vault) -> Shared:
    bob = await vault.here.accounts.add(BOB, None, mailboxes=[("Mine", None)])
    team = await vault.here.mailboxes.create(vault.ann.id, "Team")
    await post(vault, "one", "two", "three", mailbox="Team")
    return Shared(vault, vault.ann, bob, team.id)


# -- what is seen


async def test_nobody_sees_what_is_not_shared(shared: Shared) -> None:
    there = shared.vault.there
    assert await shared.others(shared.bob) == []
    with pytest.raises(NoSuchMailbox):
        await there.mailboxes.find(shared.bob.id, TEAM)


async def test_a_shared_mailbox_is_seen_below_other_users(shared: Shared) -> None:
    await shared.give("lr")
    await shared.give("lrs", name="INBOX")
    listed = await shared.others(shared.bob)
    assert [(mailbox.shown, "".join(sorted(rights))) for mailbox, rights in listed] == [
        (f"Other Users/{ANN}/INBOX", "lrs"),
        (TEAM, "lr"),
    ]
    found = await shared.vault.there.mailboxes.find(shared.bob.id, f"Other Users/{ANN}/inbox")
    assert (found.account, found.name, found.shown) == (shared.ann.id, "INBOX", f"Other Users/{ANN}/INBOX")
    assert (await shared.vault.there.mailboxes.status(shared.bob.id, TEAM)).messages == 3


async def test_what_the_owner_uses_a_mailbox_for_is_not_told_to_others(shared: Shared) -> None:
    await shared.give("lr", name="Archive")
    [(mailbox, _)] = await shared.others(shared.bob)
    assert (mailbox.name, mailbox.special_use) == ("Archive", None)
    opened = await shared.vault.there.mailboxes.open(shared.bob.id, mailbox.shown, claim_recent=False)
    assert opened.mailbox.special_use is None
    mine = await shared.vault.there.mailboxes.open(shared.ann.id, "Archive", claim_recent=False)
    assert mine.mailbox.special_use == "\\Archive"


async def test_the_owner_sees_it_as_before_and_not_among_the_others(shared: Shared) -> None:
    await shared.give("lr", ANYONE)
    mailboxes = shared.vault.there.mailboxes
    assert await shared.others(shared.ann) == []
    assert (await mailboxes.find(shared.ann.id, "Team")).shown == "Team"
    with pytest.raises(NoSuchMailbox):
        await mailboxes.find(shared.ann.id, TEAM)


async def test_what_one_may_not_look_up_is_not_listed_but_can_be_used(shared: Shared) -> None:
    await shared.give("ip")
    there = shared.vault.there
    assert await shared.others(shared.bob) == []
    await there.mailboxes.append(shared.bob.id, TEAM, spooled(there, letter("dropped")))
    assert len(await shared.flags()) == 4
    with pytest.raises(NoSuchMailbox):
        await there.mailboxes.open(shared.bob.id, TEAM, claim_recent=True)


async def test_a_selected_mailbox_tells_ones_rights_and_what_the_owner_sees_stays_recent(shared: Shared) -> None:
    await shared.give("lr")
    mailboxes = shared.vault.there.mailboxes
    opened = await mailboxes.open(shared.bob.id, TEAM, claim_recent=True)
    assert opened.rights == frozenset("lr")
    assert opened.mailbox.shown == TEAM
    assert list(opened.recent) == [1, 2, 3]
    mine = await mailboxes.open(shared.ann.id, "Team", claim_recent=True)
    assert (list(mine.recent), mine.rights, mine.mailbox.shown) == ([1, 2, 3], EVERY, "Team")
    again = await mailboxes.open(shared.bob.id, TEAM, claim_recent=False)
    assert (again.rights, again.mailbox.shown) == (frozenset("lr"), TEAM)
    assert (await mailboxes.open(shared.ann.id, "Team", claim_recent=False)).mailbox.shown == "Team"


async def test_a_login_with_a_slash_is_one_level(shared: Shared) -> None:
    here = shared.vault.here
    odd = await here.accounts.add("50%/cid@example.org", None)
    await here.sharing.change(odd.id, "INBOX", Identifier(BOB), rights_of("lr"))
    [(mailbox, _)] = await shared.others(shared.bob)
    assert mailbox.shown == "Other Users/50%25%2Fcid@example.org/INBOX"
    assert await here.mailboxes.find(shared.bob.id, mailbox.shown) == mailbox


# -- how rights add up


async def test_rights_of_everybody_and_ones_own_add_up_and_negative_ones_take_away(shared: Shared) -> None:
    cid = await shared.vault.here.accounts.add("cid@example.org", None)
    await shared.give("lr", ANYONE)
    await shared.give("sw")
    await shared.give("rs", f"-{BOB}")
    sharing = shared.vault.there.sharing
    assert (await sharing.rights(shared.bob.id, TEAM))[1] == frozenset("lw")
    assert (await sharing.rights(cid.id, TEAM))[1] == frozenset("lr")
    assert (await sharing.rights(shared.ann.id, "Team"))[1] == EVERY
    await shared.give("l", f"-{ANYONE}")
    with pytest.raises(NoSuchMailbox):
        await shared.vault.there.mailboxes.status(shared.bob.id, TEAM)
    _, entries = await sharing.entries(shared.ann.id, "Team")
    assert entries == [
        Entry(Identifier(ANN), EVERY),
        Entry(Identifier(BOB), frozenset("sw")),
        Entry(Identifier(BOB, True), frozenset("rs")),
        Entry(Identifier(ANYONE), frozenset("lr")),
        Entry(Identifier(ANYONE, True), frozenset("l")),
    ]


async def test_rights_are_added_taken_away_and_dropped(shared: Shared) -> None:
    sharing = shared.vault.here.sharing
    for sign, letters, left in [("+", "lr", "lr"), ("+", "sw", "lrsw"), ("-", "rx", "lsw"), ("", "lr", "lr")]:
        await sharing.change(shared.ann.id, "Team", Identifier(BOB), rights_of(letters), sign)
        assert (await sharing.rights(shared.bob.id, TEAM))[1] == frozenset(left)
    await sharing.change(shared.ann.id, "Team", Identifier(BOB), frozenset())
    assert len((await sharing.entries(shared.ann.id, "Team"))[1]) == 1
    await shared.give("lr")
    await sharing.drop(shared.ann.id, "Team", Identifier(BOB))
    await sharing.drop(shared.ann.id, "Team", Identifier(BOB))
    with pytest.raises(NoSuchMailbox):
        await sharing.rights(shared.bob.id, TEAM)


async def test_the_owner_has_every_right_and_nobody_takes_it_away(shared: Shared) -> None:
    await shared.give("lra")
    sharing = shared.vault.here.sharing
    for actor, name in [(shared.ann.id, "Team"), (shared.bob.id, TEAM)]:
        for identifier in (Identifier(ANN), Identifier(ANN, True)):
            with pytest.raises(NotPermitted):
                await sharing.change(actor, name, identifier, rights_of("lr"))
        with pytest.raises(NotPermitted):
            await sharing.drop(actor, name, Identifier(ANN))
    await sharing.change(shared.ann.id, "Team", Identifier(ANN), EVERY)
    assert (await sharing.grantable(shared.bob.id, TEAM, Identifier(ANN)))[1] == EVERY
    assert (await sharing.grantable(shared.bob.id, TEAM, Identifier(ANYONE)))[1] == frozenset()
    await shared.give(EVERY_LETTER, f"-{ANYONE}")
    assert (await shared.vault.there.mailboxes.status(shared.ann.id, "Team")).messages == 3


EVERY_LETTER = "lrswipkxtea"


async def test_only_who_administers_sees_or_changes_the_list(shared: Shared) -> None:
    await shared.give("lrswipkxte")
    sharing = shared.vault.there.sharing
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: sharing.entries(shared.bob.id, TEAM),
        lambda: sharing.grantable(shared.bob.id, TEAM, Identifier(BOB)),
        lambda: sharing.change(shared.bob.id, TEAM, Identifier(BOB), EVERY),
        lambda: sharing.drop(shared.bob.id, TEAM, Identifier(BOB)),
    ]
    for act in acts:
        with pytest.raises(NotPermitted):
            await act()
    await shared.give("a")
    for act in acts[:3]:
        await act()
    assert (await sharing.rights(shared.bob.id, TEAM))[1] == EVERY


async def test_rights_are_given_to_people_who_are_here_only_and_to_few_enough(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotPermitted):
        await shared.give("lr", "nobody@example.org")
    monkeypatch.setattr("mailsystem.store.rights.MOST_ENTRIES", 1)
    await shared.give("lr")
    with pytest.raises(TooMany):
        await shared.give("lr", ANYONE)
    await shared.give("lrs")
    assert MOST_ENTRIES == 1000


# -- how long rights live


def entries(shared: Shared) -> int:
    """How many entries there are in all lists together."""
    with contextlib.closing(sqlite3.connect(shared.vault.directory / "mail.db")) as database:
        [[count]] = database.execute("SELECT COUNT(*) FROM rights")
    return int(count)


async def test_rights_outlive_a_rename_and_go_with_the_mailbox(shared: Shared) -> None:
    await shared.give("lr")
    here = shared.vault.here
    await here.mailboxes.rename(shared.ann.id, "Team", "Old/Team")
    renamed = f"Other Users/{ANN}/Old/Team"
    assert (await here.sharing.rights(shared.bob.id, renamed))[1] == frozenset("lr")
    await here.mailboxes.delete(shared.ann.id, "Old/Team")
    await here.mailboxes.create(shared.ann.id, "Old/Team")
    assert entries(shared) == 0
    with pytest.raises(NoSuchMailbox):
        await here.mailboxes.find(shared.bob.id, renamed)


async def test_nobody_inherits_rights_by_a_login(shared: Shared) -> None:
    await shared.give("lr")
    accounts = shared.vault.here.accounts
    await accounts.remove(BOB)
    bob = await accounts.add(BOB, None)
    assert await shared.others(bob) == []
    with pytest.raises(NoSuchMailbox):
        await shared.vault.there.mailboxes.find(bob.id, TEAM)
    assert len((await shared.vault.there.sharing.entries(shared.ann.id, "Team"))[1]) == 1


async def test_with_the_owner_goes_what_they_shared(shared: Shared) -> None:
    await shared.give("lr")
    accounts = shared.vault.here.accounts
    await accounts.remove(ANN)
    assert entries(shared) == 0
    assert await shared.others(shared.bob) == []
    ann = await accounts.add(ANN, None, mailboxes=[("Team", None)])
    assert ann.id != shared.ann.id
    with pytest.raises(NoSuchMailbox):
        await shared.vault.there.mailboxes.find(shared.bob.id, TEAM)


async def test_a_new_mailbox_inherits_the_rights_on_the_one_above(shared: Shared) -> None:
    await shared.give("lrk")
    here = shared.vault.here
    await here.mailboxes.create(shared.ann.id, "Team/a/b")
    made = await here.mailboxes.create(shared.bob.id, f"{TEAM}/a/b/c")
    assert (made.account, made.name, made.shown) == (shared.ann.id, "Team/a/b/c", f"{TEAM}/a/b/c")
    for name in ("a", "a/b", "a/b/c"):
        assert (await here.sharing.rights(shared.bob.id, f"{TEAM}/{name}"))[1] == frozenset("lrk")


# -- what one may do within a mailbox


@pytest.mark.parametrize(
    ("letters", "left"),
    [
        ("lrs", {SEEN}),
        ("lrt", {DELETED}),
        ("lrw", {FLAGGED, Flag("$Work")}),
        ("lrsw", {SEEN, FLAGGED, Flag("$Work")}),
    ],
)
async def test_only_the_flags_that_one_may_change_are_changed(shared: Shared, letters: str, left: set[Flag]) -> None:
    await shared.give(letters)
    every = (SEEN, DELETED, FLAGGED, Flag("$Work"))
    await shared.store(FlagOp.ADD, *every)
    assert await shared.flags() == [left] * 3
    await shared.vault.here.mailboxes.set_flags(shared.ann.id, shared.team, ALL, FlagOp.ADD, frozenset(every))
    await shared.store(FlagOp.REMOVE, *every)
    assert await shared.flags() == [set(every) - left] * 3
    await shared.store(FlagOp.SET, *every)
    assert await shared.flags() == [set(every)] * 3
    await shared.store(FlagOp.SET)
    assert await shared.flags() == [set(every) - left] * 3


async def test_a_store_that_may_change_nothing_is_refused(shared: Shared) -> None:
    await shared.give("lrs")
    with pytest.raises(NotPermitted):
        await shared.store(FlagOp.ADD, FLAGGED, DELETED)
    await shared.give("lr")
    for op in FlagOp:
        with pytest.raises(NotPermitted):
            await shared.store(op, SEEN)
    await shared.store(FlagOp.ADD, SEEN, quietly=True)
    assert await shared.flags() == [set()] * 3


async def test_expunging_needs_its_right(shared: Shared) -> None:
    await shared.vault.here.mailboxes.set_flags(shared.ann.id, shared.team, ALL, FlagOp.ADD, frozenset({DELETED}))
    await shared.give("lrt")
    mailboxes = shared.vault.there.mailboxes
    with pytest.raises(NotPermitted):
        await mailboxes.expunge(shared.ann.id, shared.team, actor=shared.bob.id)
    await mailboxes.expunge(shared.ann.id, shared.team, actor=shared.bob.id, quietly=True)
    assert len(await shared.flags()) == 3
    await shared.give("lre")
    await mailboxes.expunge(shared.ann.id, shared.team, actor=shared.bob.id)
    assert await shared.flags() == []


@pytest.mark.parametrize(
    ("letters", "kept"),
    [("lri", set()), ("lris", {SEEN}), ("lrit", {DELETED}), ("lriw", {DRAFT, ANSWERED}), ("lriswt", None)],
)
async def test_what_is_put_in_has_the_flags_that_one_may_set(
    shared: Shared, letters: str, kept: set[Flag] | None
) -> None:
    await shared.give(letters)
    flags = {SEEN, DELETED, DRAFT, ANSWERED}
    kept = flags if kept is None else kept
    there = shared.vault.there
    await there.mailboxes.append(shared.bob.id, TEAM, spooled(there, letter("x")), flags=frozenset(flags))
    assert (await shared.flags())[-1] == kept
    mine = await there.mailboxes.append(shared.bob.id, "Mine", spooled(there, letter("y")), flags=frozenset(flags))
    await there.mailboxes.copy(shared.bob.id, mine.mailbox.id, ALL, TEAM)
    assert (await shared.flags())[-1] == kept
    await there.mailboxes.move(shared.bob.id, mine.mailbox.id, ALL, TEAM)
    assert (await shared.flags())[-1] == kept
    assert (await there.mailboxes.status(shared.bob.id, "Mine")).messages == 0


async def test_several_at_once_have_the_flags_that_one_may_set(shared: Shared) -> None:
    await shared.give("lriw")
    there = shared.vault.there
    flags = frozenset({SEEN, DELETED, DRAFT})
    news = [New(spooled(there, letter(subject)), flags) for subject in ("x", "y")]
    done = await there.mailboxes.append_all(shared.bob.id, TEAM, news)
    assert [each.mailbox.account for each in done] == [shared.ann.id] * 2
    assert (await shared.flags())[-2:] == [{DRAFT}] * 2
    assert (await shared.vault.here.accounts.summary(BOB)).messages == 0
    await shared.give("lrw")
    with pytest.raises(NotPermitted):
        await there.mailboxes.append_all(shared.bob.id, TEAM, [New(spooled(there, letter("z")))])


async def test_replacing_needs_the_rights_on_both_ends_and_counts_for_both(shared: Shared) -> None:
    there = shared.vault.there
    mine = await there.mailboxes.append(shared.bob.id, "Mine", spooled(there, letter("old")))

    async def replace(here: tuple[Account, int, int], target: str) -> None:
        owner, mailbox, uid = here
        new = New(spooled(there, letter("a new one")), frozenset({SEEN, FLAGGED}))
        assert await there.mailboxes.replace(owner.id, mailbox, uid, target, new, actor=shared.bob.id) is not None

    team, own = (shared.ann, shared.team, 1), (shared.bob, mine.mailbox.id, mine.uid)
    for letters in ("lrti", "lrei", "lrte"):
        await shared.give(letters)
        with pytest.raises(NotPermitted):
            await replace(team, TEAM)
    with pytest.raises(NotPermitted):
        await replace(own, TEAM)
    await shared.give("lrtei")
    await replace(team, TEAM)
    assert await shared.flags() == [set(), set(), set()]
    await replace(own, TEAM)
    await replace((shared.ann, shared.team, 2), "Mine")
    assert len(await shared.flags()) == 3
    for account, name in ((shared.ann, "Team"), (shared.bob, "Mine")):
        summary = await shared.vault.here.accounts.summary(account.login)
        status = await there.mailboxes.status(account.id, name)
        assert (summary.messages, summary.size) == (status.messages, status.size)
    await shared.vault.here.accounts.set_quota(ANN, Quota(messages=3))
    mine = await there.mailboxes.append(shared.bob.id, "Mine", spooled(there, letter("again")))
    with pytest.raises(OverQuota):
        await replace((shared.bob, mine.mailbox.id, mine.uid), TEAM)


async def test_putting_in_needs_its_right_and_leaves_nothing_behind_without(shared: Shared) -> None:
    await shared.give("lrswte")
    there = shared.vault.there
    mine = await there.mailboxes.append(shared.bob.id, "Mine", spooled(there, letter("x" * 9, "y" * 9000)))
    spool = spooled(there, letter("x", "z" * 9000))
    with pytest.raises(NotPermitted):
        await there.mailboxes.append(shared.bob.id, TEAM, spool)
    spool.discard()
    for act in (there.mailboxes.copy, there.mailboxes.move):
        with pytest.raises(NotPermitted):
            await act(shared.bob.id, mine.mailbox.id, ALL, TEAM)
        with pytest.raises(NotPermitted):
            await act(shared.ann.id, shared.team, ALL, TEAM, actor=shared.bob.id)
    assert (await there.mailboxes.status(shared.bob.id, "Mine")).messages == 1
    files = [each for each in (shared.vault.directory / "contents").rglob("*") if each.is_file()]
    assert len(files) == 1


# -- between two accounts


async def test_a_copy_is_the_readers_own_shares_the_content_and_counts_for_them(shared: Shared) -> None:
    await shared.give("lr")
    await shared.vault.here.mailboxes.set_flags(shared.ann.id, shared.team, ALL, FlagOp.ADD, frozenset({DELETED}))
    mailboxes = shared.vault.there.mailboxes
    copied = await mailboxes.copy(shared.ann.id, shared.team, MessageSet.of([1, 3]), "Mine", actor=shared.bob.id)
    assert (copied.source, copied.target) == ([1, 3], [1, 2])
    mine = await mailboxes.find(shared.bob.id, "Mine")
    assert copied.uidvalidity == mine.uidvalidity
    theirs = await mailboxes.messages(shared.ann.id, shared.team, MessageSet.of([1, 3]))
    ours = await mailboxes.messages(shared.bob.id, mine.id, ALL)
    assert [each.content for each in ours] == [each.content for each in theirs]
    assert [each.flags for each in ours] == [frozenset({DELETED})] * 2
    summary = await shared.vault.here.accounts.summary(BOB)
    assert (summary.messages, summary.size) == (2, sum(each.size for each in ours))
    with pytest.raises(NotPermitted):
        await mailboxes.move(shared.ann.id, shared.team, ALL, "Mine", actor=shared.bob.id)


async def test_moving_away_needs_both_rights_and_counts_for_both(shared: Shared) -> None:
    mailboxes = shared.vault.there.mailboxes
    for letters in ("lrt", "lre"):
        await shared.give(letters)
        with pytest.raises(NotPermitted):
            await mailboxes.move(shared.ann.id, shared.team, ALL, "Mine", actor=shared.bob.id)
    await shared.give("lrte")
    before = (await mailboxes.find(shared.ann.id, "Team")).modseq
    moved = await mailboxes.move(shared.ann.id, shared.team, ALL, "Mine", actor=shared.bob.id)
    assert moved.source == moved.target == [1, 2, 3]
    gone = await mailboxes.changes(shared.ann.id, shared.team, before)
    assert list(gone.vanished) == [1, 2, 3]
    mine = await mailboxes.find(shared.bob.id, "Mine")
    assert {each.modseq for each in await mailboxes.messages(shared.bob.id, mine.id, ALL)} == {mine.modseq}
    ann, bob = [await shared.vault.here.accounts.summary(login) for login in (ANN, BOB)]
    assert (ann.messages, ann.size, bob.messages) == (0, 0, 3)
    assert bob.size == (await mailboxes.status(shared.bob.id, "Mine")).size


async def test_the_quota_is_of_whose_mailbox_it_is(shared: Shared) -> None:
    await shared.give("lrite")
    accounts, there = shared.vault.here.accounts, shared.vault.there
    mine = await there.mailboxes.append(shared.bob.id, "Mine", spooled(there, letter("x")))
    await accounts.set_quota(ANN, Quota(messages=3))
    await accounts.set_quota(BOB, Quota(messages=1))
    for act in (there.mailboxes.copy, there.mailboxes.move):
        with pytest.raises(OverQuota):
            await act(shared.bob.id, mine.mailbox.id, ALL, TEAM)
        with pytest.raises(OverQuota):
            await act(shared.ann.id, shared.team, ALL, "Mine", actor=shared.bob.id)
    with pytest.raises(OverQuota):
        await there.mailboxes.append(shared.bob.id, TEAM, spooled(there, letter("x")))
    assert (len(await shared.flags()), (await accounts.summary(BOB)).messages) == (3, 1)


async def test_two_who_copy_to_each_other_from_two_processes_lose_nothing(shared: Shared) -> None:
    await shared.give("lri")
    vault = shared.vault
    mine = await vault.here.mailboxes.append(shared.bob.id, "Mine", spooled(vault.here, letter("x")))
    one = MessageSet.of([1])
    await asyncio.gather(
        *(vault.here.mailboxes.copy(shared.bob.id, mine.mailbox.id, one, TEAM) for _ in range(20)),
        *(vault.there.mailboxes.copy(shared.ann.id, shared.team, one, "Mine", actor=shared.bob.id) for _ in range(20)),
    )
    assert (await vault.there.mailboxes.status(shared.ann.id, "Team")).messages == 23
    opened = await vault.there.mailboxes.open(shared.bob.id, "Mine", claim_recent=False)
    assert list(opened.uids) == list(range(1, 22))


async def test_one_may_copy_and_move_between_two_others(shared: Shared) -> None:
    cid = await shared.vault.here.accounts.add("cid@example.org", None, mailboxes=[("Box", None)])
    await shared.vault.here.sharing.change(cid.id, "Box", Identifier(BOB), rights_of("lriw"))
    await shared.give("lrte")
    await shared.vault.here.mailboxes.set_flags(shared.ann.id, shared.team, ALL, FlagOp.ADD, frozenset({SEEN, FLAGGED}))
    mailboxes, box = shared.vault.there.mailboxes, "Other Users/cid@example.org/Box"
    await mailboxes.copy(shared.ann.id, shared.team, MessageSet.of([1]), box, actor=shared.bob.id)
    await mailboxes.move(shared.ann.id, shared.team, MessageSet.of([2]), box, actor=shared.bob.id)
    theirs = await mailboxes.find(cid.id, "Box")
    assert [each.flags for each in await mailboxes.messages(cid.id, theirs.id, ALL)] == [frozenset({FLAGGED})] * 2
    counts = [(await shared.vault.here.accounts.summary(login)).messages for login in (ANN, BOB, "cid@example.org")]
    assert counts == [2, 0, 2]


# -- names


async def test_making_below_needs_the_right_on_the_nearest_mailbox_above(shared: Shared) -> None:
    mailboxes = shared.vault.there.mailboxes
    await shared.give("lrx")
    with pytest.raises(NotPermitted):
        await mailboxes.create(shared.bob.id, f"{TEAM}/new")
    await shared.give("lrk")
    await mailboxes.create(shared.bob.id, f"{TEAM}/new")
    with pytest.raises(MailboxExists):
        await mailboxes.create(shared.bob.id, f"{TEAM}/new")
    await shared.give("", name="Team/new")
    for name in (f"{TEAM}/new/a", f"Other Users/{ANN}/top", f"Other Users/{ANN}", "Other Users", "Other Users/x/y"):
        with pytest.raises(NotPermitted):
            await mailboxes.create(shared.bob.id, name)
    with pytest.raises(NotPermitted):
        await mailboxes.create(shared.bob.id, f"{TEAM}/sent", "\\Sent")
    with pytest.raises(NotPermitted):
        await mailboxes.create(shared.ann.id, f"Other Users/{ANN}/mine")


async def test_deleting_and_renaming_need_their_rights_and_keep_the_owner(shared: Shared) -> None:
    mailboxes = shared.vault.there.mailboxes
    await shared.give("lrk")
    await mailboxes.create(shared.bob.id, f"{TEAM}/a")
    with pytest.raises(NotPermitted):
        await mailboxes.delete(shared.bob.id, f"{TEAM}/a")
    with pytest.raises(NotPermitted):
        await mailboxes.rename(shared.bob.id, f"{TEAM}/a", f"{TEAM}/b")
    await shared.give("lrkx", name="Team/a")
    await mailboxes.rename(shared.bob.id, f"{TEAM}/a", f"{TEAM}/b")
    for target in ("Mine/b", f"Other Users/{ANN}/b", f"Other Users/{BOB}/b", "Other Users/x@example.org/b"):
        with pytest.raises(NotPermitted):
            await mailboxes.rename(shared.bob.id, f"{TEAM}/b", target)
    with pytest.raises(NotPermitted):
        await mailboxes.rename(shared.bob.id, "Mine", f"{TEAM}/mine")
    await mailboxes.delete(shared.bob.id, f"{TEAM}/b")
    assert [each.name for each in await mailboxes.list(shared.ann.id)] == ["INBOX", "Archive", "Team"]
    await shared.give(EVERY_LETTER, name="INBOX")
    inbox = f"Other Users/{ANN}/INBOX"
    with pytest.raises(NotPermitted):
        await mailboxes.delete(shared.bob.id, inbox)
    with pytest.raises(NotPermitted):
        await mailboxes.rename(shared.bob.id, inbox, f"{TEAM}/b")


async def test_subscriptions_are_of_who_made_them(shared: Shared) -> None:
    await shared.vault.here.mailboxes.subscribe(shared.bob.id, TEAM, True)
    assert TEAM in await shared.vault.there.mailboxes.subscriptions(shared.bob.id)
    assert TEAM not in await shared.vault.there.mailboxes.subscriptions(shared.ann.id)


# -- who may know of it


def named(shared: Shared, name: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """Everything that Bob can do with a name."""
    vault, bob = shared.vault, shared.bob.id
    here = vault.there.mailboxes
    sharing = vault.there.sharing

    async def mine() -> int:
        return (await here.find(bob, "Mine")).id

    async def copying(act: Callable[..., Awaitable[object]]) -> object:
        return await act(bob, await mine(), ALL, name)

    return {
        "find": lambda: here.find(bob, name),
        "status": lambda: here.status(bob, name),
        "open": lambda: here.open(bob, name, claim_recent=True),
        "append": lambda: here.append(bob, name, spooled(vault.there, letter("x"))),
        "copy": lambda: copying(here.copy),
        "move": lambda: copying(here.move),
        "create": lambda: here.create(bob, name),
        "create below": lambda: here.create(bob, f"{name}/below"),
        "delete": lambda: here.delete(bob, name),
        "rename": lambda: here.rename(bob, name, f"{name}2"),
        "rename to it": lambda: here.rename(bob, "Mine", name),
        "rights": lambda: sharing.rights(bob, name),
        "entries": lambda: sharing.entries(bob, name),
        "grantable": lambda: sharing.grantable(bob, name, Identifier(BOB)),
        "change": lambda: sharing.change(bob, name, Identifier(BOB), EVERY),
        "drop": lambda: sharing.drop(bob, name, Identifier(BOB)),
    }


async def outcome(act: Callable[[], Awaitable[object]]) -> str:
    try:
        await act()
    except (NoSuchMailbox, NotPermitted, MailboxExists) as failure:
        return repr(failure)
    return "done"


@pytest.mark.parametrize("act", ["find", "status", "open", "append", "copy", "move", "create", "create below", "delete",
                                 "rename", "rename to it", "rights", "entries", "grantable", "change", "drop"])  # fmt: skip
async def test_what_one_may_not_see_answers_as_what_is_not_there(shared: Shared, act: str) -> None:
    await shared.give("lrswipkxtea", "-" + BOB)
    answers = {
        name: await outcome(named(shared, name)[act])
        for name in (
            TEAM,
            f"Other Users/{ANN}/INBOX",
            f"Other Users/{ANN}/Nothing",
            "Other Users/nobody@example.org/INBOX",
            f"Other Users/{BOB}/Mine",
        )
    }
    assert len(set(answers.values())) == 1, answers
    assert "done" not in answers.values()


@pytest.mark.parametrize(
    "act", ["status", "open", "append", "copy", "move", "create", "create below", "delete", "rename", "rename to it",
            "entries", "grantable", "change", "drop"])  # fmt: skip
async def test_who_may_only_look_it_up_may_do_nothing_else(shared: Shared, act: str) -> None:
    await shared.give("l")
    with pytest.raises(NotPermitted):
        await named(shared, TEAM)[act]()
    assert (await shared.vault.there.mailboxes.status(shared.ann.id, "Team")).messages == 3


# -- rights that end meanwhile


def within(shared: Shared) -> dict[str, Callable[[], Awaitable[object]]]:
    """Everything that Bob can do who has selected the mailbox."""
    there = shared.vault.there.mailboxes
    ann, team, bob = shared.ann.id, shared.team, shared.bob.id

    async def fetch() -> object:
        return [each async for each in there.fetch(ann, team, ALL, Want.RAW, actor=bob)]

    return {
        "messages": lambda: there.messages(ann, team, ALL, actor=bob),
        "fetch": fetch,
        "set_flags": lambda: there.set_flags(ann, team, ALL, FlagOp.ADD, frozenset({SEEN}), actor=bob, quietly=True),
        "copy": lambda: there.copy(ann, team, ALL, "Mine", actor=bob),
        "move": lambda: there.move(ann, team, ALL, "Mine", actor=bob),
        "replace": lambda: there.replace(
            ann, team, 3, "Mine", New(spooled(shared.vault.there, letter("x"))), actor=bob
        ),
        "expunge": lambda: there.expunge(ann, team, actor=bob, quietly=True),
        "changes": lambda: there.changes(ann, team, ModSeq(0), actor=bob),
    }


@pytest.mark.parametrize("act", ["messages", "fetch", "set_flags", "copy", "move", "replace", "expunge", "changes"])
async def test_who_may_not_read_it_any_more_finds_it_gone(shared: Shared, act: str) -> None:
    await shared.give("lrswite")
    await within(shared)[act]()
    await shared.give("lswite")
    with pytest.raises(NoSuchMailbox):
        await within(shared)[act]()
    await shared.give("")
    with pytest.raises(NoSuchMailbox):
        await within(shared)[act]()


async def test_a_slow_reader_gets_no_slice_more_once_the_right_is_gone(shared: Shared) -> None:
    await post(shared.vault, *(f"n{number}" for number in range(3)), mailbox="Team")
    await shared.give("lr")
    large = letter("large", "x" * 4000)
    for _ in range(600):
        await shared.vault.here.mailboxes.append(shared.ann.id, "Team", spooled(shared.vault.here, large))
    slices = shared.vault.there.mailboxes.fetch(shared.ann.id, shared.team, ALL, Want.RAW, actor=shared.bob.id)
    assert await anext(slices)
    await shared.give("")
    with pytest.raises(NoSuchMailbox):
        await anext(slices)


async def test_taking_rights_away_wakes_who_watches_in_another_process(shared: Shared) -> None:
    await shared.give("lr")
    there = shared.vault.there
    heard = there.bell.rung
    await there.mailboxes.changes(shared.ann.id, shared.team, ModSeq(0), actor=shared.bob.id)
    waiting = asyncio.create_task(there.bell.wait(heard, (shared.ann.id, shared.team)))
    await asyncio.sleep(0)
    await shared.vault.here.sharing.drop(shared.ann.id, "Team", Identifier(BOB))
    await asyncio.wait_for(waiting, 5)
    with pytest.raises(NoSuchMailbox):
        await there.mailboxes.changes(shared.ann.id, shared.team, ModSeq(0), actor=shared.bob.id)


async def test_no_act_comes_after_the_right_to_it_was_taken_away(shared: Shared) -> None:
    """Two processes race: what Bob did before is there, what he does afterwards is refused, nothing in between."""
    await shared.give("lri")
    done: list[bool] = []
    enough = asyncio.Event()

    async def fill() -> None:
        there = shared.vault.there
        for _ in range(200):
            try:
                await there.mailboxes.append(shared.bob.id, TEAM, spooled(there, letter("x")))
            except NoSuchMailbox:
                done.append(False)
                return
            done.append(True)
            if len(done) == 5:
                enough.set()

    async def revoke() -> int:
        await enough.wait()
        await shared.vault.here.sharing.drop(shared.ann.id, "Team", Identifier(BOB))
        return (await shared.vault.here.mailboxes.status(shared.ann.id, "Team")).messages

    _, count = await asyncio.gather(fill(), revoke())
    assert done[-1] is False
    assert count == 3 + len(done) - 1
    assert (await shared.vault.here.mailboxes.status(shared.ann.id, "Team")).messages == count


async def test_owners_pay_no_statement_for_what_others_may(shared: Shared) -> None:
    from mailsystem.store import rights

    for actor in (None, shared.ann.id):
        with pytest.raises(StopIteration) as ended:
            next(rights.held(actor, shared.ann.id, shared.team, "r"))
        assert ended.value.value == EVERY
    with pytest.raises(StopIteration):
        next(rights.place(shared.ann.id, "Team", "i"))


async def test_looking_for_what_is_shared_uses_the_index(shared: Shared) -> None:
    from mailsystem.store import rights

    unit = rights.shared_with(shared.bob.id)
    statement = next(unit)
    with contextlib.closing(sqlite3.connect(shared.vault.directory / "mail.db")) as database:
        plan = database.execute("EXPLAIN QUERY PLAN " + statement.text.replace("$", "?"), statement.params).fetchall()
    assert not [step for step in plan if step[3].startswith("SCAN")], plan
