"""Search keys as values: what is known little by little never turns out to have been wrong."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.finding.header import Header, Words
from mailsystem.finding.key import (
    All,
    Among,
    Cost,
    Every,
    Field,
    Flagged,
    Key,
    Known,
    Not,
    Recent,
    Text,
    leaves,
    scope,
)
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.search import read_search
from mailsystem.mail.errors import MailError, SyntaxFault
from mailsystem.mail.mailbox import SEEN, ContentId, Message, MessageSet, ModSeq, Uid
from mailsystem.mail.objectid import threadid


def key(text: str | bytes) -> Key:
    octets = text.encode() if isinstance(text, str) else text
    return read_search(Arguments(Frame(octets)), lambda chosen, of_uids: chosen, now=1000.9)


UNSEEN = Message(Uid(5), ModSeq(1), frozenset(), 0.0, 100, ContentId(1))
SEEN_ONE = UNSEEN._replace(flags=frozenset({SEEN}))


def test_keys_are_read_as_they_are_meant() -> None:
    assert key("ALL") == All()
    assert key("unseen") == Not(Flagged(SEEN))
    assert key("NOT NOT SEEN") == Flagged(SEEN)
    assert key("OLD") == Not(Recent())
    assert key('SUBJECT "Two Words"') == Field(b"SUBJECT", "two words")
    assert key("UID 5:7") == Among(MessageSet(((5, 7),)))
    assert key("BODY x") == Text(Words("x", False))
    assert key("(SEEN)") == Flagged(SEEN)
    assert key("BODY x SUBJECT y SEEN") == Every((Flagged(SEEN), Field(b"SUBJECT", "y"), Text(Words("x", False))))


@pytest.mark.parametrize(
    ("keys", "cost"),
    [("ALL", Cost.NUMBERS), ("1:5 RECENT", Cost.NUMBERS), ("NOT SEEN", Cost.MESSAGE), ("OR SEEN FROM a", Cost.HEADER),
     ("SENTON 1-Jan-2024", Cost.HEADER), ("(SEEN (NOT BODY x))", Cost.TEXT), ('BODY ""', Cost.NUMBERS)],
)  # fmt: skip
def test_a_key_costs_what_its_dearest_condition_costs(keys: str, cost: Cost) -> None:
    assert key(keys).cost is cost
    assert max(leaf.cost for leaf in leaves(key(keys))) is cost


@pytest.mark.parametrize(
    ("keys", "message", "verdict"),
    [
        ("UNSEEN BODY x", SEEN_ONE, False),
        ("UNSEEN BODY x", UNSEEN, None),
        ("OR UNSEEN BODY x", UNSEEN, True),
        ("OR UNSEEN BODY x", SEEN_ONE, None),
        ("NOT (UNSEEN BODY x)", SEEN_ONE, True),
        ("NOT OR UNSEEN BODY x", UNSEEN, False),
        ("BODY x BODY y", UNSEEN, None),
        ("LARGER 99 SMALLER 101", UNSEEN, True),
        ("LARGER 100", UNSEEN, False),
        ("SMALLER 100", UNSEEN, False),
        ("ON 1-Jan-1970", UNSEEN, True),
        ("BEFORE 1-Jan-1970", UNSEEN, False),
        ("SINCE 1-Jan-1970", UNSEEN, True),
        ("SINCE 2-Jan-1970", UNSEEN, False),
        # RFC 5032: a message of exactly that age is both.
        ("YOUNGER 1000", UNSEEN, True),
        ("OLDER 1000", UNSEEN, True),
        ("YOUNGER 999", UNSEEN, False),
        ("OLDER 1001", UNSEEN, False),
        ("SAVEDON 1-Jan-1970", UNSEEN, True),
        ("SAVEDBEFORE 1-Jan-1970", UNSEEN, False),
        ("SAVEDBEFORE 3-Jan-1970", UNSEEN._replace(savedate=86400.0), True),
        ("SAVEDSINCE 2-Jan-1970", UNSEEN._replace(savedate=86400.0), True),
        ("SAVEDSINCE 2-Jan-1970", UNSEEN, False),
        ("SAVEDATESUPPORTED", UNSEEN, True),
        ("MODSEQ 1", UNSEEN, True),
        ("MODSEQ 2", UNSEEN, False),
        ('MODSEQ "/flags/\\\\draft" all 1', UNSEEN, True),
        ('MODSEQ "/flags/$x" priv 2', UNSEEN, False),
        ("EMAILID M1", UNSEEN, True),
        ("EMAILID M2", UNSEEN, False),
        ("EMAILID m1", UNSEEN, False),
    ],
)
def test_a_message_is_settled_as_early_as_it_can_be(keys: str, message: Message, verdict: bool | None) -> None:
    assert key(keys).holds(Known(5, message=message)) is verdict


@pytest.mark.parametrize(
    "bad",
    ["YOUNGER 0", "OLDER -1", "OLDER", "YOUNGER x", "MODSEQ", "MODSEQ x", 'MODSEQ "/flags/x" 1', 'MODSEQ "/flags/x" some 1',
     'MODSEQ "/comment" all 1', "MODSEQ 9223372036854775808", "EMAILID", 'EMAILID ""', "EMAILID M.1", "THREADID (x)",
     "SAVEDON", "SAVEDON 1", "SAVEDATE", "FUZZY SUBJECT x"],
)  # fmt: skip
def test_keys_that_are_none_are_faults(bad: str) -> None:
    with pytest.raises(SyntaxFault):
        key(bad)


def test_a_conversation_is_found_by_its_header() -> None:
    block = b"References: <one@example.org> <two@example.org>\r\n\r\n"
    id_ = threadid(block)
    assert id_ is not None
    assert key(f"THREADID {id_}").cost is Cost.HEADER
    assert key(f"THREADID {id_}").holds(Known(5, header=Header(block))) is True
    assert key("THREADID T0").holds(Known(5, header=Header(block))) is False
    assert key("THREADID T0").holds(Known(5)) is None


def test_the_scope_is_what_sets_leave() -> None:
    assert scope(key("UID 5:7 SEEN")) == MessageSet(((5, 7),))
    assert scope(key("UID 1:100 (UID 5:7 BODY x)")) == MessageSet(((5, 7),))
    assert scope(key("NOT UID 5:7")) is None
    assert scope(key("OR UID 5:7 SEEN")) is None


_LEAVES = ("ALL", "SEEN", "UNSEEN", "RECENT", "NEW", "UID 1:5", "UID 6:9", "LARGER 50", "ON 1-Jan-1970", "FROM ann",
           "SENTON 1-Jan-2024", "HEADER X-A \"\"", "BODY one", "TEXT two", "TEXT one")  # fmt: skip


def tree(chance: random.Random, depth: int) -> str:
    if not depth or chance.random() < 0.3:
        return chance.choice(_LEAVES)
    one, other = tree(chance, depth - 1), tree(chance, depth - 1)
    return chance.choice([f"NOT {one}", f"OR {one} {other}", f"({one} {other})"])


@given(
    st.integers(),
    st.booleans(),
    st.sampled_from([UNSEEN, SEEN_ONE]),
    st.booleans(),
    st.sets(st.sampled_from(["a", "b", "c"])),
)
def test_knowing_more_never_changes_what_was_sure(
    seed: int, recent: bool, message: Message, from_ann: bool, found: set[Any]
) -> None:
    one = key(tree(random.Random(seed), 5))
    words = {leaf.words for leaf in leaves(one) if isinstance(leaf, Text)}
    held = {word for word, name in zip(sorted(words, key=repr), "abc", strict=False) if name in found}
    header = Header(b"From: %b\r\nDate: 1 Jan 2024\r\n\r\n" % (b"Ann" if from_ann else b"Bob"))
    stages = [
        Known(5, recent),
        Known(5, recent, message),
        Known(5, recent, message, attached=()),
        Known(5, recent, message, header),
        Known(5, recent, message, header, held),
    ]
    verdicts = [one.holds(known) for known in stages]
    sure = [verdict for verdict in verdicts if verdict is not None]
    assert sure
    assert len(set(sure)) == 1
    assert verdicts[-1] is not None
    assert verdicts[one.cost] is not None
    assert verdicts == sorted(verdicts, key=lambda verdict: verdict is not None)


_ALPHABET = 'ALSENTOR ()BDYUIXFM0123456789:*,"{}-Jan'


@given(st.binary(max_size=50) | st.text(_ALPHABET, max_size=50).map(str.encode))
def test_garbage_is_a_mail_error_and_nothing_else(garbage: bytes) -> None:
    with suppress(MailError):
        key(garbage)
