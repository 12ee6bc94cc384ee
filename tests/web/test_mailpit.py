"""What Mailpit's clients ask for, over real connections."""

from __future__ import annotations

import asyncio
import base64
import imaplib
import json
import smtplib
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import websockets
from web_house import House, letter, sink

from mailsystem.app import StartupError
from mailsystem.settings import Queue, Sink, Web
from mailsystem.settings.faults import Faults
from mailsystem.store import Selection
from mailsystem.web.mailpit import box, listing

MESSAGES = "/api/v1/messages"


async def ids(house: House) -> list[str]:
    return [one["ID"] for one in (await house.get(MESSAGES))["messages"]]


async def change(house: House, method: str, path: str, body: Any = None, status: int = 200, **params: str) -> str:
    octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    answer = await house.client.request(method, path, content=octets, params=params)
    assert answer.status_code == status, answer.text
    return answer.text


async def test_a_list_has_the_shape_that_clients_know(house: House) -> None:
    message = letter("Hi", "Dear Ann,\n\nall is well.\n", Cc="Bob <bob@shop.test>", Message_ID="<1@shop.test>")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="terms.pdf")
    await house.send(message, to=["ann@shop.test", "bob@shop.test", "kim@shop.test"])
    page = await house.get(MESSAGES)
    [told] = page.pop("messages")
    assert page == {
        "total": 1,
        "unread": 1,
        "count": 1,
        "messages_count": 1,
        "messages_unread": 1,
        "start": 0,
        "tags": [],
    }
    assert told.pop("Created").endswith("Z")
    assert told.pop("Size") > 300
    assert told == {
        "ID": "M1",
        "MessageID": "1@shop.test",
        "Read": False,
        "From": {"Name": "Shop", "Address": "shop@shop.test"},
        "To": [{"Name": "Ann Lee", "Address": "ann@shop.test"}],
        "Cc": [{"Name": "Bob", "Address": "bob@shop.test"}],
        "Bcc": [{"Name": "", "Address": "kim@shop.test"}],
        "ReplyTo": [],
        "Subject": "Hi",
        "Username": "",
        "Tags": [],
        "Attachments": 1,
        "Snippet": "Dear Ann, all is well.",
    }


async def test_pages_are_counted_off_from_the_newest(house: House) -> None:
    await house.send(*(letter(f"number {n}") for n in range(5)))
    for path, more in ((MESSAGES, {}), ("/api/v1/search", {"query": "subject:number"})):
        page = await house.get(path, start=1, limit=2, **more)
        assert [one["Subject"] for one in page["messages"]] == ["number 3", "number 2"]
        assert (page["start"], page["count"], page["messages_count"], page["messages_unread"]) == (1, 2, 5, 5)
    assert (await house.get(MESSAGES, start="x", limit="-1"))["count"] == 5
    first = (await house.get(MESSAGES, limit=1))["messages"][0]["Created"]
    assert (await house.get(MESSAGES, before=first))["count"] == 4


async def test_all_are_listed_where_no_limit_is_asked_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "_PORTION", 2)
    monkeypatch.setattr(listing, "_TOGETHER", 1)
    empty = await house.get(MESSAGES, limit=0)
    assert (empty["total"], empty["messages"]) == (0, [])
    await house.send(*(letter(f"number {n}") for n in range(5)))
    short = await house.get(MESSAGES)
    assert await house.get(MESSAGES, limit=0) == short, "so does `mailpit dump`"
    assert (await house.get("/api/v1/search", query="subject:number", limit=0))["messages"] == []
    monkeypatch.setattr(listing, "MOST", 2)
    for start, limit in ((0, 3), (1, 3), (2, 1000), (3, 4), (5, 3), (9, 9)):
        for path, more in ((MESSAGES, {}), ("/api/v1/search", {"query": "subject:number"})):
            page = await house.get(path, start=start, limit=limit, **more)
            assert page["messages"] == short["messages"][start : start + limit]
            assert page["count"] == len(page["messages"])
            assert (page["start"], page["messages_count"]) == (start, 5)


