"""The way out: a connection to a peer that waits for one."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Final

from mailsystem.net.connection import HANDSHAKE_TIMEOUT, Connection, Distrusted, reason_of

CONNECT_TIMEOUT: Final = 30.0


class Unreachable(ConnectionError):
    """Nobody answers there; the text says why."""


async def connect(
    address: str,
    port: int,
    *,
    timeout: float = CONNECT_TIMEOUT,
    source: str | None = None,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
) -> Connection:
    """Connect to an IP address, from the address `source` if that matters; with `tls`, under it from the first octet.

    Raises `Unreachable`, and `Distrusted` where the certificate is not that of `server_hostname`.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, connection = await loop.create_connection(
                Connection,
                address,
                port,
                local_addr=(source, 0) if source else None,
                ssl=tls,
                server_hostname=server_hostname if tls else None,
                ssl_handshake_timeout=min(timeout, HANDSHAKE_TIMEOUT) if tls else None,
            )
    except TimeoutError:
        raise Unreachable(f"no answer within {timeout:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise Distrusted(f"certificate not trusted: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise Unreachable(f"TLS handshake failed: {reason_of(error)}") from error
    except OSError as error:
        raise Unreachable(_reason(error)) from error
    return connection


def _reason(error: OSError) -> str:
    # asyncio puts address and port into its own text; what the system says of the number is shorter.
    said = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error) or type(error).__name__
    return said[:1].lower() + said[1:]
