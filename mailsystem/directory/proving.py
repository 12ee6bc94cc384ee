"""What every door does about a proof of who somebody is: wait for it, and note how it went."""

from __future__ import annotations

from collections.abc import Awaitable

from mailsystem.directory.protocol import Directory
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed
from mailsystem.telemetry import Trace


async def proven(
    directory: Directory, proving: Awaitable[Account], trace: Trace, *, peer: Peer, mechanism: str, login: str = ""
) -> Account:
    """The account, noted as logged in at the trace's door; `login` is what was claimed, where `proving` does not say it.

    Raises `AuthFailed`, which is noted too, and `MailError`.
    """
    try:
        account = await proving
    except AuthFailed as failure:
        login = failure.login or login
        trace.event("login failed", login=login, mechanism=mechanism)
        await directory.record_login(login, door=trace.door, peer=peer, ok=False, mechanism=mechanism)
        raise
    await directory.record_login(account, door=trace.door, peer=peer, ok=True, mechanism=mechanism)
    return account
