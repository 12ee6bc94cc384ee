"""Commands after login (RFC 3501 6.3): making mailboxes, waiting."""

from __future__ import annotations

from mailsystem.imap import news, reply, witness
from mailsystem.imap.command import AUTHENTICATED, Ok, capabilities, command
from mailsystem.imap.dialect import ENABLES
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import CompressionActive, Goodbye, Session, State
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import OTHERS


@command("CREATE", AUTHENTICATED, capability="CREATE-SPECIAL-USE")
async def create(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.3.4: make a mailbox, and those above it; with USE (RFC 6154) for a purpose."""
    args.sp()
    said, name = args.mailbox_as_said()
    use = _use(args) if args.accept(b" ") else None
    args.end()
    mailbox = await session.store.mailboxes.create(session.account.id, name, use)
    if said != name and session.dialect.rev2:
        # RFC 9051 6.3.4: the name is not quite as it was said.
        session.send(
            reply.listed(b"LIST", (), session.dialect.mailbox(name), reply.old_name(session.dialect.mailbox(said)))
        )
    return Ok(code=b"MAILBOXID (%b)" % mailbox.objectid.encode("ascii"))  # RFC 8474 4.1


def _use(args: Arguments) -> str | None:
    """create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")" (RFC 6154 6)"""
    args.enter()
    args.expect(b"USE")
    args.sp()
    args.enter()
    uses: list[str] = []
    while args.peek() != b")":
        if uses:
            args.sp()
        args.expect(b"\\")
        uses.append("\\" + args.atom())
    args.leave()
    args.leave()
    return " ".join(uses) or None


@command("DELETE", AUTHENTICATED)
async def delete(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.4: drop a mailbox with its messages, not those below it."""
    args.sp()
    said, name = args.mailbox_as_said()
    args.end()
    mailbox = await session.store.mailboxes.find(session.account.id, name)
    gone = await session.store.mailboxes.delete(session.account.id, name)
    if gone and session.trace.wants_contents:
        session.trace.event("mailbox deleted", mailbox=name, contents=gone)
    where = session.mailbox if session.state is State.SELECTED else None
    if where is not None and (where.account, where.id) == (mailbox.account, mailbox.id):
        # The client knows what it did; it is simply in no mailbox any more.
        session.select(None)
        session.send(b"* OK [CLOSED] the selected mailbox was deleted\r\n")
    dialect = session.dialect
    if dialect.rev2 and (instead := dialect.instead_of(said)):
        session.send(reply.listed(b"LIST", ("\\NonExistent",), dialect.mailbox(name), instead))  # RFC 9051 6.3.5
    return None


@command("RENAME", AUTHENTICATED)
async def rename(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.3.6: give a mailbox and those below it another name; whoever is in it stays in it."""
    args.sp()
    said, old = args.mailbox_as_said()
    args.sp()
    new = args.mailbox()
    args.end()
    moved = await session.store.mailboxes.rename(session.account.id, old, new)
    if moved is not None:
        witness.copied(session, moved, old, new, moved=True)
    if session.dialect.rev2:
        dialect = session.dialect
        before = dialect.instead_of(said) or reply.old_name(dialect.mailbox(old))
        session.send(reply.listed(b"LIST", (), dialect.mailbox(new), before))
    return None


@command("SUBSCRIBE", AUTHENTICATED)
async def subscribe(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.6: add a name to the subscribed ones, be there such a mailbox or not."""
    args.sp()
    name = args.mailbox()
    args.end()
    await session.store.mailboxes.subscribe(session.account.id, name, True)
    return None


@command("UNSUBSCRIBE", AUTHENTICATED)
async def unsubscribe(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.7."""
    args.sp()
    name = args.mailbox()
    args.end()
    await session.store.mailboxes.subscribe(session.account.id, name, False)
    return None


@command("NAMESPACE", AUTHENTICATED, capability="NAMESPACE")
async def namespace(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 2342: one's own mailboxes without a prefix, and below one those that others share."""
    args.end()
    session.send(b'* NAMESPACE (("" "/")) (("%b/" "/")) NIL\r\n' % OTHERS.encode("ascii"))
    return None


@command("ENABLE", State.AUTHENTICATED, capability="ENABLE")
async def enable(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 5161: from now on the client understands these extensions; what is unknown is passed over."""
    args.sp()
    wanted = [args.keyword()]
    while args.accept(b" "):
        wanted.append(args.keyword())
    args.end()
    hidden = session.hidden
    enabled = [word for word in dict.fromkeys(wanted) if word in ENABLES and word not in hidden]
    session.dialect = session.dialect.enabling(enabled)
    session.send(b"".join([b"* ENABLED", *(b" " + word.encode("ascii") for word in enabled), b"\r\n"]))
    return None


@command("IDLE", AUTHENTICATED, looks=True, capability="IDLE")
async def idle(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 2177: hear what is new at once, until DONE."""
    args.end()
    session.send(b"+ idling\r\n")
    line = await news.idle(session)
    if line.upper() != b"DONE":
        raise SyntaxFault("DONE expected")
    return None


@command("COMPRESS", AUTHENTICATED, capability="COMPRESS=DEFLATE")
async def compress(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 4978: from the next octet on both sides compress."""
    args.sp()
    if args.keyword() != "DEFLATE":
        raise SyntaxFault("only DEFLATE is known")
    args.end()
    if session.compressed:
        raise CompressionActive
    if session.pending:
        # Whoever does not wait for the answer cannot know how to speak, and it may be somebody else who speaks.
        raise Goodbye("octets behind COMPRESS")
    return Ok("compressed from here on", then=session.compress)


@command("UNAUTHENTICATE", AUTHENTICATED, capability="UNAUTHENTICATE")
async def unauthenticate(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 8437: as before login, in the same connection."""
    args.end()
    if "UNAUTHENTICATE" in session.hidden:
        raise SyntaxFault("not offered to you")  # RFC 8437 8: it can be switched off
    session.log_out()
    return Ok(code=b"CAPABILITY " + capabilities(session), then=session.decompress)
