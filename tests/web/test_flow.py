"""The flow by HTTP: what real clients say and hear, told while it happens, and no secret in it."""

from __future__ import annotations

import asyncio
import imaplib
import json
import poplib
import re
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_house import PATIENCE, House, letter, sink

SECRET = "cherry-lamp-77"
Told = dict[str, Any]


class Stream:
    """What somebody hears who looks on."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.told: list[Told] = []
        self.raw = ""
        self.last = ""

    async def next(self) -> Told:
        name, data = "", ""
        async for line in self._lines:
            self.raw += line + "\n"
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("id: "):
                self.last = line[4:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and data:
                told: Told = json.loads(data)
                told.setdefault("name", name)
                self.told.append(told)
                return told
        raise EOFError

    async def until(self, wanted: Callable[[Told], bool]) -> Told:
        async with asyncio.timeout(PATIENCE):
            while True:
                if wanted(told := await self.next()):
                    return told

    def lines(self, door: str) -> list[str]:
        return [f"{one['who']}: {one['text']}" for one in self.told if one["name"] == "line" and one["door"] == door]


@asynccontextmanager
async def looking(house: House, **headers: str) -> AsyncIterator[Stream]:
    async with house.client.stream("GET", "/v1/flow", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer)
        ready = await stream.next()
        assert ready["name"] == "ready"
        yield stream


def ended(door: str) -> Callable[[Told], bool]:
    return lambda told: told["name"] == "disconnected" and told["door"] == door


async def test_every_line_of_three_protocols_is_told_and_no_secret(house: House) -> None:
    bound = house.running.bound

    def send() -> None:
        with smtplib.SMTP(bound["smtp"].host, bound["smtp"].port, timeout=PATIENCE) as smtp:
            smtp.login("shop@shop.test", SECRET)
            smtp.send_message(letter("Hello", "the body of it\n"))

    def fetch_by_pop() -> None:
        pop = poplib.POP3(bound["pop3"].host, bound["pop3"].port, timeout=PATIENCE)
        pop.user("ann@shop.test")
        pop.pass_(SECRET)
        pop.retr(1)
        pop.quit()

    def read_by_imap() -> None:
        imap = imaplib.IMAP4(bound["imap"].host, bound["imap"].port, timeout=PATIENCE)
        imap.login("ann@shop.test", SECRET)
        imap.select("INBOX")
        imap.fetch("1", "(FLAGS BODY[])")
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        imap.logout()

    async with looking(house) as stream:
        await asyncio.to_thread(send)
        await stream.until(ended("smtp"))
        await asyncio.to_thread(fetch_by_pop)
        await stream.until(ended("pop3"))
        await asyncio.to_thread(read_by_imap)
        await stream.until(ended("imap"))

    assert SECRET not in stream.raw
    assert "the body of it" not in stream.raw
    smtp, pop, imap = stream.lines("smtp"), stream.lines("pop3"), stream.lines("imap")
    assert any(one.upper().startswith("C: MAIL FROM:<SHOP@SHOP.TEST>") for one in smtp)
    assert any(one.startswith("S: 250") and "queued" in one for one in smtp)
    assert [one for one in pop if one.startswith("C:")] == [
        "C: USER ann@shop.test",
        "C: PASS [redacted]",
        "C: RETR 1",
        "C: QUIT",
    ]
    assert any(one.endswith("SELECT INBOX") for one in imap)
    assert any(one.startswith("S: * 1 FETCH") and "octets]" in one for one in imap)
    names = {one["name"] for one in stream.told}
    assert {"connected", "line", "delivered", "logged in", "retrieved", "flagged", "expunged", "disconnected"} <= names
    [delivered] = [one for one in stream.told if one["name"] == "delivered"]
    assert delivered["recipients"] == ["ann@shop.test"]
    assert re.fullmatch("[0-9a-f]{16}", delivered["queue_id"])
    # What a message is called in the queue may look like a number, and is none of an event.
    numbers = [one["id"] for one in stream.told if one["name"] != "ready"]
    assert all(type(number) is int for number in numbers)
    assert numbers == sorted(set(numbers))
    peers = {one["peer"] for one in stream.told if one["name"] == "connected"}
    assert len(peers) == 3


async def test_nothing_is_traced_while_nobody_looks_on_and_logs_get_none_of_it(house: House) -> None:
    await house.send(letter())
    async with looking(house) as stream:
        await house.send(letter())
        await stream.until(ended("smtp"))
        assert len([one for one in stream.told if one["name"] == "disconnected"]) == 1
    assert [event for event in house.events if event.name == "line"] == []


async def test_who_idles_already_is_known_and_heard(house: House) -> None:
    place = house.running.bound["imap"]
    reader, writer = await asyncio.open_connection(place.host, place.port)

    async def say(line: bytes, answer: bytes) -> None:
        writer.write(line + b"\r\n")
        while not (await reader.readline()).startswith(answer):
            pass

    await say(b"a LOGIN ann@shop.test x", b"a OK")
    await say(b"b SELECT INBOX", b"b OK")
    await say(b"c IDLE", b"+")
    async with looking(house) as stream:
        [known] = stream.told[0]["sessions"]
        assert (known["door"], known["login"]) == ("imap", "ann@shop.test")
        await house.send(letter())
        pushed = await stream.until(lambda one: one["name"] == "line" and one["door"] == "imap")
        assert (pushed["who"], pushed["text"], pushed["session"]) == ("S", "* 1 EXISTS", known["session"])
        await say(b"DONE", b"c OK")
        await stream.until(lambda one: one["name"] == "line" and str(one["text"]).startswith("c OK"))
    writer.close()


async def test_who_comes_again_hears_what_was_said_meanwhile(house: House) -> None:
    async with looking(house) as stream:
        await house.send(letter("one"))
        await stream.until(ended("smtp"))
    await house.send(letter("two"))
    async with looking(house, **{"Last-Event-ID": stream.last}) as again:
        await again.until(ended("smtp"))
        assert [one["name"] for one in again.told].count("connected") == 1
        assert again.told[1]["session"] > stream.told[-1]["session"]
    # A number of another process means nothing here.
    async with looking(house, **{"Last-Event-ID": "0-99999"}) as other:
        await other.until(ended("smtp"))
        assert other.told[1]["id"] == stream.told[1]["id"]


async def test_the_scene_shows_push_and_pull_and_only_one_is_played(house: House) -> None:
    async with looking(house) as stream:
        started = await house.client.post("/v1/flow/demo", params={"pace": 0})
        assert started.status_code == 202
        assert (await house.client.post("/v1/flow/demo", params={"pace": 0})).status_code == 409
        over = await stream.until(lambda one: one["name"] == "scene" and not one["playing"])
        assert over["failed"] is False
    parties = {one["title"]: one["peer"] for one in stream.told if one["name"] == "party" and "peer" in one}
    assert list(parties) == ["Bob’s phone", "Alice’s client", "Bob’s old PC"]
    assert set(parties.values()) == {one["peer"] for one in stream.told if one["name"] == "connected"}
    imap = stream.lines("imap")
    assert imap.index("S: * 1 EXISTS") < imap.index("C: DONE")
    assert imap.index("S: * 1 EXPUNGE") < len(imap)
    again = await house.client.post("/v1/flow/demo", params={"pace": 0})
    assert again.status_code == 202


async def test_the_end_of_the_house_ends_streams_and_scenes(tmp_path: Path) -> None:
    async with sink(tmp_path) as house, looking(house) as stream:
        await house.client.post("/v1/flow/demo", params={"pace": 5})
        await stream.until(lambda one: one["name"] == "connected")
    assert not [event for event in house.events if event.name == "bug"]


@pytest.mark.parametrize("pace", ["-1", "6", "x"])
async def test_a_pace_has_bounds(house: House, pace: str) -> None:
    assert (await house.client.post("/v1/flow/demo", params={"pace": pace})).status_code in (400, 422)


async def test_another_site_can_start_nothing(house: House) -> None:
    answer = await house.client.post("/v1/flow/demo", headers={"Origin": "https://evil.example.com"})
    assert answer.status_code == 403


async def test_a_reply_that_a_rule_has_made_says_so(house: House) -> None:
    added = await house.client.post("/v1/faults", json={"line": "smtp RCPT 'reply=451 4.7.1 not\\nnow' times=1"})
    rule = added.json()["id"]

    def send() -> None:
        place = house.running.bound["smtp"]
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
            smtp.ehlo()
            smtp.mail("a@shop.test")
            assert smtp.rcpt("ann@shop.test")[0] == 451
            assert smtp.rcpt("550+x@shop.test")[0] == 550
            assert smtp.rcpt("ann@shop.test")[0] == 250

    async with looking(house) as stream:
        await asyncio.to_thread(send)
        await stream.until(ended("smtp"))
    marked = [(one["text"][:3], one["fault"]) for one in stream.told if one["name"] == "line" and "fault" in one]
    assert marked == [("451", f"rule {rule}"), ("451", f"rule {rule}"), ("550", "address")]
    struck = [one for one in stream.told if one["name"] == "fault"]
    assert [one.get("rule") for one in struck] == [rule, None]
    assert struck[0]["fault"].startswith("smtp RCPT reply=")


@pytest.mark.parametrize("door", ["pop3", "imap"])
async def test_it_does_at_the_doors_of_readers_as_well(house: House, door: str) -> None:
    stage, reply = ("STAT", "-ERR later") if door == "pop3" else ("SELECT", "NO later")
    await house.client.post("/v1/faults", json={"line": f"{door} {stage} 'reply={reply}'"})
    place = house.running.bound[door]

    def read() -> None:
        if door == "pop3":
            pop = poplib.POP3(place.host, place.port, timeout=PATIENCE)
            pop.user("ann@shop.test")
            pop.pass_("x")
            with pytest.raises(poplib.error_proto):
                pop.stat()
            pop.quit()
        else:
            with imaplib.IMAP4(place.host, place.port, timeout=PATIENCE) as imap:
                imap.login("ann@shop.test", "x")
                assert imap.select()[0] == "NO"

    async with looking(house) as stream:
        await asyncio.to_thread(read)
        await stream.until(ended(door))
    [marked] = [one for one in stream.told if one["name"] == "line" and "fault" in one]
    assert "later" in marked["text"]


async def test_a_space_sees_its_own_sessions_and_nothing_of_others(house: House) -> None:
    answer = await house.client.post("/v1/spaces", json={"name": "mine", "token": True})
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    await house.client.post("/v1/spaces", json={"name": "canary"})
    bound = house.running.bound

    def smtp(login: str | None, *each: tuple[str, list[str]]) -> None:
        with smtplib.SMTP(bound["smtp"].host, bound["smtp"].port, timeout=PATIENCE) as client:
            if login is not None:
                client.login(login, "any")
            for sender, to in each:
                client.sendmail(sender, to, b"Subject: x\r\n\r\nx\r\n")

    def imap(login: str) -> None:
        with imaplib.IMAP4(bound["imap"].host, bound["imap"].port, timeout=PATIENCE) as client:
            client.login(login, "any")
            client.select()

    def pop3(login: str) -> None:
        client = poplib.POP3(bound["pop3"].host, bound["pop3"].port, timeout=PATIENCE)
        client.user(login)
        client.pass_("any")
        client.quit()

    canary = ("canary@a.test", ["canary@b.test"])

    def all_of_it() -> None:
        smtp(None, canary)
        smtp("canary", ("a@b.test", ["canary@shop.test"]), ("a@b.test", ["theirs+mine@shop.test"]))
        imap("canary")
        pop3("canary@b.test")
        imap("ann@shop.test/canary")
        smtp(None, canary, ("a@b.test", ["canary@c.test", "x+mine@shop.test", "y+canary@c.test"]), canary)
        smtp("mine", ("a@b.test", ["ann@shop.test"]))
        pop3("mine")
        imap("mine")

    async with looking(house, **headers) as stream:
        await asyncio.to_thread(all_of_it)
        await house.client.post("/v1/flow/demo", params={"pace": 0})
        await stream.until(ended("imap"))
        stream_of_all = list(stream.told)
    assert "canary" not in stream.raw
    assert "demo.test" not in stream.raw
    assert "theirs" not in stream.raw
    told = stream_of_all[1:]
    numbers = [one["id"] for one in told]
    assert numbers == sorted(set(numbers))
    sessions: dict[int, list[Told]] = {}
    for one in told:
        sessions.setdefault(one["session"], []).append(one)
    assert [each[0]["door"] for each in sessions.values()] == ["smtp", "smtp", "pop3", "imap"]
    for each in sessions.values():
        assert (each[0]["name"], each[-1]["name"]) == ("connected", "disconnected")
    shared, logged_in, by_pop, _ = sessions.values()
    said = [one["text"].split(" ")[0].upper() for one in shared if one["name"] == "line" and one["who"] == "C"]
    assert said == ["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "DATA", "[20", "QUIT"]
    [delivered] = [one for one in shared if one["name"] == "delivered"]
    assert delivered["recipients"] == ["x+mine@shop.test"]
    [delivered] = [one for one in logged_in if one["name"] == "delivered"]
    assert delivered["recipients"] == ["ann@shop.test"]
    assert [one["text"] for one in by_pop if one.get("who") == "C"] == ["USER mine", "PASS [redacted]", "QUIT"]
    # Who comes again hears what was said after the last that they heard.
    at = stream.told[-3]
    async with looking(house, **headers, **{"Last-Event-ID": f"{stream.last.partition('-')[0]}-{at['id']}"}) as again:
        assert await again.next() == stream.told[-2]
        assert await again.next() == stream.told[-1]
    # Who is there already is told as well.
    client = await asyncio.to_thread(imaplib.IMAP4, bound["imap"].host, bound["imap"].port)
    other = await asyncio.to_thread(imaplib.IMAP4, bound["imap"].host, bound["imap"].port)
    await asyncio.to_thread(client.login, "mine", "any")
    await asyncio.to_thread(other.login, "canary", "any")
    async with looking(house, **headers) as again:
        assert [one["login"] for one in again.told[0]["sessions"]] == ["space:mine"]
    for each_client in (client, other):
        await asyncio.to_thread(each_client.logout)
    assert (await house.client.post("/v1/flow/demo", headers=headers)).status_code == 403


async def test_who_logs_in_elsewhere_after_that_is_not_followed(house: House) -> None:
    answer = await house.client.post("/v1/spaces", json={"name": "mine", "token": True})
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    await house.client.post("/v1/spaces", json={"name": "canary"})
    place = house.running.bound["smtp"]

    def send() -> None:
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
            smtp.sendmail("a@b.test", ["x+mine@shop.test"], b"Subject: x\r\n\r\nx\r\n")
            smtp.login("canary", "any")
            smtp.sendmail("canary@b.test", ["y+mine@shop.test"], b"Subject: canary\r\n\r\nx\r\n")

    async with looking(house, **headers) as stream:
        await asyncio.to_thread(send)
        await stream.until(ended("smtp"))
    assert "x+mine" in stream.raw
    assert "canary" not in stream.raw
    assert "y+mine" not in stream.raw
