"""Webhooks of a whole sink, and somebody who is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from receiver import PATIENCE, Got, Receiver, receiving
from standardwebhooks import Webhook as Judge
from standardwebhooks import WebhookVerificationError
from web_house import House, letter, sink

from mailsystem.settings.webhooks import Webhooks

QUICK = Webhooks(retry_first=0.05, timeout=0.5)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with sink(tmp_path, webhooks=QUICK) as opened:
        yield opened


async def hook(house: House, url: str, **more: Any) -> Any:
    answer = await house.client.post("/v1/webhooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def settled(house: House, id_: str, **wanted: Any) -> Any:
    """The hook, once that is so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            told = await house.get(f"/v1/webhooks/{id_}")
            if all(told[name] == value for name, value in wanted.items()):
                return told
            await asyncio.sleep(0.02)


def subjects(got: list[Got]) -> list[str]:
    return [each.json["data"]["subject"] for each in got]


async def test_what_arrives_is_told_as_lists_show_it(house: House, receiver: Receiver) -> None:
    made = await hook(house, receiver.url)
    await house.send(letter("Hello", "It works.\n"))
    [got] = await receiver.count(1)
    [listed] = (await house.get("/v1/messages"))["messages"]
    assert got.json["type"] == "arrived"
    assert got.json["account"] == "sink"
    assert got.json["data"] == listed
    assert got.headers["content-type"] == "application/json"
    told = await settled(house, made["id"], delivered=1)
    assert (told["waiting"], told["failed"], told["last"]["status"], told["last"]["error"]) == (0, 0, 204, None)


async def test_the_signature_is_one_that_others_verify(house: House, receiver: Receiver) -> None:
    secret = (await hook(house, receiver.url))["secret"]
    await house.send(letter())
    [got] = await receiver.count(1)
    Judge(secret).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Judge(secret).verify(got.body + b" ", got.headers)
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"


async def test_a_secret_is_shown_once_and_may_be_chosen(house: House, receiver: Receiver) -> None:
    chosen = "whsec_" + base64.b64encode(b"k" * 32).decode()
    made = await hook(house, receiver.url, secret=chosen)
    assert made["secret"] == chosen
    for path in ("/v1/webhooks", f"/v1/webhooks/{made['id']}"):
        assert chosen.removeprefix("whsec_") not in (await house.client.get(path)).text
    await house.send(letter())
    [got] = await receiver.count(1)
    Judge(chosen).verify(got.body, got.headers)
    assert chosen not in repr(house.events)


async def test_only_what_the_query_finds_is_told(house: House, receiver: Receiver) -> None:
    await hook(house, receiver.url, query="subject:invoice OR has:attachment")
    with_file = letter("Photos")
    with_file.add_attachment(b"x", maintype="image", subtype="png", filename="a.png")
    await house.send(letter("Hello"), letter("Invoice 5"), with_file, letter("Your invoice"))
    assert subjects(await receiver.count(3)) == ["Invoice 5", "Photos", "Your invoice"]


async def test_flags_and_what_is_gone_are_told(house: House, receiver: Receiver) -> None:
    await house.send(letter("before"))
    await hook(house, receiver.url, events=["flags", "gone"])
    await house.client.patch("/v1/messages/latest", json={"add_flags": ["\\Seen", "work"]})
    [flags] = await receiver.count(1)
    assert flags.json["type"] == "flags"
    data = flags.json["data"]
    assert (data["mailbox"], data["unread"], data["tags"]) == ("INBOX", False, ["work"])
    assert (await house.client.delete("/v1/messages/latest", params={"permanent": True})).status_code == 204
    gone = next(each for each in await receiver.until(lambda got: got[-1].json["type"] == "gone") if each is not flags)
    assert gone.json["data"]["uids"] == [data["uid"]]


async def test_an_arrival_is_no_change_of_flags(house: House, receiver: Receiver) -> None:
    await hook(house, receiver.url, events=["arrived", "flags"])
    await house.send(letter("one"))
    await receiver.count(1)
    await house.client.patch("/v1/messages/latest", json={"add_flags": ["\\Flagged"]})
    await house.send(letter("two"))
    got = await receiver.count(3)
    assert [each.json["type"] for each in got] == ["arrived", "flags", "arrived"]


async def test_the_whole_and_the_raw_message(house: House, receiver: Receiver) -> None:
    await hook(house, receiver.url + "/whole", include="whole")
    await hook(house, receiver.url + "/raw", include="raw")
    message = letter("Both", "plain words\n")
    message.add_alternative("<p>rich words</p>", "html")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="terms.pdf")
    await house.send(message)
    got = {each.path: each.json["data"] for each in await receiver.count(2)}
    whole, raw = got["/hook/whole"], got["/hook/raw"]
    assert (whole["text"].strip(), whole["html"].strip()) == ("plain words", "<p>rich words</p>")
    assert [(one["type"], one["filename"]) for one in whole["files"]] == [("application/pdf", "terms.pdf")]
    assert whole["truncated"] is False
    kept = (await house.client.get("/v1/messages/latest/raw")).content
    assert base64.b64decode(raw["raw"]) == kept


