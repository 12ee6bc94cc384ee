"""`mailsystem user app-password`: a password for each program, which can be taken away alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, confirm, known_login, or_refuse, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Login, Yes, examples
from mailsystem.cli.terminal import moment, print_json, print_table, say
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailsystem.settings import Settings
    from mailsystem.store import AppPassword, Store

app = typer.Typer(
    help="Make passwords for single programs, and take them away again. They work beside the person's own password.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as phone.")]
_LONGEST = 100


@app.command(epilog=examples("mailsystem user app-password add ann@example.org phone"))
def add(address: Login, name: Name, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Make a password for one program. It is shown now and never again.

    It works with PLAIN and LOGIN (not with SCRAM), with or without its dashes.
    """

    async def work(store: Store, settings: Settings) -> tuple[str, str]:
        from mailsystem.directory import app_password_digest, new_app_password

        login = await known_login(address, store, settings)
        if not name.isprintable() or not 0 < len(name) <= _LONGEST:
            raise Refused(f"a name has 1 to {_LONGEST} characters that can be printed")
        password = new_app_password()
        await or_refuse(
            store.accounts.add_app_password(login, name, app_password_digest(password)),
            MailboxExists,
            f"{login} has an app password named {name}; first run: mailsystem user app-password remove {login} {name}",
        )
        return login, password

    login, password = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "name": name, "password": password})
    else:
        say(f"the app password {name} of {login}, shown this once: {password}")


@app.command("list", epilog=examples("mailsystem user app-password list ann@example.org"))
def list_(address: Login, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List a person's app passwords and when each was last used."""

    async def work(store: Store, settings: Settings) -> tuple[str, Sequence[AppPassword]]:
        login = await known_login(address, store, settings)
        return login, await store.accounts.app_passwords(login)

    login, there = with_store(config, data_dir, work)
    if json:
        print_json(
            [
                {
                    "name": one.name,
                    "created": moment(one.created),
                    "last_used": None if one.last_used is None else moment(one.last_used),
                }
                for one in there
            ]
        )
        return
    print_table(
        ["name", "since", "last used"],
        [
            [one.name, moment(one.created)[:10], "never" if one.last_used is None else moment(one.last_used)]
            for one in there
        ],
        empty=f"none yet; make one with: mailsystem user app-password add {login} phone",
    )


@app.command(epilog=examples("mailsystem user app-password remove ann@example.org phone"))
def remove(
    address: Login,
    name: Name,
    yes: Yes = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Take one app password away. The others, and the person's own password, go on working."""

    async def work(store: Store, settings: Settings) -> str:
        login = await known_login(address, store, settings)
        unknown = (
            f"{login} has no app password named {name}; those there are: mailsystem user app-password list {login}"
        )
        if name not in {one.name for one in await store.accounts.app_passwords(login)}:
            raise Refused(unknown)
        confirm(f"Let nobody log in with {name} any more?", yes=yes)
        await or_refuse(store.accounts.remove_app_password(login, name), NoSuchRecipient, unknown)
        return login

    login = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "name": name})
    else:
        say(f"removed {name}")
