"""What is checked and what was found: `Rule`, `Finding`, `Report`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_OF_A_RULE: Final = 20
"""Findings of one rule that are told one by one."""
MOST_TOLD: Final = 500
"""Characters of what is told of one finding."""
MOST_SHOWN: Final = 120
"""Characters of what somebody else wrote that a message repeats."""


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Against a standard, or certain to go wrong for somebody."""
    WARNING = "warning"
    """Likely to go wrong for somebody."""
    INFO = "info"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that a message may do wrong."""

    id: str
    """Lower-case words with hyphens; it never changes its meaning."""
    severity: Severity
    title: str
    """What is wrong, in a few words."""
    explanation: str
    """One paragraph: what goes wrong by it."""
    source: str = ""
    """Where it is written, such as `RFC 5322 2.1.1`."""
    hint: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a message; what is not known is None."""

    line: int | None = None
    """From 1, as the message stands there."""
    part: str | None = None
    """The number of a part, as IMAP counts; empty for the message itself."""
    header: str | None = None
    """The name of a header field."""

    def __str__(self) -> str:
        told = []
        if self.line is not None:
            told.append(f"line {self.line}")
        if self.part:
            told.append(f"part {self.part}")
        if self.header is not None:
            told.append(self.header)
        return ", ".join(told)


NOWHERE: Final = Where()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    rule: str
    severity: Severity
    message: str
    """A sentence without a full stop."""
    where: Where = NOWHERE
    hint: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one way of authentication says (RFC 8601 2.7)."""

    method: str
    """`dkim`, `spf`, `dmarc`."""
    result: str
    """`pass`, `fail`, `none`, `neutral`, `softfail`, `permerror`, `temperror`, `policy`."""
    detail: str
    """Such as `header.d=example.org`."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found in one message, the worst first."""

    findings: tuple[Finding, ...]
    results: tuple[Result, ...] = ()
    """Of authentication, where DNS was given to ask."""

    def worst(self) -> Severity | None:
        """None where nothing was found."""
        return next((severity for severity in Severity if any(f.severity is severity for f in self.findings)), None)

    def fails(self, on: Severity) -> bool:
        """Whether something that bad, or worse, was found."""
        severities = list(Severity)
        worst = self.worst()
        return worst is not None and severities.index(worst) <= severities.index(on)


class Findings:
    """Gathers what is found of one message, within limits."""

    def __init__(self, disabled: Iterable[str] = ()) -> None:
        self._disabled = frozenset(disabled)
        self._found: list[Finding] = []
        self._counts: dict[str, int] = {}
        self._rules: dict[str, Rule] = {}

    def add(
        self,
        rule: Rule,
        message: str = "",
        *,
        line: int | None = None,
        part: str | None = None,
        header: str | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Note a finding. Without a message the rule's title is one."""
        if not self.wants(rule):
            return
        count = self._counts[rule.id] = self._counts.get(rule.id, 0) + 1
        self._rules[rule.id] = rule
        if count <= MOST_OF_A_RULE:
            # Whoever wrote the message wrote the names of its fields too, and shall write neither to a terminal nor into XML.
            self._found.append(
                Finding(
                    rule.id,
                    severity or rule.severity,
                    shown(message, MOST_TOLD) or rule.title,
                    Where(line, part, None if header is None else shown(header)),
                    rule.hint,
                    rule.source,
                )
            )

    def wants(self, rule: Rule) -> bool:
        return rule.id not in self._disabled

    def has_room(self, rule: Rule) -> bool:
        """Whether another finding of it would be told by itself."""
        return self.wants(rule) and self._counts.get(rule.id, 0) < MOST_OF_A_RULE

    def count(self, rule: Rule, further: int) -> None:
        """So many more that nobody looked at one by one."""
        if further > 0 and self.wants(rule) and rule.id in self._rules:
            self._counts[rule.id] += further

    def told(self) -> tuple[Finding, ...]:
        """The worst first, and of each severity in the order in which they were found."""
        found = list(self._found)
        for name, count in self._counts.items():
            if count > MOST_OF_A_RULE:
                rule = self._rules[name]
                severity = max(
                    (f.severity for f in found if f.rule == name), key=lambda one: -list(Severity).index(one)
                )
                more = f"and {count - MOST_OF_A_RULE} more: {rule.title}"
                found.append(Finding(name, severity, more, NOWHERE, rule.hint, rule.source))
        order = list(Severity)
        return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def shown(text: str | bytes, most: int = MOST_SHOWN) -> str:
    """What somebody else wrote, on one line, without control characters, cut where it is long."""
    if isinstance(text, bytes):
        text = text[: 4 * most].decode("utf-8", "replace")
    clean = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"
