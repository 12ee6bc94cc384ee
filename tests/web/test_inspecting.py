"""What programs take out of messages, by the interface."""

from __future__ import annotations

import asyncio
import smtplib
from typing import Any

from web_house import PATIENCE, House, letter

from mailsystem.web.api.inspecting import LARGEST


async def latest(house: House) -> str:
    id_: Any = (await house.get("/v1/messages", limit=1))["messages"][0]["id"]
    return str(id_)


async def test_links_codes_and_how_to_unsubscribe(house: House) -> None:
    message = letter(
        "Your code",
        "Your code is 482913.\n\nOr go to https://shop.test/reset/abc now.\n",
        List_Unsubscribe="<https://shop.test/leave>, <mailto:leave@shop.test>",
        List_Unsubscribe_Post="List-Unsubscribe=One-Click",
    )
    message.add_alternative('<p>Your code: <b>482913</b> <a href="https://shop.test/reset/abc">Reset</a></p>', "html")
    await house.send(message)
    found = await house.get("/v1/messages/latest/extract")
    assert found["codes"][0]["value"] == "482913"
    assert {(one["url"], one["text"], one["kind"]) for one in found["links"]} == {
        ("https://shop.test/reset/abc", "Reset", "html"),
        ("https://shop.test/reset/abc", "https://shop.test/reset/abc", "text"),
    }
    assert found["unsubscribe"] == {
        "http": "https://shop.test/leave",
        "mailto": "mailto:leave@shop.test",
        "one_click": True,
        "errors": [],
    }


async def test_a_message_without_any_of_it(house: House) -> None:
    await house.send(letter("Hello", "Lunch?\n"))
    assert await house.get("/v1/messages/latest/extract") == {"links": [], "codes": [], "unsubscribe": None}


async def test_what_is_wrong_is_found_and_counted(house: House) -> None:
    await house.send(b"From: shop@shop.test\r\nTo: ann@shop.test\r\nSubject: x\r\n\r\nHello\r\n")
    told = await house.get("/v1/messages/latest/checks")
    rules = {one["rule"]: one for one in told["findings"]}
    assert rules["date-missing"]["severity"] == "error"
    assert set(rules["date-missing"]) == {"rule", "severity", "message", "where", "hint", "source"}
    assert set(rules["date-missing"]["where"]) == {"line", "part", "header"}
    severities = [one["severity"] for one in told["findings"]]
    assert (told["errors"], told["warnings"]) == (severities.count("error"), severities.count("warning"))
    assert severities == sorted(severities, key=["error", "warning", "info"].index)


async def test_words_beyond_ascii_are_good_where_they_may_be_sent(house: House) -> None:
    place = house.running.bound["smtp"]

    def send(*options: str) -> None:
        octets = "From: Jörg <jörg@bücher.example>\r\nTo: ann@shop.test\r\nSubject: Grüße\r\n\r\nHello\r\n".encode()
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
            smtp.sendmail("app@shop.test", ["ann@shop.test"], octets, ["BODY=8BITMIME", *options])

    for options, wrong in (((), True), (("SMTPUTF8",), False)):
        await asyncio.to_thread(send, *options)
        id_ = await latest(house)
        await house.get(f"/v1/messages/{id_}/envelope")  # which waits until it is known how it came
        told = await house.get(f"/v1/messages/{id_}/checks")
        assert ("eight-bit-header" in [one["rule"] for one in told["findings"]]) is wrong


async def test_two_messages_are_compared_by_what_they_say(house: House) -> None:
    await house.send(
        letter("Order", "Two apples.\n", Date="Fri, 27 Nov 2026 12:00:00 +0100", Message_ID="<1@shop.test>")
    )
    one = await latest(house)
    await house.send(
        letter("Order", "Two apples.\n", Date="Sat, 28 Nov 2026 12:00:00 +0100", Message_ID="<2@shop.test>")
    )
    other = await latest(house)
    await house.send(
        letter("Order", "Three apples.\n", Date="Sat, 28 Nov 2026 12:00:00 +0100", Message_ID="<3@shop.test>")
    )
    another = await latest(house)
    same = await house.client.post("/v1/diff", json={"a": one, "b": other})
    assert same.json() == {"same": True, "diff": []}
    differ = (await house.client.post("/v1/diff", json={"a": one, "b": another})).json()
    assert differ["same"] is False
    assert differ["diff"][:2] == [f"--- {one}", f"+++ {another}"]
    assert {"-Two apples.", "+Three apples."} <= set(differ["diff"])
    assert (await house.client.post("/v1/diff", json={"a": one, "b": "M999999"})).status_code == 404
    assert (await house.client.post("/v1/diff", json={"a": one})).status_code == 400


async def test_html_is_held_against_what_mail_programs_show(house: House) -> None:
    message = letter("Film", "Look.\n")
    message.add_alternative("<p>Look.</p><video src=x></video>", subtype="html")
    await house.send(message)

    async def warned(**asked: Any) -> list[str]:
        told = await house.get("/v1/messages/latest/checks", **asked)
        assert told["warnings"] == sum(one["severity"] == "warning" for one in told["findings"])
        return [one["where"]["part"] for one in told["findings"] if one["rule"] == "html-unsupported"]

    assert await warned() == await warned(html_support=5) == []
    assert await warned(html_support=90) == ["2"]
    for wrong in ("-1", "101", "nan", "many"):
        assert "html_support" in (await house.get("/v1/messages/latest/checks", 400, html_support=wrong))["detail"]


async def test_what_is_too_large_is_said_to_be(house: House) -> None:
    line = b"x" * 998 + b"\r\n"
    await house.send(b"Subject: large\r\n\r\n" + line * (LARGEST // len(line) + 1))
    for path in ("extract", "checks"):
        told = await house.get(f"/v1/messages/latest/{path}", 413)
        assert str(LARGEST) in told["detail"]
    assert (await house.client.post("/v1/diff", json={"a": "latest", "b": "latest"})).status_code == 413


async def test_what_is_not_there_is_not_inspected(house: House) -> None:
    for path in ("extract", "checks"):
        await house.get(f"/v1/messages/M999999/{path}", 404)
