"""`mailsystem space`: the spaces of a sink, changed while it runs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, confirm, or_refuse, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Yes, examples
from mailsystem.cli.terminal import moment, print_json, print_table, say, size
from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient, SyntaxFault
from mailsystem.mail.space import space_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailsystem.settings import Settings
    from mailsystem.store import AccessToken, Space, SpaceSummary, Store

FIRST = "first"
"""The token that is made with its space."""
_LONGEST = 100


class SpaceScope(StrEnum):
    """What the token of a space allows."""

    READ = "read"
    WRITE = "write"
    SEND = "send"


app = typer.Typer(
    help="Open and remove spaces of a sink: mailboxes for whoever needs some of their own for a while.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called: letters, digits and hyphens.")]
Ttl = Annotated[
    str | None,
    typer.Option(
        "--ttl",
        metavar="TIME",
        help="How long after its last use it is gone, as 30m, 12h or 7d; spaces.ttl by default.",
    ),
]
DomainsOf = Annotated[
    list[str] | None,
    typer.Option(
        "--domain",
        metavar="DOMAIN",
        help="Mail to it is for the space; *.example.org is all below that one; may be given several times.",
    ),
]
Tag = Annotated[bool, typer.Option("--tag/--no-tag", help="Whether mail to anything+NAME@any.domain is for it.")]
Login = Annotated[bool, typer.Option("--login/--no-login", help="Whether whoever logs in by its name is in it.")]
WithToken = Annotated[
    bool, typer.Option("--token", help="Make a token that opens this space and nothing else, and show it, this once.")
]
TokenName = Annotated[str, typer.Argument(metavar="TOKEN", help="What the token is for, such as ci.")]
Scopes = Annotated[
    list[SpaceScope] | None,
    typer.Option(
        "--scope", help="What it allows: read mail, write (change and delete) it, send; all of it if none is named."
    ),
]
KeepAge = Annotated[str | None, typer.Option("--keep-age", metavar="TIME", help="How long its mail is kept, as 12h.")]
KeepMessages = Annotated[
    int | None, typer.Option("--keep-messages", metavar="NUMBER", min=0, help="How many messages each account keeps.")
]
KeepOctets = Annotated[
    int | None, typer.Option("--keep-octets", metavar="OCTETS", min=0, help="How many octets each account keeps.")
]


@app.command(
    epilog=examples("mailsystem space add ci-4821 --ttl 2h", "mailsystem space add shop --domain '*.shop.test'")
)
def add(
    name: Name,
    ttl: Ttl = None,
    domain: DomainsOf = None,
    tag: Tag = True,
    login: Login = True,
    keep_age: KeepAge = None,
    keep_messages: KeepMessages = None,
    keep_octets: KeepOctets = None,
    token: WithToken = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Open a space: what comes for it is seen by nobody else, and goes with it."""
    from mailsystem.mail.keeping import Keep

    lasts, age = _seconds(ttl, "--ttl"), _seconds(keep_age, "--keep-age")
    named = _name(name)
    domains = [_domain(each) for each in domain or ()]

    async def work(store: Store, settings: Settings) -> tuple[Space, str | None]:
        if await store.accounts.domains():
            raise Refused(f"{settings.data_dir} holds a server's accounts, and only a sink has spaces; say --data-dir")
        adding = store.spaces.add(
            named,
            ttl=settings.spaces.ttl if lasts is None else lasts,
            by_login=login,
            by_tag=tag,
            domains=domains,
            keep=Keep(age, keep_messages, keep_octets),
        )
        space = await or_refuse(
            adding, MailboxExists, f"there is a space {named} already, or another has one of these domains"
        )
        return space, await store.access_tokens.add(space.account.login, FIRST, list(SpaceScope)) if token else None

    space, secret = with_store(config, data_dir, work, sink=True)
    if json:
        told = {"name": space.name, "account": space.account.login, "ttl": space.ttl}
        print_json(told if secret is None else {**told, "token": secret})
    else:
        say(
            f"{space.name} is open until {moment(space.expires)}, or longer as it is used; log in as {space.account.login}"
        )
        if secret is not None:
            say(f"its token, shown this once: {secret}")


