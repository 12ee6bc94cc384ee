"""Whose the files are: what root makes belongs to whom the directory belongs, as SQLite does it.

Whoever looks after a server does so as root, and the servers run as somebody else: they could not read what root has put there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def give(descriptor: int, directory: Path) -> None:
    """Give a file that was made in `directory` to whose that is. Only root can, and needs to. Raises `OSError`.

    It must surely be the one that was made: by its name somebody else's might be given away.
    """
    if os.geteuid() == 0:
        owner = os.stat(directory)
        if owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def make_directory(path: Path) -> None:
    """Make it for nobody else, where it is missing. Raises `OSError`."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        if os.geteuid() == 0:
            # A directory has one name, so nothing else can stand in its place and be root's.
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                give(descriptor, path.parent)
            finally:
                os.close(descriptor)


def make_file(path: Path) -> None:
    """Make an empty one for nobody else, where it is missing. Raises `OSError`."""
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            give(descriptor, path.parent)
        finally:
            os.close(descriptor)
