"""The order of SORT (RFC 5256, RFC 5957) as values: what of a header counts, and that the order is that of the definition."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.heading import MOST_REFERENCES, Heading, chain, collated, sent_at
from mailsystem.imap.sorting import Criterion, needs_heading, ordered, read_sort, row
from mailsystem.mail.errors import MailError, SyntaxFault
from mailsystem.mail.mailbox import ContentId, Message, ModSeq, Uid


def read(text: str) -> list[Criterion]:
    args = Arguments(Frame(text.encode()))
    criteria = read_sort(args)
    args.end()
    return criteria


def test_criteria_are_read_as_they_are_meant() -> None:
    assert read("(SUBJECT)") == [("SUBJECT", False)]
    assert read("(subject reverse DATE DISPLAYTO)") == [("SUBJECT", False), ("DATE", True), ("DISPLAYTO", False)]
    assert not needs_heading(read("(ARRIVAL REVERSE SIZE)"))
    assert needs_heading(read("(ARRIVAL DATE)"))


@pytest.mark.parametrize(
    "bad", ["()", "SUBJECT", "(SUBJECT", "(REVERSE)", "(REVERSE REVERSE DATE)", "(SUBJECT  DATE)", "(BCC)", "(DATE )", "",
            "(" + "DATE " * 60 + "DATE)", "(REVERSE DATE REVERSE)"]
)  # fmt: skip
def test_other_criteria_are_faults(bad: str) -> None:
    with pytest.raises(MailError):
        read(bad)
    with pytest.raises(SyntaxFault):
        read("(ARRIVAL) x")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        # RFC 5256 2.2
        (b"31 Dec 2000 16:01:33 -0800", 978307293.0),
        (b" Mon, 1 Jan 2001 00:01:33 +0000", 978307293.0),
        (b"Mon, 01 Jan 2001 00:01:33 GMT", 978307293.0),
        (b"1 Jan 2001 00:01:33", 978307293.0),
        (b"1 Jan 2001 00:01 EST", 978325260.0),
        (b"1 Jan 2001 00:01:33 +9999", 978307293.0),
        (b"1 Jan 2001 00:01:33 Q", 978307293.0),
        (b"1 Jan 2001 25:01:33 +0100", 978307200.0),
        (b"1 Jan 2001", 978307200.0),
        (b"(1 Feb 2002 1:1:1) 1 (a) Jan 2001 00:01:33 +0000 (UTC)", 978307293.0),
        (b"1 Jan 01 00:01:33 +0000", 978307293.0),
        (b"1 Jan 2001\r\n 02:01:33\r\n +0200", 978307293.0),
        (b"31 Dec 1969 23:59:59 +0000", -1.0),
        (b"30 Feb 2001 00:01:33 +0000", None),
        (b"yesterday", None),
        (b"", None),
    ],
)
def test_a_moment_is_that_of_utc(value: bytes, sent: float | None) -> None:
    assert sent_at(value) == sent


@pytest.mark.parametrize(
    ("value", "mailbox", "display"),
    [
        (b"Ann Lee <ann@example.org>", "ann", "Ann Lee"),
        (b"ann@example.org", "ann", "ann@example.org"),
        (b'"Lee, Ann" <ann@example.org>, bob@example.org', "ann", "Lee, Ann"),
        (b"=?utf-8?q?J=C3=B6rg?= <joerg@example.org>", "joerg", "Jörg"),
        (b"friends: ann@example.org, bob@example.org;", "friends", "friends"),
        (b"<>", "", ""),
        (b"ann", "ann", "ann"),
        (b"", "", ""),
    ],
)
def test_of_an_address_either_the_mailbox_counts_or_what_is_shown(value: bytes, mailbox: str, display: str) -> None:
    heading = Heading(b"From: " + value + b"\r\nFrom: zoe@example.org\r\nTo: other@example.org\r\n\r\n")
    assert heading.mailbox(b"FROM") == mailbox
    assert heading.display(b"FROM") == display
    assert Heading(b"Subject: x\r\n\r\n").display(b"FROM") == ""


def test_ids_are_compared_in_one_spelling() -> None:
    # RFC 5256 3: quotes do not count.
    assert chain(b'<"01KF8JCEOCBS0045PS"@xxx.yyy.com> <01KF8JCEOCBS0045PS@xxx.yyy.com>') == [
        b"01KF8JCEOCBS0045PS@xxx.yyy.com",
        b"01KF8JCEOCBS0045PS@xxx.yyy.com",
    ]
    assert chain(b"some <a@b>\r\n\t<c@d><e> <@f> <g@> < h @ i > <j@[1.2.3.4]> (<k@l>)") == [
        b"a@b", b"c@d", b"h@i", b"j@[1.2.3.4]", b"k@l"
    ]  # fmt: skip
    assert chain(b"<a@b> <A@b>") == [b"a@b", b"A@b"]
    heading = Heading(
        b"In-Reply-To: Your message of today <x@y> <z@y>\r\nReferences: none\r\nMessage-ID: <m@n>\r\n\r\n"
    )
    assert (heading.references, heading.message_id) == ([b"x@y"], b"m@n")


def test_of_a_long_chain_the_first_and_the_last_are_kept_and_long_ids_by_their_digest() -> None:
    ids = chain(b" ".join(b"<%d@x>" % number for number in range(5000)))
    assert len(ids) == MOST_REFERENCES
    assert (ids[0], ids[1], ids[-1]) == (b"0@x", b"4901@x", b"4999@x")
    [one, other] = chain(b"<%b@x> <%b@x>" % (b"a" * 100_000, b"b" * 100_000))
    assert one != other
    assert len(one) == len(other) == 16


def test_text_is_ordered_in_any_case_and_spelling() -> None:
    assert collated("abc") == collated("ABC")
    assert collated("é") == collated("e\u0301") == collated("É")
    assert sorted(["b", "A", "ä", "B", "_", "a"], key=collated) == ["A", "a", "ä", "b", "B", "_"]


_HEADS = st.builds(
    lambda subject, sender, date, to: (
        f"Subject: {subject}\r\nFrom: {sender}\r\nDate: {date}\r\n" + (f"To: {to}\r\n" if to else "") + "\r\n"
    ).encode(),
    st.sampled_from(["one", "Re: one", "ONE", "two", "", "[x] two", "Übung", "zwei"]),
    st.sampled_from(["ann@example.org", "Zoe <bob@example.org>", "carl", ""]),
    st.sampled_from(
        ["1 Jan 2001 00:00:00 +0000", "31 Dec 2000 16:00:00 -0800", "2 Jan 2001", "never", "3 Jan 1999 1:00"]
    ),
    st.sampled_from(["", "bob@example.org", "Ann <zoe@example.org>"]),
)
_NAMES = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"]


@given(
    st.lists(st.tuples(_HEADS, st.integers(0, 3), st.integers(0, 3)), max_size=12),
    st.lists(st.builds(Criterion, st.sampled_from(_NAMES), st.booleans()), min_size=1, max_size=4),
)
def test_the_order_is_that_of_the_definition(letters: list[Any], criteria: list[Criterion]) -> None:
    messages = [
        (Message(Uid(uid), ModSeq(1), frozenset(), arrived + 0.5 / uid, size, ContentId(1)), head)
        for uid, (head, arrived, size) in enumerate(letters, 1)
    ]
    rows = [row(criteria, message, head) for message, head in messages]

    def compare(one: Any, other: Any) -> int:
        for column, criterion in enumerate(criteria, 1):
            if one[column] != other[column]:
                return (-1 if one[column] < other[column] else 1) * (-1 if criterion.reverse else 1)
        return -1 if one[0] < other[0] else 1

    assert ordered(criteria, rows) == [one[0] for one in sorted(rows, key=functools.cmp_to_key(compare))]


def test_a_key_that_comes_again_counts_once() -> None:
    assert read("(" + "SUBJECT REVERSE FROM " * 20 + "DATE)") == [("SUBJECT", False), ("FROM", True), ("DATE", False)]


def test_very_long_subjects_and_names_are_told_apart_by_their_beginnings() -> None:
    """A header may hold 256 KiB of each, and a mailbox very many of them: memory is for all."""
    criteria = read("(SUBJECT DISPLAYFROM)")
    head = b"Subject: " + b"x" * 200_000 + b"\r\nFrom: " + b"y" * 200_000 + b" <a@b.example>\r\n\r\n"
    message = Message(Uid(1), ModSeq(1), frozenset(), 0.0, 1, ContentId(1), 0.0)
    _, subject, name = row(criteria, message, head)
    assert (subject, name) == ("X" * 1000, "Y" * 1000)
