"""`mailsystem fault add` and its like: the rules of a sink, changed while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json, print_table, say

if TYPE_CHECKING:
    from mailsystem.faults import Faults, Told
    from mailsystem.settings import Settings
    from mailsystem.store import Store

T = TypeVar("T")

RuleOf = Annotated[
    list[str],
    typer.Argument(
        metavar="DOOR STAGE [NAME=VALUE]...",
        help="The door (smtp, pop3, imap); the command, or CONNECT, or at smtp BODY; whom it is about and what goes wrong.",
    ),
]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Its number, as the list has it.")]
SomeNumber = Annotated[
    int | None, typer.Argument(metavar="NUMBER", help="Its number, as the list has it; all if none is given.")
]
Namespace = Annotated[str | None, typer.Option("--namespace", metavar="NAME", help="Only those of this namespace.")]


add_epilog = examples(
    "mailsystem fault add smtp RCPT 'to=*@shop.test' reply=451 times=2",
    "mailsystem fault add smtp BODY disconnect=before performed times=1",
    "mailsystem fault add pop3 RETR login=ann@example.org truncate=500",
    "mailsystem fault add imap IDLE disconnect=before delay=5",
)


def add(words: RuleOf, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Let something go wrong from now on."""
    from mailsystem.faults import of_line, of_words, to_line

    rule = of_line(words[0]) if len(words) == 1 else of_words(words)

    async def work(faults: Faults) -> int:
        return await faults.add(rule)

    number = _with_faults(config, data_dir, work)
    if json:
        print_json({"id": number, "line": to_line(rule)})
    else:
        say(f"fault {number}: {to_line(rule)}")


list_epilog = examples("mailsystem fault list", "mailsystem fault list --json")


def list_(namespace: Namespace = None, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List what goes wrong, and how often it did."""
    from mailsystem.faults import to_line

    async def work(faults: Faults) -> list[Told]:
        return await faults.all(namespace)

    found = _with_faults(config, data_dir, work)
    if json:
        print_json([told.as_json() for told in found])
        return
    print_table(
        ["number>", "fault", "matched>", "struck>", "state"],
        [[str(told.id), to_line(told.rule), str(told.seen), str(told.hits), _state(told)] for told in found],
        empty="nothing goes wrong",
    )


def _state(told: Told) -> str:
    return "spent" if told.is_spent else ""


remove_epilog = examples("mailsystem fault remove 3")


def remove(number: Number, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Forget one fault, by its number."""

    async def work(faults: Faults) -> bool:
        return await faults.remove(number)

    if not _with_faults(config, data_dir, work):
        raise Refused(f"there is no fault {number}; those that there are: mailsystem fault list")
    if json:
        print_json({"id": number})
    else:
        say(f"fault {number} is gone")


clear_epilog = examples("mailsystem fault clear", "mailsystem fault clear --namespace job-7")


def clear(namespace: Namespace = None, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Forget all faults, and how often addresses that ask for one had it."""

    async def work(faults: Faults) -> int:
        return await faults.clear(namespace)

    _tell_count(_with_faults(config, data_dir, work), "gone", json=json)


reset_epilog = examples("mailsystem fault reset", "mailsystem fault reset 3")


def reset(
    number: SomeNumber = None,
    namespace: Namespace = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Count anew: what has struck as often as it should strikes again."""

    async def work(faults: Faults) -> int:
        return await faults.reset(number, namespace=namespace)

    count = _with_faults(config, data_dir, work)
    if number is not None and not count:
        raise Refused(f"there is no fault {number}; those that there are: mailsystem fault list")
    _tell_count(count, "counted anew", json=json)


def _tell_count(count: int, what: str, *, json: bool) -> None:
    if json:
        print_json({"count": count})
    else:
        say(f"{count} fault{'s are' if count != 1 else ' is'} {what}")


def _with_faults(config: Path | None, data_dir: Path | None, work: Callable[[Faults], Awaitable[T]]) -> T:
    """Run `work` on the faults of the sink that the settings name. Raises as `with_store` does."""

    async def inside(store: Store, settings: Settings) -> T:
        from mailsystem.faults import Faults

        if await store.accounts.domains():
            raise Refused(f"{settings.data_dir} holds a server's accounts, and only a sink has faults; say --data-dir")
        return await work(Faults(store))

    return with_store(config, data_dir, inside, sink=True)
