"""Pages of other sites that may ask here: which they are, and what their browsers are told (Fetch standard, CORS)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

ANY: Final = "*"
METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
SHARED: Final = ("/api/", "/v1/", "/view/")
"""Below these is what is for programs; the page is for nobody else's frames and scripts."""
_KEPT: Final = b"600"
"""Seconds for which a browser need not ask again."""
_NAMES: Final = re.compile(rb"[A-Za-z0-9-]{1,60}(?:[ \t]*,[ \t]*[A-Za-z0-9-]{1,60}){0,30}")

Headers = list[tuple[bytes, bytes]]


class Origins:
    """Which pages may ask beside our own."""

    def __init__(self, named: Iterable[str] = (), root: str = "") -> None:
        """Each as `https://app.test`, as `app.test:8080`, which is HTTP and HTTPS, or `*` for all; `root` is where we are."""
        self._named = frozenset(one.rstrip("/").lower() for one in named)
        self._root = root

    def may_ask(self, origin: str, path: str) -> bool:
        """Whether a page of that origin may ask for that path."""
        if not self._named or not origin:
            return False
        if not path.startswith(SHARED) and not path.startswith(tuple(self._root + one for one in SHARED)):
            return False
        origin = origin.lower()
        return not self._named.isdisjoint((ANY, origin, origin.partition("://")[2] or origin))


def told(origin: str) -> Headers:
    """What a browser is told with an answer for such a page."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"Origin"),
        (b"cross-origin-resource-policy", b"cross-origin"),
    ]


def told_before(origin: str, asked: Mapping[bytes, bytes]) -> Headers:
    """What a browser is told that asks whether it may ask. Cookies stay out of it; who is known has a header that says so."""
    names = asked.get(b"access-control-request-headers", b"").strip()
    return [
        *told(origin),
        (b"access-control-allow-methods", METHODS),
        *([(b"access-control-allow-headers", names)] if _NAMES.fullmatch(names) else []),
        (b"access-control-max-age", _KEPT),
        (b"content-length", b"0"),
    ]
