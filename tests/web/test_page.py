"""The page in a real browser: what somebody sees and does there."""

from __future__ import annotations

import asyncio
import contextlib
import poplib
import re
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import browsing
import pytest
import test_access
from browsing import PATIENCE, Visit, base_of, in_its_loop, opened, until, visiting
from web_house import House, letter, sink

from mailsystem.settings import Web

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = [pytest.mark.judge, in_its_loop]

house, server, visit = browsing.house, browsing.server, browsing.visit


async def only(house: House, **asked: Any) -> dict[str, Any]:
    [found] = (await house.get("/v1/messages", **asked))["messages"]
    return found  # type: ignore[no-any-return]


def reset() -> EmailMessage:
    """A message such as an application sends, with an image from elsewhere."""
    message = letter("Reset your password", "Your code is 482913.\n")
    message.add_alternative(
        "<h2>Hello Ann</h2><p>Your code is <b>482913</b>.</p><img src='https://tracker.test/pixel.png'>", subtype="html"
    )
    return message


async def test_an_empty_sink_says_how_mail_gets_into_it(visit: Visit, house: House) -> None:
    await visit.go()
    said = await visit.text(".waits")
    assert "Waiting for mail" in said
    assert str(house.running.bound["smtp"]) in said
    await house.send(letter("first of all"))
    await visit.shows("first of all")


async def test_mail_appears_as_it_arrives(visit: Visit, house: House) -> None:
    await house.send(letter("before"))
    await visit.go()
    await visit.shows("before")
    await house.send(letter("after"))
    await visit.shows("after", "before")
    assert (await visit.page.get_attribute(".row:has-text('after')", "aria-label") or "").startswith("Unread.")

    async def counted() -> bool:
        return (await visit.page.title()).startswith("(2) ") and "2 unread" in await visit.text(".list-head")

    await until(counted)
    assert (await visit.page.get_attribute("link[rel=icon]", "href") or "").startswith("data:image/png")


async def test_nothing_moves_under_the_pointer(visit: Visit, house: House) -> None:
    await house.send(letter("one"), letter("two"))
    await visit.go()
    await visit.shows("two", "one")
    await visit.page.hover(".row:has-text('one')")
    await house.send(letter("three"))
    await visit.page.wait_for_selector(".pill:has-text('1 new')")
    assert await visit.subjects() == ["two", "one"]
    await visit.page.mouse.move(1200, 600)
    await visit.shows("three", "two", "one")
    assert await visit.page.is_hidden(".pill")


async def test_what_others_do_is_seen(visit: Visit, house: House) -> None:
    await house.send(letter("stays"), letter("goes"))
    await visit.go()
    await visit.shows("goes", "stays")
    page = await house.get("/v1/messages")
    ids = {one["subject"]: one["id"] for one in page["messages"]}
    await house.client.patch(f"/v1/messages/{ids['stays']}", json={"add_flags": ["\\Seen", "\\Flagged", "invoice"]})
    await visit.page.wait_for_selector(".row.pinned:not(.un):has-text('stays') .tag:has-text('invoice')")
    await house.client.delete(f"/v1/messages/{ids['goes']}")
    await visit.shows("stays")
    assert len(await visit.subjects()) == 1


async def test_search_finds_as_one_types_and_says_what_it_understood(visit: Visit, house: House) -> None:
    await house.send(letter("Invoice 7", sender="Billing <billing@shop.test>"), letter("Build 512 passed"))
    await visit.go()
    await visit.shows("Build 512 passed")
    await visit.press("/")
    await visit.page.keyboard.type("fro")
    await visit.page.wait_for_selector(".completions [role=option]:has-text('from:')")
    await visit.press("Tab")
    await visit.page.keyboard.type("billing@shop.test")
    await visit.shows("Invoice 7")
    assert len(await visit.subjects()) == 1
    await visit.page.wait_for_selector(".explained:has-text('billing@shop.test')")
    assert await visit.text(".mirror .op") == "from:"
    await house.send(letter("Invoice 8", sender="Billing <billing@shop.test>"), letter("Build 513 passed"))
    await visit.shows("Invoice 8", "Invoice 7")
    await visit.press("Escape", "Escape")
    await visit.shows("Build 513 passed")


