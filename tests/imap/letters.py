"""Messages made from a tree whose every section is known beforehand: what FETCH must give, without reading it back."""

from __future__ import annotations

from dataclasses import dataclass, field

Fields = list[tuple[bytes, bytes]]


@dataclass
class Leaf:
    """A part without parts."""

    fields: Fields
    body: bytes


@dataclass
class Multipart:
    fields: Fields
    parts: list[Leaf | Multipart | Enclosed]
    preamble: bytes = b""
    epilogue: bytes = b"\r\n"
    boundary: bytes = b""


@dataclass
class Enclosed:
    """message/rfc822"""

    fields: Fields
    inside: Leaf | Multipart | Enclosed


Node = Leaf | Multipart | Enclosed


@dataclass
class Letter:
    """A whole message, and what each of its sections holds."""

    root: Node
    raw: bytes = b""
    sections: dict[str, bytes] = field(default_factory=dict)
    """By the name that stands between the brackets; every one there is, but for lists of fields."""

    def __post_init__(self) -> None:
        self._boundaries = 0
        self._number(self.root)
        self.raw = b"".join(_written(self.root))
        self.sections[""] = self.raw
        self._message(self.root, "")

    def _number(self, node: Node) -> None:
        if isinstance(node, Multipart):
            self._boundaries += 1
            node.boundary = b"=_%d_=" % self._boundaries
            for part in node.parts:
                self._number(part)
        elif isinstance(node, Enclosed):
            self._number(node.inside)

    def _message(self, node: Node, prefix: str) -> None:
        header, body = _written(node)
        self.sections[prefix + "HEADER"] = header
        self.sections[prefix + "TEXT"] = body
        if isinstance(node, Multipart):
            for number, part in enumerate(node.parts, 1):
                self._part(part, f"{prefix}{number}")
        else:
            self._part(node, prefix + "1")

    def _part(self, node: Node, name: str) -> None:
        header, body = _written(node)
        self.sections[name] = body
        self.sections[name + ".MIME"] = header
        if isinstance(node, Multipart):
            for number, part in enumerate(node.parts, 1):
                self._part(part, f"{name}.{number}")
        elif isinstance(node, Enclosed):
            self._message(node.inside, name + ".")


def _written(node: Node) -> tuple[bytes, bytes]:
    """Header block and body."""
    fields = list(node.fields)
    match node:
        case Leaf():
            body = node.body
        case Multipart():
            fields.append((b"Content-Type", b' multipart/mixed; boundary="' + node.boundary + b'"'))
            delimiter = b"--" + node.boundary
            body = node.preamble
            for part in node.parts:
                body += b"\r\n" + delimiter + b"\r\n" + b"".join(_written(part))
            body += b"\r\n" + delimiter + b"--" + node.epilogue
        case Enclosed():
            fields.append((b"Content-Type", b" message/rfc822"))
            body = b"".join(_written(node.inside))
    return b"".join(name + b":" + value + b"\r\n" for name, value in fields) + b"\r\n", body


def picked(header: bytes, names: list[str], *, inverted: bool = False) -> bytes:
    """HEADER.FIELDS and HEADER.FIELDS.NOT, line by line."""
    wanted = {name.lower().encode() for name in names}
    out, keep = [], False
    for line in header.splitlines(keepends=True):
        if line == b"\r\n":
            out.append(line)
        elif line[:1] in b" \t":
            if keep:
                out.append(line)
        else:
            keep = (line.split(b":")[0].rstrip(b" \t").lower() in wanted) != inverted
            if keep:
                out.append(line)
    return b"".join(out)


def nested() -> Letter:
    """Two levels of multipart, a message within the message, and another within that."""
    text = Leaf([(b"Content-Type", b" text/plain")], b"first part\r\n")
    html = Leaf([(b"Content-Type", b" text/html; charset=utf-8")], "<b>zweiter Teil: ü</b>\r\n".encode())
    image = Leaf([(b"Content-Type", b" image/png"), (b"Content-Transfer-Encoding", b" base64")], b"iVBORw0KGgo=\r\n")
    innermost = Leaf([(b"Subject", b" innermost"), (b"To", b" zoe@example.org")], b"the innermost text\r\n")
    inner = Multipart(
        [(b"From", b" inner@example.org"), (b"Subject", b" inner")],
        [Leaf([], b"implicit text\r\n"), Enclosed([(b"Content-Description", b" deep")], innermost)],
        preamble=b"inner preamble",
    )
    alternative = Multipart([], [text, html])
    return Letter(
        Multipart(
            [
                (b"Received", b" from a by b;\r\n\tMon, 7 Feb 1994 21:52:25 -0800"),
                (b"Date", b" Mon, 7 Feb 1994 21:52:25 -0800 (PST)"),
                (b"From", b" Ann Lee <ann@example.org>"),
                (b"SUBJECT", b" a nested message,\r\n folded once"),
                (b"To", b" bob@example.org,\r\n carl@example.org"),
                (b"Received", b" from c by d; Mon, 7 Feb 1994 21:52:20 -0800"),
                (b"Message-Id", b" <nested@example.org>"),
                (b"MIME-Version", b" 1.0"),
            ],
            [alternative, image, Enclosed([(b"Content-Disposition", b" attachment")], inner), Leaf([], b"")],
            preamble=b"This is a message in several parts.",
            epilogue=b"\r\nthe epilogue\r\n",
        )
    )
