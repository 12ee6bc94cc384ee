"""The letters that are sent: number n of one size is always the same octets, so that every answer can be checked."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable
from typing import Final

RARE: Final = "xylophone"
"""In the body of one letter in a thousand."""
COMMON: Final = "quarterly"
"""In the body of every other letter."""
TITLE: Final = "invoice"
"""In the subject of one letter in 25."""
WRITER: Final = "alice."
"""In the From of one letter in 20."""
NOWHERE: Final = "qzjxkwv"
"""In no letter."""

DAYS: Final = 360
FIRST_DAY: Final = 1_735_732_800
"""1 January 2025, 12:00 UTC: at noon it is the same day almost everywhere."""
_DAY: Final = 86_400
_NAMES: Final = [
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "mallory",
    "niaj",
    "olivia",
    "peggy",
    "rupert",
    "sybil",
    "trent",
    "victor",
    "walter",
    "zoe",
]
_SYLLABLES: Final = [
    "ba",
    "ne",
    "ri",
    "to",
    "lu",
    "ka",
    "mi",
    "so",
    "de",
    "va",
    "ter",
    "ung",
    "ent",
    "age",
    "ion",
    "pre",
    "con",
    "al",
    "or",
    "um",
    "is",
    "en",
    "ed",
    "ly",
    "ve",
    "st",
    "na",
    "ro",
    "ti",
]
_VOCABULARY: Final = 4000
_VARIANTS: Final = 40
_HEAD: Final = 460
"""Octets that a head has, more or less."""
_SMALL, _MIDDLE = 3_000, 60_000
"""Up to the one a letter is plain text, up to the other it has HTML beside it, and beyond an attachment."""


def _words() -> list[str]:
    made = random.Random(1)
    known: dict[str, None] = {}
    while len(known) < _VOCABULARY:
        known["".join(made.choices(_SYLLABLES, k=1 + min(3, int(len(known) ** 0.2))))] = None
        if len(known) < 30:
            known["".join(made.choices(_SYLLABLES, k=2))] = None
    return list(known)


_WORDS: Final = _words()
_WEIGHTS: Final = [1 / (rank + 3) for rank in range(len(_WORDS))]


class Letters:
    """All letters of about `size` octets: with CRLF, without a dot at the beginning of a line."""

    def __init__(self, size: int) -> None:
        self.size = size
        made = random.Random(size)
        self._variants = max(1, min(_VARIANTS, (8 << 20) // size))
        self._bodies = [_body(made, size - _HEAD, COMMON if n % 2 == 0 else "") for n in range(self._variants)]
        self._rare = _body(made, size - _HEAD, RARE)

    def letter(self, number: int, recipient: str = "list@bench.test") -> bytes:
        """The whole message."""
        return self.head(number, recipient) + self.body(number)

    def body(self, number: int) -> bytes:
        """The body, with the fields of MIME before it: the end of the letter."""
        return self._rare if number % 1000 == 500 else self._bodies[number % self._variants]

    def head(self, number: int, recipient: str) -> bytes:
        one, other = _NAMES[number % 20], _NAMES[number // 20 % 20]
        title = TITLE if number % 25 == 0 else _WORDS[number * 7919 % _VOCABULARY]
        return (
            "Received: from client.example.org (client.example.org [127.0.0.1])\r\n"
            f"\tby mx.example.net with ESMTP id b{number}\r\n"
            f'From: "{one.title()} {other.title()}" <{one}.{other}@example.org>\r\nTo: {recipient}\r\n'
            f"Subject: {title} {_WORDS[number * 104_729 % _VOCABULARY]} {_WORDS[number * 31 % _VOCABULARY]} #{number}\r\n"
            f"Date: {_DATES[number % DAYS]}\r\nMessage-ID: <{number}.{self.size}@client.example.org>\r\nMIME-Version: 1.0\r\n"
        ).encode()

    def internaldate(self, number: int) -> str:
        """As IMAP writes it: one day of 360."""
        return _INTERNALDATES[number % DAYS]

    def arrived(self, number: int) -> float:
        """The same in seconds since 1970."""
        return FIRST_DAY + _DAY * (number % DAYS)

    def holding(self, count: int, what: Callable[[int], bool]) -> int:
        """For how many of the first `count` letters that is true."""
        return sum(map(what, range(count)))

    def is_rare(self, number: int) -> bool:
        return number % 1000 == 500

    def is_common(self, number: int) -> bool:
        return not self.is_rare(number) and number % self._variants % 2 == 0

    def is_titled(self, number: int) -> bool:
        return number % 25 == 0

    def is_of_the_writer(self, number: int) -> bool:
        return number % 20 == 0

    def is_since(self, number: int, day: int) -> bool:
        return number % DAYS >= day


def day(number: int) -> str:
    """Day so and so of the letters, as SEARCH writes it."""
    return time.strftime("%d-%b-%Y", time.gmtime(FIRST_DAY + _DAY * number))


_DATES: Final = [time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(FIRST_DAY + _DAY * n)) for n in range(DAYS)]
_INTERNALDATES: Final = [
    time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(FIRST_DAY + _DAY * n)) for n in range(DAYS)
]


def _text(made: random.Random, octets: int, word: str) -> str:
    """Lines of words, with `word` among them."""
    lines, length = [word] if word else [], 0
    while length < octets:
        lines.append(" ".join(made.choices(_WORDS, _WEIGHTS, k=10)))
        length += len(lines[-1]) + 2
    return "\r\n".join(lines) + "\r\n"


def _part(kind: str, encoding: str = "7bit") -> str:
    return f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"


def _body(made: random.Random, octets: int, word: str) -> bytes:
    octets = max(octets, 80)
    if octets <= _SMALL:
        return (_part("text/plain") + _text(made, octets - 80, word)).encode()
    boundary = f"=_{made.getrandbits(96):024x}"
    line = f"--{boundary}\r\n"
    if octets <= _MIDDLE:
        third = octets // 3
        html = _text(made, octets - third - 400, word).replace("\r\n", "<br>\r\n", 20)
        return (
            f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
            f"{line}{_part('text/plain')}{_text(made, third, word)}"
            f"{line}{_part('text/html', '8bit')}<html><body>\r\n{html}</body></html>\r\n--{boundary}--\r\n"
        ).encode()
    file = base64.b64encode(made.randbytes((octets - 3000) // 78 * 57))
    lines = b"\r\n".join(file[at : at + 76] for at in range(0, len(file), 76))
    head = (
        f'Content-Type: multipart/mixed;\r\n boundary="{boundary}"\r\n\r\n'
        f"{line}{_part('text/plain')}{_text(made, 2000, word)}"
        f'{line}Content-Type: application/pdf; name="report.pdf"\r\nContent-Disposition: attachment; filename="report.pdf"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + lines + f"\r\n--{boundary}--\r\n".encode()
