"""`mailsystem user address`: further addresses of one person, beside the one they log in with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import (
    Refused,
    confirm,
    forget,
    full_address,
    known_login,
    must_be_ours,
    or_refuse,
    with_store,
)
from mailsystem.cli.options import AsJson, Config, DataDir, Login, Yes, examples
from mailsystem.cli.terminal import print_json, print_table, say
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Store

app = typer.Typer(
    help="Give a person further addresses, from which they may also send (an alias may have several people).",
    no_args_is_help=True,
)

Further = Annotated[str, typer.Argument(metavar="FURTHER", help="The further address.")]


@app.command(epilog=examples("mailsystem user address add ann@example.org annie@example.org"))
def add(
    address: Login, further: Further, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Let mail for a further address go to a person, and let them send from it."""

    async def work(store: Store, settings: Settings) -> tuple[str, str]:
        login = await known_login(address, store, settings)
        wanted = full_address(further, settings)
        await must_be_ours(wanted.domain, store, settings)
        await or_refuse(
            store.accounts.add_address(login, wanted.key),
            MailboxExists,
            f"{wanted.key} is taken by a person or an alias",
        )
        return login, wanted.key

    login, added = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "address": added})
    else:
        say(f"mail for {added} goes to {login}")


@app.command("list", epilog=examples("mailsystem user address list ann@example.org"))
def list_(address: Login, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List a person's further addresses."""

    async def work(store: Store, settings: Settings) -> tuple[str, list[str]]:
        login = await known_login(address, store, settings)
        return login, [one for one, owner in (await store.accounts.addresses()).items() if owner == login]

    login, there = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "addresses": there})
        return
    print_table(
        ["address"],
        [[one] for one in there],
        empty=f"none but their own; add one with: mailsystem user address add {login} other@example.org",
    )


@app.command(epilog=examples("mailsystem user address remove ann@example.org annie@example.org"))
def remove(
    address: Login,
    further: Further,
    yes: Yes = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Take a further address away from a person. Aliases that lead to it forget it too."""

    async def work(store: Store, settings: Settings) -> dict[str, object]:
        login = await known_login(address, store, settings)
        gone = full_address(further, settings).key
        unknown = f"{gone} is no further address of {login}; those that are: mailsystem user address list {login}"
        if (await store.accounts.addresses()).get(gone) != login:
            raise Refused(unknown)
        confirm(f"Refuse mail for {gone} from now on?", yes=yes)
        await or_refuse(store.accounts.remove_address(login, gone), NoSuchRecipient, unknown)
        return {"login": login, "address": gone, "aliases": await forget(gone, store)}

    gone = with_store(config, data_dir, work)
    if json:
        print_json(gone)
    else:
        say(f"removed {gone['address']}")
