"""The flow page in a real browser: who pushes, who pulls, as a teacher sees it."""

from __future__ import annotations

import asyncio
import imaplib
import poplib
import smtplib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import browsing
import program
import pytest
from browsing import Visit, base_of, in_its_loop, until, visiting
from pydantic import SecretStr
from web_house import PATIENCE, House, letter, sink

from mailsystem.settings import Web

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.judge, in_its_loop]

house = browsing.house

_SHAFTS = """[...document.querySelectorAll('.lines .shaft')].filter(one => one.offsetWidth).map(one => {
  const line = getComputedStyle(one, '::before');
  const ends = [...document.querySelectorAll('.lanes > div')].map(lane => lane.getBoundingClientRect());
  const box = one.getBoundingClientRect();
  const off = x => Math.min(...ends.map(end => Math.abs((end.left + end.right) / 2 - x)));
  return {style: line.borderTopStyle, colour: line.borderTopColor, off: Math.max(off(box.left), off(box.right)),
          news: Boolean(one.closest('.news')), push: Boolean(one.closest('.row').matches('.push'))};
})"""
_BLUE, _RED = "rgb(31, 95, 191)", "rgb(179, 54, 43)"
EVIL = '<img src=x onerror="document.title=1">\u202e\x07'


async def play(visit: Visit, house: House) -> None:
    """The scene, without its pauses, to its end."""
    await visit.go("/flow")
    assert (await house.client.post("/v1/flow/demo", params={"pace": 0.1})).status_code == 202

    async def over() -> bool:
        text = await visit.text(".lines")
        return "LOGOUT" in text and not await visit.page.is_disabled("header [data-run=demo]")

    await until(over)


@pytest.mark.parametrize("width", [390, 820, 1440])
async def test_pushes_are_solid_and_blue_and_pulls_are_dashed_and_red(
    browser: Browser, house: House, width: int
) -> None:
    async with visiting(browser, base_of(house), width, color_scheme="light") as visit:
        await play(visit, house)
        shafts: list[dict[str, Any]] = await visit.page.evaluate(_SHAFTS)
        assert {(one["style"], one["colour"]) for one in shafts if one["push"]} == {("solid", _BLUE)}
        assert {(one["style"], one["colour"]) for one in shafts if not one["push"]} == {("dashed", _RED)}
        assert [one["push"] for one in shafts if one["news"]] == [True, True]  # came, and went
        assert max(one["off"] for one in shafts) < 1
        needs = await visit.page.evaluate(
            "document.querySelector('main').scrollWidth - document.querySelector('main').clientWidth"
        )
        assert needs == 0
        lanes = await visit.page.evaluate("[...document.querySelectorAll('.lanes b')].map(one => one.textContent)")
        assert lanes == ["Alice’s client", "server", "Bob’s phone", "Bob’s old PC"]


async def test_the_silence_of_pop3_is_drawn(browser: Browser, house: House) -> None:
    async with visiting(browser, base_of(house)) as visit:
        await play(visit, house)
        said = await visit.page.evaluate("[...document.querySelectorAll('.silence')].map(one => one.innerText.trim())")
        assert said[0].endswith("hears nothing")
        assert "nothing for" in said[1]
        dotted = await visit.page.evaluate(
            "[...document.querySelectorAll('.lives .q')].map(one => getComputedStyle(one).borderLeftStyle)"
        )
        assert len(dotted) > 5
        assert set(dotted) == {"dotted"}
        assert "after it came" in await visit.text(".opens:has-text('POP3')")
        assert "came and asked" in await visit.text(".facts .pull")
        assert "was told, unasked" in await visit.text(".facts .push")


async def test_what_is_said_while_nobody_sees_the_tab_is_there_afterwards(browser: Browser, house: House) -> None:
    async with visiting(browser, base_of(house)) as visit:
        # A tab in the background is given no frames.
        await visit.page.add_init_script("window.requestAnimationFrame = () => 0")
        await play(visit, house)
        assert "LOGOUT" in await visit.text(".lines")


async def test_an_arrow_opens_to_its_lines_by_key_and_stays_open(browser: Browser, house: House) -> None:
    async with visiting(browser, base_of(house)) as visit:
        await play(visit, house)
        summary = visit.page.locator("summary:has-text('EHLO')")
        assert not await visit.page.locator("code:text-is('EHLO laptop.demo.test')").is_visible()
        await summary.focus()
        await visit.press("Enter")
        await visit.page.wait_for_selector("code:text-is('EHLO laptop.demo.test')")
        await house.send(letter())  # another lane: everything is drawn anew
        await visit.page.wait_for_selector(".opens:has-text('opens SMTP') >> nth=1")
        assert await visit.page.locator("code:text-is('EHLO laptop.demo.test')").is_visible()
        await visit.press("o")
        assert "PASS [redacted]" in await visit.text(".lines")
        assert await visit.page.locator("details:not([open])").count() == 0
        await visit.press("o")
        assert await visit.page.locator("details[open]").count() == 0
        await visit.press("j", "j", "k")
        assert await visit.page.evaluate("document.activeElement.tagName") == "SUMMARY"


