"""Tokens of spaces: each opens its own and nothing of others, whatever is asked, and is gone with it."""

from __future__ import annotations

import asyncio
import json
import smtplib
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from pydantic import SecretStr
from web_house import PATIENCE, House, letter, sink

from mailsystem.settings import Spaces, Web
from mailsystem.web.api import events, flow

CANARY = "canary"
"""In everything that is not the space's."""


@dataclass
class Held:
    """Who has the token of `mine`, beside another space and mail that is in none."""

    house: House
    client: httpx.AsyncClient
    token: str
    theirs: str
    """The id of a message of theirs."""
    rule: int
    """A fault of theirs."""
    hook: str

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == status, answer.text
        assert CANARY not in answer.text
        return answer.json()

    async def ask(self, method: str, path: str, status: int, **more: Any) -> Any:
        answer = await self.client.request(method, path, **more)
        assert answer.status_code == status, answer.text
        assert CANARY not in answer.text
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer.text


def by_smtp(house: House, subject: str, *to: str, login: str | None = None, sender: str = "shop@shop.test") -> None:
    place = house.running.bound["smtp"]
    with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
        if login is not None:
            smtp.login(login, "any")
        smtp.send_message(letter(subject, sender=sender, to="everybody@shop.test"), sender, list(to))


async def made(house: House, **wanted: Any) -> Any:
    answer = await house.client.post("/v1/spaces", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()


def as_bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def held(house: House) -> AsyncIterator[Held]:
    token = (await made(house, name="mine", token=True))["token"]
    assert token.startswith("ms_")
    await made(house, name="canary-space", domains=["canary.test"])
    await asyncio.to_thread(by_smtp, house, "canary out", "canary@shop.test", sender="canary@a.test")
    await asyncio.to_thread(by_smtp, house, "canary theirs", "canary@canary.test", sender="canary@a.test")
    theirs = (await house.get("/v1/messages", account="canary-space"))["messages"][0]["id"]
    wanted = {"line": "smtp RCPT namespace=canary-space reply='451 4.7.1 canary'"}
    rule = (await house.client.post("/v1/faults", json=wanted)).json()["id"]
    await house.client.post("/v1/faults", json={"line": "smtp MAIL from=canary@a.test 'reply=451 4.7.1 canary'"})
    new = {"url": "http://canary.test/hook", "account": "canary-space"}
    hook = (await house.client.post("/v1/webhooks", json=new)).json()["id"]
    base = house.client.base_url
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE, headers=as_bearer(token)) as client:
        yield Held(house, client, token, theirs, rule, hook)


async def test_it_sees_its_space_and_who_is_in_it(held: Held) -> None:
    await asyncio.to_thread(by_smtp, held.house, "in", "ann@shop.test", login="mine")
    [one] = (await held.get("/v1/messages"))["messages"]
    assert one["subject"] == "in"
    info = await held.get("/v1/info")
    assert (info["account"], info["faults"], info["spaces"]) == ("space:mine", True, True)
    assert info["user"] == {"login": "space:mine", "admin": False, "scopes": ["read", "send", "write"]}
    logins = [each["login"] for each in (await held.get("/v1/accounts"))["accounts"]]
    assert sorted(logins) == ["ann@shop.test/mine", "space:mine"]
    assert [each["name"] for each in (await held.get("/v1/spaces"))["spaces"]] == ["mine"]
    for name in ("mine", "MINE", "mine+worker3", "space:mine", "ann@shop.test/mine"):
        assert (await held.get("/v1/messages", account=name))["messages"][0]["subject"] == "in"
    assert (await held.get("/v1/wait", query="subject:in", timeout=0))["messages"][0]["id"] == one["id"]
    assert (await held.get(f"/v1/messages/{one['id']}"))["subject"] == "in"
    changed = await held.ask("PATCH", f"/v1/messages/{one['id']}", 200, json={"add_flags": ["\\Flagged"]})
    assert changed["pinned"]


