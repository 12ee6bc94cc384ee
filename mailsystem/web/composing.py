"""Messages that are made of what somebody says about them: header fields, a text, HTML, and files that go with them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from typing import Any, Final

from mailsystem.mail.header import fields as fields_of

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Unwritable(Exception):
    """No message can be made of that: a header holds what no header may."""


@dataclass(frozen=True, slots=True)
class File:
    """Something that goes with a message."""

    octets: bytes
    type: str
    name: str
    cid: str = ""
    """By which the HTML refers to it, without angle brackets."""


def composed(
    fields: Iterable[tuple[str, Any]],
    *,
    text: str | None = None,
    html: str | None = None,
    files: Sequence[File] = (),
    exactly: bool = False,
) -> bytes:
    """The message with these fields, in that order; takes as long as it is large. `exactly`, and no line ends are added to
    the text and the HTML. Raises `Unwritable`."""
    made = EmailMessage(policy=policy.SMTP)
    try:
        for name, value in fields:
            made[name] = value
        _fill(made, text, html, files, exactly=exactly)
        # An encoded word may hold a line break, which is written out where it is one (RFC 2047 5).
        if any(_CONTROL.search(str(value)) for part in made.walk() for value in part.values()):
            raise Unwritable
        octets = made.as_bytes()
        if len(fields_of(octets[: octets.index(b"\r\n\r\n") + 4])) != len(made):
            raise Unwritable
    except (ValueError, LookupError, UnicodeError, AttributeError, MessageError):
        raise Unwritable from None
    return octets


def _fill(made: EmailMessage, text: str | None, html: str | None, files: Sequence[File], *, exactly: bool) -> None:
    rich: Any = None
    if text is not None or html is None:
        made.set_content(text or "")
        if exactly:
            _end(made, text or "")
        if html is not None:
            made.add_alternative(html, subtype="html")
            rich = made.get_payload()[-1]  # type: ignore[index]
    else:
        made.set_content(html, subtype="html")
        rich = made
    if exactly and html is not None:
        _end(rich, html)
    # What belongs to the HTML first: around that goes everything else.
    for one in sorted(files, key=lambda one: not one.cid):
        main, _, sub = one.type.partition("/")
        if not sub or main.lower() in ("multipart", "message"):
            main, sub = "application", "octet-stream"
        more: dict[str, Any] = {"cid": f"<{one.cid}>", "disposition": "inline"} if one.cid else {}
        add = rich.add_related if rich is not None and one.cid else made.add_attachment
        add(one.octets, maintype=main, subtype=sub, filename=one.name or None, **more)


def _end(part: Any, text: str) -> None:
    """Take back the line end that was put behind a text that has none."""
    if text.endswith(("\n", "\r")):
        return
    payload: str = part.get_payload()
    if part["content-transfer-encoding"] == "base64":
        payload = base64.encodebytes(base64.b64decode(payload).removesuffix(b"\r\n")).decode()
    # What is no ASCII stands in a payload as octets do.
    part.set_payload(payload.removesuffix("\n").encode().decode("ascii", "surrogateescape"))
