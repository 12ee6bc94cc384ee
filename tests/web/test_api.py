"""The interface as a program uses it, over real connections."""

from __future__ import annotations

import asyncio
import json
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_house import House, letter, sink

from mailsystem.finding.finder import Finder
from mailsystem.mail import errors
from mailsystem.mail.errors import MailError
from mailsystem.settings import Limits
from mailsystem.web.problems import REPLIES

JSON = {"content-type": "application/json"}


async def test_what_is_here_is_told(house: House) -> None:
    info = await house.get("/v1/info")
    assert (info["role"], info["account"], info["user"], info["sending"]) == ("sink", "sink", None, False)
    assert info["ports"] == {name: str(place) for name, place in house.running.bound.items()}
    await house.send(letter())
    await house.send(letter())
    found = (await house.get("/v1/messages", account="ann@shop.test"))["messages"]
    change = {"add_flags": ["\\Seen"]}
    await house.client.patch(f"/v1/messages/{found[0]['id']}", params={"account": "ann@shop.test"}, json=change)
    told = (await house.get("/v1/accounts"))["accounts"]
    assert {one["login"]: (one["messages"], one["unread"]) for one in told} == {"ann@shop.test": (2, 1), "sink": (2, 2)}
    [inbox] = (await house.get("/v1/mailboxes", account="ann@shop.test"))["mailboxes"]
    assert (inbox["name"], inbox["total"], inbox["unread"]) == ("INBOX", 2, 1)


async def test_one_message_that_is_damaged_does_not_keep_a_list_from_the_others(house: House, tmp_path: Path) -> None:
    await house.send(letter("damaged", "x" * 300_000), letter("whole"))
    [file] = [file for file in (tmp_path / "data" / "contents").rglob("*") if file.is_file()]
    file.write_bytes(b"")
    told = (await house.get("/v1/messages"))["messages"]
    assert [(each["subject"], each["snippet"]) for each in told] == [("whole", "It works."), ("damaged", "")]
    await house.get("/v1/messages/latest", 200)


async def test_a_list_tells_of_each_message_what_a_person_looks_for(house: House) -> None:
    message = letter("Zürich grüßt", "Dear Ann,\n\nall is well.\n", Cc="Bob <bob@shop.test>, kim@shop.test")
    message["Date"] = "Fri, 27 Nov 2026 12:00:00 +0100"
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="terms.pdf")
    await house.send(message)
    page = await house.get("/v1/messages")
    [told] = page["messages"]
    assert told["from"] == {"name": "Shop", "address": "shop@shop.test"}
    assert told["to"] == [{"name": "Ann Lee", "address": "ann@shop.test"}]
    assert told["cc"] == [{"name": "Bob", "address": "bob@shop.test"}, {"name": "", "address": "kim@shop.test"}]
    assert told["subject"] == "Zürich grüßt"
    assert told["date"] == "2026-11-27T11:00:00.000Z"
    assert told["snippet"] == "Dear Ann, all is well."
    assert (told["attachments"], told["unread"], told["pinned"], told["mailbox"]) == (1, True, False, "INBOX")
    assert (page["total"], page["unread"], page["next"]) == (1, 1, None)


async def test_pages_follow_each_other_and_what_comes_meanwhile_moves_none(house: House) -> None:
    await house.send(*(letter(f"number {n}") for n in range(5)))
    first = await house.get("/v1/messages", limit=2)
    await house.send(letter("new"))
    second = await house.get("/v1/messages", limit=2, cursor=first["next"])
    third = await house.get("/v1/messages", limit=2, cursor=second["next"])
    assert [one["subject"] for page in (first, second, third) for one in page["messages"]] == [
        f"number {n}" for n in (4, 3, 2, 1, 0)
    ]
    assert third["next"] is None
    assert (await house.get("/v1/messages", 400, cursor="nonsense"))["status"] == 400


async def test_a_query_finds_and_says_what_it_means(house: House) -> None:
    await house.send(letter("one"), letter("two", "needle\n"))
    found = await house.get("/v1/messages", query="subject:two OR subject:three", mailbox="*")
    assert [one["subject"] for one in found["messages"]] == ["two"]
    meant = await house.get("/v1/query", query="from:shop@shop.test is:unread")
    assert meant["explanation"]
    wrong = await house.get("/v1/query", 400, query="(subject:x")
    assert wrong["title"] == "Bad Request"
    assert isinstance(wrong["position"], int)