async def test_a_search_that_cannot_be_read_says_why(browser: Browser, house: House) -> None:
    async with visiting(browser, base_of(house)) as visit:
        await visit.go()
        await visit.page.fill("#search", "frm:billing")
        assert "from:" in await visit.text(".explained.wrong")
        await visit.page.wait_for_selector(".state:has-text('cannot be read')")
        # The browser itself notes each answer that is an error.
        visit.wrong = [one for one in visit.wrong if "400" not in one]


async def test_a_message_is_read_from_every_side(visit: Visit, house: House) -> None:
    await house.send(reset())
    await visit.go()
    await visit.page.click(".row:has-text('Reset your password')")
    frame = visit.page.frame_locator(".device iframe")
    assert await frame.locator("h2").inner_text() == "Hello Ann"
    assert await visit.page.get_attribute(".device iframe", "sandbox") == "allow-popups allow-popups-to-escape-sandbox"
    assert "blocked" in await visit.text(".note")

    async def read() -> bool:
        return not (await only(house))["unread"]

    await until(read)
    await visit.page.wait_for_selector(".row:not(.un):has-text('Reset')")
    for tab, words in {
        "Text": "Your code is 482913.",
        "Headers": "Reset your password",
        "Source": "Subject: Reset your password",
        "Parts": "text/html",
    }.items():
        await visit.page.click(f"[role=tab]:has-text('{tab}')")
        await visit.page.wait_for_selector(f".tab-{tab.lower()} :text('{words}')")
    message = await only(house)
    await visit.at(f"/m/INBOX/{message['id']}/parts")


async def test_hostile_mail_does_nothing_and_asks_for_nothing(visit: Visit, house: House) -> None:
    message = letter("<img src=x onerror=\"document.title='run'\">", "<script>document.title='run'</script>\n")
    message.replace_header("From", '"<b>Eve</b>" <eve@evil.test>')
    message.add_alternative(
        "<script>top.document.title='run'</script><img src='https://evil.test/p' onerror=\"top.document.title='run'\">"
        "<svg onload=\"top.document.title='run'\"></svg><meta http-equiv=refresh content='0;url=https://evil.test'>"
        "<style>body{background:url(https://evil.test/b)}</style><form action=https://evil.test><input autofocus></form>"
        "<a href=\"javascript:top.document.title='run'\">press</a>",
        subtype="html",
    )
    message.add_attachment("<script>alert(1)</script>", subtype="html", filename="<script>.html")
    await house.send(message)
    await visit.go()
    await visit.page.click(".row")
    await visit.page.frame_locator(".device iframe").locator("a").click(force=True)
    for tab in ("Text", "Headers", "Source", "Parts"):
        await visit.page.click(f"[role=tab]:has-text('{tab}')")
        await visit.page.wait_for_selector(f".tab-{tab.lower()} > *")
    await visit.page.click("[role=tab]:has-text('Message')")
    await visit.page.click(".att")
    await visit.page.wait_for_selector("dialog.preview pre")
    assert "run" not in await visit.page.title() or "onerror" in await visit.page.title()
    assert "<img src=x" in await visit.text(".head h1"), "it is shown as what it is"
    assert await visit.page.locator(".reading img[src=x]").count() == 0
    visit.wrong = [one for one in visit.wrong if "sandbox" not in one]


async def test_what_is_deleted_can_be_taken_back(visit: Visit, house: House) -> None:
    await house.send(letter("first"), letter("second"), letter("third"))
    await visit.go()
    await visit.shows("third", "second", "first")
    await visit.press("j", "j")
    await visit.page.wait_for_selector(".head h1:has-text('second')")
    await visit.press("Delete")
    await visit.page.wait_for_selector(".toast:has-text('moved to Trash')")
    await visit.shows("third", "first")
    await visit.page.wait_for_selector(".head h1:has-text('first')")
    assert (await only(house, mailbox="Trash"))["subject"] == "second"
    await visit.press("z")
    await visit.page.wait_for_selector(".toast:has-text('Undone')")

    async def back() -> bool:
        return sorted(await visit.subjects()) == ["first", "second", "third"]

    await until(back)
    assert (await house.get("/v1/messages", mailbox="Trash"))["messages"] == []
    assert (await house.get("/v1/messages"))["total"] == 3


