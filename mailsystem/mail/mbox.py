"""Mail folders in one file, as RFC 4155 tells: messages out of lines, and lines out of messages.

The variants part the messages by a line `From sender date` behind a blank one, or by `From ` alone. In mboxo and mboxrd such a
line within a message has a `>` in front, which is taken away here; in mboxcl and mboxcl2 a Content-Length tells where it ends.
As many programs wrote a wrong one, that is believed only where a message really ends there, which its reader must see.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import asctime, gmtime, strptime
from typing import Final, NamedTuple

from mailsystem.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Flag

_FROM: Final = re.compile(
    rb"From (?P<sender>\S*) +(?P<date>[A-Z][a-z]{2} +[A-Z][a-z]{2} +[0-9]{1,2} +[0-9]{2}:[0-9]{2}(?::[0-9]{2})?"
    rb"(?: +[A-Za-z0-9+-]{1,10}){0,2} +[0-9]{4})[^\n]*"
)
_QUOTED: Final = re.compile(rb">+From ")
_TO_QUOTE: Final = re.compile(rb"(?m)^(>*From )")
_LENGTH: Final = re.compile(rb"content-length:[ \t]*([0-9]{1,15})[ \t]*\r?\n", re.IGNORECASE)
_END: Final = re.compile(rb"(?:\r?\n)?(?:From |\Z)")
LOOK_BEHIND: Final = 7
"""Octets that tell whether a message ends before them."""
_STATUS: Final = {"R": SEEN, "A": ANSWERED, "F": FLAGGED, "D": DELETED, "T": DRAFT}
_MOZILLA: Final = {0x1: SEEN, 0x2: ANSWERED, 0x4: FLAGGED, 0x8: DELETED, 0x1000: Flag("$Forwarded")}
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{1,8}")
_MAILDIR: Final = {"S": SEEN, "R": ANSWERED, "F": FLAGGED, "T": DELETED, "D": DRAFT, "P": Flag("$Forwarded")}
"""The letters behind `:2,` in a file's name."""
_KEYWORD: Final = re.compile(r'[^\x00-\x20(){%*"\\\]\x7f-\U0010ffff]{1,250}')


class Begin(NamedTuple):
    """A message begins: what its separator says."""

    sender: str
    date: float | None
    """Seconds since the epoch; None where it is no date."""


def split(lines: Iterable[bytes], ends_after: Callable[[int], bool] | None = None) -> Iterator[Begin | bytes]:
    """The messages in an mbox, each a `Begin` and then its octets in pieces, as lines that end in CRLF.

    `lines` end in LF, but for parts of a very long one. `ends_after` tells whether a message ends so many octets behind the
    line that was given last; without it, Content-Length is passed over.
    """
    started = in_head = False
    blank, left, trusted = True, 0, False
    whole, held = True, b""
    length = -1
    for line in lines:
        at_start, whole = whole, line.endswith(b"\n")
        if left > 0:
            left -= len(line)
            yield _ended(line)
            blank = True
            continue
        begin = _begin(line) if at_start and blank and not in_head and line[:5] == b"From " else None
        if begin is not None:
            held = b""
            started, in_head, length, trusted = True, True, -1, False
            yield begin
            continue
        if not started:
            if line.strip() and not line.startswith(b"From "):
                return  # no mbox
            if line.strip():  # the first one may say it as it likes
                started = in_head = True
                yield Begin(line.split()[1].decode("utf-8", "replace") if len(line.split()) > 1 else "", None)
            continue
        if held:
            yield held
            held = b""
        blank = at_start and line in (b"\n", b"\r\n")
        if in_head:
            if at_start and (told := _LENGTH.fullmatch(line)):
                length = int(told[1])
            if blank:
                in_head = False
                trusted = length > 0 and ends_after is not None and ends_after(length)
                left = length if trusted else 0
                if trusted:
                    yield b"\r\n"
                else:
                    held = b"\r\n"  # a header that nothing follows ends without it
                continue
        if at_start and _QUOTED.match(line):  # in the header, too: mboxrd quotes whole messages
            line = line[1:]
        if blank and not in_head:
            held = b"\r\n"  # the last one belongs to the separator
        else:
            yield _ended(line)


def _begin(line: bytes) -> Begin | None:
    """What a line between messages says; None for one that is none."""
    if line in (b"From \n", b"From \r\n"):
        return Begin("", None)  # so Thunderbird writes it
    match = _FROM.match(line)
    return None if match is None else Begin(match["sender"].decode("utf-8", "replace"), _date(match["date"]))


def ends_message(behind: bytes) -> bool:
    """Whether a message may end where a Content-Length says so: by the `LOOK_BEHIND` octets there. One blank line belongs to
    the separator, and two would be one octet too few: of a message whose length was told before something in it was quoted."""
    return _END.match(behind) is not None


def separator(sender: str, date: float) -> bytes:
    """The line before a message."""
    safe = re.sub(r"[^!-~]", "?", sender) or "MAILER-DAEMON"
    return f"From {safe} {asctime(gmtime(max(0.0, min(date, 253_402_300_799.0))))}\n".encode()


def quoted(lines: bytes) -> bytes:
    """Whole lines of a message as they stand in mboxrd: with LF, and what looks like a separator quoted."""
    return _TO_QUOTE.sub(rb">\1", lines.replace(b"\r\n", b"\n"))


def status_flags(status: str) -> frozenset[Flag]:
    """The flags that Status and X-Status tell together."""
    return frozenset(_STATUS[letter] for letter in status if letter in _STATUS)


def mozilla_flags(status: str) -> frozenset[Flag]:
    """The flags that X-Mozilla-Status tells. What was deleted stays in the file until that is compacted."""
    bits = int(status, 16) if _HEXADECIMAL.fullmatch(status) else 0
    return frozenset(flag for bit, flag in _MOZILLA.items() if bits & bit)


def keyword_flags(text: str) -> list[Flag]:
    """The words that IMAP can have as keywords, in their order."""
    return [Flag(word) for word in text.split() if _KEYWORD.fullmatch(word)]


def maildir_flags(name: str, keywords: Mapping[str, Flag] | None = None) -> frozenset[Flag]:
    """The flags in the name of a file of a Maildir; `keywords` are those that its folder has letters for."""
    known = {**(keywords or {}), **_MAILDIR}
    return frozenset(known[letter] for letter in name.rpartition(":2,")[2] if letter in known and ":2," in name)


def maildir_info(flags: frozenset[Flag], keywords: Mapping[str, Flag] | None = None) -> str:
    """The end of such a name."""
    known = {**(keywords or {}), **_MAILDIR}
    return ":2," + "".join(sorted(letter for letter, flag in known.items() if flag in flags))


def has_letter(flag: Flag) -> bool:
    """Whether all Maildirs have the same letter for it."""
    return flag in _MAILDIR.values()


def _ended(line: bytes) -> bytes:
    return line[:-1] + b"\r\n" if line.endswith(b"\n") and not line.endswith(b"\r\n") else line


def _date(text: bytes) -> float | None:
    """A date as asctime has it, perhaps with a zone that is not looked at."""
    words = text.decode("ascii").split()
    time = words[3] if words[3].count(":") == 2 else words[3] + ":00"
    try:
        return float(timegm(strptime(f"{words[1]} {words[2]} {time} {words[-1]}", "%b %d %H:%M:%S %Y")))
    except ValueError:
        return None
