"""The webhook that a setting names: told of each message as Mailpit tells it, and of none twice or too few."""

from __future__ import annotations

from pathlib import Path

import pytest
from receiver import Receiver, receiving
from web_house import letter, sink

from mailsystem.mail.errors import NoSuchRecipient
from mailsystem.settings import Sink
from mailsystem.settings.webhooks import Webhooks

QUICK = Webhooks(retry_first=0.05)


async def test_each_message_is_told_as_mailpit_tells_it(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = ["500 Broken", "302 Found\r\nLocation: http://127.0.0.1:1/"]
    async with sink(tmp_path, sink=Sink(webhook=receiver.url), webhooks=QUICK) as house:
        message = letter("One", X_Tags="Blue")
        message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
        await house.send(message, letter("Two"), to=["ann@shop.test", "blind@shop.test"])
        got = await receiver.count(4)
        assert [one.json["Subject"] for one in got] == ["One", "One", "One", "Two"]
        two, one = (await house.get("/api/v1/messages"))["messages"]
        assert (got[2].json, got[3].json) == (one, two)
        assert (one["Tags"], one["Attachments"], one["Bcc"][0]["Address"]) == (["Blue"], 1, "blind@shop.test")
        assert got[0].id == got[2].id
        [hook] = (await house.get("/v1/webhooks"))["webhooks"]
        assert (hook["id"], hook["include"], hook["events"]) == ("wh_mailpit", "mailpit", ["arrived"])


async def test_what_has_gone_by_then_is_told_all_the_same(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = ["500 Broken"]
    async with sink(tmp_path, sink=Sink(webhook=receiver.url), webhooks=QUICK) as house:
        await house.send(letter("One"))
        one = (await house.get("/api/v1/messages"))["messages"][0]
        await receiver.count(1)
        await house.client.request("DELETE", "/api/v1/messages", json={"IDs": ["M1"]})
        assert (await receiver.count(2))[1].json == one


async def test_it_follows_the_setting_from_start_to_start(tmp_path: Path, receiver: Receiver) -> None:
    async with sink(tmp_path) as house:
        await house.send(letter("before"))
    async with sink(tmp_path, sink=Sink(webhook=receiver.url)) as house:
        await house.send(letter("first"))
        assert (await receiver.count(1))[0].json["Subject"] == "first"
        await house.client.patch("/v1/webhooks/wh_mailpit", json={"enabled": False})
    async with receiving(Receiver()) as other:
        async with sink(tmp_path, sink=Sink(webhook=other.url)) as house:
            await house.send(letter("second"))
            assert [one.json["Subject"] for one in await other.count(1)] == ["second"]
        async with sink(tmp_path) as house:
            with pytest.raises(NoSuchRecipient):
                await house.running.store.webhooks.find("wh_mailpit")
    assert len(receiver.got) == 1


async def test_in_a_space_nobody_is_told_to_whom_else_a_message_went(tmp_path: Path, receiver: Receiver) -> None:
    async with sink(tmp_path) as house:
        for space in ("mine", "other"):
            await house.client.post("/v1/spaces", json={"name": space, "domains": [f"{space}.test"]})
        new = {"url": receiver.url, "account": "space:mine", "include": "mailpit"}
        assert (await house.client.post("/v1/webhooks", json=new)).status_code == 201
        await house.send(letter("One"), to=["ann@mine.test", "canary@other.test", "canary@shop.test"])
        [got] = await receiver.count(1)
        assert got.json["Subject"] == "One"
        assert b"canary" not in got.body


@pytest.mark.parametrize("url", ["ftp://shop.test/", "hook", "http://u:p@shop.test/"])
def test_what_is_no_address_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="webhook"):
        Sink(webhook=url)
