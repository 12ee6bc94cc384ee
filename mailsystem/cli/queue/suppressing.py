"""`mailsystem queue suppress`: addresses to which nothing is sent any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.queue.selecting import address
from mailsystem.cli.terminal import moment, print_json, print_table, say

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Store, Suppressed

app = typer.Typer(
    help="Addresses elsewhere to which nothing is sent: nobody has them any more, or an admin said so.",
    no_args_is_help=True,
)

AddressOf = Annotated[str, typer.Argument(metavar="ADDRESS", help="An address on another server.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever looks at the list; senders are not told.")
]


@app.command("list", epilog=examples("mailsystem queue suppress list"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List the addresses to which nothing is sent, and why."""

    async def work(store: Store, _: Settings) -> list[Suppressed]:
        return await store.suppression.all()

    found = with_store(config, data_dir, work)
    if json:
        print_json(
            [
                {
                    "address": one.address,
                    "since": moment(one.since),
                    "added": one.added,
                    "reason": one.reason,
                    "failures": one.failures,
                    "last_failure": moment(one.last) if one.failures else None,
                    "status": one.status,
                }
                for one in found
            ]
        )
        return
    print_table(
        ["address", "since", "why"],
        [[one.address, moment(one.since), _why(one)] for one in found],
        empty="nothing is suppressed",
    )


@app.command(
    epilog=examples(
        "mailsystem queue suppress add bob@example.net",
        'mailsystem queue suppress add bob@example.net --reason "asked us to stop"',
    )
)
def add(
    text: AddressOf, reason: Reason = "", json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Send nothing to an address from now on, until it is removed from the list."""

    async def work(store: Store, settings: Settings) -> str:
        wanted = address(text)
        if wanted.domain == settings.default_domain or wanted.domain in await store.accounts.domains():
            raise Refused(
                f"{wanted} is an address here, and mail for it never leaves; to refuse it run:"
                f" mailsystem user disable {wanted}"
            )
        await store.suppression.add(wanted.key, reason)
        return wanted.key

    added = with_store(config, data_dir, work)
    if json:
        print_json({"address": added, "reason": reason})
    else:
        say(f"nothing is sent to {added} any more")


@app.command(epilog=examples("mailsystem queue suppress remove bob@example.net"))
def remove(text: AddressOf, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Let mail be sent to an address again; all that was counted against it is forgotten."""

    async def work(store: Store, _: Settings) -> str:
        wanted = address(text).key
        if not await store.suppression.remove(wanted):
            raise Refused(f"{wanted} is not suppressed; those that are: mailsystem queue suppress list")
        return wanted

    gone = with_store(config, data_dir, work)
    if json:
        print_json({"address": gone})
    else:
        say(f"mail is sent to {gone} again")


def _why(one: Suppressed) -> str:
    if one.added:
        return f"added by hand: {one.reason}" if one.reason else "added by hand"
    return f"refused {one.failures} times in a row, last {moment(one.last)} with {one.status}"
