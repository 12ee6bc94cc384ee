"""The certificates of all doors, as the settings name them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from mailsystem.app.startup import StartupError, said
from mailsystem.net import BadCertificate, Certificates, Pair, self_signed
from mailsystem.settings import Settings, Tls
from mailsystem.telemetry import Trace

SELF_SIGNED: Final = "self-signed.pem"
"""The sink's certificate and key, in its data directory."""


def certificates(settings: Settings, *, own: bool = False, trace: Trace | None = None) -> Certificates | None:
    """The certificates named by the settings; with `own`, where there are none, one of our making, when it is asked for.

    Blocks. Raises `StartupError`.
    """
    tls = settings.tls
    try:
        if tls.cert is not None and tls.key is not None:
            further = {name: Pair(one.cert, one.key, f'tls.names."{name}"') for name, one in tls.names.items()}
            return Certificates(Pair(tls.cert, tls.key), further, trace=trace)
        if own:
            names = dict.fromkeys(["localhost", settings.hostname, "127.0.0.1", "::1"])
            return self_signed(settings.data_dir / SELF_SIGNED, list(names), trace=trace)
    except BadCertificate as error:
        raise StartupError(str(error)) from None
    except OSError as error:
        raise StartupError(f"cannot make a certificate in {settings.data_dir} (data_dir): {said(error)}") from None
    return None


def tls_context(tls: Tls) -> ssl.SSLContext | None:
    """A server's TLS from the files named by the settings, or None where none are. Raises `StartupError`."""
    keys = certificates(Settings(tls=tls))
    return None if keys is None else keys.context


@asynccontextmanager
async def watched(keys: Certificates) -> AsyncIterator[None]:
    task = asyncio.create_task(keys.watch())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
