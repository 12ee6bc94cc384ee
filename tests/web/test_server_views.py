"""The page's views of the server in a real browser: faults, spaces, kept mail, and what is not there."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import browsing
import pytest
import test_access
import test_page
from browsing import Visit, base_of, in_its_loop, opened, until, visiting
from web_house import PATIENCE, House, letter, sink

from mailsystem.faults import of_line
from mailsystem.settings import Retention
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.judge, in_its_loop]

house, server, visit = browsing.house, browsing.server, browsing.visit


async def look(visit: Visit, path: str) -> None:
    """Open a view of the server."""
    await visit.page.goto(visit.base + path)
    await visit.page.wait_for_selector(".view h1")


async def rcpt(house: House, to: str = "ann@shop.test") -> int:
    """What an SMTP client is told when it names a recipient."""
    place = house.running.bound["smtp"]

    def ask() -> int:
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
            smtp.ehlo()
            smtp.mail("shop@shop.test")
            return smtp.rcpt(to)[0]

    return await asyncio.to_thread(ask)


async def rules(house: House) -> list[dict[str, Any]]:
    return (await house.get("/v1/faults"))["faults"]  # type: ignore[no-any-return]


async def test_a_fault_that_is_added_on_the_page_strikes_a_client_and_one_that_is_removed_does_not(
    visit: Visit, house: House
) -> None:
    await visit.go()
    await visit.press("g", "x")
    await visit.at("/faults")
    await visit.page.wait_for_selector(".none:has-text('Nothing goes wrong')")
    await visit.page.click(".examples button:has-text('451 twice')")
    assert "a recipient is named" in await visit.text(".sentence")
    assert "twice, then all is as usual" in await visit.text(".sentence")
    await visit.page.fill("[name=times]", "3")
    await visit.page.click("button:has-text('Add the rule')")
    await visit.page.wait_for_selector(".rule:has-text('451 4.7.1 come again')")
    [rule] = await rules(house)
    assert rule["line"] == 'smtp RCPT reply="451 4.7.1 come again" times=3'
    assert await rcpt(house) == 451
    await visit.page.wait_for_selector(".rule:has-text('Struck once, 2 left')")
    assert await visit.page.locator(".rule .dots .on").count() == 1
    assert await visit.text(".side a:has-text('Faults') .num") == "1"
    await visit.press("j", "Delete")
    await visit.page.wait_for_selector(".none:has-text('Nothing goes wrong')")
    assert await rcpt(house) == 250
    assert await visit.page.locator(".side a:has-text('Faults') .num").count() == 0
    await visit.page.click(".toast button:has-text('Undo')")
    await visit.page.wait_for_selector(".rule:has-text('Not struck yet')")
    assert [await rcpt(house) for _ in range(4)] == [451, 451, 451, 250]
    await visit.page.wait_for_selector(".rule.spent:has-text('Spent')")
    await visit.page.click(".rule button[title='Count anew']")
    await visit.page.wait_for_selector(".rule:not(.spent)")
    assert await rcpt(house) == 451
    await visit.press("Escape")
    await visit.at("/")


async def test_what_is_wrong_with_a_rule_is_said_beside_the_field(visit: Visit, house: House) -> None:
    await look(visit, "/faults")
    await visit.page.fill("[name=reply]", "not now")
    await visit.page.click("button:has-text('Add the rule')")
    said = ".entry[data-field=reply] .wrong:has-text('a code and its text')"
    await visit.page.wait_for_selector(said)
    assert await visit.page.get_attribute("[name=reply]", "aria-invalid") == "true"
    await visit.page.fill("[name=reply]", "")
    await visit.page.fill("[name=delay]", "soon")
    await visit.page.click("button:has-text('Add the rule')")
    await visit.page.wait_for_selector(".entry[data-field=delay] .wrong:has-text('a number')")
    assert await visit.page.locator(said).count() == 0
    await visit.page.fill("[name=delay]", "")
    await visit.page.click(".more summary")
    await visit.page.fill("[name=peer]", "here")
    await visit.page.fill("[name=reply]", "451 later")
    await visit.page.click(".more summary")
    await visit.page.click("button:has-text('Add the rule')")
    await visit.page.wait_for_selector(".entry[data-field=peer] .wrong:has-text('a network') >> visible=true")
    assert await rules(house) == []
    visit.wrong = [one for one in visit.wrong if "/v1/faults" not in one]


async def test_every_field_of_a_rule_gets_to_the_server(visit: Visit, house: House) -> None:
    await look(visit, "/faults")
    await visit.page.select_option("[name=stage]", "BODY")
    await visit.page.click(".more summary")
    given = {
        "from": "shop@*",
        "to": "*@shop.test",
        "login": "ci-*",
        "peer": "127.0.0.0/8",
        "namespace": "ci-1",
        "reply": "451 4.3.0 one\\ntwo",
        "delay": "0.5",
        "throttle": "4000",
        "truncate": "900",
        "times": "4",
        "after": "1",
        "probability": "0.25",
        "seed": "7",
    }
    for name, value in given.items():
        await visit.page.fill(f".form [name={name}]", value)
    await visit.page.select_option("[name=disconnect]", "after")
    await visit.page.check("[name=performed]")
    await visit.page.click("button:has-text('Add the rule')")
    await visit.page.wait_for_selector(".rule")
    [rule] = await rules(house)
    numbers = {"delay": 0.5, "throttle": 4000, "truncate": 900, "times": 4, "after": 1, "probability": 0.25, "seed": 7}
    words = {name: value for name, value in given.items() if name not in numbers}
    more = {"door": "smtp", "stage": "BODY", "disconnect": "after", "performed": True, "reply": "451 4.3.0 one\ntwo"}
    assert {name: value for name, value in rule.items() if name not in ("id", "seen", "hits", "spent", "line")} == {
        **words,
        **numbers,
        **more,
    }
    await visit.page.click(".rule button[title='Use it in the form']")
    for name, value in given.items():
        assert await visit.page.input_value(f".form [name={name}]") == value
    await visit.page.click(".choice label:has-text('POP3')")
    assert await visit.page.is_hidden(".form [name=to]")
    await visit.page.select_option("[name=stage]", "UIDL")
    assert await visit.page.is_visible(".form [name=renamed]")


async def test_every_example_is_a_rule_that_the_server_takes(visit: Visit, house: House) -> None:
    await look(visit, "/faults")
    examples = visit.page.locator(".examples button")
    number = await examples.count()
    assert number > 8
    for at in range(number):
        await examples.nth(at).click()
        assert "nothing goes wrong" not in await visit.text(".sentence")
        await visit.page.click("button:has-text('Add the rule')")

        async def added(at: int = at) -> bool:
            return len(await rules(house)) == at + 1

        await until(added)
    await visit.page.wait_for_selector(f".rule >> nth={number - 1}")
    magic = [await one.inner_text() for one in await visit.page.locator(".magic code").all()]
    await visit.page.click("button:has-text('Remove all')")
    await visit.page.wait_for_selector(".none")
    assert await rules(house) == []
    assert "451-twice+x@example.org" in magic
    assert [await rcpt(house, "451-twice+x@example.org") for _ in range(3)] == [451, 451, 250]


async def test_a_rule_that_somebody_else_adds_is_seen_without_asking(visit: Visit, house: House) -> None:
    await look(visit, "/faults")
    await visit.page.focus("[name=reply]")
    await visit.page.keyboard.type("4")
    assert house.running.faults is not None
    await house.running.faults.add(of_line("imap SELECT 'reply=NO later'"))
    await visit.page.wait_for_selector(".rule:has-text('a mailbox is opened')")
    await visit.page.keyboard.type("51")
    assert await visit.page.input_value("[name=reply]") == "451", "what is being written stays"


async def test_a_space_is_opened_looked_at_and_closed(visit: Visit, house: House) -> None:
    await house.send(letter("outside"))
    await visit.go()
    await visit.press("g", "n")
    await visit.page.wait_for_selector(".none:has-text('No space is open')")
    await visit.press("n")
    await visit.page.keyboard.type("ci-1")
    await visit.page.fill("[name=ttl]", "3")
    await visit.page.fill("[name=domains]", "ci-1.test, *.ci-1.test")
    await visit.press("Enter")
    await visit.page.wait_for_selector(".space-row:has-text('ci-1')")
    [told] = (await house.get("/v1/spaces"))["spaces"]
    assert (told["ttl"], told["domains"], told["login"], told["tag"]) == (
        10_800,
        ["*.ci-1.test", "ci-1.test"],
        True,
        True,
    )
    said = await visit.text(".space-row")
    assert "No mail yet" in said
    assert "gone in 3 h" in said
    await house.send(letter("inside"), to=["bob@ci-1.test"])
    await visit.page.wait_for_selector(".space-row:has-text('1 message') .chip:has-text('bob@ci-1.test')")
    await visit.page.click(".space-row button:has-text('Its mail')")
    await visit.shows("inside")
    await visit.at("/?account=space%3Aci-1")
    assert await visit.subjects() == ["inside"]
    assert "a space" in await visit.text(".side .account")
    await house.send(letter("outside again"))
    await house.send(letter("inside again"), to=["bob+ci-1@shop.test"])
    await visit.shows("inside again", "inside")
    assert len(await visit.subjects()) == 2
    await visit.press("g", "n")
    await visit.page.wait_for_selector(".space-row")
    await visit.press("j", "Delete")
    await visit.page.wait_for_selector("dialog:has-text('Its 2 messages')")
    await visit.page.click("dialog button:has-text('Close it')")
    await visit.page.wait_for_selector(".none:has-text('No space is open')")
    assert (await house.get("/v1/spaces"))["spaces"] == []
    await visit.press("Escape")
    await visit.page.wait_for_selector(".missing:has-text('no such account')")
    await visit.page.click(".missing button:has-text('To everything')")
    await visit.shows("outside again", "outside")
    visit.wrong = [one for one in visit.wrong if "404" not in one]


async def test_what_is_wrong_with_a_space_is_said_beside_the_field(visit: Visit, house: House) -> None:
    await house.client.post("/v1/spaces", json={"name": "taken", "domains": ["taken.test"]})
    await look(visit, "/spaces")
    for fields, wrong, words in (
        ({"name": ""}, "name", "needs a name"),
        ({"name": "a b"}, "name", "letters"),
        ({"name": "taken"}, "name", "exists"),
        ({"name": "free", "domains": "taken.test"}, "domains", "another space"),
        ({"name": "free", "domains": "a..b"}, "domains", "domain"),
        ({"name": "free", "domains": "", "ttl": "0"}, "ttl", "greater"),
    ):
        for name, value in fields.items():
            await visit.page.fill(f".form [name={name}]", value)
        await visit.page.click("button:has-text('Open it')")
        await visit.page.wait_for_selector(f".entry[data-field={wrong}] .wrong:has-text('{words}')")
    assert len((await house.get("/v1/spaces"))["spaces"]) == 1
    visit.wrong = [one for one in visit.wrong if "/v1/spaces" not in one]


async def test_the_page_says_what_is_kept_what_goes_and_what_went(browser: Browser, tmp_path: Path) -> None:
    keep = Retention(age=7 * 86_400.0, messages=3)
    async with sink(tmp_path, retention=keep) as house, visiting(browser, base_of(house)) as visit:
        await house.send(*(letter(f"number {n}") for n in range(5)))
        await house.running.store.retention.enforce(Trace([house.events.append]))
        await visit.go()
        assert "Kept: 7 days · 3 messages" in (await visit.text(".side .kept")).replace("\xa0", " ")
        await visit.press("g", "k")
        await visit.page.wait_for_selector(".limits")
        said = await visit.text(".view")
        for words in ("7 days", "3 kept", "no limit", "What goes next", "too many", "2 messages"):
            assert words in said, words
        assert await visit.page.locator(".goes li").count() == 3
        first = (await house.get("/v1/retention"))["next"][0]
        await visit.page.click(".goes li a")
        await visit.page.wait_for_selector(".head h1:has-text('number 2')")
        await visit.at(f"/m/INBOX/{first['id']}")
        await visit.press(",")
        await visit.page.wait_for_selector("dialog.menu:has-text('Kept: 7 days')")


async def test_where_all_is_kept_the_page_says_so(visit: Visit, house: House) -> None:
    await house.send(letter("one"))
    await visit.go()
    await visit.page.click(".side .kept a")
    await visit.at("/retention")
    await visit.page.wait_for_selector(".lead:has-text('for ever')")
    await visit.page.focus(".view summary")
    await visit.page.evaluate("document.querySelector('.view').classList.add('old')")
    await visit.press(".")
    await visit.page.wait_for_selector(".view:not(.old)")
    assert await visit.page.evaluate("document.activeElement.matches('.view summary')"), "the focus stays where it was"
    assert await visit.text(".side .kept") == "Kept: for ever"


async def test_a_mailbox_that_is_not_there_is_not_shown_as_an_empty_one(visit: Visit, house: House) -> None:
    await house.send(letter("one"))
    await visit.go("/m/Nowhere")
    await visit.page.wait_for_selector(".missing:has-text('Nowhere')")
    await visit.page.click(".missing button:has-text('Make it')")
    await visit.page.wait_for_selector(".state:has-text('Nothing here yet')")
    await visit.page.wait_for_selector(".side a:has-text('Nowhere')")
    await visit.go("/m/Elsewhere")
    await visit.page.wait_for_selector(".missing:has-text('Elsewhere')")
    [one] = (await house.get("/v1/messages"))["messages"]
    await house.client.post("/v1/mailboxes", json={"name": "Elsewhere"})
    await house.client.patch(f"/v1/messages/{one['id']}", json={"mailbox": "Elsewhere"})
    await visit.shows("one")
    await visit.go("/m/Trash")
    await visit.page.wait_for_selector(".state:has-text('The trash is empty')")
    await visit.go("/m/Gone")
    await visit.page.click(".missing button:has-text('To the inbox')")
    await visit.at("/")
    visit.wrong = [one for one in visit.wrong if "404" not in one]


async def test_an_account_that_is_not_there_is_not_shown_as_an_empty_one(visit: Visit, house: House) -> None:
    await visit.page.goto(visit.base + "/?account=bob@shop.test")
    await visit.page.wait_for_selector(".missing:has-text('bob@shop.test')")
    assert not await visit.page.is_visible(".reading .state")
    await house.send(letter("first"), to=["bob@shop.test"])
    await visit.page.click(".missing button:has-text('Look again')")
    await visit.shows("first")
    await visit.page.wait_for_selector("body[data-live=live]")
    visit.wrong = [one for one in visit.wrong if "404" not in one]


async def test_whoever_looks_at_a_space_that_is_closed_is_told(visit: Visit, house: House) -> None:
    await house.client.post("/v1/spaces", json={"name": "ci-1"})
    await house.send(letter("inside"), to=["ann+ci-1@shop.test"])
    await visit.go("/?account=space:ci-1")
    await visit.shows("inside")
    await house.client.delete("/v1/spaces/ci-1")
    await visit.page.wait_for_selector(".missing:has-text('space:ci-1')")
    await visit.page.click(".missing button:has-text('To everything')")
    await visit.page.wait_for_selector("body[data-live=live] .state:has-text('Waiting for mail')")
    visit.wrong = [one for one in visit.wrong if "404" not in one]


async def test_accounts_tell_what_is_unread(visit: Visit, house: House) -> None:
    await house.send(letter("one"), letter("two"), to=["ann@shop.test", "bob@shop.test"])
    found = (await house.get("/v1/messages", account="bob@shop.test"))["messages"]
    await house.client.patch(
        f"/v1/messages/{found[0]['id']}", params={"account": "bob@shop.test"}, json={"add_flags": ["\\Seen"]}
    )
    await visit.go()
    await visit.press("g", "c")
    await visit.page.wait_for_selector("dialog.pick [role=option]:has-text('bob@shop.test'):has-text('1 unread of 2')")
    assert "2 unread of 2" in await visit.text("dialog.pick [role=option]:has-text('ann@shop.test')")


QUIETLY = """
window.told = [];
window.Notification = class {
  static permission = 'granted';
  static requestPermission() { return Promise.resolve('granted'); }
  constructor(title, given) { Object.assign(this, {title}, given); window.told.push(this); }
  close() { this.closed = true; }
};
Object.defineProperty(document, 'hidden', {get: () => Boolean(window.away)});
"""


async def test_a_hidden_tab_tells_of_each_arrival_once_and_a_click_opens_it(visit: Visit, house: House) -> None:
    await visit.page.add_init_script(QUIETLY)
    await house.send(letter("before"))
    await visit.go()
    await visit.press("Shift+N")
    await visit.page.wait_for_selector(".toast:has-text('announced')")
    await visit.page.evaluate("window.away = true")
    await visit.press("g", "p")
    await house.send(letter("while away"))

    async def told() -> list[list[str]]:
        return await visit.page.evaluate("window.told.map(one => [one.title, one.body, one.tag])")  # type: ignore[no-any-return]

    await until(told)
    [arrived] = [one for one in (await house.get("/v1/messages"))["messages"] if one["subject"] == "while away"]
    await house.client.patch(f"/v1/messages/{arrived['id']}", json={"add_flags": ["\\Flagged"]})
    await visit.page.wait_for_selector(".row:has-text('while away')")
    assert await told() == [["Shop", "while away", arrived["id"]]]
    await visit.page.evaluate("window.away = false; window.told[0].onclick()")
    await visit.page.wait_for_selector(".head h1:has-text('while away')")
    await visit.at(f"/m/INBOX/{arrived['id']}")
    assert await visit.page.evaluate("window.told[0].closed")
    await house.send(letter("in front"))
    await visit.page.wait_for_selector(".row:has-text('in front')")
    assert len(await told()) == 1, "what is seen is not announced"
    await visit.press("Shift+N")
    await visit.page.wait_for_selector(".toast:has-text('No more notifications')")
    await visit.page.evaluate("window.away = true")
    await house.send(letter("unwanted"))
    await visit.page.wait_for_selector(".row:has-text('unwanted')")
    assert len(await told()) == 1


TOLD = "window.told.map(one => one.body)"
IN_LINE = "navigator.locks.query().then(() => window.told.map(one => one.body))"
"""The same, once the browser has answered all that the tab has asked of its locks before."""


async def test_of_several_hidden_tabs_one_tells_of_an_arrival(visit: Visit, house: House) -> None:
    hearing = "window.heard = 0; addEventListener('storage', () => { window.heard += 1; });"
    await visit.page.context.add_init_script(QUIETLY + "window.away = true;" + hearing)
    await house.send(letter("before"))
    await visit.go()
    await visit.press("Shift+N")
    others = [await opened(visit.page.context, visit.base) for _ in range(3)]
    for one, path in zip(others, ("/", "/", "/?account=ann@shop.test"), strict=True):
        await one.go(path)

    async def told(subject: str, tabs: Sequence[Visit]) -> list[Visit]:
        """Those of the tabs that have told of a message, when all of them have heard of it."""
        for one in tabs:
            await one.shows(subject)
        return [one for one in tabs if subject in await one.page.evaluate(IN_LINE)]

    tabs = [visit, *others]
    await house.send(letter("news"))
    [first] = await told("news", tabs)
    await first.page.close()
    tabs.remove(first)
    await house.send(letter("later"))
    [second] = await told("later", tabs)
    assert await second.page.evaluate(TOLD) == ["later"]
    # What one tab is asked for, the others do.
    await tabs[0].press("Shift+N")
    for one in tabs[1:]:
        page = one.page
        await until(lambda page=page: page.evaluate("window.heard"))  # type: ignore[misc]
    await house.send(letter("unwanted"))
    assert await told("unwanted", tabs) == []


async def test_the_icon_counts_what_is_unread_and_is_plain_again(visit: Visit, house: House) -> None:
    await visit.go()
    plain = await visit.page.get_attribute("link[rel=icon]", "href") or ""
    assert plain.endswith("icon.svg")
    drawn = set()
    for number in (1, 2):
        await house.send(letter(f"number {number}"))

        async def counted(number: int = number) -> bool:
            return (await visit.page.title()).startswith(f"({number}) ")

        await until(counted)
        drawn.add(await visit.page.get_attribute("link[rel=icon]", "href"))
    assert len(drawn) == 2
    assert all(one and one.startswith("data:image/png") for one in drawn)
    for one in (await house.get("/v1/messages"))["messages"]:
        await house.client.patch(f"/v1/messages/{one['id']}", json={"add_flags": ["\\Seen"]})

    async def is_plain() -> bool:
        return await visit.page.get_attribute("link[rel=icon]", "href") in (plain, visit.base + plain)

    await until(is_plain)
    assert not (await visit.page.title()).startswith("(")


async def test_people_are_offered_only_what_they_may_see(browser: Browser, server: test_access.Server) -> None:
    async with visiting(browser, server.base, ignore_https_errors=True) as visit:
        await visit.page.goto(visit.base)
        await visit.page.fill("[name=login]", "ann@a.test")
        await visit.page.fill("[name=password]", test_access.PASSWORD)
        await visit.press("Enter")
        await visit.page.wait_for_selector(".side .kept")
        side = await visit.text(".side")
        for words in ("Faults", "Spaces", "Flow", "SMTP sessions"):
            assert words not in side
        await visit.press("Control+k")
        await visit.page.wait_for_selector("dialog.pick")
        for words in ("Faults", "Spaces", "SMTP sessions"):
            assert await visit.page.locator(f"dialog.pick [role=option]:has-text('{words}')").count() == 0
        await visit.press("Escape")
        await visit.page.wait_for_selector("dialog", state="detached")
        before = len(visit.asked)
        await visit.press("g", "x")
        for view, words in (("faults", "Only a sink has faults"), ("spaces", "Only a sink is shared")):
            await visit.page.goto(f"{visit.base}/{view}")
            await visit.page.wait_for_selector(f".reading .state:has-text('{words}')")
        asked = [one.removeprefix(visit.base) for one in visit.asked[before:]]
        assert not [one for one in asked if one.startswith(("/v1/faults", "/v1/spaces"))]
        await visit.page.goto(f"{visit.base}/retention")
        await visit.page.wait_for_selector(".view .lead:has-text('ann@a.test')")
        visit.wrong = [one for one in visit.wrong if "401" not in one and "403" not in one]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_can_be_read_by_weak_eyes_and_fits(browser: Browser, tmp_path: Path, scheme: str) -> None:
    async with (
        sink(tmp_path, retention=Retention(age=3600.0, messages=2)) as house,
        visiting(browser, base_of(house), color_scheme=scheme) as visit,
    ):
        await house.client.post("/v1/spaces", json={"name": "ci-1", "domains": ["ci-1.test"]})
        await house.send(*(letter(f"number {n}") for n in range(4)), to=["ann@shop.test", "bob@ci-1.test"])
        await house.running.store.retention.enforce(Trace([house.events.append]))
        for line in (
            "smtp RCPT 'reply=451 later' times=2",
            "pop3 RETR truncate=500",
            "imap FETCH throttle=200 times=1",
        ):
            await house.client.post("/v1/faults", json={"line": line})
        assert [await rcpt(house) for _ in range(3)] == [451, 451, 250]
        for view in ("/faults", "/spaces", "/retention", "/m/Nowhere"):
            await visit.page.goto(visit.base + view)
            await visit.page.wait_for_selector(".view h1, .missing")
            await visit.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            await asyncio.sleep(0.2)  # until what has just appeared stands still
            assert await visit.page.evaluate(test_page.CONTRASTS) == [], view
            nameless = await visit.page.evaluate(
                "[...document.querySelectorAll('button, a, input, select')].filter(one => one.getClientRects().length"
                " && !(one.getAttribute('aria-label') || one.textContent.trim() || one.title"
                " || (one.labels && one.labels.length))).map(one => one.outerHTML)"
            )
            assert nameless == [], view
            for width in (360, 390, 820, 1000, 1440):
                await visit.page.set_viewport_size({"width": width, "height": 800})
                too_wide = (
                    "[document.documentElement, document.querySelector('.reading')]"
                    ".map(one => one.scrollWidth - one.clientWidth)"
                )
                assert await visit.page.evaluate(too_wide) == [0, 0], (view, width)
        visit.wrong = [one for one in visit.wrong if "404" not in one]


async def test_a_space_is_changed_on_the_page_and_given_a_token_that_opens_it_alone(visit: Visit, house: House) -> None:
    await house.send(letter("outside"))
    await look(visit, "/spaces")
    await visit.page.fill(".form [name=name]", "ci-1")
    await visit.page.check(".form [name=token]")
    await visit.page.click("button:has-text('Open it')")
    token = await visit.text("dialog .token code")
    await visit.page.click("dialog button:has-text('Done')")
    await visit.page.click(".space-row button[title='How long it lasts, and what it keeps']")
    await visit.page.fill("dialog [name=ttl]", "90")
    await visit.page.select_option("dialog [name=unit]", "60")
    await visit.page.fill("dialog [name=messages]", "few")
    await visit.page.click("dialog button:has-text('Change it')")
    await visit.page.wait_for_selector("dialog .entry[data-field=messages] .wrong:has-text('integer')")
    await visit.page.fill("dialog [name=messages]", "50")
    await visit.page.click("dialog button:has-text('Change it')")
    await visit.page.wait_for_selector(".space-row:has-text('keeps 50')")
    [told] = (await house.get("/v1/spaces"))["spaces"]
    assert (told["ttl"], told["retention"]["messages"]) == (5400, 50)
    await visit.page.click(".space-row button[title='Tokens']")
    await visit.page.wait_for_selector("dialog .tokens li:has-text('first')")
    await visit.page.fill("dialog [name=name]", "watcher")
    await visit.page.uncheck("dialog [name=write]")
    await visit.page.click("dialog button:has-text('Make it')")
    await visit.page.wait_for_selector("dialog .tokens li:has-text('watcher')")
    reader = await visit.text("dialog .token code")
    for secret, status in ((token, 204), (reader, 403)):
        told = {"Authorization": f"Bearer {secret}"}
        assert (await house.client.get("/v1/info", headers=told)).json()["account"] == "space:ci-1"
        assert (await house.client.get("/v1/messages", params={"account": "sink"}, headers=told)).status_code == 403
        made = await house.client.post("/v1/faults", json={"line": "smtp RCPT reply=450"}, headers=told)
        assert (made.status_code == 201) == (status == 204)
    await visit.page.click("dialog button[title=Remove] >> nth=0")
    await visit.page.wait_for_selector("dialog .tokens li:has-text('first')", state="detached")
    await visit.page.click("dialog button:has-text('Close')")
    await visit.page.goto(visit.base + "/retention?account=space:ci-1")
    await visit.page.click("button:has-text('Change what it keeps')")
    await visit.page.fill("dialog [name=messages]", "7")
    await visit.page.click("dialog button:has-text('Change it')")
    await visit.page.wait_for_selector(".limit .most:has-text('7')")
    visit.wrong = [one for one in visit.wrong if "/v1/spaces" not in one]


async def test_who_came_by_the_token_of_a_space_is_offered_that_space_alone(browser: Browser, house: House) -> None:
    made = await house.client.post("/v1/spaces", json={"name": "ci-1", "token": True})
    await house.client.post("/v1/spaces", json={"name": "ci-2"})
    await house.send(letter("inside"), to=["ann+ci-1@shop.test"])
    await house.send(letter("outside"))
    reader = await house.client.post("/v1/spaces/ci-1/tokens", json={"name": "reader", "scopes": ["read"]})
    for token, offered in ((made.json()["token"], True), (reader.json()["token"], False)):
        headers = {"Authorization": f"Bearer {token}"}
        async with visiting(browser, base_of(house), extra_http_headers=headers) as visit:
            await visit.go()
            await visit.shows("inside")
            assert len(await visit.subjects()) == 1
            assert (await visit.page.locator(".side a:has-text('Faults')").count() == 1) == offered
            await visit.press("g", "n")
            await visit.page.wait_for_selector(".space-row:has-text('ci-1')")
            assert await visit.page.locator(".space-row").count() == 1
            assert await visit.page.locator("button:has-text('Open it'), button[title=Tokens]").count() == 0
            assert (await visit.page.locator(".space-row [data-remove]").count() == 1) == offered
