"""`mailsystem user add`, `list`, `password` and `remove`."""

from __future__ import annotations

import secrets
import string
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import (
    Refused,
    at_terminal,
    confirm,
    forget,
    full_address,
    must_be_ours,
    or_refuse,
    unknown_login,
    with_store,
)
from mailsystem.cli.options import AsJson, Config, DataDir, Login, Yes, examples
from mailsystem.cli.terminal import at_prompt, moment, print_json, print_table, say, size
from mailsystem.cli.user.maildrop import told
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient

if TYPE_CHECKING:
    from mailsystem.mail.mailbox import AccountId
    from mailsystem.settings import Settings
    from mailsystem.store import AccountSummary, Choices, Store

app = typer.Typer(help="Add, list and remove people, and set what they may.", no_args_is_help=True)

FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make up a good password and print it.")]


@app.command(
    epilog=examples(
        "mailsystem user add ann@example.org",
        "mailsystem user add ann@example.org --generate",
        "mailsystem user add ann@example.org --password-stdin < secret.txt",
    )
)
def add(
    address: Login,
    password_stdin: FromStdin = False,
    generate: Generate = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Add a person, with INBOX, Drafts, Sent, Junk, Trash and Archive.

    The password is asked for twice, unless one of the options says otherwise.
    It works while the servers run.
    """

    async def work(store: Store, settings: Settings) -> tuple[str, str]:
        from mailsystem.app import MAILBOXES
        from mailsystem.directory import derive_keys, hash_password

        wanted = full_address(address, settings)
        await must_be_ours(wanted.domain, store, settings)
        if any(alias.address == wanted.key for alias in await store.accounts.aliases()):
            raise Refused(
                f"{wanted.key} is an alias; to make it a person, first run: mailsystem alias remove {wanted.key}"
            )
        if owner := (await store.accounts.addresses()).get(wanted.key):
            raise Refused(
                f"{wanted.key} is an address of {owner}; to make it a person, first run:"
                f" mailsystem user address remove {owner} {wanted.key}"
            )
        if await store.accounts.password(wanted.key) is not None:
            raise Refused(_exists(wanted.key))
        password = _password(from_stdin=password_stdin, generate=generate)
        hashed, scram = await hash_password(password), await derive_keys(password)
        adding = store.accounts.add(wanted.key, hashed, scram=scram, mailboxes=MAILBOXES)
        await or_refuse(adding, MailboxExists, _exists(wanted.key))
        return wanted.key, password

    login, password = with_store(config, data_dir, work, begins=True)
    if json:
        print_json({"login": login, **({"password": password} if generate else {})})
    else:
        say(f"added {login}" + (f" with password {password}" if generate else ""))


@app.command("list", epilog=examples("mailsystem user list", "mailsystem user list --json"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List the people and what they keep."""

    async def work(store: Store, _: Settings) -> tuple[list[AccountSummary], dict[AccountId, Choices], Choices]:
        from mailsystem.store import Choices

        return await store.accounts.list(), await store.maildrops.everybodys_choices(), Choices()

    people, choices, usual = with_store(config, data_dir, work)
    if json:
        print_json(
            [
                {
                    "login": one.account.login,
                    "created": moment(one.created),
                    "messages": one.messages,
                    "size": one.size,
                    "most_messages": one.quota.messages,
                    "most_size": one.quota.octets,
                    "disabled": one.disabled.value if one.disabled else None,
                    "maildrop": told(choices.get(one.account.id, usual)),
                }
                for one in people
            ]
        )
        return
    print_table(
        ["login", "messages>", "size>", "since", ""],
        [
            [
                one.account.login,
                f"{one.messages:,}",
                size(one.size),
                moment(one.created)[:10],
                "disabled" if one.disabled else "",
            ]
            for one in people
        ],
        empty="nobody yet; add somebody with: mailsystem user add ann@example.org",
    )


@app.command(
    epilog=examples("mailsystem user password ann@example.org", "mailsystem user password ann@example.org --generate")
)
def password(
    address: Login,
    password_stdin: FromStdin = False,
    generate: Generate = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Set a person's password. It counts from their next login on."""

    async def work(store: Store, settings: Settings) -> tuple[str, str]:
        from mailsystem.directory import derive_keys, hash_password

        login = full_address(address, settings).key
        await or_refuse(store.accounts.find(login), NoSuchRecipient, unknown_login(login))
        new = _password(from_stdin=password_stdin, generate=generate)
        changing = store.accounts.set_password(login, await hash_password(new), scram=await derive_keys(new))
        await or_refuse(changing, NoSuchRecipient, unknown_login(login))
        return login, new

    login, new = with_store(config, data_dir, work)
    if json:
        print_json({"login": login, **({"password": new} if generate else {})})
    else:
        say(f"{login} has a new password" + (f": {new}" if generate else ""))


@app.command(epilog=examples("mailsystem user remove ann@example.org", "mailsystem user remove ann@example.org --yes"))
def remove(
    address: Login, yes: Yes = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None
) -> None:
    """Remove a person and all their mail. Aliases forget them too."""

    async def work(store: Store, settings: Settings) -> dict[str, object]:
        login = full_address(address, settings).key
        known = [one for one in await store.accounts.list() if one.account.login == login]
        if not known:
            raise Refused(unknown_login(login))
        messages = known[0].messages
        confirm(f"Remove {login} and {messages:,} message{'' if messages == 1 else 's'} for good?", yes=yes)
        aliases = await forget(login, store)
        for further, owner in (await store.accounts.addresses()).items():
            if owner == login:
                aliases += await forget(further, store)
        await or_refuse(store.accounts.remove(login), NoSuchRecipient, unknown_login(login))
        return {"login": login, "messages": messages, "aliases": aliases}

    gone = with_store(config, data_dir, work)
    if json:
        print_json(gone)
    else:
        say(f"removed {gone['login']}")


def _password(*, from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise typer.BadParameter("--password-stdin and --generate exclude each other")
    if generate:
        letters = string.ascii_letters + string.digits
        return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    elif at_terminal():
        with at_prompt():
            given = typer.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
    else:
        raise typer.BadParameter("there is no terminal to ask for a password at: give --password-stdin or --generate")
    if not given:
        raise Refused("an empty password is none; give one")
    return str(given)


def _exists(login: str) -> str:
    return f"{login} is here already; to set another password run: mailsystem user password {login}"
