"""What another server answers, in pieces and in garbage."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.queue.replies import MOST_LINES, MOST_OCTETS, SHOWN, BadReply, Replies, Reply, extensions


def read(*pieces: bytes) -> list[Reply]:
    replies = Replies()
    found = []
    for piece in pieces:
        replies.feed(piece)
        while (reply := replies.next()) is not None:
            found.append(reply)
    return found


@pytest.mark.parametrize(
    ("wire", "reply", "shown"),
    [
        (b"250 ok\r\n", Reply(250, "", ("ok",)), "250 ok"),
        (b"250\r\n", Reply(250, "", ("",)), "250"),
        (b"250 2.1.0 ok\r\n", Reply(250, "2.1.0", ("ok",)), "250 2.1.0 ok"),
        (b"250 2.1.0\r\n", Reply(250, "2.1.0", ("",)), "250 2.1.0"),
        (b"550-5.1.1 no\r\n550 5.1.1 body\r\n", Reply(550, "5.1.1", ("no", "body")), "550 5.1.1 no body"),
        (b"550-5.1.1 no\r\n550 body\r\n", Reply(550, "5.1.1", ("no", "body")), "550 5.1.1 no body"),
        # A class of its own is none (RFC 2034 4), and a second status is a part of the text.
        (b"450 5.1.1 no\r\n", Reply(450, "", ("5.1.1 no",)), "450 5.1.1 no"),
        (b"550-5.1.1 a\r\n550 5.7.1 b\r\n", Reply(550, "5.1.1", ("a", "5.7.1 b")), "550 5.1.1 a 5.7.1 b"),
        (b"354 2.1.0 go\r\n", Reply(354, "", ("2.1.0 go",)), "354 2.1.0 go"),
        (b"250 2.1.0.5 ok\r\n", Reply(250, "", ("2.1.0.5 ok",)), "250 2.1.0.5 ok"),
        # What others do wrong and is understood all the same.
        (b"250 ok\n", Reply(250, "", ("ok",)), "250 ok"),
        (b"220-a\r\n250 b\r\n", Reply(250, "", ("a", "b")), "250 a b"),
        (b"550 \xff\x1b[31m\x00\r\r\n", Reply(550, "", ("\ufffd?[31m??",)), "550 \ufffd?[31m??"),
        (b"550 gr\xc3\xbc\xc3\x9fe\r\n", Reply(550, "", ("grüße",)), "550 grüße"),
    ],
)
def test_a_reply_is_understood(wire: bytes, reply: Reply, shown: str) -> None:
    assert read(wire) == [reply]
    assert read(*(wire[at : at + 1] for at in range(len(wire)))) == [reply]
    assert read(wire + b"221 bye\r\n") == [reply, Reply(221, "", ("bye",))]
    assert str(reply) == shown


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"ok\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"25a ok\r\n",
        b"250_ok\r\n",
        b" 250 ok\r\n",
        "٢٥٠ ok\r\n".encode(),
        b"250-ok\r\nnothing\r\n",
        b"<html>\r\n",
        b"250-more\r\n" * (MOST_LINES + 1),
        b"250 " + b"x" * MOST_OCTETS,
        b"250-" + b"x" * (MOST_OCTETS // 2) + b"\r\n250-" + b"x" * (MOST_OCTETS // 2),
    ],
)
def test_garbage_is_one_kind_of_error(wire: bytes) -> None:
    with pytest.raises(BadReply):
        read(wire)


def test_a_long_reply_is_shown_in_part() -> None:
    [reply] = read(b"550 5.7.1 " + "ü".encode() * 1000 + b"\r\n")
    shown = str(reply)
    assert shown.startswith("550 5.7.1 üü")
    assert shown.endswith("ü…")
    assert SHOWN - 3 <= len(shown.encode()) <= SHOWN


def test_the_status_that_was_not_given_is_the_one_of_the_code() -> None:
    assert [reply.enhanced for reply in read(b"250 a\r\n", b"450 a\r\n", b"550 a\r\n", b"550 5.1.1 a\r\n")] == [
        "2.0.0",
        "4.0.0",
        "5.0.0",
        "5.1.1",
    ]


def test_what_is_offered_stands_below_the_first_line() -> None:
    [hello] = read(
        b"250-SIZE.example PIPELINING\r\n250-size 1000\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 5\r\n"
    )
    assert extensions(hello) == {"SIZE": "1000", "8BITMIME": "", "AUTH": "PLAIN LOGIN"}


def test_what_follows_a_reply_is_noticed() -> None:
    replies = Replies()
    replies.feed(b"220 go ahead\r\n250-more")
    assert replies.next() == Reply(220, "", ("go ahead",))
    assert replies.pending


codes = st.integers(200, 599)
texts = st.lists(
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=40), min_size=1, max_size=8
)
cuts = st.lists(st.integers(0, 2000), max_size=10)


@given(st.lists(st.tuples(codes, texts), max_size=5), cuts)
def test_any_cutting_gives_the_same_replies(said: list[tuple[int, list[str]]], at: list[int]) -> None:
    wire = b"".join(
        b"%d%b%b\r\n" % (code, b" " if text is lines[-1] and n == len(lines) - 1 else b"-", text.encode())
        for code, lines in said
        for n, text in enumerate(lines)
    )
    places = sorted({min(cut, len(wire)) for cut in at} | {0, len(wire)})
    pieces = [wire[start:end] for start, end in pairwise(places)]
    whole = read(wire)
    assert read(*pieces) == whole
    assert [reply.code for reply in whole] == [code for code, _ in said]
    for reply, (_, lines) in zip(whole, said, strict=True):
        assert len(reply.lines) == len(lines)
        if not reply.status:
            assert list(reply.lines) == [line.strip() for line in lines]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_octets_do_anything_else_than_reply_or_fail(pieces: list[bytes]) -> None:
    try:
        found = read(*pieces)
    except BadReply:
        return
    for reply in found:
        assert 200 <= reply.code <= 599
        assert str(reply).isprintable()
        assert len(str(reply).encode()) <= SHOWN
        assert reply.enhanced[0] == str(reply.code)[0]
