"""What all groups of settings have in common."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


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

    model_config = ConfigDict(extra="forbid", frozen=True)
