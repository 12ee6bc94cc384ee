"""`mailsystem domain dns`: the records to publish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailsystem.cli.accounts import Refused, domain_name, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json, say

if TYPE_CHECKING:
    from mailsystem.mailauth.records import Record
    from mailsystem.settings import Settings
    from mailsystem.store import SigningKey, Store

Name = Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain such as example.org.")]

dns_epilog = examples("mailsystem domain dns example.org", "mailsystem domain dns example.org --json")


def dns(domain: Name, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Print the records that DNS must have for a domain, as lines of a zone file."""

    async def work(store: Store, settings: Settings) -> tuple[list[Record], str]:
        name = await ours(domain, store)
        return records(name, settings, await store.signing_keys.of(name)), settings.hostname

    found, hostname = with_store(config, data_dir, work)
    if json:
        print_json(as_dicts(found))
    else:
        warn_of(hostname)
        tell(found)


async def ours(domain: str, store: Store) -> str:
    """A domain of this server in its normal spelling. Raises `Refused`."""
    name = domain_name(domain)
    if name not in await store.accounts.domains():
        raise Refused(unknown(name))
    return name


def unknown(name: str) -> str:
    return f"{name} is not one of this server's domains; those that are: mailsystem domain list"


def records(domain: str, settings: Settings, keys: Sequence[SigningKey]) -> list[Record]:
    """Raises `Refused` where a key cannot be read."""
    from mailsystem.mailauth.records import records_of

    try:
        return list(records_of(domain, settings.hostname, keys))
    except ValueError:
        raise Refused(f"a key of {domain} is broken; make others: mailsystem domain rotate {domain}") from None


def warn_of(hostname: str) -> None:
    """Where the records would name a host that nobody can find; as a comment, like all else in a zone file that is none."""
    from mailsystem.cli.doctor import place
    from mailsystem.cli.doctor.finding import State

    finding = place.hostname(hostname)
    if finding.state is not State.GOOD:
        say(f"; not yet to be published: {finding.said};")
        say(f"; {finding.advice}")


def tell(found: Sequence[Record]) -> None:
    """As a zone file; what each is for stands above it."""
    for record in found:
        say(f"; {record.purpose}")
        say(record.line)


def as_dicts(found: Sequence[Record]) -> list[dict[str, Any]]:
    return [
        {
            "name": record.name,
            "type": record.kind,
            "value": record.value,
            **({"strings": record.strings} if record.kind == "TXT" else {}),
            "purpose": record.purpose,
        }
        for record in found
    ]
