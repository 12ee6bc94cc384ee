"""A search out of the roll finds what the same keys find message by message."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imap_door import Door

from mailsystem.finding import mustering
from mailsystem.finding.key import (
    All,
    Among,
    Any,
    Arrived,
    EmailId,
    Every,
    Flagged,
    Key,
    Keyword,
    Known,
    Modified,
    Not,
    Recent,
    Saved,
    Size,
    Text,
)
from mailsystem.finding.mustering import columns, is_for_the_roll, mustered
from mailsystem.mail.haystack import Words
from mailsystem.mail.mailbox import (
    FLAGGED,
    SEEN,
    AccountId,
    ContentId,
    Flag,
    MailboxId,
    Message,
    MessageSet,
    ModSeq,
    Uid,
)
from mailsystem.store import Roll
from mailsystem.store.rows import flags_of

small = st.integers(0, 30)
sets = st.sets(st.integers(1, 40), max_size=6).map(MessageSet.of)
keys: st.SearchStrategy[Key] = st.recursive(
    st.one_of(
        st.just(All()),
        st.just(Recent()),
        sets.map(Among),
        st.sampled_from([Flagged(SEEN), Flagged(FLAGGED), Keyword("$junk"), Keyword("work")]),
        st.builds(Size, small, small),
        st.builds(Arrived, small, small),
        st.builds(Saved, small, small),
        small.map(lambda n: Modified(ModSeq(n))),
        small.map(lambda n: EmailId(f"M{n}")),
    ),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: Every(tuple(some))),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: Any(tuple(some))),
    ),
)
rows = st.lists(
    st.tuples(
        st.integers(1, 40),
        small,
        st.sampled_from([0, 2, 8, 10]),
        st.sampled_from(["", "$Junk", "Work x"]),
        *([small] * 4),
    ),
    unique_by=lambda row: row[0],
    max_size=20,
).map(sorted)


def _recent(uid: int) -> bool:
    return uid % 3 == 0


@given(rows, keys)
def test_what_is_found_is_that_for_which_the_key_holds(rows: list[tuple[int, ...]], key: Key) -> None:
    roll = Roll(AccountId(1), MailboxId(1), Uid(41), ModSeq(30))
    roll.enter(rows)
    wanted = []
    for uid, modseq, bits, words, date, size, content, saved in rows:
        message = Message(
            Uid(uid), ModSeq(modseq), flags_of(bits, str(words)), date, size, ContentId(content), float(saved)
        )
        if key.holds(Known(uid, _recent(uid), message)):
            wanted.append(uid)
    assert list(mustered(columns(roll, key), key, _recent)) == wanted


def test_many_kinds_of_flags_are_told_apart() -> None:
    roll = Roll(AccountId(1), MailboxId(1), Uid(1000), ModSeq(1))
    roll.enter([(uid, 1, 0, f"k{uid}", 0.0, 1, 1, 0.0) for uid in range(1, 700)])
    for uid in (1, 255, 256, 257, 699):
        key = Keyword(f"k{uid}")
        assert list(mustered(columns(roll, key), key, _recent)) == [uid]


def test_what_asks_for_more_or_for_less_is_not_for_the_roll() -> None:
    assert is_for_the_roll(Every((All(), Flagged(Flag("\\Seen")))))
    assert not is_for_the_roll(Text(Words("x", True)))
    assert not is_for_the_roll(Every((Flagged(SEEN), Text(Words("x", True)))))
    assert not is_for_the_roll(Among(MessageSet.of([1])))


@pytest.mark.parametrize("said", [str, lambda key: f"NOT NOT {key}"])
async def test_keys_of_numbers_are_found_without_a_row_being_read(
    door: Door, monkeypatch: pytest.MonkeyPatch, said: Callable[[str], str]
) -> None:
    for number in range(8):
        await door.put(b"Subject: x\r\n\r\n" + b"y" * number, *["\\Seen", "work"][: number % 3], internaldate=1e9)
    client = await door.client(mailbox="INBOX")
    asked = (
        "UNSEEN",
        "KEYWORD Work",
        "LARGER 18",
        "SINCE 1-Jan-2001",
        "3:5 UNSEEN",
        "OR SEEN LARGER 18",
        "SAVEDSINCE 1-Jan-2020",
    )
    told = [await client.ok(f"SEARCH {said(each)}") for each in asked]
    assert told[0] == [b"* SEARCH 1 4 7"]
    with monkeypatch.context() as patch:
        patch.setattr(mustering, "_NUMBERS", ())
        assert [await client.ok(f"SEARCH {said(each)}") for each in asked] == told
    await door.store.index.catch_up()  # or that reads what has come, after a second
    statements: list[str] = []
    database = door.store.mailboxes._database
    connections = [database._brief, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(statements.append)
    for each in asked:
        await client.ok(f"UID SEARCH {said(each)}")
    for connection in connections:
        connection.set_trace_callback(None)
    assert not [each for each in statements if "FROM messages" in each or "JOIN messages" in each]
