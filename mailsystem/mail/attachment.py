"""What is attached to a message, or shown within its text: told by what is known since it arrived, without reading it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailsystem.mail.part import Facts, Part
from mailsystem.mail.piece import numbered, pieces

_TOKEN = re.compile(rb'([()])|"((?:[^"\\]++|\\.)*+)"|\{([0-9]{1,9})\}\r\n|([^\s()"{]++)', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_NIL: Final = b"NIL"

_Node: TypeAlias = "bytes | list[_Node]"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part of a message that is a file, or an image of its text."""

    part: str
    """Its number as IMAP counts (RFC 9051 6.4.5.1): `2`, `1.3`."""
    type: str
    """Media type and subtype, in lower case."""
    filename: str | None
    """As somebody else chose it: it may hold slashes."""
    content_id: str | None
    """Without its angle brackets: what `cid:` names it by (RFC 2392)."""
    size: int
    """Octets as they are encoded."""
    inline: bool
    """It is shown within the text rather than beside it."""


def attachments(facts: Facts) -> list[Attachment]:
    """The attachments of a message, in their order; those of a message within it belong to that one.

    Text without a name is what the message says, not attached to it, unless it is marked so (RFC 2183 2.2). Images and sounds
    that are marked as inline, and whatever the text may name by a Content-ID, are inline; so is what has one beside a text to
    which it belongs (RFC 2387), whatever it is marked as.
    """
    if _has_none(facts):
        return []
    return of_tree(Part.load(facts.parts), facts.bodystructure)


def of_tree(root: Part, bodystructure: bytes) -> list[Attachment]:
    """The same of a message whose parts, or the first of them, are read already."""
    return list(_found(root, _tree(bodystructure)))


def _has_none(facts: Facts) -> bool:
    """Whether that is seen at once, as of most messages: texts without names."""
    if b'"ATTACHMENT"' in facts.bodystructure or b"{" in facts.bodystructure:
        return False
    return all(record[0] in ("text", "multipart") and record[8] is None for record in json.loads(facts.parts))


def _found(root: Part, structure: _Node) -> Iterator[Attachment]:
    shown_as: dict[str, _Node] = {}
    for piece in pieces(root):
        if piece.foreign:
            continue
        part = piece.part
        shown = structure if not piece.depth else shown_as.pop(piece.section, [])
        if part.type == "multipart":
            inside = [node for node in shown if isinstance(node, list)] if isinstance(shown, list) else []
            shown_as.update((numbered(piece.section, number), node) for number, node in enumerate(inside, 1))
            continue
        disposition, content_id = _marks(part, shown)
        media = part.type in ("image", "audio", "video")
        if part.type == "text" and part.filename is None and disposition != b"ATTACHMENT":
            continue
        inline = (piece.within == "related" or disposition != b"ATTACHMENT") and part.type not in ("text", "message")
        yield Attachment(
            piece.section,
            f"{part.type}/{part.subtype}",
            part.filename,
            content_id,
            part.body[1] - part.body[0],
            inline and (content_id is not None or (disposition == b"INLINE" and media)),
        )


def _marks(part: Part, shown: _Node) -> tuple[bytes, str | None]:
    """Content-Disposition in capitals, empty where there is none, and Content-ID, as BODYSTRUCTURE has them."""
    if not isinstance(shown, list):
        return b"", None
    # body-fld-dsp follows the MD5, which follows what only these types have (RFC 9051 9, `body-type-1part`).
    at = 8 + (1 if part.type == "text" else 3 if part.type == "message" and part.children else 0)
    marked = shown[at] if at < len(shown) else b""
    disposition = marked[0] if isinstance(marked, list) and marked else b""
    id_ = shown[3] if len(shown) > 3 else _NIL
    named = None if not isinstance(id_, bytes) or id_ == _NIL else id_.decode("utf-8", "replace").strip(" <>") or None
    return disposition if isinstance(disposition, bytes) else b"", named


def _tree(structure: bytes) -> _Node:
    """A parenthesised list as lists; whatever else stands behind it is left out."""
    top: list[_Node] = []
    stack = [top]
    at = 0
    while match := _TOKEN.search(structure, at):
        at = match.end()
        mark, quoted, literal, atom = match.groups()
        if mark == b"(":
            inner: list[_Node] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif mark == b")":
            stack.pop()
            if len(stack) == 1:
                break
        elif literal is not None:
            stack[-1].append(structure[at : at + int(literal)])
            at += int(literal)
        else:
            stack[-1].append(_ESCAPE.sub(rb"\1", quoted) if quoted is not None else atom)
    return top[0] if top else []
