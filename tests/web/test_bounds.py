"""What one who asks may take: streams in slices, so many at once, messages that never are in memory as a whole."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_house import House, letter, sink

from mailsystem.mail.mailbox import INBOX, SEEN, Changes, MessageSet
from mailsystem.settings import Limits
from mailsystem.store import FlagOp, Store, mailboxes
from mailsystem.web import received
from mailsystem.web.api import changing, events

LETTER = b"From: a@b.test\r\nSubject: %d\r\n\r\nx\r\n"


async def filled(store: Store, count: int, login: str = "sink", name: str = INBOX, first: int = 0) -> int:
    """So many messages in a mailbox; gives the account's number."""
    account = await store.accounts.ensure(login)
    for number in range(first, first + count):
        spool = store.contents.spool()
        spool.write(LETTER % number)
        await store.mailboxes.append(account.id, name, spool)
    return account.id


class Reader:
    """Somebody who reads a stream of events."""

    def __init__(self, answer: httpx.Response) -> None:
        self.lines = answer.aiter_lines()

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = {}
        async with asyncio.timeout(60):
            async for line in self.lines:
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif "event" in event:
                    return {**event, "data": json.loads(event["data"])}
        raise EOFError

    async def some(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]


async def test_who_was_away_hears_of_everything_slice_by_slice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SLICE", 7)
    monkeypatch.setattr(events, "_MOST_AHEAD", 20)
    store = house.running.store
    account = await filled(store, 30)
    inbox = await store.mailboxes.find(account, INBOX)
    await store.mailboxes.create(account, "Other")
    await filled(store, 30, name="Other", first=30)
    since = (await store.mailboxes.find(account, INBOX)).modseq
    # One change of many has one ModSeq: no number parts them.
    await store.mailboxes.set_flags(account, inbox.id, MessageSet(((1, 25),)), FlagOp.ADD, frozenset({SEEN}))
    async with house.client.stream("GET", "/v1/events", params={"since": 0}) as answer:
        reader = Reader(answer)
        assert (await reader.next())["event"] == "ready"
        told = await reader.some(60)
    assert {one["event"] for one in told} == {"arrived"}
    assert {(one["data"]["mailbox"], one["data"]["uid"]) for one in told} == {
        (name, uid) for name in (INBOX, "Other") for uid in range(1, 31)
    }
    numbers = [int(one["id"]) for one in told if "id" in one]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > since
    modseqs = [one["data"]["modseq"] for one in told]
    assert modseqs == sorted(modseqs)

    # Whoever goes on in the middle misses none of what has the same number.
    for at in (0, 10, 34, 50):
        last = next((one["id"] for one in reversed(told[: at + 1]) if "id" in one), "0")
        async with house.client.stream("GET", "/v1/events", headers={"Last-Event-ID": last}) as answer:
            reader = Reader(answer)
            await reader.next()
            rest = [one for one in told if one["data"]["modseq"] > int(last)]
            again = await reader.some(len(rest))
        assert [one["data"]["uid"] for one in again] == [one["data"]["uid"] for one in rest]


async def test_flags_and_what_went_are_told_to_who_was_away_for_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SLICE", 5)
    store = house.running.store
    account = await filled(store, 30)
    inbox = await store.mailboxes.find(account, INBOX)
    since = inbox.modseq
    async with house.client.stream("GET", "/v1/events") as live:
        watching = Reader(live)
        await watching.next()
        await store.mailboxes.set_flags(account, inbox.id, MessageSet(((1, 20),)), FlagOp.ADD, frozenset({SEEN}))
        await store.mailboxes.remove(account, inbox.id, MessageSet(((3, 4), (30, 30))))
        await filled(store, 1, first=30)
        async with house.client.stream("GET", "/v1/events", headers={"Last-Event-ID": str(since)}) as answer:
            reader = Reader(answer)
            await reader.next()
            told = await reader.some(20)
        assert (told[0]["event"], told[0]["data"]["uids"], "id" in told[0]) == ("gone", [3, 4, 30], False)
        assert [(one["event"], one["data"]["uid"]) for one in told[1:]] == [
            *(("flags", uid) for uid in (1, 2, *range(5, 21))),
            ("arrived", 31),
        ]
        # Who has been there hears the same, in whatever portions.
        heard: dict[tuple[str, int], bool] = {}
        while ("arrived", 31) not in heard or ("gone", 30) not in heard:
            one = await watching.next()
            if one["event"] == "seen":  # in between, where it was looked just then
                continue
            for uid in one["data"].get("uids") or [one["data"]["uid"]]:
                heard[one["event"], uid] = True
    assert {("flags", uid) for uid in range(5, 21)} <= set(heard)


