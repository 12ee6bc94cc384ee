"""A message on its way to the wire: its dots, its line ends, what it demands."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from other_side import Letter, outgoing
from wire import stuffed

from mailsystem.mail.address import Address
from mailsystem.queue.content import Content, Stuffing
from mailsystem.queue.demands import lacking, needs_utf8
from mailsystem.queue.letter import Newlines

lines = st.lists(st.sampled_from([b"", b".", b"..", b"a", b"a.", b".\ra", b"word", b"\r\n"]), max_size=12)


def cut(octets: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(place, len(octets)) for place in at} | {0, len(octets)})
    return [octets[start:end] for start, end in pairwise(places)]


@given(lines, st.lists(st.integers(0, 100), max_size=8))
def test_dots_are_stuffed_however_the_message_is_cut(text: list[bytes], at: list[int]) -> None:
    octets = b"".join(line.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n" for line in text)
    stuffing = Stuffing()
    wire = b"".join(map(stuffing.feed, cut(octets, at)))
    assert wire + b".\r\n" == stuffed(octets)
    assert b"\r\n.\r\n" not in b"\r\n" + wire


@given(
    st.binary(max_size=60) | st.text("\r\n.a", max_size=30).map(str.encode), st.lists(st.integers(0, 60), max_size=8)
)
def test_nothing_but_crlf_ends_a_line_however_it_is_cut(octets: bytes, at: list[int]) -> None:
    newlines = Newlines()
    made = b"".join(map(newlines.feed, cut(octets, at))) + newlines.close()
    assert made == octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


async def all_of(pieces: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [piece async for piece in pieces]


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        ((b"a\r\n", b"", b"b\r\n"), [b"a\r\n", b"b\r\n"]),
        ((b"a\r\nb",), [b"a\r\nb", b"\r\n"]),
        ((b"",), []),
    ],
)
async def test_the_last_line_ends(pieces: tuple[bytes, ...], sent: list[bytes]) -> None:
    assert await all_of(Content(outgoing(), Letter(*pieces)).pieces()) == sent


async def test_a_binary_message_goes_as_it_is() -> None:
    assert await all_of(Content(outgoing(body="BINARYMIME"), Letter(b"a\nb")).pieces()) == [b"a\nb"]


@pytest.mark.parametrize(
    ("options", "octets", "offered", "status"),
    [
        ({}, b"a\r\n", {}, None),
        ({}, b"\xc3\xbc\r\n", {}, "5.6.3"),
        ({"body": "8BITMIME"}, b"a\r\n", {}, None),
        ({"body": "8BITMIME"}, b"\xc3\xbc\r\n", {"8BITMIME": ""}, None),
        ({"body": "BINARYMIME"}, b"a", {"8BITMIME": "", "CHUNKING": ""}, "5.6.1"),
        ({"body": "BINARYMIME"}, b"a", {"BINARYMIME": ""}, "5.6.1"),
        ({"body": "BINARYMIME"}, b"\xff", {"BINARYMIME": "", "CHUNKING": ""}, None),
        ({}, b"a" * 101, {"SIZE": "100"}, "5.3.4"),
        ({}, b"a" * 100, {"SIZE": "100"}, None),
        ({}, b"a" * 100, {"SIZE": "0"}, None),
        ({}, b"a" * 100, {"SIZE": "1e1"}, None),
    ],
)
async def test_what_another_server_cannot_take_is_known_before(
    options: dict[str, str], octets: bytes, offered: dict[str, str], status: str | None
) -> None:
    found = await lacking(Content(outgoing(**options), Letter(octets)), offered, "mx.b.test")
    assert (found and found.status) == status


@pytest.mark.parametrize(
    ("sender", "recipient", "utf8", "octets", "needed"),
    [
        ("ann@a.test", "bob@b.test", True, b"Subject: hi\r\n\r\n\xc3\xbc", False),
        ("ann@a.test", "bob@b.test", True, b"Subject: \xc3\xbc\r\n\r\n", True),
        ("ann@a.test", "bob@b.test", False, b"Subject: \xc3\xbc\r\n\r\n", False),
        ("änn@a.test", "bob@b.test", True, b"", True),
        ("ann@a.test", "böb@b.test", True, b"", True),
        ("ann@a.test", "bob@bücher.test", True, b"", False),
        ("", "bob@b.test", True, b"", False),
    ],
)
async def test_smtputf8_is_asked_for_where_there_is_no_other_way(
    sender: str, recipient: str, utf8: bool, octets: bytes, needed: bool
) -> None:
    letter = Letter(*(octets[at : at + 1] for at in range(len(octets))), b"")
    content = Content(outgoing(sender, utf8=utf8), letter)
    assert await needs_utf8(content, Address.parse(recipient)) is needed
