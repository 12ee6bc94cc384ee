"""Sending on what a sink has caught: only to whom the settings name, all or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from web_house import House, letter, sink

from mailsystem.settings import Queue


@pytest.fixture
async def allowed(tmp_path: Path) -> AsyncIterator[House]:
    """A sink that may send on to some; nobody answers where they are asked for."""
    queue = Queue(sink_allow=("*@b.test",), nameservers=("127.0.0.1:9",))
    async with sink(tmp_path, queue=queue) as house:
        yield house


async def release(house: House, status: int = 202, id_: str = "latest", **wanted: Any) -> Any:
    answer = await house.client.post(f"/v1/messages/{id_}/release", json=wanted)
    assert answer.status_code == status, answer.text
    return answer.json()


async def waiting(house: House) -> set[tuple[str, str]]:
    """Sender and recipient of all that waits to leave."""
    found = set()
    for event in house.events:
        if event.name == "queued":
            found |= {(event.data["sender"], recipient) for recipient in event.data["recipients"]}
    return found


async def test_a_message_is_sent_on_to_whom_the_settings_name(allowed: House) -> None:
    await allowed.send(letter())
    [message] = (await allowed.get("/v1/messages"))["messages"]
    told = await release(allowed, id_=message["id"], to=["Bob@b.test", "eve@b.test", "Bob@b.test"])
    assert told["to"] == ["Bob@b.test", "eve@b.test"]
    assert await waiting(allowed) == {("shop@shop.test", "Bob@b.test"), ("shop@shop.test", "eve@b.test")}
    domains = {domain for domain, _ in await allowed.running.store.outbound.agenda()}
    assert domains == {"b.test"}
    [life] = await allowed.running.store.journal.find(told["queue_id"])
    assert "queued" in {note.name for note in life.notes}
    assert (await allowed.get("/v1/messages"))["total"] == 1


async def test_who_hears_of_a_failure_may_be_named(allowed: House) -> None:
    await allowed.send(letter())
    await release(allowed, to=["bob@b.test"], **{"from": "dev@shop.test"})
    await release(allowed, to=["eve@b.test"], **{"from": ""})
    assert {sender for sender, _ in await waiting(allowed)} == {"dev@shop.test", ""}


async def test_all_or_none_and_nothing_by_mistake(allowed: House) -> None:
    await allowed.send(letter())
    told = await release(allowed, 403, to=["bob@b.test", "eve@elsewhere.test"])
    assert told["refused"] == ["eve@elsewhere.test"]
    assert "queue.sink_allow" in told["detail"]
    for to in ([], ["no address"], ["bob@b.test\r\nRCPT TO:<x@y.test>"]):
        await release(allowed, 400, to=to)
    await release(allowed, 400, to=["bob@b.test"], **{"from": "x\r\ny"})
    await release(allowed, 404, id_="M999", to=["bob@b.test"])
    assert await waiting(allowed) == set()


async def test_without_rules_nothing_is_released(house: House) -> None:
    await house.send(letter())
    await release(house, 403, to=["bob@b.test"])
    assert await house.running.store.outbound.agenda() == []
