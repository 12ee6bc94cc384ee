"""Reads that are brief as a rule: done where we stand, and by a thread only where there turns out to be too much to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mailsystem.store.database import Database, Sql, Unit

T = TypeVar("T")


class NotBrief(Exception):
    """There is more to look at than can be done in passing."""


async def read(database: Database, unit: Callable[[bool], Unit[T]]) -> T:
    """What the unit gives. It is made with whether it has to be brief, and raises `NotBrief` where it cannot be.

    Raises what it raises.
    """
    try:
        return await database.read(unit(True), brief=True)
    except NotBrief:
        return await database.read(unit(False))


def few(brief: bool, rows: Sql) -> Unit[None]:
    """Raises `NotBrief` if it is to be `brief` and there are any of these rows: those after the first few."""
    if brief and (yield rows):
        raise NotBrief