@pytest.mark.parametrize(
    "account",
    [
        *("sink", "canary-space", "space:canary-space", "canary@shop.test", "canary@canary.test/canary-space"),
        *("nobody@x.test", "nosuch", "canary@shop.test/mine/canary-space", "mine@shop.test", "canary@shop.test/"),
        *("/mine", "@/mine", "\x00/mine"),
    ],
)
async def test_all_other_accounts_are_refused_alike(held: Held, account: str) -> None:
    for path in ("/v1/messages", "/v1/mailboxes", "/v1/wait", "/v1/events", "/v1/retention"):
        answer = await held.client.get(
            path, params={"account": account, "timeout": 0} if "wait" in path else {"account": account}
        )
        assert answer.status_code in (403, 404)
        assert "canary out" not in answer.text
    if account in ("canary@shop.test", "nobody@x.test"):  # whether there is such a one is not told
        assert (await held.client.get("/v1/messages", params={"account": account})).status_code == 403


async def test_numbers_of_other_peoples_messages_open_nothing(held: Held) -> None:
    outside = (await held.house.get("/v1/messages"))["messages"][0]["id"]
    await held.house.get(f"/v1/messages/{held.theirs}/envelope", account="canary-space")
    sessions = (await held.house.get("/v1/sessions"))["sessions"]
    assert len(sessions) >= 2
    for id_ in (outside, held.theirs):
        for part in (
            "",
            "/raw",
            "/headers",
            "/text",
            "/html",
            "/envelope",
            "/journey",
            "/extract",
            "/checks",
            "/parts/1",
        ):
            await held.ask("GET", f"/v1/messages/{id_}{part}", 404)
        await held.ask("PATCH", f"/v1/messages/{id_}", 404, json={"add_flags": ["\\Seen"]})
        await held.ask("DELETE", f"/v1/messages/{id_}", 404)
        await held.ask("POST", "/v1/messages/bulk", 404, json={"ids": [id_], "delete": "permanent"})
        await held.ask("POST", "/v1/faults/answer", 404, json={"kind": "bounce", "about": id_})
        for path in ("api/v1/message/{}", "api/v1/message/{}/raw", "view/{}.txt", "view/{}.html", "view/{}"):
            await held.ask("GET", f"/{path.format(id_)}", 404)
        await held.ask("DELETE", "/api/v1/messages", 200, json={"IDs": [id_]})
    for each in sessions:
        await held.ask("GET", f"/v1/sessions/{each['id']}", 404)
    assert (await held.get("/v1/sessions"))["sessions"] == []
    assert (await held.house.get("/v1/messages"))["total"] == 1
    assert (await held.house.get("/v1/messages", account="canary-space"))["total"] == 1


async def test_whatever_is_read_tells_nothing_of_others(held: Held) -> None:
    """Every address of the interface, with numbers of other people's things in it."""
    paths = (await held.house.get("/openapi.json"))["paths"]
    values = {"id": held.theirs, "part": "1", "name": "canary-space", "login": "canary@shop.test", "session": "1" * 16}
    asked = 0
    for path, operations in paths.items():
        if "get" not in operations or path in ("/v1/flow", "/v1/events"):
            continue
        filled = path
        for name, value in values.items():
            filled = filled.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
        answer = await held.client.get(filled.replace("{", "x").replace("}", "x"), params={"timeout": 0})
        if answer.status_code == 200:
            assert CANARY not in answer.text, filled
        asked += 1
    assert asked > 25


async def test_faults_are_its_own(held: Held) -> None:
    assert (await held.get("/v1/faults"))["faults"] == []
    for namespace in ("canary-space", ""):
        assert (await held.client.get("/v1/faults", params={"namespace": namespace})).status_code == 403
    await held.ask("DELETE", f"/v1/faults/{held.rule}", 404)
    assert await held.ask("POST", "/v1/faults/reset", 200, params={"id": held.rule}) == {"reset": 0}
    assert await held.ask("DELETE", "/v1/faults", 200) == {"removed": 0}
    for wanted in (
        {"line": "smtp RCPT namespace=canary-space reply='451 no'"},
        {"door": "smtp", "stage": "RCPT", "namespace": "x", "reply": "451 no"},
    ):
        assert (await held.client.post("/v1/faults", json=wanted)).status_code == 403
    added = await held.ask("POST", "/v1/faults", 201, json={"line": "smtp RCPT reply='451 4.7.1 mine'"})
    assert added["namespace"] == "mine"
    # It strikes nobody else.
    await asyncio.to_thread(by_smtp, held.house, "canary again", "canary@elsewhere.test")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(by_smtp, held.house, "mine", "ann+mine@shop.test")
    [told] = (await held.get("/v1/faults"))["faults"]
    assert (told["id"], told["hits"]) == (added["id"], 1)
    assert await held.ask("DELETE", "/v1/faults", 200) == {"removed": 1}
    assert len((await held.house.get("/v1/faults"))["faults"]) == 2


