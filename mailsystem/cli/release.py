"""`mailsystem release`: a message that a sink has caught, sent on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json, say
from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Store

_ID: Final = re.compile(r"M([1-9][0-9]{0,17})")

MessageId = Annotated[
    str, typer.Argument(metavar="MESSAGE", help="Its id, as `mailsystem find` and the page tell it: M12.")
]
To = Annotated[
    list[str],
    typer.Option("--to", metavar="ADDRESS", help="Who gets it; may be given several times.", show_default=False),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="ADDRESS", help="Who hears if that fails; who sent it, where nobody is named."),
]

epilog = examples("mailsystem release M12 --to ann@example.org")


def release(
    message: MessageId,
    to: To,
    sender: From = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Send a message that a sink has caught on to real people, as it came.

    Only addresses that the setting queue.sink_allow names are allowed. A sink
    that runs with that setting sends it at once.
    """
    recipients = [_address(each) for each in to]
    by = None if sender is None else _address(sender)

    async def work(store: Store, settings: Settings) -> str:
        from mailsystem.delivery import Delivery
        from mailsystem.directory import SinkDirectory
        from mailsystem.mail.mailbox import ContentId
        from mailsystem.mail.outgoing import releasable
        from mailsystem.telemetry import Trace

        match = _ID.fullmatch(message)
        if match is None:
            raise Refused(f"{message} is no id of a message; they are like M12")
        if await store.accounts.domains():
            raise Refused("this is a server's directory, and only a sink holds mail back; name that by --data-dir")
        refused = [str(each) for each in recipients if not releasable(each, settings.queue.sink_allow)]
        if refused:
            raise Refused(f"the setting queue.sink_allow does not name {', '.join(refused)}")
        directory = SinkDirectory(store, default_domain=settings.default_domain)
        delivery = Delivery(store, directory, hostname=settings.hostname, lifetime=settings.queue.lifetime)
        return await delivery.release(ContentId(int(match[1])), recipients, sender=by, trace=Trace())

    ident = with_store(config, data_dir, work, sink=True)
    if json:
        print_json({"queue_id": ident, "to": [str(each) for each in recipients]})
    else:
        say(f"{message} is in the queue as {ident}")


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except SyntaxFault as fault:
        raise Refused(f"{text} is not an address: {fault}") from None
