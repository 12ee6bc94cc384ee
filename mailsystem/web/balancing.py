"""HTML in which every element ends where it should: within the one in which it began, and no deeper than it may be.

A parser that obeys the standard repairs what is written otherwise, and that may cost it far more than there is to read:
elements whose ends are ignored nest without end, and what one paragraph leaves open is opened anew in each that follows. So
it is repaired here first, much as the standard says, within limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final

from mailsystem.mail.markup import VOID, Tag, Text, tokens

MOST_REOPENED: Final = 1 << 20
"""Characters of tags that are written once more: what is open across the end of another element goes on behind it."""
_FEW: Final = 10
"""Elements that are at one place."""
_NEAR: Final = 30
"""Elements among which an item is looked for that ends where the next one begins."""
_FORMATTING: Final = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"]
)
_HEADINGS: Final = frozenset(f"h{level}" for level in range(1, 7))
_BLOCK_NAMES: Final = """
    address article aside blockquote center dd details dir div dl dt figcaption figure footer header hgroup hr li main menu ol
    p pre section summary table ul
"""
_BLOCKS: Final = _HEADINGS.union(_BLOCK_NAMES.split())
"""A paragraph ends where one of these begins."""
_CELLS: Final = frozenset(["td", "th", "caption"])
_ROWS: Final = frozenset(["tbody", "thead", "tfoot"])
_SECTIONS: Final = _ROWS | {"colgroup"}
_ITEMS: Final = {
    "li": (frozenset(["li"]), frozenset(["ul", "ol", "dir", "menu"])),
    "dd": (frozenset(["dd", "dt"]), frozenset(["dl"])),
    "dt": (frozenset(["dd", "dt"]), frozenset(["dl"])),
    "rt": (frozenset(["rt", "rp"]), frozenset(["ruby"])),
    "rp": (frozenset(["rt", "rp"]), frozenset(["ruby"])),
}
"""What ends where such an item begins, unless it stands outside of one of the others."""
_FOREIGN: Final = frozenset(["svg", "math"])


def balanced(html: str, *, kept: Set[str], gone: Set[str], attributes: Set[str], deepest: int) -> str:
    """The elements that are `kept`, with their `attributes`, and the text in them. Never raises.

    Of those that are `gone` not even what is inside stays; of all others that does. What follows an element within more than
    `deepest` others is left out.
    """
    writer = _Writer(kept, gone, attributes, deepest)
    for token in tokens(html):
        if isinstance(token, Text):
            writer.words(token)
        elif token.closing:
            writer.closes(token.name)
        elif not writer.opens(token):
            break
    return writer.done()


@dataclass(slots=True)
class _Frame:
    """A table or a cell of one, or all that is outside: what is open in it. No end tag within reaches beyond it."""

    name: str
    open: list[tuple[str, str]] = field(default_factory=list)
    """Names and start tags, the innermost last."""
    counts: Counter[str] = field(default_factory=Counter)


class _Writer:
    def __init__(self, kept: Set[str], gone: Set[str], attributes: Set[str], deepest: int) -> None:
        self._kept = kept
        self._gone = gone
        self._attributes = attributes
        self._deepest = deepest
        self._done: list[str] = []
        self._frames = [_Frame("")]
        self._depth = 0
        self._hidden: list[str] = []
        """Elements of which nothing stays, that are open."""
        self._room = MOST_REOPENED

    def words(self, text: Text) -> None:
        if not (text.within or self._hidden):
            self._done.append(text.words.replace("&", "&amp;").replace("<", "&lt;"))

    def opens(self, tag: Tag) -> bool:
        """False where no more is to be read."""
        name = tag.name
        if name in self._gone:
            if name not in VOID and len(self._hidden) < self._deepest:
                self._hidden.append(name)
            return True
        if self._hidden:
            if self._hidden[0] not in _FOREIGN or name not in _BLOCKS:
                return True
            self._hidden.clear()  # no picture has paragraphs in it: its end was forgotten
        if name not in self._kept or not self._has_place(name):
            return True
        self._end_before(name)
        start = self._start(tag)
        if name in VOID:
            self._done.append(start)
            return True
        if self._depth >= self._deepest:
            return False
        self._open(name, start)
        return True

    def closes(self, name: str) -> None:
        if self._hidden:
            # Of several that are open the innermost; those within it were never closed.
            if name in self._hidden:
                del self._hidden[len(self._hidden) - 1 - self._hidden[::-1].index(name) :]
            return
        if name == "br":  # a line ends all the same
            self._done.append("<br>")
            return
        frame = self._frames[-1]
        if name in ("table", "tr") or name in _SECTIONS:
            if frame.name in _CELLS and (name == "table" or self._frames[-2].counts[name]):
                self._leave()
            if self._frames[-1].name == "table":
                if name == "table":
                    self._leave()
                elif self._frames[-1].counts[name]:
                    self._close(name)
        elif name in _CELLS:
            if frame.name == name:
                self._leave()
        elif frame.counts[name]:
            self._close(name)

    def done(self) -> str:
        while self._frames:
            self._leave()
        return "".join(self._done)

    # What begins and ends by itself

    def _has_place(self, name: str) -> bool:
        """Whether a part of a table stands in one; a cell before it ends there."""
        if name not in _CELLS and name not in _SECTIONS and name not in ("tr", "col"):
            return True
        if self._frames[-1].name in _CELLS:
            self._leave()
        return self._frames[-1].name == "table"

    def _end_before(self, name: str) -> None:
        frame = self._frames[-1]
        if frame.name == "table":
            if name == "table":
                self._leave()
            elif name in _SECTIONS or name == "caption":
                self._close_until(frozenset())
            elif name == "tr":
                self._close_until(_ROWS)
            elif name in _CELLS:
                self._close_until(frozenset(["tr"]))
            frame = self._frames[-1]
        if name in _BLOCKS and frame.counts["p"]:
            self._close("p")
        if name in _ITEMS:
            ended, outside = _ITEMS[name]
            for one, _ in frame.open[: -_NEAR - 1 : -1]:
                if one in ended:
                    self._close(one)
                if one in ended or one in outside:
                    break
        elif name == "a" and frame.counts["a"]:
            self._close("a")
        elif name in _HEADINGS and frame.open and frame.open[-1][0] in _HEADINGS:
            self._close(frame.open[-1][0])

    # Elements

    def _start(self, tag: Tag) -> str:
        told = [
            f' {name}="{value.replace("&", "&amp;").replace(chr(34), "&quot;")}"'
            for name, value in tag.attributes.items()
            if name in self._attributes
        ]
        return f"<{tag.name}{''.join(told)}>"

    def _open(self, name: str, start: str) -> None:
        self._done.append(start)
        self._depth += 1
        if name == "table" or name in _CELLS:
            self._frames.append(_Frame(name))
        else:
            frame = self._frames[-1]
            frame.open.append((name, start))
            frame.counts[name] += 1

    def _pop(self) -> tuple[str, str]:
        frame = self._frames[-1]
        one = frame.open.pop()
        frame.counts[one[0]] -= 1
        self._done.append(f"</{one[0]}>")
        self._depth -= 1
        return one

    def _close(self, name: str) -> None:
        """One that is open in this frame, and those within it, of which some go on behind it."""
        within = []
        while (one := self._pop())[0] != name:
            within.append(one)
        # Where it looks like something, the standard lets it go on; and blocks that begin in bold type do not end with it.
        again = [one for one in reversed(within) if one[0] in _FORMATTING or name in _FORMATTING][-_FEW:]
        octets = sum(len(start) for _, start in again)
        if octets <= self._room:
            self._room -= octets
            for what, start in again:
                self._open(what, start)

    def _close_until(self, names: Set[str]) -> None:
        """All that is open in this frame within one of those."""
        frame = self._frames[-1]
        while frame.open and frame.open[-1][0] not in names:
            self._pop()

    def _leave(self) -> None:
        """The frame, and all that is open in it."""
        self._close_until(frozenset())
        name = self._frames.pop().name
        if name:
            self._done.append(f"</{name}>")
            self._depth -= 1
