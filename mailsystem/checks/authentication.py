"""SPF and DMARC: whether the sender may send for the domain, and whether that is the domain in From (RFC 7208, RFC 7489).

pyspf evaluates SPF; what it asks DNS goes to the zone that is given. Where an organisation's domain begins is found by the tree
walk of DMARC's next edition, which asks DNS and needs no list of public suffixes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mailsystem.checks.header import people
from mailsystem.checks.rule import Findings, Result, shown
from mailsystem.checks.rules import sending
from mailsystem.checks.zone import NotAnswered, Zone
from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.reading import Reading

if TYPE_CHECKING:
    from mailsystem.checks.signatures import Signature

MOST_LABELS: Final = 8
"""Labels of a domain at which the walk begins at most."""

_RECORD = re.compile(r"v\s*=\s*DMARC1\s*(?:;|\Z)")


class Missing(RuntimeError):
    """A library that comes with the extra `check` is not installed."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, as the server heard it."""

    ip: str
    mail_from: str = ""
    """Empty for the null reverse-path: then `helo` counts."""
    helo: str = ""

    @property
    def domain(self) -> str:
        """The domain that SPF is about."""
        return _domain(self.mail_from.rpartition("@")[2] if "@" in self.mail_from else self.helo)


def _domain(text: str) -> str:
    try:
        return normal_domain(text)
    except SyntaxFault:
        return ""


def check_spf(sender: Sender, zone: Zone, findings: Findings) -> Result:
    """RFC 7208 4. Raises `Missing`, and `ValueError` for what is no IP address."""
    ipaddress.ip_address(sender.ip)
    detail = (
        f"smtp.mailfrom={shown(sender.mail_from, 100)}" if sender.mail_from else f"smtp.helo={shown(sender.helo, 100)}"
    )
    if not sender.domain:
        return Result("spf", "none", detail)
    verdict, why = _spf(sender, zone)
    domain = shown(sender.domain, 80)
    if verdict in ("fail", "softfail"):
        findings.add(sending.SPF_FAIL, f"{domain} does not let {sender.ip} send for it: {verdict}")
    elif verdict == "permerror":
        findings.add(sending.SPF_BROKEN, f"the SPF record of {domain} is broken: {shown(why)}")
    elif verdict == "none":
        findings.add(sending.SPF_MISSING, f"{domain} has no SPF record")
    return Result("spf", verdict, detail)


def _spf(sender: Sender, zone: Zone) -> tuple[str, str]:
    try:
        import spf  # type: ignore[import-untyped]
    except ImportError as error:
        raise Missing("SPF needs pyspf; it comes with: pip install mailsystem[check]") from error

    class Query(spf.query):  # type: ignore[misc]
        """pyspf's own way to DNS is one for the whole process; this one asks the zone."""

        def dns(self, name: object, qtype: str, cnames: object = None, ignore_void: bool = False) -> list[Any]:
            try:
                found = self._asked(str(name), qtype)
            except NotAnswered as error:
                raise spf.TempError(str(error)) from error
            if not found and not ignore_void:
                self.void_lookups += 1
                if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                    raise spf.PermError(f"Void lookup limit of {spf.MAX_VOID_LOOKUPS} exceeded")
            return found

        @staticmethod
        def _asked(name: str, qtype: str) -> list[Any]:
            if qtype in ("TXT", "SPF"):
                return [(text.encode("utf-8"),) for text in zone.text(name)] if qtype == "TXT" else []
            found = zone.records(name, qtype)
            if qtype == "MX":
                parted = [value.split() for value in found]
                return [(int(one[0]), one[1].rstrip(".")) for one in parted if len(one) == 2 and one[0].isdigit()]
            return [value.rstrip(".") for value in found]

    local = sender.mail_from if "@" in sender.mail_from else ""
    query = Query(i=sender.ip, s=local, h=sender.helo or sender.domain, receiver="localhost", querytime=20)
    verdict, _, why = query.check()
    return str(verdict), str(why)


@dataclass(frozen=True, slots=True)
class Policy:
    """A DMARC record."""

    domain: str
    tags: dict[str, str]