@app.command(
    epilog=examples("mailsystem space token ci-4821 runner-2", "mailsystem space token ci-4821 watcher --scope read")
)
def token(
    name: Name,
    token: TokenName,
    scope: Scopes = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token that opens a space and nothing else, and that ends with it. It is shown now and never again."""
    named = _name(name)
    scopes = sorted({each.value for each in scope or SpaceScope})

    async def work(store: Store, settings: Settings) -> str:
        if not token.isprintable() or not 0 < len(token) <= _LONGEST:
            raise Refused(f"the name of a token has 1 to {_LONGEST} characters that can be printed")
        space = await or_refuse(store.spaces.find(named), NoSuchRecipient, f"there is no space {named}")
        adding = store.access_tokens.add(space.account.login, token, scopes)
        return await or_refuse(adding, MailboxExists, f"{named} has a token named {token}; take another name")

    secret = with_store(config, data_dir, work, sink=True)
    if json:
        print_json({"space": named, "name": token, "scopes": scopes, "token": secret})
    else:
        say(f"the token {token} of {named} ({', '.join(scopes)}), shown this once: {secret}")


@app.command(epilog=examples("mailsystem space tokens ci-4821", "mailsystem space tokens ci-4821 --json"))
def tokens(name: Name, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Show the tokens that open a space, what each allows, and when it was last used."""
    named = _name(name)

    async def work(store: Store, settings: Settings) -> Sequence[AccessToken]:
        return (await _tokens(store, named))[1]

    there = with_store(config, data_dir, work, sink=True)
    if json:
        print_json(
            [
                {
                    "name": each.name,
                    "scopes": sorted(each.scopes),
                    "created": moment(each.created),
                    "last_used": moment(each.used),
                }
                for each in there
            ]
        )
        return
    print_table(
        ["name", "may", "since", "last used"],
        [(each.name, " ".join(sorted(each.scopes)), moment(each.created)[:10], moment(each.used)) for each in there],
        empty=f"none yet; make one with: mailsystem space token {named} ci",
    )


@app.command(epilog=examples("mailsystem space revoke ci-4821 watcher --yes"))
def revoke(
    name: Name,
    token: TokenName,
    yes: Yes = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Take a token of a space away: whoever has it gets in no more, and streams that it opened end."""
    named = _name(name)

    async def work(store: Store, settings: Settings) -> None:
        login, there = await _tokens(store, named)
        unknown = f"{named} has no token named {token}; those there are: mailsystem space tokens {named}"
        if token not in {each.name for each in there}:
            raise Refused(unknown)
        confirm(f"Let nobody into {named} with {token} any more?", yes=yes)
        await or_refuse(store.access_tokens.remove(login, token), NoSuchRecipient, unknown)

    with_store(config, data_dir, work, sink=True)
    if json:
        print_json({"space": named, "name": token})
    else:
        say(f"{token} opens {named} no more")


@app.command("list", epilog=examples("mailsystem space list", "mailsystem space list --json"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Show all spaces, what is in them and when each is gone unless it is used."""

    async def work(store: Store, settings: Settings) -> list[SpaceSummary]:
        return [*await store.spaces.list()]

    found = with_store(config, data_dir, work, sink=True)
    if json:
        print_json(
            [
                {
                    "name": each.space.name,
                    "account": each.space.account.login,
                    "ttl": each.space.ttl,
                    "expires": moment(each.space.expires),
                    "domains": list(each.space.domains),
                    "accounts": each.accounts,
                    "messages": each.messages,
                    "octets": each.octets,
                }
                for each in found
            ]
        )
        return
    print_table(
        ["space", "messages>", "size>", "accounts>", "gone", "domains"],
        [
            (
                each.space.name,
                str(each.messages),
                size(each.octets),
                str(each.accounts),
                moment(each.space.expires),
                ", ".join(each.space.domains),
            )
            for each in found
        ],
        empty="there are no spaces",
    )


@app.command(epilog=examples("mailsystem space remove ci-4821 --yes"))
def remove(name: Name, yes: Yes = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Remove a space at once, with all its mail."""
    named = _name(name)

    async def work(store: Store, settings: Settings) -> None:
        await or_refuse(store.spaces.find(named), NoSuchRecipient, f"there is no space {named}")
        confirm(f"Remove the space {named} with all its mail?", yes=yes)
        await or_refuse(store.spaces.remove(named), NoSuchRecipient, f"there is no space {named}")
        await store.spaces.clear()

    with_store(config, data_dir, work, sink=True)
    say(f"{named} is gone")


async def _tokens(store: Store, named: str) -> tuple[str, Sequence[AccessToken]]:
    """The login of a space, and its tokens, the oldest first. Raises `Refused`."""
    space = await or_refuse(store.spaces.find(named), NoSuchRecipient, f"there is no space {named}")
    return space.account.login, await store.access_tokens.of(space.account.login)


def _name(text: str) -> str:
    try:
        return space_name(text)
    except SyntaxFault as fault:
        raise Refused(f"{text} is no name for one: {fault}") from None


def _domain(text: str) -> str:
    below = text.startswith("*.")
    try:
        return ("*." if below else "") + normal_domain(text[2:] if below else text)
    except SyntaxFault:
        raise Refused(f"{text} is not a domain; write one like example.org, or *.example.org") from None


def _seconds(text: str | None, option: str) -> float | None:
    from mailsystem.settings import seconds_of

    if text is None:
        return None
    try:
        return seconds_of(text)
    except ValueError as error:
        raise Refused(f"{option} {error}") from None
