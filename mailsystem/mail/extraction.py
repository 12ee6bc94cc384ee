"""What programs want from a message: its text and HTML, its links, one-time codes, and how to unsubscribe. Never raises.

Everything is bounded: of a message without end its beginning is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from mailsystem.mail.codes import Code, Passage, codes_in
from mailsystem.mail.header import unfolded, without_comments
from mailsystem.mail.reading import Piece, Reading

__all__ = ["Code", "Extract", "Link", "Unsubscribe", "extracted", "html_of", "links_of", "text_of", "unsubscribe_of"]

MOST_LINKS: Final = 10_000
"""Links of one message."""

_URL = re.compile(r"(?<![A-Za-z0-9])(?:https?://|mailto:|www\.)[^\s<>\"\x00-\x1f\x7f]{1,8000}+", re.IGNORECASE)
_WITHIN_ANGLES = re.compile(r"<(https?://[^<>]{1,8000}+)>", re.IGNORECASE)
_ENDS: Final = ".,;:!?'\"*_~`…»”’。、，！？"
_CLOSING: Final = {")": "(", "]": "[", "}": "{"}
_LIST_URI = re.compile(rb"<([^<>]{1,8000}+)>")
_ONE_CLICK = re.compile(rb"[ \t]*+List-Unsubscribe[ \t]*+=[ \t]*+One-Click[ \t]*+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """An address that somebody may go to."""

    url: str
    """As it is written there, character references resolved."""
    text: str
    """What is to be read on it; in plain text the address itself."""
    part: str
    """The number of the part, as IMAP counts."""
    kind: Literal["html", "text"]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """What List-Unsubscribe (RFC 2369) and List-Unsubscribe-Post (RFC 8058) say."""

    http: str | None
    """The first address for a browser, https before http."""
    mailto: str | None
    one_click: bool
    """Whether a POST to `http` is all it takes."""
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extract:
    links: tuple[Link, ...]
    """Those of the HTML first, each in the order in which it stands there; the same with the same words only once."""
    codes: tuple[Code, ...]
    """The likeliest first."""
    unsubscribe: Unsubscribe | None
    """None where the message has no List-Unsubscribe field."""


def extracted(message: Reading) -> Extract:
    """All of it."""
    return Extract(links_of(message), codes_of(message), unsubscribe_of(message))


def text_of(message: Reading) -> str:
    """The message as plain text: the text part it has, else what its HTML shows. Lines end in LF."""
    return message.written if message.written.strip() else message.shown


def html_of(message: Reading) -> str | None:
    """The first HTML part; None where there is none."""
    return message.text(message.htmls[0].part) if message.htmls else None


def links_of(message: Reading) -> tuple[Link, ...]:
    """Links in HTML and addresses in plain text."""
    found: dict[Link, None] = {}
    for piece, page in message.pages:
        for anchor in page.anchors:
            if anchor.url and not anchor.url.startswith("#") and len(found) < MOST_LINKS:
                found.setdefault(Link(anchor.url, anchor.text, piece.section, "html"))
    for piece in message.plain:
        for url in _urls(_unwrapped(message, piece)):
            if len(found) >= MOST_LINKS:
                break
            found.setdefault(Link(url, url, piece.section, "text"))
    return tuple(found)


def _unwrapped(message: Reading, piece: Piece) -> str:
    """RFC 3986 appendix C: an address in angle brackets may go on in the next line."""
    text = message.text(piece.part)
    return _WITHIN_ANGLES.sub(lambda match: "<" + re.sub(r"\s+", "", match[1]) + ">", text)


def _urls(text: str) -> list[str]:
    found = []
    for match in _URL.finditer(text):
        url = _without_end(match[0])
        if url.lower().startswith("www."):
            url = "http://" + url if len(url) > len("www.") else ""
        if url and not url.endswith(("://", "mailto")):
            found.append(url)
            if len(found) == MOST_LINKS:
                break
    return found


def _without_end(url: str) -> str:
    """An address without the punctuation of the sentence in which it stands, and without brackets that open before it."""
    open_ones = {closing: url.count(opening) - url.count(closing) for closing, opening in _CLOSING.items()}
    end = len(url)
    while end:
        last = url[end - 1]
        if last in _CLOSING and open_ones[last] < 0:
            open_ones[last] += 1
        elif last not in _ENDS:
            break
        end -= 1
    return url[:end]


def codes_of(message: Reading) -> tuple[Code, ...]:
    """One-time codes such as `123456`, `123-456`, `G-482913`, `ABCD-1234`, ranked."""
    passages = [Passage(message.header("Subject") or "", [])]
    passages += [Passage(page.text, page.strong) for _, page in message.pages]
    passages.append(Passage(message.written, []))
    return codes_in(passages)


def unsubscribe_of(message: Reading) -> Unsubscribe | None:
    """How to leave the list, and what is wrong with the way it is said."""
    values = message.values("List-Unsubscribe")
    posts = message.values("List-Unsubscribe-Post")
    if not values:
        return None
    errors: list[str] = []
    if len(values) > 1:
        errors.append("there is more than one List-Unsubscribe field")
    value = without_comments(unfolded(values[0]))
    uris = [re.sub(rb"\s+", b"", uri).decode("ascii", "replace") for uri in _LIST_URI.findall(value)[:100]]
    rest = _LIST_URI.sub(b"", value).replace(b",", b"").strip()
    if not uris:
        errors.append("List-Unsubscribe has no address in angle brackets")
    elif rest:
        errors.append("List-Unsubscribe has something outside of angle brackets")
    elif len(uris) > value.count(b">,") + value.count(b"> ,") + 1:
        errors.append("the addresses in List-Unsubscribe are not parted by commas")
    mailto = next((uri for uri in uris if uri.lower().startswith("mailto:")), None)
    secure = [uri for uri in uris if uri.lower().startswith("https://")]
    http = next(iter(secure), next((uri for uri in uris if uri.lower().startswith("http://")), None))
    if uris and mailto is None and http is None:
        errors.append("List-Unsubscribe leads neither to a web page nor to a mail address")
    if mailto is not None and "@" not in mailto:
        errors.append("the mailto: in List-Unsubscribe names no address")
    if http is not None and not re.match(r"https?://[^/?#\s]", http, re.IGNORECASE):
        errors.append("the address of the page in List-Unsubscribe names no host")
    one_click = _one_click(posts, secure, errors)
    return Unsubscribe(http, mailto, one_click, tuple(errors))


def _one_click(posts: list[bytes], secure: list[str], errors: list[str]) -> bool:
    """RFC 8058 3.1: one field with exactly this value, and exactly one https address to send it to."""
    if not posts:
        return False
    if len(posts) > 1:
        errors.append("there is more than one List-Unsubscribe-Post field")
    if not _ONE_CLICK.fullmatch(unfolded(posts[0])):
        errors.append("List-Unsubscribe-Post must be List-Unsubscribe=One-Click")
        return False
    if len(secure) != 1:
        errors.append("one click needs exactly one https address in List-Unsubscribe")
    return bool(secure)
