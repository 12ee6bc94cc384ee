"""Is this message as it should be? `check` says what is wrong with it by rules that each have an id and an explanation.

A judgement of how a message was made, for those who send it; whether a message may come in is `policy`'s.
"""

from mailsystem.checks.authentication import Missing, Sender
from mailsystem.checks.checking import Options, check
from mailsystem.checks.rule import Finding, Report, Result, Rule, Severity, Where
from mailsystem.checks.rules import RULES
from mailsystem.checks.zone import BadZone, GivenZone, NotAnswered, RealZone, Zone

__all__ = [
    "RULES",
    "BadZone",
    "Finding",
    "GivenZone",
    "Missing",
    "NotAnswered",
    "Options",
    "RealZone",
    "Report",
    "Result",
    "Rule",
    "Sender",
    "Severity",
    "Where",
    "Zone",
    "check",
]