async def test_chaos_of_mailpit_is_its_own(held: Held) -> None:
    theirs = {"Sender": {"ErrorCode": 421, "Probability": 0}, "Recipient": {"ErrorCode": 450, "Probability": 5}}
    await held.house.client.put("/api/v1/chaos", json=theirs)
    told = await held.get("/api/v1/chaos")
    assert {each["Probability"] for each in told.values()} == {0}
    await held.ask("PUT", "/api/v1/chaos", 200, json={"Recipient": {"ErrorCode": 452, "Probability": 100}})
    assert (await held.house.get("/api/v1/chaos"))["Recipient"] == {"ErrorCode": 450, "Probability": 5}
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(by_smtp, held.house, "mine", "ann+mine@shop.test")
    assert (await held.get("/api/v1/chaos"))["Recipient"] == {"ErrorCode": 452, "Probability": 100}


async def test_webhooks_are_its_own(held: Held) -> None:
    assert (await held.get("/v1/webhooks"))["webhooks"] == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/retry"), ("GET", "/deliveries")):
        more: dict[str, Any] = {"json": {"enabled": False}} if method == "PATCH" else {}
        await held.ask(method, f"/v1/webhooks/{held.hook}{path}", 404, **more)
    await held.ask("DELETE", f"/v1/webhooks/{held.hook}/deliveries/1", 404)
    refused = await held.client.post("/v1/webhooks", json={"url": "http://a.test/x", "account": "canary-space"})
    assert refused.status_code == 403
    mine = await held.ask("POST", "/v1/webhooks", 201, json={"url": "http://a.test/x"})
    assert mine["account"] == "space:mine"
    assert [each["id"] for each in (await held.get("/v1/webhooks"))["webhooks"]] == [mine["id"]]
    await held.ask("DELETE", f"/v1/webhooks/{mine['id']}", 204)
    assert len((await held.house.get("/v1/webhooks"))["webhooks"]) == 1


async def test_its_space_lasts_and_keeps_as_it_says_and_no_other_does(held: Held) -> None:
    told = await held.ask("PATCH", "/v1/spaces/mine", 200, json={"ttl": 60, "retention": {"messages": 1}})
    assert (told["ttl"], told["retention"]["messages"]) == (60, 1)
    assert (await held.get("/v1/retention"))["limits"]["messages"] == 1
    told = await held.ask("PATCH", "/v1/spaces/mine", 200, json={"retention": None})
    assert (told["ttl"], told["retention"]) == (60, None)
    for name in ("canary-space", "nosuch"):
        assert (await held.client.get(f"/v1/spaces/{name}")).status_code == 403
        assert (await held.client.patch(f"/v1/spaces/{name}", json={"ttl": 1})).status_code == 403
        assert (await held.client.delete(f"/v1/spaces/{name}")).status_code == 403
    assert (await held.client.post("/v1/spaces", json={"name": "more"})).status_code == 403
    for name in ("mine", "canary-space"):
        assert (await held.client.get(f"/v1/spaces/{name}/tokens")).status_code == 403
        assert (await held.client.post(f"/v1/spaces/{name}/tokens", json={"name": "x"})).status_code == 403
        assert (await held.client.delete(f"/v1/spaces/{name}/tokens/first")).status_code == 403


async def test_what_it_sends_stays_in_its_space(held: Held) -> None:
    accounts = len((await held.house.get("/v1/accounts"))["accounts"])
    sent = {"to": ["canary@canary.test", "ann@shop.test"], "subject": "one", "text": "x"}
    await held.ask("POST", "/v1/send", 201, json=sent)
    by_mailpit = {"From": {"Email": "a@b.test"}, "To": [{"Email": "canary@canary.test"}], "Subject": "two", "Text": "x"}
    await held.ask("POST", "/api/v1/send", 200, json=by_mailpit)
    told = (await held.client.get("/v1/messages")).json()["messages"]
    assert [each["subject"] for each in told] == ["two", "one"]
    await held.client.post(
        "/v1/faults/answer", json={"kind": "bounce", "about": told[0]["id"], "to": "canary@canary.test"}
    )
    assert (await held.client.get("/v1/messages")).json()["total"] == 3
    assert (await held.house.get("/v1/messages"))["total"] == 1
    assert (await held.house.get("/v1/messages", account="canary-space"))["total"] == 1
    found = (await held.house.get("/v1/accounts"))["accounts"]
    outside = [each["login"] for each in found if each["space"] != "mine"]
    assert len(outside) == accounts - 1


