"""`mailsystem domain rotate`: new keys for a domain's mail, in three steps, between which DNS must follow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.domain.keys import as_dict, made
from mailsystem.cli.domain.records import as_dicts, ours, records, tell
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import moment, print_json, say

if TYPE_CHECKING:
    from mailsystem.mailauth.records import Record
    from mailsystem.settings import Settings
    from mailsystem.store import SigningKey, Store

MaybeName = Annotated[str | None, typer.Argument(metavar="[DOMAIN]", help="A domain such as example.org.")]
Everywhere = Annotated[bool, typer.Option("--all", help="All domains.")]
Activate = Annotated[bool, typer.Option("--activate", help="Second step: sign with the keys that wait.")]
Retire = Annotated[bool, typer.Option("--retire", help="Last step: forget the keys that sign no more.")]
Unchecked = Annotated[
    bool, typer.Option("--unchecked", help="Do not ask DNS first, and do not wait for mail on its way.")
]

rotate_epilog = examples(
    "mailsystem domain rotate example.org",
    "mailsystem domain rotate example.org --activate",
    "mailsystem domain rotate example.org --retire",
    "mailsystem domain rotate --all",
)

Step: TypeAlias = "Callable[[str, Store, Settings], Awaitable[Turned]]"


class Turned:
    """What became of one domain's keys."""

    def __init__(self, domain: str, said: str, keys: Sequence[SigningKey], publish: Sequence[Record] = ()) -> None:
        self.domain = domain
        self.said = said
        self.keys = keys
        self.publish = publish


def rotate(
    domain: MaybeName = None,
    everywhere: Everywhere = False,
    activate: Activate = False,
    retire: Retire = False,
    unchecked: Unchecked = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Give a domain new keys to sign with.

    First new keys are made, which wait until you have published them. Then
    --activate lets them sign, and asks DNS before. The old ones stay published
    until nothing that they have signed is on its way any more: then --retire
    forgets them. The first keys of a domain sign at once.
    """
    if (domain is None) is not everywhere:
        raise typer.BadParameter("give either a domain or --all")
    if activate and retire:
        raise typer.BadParameter("--activate and --retire are two steps: one at a time")
    step: Step = _activated if activate else _retired if retire else _begun
    if unchecked and step is _begun:
        raise typer.BadParameter("--unchecked goes with --activate or --retire")

    async def work(store: Store, settings: Settings) -> list[Turned]:
        names = list(await store.accounts.domains()) if domain is None else [await ours(domain, store)]
        if not unchecked and step is not _begun:
            await _must_be_ripe(names, store, settings, step)
        return [await step(name, store, settings) for name in names]

    turned = with_store(config, data_dir, work)
    if json:
        print_json([_as_dict(one) for one in turned])
        return
    for one in turned:
        say(one.said)
    publish = [record for one in turned for record in one.publish]
    if publish:
        say("")
        tell(publish)


def _as_dict(one: Turned) -> dict[str, Any]:
    return {
        "domain": one.domain,
        "said": one.said,
        "keys": [as_dict(key) for key in one.keys],
        "publish": as_dicts(one.publish),
    }


async def _begun(domain: str, store: Store, settings: Settings) -> Turned:
    from mailsystem.store import KeyState

    there = await store.signing_keys.of(domain)
    new = [key for key in there if key.state is KeyState.WAITING]
    if new:  # whoever asks twice gets one answer
        said = f"keys wait for {domain} already: publish them, then: mailsystem domain rotate {domain} --activate"
    elif any(key.state is KeyState.ACTIVE for key in there):
        new = await made(domain, [key.selector for key in there], KeyState.WAITING, store)
        said = f"new keys wait for {domain}: publish them, then: mailsystem domain rotate {domain} --activate"
    else:
        new = await made(domain, [key.selector for key in there], KeyState.ACTIVE, store)
        said = f"mail from {domain} is signed from now on; publish the keys, and see: mailsystem doctor"
    publish = [record for record in records(domain, settings, new) if "._domainkey." in record.name]
    return Turned(domain, said, await store.signing_keys.of(domain), publish)


async def _activated(domain: str, store: Store, _: Settings) -> Turned:
    from mailsystem.mail.errors import NoSuchRecipient
    from mailsystem.store import KeyState

    try:
        there = await store.signing_keys.activate(domain)
    except NoSuchRecipient:
        return Turned(
            domain,
            f"no key waits for {domain}; make new ones: mailsystem domain rotate {domain}",
            await store.signing_keys.of(domain),
        )
    active = ", ".join(key.selector for key in there if key.state is KeyState.ACTIVE)
    return Turned(
        domain,
        f"mail from {domain} is signed with {active} from now on; leave the old records in DNS until"
        f" mailsystem domain rotate {domain} --retire says that they can go",
        there,
    )


async def _retired(domain: str, store: Store, _: Settings) -> Turned:
    from mailsystem.store import KeyState

    gone = await store.signing_keys.remove(domain, KeyState.RETIRED)
    names = ", ".join(f"{key.selector}._domainkey.{domain}" for key in gone)
    said = f"no longer needed in DNS: {names}" if gone else f"no key of {domain} is retired"
    return Turned(domain, said, await store.signing_keys.of(domain))


async def _must_be_ripe(domains: Sequence[str], store: Store, settings: Settings, step: Step) -> None:
    """All or none: raises `Refused` where DNS does not have what shall sign, or what goes is needed yet."""
    from mailsystem.cli.published import NotPublished, must_be_published
    from mailsystem.store import KeyState

    keys = [key for domain in domains for key in await store.signing_keys.of(domain)]
    if step is _activated:
        try:
            await must_be_published([key for key in keys if key.state is KeyState.WAITING], settings)
        except NotPublished as error:
            raise Refused(f"{error}; publish it first, or say --unchecked") from None
        return
    # What was signed last may wait in our queue for as long, and is looked at when it arrives.
    ripe = store.clock.now() - settings.queue.lifetime
    for key in keys:
        if key.state is KeyState.RETIRED and key.changed > ripe:
            until = moment(key.changed + settings.queue.lifetime)
            raise Refused(f"mail signed with {key.selector} may be on its way until {until}; wait, or say --unchecked")
