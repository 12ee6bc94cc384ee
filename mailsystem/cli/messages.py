"""Reading messages that commands are given: files, or `-` for what is piped in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

MOST: Final = 256 << 20
"""Octets of a message that is read."""
STDIN: Final = Path("-")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The message; - reads it from standard input.")]
Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE...", help="Messages, such as .eml files; - reads one from standard input."),
]


def octets_of(file: Path) -> bytes:
    """A message as it stands there. One that cannot be read ends the command with status 2."""
    try:
        if file == STDIN:
            octets = sys.stdin.buffer.read(MOST + 1)
        else:
            with file.open("rb") as opened:
                octets = opened.read(MOST + 1)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from None
    if len(octets) > MOST:
        raise typer.BadParameter(f"{file} has more than {MOST >> 20} MiB", param_hint="FILE")
    return octets
