"""`mailsystem diff`: whether two messages say the same, and where they do not."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from mailsystem.cli.messages import STDIN, octets_of
from mailsystem.cli.options import AsJson, examples
from mailsystem.cli.terminal import print_json, say

epilog = examples(
    "mailsystem diff expected.eml received.eml",
    "mailsystem diff --side-by-side one.eml two.eml",
    "mailsystem diff --mask 'Order .{6}' one.eml two.eml",
)


def diff(
    one: Annotated[Path, typer.Argument(metavar="ONE", help="A message; - is standard input.")],
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Another.")],
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", "-y", help="Show both beside each other instead of one below the other.")
    ] = False,
    mask: Annotated[
        list[str] | None,
        typer.Option(
            "--mask",
            metavar="PATTERN",
            help="What matches this regular expression makes no difference; may be repeated.",
        ),
    ] = None,
    context: Annotated[
        int, typer.Option("--context", "-U", metavar="N", min=0, help="Lines to show around each difference.")
    ] = 3,
    json: AsJson = False,
) -> None:
    """Compare two messages by what they say: fields, parts, text, what their HTML shows, links, attachments.

    Dates, Message-IDs, boundaries, encodings, signatures, fields of servers
    on the way, and long random words in links make no difference.

    The exit status is 0 if they are the same, 1 if they differ, and 2 for a command line or a file that makes no sense.
    """
    if one == STDIN and other == STDIN:
        raise typer.BadParameter("only one of them can come from standard input")
    from mailsystem.mail.golden import normal
    from mailsystem.mail.reading import read

    masks = _masks(mask or [])
    first, second = (normal(read(octets_of(file)), masks=masks).splitlines() for file in (one, other))
    same = first == second
    if json:
        changes = list(difflib.unified_diff(first, second, str(one), str(other), lineterm="", n=context))
        print_json({"same": same, "diff": changes})
    elif same:
        say("no difference")
    elif side_by_side:
        _beside(str(one), str(other), first, second, context)
    else:
        _below(difflib.unified_diff(first, second, _shown(str(one)), _shown(str(other)), lineterm="", n=context))
    if not same:
        raise typer.Exit(1)


def _masks(patterns: Sequence[str]) -> list[tuple[re.Pattern[str], str]]:
    found = []
    for pattern in patterns:
        try:
            found.append((re.compile(pattern), "<masked>"))
        except re.error as error:
            raise typer.BadParameter(f"{pattern} is no regular expression: {error}", param_hint="--mask") from None
    return found


def _shown(text: str) -> str:
    """What a message says, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def _below(lines: Iterable[str]) -> None:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for number, line in enumerate(lines):
        colour = None if number < 2 else colours.get(line[:1])
        typer.secho(_shown(line), fg=colour, bold=number < 2)


def _beside(one: str, other: str, first: list[str], second: list[str], context: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", expand=True)
    table.add_column(Text(_shown(one)), overflow="fold", ratio=1)
    table.add_column(" ", width=1)
    table.add_column(Text(_shown(other)), overflow="fold", ratio=1)
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(context)):
        if number:
            table.add_section()
        for kind, start, end, other_start, other_end in group:
            for row in range(max(end - start, other_end - other_start)):
                left = first[start + row] if start + row < end else ""
                right = second[other_start + row] if other_start + row < other_end else ""
                changed = kind != "equal"
                table.add_row(
                    Text(_shown(left), style="red" if changed else ""),
                    {"replace": "|", "delete": "<", "insert": ">"}.get(kind, ""),
                    Text(_shown(right), style="green" if changed else ""),
                )
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=160)
    console.print(table)
