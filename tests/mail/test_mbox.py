"""Messages out of an mbox in all its variants, and into one."""

from __future__ import annotations

import io

import pytest

from mailsystem.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailsystem.mail.mbox import (
    LOOK_BEHIND,
    Begin,
    ends_message,
    maildir_flags,
    maildir_info,
    mozilla_flags,
    quoted,
    separator,
    split,
    status_flags,
)

FROM = b"From ann@example.org Fri Nov 27 12:00:00 2026\n"


def read(octets: bytes, size: int = 1 << 16, *, seekable: bool = True) -> list[tuple[str, float | None, bytes]]:
    """Sender, date and octets of each message."""
    file = io.BytesIO(octets)

    def ends_after(length: int) -> bool:
        here = file.tell()
        return here + length <= len(octets) and ends_message(octets[here + length :][:LOOK_BEHIND])

    found: list[tuple[str, float | None, bytes]] = []
    for part in split(iter(lambda: file.readline(size), b""), ends_after if seekable else None):
        if isinstance(part, Begin):
            found.append((part.sender, part.date, b""))
        else:
            sender, date, before = found[-1]
            found[-1] = sender, date, before + part
    return found


@pytest.mark.parametrize(
    ("octets", "messages"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"Subject: no mbox\n\nFrom here\n", []),
        (FROM + b"A: 1\n\nx\n\n", [b"A: 1\r\n\r\nx\r\n"]),
        (FROM + b"A: 1\n\nx\n", [b"A: 1\r\n\r\nx\r\n"]),
        (FROM + b"A: 1\n\nx", [b"A: 1\r\n\r\nx"]),
        (FROM + b"A: 1\r\n\r\nx\r\n\r\n", [b"A: 1\r\n\r\nx\r\n"]),
        # A header alone, without the blank line after it and with it.
        (FROM + b"A: 1\n\n", [b"A: 1\r\n"]),
        (FROM + b"A: 1\n\n\n" + FROM + b"B: 1\n\n" + FROM + b"\nx\n\n", [b"A: 1\r\n\r\n", b"B: 1\r\n", b"\r\nx\r\n"]),
        (FROM + b"A: 1\n\nx\n\n\n\n", [b"A: 1\r\n\r\nx\r\n\r\n\r\n"]),
        (FROM + b"A: 1\n\nx\n\n" + FROM + b"B: 1\n\ny\n\n", [b"A: 1\r\n\r\nx\r\n", b"B: 1\r\n\r\ny\r\n"]),
        # No separator: no blank line before it, no date in it, not at the beginning of a line.
        (FROM + b"A: 1\n\nx\n" + FROM, [b"A: 1\r\n\r\nx\r\n" + FROM[:-1] + b"\r\n"]),
        (FROM + b"A: 1\n\n\nFrom here on\n", [b"A: 1\r\n\r\n\r\nFrom here on\r\n"]),
        # Thunderbird says no more than that.
        (
            b"From \r\nA: 1\r\n\r\nx\r\n\r\nFrom \r\nB: 1\r\n\r\n>From \r\nFrom \r\n\r\n" + FROM + b"C: 1\n\nz\n\n",
            [b"A: 1\r\n\r\nx\r\n", b"B: 1\r\n\r\nFrom \r\nFrom \r\n", b"C: 1\r\n\r\nz\r\n"],
        ),
        # mboxrd: one > goes from each.
        (FROM + b"A: 1\n\n>From x\n>>From y\n> From z\n", [b"A: 1\r\n\r\nFrom x\r\n>From y\r\n> From z\r\n"]),
        # mboxcl2: nothing is quoted, and the length tells.
        (
            FROM + b"Content-Length: %d\n\n\n" % (len(FROM) + 3) + FROM + b">x\n" + FROM + b"B: 1\n\n",
            [b"Content-Length: %d\r\n\r\n\r\n" % (len(FROM) + 3) + FROM[:-1] + b"\r\n>x\r\n", b"B: 1\r\n"],
        ),
        # A length that is wrong is not believed.
        (
            FROM + b"Content-Length: 3\n\nlonger\n\n" + FROM + b"B: 1\n\n",
            [b"Content-Length: 3\r\n\r\nlonger\r\n", b"B: 1\r\n"],
        ),
        # Nor is one that was told before something was quoted, so that it ends one octet too early.
        (
            FROM + b"Content-Length: 7\n\n>From x\n\n" + FROM + b"B: 1\n\n",
            [b"Content-Length: 7\r\n\r\nFrom x\r\n", b"B: 1\r\n"],
        ),
        (FROM + b"Content-Length: 7\n\n>From x\n\n", [b"Content-Length: 7\r\n\r\nFrom x\r\n"]),
        # mboxrd quotes in the header, too.
        (FROM + b">From x\nA: 1\n>>From y\n\nx\n\n", [b"From x\r\nA: 1\r\n>From y\r\n\r\nx\r\n"]),
        (b"From somebody\nA: 1\n\nx\n", [b"A: 1\r\n\r\nx\r\n"]),
    ],
)
@pytest.mark.parametrize("size", [1 << 16, 60])
def test_messages_are_split(octets: bytes, messages: list[bytes], size: int) -> None:
    assert [message for *_, message in read(octets, size)] == messages


@pytest.mark.parametrize("size", [1 << 16, 60])
def test_a_line_that_is_read_in_parts_has_no_separator_in_it(size: int) -> None:
    octets = FROM + b"A: 1\n\n" + b"x" * 60 + FROM + b"y" * 60 + b"From y\n"
    [message] = read(octets, size)
    assert len(message[2]) == len(octets) - len(FROM) + 4


def test_a_length_is_passed_over_where_nobody_can_look() -> None:
    octets = FROM + b"Content-Length: 999\n\nx\n\n" + FROM + b"B: 1\n\n"
    assert len(read(octets, seekable=False)) == 2


def test_the_separator_tells_who_and_when() -> None:
    told = [
        read(line + b"\n\n")[0][:2]
        for line in (FROM, b"From - Fri Nov 27 12:00:00 +0100 2026\n", b"From x Fri Nov 31 12:00 2026\n")
    ]
    assert told == [("ann@example.org", 1795780800.0), ("-", 1795780800.0), ("x", None)]
    assert separator("ann@example.org", 1795780800.0) == FROM
    assert separator("", 0.0) == b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
    assert separator("a b\nFrom x", -1e30).count(b"\n") == 1


def test_what_was_written_is_read_again() -> None:
    message = b"From w\r\nA: 1\r\nContent-Length: 23\r\n\r\nFrom x\r\n>From y\r\n\r\nFrom z\r\n"
    octets = separator("a@b.test", 0.0) + quoted(message) + b"\n"
    assert read(octets * 2) == [("a@b.test", 0.0, message)] * 2


def test_flags_are_told_by_letters() -> None:
    assert status_flags("RO" + "AF") == {SEEN, ANSWERED, FLAGGED}
    assert mozilla_flags("1007") == {SEEN, ANSWERED, FLAGGED, "$Forwarded"}
    assert mozilla_flags("0008") == {DELETED}
    assert mozilla_flags("") == mozilla_flags("x") == mozilla_flags("-1") == frozenset()
    assert maildir_flags("1.x:2,DFRST") == {DRAFT, FLAGGED, ANSWERED, SEEN, DELETED}
    assert maildir_flags("1.S") == maildir_flags("1.x:2,") == frozenset()
    assert maildir_info(frozenset({SEEN, FLAGGED})) == ":2,FS"
