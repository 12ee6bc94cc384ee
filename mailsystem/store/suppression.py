"""Addresses to which nothing is sent any more."""

from __future__ import annotations

from collections.abc import Sequence

from mailsystem.store.database import Unit


def failed(addresses: Sequence[tuple[str, str]], now: float) -> Unit[None]:
    """Mail for each of (address, status) has failed for good."""
    yield from ()


def succeeded(addresses: Sequence[str]) -> Unit[None]:
    """These have taken mail."""
    yield from ()
