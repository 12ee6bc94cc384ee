"""What `user`, `domain` and `alias` share: they open the same store as the servers, while those run."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from mailsystem.cli.terminal import at_prompt
from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.errors import MailError, NoSuchRecipient, SyntaxFault

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Store

T = TypeVar("T")
Work = Callable[["Store", "Settings"], Awaitable[T]]


class Refused(Exception):
    """What was asked for cannot be done; the text is one clear sentence that says what to do instead."""


def with_store(
    config: Path | None, data_dir: Path | None, work: Work[T], *, sink: bool = False, begins: bool = False
) -> T:
    """Run `work` on the store that the settings name, a server's or a `sink`'s. One that is not there is made for a
    sink, or by what `begins` one: a slip of the pen must not look like a server without any mail.

    Raises `SettingsError`, `StartupError`, `Refused`, `MailError`.
    """
    import asyncio

    from mailsystem.app import opened
    from mailsystem.settings import load

    settings = load({"data_dir": data_dir}, config=config, sink=sink).settings

    async def inside() -> T:
        async with opened(settings, parents=sink, begins=begins or sink) as store:
            return await work(store, settings)

    return asyncio.run(inside())


def full_address(text: str, settings: Settings) -> Address:
    """A login or address as somebody typed it; a bare name is completed by the default domain. Raises `Refused`."""
    if "@" not in text:
        if not settings.default_domain:
            raise Refused(f"{text} is not a full address; write {text}@example.org, or set default_domain")
        text = f"{text}@{settings.default_domain}"
    try:
        return Address.parse(text)
    except SyntaxFault as fault:
        raise Refused(f"{text} is not an address: {fault}") from None


def target_key(text: str) -> str:
    """What tells whom a target of an alias or a catch-all means, however it is spelled."""
    try:
        return Address.parse(text).key
    except SyntaxFault:
        return text


async def known_login(text: str, store: Store, settings: Settings) -> str:
    """The login of somebody who is here. Raises `Refused`."""
    login = full_address(text, settings).key
    try:
        return (await store.accounts.find(login)).login
    except NoSuchRecipient:
        raise Refused(unknown_login(login)) from None


async def is_here(address: str, store: Store) -> bool:
    """Whether mail for an address leads to somebody: a person, a further address, an alias."""
    route = await store.accounts.route(address, "")
    return route.account is not None or bool(route.targets)


def unknown_login(login: str) -> str:
    """That nobody here has that login."""
    return f"there is no {login} here; those who are: mailsystem user list"


def domain_name(text: str) -> str:
    """A domain in its normal spelling. Raises `Refused`."""
    try:
        name = normal_domain(text)
    except SyntaxFault:
        raise Refused(f"{text} is not a domain; write one like example.org") from None
    if name.startswith("["):
        raise Refused(f"{text} is an address literal, not a domain; write one like example.org")
    return name


async def is_ours(domain: str, store: Store, settings: Settings) -> bool:
    """Whether this server serves a domain."""
    return domain == settings.default_domain or domain in await store.accounts.domains()


async def must_be_ours(domain: str, store: Store, settings: Settings) -> None:
    """Raises `Refused` for a domain that this server does not serve; the default domain is always served."""
    if not await is_ours(domain, store, settings):
        raise Refused(
            f"{domain} is not one of this server's domains; if it should be, first run: mailsystem domain add {domain}"
        )


async def forget(address: str, store: Store) -> list[str]:
    """Take an address out of every alias that leads to it; an alias that leads nowhere then is removed. Gives those touched.

    A domain whose catch-all it was has none then.
    """
    touched = []
    for domain in await store.accounts.domain_list():
        if domain.catch_all and target_key(domain.catch_all) == address:
            await store.accounts.set_catch_all(domain.name, None)
    for alias in await store.accounts.aliases():
        left = [target for target in alias.targets if target_key(target) != address]
        if len(left) < len(alias.targets):
            touched.append(alias.address)
            if left:
                await store.accounts.set_alias(alias.address, left)
            else:
                await store.accounts.remove_alias(alias.address)
                touched += await forget(alias.address, store)
    return touched


async def or_refuse(doing: Awaitable[T], kind: type[MailError], sentence: str) -> T:
    """Await `doing`; a failure of that kind is told as `sentence`."""
    try:
        return await doing
    except kind:
        raise Refused(sentence) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost. Without a terminal to ask at, only `--yes` will do. Raises `Refused`."""
    if yes:
        return
    if not at_terminal():
        raise Refused("nothing was removed: without a terminal to ask at, --yes must say it")
    with at_prompt():
        if not typer.confirm(question, err=True):
            raise Refused("nothing was removed")


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()
