"""Whose signature a message gets before it leaves, once: it is kept with the message."""

from __future__ import annotations

from mailsystem.mail import header
from mailsystem.mail.outgoing import Outgoing
from mailsystem.mailauth.signing import Signer, signing_domain
from mailsystem.queue.letter import Letter
from mailsystem.store import Store

_MOST_HEAD = 256 << 10


class Signatures:
    """Signs what people here have written, and our own reports; never in the name of somebody here what was only forwarded."""

    def __init__(self, signer: Signer, store: Store, default_domain: str = "") -> None:
        self._signer = signer
        self._store = store
        self._default_domain = default_domain

    async def signature(self, message: Outgoing, letter: Letter) -> bytes:
        """DKIM-Signature fields with their line ends; none where no domain of ours answers for it."""
        ours = {*await self._store.accounts.domains(), self._default_domain} - {""}
        head = await self._store.contents.read(message.content, letter.start, letter.start + _MOST_HEAD)
        author = next((value for name, value in header.fields(head) if name.lower() == b"from"), b"")
        domain = signing_domain(author, message.sender, ours, written_here=bool(message.login) or not message.sender)
        return await self._signer.sign(letter.octets(), domain) if domain else b""
