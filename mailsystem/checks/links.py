"""Where links lead: each is asked for, and nobody is let into this machine or its network by it.

A message says where to connect to, so it is not believed. The name is looked up here, every address of it must be a public one,
and the connection goes to the address that was looked at: asking DNS again for it would let it answer otherwise. All of
that is done anew for every redirection. Nothing is sent but the question: no cookies, no login, and no more of the answer is
read than its header.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urljoin

from mailsystem.checks.authentication import Missing
from mailsystem.checks.rule import Finding, Findings, shown
from mailsystem.checks.rules import sending
from mailsystem.net.public import addresses, is_public

if TYPE_CHECKING:
    import ssl

AT_ONCE: Final = 5
TIMEOUT: Final = 10.0
"""Seconds for one link, its redirections included."""
IN_ALL: Final = 120.0
"""Seconds for all links of one call; those that are not asked by then are told as not answered."""
MOST_REDIRECTS: Final = 5
MOST_LINKS: Final = 500
"""Links of one call; the rest is passed over."""
MOST_URL: Final = 8_000
NAME: Final = "mailsystem-link-check"
"""What it calls itself."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises `OSError`."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a link."""

    url: str
    status: int | None
    """Of the last answer; None where there was none."""
    error: str = ""
    """Why there was none, or why it was not asked for."""
    refused: bool = False
    """Not asked for, because of where it leads."""
    absent: bool = False
    """There is no such host."""
    way: tuple[str, ...] = ()
    """Where redirections led."""

    @property
    def works(self) -> bool:
        return self.status is not None and self.status < 400


class _Stopped(Exception):
    def __init__(self, said: str, *, refused: bool = False, absent: bool = False) -> None:
        super().__init__(said)
        self.refused = refused
        self.absent = absent


async def try_links(
    urls: Iterable[str],
    *,
    allow_private: bool = False,
    at_once: int = AT_ONCE,
    timeout: float = TIMEOUT,
    in_all: float = IN_ALL,
    resolve: Resolve = addresses,
    verify: ssl.SSLContext | None = None,
) -> list[Tried]:
    """Ask for each address once, by HEAD and if need be by GET; in the order in which they were first named.

    What is neither http nor https is left out. `verify` says which certificates are good, otherwise those of the usual
    authorities are. Raises `Missing` where httpx is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise Missing("trying links needs httpx; it comes with: pip install mailsystem[check]") from error
    wanted = list(dict.fromkeys(url for url in urls if url.lower().startswith(("http://", "https://"))))[:MOST_LINKS]
    if not wanted:
        return []
    if verify is None:
        verify = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)
    turn = asyncio.Semaphore(at_once)
    asking = _Asking(allow_private, resolve, verify, timeout)
    clock = asyncio.get_running_loop().time
    until = clock() + in_all

    async def one(url: str) -> Tried:
        async with turn:
            if clock() >= until:  # else a message of many links that hang would last for a quarter of an hour
                return Tried(url, None, f"not asked: those before it took {in_all:g} s")
            return await asking.follow(url)

    return list(await asyncio.gather(*map(one, wanted)))


class _Asking:
    def __init__(self, allow_private: bool, resolve: Resolve, context: ssl.SSLContext, timeout: float) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._context = context
        self._timeout = timeout

    async def follow(self, url: str) -> Tried:
        import httpx

        way: list[str] = []
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._follow(url, way)
        except TimeoutError:
            return Tried(url, None, f"no answer within {self._timeout:g} s", way=tuple(way))
        except _Stopped as error:
            return Tried(url, None, str(error), error.refused, error.absent, tuple(way))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Tried(url, None, shown(str(error)) or type(error).__name__, way=tuple(way))
        return Tried(url, status, way=tuple(way))

    async def _follow(self, url: str, way: list[str]) -> int:
        method = "HEAD"
        while True:
            status, location = await self._ask(method, url)
            if status in _REDIRECTS and location:
                if len(way) == MOST_REDIRECTS:
                    raise _Stopped(f"there are more than {MOST_REDIRECTS} redirections")
                url = urljoin(url, location)
                way.append(url[:MOST_URL])
                method = "HEAD"
            elif method == "HEAD" and status >= 400:
                method = "GET"  # many servers know no HEAD, and say so in many ways
            else:
                return status

    async def _ask(self, method: str, url: str) -> tuple[int, str]:
        import httpx

        if len(url) > MOST_URL:
            raise _Stopped("the address is too long", refused=True)
        try:
            asked = httpx.URL(url)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise _Stopped("this is no address", absent=True) from error
        if asked.scheme not in ("http", "https") or not asked.host:
            raise _Stopped(f"it leads to {shown(asked.scheme, 20) or 'nothing'}:", refused=True)
        port = asked.port or (443 if asked.scheme == "https" else 80)
        address = await self._address(asked.raw_host.decode("ascii"), port)
        name = asked.raw_host.decode("ascii")
        default = asked.port is None
        # The address is in the URL, the name in Host and in TLS, where the certificate is compared with it.
        request = httpx.Request(
            method,
            asked.copy_with(host=address, username=None, password=None, fragment=None),
            headers={
                "Host": f"[{name}]" * (":" in name) + name * (":" not in name) + ("" if default else f":{port}"),
                "User-Agent": NAME,
                "Accept": "*/*",
            },
            extensions=self._extensions(name),
        )
        transport = httpx.AsyncHTTPTransport(
            verify=self._context, trust_env=False, limits=httpx.Limits(max_connections=1, max_keepalive_connections=0)
        )
        async with transport:
            answer = await transport.handle_async_request(request)
            try:
                return answer.status_code, answer.headers.get("location", "")
            finally:
                await answer.aclose()

    def _extensions(self, name: str) -> dict[str, Any]:
        waits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        return {"timeout": waits, "sni_hostname": name}

    async def _address(self, host: str, port: int) -> str:
        """The one address of the host that is connected to. Raises `_Stopped`."""
        try:
            found = [str(ipaddress.ip_address(host))]
        except ValueError:
            try:
                found = list(await self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                raise _Stopped(f"there is no host {shown(host, 80)}", absent=True) from error
        if not found:
            raise _Stopped(f"there is no host {shown(host, 80)}", absent=True)
        for address in found:
            # One bad address is enough: whoever owns the name decides which comes first.
            if "%" in address or not (self._allow_private or is_public(address)):
                raise _Stopped(f"{shown(host, 80)} is at {shown(address, 50)}, which is not public", refused=True)
        return found[0]


def findings_of(tried: Iterable[Tried], disabled: Iterable[str] = ()) -> tuple[Finding, ...]:
    """What of it is to be told."""
    findings = Findings(disabled)
    for one in tried:
        url = shown(one.url, 100)
        if one.refused:
            findings.add(sending.LINK_NOT_FOLLOWED, f"{url} was not asked for: {one.error}")
        elif one.absent or (one.status is not None and 400 <= one.status < 500):
            why = one.error or f"the server says {one.status}"
            findings.add(sending.LINK_BROKEN, f"{url} does not work: {why}")
        elif not one.works:
            why = one.error or f"the server says {one.status}"
            findings.add(sending.LINK_UNREACHABLE, f"{url} was not answered: {why}")
    return findings.told()
