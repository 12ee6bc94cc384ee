"""`mailsystem index`: how far the index of what messages say is, and building it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mailsystem.cli.accounts import with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json, say, size

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Counted, Store

app = typer.Typer(help="The index that makes SEARCH quick; it is built by itself.", no_args_is_help=True)


@app.command(epilog=examples("mailsystem index status"))
def status(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Tell how far the index is, and how large."""

    async def work(store: Store, settings: Settings) -> Counted:
        return await store.index.counted()

    _tell(with_store(config, data_dir, work), json=json)


@app.command(epilog=examples("mailsystem index rebuild"))
def rebuild(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Throw the index away and build it anew. Searches stay right meanwhile, only slower."""

    async def work(store: Store, settings: Settings) -> Counted:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        await store.index.rebuild()
        columns = TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            before = await store.index.counted()
            task = progress.add_task("", total=before.waiting)
            # A server that runs beside takes its share of the work: only the count says how far it is.
            while await store.index.step():
                counted = await store.index.counted()
                progress.update(task, completed=before.waiting - counted.waiting)
        return await store.index.counted()

    _tell(with_store(config, data_dir, work), json=json)


def _tell(counted: Counted, *, json: bool) -> None:
    done = counted.contents - counted.waiting
    if json:
        print_json({"messages": counted.contents, "indexed": done, "octets": counted.octets})
    else:
        say(f"{done} of {counted.contents} messages are indexed, in {size(counted.octets)}")