async def test_of_a_message_for_several_it_sees_its_own_recipients(held: Held) -> None:
    to = ("canary@shop.test", "x+mine@shop.test", "canary@canary.test")
    await asyncio.to_thread(by_smtp, held.house, "shared", *to)
    await held.house.client.get("/v1/messages/latest?account=canary-space&seen=true")
    id_ = (await held.get("/v1/messages"))["messages"][0]["id"]
    envelope = await held.get(f"/v1/messages/{id_}/envelope")
    assert [each["address"] for each in envelope["rcpt_to"]] == ["x+mine@shop.test"]
    said = [each["text"] for each in envelope["transcript"]]
    assert said.count("RCPT TO:<[not of this space]>") == 2
    assert [text for text in said if "x+mine" in text] == ["rcpt TO:<x+mine@shop.test>"]
    journey = (await held.get(f"/v1/messages/{id_}/journey"))["events"]
    assert [each["name"] for each in journey] == ["accepted"]
    [session] = (await held.get("/v1/sessions"))["sessions"]
    assert session["messages"] == [id_]
    assert (await held.get(f"/v1/sessions/{session['id']}"))["transcript"] == envelope["transcript"]
    for path in ("/api/v1/messages", f"/api/v1/message/{id_}", "/api/v1/search?query=addressed:x"):
        assert "x+mine" in str((await held.client.get(path)).json()) or "search" in path
        assert CANARY not in (await held.client.get(path)).text
    assert (await held.get("/api/v1/search", query="addressed:canary@canary.test"))["messages"] == []


async def test_a_session_that_brought_mail_for_others_too_shows_its_own_transaction(held: Held) -> None:
    place = held.house.running.bound["smtp"]

    def send() -> None:
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
            for subject, to in (
                ("canary a", "canary@shop.test"),
                ("b", "x+mine@shop.test"),
                ("canary c", "canary@shop.test"),
            ):
                smtp.send_message(letter(subject), "canary@a.test" if "canary" in to else "b@shop.test", [to])

    await held.house.client.delete("/v1/faults")
    await asyncio.to_thread(send)
    id_ = (await held.get("/v1/messages"))["messages"][0]["id"]
    said = [
        each["text"].split(" ")[0]
        for each in (await held.get(f"/v1/messages/{id_}/envelope"))["transcript"]
        if each["who"] == "C"
    ]
    assert [word.upper() for word in said] == ["EHLO", "MAIL", "RCPT", "DATA", "[" + str(said[4])[1:].upper(), "QUIT"]


async def test_who_sent_it_and_when_it_came_are_told_where_the_sender_has_logged_in_elsewhere(held: Held) -> None:
    await asyncio.to_thread(by_smtp, held.house, "hi", "x+mine@shop.test", "canary@shop.test", login="bob@shop.test")
    id_ = (await held.get("/v1/messages"))["messages"][0]["id"]
    said = [each["text"] for each in (await held.get(f"/v1/messages/{id_}/envelope"))["transcript"]]
    assert any("x+mine" in text for text in said)
    [came] = (await held.get(f"/v1/messages/{id_}/journey"))["events"]
    assert (came["name"], came["detail"]["recipients"]) == ("accepted", ["x+mine@shop.test"])


async def test_what_another_space_sends_to_a_tag_stays_there_and_is_not_told(held: Held) -> None:
    await held.house.client.delete("/v1/faults")
    await asyncio.to_thread(by_smtp, held.house, "canary", "x+mine@shop.test", login="canary-space")
    assert (await held.get("/v1/messages"))["total"] == 0
    assert (await held.house.get("/v1/messages", account="canary-space"))["total"] == 2
    [session, *_] = (await held.house.get("/v1/sessions"))["sessions"]
    assert session["login"] == "space:canary-space"
    await held.ask("GET", f"/v1/sessions/{session['id']}", 404)


async def test_events_are_of_its_account_alone(held: Held) -> None:
    async with held.client.stream("GET", "/v1/events") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        await asyncio.to_thread(by_smtp, held.house, "canary more", "canary@elsewhere.test", "canary@x.canary.test")
        await asyncio.to_thread(by_smtp, held.house, "in", "ann@shop.test", login="mine")
        async for line in lines:
            assert CANARY not in line
            if line.startswith("data: ") and "subject" in line:
                assert json.loads(line[6:])["subject"] == "in"
                break


