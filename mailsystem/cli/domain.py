"""`mailsystem domain`: the domains whose mail is accepted here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, confirm, domain_name, or_refuse, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Yes, examples
from mailsystem.cli.terminal import print_json, print_table, say
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Store

app = typer.Typer(help="Add, list and remove the domains whose mail is accepted.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain such as example.org.")]


@app.command(epilog=examples("mailsystem domain add example.org"))
def add(domain: Name, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Accept mail for a domain from now on."""

    async def work(store: Store, _: Settings) -> str:
        name = domain_name(domain)
        await or_refuse(
            store.accounts.add_domain(name), MailboxExists, f"{name} is one of this server's domains already"
        )
        return name

    name = with_store(config, data_dir, work)
    if json:
        print_json({"domain": name})
    else:
        say(f"added {name}; now people can be added: mailsystem user add ann@{name}")


@app.command("list", epilog=examples("mailsystem domain list", "mailsystem domain list --json"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List the domains and how many people and aliases each has."""

    async def work(store: Store, _: Settings) -> list[dict[str, object]]:
        people = Counter(one.account.login.rpartition("@")[2] for one in await store.accounts.list())
        aliases = Counter(alias.address.rpartition("@")[2] for alias in await store.accounts.aliases())
        return [
            {"domain": name, "users": people[name], "aliases": aliases[name]} for name in await store.accounts.domains()
        ]

    rows = with_store(config, data_dir, work)
    if json:
        print_json(rows)
        return
    print_table(
        ["domain", "users>", "aliases>"],
        [[str(row["domain"]), str(row["users"]), str(row["aliases"])] for row in rows],
        empty="no domain yet; add one with: mailsystem domain add example.org",
    )


@app.command(epilog=examples("mailsystem domain remove example.org"))
def remove(
    domain: Name, yes: Yes = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Accept no more mail for a domain. Its people and aliases must have been removed before."""

    async def work(store: Store, _: Settings) -> str:
        name = domain_name(domain)
        if name not in await store.accounts.domains():
            raise Refused(_unknown(name))
        people = [one.account.login for one in await store.accounts.list() if one.account.login.endswith("@" + name)]
        if people:
            raise Refused(_still(name, "user", people))
        aliases = [alias.address for alias in await store.accounts.aliases() if alias.address.endswith("@" + name)]
        if aliases:
            raise Refused(_still(name, "alias", aliases))
        confirm(f"Accept no more mail for {name}?", yes=yes)
        await or_refuse(store.accounts.remove_domain(name), NoSuchRecipient, _unknown(name))
        return name

    name = with_store(config, data_dir, work)
    if json:
        print_json({"domain": name})
    else:
        say(f"removed {name}")


def _unknown(name: str) -> str:
    return f"{name} is not one of this server's domains; those that are: mailsystem domain list"


def _still(name: str, kind: str, there: list[str]) -> str:
    others = f" and {len(there) - 1} more" if len(there) > 1 else ""
    return f"{name} still has {there[0]}{others}; first run: mailsystem {kind} remove {there[0]}"
