"""Mail to many: whether it can be left (RFC 2369, RFC 8058)."""

from __future__ import annotations

from typing import Final

from mailsystem.checks.rule import Findings
from mailsystem.checks.rules import sending
from mailsystem.checks.signatures import Signature
from mailsystem.mail.extraction import unsubscribe_of
from mailsystem.mail.reading import Reading

_SIGNS: Final = ("List-Id", "List-Unsubscribe", "List-Post", "Feedback-ID", "X-Campaign", "X-CampaignId")


def is_bulk(message: Reading) -> bool:
    """Whether it says of itself that it goes to many."""
    precedence = (message.header("Precedence") or "").strip().lower()
    return precedence in ("bulk", "list", "junk") or any(message.values(name) for name in _SIGNS)


def check_bulk(message: Reading, signatures: list[Signature], findings: Findings, *, bulk: bool) -> None:
    """`bulk`: whether it goes to many; what it says about leaving is looked at anyway."""
    told = unsubscribe_of(message)
    if told is None:
        if bulk:
            findings.add(sending.UNSUBSCRIBE_MISSING, header="List-Unsubscribe")
        if message.values("List-Unsubscribe-Post"):
            findings.add(
                sending.UNSUBSCRIBE_MALFORMED,
                "List-Unsubscribe-Post stands there without List-Unsubscribe",
                header="List-Unsubscribe-Post",
            )
        return
    for error in told.errors:
        findings.add(sending.UNSUBSCRIBE_MALFORMED, error, header="List-Unsubscribe")
    if bulk and not told.one_click:
        findings.add(sending.ONE_CLICK_MISSING, header="List-Unsubscribe-Post")
    if told.one_click and signatures:
        wanted = {"list-unsubscribe", "list-unsubscribe-post"}
        if not any(wanted <= signature.covered for signature in signatures):
            findings.add(sending.ONE_CLICK_UNSIGNED, header="DKIM-Signature")
