"""The flow: who says what to whom, line by line, while it happens; and a scene to be played for who has no client at hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse

from mailsystem.mail.errors import MailError
from mailsystem.telemetry.watch import Told, Watch, told_of
from mailsystem.web.api.asked import Asked
from mailsystem.web.api.waiting import HEARTBEAT
from mailsystem.web.context import Context
from mailsystem.web.lasting import Stream
from mailsystem.web.parting import MOST_HELD, Own, Parting
from mailsystem.web.problems import Problem
from mailsystem.web.scene import Scene
from mailsystem.web.shapes import Started, moment
from mailsystem.web.visitors import ADMIN, READ, Doorkeeper, needs

MOST_READERS: Final = 100
MOST_SESSIONS_TOLD: Final = 200
CHECKED: Final = 1.0
"""Seconds for which it is believed that who looks on may do so."""
APART: Final = 10 * MOST_HELD
"""Numbers between two events for whoever is told of some only: what was held back for a while is told in between."""


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/flow", tags=["events"])
    asked = Asked(context, keeper)
    stage = Stage(context)

    def watch() -> Watch:
        if context.watch is None:
            raise Problem(404, "nobody can look on here")
        return context.watch

    @router.get(
        "",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
        **needs(ADMIN, in_space=(READ,)),
    )
    async def flow(request: Request) -> StreamingResponse:
        """What is said at the doors, as it is said: first `ready`, which names who is connected, then an event for each line
        and for what comes of it. No secrets and no texts of messages are in it. `missed` tells how many events were lost to a
        reader that was too slow. Who comes again with Last-Event-ID hears what was said meanwhile. The token of a space
        shows what is said there, and nothing else."""
        visitor = await keeper.visitor(request)
        space = visitor.space
        visitor.must(READ if space else ADMIN)
        if watch().readers >= MOST_READERS:
            raise Problem(503, f"{MOST_READERS} look on already")
        last = request.headers.get("last-event-id", "")

        async def check() -> None:
            await keeper.check_again(request, visitor, visitor.account)

        telling = _Telling(context, watch(), check, Own(context, space) if space else None)
        return Stream(telling.events(last), keeper.lasting, visitor)

    @router.post("/demo", status_code=202, **needs(ADMIN))
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


class _Telling:
    """Tells one who looks on."""

    def __init__(self, context: Context, watch: Watch, check: Callable[[], Awaitable[None]], own: Own | None) -> None:
        self._context = context
        self._watch = watch
        self._check = check
        """Raises a `MailError` once they may look on no more."""
        self._own = own
        """What they may see, where that is not all."""
        self._parting: Parting | None = None
        self._boot = f"{int(watch.since * 1000):x}"
        self._after = 0
        self._checked = time.monotonic()

    async def events(self, last: str) -> AsyncGenerator[bytes, None]:
        mine, _, number = last.partition("-")
        if mine == self._boot and number.isascii() and number.isdigit() and len(number) < 19:
            self._after = int(number)
        stopping = asyncio.create_task(self._context.stopping.wait())
        # Whose a session is may have been said before what comes next.
        with self._watch.reading(self._after if self._own is None else 0) as reader:
            await self._watch.gathered()
            yield self._ready()
            taking = asyncio.create_task(reader.take())
            try:
                while not self._context.stopping.is_set():
                    await asyncio.wait((taking, stopping), timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                    if not await self._may_go_on():
                        return
                    if not taking.done():
                        yield b": still here\n\n"
                        continue
                    missed, told = taking.result()
                    taking = asyncio.create_task(reader.take())
                    if missed:
                        yield _event("missed", {"count": missed})
                    yield b"".join([piece for each in told for piece in await self._told(each)])
            finally:
                taking.cancel()
                stopping.cancel()

    def _ready(self) -> bytes:
        sessions = self._watch.sessions
        if self._own is not None:
            self._parting = Parting(self._own, sessions)
            sessions = self._parting.sessions(sessions)
        told = [{**each, "since": _iso(each["since"])} for each in sessions[-MOST_SESSIONS_TOLD:]]
        ready = {"workers": self._context.workers, "boot": self._boot, "sessions": told}
        return b"retry: 1000\n" + _event("ready", ready)

    async def _may_go_on(self) -> bool:
        now = time.monotonic()
        if now - self._checked > CHECKED:
            self._checked = now
            try:
                await self._check()
            except MailError:
                return False
        return True

    async def _told(self, told: Told) -> list[bytes]:
        if self._parting is None:
            return [self._one(told.number, told, told_of(told.event))]
        seen = await self._parting.take(told)
        first = APART * told.number + APART - len(seen)
        numbered = enumerate(seen, first)
        return [self._one(number, each.told, each.data) for number, each in numbered if number > self._after]

    def _one(self, number: int, told: Told, found: Mapping[str, Any]) -> bytes:
        event = told.event
        more = dict(found)
        if (ident := more.pop("id", None)) is not None:
            more["queue_id"] = ident
        # Its own members last: whatever an event tells, it is counted by its number.
        data = {
            **more,
            "id": number,
            "at": _iso(event.time),
            "time": round(event.time, 6),
            "session": event.session,
            "door": event.door,
            "name": event.name,
        }
        return f"id: {self._boot}-{number}\n".encode() + _event(None, data)


def _iso(seconds: float) -> str:
    return moment(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(name: str | None, data: dict[str, Any]) -> bytes:
    named = "" if name is None else f"event: {name}\n"
    return f"{named}data: {json.dumps(data, separators=(',', ':'), ensure_ascii=False, default=str)}\n\n".encode()
