"""Peers on streams: the room with the sockets. A door is handed a `Connection` for each who comes to where it `listen`s."""

from mailsystem.net.connection import READ_LIMIT, WRITE_LIMIT, Closed, Connection, Injected, Stopping
from mailsystem.net.conversation import Conversation
from mailsystem.net.deflate import BadStream
from mailsystem.net.limits import Limits
from mailsystem.net.listening import OPEN, Bound, Terms, is_loopback, listen
from mailsystem.net.patience import Patience
from mailsystem.net.tls import BadCertificate, Certificates, Pair, self_signed

__all__ = [
    "OPEN",
    "READ_LIMIT",
    "WRITE_LIMIT",
    "BadCertificate",
    "BadStream",
    "Bound",
    "Certificates",
    "Closed",
    "Connection",
    "Conversation",
    "Injected",
    "Limits",
    "Pair",
    "Patience",
    "Stopping",
    "Terms",
    "is_loopback",
    "listen",
    "self_signed",
]
