"""What a step of the schema is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    title: str
    statements: tuple[str, ...]
