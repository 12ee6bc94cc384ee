"""Spaces and retention, as a program uses them, over real connections of every protocol."""

from __future__ import annotations

import asyncio
import imaplib
import poplib
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from web_house import PATIENCE, House, letter, sink

from mailsystem.directory import SinkDirectory
from mailsystem.settings import Retention, Spaces
from mailsystem.telemetry import Trace

T = TypeVar("T")


async def apart(doing: Callable[[], T]) -> T:
    return await asyncio.to_thread(doing)


def post(house: House, subject: str, *to: str, login: str | None = None) -> None:
    """Send a message, perhaps as somebody."""
    place = house.running.bound["smtp"]
    with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
        if login is not None:
            smtp.login(login, "any")
        smtp.send_message(letter(subject), "shop@shop.test", list(to))


def by_pop3(house: House, login: str) -> list[str]:
    """The subjects that somebody sees by POP3."""
    place = house.running.bound["pop3"]
    pop3 = poplib.POP3(place.host, place.port, timeout=PATIENCE)
    try:
        pop3.user(login)
        pop3.pass_("any")
        count, _ = pop3.stat()
        found = []
        for number in range(1, count + 1):
            lines = pop3.top(number, 0)[1]
            found += [line[9:].decode() for line in lines if line.startswith(b"Subject: ")]
        return found
    finally:
        pop3.quit()


def by_imap(house: House, login: str) -> int:
    """How many messages somebody sees by IMAP."""
    place = house.running.bound["imap"]
    with imaplib.IMAP4(place.host, place.port, timeout=PATIENCE) as imap:
        imap.login(login, "any")
        return int(imap.select()[1][0] or b"0")


async def opened(house: House, status: int = 201, **wanted: Any) -> Any:
    answer = await house.client.post("/v1/spaces", json=wanted)
    assert answer.status_code == status, answer.text
    return answer.json()


async def subjects(house: House, account: str | None = None) -> list[str]:
    params = {} if account is None else {"account": account}
    return [each["subject"] for each in (await house.get("/v1/messages", **params))["messages"]]


async def test_a_login_opens_a_space_that_nobody_else_sees(house: House) -> None:
    told = await opened(house, name="ci-1")
    assert (told["account"], told["ttl"], told["messages"]) == ("space:ci-1", 86_400, 0)
    await apart(lambda: post(house, "in", "ann@shop.test", login="ci-1"))
    await apart(lambda: post(house, "in too", "bob@shop.test", login="ci-1+worker3"))
    await apart(lambda: post(house, "out", "ann@shop.test"))
    assert await subjects(house) == ["out"]
    assert await subjects(house, "ann@shop.test") == ["out"]
    assert await subjects(house, "ci-1") == await subjects(house, "space:ci-1") == ["in too", "in"]
    assert await subjects(house, "ann@shop.test/ci-1") == ["in"]
    for login, seen in (
        ("ci-1", ["in", "in too"]),
        ("space:ci-1", ["in", "in too"]),
        ("ann@shop.test/ci-1", ["in"]),
        ("ann@shop.test", ["out"]),
        ("sink", ["out"]),
    ):
        assert await apart(lambda login=login: by_pop3(house, login)) == seen  # type: ignore[misc]
        assert await apart(lambda login=login: by_imap(house, login)) == len(seen)  # type: ignore[misc]
    [told] = (await house.get("/v1/spaces"))["spaces"]
    assert (told["messages"], told["accounts"]) == (2, 3)
    kinds = {each["login"]: (each["kind"], each["space"]) for each in (await house.get("/v1/accounts"))["accounts"]}
    assert kinds == {
        "sink": ("sink", None),
        "space:ci-1": ("space", "ci-1"),
        "ann@shop.test": ("address", None),
        "ann@shop.test/ci-1": ("address", "ci-1"),
        "bob@shop.test/ci-1": ("address", "ci-1"),
    }


