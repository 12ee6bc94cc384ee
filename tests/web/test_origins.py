"""Pages of other sites that may ask, where the settings name them (CORS), and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
import websockets
from pydantic import SecretStr, ValidationError
from web_house import House, letter, sink

from mailsystem.settings import Web

APP = "https://app.test"


async def asked(house: House, origin: str, path: str = "/api/v1/messages", method: str = "GET") -> dict[str, str]:
    answer = await house.client.request(method, path, headers={"Origin": origin})
    return {"status": str(answer.status_code), **answer.headers}


async def before(house: House, origin: str, path: str = "/api/v1/messages") -> dict[str, str]:
    """What a browser is told that asks whether it may."""
    wants = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "content-type,authorization"}
    answer = await house.client.options(path, headers={"Origin": origin, **wants})
    return {"status": str(answer.status_code), **answer.headers}


async def test_nobody_elses_page_may_ask_unless_it_is_named(house: House) -> None:
    assert "access-control-allow-origin" not in await asked(house, APP)
    told = await before(house, APP)
    assert "access-control-allow-origin" not in told
    assert "access-control-allow-methods" not in told
    assert (await asked(house, APP, method="PUT"))["status"] == "403"


@pytest.mark.parametrize(
    ("named", "origin", "may"),
    [
        ((APP,), APP, True),
        ((APP,), "https://APP.test", True),
        ((APP,), "http://app.test", False),
        ((APP,), "https://app.test:8443", False),
        ((APP,), "https://app.test.evil.test", False),
        ((APP,), "null", False),
        (("app.test:8080", APP), "http://app.test:8080", True),
        (("app.test:8080",), "https://app.test:8080", True),
        (("app.test:8080",), "http://app.test", False),
        (("*",), "https://anybody.test", True),
    ],
)
async def test_pages_that_are_named_may_ask(tmp_path: Path, named: tuple[str, ...], origin: str, may: bool) -> None:
    async with sink(tmp_path, web=Web(port=0, tls=False, origins=named)) as house:
        await house.send(letter("Hi"))
        for path in ("/api/v1/messages", "/v1/messages", "/view/latest.txt", "/api/v1/message/M9"):
            told = await asked(house, origin, path)
            assert told.get("access-control-allow-origin") == (origin if may else None)
            assert ("Origin" in told.get("vary", "")) is may
        told = await before(house, origin)
        if may:
            assert told["status"] == "204"
            assert "DELETE" in told["access-control-allow-methods"]
            assert told["access-control-allow-headers"] == "content-type,authorization"
            assert "access-control-allow-credentials" not in told
        else:
            assert "access-control-allow-origin" not in told
        body = b'{"Read":true}'
        answer = await house.client.put("/api/v1/messages", content=body, headers={"Origin": origin})
        assert answer.status_code == (200 if may else 403)
        events = f"ws://{house.running.bound['web']}/api/events"
        if may:
            async with websockets.connect(events, origin=websockets.Origin(origin)) as socket:
                assert "stats" in str(await socket.recv())
        else:
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(events, origin=websockets.Origin(origin))


async def test_the_page_itself_is_for_nobody_else(tmp_path: Path) -> None:
    async with sink(tmp_path, web=Web(port=0, tls=False, origins=("*",))) as house:
        for path in ("/", "/flow", "/static/main.js"):
            assert "access-control-allow-origin" not in await asked(house, APP, path)
        # A name that somebody has pointed at this machine is still none of ours.
        answer = await house.client.get("/api/v1/messages", headers={"Origin": APP, "Host": "evil.example.com"})
        assert answer.status_code == 403


async def test_who_asks_first_needs_no_password_and_who_asks_then_does(tmp_path: Path) -> None:
    web = Web(port=0, tls=False, origins=(APP,), auth=SecretStr("ann:a"), root="/mail")
    async with sink(tmp_path, web=web) as house:
        for path in ("/api/v1/messages", "/mail/api/v1/messages"):
            assert (await before(house, APP, path))["status"] == "204"
            told = await asked(house, APP, path)
            assert (told["status"], told["access-control-allow-origin"]) == ("401", APP)


@pytest.mark.parametrize("name", ["https://app.test/path", "two@app.test", "https://*.app.test"])
def test_what_is_no_site_is_not_taken_for_one(name: str) -> None:
    with pytest.raises(ValidationError):
        Web(origins=(name,))
