"""Messages that are sent by Mailpit's interface: however large they are, never in memory as a whole; and who hears of them."""

from __future__ import annotations

import asyncio
import base64
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import websockets
from web_house import House, sink

from mailsystem.settings import Limits, Queue
from mailsystem.store import Selection
from mailsystem.web import received

SEND = "/api/v1/send"
PEOPLE = {"From": {"Email": "shop@shop.test"}, "To": [{"Email": "ann@shop.test"}]}


async def error_of(house: House, body: dict[str, Any], status: int) -> str:
    answer = await house.client.post(SEND, json={**PEOPLE, **body})
    assert answer.status_code == status, answer.text
    return str(answer.json()["Error"])


@pytest.mark.parametrize("escaped", [False, True])
async def test_attachments_of_any_length_arrive_as_they_were(house: House, escaped: bool) -> None:
    octets = bytes(range(256)) * 20_000
    files = [
        {"Filename": "long.bin", "Content": base64.b64encode(octets).decode()},
        {"filename": "small.bin", "content": base64.b64encode(b"small").decode()},
        {"Filename": "lower.txt", "content": base64.b64encode(octets[:-1]).decode(), "ContentType": "text/plain"},
        {
            "Filename": "logo.png",
            "CONTENT": "data:image/png;base64," + base64.b64encode(octets[:-2]).decode(),
            "ContentID": "logo",
        },
    ]
    told = json.dumps({**PEOPLE, "Text": "=0", "HTML": "<img src='cid:logo'>", "Attachments": files, "Tags": ["many"]})
    if escaped:
        told = told.replace("/", "\\/")  # as PHP writes it
    answer = await house.client.post(SEND, content=told)
    assert answer.status_code == 200, answer.text
    message = await house.get(f"/api/v1/message/{answer.json()['ID']}")
    assert (message["Text"].strip(), message["Tags"]) == ("=0", ["many"])
    got = {}
    for one in [*message["Attachments"], *message["Inline"]]:
        part = await house.client.get(f"/api/v1/message/{message['ID']}/part/{one['PartID']}")
        got[one["FileName"]] = part.content
    assert got == {"long.bin": octets, "small.bin": b"small", "lower.txt": octets[:-1], "logo.png": octets[:-2]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "plain\n",
        "two\n\n",
        "r\u00e9sum\u00e9",
        "\u65e5\u672c\u8a9e\u306e" * 40,
        "x" * 3000,
        "\u00e9" + "y" * 1200,
        "ends = ",
        ".",
        "a\rb",
    ],
)
async def test_texts_arrive_as_they_were_told(house: House, text: str) -> None:
    lines = text.replace("\n", "\r\n").replace("a\rb", "a\r\nb")
    for told in ({"Text": text}, {"Text": text, "HTML": f"<p>{text}"}, {"HTML": f"<p>{text}"}):
        answer = await house.client.post(SEND, json={**PEOPLE, **told})
        message = await house.get(f"/api/v1/message/{answer.json()['ID']}")
        if "Text" in told:
            assert message["Text"] == lines
        assert message["HTML"] == (f"<p>{lines}" if "HTML" in told else "")


async def test_a_message_that_is_sent_is_never_in_memory_as_a_whole(house: House) -> None:
    piece = base64.b64encode(bytes(range(256)) * 3 * 100)
    count = 300
    head, _, tail = json.dumps({**PEOPLE, "Attachments": [{"Filename": "long.bin", "Content": "|"}]}).partition("|")

    async def body() -> AsyncIterator[bytes]:
        yield head.encode()
        for _ in range(count):
            yield piece
        yield tail.encode()

    await house.client.post(SEND, json={**PEOPLE, "Text": "first"})
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        answer = await house.client.post(SEND, content=body())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 200, answer.text
    message = await house.get(f"/api/v1/message/{answer.json()['ID']}")
    assert message["Size"] > count * len(piece) > 29 << 20
    assert peak - before < 16 << 20


async def test_a_message_that_is_released_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    async with sink(tmp_path, queue=Queue(sink_allow=("*@example.org",), nameservers=("127.0.0.1:9",))) as house:
        lines = (
            b"Bcc: secret@shop.test\r\nSubject: long\r\nbcc:\r\n secret@shop.test\r\nX-End: 1\r\n\r\n"
            + b"x" * 70
            + b"\r\n"
        )
        await house.send(
            lines + (b"y" * 70 + b"\r\n") * 300_000,
            b"X-Long: " + b"x" * 900 + (b"\r\n " + b"z" * 900) * 1500 + b"\r\n\r\nx\r\n",
        )
        assert (
            await house.client.post("/api/v1/message/latest/release", json={"To": ["ann@example.org"]})
        ).status_code == 400
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            answer = await house.client.post("/api/v1/message/M1/release", json={"To": ["ann@example.org"]})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.text == "ok"
        assert peak - before < 8 << 20
        [queued] = (await house.running.store.oversight.listing(Selection())).messages
        contents = house.running.store.contents
        raw = b"".join([piece async for piece in contents.stream(queued.message.content)])
        head, blank, body = raw.partition(b"\r\n\r\n")
        assert head.startswith(b"Received: ")
        assert head.endswith(b"\r\nSubject: long\r\nX-End: 1")
        assert blank + body == lines[lines.index(b"\r\n\r\n") :] + (b"y" * 70 + b"\r\n") * 300_000


async def test_what_cannot_be_sent_is_said_in_a_sentence(tmp_path: Path) -> None:
    async with sink(tmp_path, limits=Limits(message_size=1 << 20)) as house:
        for content in ("!" * 100_000, "A" * 99_999, "=0", "=7", "data:a/b,=0", "A" * 50_000 + "=" + "A" * 49_999):
            assert "not in base64" in await error_of(
                house, {"Attachments": [{"Filename": "x", "Content": content}]}, 400
            )
        assert "no attachment's" in await error_of(house, {"Headers": {"Content": "A" * 10_000}}, 400)
        # A number that stands for one cannot stand for it twice.
        long, again = {"Filename": "x", "Content": "A" * 10_000}, {"Filename": "y", "Content": "=0"}
        assert '"y" is not in base64' in await error_of(house, {"Attachments": [long, again]}, 400)
        files = [{"Filename": "x", "Content": "A" * 800_000} for _ in range(2)]
        assert "too large" in await error_of(house, {"Attachments": files}, 413)
    async with sink(tmp_path) as house:
        assert "beside" in await error_of(house, {"Text": "x" * (received.MOST_BESIDE + 1)}, 413)
        assert (await house.get("/api/v1/messages"))["total"] == 0


async def test_who_hears_events_takes_a_place_and_leaves_it(tmp_path: Path) -> None:
    async with sink(tmp_path, limits=Limits(streams_per_account=2)) as house:
        address = f"ws://{house.running.bound['web']}/api/events"
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(websockets.connect(address))
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(address)
            answer = refused.value.response
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "10"
            assert b"2 streams and waits" in (answer.body or b"")
            assert (await house.client.get("/v1/events")).status_code == 429
        async with asyncio.timeout(30), AsyncExitStack() as stack:
            opened = 0
            while opened < 2:
                try:
                    await stack.enter_async_context(websockets.connect(address))
                    opened += 1
                except websockets.InvalidStatus:
                    await asyncio.sleep(0.02)
