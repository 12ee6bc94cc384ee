"""What a person may: `mailsystem user show`, `quota`, `sender` and `capability`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, known_login, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Login, examples
from mailsystem.cli.terminal import moment, print_json, say, size
from mailsystem.cli.user.maildrop import told

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import AccountSummary, Store

MostMessages = Annotated[
    str | None, typer.Option("--messages", metavar="NUMBER", help="The most messages; none for no limit.")
]
MostOctets = Annotated[
    str | None, typer.Option("--size", metavar="SIZE", help="The most octets, such as 500MB or 2GB; none for no limit.")
]
AnySender = Annotated[
    bool | None,
    typer.Option("--any/--own", help="Any sender address, or only the person's own (which is the default)."),
]
Off = Annotated[
    list[str] | None, typer.Option("--off", metavar="NAME", help="Offer it no more; may be given several times.")
]
On = Annotated[list[str] | None, typer.Option("--on", metavar="NAME", help="Offer it again.")]

show_epilog = examples("mailsystem user show ann@example.org")
quota_epilog = examples(
    "mailsystem user quota ann@example.org",
    "mailsystem user quota ann@example.org --size 2GB --messages 100000",
    "mailsystem user quota ann@example.org --size none",
)
sender_epilog = examples("mailsystem user sender shop@example.org --any")
capability_epilog = examples("mailsystem user capability ann@example.org --off UIDONLY")

_SIZE = re.compile(r"(\d{1,15})\s*(?:([kMGT])?B?)", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_CAPABILITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9=+._-]{0,63}")


def show(address: Login, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Show all that is set for a person."""

    async def work(store: Store, settings: Settings) -> dict[str, object]:
        login = await known_login(address, store, settings)
        summary = await store.accounts.summary(login)
        known = await store.accounts.secrets(login)
        maildrops = store.maildrops
        standing = await store.sending.standing(summary.account.id)
        further = [one for one, owner in (await store.accounts.addresses()).items() if owner == login]
        return {
            "login": login,
            "created": moment(summary.created),
            "disabled": summary.disabled.value if summary.disabled else None,
            "password": known is not None and known.password is not None,
            "app_passwords": [one.name for one in known.app_passwords] if known else [],
            "addresses": further,
            "any_sender": summary.any_sender,
            "recipients_per_day": standing.own_recipients,
            "strangers_per_day": standing.own_strangers,
            "capabilities_off": sorted(summary.account.capabilities_off),
            **{f"maildrop_{name}": value for name, value in told(await maildrops.choices(summary.account.id)).items()},
            **_kept(summary),
        }

    everything = with_store(config, data_dir, work)
    if json:
        print_json(everything)
        return
    for name, value in everything.items():
        say(f"{name.replace('_', ' '):<25}{_shown(name, value)}")


def quota(
    address: Login,
    messages: MostMessages = None,
    most: MostOctets = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show what a person keeps and may keep, and set it. Who keeps more already loses nothing, and gets nothing new."""

    async def work(store: Store, settings: Settings) -> AccountSummary:
        from mailsystem.store import Quota

        login = await known_login(address, store, settings)
        now = (await store.accounts.summary(login)).quota
        if messages is not None or most is not None:
            wanted = Quota(
                now.messages if messages is None else _number(messages), now.octets if most is None else _octets(most)
            )
            await store.accounts.set_quota(login, wanted)
        return await store.accounts.summary(login)

    summary = with_store(config, data_dir, work)
    if json:
        print_json({"login": summary.account.login, **_kept(summary)})
        return
    number = summary.quota.messages
    most_messages = "any number of messages" if number is None else f"{number:,} message{'' if number == 1 else 's'}"
    most_octets = "any size" if summary.quota.octets is None else size(summary.quota.octets)
    say(
        f"{summary.account.login} keeps {summary.messages:,} of {most_messages}"
        f" and {size(summary.size)} of {most_octets}"
    )


def sender(
    address: Login, any_: AnySender = None, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Show or set in whose name a person may send: their own addresses and aliases, or anybody's."""

    async def work(store: Store, settings: Settings) -> tuple[str, bool]:
        login = await known_login(address, store, settings)
        if any_ is not None:
            await store.accounts.set_any_sender(login, any_)
        return login, (await store.accounts.summary(login)).any_sender

    login, anybody = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "any_sender": anybody})
    else:
        say(f"{login} may send from {'any address' if anybody else 'addresses of their own'}")


def capability(
    address: Login,
    off: Off = None,
    on: On = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show or set which capabilities IMAP and POP3 hide from a person whose program fails at them.

    It counts from the next login on. POP3 hides what CAPA would list after login, by the first word of it: UTF8, LANG, EXPIRE.
    """

    async def work(store: Store, settings: Settings) -> tuple[str, list[str]]:
        login = await known_login(address, store, settings)
        hidden = set((await store.accounts.find(login)).capabilities_off)
        for name in (*(off or ()), *(on or ())):
            if not _CAPABILITY.fullmatch(name):
                raise Refused(f"{name} is not the name of a capability; write one like UIDONLY")
        if off or on:
            hidden = (hidden | {name.upper() for name in off or ()}) - {name.upper() for name in on or ()}
            await store.accounts.set_capabilities_off(login, hidden)
        return login, sorted(hidden)

    login, hidden = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, "capabilities_off": hidden})
    elif hidden:
        say(f"hidden from {login}: {', '.join(hidden)}")
    else:
        say(f"nothing is hidden from {login}")


def _kept(summary: AccountSummary) -> dict[str, object]:
    return {
        "messages": summary.messages,
        "size": summary.size,
        "most_messages": summary.quota.messages,
        "most_size": summary.quota.octets,
    }


def _shown(name: str, value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if value is None:
        if name == "maildrop_keep_days":
            return "forever"
        return (
            "no limit"
            if name.startswith("most_")
            else "as the server's"
            if name.endswith(("_delay", "_per_day"))
            else "no"
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_per_day") and not value:
        return "no limit"
    if isinstance(value, int):
        return size(value) if name.endswith("size") else f"{value:,}"
    return str(value)


def _number(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused(f"{text} is not a number of messages; write one like 100000, or none")
    return int(text)


def _octets(text: str) -> int | None:
    if text.lower() == "none":
        return None
    read = _SIZE.fullmatch(text)
    if read is None:
        raise Refused(f"{text} is not a size; write one like 500MB or 2GB, or none")
    return int(read[1]) * _FACTORS[(read[2] or "").lower()]
