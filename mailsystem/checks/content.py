"""What readers see: text and HTML, images, links, and what was forgotten in a template."""

from __future__ import annotations

import ipaddress
import re
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from mailsystem.checks.rule import Findings, shown
from mailsystem.checks.rules import content
from mailsystem.mail.extraction import links_of
from mailsystem.mail.hypertext import Page
from mailsystem.mail.reading import Piece, Reading
from mailsystem.mail.words import transferred

CLIPPED: Final = 102 * 1024
"""Octets of HTML that Gmail shows."""
LEAST_WORDS: Final = 10
"""Words of the HTML below which it is not compared with the text."""
LEAST_SHARED: Final = 0.3
"""Of the words of the HTML that stand in the text too."""
MOST_WORDS: Final = 20_000

_WORD = re.compile(r"[^\W\d_]{3,40}+")
_URL = re.compile(r"(?:https?://|www\.)\S++", re.IGNORECASE)
_SHOWN_HOST = re.compile(
    r"\s*+(?:https?://)?+((?:[A-Za-z0-9-]{1,63}\.){1,10}[A-Za-z]{2,24})(?::\d{1,5})?+(?:[/?#]\S*+)?+\s*+", re.IGNORECASE
)
_PLACEHOLDERS = re.compile(
    r"\{\{[^{}\n]{1,60}\}\}|\{%[^{}\n]{1,60}%\}|\$\{[^{}\n]{1,60}\}|<%[^<>\n]{1,60}%>|%%[A-Za-z_]\w{0,40}%%"
    r"|\*\|[A-Z_:]{2,40}\|\*|\[\[[A-Za-z_][\w. ]{0,40}\]\]"
    r"|\b(?:Hello|Hi|Dear|Hey|Hallo|Liebe|Lieber|Bonjour|Hola),? (?:None|null|undefined|NaN)\b|\[object Object\]"
)
_LOCAL_NAMES: Final = ("localhost", "localdomain", "local", "internal", "lan", "home.arpa", "invalid", "corp")
_SCRIPTS: Final = ("javascript:", "vbscript:", "data:")


def check_content(message: Reading, findings: Findings) -> None:
    _texts(message, findings)
    for piece, page in message.pages:
        _html(message, piece, page, findings)
    _links(message, findings)
    _placeholders(message, findings)


def _texts(message: Reading, findings: Findings) -> None:
    written, html = message.written, message.shown
    if not written.strip() and not html.strip():
        images = any(page.images for _, page in message.pages)
        if not images and not any(True for _ in message.attachments()):
            findings.add(content.BODY_EMPTY)
        elif images and not written.strip():
            findings.add(content.TEXT_MISSING, part=message.htmls[0].section)
        return
    if not message.htmls:
        return
    if not written.strip():
        findings.add(
            content.TEXT_MISSING,
            "the plain text is empty" if message.plain else "",
            part=message.htmls[0].section,
        )
        return
    seen: set[str] = set()
    for piece in message.texts:
        if piece.within == "alternative":
            parent = piece.section.rpartition(".")[0]
            if piece.part.subtype == "plain" and parent in seen:
                findings.add(content.ALTERNATIVE_ORDER, part=piece.section)
            elif piece.part.subtype != "plain":
                seen.add(parent)
    words, others = _words(html), _words(written)
    if len(words) >= LEAST_WORDS:
        shared = len(words & others) / len(words)
        if shared < LEAST_SHARED:
            told = f"{shared:.0%} of the words in the HTML are in the plain text"
            findings.add(content.TEXT_DIFFERS, told, part=message.plain[0].section)


def _words(text: str) -> set[str]:
    without = _URL.sub(" ", text)
    return {match[0].casefold() for match in islice(_WORD.finditer(without), MOST_WORDS)}


def _html(message: Reading, piece: Piece, page: Page, findings: Findings) -> None:
    size = len(transferred(message.body(piece.part, 1 << 62), piece.part.encoding))
    if size > CLIPPED:
        findings.add(content.HTML_CLIPPED, f"the HTML has {size / 1024:.0f} kB", part=piece.section)
    # What counts who reads is no picture that anybody describes.
    for image in page.images:
        if image.alt is None:
            told = f"{shown(image.source, 80) or 'an image without a source'} has no alt"
            findings.add(content.ALT_MISSING, told, part=piece.section)
        if not image.sized:
            told = f"{shown(image.source, 80) or 'an image'} has neither width nor height"
            findings.add(content.IMAGE_UNSIZED, told, part=piece.section)
    remote = [url for url in page.fetched if url[:8].lower().startswith(("http://", "https://")) or url[:2] == "//"]
    if remote:
        hosts = sorted({_host(url) for url in remote} - {""})
        files = "1 file is" if len(remote) == 1 else f"{len(remote)} files are"
        told = f"{files} loaded from {shown(', '.join(hosts[:5]))}{', …' if len(hosts) > 5 else ''}"
        findings.add(content.REMOTE_CONTENT, told, part=piece.section)
    if page.active:
        told = f"the HTML has {shown(', '.join(page.active[:8]))}"
        findings.add(content.ACTIVE_CONTENT, told, part=piece.section)


def _host(url: str) -> str:
    """Of an absolute address, in lower case; empty where it has none."""
    try:
        return (urlsplit(url if "//" in url[:9] else "http://" + url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _links(message: Reading, findings: Findings) -> None:
    for piece, page in message.pages:
        for anchor in page.anchors:
            if anchor.url in ("", "#"):
                words = f": {shown(anchor.text, 60)}" if anchor.text else ""
                findings.add(content.LINK_EMPTY, f"a link leads nowhere{words}", part=piece.section)
        for image in page.images:
            if is_local(image.source):
                findings.add(content.LINK_LOCAL, f"an image lies at {shown(image.source, 80)}", part=piece.section)
    for link in links_of(message):
        scheme = link.url.lstrip()[:12].lower()
        if scheme.startswith(_SCRIPTS):
            findings.add(content.SCRIPT_LINK, f"a link leads to {shown(link.url, 60)}", part=link.part)
        elif is_local(link.url):
            findings.add(content.LINK_LOCAL, f"a link leads to {shown(link.url, 80)}", part=link.part)
        if link.kind == "html" and scheme.startswith(("http://", "https://", "//")):
            match = _SHOWN_HOST.fullmatch(link.text[:2000])
            if match is not None and not _alike(match[1].lower(), _host(link.url)):
                told = f"a link shows {shown(match[1], 60)} and leads to {shown(_host(link.url), 60)}"
                findings.add(content.LINK_DISGUISED, told, part=link.part)


def _alike(one: str, other: str) -> bool:
    """Whether a reader would take two hosts for the same: `www.` in front makes no difference."""
    return one.removeprefix("www.") == other.removeprefix("www.")


def is_local(url: str) -> bool:
    """Whether nobody but the sender can open the address: it names a private host."""
    if not url[:8].lower().startswith(("http://", "https://")):
        return False
    host = _host(url)
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        pass
    if not host:
        return True
    return "." not in host or host.endswith(tuple("." + name for name in _LOCAL_NAMES))


def _placeholders(message: Reading, findings: Findings) -> None:
    places = [("", message.header("Subject") or "", "Subject")]
    places += [(piece.section, message.text(piece.part), None) for piece in message.plain]  # type: ignore[misc]
    places += [(piece.section, page.text, None) for piece, page in message.pages]  # type: ignore[misc]
    for part, text, header in places:
        for match in islice(_PLACEHOLDERS.finditer(text), 50):
            findings.add(content.PLACEHOLDER, f"{shown(match[0], 60)} was not filled", part=part, header=header)
