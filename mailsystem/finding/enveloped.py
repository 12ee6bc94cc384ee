"""The search key that asks for the envelope: who was named by MAIL FROM and RCPT TO. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass

from mailsystem.finding.header import fold
from mailsystem.finding.key import Cost, Known
from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault


@dataclass(frozen=True, slots=True)
class Enveloped:
    """An address of the envelope: the one in MAIL FROM, or one of those in RCPT TO."""

    is_sender: bool
    local: str | None
    """Folded; None for anybody of the domain."""
    domain: str | None
    """In its normal form; None where `part` is looked for."""
    part: str
    """Folded: of the address. With a `domain` it is empty, and for the null sender, whom `is_null` asks for."""
    is_null: bool = False
    cost = Cost.HEADER

    def holds(self, known: Known) -> bool | None:
        if known.header is None:
            return None if known.told is None else known.told(self, known.uid)
        if self.is_sender:
            sender = known.header.sender()
            return sender is not None and self._is(sender)
        recipients = known.recipients
        if recipients is None:
            recipients = known.header.recipient()
        return any(map(self._is, recipients))

    def _is(self, address: str) -> bool:
        if self.is_null:
            return not address
        if self.domain is None:
            return self.part in fold(address)
        try:
            one = Address.kept(address)
        except SyntaxFault:
            return False
        return one.domain == self.domain and (self.local is None or fold(one.local) == self.local)
