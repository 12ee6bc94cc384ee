"""What a door needs to know about people, whoever keeps them; and how a login is spelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeAlias

from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.mailbox import INBOX, AccountId
from mailsystem.mail.sasl import Ask, Credentials

Claimed: TypeAlias = Callable[[str], Awaitable[None]]
"""Is told who somebody says they are before it is looked into, and may raise `TooMany`. Empty: only a token tells."""


class Target(NamedTuple):
    """Where mail for an address goes."""

    account: AccountId
    mailbox: str = INBOX
    gathers: bool = False
    """Of a sink: a copy of what is for many, for whoever looks at all of it."""


class Away(NamedTuple):
    """An address of another server."""

    address: Address
    by: str = ""
    """The domain of ours by which it was reached: that of an alias; empty where it was meant from the first."""
    back: bool = False
    """It was told by a return path of ours: reports go there, and nothing else."""


class Directory(Protocol):
    """What a door needs to know about people."""

    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        """Who this is. Raises `AuthFailed`, the same for a wrong password and an unknown login."""
        ...

    def mechanisms(self, *, secure: bool, binding: bool) -> tuple[str, ...]:
        """The SASL mechanisms that are offered, the strongest first.

        `secure` is whether a password may be said there, `binding` whether the channel can be bound (RFC 5056).
        """
        ...

    async def authenticate(
        self,
        mechanism: str,
        initial: bytes | None,
        ask: Ask,
        *,
        peer: Peer,
        binding: bytes | None,
        claimed: Claimed | None = None,
    ) -> Account:
        """Lead a SASL exchange to its end; `initial` is the client's initial response in base64, if it sent one.

        Raises `AuthFailed`, which knows the login that was claimed, `SyntaxFault` (also where the mechanism is not
        offered), `Cancelled` and `NotPermitted`.
        """
        ...

    def login_key(self, name: str) -> str:
        """A login in its one spelling, as it is kept. Raises `SyntaxFault`."""
        ...

    async def record_login(self, who: Account | str, *, door: str, peer: Peer, ok: bool, mechanism: str) -> None:
        """Note that somebody logged in as `who`, or tried to, for the owner of the account to see. Costs no time."""
        ...

    async def resolve(
        self, address: Address, *, sending: bool = False, login: str | None = None, octets: int = 0
    ) -> tuple[Target | Away, ...]:
        """Whose mailboxes mail for `address` goes to, here and elsewhere; `login` is who brings it.

        Raises `NoSuchRecipient` where nobody has it, `OverQuota` where somebody has no room for so many `octets`, and `InUse`
        where mail has to wait until an account or a domain is enabled again. Raises `NotPermitted` where the domain is not
        ours, unless it is for one of our own people who is `sending`: no relaying.
        """
        ...

    async def return_path(self, sender: Address, by: str) -> Address:
        """What `sender` becomes where mail is sent on that was for somebody in `by`, one of our domains.

        The next server takes that from us, as it may not take the name of a foreign domain, and what fails comes back here.
        """
        ...

    async def may_send(self, account: Account, sender: Address) -> bool:
        """Whether mail from `sender` may be sent by who logged in: an address that leads to them, or anything if they may."""
        ...

    def forget(self) -> None:
        """Look everything up anew from now on: something turned out to be stale."""
        ...


def login_name(name: str, default_domain: str) -> str:
    """The login as it is kept: a full address, case folded; a bare name gets the default domain. Raises `SyntaxFault`."""
    return Address.parse(name if "@" in name else f"{name}@{default_domain}").key