@pytest.mark.parametrize("include", ["summary", "whole", "raw"])
async def test_no_body_is_larger_than_allowed(house: House, receiver: Receiver, include: str) -> None:
    most = 65_536
    await hook(house, receiver.url, include=include, max_body=most)
    people = ",\r\n ".join(f'"{"ü" * 250}" <person{n}@shop.test>' for n in range(150))
    words = '"\\\x01é\r\n' * 100_000
    await house.send(
        (
            f"From: shop@shop.test\r\nSubject: {'é' * 400}\r\nTo: {people}\r\nCc: {people}\r\n"
            "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
            f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{words}\r\n"
            f"--b\r\nContent-Type: text/html\r\n\r\n<p>{words}\r\n--b--\r\n"
        ).encode()
    )
    [got] = await receiver.count(1)
    assert len(got.body) <= most
    data = got.json["data"]
    assert got.json.get("truncated") or data["truncated"]
    assert data["mailbox"] == "INBOX"
    assert data.get("raw") is None


async def test_order_is_kept_and_each_is_tried_until_it_is_taken(house: House, receiver: Receiver) -> None:
    receiver.answers = [
        "500 Broken",
        "429 Later",
        "302 Found\r\nlocation: http://127.0.0.1:1/elsewhere",
        "204 OK",
        "503 No",
    ]
    made = await hook(house, receiver.url)
    await house.send(*(letter(f"number {n}") for n in range(4)))
    told = await settled(house, made["id"], delivered=4)
    assert (told["waiting"], told["failed"]) == (0, 0)
    assert subjects(receiver.got) == [f"number {n}" for n in (0, 0, 0, 0, 1, 1, 2, 3)]
    assert len({each.id for each in receiver.got}) == 4, "whoever is told again knows it by the id"
    assert {each.path for each in receiver.got} == {"/hook"}, "redirections are not followed"
    put_off = [event.data["reason"] for event in house.events if event.name == "webhook put off"]
    assert put_off[2] == "the receiver says 302, and redirections are not followed"


async def test_who_hangs_holds_up_nobody_else(house: House, receiver: Receiver) -> None:
    async with receiving(Receiver(always=None)) as hanging:
        await hook(house, hanging.url)
        await hook(house, receiver.url)
        await house.send(*(letter(f"number {n}") for n in range(3)))
        assert subjects(await receiver.count(3)) == ["number 0", "number 1", "number 2"]
        first, second = (await hanging.count(2))[:2]
        assert first.id == second.id
        hanging.always = "200 OK"
        got = await hanging.until(lambda got: len({each.id for each in got}) == 3)
        assert len({each.id for each in got}) == 3


async def test_who_was_away_is_told_all_when_back(house: House) -> None:
    async with receiving(Receiver()) as away:
        made = await hook(house, away.url)
    await house.send(*(letter(f"number {n}") for n in range(5)))
    await settled(house, made["id"], waiting=5)
    async with receiving(away):
        assert subjects(await away.count(5))[:5] == [f"number {n}" for n in range(5)]


async def test_what_is_deleted_before_it_could_be_told_is_told_all_the_same(house: House) -> None:
    async with receiving(Receiver()) as away:
        made = await hook(house, away.url, include="whole")
    await house.send(letter("short-lived", "still to be read\n"))
    await settled(house, made["id"], waiting=1)
    await house.client.delete("/v1/messages/latest", params={"permanent": True})
    async with receiving(away):
        [got] = await away.count(1)
        assert got.json["data"]["subject"] == "short-lived"
        assert got.json["data"]["text"] == "still to be read"


@pytest.mark.parametrize("include", ["whole", "raw"])
async def test_one_whose_octets_are_damaged_does_not_hold_up_those_behind_it(
    house: House, tmp_path: Path, receiver: Receiver, include: str
) -> None:
    async with receiving(Receiver()) as away:
        made = await hook(house, away.url, include=include)
    large = letter("large")
    large.add_attachment(b"x" * 300_000, maintype="application", subtype="zip")
    await house.send(large)
    await settled(house, made["id"], waiting=1)
    [file] = [file for file in (tmp_path / "data" / "contents").rglob("*") if file.is_file()]
    file.write_bytes(file.read_bytes()[:200_000])  # what lists show of it can still be read
    await house.send(b"Subject: behind\r\n\r\nx")
    await house.client.patch(f"/v1/webhooks/{made['id']}", json={"url": receiver.url})
    damaged, behind = (got.json["data"] for got in await receiver.count(2))
    assert (damaged["subject"], damaged["lost"]) == ("large", True)
    assert behind["subject"] == "behind"


