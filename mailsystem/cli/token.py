"""`mailsystem token`: what lets programs use the interface in somebody's name."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, confirm, known_login, or_refuse, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Login, Yes, examples
from mailsystem.cli.terminal import moment, print_json, print_table, say
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailsystem.settings import Settings
    from mailsystem.store import AccessToken, Store

app = typer.Typer(help="Let programs use the interface (HTTP) in somebody's name, and stop them.", no_args_is_help=True)

_LONGEST = 100
_DAY = 86_400.0


class Scope(StrEnum):
    """What a token allows."""

    READ = "read"
    WRITE = "write"
    SEND = "send"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as ci.")]
Scopes = Annotated[
    list[Scope] | None,
    typer.Option(
        "--scope",
        help="read mail, write (change and delete) it, send, or admin: see to everybody's mail, accounts and domains; if none"
        " is named, read alone.",
    ),
]
Days = Annotated[
    int | None, typer.Option("--days", min=1, max=3650, help="Days without use after which it is good no more.")
]


@app.command(
    epilog=examples(
        "mailsystem token add ann@example.org phone",
        "mailsystem token add ann@example.org ci --scope send --days 30",
    )
)
def add(
    address: Login,
    name: Name,
    scope: Scopes = None,
    days: Days = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token. It is shown now and never again."""
    scopes = sorted({each.value for each in scope or [Scope.READ]})

    async def work(store: Store, settings: Settings) -> tuple[str, str]:
        login = await known_login(address, store, settings)
        if not name.isprintable() or not 0 < len(name) <= _LONGEST:
            raise Refused(f"a name has 1 to {_LONGEST} characters that can be printed")
        secret = await or_refuse(
            store.access_tokens.add(login, name, scopes, lasts=days * _DAY if days else None),
            MailboxExists,
            f"{login} has a token named {name}; first run: mailsystem token remove {login} {name}",
        )
        return login, secret

    login, secret = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "name": name, "scopes": scopes, "token": secret})
    else:
        say(f"the token {name} of {login} ({', '.join(scopes)}), shown this once: {secret}")


@app.command("list", epilog=examples("mailsystem token list ann@example.org"))
def list_(address: Login, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List somebody's tokens, and when each was last used; a browser that is logged in is one without a name."""

    async def work(store: Store, settings: Settings) -> tuple[str, Sequence[AccessToken]]:
        login = await known_login(address, store, settings)
        return login, await store.access_tokens.of(login)

    login, there = with_store(config, data_dir, work)
    if json:
        print_json(
            [
                {
                    "name": one.name,
                    "scopes": sorted(one.scopes),
                    "created": moment(one.created),
                    "last_used": moment(one.used),
                    "days": one.lasts / _DAY if one.lasts else None,
                }
                for one in there
            ]
        )
        return
    print_table(
        ["name", "may", "since", "last used"],
        [
            [one.name or "(a browser)", " ".join(sorted(one.scopes)), moment(one.created)[:10], moment(one.used)]
            for one in there
        ],
        empty=f"none yet; make one with: mailsystem token add {login} ci",
    )


@app.command(epilog=examples("mailsystem token remove ann@example.org ci"))
def remove(
    address: Login,
    name: Name,
    yes: Yes = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Take a token away: whoever has it gets in no more."""

    async def work(store: Store, settings: Settings) -> str:
        login = await known_login(address, store, settings)
        unknown = f"{login} has no token named {name}; those there are: mailsystem token list {login}"
        if name not in {one.name for one in await store.access_tokens.of(login)}:
            raise Refused(unknown)
        confirm(f"Let nobody in with {name} any more?", yes=yes)
        await or_refuse(store.access_tokens.remove(login, name), NoSuchRecipient, unknown)
        return login

    login = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "name": name})
    else:
        say(f"removed {name}")
