"""What commands print: sentences, tables and JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence

import typer


def say(text: str) -> None:
    """A sentence about what was done."""
    typer.echo(text)


def complain(text: str) -> None:
    """A sentence about what could not be done."""
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(text, err=True)


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Rows under their titles; a title that ends in `>` is aligned to the right. Where there are no rows, `empty` is said."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    told = list(rows)
    if not told:
        say(empty)
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.rstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in told:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        # A pipe has no width: what `grep` or `awk` reads is never folded.
        console = Console(file=sys.stdout, width=1000)
    console.print(table)


def size(octets: int) -> str:
    """A number of octets for people: `1.4 kB`."""
    amount = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{octets} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def moment(seconds: float) -> str:
    """A time in seconds since the epoch, as UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
