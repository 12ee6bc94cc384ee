"""What the folders of a Maildir are called (Maildir++): a dot, and the name as IMAP spells it, its levels parted by dots; and
the keywords of a folder, for which Dovecot has a file beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from string import ascii_lowercase
from typing import Final
from urllib.parse import quote, unquote

from mailsystem.imap import utf7
from mailsystem.mail.errors import Rejected
from mailsystem.mail.mailbox import Flag
from mailsystem.mail.mbox import has_letter, keyword_flags

PARTS: Final = ("cur", "new", "tmp")
"""Of a Maildir."""
KEYWORDS: Final = "dovecot-keywords"
_MOST: Final = 64 << 10
"""Octets of it that are read."""

_SAFE: Final = " @+,=&"
"""What else may stand in the name of a directory, beside letters, digits, `_`, `.`, `-` and `~`."""


def directory(mailbox: str) -> str:
    """The name of a directory for a mailbox, which leads nowhere else."""
    name = quote(mailbox, safe=_SAFE)
    return "%2E" + name[1:] if name.startswith(".") else name


def maildir_folder(mailbox: str) -> str:
    """The directory of a mailbox within a Maildir."""
    return "".join("." + _level(utf7.encode(level).decode("ascii")) for level in mailbox.split("/"))


def maildir_mailbox(folder: str) -> str:
    """The mailbox that such a directory is; one that no program of ours or others has named so is called as it is."""
    return "/".join(map(mailbox_level, folder.removeprefix(".").split(".")))


def mailbox_level(name: str) -> str:
    """One level of a mailbox's name, as a directory is called for it."""
    # What is no UTF-8 is none of ours.
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if _level(unquote(name)) == name:
        name = unquote(name)
    with suppress(Rejected, UnicodeEncodeError):
        name = utf7.decode(name.encode("ascii"))
    return name


def _level(name: str) -> str:
    # A dot within it would part it in two.
    return quote(name, safe=_SAFE).replace(".", "%2E")


def keywords_in(folder: Path) -> dict[str, Flag]:
    """By the letters that stand for them in the names of the files there: as many as there are letters."""
    file = folder / KEYWORDS
    if file.is_symlink() or not file.is_file():
        return {}
    with file.open("rb") as opened:
        lines = opened.read(_MOST).decode("ascii", "replace").splitlines()
    found: dict[str, Flag] = {}
    for line in lines:
        number, _, word = line.partition(" ")
        if number.isdecimal() and len(number) < 3 and int(number) < len(ascii_lowercase):
            for flag in keyword_flags(word)[:1]:
                found[ascii_lowercase[int(number)]] = flag
    return found


class Maildir:
    """A folder that is written: what is in it already, and its keywords."""

    def __init__(self, path: Path) -> None:
        """It is made where it is missing. Raises `OSError`."""
        self.path = path
        for part in PARTS:
            (path / part).mkdir(parents=True, exist_ok=True)
        self.keywords = keywords_in(path)
        self._names = {name.partition(":")[0] for part in PARTS[:2] for name in os.listdir(path / part)}

    def __contains__(self, name: str) -> bool:
        """Whether there is a file of that name, whatever its flags."""
        return name in self._names

    def know(self, flags: Iterable[Flag]) -> bool:
        """Give a letter to each of them that needs one; False where there are no more. Raises `OSError`."""
        known = {*self.keywords.values()}
        fresh = sorted(flag for flag in flags if flag[:1] != "\\" and not has_letter(flag) and flag not in known)
        free = [letter for letter in ascii_lowercase if letter not in self.keywords]
        given = dict(zip(free, fresh, strict=False))
        if given:
            self.keywords |= given
            lines = [f"{ascii_lowercase.index(letter)} {flag}\n" for letter, flag in sorted(self.keywords.items())]
            passing = self.path / "tmp" / f".{KEYWORDS}.part"
            passing.write_text("".join(lines), "ascii")
            passing.rename(self.path / KEYWORDS)
        return len(given) == len(fresh)
