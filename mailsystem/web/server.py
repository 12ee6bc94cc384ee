"""Listening for browsers and programs: uvicorn serves them, brought in when the first of them knocks or is about to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from mailsystem.net.listening import BACKLOG, OPEN, Bound, Terms, opened, place_of

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

MOST_AT_ONCE: Final = 2000
"""Requests and streams of events that are served at once; who comes then is told to come again (503)."""
_LONGEST_HEAD: Final = 64 << 10
PATIENCE: Final = 30.0
"""Seconds in which a connection has to ask for something."""


@asynccontextmanager
async def serving(
    make: Callable[[asyncio.Event], ASGIApp],
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    terms: Terms = OPEN,
    grace: float = 5.0,
    movable: bool = False,
    patience: float = PATIENCE,
    visits: asyncio.Event | None = None,
) -> AsyncIterator[Bound]:
    """Serve the application that `make` makes, and that ends its streams at the event, by HTTP at
    `host`:`port` (0 takes a free one), or at the sockets of `terms`; with `implicit_tls` HTTPS. A door that is `movable` takes
    a free port where its own is in use.

    What it takes to serve anybody is brought in when the first one comes, or when `visits` is set.
    Connections count for the limits of `terms`, and end where they ask for nothing for `patience` seconds. The proxies of
    `terms` tell by X-Forwarded-For and X-Forwarded-Proto who asks and how, instead of a PROXY header.

    On exit nobody is let in any more, streams end, and what still runs after `grace` seconds is cut. Raises `OSError`.
    """
    with ExitStack() as stack:
        if terms.sockets:
            sockets: Sequence[socket.socket] = [*terms.sockets]
        else:
            sockets = await asyncio.to_thread(stack.enter_context, opened(host, port, movable=movable))
        bound = place_of(sockets)
        for sock in sockets:
            sock.listen(BACKLOG)
        stopping = asyncio.Event()
        lazily = asyncio.create_task(
            _once_knocked(
                make,
                stopping,
                sockets,
                terms,
                tls if implicit_tls else None,
                grace,
                patience,
                visits or asyncio.Event(),
            )
        )
        try:
            yield bound
        finally:
            stopping.set()
            for sock in sockets:
                asyncio.get_running_loop().remove_reader(sock)
            await lazily
            for sock in sockets:
                sock.close()


async def _once_knocked(
    make: Callable[[asyncio.Event], ASGIApp],
    stopping: asyncio.Event,
    sockets: Sequence[socket.socket],
    terms: Terms,
    tls: ssl.SSLContext | None,
    grace: float,
    patience: float,
    visits: asyncio.Event,
) -> None:
    loop = asyncio.get_running_loop()

    def hear() -> None:
        for sock in sockets:
            loop.remove_reader(sock)
        visits.set()

    for sock in sockets:
        loop.add_reader(sock, hear)
    waits = {asyncio.create_task(visits.wait()), asyncio.create_task(stopping.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
    if stopping.is_set():
        return
    hear()  # uvicorn listens by itself from here on
    server = await asyncio.to_thread(_server, make, stopping, terms, tls, grace, patience)

    async def stop() -> None:
        await stopping.wait()
        server.should_exit = True

    told = asyncio.create_task(stop())
    try:
        await server.serve(list(sockets))
    finally:
        told.cancel()


def _server(
    make: Callable[[asyncio.Event], ASGIApp],
    stopping: asyncio.Event,
    terms: Terms,
    tls: ssl.SSLContext | None,
    grace: float,
    patience: float,
) -> uvicorn.Server:
    """Bring all of it in. Blocks for some tenths of a second."""
    import uvicorn

    from mailsystem.web.connections import HttpConnection

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals are told to the program, and it tells us."""
            yield

    more: dict[str, Any] = {}
    if tls is not None:
        more["ssl_context_factory"] = lambda config, default: tls
        more["ssl_certfile"] = more["ssl_keyfile"] = ""
    config = uvicorn.Config(
        make(stopping),
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        http=cast(
            "type[asyncio.Protocol]",
            partial(HttpConnection, limits=terms.limits, proxies=terms.proxies, patience=patience),
        ),
        proxy_headers=bool(terms.proxies),
        forwarded_allow_ips=[str(each) for each in terms.proxies],
        limit_concurrency=MOST_AT_ONCE,
        timeout_graceful_shutdown=max(1, round(grace)),
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        **more,
    )
    config.load()  # here, where nobody waits for what it imports
    return Server(config)