async def test_it_is_paused_and_goes_on_where_it_was(browser: Browser, house: House) -> None:
    async with visiting(browser, base_of(house)) as visit:
        await visit.go("/flow")
        assert "Nothing has been said yet" in await visit.text(".empty")
        await house.send(letter())
        await visit.page.wait_for_selector("code:has-text('queued as')")
        before = await visit.text(".lines")
        await visit.press("p")
        await house.send(letter())

        async def waits() -> bool:
            return "Go on (" in await visit.text("[data-run=pause]")

        await until(waits)
        assert await visit.text(".lines") == before
        await visit.press("p")
        await visit.page.wait_for_selector(".opens:has-text('opens SMTP') >> nth=1")
        await visit.press("c")
        assert await visit.page.is_visible(".empty")


async def test_it_is_saved_as_one_file_that_needs_nothing(browser: Browser, house: House, tmp_path: Path) -> None:
    async with visiting(browser, base_of(house)) as visit:
        await play(visit, house)
        shown = await visit.text(".lines")
        async with visit.page.expect_download() as saving:
            await visit.press("s")
        saved = tmp_path / "flow.html"
        await (await saving.value).save_as(saved)
    text = saved.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(saved.as_uri())
    assert asked == [saved.as_uri()]
    assert (await page.inner_text(".lines")).split() == shown.split()
    shafts = await page.evaluate(_SHAFTS)
    assert {(one["style"], one["colour"]) for one in shafts} == {("solid", _BLUE), ("dashed", _RED)}
    await page.click("summary:has-text('EHLO')")
    assert await page.is_visible("code:text-is('EHLO laptop.demo.test')")
    await context.close()


async def test_who_comes_by_themselves_have_lanes_of_their_own_and_can_do_no_harm(
    browser: Browser, house: House
) -> None:
    bound = house.running.bound

    def pop() -> None:
        client = poplib.POP3(bound["pop3"].host, bound["pop3"].port, timeout=PATIENCE)
        client.user("ann@shop.test")
        client.pass_("secret-77")
        client.quit()

    def two_devices() -> None:
        phone, laptop = (imaplib.IMAP4(bound["imap"].host, bound["imap"].port, timeout=PATIENCE) for _ in range(2))
        for client in (phone, laptop):
            client.login("ann@shop.test", "secret-77")
            client.select()
        for client in (phone, laptop):
            client.logout()

    async def evil() -> None:
        reader, writer = await asyncio.open_connection(bound["smtp"].host, bound["smtp"].port)
        await reader.readline()
        for line in (f"EHLO {EVIL.split()[0]}x", f"NOOP {EVIL}", "QUIT"):
            writer.write(line.encode() + b"\r\n")
        while await reader.readline():
            pass
        writer.close()

    async with visiting(browser, base_of(house)) as visit:
        await visit.go("/flow")
        await asyncio.to_thread(pop)
        await asyncio.to_thread(two_devices)
        await evil()
        await visit.page.wait_for_selector("code:has-text('onerror')", state="attached")
        await visit.press("o")
        lanes = await visit.page.evaluate("[...document.querySelectorAll('.lanes b')].map(one => one.textContent)")
        assert lanes.count("ann@shop.test") == 2  # by POP3, and by IMAP
        assert "ann@shop.test (2)" in lanes
        text = await visit.text(".lines")
        assert "secret-77" not in await visit.page.content()
        assert "\u202e" not in text
        assert "\u2407" in text
        assert await visit.page.locator("main img").count() == 0
        assert await visit.page.title() == "Flow: who pushes, who pulls"


async def test_a_button_plays_the_demo(browser: Browser, house: House) -> None:
    async with visiting(browser, base_of(house)) as visit:
        await visit.go("/flow")
        await visit.page.click(".empty [data-run=demo]")
        await visit.page.wait_for_selector("h2:has-text('Bob’s phone listens')")
        assert await visit.page.is_disabled("header [data-run=demo]")


async def test_on_paper_all_of_it_is_there(browser: Browser, house: House) -> None:
    async with visiting(browser, base_of(house), color_scheme="dark") as visit:
        await play(visit, house)
        await visit.page.emulate_media(media="print")
        assert await visit.page.evaluate("getComputedStyle(document.body).overflow") == "visible"
        assert await visit.page.is_hidden("header.top")
        assert await visit.page.evaluate("document.documentElement.scrollHeight > innerHeight")


