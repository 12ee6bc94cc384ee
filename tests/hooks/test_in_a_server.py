"""Webhooks of a server: for administrators, and into nobody's network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from outside import Certificates
from receiver import Receiver

from mailsystem.app import MAILBOXES, Running, opened, running
from mailsystem.directory import hash_password
from mailsystem.settings import Imap, Pop3, Settings, Smtp, Tls, Web
from mailsystem.settings.webhooks import Webhooks


@pytest.fixture
async def server(tmp_path: Path, certificates: Certificates) -> AsyncIterator[Running]:
    settings = Settings(
        data_dir=tmp_path / "data",
        host="127.0.0.1",
        hostname="localhost",
        smtp=Smtp(port=0),
        pop3=Pop3(port=0),
        imap=Imap(port=0),
        web=Web(port=0),
        tls=Tls(cert=certificates.certificate, key=certificates.key),
        webhooks=Webhooks(retry_first=0.05),
    )
    async with opened(settings) as store:
        await store.accounts.add_domain("a.test")
        for person in ("ann", "bob"):
            await store.accounts.add(f"{person}@a.test", await hash_password("correct-horse"), mailboxes=MAILBOXES)
    async with running(settings) as house:
        yield house


def client(server: Running, certificates: Certificates, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    base = f"https://localhost:{server.bound['web'].port}"
    return httpx.AsyncClient(base_url=base, verify=certificates.client(), timeout=30, headers=headers)


async def test_only_administrators_see_or_make_them(server: Running, certificates: Certificates) -> None:
    store = server.store
    token = await store.access_tokens.add("ann@a.test", "phone", {"read", "write", "send"})
    new = {"url": "https://example.org/hook"}
    hook = await store.webhooks.add("bob@a.test", "https://example.org/", ["arrived"], secret="whsec_x", most=65_536)
    async with client(server, certificates, token) as ann:
        for method, path in (
            ("GET", ""),
            ("POST", ""),
            ("GET", f"/{hook.id}"),
            ("PATCH", f"/{hook.id}"),
            ("DELETE", f"/{hook.id}"),
            ("POST", f"/{hook.id}/retry"),
            ("GET", f"/{hook.id}/deliveries"),
            ("DELETE", f"/{hook.id}/deliveries/1"),
        ):
            body = new if method == "POST" else {} if method == "PATCH" else None
            answer = await ann.request(method, f"/v1/webhooks{path}", json=body)
            assert answer.status_code == 403, (method, path)
    token = await store.access_tokens.add("ann@a.test", "all", {"read", "admin"})
    async with client(server, certificates, token) as admin:
        made = await admin.post("/v1/webhooks", json={**new, "account": "bob@a.test"})
        assert (made.status_code, made.json()["account"]) == (201, "bob@a.test")
        assert len((await admin.get("/v1/webhooks")).json()["webhooks"]) == 2
        assert (await admin.get("/v1/webhooks", params={"account": "ann@a.test"})).json() == {"webhooks": []}
        await store.accounts.remove("bob@a.test")
        assert (await admin.get("/v1/webhooks")).json() == {"webhooks": []}


async def test_nobody_is_let_into_our_network_by_them(
    server: Running, certificates: Certificates, receiver: Receiver
) -> None:
    token = await server.store.access_tokens.add("ann@a.test", "all", {"admin", "read", "send"})
    async with client(server, certificates, token) as admin:
        for url in (receiver.url, "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/", "http://example.org/"):
            assert (await admin.post("/v1/webhooks", json={"url": url})).status_code == 400, url
        # A name is not looked up before something is told.
        made = await admin.post(
            "/v1/webhooks", json={"url": f"https://localhost:{receiver.port}/", "query": "in:INBOX"}
        )
        assert made.status_code == 201
        assert (
            await admin.post("/v1/send", json={"to": ["ann@a.test"], "subject": "x", "text": "y"})
        ).status_code == 201
        while (last := (await admin.get(f"/v1/webhooks/{made.json()['id']}")).json()["last"]) is None:
            pass
        assert last["status"] is None
        assert "may not be asked" in last["error"]
    assert receiver.got == []
