"""`mailsystem check`: what is wrong with a message, for people and for CI."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.messages import Files, octets_of
from mailsystem.cli.options import AsJson, examples
from mailsystem.cli.terminal import print_json, say

if TYPE_CHECKING:
    from mailsystem.checks import Finding, Options, Report, Zone
    from mailsystem.checks.links import Tried

epilog = examples(
    "mailsystem check message.eml",
    "mailsystem check --format junit --fail-on warning mails/*.eml > report.xml",
    "mailsystem check --fail-on warning --disable wide-line message.eml",
    "mailsystem check --links message.eml",
    "mailsystem check --html-support 90 --fail-on warning message.eml",
    "mailsystem check --rules",
)


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"


class FailOn(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


def check(
    files: Files = None,
    format_: Annotated[Format, typer.Option("--format", help="For people (text), or for programs.")] = Format.TEXT,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="End with status 1 if something this bad or worse was found.")
    ] = FailOn.ERROR,
    disable: Annotated[
        list[str] | None, typer.Option("--disable", metavar="RULE", help="Leave this rule out; may be repeated.")
    ] = None,
    zone: Annotated[
        Path | None,
        typer.Option(
            "--zone",
            metavar="FILE",
            help="A zone file that stands for DNS: signatures are verified by the keys in it, SPF and DMARC evaluated.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    dns: Annotated[
        bool, typer.Option("--dns", help="Ask the real DNS instead. Without this nothing is asked.")
    ] = False,
    mail_from: Annotated[
        str, typer.Option("--mail-from", metavar="ADDRESS", help="The envelope sender, for SPF and DMARC.")
    ] = "",
    helo: Annotated[str, typer.Option("--helo", metavar="NAME", help="What the sending server calls itself.")] = "",
    ip: Annotated[
        str | None, typer.Option("--ip", metavar="ADDRESS", help="The address from which it is sent, for SPF.")
    ] = None,
    links: Annotated[
        bool, typer.Option("--links", help="Ask for every web address in the message, by HEAD or GET.")
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let --links ask this machine and private networks too.")
    ] = False,
    html_support: Annotated[
        float | None,
        typer.Option(
            "--html-support",
            metavar="PERCENT",
            min=0,
            max=100,
            help="Hold HTML and CSS against what mail programs show, and name what fewer than so many per cent of them do.",
        ),
    ] = None,
    smtputf8: Annotated[bool, typer.Option("--smtputf8", help="The message travels with SMTPUTF8.")] = False,
    bulk: Annotated[
        bool | None, typer.Option("--bulk/--no-bulk", help="It goes to many or not, whatever its header says.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List all rules with what they are about, and leave.")] = False,
    json: AsJson = False,
) -> None:
    """Look for what is wrong with messages: lines, header, encodings, parts, HTML, links, unsubscribing, DKIM, SPF, DMARC.

    Nothing is asked of the network unless --dns or --links say so. A file in
    which lines end in LF alone is taken for one that was saved as text.

    The exit status is 0 if nothing was found that --fail-on names, 1 if
    something was, and 2 for a command line, a file or a zone that cannot be read.
    """
    if rules:
        _print_rules(as_json=json or format_ is Format.JSON)
        return
    if not files:
        raise typer.BadParameter("which message? Name a file, or - for standard input", param_hint="FILE")
    from mailsystem.checks import Missing, Severity, check

    options = _options(disable or [], zone, dns, mail_from, helo, ip, smtputf8, bulk, html_support)
    reports: list[tuple[str, Report]] = []
    try:
        for file in files:
            octets = octets_of(file)
            report = check(octets, options=options)
            if links:
                report = _with_links(report, octets, options, allow_private)
            reports.append((str(file), report))
    except Missing as error:
        raise typer.BadParameter(str(error)) from None
    wanted = None if fail_on is FailOn.NEVER else Severity(fail_on)
    _print(reports, Format.JSON if json else format_, wanted, options)
    if wanted is not None and any(report.fails(wanted) for _, report in reports):
        raise typer.Exit(1)


def _options(
    disable: list[str],
    zone_file: Path | None,
    dns: bool,
    mail_from: str,
    helo: str,
    ip: str | None,
    smtputf8: bool,
    bulk: bool | None,
    html_support: float | None,
) -> Options:
    import ipaddress

    from mailsystem.checks import RULES, BadZone, GivenZone, Options, RealZone, Sender

    if unknown := sorted(set(disable) - {rule.id for rule in RULES}):
        raise typer.BadParameter(
            f"there is no rule {unknown[0]}; those that are: mailsystem check --rules", param_hint="--disable"
        )
    zone: Zone | None = RealZone() if dns else None
    if zone_file is not None:
        if dns:
            raise typer.BadParameter("either --zone or --dns")
        try:
            zone = GivenZone.read(zone_file)
        except (BadZone, OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(str(error), param_hint="--zone") from None
    sender = None
    if ip is not None:
        try:
            ipaddress.ip_address(ip)
        except ValueError:
            raise typer.BadParameter(f"{ip} is no IP address", param_hint="--ip") from None
        if zone is None:
            raise typer.BadParameter("--ip is for SPF, which needs --zone or --dns", param_hint="--ip")
        sender = Sender(ip, mail_from, helo)
    elif mail_from or helo:
        raise typer.BadParameter("SPF needs --ip, the address from which the message is sent", param_hint="--ip")
    return Options(
        disabled=frozenset(disable),
        smtputf8=smtputf8,
        bulk=bulk,
        zone=zone,
        sender=sender,
        html_support=html_support,
        from_file=True,
    )


def _with_links(report: Report, octets: bytes, options: Options, allow_private: bool) -> Report:
    import asyncio
    from dataclasses import replace

    from mailsystem.checks import Severity
    from mailsystem.checks.links import findings_of, try_links
    from mailsystem.mail.extraction import links_of, unsubscribe_of
    from mailsystem.mail.reading import read

    message = read(octets)
    urls = [link.url for link in links_of(message)]
    urls += [image.source for _, page in message.pages for image in page.images]
    leave = unsubscribe_of(message)
    # Opening that one may do what it is for.
    wanted = [url for url in urls if leave is None or url != leave.http]
    tried: list[Tried] = asyncio.run(try_links(wanted, allow_private=allow_private))
    order = list(Severity)
    findings = [*report.findings, *findings_of(tried, options.disabled)]
    return replace(report, findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))))


def _print(reports: list[tuple[str, Report]], form: Format, fail_on: object, options: Options) -> None:
    from mailsystem import __version__
    from mailsystem.checks import Severity
    from mailsystem.checks.reports import as_json, as_junit, as_sarif

    match form:
        case Format.JSON:
            print_json([{"file": name, **as_json(report)} for name, report in reports])
        case Format.SARIF:
            print_json(as_sarif(reports, __version__))
        case Format.JUNIT:
            worst = fail_on if isinstance(fail_on, Severity) else None
            typer.echo(as_junit(reports, worst, options.disabled), nl=False)
        case Format.TEXT:
            for name, report in reports:
                _print_report(name, report)


def _print_report(name: str, report: Report) -> None:
    from mailsystem.checks.rule import shown

    shown_name = shown(name, 500)
    for finding in report.findings:
        _print_finding(shown_name, finding)
    for result in report.results:
        say(f"{shown_name}: {result.method}={result.result} {result.detail}")
    counts = dict.fromkeys(("error", "warning", "info"), 0)
    for finding in report.findings:
        counts[str(finding.severity)] += 1
    if not report.findings:
        say(f"{shown_name}: nothing is wrong")
    else:
        told = [f"{count} {_plural(kind, count)}" for kind, count in counts.items() if count]
        say(f"{shown_name}: {', '.join(told)}")


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 or kind == "info" else kind + "s"


def _print_finding(name: str, finding: Finding) -> None:
    colours = {"error": "red", "warning": "yellow", "info": "blue"}
    line = f":{finding.where.line}" if finding.where.line is not None else ""
    place = ", ".join(
        one for one in (f"part {finding.where.part}" if finding.where.part else "", finding.where.header or "") if one
    )
    typer.echo(f"{name}{line}: ", nl=False)
    typer.secho(str(finding.severity), fg=colours[str(finding.severity)], bold=True, nl=False)
    typer.echo(f": {finding.message}" + (f" ({place})" if place else "") + f" [{finding.rule}]")
    if finding.hint:
        typer.echo(f"    {finding.hint}")


def _print_rules(*, as_json: bool) -> None:
    from mailsystem.checks import RULES

    if as_json:
        print_json(
            [
                {
                    "id": rule.id,
                    "severity": str(rule.severity),
                    "title": rule.title,
                    "explanation": rule.explanation,
                    "hint": rule.hint,
                    "source": rule.source,
                }
                for rule in RULES
            ]
        )
        return
    for rule in RULES:
        typer.secho(rule.id, bold=True, nl=False)
        say(f" ({rule.severity}): {rule.title}")
        say(f"    {rule.explanation}" + (f" {rule.hint}" if rule.hint else ""))
        if rule.source:
            say(f"    {rule.source}")