async def test_a_message_is_read_whole_and_in_parts(house: House) -> None:
    message = letter("Parts", "Plain.\n", Message_ID="<1@shop.test>", Reply_To="help@shop.test")
    message.add_alternative("<p>Rich <img src='cid:logo'></p>", subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", maintype="image", subtype="png", cid="<logo>", filename="l.png")  # type: ignore[index, union-attr]
    message.add_attachment("<script>alert(1)</script>", subtype="html", filename="../ä.html")
    await house.send(message)
    told = await house.get("/v1/messages/latest")
    assert told["id"] == (await house.get("/v1/messages"))["messages"][0]["id"]
    assert (told["text"], told["has_html"], told["remote_content"]) == ("Plain.\r\n", True, False)
    assert told["reply_to"] == [{"name": "", "address": "help@shop.test"}]
    assert told["message_id"] == "<1@shop.test>"
    assert [child["type"] for child in told["parts"]["children"]] == ["multipart/alternative", "text/html"]
    # Lists, queries and the message itself count alike.
    assert (await house.get("/v1/messages"))["messages"][0]["attachments"] == 1
    assert (await house.get("/v1/messages", query="has:inline has:attachment"))["total"] == 1
    logo, attached = told["attachments"]
    assert (logo["part"], logo["cid"], logo["inline"], logo["type"]) == ("1.2.2", "logo", True, "image/png")
    assert (attached["part"], attached["filename"], attached["inline"]) == ("2", "../ä.html", False)

    at = f"/v1/messages/{told['id']}"
    png = await house.client.get(f"{at}/parts/1.2.2")
    assert (png.content, png.headers["content-type"]) == (b"\x89PNG", "image/png")
    html = await house.client.get(f"{at}/parts/2")
    assert html.headers["content-type"] == "application/octet-stream", "what could run is only downloaded"
    assert html.headers["content-disposition"] == "attachment; filename=\"_.html\"; filename*=UTF-8''_%C3%A4.html" or (
        "../" not in html.headers["content-disposition"]
    )
    assert html.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in html.headers["content-security-policy"]
    assert (await house.client.get(f"{at}/text")).text == "Plain.\r\n"
    raw = await house.client.get(f"{at}/raw", params={"download": True})
    assert raw.content.endswith(message.as_bytes().replace(b"\n", b"\r\n")[-200:])
    assert raw.headers["content-type"] == "message/rfc822"
    names = [field["name"] for field in (await house.get(f"{at}/headers"))["headers"]]
    assert names[:3] == ["Return-Path", "Received", "From"]
    for missing in (f"{at}/parts/9", f"{at}/parts/1", "/v1/messages/M999", "/v1/messages/nonsense", "/v1/nothing"):
        answer = await house.client.get(missing)
        assert answer.status_code == 404, missing
        assert answer.headers["content-type"] == "application/problem+json"


async def test_reading_marks_nothing_unless_it_is_asked_to(house: House) -> None:
    await house.send(letter())
    assert (await house.get("/v1/messages/latest"))["unread"]
    assert not (await house.get("/v1/messages/latest", seen=True))["unread"]
    assert (await house.get("/v1/messages"))["unread"] == 0


async def test_flags_folders_trash_and_the_end(house: House) -> None:
    await house.send(letter())
    at = "/v1/messages/M1"
    change = await house.client.patch(at, json={"add_flags": ["\\Seen", "\\Flagged", "shop"]})
    told = change.json()
    assert (told["unread"], told["pinned"], told["tags"]) == (False, True, ["shop"])
    assert (await house.client.patch(at, json={"remove_flags": ["\\Flagged"]})).json()["pinned"] is False
    assert (await house.client.patch(at, json={"add_flags": ["\\Bogus"]})).status_code == 400
    assert (await house.client.patch(at, json={"add_flag": ["x"]})).status_code == 400, "a slip of the pen is told"
    assert (await house.client.patch(at, json={"mailbox": "Nowhere"})).status_code == 404

    assert (await house.client.post("/v1/mailboxes", json={"name": "Work/2026"})).status_code == 201
    assert (await house.client.post("/v1/mailboxes", json={"name": "Work/2026"})).status_code == 409
    assert (await house.client.patch(at, json={"mailbox": "Work/2026"})).json()["mailbox"] == "Work/2026"
    assert (await house.client.patch("/v1/mailboxes/Work/2026", json={"name": "Old"})).status_code == 204
    assert (await house.get(at))["mailbox"] == "Old"

    assert (await house.client.delete(at)).json() == {"moved": {"mailbox": "Trash"}}
    assert (await house.client.patch(at, json={"mailbox": "INBOX"})).json()["mailbox"] == "INBOX"
    assert (await house.client.delete(at, params={"permanent": True})).status_code == 204
    assert (await house.client.delete(at)).status_code == 404
    assert (await house.client.delete("/v1/mailboxes/Old")).status_code == 204
    # The copy of whom it was for is theirs.
    assert (await house.get("/v1/messages", account="ann@shop.test"))["total"] == 1


async def test_many_are_changed_at_once_but_never_by_accident(house: House) -> None:
    await house.send(*(letter(f"number {n}") for n in range(4)))

    async def bulk(status: int, **wanted: Any) -> Any:
        answer = await house.client.post("/v1/messages/bulk", json=wanted)
        assert answer.status_code == status, answer.text
        return answer.json()

    for wanted in ({}, {"delete": "permanent"}, {"query": "", "delete": "permanent"}, {"ids": ["M1"], "query": "x"}):
        await bulk(400, **wanted)
    assert (await house.client.post("/v1/messages/bulk", content=b"{", headers=JSON)).status_code == 400
    await bulk(404, ids=["M1", "M99"], delete="permanent")
    assert (await house.get("/v1/messages"))["total"] == 4, "all or none"
    missing = ["M99", "rubbish", "M3", "M3", "latest"]
    assert await bulk(200, ids=missing, ignore_missing=True, remove_flags=["\\Seen"]) == {
        "changed": 2,
        "ids": ["M3", "M4"],
    }
    assert await bulk(200, ids=["M99"], ignore_missing=True, delete="permanent") == {"changed": 0, "ids": []}
    assert await bulk(200, ids=["M1", "M2"], add_flags=["\\Seen"]) == {"changed": 2, "ids": ["M1", "M2"]}
    assert (await bulk(200, query="is:unread", delete="trash"))["changed"] == 2
    assert (await house.get("/v1/messages", mailbox="Trash"))["total"] == 2
    assert await bulk(200, ids=[], delete="permanent") == {"changed": 0, "ids": []}
    assert (await bulk(200, query="subject:number", mailbox="*", delete="permanent"))["changed"] == 4
    assert (await house.get("/v1/messages", mailbox="*"))["total"] == 0


async def test_one_id_said_over_and_over_is_looked_for_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.send(letter())
    asked: list[object] = []
    find = Finder.find

    async def counted(self: Finder, *args: Any, **more: Any) -> Any:
        asked.append(args)
        return await find(self, *args, **more)

    monkeypatch.setattr(Finder, "find", counted)
    wanted = {"ids": ["latest"] * 1000, "add_flags": ["\\Seen"]}
    answer = await house.client.post("/v1/messages/bulk", json=wanted)
    assert answer.json() == {"changed": 1, "ids": ["M1"]}
    assert len(asked) == 1


async def test_what_cannot_be_done_whole_is_not_begun(house: House) -> None:
    await house.send(letter())
    [one] = (await house.get("/v1/messages"))["messages"]
    tag = ["seen-by-nobody"]
    refused = [
        await house.client.post(
            "/v1/messages/bulk", json={"query": "larger:0", "add_flags": tag, "move_to": "Trash", "delete": "trash"}
        ),
        await house.client.post(
            "/v1/messages/bulk", json={"query": "larger:0", "add_flags": tag, "move_to": "Nowhere"}
        ),
        await house.client.patch(f"/v1/messages/{one['id']}", json={"add_flags": tag, "mailbox": "Nowhere"}),
        await house.client.patch(f"/v1/messages/{one['id']}", json={"add_flags": tag, "remove_flags": ["\\Recent"]}),
    ]
    assert [answer.status_code for answer in refused] == [400, 404, 404, 400]
    assert (await house.get(f"/v1/messages/{one['id']}"))["tags"] == []


async def test_waiting_ends_with_the_message_and_not_before(house: House) -> None:
    waiting = asyncio.create_task(house.get("/v1/wait", query="subject:wanted", timeout=20))
    await asyncio.sleep(0.2)
    await house.send(letter("other"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await house.send(letter("wanted"))
    [told] = (await waiting)["messages"]
    assert told["subject"] == "wanted"
    # What is here already, is found at once; what came before a moment, not if only later ones are asked for.
    assert (await house.get("/v1/wait", query="subject:wanted", timeout=0))["messages"] == [told]
    late = await house.get("/v1/wait", 408, query="subject:wanted", since=told["modseq"], timeout=0.1)
    assert late["title"] == "Request Timeout"
    assert (await house.get("/v1/wait", query="subject:wanted", since="5m", timeout=0))["messages"] == [told]
    assert (await house.get("/v1/wait", count=2, timeout=0))["messages"][1] == told


async def test_who_waited_in_vain_is_told_what_came(house: House) -> None:
    waiting = asyncio.create_task(house.get("/v1/wait", 408, query="subject:wanted", timeout=1))
    await asyncio.sleep(0.3)
    await house.send(letter("something else"))
    said = await waiting
    assert [one["subject"] for one in said["arrived"]] == ["something else"]
    assert said["detail"].startswith("waited 1 s for one message and found 0;")


async def test_a_moment_that_no_clock_knows_is_refused(house: House) -> None:
    for since in ("0001-01-01", "0001-01-01T00:00:00", "nonsense"):
        assert (await house.get("/v1/wait", 400, since=since))["detail"].startswith("since: ")


async def test_nobody_waits_past_the_end(tmp_path: Path) -> None:
    async with sink(tmp_path) as house:
        waiting = asyncio.create_task(house.client.get("/v1/wait", params={"timeout": 100}))
        stream = asyncio.create_task(_events(house, 99))
        await asyncio.sleep(0.5)
    async with asyncio.timeout(20):
        await asyncio.wait((waiting, stream))
    stream.exception()
    waiting.exception()


async def _lines(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            yield event
            event = {}
        else:
            name, _, value = line.partition(": ")
            event[name] = value


async def _events(
    house: House,
    count: int,
    *,
    until: str = "",
    told: list[dict[str, str]] | None = None,
    **headers: str,
) -> list[dict[str, str]]:
    """So many events beside the first, which says that it listens; in `told` as they come."""
    told = [] if told is None else told
    async with asyncio.timeout(60), house.client.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for event in _lines(answer):
            told.append(event)
            if len(told) > count or event.get("event") == until:
                break
    return told


async def test_everything_that_changes_is_told_and_told_again_to_who_was_away(house: House) -> None:
    await house.send(letter("before"))
    heard: list[dict[str, str]] = []

    async def until(count: int) -> None:
        async with asyncio.timeout(60):
            while len(heard) < count:  # noqa: ASYNC110 - nothing rings for it
                await asyncio.sleep(0.01)

    listening = asyncio.create_task(_events(house, 9, until="gone", told=heard))
    await until(1)
    await house.send(letter("news"))
    await until(2)  # or the stream tells only what came of both
    await house.client.patch("/v1/messages/M1", json={"add_flags": ["\\Seen"]})
    await until(3)
    await house.client.delete("/v1/messages/M1", params={"permanent": True})
    # A moment before it went it was marked as deleted; the stream may have looked in between.
    ready, arrived, flags, *_, gone = told = await listening
    assert ready["event"] == "ready"
    assert (arrived["event"], json.loads(arrived["data"])["subject"]) == ("arrived", "news")
    assert (flags["event"], json.loads(flags["data"])["unread"]) == ("flags", False)
    assert (gone["event"], json.loads(gone["data"])["uids"]) == ("gone", [1])
    ids = [int(one["id"]) for one in told]
    assert ids == sorted(set(ids))

    again = await _events(house, 2, **{"Last-Event-ID": ready["id"]})
    assert [one["event"] for one in again[1:]] == ["arrived", "gone"]
    # What went while the stream was looking was told a moment before its number.
    assert int(again[-1]["id"]) >= int(gone["id"])


async def test_another_site_can_neither_act_nor_read_here(house: House) -> None:
    await house.send(letter())
    for odd in ("http://[", "null", "x", "http://"):
        assert (await house.client.delete("/v1/messages/M1", headers={"Origin": odd})).status_code == 403, odd
    evil = {"Origin": "http://evil.example.com", **JSON}
    refused = await house.client.post("/v1/messages/bulk", content=b'{"ids":["M1"],"delete":"permanent"}', headers=evil)
    assert (refused.status_code, refused.json()["detail"]) == (403, "asked by a page of another site")
    assert (await house.client.delete("/v1/messages/M1", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403
    rebound = await house.client.get("/v1/messages", headers={"Host": "evil.example.com"})
    assert rebound.status_code == 403
    for name in ("localhost:8025", "mail", "127.0.0.1", "[::1]:8025", "sink.ci.test"):
        assert (await house.client.get("/v1/info", headers={"Host": name})).status_code == 200, name
    own = {"Origin": str(house.client.base_url).rstrip("/")}
    assert (await house.client.delete("/v1/messages/M1", headers=own)).status_code == 200
    assert "access-control-allow-origin" not in refused.headers


async def test_more_than_is_taken_is_refused(tmp_path: Path) -> None:
    async with sink(tmp_path, limits=Limits(message_size=100_000)) as house:
        long = json.dumps({"ids": ["M1"] * 300_000}).encode()
        assert (await house.client.post("/v1/messages/bulk", content=long, headers=JSON)).status_code == 413

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(long), 65_536):
                yield long[start : start + 65_536]

        answer = await house.client.post("/v1/messages/bulk", content=pieces(), headers=JSON)
        assert answer.status_code == 413


async def test_garbage_gets_a_short_answer_and_no_internals(house: House) -> None:
    for query in ("limit=0", "limit=x", "limit=501", "cursor=%00", "since=x"):
        path = "/v1/wait" if query.startswith("since") else "/v1/messages"
        answer = await house.client.get(f"{path}?{query}")
        assert answer.status_code == 400, query
        assert set(answer.json()) <= {"type", "title", "status", "detail", "errors", "position"}
    assert not any(event.name == "bug" for event in house.events)


async def test_a_message_that_is_damaged_is_shown_all_the_same(house: House) -> None:
    odd = (
        b"From: =?utf-8?q?=FF=FE?= <a@b.test>\r\nTo: undisclosed-recipients:;\r\nSubject: =?x-none?b?AAAA?=\r\n"
        b"Date: never\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=nonsense\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nx\r\n"
    )
    nothing = b"\r\n"
    octets = b"Content-Type: text/plain\r\n\r\nx\r\n"
    for _ in range(30):
        octets = b"Content-Type: message/rfc822\r\n\r\n" + octets
    await house.send(odd, nothing, octets)
    page = await house.get("/v1/messages")
    assert len(page["messages"]) == 3
    for one in page["messages"]:
        whole = await house.get(f"/v1/messages/{one['id']}")
        assert whole["date"] is None
        assert (await house.client.get(f"/v1/messages/{one['id']}/headers")).status_code == 200


@pytest.mark.parametrize("failure", MailError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_failure_has_its_status(failure: type[MailError]) -> None:
    if failure.__module__ == errors.__name__:
        assert REPLIES[failure] >= 400


async def test_nothing_of_it_is_brought_in_before_somebody_knocks(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, asyncio, urllib.request\nfrom pathlib import Path\nsys.path.insert(0, 'tests/web')\n"
        "from mailsystem.app import running\nfrom mailsystem.settings import *\n"
        "async def main():\n"
        f"    wanted = Settings(data_dir=Path({str(tmp_path)!r}) / 'd', host='127.0.0.1', smtp=Smtp(port=0), pop3=Pop3(port=0),"
        " imap=Imap(port=0), web=Web(port=0, tls=False))\n"
        "    async with running(wanted, sink=True) as house:\n"
        "        heavy = ('fastapi', 'uvicorn', 'starlette', 'nh3', 'mailsystem.finding.finder')\n"
        "        print([name for name in heavy if name in sys.modules])\n"
        "        await asyncio.to_thread(urllib.request.urlopen, f'http://{house.bound[\"web\"]}/')\n"
        "        print('fastapi' in sys.modules, 'mailsystem.checks' in sys.modules)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n") == ["[]", "True False", ""]


async def test_how_a_message_came_is_told_to_the_last_line(house: House) -> None:
    await house.send(letter("evidence"), sender="bounce@shop.test", to=["ann@shop.test", "kim@shop.test"])
    told = await house.get("/v1/messages/latest/envelope")
    assert (told["mail_from"], [one["address"] for one in told["rcpt_to"]]) == (
        "bounce@shop.test",
        ["ann@shop.test", "kim@shop.test"],
    )
    assert told["parameters"]["BODY"] == "8BITMIME"
    said = [(line["who"], line["text"].partition(" ")[0]) for line in told["transcript"]]
    assert said[0] == ("S", "220")
    assert [text for who, text in said if who == "C"][:4] == ["ehlo", "mail", "rcpt", "rcpt"] or said
    assert any(line["text"].startswith("250") and told["queue_id"] in line["text"] for line in told["transcript"])
    [session] = (await house.get("/v1/sessions"))["sessions"]
    assert (session["id"], session["messages"]) == (told["session"], ["M1"])
    whole = await house.get(f"/v1/sessions/{session['id']}")
    assert whole["transcript"][: len(told["transcript"])] == told["transcript"]
    assert (await house.get("/v1/sessions", refused=True))["sessions"] == []
    assert (await house.get("/v1/sessions/0123456789abcdef", 404))["status"] == 404


async def test_the_journey_tells_who_did_what_by_which_door(house: House) -> None:
    import poplib

    await house.send(letter())
    place = house.running.bound["pop3"]

    def fetch() -> None:
        pop = poplib.POP3(place.host, place.port, timeout=20)
        pop.user("ann@shop.test")
        pop.pass_("x")
        pop.retr(1)
        pop.quit()

    await asyncio.to_thread(fetch)
    await house.client.patch("/v1/messages/M1", json={"add_flags": ["\\Flagged"]})
    await house.client.delete("/v1/messages/M1")
    events = (await house.get("/v1/messages/M1/journey"))["events"]
    assert [(one["name"], one["door"]) for one in events if one["name"] != "delivered"] == [
        ("accepted", "smtp"),
        ("read", "pop3"),
        ("flagged", "web"),
        ("moved", "web"),
    ]


async def test_a_sink_takes_what_is_sent_by_the_interface(house: House) -> None:
    answer = await house.client.post("/v1/send", json={"from": "dev@shop.test", "to": ["ann@shop.test"], "text": "Hi"})
    assert answer.status_code == 201, answer.text
    told = await house.get("/v1/messages/latest", account="ann@shop.test")
    assert (told["from"]["address"], told["text"]) == ("dev@shop.test", "Hi\r\n")
    assert (await house.get("/v1/messages/latest/envelope"))["queue_id"] == answer.json()["queue_id"]


async def test_faults_are_told_to_strike_and_struck(house: House) -> None:
    rule = await house.client.post(
        "/v1/faults", json={"line": 'smtp RCPT to=*@shop.test reply="451 4.7.1 later" times=1'}
    )
    assert rule.status_code == 201, rule.text
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await house.send(letter())
    await house.send(letter())
    [told] = (await house.get("/v1/faults"))["faults"]
    assert (told["id"], told["hits"], told["spent"]) == (rule.json()["id"], 1, True)
    assert (await house.client.post("/v1/faults/reset")).json() == {"reset": 1}
    again = await house.client.post("/v1/faults", json={"door": "imap", "stage": "LOGIN", "reply": "NO not now"})
    assert again.status_code == 201, again.text
    for wrong in (
        {"line": "smtp NOWHERE"},
        {"door": "gopher"},
        {},
        {"door": "smtp", "stage": "RCPT", "reply": "later"},
    ):
        assert (await house.client.post("/v1/faults", json=wrong)).status_code == 400, wrong
    for rule, field in (
        ({"door": "gopher", "stage": "RCPT"}, "door"),
        ({"stage": "RCPT"}, "door"),
        ({"line": "smtp NOWHERE reply=450"}, "stage"),
        ({"door": "smtp", "stage": "RCPT", "reply": "later"}, "reply"),
        ({"door": "smtp", "stage": "CONNECT", "reply": "421", "to": "*"}, "to"),
        ({"door": "smtp", "stage": "RCPT", "reply": "450", "times": 0}, "times"),
        ({"door": "smtp", "stage": "RCPT", "delay": "long"}, "delay"),
        ({"door": "smtp", "stage": "AUTH", "truncate": 5}, "truncate"),
        ({"door": "smtp", "stage": "RCPT", "reply": "450", "peer": "here"}, "peer"),
    ):
        problem = (await house.client.post("/v1/faults", json=rule)).json()
        assert (problem["status"], problem["field"]) == (400, field), problem
    listed = await house.get("/v1/faults")
    assert ("BODY" in listed["stages"]["smtp"], "FETCH" in listed["stages"]["imap"], listed["magic"]) == (
        True,
        True,
        True,
    )
    assert (await house.client.delete(f"/v1/faults/{told['id']}")).status_code == 204
    assert (await house.client.delete(f"/v1/faults/{told['id']}")).status_code == 404
    assert (await house.client.delete("/v1/faults")).json() == {"removed": 1}


async def test_a_message_is_answered_as_the_world_might(house: House) -> None:
    await house.send(letter("order", Message_ID="<o@shop.test>"), sender="shop@shop.test")
    for kind in ("bounce", "autoreply", "complaint"):
        answer = await house.client.post("/v1/faults/answer", json={"kind": kind, "about": "M1"})
        assert answer.status_code == 201, answer.text
        assert answer.json()["to"] == "shop@shop.test"
    got = (await house.get("/v1/messages", account="shop@shop.test"))["messages"]
    assert len(got) == 3
    bounce = await house.get(f"/v1/messages/{got[-1]['id']}", account="shop@shop.test")
    assert "message/delivery-status" in [part["type"] for part in bounce["parts"]["children"]]


_BREAK = "=?utf-8?q?a=0D=0AEvil=3A_x?="


@pytest.mark.parametrize(
    "more",
    [
        {"subject": "a\r\nEvil: x"},
        {"subject": _BREAK},
        {"subject": f"{_BREAK} {_BREAK} {_BREAK}"},
        {"from": {"name": _BREAK, "address": "ann@shop.test"}},
        {"to": [f'"{_BREAK}" <bob@shop.test>']},
        {"to": [{"name": _BREAK, "address": "bob@shop.test"}]},
        {"headers": {"X-A": _BREAK}},
        {"headers": {"X-A": "a\nEvil: x"}},
        {"in_reply_to": _BREAK},
        {"in_reply_to": "<a@b>", "references": [_BREAK]},
        {"html": "x", "attachments": [{"filename": "a", "content": "", "cid": "a>\r\nEvil: x"}]},
        {"html": "x", "attachments": [{"filename": "a", "content": "", "cid": _BREAK}]},
    ],
    ids=str,
)
async def test_no_field_begins_within_another(house: House, more: dict[str, Any]) -> None:
    answer = await house.client.post("/v1/send", json={"to": ["bob@shop.test"], "text": "x", **more})
    if answer.status_code == 201:  # what only looks like it may go as it is
        raw = (await house.client.get("/v1/messages/latest/raw")).text
        assert "\r\nEvil" not in raw
    else:
        assert answer.status_code == 400, answer.text
        assert (await house.get("/v1/messages"))["total"] == 0


async def test_html_without_ends_is_made_into_words_all_the_same(house: House) -> None:
    # Were the time to grow with the square of its length, this would end in some hours.
    sent = await house.client.post("/v1/send", json={"to": ["bob@shop.test"], "html": "<style " * 140_000})
    assert sent.status_code == 201, sent.text


async def test_of_very_many_parts_the_first_thousand_are_told(house: House) -> None:
    parts = b"".join(b'--b\r\nContent-Type: text/plain; name="%d.txt"\r\n\r\nx\r\n' % n for n in range(3000))
    inner = (
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nfirst\r\n--c\r\n\r\nsecond\r\n--c--\r\n"
    )
    await house.send(
        b"Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + inner + parts + b"--b--\r\n"
    )
    told = await house.get("/v1/messages/latest")

    def count(part: dict[str, Any]) -> int:
        return 1 + sum(map(count, part["children"]))

    assert count(told["parts"]) == 1000
    assert [child["part"] for child in told["parts"]["children"][0]["children"]] == ["1.1", "1.2"]
    assert told["text"] == "first"
    assert (await house.get("/v1/messages"))["messages"][0]["attachments"] == 996
    assert (await house.client.get("/v1/messages/latest/parts/900")).status_code == 200


async def test_one_may_wait_for_an_address_before_its_first_message(house: House) -> None:
    waiting = asyncio.ensure_future(house.get("/v1/wait", account="new@shop.test", timeout=30))
    await house.get("/v1/wait", 404, account="nobody")
    await house.get("/v1/wait", 400, account="@")
    await house.get("/v1/wait", 404, account="ann@shop.test/ci-1")
    await house.send(letter("first"), to=["new@shop.test"])
    assert [each["subject"] for each in (await waiting)["messages"]] == ["first"]
    # Whoever only looks makes nothing.
    await house.get("/v1/messages", 404, account="other@shop.test")