async def test_a_search_counts_what_it_finds_beyond_its_page(house: House) -> None:
    await house.send(*(letter(f"number {n}", "needle\n") for n in range(4)), letter("other"))
    await change(house, "PUT", MESSAGES, {"IDs": (await ids(house))[1:2], "Read": True})
    page = await house.get("/api/v1/search", query="needle", limit=1)
    assert (page["count"], page["messages_count"], page["messages_unread"], page["total"], page["unread"]) == (
        1, 4, 3, 5, 4,
    )  # fmt: skip
    assert (await house.get("/api/v1/search", query="nothing-such"))["messages_count"] == 0
    for query in ("", "  ", "before:never"):
        assert (await house.client.get("/api/v1/search", params={"query": query})).status_code == 400


async def test_whole_addresses_are_meant_and_blind_copies_found(house: House) -> None:
    await house.send(letter("to ann"), to=["ann@shop.test"])
    await house.send(letter("to joann", to="joann@shop.test"), to=["joann@shop.test", "blind@shop.test"])

    async def found(query: str) -> list[str]:
        return [one["Subject"] for one in (await house.get("/api/v1/search", query=query))["messages"]]

    assert await found("to:ann@shop.test") == ["to ann"]
    assert await found('addressed:"blind@shop.test"') == ["to joann"]
    assert await found("bcc:blind@shop.test") == ["to joann"]
    assert await found("-bcc:blind@shop.test") == ["to ann"]
    assert await found("to:blind@shop.test") == []