async def test_it_is_given_up_at_last_and_may_be_tried_once_more(tmp_path: Path, receiver: Receiver) -> None:
    receiver.always = "500 Broken"
    async with sink(tmp_path, webhooks=Webhooks(retry_first=0.05, lifetime=1)) as house:
        made = await hook(house, receiver.url)
        await house.send(letter("one"), letter("two"))
        told = await settled(house, made["id"], failed=2)
        assert (told["waiting"], told["last"]["error"]) == (0, "the receiver says 500")
        listed = (await house.get(f"/v1/webhooks/{made['id']}/deliveries"))["deliveries"]
        assert {(one["event"], one["state"]) for one in listed} == {("arrived", "failed")}
        assert 500 in {one["status"] for one in listed}
        assert any(event.name == "webhook gave up" for event in house.events)
        receiver.always = "200 OK"
        tries = len(receiver.got)
        answer = await house.client.post(f"/v1/webhooks/{made['id']}/retry")
        assert answer.json() == {"again": 2}
        await settled(house, made["id"], failed=0, delivered=2)
        assert subjects(receiver.got[tries:]) == ["one", "two"]


async def test_one_that_is_never_taken_can_be_dropped(house: House, receiver: Receiver) -> None:
    receiver.always = "400 Bad"
    made = await hook(house, receiver.url)
    await house.send(letter("one"), letter("two"))
    await settled(house, made["id"], waiting=2)
    [first, _] = (await house.get(f"/v1/webhooks/{made['id']}/deliveries", state="waiting"))["deliveries"]
    receiver.always = "200 OK"
    path = f"/v1/webhooks/{made['id']}/deliveries/{first['id']}"
    if (await house.client.delete(path)).status_code == 204:
        await receiver.until(lambda got: got[-1].json["data"]["subject"] == "two")
    assert (await house.client.delete(path)).status_code == 404


async def test_who_says_gone_is_asked_no_more_until_somebody_says_so(house: House, receiver: Receiver) -> None:
    receiver.answers = ["410 Gone"]
    made = await hook(house, receiver.url)
    await house.send(letter("one"))
    told = await settled(house, made["id"], enabled=False)
    assert told["disabled"] == "the receiver says 410"
    await house.send(letter("two"))
    again = await house.client.patch(f"/v1/webhooks/{made['id']}", json={"enabled": True})
    assert again.json()["enabled"] is True
    await settled(house, made["id"], delivered=2)
    assert subjects(receiver.got) == ["one", "one", "two"]


async def test_one_that_was_stopped_goes_on_where_it_stopped(house: House, receiver: Receiver) -> None:
    made = await hook(house, receiver.url)
    path = f"/v1/webhooks/{made['id']}"
    assert (await house.client.patch(path, json={"enabled": False})).json()["disabled"] == "somebody has stopped it"
    await house.send(letter("meanwhile"))
    await house.client.patch(path, json={"enabled": True, "url": receiver.url + "/new", "include": "whole"})
    [got] = await receiver.count(1)
    assert (got.path, got.json["data"]["subject"]) == ("/hook/new", "meanwhile")
    assert "text" in got.json["data"]


async def test_one_that_is_removed_is_told_no_more(house: House, receiver: Receiver) -> None:
    made = await hook(house, receiver.url)
    other = await hook(house, receiver.url + "/other")
    assert (await house.client.delete(f"/v1/webhooks/{made['id']}")).status_code == 204
    assert [one["id"] for one in (await house.get("/v1/webhooks"))["webhooks"]] == [other["id"]]
    await house.send(letter())
    await settled(house, other["id"], delivered=1)
    assert {each.path for each in receiver.got} == {"/hook/other"}
    for method in ("GET", "DELETE", "PATCH"):
        answer = await house.client.request(
            method, f"/v1/webhooks/{made['id']}", json={} if method == "PATCH" else None
        )
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://"},
        {"url": "http:///hook"},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://127.0.0.1:0/"},
        {"url": "http://[::1/"},
        {"url": "http://ann:secret@127.0.0.1/"},
        {"url": "http://127.0.0.1/\r\nx: y"},
        {"url": "http://127.0.0.1\\@shop.test/"},
        {"url": "http://shop.test/ x"},
        {"url": "file:///etc/passwd"},
        {"url": "http://169.254.169.254/latest/meta-data/"},
        {"url": "http://[::ffff:169.254.169.254]/"},
        {"url": "http://[fe80::1%25lo]/"},
        {"url": "http://224.0.0.1/"},
        {"url": "http://shop.test/" + "x" * 2000},
        {"events": []},
        {"events": ["died"]},
        {"events": ["gone"], "query": "subject:x"},
        {"query": "(("},
        {"secret": "hunter2"},
        {"secret": "whsec_aGk="},
        {"include": "everything"},
        {"max_body": 1},
        {"max_body": 1 << 40},
        {"account": "nobody@nowhere.test"},
        {"unknown": 1},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(house: House, given: dict[str, Any]) -> None:
    answer = await house.client.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/", **given})
    assert answer.status_code in (400, 404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await house.get("/v1/webhooks"))["webhooks"] == []
