"""Each route of the interface says which scopes it takes, and without one of them nobody gets past it."""

from __future__ import annotations

import json
import re
from typing import Any

from test_access import Server, server

from mailsystem.web.visitors import EVERYTHING, SCOPES

__all__ = ["server"]

OPEN = {("post", "/v1/login"), ("delete", "/v1/login")}
"""Where one comes in and goes out."""


async def test_every_route_says_its_scopes_and_takes_them(server: Server) -> None:
    tokens = server.store.access_tokens
    without = {one: await tokens.add("ann@a.test", f"no {one}", EVERYTHING - {one}) for one in EVERYTHING}
    exactly: dict[frozenset[str], str] = {}
    async with server.client() as client:
        described = (await client.get("/openapi.json")).json()
        count = 0
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                if not path.startswith("/v1/"):
                    continue
                count += 1
                place = f"{method} {path}"
                scopes = frozenset(operation[SCOPES])
                assert bool(scopes) is ((method, path) not in OPEN), place
                address = re.sub(r"\{\w+\}", "1", path)

                async def ask(token: str, method: str = method, address: str = address) -> tuple[int, str]:
                    headers = {"Authorization": f"Bearer {token}", "content-type": "application/json"}
                    async with client.stream(method, address, headers=headers, content=b"{}") as answer:
                        if answer.headers.get("content-type", "").startswith("text/event-stream"):
                            return answer.status_code, ""
                        return answer.status_code, (await answer.aread()).decode()

                for one in scopes:
                    status, said = await ask(without[one])
                    assert (status, json.loads(said)["detail"]) == (403, f"this takes the scope {one}"), place
                if not scopes or path in ("/v1/wait", "/v1/accounts/{login}"):
                    continue
                if scopes not in exactly:
                    exactly[scopes] = await tokens.add("ann@a.test", "+".join(sorted(scopes)), scopes)
                status, said = await ask(exactly[scopes])
                assert status != 401, place
                assert "this takes the scope" not in said, (place, said)
        assert count > 55


async def test_who_may_only_write_reads_nothing_by_that(server: Server) -> None:
    tokens = server.store.access_tokens
    writes = await tokens.add("ann@a.test", "writes", {"write"})
    both = await tokens.add("ann@a.test", "both", {"read", "write"})
    sends = await tokens.add("ann@a.test", "sends", {"send"})

    def bearing(token: str) -> dict[str, Any]:
        return {"headers": {"Authorization": f"Bearer {token}"}}

    async with server.client(**bearing(sends)) as client:
        letter = {"to": ["ann@a.test"], "subject": "secret", "text": "x"}
        assert (await client.post("/v1/send", json=letter)).status_code == 201
    async with server.client(**bearing(both)) as client:
        at = f"/v1/messages/{(await client.get('/v1/messages/latest')).json()['id']}"
        assert (await client.patch(at, json={})).status_code == 400, "nothing is to be changed"
        assert (await client.patch(at, json={"add_flags": ["a"]})).json()["tags"] == ["a"]
        assert (await client.get(at, params={"seen": True})).status_code == 200
    async with server.client(**bearing(writes)) as client:
        assert (await client.patch(at, json={})).status_code == 400
        changed = await client.patch(at, json={"add_flags": ["b"]})
        assert (changed.status_code, changed.content) == (204, b"")
        moved = await client.patch(at, json={"mailbox": "Archive"})
        assert (moved.status_code, moved.content) == (204, b"")
        bulk: dict[str, Any] = {"query": "subject:secret", "mailbox": "*", "add_flags": ["c"]}
        refused = await client.post("/v1/messages/bulk", json=bulk)
        assert (refused.status_code, refused.json()["detail"]) == (403, "this takes the scope read")
        named = await client.post("/v1/messages/bulk", json={**bulk, "query": None, "ids": [at.rpartition("/")[2]]})
        assert named.json()["changed"] == 1
    reads = await tokens.add("ann@a.test", "reads", {"read"})
    async with server.client(**bearing(reads)) as client:
        told = (await client.get(at)).json()
        assert (told["tags"], told["mailbox"]) == (["a", "b", "c"], "Archive")
        assert (await client.get(at, params={"seen": True})).status_code == 403
