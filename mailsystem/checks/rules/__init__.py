"""All rules, with what each is about. Their ids are used in `--disable`, in SARIF and in tests: they stay."""

from __future__ import annotations

from typing import Final

from mailsystem.checks.rule import Rule
from mailsystem.checks.rules import content, sending, writing

RULES: Final[tuple[Rule, ...]] = tuple(
    value for room in (writing, content, sending) for value in vars(room).values() if isinstance(value, Rule)
)
"""In the order in which they stand there."""
BY_ID: Final = {rule.id: rule for rule in RULES}
