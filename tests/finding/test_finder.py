"""Finding: what the judge finds, page by page, whatever comes and goes, and without reading what need not be read."""

from __future__ import annotations

import base64
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing

import pytest
from naive import MAILBOXES, Judge, Mail, leaf, mails, tree
from vault import Vault, letter, post, spooled

from mailsystem.finding import sifting
from mailsystem.finding.cursor import Cursor
from mailsystem.finding.finder import Finder, Found, Hit
from mailsystem.mail.errors import NoSuchMailbox, SyntaxFault
from mailsystem.mail.mailbox import DELETED, SEEN, Flag, MessageSet, Uid
from mailsystem.mail.query import EVERYTHING, parse
from mailsystem.store import FlagOp, looking
from mailsystem.store.mailboxes import Mailboxes

_COUNT = 200


async def filled(vault: Vault, kept: list[Mail]) -> dict[tuple[str, int], Judge]:
    """The messages in Ann's mailboxes, by name and UID; a message of another account stands between them."""
    bob = await vault.here.accounts.add("bob@example.org", None)
    for name in MAILBOXES[1:]:
        await vault.here.mailboxes.create(vault.ann.id, name)
    judges = {}
    for mail in kept:
        flags = frozenset(map(Flag, mail.flags))
        done = await vault.here.mailboxes.append(
            vault.ann.id, mail.mailbox, spooled(vault.here, mail.raw), flags=flags, internaldate=mail.date
        )
        judges[mail.mailbox, int(done.uid)] = Judge(mail)
    await vault.here.mailboxes.append(bob.id, "INBOX", spooled(vault.here, kept[0].raw))
    return judges


async def pages(finder: Finder, vault: Vault, text: str, limit: int) -> AsyncIterator[Found]:
    query = parse(text, now=vault.clock.now())
    before = None
    while True:
        found = await finder.find(vault.ann.id, query, before=before, limit=limit)
        yield found
        assert len(found.messages) == limit or found.next is None
        before = found.next
        if before is None:
            return


def named(hits: Sequence[Hit]) -> list[tuple[str, int]]:
    return [(hit.mailbox.name, int(hit.message.uid)) for hit in hits]


async def check(vault: Vault, judges: dict[tuple[str, int], Judge], texts: list[str], chance: random.Random) -> int:
    """How many of the queries found something."""
    finder = Finder(vault.there)
    ids = {mailbox.name: mailbox.id for mailbox in await vault.here.mailboxes.list(vault.ann.id)}
    some = 0
    for text in texts:
        query = parse(text, now=0)
        there = [(judge.mail.date, ids[name], uid, name) for (name, uid), judge in judges.items() if judge.holds(query)]
        wanted = [(name, uid) for _, _, uid, name in sorted(there, reverse=True)]
        hits: list[Hit] = []
        async for found in pages(finder, vault, text, chance.choice([7, 30, 500])):
            assert found.total in (None, len(wanted)), text
            hits += found.messages
        assert named(hits) == wanted, text
        for name, id_ in ids.items():
            everything = MessageSet(((1, 1000),))
            matching = await finder.matching(vault.ann.id, id_, query, everything)
            assert [message.uid for message in matching] == sorted(uid for where, uid in wanted if where == name), text
        some += bool(wanted)
    return some


