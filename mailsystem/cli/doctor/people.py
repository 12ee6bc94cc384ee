"""The database, those who live in it, and what waits there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from mailsystem.app import StartupError, opened
from mailsystem.cli.doctor.finding import Finding, good, warning, wrong
from mailsystem.cli.doctor.leaving import leaving
from mailsystem.directory import POSTMASTER, AccountsDirectory
from mailsystem.mail.address import Address
from mailsystem.mail.errors import InUse, MailError, OverQuota, Unavailable
from mailsystem.policy.relay import open_relay_reasons
from mailsystem.settings import Settings
from mailsystem.store import Store, health


def sqlite() -> Finding:
    version = ".".join(map(str, health.SQLITE))
    if health.SQLITE < health.OLDEST_SQLITE:
        return wrong("SQLite", f"{version} is too old", "use a Python with SQLite 3.35 or later")
    if health.SQLITE < health.WAL_RESET_FIXED:
        return good(
            "SQLite", f"{version}; its WAL-reset bug is kept away by our lock, so let no other program write to mail.db"
        )
    return good("SQLite", version)


def database(settings: Settings) -> Iterator[Finding]:
    """Whole, of a schema that we know, and set as it must be. The last one is good only where the store can be opened."""
    check = "database"
    path = health.database(settings.data_dir)
    if not path.exists():
        yield good(check, "none yet; the first start makes it")
        return
    try:
        found = health.examine(settings.data_dir)
    except Unavailable as error:
        yield wrong(check, str(error), "stop the servers and bring mail.db back from a backup")
        return
    if found.faults:
        yield wrong(check, f"it is damaged: {found.faults[0]}", "stop the servers and bring mail.db back from a backup")
    elif found.journal != "wal":
        yield wrong(check, f"its journal mode is {found.journal}, not wal", "restart a server: it sets that")
    elif not found.finished:
        yield good(check, "good as far as it was read in 20 seconds; journal wal, synchronous full")
    else:
        yield good(check, "whole; journal wal, synchronous full")
    if found.schema > health.NEWEST_SCHEMA:
        yield wrong(
            "schema",
            f"{found.schema}, from a newer program: this one knows {health.NEWEST_SCHEMA}",
            "update this program",
        )
    elif found.schema < health.NEWEST_SCHEMA:
        yield warning(
            "schema", f"{found.schema} of {health.NEWEST_SCHEMA}", "restart the servers: they bring it forward"
        )
    else:
        yield good("schema", f"{found.schema}, the newest")


def residents(settings: Settings) -> list[Finding]:
    """Domains, accounts and postmasters."""

    async def inside() -> list[Finding]:
        async with opened(settings) as store:
            return [finding async for finding in _residents(store, settings)]

    try:
        return asyncio.run(inside())
    except (StartupError, MailError) as error:
        return [wrong("accounts", str(error), "mend what stands above, and ask again")]


async def _residents(store: Store, settings: Settings) -> AsyncIterator[Finding]:
    listed = await store.accounts.domain_list()
    domains = {domain.name for domain in listed} | ({settings.default_domain} - {""})
    people = await store.accounts.list()
    if not domains:
        yield wrong("domains", "there is none, so all mail is refused", "mailsystem domain add example.org")
    else:
        yield good("domains", ", ".join(sorted(domains)[:5]) + (" …" if len(domains) > 5 else ""))
    if not settings.default_domain:
        yield warning(
            "default domain",
            f"there is none, so postmaster alone (RFC 5321 4.5.1) is {f'that of {min(domains)}' if domains else 'nobody'},"
            " and a login must be a full address",
            f"set default_domain{f' to {min(domains)}' if domains else ''}",
        )
    elif settings.default_domain not in {domain.name for domain in listed}:
        yield warning(
            "default domain",
            f"{settings.default_domain} was never added",
            f"mailsystem domain add {settings.default_domain}",
        )
    else:
        yield good("default domain", settings.default_domain)
    if people:
        yield good("accounts", str(len(people)))
    else:
        name = settings.default_domain or min(domains, default="example.org")
        yield wrong("accounts", "there is none, so nobody can get mail", f"mailsystem user add ann@{name}")
    directory = AccountsDirectory(store, default_domain=settings.default_domain)
    for domain in sorted(domains):
        yield await _postmaster(directory, domain)
    reasons = open_relay_reasons(
        domains=domains,
        aliases=[(alias.address, alias.targets) for alias in await store.accounts.aliases()],
        catch_alls=[(domain.name, domain.catch_all) for domain in listed if domain.catch_all],
        proxies=settings.proxies,
        host=settings.host,
    )
    for reason in reasons:
        yield wrong("open relay", reason, "do that before the next start")
    yield await leaving(store)


async def _postmaster(directory: AccountsDirectory, domain: str) -> Finding:
    """RFC 5321 4.5.1: every domain has a postmaster."""
    check, address = f"postmaster of {domain}", f"{POSTMASTER}@{domain}"
    try:
        await directory.resolve(Address(POSTMASTER, domain))
    except (OverQuota, InUse) as error:
        return warning(check, f"mail for {address} has to wait: {error}", "mailsystem user list")
    except MailError:
        return wrong(
            check,
            f"nobody reads {address}, which every domain must have (RFC 5321 4.5.1)",
            f"mailsystem alias add {address} somebody@{domain}",
        )
    return good(check, "is somebody")
