"""What the folders of a Maildir are called (Maildir++): a dot, and the name as IMAP spells it, its levels parted by dots."""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from urllib.parse import quote, unquote

from mailsystem.imap import utf7
from mailsystem.mail.errors import Rejected

_SAFE: Final = " @+,=&"
"""What else may stand in the name of a directory, beside letters, digits, `_`, `.`, `-` and `~`."""


def directory(mailbox: str) -> str:
    """The name of a directory for a mailbox, which leads nowhere else."""
    name = quote(mailbox, safe=_SAFE)
    return "%2E" + name[1:] if name.startswith(".") else name


def maildir_folder(mailbox: str) -> str:
    """The directory of a mailbox within a Maildir."""
    return "." + directory(utf7.encode(mailbox.replace("/", ".")).decode("ascii"))


def maildir_mailbox(folder: str) -> str:
    """The mailbox that such a directory is; one that no program of ours or others has named so is called as it is."""
    # What is no UTF-8 is none of ours.
    name = folder.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[1:]
    if directory(unquote(name)) == name:
        name = unquote(name)
    with suppress(Rejected, UnicodeEncodeError):
        name = utf7.decode(name.encode("ascii"))
    return name.replace(".", "/")
