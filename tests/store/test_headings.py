"""What headings say: read once, followed by what comes, never wrong and never without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from vault import Vault, letter, post, spooled

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import DELETED, MessageSet
from mailsystem.store import FlagOp, Said, Sayings, Store

ALL = MessageSet(((1, 0xFFFFFFFF),))


async def said(store: Store, vault: Vault, *, exists: int = 10, about: int = 10) -> Said | None:
    box = await store.mailboxes.find(vault.ann.id, "INBOX")
    return await store.headings.look(vault.ann.id, box.id, exists=exists, about=about)


async def titled(store: Store, vault: Vault, needle: str) -> set[int]:
    told = await said(store, vault)
    assert told is not None
    assert not told.unkept
    return set(told.holding(b"SUBJECT", needle))


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """All that are run by readers, with their values."""
    run: list[str] = []
    database = store.headings._database
    connections = [database._brief, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(run.append)
    yield run
    for connection in connections:
        connection.set_trace_callback(None)


async def test_new_messages_are_heard_of_in_every_process(vault: Vault) -> None:
    await post(vault, "one", "two")
    assert await titled(vault.here, vault, "o") == {1, 2}
    assert await titled(vault.there, vault, "tw") == {2}
    await post(vault, "two more")
    assert await titled(vault.here, vault, "two") == {2, 3}
    assert await titled(vault.there, vault, "two") == {2, 3}


async def test_each_header_is_read_once(vault: Vault) -> None:
    await post(vault, *map(str, range(30)))
    with statements(vault.here) as run:
        assert len(await titled(vault.here, vault, "1")) == 12
        assert [each for each in run if "c.head" in each]
        run.clear()
        assert len(await titled(vault.here, vault, "2")) == 12
        assert not [each for each in run if "c.head" in each]
        await post(vault, "2")
        run.clear()
        assert len(await titled(vault.here, vault, "2")) == 13
        [read] = [each for each in run if "c.head" in each]
        assert "m.uid BETWEEN 31 AND 31" in read


async def test_many_who_search_at_once_read_it_once(vault: Vault) -> None:
    await post(vault, *map(str, range(30)))
    with statements(vault.here) as run:
        told = await asyncio.gather(*(titled(vault.here, vault, "1") for _ in range(8)))
    assert all(len(each) == 12 for each in told)
    assert len([each for each in run if "c.head" in each]) == 1


async def test_what_somebody_else_has_just_read_is_not_asked_for_again_and_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    sayings = vault.here.headings
    await post(vault, "one")
    before = await said(vault.here, vault)
    assert before is not None
    await post(vault, "two")
    # They have it already, but that they are done is told to us only when the loop comes round, for which nobody waits.
    done: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
    done.set_result(before)
    [key] = sayings._known
    sayings._reading[key] = done
    asked, read = 0, sayings._read

    async def once(*args: Any) -> Said:
        nonlocal asked
        asked += 1
        assert asked < 10, "for ever"
        return await read(*args)

    monkeypatch.setattr(sayings, "_read", once)
    assert await titled(vault.here, vault, "two") == {2}
    assert not sayings._reading


async def test_it_is_not_read_for_the_sake_of_a_few(vault: Vault) -> None:
    await post(vault, *map(str, range(30)))
    assert await said(vault.here, vault, exists=30, about=0) is None
    assert await said(vault.here, vault, exists=30, about=1) is None
    assert await said(vault.here, vault, exists=30, about=2) is not None
    # What is there already is told to everybody, with a few that are new.
    await post(vault, "another")
    told = await said(vault.here, vault, exists=31, about=0)
    assert told is not None
    assert told.holding(b"SUBJECT", "another") == {31}


async def test_what_is_kept_is_bounded(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.store.fetching._SLICE_ROWS", 5)
    await post(vault, *("x" * 400 + str(number) for number in range(20)))
    few = Sayings(vault.here.headings._database, most_octets=5000)
    for name in ("Drafts", "Sent"):
        await vault.here.mailboxes.create(vault.ann.id, name)
        await post(vault, "small", mailbox=name)
    for name, exists, about in (("Drafts", 1, 1), ("Sent", 1, 1), ("INBOX", 20, 20)):
        box = await vault.here.mailboxes.find(vault.ann.id, name)
        told = await few.look(vault.ann.id, box.id, exists=exists, about=about)
        assert told is not None
    # The rest of a large one must be read each time, and the others make room.
    assert 5000 < told.octets < 9000
    assert told.holding(b"SUBJECT", "xx") == set(range(1, 21)) - told.unkept
    assert 0 < len(told.unkept) < 15
    assert list(few._known) == [(vault.ann.id, box.id)]
    # One that is surely too large is not even begun with.
    other = Sayings(vault.here.headings._database, most_octets=5000)
    assert await other.look(vault.ann.id, box.id, exists=1000, about=1000) is None


async def test_what_is_gone_is_forgotten_once_it_is_much(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.store.headings._SPARE", 3)
    await post(vault, *map(str, range(20)))
    assert await said(vault.here, vault, exists=20) is not None
    box = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    await vault.here.mailboxes.set_flags(vault.ann.id, box.id, MessageSet(((1, 18),)), FlagOp.ADD, frozenset([DELETED]))
    await vault.here.mailboxes.expunge(vault.ann.id, box.id)
    told = await said(vault.here, vault, exists=2)
    assert told is not None
    assert told.messages == 2
    assert told.holding(b"SUBJECT", "9") == {20}


async def test_who_may_not_read_hears_nothing(vault: Vault) -> None:
    await post(vault, "secret")
    assert await said(vault.here, vault) is not None
    bob = await vault.here.accounts.ensure("bob@example.org")
    box = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    with pytest.raises(NoSuchMailbox):
        await vault.here.headings.look(vault.ann.id, box.id, exists=1, about=1, actor=bob.id)
    with pytest.raises(NoSuchMailbox):
        await vault.here.headings.look(vault.ann.id, box.id + 9, exists=1, about=1)


async def test_a_header_that_lies_elsewhere_is_told_to_be_unknown(vault: Vault) -> None:
    large = b"X-Long: " + b"x" * 40_000 + b"\r\n"
    await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, large + letter("there")))
    await post(vault, "there")
    told = await said(vault.here, vault)
    assert told is not None
    assert told.unkept == {1}
    assert told.holding(b"SUBJECT", "there") == {2}