async def test_many_are_marked_and_changed_at_once(visit: Visit, house: House) -> None:
    await house.send(*(letter(f"number {n}") for n in range(90)))
    await visit.go()
    await visit.shows("number 89")
    await visit.press("Home", "x", "Shift+J", "Shift+J")
    await visit.page.wait_for_selector(".bulk:has-text('3 marked')")
    await visit.press("s")

    async def pinned() -> int:
        return sum(one["pinned"] for one in (await house.get("/v1/messages", limit=500))["messages"])

    async def three() -> bool:
        return await pinned() == 3

    await until(three)
    await visit.press("Escape", "Control+a", "Control+a")
    await visit.page.wait_for_selector(".bulk:has-text('90 marked')")
    await visit.press("Delete")
    await visit.page.wait_for_selector(".toast:has-text('90 messages moved to Trash')")
    assert (await house.get("/v1/messages"))["total"] == 0
    await visit.press("z")
    await visit.page.wait_for_selector(".toast:has-text('Undone')")
    assert (await house.get("/v1/messages"))["total"] == 90


async def test_every_action_has_a_key_and_every_key_is_shown(visit: Visit, house: House) -> None:
    await house.send(letter("one"), letter("two"))
    await visit.go()
    await visit.shows("two", "one")
    await visit.press("?")
    shown = await visit.text("dialog.keys")
    script = (await house.client.get("/static/commands.js")).text
    labels = re.findall(r'group: "[^"]+", label: "([^"]+)"', script)
    assert len(labels) > 40
    for label in labels:
        assert label in shown
    await visit.press("Escape")
    await visit.page.wait_for_selector("dialog.keys", state="detached")
    await visit.press("j")
    await visit.page.wait_for_selector(".head h1:has-text('two')")
    await visit.press("j")
    await visit.page.wait_for_selector(".head h1:has-text('one')")
    await visit.press("k")
    await visit.page.wait_for_selector(".head h1:has-text('two')")
    await visit.press("s")
    await visit.page.wait_for_selector(".row.pinned:has-text('two')")
    await visit.press("t")
    await visit.page.keyboard.type("urgent")
    await visit.press("Enter")
    await visit.page.wait_for_selector(".row .tag:has-text('urgent')")
    await visit.press("Control+k")
    await visit.page.keyboard.type("compact")
    await visit.press("Enter")
    await visit.page.wait_for_selector("body.compact")
    await visit.page.wait_for_selector("dialog[open]", state="detached")  # which takes all keys while it is there
    await visit.press("g", "p")
    await visit.shows("two")
    await visit.at("/m/*?q=is%3Apinned")
    await visit.press("Shift+D")
    assert await visit.page.get_attribute("html", "data-theme") == "light"
    await visit.press("Shift+D")
    assert await visit.page.get_attribute("html", "data-theme") == "dark"
    await visit.press("g", "i")
    await visit.shows("two", "one")
    await visit.press("Home", "v")
    await visit.page.keyboard.type("Clubs")
    await visit.press("Enter")
    await visit.page.wait_for_selector(".side a:has-text('Clubs')")
    assert (await only(house, mailbox="Clubs"))["subject"] == "two"


async def test_an_answer_is_written_with_what_it_answers(visit: Visit, house: House) -> None:
    await house.send(letter("Dinner", "Shall we?\n", Message_ID="<1@shop.test>"))
    await visit.go()
    await visit.press("j")
    await visit.page.wait_for_selector(".plain")
    await visit.press("r")
    await visit.page.wait_for_selector(".compose")
    assert "> Shall we?" in await visit.page.input_value(".compose textarea")
    await visit.page.keyboard.type("Gladly.")
    files = {"name": "menu.txt", "mimeType": "text/plain", "buffer": b"soup"}
    await visit.page.set_input_files(".compose input[type=file]", files)
    await visit.press("Control+Enter")
    await visit.page.wait_for_selector(".toast:has-text('Sent')")
    await visit.shows("Re: Dinner", "Dinner")
    [told] = (await house.get("/v1/messages", account="shop@shop.test"))["messages"]
    message = await house.get(f"/v1/messages/{told['id']}", account="shop@shop.test")
    assert message["text"].startswith("Gladly.")
    assert (message["from"]["address"], message["in_reply_to"]) == ("ann@shop.test", "<1@shop.test>")
    assert [each["filename"] for each in message["attachments"]] == ["menu.txt"]
    await visit.press("c")
    await visit.page.fill(".compose [name=to]", "no address")
    await visit.press("Control+Enter")
    await visit.page.wait_for_selector(".compose .wrong:has-text('address')")
    visit.wrong = [one for one in visit.wrong if "/v1/send" not in one]


