"""What HTTP says of every address: what is not there, what may be asked, and whether somebody has it already."""

from __future__ import annotations

import asyncio

import pytest
from web_house import House, letter

MISSING = [
    "/v1/messages/M9",
    "/v1/messages/M9/raw",
    "/v1/messages/M9/headers",
    "/v1/messages/M9/text",
    "/v1/messages/M9/html",
    "/v1/messages/M9/parts/1",
    "/v1/messages/M9/envelope",
    "/v1/messages/M9/journey",
    "/v1/messages/M9/extract",
    "/v1/messages/M9/checks",
    "/v1/messages/M1/parts/7",
    "/v1/messages/M1/parts/x",
    "/v1/messages/M1/html",
    "/v1/messages/latest?mailbox=Nowhere",
    "/v1/messages/M1?mailbox=Nowhere",
    "/v1/messages/M1?account=nobody@shop.test",
    "/v1/messages?mailbox=Nowhere",
    "/v1/messages?account=nobody@shop.test",
    "/v1/wait?mailbox=Nowhere",
    "/v1/events?account=nobody",
    "/v1/mailboxes/Nowhere",
    "/v1/mailboxes/No/where",
    "/v1/mailboxes?account=nobody@shop.test",
    "/v1/retention?account=nobody@shop.test",
    "/v1/spaces/nowhere",
    "/v1/webhooks/wh_x",
    "/v1/webhooks/wh_x/deliveries",
    "/v1/sessions/0123456789abcdef",
    "/v1/nothing",
    "/v1/messages/M1/nothing",
]


async def test_what_is_not_there_is_told_as_a_problem(house: House) -> None:
    await house.send(letter())
    for path in MISSING:
        for method in ("GET", "HEAD"):
            answer = await house.client.request(method, path)
            assert answer.status_code == 404, (method, path)
            assert answer.headers["content-type"] == "application/problem+json", path
            if method == "GET":
                assert answer.json()["status"] == 404, path
    assert (await house.get("/v1/mailboxes/INBOX"))["total"] == 1
    assert not any(event.name == "bug" for event in house.events)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/info",
        "/v1/messages",
        "/v1/messages/latest",
        "/v1/messages/M1/raw?download=true",
        "/v1/messages/M1/parts/1",
        "/v1/wait",
        "/v1/nothing",
        "/openapi.json",
        "/livez",
        "/",
    ],
)
async def test_head_is_get_without_a_body(house: House, path: str) -> None:
    await house.send(letter())
    got, head = await house.client.get(path), await house.client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    changing = {"date"}
    assert {name: value for name, value in head.headers.items() if name not in changing} == {
        name: value for name, value in got.headers.items() if name not in changing
    }


async def test_a_stream_that_is_asked_for_its_head_ends(house: House) -> None:
    async with asyncio.timeout(20):
        for path in ("/v1/events", "/v1/flow"):
            head = await house.client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"].startswith("text/event-stream")
        # The connection is as good as before.
        assert (await house.get("/v1/info"))["role"] == "sink"
    assert not any(event.name == "bug" for event in house.events)


async def test_what_may_be_asked_is_told(house: House) -> None:
    for path, allowed in (
        ("/v1/messages", "GET, HEAD, OPTIONS"),
        ("/v1/mailboxes", "GET, HEAD, OPTIONS, POST"),
        ("/v1/mailboxes/a/b", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/v1/messages/M1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/v1/send", "OPTIONS, POST"),
        ("/", "GET, HEAD, OPTIONS"),
    ):
        asked = await house.client.options(path, headers={"Origin": "http://evil.example.com"})
        assert (asked.status_code, asked.content, asked.headers["allow"]) == (204, b"", allowed), path
        assert not any(name.startswith("access-control") for name in asked.headers)
        refused = await house.client.put(path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed), path
        assert refused.json()["status"] == 405
    assert (await house.client.options("/v1/nothing")).status_code == 404


async def test_what_somebody_has_is_not_sent_again(house: House) -> None:
    message = letter("one")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="a.pdf")
    await house.send(message, letter("other"))
    tags = set()
    for path in ("M1/raw", "M1/raw?download=true", "M1/parts/1", "M1/parts/1?download=true", "M1/parts/2", "M2/raw"):
        first = await house.client.get(f"/v1/messages/{path}")
        tag = first.headers["etag"]
        # The address alone is that of other octets in another sink, and nobody's who has logged out.
        assert first.headers["cache-control"] == "private, no-cache"
        for known in (tag, f'"x", W/{tag}', "*"):
            again = await house.client.get(f"/v1/messages/{path}", headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
        other = await house.client.get(f"/v1/messages/{path}", headers={"If-None-Match": '"x"'})
        assert other.content == first.content
        tags.add(tag)
    assert len(tags) == 6
    gone = await house.client.get("/v1/messages/M9/raw", headers={"If-None-Match": "*"})
    assert gone.status_code == 404


async def test_who_sends_no_json_is_told_what_is_wrong(house: House) -> None:
    for headers, content, said in (
        ({"content-type": "application/x-www-form-urlencoded"}, b'{"ids": []}', "Content-Type: application/json"),
        ({"content-type": "text/plain"}, b'{"ids": []}', "Content-Type: application/json"),
        ({}, b"", "Content-Type: application/json"),
        ({"content-type": "application/json"}, b'{"ids": [', "the body is no JSON"),
        ({"content-type": "application/json"}, b'{"ids": "M1"}', "ids: input should be"),
    ):
        answer = await house.client.post("/v1/messages/bulk", content=content, headers=headers)
        assert (answer.status_code, said in answer.json()["detail"]) == (400, True), answer.text