async def struck(house: House) -> int:
    """Mail that meets faults: a reply of a rule, of an address, one that comes late, and none at all. The rule's number."""
    await house.client.post(
        "/v1/faults", json={"line": "smtp RCPT to=*@shop.test 'reply=451 4.7.1 come again' times=1"}
    )
    await house.client.post("/v1/faults", json={"line": "smtp NOOP disconnect=before"})
    place = house.running.bound["smtp"]

    def send() -> None:
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
            smtp.ehlo("shop.test")
            smtp.mail("shop@shop.test")
            for to in ("ann@shop.test", "550+x@shop.test", "ann@shop.test"):
                smtp.rcpt(to)
            smtp.data(b"Subject: x\r\n\r\nx\r\n")
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
            smtp.ehlo("shop.test")
            with pytest.raises(smtplib.SMTPServerDisconnected):
                smtp.noop()

    await asyncio.to_thread(send)
    return int((await house.get("/v1/faults"))["faults"][0]["id"])


@pytest.mark.parametrize("width", [390, 1440])
async def test_what_a_fault_has_made_is_marked(browser: Browser, house: House, width: int) -> None:
    async with visiting(browser, base_of(house), width) as visit:
        await visit.go("/flow")
        rule = await struck(house)
        await visit.page.wait_for_selector(".struck:has-text('hung up instead of an answer')")
        marks = await visit.page.evaluate(
            "[...document.querySelectorAll('summary .fault, .row:not(details .row) .fault')].map(one => one.innerText)"
        )
        assert [mark.split("\n")[0] for mark in marks] == [f"fault rule {rule}", "fault address"]
        before = "summary .fault, .row:not(details .row) .fault"
        replies = await visit.page.evaluate(
            f"[...document.querySelectorAll('{before}')].map(one => one.previousElementSibling.innerText.slice(0, 3))"
        )
        assert replies == ["451", "550"]
        assert 'reply="451 4.7.1 come again"' in marks[0]
        await visit.press("o")
        opened = await visit.page.evaluate(
            "[...document.querySelectorAll('.steps .said:has(.fault)')].map(one => one.innerText)"
        )
        assert ["451" in opened[0], "550" in opened[1], len(opened)] == [True, True, 2]
        needs = await visit.page.evaluate(
            "document.querySelector('main').scrollWidth - document.querySelector('main').clientWidth"
        )
        assert needs == 0


async def test_sessions_at_all_workers_are_drawn(browser: Browser, tmp_path: Path) -> None:
    with program.sink(tmp_path, args=["--workers", "2"]) as running:
        place = running.ready["web"]

        def idle(number: int) -> imaplib.IMAP4:
            client = imaplib.IMAP4(*running.imap, timeout=PATIENCE)
            client.login(f"device{number}@shop.test", "x")
            client.select()
            return client

        # Each worker takes in whoever comes while it has the fewest connections.
        devices = [await asyncio.to_thread(idle, number) for number in range(6)]
        async with visiting(browser, f"http://{place['host']}:{place['port']}") as visit:
            await visit.go("/flow")
            for device in devices:
                await asyncio.to_thread(device.noop)
            for number in range(4):
                await asyncio.to_thread(_send_to, running.smtp, f"sender{number}.test")

            async def all_there() -> bool:
                text = await visit.text(".lines")
                return (
                    text.count("NOOP completed") == 6 and text.count("opens SMTP") == 4 and text.count("queued as") == 4
                )

            await until(all_there)
            assert "processes" not in await visit.text("main")
        for device in devices:
            await asyncio.to_thread(device.logout)


def _send_to(place: tuple[str, int], name: str) -> None:
    with smtplib.SMTP(*place, local_hostname=name, timeout=PATIENCE) as smtp:
        smtp.sendmail("a@shop.test", ["b@shop.test"], b"Subject: x\r\n\r\nx\r\n")


async def test_who_has_the_token_of_a_space_sees_that_space(browser: Browser, tmp_path: Path) -> None:
    web = Web(port=0, tls=False, auth=SecretStr("ann:a"))
    async with sink(tmp_path, web=web) as house:
        made = await house.client.post("/v1/spaces", json={"name": "mine", "token": True}, auth=("ann", "a"))
        credentials = {"username": "mine", "password": made.json()["token"]}
        async with visiting(browser, base_of(house), http_credentials=credentials) as visit:
            await visit.go("/flow")
            assert await visit.page.is_hidden("header [data-run=demo]")
            await house.send(letter("out"))
            await house.send(letter("in"), to=["x+mine@shop.test"])
            await visit.page.wait_for_selector("code:has-text('x+mine')", state="attached")
            assert "ann@shop.test" not in await visit.page.inner_text(".lines")
            assert await visit.page.locator(".opens").count() == 1
            await visit.go("/")
            await visit.shows("in")