async def test_how_a_message_came_and_who_came_for_it_is_told(visit: Visit, house: House) -> None:
    await house.send(letter("told"), sender="bounces@shop.test", to=["ann@shop.test", "hidden@shop.test"])
    await visit.go()
    await visit.press("j")
    await visit.page.click("[role=tab]:has-text('Envelope')")
    said = await visit.text("dl.envelope")
    assert "<bounces@shop.test> differs from the From field" in said
    assert "<hidden@shop.test>" in said
    assert "1 not named in the header" in said
    lines = await visit.text(".transcript")
    assert "MAIL FROM:<bounces@shop.test>" in lines.upper().replace("BOUNCES@SHOP.TEST", "bounces@shop.test")
    assert "250" in lines
    await visit.page.click("[role=tab]:has-text('Journey')")
    await visit.page.wait_for_selector(".journey .push:has-text('Accepted')")
    place = house.running.bound["pop3"]

    def fetch() -> None:
        with contextlib.closing(poplib.POP3(place.host, place.port)) as client:
            client.user("sink")
            client.pass_("any")
            client.retr(1)
            client.quit()

    await asyncio.to_thread(fetch)

    async def pulled() -> bool:
        events = (await house.get(f"/v1/messages/{(await only(house))['id']}/journey"))["events"]
        return any(each["door"] == "pop3" for each in events)

    await until(pulled)
    await visit.page.reload()
    await visit.page.wait_for_selector(".journey .pull:has-text('POP3')")
    await visit.press("g", "e")
    await visit.page.click(".sessions li a")
    await visit.page.wait_for_selector(".sessions .transcript")
    await visit.at("/sessions/…")
    await visit.press("Escape")
    await visit.at("/")


async def test_thousands_of_messages_cost_a_screenful_of_rows(visit: Visit, house: House) -> None:
    await house.send(*(letter(f"number {n}") for n in range(700)))
    await visit.go()
    await visit.shows("number 699", "number 698")
    assert await visit.page.locator(".row").count() < 40
    box = "document.querySelector('#list')"
    await visit.page.evaluate(f"{box}.scrollTop = {box}.scrollHeight")

    async def at_the_end() -> bool:
        return (await visit.subjects())[-1:] == ["number 0"]

    await until(at_the_end)
    assert await visit.page.locator(".row").count() < 40
    assert await visit.page.get_attribute(".row:has-text('number 0') >> nth=-1", "aria-posinset") == "700"
    await house.send(letter("new"))
    await visit.page.click(".pill")
    await visit.shows("new", "number 699")


async def test_a_narrow_screen_shows_one_thing_at_a_time(browser: Browser, house: House) -> None:
    await house.send(letter("one", "words\n"), letter("two"))
    async with visiting(browser, base_of(house), 390, 844, has_touch=True) as visit:
        await visit.go()
        await visit.shows("two", "one")
        assert not await visit.page.is_visible(".reading")
        await visit.page.tap(".row:has-text('one')")
        await visit.page.wait_for_selector(".plain:has-text('words')")
        assert not await visit.page.is_visible(".list")
        await visit.page.tap(".to-list >> visible=true")
        await visit.shows("two", "one")
        assert await visit.page.is_visible(".list")
        await visit.page.tap(".row:has-text('two')")
        await visit.page.wait_for_selector(".head h1:has-text('two')")
        await visit.page.go_back()
        assert await visit.page.is_visible(".list")
        await visit.page.tap(".to-nav")
        await visit.page.wait_for_selector(".side a:has-text('All mail')")
        await visit.page.tap(".side a:has-text('All mail')")
        await visit.page.wait_for_selector(".list-head h1:has-text('All mail')")
        for width in (360, 390, 820):
            await visit.page.set_viewport_size({"width": width, "height": 800})
            assert await visit.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_widths_and_theme_are_remembered(visit: Visit, house: House) -> None:
    await house.send(letter("one"))
    await visit.go()
    before = (await visit.page.locator("section.list").bounding_box() or {})["width"]
    await visit.page.focus(".grip[data-for=list]")
    await visit.press("ArrowRight", "ArrowRight")
    await visit.press("Shift+D", "Shift+D")
    await visit.go()
    after = (await visit.page.locator("section.list").bounding_box() or {})["width"]
    assert after == before + 32
    assert await visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 20, 18)"


async def test_it_says_when_it_is_cut_off_and_catches_up(visit: Visit, house: House) -> None:
    await house.send(letter("before"))
    await visit.go()
    await visit.shows("before")
    await visit.page.context.set_offline(True)
    await visit.page.wait_for_selector("body:not([data-live=live])")
    await house.send(letter("meanwhile"))
    await visit.page.context.set_offline(False)
    await visit.page.wait_for_selector("body[data-live=live]")
    await visit.shows("meanwhile", "before")
    visit.wrong = [one for one in visit.wrong if "ERR_INTERNET_DISCONNECTED" not in one]


