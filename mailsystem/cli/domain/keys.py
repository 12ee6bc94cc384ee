"""`mailsystem domain keys`: the keys that sign a domain's mail."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailsystem.cli.accounts import with_store
from mailsystem.cli.domain.records import ours
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import moment, print_json, print_table

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import KeyState, SigningKey, Store

MaybeName = Annotated[str | None, typer.Argument(metavar="[DOMAIN]", help="A domain; without one, all of them.")]

keys_epilog = examples("mailsystem domain keys", "mailsystem domain keys example.org --json")


def keys(domain: MaybeName = None, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List the keys that sign mail, never what is secret of them.

    Keys that wait sign nothing yet, and keys that are retired sign no more.
    """

    async def work(store: Store, _: Settings) -> list[SigningKey]:
        if domain is None:
            return list(await store.signing_keys.all())
        return list(await store.signing_keys.of(await ours(domain, store)))

    found = with_store(config, data_dir, work)
    if json:
        print_json([as_dict(key) for key in found])
        return
    print_table(
        ["domain", "selector", "algorithm", "state", "since"],
        [[key.domain, key.selector, key.algorithm.value, key.state.value, moment(key.changed)] for key in found],
        empty=f"no key yet; make the first with: mailsystem domain rotate {domain or 'example.org'}",
    )


def as_dict(key: SigningKey) -> dict[str, Any]:
    """Without the secret."""
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm.value,
        "state": key.state.value,
        "since": moment(key.changed),
        "created": moment(key.created),
    }


async def made(domain: str, taken: Collection[str], state: KeyState, store: Store) -> list[SigningKey]:
    """New keys for a domain, which are kept from now on."""
    from mailsystem.mailauth import make_keys

    new = make_keys(domain, time.time(), taken, state=state)
    await store.signing_keys.add(new)
    return new
