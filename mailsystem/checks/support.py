"""Which mail programs show what of HTML and CSS: the table of Can I email, cut down to the newest version of each program.

The table is in `caniemail/`, with its licence. It is read when somebody asks for the first time: 3 ms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).parent / "caniemail" / "features.jsonl"
_CELL: Final = re.compile(r"([^=]*)=([yna])([0-9,]*)")
_SAID: Final = {"y": "yes", "n": "no", "a": "partial"}


@dataclass(frozen=True, slots=True)
class Client:
    """A mail program and how it does with a feature."""

    name: str
    """As people know it, with its version."""
    family: str
    platform: str
    version: str
    support: str
    """`yes`, `no` or `partial`."""
    notes: tuple[str, ...]
    """The numbers of what is to be said about it."""


@dataclass(frozen=True)
class Feature:
    """Something of HTML or CSS."""

    slug: str
    title: str
    tags: tuple[str, ...]
    notes: Mapping[str, str]
    clients: Sequence[Client]
    """Those of which it is known."""

    @property
    def url(self) -> str:
        return f"https://www.caniemail.com/features/{self.slug}/"

    @property
    def category(self) -> str:
        """`html`, `css` or `image`."""
        return self.slug.partition("-")[0]

    @cached_property
    def shares(self) -> tuple[float, float, float]:
        """Per cent of the programs that know it, that know a part of it, and that do not."""
        said = [client.support for client in self.clients]
        whole = max(1, len(said))
        yes, partial, no = (100 * said.count(one) / whole for one in ("yes", "partial", "no"))
        return yes, partial, no


@dataclass(frozen=True, slots=True)
class Table:
    """All features by their slugs, and on which platform there are which programs."""

    features: Mapping[str, Feature]
    platforms: Mapping[str, Sequence[str]]
    updated: str
    """The day of the table."""


@cache
def table() -> Table:
    """The table as it is shipped; always the same."""
    first, *rest = TABLE.read_text(encoding="utf-8").splitlines()
    head = json.loads(first)
    families, platforms = head["families"], head["platforms"]
    columns = [(*name.split("/"), "")[:3] for name in head["clients"]]
    features = {}
    for line in rest:
        row = json.loads(line)
        clients = []
        for (family, platform, fixed), cell in zip(columns, row["support"].split(" "), strict=True):
            if known := _CELL.fullmatch(cell):
                version = known[1] or fixed
                name = f"{families[family]} {platforms[platform]} ({version})"
                notes = tuple(known[3].split(",")) if known[3] else ()
                clients.append(Client(name, family, platform, version, _SAID[known[2]], notes))
        features[row["slug"]] = Feature(row["slug"], row["title"], tuple(row["tags"]), row["notes"], clients)
    there: dict[str, set[str]] = {}
    for family, platform, _ in columns:
        there.setdefault(platform, set()).add(families[family])
    return Table(features, {name: sorted(some) for name, some in sorted(there.items())}, head["updated"])
