"""What a person's maildrop does: `mailsystem user maildrop`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, known_login, or_refuse, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Login, examples
from mailsystem.cli.terminal import print_json, say
from mailsystem.mail.errors import NoSuchMailbox, SyntaxFault

if TYPE_CHECKING:
    from mailsystem.mail.mailbox import AccountId
    from mailsystem.settings import Settings
    from mailsystem.store import Choices, Store

Keep = Annotated[
    str | None,
    typer.Option(
        "--keep",
        metavar="DAYS",
        help="Days that a message stays after it was downloaded: 0 until the client quits, forever (which is the default).",
    ),
]
Trash = Annotated[
    bool | None,
    typer.Option("--trash/--delete", help="Move what is deleted to Trash, or delete it (which is the default)."),
]
Show = Annotated[
    list[str] | None,
    typer.Option(
        "--show", metavar="MAILBOX", help="A mailbox that is shown, INBOX by default; may be given several times."
    ),
]
Delay = Annotated[
    str | None,
    typer.Option(
        "--login-delay",
        metavar="SECONDS",
        help="Seconds between two logins, 0 for none; default for what pop3.login_delay says.",
    ),
]

maildrop_epilog = examples(
    "mailsystem user maildrop ann@example.org",
    "mailsystem user maildrop ann@example.org --keep 30 --trash",
    "mailsystem user maildrop ann@example.org --show INBOX --show Junk",
    "mailsystem user maildrop ann@example.org --keep forever --delete",
)


def maildrop(
    address: Login,
    keep: Keep = None,
    trash: Trash = None,
    show: Show = None,
    login_delay: Delay = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show or set what POP3 does with a person's mail. It counts from the next login on.

    Only a RETR that is complete, in a session that ends by QUIT, is a download. The server itself never removes a message that
    was not downloaded, nor one that is flagged. Nothing is set where nothing is given.
    """

    async def work(store: Store, settings: Settings) -> tuple[str, Choices]:
        login = await known_login(address, store, settings)
        account = (await store.accounts.find(login)).id
        wanted = await store.maildrops.choices(account)
        if keep is not None:
            wanted = replace(wanted, keep_days=None if keep.lower() == "forever" else _number(keep, "days"))
        if trash is not None:
            wanted = replace(wanted, trash=trash)
        if show is not None:
            wanted = replace(wanted, mailboxes=await _shown(show, store, account))
        if login_delay is not None:
            delay = None if login_delay.lower() == "default" else _number(login_delay, "seconds")
            wanted = replace(wanted, login_delay=delay)
        if (keep, trash, show, login_delay) != (None, None, None, None):
            choosing = store.maildrops.choose(account, wanted)
            await or_refuse(choosing, NoSuchMailbox, "a mailbox went away just now; show again what is there")
        return login, wanted

    login, chosen = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, **told(chosen)})
        return
    say(f"{login} sees {_and(chosen.mailboxes)}; {_kept(chosen)}; {_deleted(chosen)}{_delayed(chosen)}")


def told(chosen: Choices) -> dict[str, object]:
    """As JSON has it."""
    return {
        "keep_days": chosen.keep_days,
        "delete_to_trash": chosen.trash,
        "shows": list(chosen.mailboxes),
        "login_delay": chosen.login_delay,
    }


async def _shown(names: list[str], store: Store, account: AccountId) -> tuple[str, ...]:
    from mailsystem.store.choices import MOST_MAILBOXES
    from mailsystem.store.names import checked

    there = {mailbox.name for mailbox in await store.mailboxes.list(account)}
    found = []
    for name in names:
        try:
            normal = checked(name)
        except SyntaxFault:
            normal = ""
        if normal not in there:
            raise Refused(f"there is no mailbox {name}; those that are there: {', '.join(sorted(there))}")
        found.append(normal)
    if len(found) > MOST_MAILBOXES:
        raise Refused(f"a maildrop shows at most {MOST_MAILBOXES} mailboxes")
    return tuple(dict.fromkeys(found))


def _number(text: str, of: str) -> int:
    from mailsystem.store.choices import MOST_DAYS, MOST_DELAY

    most = MOST_DAYS if of == "days" else MOST_DELAY
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= most):
        otherwise = "forever" if of == "days" else "default"
        raise Refused(f"{text} is not a number of {of} up to {most}; write one like 30, or {otherwise}")
    return int(text)


def _and(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _kept(chosen: Choices) -> str:
    if chosen.keep_days is None:
        return "what is downloaded stays"
    if chosen.keep_days == 0:
        return "what is downloaded goes when the client quits"
    return f"what is downloaded goes {chosen.keep_days} day{'' if chosen.keep_days == 1 else 's'} later"


def _deleted(chosen: Choices) -> str:
    return "what is deleted moves to Trash" if chosen.trash else "what is deleted is gone"


def _delayed(chosen: Choices) -> str:
    return "" if chosen.login_delay is None else f"; {chosen.login_delay} seconds between two logins"
