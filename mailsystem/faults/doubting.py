"""A directory that asks somebody else before it believes a proof: so a login can go wrong by a fault, whoever it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from mailsystem.directory import Directory
from mailsystem.mail.account import Account


class Doubting:
    """One session's directory. Everything but a login is as in the one behind it."""

    __slots__ = ("_ask", "_behind")

    def __init__(self, behind: Directory, ask: Callable[[Account], Awaitable[None]]) -> None:
        """`ask` is told who has proven to be that, and may raise what it likes."""
        self._behind = behind
        self._ask = ask

    @classmethod
    def of(cls, behind: Directory, ask: Callable[[Account], Awaitable[None]]) -> Directory:
        """The same, to be put in the place of the directory."""
        return cast(Directory, cls(behind, ask))

    async def login(self, *args: Any, **named: Any) -> Account:
        account = await self._behind.login(*args, **named)
        await self._ask(account)
        return account

    async def authenticate(self, *args: Any, **named: Any) -> Account:
        account = await self._behind.authenticate(*args, **named)
        await self._ask(account)
        return account

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)