async def test_a_word_is_looked_for_in_what_was_written_and_not_in_how_it_was_sent(house: House) -> None:
    message = letter("Rich", "The text.\n", reply_to="helpdesk@shop.test", x_custom="secretfield")
    message.add_alternative("<p>rich words</p>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="invoice-7.pdf")
    await house.send(message)
    for word in ("Rich", "text", "words", "shop@shop.test", "helpdesk", "voice-7", '"Ann Lee"'):
        assert (await house.get("/api/v1/search", query=word))["messages_count"] == 1, word
    for word in ("received", "version", "plain", "boundary", "ESMTP", "secretfield", "subject", "mixed"):
        # In a header there is some of this in all mail: what somebody deletes by it would be everything.
        assert (await house.get("/api/v1/search", query=word))["messages_count"] == 0, word
        assert (await house.get("/api/v1/search", query=f"!{word}"))["messages_count"] == 1, word


async def test_blind_copies_are_found_however_many_there_are_and_by_a_part_of_the_address(house: House) -> None:
    await house.send(*(letter(f"number {n}") for n in range(201)), to=["ann@shop.test", "archive@shop.test"])
    await house.send(letter("other", to="archive@shop.test"), to=["archive@shop.test"])

    async def count(query: str) -> int:
        found = await house.get("/api/v1/search", query=query, limit=1)
        assert isinstance(found["messages_count"], int)
        return found["messages_count"]

    assert await count("addressed:archive@shop.test") == 202
    for who in ("archive@shop.test", "archive", "archive@"):
        assert await count(f"bcc:{who}") == 201, "it is named in the other"
    assert await count("addressed:chive") == 202
    assert await count("-bcc:archive") == 1
    assert await count("bcc:ann") == await count("bcc:nobody") == await count("bcc:nobody@shop.test") == 0
    many = " ".join(f"bcc:{n}@shop.test" for n in range(11))
    await change(house, "GET", "/api/v1/search", status=400, query=many)
    assert await change(house, "DELETE", "/api/v1/search", query="bcc:archive@shop.test subject:number") == "ok"
    assert (await house.get(MESSAGES))["total"] == 1


async def test_a_message_is_told_whole_and_is_read_by_that(house: House) -> None:
    message = letter(
        "Parts",
        "Plain.\n",
        Message_ID="<1@shop.test>",
        Reply_To="help@shop.test",
        List_Unsubscribe="<https://shop.test/u>, <mailto:u@shop.test>",
        List_Unsubscribe_Post="List-Unsubscribe=One-Click",
        Date="Fri, 27 Nov 2026 12:00:00 +0100",
    )
    message.add_alternative("<p>Rich <img src='cid:logo'></p>", subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", maintype="image", subtype="png", cid="<logo>")  # type: ignore[index, union-attr]
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="terms.pdf")
    await house.send(message, sender="bounces@shop.test")
    told = await house.get("/api/v1/message/latest")
    assert (told["ID"], told["MessageID"], told["ReturnPath"]) == ("M1", "1@shop.test", "bounces@shop.test")
    assert told["Date"] == "2026-11-27T12:00:00.000+01:00"
    assert told["Text"] == "Plain.\r\n"
    assert told["HTML"].strip() == "<p>Rich <img src='cid:logo'></p>"
    assert told["ReplyTo"] == [{"Name": "", "Address": "help@shop.test"}]
    assert told["ListUnsubscribe"] == {
        "Header": "<https://shop.test/u>, <mailto:u@shop.test>",
        "Links": ["https://shop.test/u", "mailto:u@shop.test"],
        "Errors": "",
        "HeaderPost": "List-Unsubscribe=One-Click",
    }
    [inline], [attached] = told["Inline"], told["Attachments"]
    assert (inline["ContentID"], inline["ContentType"], inline["Size"]) == ("logo", "image/png", 4)
    assert inline["FileName"] == "logo", "what has no name is called by its Content-ID"
    assert (attached["FileName"], attached["ContentType"], attached["Size"]) == ("terms.pdf", "application/pdf", 5)
    assert attached["Checksums"]["SHA256"] == "38523c087796e5d5dd1cf9bad1fb026781a838dd9dd2cf8af58b9f6502a46778"
    assert (await house.get(MESSAGES))["unread"] == 0
    part = await house.client.get(f"/api/v1/message/M1/part/{attached['PartID']}")
    assert (part.content, part.headers["content-type"]) == (b"%PDF-", "application/pdf")
    assert 'filename="terms.pdf"' in part.headers["content-disposition"]
    fields = await house.get("/api/v1/message/M1/headers")
    assert (fields["Message-Id"], fields["Subject"]) == (["<1@shop.test>"], ["Parts"])
    assert list(fields) == sorted(fields)
    raw = await house.client.get("/api/v1/message/M1/raw", params={"dl": "1"})
    assert message_from_bytes(raw.content, policy=policy.default)["Subject"] == "Parts"
    assert raw.headers["content-disposition"] == 'attachment; filename="M1.eml"'
    for path in (
        "/api/v1/message/M9",
        "/api/v1/message/x/raw",
        "/api/v1/message/M1/part/9",
        "/api/v1/message/M1/other",
    ):
        assert (await house.client.get(path)).status_code == 404


async def test_text_that_is_attached_is_told_in_the_charset_that_it_has(house: House) -> None:
    message = letter("Parts")
    message.add_attachment("Grüße", charset="iso-8859-1", filename="latin.txt")
    message.add_attachment("Grüße", subtype="csv", charset="utf-8", filename="utf8.csv")
    message.add_attachment("plain", charset="us-ascii", filename="odd.txt")
    raw = message.as_bytes(policy=policy.SMTP).replace(b'charset="us-ascii"', b'charset="x;y=<z>"')
    await house.send(raw)
    told = []
    for one in (await house.get("/api/v1/message/latest"))["Attachments"]:
        part = await house.client.get(f"/api/v1/message/latest/part/{one['PartID']}")
        told.append((part.headers["content-type"], part.text.strip()))
    assert told == [
        ("text/plain; charset=iso-8859-1", "Grüße"),
        ("text/csv; charset=utf-8", "Grüße"),
        ("text/plain; charset=utf-8", "plain"),
    ]


@pytest.mark.parametrize(
    ("header", "links", "is_wrong"),
    [
        ("<https://a.test/x>", ["https://a.test/x"], False),
        ("(comment) <mailto:a@b.test> , <https://a.test>", ["mailto:a@b.test", "https://a.test"], False),
        ("https://a.test/x", [], True),
        ("<https://a.test> <mailto:a@b.test>", ["https://a.test", "mailto:a@b.test"], True),
        ("<https://a.test>, <https://b.test>", ["https://a.test"], True),
        ("<javascript:alert(1)>", [], True),
        ("<https://a.test/ x>", [], True),
    ],
)
async def test_how_to_unsubscribe_is_told_with_what_is_wrong(
    house: House, header: str, links: list[str], is_wrong: bool
) -> None:
    await house.send(letter("Hi", List_Unsubscribe=header))
    told = (await house.get("/api/v1/message/latest"))["ListUnsubscribe"]
    assert (told["Header"], told["Links"], bool(told["Errors"])) == (header, links, is_wrong)


async def test_the_latest_may_be_the_latest_that_a_search_finds(house: House) -> None:
    await house.send(letter("one"), letter("two"))
    assert (await house.get("/api/v1/message/latest"))["Subject"] == "two"
    assert (await house.get("/api/v1/message/latest", query="subject:one"))["Subject"] == "one"
    assert (await house.client.get("/api/v1/message/latest", params={"query": "subject:no"})).status_code == 404


async def test_what_is_named_is_deleted_and_nothing_else_ever(house: House) -> None:
    await house.send(letter("one"), letter("two"), letter("three"))
    three, two, one = await ids(house)
    for body in (None, b"{", {}, {"IDs": []}, {"IDs": None}, {"IDs": "M1"}, {"IDs": [1]}, [], b"\xff", {"ids": []}):
        assert await change(house, "DELETE", MESSAGES, body, 400)
    assert await ids(house) == [three, two, one]
    assert await change(house, "DELETE", MESSAGES, {"IDs": [two, "M99", "nonsense"]}) == "ok"
    assert await ids(house) == [three, one]
    for query in ("", "before:never", "-"):
        await change(house, "DELETE", "/api/v1/search", status=400, query=query)
    assert await change(house, "DELETE", "/api/v1/search", query="subject:three") == "ok"
    assert await ids(house) == [one]
    # It is gone for good, but only here: those to whom it was sent still have it.
    assert {each["name"]: each["total"] for each in (await house.get("/v1/mailboxes"))["mailboxes"]}["INBOX"] == 1
    assert (await house.get("/v1/messages", account="ann@shop.test"))["total"] == 3


async def test_who_wants_it_has_mailpits_way_to_delete_everything(tmp_path: Path) -> None:
    async with sink(tmp_path, web=Web(port=0, tls=False, delete_all=True)) as house:
        await house.send(letter("one"), letter("two"))
        for body in (b"{", {"IDs": []}, b"\xff", []):
            await change(house, "DELETE", MESSAGES, body, 400)
        assert len(await ids(house)) == 2
        assert await change(house, "DELETE", MESSAGES) == "ok"
        assert await ids(house) == []
        await house.send(letter("three"))
        assert await change(house, "DELETE", MESSAGES, {}) == "ok"
        assert await ids(house) == []


async def test_messages_are_marked_as_read_by_id_by_search_or_all(house: House) -> None:
    await house.send(letter("one"), letter("two"), letter("three"))
    three, _, _ = await ids(house)

    async def unread() -> list[str]:
        found = await house.get("/api/v1/search", query="is:unread")
        return [one["Subject"] for one in found["messages"]]

    await change(house, "PUT", MESSAGES, {"IDs": [three], "Read": True})
    assert await unread() == ["two", "one"]
    await change(house, "PUT", MESSAGES, {"Search": "subject:two", "Read": True})
    assert await unread() == ["one"]
    await change(house, "PUT", MESSAGES, {})
    assert await unread() == ["three", "two", "one"]
    await change(house, "PUT", MESSAGES, {"Read": True})
    assert await unread() == []
    for body in (None, b" \n", b"{", {"Read": 1}, {"IDs": [three], "Search": "x"}):
        await change(house, "PUT", MESSAGES, body, 400)


async def test_tags_are_keywords_that_other_doors_see(house: House) -> None:
    await house.send(letter("one"), letter("two"))
    two, one = await ids(house)
    await change(house, "PUT", "/api/v1/tags", {"IDs": [one, two], "Tags": ["Tag 1", "b/c"]})
    await change(house, "PUT", "/api/v1/tags", {"IDs": [two], "Tags": ["zoo", "Tag 1"]})
    assert await house.get("/api/v1/tags") == ["b c", "Tag 1", "zoo"]
    page = await house.get(MESSAGES)
    assert [each["Tags"] for each in page["messages"]] == [["Tag 1", "zoo"], ["b c", "Tag 1"]]
    assert page["tags"] == ["b c", "Tag 1", "zoo"]
    assert (await house.get("/v1/messages"))["messages"][0]["tags"] == ["Tag~1", "zoo"]
    assert (await house.get("/api/v1/search", query='tag:"Tag 1"'))["messages_count"] == 2
    assert (await house.get("/api/v1/info"))["Tags"] == {"b c": 1, "Tag 1": 2, "zoo": 1}
    await change(house, "PUT", "/api/v1/tags/Tag%201", {"Name": "new name"})
    assert await house.get("/api/v1/tags") == ["b c", "new name", "zoo"]
    await change(house, "PUT", "/api/v1/tags/no%20such", {"Name": "x"}, 400)
    await change(house, "PUT", "/api/v1/tags/zoo", {"Name": "New name"}, 400)
    await change(house, "PUT", "/api/v1/tags/zoo", {"Name": "Zoo"})
    assert await house.get("/api/v1/tags") == ["b c", "new name", "Zoo"]
    await change(house, "PUT", "/api/v1/tags/zoo", {"Name": "zoo"})
    await change(house, "DELETE", "/api/v1/tags/no%20such", status=400)
    await change(house, "DELETE", "/api/v1/tags/new%20name")
    await change(house, "PUT", "/api/v1/tags", {"IDs": [one]})
    assert await house.get("/api/v1/tags") == ["zoo"]
    for body in (None, {}, {"IDs": []}, {"Tags": ["x"]}, {"IDs": [one], "Tags": "x"}):
        await change(house, "PUT", "/api/v1/tags", body, 400)


async def test_mail_is_sent_by_http(house: House) -> None:
    body = {
        "From": {"Email": "shop@shop.test", "Name": "Zürich"},
        "To": [{"Email": "ann@shop.test", "Name": "Ann, Lee"}],
        "Cc": [{"Email": "bob@shop.test"}],
        "Bcc": ["kim@shop.test"],
        "ReplyTo": [{"Email": "help@shop.test"}],
        "Subject": "Grüße\r\nX-Evil: 1",
        "Text": "Plain.",
        "HTML": "<p>Rich <img src='cid:logo'></p>",
        "Headers": {"X-Job": "42"},
        "Tags": ["Tag 1"],
        "Attachments": [
            {"Content": base64.b64encode(b"%PDF-").decode(), "Filename": "terms.pdf"},
            {
                "Content": "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode(),
                "Filename": "logo.png",
                "ContentID": "logo",
            },
        ],
    }
    sent = json.loads(await change(house, "POST", "/api/v1/send", body))
    told = await house.get(f"/api/v1/message/{sent['ID']}")
    assert (told["Subject"], told["From"]["Name"], told["Tags"]) == ("Grüße X-Evil: 1", "Zürich", ["Tag 1"])
    assert told["To"] == [{"Name": "Ann, Lee", "Address": "ann@shop.test"}]
    assert told["Bcc"] == [{"Name": "", "Address": "kim@shop.test"}]
    assert (told["Text"].strip(), told["ReturnPath"]) == ("Plain.", "shop@shop.test")
    assert [one["FileName"] for one in told["Attachments"]] == ["terms.pdf"]
    assert [one["ContentID"] for one in told["Inline"]] == ["logo"]
    fields = await house.get(f"/api/v1/message/{sent['ID']}/headers")
    assert fields["X-Job"] == ["42"]
    assert "X-Evil" not in fields
    assert (await house.get("/v1/messages", account="kim@shop.test"))["total"] == 1
    for wrong, why in (
        ({**body, "To": [{"Email": "no address"}]}, "invalid To address"),
        ({**body, "Headers": {"Subject": "x"}}, "cannot overwrite"),
        ({**body, "Headers": {"X Y": "x"}}, "invalid header"),
        ({**body, "Attachments": [{"Content": "!", "Filename": "x"}]}, "base64"),
        ({**body, "From": "shop@shop.test"}, "From"),
        ({**body, "Subject": "=?utf-8?q?a=0D=0AX-Evil:_1?="}, "header"),
        ({**body, "Headers": {"X-A": "=?utf-8?q?a=0D=0A=0D=0Ab?="}}, "header"),
        ({**body, "From": {"Email": "s@shop.test", "Name": "=?utf-8?q?a=0D=0AX-Evil:_1?="}}, ""),
        ({"From": body["From"]}, "recipient"),
        (b"{", "JSON"),
    ):
        assert why in json.loads(await change(house, "POST", "/api/v1/send", wrong, 400))["Error"]


async def test_nothing_is_released_but_where_that_is_allowed(house: House) -> None:
    await house.send(letter("one"))
    [one] = await ids(house)
    told = await change(house, "POST", f"/api/v1/message/{one}/release", {"To": ["ann@example.org"]}, 400)
    assert "queue.sink_allow" in told
    assert (await house.get("/api/v1/webui"))["MessageRelay"]["Enabled"] is False


async def test_a_message_is_released_to_those_who_may_get_it(tmp_path: Path) -> None:
    async with sink(tmp_path, queue=Queue(sink_allow=("*@example.org",), nameservers=("127.0.0.1:9",))) as house:
        await house.send(letter("one", Bcc="secret@shop.test"))
        [one] = await ids(house)
        path = f"/api/v1/message/{one}/release"
        assert await change(house, "POST", path, {"To": ["ann@example.org"]}) == "ok"
        assert await change(house, "POST", "/api/v1/message/latest/release", ["bob@example.org"]) == "ok"
        for body in (None, {}, {"To": []}, {"To": ["ann@example.com"]}, {"To": ["ann@example.org", "x"]}, b"{"):
            await change(house, "POST", path, body, 400)
        listing = await house.running.store.oversight.listing(Selection())
        waiting = listing.messages
        assert sorted(str(each.address) for queued in waiting for each in queued.recipients) == [
            "ann@example.org",
            "bob@example.org",
        ]
        octets = await house.running.store.contents.read(waiting[0].message.content)
        assert b"secret" not in octets
        assert b"Return-Path" not in octets
        assert octets.endswith(b"\r\n\r\nIt works.\r\n")
        assert await ids(house) == [one]


async def test_what_a_browser_is_shown_does_no_harm(house: House) -> None:
    message = letter("Hi", "Plain.\n")
    message.add_alternative("<p onclick='x()'>Rich <img src='cid:logo'></p><script>x()</script>", subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", maintype="image", subtype="png", cid="<logo>")  # type: ignore[index, union-attr]
    message.add_attachment(b"<script>x()</script>", maintype="text", subtype="html", filename="x.html")
    await house.send(message)
    page = await house.client.get("/view/latest.html", params={"embed": "1"})
    assert "Rich" in page.text
    assert "data:image/png;base64,iVBORw==" in page.text or base64.b64encode(b"\x89PNG").decode() in page.text
    assert "x()" not in page.text
    assert "sandbox" in page.headers["content-security-policy"]
    text = await house.client.get("/view/M1.txt")
    assert (text.text, text.headers["content-type"]) == ("Plain.\r\n", "text/plain; charset=utf-8")
    assert (await house.client.get("/view/latest")).headers["location"] == "/m/M1"
    [evil] = (await house.get("/api/v1/message/M1"))["Attachments"]
    part = await house.client.get(f"/api/v1/message/M1/part/{evil['PartID']}")
    assert part.headers["content-type"] == "application/octet-stream"
    assert part.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in part.headers["content-security-policy"]
    await house.send(letter("no html"))
    assert (await house.client.get("/view/latest.html")).status_code == 404


async def test_what_came_went_and_was_refused_is_counted(tmp_path: Path) -> None:
    async with sink(tmp_path) as house:
        await house.send(letter("before"), letter("and gone"))
        await change(house, "DELETE", "/api/v1/search", query="subject:gone")
    async with sink(tmp_path) as house:
        off = {"SMTPAccepted": 0, "SMTPAcceptedSize": 0, "SMTPRejected": 0, "SMTPIgnored": 0, "MessagesDeleted": 0}
        stats = (await house.get("/api/v1/info"))["RuntimeStats"]
        assert stats.items() >= off.items()
        assert 10 << 20 < stats["Memory"] < 1 << 32
        assert 0 <= stats["Uptime"] < 600
        await house.send(letter("one"), letter("two"), to=["ann@shop.test", "bob@shop.test"])
        await change(house, "PUT", "/api/v1/chaos", {"Recipient": {"ErrorCode": 451, "Probability": 100}})
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await house.send(letter("refused"))
        await change(house, "PUT", "/api/v1/chaos", {})
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await house.send(letter("refused"), to=["ann@" + "x" * 70 + ".test"])
        await change(house, "DELETE", MESSAGES, {"IDs": [(await ids(house))[0]]})
        stats = (await house.get("/api/v1/info"))["RuntimeStats"]
        assert (stats["SMTPAccepted"], stats["SMTPRejected"], stats["MessagesDeleted"]) == (2, 2, 1)
        assert stats["SMTPAcceptedSize"] > 300
        told = await house.client.get("/metrics")
        assert told.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = dict(line.rsplit(" ", 1) for line in told.text.splitlines() if line[:1] != "#")
        assert len(found) == told.text.count("# TYPE ") - 1 == 10, "no tags"
        assert found["mailpit_messages"] == found["mailpit_messages_unread"] == "2.0"
        assert (found["mailpit_smtp_accepted_total"], found["mailpit_messages_deleted_total"]) == ("2.0", "1.0")
        assert float(found["mailpit_smtp_accepted_size_bytes_total"]) == stats["SMTPAcceptedSize"]


async def test_where_there_is_no_room_for_what_settings_ask_for_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsystem.store.faults.MOST", 0)
    monkeypatch.setattr("mailsystem.store.webhooks.MOST", 0)
    for known, name in (
        ({"faults": Faults(chaos="Sender:451:5")}, "faults.chaos"),
        ({"sink": Sink(webhook="http://127.0.0.1:1/")}, "sink.webhook"),
    ):
        with pytest.raises(StartupError, match=f"so that {name} has no room"):
            async with sink(tmp_path, **known):
                pass


async def test_chaos_may_be_there_from_the_start(tmp_path: Path) -> None:
    async with sink(tmp_path, faults=Faults(chaos="recipient:550:100,Authentication:454:20")) as house:
        told = await house.get("/api/v1/chaos")
        assert [(one["ErrorCode"], one["Probability"]) for one in told.values()] == [(451, 0), (550, 100), (454, 20)]
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            await house.send(letter("refused"))
        assert refused.value.recipients["ann@shop.test"][0] == 550
    async with sink(tmp_path, faults=Faults(chaos="Sender:421:5")) as house:
        told = await house.get("/api/v1/chaos")
        assert [(one["ErrorCode"], one["Probability"]) for one in told.values()] == [(421, 5), (451, 0), (535, 0)]
        assert (await house.get("/v1/faults"))["faults"][0]["line"].startswith("smtp MAIL")


async def test_chaos_is_a_rule_like_others(house: House) -> None:
    path = "/api/v1/chaos"
    off = {
        "Sender": {"ErrorCode": 451, "Probability": 0},
        "Recipient": {"ErrorCode": 451, "Probability": 0},
        "Authentication": {"ErrorCode": 535, "Probability": 0},
    }
    assert await house.get(path) == off
    assert (await house.get("/api/v1/webui"))["ChaosEnabled"] is True
    mine = await house.client.post("/v1/faults", json={"line": "smtp RCPT reply=450"})
    assert mine.status_code == 201
    wanted = {**off, "Sender": {"ErrorCode": 421, "Probability": 30}}
    assert json.loads(await change(house, "PUT", path, {"Sender": wanted["Sender"]})) == wanted
    assert await house.get(path) == wanted
    lines = [one["line"] for one in (await house.get("/v1/faults"))["faults"]]
    assert len(lines) == 2
    assert lines[1].startswith("smtp MAIL")
    for wrong in (b"{", [], {"Sender": 1}, {"Sender": {"ErrorCode": 200}}, {"Recipient": {"Probability": 101}}):
        await change(house, "PUT", path, wrong, 400)
    assert await house.get(path) == wanted
    assert json.loads(await change(house, "PUT", path, {})) == off
    assert len((await house.get("/v1/faults"))["faults"]) == 1


async def test_html_alone_has_a_text_too(house: House) -> None:
    message = letter("Hi")
    message.set_content("<p>Dear <b>Ann</b></p><p>well</p>", subtype="html")
    await house.send(message)
    told = await house.get("/api/v1/message/latest")
    assert told["Text"].split() == ["Dear", "Ann", "well"]
    assert (await house.client.get("/view/latest.txt")).text == told["Text"]


async def test_a_page_of_another_site_changes_nothing(house: House) -> None:
    await house.send(letter("Hi"))
    answer = await house.client.request(
        "DELETE", MESSAGES, content=b'{"IDs":["M1"]}', headers={"Origin": "https://evil.test"}
    )
    assert answer.status_code == 403
    assert await ids(house) == ["M1"]


async def test_tags_are_counted_as_they_are_whoever_gave_them(house: House) -> None:
    for flags in ("a/b's zoo \\Seen $Forwarded", "Zoo", "zoo"):
        await asyncio.to_thread(append, house, flags)
    assert (await house.get("/api/v1/info"))["Tags"] == {"a/b's": 1, "Zoo": 3, "zoo": 3}
    counted = [line for line in (await house.client.get("/metrics")).text.splitlines() if "{" in line]
    assert counted[0] == """mailpit_tag_messages{tag="a/b's"} 1.0"""
    assert len(counted) == 3


class Listening:
    """One who hears events."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket

    async def say(self, text: str) -> None:
        await self._socket.send(text)

    async def next(self, *kinds: str) -> tuple[str, Any]:
        """The next event of these kinds."""
        async with asyncio.timeout(30):
            while True:
                event = json.loads(await self._socket.recv())
                assert set(event) == {"Type", "Data"}
                if event["Type"] in kinds:
                    return event["Type"], event["Data"]


def append_seen(house: House) -> None:
    """Put a message into the mailbox that was read already, by IMAP."""
    append(house, "\\Seen")


def append(house: House, flags: str) -> None:
    place = house.running.bound["imap"]
    with imaplib.IMAP4(place.host, place.port) as imap:
        imap.login("sink", "any")
        imap.append("INBOX", f"({flags})", None, b"Subject: read\r\n\r\n")  # type: ignore[arg-type]


@pytest.fixture
async def listening(house: House) -> AsyncIterator[Listening]:
    async with websockets.connect(f"ws://{house.running.bound['web']}/api/events") as socket:
        one = Listening(socket)
        assert (await one.next("stats"))[1]["Total"] == 0
        yield one


async def test_events_are_told_as_they_come(house: House, listening: Listening) -> None:
    await listening.say("what a client says means nothing")
    await house.send(letter("one"))
    _, told = await listening.next("new")
    assert (told["Subject"], told["ID"], told["Read"]) == ("one", "M1", False)
    assert set(told) == set((await house.get(MESSAGES))["messages"][0])
    assert (await listening.next("stats"))[1]["Unread"] == 1
    await change(house, "PUT", MESSAGES, {"IDs": ["M1"], "Read": True})
    assert (await listening.next("update"))[1] == {"ID": "M1", "Read": True}
    await change(house, "PUT", "/api/v1/tags", {"IDs": ["M1"], "Tags": ["Tag 1"]})
    assert (await listening.next("update"))[1] == {"ID": "M1", "Tags": ["Tag 1"]}
    await house.send(letter("two"))
    assert (await listening.next("new"))[1]["Subject"] == "two"
    await change(house, "DELETE", MESSAGES, {"IDs": ["M1"]})
    assert await listening.next("delete", "prune", "truncate") == ("delete", {"ID": "M1"})
    await change(house, "DELETE", MESSAGES, {"IDs": ["M2"]})
    assert await listening.next("delete", "prune", "truncate") == ("delete", {"ID": "M2"})
    assert await listening.next("delete", "prune", "truncate") == ("truncate", None)
    assert (await listening.next("stats"))[1]["Total"] == 0


async def test_what_was_read_before_it_was_told_of_is_told_as_both(house: House, listening: Listening) -> None:
    await asyncio.to_thread(append_seen, house)
    assert (await listening.next("new"))[1]["ID"] == "M1"
    assert await listening.next("update") == ("update", {"ID": "M1", "Read": True})


async def test_many_that_go_at_once_are_told_as_one(house: House, listening: Listening) -> None:
    await house.send(*(letter(f"number {n}") for n in range(205)), letter("last"))
    while (await listening.next("stats"))[1]["Total"] < 206:
        pass
    await change(house, "DELETE", "/api/v1/search", query="subject:number")
    assert await listening.next("delete", "prune", "truncate") == ("prune", None)


async def test_events_are_not_for_pages_of_other_sites(house: House) -> None:
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(
            f"ws://{house.running.bound['web']}/api/events", origin=websockets.Origin("https://evil.test")
        )
