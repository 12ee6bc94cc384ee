"""Options that several commands share, so that they are named and explained once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Role(StrEnum):
    """A door that a process can be; the queue's leads outward."""

    SMTP = "smtp"
    POP3 = "pop3"
    IMAP = "imap"
    WEB = "web"
    QUEUE = "queue"
    POP2 = "pop2"
    POP1 = "pop1"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="File of settings to use instead of the mailsystem.toml that is found."
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIRECTORY", help="Where mail and accounts are kept.")
]
Host = Annotated[
    str | None, typer.Option("--host", metavar="ADDRESS", help="Address or name to listen on; * is every address.")
]
SmtpPort = Annotated[int | None, typer.Option("--smtp-port", metavar="PORT", help="Port for SMTP; 0 takes a free one.")]
Pop3Port = Annotated[int | None, typer.Option("--pop3-port", metavar="PORT", help="Port for POP3; 0 takes a free one.")]
ImapPort = Annotated[int | None, typer.Option("--imap-port", metavar="PORT", help="Port for IMAP; 0 takes a free one.")]
SubmissionPort = Annotated[
    str | None,
    typer.Option(
        "--submission-port", metavar="PORT", help="Port for submission with STARTTLS; 0 takes a free one, off none."
    ),
]
SubmissionsPort = Annotated[
    str | None,
    typer.Option(
        "--submissions-port", metavar="PORT", help="Port for submission under TLS; 0 takes a free one, off none."
    ),
]
LmtpPort = Annotated[
    str | None,
    typer.Option("--lmtp-port", metavar="PORT", help="Port for LMTP, on this machine only; 0 takes a free one."),
]
Pop3sPort = Annotated[
    str | None,
    typer.Option("--pop3s-port", metavar="PORT", help="Port for POP3 under TLS; 0 takes a free one, off none."),
]
ImapsPort = Annotated[
    str | None,
    typer.Option("--imaps-port", metavar="PORT", help="Port for IMAP under TLS; 0 takes a free one, off none."),
]
WebPort = Annotated[
    str | None,
    typer.Option(
        "--web-port", metavar="PORT", help="Port for the page and the REST interface; 0 takes a free one, off none."
    ),
]
Pop2Port = Annotated[
    int | None,
    typer.Option("--pop2-port", metavar="PORT", help="Port for POP2, where that is served; 0 takes a free one."),
]
Pop1Port = Annotated[
    int | None,
    typer.Option("--pop1-port", metavar="PORT", help="Port for POP1, where that is served; 0 takes a free one."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Processes that share the work; one for each core by default."),
]
SinkWorkers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes that share the work; one by default.")
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file",
        metavar="FILE",
        help="Write a JSON object with the pid and every listener's host and port, or path, into FILE once everything listens; "
        "the file is there as long as that is so.",
    ),
]
Format = Annotated[
    LogFormat | None, typer.Option("--log-format", help="Log lines for people (text) or machines (json).")
]
Level = Annotated[LogLevel | None, typer.Option("--log-level", help="The least important events that are logged.")]
Lines = Annotated[
    bool | None, typer.Option("--log-lines", help="Log every protocol line too, but never a password or a message.")
]
Login = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS", help="The person's full address, by which they log in; default_domain completes a bare name."
    ),
]
Defer = Annotated[
    bool,
    typer.Option("--defer", help="Refuse mail only for now, so that its senders keep it and try again for some days."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether that is really meant.")]


def examples(*lines: str) -> str:
    """An epilog of command lines."""
    told = (line.replace("[", "\\[") for line in lines)
    return "\n".join(["[bold]Examples[/bold]", *(f"[dim]  $[/dim] {line}" for line in told)])
