"""How the commands of the queue are told which mail is meant."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, domain_name
from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault

if TYPE_CHECKING:
    from mailsystem.store import Changed, Selection

Id = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="A message, by the id that its sender was told and that stands in Received."),
]
Recipient = Annotated[
    str | None, typer.Argument(metavar="[RECIPIENT]", help="One of its recipients; all of them if none is named.")
]
ToDomain = Annotated[str | None, typer.Option("--domain", metavar="DOMAIN", help="Mail for recipients in this domain.")]
FromSender = Annotated[
    str | None,
    typer.Option("--sender", metavar="ADDRESS", help="Mail of this sender or login; <> is what reports come from."),
]
Everything = Annotated[bool, typer.Option("--all", help="All that waits.")]


class Standing(StrEnum):
    """What may be asked of a recipient."""

    WAITING = "waiting"
    HELD = "held"


def selection(
    ident: str | None = None,
    recipient: str | None = None,
    *,
    domain: str | None = None,
    sender: str | None = None,
    state: Standing | None = None,
) -> Selection:
    """What was asked for. Raises `Refused` for what is no address or domain."""
    from mailsystem.mail.outgoing import State
    from mailsystem.store import Selection

    return Selection(
        ident=ident,
        recipient=None if recipient is None else address(recipient),
        domain=None if domain is None else domain_name(domain),
        sender=None if sender is None else _sender(sender),
        state=None if state is None else State(state.value),
    )


def one_of_them(
    ident: str | None, recipient: str | None, domain: str | None, sender: str | None, everything: bool
) -> None:
    """Raises `BadParameter` where nobody can know what is meant."""
    if everything and (ident or domain or sender):
        raise typer.BadParameter("--all is everything; it goes with no id, --domain or --sender")
    if not (everything or ident or domain or sender):
        raise typer.BadParameter("say which mail is meant: by its id, --domain, --sender or --all")
    if recipient and not ident:
        raise typer.BadParameter("a recipient goes with the id of a message")


def address(text: str) -> Address:
    """Raises `Refused`."""
    try:
        return Address.parse(text)
    except SyntaxFault as fault:
        raise Refused(f"{text} is not an address: {fault}") from None


def unknown(ident: str) -> str:
    """That no such message waits."""
    return (
        f"no message {ident} waits; those that do: mailsystem queue list; what became of it: mailsystem trace {ident}"
    )


def amount(changed: Changed) -> str:
    """`2 recipients of 1 message`."""
    return f"{plural(changed.recipients, 'recipient')} of {plural(changed.messages, 'message')}"


def plural(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _sender(text: str) -> str:
    return "" if text in {"<>", ""} else str(address(text))
