"""`mailsystem webhook`: who is told by HTTP what comes to pass in a mailbox."""

from __future__ import annotations

from collections.abc import Awaitable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from mailsystem.cli.accounts import Refused, confirm, known_login, or_refuse, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Login, Yes, examples
from mailsystem.cli.terminal import moment, print_json, print_table, say
from mailsystem.mail.errors import NoSuchRecipient, SyntaxFault
from mailsystem.mail.webhook import BODY, LEAST_BODY, MOST_BODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailsystem.hooks.posting import Outcome
    from mailsystem.settings import Settings
    from mailsystem.store import Store, Webhook

app = typer.Typer(help="Tell other programs by HTTP what comes to pass in a mailbox.", no_args_is_help=True)

T = TypeVar("T")
_SINK: Final = "sink"
"""Who has a copy of everything in a sink."""


class Event(StrEnum):
    """What is told."""

    ARRIVED = "arrived"
    FLAGS = "flags"
    GONE = "gone"


class Much(StrEnum):
    """How much of a message is told."""

    SUMMARY = "summary"
    WHOLE = "whole"
    RAW = "raw"


Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")]


@app.command(
    epilog=examples(
        "mailsystem webhook add ann@example.org https://example.net/hook",
        "mailsystem webhook add sink http://127.0.0.1:9000/ --query is:unread",
    )
)
def add(
    address: Login,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where a POST goes.")],
    event: Annotated[
        list[Event] | None,
        typer.Option("--event", help="What is told; may be repeated; if none is named, what arrives."),
    ] = None,
    query: Annotated[
        str, typer.Option("--query", metavar="QUERY", help="Tell only of messages for which it holds.")
    ] = "",
    include: Annotated[
        Much, typer.Option("--include", help="What lists show of a message, its text as well, or every octet.")
    ] = Much.SUMMARY,
    max_body: Annotated[
        int, typer.Option("--max-body", metavar="OCTETS", min=LEAST_BODY, max=MOST_BODY, help="What is more is cut.")
    ] = BODY,
    secret: Annotated[
        str | None,
        typer.Option(
            "--secret", metavar="SECRET", help="What is signed with, as whsec_…; one is made if none is given."
        ),
    ] = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Tell a program from now on. The secret by which it knows that it is told by us is shown now and never again."""
    from mailsystem.app.hooks import reaches_private
    from mailsystem.mail.query import parse
    from mailsystem.mail.webhook import Include, events_of, good_secret, new_secret, receiver
    from mailsystem.net import public

    async def work(store: Store, settings: Settings) -> tuple[Webhook, str]:
        login = address if address == _SINK else await known_login(address, store, settings)
        try:
            parse(query, now=store.clock.now())
            events = events_of(event or [Event.ARRIVED], query)
            chosen = new_secret() if secret is None else good_secret(secret)
            sink = login == _SINK or not await store.accounts.domains()
            to = public.check(receiver(url), private=reaches_private(settings, sink=sink))
        except SyntaxFault as fault:
            raise Refused(str(fault)) from None
        more: dict[str, Any] = {"query": query, "include": Include(include.value), "most": max_body}
        made = store.webhooks.add(login, to, events, secret=chosen, **more)
        return await or_refuse(made, NoSuchRecipient, f"there is no {login} here"), chosen

    hook, chosen = with_store(config, data_dir, work)
    if json:
        print_json({**_told(hook), "secret": chosen})
    else:
        say(f"{hook.id} tells {hook.url}; its secret, shown this once: {chosen}")


@app.command("list", epilog=examples("mailsystem webhook list"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List all webhooks, and how they fare."""

    async def work(store: Store, settings: Settings) -> Sequence[Webhook]:
        return await store.webhooks.all()

    there = with_store(config, data_dir, work)
    if json:
        print_json([_told(hook) for hook in there])
        return
    print_table(
        ["id", "of", "to", "tells", "told", "waiting", "given up", "now"],
        [
            [
                hook.id,
                hook.login,
                hook.url,
                " ".join(hook.events),
                str(hook.delivered),
                str(hook.waiting),
                str(hook.failed),
                hook.disabled or hook.said or "well",
            ]
            for hook in there
        ],
        empty="none yet; make one with: mailsystem webhook add ADDRESS URL",
    )


@app.command(epilog=examples("mailsystem webhook remove wh_0123456789abcdef"))
def remove(id: Id, yes: Yes = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:  # noqa: A002
    """Tell a program no more; what waits for it is gone."""

    async def work(store: Store, settings: Settings) -> None:
        hook = await _known(store.webhooks.find(id), id)
        confirm(f"Tell {hook.url} no more?", yes=yes)
        await _known(store.webhooks.remove(id), id)

    with_store(config, data_dir, work)
    if json:
        print_json({"id": id})
    else:
        say(f"removed {id}")


@app.command("test", epilog=examples("mailsystem webhook test wh_0123456789abcdef"))
def try_(id: Id, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:  # noqa: A002
    """Send something of the type `test` at once, from here, and say what is answered.

    The exit status is 1 if it is not taken."""

    async def work(store: Store, settings: Settings) -> tuple[Webhook, Outcome]:
        from mailsystem.app.hooks import tried

        hook = await _known(store.webhooks.find(id), id)
        return hook, await tried(store, settings, hook)

    hook, outcome = with_store(config, data_dir, work)
    if json:
        print_json({"id": hook.id, "taken": outcome.taken, "status": outcome.status, "error": outcome.said or None})
        if not outcome.taken:
            raise typer.Exit(1)
    elif outcome.taken:
        say(f"{hook.url} has taken it ({outcome.status})")
    else:
        raise Refused(f"{hook.url} has not taken it: {outcome.said}")


@app.command(epilog=examples("mailsystem webhook retry wh_0123456789abcdef"))
def retry(id: Id, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:  # noqa: A002
    """Try at once, what was given up included; one that rests works again."""

    async def work(store: Store, settings: Settings) -> int:
        return await _known(store.webhooks.retry(id, lifetime=settings.webhooks.lifetime), id)

    again = with_store(config, data_dir, work)
    if json:
        print_json({"id": id, "again": again})
    else:
        say(f"{id} is tried at once" + (f", and {again} that were given up with it" if again else ""))


async def _known(doing: Awaitable[T], id_: str) -> T:
    return await or_refuse(doing, NoSuchRecipient, f"there is no {id_}; those there are: mailsystem webhook list")


def _told(hook: Webhook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "account": hook.login,
        "url": hook.url,
        "events": list(hook.events),
        "query": hook.query,
        "include": hook.include.value,
        "max_body": hook.most,
        "created": moment(hook.created),
        "disabled": hook.disabled,
        "delivered": hook.delivered,
        "waiting": hook.waiting,
        "failed": hook.failed,
        "error": hook.said or None,
    }
