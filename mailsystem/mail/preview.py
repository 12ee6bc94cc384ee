"""The first words of a message, as a list of mail shows them (RFC 8970). Takes any octets, never raises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from typing import Final

from mailsystem.mail.part import Part, text_of

LONGEST: Final = 200
"""Characters (RFC 8970 3.2)."""
REACH: Final = 256 << 10
"""Octets from the beginning of a message in which its first words are looked for."""

_MOST_PARTS: Final = 4
_MOST_OCTETS: Final = 8 << 10
_MOST_OCTETS_OF_HTML: Final = 64 << 10
"""Of one part: what mail programs put before the first word is seldom more."""
_MOST_HTML: Final = 16 << 10
"""Characters of HTML that are parsed: the parser takes quadratic time for some malformed ones."""
_HTML_AT_ONCE: Final = 2 << 10
"""Characters of HTML after which we look whether there are words enough."""

_HIDDEN = re.compile(
    r"<(style|script|head|title)\b[^>]*+(?:>.*?(?:</\1\s*+>|\Z)|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL | re.IGNORECASE
)
_NOT_SHOWN: Final = frozenset(["style", "script", "head", "title"])
_INLINE: Final = frozenset(
    [
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "em",
        "font",
        "i",
        "mark",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "tt",
        "u",
        "wbr",
    ]
)
# Invisible characters with which newsletters pad what a preview would show, and control characters.
_PADDING = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2060-\u206f\ufeff]+"
)


def preview_of(root: Part, octets: bytes) -> str:
    """Up to 200 characters of the first text in a message, on one line; empty where it has none.

    `octets` is the message, or its first `REACH` octets: what stands further behind is not looked for.
    """
    for part in _texts(root):
        start, end = part.body
        is_html = part.subtype in ("html", "xhtml")
        body = octets[start : min(end, start + (_MOST_OCTETS_OF_HTML if is_html else _MOST_OCTETS))]
        text = text_of(part, body)
        if len(body) < end - start:
            text = text.rstrip("\N{REPLACEMENT CHARACTER}")  # of a character that was cut in two
        if is_html:
            text = _read(text)
        if words := _on_one_line(text):
            return words
    return ""


def _texts(root: Part) -> Iterator[Part]:
    """The first few parts that are there to be read, in the order in which they stand."""
    waiting, count = [root], 0
    while waiting and count < _MOST_PARTS:
        part = waiting.pop()
        waiting.extend(reversed(part.children))
        if (
            part.type == "text"
            and part.subtype not in ("calendar", "css", "csv", "vcard", "x-vcard")
            and not part.filename
        ):
            count += 1
            yield part


def _on_one_line(text: str) -> str:
    # The first look holds 200 characters of what most people write, the second even where most of it is white space.
    for reach in (2 * LONGEST, 1 << 12):
        words = " ".join(_PADDING.sub("", text[:reach]).split())
        if len(words) > LONGEST:
            break
    return words[:LONGEST].rstrip()


class _Reader(HTMLParser):
    """What a browser would show of HTML, without its looks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _NOT_SHOWN:
            self._hidden += 1
        elif tag not in _INLINE:
            self.shown.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INLINE:
            self.shown.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _NOT_SHOWN:
            self._hidden = max(self._hidden - 1, 0)
        elif tag not in _INLINE:
            self.shown.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.shown.append(data)


def _read(html: str) -> str:
    reader, shown = _Reader(), ""
    html = _HIDDEN.sub(" ", html)[:_MOST_HTML]
    # The failures are the parser's own, on what is no HTML at all. An end within a tag is no text.
    with suppress(AssertionError, ValueError):
        for start in range(0, len(html), _HTML_AT_ONCE):
            reader.feed(html[start : start + _HTML_AT_ONCE])
            shown = "".join(reader.shown)
            if len(shown) > LONGEST and len(_on_one_line(shown)) == LONGEST:
                break
    return "".join(reader.shown)
