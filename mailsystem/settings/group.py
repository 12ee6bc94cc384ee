"""What all groups of settings have in common."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def listed(value: object) -> object:
    """A variable or a flag names several things with commas or blanks between them."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def parsed(value: object) -> object:
    """A variable holds a table as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("should be a table, in a variable as JSON") from None


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]


class Group(BaseModel):
    """Settings that belong together: a table of the file."""

    # What checks a group is built once, as a part of what checks all settings: each for itself would take as long again.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def defaults(group: type[Group]) -> Any:
    """A table that nobody has written: its defaults, which need no check."""
    return Field(default_factory=group.model_construct)
