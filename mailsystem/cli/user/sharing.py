"""`mailsystem user share`: let others into a person's mailboxes (RFC 4314), as their own mail program can do too."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, known_login, or_refuse, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Login, examples
from mailsystem.cli.terminal import print_json, print_table, say
from mailsystem.mail.errors import NoSuchMailbox, SyntaxFault
from mailsystem.mail.rights import ANYONE, EVERY, Identifier, Rights, rights_of, spelled

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Store

app = typer.Typer(
    help="Let others into a person's mailboxes. They see them below Other Users; a new mailbox inherits what holds above it.",
    no_args_is_help=True,
)

_WORDS = {"read": frozenset("lr"), "write": frozenset("lrswipte"), "all": EVERY}

Mailbox = Annotated[str, typer.Argument(metavar="MAILBOX", help="The person's mailbox, such as INBOX or Archive/2024.")]
Whom = Annotated[str, typer.Argument(metavar="WHOM", help="Who is let in: a person's full address, or anyone.")]
Given = Annotated[
    str,
    typer.Argument(
        metavar="RIGHTS",
        help="One of read, write (which includes marking, adding and removing mail) and all (which includes mailboxes below "
        "and whom to let in); or any letters of lrswipkxtea (RFC 4314), such as lrs.",
    ),
]

Deny = Annotated[
    bool, typer.Option("--deny", help="Take these rights away from them, whatever else would give them these.")
]


@app.command(
    epilog=examples(
        "mailsystem user share grant ann@example.org Archive bob@example.org read",
        "mailsystem user share grant team@example.org INBOX bob@example.org write",
        "mailsystem user share grant ann@example.org Notes anyone lr",
        "mailsystem user share grant ann@example.org Notes anyone a --deny",
    )
)
def grant(
    address: Login,
    mailbox: Mailbox,
    whom: Whom,
    rights: Given,
    deny: Deny = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Let somebody do exactly this with a mailbox. It counts at once."""

    async def work(store: Store, settings: Settings) -> dict[str, str]:
        login = await known_login(address, store, settings)
        who = await _whom(whom, login, deny, store, settings)
        letters = _letters(rights)
        account = await store.accounts.find(login)
        changing = store.sharing.change(account.id, _name(mailbox), who, letters)
        changed = await or_refuse(changing, NoSuchMailbox, _missing(login, mailbox))
        return {"login": login, "mailbox": changed.name, "who": str(who), "rights": spelled(letters)}

    told = with_store(config, data_dir, work)
    if json:
        print_json(told)
    else:
        may = "may never" if deny else "may"
        say(f"{told['who'].removeprefix('-')} {may} {_in_words(told['rights'])} {told['mailbox']} of {told['login']}")


@app.command(epilog=examples("mailsystem user share revoke ann@example.org Archive bob@example.org"))
def revoke(
    address: Login,
    mailbox: Mailbox,
    whom: Whom,
    deny: Deny = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Let somebody into a mailbox no more. Who is in it at that moment is shown out."""

    async def work(store: Store, settings: Settings) -> dict[str, str]:
        login = await known_login(address, store, settings)
        who = await _whom(whom, login, deny, store, settings)
        account = await store.accounts.find(login)
        reading = store.sharing.entries(account.id, _name(mailbox))
        found, entries = await or_refuse(reading, NoSuchMailbox, _missing(login, mailbox))
        if who not in {entry.identifier for entry in entries}:
            raise Refused(
                f"{who} has no rights on {found.name} of {login}; those who have: mailsystem user share list {login}"
            )
        await store.sharing.drop(account.id, _name(mailbox), who)
        return {"login": login, "mailbox": found.name, "who": str(who)}

    told = with_store(config, data_dir, work)
    if json:
        print_json(told)
    else:
        say(f"{told['who']} is let into {told['mailbox']} of {told['login']} no more")


@app.command("list", epilog=examples("mailsystem user share list ann@example.org"))
def list_(address: Login, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List whom a person lets into which mailboxes, and where others let them in."""

    async def work(store: Store, settings: Settings) -> tuple[str, list[dict[str, str]]]:
        login = await known_login(address, store, settings)
        account = await store.accounts.find(login)
        given = [
            {"mailbox": name, "who": str(entry.identifier), "rights": spelled(entry.rights)}
            for name, entry in await store.sharing.given(account.id)
        ]
        taken = [
            {"mailbox": mailbox.shown, "who": login, "rights": spelled(rights)}
            for mailbox, rights in await store.mailboxes.visible(account.id)
            if mailbox.account != account.id
        ]
        return login, [*given, *taken]

    login, there = with_store(config, data_dir, work)
    if json:
        print_json(there)
        return
    print_table(
        ["mailbox", "who", "rights"],
        [[one["mailbox"], one["who"], one["rights"]] for one in there],
        empty=f"none yet; begin with: mailsystem user share grant {login} Archive somebody@example.org read",
    )


def _name(text: str) -> str:
    """A mailbox as somebody typed it, INBOX in any case. Raises `Refused`."""
    from mailsystem.store.names import checked

    try:
        return checked(unicodedata.normalize("NFC", text))
    except SyntaxFault as fault:
        raise Refused(f"{text} is no mailbox: {fault}") from None


def _letters(text: str) -> Rights:
    """A word of ours, or letters. Raises `Refused`."""
    try:
        rights = _WORDS.get(text) or rights_of(text)
    except SyntaxFault:
        rights = frozenset()
    if not rights:
        raise Refused(f"{text} is no right; write read, write, all, or letters of {spelled(EVERY)}")
    return rights


def _in_words(letters: str) -> str:
    word = next((word for word, rights in _WORDS.items() if spelled(rights) == letters), None)
    return {"read": "read", "write": "read and write", "all": "do everything with"}.get(word or "", f"do {letters} in")


async def _whom(text: str, owner: str, deny: bool, store: Store, settings: Settings) -> Identifier:
    """Whom an entry is about. Raises `Refused`."""
    login = ANYONE if text == ANYONE else await known_login(text, store, settings)
    if login == owner:
        raise Refused(f"{owner} has every right there")
    return Identifier(login, deny)


def _missing(login: str, mailbox: str) -> str:
    return f"{login} has no mailbox {mailbox}"
