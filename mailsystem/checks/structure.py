"""The MIME tree: delimiters, depth, what `cid:` leads to, attachments (RFC 2046, RFC 2387, RFC 2392)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from mailsystem.checks.rule import Findings, shown
from mailsystem.checks.rules import content
from mailsystem.mail.header import media_type, parameter, without_comments
from mailsystem.mail.reading import Piece, Reading

DEEPEST: Final = 10
"""Levels that are usual."""
_REFUSED: Final = """
    ade adp apk appx appxbundle bat cab chm cmd com cpl dex diagcab diagcfg diagpack dll dmg ex ex_ exe hta img ins iso isp
    jar jnlp js jse lib lnk mde msc msi msix msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vhd vxd wsc wsf wsh xll
"""
DANGEROUS: Final = frozenset(_REFUSED.split())
"""Ends of file names that large providers refuse."""

_LONGEST_PADDING: Final = 1000
_MIME_TYPES: Final = ("application/x-msdownload", "application/x-msdos-program", "application/hta", "application/x-sh")
_ESCAPED_CID = re.compile(r"^cid:", re.IGNORECASE)


def check_structure(message: Reading, findings: Findings) -> None:
    """Every part, those of messages within this one too."""
    deepest = max(message.pieces, key=lambda piece: piece.depth)
    if deepest.depth > DEEPEST:
        findings.add(content.NESTED_DEEPLY, f"parts are nested {deepest.depth} levels deep", part=deepest.section[:60])
    for piece in message.pieces:
        value = message.field_of(piece.part, "Content-Type")
        read = media_type(value) if value else None
        if read is not None and read[0] == "multipart":
            named = parameter(read[2], b"boundary")
            _multipart(message, piece, named.octets.rstrip() if named else b"", findings)
        _attachment(piece, findings)
    _content_ids(message, findings)


def _multipart(message: Reading, piece: Piece, boundary: bytes, findings: Findings) -> None:
    if not boundary:
        findings.add(content.BOUNDARY_MISSING, part=piece.section)
        return
    if piece.part.type != "multipart":
        return  # too deep, or encoded: nobody has looked for its parts
    start, end = piece.part.body
    delimiter = b"--" + boundary
    first = message.octets.find(delimiter, start, end)
    if first < 0:
        findings.add(content.MULTIPART_EMPTY, f"the boundary {shown(boundary, 70)} never occurs", part=piece.section)
    elif not _is_closed(message.octets, delimiter + b"--", start, end):
        findings.add(content.MULTIPART_OPEN, f"the boundary {shown(boundary, 70)} is never closed", part=piece.section)


def _is_closed(octets: bytes, delimiter: bytes, start: int, end: int) -> bool:
    """Whether the line is there; it is looked for from the end, where it should be."""
    at = octets.rfind(delimiter, start, end)
    while at >= 0:
        if at == start or octets[at - 1 : at] == b"\n":
            # No more of it than blanks that somebody may have put there: the line may be as long as the message.
            behind = octets[at + len(delimiter) : min(end, at + len(delimiter) + _LONGEST_PADDING)]
            if not behind.partition(b"\n")[0].strip():
                return True
        at = octets.rfind(delimiter, start, at)
    return False


def _attachment(piece: Piece, findings: Findings) -> None:
    part = piece.part
    name = (part.filename or "").rstrip(". ").lower()
    extension = name.rpartition(".")[2] if "." in name else ""
    if extension in DANGEROUS:
        findings.add(content.DANGEROUS, f"{shown(part.filename or '', 80)} is attached", part=piece.section)
    elif f"{part.type}/{part.subtype}" in _MIME_TYPES:
        findings.add(content.DANGEROUS, f"a file of type {part.type}/{part.subtype} is attached", part=piece.section)


def _content_ids(message: Reading, findings: Findings) -> None:
    known: dict[str, Piece] = {}
    for piece in message.pieces:
        value = message.field_of(piece.part, "Content-ID")
        if value is None or piece.foreign:
            continue
        name = without_comments(value).strip().strip(b"<>").decode("utf-8", "replace")
        if name in known:
            told = f"parts {known[name].section} and {piece.section} have the Content-ID {shown(name, 60)}"
            findings.add(content.CID_DUPLICATE, told, part=piece.section)
        known.setdefault(name, piece)
    used: set[str] = set()
    for html, page in message.pages:
        for url in (*page.fetched, *(anchor.url for anchor in page.anchors)):
            if not _ESCAPED_CID.match(url):
                continue
            name = unquote(url[4:])  # RFC 2392 2
            if name not in known and name not in used:
                findings.add(content.CID_BROKEN, f"no part has the Content-ID {shown(name, 80)}", part=html.section)
            used.add(name)
    if not message.pages:
        return
    for name, piece in known.items():
        inline = piece.within == "related" or message.disposition(piece.part) == "inline"
        if name not in used and inline and piece.part.type == "image":
            findings.add(content.CID_UNUSED, f"nothing shows cid:{shown(name, 60)}", part=piece.section)
