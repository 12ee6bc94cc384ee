"""Whether a field of addresses says without doubt who they are (RFC 5322 3.4): else each program reads it in its own way.

The obsolete forms that everybody understands are good: empty places in a list, routes, full stops in names (RFC 5322 4.4).
"""

from __future__ import annotations

import re
from typing import Final

from mailsystem.mail.header import without_comments

_QUOTED = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""One that is never closed goes to the end."""
_LITERAL = re.compile(rb"@\s*+\[[^\[\]\\]*+\]")
_ROUTE = re.compile(rb"<\s*+@[^:<>]*+:")
_WORD: Final = rb"[^\s<>@,;:()\[\]\"\\]"
_GROUP = re.compile(rb"(?:(?<=,)|\A)(?:\s*+" + _WORD + rb"++)++\s*+:([^;:]*+);(?=\s*+(?:,|\Z))")
_ATOM: Final = rb"[^\s<>@,;:()\[\]\"\\.]++"
_LABEL: Final = rb"[A-Za-z0-9_\x80-\xff-]++"
_ADDRESS: Final = _ATOM + rb"(?:\." + _ATOM + rb")*+\s*+@\s*+" + _LABEL + rb"(?:\." + _LABEL + rb")*+"
_MAILBOX = re.compile(rb"(?:(?:" + _WORD + rb"++\s*+)*+<\s*+" + _ADDRESS + rb"\s*+>|" + _ADDRESS + rb")")


def doubtful(value: bytes) -> bool:
    """Whether an unfolded value is something else than mailboxes and groups parted by commas."""
    text = _QUOTED.sub(b"q", without_comments(value))
    text = _ROUTE.sub(b"<", _LITERAL.sub(b"@q", text))
    items = [item.strip() for item in _GROUP.sub(rb"\1", text).split(b",")]
    return not all(_MAILBOX.fullmatch(item) for item in items if item)
