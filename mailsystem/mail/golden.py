"""A message in the one spelling in which two of them are compared: what changes each time it is made is masked.

`normal` is what snapshots keep. Two messages that look and lead alike have the same one, whatever their boundaries,
encodings, dates and ids are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final

from mailsystem.mail.extraction import links_of
from mailsystem.mail.hypertext import Page
from mailsystem.mail.reading import Piece, Reading
from mailsystem.mail.words import decoded, transferred

DROPPED: Final = frozenset(
    b"""return-path received x-received delivered-to x-original-to dkim-signature domainkey-signature authentication-results
    received-spf arc-seal arc-message-signature arc-authentication-results mime-version content-type
    content-transfer-encoding""".split()
)
"""Fields that are added on the way, or that the list of parts tells."""
MASKED: Final = {
    b"date": "<date>",
    b"message-id": "<message-id>",
    b"in-reply-to": "<message-id>",
    b"references": "<message-ids>",
    b"resent-date": "<date>",
    b"resent-message-id": "<message-id>",
    b"content-id": "<content-id>",
}
"""Fields of which only it is told that they are there."""
MOST_FIELDS: Final = 2_000
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_RANDOM = re.compile(r"[A-Za-z0-9_\-.~%]{16,}+")
_OF_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"]++", re.IGNORECASE)
_CID = re.compile(r"\bcid:[^\s\"'<>)]++", re.IGNORECASE)

Mask = tuple[re.Pattern[str], str]
"""A pattern and what stands for all it matches, as in `re.sub`."""


def normal(message: Reading, *, masks: Sequence[Mask] = ()) -> str:
    """Its fields, its parts, its text and what its HTML shows, its links and images, as lines that end in LF.

    Ids and long random words in addresses of pages are masked; `masks` are applied to all lines after that.
    """
    text = "\n".join(line.rstrip() for line in _lines(message))
    for pattern, instead in masks:
        text = pattern.sub(instead, text)
    return text.rstrip("\n") + "\n"


def _lines(message: Reading) -> Iterator[str]:
    for raw, value in message.fields[:MOST_FIELDS]:
        name = raw.lower()
        if name not in DROPPED:
            shown = "-".join(word.capitalize() for word in name.decode("ascii", "replace").split("-"))
            yield f"{shown}: {MASKED.get(name) or _masked(' '.join(decoded(value).split()))}"
    yield ""
    yield "== parts"
    for piece in message.pieces:
        yield "  " * piece.depth + _part(message, piece)
    for piece in message.plain:
        yield ""
        yield f"== text {piece.section}"
        yield from _masked(message.text(piece.part)).rstrip("\n").split("\n")
    for piece, page in message.pages:
        yield ""
        yield f"== HTML {piece.section}"
        yield from _masked(page.text).split("\n")
        yield from _images(page)
    links = links_of(message)
    if links:
        yield ""
        yield "== links"
        for link in links:
            words = f"{' '.join(_masked(link.text).split())} -> " if link.kind == "html" else ""
            yield f"{words}{_masked(link.url)}"


def _part(message: Reading, piece: Piece) -> str:
    part = piece.part
    told = [f"{part.type}/{part.subtype}"]
    if disposition := message.disposition(part):
        told.append(disposition)
    if part.filename:
        told.append(f'"{part.filename}"')
    is_read = part.type == "text" and any(part is one.part for one in message.texts)
    if not (is_read or part.children):
        # Text is the same with either kind of line end.
        octets = transferred(message.body(part, 1 << 62), part.encoding)
        if part.type == "text":
            octets = octets.replace(b"\r\n", b"\n")
        told.append(f"{len(octets)} octets")
        told.append(f"sha256 {hashlib.sha256(octets).hexdigest()[:16]}")
    return ", ".join(told)


def _images(page: Page) -> Iterator[str]:
    for image in page.images:
        alt = "no alt" if image.alt is None else f'"{" ".join(image.alt.split())}"'
        source = "data:" if image.source[:5].lower() == "data:" else _masked(image.source)
        yield f"[image {alt} {source}]"


def _masked(text: str) -> str:
    text = _UUID.sub("<uuid>", text)
    text = _CID.sub("cid:<content-id>", text)
    return _OF_URL.sub(_masked_url, text)


def _masked_url(match: re.Match[str]) -> str:
    scheme, slashes, rest = match[0].partition("://")
    host, slash, path = rest.partition("/") if slashes else scheme.partition("/")
    masked = _RANDOM.sub(_token, path)
    return f"{scheme}{slashes}{host}{slash}{masked}" if slashes else f"{host}{slash}{masked}"


def _token(match: re.Match[str]) -> str:
    """A word that nobody writes: letters and digits in no order."""
    word = match[0]
    digits = sum(character.isdigit() for character in word)
    letters = [character for character in word if character.isalpha()]
    mixed = any(one.isupper() for one in letters) and any(one.islower() for one in letters) and "-" not in word
    return "<token>" if (digits >= 3 and letters) or digits >= 16 or (mixed and len(word) >= 24) else word