async def test_a_tag_or_a_domain_opens_a_space_but_only_where_it_is_registered(house: House) -> None:
    await apart(lambda: post(house, "before", "x+ci-2@shop.test", "y@a.ci-2.test"))
    await opened(house, name="CI-2", domains=["*.Ci-2.test", "only.test"])
    await apart(lambda: post(house, "tag", "x+more+ci-2@shop.test"))
    await apart(lambda: post(house, "domain", "y@a.b.ci-2.test", "z@only.test"))
    await apart(
        lambda: post(house, "not these", "y@ci-2.test", "z@below.only.test", "ci-2@shop.test", "x+ci@shop.test")
    )
    assert await subjects(house, "ci-2") == ["domain", "tag"]
    assert await subjects(house) == ["not these", "before"]
    assert await subjects(house, "x+more+ci-2@shop.test/ci-2") == ["tag"]


async def test_one_message_for_two_spaces_and_for_nobodys_goes_to_each(house: House) -> None:
    await opened(house, name="a")
    await opened(house, name="b", login=False)
    await apart(lambda: post(house, "both", "x+a@shop.test", "x+b@shop.test", "x@shop.test"))
    assert await subjects(house, "a") == await subjects(house, "b") == await subjects(house) == ["both"]
    # Who is in one stays in it, whatever the address says; and b lets nobody in by its name alone.
    await apart(lambda: post(house, "mine", "x+b@shop.test", login="a"))
    await apart(lambda: post(house, "anybody's", "x@shop.test", login="b"))
    assert (await subjects(house, "a"), await subjects(house, "b")) == (["mine", "both"], ["both"])
    assert (await subjects(house))[0] == "anybody's"
    assert await apart(lambda: by_imap(house, "space:b")) == 1


async def test_a_space_that_is_removed_is_gone_with_its_mail_and_its_clients_are_told(house: House) -> None:
    await opened(house, name="ci-1")
    await apart(lambda: post(house, "in", "ann@shop.test", login="ci-1"))
    place = house.running.bound["imap"]
    imap = await apart(lambda: imaplib.IMAP4(place.host, place.port, timeout=PATIENCE))
    await apart(lambda: imap.login("ci-1", "any"))
    smtp_place = house.running.bound["smtp"]
    smtp = await apart(lambda: smtplib.SMTP(smtp_place.host, smtp_place.port, timeout=PATIENCE))
    await apart(lambda: smtp.login("ci-1", "any"))
    assert (await house.client.delete("/v1/spaces/ci-1")).status_code == 204
    assert (await house.client.delete("/v1/spaces/ci-1")).status_code == 404
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await apart(lambda: smtp.sendmail("a@shop.test", ["b@shop.test"], "Subject: x\r\n\r\nx\r\n"))
    with pytest.raises(imaplib.IMAP4.abort):
        await apart(imap.noop)
    await apart(smtp.close)
    await apart(imap.shutdown)
    assert await subjects(house) == []
    assert [each["login"] for each in (await house.get("/v1/accounts"))["accounts"]] == ["sink"]
    assert (await house.get("/v1/messages", 404, account="ci-1"))["detail"]
    # The same name again is another space.
    await opened(house, name="ci-1")
    await apart(lambda: post(house, "anew", "ann@shop.test", login="ci-1"))
    assert await subjects(house, "ci-1") == ["anew"]


async def test_what_is_wrong_is_told(house: House) -> None:
    assert "letters" in (told := await opened(house, 400, name="a b"))["detail"]
    assert told["field"] == "name"
    assert "sink" in (await opened(house, 400, name="sink"))["detail"]
    assert (await opened(house, 400, name="a", domains=["not a domain"]))["field"] == "domains"
    await opened(house, 400, name="a", ttl=0)
    await opened(house, name="a", domains=["a.test"])
    assert (await opened(house, 409, name="a"))["field"] == "name"
    assert (await opened(house, 409, name="b", domains=["a.test"]))["field"] == "domains"
    await house.get("/v1/spaces/nope", 404)
    await house.get("/v1/spaces/%20", 404)


