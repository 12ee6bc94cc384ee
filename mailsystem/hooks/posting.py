"""Handing something to a receiver: one POST, to an address that was looked at, followed nowhere else.

Somebody says where to connect to, so it is not believed. The name is looked up once, every address of it must be allowed, and
the connection goes to the address that was looked at: asking DNS again would let it answer otherwise.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from mailsystem.net.public import addresses, is_allowed

if TYPE_CHECKING:
    import httpx

_MOST_LATER: Final = 86_400

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises `OSError`."""


class Outcome(NamedTuple):
    """What became of it."""

    status: int | None
    """None where there was no answer."""
    said: str
    """Why it was not taken; empty where it was."""
    later: float = 0.0
    """Seconds that the receiver wants to be left alone for."""

    @property
    def taken(self) -> bool:
        return not self.said


class _Refused(Exception):
    """There is nothing that may be connected to; the text says why."""


class Poster:
    """Posts to receivers; it may be shared by all."""

    def __init__(
        self,
        *,
        private: bool,
        timeout: float,
        name: str,
        resolve: Resolve = addresses,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """With `private`, addresses of this machine and its network will do, and http. `timeout` is in seconds, for all of one
        POST. `name` is what it calls itself. `trust` says which certificates are good, otherwise those of the usual
        authorities are.
        """
        self._private = private
        self._timeout = timeout
        self._name = name
        self._resolve = resolve
        self._trust = trust

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Hand it over. Never raises because of the receiver."""
        import httpx

        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(url, headers, body)
        except TimeoutError:
            return Outcome(None, f"no answer within {self._timeout:g} s")
        except _Refused as error:
            return Outcome(None, str(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Outcome(None, _shown(str(error)) or type(error).__name__)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        import httpx

        to = httpx.URL(url)
        if to.scheme not in ("http", "https") or not to.host:
            raise _Refused("this is no address")
        if to.scheme == "http" and not self._private:
            raise _Refused("mail is not told in clear; the address should begin with https")
        name = to.raw_host.decode("ascii")
        address = await self._address(name, to.port or (443 if to.scheme == "https" else 80))
        shown = f"[{name}]" if ":" in name else name
        # The address is in the URL, the name in Host and in TLS, where the certificate is compared with it.
        request = httpx.Request(
            "POST",
            to.copy_with(host=address, username=None, password=None, fragment=None),
            headers={
                "Host": shown if to.port is None else f"{shown}:{to.port}",
                "User-Agent": self._name,
                "Content-Type": "application/json",
                **headers,
            },
            content=body,
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout),
                "sni_hostname": name,
            },
        )
        transport = httpx.AsyncHTTPTransport(
            verify=await self._trusted() if to.scheme == "https" else False,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )
        async with transport:
            answer = await transport.handle_async_request(request)
            try:
                return await _outcome(answer)
            finally:
                await answer.aclose()

    async def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            import httpx

            self._trust = await asyncio.to_thread(httpx.create_ssl_context)
        return self._trust

    async def _address(self, host: str, port: int) -> str:
        """The one address that is connected to. Raises `_Refused`."""
        try:
            found: Sequence[str] = [str(ipaddress.ip_address(host))]
        except ValueError:
            try:
                found = await self._resolve(host, port)
            except (OSError, UnicodeError):
                found = []
        if not found:
            raise _Refused(f"there is no host {_shown(host)}")
        for address in found:
            # One bad address is enough: whoever owns the name decides which comes first.
            if not is_allowed(address, private=self._private):
                raise _Refused(f"{_shown(host)} is at {_shown(address)}, which may not be asked")
        return found[0]


async def _outcome(answer: httpx.Response) -> Outcome:
    status = answer.status_code
    if 200 <= status < 300:
        return Outcome(status, "")
    if 300 <= status < 400:
        return Outcome(status, f"the receiver says {status}, and redirections are not followed")
    later = answer.headers.get("retry-after", "") if status in (429, 503) else ""
    seconds = float(later) if later.isascii() and later.isdigit() and len(later) < 8 else 0.0
    return Outcome(status, f"the receiver says {status}", min(seconds, _MOST_LATER))


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:100]
