"""Whatever two processes do to one index, and wherever they die, a search finds what is there and nothing else."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from vault import Vault, letter, spooled

from mailsystem.mail.haystack import Words, fold
from mailsystem.mail.mailbox import DELETED, MessageSet
from mailsystem.mail.terms import probe_words
from mailsystem.store import FlagOp, merging


@pytest.fixture
def indexed() -> bool:
    """No chore: each step is said."""
    return False


class _DiedError(Exception):
    """A process is not there any more."""


@pytest.mark.parametrize("seed", range(3))
async def test_random_changes_merges_and_deaths(vault: Vault, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("mailsystem.store.index.SORTED", 8)
    monkeypatch.setattr("mailsystem.store.merging.SORTED", 8)
    monkeypatch.setattr("mailsystem.store.shelves.SORTED", 8)
    monkeypatch.setattr("mailsystem.store.shelves.FULL", 40)
    monkeypatch.setattr("mailsystem.store.shelves.FAN", 3)
    monkeypatch.setattr("mailsystem.store.indexing.FAN", 3)
    monkeypatch.setattr("mailsystem.store.shelves.BLOCK", 5)
    monkeypatch.setattr("mailsystem.store.merging.BLOCK", 5)
    chance, account = random.Random(seed), vault.ann.id
    inbox = await vault.here.mailboxes.find(account, "INBOX")
    said: dict[int, set[str]] = {}
    exchange = merging.indexing.exchange

    def may_die(*arguments: object) -> object:
        if chance.random() < 0.3:
            raise _DiedError
        return exchange(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(merging.indexing, "exchange", may_die)
    for _ in range(60):
        store = chance.choice([vault.here, vault.there])
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                for _ in range(chance.randrange(1, 8)):
                    words = {f"word{chance.randrange(30)}x" for _ in range(4)}
                    octets = spooled(store, letter(" ".join(sorted(words))))
                    said[(await store.mailboxes.append(account, "INBOX", octets)).uid] = words
            case 4 if said:
                gone = MessageSet.of(chance.sample(sorted(said), len(said) // 5))
                await store.mailboxes.set_flags(account, inbox.id, gone, FlagOp.ADD, frozenset([DELETED]))
                await store.mailboxes.expunge(account, inbox.id)
                for uid in list(said):
                    if uid in gone:
                        del said[uid]
            case 5 if chance.random() < 0.3:
                await store.index.rebuild()
            case 6:
                with suppress(_DiedError):
                    await store.index.tidy()
        with suppress(_DiedError):
            await store.index.catch_up()
        probe = probe_words(Words(fold(f"word{chance.randrange(30)}x"), headers=True))
        assert probe is not None
        needle = probe.clues[0].octets.decode().strip()
        wanted = {uid for uid, words in said.items() if needle in words}
        for each in (vault.here, vault.there):
            told = await each.index.look(account, inbox.id, [probe])
            known = set(said) - set(told.unknown)
            assert set(told.found[probe]) & known == wanted & known
    monkeypatch.setattr(merging.indexing, "exchange", exchange)
    await vault.here.index.catch_up()
    await vault.here.index.tidy()
    assert await vault.here.index._database.read(merging.indexing.remnants()) == []
    told = await vault.there.index.look(account, inbox.id, [probe])
    assert (told.found[probe] & set(said), told.unknown & set(said)) == (wanted, set())
