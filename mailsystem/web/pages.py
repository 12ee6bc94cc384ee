"""The page: files of this package, read once, packed once, and kept in memory.

`/` and everything that the page's own scripts route are the same document; `/<name>` is `<name>.html` if there is one. What
they load is named by what is in it: `/static/<digest>/main.js` never changes and may be kept for ever; for `/static/main.js`
one asks each time and hears 304. What has to be there before anything is seen can stand in the document itself, so that the
first paint waits for one answer; the policy then names it by its digest.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

HOME: Final = Path(__file__).parent / "pages"
DOCUMENT: Final = "index.html"
ROUTED: Final = ("/", "/m/{rest:path}", "/sessions", "/sessions/{rest:path}", "/faults", "/spaces", "/retention")
"""What `index.html` answers: its scripts read the rest of the address."""
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Encoding",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
_WORDS: Final = ("text/", "image/svg")
"""What is packed: all else is small already."""
_IMPORT: Final = re.compile(rb'^import .*? from "\./([\w.-]+)";$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A file as it is sent."""

    plain: bytes
    packed: bytes | None
    """With gzip; none where that would not make it smaller."""
    type: str
    etag: str
    policy: str
    """What it may load and run."""

    @classmethod
    def of(cls, name: str, octets: bytes, policy: str = CSP) -> Shipped:
        kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        is_words = kind.startswith(_WORDS)
        packed = gzip.compress(octets, 9, mtime=0) if is_words else octets
        return cls(
            octets,
            packed if len(packed) < len(octets) else None,
            f"{kind}; charset=utf-8" if is_words else kind,
            f'W/"{hashlib.sha256(octets).hexdigest()[:20]}"',
            policy,
        )


class Pages:
    """All files of the page, by their names."""

    def __init__(self, home: Path = HOME, base: str = "") -> None:
        """`base` is the path below which the page is, such as `/mail`."""
        self._home = home
        self._base = base

    @property
    def is_read(self) -> bool:
        """Whether the files are at hand; else asking for them blocks for a tenth of a second."""
        return "files" in self.__dict__

    @cached_property
    def files(self) -> Mapping[str, Shipped]:
        """Read when the first browser comes."""
        read = {path.name: path.read_bytes() for path in sorted(self._home.iterdir()) if path.is_file()}
        static = f"{self._base}/static/{self._digest(read)}/"
        return {
            name: _document(name, octets, self._base, static, read)
            if name.endswith(".html")
            else Shipped.of(name, octets)
            for name, octets in read.items()
        }

    @cached_property
    def digest(self) -> str:
        """Names the files as they are now."""
        return self._digest({name: file.plain for name, file in self.files.items() if not name.endswith(".html")})

    @staticmethod
    def _digest(files: Mapping[str, bytes]) -> str:
        whole = hashlib.sha256()
        for name, octets in sorted(files.items()):
            if not name.endswith(".html"):
                whole.update(b"%s\0%d\0%s" % (name.encode(), len(octets), octets))
        return whole.hexdigest()[:12]

    def answer(self, request: Request, name: str, digest: str | None = None) -> Response | None:
        """The file of that name, if there is one; it may be kept for ever if it was asked for by the digest that it has."""
        from starlette.responses import Response

        file = self.files.get(name)
        if file is None:
            return None
        keep = _FOR_EVER if digest is not None and digest == self.digest else _ASK_AGAIN
        headers = {**_HEADERS, "Content-Security-Policy": file.policy, "Cache-Control": keep, "ETag": file.etag}
        if file.etag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        body = file.plain
        if file.packed is not None and _takes_gzip(request.headers.get("accept-encoding", "")):
            body, headers["Content-Encoding"] = file.packed, "gzip"
        return Response(body, media_type=None, headers={**headers, "Content-Type": file.type})


def _document(name: str, document: bytes, base: str, static: str, files: Mapping[str, bytes]) -> Shipped:
    """A document with the addresses of what it loads. `{modulepreload main.js}` names that script and all that it imports, so
    that none of them waits for another; in the place of `{inline a.css b.css}`, or of a script, they stand themselves.
    `{base}` is where the page is."""
    digests: dict[str, str] = {}

    def preloads(found: re.Match[bytes]) -> bytes:
        names = _imported(found[1].decode(), files)
        return "\n".join(f'<link rel="modulepreload" href="{static}{name}">' for name in names).encode()

    def inlined(found: re.Match[bytes]) -> bytes:
        names = found[1].decode().split()
        element, kind = ("style", "style-src") if names[0].endswith(".css") else ("script", "script-src")
        octets = b"".join(files[name] for name in names)
        digest = base64.b64encode(hashlib.sha256(octets).digest()).decode()
        digests[kind] = f"{digests.get(kind, '')} 'sha256-{digest}'"
        return b"<%b>%b</%b>" % (element.encode(), octets, element.encode())

    filled = re.sub(rb"\{modulepreload ([\w.-]+)\}", preloads, document).replace(b"{static}", static.encode())
    filled = filled.replace(b"{base}", base.encode())
    filled = re.sub(rb"\{inline ([\w. -]+)\}", inlined, filled)
    policy = CSP
    for kind, some in digests.items():
        policy = policy.replace(f"{kind} 'self'", f"{kind} 'self'{some}")
    return Shipped.of(name, filled, policy)


def _imported(first: str, files: Mapping[str, bytes]) -> list[str]:
    """The script and what it imports at once, directly or not."""
    seen = [first]
    for name in seen:
        for found in _IMPORT.finditer(files.get(name, b"")):
            if (imported := found[1].decode()) not in seen:
                seen.append(imported)
    return seen


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def mount(app: FastAPI, base: str = "") -> None:
    """Serve the page below `/`, after everything that the interface has taken already; it takes itself to be below `base`."""
    from starlette.responses import PlainTextResponse

    pages = Pages(base=base)

    async def found(request: Request, name: str, digest: str | None = None) -> Response:
        if not pages.is_read:
            await asyncio.to_thread(lambda: pages.files)
        return pages.answer(request, name, digest) or PlainTextResponse("There is no such page.\n", 404)

    async def document(request: Request) -> Response:
        return await found(request, DOCUMENT)

    async def static(request: Request) -> Response:
        return await found(request, request.path_params["name"], request.path_params.get("digest"))

    async def icon(request: Request) -> Response:
        return await found(request, "icon.svg")

    async def other(request: Request) -> Response:
        return await found(request, f"{request.path_params['name']}.html")

    for path in ROUTED:
        app.add_route(path, document, include_in_schema=False)
    app.add_route("/favicon.ico", icon, include_in_schema=False)
    app.add_route("/static/{name}", static, include_in_schema=False)
    app.add_route("/static/{digest}/{name}", static, include_in_schema=False)
    app.add_route("/{name}", other, include_in_schema=False)
