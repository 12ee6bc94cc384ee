"""The tags that mail has when it comes: by its header, its addresses, its login, and by rules."""

from __future__ import annotations

import asyncio
import imaplib
import json
import smtplib
from pathlib import Path
from typing import Any

import pytest
import websockets
from web_house import House, letter, sink

from mailsystem.app import StartupError
from mailsystem.settings import Tags


async def tags(house: House) -> list[list[str]]:
    """Of all messages, the oldest first."""
    return [one["Tags"] for one in reversed((await house.get("/api/v1/messages"))["messages"])]


async def until(house: House, wanted: list[list[str]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await tags(house) == wanted:
                return
            await asyncio.sleep(0.02)


async def test_mail_brings_its_tags_along(house: House) -> None:
    await house.send(letter("header", X_Tags="One, Two words,one, 3/4!, ,"))
    await house.send(letter("plus", sender="Shop <shop+From@shop.test>"), to=["ann+A+b@shop.test", "kim@shop.test"])
    await house.send(letter("none"), letter("mentions", "X-Tags: not one\n"))
    assert await tags(house) == [["3 4", "One", "Two words"], ["A", "b", "From"], [], []]
    assert (await house.get("/api/v1/search", query='tag:"two words"'))["messages_count"] == 1
    place = house.running.bound["imap"]

    def look(login: str) -> Any:
        with imaplib.IMAP4(place.host, place.port, timeout=30) as imap:
            imap.login(login, "any")
            imap.select()
            return imap.fetch("1", "(FLAGS)")[1]

    # As keywords where all mail is; whoever it was for has it as it would come anywhere.
    assert b"Two~words" in (await asyncio.to_thread(look, "sink"))[0]
    assert b"words" not in (await asyncio.to_thread(look, "ann@shop.test"))[0]
    # Who does not want them takes them off, and they stay off.
    await house.client.put("/api/v1/tags", content=json.dumps({"IDs": ["M1"], "Tags": []}))
    assert (await tags(house))[0] == []


async def test_tags_are_there_when_a_message_is_told_of(house: House) -> None:
    async with websockets.connect(f"ws://{house.running.bound['web']}/api/events") as socket:
        await socket.recv()
        await house.send(letter("header", X_Tags="One"))
        async with asyncio.timeout(30):
            while (event := json.loads(await socket.recv()))["Type"] != "new":
                pass
        assert event["Data"]["Tags"] == ["One"]


async def test_a_header_that_is_folded_large_or_full_of_tags_does_no_harm(house: House) -> None:
    many = ",".join(f"tag {number}" for number in range(500))
    head = b"Subject: x\r\nx-tags: One,\r\n Two\r\nX-TAGS: Three\r\nX-Tags:" + many.encode() + b"\r\n\r\nbody\r\n"
    await house.send(head)
    # On disk while it comes, since it is large.
    await house.send(b"Subject: y\r\nX-Tags: Large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 50_000)
    first, second = await tags(house)
    assert {"One", "Two", "Three", "tag 1"} <= set(first)
    assert len(first) == 50
    assert second == ["Large"]


async def test_what_is_not_wanted_is_not_looked_for(tmp_path: Path) -> None:
    async with sink(tmp_path, tags=Tags(header=False, addresses=False)) as house:
        await house.send(letter("x", X_Tags="One"), to=["ann+two@shop.test"])
        assert await tags(house) == [[]]


async def test_tags_may_be_in_title_case_and_of_a_login(tmp_path: Path) -> None:
    async with sink(tmp_path, tags=Tags(title=True, logins=True)) as house:
        place = house.running.bound["smtp"]

        def send() -> None:
            with smtplib.SMTP(place.host, place.port, timeout=30) as smtp:
                smtp.login("app@shop.test", "any")
                smtp.send_message(letter("x", X_Tags="one two, THREE"), to_addrs=["ann+four@shop.test"])

        await asyncio.to_thread(send)
        assert await tags(house) == [["app@shop.test", "Four", "One Two", "Three"]]


async def test_rules_give_tags_to_what_comes(tmp_path: Path) -> None:
    async with sink(tmp_path) as before:
        await before.send(letter("invoice before"))
    rules = ("invoices,Money=subject:invoice", "Not for ann=-to:ann@shop.test")
    async with sink(tmp_path, tags=Tags(rules=rules)) as house:
        await house.send(letter("Your invoice"), letter("other", to="kim@shop.test", X_Tags="own"))
        wanted = [[], ["invoices", "Money"], ["Not for ann", "own"]]
        await until(house, wanted)
        await house.client.put("/api/v1/tags", content=json.dumps({"IDs": ["M2"], "Tags": []}))
        await house.send(letter("another invoice"))
        # A rule is for what comes, and not for what was changed since.
        await until(house, [[], [], ["Not for ann", "own"], ["invoices", "Money"]])


@pytest.mark.parametrize("rule", ["!!=subject:x", "x=before:never", "x=(", "x=is:nothing"])
async def test_a_rule_that_makes_no_sense_is_told_at_the_start(tmp_path: Path, rule: str) -> None:
    with pytest.raises(StartupError, match=r"tags\.rules"):
        async with sink(tmp_path, tags=Tags(rules=(rule,))):
            pass


@pytest.mark.parametrize("rules", [("x",), ("=subject:x",), ("x= ",)])
def test_a_rule_is_a_tag_and_a_search(rules: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="tag=search"):
        Tags(rules=rules)