@pytest.mark.parametrize("part", ["none", "some", "all"])
async def test_whatever_is_asked_the_judge_agrees(vault: Vault, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    # The index is asked even about so few messages that reading them is quicker.
    monkeypatch.setattr(sifting, "_FEW", 0)
    monkeypatch.setattr(sifting, "_SHARE", 0)
    monkeypatch.setattr("mailsystem.store.index._BATCH", 9)
    judges = await filled(vault, mails(_COUNT))
    chance = random.Random(part)
    if part != "none":
        await vault.here.index.catch_up()
    if part == "some":
        with closing(sqlite3.connect(vault.directory / "mail.db")) as database, database:
            for [shelf] in database.execute("SELECT id FROM index_shelves").fetchall():
                if chance.random() < 0.5:
                    database.execute("DELETE FROM index_shelves WHERE id = ?", (shelf,))
    leaves = sorted({leaf(chance) for _ in range(100)})
    trees = [tree(chance, 3) for _ in range(25)]
    assert await check(vault, judges, [*leaves, *trees], chance) > 50


async def test_pages_stay_where_they_are_while_mail_comes_and_goes(vault: Vault) -> None:
    finder, store, ann = Finder(vault.there), vault.here.mailboxes, vault.ann.id
    for second in range(9):
        vault.clock.time += second % 2  # two at a time
        await post(vault, f"letter {second}")
    first = await finder.find(ann, EVERYTHING, limit=3)
    assert [hit.message.uid for hit in first.messages] == [9, 8, 7]
    assert first.total == 9
    await post(vault, "one more")
    inbox = first.messages[0].mailbox.id
    # What the first page showed goes, and so does the first of the next.
    await store.set_flags(ann, inbox, MessageSet.of([7, 6]), FlagOp.ADD, frozenset({DELETED}))
    await store.expunge(ann, inbox)
    second = await finder.find(ann, EVERYTHING, limit=3, before=first.next)
    assert [hit.message.uid for hit in second.messages] == [5, 4, 3]
    assert second.total == 8
    third = await finder.find(ann, EVERYTHING, limit=3, before=second.next)
    assert [hit.message.uid for hit in third.messages] == [2, 1]
    assert third.next is None
    assert [hit.message.uid for hit in (await finder.find(ann, EVERYTHING, limit=3)).messages] == [10, 9, 8]


async def test_the_newest_is_who_came_last_not_who_stands_last(vault: Vault) -> None:
    finder = Finder(vault.here)
    for date in (50.0, 70.0, 60.0):
        await vault.here.mailboxes.append(
            vault.ann.id, "INBOX", spooled(vault.here, letter("x")), internaldate=date, flags=frozenset({SEEN})
        )
    for text in ("", "is:read", "x", "-is:flagged"):
        found = await finder.find(vault.ann.id, parse(text, now=0), limit=9)
        assert [hit.message.internaldate for hit in found.messages] == [70.0, 60.0, 50.0], text


async def test_a_page_of_everything_reads_no_more_than_that(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = Finder(vault.here)
    await post(vault, *(f"letter {number}" for number in range(30)))
    inbox = (await vault.here.mailboxes.list(vault.ann.id))[0].id
    assert await vault.here.mailboxes.roll(vault.ann.id, inbox)
    statements: list[str] = []
    database = vault.here.mailboxes._database
    for connection in [database._brief, *(each._conn for each in database._readers)]:  # type: ignore[attr-defined]
        connection.set_trace_callback(statements.append)
    found = await finder.find(vault.ann.id, EVERYTHING, limit=5)
    assert [hit.message.uid for hit in found.messages] == [30, 29, 28, 27, 26]
    [read] = [each for each in statements if "FROM messages" in each or "JOIN messages" in each]
    assert "contents" not in read


async def test_no_more_is_read_than_the_page_takes(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of mail that is not indexed; the newest first."""
    await post(vault, *(f"letter {number}" for number in range(200)))
    read: list[int] = []
    fetch = Mailboxes.fetch

    async def counted(
        self: Mailboxes, account: object, mailbox: object, uids: MessageSet, *args: object, **more: object
    ) -> object:
        read.extend(uids)
        async for some in fetch(self, account, mailbox, uids, *args, **more):  # type: ignore[arg-type]
            yield some

    monkeypatch.setattr(Mailboxes, "fetch", counted)
    found = await Finder(vault.here).find(vault.ann.id, parse("letter", now=0), limit=5)
    assert [hit.message.uid for hit in found.messages] == [200, 199, 198, 197, 196]
    assert found.next is not None
    assert found.total is None
    assert min(read) > 180


async def test_the_index_is_asked_once_for_all_mailboxes(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sifting, "_FEW", 0)
    for name in ("Work", "Old"):
        await vault.here.mailboxes.create(vault.ann.id, name)
    for name in ("INBOX", "Work", "Old"):
        await post(vault, "alpha", "beta", mailbox=name)
    await vault.here.index.catch_up()
    asked: list[object] = []
    look = looking.look
    monkeypatch.setattr(looking, "look", lambda *of: asked.append(of) or look(*of))  # type: ignore[func-returns-value]
    finder = Finder(vault.here)
    found = await finder.find(vault.ann.id, parse("alpha OR (in:Work beta) OR (in:Old gamma)", now=0), limit=9)
    assert sorted(named(found.messages)) == [("INBOX", 1), ("Old", 1), ("Work", 1), ("Work", 2)]
    assert len(asked) == 1, "also for what is asked of some of them alone"
    # What came since is read.
    await post(vault, "alpha again", mailbox="Old")
    assert len((await finder.find(vault.ann.id, parse("alpha", now=0), limit=9)).messages) == 4


@pytest.mark.parametrize(
    "bad", ["", "x", "é", "A" * 27, "====", base64.urlsafe_b64encode(b"\x7f\xff" + bytes(22)).decode()]
)
async def test_a_cursor_that_is_none_is_a_fault(vault: Vault, bad: str) -> None:
    with pytest.raises(SyntaxFault):
        await Finder(vault.here).find(vault.ann.id, EVERYTHING, before=Cursor(bad), limit=1)


async def test_only_the_mailboxes_that_are_named(vault: Vault) -> None:
    finder, store = Finder(vault.here), vault.here.mailboxes
    work = await store.create(vault.ann.id, "Work")
    await post(vault, "a")
    await post(vault, "b", mailbox="Work")
    assert named((await finder.find(vault.ann.id, EVERYTHING, mailboxes=[work.id], limit=9)).messages) == [("Work", 1)]
    assert not (await finder.find(vault.ann.id, EVERYTHING, mailboxes=[], limit=9)).messages
    found = await finder.find(vault.ann.id, parse("in:inbox", now=0), mailboxes=[work.id], limit=9)
    assert (found.messages, found.next, found.total) == ([], None, 0)
    await store.delete(vault.ann.id, "Work")
    for mailboxes in ([work.id], [work.id, work.id]):
        with pytest.raises(NoSuchMailbox):
            await finder.find(vault.ann.id, EVERYTHING, mailboxes=mailboxes, limit=9)
    with pytest.raises(NoSuchMailbox):
        await finder.matching(vault.ann.id, work.id, EVERYTHING, MessageSet.of([1]))


async def test_what_matching_is_asked_about(vault: Vault) -> None:
    finder = Finder(vault.here)
    await post(vault, "yes", "no", "yes", "yes")
    inbox = (await vault.here.mailboxes.list(vault.ann.id))[0].id

    async def matching(text: str, *uids: int) -> list[Uid]:
        found = await finder.matching(vault.ann.id, inbox, parse(text, now=0), MessageSet.of(uids))
        return [message.uid for message in found]

    assert await matching("subject:yes", 1, 2, 3, 9) == [1, 3]
    assert await matching("", 2, 3) == [2, 3]
    assert await matching("in:Trash", 1, 2) == []
    assert await matching("subject:yes") == []


async def test_whoever_has_it_shared_may_find_there(vault: Vault) -> None:
    bob = await vault.here.accounts.add("bob@example.org", None)
    await post(vault, "for two")
    inbox = (await vault.here.mailboxes.list(vault.ann.id))[0].id
    finder = Finder(vault.here)
    with pytest.raises(NoSuchMailbox):
        await finder.find(vault.ann.id, EVERYTHING, mailboxes=[inbox], limit=9, actor=bob.id)
    assert not (await finder.find(vault.ann.id, EVERYTHING, limit=9, actor=bob.id)).messages
    with pytest.raises(NoSuchMailbox):
        await finder.matching(vault.ann.id, inbox, EVERYTHING, MessageSet.of([1]), actor=bob.id)
