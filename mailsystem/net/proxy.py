"""The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): for whom a proxy speaks.

Whoever may say so must say so: a connection from a named proxy begins with a header or is cut. From anybody else the header
is what it looks like, bad input.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import struct
from typing import Final

from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import SyntaxFault

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TIMEOUT: Final = 5.0
"""Seconds that a proxy has for its header; it sends it with its first segment."""
LONGEST: Final = 4096
"""Octets of a version 2 header behind the length; the addresses need 216, the rest are extensions that we pass over."""
LONGEST_LINE: Final = 107
"""Octets of a version 1 header with its CRLF (chapter 2.1)."""
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*)?|(TCP[46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) ([0-9]{1,5}) ([0-9]{1,5}))\r\n"
)


def is_from(networks: tuple[Network, ...], peer: Peer) -> bool:
    """Whether `peer` is one of the named proxies."""
    if not networks:
        return False
    try:
        address = ipaddress.ip_address(peer.host.partition("%")[0])
    except ValueError:
        return False
    return any(address in network for network in networks)


async def client(sock: socket.socket, proxy: Peer) -> Peer:
    """Read the header, and not an octet more: who is behind `proxy`, or itself where it speaks for itself or cannot tell.

    Raises `SyntaxFault` on anything else, `TimeoutError`, and `OSError` when the proxy is gone.
    """
    async with asyncio.timeout(TIMEOUT):
        found = await _header(sock)
    if found is None:
        return proxy
    if found.is_loopback and not proxy.is_loopback:
        # Loopback may do what others may not, and another machine's loopback is not ours.
        raise SyntaxFault("a PROXY header that claims to come from this machine")
    return found


async def _header(sock: socket.socket) -> Peer | None:
    head = await _exactly(sock, len(SIGNATURE))
    if head == SIGNATURE:
        head += await _exactly(sock, 4)
        length = struct.unpack_from("!H", head, 14)[0]
        if length > LONGEST:
            raise SyntaxFault("a PROXY header is too long")
        return binary(head + await _exactly(sock, length))
    if not head.startswith(b"PROXY "):
        raise SyntaxFault("no PROXY header")
    line = bytearray(head)
    while not line.endswith(b"\r\n"):
        if len(line) >= LONGEST_LINE:
            raise SyntaxFault("a PROXY header is too long")
        line += await _exactly(sock, 1)
    return text(bytes(line))


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        more = await loop.sock_recv(sock, count - len(data))
        if not more:
            raise ConnectionResetError("the proxy is gone")
        data += more
    return data


def text(line: bytes) -> Peer | None:
    """A version 1 header (chapter 2.1). Raises `SyntaxFault`."""
    found = _LINE.fullmatch(line)
    if found is None or len(line) > LONGEST_LINE:
        raise SyntaxFault("a PROXY header that nobody understands")
    family, source, target, port, target_port = found.groups()
    if family is None:
        return None
    version = 4 if family == b"TCP4" else 6
    try:
        addresses = [ipaddress.ip_address(address.decode()) for address in (source, target)]
    except ValueError:
        raise SyntaxFault("a PROXY header without proper addresses") from None
    if any(address.version != version for address in addresses) or max(int(port), int(target_port)) > 0xFFFF:
        raise SyntaxFault("a PROXY header without proper addresses")
    return _peer(addresses[0], int(port))


def binary(header: bytes) -> Peer | None:
    """A version 2 header (chapter 2.2). Raises `SyntaxFault`."""
    if len(header) < 16 or not header.startswith(SIGNATURE):
        raise SyntaxFault("a PROXY header that nobody understands")
    command, family, length = struct.unpack_from("!BBH", header, 12)
    body = header[16:]
    if len(body) != length or command not in (0x20, 0x21):
        raise SyntaxFault("a PROXY header that nobody understands")
    if command == 0x20:  # LOCAL: the proxy's own, a health check for instance
        return None
    match family:
        case 0x00:  # it does not know
            return None
        case 0x11 if length >= 12:
            return _peer(ipaddress.IPv4Address(body[:4]), struct.unpack_from("!H", body, 8)[0])
        case 0x21 if length >= 36:
            return _peer(ipaddress.IPv6Address(body[:16]), struct.unpack_from("!H", body, 32)[0])
    raise SyntaxFault("a PROXY header for something else than TCP")


def _peer(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> Peer:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return Peer(str(mapped or address), port)
