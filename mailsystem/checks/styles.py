"""Style sheets as their rules and declarations (CSS Syntax 3), in time in proportion to their length. Never raises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MOST_CSS: Final = 1 << 20
"""Characters of one sheet that are read."""
_PIECE = re.compile(
    r"/\*(?:[^*]|\*(?!/))*+(?:\*/)?|\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|[{};]|[^{};\"'/]++|/", re.DOTALL
)


class Declaration(NamedTuple):
    """`property: value`."""

    name: str
    """Lower case."""
    value: str
    """Lower case."""


class Rule(NamedTuple):
    """What stands in front of a block, or is a statement by itself such as `@import`."""

    at: str
    """The name of an at-rule in lower case; empty for one with selectors."""
    prelude: str
    nested: bool
    """Whether it stands in one with selectors."""


def declarations(style: str) -> Iterator[Declaration]:
    """Those of an attribute `style`."""
    return (piece for piece in sheet(style) if isinstance(piece, Declaration))


def sheet(css: str) -> Iterator[Rule | Declaration | None]:
    """What is in a sheet, in order; None for a comment."""
    text: list[str] = []
    blocks: list[bool] = []
    """Of each that is open, whether it has selectors."""
    within = 0
    """How many of them have."""
    for match in _PIECE.finditer(css[:MOST_CSS]):
        piece = match[0]
        if piece.startswith("/*"):
            yield None
        elif piece == "{":
            rule = _rule("".join(text), nested=within > 0)
            blocks.append(not rule.at)
            within += not rule.at
            text.clear()
            yield rule
        elif piece in ("}", ";"):
            yield from _statement("".join(text))
            text.clear()
            if piece == "}" and blocks:
                within -= blocks.pop()
        else:
            text.append(piece)
    yield from _statement("".join(text))


def _rule(prelude: str, *, nested: bool) -> Rule:
    prelude = prelude.strip()
    if prelude.startswith("@"):
        name = re.match(r"@([A-Za-z-]*+)", prelude)
        at = name[1].lower() if name is not None else ""
        return Rule(at or "?", prelude[len(at) + 1 :].strip(), nested)
    return Rule("", prelude, nested)


def _statement(text: str) -> Iterator[Rule | Declaration]:
    text = text.strip()
    if text.startswith("@"):
        yield _rule(text, nested=False)
        return
    name, colon, value = text.partition(":")
    name = name.strip().lower()
    if colon and name and not re.search(r"\s", name):
        yield Declaration(name, value.strip().lower())
