"""Cheap clients for SMTP, POP3 and IMAP: they read no more than they must while the clock runs, and check afterwards."""

from benchmarks.clients.connection import Peer, Refused, Server
from benchmarks.clients.imap import Imap
from benchmarks.clients.pop3 import Pop3
from benchmarks.clients.smtp import Smtp

__all__ = ["Imap", "Peer", "Pop3", "Refused", "Server", "Smtp"]
