"""The POP2 door (RFC 937): folders, one message at a time, and each acknowledged. For history's sake."""

from mailsystem.pop2.server import serving

__all__ = ["serving"]
