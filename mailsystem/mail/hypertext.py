"""What HTML shows and where it leads: its text as lines, its links, its images, and what it fetches. Never raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mailsystem.mail.markup import VOID, Tag, Text, tokens

MOST_LINKS: Final = 10_000
"""Links and images that are remembered of one part, each."""
MOST_URL: Final = 64 << 10
"""Characters of an address."""

_UNSEEN: Final = frozenset(["script", "style", "head", "title", "template", "noframes", "noembed", "iframe", "object"])
_ONE_BREAK: Final = """
    address article aside body center dd div dt fieldset figure figcaption footer form header hr html li main nav section
    tbody tfoot thead tr
"""
_TWO_BREAKS: Final = "p h1 h2 h3 h4 h5 h6 table ul ol blockquote pre dl"
_PARAGRAPHS: Final = frozenset(_TWO_BREAKS.split())
_BLOCKS: Final = _PARAGRAPHS.union(_ONE_BREAK.split())
_STRONG: Final = frozenset(["b", "strong", "h1", "h2", "h3", "h4", "code", "kbd", "pre", "big", "mark"])
_LARGE = re.compile(
    r"font-size\s*+:\s*+(?:(?:1[89]|[2-9][0-9]|1[0-9][0-9])(?:\.\d++)?px|(?:1[4-9]|[2-9][0-9])(?:\.\d++)?pt|"
    r"(?:1\.[2-9]\d*+|[2-9](?:\.\d++)?)r?em|1[3-9]\d%|[2-9]\d\d%|x{1,3}-large|large)|"
    r"font-weight\s*+:\s*+(?:bold|[6-9]00)|letter-spacing\s*+:\s*+[1-9.]",
    re.IGNORECASE,
)
_FETCHED_BY_CSS = re.compile(
    r"url\(\s{0,99}+[\"']?+([^\"')]{1,9999}+)|@import\s++[\"']([^\"']{1,9999}+)", re.IGNORECASE
)
_SOURCES: Final = (
    ("img", "src"),
    ("img", "srcset"),
    ("source", "src"),
    ("source", "srcset"),
    ("audio", "src"),
    ("video", "src"),
    ("video", "poster"),
    ("track", "src"),
    ("embed", "src"),
    ("iframe", "src"),
    ("frame", "src"),
    ("script", "src"),
    ("object", "data"),
    ("input", "src"),
    ("link", "href"),
)
_SOURCES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    tag: tuple(name for one, name in _SOURCES if one == tag) for tag, _ in _SOURCES
}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A link and what is to be read on it."""

    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    source: str
    alt: str | None
    """None where it has none; an empty one says that it is only for looks."""
    sized: bool
    """Whether width or height is said."""


@dataclass(slots=True)
class Page:
    """A piece of HTML as it is read."""

    text: str = ""
    """Lines, without trailing white space; paragraphs parted by an empty one."""
    strong: list[tuple[int, int]] = field(default_factory=list)
    """Where in `text` it is bold or large, in order."""
    anchors: list[Anchor] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    """Addresses that a program which shows it would ask for, those of images and style sheets: once each, in order."""
    active: list[str] = field(default_factory=list)
    """What would run or ask for input: names of elements and attributes, once each."""


def address(value: str) -> str:
    """A URL as a browser takes it out of an attribute: without white space around it and control characters in it."""
    return _CONTROLS.sub("", value[:MOST_URL]).strip()


def page_of(html: str) -> Page:
    """Read a document or a piece of one."""
    reader = _Reader()
    for token in tokens(html):
        if isinstance(token, Text):
            reader.words(token)
        elif token.closing:
            reader.closes(token)
        else:
            reader.opens(token)
    return reader.done()


