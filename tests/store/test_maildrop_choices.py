"""What an account chose for its maildrop, and what becomes of its mail by that."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from vault import TestClock, Vault, letter, post, spooled

from mailsystem.mail.account import TooSoon
from mailsystem.mail.errors import InUse, NoSuchMailbox, Unavailable
from mailsystem.mail.mailbox import FLAGGED, SEEN, MailboxId, MessageSet
from mailsystem.store import Choices, FlagOp, Handled, holder, open_store

DAY = 86_400


def of(*uids: int) -> MessageSet:
    return MessageSet.of(uids)


async def choose(vault: Vault, **chosen: object) -> None:
    await vault.here.maildrops.choose(vault.ann.id, Choices(**chosen))  # type: ignore[arg-type]


NONE = MessageSet()


async def quit_(vault: Vault, *, deleted: MessageSet = NONE, downloaded: MessageSet = NONE) -> int:
    """A whole session at another process, in INBOX."""
    drops = vault.there.maildrops
    lease = await drops.acquire(vault.ann.id)
    mailbox = (await drops.listing(vault.ann.id)).mailbox
    return len(await drops.finish(lease, [Handled(mailbox.id, deleted, downloaded)]))


async def uids(vault: Vault, mailbox: str = "INBOX") -> list[int]:
    return list((await vault.there.mailboxes.open(vault.ann.id, mailbox, claim_recent=False)).uids)


async def inbox(vault: Vault) -> MailboxId:
    return (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).id


async def counters_are_right(vault: Vault) -> None:
    summary = await vault.there.accounts.summary(vault.ann.login)
    statuses = [await vault.there.mailboxes.status(vault.ann.id, one.name) for one in
                await vault.there.mailboxes.list(vault.ann.id)]  # fmt: skip
    assert (summary.messages, summary.size) == (sum(s.messages for s in statuses), sum(s.size for s in statuses))


async def test_nobody_chose_anything_at_first(vault: Vault) -> None:
    assert await vault.here.maildrops.choices(vault.ann.id) == Choices(None, False, None, ("INBOX",))
    assert await vault.here.maildrops.everybodys_choices() == {}
    announced = await vault.here.maildrops.announced()
    assert (announced.shortest_keep_days, announced.longest_login_delay) == (None, None)


async def test_choices_are_kept_and_the_extremes_announced(vault: Vault) -> None:
    bob = await vault.here.accounts.add("bob@example.org", None)
    chosen = Choices(30, True, 60, ("Archive", "INBOX"))
    await vault.here.maildrops.choose(vault.ann.id, chosen)
    await vault.here.maildrops.choose(bob.id, Choices(keep_days=7, login_delay=0))
    assert await vault.there.maildrops.choices(vault.ann.id) == chosen
    assert await vault.there.maildrops.everybodys_choices() == {
        vault.ann.id: chosen,
        bob.id: Choices(keep_days=7, login_delay=0),
    }
    announced = await vault.there.maildrops.announced()
    assert (announced.shortest_keep_days, announced.longest_login_delay) == (7, 60)


async def test_a_mailbox_that_is_not_there_cannot_be_shown(vault: Vault) -> None:
    with pytest.raises(NoSuchMailbox, match="no mailbox Spam"):
        await choose(vault, mailboxes=("INBOX", "Spam"))
    assert (await vault.here.maildrops.choices(vault.ann.id)).mailboxes == ("INBOX",)


async def test_several_mailboxes_are_shown_in_their_order_over_renames_until_they_are_gone(vault: Vault) -> None:
    await post(vault, "one")
    await post(vault, "old", mailbox="Archive")
    await choose(vault, mailboxes=("Archive", "INBOX"))
    await vault.here.mailboxes.rename(vault.ann.id, "Archive", "Attic")
    drop = await vault.there.maildrops.listing(vault.ann.id)
    assert [(folder.mailbox.name, len(folder.messages)) for folder in drop.folders] == [("Attic", 1), ("INBOX", 1)]
    await vault.here.mailboxes.delete(vault.ann.id, "Attic")
    drop = await vault.there.maildrops.listing(vault.ann.id)
    assert [folder.mailbox.name for folder in drop.folders] == ["INBOX"]


async def test_inbox_is_shown_when_nothing_else_is_left(vault: Vault) -> None:
    await choose(vault, mailboxes=("Archive",))
    await vault.here.mailboxes.delete(vault.ann.id, "Archive")
    assert (await vault.there.maildrops.listing(vault.ann.id)).mailbox.name == "INBOX"


async def test_what_is_downloaded_stays_for_ever_unless_chosen_otherwise(vault: Vault) -> None:
    await post(vault, "one", "two")
    assert await quit_(vault, downloaded=of(1, 2)) == 0
    vault.clock.time += 10_000 * DAY
    assert len(await vault.here.maildrops.expire()) == 0
    assert await uids(vault) == [1, 2]


async def test_what_is_downloaded_goes_at_once_if_that_is_chosen_but_never_what_is_flagged(vault: Vault) -> None:
    await post(vault, "one", "two", "three", "four")
    await choose(vault, keep_days=0)
    await vault.here.mailboxes.set_flags(vault.ann.id, await inbox(vault), of(2, 4), FlagOp.ADD, frozenset({FLAGGED}))
    assert await quit_(vault, downloaded=MessageSet(((1, 2),)), deleted=of(4)) == 2
    assert await uids(vault) == [2, 3]
    await counters_are_right(vault)


async def test_a_download_without_quit_removes_nothing(vault: Vault) -> None:
    await post(vault, "one")
    await choose(vault, keep_days=0)
    lease = await vault.here.maildrops.acquire(vault.ann.id)
    await vault.here.maildrops.release(lease)
    assert await uids(vault) == [1]


async def test_what_was_downloaded_goes_after_its_days_and_not_before(vault: Vault) -> None:
    await post(vault, "one", "two", "three")
    await choose(vault, keep_days=30)
    assert await quit_(vault, downloaded=of(1, 2)) == 0
    vault.clock.time += 29 * DAY
    await quit_(vault, downloaded=of(2))  # the first time counts
    assert len(await vault.here.maildrops.expire()) == 0
    vault.clock.time += DAY + 1
    modseq = (await vault.here.mailboxes.find(vault.ann.id, "INBOX")).modseq
    assert len(await vault.here.maildrops.expire()) == 2
    assert await uids(vault) == [3], "it was never downloaded"
    changes = await vault.there.mailboxes.changes(vault.ann.id, await inbox(vault), modseq)
    assert changes.vanished == of(1, 2), "who watches by IMAP is told"
    await counters_are_right(vault)
    assert len(await vault.there.maildrops.expire()) == 0


async def test_a_flagged_message_stays_until_it_is_flagged_no_more(vault: Vault) -> None:
    await post(vault, "one")
    await choose(vault, keep_days=1)
    await quit_(vault, downloaded=of(1))
    flagged = frozenset({FLAGGED})
    await vault.here.mailboxes.set_flags(vault.ann.id, await inbox(vault), of(1), FlagOp.ADD, flagged)
    vault.clock.time += 5 * DAY
    assert len(await vault.here.maildrops.expire()) == 0
    await vault.here.mailboxes.set_flags(vault.ann.id, await inbox(vault), of(1), FlagOp.REMOVE, flagged)
    assert len(await vault.here.maildrops.expire()) == 1


async def test_what_was_filed_elsewhere_by_imap_stays(vault: Vault) -> None:
    await post(vault, "one")
    await choose(vault, keep_days=1)
    await quit_(vault, downloaded=of(1))
    await vault.here.mailboxes.move(vault.ann.id, await inbox(vault), of(1), "Archive")
    vault.clock.time += 5 * DAY
    assert len(await vault.here.maildrops.expire()) == 0
    assert await uids(vault, "Archive") == [1]


async def test_a_maildrop_in_use_does_not_lose_messages_to_the_sweep(vault: Vault) -> None:
    await post(vault, "one")
    await choose(vault, keep_days=1)
    await quit_(vault, downloaded=of(1))
    vault.clock.time += 5 * DAY
    lease = await vault.there.maildrops.acquire(vault.ann.id)
    assert len(await vault.here.maildrops.expire()) == 0
    await vault.there.maildrops.release(lease)
    assert len(await vault.here.maildrops.expire()) == 1


async def test_each_account_keeps_mail_for_its_own_days(vault: Vault) -> None:
    bob = await vault.here.accounts.add("bob@example.org", None)
    await choose(vault, keep_days=2)
    await vault.here.maildrops.choose(bob.id, Choices(keep_days=9))
    for account in (vault.ann, bob):
        await vault.here.mailboxes.append(account.id, "INBOX", spooled(vault.here, letter("x")))
        lease = await vault.here.maildrops.acquire(account.id)
        drop = await vault.here.maildrops.listing(account.id)
        await vault.here.maildrops.finish(lease, [Handled(drop.mailbox.id, of(), of(1))])
    vault.clock.time += 3 * DAY
    assert len(await vault.here.maildrops.expire()) == 1
    assert (await vault.here.mailboxes.status(bob.id, "INBOX")).messages == 1


async def test_what_is_deleted_moves_to_trash_as_read_if_that_is_chosen(vault: Vault) -> None:
    await post(vault, "one", "two")
    await choose(vault, trash=True)
    assert await quit_(vault, deleted=of(1)) == 1
    assert await uids(vault) == [2]
    trash = await vault.there.mailboxes.find(vault.ann.id, "Trash")  # she had none
    assert trash.special_use == "\\Trash"
    [message] = await vault.there.mailboxes.messages(vault.ann.id, trash.id, of(1))
    assert message.flags == {SEEN}
    await counters_are_right(vault)


async def test_trash_is_what_has_that_use_whatever_it_is_called(vault: Vault) -> None:
    await vault.here.mailboxes.create(vault.ann.id, "Papierkorb", special_use="\\Drafts \\Trash")
    await vault.here.mailboxes.create(vault.ann.id, "Trash")
    await post(vault, "one")
    await choose(vault, trash=True, keep_days=1)
    await quit_(vault, downloaded=of(1))
    vault.clock.time += 2 * DAY
    assert len(await vault.here.maildrops.expire()) == 1
    assert (await uids(vault, "Papierkorb"), await uids(vault, "Trash")) == ([1], [])


async def test_what_is_deleted_in_trash_is_gone(vault: Vault) -> None:
    await vault.here.mailboxes.create(vault.ann.id, "Trash", special_use="\\Trash")
    await post(vault, "one", mailbox="Trash")
    await choose(vault, trash=True, mailboxes=("Trash",))
    assert await quit_(vault, deleted=of(1)) == 1
    assert await uids(vault, "Trash") == []


async def test_a_full_account_may_move_to_trash(vault: Vault) -> None:
    from mailsystem.store import Quota

    await post(vault, "one")
    await vault.here.accounts.set_quota(vault.ann.login, Quota(messages=1))
    await choose(vault, trash=True)
    assert await quit_(vault, deleted=of(1)) == 1
    await counters_are_right(vault)


async def test_several_mailboxes_change_together_or_not_at_all(vault: Vault) -> None:
    await post(vault, "one")
    await post(vault, "old", mailbox="Archive")
    await choose(vault, mailboxes=("INBOX", "Archive"))
    lost = await vault.here.maildrops.acquire(vault.ann.id)
    handled = [
        Handled(folder.mailbox.id, of(1)) for folder in (await vault.here.maildrops.listing(vault.ann.id)).folders
    ]
    vault.clock.time += 61
    held = await vault.there.maildrops.acquire(vault.ann.id)
    with pytest.raises(InUse):
        await vault.here.maildrops.finish(lost, handled)
    assert (await uids(vault), await uids(vault, "Archive")) == ([1], [1])
    assert len(await vault.there.maildrops.finish(held, handled)) == 2
    assert (await uids(vault), await uids(vault, "Archive")) == ([], [])


async def test_an_account_that_is_gone_leaves_no_choice_and_no_download(vault: Vault) -> None:
    await post(vault, "one")
    await choose(vault, keep_days=5)
    lease = await vault.here.maildrops.acquire(vault.ann.id)
    await quit_failing(vault, lease)
    await vault.here.accounts.remove(vault.ann.login)
    with pytest.raises(NoSuchMailbox):
        await vault.here.maildrops.choices(vault.ann.id)
    assert len(await vault.here.maildrops.expire()) == 0


async def quit_failing(vault: Vault, lease: object) -> None:
    await vault.here.maildrops.release(lease)  # type: ignore[arg-type]
    await quit_(vault, downloaded=of(1))


# The delay between logins


async def test_a_login_too_soon_after_the_last_is_put_off_in_any_process(vault: Vault) -> None:
    lease = await vault.here.maildrops.acquire(vault.ann.id, login_delay=60)
    with pytest.raises(InUse):
        await vault.there.maildrops.acquire(vault.ann.id, login_delay=60)
    vault.clock.time += 10
    await vault.here.maildrops.release(lease)
    for _ in range(2):
        with pytest.raises(TooSoon):
            await vault.there.maildrops.acquire(vault.ann.id, login_delay=60)
    vault.clock.time += 50
    lease = await vault.there.maildrops.acquire(vault.ann.id, login_delay=60)
    await vault.there.maildrops.finish(lease, [])
    with pytest.raises(TooSoon):
        await vault.here.maildrops.acquire(vault.ann.id, login_delay=60)


async def test_an_accounts_own_delay_beats_the_doors(vault: Vault) -> None:
    await choose(vault, login_delay=5)
    await vault.here.maildrops.release(await vault.here.maildrops.acquire(vault.ann.id))
    with pytest.raises(TooSoon):
        await vault.here.maildrops.acquire(vault.ann.id)
    vault.clock.time += 5
    await vault.here.maildrops.release(await vault.here.maildrops.acquire(vault.ann.id, login_delay=1000))
    await choose(vault, login_delay=0)
    await vault.here.maildrops.acquire(vault.ann.id, login_delay=1000)


async def test_a_login_that_came_to_nothing_delays_nobody(vault: Vault) -> None:
    lease = await vault.here.maildrops.acquire(vault.ann.id, login_delay=60)
    await vault.here.maildrops.release(lease, undone=True)
    await vault.there.maildrops.acquire(vault.ann.id, login_delay=60)


async def test_a_clock_that_was_set_back_locks_nobody_out(vault: Vault) -> None:
    await vault.here.maildrops.release(await vault.here.maildrops.acquire(vault.ann.id, login_delay=60))
    vault.clock.time -= 10 * DAY
    await vault.there.maildrops.acquire(vault.ann.id, login_delay=60)


# Who holds the lease

_HOLD = """
import asyncio, sys
from pathlib import Path
from mailsystem.store import open_store
async def hold():
    async with open_store(Path(sys.argv[1])) as store:
        ann = await store.accounts.find("ann@example.org")
        await store.maildrops.acquire(ann.id)
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(hold())
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells one process from another so well")
@pytest.mark.parametrize("reaped", [True, False])
async def test_what_a_killed_process_held_is_free_at_once(tmp_path: Path, reaped: bool) -> None:
    async with open_store(tmp_path) as store:
        ann = await store.accounts.add("ann@example.org", None)
        holding = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert holding.stdout is not None
        with holding.stdout:
            assert await asyncio.to_thread(holding.stdout.readline) == "held\n"
        with pytest.raises(InUse):
            await store.maildrops.acquire(ann.id)
        holding.kill()
        if reaped:
            holding.wait()
        else:
            async with asyncio.timeout(10):
                while (Path("/proc") / str(holding.pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z":  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        lease = await store.maildrops.acquire(ann.id)
        holding.wait()
        with pytest.raises(InUse):
            await store.maildrops.acquire(ann.id)
        await store.maildrops.release(lease)


def test_only_the_surely_dead_are_gone() -> None:
    me = holder.this_process()
    if not me:
        pytest.skip("only Linux tells one process from another so well")
    assert not holder.is_gone(me)
    place, pid, started = me.rsplit(" ", 2)
    assert holder.is_gone(f"{place} {pid} {int(started) - 1}"), "another process had that number before"
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert holder.is_gone(f"{place} {ended.pid} {started}")
    for unknown in ("", "x", f"elsewhere pid:[1] {ended.pid} 5", f"{place} x 5", f"{place} {ended.pid}"):
        assert not holder.is_gone(unknown), unknown


# A full disk


@pytest.fixture
async def full(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """Its disk takes nothing more."""
    await post(vault, "one", "two")
    await until_full(vault)
    return vault


async def until_full(vault: Vault) -> None:
    for store in (vault.here, vault.there):
        writer = store.maildrops._database._writer  # type: ignore[attr-defined]
        await writer._execute(lambda w=writer: w._conn.execute("PRAGMA query_only = ON"))


async def room_again(vault: Vault) -> None:
    for store in (vault.here, vault.there):
        writer = store.maildrops._database._writer  # type: ignore[attr-defined]
        await writer._execute(lambda w=writer: w._conn.execute("PRAGMA query_only = OFF"))


async def test_a_disk_that_takes_nothing_keeps_nobody_from_reading(full: Vault) -> None:
    lease = await full.here.maildrops.acquire(full.ann.id)
    assert not lease.held
    assert len((await full.here.maildrops.listing(full.ann.id)).messages) == 2
    with pytest.raises(Unavailable):
        await full.here.maildrops.finish(lease, [Handled(await inbox(full), of(1))])
    with pytest.raises(Unavailable):
        await full.here.maildrops.renew(lease)
    assert len(await full.here.maildrops.finish(lease, [])) == 0
    await full.here.maildrops.release(lease)
    assert await uids(full) == [1, 2]


async def test_on_a_full_disk_somebody_elses_lease_still_counts(vault: Vault) -> None:
    await vault.here.maildrops.acquire(vault.ann.id)
    await until_full(vault)
    with pytest.raises(InUse):
        await vault.there.maildrops.acquire(vault.ann.id)


async def test_who_read_without_a_lease_deletes_only_when_nobody_else_holds_one(full: Vault) -> None:
    first, second = [await full.here.maildrops.acquire(full.ann.id) for _ in range(2)]
    await room_again(full)
    first = await full.here.maildrops.renew(first)
    assert first.held
    with pytest.raises(InUse):
        await full.there.maildrops.acquire(full.ann.id)
    with pytest.raises(InUse):
        await full.here.maildrops.finish(second, [Handled(await inbox(full), of(1))])
    assert await uids(full) == [1, 2]
    assert len(await full.here.maildrops.finish(first, [Handled(await inbox(full), of(2))])) == 1
    assert len(await full.here.maildrops.finish(second, [Handled(await inbox(full), of(1))])) == 1
    assert await uids(full) == []
    await full.there.maildrops.acquire(full.ann.id)


# Names


async def test_names_stay_the_same_in_a_copy_of_the_server(
    vault: Vault, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await post(vault, "one", "two")
    await choose(vault, mailboxes=("INBOX", "Archive"))
    before = [(folder.mailbox.objectid, [m.uid for m in folder.messages])
              for folder in (await vault.here.maildrops.listing(vault.ann.id)).folders]  # fmt: skip
    there = tmp_path_factory.mktemp("copy") / "store"
    await asyncio.to_thread(shutil.copytree, vault.directory, there, ignore=shutil.ignore_patterns("bells"))
    async with open_store(there, clock=TestClock()) as copied:
        ann = await copied.accounts.find(vault.ann.login)
        after = [(folder.mailbox.objectid, [m.uid for m in folder.messages])
                 for folder in (await copied.maildrops.listing(ann.id)).folders]  # fmt: skip
    assert after == before
