"""`mailsystem alias`: further addresses that lead to people, here and elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import (
    Refused,
    confirm,
    forget,
    full_address,
    is_ours,
    must_be_ours,
    or_refuse,
    target_key,
    with_store,
)
from mailsystem.cli.options import AsJson, Config, DataDir, Yes, examples
from mailsystem.cli.terminal import print_json, print_table, say
from mailsystem.mail.address import Address
from mailsystem.mail.errors import NoSuchRecipient

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Alias, Store

app = typer.Typer(help="Let further addresses lead to one or several people.", no_args_is_help=True)

AddressOf = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="The further address; default_domain completes a bare name.")
]
Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...", help="Who gets its mail: people or other aliases here, or addresses on other servers."
    ),
]


@app.command(
    epilog=examples(
        "mailsystem alias add info@example.org ann@example.org",
        "mailsystem alias add all@example.org ann@example.org bob@example.org",
        "mailsystem alias add carl@example.org carl@example.net",
    )
)
def add(
    address: AddressOf, targets: Targets, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Let mail for an address go to these people too. Who gets it already keeps getting it.

    What goes to another server leaves by the queue, with a sender of this
    server's in place of the first one, so that what fails comes back here.
    """

    async def work(store: Store, settings: Settings) -> Alias:
        from mailsystem.store import Alias

        accounts = store.accounts
        wanted = full_address(address, settings).key
        await must_be_ours(wanted.rpartition("@")[2], store, settings)
        if await accounts.password(wanted) is not None:
            raise Refused(f"{wanted} is a person's own address and cannot be an alias")
        further = await accounts.addresses()
        if wanted in further:
            raise Refused(f"{wanted} is an address of {further[wanted]} and cannot be an alias")
        aliases = {alias.address: alias.targets for alias in await accounts.aliases()}
        people = {one.account.login for one in await accounts.list()}
        asked = [full_address(target, settings) for target in targets]
        led = list(aliases.get(wanted, ()))
        for target in asked:
            key, ours = target.key, await is_ours(target.domain, store, settings)
            if key == wanted or wanted in _reached(key, aliases):
                raise Refused(f"{wanted} would lead to itself by {key}")
            if ours and not (key in people or key in aliases or key in further):
                raise Refused(f"there is no {key} here; first run: mailsystem user add {key}")
            # What the case means elsewhere is for that server to say (RFC 5321 2.4).
            led.append(str(Address(target.local.casefold(), target.domain) if ours else target))
        # The order in which they were named, each once, in the spelling that was given last.
        all_of_them = tuple({target_key(target): target for target in led}.values())
        await accounts.set_alias(wanted, all_of_them)
        return Alias(wanted, all_of_them)

    alias = with_store(config, data_dir, work, begins=True)
    if json:
        print_json({"address": alias.address, "targets": alias.targets})
    else:
        say(f"mail for {alias.address} goes to {', '.join(alias.targets)}")


@app.command("list", epilog=examples("mailsystem alias list", "mailsystem alias list --json"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List the aliases and where they lead."""

    async def work(store: Store, _: Settings) -> list[Alias]:
        return list(await store.accounts.aliases())

    aliases = with_store(config, data_dir, work)
    if json:
        print_json([{"address": alias.address, "targets": alias.targets} for alias in aliases])
        return
    print_table(
        ["alias", "goes to"],
        [[alias.address, ", ".join(alias.targets)] for alias in aliases],
        empty="no alias yet; add one with: mailsystem alias add info@example.org ann@example.org",
    )


@app.command(epilog=examples("mailsystem alias remove info@example.org"))
def remove(
    address: AddressOf, yes: Yes = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Remove an alias. The people it leads to stay."""

    async def work(store: Store, settings: Settings) -> Alias:
        wanted = full_address(address, settings).key
        aliases = {alias.address: alias for alias in await store.accounts.aliases()}
        if wanted not in aliases:
            raise Refused(_unknown(wanted))
        confirm(f"Refuse mail for {wanted} from now on?", yes=yes)
        await or_refuse(store.accounts.remove_alias(wanted), NoSuchRecipient, _unknown(wanted))
        await forget(wanted, store)
        return aliases[wanted]

    gone = with_store(config, data_dir, work)
    if json:
        print_json({"address": gone.address, "targets": gone.targets})
    else:
        say(f"removed {gone.address}")


def _unknown(address: str) -> str:
    return f"there is no alias {address}; those that are: mailsystem alias list"


def _reached(target: str, aliases: dict[str, tuple[str, ...]]) -> set[str]:
    """All that mail for `target` passes through."""
    seen: set[str] = set()
    waiting = [target]
    while waiting:
        for next_one in aliases.get(waiting.pop(), ()):
            if (key := target_key(next_one)) not in seen:
                seen.add(key)
                waiting.append(key)
    return seen
