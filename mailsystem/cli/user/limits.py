"""How much a person may send to other servers: `mailsystem user limits`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, known_login, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Login, examples
from mailsystem.cli.terminal import print_json, say

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Caps, Standing, Store

Recipients = Annotated[
    str | None,
    typer.Option(
        "--recipients-per-day",
        metavar="NUMBER",
        help="Most recipients on other servers in a day; none for no limit, default for everybody's.",
    ),
]
Strangers = Annotated[
    str | None,
    typer.Option(
        "--strangers-per-day",
        metavar="NUMBER",
        help="Most of them to whom the person has never written; none for no limit, default for everybody's.",
    ),
]

limits_epilog = examples(
    "mailsystem user limits ann@example.org",
    "mailsystem user limits news@example.org --strangers-per-day none",
    "mailsystem user limits news@example.org --recipients-per-day default",
)


def limits(
    address: Login,
    recipients: Recipients = None,
    strangers: Strangers = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show how much a person has sent to other servers today and may send in a day, and set it. A day is one of UTC."""

    async def work(store: Store, settings: Settings) -> tuple[str, Standing, Caps]:
        from mailsystem.store import Caps

        login = await known_login(address, store, settings)
        account = (await store.accounts.find(login)).id
        now = await store.sending.standing(account)
        if recipients is not None or strangers is not None:
            await store.sending.set_caps(
                account,
                recipients=now.own_recipients if recipients is None else _number(recipients),
                strangers=now.own_strangers if strangers is None else _number(strangers),
            )
            now = await store.sending.standing(account)
        common = settings.limits
        return login, now, now.caps(Caps(common.recipients_per_day_login, common.strangers_per_day_login))

    login, now, caps = with_store(config, data_dir, work)
    if json:
        print_json(
            {
                "login": login,
                "recipients_today": now.recipients,
                "strangers_today": now.strangers,
                "recipients_per_day": caps.recipients or None,
                "strangers_per_day": caps.strangers or None,
                "own": {"recipients_per_day": now.own_recipients, "strangers_per_day": now.own_strangers},
            }
        )
        return
    say(
        f"{login} has written to {now.recipients:,} of {_most(caps.recipients, 'recipients')} on other servers today,"
        f" {now.strangers:,} of {_most(caps.strangers, 'strangers')} among them"
    )


def _most(cap: int, whom: str) -> str:
    return f"{cap:,} {whom}" if cap else f"any number of {whom}"


def _number(text: str) -> int | None:
    if text.lower() == "default":
        return None
    if text.lower() == "none":
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise Refused(f"{text} is not a number of recipients; write one like 1000, or none, or default")
    return int(text)
