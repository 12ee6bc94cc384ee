"""A server's web door: nobody gets in without a proof, and nobody sees what is not theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from outside import Certificates
from web_house import letter

from mailsystem.app import MAILBOXES, Running, StartupError, opened, running
from mailsystem.directory import hash_password
from mailsystem.mail.mailbox import INBOX, MailboxId
from mailsystem.mail.rights import Identifier
from mailsystem.settings import Imap, Pop3, Settings, Smtp, Tls, Web
from mailsystem.store import Disabled
from mailsystem.telemetry import Event

PASSWORD = "correct-horse"
_hashed: dict[str, str] = {}


class Server:
    def __init__(self, house: Running, place: Path, base: str, certificates: Certificates, events: list[Event]) -> None:
        self.running, self.store, self.base, self.events = house, house.store, base, events
        self.place = place
        self._verify = certificates.client()

    def client(self, **more: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.base, verify=self._verify, timeout=30, **more)


def settings(place: Path, certificates: Certificates | None, **more: Any) -> Settings:
    given: dict[str, Any] = {
        "data_dir": place / "data",
        "host": "127.0.0.1",
        "hostname": "localhost",
        "smtp": Smtp(port=0),
        "pop3": Pop3(port=0),
        "imap": Imap(port=0),
        "web": Web(port=0),
    }
    if certificates is not None:
        given["tls"] = Tls(cert=certificates.certificate, key=certificates.key)
    return Settings(**{**given, **more})


@asynccontextmanager
async def serving(place: Path, certificates: Certificates) -> AsyncIterator[Server]:
    """A server where Ann and Bob live."""
    wanted = settings(place, certificates)
    async with opened(wanted) as store:
        await store.accounts.add_domain("a.test")
        for person in ("ann", "bob"):
            hashed = _hashed.get(PASSWORD) or _hashed.setdefault(PASSWORD, await hash_password(PASSWORD))
            await store.accounts.add(f"{person}@a.test", hashed, mailboxes=MAILBOXES)
    events: list[Event] = []
    async with running(wanted, sinks=[events.append]) as house:
        yield Server(house, place / "data", f"https://localhost:{house.bound['web'].port}", certificates, events)


@pytest.fixture
async def server(tmp_path: Path, certificates: Certificates) -> AsyncIterator[Server]:
    async with serving(tmp_path, certificates) as opened:
        yield opened


async def test_nobody_gets_in_without_a_proof(server: Server) -> None:
    async with server.client() as client:
        for path in (
            "/v1/info",
            "/v1/messages",
            "/v1/accounts",
            "/v1/wait",
            "/v1/events",
            "/v1/flow",
            "/v1/sessions",
            "/v1/query",
        ):
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Basic ")
        assert (await client.post("/v1/send", json={"to": ["bob@a.test"]})).status_code == 401
        wrong = await client.post("/v1/login", json={"login": "ann@a.test", "password": "wrong"})
        nobody = await client.post("/v1/login", json={"login": "nobody@a.test", "password": "wrong"})
        assert (wrong.status_code, wrong.json()) == (401, nobody.json())
        assert (await client.get("/v1/info", auth=("ann@a.test", "wrong"))).status_code == 401
        assert (await client.get("/v1/info", headers={"Authorization": "Bearer ms_x"})).status_code == 401
        assert (await client.get("/v1/info", headers={"Authorization": "Basic !!!"})).status_code == 401
        assert (await client.get("/v1/info", headers={"Cookie": "mailsystem_session=x"})).status_code == 401
        assert (await client.get("/livez")).text == "ok"
    assert [event.data["login"] for event in server.events if event.name == "login failed"][:2] == [
        "ann@a.test",
        "nobody@a.test",
    ]
    assert "wrong" not in repr(server.events)


async def test_a_session_begins_with_the_password_and_ends(server: Server) -> None:
    async with server.client() as client:
        answer = await client.post("/v1/login", json={"login": "ANN@a.test", "password": PASSWORD})
        assert answer.json()["login"] == "ann@a.test"
        cookie = answer.headers["set-cookie"]
        for said in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
            assert said in cookie
        info = (await client.get("/v1/info")).json()
        assert (info["role"], info["account"]) == ("serve", "ann@a.test")
        assert info["user"] == {"login": "ann@a.test", "admin": False, "scopes": ["read", "send", "write"]}
        kept = dict(client.cookies)
        assert (await client.delete("/v1/login")).status_code == 204
        again = await client.get("/v1/info", headers={"Cookie": f"mailsystem_session={kept['mailsystem_session']}"})
        assert again.status_code == 401, "the cookie is worth nothing any more"

        await client.post("/v1/login", json={"login": "ann@a.test", "password": PASSWORD})
        await server.store.accounts.set_password("ann@a.test", await hash_password("another"))
        assert (await client.get("/v1/info")).status_code == 401, "a new password ends all sessions"


@pytest.mark.parametrize("end", ["logout", "password", "disabled", "removed"])
@pytest.mark.parametrize("by", ["cookie", "password"])
async def test_a_stream_ends_with_the_right_to_watch(server: Server, end: str, by: str) -> None:
    if (by, end) == ("password", "logout"):
        return  # there is nothing to end
    store = server.store
    ann = await store.accounts.find("ann@a.test")
    more: dict[str, Any] = {"auth": ("ann@a.test", PASSWORD)} if by == "password" else {}
    async with asyncio.timeout(60), server.client(**more) as client:
        if by == "cookie":
            await client.post("/v1/login", json={"login": "ann@a.test", "password": PASSWORD})
        waiting = asyncio.create_task(client.get("/v1/wait", params={"timeout": 3}))
        async with client.stream("GET", "/v1/events") as stream:
            lines = stream.aiter_lines()
            while await anext(lines) != "event: ready":
                pass
            match end:
                case "logout":
                    await client.delete("/v1/login")
                case "password":
                    await store.accounts.set_password("ann@a.test", await hash_password("another"))
                    server.running.directory.forget()
                case "disabled":
                    await store.accounts.disable("ann@a.test", Disabled.REJECT)
                    server.running.directory.forget()
                case _:
                    await store.accounts.remove("ann@a.test")
                    server.running.directory.forget()
            store.bell.ring([(ann.id, MailboxId(0))])
            rest = [line async for line in lines]
        assert [line for line in rest if line.startswith("event:")] == []
        assert (await waiting).status_code in (401, 404)


async def test_one_sees_ones_own_and_an_administrator_everybodys(server: Server) -> None:
    async with server.client(auth=("ann@a.test", PASSWORD)) as ann:
        sent = await ann.post("/v1/send", json={"to": ["bob@a.test"], "subject": "lunch", "text": "Friday?"})
        assert sent.status_code == 201, sent.text
        assert (await ann.get("/v1/messages", params={"account": "bob@a.test"})).status_code == 403
        assert [one["login"] for one in (await ann.get("/v1/accounts")).json()["accounts"]] == ["ann@a.test"]
        [kept] = (await ann.get("/v1/messages", params={"mailbox": "Sent"})).json()["messages"]
        assert (kept["subject"], kept["unread"]) == ("lunch", False)
        for path in ("/v1/domains", "/v1/aliases", "/v1/sessions", f"/v1/messages/{kept['id']}/envelope"):
            assert (await ann.get(path)).status_code == 403, path
        assert (await ann.post("/v1/accounts", json={"login": "eve@a.test"})).status_code == 403
        assert (await ann.get(f"/v1/messages/{kept['id']}", params={"account": "ann@a.test"})).status_code == 200
    async with server.client(auth=("bob@a.test", PASSWORD)) as bob:
        [got] = (await bob.get("/v1/messages")).json()["messages"]
        assert got["from"] == {"name": "", "address": "ann@a.test"}
        assert (await bob.get(f"/v1/messages/{kept['id']}")).status_code == 404, "ids of others are ids of nothing"

    token = await server.store.access_tokens.add("ann@a.test", "all", {"read", "admin"})
    async with server.client(headers={"Authorization": f"Bearer {token}"}) as admin:
        theirs = await admin.get("/v1/messages", params={"account": "bob@a.test"})
        assert theirs.json()["total"] == 1
        assert (await admin.get("/v1/messages", params={"account": "eve@a.test"})).status_code == 404
        envelope = (await admin.get(f"/v1/messages/{got['id']}/envelope", params={"account": "bob@a.test"})).json()
        assert (envelope["mail_from"], envelope["protocol"]) == ("ann@a.test", "HTTP")
        made = await admin.post("/v1/accounts", json={"login": "eve@a.test", "password": PASSWORD})
        assert made.status_code == 201, made.text
        assert (await admin.post("/v1/accounts", json={"login": "eve@a.test"})).status_code == 409
        assert (await admin.post("/v1/accounts", json={"login": "eve@b.test"})).status_code == 422
        assert (await admin.put("/v1/domains/b.test")).status_code == 204
        assert (
            await admin.put("/v1/aliases", json={"address": "all@b.test", "targets": ["eve@a.test"]})
        ).status_code == 204
        assert (await admin.put("/v1/aliases", json={"address": "ann@a.test", "targets": ["x@y"]})).status_code == 409
        assert [one["name"] for one in (await admin.get("/v1/domains")).json()["domains"]] == ["a.test", "b.test"]
        assert (await admin.patch("/v1/accounts/eve@a.test", json={"disabled": "reject"})).status_code == 204
        async with server.client(auth=("eve@a.test", PASSWORD)) as eve:
            assert (await eve.get("/v1/info")).status_code == 401
        assert (await admin.delete("/v1/accounts/eve@a.test")).status_code == 204
        assert (await admin.delete("/v1/aliases/all@b.test")).status_code == 204
        assert (await admin.delete("/v1/domains/b.test")).status_code == 204


async def test_a_query_tells_nobody_of_blind_copies(server: Server) -> None:
    async with server.client(auth=("ann@a.test", PASSWORD)) as ann:
        letter = {"to": ["bob@a.test"], "bcc": ["ann@a.test"], "subject": "lunch", "text": "Friday?"}
        assert (await ann.post("/v1/send", json=letter)).status_code == 201
    async with server.client(auth=("bob@a.test", PASSWORD)) as bob:
        for query, found in (
            ("envelope-from:ann@a.test", 1),
            ("envelope-to:ann@a.test", 0),
            ("-envelope-to:ann@a.test", 1),
        ):
            assert len((await bob.get("/v1/messages", params={"query": query})).json()["messages"]) == found, query


async def test_what_others_share_is_no_way_to_their_other_mail(server: Server) -> None:
    store = server.store
    ann = await store.accounts.find("ann@a.test")
    theirs = "Other Users/ann@a.test/INBOX"
    # Of a mailbox of which one may only know, nothing is read; that two accounts number theirs alike opens none.
    await store.sharing.change(ann.id, INBOX, Identifier("bob@a.test"), frozenset("l"))
    async with server.client(auth=("ann@a.test", PASSWORD)) as client:
        await client.post("/v1/send", json={"to": ["ann@a.test"], "subject": "secret", "text": "secret"})
    async with server.client(auth=("bob@a.test", PASSWORD)) as bob:
        await bob.post("/v1/send", json={"to": ["bob@a.test"], "subject": "mine", "text": "mine"})
        [mine] = (await bob.get("/v1/messages")).json()["messages"]
        for path in (f"/v1/messages/{mine['id']}", "/v1/messages", "/v1/wait", "/v1/messages/latest"):
            answer = await bob.get(path, params={"mailbox": theirs})
            assert (answer.status_code, "secret" in answer.text) == (404, False), path
        moved = await bob.patch(f"/v1/messages/{mine['id']}", json={"mailbox": theirs})
        assert (moved.status_code, "secret" in moved.text) == (404, False)
        assert (await bob.get(f"/v1/messages/{mine['id']}")).json()["mailboxes"][0]["mailbox"] == "INBOX"


async def test_a_token_allows_what_it_says_and_no_more(server: Server) -> None:
    tokens = server.store.access_tokens
    reads = await tokens.add("ann@a.test", "reads", {"read"})
    async with server.client(headers={"Authorization": f"Bearer {reads}"}) as client:
        assert (await client.get("/v1/messages")).status_code == 200
        for method, path in (("POST", "/v1/mailboxes"), ("POST", "/v1/send"), ("POST", "/v1/messages/bulk")):
            body = {"name": "x"} if path == "/v1/mailboxes" else {"ids": []} if "bulk" in path else {"to": ["x@a.test"]}
            refused = await client.request(method, path, json=body)
            assert refused.status_code == 403, path
            assert "scope" in refused.json()["detail"]
        files = [path.read_bytes() for path in server.place.rglob("*") if path.is_file()]
        assert files
        assert not any(reads.encode() in octets for octets in files), "only its digest is kept"
        await tokens.remove("ann@a.test", "reads")
        assert (await client.get("/v1/messages")).status_code == 401
    other = await tokens.add("ann@a.test", "other", {"read"})
    async with server.client(headers={"Authorization": f"Bearer {other}"}) as client:
        await server.store.accounts.disable("ann@a.test", Disabled.REJECT)
        assert (await client.get("/v1/messages")).status_code == 401


async def test_only_administrators_look_at_everybodys_sessions_and_a_server_plays_no_scenes(server: Server) -> None:
    tokens = server.store.access_tokens
    reads = await tokens.add("ann@a.test", "reads", {"read", "write", "send"})
    admin = await tokens.add("ann@a.test", "all", {"admin"})
    async with server.client(headers={"Authorization": f"Bearer {reads}"}) as client:
        assert (await client.get("/v1/flow")).status_code == 403
        assert (await client.post("/v1/flow/demo")).status_code == 403
    async with server.client(headers={"Authorization": f"Bearer {admin}"}) as client:
        async with client.stream("GET", "/v1/flow") as answer:
            assert answer.status_code == 200
            assert (await anext(answer.aiter_lines())) == "retry: 1000"
        refused = await client.post("/v1/flow/demo")
        assert (refused.status_code, refused.json()["detail"]) == (403, "only a sink plays scenes")


async def test_nobody_sends_as_somebody_else_and_what_cannot_be_is_told(server: Server) -> None:
    async with server.client(auth=("ann@a.test", PASSWORD)) as ann:

        async def refused(status: int, **body: Any) -> str:
            answer = await ann.post("/v1/send", json=body)
            assert answer.status_code == status, answer.text
            return str(answer.json()["detail"])

        await refused(403, **{"from": "bob@a.test", "to": ["bob@a.test"]})
        assert "nobody@a.test" in await refused(422, to=["nobody@a.test"])
        await refused(400, to=[])
        await refused(400, to=["bob@a.test"], subject="x\r\nBcc: eve@a.test")
        await refused(400, to=["bob@a.test"], headers={"X-A": "x\nY: z"})
        await refused(400, to=["bob@a.test"], headers={"Bcc": "eve@a.test"})
        await refused(400, to=["not an address"])
        await refused(400, to=["bob@a.test"], attachments=[{"filename": "x", "content": "!"}])
        assert (await ann.post("/v1/send", content=b"x", headers={"content-type": "text/plain"})).status_code == 415
        whole = letter("as it is").as_bytes()
        raw = {"content-type": "message/rfc822"}
        params = {"from": "ann@a.test", "to": "bob@a.test"}
        assert (await ann.post("/v1/send", content=whole, headers=raw, params=params)).status_code == 201
        rich = {
            "to": [{"name": "Bob, the", "address": "bob@a.test"}],
            "cc": ["Ann <ann@a.test>"],
            "subject": "Grüße",
            "html": "<p>Hi <img src='cid:logo'></p>",
            "attachments": [
                {"filename": "l.png", "type": "image/png", "content": "iVBORw==", "cid": "logo"},
                {"filename": "ä.txt", "type": "text/plain", "content": "eA=="},
            ],
            "headers": {"X-Campaign": "7"},
        }
        assert (await ann.post("/v1/send", json=rich)).status_code == 201
    async with server.client(auth=("bob@a.test", PASSWORD)) as bob:
        told = (await bob.get("/v1/messages/latest")).json()
        assert (told["subject"], told["to"][0]["name"], told["text"].strip()) == ("Grüße", "Bob, the", "Hi")
        assert [(one["filename"], one["inline"]) for one in told["attachments"]] == [("l.png", True), ("ä.txt", False)]


async def test_passwords_are_taken_under_tls_only(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="needs TLS"):
        async with running(settings(tmp_path, None, host="*", web=Web(port=0)), ["web"]):
            raise AssertionError
    async with (
        running(settings(tmp_path, None), ["web"]) as house,  # on this machine alone, say behind a proxy
        httpx.AsyncClient(base_url=f"http://{house.bound['web']}") as client,
    ):
        assert (await client.get("/v1/info", auth=("ann@a.test", PASSWORD))).status_code == 401
    with pytest.raises(StartupError, match="no port"):
        async with running(settings(tmp_path, None, web=Web()), ["web"]):
            raise AssertionError
