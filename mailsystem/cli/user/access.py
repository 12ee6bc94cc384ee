"""Whether a person can get in, and who did: `mailsystem user disable`, `enable` and `logins`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import known_login, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Defer, Login, examples
from mailsystem.cli.terminal import moment, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailsystem.settings import Settings
    from mailsystem.store import Login as LoginRow
    from mailsystem.store import Store

Failed = Annotated[bool, typer.Option("--failed", help="Only those that failed.")]

disable_epilog = examples("mailsystem user disable ann@example.org", "mailsystem user disable ann@example.org --defer")
enable_epilog = examples("mailsystem user enable ann@example.org")
logins_epilog = examples("mailsystem user logins ann@example.org", "mailsystem user logins ann@example.org --failed")


def disable(
    address: Login, defer: Defer = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Let a person log in no more and refuse their mail. What they have is kept; who is logged in stays until they leave."""

    async def work(store: Store, settings: Settings) -> tuple[str, str]:
        from mailsystem.store import Disabled

        how = Disabled.DEFER if defer else Disabled.REJECT
        login = await known_login(address, store, settings)
        await store.accounts.disable(login, how)
        return login, how.value

    login, how = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "disabled": how})
    else:
        say(f"{login} is disabled; mail for it is {'deferred' if defer else 'rejected'}")


def enable(address: Login, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Let a person log in and get mail again."""

    async def work(store: Store, settings: Settings) -> str:
        login = await known_login(address, store, settings)
        await store.accounts.disable(login, None)
        return login

    login = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "disabled": None})
    else:
        say(f"{login} is enabled")


def logins(
    address: Login, failed: Failed = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """List a person's recent logins, the newest first: when, by which door, from where, and whether the password was right.

    What one address does at one door on one day is one line. The newest 100 are kept, and as many that failed.
    """

    async def work(store: Store, settings: Settings) -> Sequence[LoginRow]:
        login = await known_login(address, store, settings)
        return [one for one in await store.accounts.logins(login) if not (failed and one.ok)]

    there = with_store(config, data_dir, work)
    if json:
        print_json(
            [
                {
                    "ok": one.ok,
                    "door": one.door,
                    "host": one.host,
                    "mechanism": one.mechanism,
                    "first": moment(one.first),
                    "last": moment(one.last),
                    "times": one.times,
                }
                for one in there
            ]
        )
        return
    print_table(
        ["last", "", "door", "from", "by", "times>"],
        [
            [moment(one.last), "ok" if one.ok else "failed", one.door, one.host, one.mechanism, f"{one.times:,}"]
            for one in there
        ],
        empty="nobody tried yet",
    )
