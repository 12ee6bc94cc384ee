"""What DNS says about our domains: where their mail goes, and whether what they send can be believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from mailsystem.app import StartupError, opened
from mailsystem.cli.doctor.finding import Finding, good, warning, wrong
from mailsystem.cli.published import key_fault, resolver
from mailsystem.mail.errors import MailError
from mailsystem.queue.resolving import Answer, Dns, LookupFailed
from mailsystem.settings import Settings
from mailsystem.store import KeyState, SigningKey, Store

MOST_SILENT: Final = 2
"""Domains after which nothing more is asked where DNS does not answer."""
_ALONE: Final = {"127.0.0.1", "::1", "localhost"}


def published(settings: Settings) -> list[Finding]:
    """All domains, one after the other."""
    if settings.host in _ALONE and not settings.queue.nameservers:
        return [good("DNS", "not asked: this server is for this machine alone")]

    async def inside() -> list[Finding]:
        async with opened(settings) as store:
            return [finding async for finding in _published(store, settings)]

    try:
        return asyncio.run(inside())
    except (StartupError, MailError) as error:
        return [wrong("DNS", str(error), "mend what stands above, and ask again")]


async def _published(store: Store, settings: Settings) -> AsyncIterator[Finding]:
    asked = resolver(settings)
    try:
        yield await _host(settings.hostname, asked)
    except LookupFailed as error:
        yield warning(f"address of {settings.hostname}", f"DNS does not say: {error}", "look again later")
    silent = 0
    for domain in await store.accounts.domains():
        if silent == MOST_SILENT:
            yield warning("DNS", "it does not answer, and is asked no more", "see to it that this machine reaches DNS")
            return
        try:
            for finding in await _domain(domain, settings.hostname, await store.signing_keys.of(domain), asked):
                yield finding
        except LookupFailed as error:
            silent += 1
            yield warning(
                f"DNS of {domain}", f"it does not say: {error}", "look again later, or leave DNS out: --offline"
            )


async def _host(hostname: str, asked: Dns) -> Finding:
    """What MX records point to must have an address (RFC 5321 5.1). Raises `LookupFailed`."""
    check = f"address of {hostname}"
    answers = await asyncio.gather(asked.ask(hostname, "A"), asked.ask(hostname, "AAAA"))
    found = [record.value for answer in answers for record in answer.records]
    if not found:
        return warning(check, "DNS has none, so nobody can reach this server", "publish an A or AAAA record for it")
    return good(check, ", ".join(found[:3]))


async def _domain(domain: str, hostname: str, keys: Sequence[SigningKey], asked: Dns) -> list[Finding]:
    """Raises `LookupFailed`."""
    mx, texts, dmarc = await asyncio.gather(
        asked.ask(domain, "MX"), asked.ask(domain, "TXT"), asked.ask(f"_dmarc.{domain}", "TXT")
    )
    return [
        _mx(domain, hostname, mx),
        _spf(domain, texts),
        *[finding async for finding in _dkim(domain, keys, asked)],
        _dmarc(domain, dmarc),
    ]


def _advice(domain: str) -> str:
    return f"mailsystem domain dns {domain} tells what to publish"


def _mx(domain: str, hostname: str, answer: Answer) -> Finding:
    check = f"MX of {domain}"
    hosts = [record.value for record in answer.records]
    if not hosts:
        return warning(check, "there is none, so mail may not find the way here", _advice(domain))
    if hosts == ["."]:
        return warning(check, "it says that the domain takes no mail at all (RFC 7505)", _advice(domain))
    if hostname.lower().rstrip(".") not in hosts:
        told = ", ".join(hosts[:3])
        return warning(check, f"mail goes to {told}, and not to {hostname}", "set hostname, or publish an MX to it")
    return good(check, f"mail goes to {', '.join(hosts[:3])}")


def _spf(domain: str, answer: Answer) -> Finding:
    check = f"SPF of {domain}"
    found = [one.value for one in answer.records if one.value.lower().split(" ")[0] == "v=spf1"]
    if not found:
        return warning(check, "nothing says which servers send its mail", _advice(domain))
    if len(found) > 1:
        return wrong(check, "there are two records, so neither counts (RFC 7208 4.5)", "leave one of them")
    if found[0].lower().split() == ["v=spf1", "-all"]:
        return warning(check, "it says that nobody sends mail for the domain", _advice(domain))
    return good(check, found[0][:200])


async def _dkim(domain: str, keys: Sequence[SigningKey], asked: Dns) -> AsyncIterator[Finding]:
    check = f"DKIM of {domain}"
    signing = [key for key in keys if key.state is KeyState.ACTIVE]
    if not signing:
        yield warning(check, "no key signs its mail", f"mailsystem domain rotate {domain} makes the first")
    for key in signing:
        fault = await key_fault(key, asked)
        if fault is None:
            yield good(check, f"{key.selector} is published")
        elif fault.startswith("DNS has no"):
            yield warning(check, f"{fault}, so its signatures are worth nothing", _advice(domain))
        else:
            yield wrong(check, f"{fault}, so its signatures are bad", _advice(domain))
    waiting = [key for key in keys if key.state is KeyState.WAITING]
    if waiting and not any([await key_fault(key, asked) for key in waiting]):
        said = f"{', '.join(key.selector for key in waiting)} wait, and are published"
        yield warning(check, said, f"mailsystem domain rotate {domain} --activate")


def _dmarc(domain: str, answer: Answer) -> Finding:
    check = f"DMARC of {domain}"
    found = [one.value for one in answer.records if one.value.lower().replace(" ", "").startswith("v=dmarc1;")]
    if len(found) == 1:
        return good(check, found[0][:200])
    if found:
        return wrong(check, "there are two records, so neither counts (RFC 7489 6.6.3)", "leave one of them")
    return warning(check, "nothing says what becomes of mail that only claims to be from it", _advice(domain))
