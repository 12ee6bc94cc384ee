"""UIDBATCHES (RFC 10022)."""

from __future__ import annotations

from mailsystem.imap.batches import read_batches, response
from mailsystem.imap.command import SELECTED, Ok, command
from mailsystem.imap.commands.finding import correlator
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session


@command("UIDBATCHES", SELECTED, capability="UIDBATCHES")
async def uidbatches(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 10022 3: ranges of UIDs that hold as many messages as are asked for, the newest first."""
    batches = read_batches(args)
    if limit := session.options.messages_per_command:
        # What no command may be about is no help as a batch (RFC 9738).
        batches = batches._replace(size=min(batches.size, limit))
    session.send(response(correlator(session), batches.of(session.view.uids)))
    return None
