"""Result options and the ESEARCH response (RFC 4731, RFC 5182, RFC 9394) as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.results import Partial, Returns, in_order, read_returns
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import MessageSet


def read(text: str) -> Returns | None:
    return read_returns(Arguments(Frame(text.encode())))


def test_options_are_read_as_they_are_meant() -> None:
    assert read("RETURN () ALL") == Returns(all=True)
    assert read("return (min MAX) ALL") == Returns(min=True, max=True)
    assert read("RETURN (SAVE) ALL") == Returns(save=True)
    assert read("RETURN (COUNT ALL COUNT) ALL") == Returns(count=True, all=True)
    assert read("RETURN (PARTIAL 500:1 SAVE) ALL") == Returns(save=True, partial=Partial((500, 1), False))
    assert read("RETURN (PARTIAL -1:-100) ALL") == Returns(partial=Partial((1, 100), True))
    assert read("ALL") is None


@pytest.mark.parametrize(
    "bad",
    ["RETURN (", "RETURN (MIN", "RETURN (MIN)", "RETURN (MIN )", "RETURN (MINMAX) ALL", "RETURN (MIN  MAX) ALL",
     "RETURN (PARTIAL) ALL", "RETURN (PARTIAL 1) ALL", "RETURN (PARTIAL 1:*) ALL", "RETURN (PARTIAL 0:1) ALL",
     "RETURN (PARTIAL 1:-1) ALL", "RETURN (PARTIAL -1:1) ALL", "RETURN (PARTIAL 1:2 ALL) ALL",
     "RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL", "RETURN (UPDATE) ALL", "RETURN (CONTEXT) ALL", "RETURN ()ALL"],
)  # fmt: skip
def test_other_options_are_faults(bad: str) -> None:
    with pytest.raises(SyntaxFault):
        read(bad)


@pytest.mark.parametrize(
    ("partial", "wanted"),
    [("1:3", [1, 2, 3]), ("3:1", [1, 2, 3]), ("8:20", [8, 9]), ("10:20", []), ("4:4", [4]), ("-1:-3", [7, 8, 9]),
     ("-3:-1", [7, 8, 9]), ("-9:-9", [1]), ("-8:-100", [1, 2]), ("-10:-11", []), ("1:4294967295", [*range(1, 10)])],
)  # fmt: skip
def test_a_part_is_counted_from_either_end(partial: str, wanted: list[int]) -> None:
    returns = read(f"RETURN (PARTIAL {partial}) ALL")
    assert returns is not None
    assert returns.partial is not None
    assert list(returns.partial.of(range(1, 10))) == wanted
    assert bytes(returns.partial) == partial.encode()


@pytest.mark.parametrize(
    ("options", "response"),
    [
        # RFC 4731 3.1
        ("MIN COUNT", b'* ESEARCH (TAG "a") MIN 2 COUNT 3\r\n'),
        ("", b'* ESEARCH (TAG "a") ALL 2,10:11\r\n'),
        ("MIN MAX ALL COUNT", b'* ESEARCH (TAG "a") MIN 2 MAX 11 COUNT 3 ALL 2,10:11\r\n'),
        ("PARTIAL 2:9", b'* ESEARCH (TAG "a") PARTIAL (2:9 10:11)\r\n'),
        ("PARTIAL 4:9 COUNT", b'* ESEARCH (TAG "a") COUNT 3 PARTIAL (4:9 NIL)\r\n'),
    ],
)
def test_responses_are_as_in_the_rfc(options: str, response: bytes) -> None:
    returns = read(f"RETURN ({options}) ALL")
    assert returns is not None
    assert returns.response(b'TAG "a"', [2, 10, 11], by_uid=False) == response


def test_where_nothing_is_found_only_counts_and_parts_are_told() -> None:
    everything = Returns(min=True, max=True, all=True, count=True)
    assert everything.response(b'TAG "a"', [], by_uid=True, modseq=None) == b'* ESEARCH (TAG "a") UID COUNT 0\r\n'


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        # RFC 5182 2.4 and RFC 9394 3.2
        ("SAVE", [1, 3, 5, 7, 9]), ("SAVE MIN", [1]), ("SAVE MAX", [9]), ("SAVE MIN MAX", [1, 9]),
        ("SAVE ALL MIN", [1, 3, 5, 7, 9]), ("SAVE COUNT", [1, 3, 5, 7, 9]), ("SAVE COUNT MAX", [1, 3, 5, 7, 9]),
        ("SAVE PARTIAL 2:3", [3, 5]), ("SAVE PARTIAL 2:3 MIN", [1, 3, 5]), ("SAVE PARTIAL -1:-2 MAX", [7, 9]),
        ("SAVE PARTIAL 2:2 MIN MAX", [1, 3, 9]), ("SAVE PARTIAL 2:3 COUNT", [1, 3, 5, 7, 9]),
    ],
)  # fmt: skip
def test_what_is_saved_follows_the_tables(options: str, saved: list[int]) -> None:
    returns = read(f"RETURN ({options}) ALL")
    assert returns is not None
    assert returns.save
    assert list(returns.meant([1, 3, 5, 7, 9])) == saved
    assert list(returns.meant([])) == []


@given(st.lists(st.integers(1, 30), unique=True))
def test_a_set_in_order_holds_exactly_the_numbers_in_that_order(numbers: list[int]) -> None:
    told: list[int] = []
    for item in filter(None, in_order(numbers).decode().split(",")):
        low, _, high = item.partition(":")
        told.extend(range(int(low), int(high or low) + 1))
    assert told == numbers
    if numbers == sorted(numbers) and numbers:
        assert in_order(numbers).decode() == str(MessageSet.of(numbers))
