"""Mailpit's checks: how much of a message's HTML mail programs show, and what SpamAssassin thinks of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from web_house import House, letter, sink

from mailsystem.checks import links
from mailsystem.settings import Sink

REPORT = (
    b"SPAMD/1.1 0 EX_OK\r\nContent-length: 999\r\nSpam: True ; 6.3 / 5.0\r\n\r\n"
    b"Spam detection software, running on the system...\n\n"
    b"Content preview:  1.0 NOT_A_RULE of ours\n\n"
    b"Content analysis details:   (6.3 points, 5.0 required)\n\n"
    b" pts rule name              description\n"
    b"---- ---------------------- --------------------------------------------------\n"
    b" 1.3 MISSING_MID            Missing Message-Id: header\n"
    b"-0.0 NO_RELAYS              Informational: message was not\n"
    b"                            relayed via SMTP\n"
    b"5.0 GTUBE                   BODY: Generic Test for Unsolicited Bulk Email\n"
)


@asynccontextmanager
async def spamd(answer: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """One that answers that, or nothing at all; where it is, and what it was asked."""
    asked: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read(1)
        else:
            asked.append(await reader.read(-1))
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def sa_check(house: House) -> Any:
    return await house.get("/api/v1/message/latest/sa-check")


async def test_spamassassin_is_asked_where_there_is_one(tmp_path: Path) -> None:
    async with spamd(REPORT) as (place, asked), sink(tmp_path, sink=Sink(spamd=place)) as house:
        await house.send(letter("Hi", "Buy!\n"))
        assert (await house.get("/api/v1/webui"))["SpamAssassin"] is True
        assert await sa_check(house) == {
            "IsSpam": True,
            "Error": "",
            "Score": 6.3,
            "Rules": [
                {"Score": 1.3, "Name": "MISSING_MID", "Description": "Missing Message-Id: header"},
                {
                    "Score": 0.0,
                    "Name": "NO_RELAYS",
                    "Description": "Informational: message was not relayed via SMTP",
                },
                {"Score": 5.0, "Name": "GTUBE", "Description": "BODY: Generic Test for Unsolicited Bulk Email"},
            ],
        }
        head, _, message = asked[0].partition(b"\r\n\r\n")
        assert head == b"REPORT SPAMC/1.5\r\nContent-length: %d" % len(message)
        assert message == (await house.client.get("/api/v1/message/M1/raw")).content


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no spamd"),
        (b"", "no spamd"),
        (b"SPAMD/1.0 74 EX_IOERR\r\n\r\n", "74 EX_IOERR"),
        (b"SPAMD/1.1 0 EX_OK\r\n\r\n", "does not say"),
        (None, "spamd"),
    ],
)
async def test_what_spamassassin_cannot_say_is_an_error_and_no_verdict(
    tmp_path: Path, answer: bytes | None, why: str
) -> None:
    async with spamd(answer) as (place, _), sink(tmp_path, sink=Sink(spamd=place)) as house:
        await house.send(letter("Hi"))
        told = await sa_check(house)
        assert (told["IsSpam"], told["Score"], told["Rules"]) == (False, 0, [])
        assert why in told["Error"]


async def test_a_spamd_that_is_away_is_an_error(tmp_path: Path) -> None:
    async with sink(tmp_path, sink=Sink(spamd="127.0.0.1:9")) as house:
        await house.send(letter("Hi"))
        assert "cannot be asked" in (await sa_check(house))["Error"]


async def test_without_spamassassin_nobody_is_asked(house: House) -> None:
    await house.send(letter("Hi"))
    answer = await house.client.get("/api/v1/message/latest/sa-check")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert "sink.spamd" in answer.text
    assert (await house.client.get("/api/v1/message/M9/sa-check")).status_code == 404


async def test_html_is_held_against_what_mail_programs_show(house: House) -> None:
    message = letter("Hi", "Plain.\n")
    html = (
        "<!doctype html><html><head><title>x</title><style>@media (max-width:9em){p{position:absolute}}</style></head>"
        "<body><p style='Display:flex'>a</p><p>b</p><video src='x'></video></body></html>"
    )
    message.add_alternative(html, subtype="html")
    await house.send(message)
    told = await house.get("/api/v1/message/latest/html-check")
    assert set(told) == {"Warnings", "Platforms", "Total"}
    assert set(told["Total"]) == {"Tests", "Nodes", "Supported", "Partial", "Unsupported"}
    assert told["Total"]["Nodes"] == 5
    assert told["Total"]["Tests"] > 250
    assert sum(told["Total"][name] for name in ("Supported", "Partial", "Unsupported")) == pytest.approx(100, abs=0.01)
    assert "Mozilla Thunderbird" in told["Platforms"]["macos"]
    warnings = {one["Slug"]: one for one in told["Warnings"]}
    assert {"html-video", "css-display-flex", "css-position", "css-at-media"} <= set(warnings)
    video = warnings["html-video"]
    assert set(video) == {
        *("Slug", "Title", "Description", "URL", "Category", "Tags", "Keywords", "Results", "NotesByNumber", "Score"),
    }
    assert (video["Category"], video["URL"]) == ("html", "https://www.caniemail.com/features/html-video/")
    assert video["Score"]["Found"] == 1
    assert set(video["Results"][0]) == {"Name", "Platform", "Family", "Version", "Support", "NoteNumber"}
    assert {one["Support"] for one in video["Results"]} <= {"yes", "no", "partial"}
    for one in video["Results"]:
        assert not one["NoteNumber"] or one["NoteNumber"] in video["NotesByNumber"]
    worst = [one["Score"]["Partial"] + one["Score"]["Unsupported"] for one in told["Warnings"]]
    assert all(one > 0 for one in worst)
    assert (await house.get("/api/v1/message/M1"))["HTML"]


async def test_what_has_no_html_has_nothing_to_be_checked(house: House) -> None:
    await house.send(letter("Hi"))
    for id_, status in (("latest", 400), ("M9", 404)):
        answer = await house.client.get(f"/api/v1/message/{id_}/html-check")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert (await house.client.get("/api/v1/message/M1/other")).status_code == 404


async def test_the_links_of_a_few_messages_are_tried_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = most = 0

    async def try_links(urls: Iterable[str]) -> list[links.Tried]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        return [links.Tried(url, 200) for url in urls]

    monkeypatch.setattr(links, "try_links", try_links)
    await house.send(b"Subject: x\r\n\r\nhttps://shop.test/\r\n")
    answers = await asyncio.gather(*(house.get("/api/v1/message/latest/link-check") for _ in range(12)))
    assert all(each["Links"][0]["StatusCode"] == 200 for each in answers)
    assert most == 4