async def test_a_program_that_knows_only_basic_shows_it_as_password(held: Held) -> None:
    await asyncio.to_thread(by_smtp, held.house, "in", "ann@shop.test", login="mine")
    place = held.house.running.bound["web"]
    async with httpx.AsyncClient(base_url=f"http://{place}", auth=("any", held.token), timeout=PATIENCE) as client:
        told = (await client.get("/api/v1/messages")).json()
        assert ([each["Subject"] for each in told["messages"]], told["total"]) == (["in"], 1)
        assert (await client.get("/api/v1/info")).json()["Messages"] == 1
        async with websockets.connect(f"ws://any:{held.token}@{place}/api/events") as socket:
            assert json.loads(await socket.recv())["Data"]["Total"] == 1
            await asyncio.to_thread(by_smtp, held.house, "canary more", "canary@elsewhere.test")
            await asyncio.to_thread(by_smtp, held.house, "second", "x+mine@shop.test", "canary@elsewhere.test")
            new = json.loads(await socket.recv())
            assert new["Data"]["Subject"] == "second"
            assert CANARY not in json.dumps(new)
        for who in ("canary", "canary@elsewhere.test", "elsewhere"):
            for name in ("bcc", "addressed"):
                found = (await client.get("/api/v1/search", params={"query": f"{name}:{who}"})).json()
                assert found["messages_count"] == 0, "to whom else it went is not for the space to know"
        assert (await client.put("/api/v1/messages", json={"Read": True})).status_code == 200
        assert (await client.request("DELETE", "/api/v1/search", params={"query": "subject:second"})).status_code == 200
    assert (await held.house.get("/v1/messages"))["unread"] >= 1
    async with httpx.AsyncClient(base_url=f"http://{place}", auth=("any", "ms_wrong"), timeout=PATIENCE) as client:
        assert (await client.get("/api/v1/messages")).status_code == 401
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(f"ws://any:ms_wrong@{place}/api/events")


async def test_a_token_of_fewer_scopes_does_less(held: Held) -> None:
    answer = await held.house.client.post("/v1/spaces/mine/tokens", json={"name": "watcher", "scopes": ["read"]})
    token = answer.json()["token"]
    headers = as_bearer(token)
    assert (await held.client.get("/v1/messages", headers=headers)).status_code == 200
    for method, path, body in (
        ("POST", "/v1/send", {"to": ["a@b.test"]}),
        ("POST", "/v1/faults", {"line": "smtp RCPT reply='451 x'"}),
        ("POST", "/v1/webhooks", {"url": "http://a.test/"}),
        ("DELETE", "/v1/spaces/mine", None),
        ("PATCH", "/v1/spaces/mine", {"ttl": 5}),
        ("PUT", "/api/v1/chaos", {}),
    ):
        answer = await held.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403 or "scope" in answer.text, (path, answer.text)
    again = await held.house.client.post("/v1/spaces/mine/tokens", json={"name": "watcher"})
    assert again.status_code == 409
    told = (await held.house.get("/v1/spaces/mine/tokens"))["tokens"]
    assert [(each["name"], each["scopes"]) for each in told] == [
        ("first", ["read", "send", "write"]),
        ("watcher", ["read"]),
    ]
    assert (await held.house.client.delete("/v1/spaces/mine/tokens/watcher")).status_code == 204
    assert (await held.client.get("/v1/messages", headers=headers)).status_code == 401


async def test_it_ends_with_the_space_and_never_opens_more(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (events, flow):
        monkeypatch.setattr(module, "HEARTBEAT", 0.5)  # where nothing comes, it is looked at so often

    async def stream(path: str) -> None:
        async with held.client.stream("GET", path) as answer:
            async for _ in answer.aiter_lines():
                pass

    streams = [asyncio.create_task(stream(path)) for path in ("/v1/events", "/v1/flow")]
    await asyncio.sleep(0.2)
    assert (await held.client.delete("/v1/spaces/mine")).status_code == 204
    for path in (
        "/v1/messages",
        "/v1/info",
        "/v1/accounts",
        "/v1/flow",
        "/v1/spaces",
        "/v1/faults",
        "/api/v1/messages",
    ):
        assert (await held.client.get(path)).status_code == 401
    # Of the same name, and another all the same.
    await made(held.house, name="mine")
    assert (await held.client.get("/v1/messages")).status_code == 401
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*streams)


