"""The page as somebody uses it all day: by keys alone, on a phone, by hearing, and with mail that would deceive them."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from typing import TYPE_CHECKING

import browsing
import pytest
import test_access
from browsing import Visit, base_of, in_its_loop, until, visiting
from web_house import House, letter

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = [pytest.mark.judge, in_its_loop]

house, server, visit = browsing.house, browsing.server, browsing.visit


def long_html(subject: str = "Long") -> EmailMessage:
    message = letter(subject, "short\n")
    message.add_alternative("".join(f"<p style='height:60px'>{at}</p>" for at in range(100)), subtype="html")
    return message


async def test_what_is_sent_is_sent_once_however_often_the_keys_are_pressed(visit: Visit, house: House) -> None:
    await visit.go()
    go_on, asked = asyncio.Event(), 0

    async def slowly(route: Route) -> None:
        nonlocal asked
        asked += 1
        await go_on.wait()
        await route.continue_()

    await visit.page.route("**/v1/send*", slowly)
    await visit.press("c")
    await visit.page.fill(".compose [name=to]", "ann@shop.test")
    await visit.page.fill(".compose [name=subject]", "once")
    await visit.press("Control+Enter", "Control+Enter", "Control+Enter")
    go_on.set()
    await visit.page.wait_for_selector(".toast:has-text('Sent')")
    assert asked == 1
    await visit.page.wait_for_selector(".compose", state="detached")


async def test_each_thing_that_is_written_has_a_draft_of_its_own(visit: Visit, house: House) -> None:
    await house.send(letter("Dinner", "Shall we?\n", Message_ID="<1@shop.test>"))
    await visit.go()
    await visit.press("j")
    await visit.page.wait_for_selector(".plain")
    text = ".compose textarea"
    await visit.press("c")
    await visit.page.fill(text, "a letter to somebody else")
    await visit.page.set_input_files(
        ".compose input[type=file]", {"name": "soup.txt", "mimeType": "text/plain", "buffer": b"soup"}
    )
    await visit.page.focus(text)
    await visit.press("Escape")
    await visit.press("r")
    await visit.page.wait_for_selector(".compose h2:has-text('Reply')")
    await visit.page.focus(text)
    await visit.page.keyboard.type("Gladly.")
    await visit.press("Escape", "c")
    await visit.page.wait_for_selector(".compose h2:has-text('New message')")
    assert "a letter to somebody else" in await visit.page.input_value(text)
    await visit.page.wait_for_selector(".compose .chip:has-text('soup.txt')")
    await visit.page.click(".compose [aria-label='Throw away']")
    await visit.page.click(".toast:has-text('Thrown away') button")
    await visit.page.wait_for_selector(".compose .chip:has-text('soup.txt')")
    assert "a letter to somebody else" in await visit.page.input_value(text)
    await visit.page.click(".compose [aria-label='Throw away']")
    await visit.page.reload()
    await visit.page.click(".toast:has-text('A draft is kept') button")  # at once: it does not stay
    await visit.page.wait_for_selector(".compose h2:has-text('Reply')")
    assert (await visit.page.input_value(text)).startswith("Gladly.")


async def test_a_message_is_read_to_its_end_by_keys(visit: Visit, house: House) -> None:
    await house.send(long_html(), letter("Words", "one more line\n" * 300))
    await visit.go()
    await visit.press("j")
    await visit.page.wait_for_selector(".plain")
    scrolled = "document.querySelector('.reading').scrollTop"
    await visit.press("Space")
    await until(lambda: visit.page.evaluate(f"{scrolled} > 300"))
    await visit.press("Shift+Space")
    await until(lambda: visit.page.evaluate(f"{scrolled} === 0"))
    # Enter goes into the message that is open: there the keys that scroll are its own.
    here = visit.page.url
    await visit.press("Enter", "PageDown")
    await until(lambda: visit.page.evaluate(f"{scrolled} > 300"))
    assert visit.page.url == here
    await visit.press("j")
    await visit.page.wait_for_selector(".reading h1:has-text('Long')")
    frame = await (await visit.page.wait_for_selector(".device iframe")).content_frame()
    assert frame is not None
    await frame.wait_for_selector("p:has-text('99')")
    tall = await frame.evaluate("document.documentElement.scrollHeight")
    assert tall < 100 * 60 + 100 * 20 + 200  # the marks make it no longer
    steps = await visit.page.evaluate("history.length")
    await visit.press("Space")
    await until(lambda: frame.evaluate("scrollY > 300"))
    first = await frame.evaluate("scrollY")
    await visit.press("Space")
    await until(lambda: frame.evaluate(f"scrollY > {first} + 300"))
    await visit.press("Shift+Space")
    await until(lambda: frame.evaluate(f"Math.abs(scrollY - {first}) < 2"))
    assert await visit.page.evaluate("history.length") == steps
    await visit.press("k")  # and the keys are still the page's
    await visit.page.wait_for_selector(".reading h1:has-text('Words')")


async def test_names_cannot_say_something_else_by_turning_around(visit: Visit, house: House) -> None:
    message = letter("Pay \u202ewon\u202c", sender='"\u202emoc.knab" <evil@x.test>')
    message.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="report\u202efdp.exe")
    await house.send(message)
    await visit.go()
    await visit.press("j")
    await visit.page.wait_for_selector(".att")
    for words in (await visit.text(".row .from"), await visit.text(".head .them b")):
        assert words == "moc.knab"
    assert await visit.text(".att b") == "reportfdp.exe"
    assert await visit.text(".head h1") == "Pay won"
    assert "\u202e" not in await visit.page.title()
    await house.send(letter("Long", sender=f'"{"N" * 400}" <{"l" * 60}@bank.evil.test>'))
    await visit.page.mouse.move(1200, 600)
    await visit.shows("Long")
    await visit.page.click(".row:has-text('Long')")
    await visit.page.wait_for_selector(".head h1:has-text('Long')")
    sender = await visit.text(".head .them p")
    assert sender.endswith("@bank.evil.test")
    assert len(sender) < 200


async def test_on_a_phone_back_leads_away_from_a_message_once(browser: Browser, house: House) -> None:
    await house.send(letter("one"), letter("two"))
    async with visiting(browser, base_of(house), 390, 800, has_touch=True) as visit:
        await visit.go()
        steps = await visit.page.evaluate("history.length")
        for _ in range(3):
            await visit.page.tap(".row:has-text('one')")
            await visit.page.wait_for_selector(".reading h1:has-text('one')")
            await visit.page.tap(".bar [data-run=back]")
            await visit.page.wait_for_selector("section.list", state="visible")
        await visit.at("/")
        assert await visit.page.evaluate("history.length") == steps + 1  # the one that is ahead
        # Whoever came by a link has nothing to go back to, and comes to the list.
        [newest, _] = (await house.get("/v1/messages"))["messages"]
        await visit.go(f"/m/INBOX/{newest['id']}")
        await visit.page.tap(".bar [data-run=back]")
        await visit.page.wait_for_selector("section.list", state="visible")
        await visit.at("/")


@pytest.mark.parametrize("path", ["/m/%E0%A4%A", "/m/INBOX/%", "/sessions/%"])
async def test_an_address_that_is_spelled_wrong_shows_something(visit: Visit, house: House, path: str) -> None:
    await visit.page.goto(visit.base + path)
    await visit.page.wait_for_selector(".side a:has-text('Inbox')")
    await visit.page.wait_for_selector(".state >> visible=true")
    assert "malformed" not in await visit.text(".toasts")
    visit.wrong = [one for one in visit.wrong if "404" not in one]


async def test_whoever_hears_the_page_is_told_what_comes(visit: Visit, house: House) -> None:
    await visit.go()
    await visit.page.wait_for_selector(".waits")
    assert await visit.page.get_attribute("#list", "role") == "group"  # no list box without rows
    await house.send(letter("Supper"))
    await visit.page.wait_for_selector(".heard:has-text('New: Supper, from Shop.')", state="attached")
    assert await visit.page.get_attribute(".heard", "aria-live") == "polite"
    await visit.page.wait_for_selector("#list[role=listbox]")
    await house.send(letter("one"), letter("two"), letter("three"))
    await visit.page.wait_for_selector(".heard:has-text('new messages.')", state="attached")


async def test_tab_leads_from_the_search_past_its_completions(visit: Visit, house: House) -> None:
    await visit.go()
    await visit.press("/")
    await visit.page.wait_for_selector(".completions [role=option]")
    await visit.press("Tab")
    assert await visit.page.evaluate("document.activeElement.closest('.completions')") is None
    assert await visit.page.evaluate("document.activeElement.textContent") == "Flow"


async def test_on_paper_stands_the_message_that_is_open(browser: Browser, house: House) -> None:
    await house.send(letter("On paper", "all of it\n"))
    async with visiting(browser, base_of(house), color_scheme="dark") as visit:
        await visit.go()
        await visit.press("j")
        await visit.page.wait_for_selector(".plain")
        await visit.page.emulate_media(media="print")
        await visit.page.set_viewport_size({"width": 794, "height": 1100})  # A4
        await visit.page.wait_for_selector(".tabs", state="hidden")
        await visit.page.wait_for_selector(".plain >> text=all of it")
        await visit.page.wait_for_selector("h1:has-text('On paper')")
        ink = "getComputedStyle(document.querySelector('.plain')).color === 'rgb(29, 27, 24)'"
        await until(lambda: visit.page.evaluate(ink))


async def test_html_is_printed_on_its_own_since_nobody_may_look_into_its_frame(visit: Visit, house: House) -> None:
    await house.send(long_html())
    await visit.go()
    await visit.press("j")
    await visit.page.wait_for_selector(".device iframe")
    async with visit.page.context.expect_page() as opened:
        await visit.press("p")
    alone = await opened.value
    await alone.wait_for_selector("p:has-text('99')")
    assert "/html" in alone.url


async def test_where_the_system_has_the_colours_one_sees_what_is_chosen(browser: Browser, house: House) -> None:
    await house.send(letter("one"), letter("two"))
    async with visiting(browser, base_of(house), forced_colors="active") as visit:
        await visit.go()
        await visit.press("j")
        await visit.page.wait_for_selector(".row.open")
        line = "(where) => getComputedStyle(document.querySelector(where)).outlineStyle"
        drawn = "getComputedStyle(document.querySelector('.row.open')).outlineStyle === 'solid'"
        await until(lambda: visit.page.evaluate(drawn))
        assert await visit.page.evaluate(line, ".row:not(.open)") == "none"
        assert await visit.page.evaluate(line, ".side a.on") == "solid"
        [dot, ground] = await visit.page.evaluate(
            "[getComputedStyle(document.querySelector('.row.un:not(.open)'), '::before').backgroundColor,"
            " getComputedStyle(document.querySelector('.row.un:not(.open)')).backgroundColor]"
        )
        assert dot != ground


async def test_checks_tell_what_of_the_html_mail_programs_show(visit: Visit, house: House) -> None:
    message = letter("Shown by whom", "x\n")
    message.add_alternative(
        "<video src='x'></video><p style='display:flex;width:9px'>a</p><form></form>" * 8, subtype="html"
    )
    await house.send(message)
    [told] = (await house.get("/v1/messages"))["messages"]
    await visit.go(f"/m/INBOX/{told['id']}/checks")
    item = ".findings li:has(.share):has-text('<video>')"
    await visit.page.wait_for_selector(item)
    assert "%" in await visit.text(f"{item} .share")
    link = await visit.page.get_attribute(f"{item} a", "href") or ""
    assert link.startswith("https://www.caniemail.com/")
    many = await visit.page.locator(".findings li:has(.share)").count()
    await visit.page.select_option("#least", "50")
    await until(lambda: fewer_than(visit, many))
    # What is said to those who hear stays where it scrolls: the page itself does not move.
    await visit.page.evaluate("document.querySelector('.findings:last-of-type li:last-child').scrollIntoView()")
    assert await visit.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert await visit.page.evaluate("document.querySelector('.top').getBoundingClientRect().top") == 4


async def fewer_than(visit: Visit, many: int) -> bool:
    return 0 < await visit.page.locator(".findings li:has(.share)").count() < many


async def test_what_could_not_be_shown_is_shown_when_the_server_is_there_again(visit: Visit, house: House) -> None:
    await house.send(letter("one"), letter("two"))
    await visit.go()
    await visit.shows("two", "one")
    gone = ["Failed to load resource", "ERR_INTERNET_DISCONNECTED"]

    await visit.page.context.set_offline(True)
    await visit.page.wait_for_selector("body[data-live=offline]")
    await visit.press("g", "a")
    await visit.page.wait_for_selector(".list .state:has-text('cannot be reached')")
    await visit.page.context.set_offline(False)
    await visit.shows("two", "one")

    await visit.page.context.set_offline(True)
    await visit.page.wait_for_selector("body[data-live=offline]")
    await visit.press("j")
    await visit.page.wait_for_selector(".reading .state:has-text('could not be loaded')")
    await visit.press("c")  # a script that has yet to be loaded
    await visit.page.wait_for_selector(".toast:has-text('cannot be reached')")
    await visit.page.context.set_offline(False)
    await visit.page.wait_for_selector(".reading h1:has-text('two')")
    await visit.page.wait_for_selector(".reading .plain")

    await visit.page.context.set_offline(True)
    await visit.page.wait_for_selector("body[data-live=offline]")
    await visit.press("g", "x")
    await visit.page.wait_for_selector(".reading .state:has-text('could not be loaded')")
    await visit.page.context.set_offline(False)
    await visit.page.wait_for_selector(".reading h1:has-text('Faults')")
    visit.wrong = [one for one in visit.wrong if not any(words in one for words in gone)]


async def test_a_session_that_ends_loses_nobody_a_word(browser: Browser, server: test_access.Server) -> None:
    async def log_in(visit: Visit, who: str) -> None:
        await visit.page.fill("[name=login]", who)
        await visit.page.fill("[name=password]", test_access.PASSWORD)
        await visit.press("Enter")

    async with visiting(browser, server.base, ignore_https_errors=True) as visit:
        await visit.page.goto(visit.base + "/m/Trash")
        await log_in(visit, "ann@a.test")
        await visit.page.wait_for_selector("body[data-live=live]")
        await visit.press("c")
        await visit.page.fill(".compose [name=to]", "bob@a.test")
        await visit.page.fill(".compose textarea", "half a letter")
        await visit.page.focus("#list")
        await visit.press("Control+k")
        await visit.page.wait_for_selector("dialog.pick")
        await visit.page.context.clear_cookies()
        await visit.page.keyboard.type("Ask again")
        await visit.press("Enter")
        await visit.page.wait_for_selector(".login")
        assert await visit.page.locator("dialog[open]").count() == 0
        assert await visit.page.evaluate("document.activeElement.name") == "login"
        await log_in(visit, "ann@a.test")
        await visit.page.click(".toast:has-text('A draft is kept') button")  # at once: it does not stay
        await visit.at("/m/Trash")
        assert await visit.page.input_value(".compose textarea") == "half a letter"
        await visit.page.context.clear_cookies()
        await visit.page.reload()
        await log_in(visit, "bob@a.test")
        await visit.page.wait_for_selector("body[data-live=live]")
        await visit.press("c")
        await visit.page.wait_for_selector(".compose")
        assert await visit.page.input_value(".compose textarea") == ""
        visit.wrong = [one for one in visit.wrong if "401" not in one and "403" not in one]


async def test_a_conversation_is_told_from_its_first_to_its_last(visit: Visit, house: House) -> None:
    first, second, third = "<1@x.test>", "<2@x.test>", "<3@x.test>"
    await house.send(
        letter("Other", Message_ID="<11@x.test>"),  # whose end is the same
        letter("Plan", "Shall we?\n", sender="Ann <ann@x.test>", Message_ID=first),
        letter("Re: Plan", "Yes.\n", sender="Bob <bob@x.test>", Message_ID=second, In_Reply_To=first, References=first),
        letter("Alone", "Nobody asked.\n", Message_ID='<4"OR"is:read@x.test>'),
        letter(
            "Re: Plan", "When?\n", sender="Cy <cy@x.test>", Message_ID=third, In_Reply_To=second,
            References=f"{first} {second}",
        ),
    )  # fmt: skip
    go_on = asyncio.Event()

    async def slowly(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await visit.page.route(lambda address: "References" in address, slowly)
    await visit.go()
    await visit.press("j")
    await visit.page.wait_for_selector(".plain:has-text('When?')")
    await visit.press("h")  # before it is known whether there is one
    go_on.set()
    await visit.page.wait_for_selector(".thread summary:has-text('3 messages in this conversation')")
    await visit.page.wait_for_selector(".thread[open]")
    assert await visit.page.locator(".toast").count() == 0
    rows = visit.page.locator(".thread li")
    assert [await rows.nth(at).locator("b").inner_text() for at in range(3)] == ["Ann", "Bob", "Cy"]
    assert await visit.page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    await visit.page.click(".thread button:has-text('Ann')")
    await visit.page.wait_for_selector(".plain:has-text('Shall we?')")
    await visit.page.wait_for_selector(".thread [aria-current]:has-text('Ann')")  # and it is still open
    await visit.press("j", "k", "k", "k")
    await visit.page.click(".row:has-text('Alone')")
    await visit.page.wait_for_selector(".plain:has-text('Nobody asked.')")
    await visit.press("h")
    await visit.page.wait_for_selector(".toast:has-text('stands alone')")


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (360, 640)])
async def test_however_many_files_there_are_one_can_send(
    browser: Browser, house: House, width: int, height: int
) -> None:
    async with visiting(browser, base_of(house), width, height) as visit:
        await visit.go()
        await visit.press("c")
        name = "a-rather-long-name-" * 4
        await visit.page.set_input_files(
            ".compose input[type=file]",
            [{"name": f"{name}{at}.txt", "mimeType": "text/plain", "buffer": b"x"} for at in range(50)],
        )
        await visit.page.wait_for_selector(f".chip:has-text('{name}49.txt')")
        box = await visit.page.locator(".compose [type=submit]").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= height


async def test_who_goes_on_at_once_has_nothing_opened_behind_them(visit: Visit, house: House) -> None:
    await house.send(letter("one"))
    await visit.go()
    await visit.shows("one")
    await visit.press("j", "g", "a")
    await visit.page.wait_for_selector(".list-head h1:has-text('All mail')")
    await visit.shows("one")
    await asyncio.sleep(0.3)  # longer than the page waits for the next key
    assert await visit.page.is_visible(".reading .state.open")
    assert visit.page.url == f"{visit.base}/m/*"


async def test_who_downloads_more_than_a_browser_should_is_told(visit: Visit, house: House) -> None:
    await house.send(*(letter(f"letter {at}") for at in range(25)))
    await visit.go()
    await visit.shows("letter 24")
    await visit.press("Control+a", "d")
    await visit.page.wait_for_selector(".toast:has-text('Only the first 20 of 25')")