async def test_a_slow_reader_holds_one_slice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    store = house.running.store
    await filled(store, 600)
    made: list[int] = []
    summaries = events.summaries

    async def counted(store: Store, box: Any, uids: Any) -> Any:
        made.append(len(uids))
        return await summaries(store, box, uids)

    async def never(*args: object, **more: object) -> Changes:
        raise AssertionError("all changes at once")

    monkeypatch.setattr(events, "summaries", counted)
    monkeypatch.setattr(mailboxes.Mailboxes, "changes", never)
    await house.get("/v1/info")  # or there is none yet
    [context] = _contexts(house)
    account = await store.accounts.find("sink")

    async def check() -> None: ...

    telling = events._Telling(context, account, 0, check).events()
    await anext(telling)
    for count in (1, 99, 1):
        for _ in range(count):
            await anext(telling)
        # Nobody takes the next one: nothing is made ahead.
        assert sum(made) <= (events.SLICE if count != 1 or len(made) == 1 else 2 * events.SLICE)
    await telling.aclose()


def _contexts(house: House) -> list[Any]:
    import gc

    from mailsystem.web.context import Context

    return [each for each in gc.get_objects() if type(each) is Context and each.store is house.running.store]


async def test_streams_and_waits_have_an_end_to_their_number_and_leave_their_places(tmp_path: Path) -> None:
    async with sink(tmp_path, limits=Limits(streams_per_account=3)) as house:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                answer = await stack.enter_async_context(house.client.stream("GET", "/v1/events"))
                assert answer.status_code == 200
            waiting = asyncio.create_task(house.client.get("/v1/wait", params={"timeout": 100}))
            async with asyncio.timeout(30):
                while (await house.client.get("/v1/wait", params={"timeout": 0})).status_code != 429:
                    if waiting.done():  # it found that place taken
                        waiting = asyncio.create_task(house.client.get("/v1/wait", params={"timeout": 100}))
                    await asyncio.sleep(0.02)
            for path in ("/v1/events", "/v1/wait"):
                refused = await house.client.get(path)
                assert refused.status_code == 429
                assert refused.headers["content-type"] == "application/problem+json"
                assert refused.headers["retry-after"] == "10"
                assert refused.json()["status"] == 429
                assert "3 streams and waits" in refused.json()["detail"]
            waiting.cancel()
        # Who goes leaves their place to others, the waiting one too, long before its time was over.
        async with asyncio.timeout(30):
            async with AsyncExitStack() as stack:
                opened = 0
                while opened < 3:
                    answer = await stack.enter_async_context(house.client.stream("GET", "/v1/events"))
                    opened += answer.status_code == 200
                    await asyncio.sleep(0.02)


