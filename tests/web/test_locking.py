"""A sink behind a password, and below a path."""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

import httpx
import pytest
import websockets
from pydantic import SecretStr
from web_house import House, letter, sink

from mailsystem.app import StartupError
from mailsystem.settings import Sink, Web


async def test_who_has_no_password_sees_nothing(tmp_path: Path) -> None:
    file = tmp_path / "people"
    file.write_text("bob:b\n")
    web = Web(port=0, tls=False, auth=SecretStr("ann:a kim:k"), auth_file=file)
    async with sink(tmp_path, web=web) as house:
        for path in (
            "/",
            "/v1/messages",
            "/api/v1/messages",
            "/view/latest",
            "/static/main.js",
            "/openapi.json",
            "/metrics",
        ):
            answer = await house.client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic")
        for auth in (("ann", "k"), ("", ""), ("nobody", "a")):
            assert (await house.client.get("/v1/messages", auth=auth)).status_code == 401
        for value in ("Basic", "Basic !", "Bearer ann:a", "Basic YW5u"):
            assert (await house.client.get("/v1/messages", headers={"Authorization": value})).status_code == 401
        for auth in (("ann", "a"), ("kim", "k"), ("bob", "b")):
            assert (await house.client.get("/api/v1/messages", auth=auth)).status_code == 200
        assert (await house.client.get("/livez")).text == (await house.client.get("/readyz")).text == "ok"
        place = house.running.bound["web"]
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(f"ws://{place}/api/events")
        async with websockets.connect(f"ws://ann:a@{place}/api/events") as socket:
            assert "stats" in str(await socket.recv())


async def test_a_sink_answers_below_a_path_too(tmp_path: Path) -> None:
    async with sink(tmp_path, web=Web(port=0, tls=False, root="/tools/mail/")) as house:
        await house.send(letter("Hi"))
        for root in ("", "/tools/mail"):
            assert (await house.get(f"{root}/api/v1/messages"))["total"] == 1
            assert (await house.client.get(f"{root}/view/latest")).headers["location"] == f"{root}/m/M1"
        assert (await house.client.get("/tools/mailer/api/v1/messages")).status_code == 404


async def test_the_page_and_all_that_it_asks_for_are_below_that_path(tmp_path: Path) -> None:
    web = Web(port=0, tls=False, root="/tools/mail", auth=SecretStr("ann:a"))
    async with sink(tmp_path, web=web) as house:
        await house.send(letter("Hi"))
        for path in ("/livez", "/readyz"):
            assert (await house.client.get(f"/tools/mail{path}")).text == "ok"
        assert (await house.client.get("/tools/mail/")).status_code == 401
        house.client.auth = httpx.BasicAuth("ann", "a")
        for path in ("", "/", "/m/INBOX/M1", "/sessions", "/flow"):
            page = await house.client.get(f"/tools/mail{path}")
            assert 'data-base="/tools/mail"' in page.text
            addresses = re.findall(r'(?:href|src)="([^"#]*)"', page.text)
            assert len(addresses) > 5
            assert all(address.startswith("/tools/mail/") for address in addresses)
        for address in addresses:
            if "/static/" in address:
                assert (await house.client.get(address)).status_code == 200
        for path in ("/v1/messages", "/openapi.json", "/view/latest.txt", "/api/v1/message/latest", "/favicon.ico"):
            assert (await house.client.get(f"/tools/mail{path}")).status_code == 200
        place = house.running.bound["web"]
        async with websockets.connect(f"ws://ann:a@{place}/tools/mail/api/events") as socket:
            assert "stats" in str(await socket.recv())


async def test_without_a_path_the_page_is_at_the_root(tmp_path: Path) -> None:
    async with sink(tmp_path) as house:
        page = await house.client.get("/")
        assert 'data-base=""' in page.text
        assert "{base}" not in page.text


async def test_nobody_sends_or_reads_without_a_password_that_was_named(tmp_path: Path) -> None:
    own = Sink(passwords=SecretStr("app:good ann@shop.test:a"), login_required=True)
    async with sink(tmp_path, sink=own) as house:
        place = house.running.bound["smtp"]
        await _refused_and_sent(house, place.host, place.port)


async def _refused_and_sent(house: House, host: str, port: int) -> None:
    import asyncio

    def go() -> None:
        with smtplib.SMTP(host, port, timeout=30) as smtp:
            with pytest.raises(smtplib.SMTPSenderRefused):
                smtp.send_message(letter("no"))
            for login, password in (("app", "bad"), ("sink", "any"), ("ann@shop.test", "good")):
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    smtp.login(login, password)
            smtp.login("app", "good")
            smtp.send_message(letter("yes"))

    await asyncio.to_thread(go)
    [told] = (await house.get("/api/v1/messages"))["messages"]
    assert (told["Subject"], told["Username"]) == ("yes", "sink")


@pytest.mark.parametrize("text", ["", "ann", "ann:$1$x"])
async def test_passwords_that_cannot_be_used_are_told_at_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(StartupError, match=r"web\.auth"):
        async with sink(tmp_path, web=Web(port=0, tls=False, auth=SecretStr(text))):
            pass
    with pytest.raises(StartupError, match=r"web\.auth_file"):
        async with sink(tmp_path, web=Web(port=0, tls=False, auth_file=tmp_path / "none")):
            pass
