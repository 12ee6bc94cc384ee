"""`mailsystem doctor`: looks at the whole installation, changes nothing, and says what to do.

Each module has the checks of one side; all of them give `Finding`s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json

if TYPE_CHECKING:
    from mailsystem.cli.doctor.finding import Finding
    from mailsystem.settings import Loaded

Offline = Annotated[bool, typer.Option("--offline", help="Do not ask DNS about the domains.")]

epilog = examples(
    "mailsystem doctor", "mailsystem doctor --json", "mailsystem doctor --config /etc/mailsystem/mailsystem.toml"
)


def examine(offline: Offline = False, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Look at the installation and say what to do about what is wrong.

    It asks nobody but this machine and DNS, and changes nothing. Run it as the
    user that the servers run as. Exit status 1 where something is wrong.
    """
    from mailsystem.cli.doctor.finding import State
    from mailsystem.settings import load

    loaded = load({"data_dir": data_dir}, config=config)
    findings = []
    for finding in _checks(loaded, offline=offline):
        findings.append(finding)
        if not json:
            _tell(finding)
    sick = sum(finding.state is State.WRONG for finding in findings)
    odd = sum(finding.state is State.WARNING for finding in findings)
    if json:
        told = [{"check": f.check, "state": f.state, "said": f.said, "advice": f.advice} for f in findings]
        print_json({"ok": not sick, "wrong": sick, "warnings": odd, "findings": told})
    else:
        typer.echo(f"\n{len(findings)} checks, {sick} wrong, {odd} warning{'' if odd == 1 else 's'}")
    if sick:
        raise typer.Exit(1)


def _checks(loaded: Loaded, *, offline: bool) -> Iterator[Finding]:
    from mailsystem.cli.doctor import certificate, dns, doors, people, place
    from mailsystem.store import health

    settings = loaded.settings
    path = settings.data_dir
    yield place.secrets(loaded)
    yield place.hostname(settings.hostname)
    yield place.clock(path)
    yield from place.directory(path)
    usable = path.is_dir() and path.stat().st_uid == os.geteuid() and os.access(path, os.R_OK | os.W_OK | os.X_OK)
    if path.is_dir():
        yield place.disk(path, settings.limits.message_size)
    yield people.sqlite()
    whole = usable
    if usable:
        from mailsystem.cli.doctor.finding import State

        for finding in people.database(settings):
            yield finding
            whole = whole and finding.state is State.GOOD
    yield from certificate.certificates(settings)
    ours = []
    for door, finding, open_ in doors.ports(settings):
        yield finding
        if open_:
            ours.append(door)
    yield from doors.block_lists(settings)
    # Opening the store would bring an older schema forward, and make a database where there is none.
    if whole and health.database(path).exists():
        yield from people.residents(settings)
        yield doors.relay(settings, ours)
        if not offline:
            yield from dns.published(settings)
    elif whole:
        from mailsystem.cli.doctor.finding import wrong

        yield wrong("accounts", "there is no database, so nobody lives here yet", "mailsystem domain add example.org")


def _tell(finding: Finding) -> None:
    from rich.console import Console
    from rich.text import Text

    sign, colour = {"good": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}[finding.state]
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    console.print(Text.assemble((sign, f"bold {colour}"), " ", (finding.check, "bold"), "  ", finding.said))
    if finding.advice:
        console.print(Text.assemble("    → ", finding.advice))