async def test_who_reads_no_further_leaves_their_place_too(tmp_path: Path) -> None:
    async with sink(tmp_path, limits=Limits(streams_per_account=1)) as house:
        await filled(house.running.store, 3000)
        place = house.running.bound["web"]
        reader, writer = await asyncio.open_connection(place.host, place.port)
        writer.write(b"GET /v1/events?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert (await house.client.get("/v1/events")).status_code == 429
        writer.transport.abort()
        async with asyncio.timeout(30):
            status = 429
            while status == 429:
                status = (await house.client.head("/v1/events")).status_code
        assert status == 200


async def test_a_message_that_was_only_flagged_is_none_that_came(house: House) -> None:
    await house.send(letter("old"), letter("older"))
    page = await house.get("/v1/messages")
    since = page["modseq"]
    for one in page["messages"]:
        await house.client.patch(f"/v1/messages/{one['id']}", json={"add_flags": ["\\Seen"]})
    assert (await house.get("/v1/wait", 408, since=since, timeout=0))["arrived"] == []
    waiting = asyncio.create_task(house.get("/v1/wait", since=since, timeout=30))
    await asyncio.sleep(0.1)
    await house.client.patch(f"/v1/messages/{page['messages'][0]['id']}", json={"add_flags": ["again"]})
    await house.send(letter("new"))
    assert [one["subject"] for one in (await waiting)["messages"]] == ["new"]
    # One that came since then stays new, whatever was done to it.
    latest = await house.get("/v1/messages/latest")
    await house.client.patch(f"/v1/messages/{latest['id']}", json={"add_flags": ["\\Seen"]})
    assert [one["subject"] for one in (await house.get("/v1/wait", since=since))["messages"]] == ["new"]


async def test_a_query_is_about_all_that_it_finds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "SLICE", 7)
    monkeypatch.setattr(changing, "MOST_TOLD", 10)
    store = house.running.store
    account = await filled(store, 40)
    await store.mailboxes.create(account, "Archive")
    await filled(store, 3, name="Archive", first=40)

    async def bulk(**wanted: Any) -> Any:
        answer = await house.client.post("/v1/messages/bulk", json=wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()

    # What is changed is found no more by that query, or comes to where it is looked for.
    flagged = await bulk(query="is:unread", add_flags=["\\Seen"])
    assert (flagged["changed"], len(flagged["ids"])) == (40, 10)
    moved = await bulk(query="larger:0", mailbox="*", move_to="Archive")
    assert moved["changed"] == 43
    assert (await house.get("/v1/messages", mailbox="Archive"))["total"] == 43
    assert (await house.get("/v1/messages"))["total"] == 0
    assert (await bulk(query="larger:0", mailbox="*", delete="permanent"))["changed"] == 43
    assert (await house.get("/v1/messages", mailbox="*"))["total"] == 0
    nothing = await house.client.post("/v1/messages/bulk", json={"query": "larger:0"})
    assert nothing.status_code == 400


async def _pieces(octets: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


async def test_a_long_body_is_refused_alike_however_it_comes(tmp_path: Path) -> None:
    async with sink(tmp_path, limits=Limits(message_size=100_000)) as house:
        told = {"content-type": "application/json"}
        raw = {"content-type": "message/rfc822"}
        params = {"from": "a@b.test", "to": "c@d.test"}
        long = b"x" * 1_100_000
        answers = [
            await house.client.post("/v1/messages/bulk", content=long, headers=told),
            await house.client.post("/v1/messages/bulk", content=_pieces(long), headers=told),
            await house.client.post("/v1/send", content=_pieces(long), headers=told),
            await house.client.post("/v1/send", content=_pieces(long), headers=raw, params=params),
            await house.client.post("/v1/send", content=_pieces(long[:150_000]), headers=raw, params=params),
        ]
        for answer in answers:
            assert answer.status_code == 413
            assert (answer.json()["status"], answer.json()["title"]) == (413, answer.reason_phrase)
            assert answer.headers["content-type"] == "application/problem+json"
        assert not any(event.name == "bug" for event in house.events)
        assert [path for path in (tmp_path / "data").rglob("incoming/*") if path.is_file()] == []


async def test_a_message_goes_to_disk_while_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    async with sink(tmp_path) as house:
        store = house.running.store
        made = store.contents.spool

        def spool() -> Any:
            one = made()
            spools.append(one)
            return one

        spools: list[Any] = []
        monkeypatch.setattr(store.contents, "spool", spool)
        octets = b"Message-ID: <long@b.test>\nSubject: long\n\n" + b"0123456789abcdef\n" * 500_000

        async def pieces() -> AsyncIterator[bytes]:
            async for piece in _pieces(octets, 65_533):
                yield piece
                held.append(sum(one.held for one in spools))

        params = {"from": "a@b.test", "to": "c@d.test"}
        answer = await house.client.post(
            "/v1/send", content=pieces(), headers={"content-type": "message/rfc822"}, params=params
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["message_id"] == "<long@b.test>"
        assert 0 < max(held) < 4 << 20
        raw = (await house.client.get("/v1/messages/latest/raw", params={"download": True})).content
        assert raw.endswith(octets.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("escaped", [False, True])
async def test_long_attachments_are_left_where_they_are(house: House, escaped: bool) -> None:
    octets = bytes(range(256)) * 20_000
    small = b"small"
    files = [
        {"filename": "long.bin", "content": base64.b64encode(octets).decode()},
        {"filename": "small.bin", "content": base64.b64encode(small).decode()},
        {"filename": "odd.txt", "type": "text/plain", "content": base64.b64encode(octets[:-1]).decode()},
        {"filename": "logo.png", "type": "image/png", "cid": "logo", "content": base64.b64encode(octets[:-2]).decode()},
    ]
    told = json.dumps({"to": ["ann@shop.test"], "text": "=0", "html": "<p>", "attachments": files})
    if escaped:
        told = told.replace("/", "\\/")
    answer = await house.client.post("/v1/send", content=told, headers={"content-type": "application/json"})
    assert answer.status_code == 201, answer.text
    message = await house.get("/v1/messages/latest")
    assert message["text"].strip() == "=0"
    got = {}
    for one in message["attachments"]:
        part = await house.client.get(f"/v1/messages/latest/parts/{one['part']}", params={"download": True})
        got[one["filename"]] = part.content
    assert got == {"long.bin": octets, "small.bin": small, "odd.txt": octets[:-1], "logo.png": octets[:-2]}
    raw = (await house.client.get("/v1/messages/latest/raw")).content
    assert max(map(len, raw.split(b"\r\n"))) < 100


async def test_what_is_no_attachment_or_too_much_beside_them_is_refused(house: House) -> None:
    for content in ("!" * 100_000, "A" * 99_999, "A" * 99_996 + "=A==", "=0", "=7", "A" * 50_000 + "=" + "A" * 49_999):
        refused = await house.client.post(
            "/v1/send", json={"to": ["a@b.test"], "attachments": [{"filename": "x", "content": content}]}
        )
        assert (refused.status_code, "not base64" in refused.text) == (400, True), content[:10]
    named = {"headers": {"content": "A" * 5000}, "attachments": [{"filename": "x", "content": "QQ=="}]}
    refused = await house.client.post("/v1/send", json={"to": ["a@b.test"], **named})
    assert (refused.status_code, "no attachment's" in refused.text) == (400, True)
    refused = await house.client.post("/v1/send", json={"to": ["a@b.test"], "text": "x" * (received.MOST_BESIDE + 1)})
    assert (refused.status_code, refused.json()["status"]) == (413, 413)


async def test_a_header_of_very_many_fields_is_told_in_part(house: House) -> None:
    await house.send(b"Subject: many\r\n" + b"".join(b"X: %d\r\n" % n for n in range(20_000)) + b"\r\nx\r\n")
    told = await house.get("/v1/messages/latest/headers")
    assert (len(told["headers"]), told["cut"]) == (1000, True)
    assert 19_900 < told["total"] <= 20_010
    assert (await house.get("/v1/messages"))["messages"][0]["subject"] == "many"
    await house.send(letter("few"))
    told = await house.get("/v1/messages/latest/headers")
    assert (told["total"], told["cut"]) == (len(told["headers"]), False)


async def test_a_message_to_very_many_is_told_in_lists_as_one_to_some(house: House) -> None:
    people = ", ".join(f"p{n}@shop.test" for n in range(1500))
    await house.send(f"From: a@b.test\r\nTo: {people}\r\n\r\nx\r\n".replace(", ", ",\r\n ").encode())
    assert len((await house.get("/v1/messages"))["messages"][0]["to"]) == 100
    assert len((await house.get("/v1/messages/latest"))["to"]) == 1000


async def test_a_long_text_says_that_it_is_cut_and_where_all_of_it_is(house: House) -> None:
    long = b"0123456789abcde\r\n" * 300_000
    await house.send(b"Subject: long\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe4" + long)
    message = await house.get("/v1/messages/latest")
    assert message["text_cut"]
    at = f"/v1/messages/{message['id']}"
    for path in ("text", "parts/1"):
        answer = await house.client.get(f"{at}/{path}")
        assert answer.headers["x-cut"] == str(len(answer.text)) == str(4 << 20)
        link = re.fullmatch(r'<(.*)>; rel="alternate"', answer.headers["link"])
        assert link
        whole = await house.client.get(str(answer.url.join(link[1])))
        assert whole.content == b"\xe4" + long
        assert whole.headers["content-disposition"].startswith("attachment")
    await house.send(letter("short"))
    message = await house.get("/v1/messages/latest")
    assert not message["text_cut"]
    assert "x-cut" not in (await house.client.get(f"/v1/messages/{message['id']}/parts/1")).headers
