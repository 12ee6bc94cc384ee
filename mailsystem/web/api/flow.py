"""The flow: who says what to whom, line by line, while it happens; and a scene to be played for who has no client at hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse

from mailsystem.telemetry.watch import Told, Watch, fields
from mailsystem.web.api.asked import Asked
from mailsystem.web.api.waiting import HEARTBEAT
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.scene import Scene
from mailsystem.web.shapes import Started, moment
from mailsystem.web.visitors import ADMIN, Doorkeeper

MOST_READERS: Final = 100
MOST_SESSIONS_TOLD: Final = 200
SCENE: Final = frozenset({"scene", "chapter", "party"})
"""What only the scene says: who is who, and what it is about."""


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/flow", tags=["events"])
    asked = Asked(context, keeper)
    stage = Stage(context)

    def watch() -> Watch:
        if context.watch is None:
            raise Problem(404, "nobody can look on here")
        return context.watch

    @router.get("", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
    async def flow(request: Request) -> StreamingResponse:
        """What is said at the doors, as it is said: first `ready`, which names who is connected, then an event for each line
        and for what comes of it. No secrets and no texts of messages are in it. `missed` tells how many events were lost to a
        reader that was too slow. Who comes again with Last-Event-ID hears what was said meanwhile."""
        await asked.visitor(request, ADMIN)
        if watch().readers >= MOST_READERS:
            raise Problem(503, f"{MOST_READERS} look on already")
        last = request.headers.get("last-event-id", "")
        return StreamingResponse(
            _events(context, watch(), last), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    @router.post("/demo", status_code=202)
    async def demo(
        request: Request,
        pace: Annotated[float, Parameter(ge=0, le=5, description="How slowly; 0 does not pause.")] = 1.0,
    ) -> Started:
        """Play a small scene through the doors of this sink: Alice sends, Bob's phone is told, his old PC asks. What it leaves
        is mail for bob@demo.test. One at a time."""
        await asked.visitor(request, ADMIN)
        if not context.is_sink:
            raise Problem(403, "only a sink plays scenes")
        stage.begin(watch(), pace)
        return Started(started=True)

    return router


class Stage:
    """Where one scene at a time is played."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._playing: asyncio.Task[None] | None = None

    def begin(self, watch: Watch, pace: float) -> None:
        """Raises `Problem` while another one is played, and where a door is missing."""
        if self._playing is not None and not self._playing.done():
            raise Problem(409, "the scene is being played; wait until it is over")
        bound = self._context.bound()
        if missing := [door for door in ("smtp", "imap", "pop3") if door not in bound]:
            raise Problem(409, f"the scene takes the door {missing[0]}, which is closed")
        self._playing = asyncio.create_task(self._play(Scene(bound, watch, pace)))

    async def _play(self, scene: Scene) -> None:
        playing = asyncio.create_task(scene.play())
        stopping = asyncio.create_task(self._context.stopping.wait())
        try:
            await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            playing.cancel()
            [ended] = await asyncio.gather(playing, return_exceptions=True)
        if isinstance(ended, Exception) and not isinstance(ended, OSError | EOFError | TimeoutError | ValueError):
            self._context.trace.bug(ended, what="scene")


async def _events(context: Context, watch: Watch, last: str) -> AsyncIterator[bytes]:
    boot = f"{int(watch.since * 1000):x}"
    mine, _, number = last.partition("-")
    after = int(number) if mine == boot and number.isascii() and number.isdigit() and len(number) < 19 else 0
    stopping = asyncio.create_task(context.stopping.wait())
    with watch.reading(after) as reader:
        sessions = [{**each, "since": _iso(each["since"])} for each in watch.sessions[-MOST_SESSIONS_TOLD:]]
        yield b"retry: 1000\n" + _event("ready", {"workers": context.workers, "boot": boot, "sessions": sessions})
        taking = asyncio.create_task(reader.take())
        try:
            while not context.stopping.is_set():
                await asyncio.wait((taking, stopping), timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    yield b": still here\n\n"
                    continue
                missed, told = taking.result()
                taking = asyncio.create_task(reader.take())
                if missed:
                    yield _event("missed", {"count": missed})
                yield b"".join(_told(boot, each) for each in told)
        finally:
            taking.cancel()
            stopping.cancel()


def _told(boot: str, told: Told) -> bytes:
    event = told.event
    found = dict(event.data) if event.name in SCENE else fields(event)
    if (ident := found.pop("id", None)) is not None:
        found["queue_id"] = ident
    # Its own members last: whatever an event tells, it is counted by its number.
    data = {
        **found,
        "id": told.number,
        "at": _iso(event.time),
        "time": round(event.time, 6),
        "session": event.session,
        "door": event.door,
        "name": event.name,
    }
    return f"id: {boot}-{told.number}\n".encode() + _event(None, data)


def _iso(seconds: float) -> str:
    return moment(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(name: str | None, data: dict[str, Any]) -> bytes:
    named = "" if name is None else f"event: {name}\n"
    return f"{named}data: {json.dumps(data, separators=(',', ':'), ensure_ascii=False, default=str)}\n\n".encode()
