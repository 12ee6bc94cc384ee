"""Servers of other projects as private instances: own directories, own ports; nothing of the system's own is touched."""

from benchmarks.peers.postfix_dovecot import FORMATS, postfix_dovecot

__all__ = ["FORMATS", "postfix_dovecot"]
