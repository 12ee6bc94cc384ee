"""Numbers, sizes and marks, without a loop or a store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import AccountId, ContentId, Mailbox, MailboxId, Message, MessageSet, ModSeq, Uid
from mailsystem.maildrop.view import View

INBOX = Mailbox(AccountId(1), MailboxId(1), "INBOX", "F00", 1, Uid(100), ModSeq(1))


def view(*uids: int, size: int = 100) -> View:
    return View((INBOX, messages(*uids, size=size)))


def messages(*uids: int, size: int = 100) -> list[Message]:
    return [Message(Uid(u), ModSeq(1), frozenset(), 0.0, size, ContentId(u)) for u in uids]


def deleted(drop: View) -> MessageSet:
    """In a maildrop of one mailbox."""
    return next((deleted for _, deleted, _ in drop.handled()), MessageSet())


def test_messages_are_numbered_from_one_and_named_by_their_uid() -> None:
    drop = view(3, 7, 20)
    assert [(number, drop.name(message)) for number, message in drop] == [(1, "F00.3"), (2, "F00.7"), (3, "F00.20")]
    assert (drop.count, drop.octets) == (3, 300)


@pytest.mark.parametrize("number", [0, 4, 10**9])
def test_there_is_no_message_beyond_the_numbers(number: int) -> None:
    with pytest.raises(SyntaxFault):
        view(1, 2, 3).message(number)


def test_a_marked_message_keeps_its_number_and_is_not_there() -> None:
    drop = view(3, 7, 20)
    drop.delete(2)
    assert [number for number, _ in drop] == [1, 3]
    assert (drop.count, drop.octets) == (2, 200)
    for look in (drop.message, drop.delete):
        with pytest.raises(SyntaxFault):
            look(2)
    drop.reset()
    assert [number for number, _ in drop] == [1, 2, 3]
    assert (drop.count, drop.octets) == (3, 300)
    assert not list(drop.handled())


def test_neighbours_go_as_one_range_over_the_holes() -> None:
    drop = view(3, 7, 20, 21, 30)
    for number in (5, 2, 1, 4):
        drop.delete(number)
    assert deleted(drop) == MessageSet(((3, 7), (21, 30)))


@given(st.lists(st.integers(1, 10_000), unique=True, min_size=1, max_size=40).map(sorted), st.data())
def test_exactly_the_marked_ones_are_deleted(uids: list[int], data: st.DataObject) -> None:
    drop = view(*uids)
    marked = data.draw(st.sets(st.integers(1, len(uids))))
    for number in marked:
        drop.delete(number)
    gone = deleted(drop)
    assert {uid for uid in uids if uid in gone} == {uids[number - 1] for number in marked}


def test_what_follows_is_bounded_in_number_and_octets() -> None:
    drop = view(1, 2, 5, 9, 12)
    assert drop.following(2, most=3, octets=10_000, largest=100) == MessageSet(((2, 9),))
    assert drop.following(2, most=9, octets=250, largest=100) == MessageSet(((2, 5),))
    assert drop.following(2, most=9, octets=10_000, largest=99) == MessageSet(((2, 2),))
    assert drop.following(5, most=9, octets=10_000, largest=100) == MessageSet(((12, 12),))


JUNK = Mailbox(AccountId(1), MailboxId(2), "Junk", "BAD", 1, Uid(100), ModSeq(1))
EMPTY = Mailbox(AccountId(1), MailboxId(3), "Empty", "0FF", 1, Uid(1), ModSeq(1))


def test_several_mailboxes_are_numbered_through_and_named_apart() -> None:
    drop = View((EMPTY, []), (INBOX, messages(3, 7)), (EMPTY, []), (JUNK, messages(3, 9)))
    assert [drop.name(message) for _, message in drop] == ["F00.3", "F00.7", "BAD.3", "BAD.9"]
    drop.delete(2)
    drop.delete(3)
    drop.retrieved(4)
    drop.retrieved(3)
    assert list(drop.handled()) == [
        (INBOX, MessageSet(((7, 7),)), MessageSet()),
        (JUNK, MessageSet(((3, 3),)), MessageSet(((3, 9),))),
    ]
    drop.reset()
    assert list(drop.handled()) == [(JUNK, MessageSet(), MessageSet(((3, 9),)))]


def test_what_follows_ends_with_the_mailbox() -> None:
    drop = View((INBOX, messages(3, 7)), (JUNK, messages(4, 9)))
    assert drop.following(1, most=9, octets=10_000, largest=100) == MessageSet(((3, 7),))
    assert drop.following(2, most=9, octets=10_000, largest=100) == MessageSet(((7, 7),))
    assert drop.following(3, most=9, octets=10_000, largest=100) == MessageSet(((4, 9),))
