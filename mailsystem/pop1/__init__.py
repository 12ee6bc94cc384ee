"""The POP1 door (RFC 918): a whole mailbox in one piece, kept or deleted. For history's sake."""

from mailsystem.pop1.server import serving

__all__ = ["serving"]
