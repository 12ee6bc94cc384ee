"""HTML as a stream of tags and text, in time in proportion to its length whatever it is (HTML Living Standard, 13.2.5).

Mail is full of HTML that nobody has checked, and some of it is written to hurt. What is never closed goes to the end, as in a
browser; nothing is looked for twice and nothing recurses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.entities import html5
from typing import Final, NamedTuple

MOST_HTML: Final = 4 << 20
"""Characters of one part that are read."""
MOST_TOKENS: Final = 300_000
"""Tags and texts of one part; what comes behind them is not looked at."""
MOST_ATTRIBUTES: Final = 200
"""Of one tag."""

VOID: Final = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
"""Elements without an end."""
_RAW: Final = {
    name: re.compile(f"</{name}(?=[\\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}
"""Elements in which no tag is one, and what ends them."""
# A `<` that begins no tag is text like any other character.
_TEXT = re.compile(r"(?:[^<]|<(?![a-zA-Z/!?]))++")
_NAME = re.compile(r"</?+([a-zA-Z][^\s/>]*+)")
_ATTRIBUTE = re.compile(
    r"[\s/]*+(?:(>)|(=?+[^\s/>=]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([\"'])|([^\s>\"'][^\s>]*+)|(?=>)))?+)"
)
_REFERENCE = re.compile(r"&(?:#(?:[0-9]++|[xX][0-9a-fA-F]++);?+|([a-zA-Z][a-zA-Z0-9]{0,39}+)(;?+)(=?+))")
_HUGE_REFERENCE = re.compile(r"&#(?:[0-9]{9,}+|[xX][0-9a-fA-F]{9,}+);?+")


class Tag(NamedTuple):
    """`<name attribute="value">`, or `</name>`."""

    name: str
    """Lower case."""
    closing: bool
    attributes: dict[str, str]
    """Lower-case names; of several with one name the first."""


class Text(NamedTuple):
    """Characters between tags, references such as `&amp;` resolved."""

    words: str
    within: str
    """The element in which no tag is one, such as `style`; empty elsewhere."""


def tokens(html: str) -> Iterator[Tag | Text]:
    """The tags and texts of a document or a piece of one, in order. Never raises."""
    html = html[:MOST_HTML]
    at, size = 0, len(html)
    for _ in range(MOST_TOKENS):
        if at >= size:
            return
        if (text := _TEXT.match(html, at)) is not None:
            yield Text(_resolved(text[0]), "")
            at = text.end()
            continue
        name = _NAME.match(html, at)
        if name is None:
            at = _after_comment(html, at)
            continue
        end, attributes = _attributes(html, name.end())
        if end < 0:
            return  # a tag that is cut off is none
        tag = Tag(name[1].lower(), html.startswith("/", at + 1), attributes)
        yield tag
        at = end
        if not tag.closing and (raw := _RAW.get(tag.name)) is not None:
            closed = raw.search(html, at)
            stop = size if closed is None else closed.start()
            if stop > at:
                words = html[at:stop]
                yield Text(_resolved(words) if tag.name in ("title", "textarea") else words, tag.name)
            at = stop


def _after_comment(html: str, at: int) -> int:
    """Where we are behind a comment, a declaration, or an end tag without a name."""
    if html.startswith("<!--", at):
        if html.startswith((">", "->"), at + 4):
            return html.index(">", at) + 1
        end = html.find("-->", at + 4)
        return len(html) if end < 0 else end + 3
    end = html.find(">", at)
    return len(html) if end < 0 else end + 1


def _attributes(html: str, at: int) -> tuple[int, dict[str, str]]:
    """Where the tag ends, negative where it does not, and what stands in it."""
    found: dict[str, str] = {}
    while (match := _ATTRIBUTE.match(html, at)) is not None:
        at = match.end()
        if match[1]:
            return at, found
        if match[5]:
            return -1, found  # a value without its second quote
        if len(found) < MOST_ATTRIBUTES:
            name = match[2].lower()
            if name not in found:
                found[name] = _REFERENCE.sub(_referred, match[3] or match[4] or match[6] or "")
    return -1, found


def _resolved(text: str) -> str:
    if "&" not in text:
        return text
    # Python refuses to read numbers of thousands of digits, and says so by raising.
    return unescape(_HUGE_REFERENCE.sub("\N{REPLACEMENT CHARACTER}", text))


def _referred(match: re.Match[str]) -> str:
    """A reference in an attribute (13.2.5.73): without a semicolon it is none before letters, digits and `=`, so that the
    `&copy=1` of an address stays."""
    name, semicolon, equals = match[1], match[2], match[3]
    if name is None:
        return _resolved(match[0])
    if equals and not semicolon:
        return match[0]
    return html5.get(name + semicolon, match[0][: len(match[0]) - len(equals)]) + equals
