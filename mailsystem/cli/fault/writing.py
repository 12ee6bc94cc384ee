"""`mailsystem fault bounce` and its like: mail that answers a message, for those who must understand it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, full_address, with_store
from mailsystem.cli.options import Config, DataDir, examples
from mailsystem.cli.terminal import say

if TYPE_CHECKING:
    from mailsystem.faults import Writing
    from mailsystem.faults.generators import Occasion
    from mailsystem.mail.address import Address
    from mailsystem.settings import Settings
    from mailsystem.store import Store

To = Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Who gets it: whoever had sent the message.")]
By = Annotated[
    str, typer.Option("--from", metavar="ADDRESS", help="Whom the message was for; if not given, the first in its To.")
]
About = Annotated[Path, typer.Option("--about", metavar="FILE", help="File with the message that it is about (.eml).")]
Print = Annotated[bool, typer.Option("--print", help="Print it instead of delivering it.")]
Reply = Annotated[
    str, typer.Option("--reply", metavar="TEXT", help="What the other server said: a code, a status, a text.")
]


bounce_epilog = examples(
    "mailsystem fault bounce --to shop@example.org --about letter.eml",
    'mailsystem fault bounce --to a@x.org --about x.eml --reply "552 full"',
)


def bounce(
    to: To,
    about: About,
    by: By = "",
    reply: Reply = "550 5.1.1 no such user",
    only_print: Print = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Deliver a report that a message could not be delivered (RFC 3464)."""
    from mailsystem.faults.generators import bounce as made

    if not (reply[:3].isdigit() and reply[0] in "45"):
        raise Refused(f"{reply} is no refusal; write one like 550 5.1.1 no such user")
    _write("bounce", to, about, by, lambda occasion: made(occasion, reply=reply), only_print, config, data_dir)


autoreply_epilog = examples("mailsystem fault autoreply --to shop@example.org --about letter.eml")


def autoreply(
    to: To,
    about: About,
    by: By = "",
    only_print: Print = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Deliver an automatic reply, as of somebody on holiday (RFC 3834)."""
    from mailsystem.faults.generators import autoreply as made

    _write("autoreply", to, about, by, made, only_print, config, data_dir)


complaint_epilog = examples("mailsystem fault complaint --to shop@example.org --about letter.eml")


def complaint(
    to: To,
    about: About,
    by: By = "",
    only_print: Print = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Deliver a report of abuse, as of a provider's feedback loop (RFC 5965)."""
    from mailsystem.faults.generators import complaint as made

    _write("complaint", to, about, by, made, only_print, config, data_dir)


def _write(
    kind: Writing,
    to: str,
    about: Path,
    by: str,
    made: Callable[[Occasion], bytes],
    only_print: bool,
    config: Path | None,
    data_dir: Path | None,
) -> None:
    """Make what answers the message, and deliver it. Raises `Refused` where nothing may answer it."""
    try:
        message = about.read_bytes()
    except OSError as error:
        raise Refused(f"cannot read {about}: {error.strerror}") from None

    async def work(store: Store, settings: Settings) -> None:
        from mailsystem.faults.generators import Occasion, answers

        occasion = Occasion(
            to=full_address(to, settings),
            by=full_address(by, settings) if by else _first_recipient(message),
            message=_with_crlf(message),
            hostname=settings.hostname,
            now=store.clock.now(),
            token=secrets.token_hex(16),
        )
        if not answers(kind, occasion):
            raise Refused(f"{about} is mail of a program or of a list, which gets no {kind}")
        octets = made(occasion)
        if only_print:
            typer.echo(octets.replace(b"\r\n", b"\n").decode("utf-8", "replace"), nl=False)
            return
        await _deliver(store, settings, occasion.to, octets)
        say(f"{'an' if kind == 'autoreply' else 'a'} {kind} is in the mailbox of {occasion.to}")

    with_store(config, data_dir, work, sink=True)


async def _deliver(store: Store, settings: Settings, to: Address, octets: bytes) -> None:
    from mailsystem.delivery import Delivery
    from mailsystem.directory import SinkDirectory
    from mailsystem.telemetry import Trace

    if await store.accounts.domains():
        raise Refused(f"{settings.data_dir} holds a server's accounts, and this is for a sink; say --data-dir")
    directory = SinkDirectory(store, default_domain=settings.default_domain)
    await Delivery(store, directory, hostname=settings.hostname, reporting=False).report(to, octets, trace=Trace())


def _first_recipient(message: bytes) -> Address:
    from mailsystem.mail import header
    from mailsystem.mail.address import Address
    from mailsystem.mail.errors import SyntaxFault
    from mailsystem.mail.multipart_report import first

    for each in header.addresses(header.unfolded(first(message, b"to"))):
        try:
            return Address.parse(b"@".join([each.mailbox or b"", each.host or b""]).decode())
        except (SyntaxFault, UnicodeDecodeError):
            continue
    raise Refused("the message is to nobody; name with --from whom it was for")


def _with_crlf(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
