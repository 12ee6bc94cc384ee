"""Peers on streams: the room with the sockets. A door is handed a `Connection` for each who comes to where it `listen`s,
and makes one to whom it must `connect` to.
"""

from mailsystem.net.connecting import Unreachable, connect
from mailsystem.net.connection import READ_LIMIT, WRITE_LIMIT, Closed, Connection, Distrusted, Injected, Stopping
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
    "Distrusted",
    "Injected",
    "Limits",
    "Pair",
    "Patience",
    "Stopping",
    "Terms",
    "Unreachable",
    "connect",
    "is_loopback",
    "listen",
    "self_signed",
]
