"""`mailsystem queue tls`: how well the way to each domain was protected, which mail to it must not fall short of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, domain_name, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import moment, print_json, print_table, say

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Store, TlsLevel

app = typer.Typer(
    help="The protection that each domain once had, and that mail to it is not sent without.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain such as example.net.")]


@app.command("list", epilog=examples("mailsystem queue tls list"))
def list_(json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """List the domains whose protection by TLS is remembered. Mail to such a domain waits rather than going with less.

    It was encrypted, with whomever, or also verified: the host has proven its name.
    """

    async def work(store: Store, _: Settings) -> list[TlsLevel]:
        return await store.tls_levels.all()

    found = with_store(config, data_dir, work)
    if json:
        print_json(
            [
                {
                    "domain": one.domain,
                    "level": one.level.name.lower(),
                    "since": moment(one.since),
                    "last": moment(one.last),
                }
                for one in found
            ]
        )
        return
    print_table(
        ["domain", "level", "since", "last seen"],
        [[one.domain, one.level.name.lower(), moment(one.since), moment(one.last)] for one in found],
        empty="nothing is remembered yet",
    )


@app.command(epilog=examples("mailsystem queue tls forget example.net"))
def forget(domain: Name, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Let mail go to a domain with less protection than it once had, after its server has lost that for good.

    A server that runs notices within a minute. What its next mail goes with is remembered anew.
    """

    async def work(store: Store, _: Settings) -> str:
        name = domain_name(domain)
        if not await store.tls_levels.forget(name):
            raise Refused(f"nothing is remembered of {name}; the domains that are: mailsystem queue tls list")
        return name

    name = with_store(config, data_dir, work)
    if json:
        print_json({"domain": name})
    else:
        say(f"forgot how mail to {name} was protected")
