"""What is left of a failed test's mail: each message as a file, and a page to look at them all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailsystem.testing.failing import table
from mailsystem.testing.message import Message
from mailsystem.testing.naming import file_name
from mailsystem.testing.postbox import row_of

if TYPE_CHECKING:
    import pytest

_STYLE: Final = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.2rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
article { border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 .8rem; }
dt { opacity: .65; } dd { margin: 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace; margin: .4rem 0; }
details { margin: .3rem 0; } summary { cursor: pointer; }
iframe { width: 100%; height: 26rem; border: 1px solid var(--line); border-radius: 6px; background: #fff; }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the page may do, and the messages in it: nothing runs, and nothing is fetched."""


def report(messages: Sequence[Message]) -> str:
    """The section in pytest's report."""
    return table([row_of(each) for each in messages]) if messages else "  no message has arrived"


def write(directory: Path, test: str, messages: Sequence[Message], why: str) -> Path:
    """Write all of it; returns where. What was there of an earlier run goes. Raises `OSError`."""
    place = directory / file_name(test)
    place.mkdir(parents=True, exist_ok=True)
    for old in [*place.glob("*.eml"), place / "report.html"]:
        old.unlink(missing_ok=True)
    names = []
    for number, message in enumerate(messages, 1):
        words = re.sub(r"[^A-Za-z0-9]+", "-", message.subject).strip("-").lower()[:40]
        names.append("-".join(filter(None, [f"{number:02}", words])) + ".eml")
        message.save(place / names[-1])
    (place / "report.html").write_text(_page(test, zip(names, messages, strict=True), why), encoding="utf-8")
    return place


def attach(config: pytest.Config, report: pytest.TestReport, place: Path) -> None:
    """Give what was written to the reports of other plugins as well, where they are: to pytest-html and Allure."""
    page, messages = place / "report.html", sorted(place.glob("*.eml"))
    html: Any = config.pluginmanager.get_plugin("html")
    if html is not None and hasattr(html, "extras"):
        shown = [html.extras.url(each.as_uri(), name=each.name) for each in messages]
        shown.insert(0, html.extras.url(page.as_uri(), name="mail"))
        report.extras = [*getattr(report, "extras", []), *shown]  # type: ignore[attr-defined]
    if config.pluginmanager.has_plugin("allure_pytest") and config.getoption("allure_report_dir", None):
        allure: Any = import_module("allure")
        allure.attach.file(page, name="mail", attachment_type=allure.attachment_type.HTML)
        for each in messages:
            allure.attach.file(each, name=each.name, attachment_type="message/rfc822", extension="eml")


def _page(test: str, messages: Iterable[tuple[str, Message]], why: str) -> str:
    shown = "\n".join(_article(name, message) for name, message in messages)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(_plain(test))}</title><style>{_STYLE}</style>\n<h1>{escape(_plain(test))}</h1>\n"
        f"<pre>{escape(_plain(why))}</pre>\n{shown or '<p>No message has arrived.</p>'}\n</html>\n"
    )


def _article(name: str, message: Message) -> str:
    envelope, session = message.envelope, message.session
    facts = {
        "From": message.sender,
        "To": ", ".join(message.to),
        "Arrived": message.arrived.isoformat(timespec="milliseconds"),
        "MAIL FROM": f"<{envelope.mail_from}>",
        "RCPT TO": ", ".join(f"<{each}>" for each in envelope.rcpt),
        "Client": f"{envelope.helo} {envelope.peer}".strip(),
        "TLS": envelope.tls or "none",
        "Login": envelope.login or "none",
        "Attachments": ", ".join(each.filename or each.type for each in message.attachments) or "none",
    }
    told = "".join(f"<dt>{term}</dt><dd>{escape(_plain(value))}</dd>" for term, value in facts.items())
    html = message.html
    frame = f'<details open><summary>HTML</summary><iframe sandbox srcdoc="{escape(html)}"></iframe></details>'
    return (
        f'<article><h2><a href="{name}">{escape(_plain(message.subject)) or "(no subject)"}</a></h2><dl>{told}</dl>'
        f"{frame if html else ''}"
        f"<details{'' if html else ' open'}><summary>Text</summary><pre>{escape(_plain(message.text))}</pre></details>"
        f"<details><summary>Session</summary><pre>{escape(_plain(session.transcript))}</pre></details>"
        f"<details><summary>Source</summary><pre>{escape(_plain(message.raw.decode('utf-8', 'replace')))}</pre></details>"
        "</article>"
    )


def _plain(text: str) -> str:
    """Without characters that no page may have."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text.replace("\r\n", "\n"))
