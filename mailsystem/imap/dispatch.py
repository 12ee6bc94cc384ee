"""One command, from its frame to its tagged reply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import mailsystem.imap.commands  # noqa: F401 - fills the table
from mailsystem.imap import news, reply, watch
from mailsystem.imap.batches import ClientBug, TooFew
from mailsystem.imap.command import TABLE, Command, Instead, Ok
from mailsystem.imap.commands.appending import Gone
from mailsystem.imap.fetched import UnknownEncoding
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments, BadCharset, UidRequired
from mailsystem.imap.limiting import OverLimit
from mailsystem.imap.notify import BADEVENT, BadEvent, TooMuch
from mailsystem.imap.session import CompressionActive, Goodbye, Session
from mailsystem.mail import errors
from mailsystem.mail.errors import AuthFailed, MailError, NoSuchMailbox, SyntaxFault, WrongState
from mailsystem.net import Injected, Stopping
from mailsystem.store import LONGEST_VALUE, BadUse, TooManyEntries, ValueTooLong
from mailsystem.telemetry.trace import CLIENT, REDACTED

if TYPE_CHECKING:
    from mailsystem.imap.faulty import Faulty

REPLIES: Final[dict[type[MailError], tuple[bytes, bytes]]] = {
    errors.SyntaxFault: (b"BAD", b""),
    errors.WrongState: (b"BAD", b""),
    errors.AuthRequired: (b"NO", b"PRIVACYREQUIRED"),  # here only raised where TLS is what is missing
    errors.AuthFailed: (b"NO", b"AUTHENTICATIONFAILED"),
    errors.NotPermitted: (b"NO", b"NOPERM"),
    errors.NoSuchMailbox: (b"NO", b"NONEXISTENT"),
    errors.MailboxExists: (b"NO", b"ALREADYEXISTS"),
    errors.NoSuchRecipient: (b"NO", b"NONEXISTENT"),
    errors.InUse: (b"NO", b"INUSE"),
    errors.OverQuota: (b"NO", b"OVERQUOTA"),
    errors.TooLarge: (b"NO", b"TOOBIG"),
    errors.TooMany: (b"NO", b"LIMIT"),
    errors.Rejected: (b"NO", b"CANNOT"),
    errors.Unavailable: (b"NO", b"UNAVAILABLE"),
    BadCharset: (b"NO", b"BADCHARSET (US-ASCII UTF-8)"),
    BadUse: (b"NO", b"USEATTR"),
    CompressionActive: (b"NO", b"COMPRESSIONACTIVE"),
    TooManyEntries: (b"NO", b"METADATA TOOMANY"),
    ValueTooLong: (b"NO", b"METADATA MAXSIZE %d" % LONGEST_VALUE),
    BadEvent: (b"NO", BADEVENT),
    TooMuch: (b"NO", b"NOTIFICATIONOVERFLOW"),
    UidRequired: (b"BAD", b"UIDREQUIRED"),
    UnknownEncoding: (b"NO", b"UNKNOWN-CTE"),
    TooFew: (b"NO", b"TOOFEW"),
    ClientBug: (b"BAD", b"CLIENTBUG"),
    Gone: (b"NO", b"EXPUNGEISSUED"),
}
"""How each expected failure is told (RFC 5530); anything else is our bug and SERVERBUG."""

_REMOVING: Final = frozenset({"EXPUNGE", "MOVE", "REPLACE"})
"""Commands that are answered by what is gone."""
_LITERAL = re.compile(rb"\{([0-9]+)\+?\}")
_LONGEST_LINE: Final = 2000


async def run(session: Session, frame: Frame, faulty: Faulty | None = None) -> None:
    """Do what `frame` says and answer it: untagged data first, then one tagged line; or what a fault makes of that.

    Raises `Goodbye`, `Injected` and `ConnectionError` when there is nothing more to say to this client.
    """
    await news.admit(session)
    args = Arguments(frame, utf8=session.dialect.utf8)
    tag, entry, by_uid = b"*", None, False
    fault = frame.fault
    try:
        tag = args.tag()
        if fault is not None and args.at_end():
            tag = b"*"  # cut off, perhaps within the tag
        args.sp()
        entry, by_uid = _entry(args)
        session.tag, session.numbered, session.beyond = tag, False, False
    except SyntaxFault as error:
        fault = fault or error
    if session.trace.wants_lines is (session.transcript is None):
        news.heed(session)
    if session.trace.wants_lines:
        session.trace.line(CLIENT, _spoken(frame, entry, args.position))

    done: Ok | None = None
    if fault is None and entry is not None:
        done, answer = await _perform(session, entry, args, by_uid, faulty)
    else:
        answer = _refuse(session, fault or SyntaxFault(), entry)
    bye = _verdict(session, answer) or ("cannot follow any more" if frame.last else None)

    if entry is not None and not answer.startswith(b"BAD"):
        try:
            waiting = await news.sync(
                session,
                hold_expunges=(entry.numbers and not by_uid) or session.numbered,  # RFC 7162 3.2.10.2
                with_uid=by_uid,
                look=entry.looks,
                own=entry.name in _REMOVING,
            )
            if waiting:
                # RFC 7162 3.2: else a mod-sequence of this answer would let it believe that it knows all before that.
                session.send(b"* OK [HIGHESTMODSEQ %d] what is gone is told later\r\n" % session.view.modseq)
            await watch.look(session, own=entry.name in watch.OWN)
        except Goodbye as end:
            bye = str(end)
    if bye is not None:
        session.send(b"* BYE " + reply.text(bye) + reply.CRLF)
        session.ended = True
    # What was taken for a tag may be a password that was sent at the wrong moment, if no command came with it.
    line = b" " + answer + reply.CRLF
    session.send(tag + line, traced=(REDACTED if entry is None else tag) + line)
    if done is not None and done.then is not None:
        await done.then()
    if faulty is not None:
        await faulty.answered()


def _entry(args: Arguments) -> tuple[Command, bool]:
    """command = the names in `TABLE`; uid = "UID" SP (the names that have that form)"""
    name = args.keyword()
    by_uid = name == "UID"
    if by_uid:
        args.sp()
        name = args.keyword()
    entry = TABLE.get(name)
    if entry is None or (by_uid and not entry.uid):
        raise SyntaxFault("unknown command")
    return entry, by_uid


async def _perform(
    session: Session, entry: Command, args: Arguments, by_uid: bool, faulty: Faulty | None
) -> tuple[Ok | None, bytes]:
    """Run the handler; what it returned, and the reply without its tag."""
    try:
        if not session.state & entry.states:
            raise WrongState(f"{entry.name} is not possible now")
        if entry.picks and not by_uid and session.dialect.uidonly:
            raise UidRequired
        if entry.name in watch.OWN:
            await watch.look(session)  # what was not its own doing
        if faulty is None:
            done = await entry.handler(session, args, by_uid)
        else:
            done = await faulty.perform(entry, args, by_uid)
    except MailError as error:
        return None, _refuse(session, error, entry)
    except Instead as fault:
        return None, fault.answer
    except (Goodbye, Injected, Stopping, ConnectionError):
        raise
    except Exception as error:
        session.trace.bug(error, command=entry.name)
        return None, b"NO [SERVERBUG] something went wrong here"
    text = reply.text(done.text) if done is not None and done.text else entry.name.encode() + b" completed"
    return done, b"OK " + (b"[" + done.code + b"] " if done is not None and done.code else b"") + text


def _refuse(session: Session, error: MailError, entry: Command | None) -> bytes:
    status, code = next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)
    if isinstance(error, NoSuchMailbox) and entry is not None and entry.target:
        code = b"TRYCREATE"  # RFC 3501 6.3.11
    if isinstance(error, OverLimit):
        code = error.code
    if isinstance(error, AuthFailed):
        session.failures += 1
    session.trace.event("refused", command=entry.name if entry is not None else None, reason=str(error))
    return status + b" " + (b"[" + code + b"] " if code else b"") + reply.text(str(error))


def _verdict(session: Session, answer: bytes) -> str | None:
    """Why we do not want to hear any more from this client, if so."""
    if answer.startswith(b"BAD"):
        session.bad += 1
    elif answer.startswith(b"OK"):
        session.bad = 0
    if session.ended:
        return None
    if session.failures >= session.options.login_attempts:
        return "too many failed logins"
    if session.bad >= session.options.bad_commands:
        return "too many bad commands"
    return None


def _spoken(frame: Frame, entry: Command | None, position: int) -> bytes:
    """The command as a trace may see it: no literals, and no arguments of what is secret or not understood."""
    if entry is None:
        # It may be anything, a password that was sent at the wrong moment too.
        return b"[%d octets]" % len(frame.line)
    if entry.secret:
        return frame.line[:position] + b" " + REDACTED
    pieces, at = [], 0
    for start, _ in frame.literals:
        marker = _LITERAL.match(frame.line, start)
        if marker is not None:
            pieces += [frame.line[at:start], b"[" + marker[1] + b" octets]"]
            at = marker.end()
    spoken = b"".join(pieces) + frame.line[at:]
    return spoken if len(spoken) <= _LONGEST_LINE else spoken[:_LONGEST_LINE] + b"..."
