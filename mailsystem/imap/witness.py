"""What is said of single messages, for those who follow them: nothing is made up where nobody does."""

from __future__ import annotations

from mailsystem.imap.session import Session
from mailsystem.mail.mailbox import Changes
from mailsystem.store import Copied


def flagged(session: Session, flags: str, changes: Changes) -> None:
    """These messages have other flags now; `flags` is `+`, `-` or nothing, and which."""
    if session.trace.wants_contents and changes.messages:
        contents = changes.contents or [message.content for message in changes.messages]
        session.trace.event("flagged", mailbox=session.mailbox.shown, flags=flags, contents=contents)


def expunged(session: Session, changes: Changes) -> None:
    """These messages have left the selected mailbox."""
    if session.trace.wants_contents and changes.contents:
        where = session.mailbox.shown
        session.trace.event("expunged", mailbox=where, contents=changes.contents, uids=list(changes.vanished))


def copied(session: Session, copies: Copied, source: str, target: str, *, moved: bool = False) -> None:
    """These messages are in another mailbox now, too or instead."""
    if session.trace.wants_contents and copies.contents:
        name = "moved" if moved else "copied"
        session.trace.event(name, mailbox=source, target=target, contents=copies.contents, uids=copies.target)
