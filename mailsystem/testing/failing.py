"""Why an expectation failed, with a table of what did arrive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

_WIDEST: Final = 38
_MOST_ROWS: Final = 30


class MailFailure(AssertionError):
    """Mail was not as the test expects it."""

    is_late = False
    """Whether it was waited for in vain."""

    def __init__(self, said: str) -> None:
        super().__init__(harmless(said))


def hidden(caught: Any) -> bool:
    """As a module's `__tracebackhide__`: pytest shows the line of the test that failed, and not how we found out."""
    return isinstance(caught.value, MailFailure)


class Row(NamedTuple):
    """A message in the table."""

    at: datetime
    sender: str
    to: str
    subject: str
    why: str = ""
    """Why it is not what was expected; empty where it is."""


def table(rows: Sequence[Row]) -> str:
    """The messages in columns. Of very many the newest are told."""
    shown = rows[-_MOST_ROWS:]
    told = [("when", "from", "to", "subject", "")]
    told += [
        (row.at.astimezone().strftime("%H:%M:%S.%f")[:-3], row.sender, row.to, row.subject, row.why) for row in shown
    ]
    cut = [tuple(_cut(cell) for cell in row[:-1]) for row in told]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    lines = []
    for cells, row in zip(cut, told, strict=True):
        padded = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append(f"  {padded}  {_clean(row[-1])}".rstrip())
    if len(rows) > len(shown):
        lines.insert(1, f"  … and {len(rows) - len(shown)} before them")
    return "\n".join(lines)


def harmless(text: str) -> str:
    """The same with what a terminal would obey written out, `\\x1b`: whoever wrote the message may be anybody."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def listed(names: Iterable[str]) -> str:
    """Names in one line."""
    return ", ".join(names) or "nobody"


def _cut(text: str) -> str:
    text = _clean(text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _clean(text: str) -> str:
    """In one line, and nothing that a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
