"""How messages were, in files beside the tests, and whether they still are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from mailsystem.testing.failing import MailFailure, hidden
from mailsystem.testing.message import Message
from mailsystem.testing.naming import file_name

__tracebackhide__ = hidden

Masks: TypeAlias = Sequence[tuple[re.Pattern[str], str]]


class Snapshots:
    """Those of one test."""

    def __init__(self, directory: Path, test: str, *, update: bool) -> None:
        """`directory` is where those of the test's module are; with `update` they are written."""
        self._directory = directory
        self._test = file_name(test)
        self._update = update
        self._count = 0
        self.masks: Callable[[], Masks] = tuple

    def compare(self, message: Message, name: str | None, masks: Mapping[str, str]) -> None:
        from mailsystem.mail.golden import normal

        self._count += name is None
        file = self._file(name)
        own = [(re.compile(pattern), instead) for pattern, instead in masks.items()]
        now = normal(message.reading, masks=[*self.masks(), *own])
        if self._update:
            self._directory.mkdir(parents=True, exist_ok=True)
            file.write_text(now, encoding="utf-8", newline="\n")
            return
        try:
            before = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise MailFailure(
                f"there is no snapshot {file}; pytest --mail-snapshot-update writes it. The message is:\n{now}"
            ) from None
        if before != now:
            lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "snapshot", "message", lineterm="")
            raise MailFailure(
                f"the message is not as in {file}; pytest --mail-snapshot-update accepts it:\n" + "\n".join(lines)
            )

    def _file(self, name: str | None) -> Path:
        if name is None:
            return self._directory / f"{self._test}{f'-{self._count}' if self._count > 1 else ''}.txt"
        plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")
        return self._directory / f"{plain or 'message'}.txt"
