"""UIDBATCHES (RFC 10022)."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imap_door import Door, Opening

from mailsystem.imap.batches import Batches, read_batches, response
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.mail.errors import MailError, SyntaxFault

GONE = {1, 14, 15, 16, 17, 41, 43, 45}
UIDS = [uid for uid in range(1, 51) if uid not in GONE]


@pytest.mark.parametrize(
    ("batches", "ranges"),
    [
        (Batches(50, 1, None), [(50, 1)]),
        (Batches(42, 1, None), [(50, 1)]),
        (Batches(25, 1, None), [(50, 23), (22, 1)]),
        (Batches(10, 1, None), [(50, 38), (37, 28), (27, 18), (17, 4), (3, 1)]),
        (Batches(10, 1, 1), [(50, 38)]),
        (Batches(10, 2, 3), [(37, 28), (27, 18)]),
        (Batches(10, 5, 6), [(3, 1)]),
        (Batches(10, 7, 7), []),
        (Batches(10, 1, 4294967295), [(50, 38), (37, 28), (27, 18), (17, 4), (3, 1)]),
    ],
)
def test_batches_are_counted_from_the_newest(batches: Batches, ranges: list[tuple[int, int]]) -> None:
    assert batches.of(UIDS) == ranges


def test_an_empty_mailbox_has_no_batches() -> None:
    assert Batches(500, 1, None).of([]) == []
    assert response(b'TAG "A1"', []) == b'* UIDBATCHES (TAG "A1")\r\n'
    assert response(b'TAG "A1"', [(50, 23), (22, 1)]) == b'* UIDBATCHES (TAG "A1") 50:23,22:1\r\n'


@given(st.sets(st.integers(1, 200), min_size=1), st.integers(1, 30))
def test_together_they_hold_every_message_once_and_all_but_the_last_are_full(known: set[int], size: int) -> None:
    uids = sorted(known)
    ranges = Batches(size, 1, None).of(uids)
    held = [[uid for uid in uids if low <= uid <= high] for high, low in ranges]
    assert sorted(uid for batch in held for uid in batch) == uids
    assert all(len(batch) == size for batch in held[:-1])
    assert 0 < len(held[-1]) <= size
    assert ranges[0][0] == uids[-1]
    assert ranges[-1][1] == 1
    assert all(above[1] == below[0] + 1 for above, below in itertools.pairwise(ranges))
    for number in range(1, len(ranges) + 1):
        assert Batches(size, number, len(ranges)).of(uids) == ranges[number - 1 :]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        " abc",
        " 500 10",
        " 500 0:1",
        " 0",
        " 500 1:",
        " 500 1:2 3",
        " 500 1:*",
        " 500 3:2",
        " 499",
        " 4294967296",
    ],
)
def test_other_arguments_are_refused(bad: str) -> None:
    with pytest.raises(MailError) as raised:
        read_batches(Arguments(Frame(bad.encode())))
    assert isinstance(raised.value, SyntaxFault) is (bad != " 499")


async def test_over_the_wire(door: Door) -> None:
    one = await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: A1 UIDBATCHES 2000
        S1: * UIDBATCHES (TAG "A1")
        S1: A1 OK UIDBATCHES completed
        """,
        c1=one,
    )
    for start in range(0, 1100, 100):
        await asyncio.gather(*(door.put() for _ in range(start, start + 100)))
    other = await door.client()
    await door.dialog(
        """
        C1: A2 NOOP
        S1: * 1100 EXISTS
        S1: * 1100 RECENT
        S1: A2 OK ...
        C1: A3 UIDBATCHES 500
        S1: * UIDBATCHES (TAG "A3") 1100:601,600:101,100:1
        S1: A3 OK ...
        C1: A4 UIDBATCHES 500 2:2
        S1: * UIDBATCHES (TAG "A4") 600:101
        S1: A4 OK ...
        C1: A5 UIDBATCHES 100
        S1: A5 NO [TOOFEW] ...
        C1: A6 UIDBATCHES 500 20:10
        S1: A6 BAD [CLIENTBUG] ...
        C1: A7 UIDBATCHES 500 x
        S1: A7 BAD ...
        C2: A8 UIDBATCHES 500
        S2: A8 BAD ...
        C1: A9 UID SEARCH RETURN (SAVE) UID 7
        S1: A9 OK ...
        C1: B1 UIDBATCHES 2000
        S1: * UIDBATCHES (TAG "B1") 1100:1
        S1: B1 OK ...
        C1: B2 UID SEARCH $
        S1: * SEARCH 7
        S1: B2 OK ...
        """,
        c1=one,
        c2=other,
    )


async def test_a_batch_is_no_larger_than_a_command_may_be(open_door: Opening) -> None:
    door = await open_door(messages_per_command=3)
    for _ in range(7):
        await door.put()
    client = await door.client(mailbox="INBOX")
    said = await client.ok("UIDBATCHES 500")
    assert said[0].endswith(b") 7:5,4:2,1:1")
    assert (await client.say("UID SEARCH UID 5:7")).code == ""
