"""The base subject of a message (RFC 5256 2.1): what is left without Re:, Fwd: and names of lists. Sans-IO.

Each step takes what its rule of the grammar takes, and no more; all of it takes time in proportion to the subject.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MOST: Final = 10_000
"""Characters of a subject that are looked at."""

_SPACES = re.compile(r"[ \t\r\n]+")
_BLOB = r"\[[^\[\]]*+\][ \t]*+"
_LEADER = re.compile(rf"(?:{_BLOB})*+(?:re|fwd?)[ \t]*+(?:{_BLOB})?+:", re.IGNORECASE | re.ASCII)
"""*subj-blob subj-refwd ; subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" """
_BLOBS = re.compile(rf"(?:{_BLOB})++")
"""1*subj-blob ; subj-blob = "[" *BLOBCHAR "]" *WSP"""
_FORWARDED: Final = "[fwd:"


class Base(NamedTuple):
    """A subject as threads see it."""

    text: str
    is_reply: bool
    """Whether it says of itself that it answers or forwards something (RFC 5256 3)."""


def base_subject(subject: str) -> Base:
    """RFC 5256 2.1, for a subject whose encoded words are decoded."""
    text = _SPACES.sub(" ", subject[:MOST])  # (1)
    start, end, is_reply = 0, len(text), False
    while True:
        end, trailed = _trailed(text, start, end)  # (2)
        is_reply |= trailed
        while True:  # (5)
            start, led = _led(text, start, end)  # (3)
            is_reply |= led
            blobs = _BLOBS.match(text, start, end)  # (4)
            if blobs is None:
                break
            if blobs.end() == end:
                # Something has to be left, if it is a name of a list.
                start = text.rindex("[", start, end)
                break
            start = blobs.end()
        if not (
            end - start > len(_FORWARDED) and text[end - 1] == "]" and text[start : start + 5].lower() == _FORWARDED
        ):
            return Base(text[start:end], is_reply)  # (7)
        start, end, is_reply = start + len(_FORWARDED), end - 1, True  # (6)


def _trailed(text: str, start: int, end: int) -> tuple[int, bool]:
    """Without every subj-trailer = "(fwd)" / WSP"""
    forwarded = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif end - start >= 5 and text[end - 5 : end].lower() == "(fwd)":
            end -= 5
            forwarded = True
        else:
            break
    return end, forwarded


def _led(text: str, start: int, end: int) -> tuple[int, bool]:
    """Without every subj-leader = (*subj-blob subj-refwd) / WSP"""
    answered = False
    while start < end:
        if text[start] == " ":
            start += 1
            continue
        leader = _LEADER.match(text, start, end)
        if leader is None:
            break
        start, answered = leader.end(), True
    return start, answered
