"""The clients of the benchmarks: what they make of answers, and what letters say of themselves."""

from __future__ import annotations

import email
import email.policy

import pytest

from benchmarks.clients import Refused
from benchmarks.clients.imap import exists, found, literals, responses, status, untagged
from benchmarks.letters import COMMON, RARE, TITLE, WRITER, Letters
from benchmarks.scenarios.search import keys
from benchmarks.targets import parse

FETCHED = (
    b"* 1 FETCH (UID 7 BODY[] {21}\r\nx\r\n* 9 FETCH (no)\r\n\r\n FLAGS ())\r\n* OK still here\r\n"
    b"* 2 FETCH (UID 8 BODY[] {0}\r\n FLAGS ())\r\nt1 OK done\r\n"
)


def test_what_stands_in_a_message_is_no_response() -> None:
    assert len(list(untagged(FETCHED))) == 3
    assert responses(FETCHED, b"FETCH") == 2
    assert literals(FETCHED) == (2, 21)


def test_numbers_are_read_from_answers() -> None:
    assert exists(b"* FLAGS ()\r\n* 172 EXISTS\r\n") == 172
    assert status(b'* STATUS "INBOX" (MESSAGES 17)\r\n') == 17
    assert found(b"* SEARCH 2 3 9\r\nt OK\r\n") == 3
    assert found(b"* SEARCH\r\nt OK\r\n") == 0
    with pytest.raises(Refused):
        exists(b"t OK\r\n")
    with pytest.raises(Refused):
        found(b"t OK\r\n")


@pytest.mark.parametrize("size", [1 << 10, 5 << 10, 10 << 10, 100 << 10, 1 << 20])
def test_letters_are_mail_of_about_their_size(size: int) -> None:
    letters = Letters(size)
    for number in (0, 1, 500):
        raw = letters.letter(number)
        assert abs(len(raw) - size) < max(200, size // 20)
        assert b"\n" not in raw.replace(b"\r\n", b"")
        assert b"\n." not in raw
        assert raw.endswith(b"\r\n")
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        assert not parsed.defects
        assert parsed["Message-ID"]
    assert letters.letter(3) == Letters(size).letter(3), "always the same"


def test_letters_hold_what_they_say() -> None:
    letters = Letters(5120)
    for number in range(1100):
        raw = letters.letter(number).partition(b"\r\n\r\n")
        subject = raw[0].partition(b"Subject: ")[2].partition(b"\r\n")[0]
        writer = raw[0].partition(b"\r\nFrom: ")[2].partition(b"\r\n")[0]
        assert (RARE.encode() in raw[2]) == letters.is_rare(number)
        assert (COMMON.encode() in raw[2]) == letters.is_common(number)
        assert (TITLE.encode() in subject) == letters.is_titled(number)
        assert (WRITER.encode() in writer) == letters.is_of_the_writer(number)


def test_every_search_knows_what_it_must_find() -> None:
    expected = {name: count for name, _, count in keys(2000)}
    assert expected["SUBJECT"] == 80
    assert expected["FROM"] == 100
    assert expected["UNSEEN"] == 1000
    assert expected["BODY, a rare word"] == expected["BODY, inside of a word"] == 2
    assert expected["BODY, a common word"] == 998
    assert expected["BODY, a word in none"] == 0
    assert expected["SINCE"] == 150


def test_a_target_is_parsed() -> None:
    one = parse("mine=localhost:25:-:143:u{n}:pw:12+13")
    assert (one.name, one.server.smtp, one.server.pop3, one.server.imap) == ("mine", 25, 0, 143)
    assert (one.roots, one.is_peer, one.server.address("u7")) == ((12, 13), True, "u7@bench.test")
    assert parse("mine=localhost:L24:-:143:u:pw").server.lmtp
    assert parse("mine=localhost:L24:-:143:u:pw").roots == ()


@pytest.mark.parametrize("text", ["", "x", "=h:1:2:3:u:p", "x=h:1:2:3:u", "x=h:a:2:3:u:p", "x=h:1:2:3:u:p:pid"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)
