"""What a message demands of the server that takes it, and the parameters that tell it so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Body
from mailsystem.mail.outgoing import Waiting
from mailsystem.queue.content import Content
from mailsystem.queue.replies import Extensions

_GRAPHIC: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Lacking:
    """What the other side cannot do and must, so that there is no use in asking."""

    status: str
    text: str


def size_limit(offered: Extensions) -> int:
    """The most octets that it takes (RFC 1870 4); 0 where it sets no limit or none that can be understood."""
    words = offered.get("SIZE", "").split()
    return int(words[0]) if words and words[0].isascii() and words[0].isdigit() and len(words[0]) <= 20 else 0


async def lacking(content: Content, offered: Extensions, host: str) -> Lacking | None:
    """What stands between this server and this message, whomever it is for."""
    limit = size_limit(offered)
    if limit and content.size > limit:
        return Lacking("5.3.4", f"message of {content.size} octets is larger than {host} takes, which is {limit}")
    if content.is_binary:
        if "BINARYMIME" not in offered or "CHUNKING" not in offered:
            return Lacking("5.6.1", f"message is binary, which {host} does not take (BINARYMIME)")
    elif "8BITMIME" not in offered and await content.has_eight_bit():
        # To rewrite it as 7bit would break its signatures.
        return Lacking("5.6.3", f"message has 8-bit octets, which {host} does not take (8BITMIME)")
    return None


async def needs_utf8(content: Content, recipient: Address) -> bool:
    """Whether this message can be handed over for this recipient with SMTPUTF8 only (RFC 6531 3.2)."""
    if not _has_ascii_path(content, recipient):
        return True
    # One who asks for SMTPUTF8 need not make use of it; a header in raw 8-bit octets without it is only bad mail.
    return content.message.utf8 and await content.has_utf8_header()


def lacks_utf8(content: Content, recipient: Address, host: str) -> Lacking:
    """Where it needs that and there is none (RFC 6531 3.5)."""
    if _has_ascii_path(content, recipient):
        return Lacking("5.6.9", f"message has an international header, which {host} does not take (SMTPUTF8)")
    return Lacking("5.6.7", f"message has international addresses, which {host} does not take (SMTPUTF8)")


def _has_ascii_path(content: Content, recipient: Address) -> bool:
    return content.message.sender.is_ascii and recipient.is_ascii


async def body_of(content: Content, offered: Extensions) -> Body:
    """What BODY says (RFC 6152 3). What is in the message counts: there are clients that send 8-bit octets without a word."""
    declared = content.message.body
    if declared == "7BIT" and "8BITMIME" in offered and await content.has_eight_bit():
        return "8BITMIME"
    return declared


def mail(content: Content, offered: Extensions, *, body: Body, utf8: bool) -> bytes:
    """The MAIL command, with what is offered of what was asked for."""
    message = content.message
    words = [f"MAIL FROM:<{message.sender}>"]
    if "SIZE" in offered:
        words.append(f"SIZE={content.size}")
    if body == "BINARYMIME" or (body == "8BITMIME" and "8BITMIME" in offered):
        words.append(f"BODY={body}")
    if utf8:
        words.append("SMTPUTF8")
    if "DSN" in offered:  # RFC 3461 5.2.1: passed on unchanged
        if message.ret:
            words.append(f"RET={message.ret}")
        if message.envid and _GRAPHIC.fullmatch(message.envid):
            words.append(f"ENVID={message.envid}")
    if message.require_tls and "REQUIRETLS" in offered:
        words.append("REQUIRETLS")
    return " ".join(words).encode()


def rcpt(recipient: Waiting, offered: Extensions, *, utf8: bool) -> bytes:
    """The RCPT command."""
    words = [f"RCPT TO:<{recipient.address}>"]
    if "DSN" in offered:
        asked = recipient.asked
        if asked.notify:
            words.append("NOTIFY=" + ",".join(sorted(asked.notify)))
        if asked.original and (original := _original(asked.original, utf8=utf8)):
            words.append(f"ORCPT={original}")
    return " ".join(words).encode()


def _original(text: str, *, utf8: bool) -> str:
    """ORCPT as it can be said in this transaction; empty where it cannot (RFC 6533 3)."""
    kind, _, address = text.partition(";")
    if not utf8 and not address.isascii():
        if kind.lower() != "utf-8":
            return ""
        address = "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in address)
        text = f"{kind};{address}"
    return text if all(c.isprintable() and c != " " for c in text) else ""
