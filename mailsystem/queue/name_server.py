"""One name server, as dnspython asks it: what comes back is read beside the event loop, and never too much of it.

dnspython reads large answers slowly: 64 KB of long names, each a pointer to the one before, take it many seconds.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import Final

import dns.exception
import dns.message
import dns.nameserver
import dns.query

MOST_RECORDS: Final = 500
"""Records in one answer: no domain has as many hosts."""

_HEADER: Final = struct.Struct("!HHHHHH")
_MOST_DATAGRAMS: Final = 16


class NameServer(dns.nameserver.Do53Nameserver):
    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: object,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """`max_size` asks by TCP; the rest is not used here. Raises `DNSException` and `OSError`."""
        try:
            async with asyncio.timeout(timeout):
                if max_size:
                    return await self._by_stream(request)
                return await self._by_datagram(request)
        except TimeoutError:
            # An OSError to dnspython, which would ask this one no more.
            raise dns.exception.Timeout from None

    async def _by_datagram(self, request: dns.message.QueryMessage) -> dns.message.Message:
        transport, came = await asyncio.get_running_loop().create_datagram_endpoint(
            _Datagrams, remote_addr=(self.address, self.port)
        )
        try:
            transport.sendto(request.to_wire())
            while True:
                octets = await came.next()
                if octets[:2] != request.id.to_bytes(2, "big"):
                    continue  # of an earlier question, or of a stranger
                try:
                    response = await _read(octets, is_datagram=True)
                except (dns.message.Truncated, TooManyRecords):
                    raise
                except Exception:  # noqa: S112
                    continue  # nonsense, and the answer may be behind it
                if request.is_response(response):
                    return response
        finally:
            transport.close()

    async def _by_stream(self, request: dns.message.QueryMessage) -> dns.message.Message:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            question = request.to_wire()
            writer.write(len(question).to_bytes(2, "big") + question)
            length = int.from_bytes(await reader.readexactly(2), "big")
            response = await _read(await reader.readexactly(length), is_datagram=False)
        finally:
            writer.close()
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response


class TooManyRecords(dns.exception.FormError):
    """More than anybody needs."""


async def _read(octets: bytes, *, is_datagram: bool) -> dns.message.Message:
    """Raises `FormError` for what is no message, `Truncated` for the beginning of one, and `TooManyRecords`."""
    if len(octets) < _HEADER.size:
        raise dns.message.ShortHeader
    _, _, questions, *records = _HEADER.unpack_from(octets)
    if questions > 1 or sum(records) > MOST_RECORDS:
        raise TooManyRecords
    return await asyncio.to_thread(dns.message.from_wire, octets, raise_on_truncation=is_datagram)


class _Datagrams(asyncio.DatagramProtocol):
    """What comes, one after the other; what comes too fast is lost."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[bytes | Exception] = asyncio.Queue(_MOST_DATAGRAMS)

    async def next(self) -> bytes:
        """Raises `OSError` where nobody is there."""
        came = await self._came.get()
        if isinstance(came, Exception):
            raise came
        return came

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._put(data)

    def error_received(self, exc: Exception) -> None:
        self._put(exc)

    def _put(self, came: bytes | Exception) -> None:
        with suppress(asyncio.QueueFull):
            self._came.put_nowait(came)
