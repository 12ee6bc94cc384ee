"""The command line of the benchmarks."""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.peers import FORMATS

MICRO: Final = tuple(sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py")))
"""Benchmarks of single rooms, in one process."""

app = typer.Typer(
    name="benchmarks",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="How fast this program is: beside others, beside itself at another commit, and with ever more mail.\n\n"
    "Without a command, all scenarios are run against this program and against Postfix with Dovecot, where they are installed:"
    " each in turn, A B A B, with clients in processes of their own whose answers are checked.\n\n"
    "Trust the column [bold]server CPU ms[/] (for one operation) most: it is disturbed least by what else the machine does."
    " Where [bold]clients[/] comes near 100 %, they are what was measured.",
    epilog="Examples:\n\n"
    "python -m benchmarks --quick\n\n"
    "python -m benchmarks --only smtp,imap-sync --repeats 5 --json run.json --svg run.svg\n\n"
    "python -m benchmarks --against HEAD~20 --no-peers --only smtp-1k\n\n"
    "python -m benchmarks --target mine=127.0.0.1:1025:1110:1143:u{n}@bench.test:pw:4711\n\n"
    "python -m benchmarks check\n\n"
    "python -m benchmarks growth --up-to 100000\n\n"
    f"python -m benchmarks {' '.join(MICRO)}",
)


@app.callback()
def _told() -> None:
    pass


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


@app.command()
def compare(
    only: Annotated[
        str, typer.Option(help="Scenarios or groups, with commas; --list shows them.", metavar="NAMES")
    ] = "",
    list_: Annotated[bool, typer.Option("--list", help="Show what can be measured, and end.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A small look: 2 repeats, a tenth of the messages.")] = False,
    repeats: Annotated[int | None, typer.Option(help="How often each is measured.", min=1)] = None,
    scale: Annotated[float | None, typer.Option(help="Of the number of messages and logins.", min=0.001)] = None,
    messages: Annotated[
        int | None, typer.Option(help="In the large mailbox: 10,000, or 2,000 if quick.", min=10)
    ] = None,
    idlers: Annotated[int | None, typer.Option(help="Clients that idle: 1,000, or 200 if quick.", min=50)] = None,
    seconds: Annotated[float | None, typer.Option(help="That the mixed load lasts: 8, or 2 if quick.", min=0.2)] = None,
    large: Annotated[int | None, typer.Option(help="MiB of the large message: 1024, or 64 if quick.", min=1)] = None,
    processes: Annotated[int, typer.Option(help="That clients run in.", min=1)] = 2,
    peers: Annotated[str, typer.Option(help="Mail formats of Postfix with Dovecot.", metavar="FORMATS")] = ",".join(
        FORMATS
    ),
    no_peers: Annotated[bool, typer.Option("--no-peers", help="Only servers of our own, and those given.")] = False,
    no_ours: Annotated[bool, typer.Option("--no-ours", help="Do not start this program.")] = False,
    workers: Annotated[list[int] | None, typer.Option(help="Start this program with so many; may be repeated.")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another commit of this program, from a worktree; may be repeated.", metavar="COMMIT"),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="A server that runs, NAME=HOST:SMTP:POP3:IMAP:USER:PASSWORD[:PID+PID]: - for a port that there is not, {n} in"
            " the user for a number, PIDs of its topmost processes; may be repeated.",
            metavar="TARGET",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Keep all rows in a file, written as they come.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the ratios.")] = None,
) -> None:
    """Measure servers side by side (what is done where no command is named)."""
    from benchmarks import chart, scenarios, table
    from benchmarks.bench import Options
    from benchmarks.compare import Wanted, console, run
    from benchmarks.results import compared
    from benchmarks.targets import NotThere, parse

    out = console()
    try:
        chosen = scenarios.chosen(_names(only))
        given = [parse(text) for text in target or ()]
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
    if list_:
        for each in chosen:
            out.print(f"[bold]{each.name:16}[/]{each.group:8}{each.about}", highlight=False)
        return
    options = Options(
        scale=scale or (0.1 if quick else 1.0),
        messages=messages or (2_000 if quick else 10_000),
        idlers=idlers or (200 if quick else 1_000),
        seconds=seconds or (2.0 if quick else 8.0),
        large=(large or (64 if quick else 1024)) << 20,
        processes=processes,
    )
    formats = _names(peers)
    if unknown := set(formats) - set(FORMATS):
        raise typer.BadParameter(f"there is no format {', '.join(sorted(unknown))}, only {', '.join(FORMATS)}")
    wanted = Wanted(not no_ours, workers or (), () if no_peers else formats, against or (), given)
    try:
        results = run(chosen, wanted, options, repeats or (2 if quick else 3), out, json)
    except NotThere as absent:
        out.print(f"[red]{absent}[/]")
        raise typer.Exit(2) from None
    comparisons = compared(results.rows, peers=results.peers)
    out.print(table.compared_table(comparisons, title=results.machine))
    for name, about in results.targets.items():
        out.print(f"[dim]{name}: {about}[/]", highlight=False)
    if json is not None:
        results.save(json)
    if svg is not None:
        svg.write_text(chart.ratios(comparisons, title=chart.title_of(results)))
    if any(row.errors for row in results.rows):
        raise typer.Exit(1)


@app.command()
def check(
    update: Annotated[bool, typer.Option("--update", help="Write what is measured now as the reference.")] = False,
    tolerance: Annotated[
        float, typer.Option(help="How much worse is not yet worse: 0.25 for a quarter.", min=0.01)
    ] = 0.25,
    repeats: Annotated[int, typer.Option(help="How often each load is measured; the least counts.", min=1)] = 4,
    only: Annotated[str, typer.Option(help="Scenarios, with commas.", metavar="NAMES")] = "",
    reference: Annotated[Path | None, typer.Option(help="Another file of what it cost.")] = None,
) -> None:
    """Compare the CPU that small loads take with a stored reference; exit status 1 for a regression.

    Nothing depends on the clock on the wall: CPU is counted in turns of a loop that runs in between.
    """
    from benchmarks import check as checking
    from benchmarks.compare import console

    names = _names(only) or list(checking.LOADS)
    if unknown := set(names) - set(checking.LOADS):
        raise typer.BadParameter(
            f"not a load of the check: {', '.join(sorted(unknown))}; there are {', '.join(checking.LOADS)}"
        )
    status = checking.run(
        console(),
        reference=reference or checking.REFERENCE,
        update=update,
        tolerance=tolerance,
        repeats=repeats,
        names=names,
    )
    raise typer.Exit(status)


@app.command()
def growth(
    up_to: Annotated[
        int, typer.Option(help="Messages in one mailbox, from 1,000 in steps of ten.", min=1000)
    ] = 100_000,
    mailboxes: Annotated[int, typer.Option(help="Mailboxes, and accounts, from 1 in steps of ten.", min=1)] = 10_000,
    only: Annotated[str, typer.Option(help="Of messages, mailboxes, accounts.", metavar="KINDS")] = "",
    json: Annotated[Path | None, typer.Option(help="Keep what was measured in a file, written as it comes.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw it: a file for each kind in this directory.")] = None,
) -> None:
    """Measure what one operation costs with ever more messages, mailboxes and accounts; exit status 1 if any grows too fast."""
    from benchmarks import growth as growing
    from benchmarks.compare import console

    kinds = _names(only) or list(growing.LINES)
    if unknown := set(kinds) - set(growing.LINES):
        raise typer.BadParameter(f"there is no kind {', '.join(sorted(unknown))}, only {', '.join(growing.LINES)}")
    out = console()
    found = growing.run(
        out,
        kinds=kinds,
        up_to=up_to,
        mailboxes_up_to=mailboxes,
        told=lambda lines: growing.save(json, lines) if json else None,
    )
    for kind in kinds:
        out.print(growing.table(found, kind))
        if svg is not None:
            svg.mkdir(parents=True, exist_ok=True)
            (svg / f"growth-{kind}.svg").write_text(growing.chart(found, kind))
    if not all(each.is_fine for each in found):
        raise typer.Exit(1)


@app.command()
def page(
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure all that stands in it first: half an hour.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Measure little: some minutes.")] = False,
) -> None:
    """Write the tables and charts of docs/performance.md from the results that are kept."""
    from benchmarks import page as pages
    from benchmarks.measuring import measure_all
    from benchmarks.targets import ROOT

    if measure or quick:
        measure_all(quick=quick)
    for path in pages.write():
        print(f"written: {path.relative_to(ROOT)}")


def micro(names: list[str]) -> None:
    """Run benchmarks of single rooms."""
    for name in names:
        print(f"\n== {name}")
        importlib.import_module(f"benchmarks.bench_{name}").main()


def main() -> None:
    """What no command is named for is a comparison; names of micro-benchmarks may come together."""
    # Whoever ends us ends the servers that we have started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    words = sys.argv[1:]
    if words and all(word in MICRO for word in words):
        micro(words)
        return
    if not words or (words[0].startswith("-") and words[0] not in {"--help", "-h"}):
        words = ["compare", *words]
    app(words)
