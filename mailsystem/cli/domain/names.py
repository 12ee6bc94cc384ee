"""`mailsystem domain add`, `list`, `remove` and what becomes of mail for a domain."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, confirm, domain_name, full_address, is_here, or_refuse, with_store
from mailsystem.cli.domain.keys import made
from mailsystem.cli.domain.records import Name, as_dicts, records, tell, unknown, warn_of
from mailsystem.cli.options import AsJson, Config, DataDir, Defer, Yes, examples
from mailsystem.cli.terminal import print_json, print_table, say
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient

if TYPE_CHECKING:
    from mailsystem.mailauth.records import Record
    from mailsystem.settings import Settings
    from mailsystem.store import Store

app = typer.Typer(
    help="Add, list and remove the domains whose mail is accepted, and set what becomes of it.", no_args_is_help=True
)

CatchAll = Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help="A person or alias here.")]
Off = Annotated[bool, typer.Option("--off", help="Refuse such mail again.")]
NoDkim = Annotated[
    bool, typer.Option("--no-dkim", help="Make no keys: somebody else signs its mail, or it sends none.")
]


@app.command(epilog=examples("mailsystem domain add example.org"))
def add(
    domain: Name, no_dkim: NoDkim = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Accept mail for a domain from now on, and sign its mail to others.

    Prints the records to publish in DNS, as lines of a zone file.
    """

    async def work(store: Store, settings: Settings) -> tuple[str, list[Record], str]:
        from mailsystem.store import KeyState

        name = domain_name(domain)
        await or_refuse(
            store.accounts.add_domain(name), MailboxExists, f"{name} is one of this server's domains already"
        )
        keys = [] if no_dkim else await made(name, [], KeyState.ACTIVE, store)
        return name, records(name, settings, keys), settings.hostname

    name, published, hostname = with_store(config, data_dir, work, begins=True)
    if json:
        print_json({"domain": name, "dns": as_dicts(published)})
    else:
        say(f"added {name}; now people can be added: mailsystem user add ann@{name}")
        # RFC 5321 4.5.1: somebody must be reachable there.
        say(f"and somebody should read the mail for postmaster: mailsystem alias add postmaster@{name} ann@{name}")
        say(f"DNS must have these records (mailsystem domain dns {name} tells them again):\n")
        warn_of(hostname)
        tell(published)


@app.command("list", epilog=examples("mailsystem domain list", "mailsystem domain list --json"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List the domains and how many people and aliases each has."""

    async def work(store: Store, _: Settings) -> list[dict[str, object]]:
        people = Counter(one.account.login.rpartition("@")[2] for one in await store.accounts.list())
        aliases = Counter(alias.address.rpartition("@")[2] for alias in await store.accounts.aliases())
        return [
            {
                "domain": one.name,
                "users": people[one.name],
                "aliases": aliases[one.name],
                "catch_all": one.catch_all,
                "disabled": one.disabled.value if one.disabled else None,
            }
            for one in await store.accounts.domain_list()
        ]

    rows = with_store(config, data_dir, work)
    if json:
        print_json(rows)
        return
    print_table(
        ["domain", "users>", "aliases>", "catch-all", ""],
        [
            [
                str(row["domain"]),
                str(row["users"]),
                str(row["aliases"]),
                str(row["catch_all"] or ""),
                "disabled" if row["disabled"] else "",
            ]
            for row in rows
        ],
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
            raise Refused(unknown(name))
        people = [one.account.login for one in await store.accounts.list() if one.account.login.endswith("@" + name)]
        if people:
            raise Refused(_still(name, "user", people))
        aliases = [alias.address for alias in await store.accounts.aliases() if alias.address.endswith("@" + name)]
        if aliases:
            raise Refused(_still(name, "alias", aliases))
        further = [one for one in (await store.accounts.addresses()).items() if one[0].endswith("@" + name)]
        if further:
            address, owner = further[0]
            raise Refused(
                f"{name} still has {address}, an address of {owner}; first run:"
                f" mailsystem user address remove {owner} {address}"
            )
        confirm(f"Accept no more mail for {name}?", yes=yes)
        await or_refuse(store.accounts.remove_domain(name), NoSuchRecipient, unknown(name))
        return name

    name = with_store(config, data_dir, work)
    if json:
        print_json({"domain": name})
    else:
        say(f"removed {name}")


@app.command(
    "catch-all",
    epilog=examples(
        "mailsystem domain catch-all example.org",
        "mailsystem domain catch-all example.org ann@example.org",
        "mailsystem domain catch-all example.org --off",
    ),
)
def catch_all(
    domain: Name,
    target: CatchAll = None,
    off: Off = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show or set who gets the mail of a domain that is for nobody else in it. Most of that is spam."""

    async def work(store: Store, settings: Settings) -> tuple[str, str | None]:
        name = domain_name(domain)
        there = {one.name: one.catch_all for one in await store.accounts.domain_list()}
        if name not in there:
            raise Refused(unknown(name))
        if target is not None and off:
            raise typer.BadParameter("an address and --off exclude each other")
        wanted = there[name]
        if off:
            wanted = None
        elif target is not None:
            wanted = full_address(target, settings).key
            if not await is_here(wanted, store):
                raise Refused(f"there is no {wanted} here; first run: mailsystem user add {wanted}")
        if wanted != there[name]:
            await or_refuse(store.accounts.set_catch_all(name, wanted), NoSuchRecipient, unknown(name))
        return name, wanted

    name, wanted = with_store(config, data_dir, work)
    if json:
        print_json({"domain": name, "catch_all": wanted})
    elif wanted is None:
        say(f"mail for nobody in {name} is refused")
    else:
        say(f"mail for nobody else in {name} goes to {wanted}")


@app.command(epilog=examples("mailsystem domain disable example.org", "mailsystem domain disable example.org --defer"))
def disable(
    domain: Name, defer: Defer = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Refuse mail for a domain, and let nobody of it log in. What is there is kept."""

    async def work(store: Store, _: Settings) -> tuple[str, str]:
        from mailsystem.store import Disabled

        how = Disabled.DEFER if defer else Disabled.REJECT
        name = domain_name(domain)
        await or_refuse(store.accounts.disable_domain(name, how), NoSuchRecipient, unknown(name))
        return name, how.value

    name, how = with_store(config, data_dir, work)
    if json:
        print_json({"domain": name, "disabled": how})
    else:
        say(f"{name} is disabled; mail for it is {'deferred' if defer else 'rejected'}")


@app.command(epilog=examples("mailsystem domain enable example.org"))
def enable(domain: Name, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Accept mail for a domain again, and let its people log in."""

    async def work(store: Store, _: Settings) -> str:
        name = domain_name(domain)
        await or_refuse(store.accounts.disable_domain(name, None), NoSuchRecipient, unknown(name))
        return name

    name = with_store(config, data_dir, work)
    if json:
        print_json({"domain": name, "disabled": None})
    else:
        say(f"{name} is enabled")


def _still(name: str, kind: str, there: list[str]) -> str:
    others = f" and {len(there) - 1} more" if len(there) > 1 else ""
    return f"{name} still has {there[0]}{others}; first run: mailsystem {kind} remove {there[0]}"
