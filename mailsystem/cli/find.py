"""`mailsystem find`: the messages for which a query holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mailsystem.cli.accounts import Refused, known_login, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import moment, print_json, print_table, say, size
from mailsystem.mail.space import login_of, space_of

if TYPE_CHECKING:
    from mailsystem.finding.finder import Found, Hit
    from mailsystem.mail.mailbox import AccountId, MailboxId
    from mailsystem.mail.query import Query
    from mailsystem.settings import Settings
    from mailsystem.store import Store

_MOST: Final = 10_000
_SINK: Final = "sink"
"""Whose mail is meant in a sink, if nobody is named: there it has a copy of everything."""

Asked = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUERY", help="What to look for; best within single quotes. Without it, everything."),
]
Whose = Annotated[
    str | None,
    typer.Option(
        "--account", "-a", metavar="ADDRESS", help="Whose mail; may be left out in a sink, and where one person lives."
    ),
]
Mailbox = Annotated[
    str | None, typer.Option("--mailbox", "-m", metavar="NAME", help="Only in this mailbox; otherwise in all.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=_MOST, metavar="N", help="So many, the newest ones.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Say in a sentence what the query asks for; look for nothing.")
]

epilog = examples(
    "mailsystem find 'from:ann@shop.test is:unread since:3d'",
    "mailsystem find -a ann@example.org 'invoice (has:attachment OR larger:5M)'",
    "mailsystem find --explain 'a OR b -c'",
)


def find(
    query: Asked = None,
    account: Whose = None,
    mailbox: Mailbox = None,
    limit: Limit = 50,
    explain: Explain = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Find messages, the newest first, whether the servers run or not.

    The query knows people (from:, to:), text ("some words", subject:, body:),
    states (is:unread), files (has:attachment, attachment:"*.pdf"), times
    (since:5m, on:2026-01-31; in UTC) and much more; OR, - and parentheses put
    it together. docs/query.md tells all of it. A query that begins with a
    minus follows after --.
    """
    asked = asked_for(query)
    if explain:
        _explain(asked, json=json)
        return

    async def work(store: Store, settings: Settings) -> tuple[Found, list[dict[str, Any]]]:
        from mailsystem.finding.finder import Finder

        id_ = (await store.accounts.find(await whose(account, store, settings))).id
        chosen = await mailboxes_of(store, id_, mailbox)
        found = await Finder(store, store.journal.recipients).find(id_, asked, mailboxes=chosen, limit=limit)
        return found, await _told(store, found.messages)

    found, told = with_store(config, data_dir, work)
    if json:
        print_json({"query": str(asked), "messages": told, "total": found.total, "more": found.next is not None})
        return
    rows = [_row(one) for one in told]
    print_table(["id", "received", "from", "subject", "size>", "flags", "mailbox"], rows, empty="nothing was found")
    if found.next is not None:
        of = "more" if found.total is None else str(found.total)
        say(f"\nthe newest {len(rows)} of {of}; --limit shows more of them")


def asked_for(query: list[str] | None) -> Query:
    """What somebody looks for. Raises `Refused`."""
    import time

    from mailsystem.mail.query import QueryFault, parse

    try:
        return parse(" ".join(query or ()), now=time.time())
    except QueryFault as fault:
        raise Refused(f"{fault} (at character {fault.position + 1} of the query)") from None


async def mailboxes_of(store: Store, account: AccountId, name: str | None) -> list[MailboxId] | None:
    """The mailbox of that name; None for all. Raises `Refused`."""
    if name is None:
        return None
    own = await store.mailboxes.list(account)
    chosen = [one.id for one in own if one.name.casefold() == name.casefold()]
    if not chosen:
        from mailsystem.telemetry.log import printable

        there = ", ".join(printable(one.name) for one in own)
        raise Refused(f"there is no mailbox {printable(name)}; there are: {there}")
    return chosen


def _explain(query: Query, *, json: bool) -> None:
    from mailsystem.mail.query import explain

    if json:
        print_json({"query": str(query), "explanation": explain(query)})
    else:
        say(explain(query))


async def whose(account: str | None, store: Store, settings: Settings) -> str:
    """The login whose mail is meant. Raises `Refused`."""
    if account is not None and space_of(account):
        return account
    if account is not None and account != _SINK:
        if "@" not in account and (space := account.casefold().partition("+")[0]) in await store.spaces.all():
            return login_of(space)  # as it is called where one logs in
        return await known_login(account, store, settings)
    logins = [one.account.login for one in await store.accounts.list()]
    if _SINK in logins:
        return _SINK
    if len(logins) != 1 or account is not None:
        raise Refused("say whose mail is meant, with --account; those who are here: mailsystem user list")
    return logins[0]


async def _told(store: Store, hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """What is told of each message, as JSON has it; those that have gone meanwhile are left out."""
    from mailsystem.mail.header import of_structure
    from mailsystem.mail.mailbox import MessageSet
    from mailsystem.mail.objectid import emailid
    from mailsystem.mail.words import decoded
    from mailsystem.store import Want

    heads: dict[tuple[int, int], dict[bytes, bytes]] = {}
    for mailbox in {hit.mailbox.id: hit.mailbox for hit in hits}.values():
        uids = MessageSet.of(hit.message.uid for hit in hits if hit.mailbox.id == mailbox.id)
        async for some in store.mailboxes.fetch(mailbox.account, mailbox.id, uids, Want.HEAD):
            for one in some:
                heads[mailbox.id, one.message.uid] = of_structure(one.head or b"")
    told = []
    for mailbox, message in hits:
        head = heads.get((mailbox.id, message.uid))
        if head is None:
            continue
        told.append(
            {
                "id": emailid(message.content),
                "mailbox": mailbox.name,
                "uid": message.uid,
                "received": moment(message.internaldate),
                "size": message.size,
                "flags": sorted(message.flags),
                **{
                    name.replace("-", "_"): decoded(head[field]) if (field := name.encode()) in head else None
                    for name in ("from", "to", "cc", "subject", "date", "message-id")
                },
            }
        )
    return told


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from mailsystem.telemetry.log import printable

    # Whoever wrote the message shall not write to the terminal.
    from_, subject, mailbox = (printable(one[name] or "") for name in ("from", "subject", "mailbox"))
    flags = " ".join(flag.removeprefix("\\") for flag in one["flags"])
    return one["id"], one["received"], from_, subject, size(one["size"]), printable(flags), mailbox