def check_dmarc(
    message: Reading,
    spf: tuple[Result, str] | None,
    dkim: Sequence[tuple[Result, Signature]],
    zone: Zone,
    findings: Findings,
) -> Result | None:
    """RFC 7489 6.6. `spf` with the domain it is about. None where From names no one domain."""
    domains = {_domain((one.host or b"").decode("utf-8", "replace")) for one in people(message, "From")} - {""}
    if len(domains) != 1:
        return None
    [author] = domains
    detail = f"header.from={author}"
    walk = _Walk(zone)
    try:
        policy = walk.policy_of(author)
        if policy is None:
            told = f"the DMARC record of {author} cannot be read" if walk.broken else f"{author} has no DMARC record"
            findings.add(sending.DMARC_BROKEN if walk.broken else sending.DMARC_MISSING, told)
            return Result("dmarc", "permerror" if walk.broken else "none", detail)
        good = [
            signature.domain
            for result, signature in dkim
            if result.result == "pass" and walk.aligned(author, signature.domain, policy.tags.get("adkim", "r"))
        ]
        by_spf = (
            spf is not None and spf[0].result == "pass" and walk.aligned(author, spf[1], policy.tags.get("aspf", "r"))
        )
    except NotAnswered:
        return Result("dmarc", "temperror", detail)
    if good or by_spf:
        return Result("dmarc", "pass", detail)
    is_below = policy.domain != author
    wanted = policy.tags.get("sp", policy.tags["p"]) if is_below else policy.tags["p"]
    findings.add(sending.DMARC_FAIL, f"{_why(author, spf, dkim)}; the policy of {author} is {wanted}", header="From")
    return Result("dmarc", "fail", f"{detail} policy.dmarc={wanted}")


def _why(author: str, spf: tuple[Result, str] | None, dkim: Sequence[tuple[Result, Signature]]) -> str:
    passed = sorted({signature.domain for result, signature in dkim if result.result == "pass"})
    if passed:
        told = f"the good signature is of {shown(', '.join(passed), 60)}, not of {author}"
    elif dkim:
        told = "no signature is good"
    else:
        told = "there is no signature"
    if spf is None:
        return f"{told}, and SPF was not asked"
    if spf[0].result == "pass":
        return f"{told}, and SPF allows {shown(spf[1], 60)}, not {author}"
    return f"{told}, and SPF says {spf[0].result}"


class _Walk:
    """From a domain up to the one of its organisation, looking for records."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._records: dict[str, dict[str, str] | None] = {}
        self.broken = False

    def _record(self, domain: str) -> dict[str, str] | None:
        if domain not in self._records:
            found = [text for text in self._zone.text(f"_dmarc.{domain}") if _RECORD.match(text)]
            # RFC 7489 6.6.3: with several there is none.
            self._records[domain] = _tags(found[0]) if len(found) == 1 else None
            self.broken = self.broken or len(found) > 1
        return self._records[domain]

    def _up(self, domain: str) -> list[str]:
        labels = domain.split(".")
        names = [domain]
        rest = labels[1:] if len(labels) <= MOST_LABELS else labels[-(MOST_LABELS - 1) :]
        while rest:
            names.append(".".join(rest))
            rest = rest[1:]
        return names

    def organisation(self, domain: str) -> str:
        """The domain of the organisation; the domain itself where DNS tells of none."""
        highest = domain
        for number, name in enumerate(self._up(domain)):
            record = self._record(name)
            if record is None:
                continue
            if record.get("psd") == "n":
                return name
            if record.get("psd") == "y" and number:
                return ".".join(domain.split(".")[-(name.count(".") + 2) :])
            highest = name
        return highest

    def policy_of(self, author: str) -> Policy | None:
        for name in (author, self.organisation(author)):
            record = self._record(name)
            if record is not None:
                if record.get("p", "").lower() not in ("none", "quarantine", "reject"):
                    self.broken = True
                    return None
                return Policy(name, record)
        return None

    def aligned(self, author: str, other: str, mode: str) -> bool:
        """RFC 7489 3.1: the same domain, or where that is enough one of the same organisation."""
        if author == other:
            return True
        return mode.lower() != "s" and bool(other) and self.organisation(author) == self.organisation(other)


def _tags(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in text.split(";"):
        name, equals, value = tag.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found
