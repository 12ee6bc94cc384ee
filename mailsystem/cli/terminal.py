"""What commands print: sentences, tables and JSON."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def at_prompt() -> Iterator[None]:
    """Somebody is asked, and nothing else runs: Ctrl-C ends that at once. Within a coroutine it would wait for the answer."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def say(text: str) -> None:
    """A sentence about what was done."""
    typer.echo(text)


def complain(text: str) -> None:
    """A sentence about what could not be done."""
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(text, err=True)


def print_json(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # it must say the same in any encoding
        text = json.dumps(value, indent=2, default=str)
    typer.echo(text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str, stacked: bool = False) -> None:
    """Rows under their titles; a title that ends in `>` is aligned to the right. Where there are no rows, `empty` is said.

    With `stacked` a terminal that is too narrow for a row in one line gets each row as a paragraph: what must be copied from
    the first column stays whole, and the sentence in the last can be read.
    """
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
    if stacked and console.measure(table, options=console.options.update(width=1000)).maximum > console.width:
        _print_paragraphs(console, [column.rstrip(">") for column in columns], told)
        return
    console.print(table)


def _print_paragraphs(console: Console, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Each row: its first cell, then the others with their titles, and the last on lines of its own."""
    from rich.padding import Padding
    from rich.text import Text

    for first, *others, last in rows:
        console.print(Text(first, style="bold"))
        facts = [f"{title} {cell}" for title, cell in zip(titles[1:], others, strict=False) if cell]
        for line in (*_packed(facts, console.width - 2), last):
            if line:
                console.print(Padding(Text(line, overflow="fold"), (0, 0, 0, 2), expand=False))


def _packed(facts: Iterable[str], width: int) -> Iterator[str]:
    """As many on a line as fit there whole."""
    from rich.cells import cell_len

    line = ""
    for fact in facts:
        longer = f"{line}, {fact}" if line else fact
        if line and cell_len(longer) > width:
            yield line
            longer = fact
        line = longer
    yield line


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
