"""A message as octets: where its header and its parts are, and what IMAP tells of them (RFC 5322, RFC 2045, RFC 2046).

`scan` and `Scanner` take any octets, in pieces of any size, and never raise: what is not MIME is text. They search for
line ends and delimiters with the speed of C, keep no more than one header block, and never recurse.
"""

from __future__ import annotations

import re
from typing import Final

from mailsystem.mail.header import fields, of_structure
from mailsystem.mail.part import Facts, Part, record, text_of
from mailsystem.mail.structure import EMPTY_ENVELOPE, Described, describe, envelope, multipart
from mailsystem.mail.words import decoded

__all__ = ["Facts", "Part", "Scanner", "decoded", "fields", "scan", "text_of"]

MAX_DEPTH: Final = 100
"""Parts within parts; what is deeper is not looked into."""
MAX_PARTS: Final = 10_000
"""Parts of one message; what comes after them is in none."""
MAX_HEADER: Final = 256 << 10
"""Octets of one header block that are looked at."""
MAX_HEADERS: Final = 4 << 20
"""Octets of all header blocks that are looked at."""
MAX_SHOWN: Final = 4 << 20
"""Octets that parts may add to BODYSTRUCTURE; the rest show their type and size."""
MAX_DELIMITER: Final = 1000
"""Octets of a delimiter line, its line end included, that is believed; longer ones are text."""
MAX_CANDIDATES: Final = 1_000_000
"""Lines that are compared with the delimiters; behind them none is looked for."""

_LF: Final = 0x0A
_CR: Final = 0x0D
_BLANK_LINE = re.compile(rb"\n\r?\n")
_BLANK_LINE_OR_DELIMITER = re.compile(rb"\n(?:\r?\n|--)")


