"""Faults that strike one test's own mail and nobody else's."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from mailsystem.testing.arrivals import Claims

Door: TypeAlias = Literal["smtp", "pop3", "imap"]

_KNOWS_RECIPIENT: Final = frozenset({"RCPT", "DATA", "BDAT", "BODY", "RSET", "NOOP", "QUIT"})
"""Where SMTP knows for whom it is."""


def rules_for(
    claims: Claims, *, door: Door, at: str, rcpt: str | None, from_: str | None, login: str | None, what: dict[str, Any]
) -> list[dict[str, Any]]:
    """A rule for each address. Raises `ValueError` where it would strike others."""
    stage = at.upper()
    rule = {"door": door, "stage": stage, **what}
    if door != "smtp" or stage == "AUTH":
        if stage == "CONNECT":
            raise ValueError("at CONNECT nobody knows whose mail it is about, and other tests would be struck")
        return [{**rule, "login": each} for each in ([login] if login else claims.addresses)]
    sender = {} if from_ is None else {"from": from_ or "<>"}
    if stage in _KNOWS_RECIPIENT:
        patterns = [rcpt] if rcpt else [*_all_of(claims)]
        return [{**rule, **sender, "to": each} for each in patterns]
    if stage == "MAIL" and sender:
        return [{**rule, **sender}]
    hint = "say from_" if stage == "MAIL" else f"use one of {', '.join(sorted(_KNOWS_RECIPIENT | {'MAIL', 'AUTH'}))}"
    raise ValueError(f"at {stage} nobody knows whose mail it is about, and other tests would be struck: {hint}")


def _all_of(claims: Claims) -> list[str]:
    """Patterns for all that is this test's."""
    return [*claims.addresses, *(f"*@{domain}" for domain in claims.domains)]