async def test_a_wait_and_a_list_are_about_a_space(house: House) -> None:
    await opened(house, name="ci-1")
    waiting = asyncio.create_task(house.get("/v1/wait", account="ci-1", timeout=PATIENCE))
    await apart(lambda: post(house, "elsewhere", "ann@shop.test"))
    await apart(lambda: post(house, "here", "ann@shop.test", login="ci-1"))
    assert [each["subject"] for each in (await waiting)["messages"]] == ["here"]


async def test_a_setting_lets_logins_open_spaces_by_themselves_and_copies_them(tmp_path: Path) -> None:
    async with sink(tmp_path, spaces=Spaces(logins=("ci-*",), ttl=7.0, copies=True)) as house:
        await apart(lambda: post(house, "one", "ann@shop.test", login="CI-9+x"))
        await apart(lambda: post(house, "other", "ann@shop.test", login="job-9"))
        [told] = (await house.get("/v1/spaces"))["spaces"]
        assert (told["name"], told["ttl"], told["messages"]) == ("ci-9", 7, 1)
        assert await subjects(house) == ["other", "one"]
        assert await subjects(house, "ann@shop.test") == ["other"]


async def test_faults_of_a_space_strike_there_alone_and_go_with_it(house: House) -> None:
    from mailsystem.faults import of_line

    faults = house.running.faults
    assert faults is not None
    await opened(house, name="a", domains=["a.test"])
    await opened(house, name="b")
    await faults.add(of_line("smtp RCPT namespace=a 'reply=451 4.7.1 later'"))
    for to, login in (("x@shop.test", "a"), ("x@a.test", None), ("x+a@shop.test", None)):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            await apart(lambda to=to, login=login: post(house, "no", to, login=login))  # type: ignore[misc]
        assert refused.value.recipients[to][0] == 451
    await apart(lambda: post(house, "yes", "x@shop.test", login="b"))
    await apart(lambda: post(house, "yes", "x@shop.test"))
    await house.client.delete("/v1/spaces/a")
    assert await faults.all() == []


async def test_what_comes_in_clear_names_cannot_slip_into_a_space(house: House) -> None:
    await opened(house, name="ci-1")
    await apart(lambda: post(house, "x", '"space:ci-1"@a.test', '"ann@shop.test/ci-1"@b.test', "ann/ci-1@shop.test"))
    assert await subjects(house, "ci-1") == []
    assert isinstance(house.running.directory, SinkDirectory)


async def test_what_is_kept_is_told_and_what_went(tmp_path: Path) -> None:
    async with sink(tmp_path, retention=Retention(age=3600.0, messages=2)) as house:
        assert (await house.get("/v1/info"))["retention"] == {"age": 3600, "messages": 2, "octets": 0}
        for subject in ("one", "two", "three"):
            await apart(lambda subject=subject: post(house, subject, "ann@shop.test"))  # type: ignore[misc]
        told = await house.get("/v1/retention")
        assert told["kept"]["messages"] == 3
        assert [(each["uid"], each["why"]) for each in told["next"]] == [(1, "messages"), (2, None), (3, None)]
        place = house.running.bound["imap"]
        imap = await apart(lambda: imaplib.IMAP4(place.host, place.port, timeout=PATIENCE))
        await apart(lambda: imap.login("sink", "any"))
        await apart(imap.select)
        assert await house.running.store.retention.enforce(Trace([house.events.append])) == 2  # one of ann's, too
        await apart(imap.noop)
        assert imap.response("EXPUNGE")[1] == [b"1"]
        await apart(imap.logout)
        assert await subjects(house) == ["three", "two"]
        told = await house.get("/v1/retention", account="ann@shop.test")
        [gone] = told["gone"]
        assert (gone["why"], gone["messages"]) == ("messages", 1)
        assert told["next"][0]["goes"] is not None


async def test_nothing_is_said_of_retention_where_all_is_kept(house: House) -> None:
    assert (await house.get("/v1/info"))["retention"] is None
    told = await house.get("/v1/retention")
    assert (told["limits"], told["next"], told["gone"]) == ({"age": 0, "messages": 0, "octets": 0}, [], [])
