"""Whatever is sent to the addresses that Mailpit's clients know, it is answered, and is no bug of ours."""

from __future__ import annotations

import json

import pytest
from web_house import House, letter

ODD = (
    "\ud800",
    "\x00",
    "a\r\nb",
    "💌" * 40,
    "x" * 5000,
    "=?utf-8?q?=0D=0A?=",
    "%00",
    "../..",
    "M" + "9" * 30,
    "latest",
)


@pytest.mark.parametrize("odd", ODD, ids=ascii)
async def test_garbage_is_refused_or_understood(house: House, odd: str) -> None:
    await house.send(letter("Hi"))
    person = {"Email": odd, "Name": odd}
    good = {"Email": "a@b.test", "Name": odd}
    file = {"Filename": odd, "Content": "eA==", "ContentType": odd}
    bodies = [
        ("PUT", "/api/v1/messages", {"Search": odd, "Read": True}),
        ("PUT", "/api/v1/messages", {"IDs": [odd], "Read": True}),
        ("DELETE", "/api/v1/messages", {"IDs": [odd]}),
        ("PUT", "/api/v1/tags", {"IDs": ["M1", odd], "Tags": [odd]}),
        ("PUT", "/api/v1/tags/x", {"Name": odd}),
        ("PUT", "/api/v1/chaos", {"Sender": {"ErrorCode": odd}}),
        ("POST", "/api/v1/message/M1/release", {"To": [odd]}),
        ("POST", "/api/v1/message/M1/release", [odd]),
        ("POST", "/api/v1/send", {"From": person, "To": [person]}),
        ("POST", "/api/v1/send", {"From": good, "To": [good], "Subject": odd, "Text": odd, "HTML": odd}),
        ("POST", "/api/v1/send", {"From": good, "To": [good], "Headers": {odd: odd}}),
        ("POST", "/api/v1/send", {"From": good, "To": [good], "Headers": {"X-A": odd}, "Tags": [odd]}),
        ("POST", "/api/v1/send", {"From": good, "To": [good], "Attachments": [file, {**file, "ContentID": odd}]}),
        ("POST", "/api/v1/send", {"From": good, "To": [good], "Attachments": [odd], "Cc": odd, "Bcc": {odd: odd}}),
    ]
    for method, path, body in bodies:
        answer = await house.client.request(method, path, content=json.dumps(body).encode())
        assert answer.status_code in (200, 400, 413), (path, body, answer.text[:300])
    asked = odd.encode("utf-8", "replace").decode()
    for path in ("/api/v1/search", "/api/v1/messages", "/api/v1/message/latest", "/view/latest.txt"):
        for name in ("query", "start", "limit", "before", "tz"):
            answer = await house.client.get(path, params={"query": "x", name: asked})
            assert answer.status_code in (200, 400, 404), (path, name, answer.text[:300])
    for octets in (b"[" * 100_000, b"null", b"1", b'"x"', b"\xff\xfe"):
        for method, path in (("DELETE", "/api/v1/messages"), ("PUT", "/api/v1/tags"), ("POST", "/api/v1/send")):
            assert (await house.client.request(method, path, content=octets)).status_code == 400
    for told in (await house.get("/api/v1/messages"))["messages"]:
        assert (await house.client.get(f"/api/v1/message/{told['ID']}")).status_code == 200
    assert not [event.data for event in house.events if event.name == "bug"]
