"""A whole message through all rules."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from mailsystem.checks.authentication import Sender, check_dmarc, check_spf
from mailsystem.checks.bulk import check_bulk, is_bulk
from mailsystem.checks.content import check_content
from mailsystem.checks.encodings import check_encodings
from mailsystem.checks.header import check_header
from mailsystem.checks.lines import check_header_octets, check_lines, with_line_ends
from mailsystem.checks.rule import Findings, Report, Result
from mailsystem.checks.rules import BY_ID, sending, writing
from mailsystem.checks.signatures import check_signatures, signatures_of, verify
from mailsystem.checks.structure import check_structure
from mailsystem.checks.zone import Zone
from mailsystem.mail.content import MAX_HEADER
from mailsystem.mail.reading import read


@dataclass(frozen=True, slots=True)
class Options:
    """What is known besides the message, and what is not wanted."""

    disabled: Collection[str] = ()
    """Ids of rules; unknown ones are a `ValueError`."""
    smtputf8: bool = False
    """Whether it travels with SMTPUTF8."""
    bulk: bool | None = None
    """Whether it goes to many; None lets its header tell."""
    zone: Zone | None = None
    """Whom to ask for keys and policies; None leaves SPF and DMARC out, and signatures unverified."""
    sender: Sender | None = None
    """Who sent it, for SPF."""
    html_support: float | None = None
    """Per cent of mail programs that should show each feature of its HTML; None leaves that out."""
    from_file: bool = False
    """Whether it may be a text file, in which lines end in LF alone."""
    now: float = field(default_factory=time.time)
    """Seconds since the epoch."""


def check(octets: bytes, *, options: Options | None = None) -> Report:
    """Look at a message with every rule.

    Takes any octets, and time in proportion to them, for which it blocks; with `RealZone` it waits for DNS too: on an event
    loop it belongs into a thread. Raises `ValueError` for options that make no sense, and `Missing` where SPF is wanted and
    pyspf is not installed.
    """
    options = options or Options()
    if unknown := set(options.disabled) - set(BY_ID):
        raise ValueError(f"there is no rule {', '.join(sorted(unknown))}")
    findings = Findings(options.disabled)
    if options.from_file:
        octets, converted = with_line_ends(octets)
        if converted:
            findings.add(writing.UNIX_LINE_ENDS)
    message = read(octets)
    check_lines(octets, findings)
    start, end = message.root.header
    check_header_octets(octets[start : min(end, start + MAX_HEADER)], findings, smtputf8=options.smtputf8)
    check_header(message, findings, now=options.now)
    check_encodings(message, findings)
    check_structure(message, findings)
    check_content(message, findings)
    if options.html_support is not None:
        from mailsystem.checks.showing import check_showing  # it has much to prepare

        check_showing(message, findings, least=options.html_support)
    signatures = signatures_of(message)
    check_signatures(signatures, findings, now=options.now)
    bulk = is_bulk(message) if options.bulk is None else options.bulk
    check_bulk(message, signatures, findings, bulk=bulk)
    results: list[Result] = []
    if options.zone is not None:
        verified = verify(message, signatures, options.zone, findings)
        if not signatures:
            findings.add(sending.DKIM_MISSING, header="DKIM-Signature")
        results += verified
        spf = None
        if options.sender is not None:
            spf = check_spf(options.sender, options.zone, findings)
            results.append(spf)
        dmarc = check_dmarc(
            message,
            None if spf is None or options.sender is None else (spf, options.sender.domain),
            list(zip(verified, signatures, strict=True)),
            options.zone,
            findings,
        )
        results += [dmarc] if dmarc is not None else []
    return Report(findings.told(), tuple(results))
