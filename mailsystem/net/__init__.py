"""Peers on streams: the room with the sockets. A door is handed a `Connection` for each who comes to where it `listen`s."""

from mailsystem.net.connection import READ_LIMIT, WRITE_LIMIT, Closed, Connection, Injected, Stopping
from mailsystem.net.listening import Bound, listen

__all__ = [
    "READ_LIMIT",
    "WRITE_LIMIT",
    "Bound",
    "Closed",
    "Connection",
    "Injected",
    "Stopping",
    "listen",
]
