"""Access control lists (RFC 4314): who may do what with a mailbox, one's own or another's."""

from __future__ import annotations

from mailsystem.imap import reply
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail.errors import NotPermitted, SyntaxFault
from mailsystem.mail.rights import ANYONE, EVERY, Identifier, Rights, rights_of, spelled_for_all
from mailsystem.store import Sign

_TIED_TO_NONE = " ".join("lrswipkxtecda").encode("ascii")


@command("SETACL", AUTHENTICATED, capability="ACL")
async def setacl(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 4314 3.1: give somebody rights on a mailbox, or take some away."""
    args.sp()
    name = args.mailbox()
    args.sp()
    _, who = _identifier(session, args)
    args.sp()
    sign, rights = _mod_rights(args)
    args.end()
    if who.who == ANYONE and not who.negative and sign != "-" and not session.options.share_with_anyone:
        # It would show in the list of mailboxes of everybody here, as often as one likes.
        raise NotPermitted("sharing with anyone is not allowed here")
    await session.store.sharing.change(session.account.id, name, who, rights, sign)
    session.trace.event("rights changed", mailbox=name, who=str(who), sign=sign, rights=spelled_for_all(rights))
    return None


@command("DELETEACL", AUTHENTICATED)
async def deleteacl(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 4314 3.2: drop what the list says about somebody."""
    args.sp()
    name = args.mailbox()
    args.sp()
    _, who = _identifier(session, args)
    args.end()
    await session.store.sharing.drop(session.account.id, name, who)
    session.trace.event("rights changed", mailbox=name, who=str(who), sign="", rights="")
    return None


@command("GETACL", AUTHENTICATED)
async def getacl(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 4314 3.3: the whole list, its owner first."""
    args.sp()
    name = args.mailbox()
    args.end()
    mailbox, entries = await session.store.sharing.entries(session.account.id, name)
    pairs = [
        b" %b %b" % (reply.astring(str(each.identifier).encode()), reply.astring(spelled_for_all(each.rights).encode()))
        for each in entries
    ]
    session.send(b"* ACL %b%b\r\n" % (session.dialect.mailbox(mailbox.shown), b"".join(pairs)))
    return None


@command("LISTRIGHTS", AUTHENTICATED)
async def listrights(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 4314 3.4: which rights somebody always has on a mailbox, and which can be given to them: each alone."""
    args.sp()
    name = args.mailbox()
    args.sp()
    said, who = _identifier(session, args)
    args.end()
    mailbox, always = await session.store.sharing.grantable(session.account.id, name, who)
    # RFC 4314 3.4: the identifier comes back as the client spelled it.
    line = [b"* LISTRIGHTS", session.dialect.mailbox(mailbox.shown), reply.astring(said)]
    line += [reply.astring(spelled_for_all(EVERY).encode())] if always == EVERY else [b'""', _TIED_TO_NONE]
    session.send(b" ".join(line) + reply.CRLF)
    return None


@command("MYRIGHTS", AUTHENTICATED)
async def myrights(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 4314 3.5: what one may do with a mailbox."""
    args.sp()
    name = args.mailbox()
    args.end()
    mailbox, rights = await session.store.sharing.rights(session.account.id, name)
    session.send(my_rights(session, mailbox.shown, rights))
    return None


def my_rights(session: Session, name: str, rights: Rights) -> bytes:
    """myrights-data = "MYRIGHTS" SP mailbox SP rights, as LIST tells it too (RFC 8440)"""
    return b"* MYRIGHTS %b %b\r\n" % (session.dialect.mailbox(name), reply.astring(spelled_for_all(rights).encode()))


def _identifier(session: Session, args: Arguments) -> tuple[bytes, Identifier]:
    """identifier = astring, as it was said and whom it means; with a dash before it, what is taken away from them"""
    said = args.astring()
    try:
        text = said.decode()
    except UnicodeDecodeError:
        raise SyntaxFault("identifier is not UTF-8") from None
    negative = text.startswith("-")
    who = text.removeprefix("-")
    return said, Identifier(who if who == ANYONE else session.directory.login_key(who), negative)


def _mod_rights(args: Arguments) -> tuple[Sign, Rights]:
    """mod-rights = astring: +rights to add, -rights to remove, rights to replace"""
    text = args.astring().decode("utf-8", "replace")
    sign: Sign = "+" if text.startswith("+") else "-" if text.startswith("-") else ""
    return sign, rights_of(text.removeprefix(sign))
