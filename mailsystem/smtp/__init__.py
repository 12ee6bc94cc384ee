"""The SMTP door: mail comes in here (RFC 5321), on aiosmtpd's model of sessions, envelopes and hooks."""

from mailsystem.smtp.server import serving

__all__ = ["serving"]
