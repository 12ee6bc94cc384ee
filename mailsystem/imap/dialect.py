"""How one client is spoken to: what it has enabled (RFC 5161), and how answers are spelled because of it. Sans-IO."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final
from unicodedata import is_normalized

from mailsystem.imap import reply
from mailsystem.imap.view import News, View
from mailsystem.mail.mailbox import Message, MessageSet

ENABLES: Final = ("CONDSTORE", "IMAP4REV2", "QRESYNC", "UIDONLY", "UTF8=ACCEPT")
"""What ENABLE knows."""
_RANGES_IN_A_LINE: Final = 500


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a client understands; the default is IMAP4rev1 of 2003."""

    rev2: bool = False
    """RFC 9051: no `\\Recent`, ESEARCH for SEARCH, names in UTF-8."""
    condstore: bool = False
    """RFC 7162 3.1: flags come with their ModSeq."""
    qresync: bool = False
    """RFC 7162 3.2: VANISHED for EXPUNGE."""
    uidonly: bool = False
    """RFC 9586: no sequence numbers, UIDFETCH for FETCH."""
    accepts_utf8: bool = False
    """RFC 9755: UTF-8 in quoted strings, in names and in messages."""

    def enabling(self, words: Collection[str]) -> Dialect:
        """This, with what ENABLE or another command named beside it."""
        return replace(
            self,
            rev2=self.rev2 or "IMAP4REV2" in words,
            condstore=self.condstore or "CONDSTORE" in words or "QRESYNC" in words,
            qresync=self.qresync or "QRESYNC" in words,
            uidonly=self.uidonly or "UIDONLY" in words,
            accepts_utf8=self.accepts_utf8 or "UTF8=ACCEPT" in words,
        )

    @property
    def utf8(self) -> bool:
        """Whether names of mailboxes are spelled in UTF-8 (RFC 9051 5.1, RFC 9755 3)."""
        return self.rev2 or self.accepts_utf8

    @property
    def vanishing(self) -> bool:
        """Whether what is gone is told by UID (VANISHED) and not by number (EXPUNGE)."""
        return self.qresync or self.uidonly

    def mailbox(self, name: str) -> bytes:
        """mailbox = astring"""
        return reply.mailbox(name, utf8=self.utf8)

    def instead_of(self, said: str) -> bytes:
        """oldname-extended-item for a name that is not normalized as it was said (RFC 9051 6.3.2); nothing for others."""
        return b"" if is_normalized("NFC", said) else reply.old_name(self.mailbox(said))

    def fetch(self, number: int, uid: int) -> bytes:
        """How a response about one message begins, up to its parenthesis."""
        return b"* %d UIDFETCH (" % uid if self.uidonly else b"* %d FETCH (" % number

    def flags(self, number: int, message: Message, *, recent: bool, with_uid: bool) -> bytes:
        """The line that tells one message's flags, unasked or after a STORE."""
        held = reply.flags(message.flags, recent and not self.rev2)
        items = b"FLAGS %b)\r\n" % held
        if self.condstore:
            items = b"FLAGS %b MODSEQ (%d))\r\n" % (held, message.modseq)
        if not self.uidonly and (with_uid or self.condstore or self.rev2):
            # RFC 7162 3.2.4 wants it where QRESYNC is enabled, RFC 9051 6.4.9 would like it always.
            items = b"UID %d %b" % (message.uid, items)
        return self.fetch(number, message.uid) + items

    def gone(self, news: News) -> list[bytes]:
        """The lines that tell what is gone: the numbers highest first, so that none of them moves another."""
        if not self.vanishing:
            return [b"* %d EXPUNGE\r\n" % number for number in news.expunged]
        return vanished(news.vanished)

    def came(self, news: News) -> bytes:
        """The lines that tell what has come."""
        if news.exists is None:
            return b""
        if self.rev2:
            return b"* %d EXISTS\r\n" % news.exists
        return b"* %d EXISTS\r\n* %d RECENT\r\n" % (news.exists, news.recent or 0)

    def changed(self, view: View, messages: list[tuple[int, Message]], *, with_uid: bool) -> bytes:
        """The lines that tell the flags of these, by number and message."""
        return b"".join(
            [
                self.flags(number, message, recent=view.is_recent(message.uid), with_uid=with_uid)
                for number, message in messages
            ]
        )

    def counted(self, messages: list[tuple[int, Message]]) -> bytes:
        """The lines that tell only the mod-sequences of these, by number and message."""
        items = b"MODSEQ (%d))\r\n" if self.uidonly else b"UID %d MODSEQ (%d))\r\n"
        return b"".join(
            [
                self.fetch(number, message.uid)
                + items % ((message.modseq,) if self.uidonly else (message.uid, message.modseq))
                for number, message in messages
            ]
        )


def vanished(uids: MessageSet, *, earlier: bool = False) -> list[bytes]:
    """expunged-resp = "VANISHED" [SP "(EARLIER)"] SP known-uids (RFC 7162 3.2.10), in lines that a client can read."""
    begun = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    ranges = uids.ranges
    return [
        begun + str(MessageSet(ranges[at : at + _RANGES_IN_A_LINE])).encode("ascii") + b"\r\n"
        for at in range(0, len(ranges), _RANGES_IN_A_LINE)
    ]