async def test_in_a_locked_sink_it_is_all_that_its_holder_needs(tmp_path: Path) -> None:
    web = Web(port=0, tls=False, auth=SecretStr("ann:a"))
    async with sink(tmp_path, web=web) as house:
        answer = await house.client.post("/v1/spaces", json={"name": "mine", "token": True}, auth=("ann", "a"))
        token = answer.json()["token"]
        for headers in (as_bearer(token), {}):
            auth = None if headers else httpx.BasicAuth("mine", token)
            got = await house.client.get("/v1/info", headers=headers, auth=auth)
            assert (got.status_code, got.json()["account"]) == (200, "space:mine")
            assert (await house.client.get("/v1/messages?account=sink", headers=headers, auth=auth)).status_code == 403
        for wrong in ("ms_x", "ms_", token[:-1], token + "x"):
            assert (await house.client.get("/", headers=as_bearer(wrong))).status_code == 401
            assert (await house.client.get("/", auth=("ann", wrong))).status_code == 401


async def test_what_was_said_in_another_space_of_that_name_is_not_told(held: Held) -> None:
    await asyncio.to_thread(by_smtp, held.house, "canary before", "ann@shop.test", login="mine")
    [old, *_] = (await held.house.get("/v1/sessions"))["sessions"]
    await held.ask("DELETE", "/v1/spaces/mine", 204)
    token = (await made(held.house, name="mine", token=True))["token"]
    held.client.headers.update(as_bearer(token))
    assert (await held.get("/v1/sessions"))["sessions"] == []
    await held.ask("GET", f"/v1/sessions/{old['id']}", 404)
    await asyncio.to_thread(by_smtp, held.house, "after", "ann@shop.test", login="mine")
    [one] = (await held.get("/v1/sessions"))["sessions"]
    assert (await held.get(f"/v1/sessions/{one['id']}"))["transcript"]


async def test_nor_is_it_where_the_session_is_open_still(held: Held) -> None:
    """As that of an application that keeps its connection, or of a server that was killed."""
    place = held.house.running.bound["smtp"]

    def send(smtp: smtplib.SMTP, sender: str) -> None:
        smtp.sendmail(sender, ["ann@shop.test"], b"Subject: kept\r\n\r\n")

    # It does not say goodbye: that would wait for the server, whose loop this is.
    with closing(await asyncio.to_thread(smtplib.SMTP, place.host, place.port, timeout=PATIENCE)) as smtp:
        await asyncio.to_thread(smtp.login, "mine", "any")
        await asyncio.to_thread(send, smtp, "canary@shop.test")
        await asyncio.to_thread(smtp.vrfy, "canary@shop.test")
        [old, *_] = (await held.house.get("/v1/sessions"))["sessions"]
        await held.ask("DELETE", "/v1/spaces/mine", 204)
        token = (await made(held.house, name="mine", token=True))["token"]
        held.client.headers.update(as_bearer(token))
        assert (await held.get("/v1/sessions"))["sessions"] == []
        await held.ask("GET", f"/v1/sessions/{old['id']}", 404)
        await asyncio.to_thread(send, smtp, "app@shop.test")
        [one] = (await held.get("/v1/sessions"))["sessions"]
        [message] = (await held.get("/v1/messages"))["messages"]
        for path in (f"/v1/sessions/{one['id']}", f"/v1/messages/{message['id']}/envelope"):
            said = [each["text"].upper() for each in (await held.get(path))["transcript"]]
            assert sum(text.startswith("MAIL FROM:<APP@") for text in said) == 1
            assert any(text.startswith("AUTH") for text in said), "how it began"


async def test_the_session_with_which_a_space_begins_is_told_whole(tmp_path: Path) -> None:
    async with sink(tmp_path, spaces=Spaces(logins=("ci-*",))) as house:
        await asyncio.to_thread(by_smtp, house, "first", "ann@shop.test", login="ci-1")
        token = (await house.client.post("/v1/spaces/ci-1/tokens", json={"name": "one"})).json()["token"]
        [one] = (await house.get("/v1/sessions"))["sessions"]
        path = f"/v1/sessions/{one['id']}"
        told = (await house.client.get(path, headers=as_bearer(token))).json()
        assert told["transcript"] == (await house.get(path))["transcript"]
