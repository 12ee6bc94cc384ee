"""Mail that answers mail: a bounce (RFC 3464), an automatic reply (RFC 3834), a complaint (RFC 5965). Sans-IO.

What is made is sent from the null sender and says that a program wrote it, so that nobody answers it. `answers` tells of what
nothing is made: else two programs could write to each other for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from mailsystem.faults.magic import Writing
from mailsystem.mail import header
from mailsystem.mail.address import Address
from mailsystem.mail.multipart_report import (
    Part,
    assembled,
    can_travel,
    first,
    host_name,
    returned_part,
    subject_field,
    text_part,
    threading_fields,
)
from mailsystem.mail.report import MOST_RETURNED, report
from mailsystem.mail.reported import Action, Reported, clean
from mailsystem.mail.words import decoded

_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_MOST_HEADER: Final = 1 << 16
_OF_MANY: Final = frozenset({b"bulk", b"junk", b"list"})
BOUNCED: Final = "550 5.1.1 no such user"
"""What the other side said to a message that bounces, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """A message that is answered, and who has to do with it."""

    to: Address
    """Who hears of it: the envelope's sender."""
    by: Address
    """Whom it was for, who answers or whose server does."""
    message: bytes
    """All of it, or its beginning with the whole header."""
    hostname: str
    now: float
    token: str
    """Makes the boundary and the Message-ID unique: letters and digits."""
    ident: str = ""
    """What the message is called here, where it is."""
    peer: str = ""
    """The address from which it came, where that is known."""
    whole: bool = True
    """Whether `message` is all of it."""

    @property
    def head(self) -> bytes:
        """The header block."""
        found = _HEAD_END.search(self.message, 0, _MOST_HEADER)
        return self.message[: found.end()] if found else self.message[:_MOST_HEADER]

    @property
    def original(self) -> bytes | None:
        """The message itself, if it can be returned."""
        return self.message if self.whole and len(self.message) <= MOST_RETURNED and can_travel(self.message) else None

    @property
    def subject(self) -> str:
        return clean(decoded(first(self.head, b"subject")), 400)


def answers(kind: Writing, occasion: Occasion) -> bool:
    """Whether a message may be answered so.

    Never one from the null sender, nor one that is an answer of a program itself. Other mail of programs and of lists is not
    replied to (RFC 3834 2), but it bounces and is complained about, as in life.
    """
    if not occasion.to:
        return False
    submitted = header.without_comments(header.unfolded(first(occasion.head, b"auto-submitted")))
    submitted = submitted.partition(b";")[0].strip().lower()
    if submitted == b"auto-replied":
        return False
    if kind != "autoreply":
        return True
    precedence = header.unfolded(first(occasion.head, b"precedence")).lower()
    return submitted in {b"", b"no"} and precedence not in _OF_MANY and not first(occasion.head, b"list-id")


def bounce(occasion: Occasion, *, reply: str = BOUNCED) -> bytes:
    """A delivery status notification (RFC 3464): the other side has refused the message, for good or until it was too late.

    `reply` is what it said: a code, a status where there is one, and a text.
    """
    status = next((word for word in reply.split()[1:2] if word.count(".") == 2), "")
    told = Reported(
        address=occasion.by,
        action=Action.FAILED,
        status=status or ("4.0.0" if reply.startswith("4") else "5.0.0"),
        remote=occasion.by.domain or "localhost",
        reply=reply,
        attempted=occasion.now,
    )
    return report(
        to=occasion.to,
        hostname=occasion.hostname,
        ident=occasion.ident or occasion.token,
        arrived=occasion.now,
        recipients=[told],
        original_head=occasion.head,
        original=occasion.original,
        now=occasion.now,
        token=occasion.token,
    )


def autoreply(occasion: Occasion, *, text: str = "I am away and will read your message when I am back.") -> bytes:
    """An automatic reply (RFC 3834), as of somebody who is on holiday."""
    head, host = occasion.head, host_name(occasion.hostname)
    fields = [
        f"From: <{occasion.by}>",
        f"To: <{occasion.to}>",
        subject_field(f"Auto: {occasion.subject}" if occasion.subject else "Auto: your message"),
        f"Date: {formatdate(occasion.now, localtime=True)}",
        f"Message-ID: <{occasion.token}@{host}>",
        *threading_fields(head),
        "Auto-Submitted: auto-replied",  # RFC 3834 3.1.7
        "Precedence: bulk",  # RFC 3834 3.1.8: for programs from before that
        "MIME-Version: 1.0",
    ]
    part = text_part(text + "\n")
    fields += [f"Content-Type: {part.kind}", f"Content-Transfer-Encoding: {part.encoding}", "", ""]
    return "\r\n".join(fields).encode() + part.body


def complaint(occasion: Occasion) -> bytes:
    """A report of abuse (RFC 5965), as a large provider sends it when somebody presses "this is spam"."""
    host = host_name(occasion.hostname)
    sender = first(occasion.head, b"from")
    domains = {each.host.decode("ascii", "replace") for each in header.addresses(header.unfolded(sender)) if each.host}
    wide = not (occasion.to.is_ascii and occasion.by.is_ascii)
    told = [
        "Feedback-Type: abuse",
        "User-Agent: mailsystem/1",
        "Version: 1",
        f"Original-Mail-From: <{occasion.to}>",
        f"Original-Rcpt-To: <{occasion.by}>",
        f"Arrival-Date: {formatdate(occasion.now, localtime=True)}",
        f"Reporting-MTA: dns; {host}",
        *([f"Source-IP: {occasion.peer}"] if occasion.peer else []),
        *(f"Reported-Domain: {clean(domain, 255)}" for domain in sorted(domains)[:1]),
    ]
    text = (
        f"This is an email abuse report for a message that {occasion.by} received from {occasion.to}"
        f" on {formatdate(occasion.now, localtime=True)}.\n"
    )
    parts = [
        text_part(text),
        Part(
            "message/feedback-report",
            "Feedback report",
            "8bit" if wide else "7bit",
            "".join(line + "\r\n" for line in told).encode(),
        ),
        returned_part(occasion.head, occasion.original, wide=wide),
    ]
    fields = [
        f"From: Feedback Loop <feedback@{host}>",
        f"To: <{occasion.to}>",
        subject_field(f"FW: {occasion.subject}" if occasion.subject else "FW: your message"),
        f"Date: {formatdate(occasion.now, localtime=True)}",
        f"Message-ID: <{occasion.token}@{host}>",
        "Auto-Submitted: auto-generated",
    ]
    return assembled(fields, "feedback-report", parts, occasion.token)


GENERATORS: Final[Mapping[Writing, Callable[[Occasion], bytes]]] = {
    "bounce": bounce,
    "autoreply": autoreply,
    "complaint": complaint,
}


def written(kind: Writing, occasion: Occasion) -> bytes | None:
    """What answers a message; None where nothing may."""
    return GENERATORS[kind](occasion) if answers(kind, occasion) else None