async def test_many_tabs_share_one_stream(visit: Visit, house: House) -> None:
    await house.send(letter("before"))
    await visit.go()
    others = [await opened(visit.page.context, visit.base) for _ in range(7)]
    for one in others:
        await one.go()
    await house.send(letter("after"))
    for one in (visit, *others):
        await one.shows("after", "before")
    streams = [address for one in (visit, *others) for address in one.asked if "/v1/events" in address]
    assert len(streams) == 1
    await visit.page.goto("about:blank")
    await house.send(letter("later"))
    for one in others:
        await one.shows("later", "after", "before")
    assert [one.wrong for one in others] == [[]] * 7


CONTRASTS = """
() => {
  const pen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((part, at) => part * a + under[at] * (1 - a));
  const light = parts => {
    const [r, g, b] = parts.map(part => part / 255).map(part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = one => {
    const above = [];
    for (let at = one; at; at = at.parentElement) above.unshift(getComputedStyle(at).backgroundColor);
    return above.reduce((under, colour) => over(rgba(colour), under), [255, 255, 255]);
  };
  const found = [];
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].filter(node => node.nodeType === 3).map(node => node.textContent.trim());
    const words = own.join(' ').trim();
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (!words || !box.width || !box.height) continue;
    if (one.closest('[hidden], .away, .skip, .bones, :disabled')) continue;
    if (style.visibility === 'hidden' || style.color === 'rgba(0, 0, 0, 0)') continue;
    const under = ground(one), ink = over(rgba(style.color), under);
    const [low, high] = [light(ink), light(under)].sort((a, b) => a - b);
    const ratio = (high + .05) / (low + .05), size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if (ratio < least) found.push(`${ratio.toFixed(2)} ${one.tagName}.${one.className} ${words.slice(0, 40)}`);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_by_weak_eyes(browser: Browser, house: House, scheme: str) -> None:
    message = reset()
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="terms.pdf")
    await house.send(letter("one"), letter("read"), message)
    found = (await house.get("/v1/messages"))["messages"]
    await house.client.patch(f"/v1/messages/{found[1]['id']}", json={"add_flags": ["\\Seen", "\\Flagged", "invoice"]})
    async with visiting(browser, base_of(house), color_scheme=scheme) as visit:
        await visit.go()
        await visit.shows("Reset your password")
        assert await visit.page.evaluate(CONTRASTS) == []
        await visit.press("j")
        for tab in ("Message", "Text", "Headers", "Source", "Parts"):
            await visit.page.click(f"[role=tab]:has-text('{tab}')")
            await visit.page.wait_for_selector(f".tab-{tab.lower()} > *")
            assert await visit.page.evaluate(CONTRASTS) == [], tab
        await visit.press("x")
        assert await visit.page.evaluate(CONTRASTS) == []
        await visit.press("?")
        await visit.page.wait_for_selector("dialog.keys")
        assert await visit.page.evaluate(CONTRASTS) == []
        await visit.press("Escape")
        await visit.page.wait_for_selector("dialog.keys", state="detached")
        await visit.press("Control+k")
        await visit.page.wait_for_selector("dialog.pick")
        assert await visit.page.evaluate(CONTRASTS) == []
        await visit.press("Escape")
        await visit.page.wait_for_selector("dialog.pick", state="detached")
        await visit.press("c")
        await visit.page.wait_for_selector(".compose")
        assert await visit.page.evaluate(CONTRASTS) == []


async def test_people_log_in_to_see_their_own_mail(browser: Browser, server: test_access.Server) -> None:
    async with server.client(auth=("ann@a.test", test_access.PASSWORD)) as client:
        told = {"to": ["ann@a.test"], "subject": "yours", "text": "words"}
        assert (await client.post("/v1/send", json=told)).status_code == 201
    async with visiting(browser, server.base, ignore_https_errors=True) as visit:
        await visit.page.goto(visit.base)
        await visit.page.fill("[name=login]", "ann@a.test")
        await visit.page.fill("[name=password]", "wrong")
        await visit.press("Enter")
        await visit.page.wait_for_selector(".login .wrong:has-text('do not belong together')")
        await visit.page.fill("[name=password]", test_access.PASSWORD)
        await visit.press("Enter")
        await visit.page.wait_for_selector(".row:has-text('yours')")
        assert "ann@a.test" in await visit.text(".side .account")
        assert await visit.page.locator(".side a:has-text('SMTP sessions')").count() == 0
        await visit.page.click(".row")
        await visit.page.wait_for_selector(".plain:has-text('words')")
        await visit.press("g", "o")
        await visit.page.wait_for_selector(".login")
        visit.wrong = [one for one in visit.wrong if "401" not in one and "403" not in one]


async def test_whoever_hears_the_page_knows_where_they_are(visit: Visit, house: House) -> None:
    await house.send(letter("one"), letter("two"))
    await visit.go()
    await visit.shows("two", "one")
    box = visit.page.locator("[role=listbox]#list")
    assert await box.get_attribute("aria-multiselectable") == "true"
    await visit.press("j")
    active = await box.get_attribute("aria-activedescendant")
    row = visit.page.locator(f"#{active}")
    assert await row.get_attribute("aria-selected") == "true"
    assert (await row.get_attribute("aria-posinset"), await row.get_attribute("aria-setsize")) == ("1", "2")
    assert "two" in (await row.get_attribute("aria-label") or "")
    nameless = await visit.page.evaluate(
        "[...document.querySelectorAll('button, a, input, textarea, [role=separator], iframe')]"
        ".filter(one => one.getClientRects().length && !(one.getAttribute('aria-label') || one.textContent.trim() || one.title"
        " || (one.labels && one.labels.length))).map(one => one.outerHTML)"
    )
    assert nameless == []


async def test_what_is_for_ever_is_asked_first(visit: Visit, house: House) -> None:
    await house.send(letter("stays"), letter("goes"))
    await visit.go()
    await visit.press("j", "Shift+Delete")
    await visit.page.wait_for_selector("dialog:has-text('for ever')")
    await visit.press("Enter")
    await visit.page.wait_for_selector("dialog", state="detached")
    assert await visit.subjects() == ["goes", "stays"]
    await visit.press("Shift+Delete")
    await visit.page.click("dialog button:has-text('Delete for ever')")
    await visit.shows("stays")

    async def gone() -> bool:
        return [one["subject"] for one in (await house.get("/v1/messages", mailbox="*"))["messages"]] == ["stays"]

    await until(gone)


async def test_what_goes_while_the_page_marks_it_read_is_no_fault_of_anybody(visit: Visit, house: House) -> None:
    await house.send(letter("stays"), letter("goes"))
    marked = asyncio.Event()

    async def late(route: Route) -> None:
        if "add_flags" in (route.request.post_data or ""):
            gone = {"ids": ["M2"], "mailbox": "INBOX", "delete": "permanent"}
            assert (await house.client.post("/v1/messages/bulk", json=gone)).json()["changed"] == 1
            await route.continue_()
            marked.set()
        else:
            await route.continue_()

    await visit.page.route("**/v1/messages/*", late)
    await visit.go()
    await visit.press("j")
    async with asyncio.timeout(PATIENCE):
        await marked.wait()
    await visit.shows("stays")
    assert await visit.page.query_selector(".toast") is None


async def test_the_page_stays_below_the_path_where_a_proxy_has_it(browser: Browser, tmp_path: Path) -> None:
    async with sink(tmp_path, web=Web(port=0, tls=False, root="/tools/mail")) as house:
        await house.send(reset())
        async with visiting(browser, base_of(house)) as visit:
            await visit.go("/tools/mail/")
            await visit.shows("Reset your password")
            await visit.press("j", "Enter")
            await visit.at("/tools/mail/m/INBOX/M…")
            await visit.text(".reading h1, .reading h2")
            await visit.page.reload()
            await visit.page.wait_for_selector("body[data-live=live]")
            await visit.page.frame_locator("iframe").get_by_text("482913").wait_for()
            await visit.page.goto(f"{visit.base}/tools/mail/sessions")
            await visit.page.click("li a[href*='/sessions/']")
            await visit.at("/tools/mail/sessions/…")
            await visit.page.goto(f"{visit.base}/tools/mail/flow")
            await visit.page.wait_for_selector("main .is-server", state="attached")
            await visit.press("i")
            await visit.at("/tools/mail/…")
            outside = [
                one for one in visit.asked if not one.startswith((f"{visit.base}/tools/mail/", "data:", "blob:"))
            ]
            assert outside == []
            assert visit.wrong == []
