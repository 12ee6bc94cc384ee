"""Names that follow a message everywhere (RFC 8474): what is computed here is stored nowhere, and is the same tomorrow."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from mailsystem.mail.mailbox import ContentId

LOOKED_AT: Final = 64 << 10
"""Octets of a header block in which the ids are looked for."""
_FIELD = re.compile(
    rb"\n((?i:references|in-reply-to|message-id))[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)",
)
_MESSAGE_ID = re.compile(rb"<([^<>]{1,2000}+)>")
_SPACE = re.compile(rb"[\s\x00-\x20]+")


def emailid(content: ContentId) -> str:
    """EMAILID: the same for every copy of one content, wherever it was copied or moved to (RFC 8474 5.1)."""
    return f"M{content}"


def threadid(head: bytes) -> str | None:
    """THREADID of a message with this header block: the same for all that go back to one first message (RFC 8474 5.2).

    That is the first id in References, else in In-Reply-To, else the message's own; None where it names none of them.
    """
    found: dict[bytes, bytes] = {}
    for name, value in _FIELD.findall(b"\n" + head[:LOOKED_AT]):
        found.setdefault(name.lower(), value)
    for name in (b"references", b"in-reply-to", b"message-id"):
        named = _MESSAGE_ID.search(found.get(name, b""))
        if named is not None and (id_ := _SPACE.sub(b"", named[1])):
            return "T" + hashlib.sha256(id_).hexdigest()[:24]
    return None