class _Reader:
    def __init__(self) -> None:
        self._page = Page()
        self._lines: list[str] = []
        self._size = 0
        """Characters in `_lines`."""
        self._breaks = 2
        """Line ends at the end of what is there."""
        self._gap = False
        """White space that shows once a word follows."""
        self._unseen: dict[str, int] = {}
        self._styles: dict[str, list[bool]] = {}
        """Of each kind of element those that are open, and whether they make strong what is in them."""
        self._strength = 0
        self._pre = 0
        self._anchor: str | None = None
        self._anchor_text: list[str] = []
        self._fetched: set[str] = set()
        self._active: set[str] = set()

    def words(self, token: Text) -> None:
        if token.within == "style":
            self._style(token.words)
        if token.within not in ("", "textarea") or self._unseen:
            return
        if self._pre:
            for number, line in enumerate(token.words.split("\n")):
                if number:
                    self._newline(1, at_most=2)
                self._put(line.rstrip("\r"))
            return
        words = token.words.split()
        if not words:
            self._gap = self._gap or bool(token.words)
            return
        self._gap = self._gap or token.words[0].isspace()
        self._put(" ".join(words))
        self._gap = token.words[-1].isspace()

    def _put(self, words: str) -> None:
        if not words:
            return
        if self._gap and not self._breaks:
            self._lines.append(" ")
            self._size += 1
        if self._anchor is not None:
            self._anchor_text.append(" " + words if self._gap else words)
        self._gap = False
        if self._strength:
            strong = self._page.strong
            if strong and strong[-1][1] >= self._size - 1:
                strong[-1] = (strong[-1][0], self._size + len(words))
            else:
                strong.append((self._size, self._size + len(words)))
        self._lines.append(words)
        self._size += len(words)
        self._breaks = 0

    def _newline(self, count: int, *, at_most: int = 2) -> None:
        self._gap = False
        if self._anchor_text:
            self._anchor_text.append(" ")
        missing = min(count, at_most - self._breaks)
        if missing > 0 and self._size:
            self._lines.append("\n" * missing)
            self._size += missing
            self._breaks += missing

    def _block(self, name: str) -> None:
        wanted = 2 if name in _PARAGRAPHS else 1
        self._newline(wanted - self._breaks)

    def opens(self, tag: Tag) -> None:
        name, attributes = tag.name, tag.attributes
        if name in _UNSEEN:
            self._unseen[name] = self._unseen.get(name, 0) + 1
        elif name == "body":
            self._unseen.pop("head", None)  # its end tag may be left out
        style = attributes.get("style", "")
        if style:
            self._style(style)
        self._sources(name, attributes)
        self._watch(name, attributes)
        if name == "br":
            self._newline(1)
        elif name in ("td", "th"):
            self._gap = True
        elif name in _BLOCKS:
            self._block(name)
            if name == "li":
                self._put("-")
                self._gap = True
            elif name == "pre":
                self._pre += 1
        elif name in ("a", "area"):
            self._leave_anchor()
            if "href" in attributes:
                self._anchor = address(attributes["href"])
                if name == "area":
                    self._anchor_text.append(attributes.get("alt", ""))
                    self._leave_anchor()
        elif name == "img":
            self._image(attributes)
        if name not in VOID:
            strong = name in _STRONG or (name == "font" and attributes.get("size", "")[:1] in ("4", "5", "6", "7", "+"))
            strong = strong or bool(style and _LARGE.search(style[:2000]))
            self._styles.setdefault(name, []).append(strong)
            self._strength += strong

    def closes(self, tag: Tag) -> None:
        name = tag.name
        if (count := self._unseen.get(name, 0)) > 1:
            self._unseen[name] = count - 1
        else:
            self._unseen.pop(name, None)
        if open_ones := self._styles.get(name):
            self._strength -= open_ones.pop()
        if name == "a":
            self._leave_anchor()
        elif name in ("td", "th"):
            self._gap = True
        elif name in _BLOCKS:
            self._block(name)
            if name == "pre":
                self._pre = max(self._pre - 1, 0)
        elif name == "br":  # `</br>` breaks lines all the same
            self._newline(1)

    def _leave_anchor(self) -> None:
        if self._anchor is not None and len(self._page.anchors) < MOST_LINKS:
            text = " ".join("".join(self._anchor_text).split())
            self._page.anchors.append(Anchor(self._anchor, text))
        self._anchor = None
        self._anchor_text = []

    def _image(self, attributes: Mapping[str, str]) -> None:
        alt = attributes.get("alt")
        if self._anchor is not None and alt:
            self._anchor_text.append(f" {alt} ")
        if len(self._page.images) < MOST_LINKS:
            style = attributes.get("style", "")
            sized = "width" in attributes or "height" in attributes or "width" in style or "height" in style
            self._page.images.append(Image(address(attributes.get("src", "")), alt, sized))

    def _sources(self, name: str, attributes: Mapping[str, str]) -> None:
        for attribute in _SOURCES_OF.get(name, ()):
            if value := attributes.get(attribute):
                if attribute == "srcset":
                    for one in value.split(","):
                        self._fetch(one.split()[0] if one.split() else "")
                elif name != "link" or "stylesheet" in attributes.get("rel", "").lower():
                    self._fetch(value)
        if background := attributes.get("background"):
            self._fetch(background)

    def _style(self, css: str) -> None:
        lower = css[:MOST_URL].lower()
        if "url(" in lower or "@import" in lower:
            for match in _FETCHED_BY_CSS.finditer(css[:MOST_URL]):
                self._fetch(match[1] or match[2])

    def _fetch(self, value: str) -> None:
        url = address(value)
        if url and url not in self._fetched and len(self._fetched) < MOST_LINKS:
            self._fetched.add(url)
            self._page.fetched.append(url)

    def _watch(self, name: str, attributes: Mapping[str, str]) -> None:
        found = [f"on… of <{name}>" for attribute in attributes if attribute.startswith("on")]
        if name in ("script", "iframe", "form", "object", "embed", "applet", "frame"):
            found.append(f"<{name}>")
        elif name == "meta" and attributes.get("http-equiv", "").strip().lower() == "refresh":
            found.append("<meta> that refreshes")
        for one in found:
            if one not in self._active and len(self._active) < 100:
                self._active.add(one)
                self._page.active.append(one)

    def done(self) -> Page:
        self._leave_anchor()
        self._page.text = "".join(self._lines).rstrip("\n")
        return self._page
