"""Connections that only hold a place: they end, and there are not too many of them."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastapi.routing
import pytest
import uvicorn
from web_house import sink
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake

from mailsystem.mail.envelope import Peer
from mailsystem.net import Bound
from mailsystem.net.limits import Limits
from mailsystem.net.listening import Terms
from mailsystem.web.server import serving

MOST = 3


async def read_all(scope: Any, receive: Any, send: Any) -> None:
    """Answers once the whole body is here, and a moment later."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def limits() -> Limits:
    return Limits(most=MOST)


@pytest.fixture
async def bound(limits: Limits) -> AsyncIterator[Bound]:
    async with serving(
        lambda stopping: read_all, host="127.0.0.1", port=0, terms=Terms(limits=limits), patience=0.2, grace=1.0
    ) as place:
        yield place


async def _said(place: Bound, octets: bytes) -> bytes:
    """What comes until the other side hangs up."""
    reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        async with asyncio.timeout(30):
            writer.write(octets)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_what_a_visit_takes_is_there_before_it_where_one_is_expected() -> None:
    visits, there = asyncio.Event(), threading.Event()

    def make(stopping: asyncio.Event) -> Any:
        there.set()
        return read_all

    async with serving(make, host="127.0.0.1", port=0, visits=visits) as place:
        assert not there.is_set()
        visits.set()
        assert await asyncio.to_thread(there.wait, 60)
        answer = await _said(place, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "octets",
    [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_who_does_not_get_done_is_cut_off(bound: Bound, octets: bytes) -> None:
    assert await _said(bound, octets) == b""


async def test_who_waits_for_an_answer_may_wait(bound: Bound) -> None:
    said = await _said(bound, b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert said.endswith(b"\r\n\r\nok")


async def test_connections_count_for_the_limits_of_all_doors(bound: Bound, limits: Limits) -> None:
    asks = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for _ in range(MOST):
        assert limits.enter(Peer("192.0.2.1", 1)) is None
    # Who is turned away before the request was read may hear nothing.
    assert (await _said(bound, asks))[:13] in (b"", b"HTTP/1.1 503 ")
    for _ in range(MOST):
        limits.leave(Peer("192.0.2.1", 1))
    # Each that is gone leaves its place to another.
    for _ in range(3 * MOST):
        assert (await _said(bound, asks)).startswith(b"HTTP/1.1 200 ")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Speaks WebSocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
    else:
        await read_all(scope, receive, send)


async def _empty(limits: Limits) -> None:
    while True:
        if not limits.open:
            return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("end", ["closed", "cut"])
async def test_a_connection_that_became_a_websocket_holds_its_place_until_it_ends(end: str) -> None:
    limits = Limits(most=MOST)
    async with (
        asyncio.timeout(60),
        serving(
            lambda stopping: echo, host="127.0.0.1", port=0, terms=Terms(limits=limits), patience=0.2, grace=1.0
        ) as place,
    ):
        open_ = [await connect(f"ws://{place}/") for _ in range(MOST)]
        assert limits.open == MOST
        await asyncio.sleep(0.5)  # who is silent may be
        for one in open_:
            await one.send("still here")
            assert await one.recv() == "still here"
        with pytest.raises((InvalidHandshake, OSError, EOFError)):
            await connect(f"ws://{place}/")
        for one in open_:
            if end == "closed":
                await one.close()
            else:
                one.transport.abort()
        await _empty(limits)
        again = await connect(f"ws://{place}/")
        assert limits.open == 1
        await again.close()


async def test_a_websocket_that_is_refused_leaves_its_place() -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    limits = Limits(most=MOST)
    async with (
        asyncio.timeout(60),
        serving(lambda stopping: refuse, host="127.0.0.1", port=0, terms=Terms(limits=limits), grace=1.0) as place,
    ):
        for _ in range(3 * MOST):
            with pytest.raises(InvalidHandshake):
                await connect(f"ws://{place}/")
            await _empty(limits)


async def test_what_takes_long_is_made_in_a_thread_while_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, set[int]] = {}

    def watch(owner: Any, name: str) -> None:
        ours = getattr(owner, name)

        def watched(*args: Any, **given: Any) -> Any:
            made.setdefault(name, set()).add(threading.get_ident())
            return ours(*args, **given)

        monkeypatch.setattr(owner, name, watched)

    watch(fastapi.routing, "get_dependant")
    watch(uvicorn.Config, "load")
    watch(gzip, "compress")
    async with sink(tmp_path) as house:
        assert (await house.client.get("/")).status_code == 200
        await house.get("/v1/messages")
        await house.get("/api/v1/info")
    assert set(made) == {"get_dependant", "load", "compress"}
    for name, threads in made.items():
        assert threading.get_ident() not in threads, name