class _Node:
    """A part that is being scanned or was."""

    __slots__ = (
        "bodies", "body", "children", "delimiter", "described", "end", "envelope", "lines", "outer_search", "shadowed",
        "start", "structures",
    )  # fmt: skip

    described: Described
    outer_search: bytes
    shadowed: tuple[tuple[int, bool] | None, tuple[int, bool] | None]
    """Of a multipart whose delimiters are looked for: what the scanner looked for before."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.body = start
        """Where its body begins, once that is known."""
        self.end = start
        self.lines = 0
        """Line ends before its body; once it is closed, in its body."""
        self.children = 0
        self.bodies: list[bytes] = []
        """BODY and BODYSTRUCTURE of its children."""
        self.structures: list[bytes] = []
        self.envelope = EMPTY_ENVELOPE
        """Of the message inside."""
        self.delimiter = b""
        """Of a multipart whose delimiters are looked for."""


class Scanner:
    """Finds out the `Facts` about a message while it passes by. Cutting it into other pieces changes nothing."""

    def __init__(self) -> None:
        self._data: bytes | bytearray = bytearray()
        """Octets that are still of interest; positions below are within it unless they are named offsets."""
        self._base = 0
        """Offset of `_data` in the message."""
        self._at = 0
        """Where to search on. The octet before is kept."""
        self._counted = 0
        self._lines = 0
        """Line ends in the message before `_counted`."""
        self._head: bytes | None = None
        """The beginning of a header block that is longer than what is looked at."""
        root = _Node(0)
        self._nodes = [root]
        """All parts, parents before children."""
        self._open = [root]
        """From the root down to where we are."""
        self._in_header = True
        self._fresh = True
        """Nothing is known of the first line yet."""
        self._delimiters: dict[bytes, tuple[int, bool]] = {}
        """Delimiter lines: depth of the multipart, and whether it is its last."""
        self._search = b""
        """What all of them begin with, line break included."""
        self._count = 1
        """Parts so far, and the place that is kept for the first child of each container."""
        self._looking = True
        """For delimiters; until a limit is reached."""
        self._candidates = 0
        self._looked = 0
        self._shown = 0
        """How much of each of the limits is used up."""
        self._envelope = EMPTY_ENVELOPE

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next octets of the message."""
        self._data += data
        self._run(final=False)
        self._forget()

    def close(self) -> Facts:
        """The message is complete."""
        self._run(final=True)
        size = len(self._data)
        self._count_lines(size)
        if self._in_header:
            self._end_header(size)
        end = self._base + size
        while self._open:
            end = self._close_part(end)
        root = self._nodes[0]
        return Facts(
            self._base + size,
            root.body,
            self._envelope,
            root.structures[0],
            root.bodies[0],
            f"[{','.join([_record_of(node) for node in self._nodes])}]".encode(),
        )

    def _run(self, *, final: bool) -> None:
        data, at = self._data, self._at
        if self._fresh:
            if not final and (not data or data == b"\r"):
                return
            self._fresh = False
            # Every other header follows a line; this one does not, so that an empty one is seen here.
            if data[:1] == b"\n" or data[:2] == b"\r\n":
                at = data.index(b"\n")
                self._enter_body(at + 1)
        while True:
            if self._in_header:
                stop = (_BLANK_LINE_OR_DELIMITER if self._delimiters else _BLANK_LINE).search(data, at)
                if stop is None:
                    at = max(at, len(data) - 2)
                    break
                found = stop.start()
                at = stop.end() - 1
                if data[at] == _LF:
                    self._enter_body(at + 1)
                    continue
            elif self._delimiters:
                found = data.find(self._search, at)
                if found < 0:
                    at = max(at, len(data) - len(self._search) + 1)
                    break
            else:
                at = max(at, len(data))
                break
            line_end = data.find(b"\n", found + 1, found + 1 + MAX_DELIMITER)
            delimiter = None
            if line_end < 0 and len(data) > found + MAX_DELIMITER:
                at = found + 1
            elif line_end < 0 and not final:
                at = found
                break
            else:
                at = len(data) if line_end < 0 else line_end
                # RFC 2046 5.1.1: white space behind a delimiter is transport padding.
                delimiter = self._delimiters.get(bytes(data[found + 1 : at]).rstrip(b" \t\r"))
            self._candidates += 1
            if delimiter is not None:
                self._delimited(found, at, *delimiter)
            if self._candidates == MAX_CANDIDATES:
                self._stop_looking()
        self._at = at

    def _forget(self) -> None:
        """Drop the octets that nothing will be asked about any more."""
        keep = max(self._at - 1, 0)
        if self._in_header:
            start = self._open[-1].start - self._base
            if self._head is None and len(self._data) - start > MAX_HEADER:
                self._head = bytes(self._data[start : start + MAX_HEADER])
            if self._head is None:
                keep = min(keep, start)
        if keep:
            self._count_lines(keep)
            del self._data[:keep]  # type: ignore[union-attr]
            self._base += keep
            self._at -= keep
            self._counted -= keep

    def _count_lines(self, position: int) -> None:
        if position > self._counted:
            self._lines += lines_in(self._data[self._counted : position])
            self._counted = position

    def _enter_body(self, position: int) -> None:
        """The header of the innermost part ends at `position`."""
        self._count_lines(position)
        self._end_header(position)
        node = self._open[-1]
        described = node.described
        if described.boundary is not None:
            self._look_for(node, b"--" + described.boundary)
        elif described.holds_message:
            self._open_part(node.body)

    def _end_header(self, position: int) -> None:
        """Read the header of the innermost part, which ends at `position` with or without a blank line."""
        self._in_header = False
        node = self._open[-1]
        start = node.start - self._base
        node.body = max(node.start, self._base + position)
        node.lines = self._lines
        head, self._head = self._head, None
        if head is None:
            head = bytes(self._data[start : min(position, start + MAX_HEADER)])
        elif position - start < MAX_HEADER:
            head = head[: position - start]
        self._looked += len(head)
        if self._looked > MAX_HEADERS:
            head = b""
        found = of_structure(head)
        depth = len(self._open)
        opaque = depth >= MAX_DEPTH or self._count >= MAX_PARTS
        if depth == 1:
            described = describe(found, opaque=opaque)
            self._envelope = envelope(found)
        else:
            parent = self._open[-2]
            in_digest = parent.described.subtype == "digest" and parent.described.type == "multipart"
            described = describe(found, in_digest=in_digest, opaque=opaque)
            if parent.described.holds_message and self._shown < MAX_SHOWN:
                parent.envelope = envelope(found)
                self._shown += len(parent.envelope)
            self._shown += len(described.front) + len(described.extension)
            if self._shown > MAX_SHOWN:
                described = described.bare()
        if described.type == "multipart" or described.holds_message:
            self._count += 1
        node.described = described

    def _open_part(self, start: int) -> None:
        parent = self._open[-1]
        parent.children += 1
        if parent.children > 1:
            self._count += 1
        node = _Node(start)
        self._nodes.append(node)
        self._open.append(node)
        self._in_header = True

    def _delimited(self, found: int, line_end: int, depth: int, last: bool) -> None:
        """A delimiter line of the multipart at `depth`, from the line break at `found` to the one at `line_end`."""
        after = self._base + min(line_end + 1, len(self._data))
        innermost = self._open[-1]
        if self._in_header and not last and len(self._open) == depth + 1 and innermost.start == self._base + found + 1:
            innermost.start = after  # one delimiter twice: by RFC 2046 5.1.1 there is no part in between
            return
        self._count_lines(found)
        line_break = found - 1 if found and self._data[found - 1] == _CR else found
        if self._in_header:
            self._end_header(line_break)
        end = self._base + line_break
        while len(self._open) > depth:
            end = self._close_part(end)
        if last:
            self._look_no_more(self._open[-1])
        elif self._count >= MAX_PARTS and self._open[-1].children:
            self._stop_looking()
        else:
            self._open_part(after)

    def _close_part(self, end: int) -> int:
        """The innermost part ends at the offset `end`, or where its own header or parts do, which is returned."""
        node = self._open[-1]
        end = max(end, node.body)
        described = node.described
        if described.type == "multipart" or described.holds_message:
            if node.delimiter:
                self._look_no_more(node)
            if not node.children:
                self._add_text(node, end)
        self._open.pop()
        node.end = end
        node.lines = self._lines - node.lines
        if described.type == "multipart":
            body = multipart(described, node.bodies)
            structure = multipart(described, node.structures)
        elif described.holds_message:
            size = end - node.body
            body = b"%b %d %b %b %d" % (described.front, size, node.envelope, node.bodies[0], node.lines)
            structure = b"%b %d %b %b %d" % (described.front, size, node.envelope, node.structures[0], node.lines)
        elif described.type == "text":
            body = structure = b"%b %d %d" % (described.front, end - node.body, node.lines)
        else:
            body = structure = b"%b %d" % (described.front, end - node.body)
        holder = self._open[-1] if self._open else node
        if holder is node:
            node.bodies, node.structures = [], []
        holder.bodies.append(b"(%b)" % body)
        holder.structures.append(b"(%b%b)" % (structure, described.extension))
        return end

    def _add_text(self, node: _Node, end: int) -> None:
        """Give a multipart or message without anything inside it all it has as text: the grammar wants one part."""
        inside = _Node(node.body)
        inside.described = describe({})
        inside.lines = node.lines
        self._nodes.append(inside)
        self._open.append(inside)
        node.children = 1
        self._close_part(end)

    def _look_for(self, node: _Node, delimiter: bytes) -> None:
        """From here on, look for the delimiters of the multipart `node` too."""
        if not self._looking:
            return
        known = self._delimiters
        last = delimiter + b"--"
        node.delimiter = delimiter
        node.shadowed = (known.get(delimiter), known.get(last))
        node.outer_search = self._search
        depth = len(self._open)
        # The innermost wins where two use the same boundary.
        known[delimiter] = (depth, False)
        known[last] = (depth, True)
        search = b"\n" + delimiter
        self._search = _shared(self._search, search) if self._search else search

    def _look_no_more(self, node: _Node) -> None:
        known, delimiter = self._delimiters, node.delimiter
        node.delimiter = b""
        if known:
            for line, outer in zip((delimiter, delimiter + b"--"), node.shadowed, strict=True):
                if outer is None:
                    del known[line]
                else:
                    known[line] = outer
            self._search = node.outer_search

    def _stop_looking(self) -> None:
        """A limit is reached: what follows belongs to the parts that are open."""
        self._looking = False
        self._delimiters, self._search = {}, b""


def lines_in(octets: bytes | bytearray) -> int:
    """How many line ends there are: leaving them out goes from one to the next, counting them octet by octet."""
    return len(octets) - len(octets.replace(b"\n", b"")) if len(octets) > 4096 else octets.count(b"\n")


def _shared(one: bytes, other: bytes) -> bytes:
    """What both begin with."""
    length = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        length += 1
    return one[:length]


def _record_of(node: _Node) -> str:
    described = node.described
    return record(
        described.type,
        described.subtype,
        node.start,
        node.body,
        node.end,
        node.lines,
        described.encoding,
        described.charset,
        described.filename,
        node.children,
    )


def scan(raw: bytes) -> Facts:
    """The `Facts` about a whole message."""
    scanner = Scanner()
    scanner._data = raw
    return scanner.close()
