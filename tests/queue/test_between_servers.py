"""Mail between two whole servers: sent, forwarded, refused, put off, and what its sender hears of it."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import smtplib
import time
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import dkim
import pytest
from two_houses import House, Street, street, until

from mailsystem.delivery import Delivery
from mailsystem.directory import SinkDirectory
from mailsystem.mail.address import Address
from mailsystem.mail.mailbox import MessageSet
from mailsystem.mailauth.keys import make_keys, record_of
from mailsystem.store import KeyState
from mailsystem.store.database import Sql, Unit
from mailsystem.telemetry import Trace

MESSAGE = b"From: alice@a.test\r\nTo: bob@b.test\r\nSubject: lunch\r\nMessage-ID: <1@a.test>\r\n\r\nFriday?\r\n"


@pytest.fixture
async def houses(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as opened:
        yield opened


def parts(report: EmailMessage) -> list[EmailMessage]:
    """The recipients' fields of a report."""
    assert report.get_content_type() == "multipart/report"
    _, status, *_ = report.iter_parts()
    assert status.get_content_type() == "message/delivery-status"
    return list(status.get_payload())[1:]  # type: ignore[arg-type]


async def test_what_somebody_sends_arrives_at_the_other_server_and_at_home_alike(houses: Street) -> None:
    a, b = await houses.open("a", people=("alice", "anna")), await houses.open("b", people=("bob",))
    assert await asyncio.to_thread(a.submit, "alice@a.test", ["bob@b.test", "anna@a.test"], MESSAGE) == {}
    at_bob, at_anna = await b.one("bob"), await a.one("anna")
    assert at_bob.get_all("Return-Path") == ["<alice@a.test>"]
    assert [re.split(r"\sby ", text)[1].split()[0] for text in at_bob.get_all("Received", [])] == [
        "mx.b.test",
        "mx.a.test",
    ]
    ident = re.split(r"\sid ", at_anna["Received"])[1].split()[0].rstrip(";")
    assert ident in at_bob.get_all("Received", [])[1]
    assert at_bob.get_content() == at_anna.get_content() == "Friday?\r\n"
    await until(lambda: _told(a, "sent"))
    [sent] = a.told("sent")
    assert (sent.data["id"], sent.data["recipient"], sent.data["remote"]) == (ident, "bob@b.test", "mx.b.test")
    assert sent.data["tls"].startswith("TLSv1.3")


async def test_nobody_who_has_not_logged_in_sends_to_other_servers(houses: Street) -> None:
    a = await houses.open("a", people=("alice",))
    place = a.running.bound["smtp"]

    def tried() -> tuple[int, bytes]:
        with smtplib.SMTP(place.host, place.port) as client:
            client.ehlo("x.test")
            client.mail("alice@a.test")
            return client.rcpt("bob@b.test")

    code, text = await asyncio.to_thread(tried)
    assert (code, text) == (550, b"5.7.1 relaying denied")


async def test_no_spelling_of_a_foreign_address_lets_a_stranger_send_to_it(houses: Street) -> None:
    a, b = await houses.open("a", people=("alice",)), await houses.open("b", people=("bob",))
    place = a.running.bound["smtp"]
    spellings = ("Bob@b.test", "bob@b.test", "BOB@B.test", '"bob"@b.test', "<@a.test:bob@b.test>", "bob+x@b.test")

    def tried() -> list[int]:
        with smtplib.SMTP(place.host, place.port) as client:
            client.ehlo("x.test")
            client.mail("alice@a.test")
            return [client.rcpt(each)[0] for each in spellings]

    # What somebody of ours may do must not be remembered for others either.
    await asyncio.to_thread(a.submit, "alice@a.test", ["bOb@b.test"], MESSAGE)
    assert await asyncio.to_thread(tried) == [550] * len(spellings)
    await b.one("bob")
    # Bob has it before our side has read that he took it.
    await until(lambda: _told(a, "sent"))
    [sent] = a.told("sent")
    assert sent.data["recipient"] == "bOb@b.test"


async def test_relaying_can_be_switched_off(houses: Street) -> None:
    a = await houses.open("a", people=("alice",), relaying=False)
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="relaying denied"):
        await asyncio.to_thread(a.submit, "alice@a.test", ["bob@b.test"], MESSAGE)


async def test_one_report_tells_of_all_who_could_not_be_reached(houses: Street) -> None:
    a, b = await houses.open("a", people=("alice",)), await houses.open("b", people=("bob",))
    wanted = ["bob@b.test", "nobody@b.test", "no-one@b.test", "x@nowhere.test"]
    await asyncio.to_thread(a.submit, "alice@a.test", wanted, MESSAGE)
    report = await a.one("alice")
    assert report["Return-Path"] == "<>"
    assert report["Auto-Submitted"] == "auto-replied"
    told = {each["Final-Recipient"]: each for each in parts(report)}
    assert set(told) == {"rfc822; nobody@b.test", "rfc822; no-one@b.test", "rfc822; x@nowhere.test"}
    assert told["rfc822; nobody@b.test"]["Diagnostic-Code"] == "smtp; 550 5.1.1 no such recipient"
    assert told["rfc822; nobody@b.test"]["Remote-MTA"] == "dns; mx.b.test"
    assert {each["Action"] for each in told.values()} == {"failed"}
    assert [told[name]["Status"] for name in sorted(told)] == ["5.1.1", "5.1.1", "5.1.2"]
    assert b"Friday?" in report.as_bytes()
    assert (await b.one("bob"))["Subject"] == "lunch"
    await a.empty()
    assert len(await a.inbox("alice")) == 1
    assert await a.store.outbound.agenda() == []


async def test_what_is_forwarded_leaves_in_our_name_and_its_report_finds_the_way_back(houses: Street) -> None:
    a, b = await houses.open("a", people=("alice", "anna")), await houses.open("b")
    await b.store.accounts.set_alias("all@b.test", ["anna@a.test", "gone@a.test"])
    await asyncio.to_thread(a.submit, "alice@a.test", ["all@b.test"], MESSAGE)
    forwarded = await a.one("anna")
    path = forwarded["Return-Path"]
    assert path.startswith("<SRS0=")
    assert path.endswith("=a.test=alice@b.test>")
    assert "DKIM-Signature" not in forwarded
    report = await a.one("alice")
    [gone] = parts(report)
    assert gone["Final-Recipient"] == "rfc822; gone@a.test"
    assert gone["Original-Recipient"] == "rfc822; all@b.test"
    assert "from mx.b.test" in report["Received"]


async def test_a_report_can_be_answered_and_is_signed(houses: Street) -> None:
    """RFC 3464 2: it comes from somebody who reads mail. Many servers take nothing that nobody vouches for."""
    a, b = await houses.open("a", people=("alice",)), await houses.open("b")
    await b.store.signing_keys.add(make_keys("b.test", time.time(), (), state=KeyState.ACTIVE))
    await b.store.accounts.set_alias("on@b.test", ["gone@a.test"])
    await asyncio.to_thread(a.submit, "alice@a.test", ["on@b.test"], MESSAGE)
    report = await a.one("alice")
    assert report["From"] == "Mail Delivery System <postmaster@b.test>"
    assert len(report.get_all("DKIM-Signature", [])) == 2
    assert "d=b.test;" in report["DKIM-Signature"]


async def test_by_a_return_path_of_ours_nothing_comes_but_reports(houses: Street) -> None:
    a, b = await houses.open("a", people=("alice",)), await houses.open("b")
    await b.store.accounts.set_alias("on@b.test", ["alice@a.test"])
    place = b.running.bound["smtp"]

    def send(sender: str, recipient: str) -> int:
        with smtplib.SMTP(place.host, place.port) as client:
            client.ehlo("x.test")
            client.mail(sender)
            code = client.rcpt(recipient)[0]
            return client.data(MESSAGE)[0] if code == 250 else code

    assert await asyncio.to_thread(send, "alice@a.test", "on@b.test") == 250
    path = str((await a.one("alice"))["Return-Path"]).strip("<>")
    assert path.startswith("SRS0=")
    assert await asyncio.to_thread(send, "eve@x.test", path) == 550
    assert await asyncio.to_thread(send, "", path) == 250
    await b.empty()
    assert [each.splitlines()[0] for each in await a.inbox("alice")] == [
        f"Return-Path: <{path}>".encode(),
        b"Return-Path: <>",
    ]


async def test_a_forged_way_back_leads_nowhere(houses: Street) -> None:
    b = await houses.open("b")
    place = b.running.bound["smtp"]

    def tried() -> tuple[int, bytes]:
        with smtplib.SMTP(place.host, place.port) as client:
            client.ehlo("x.test")
            client.mail("")
            return client.rcpt("SRS0=AAAA=BB=victim.test=ann@b.test")

    assert (await asyncio.to_thread(tried))[0] == 550


async def test_a_host_that_is_down_is_told_of_and_tried_again(houses: Street) -> None:
    a = await houses.open("a", people=("alice",), delay_notice=0.01)
    await asyncio.to_thread(a.submit, "alice@a.test", ["bob@b.test"], MESSAGE)
    [bob] = parts(await a.one("alice"))
    assert (bob["Action"], bob["Status"]) == ("delayed", "4.4.1")
    assert bob["Will-Retry-Until"]
    b = await houses.open("b", people=("bob",))
    assert (await b.one("bob"))["Subject"] == "lunch"
    await a.empty()
    assert len(await a.inbox("alice")) == 1, "it is said once that it takes longer"
    assert len(a.told("deferred")) >= 1


async def test_what_nobody_takes_comes_back_when_its_time_is_over(houses: Street) -> None:
    a = await houses.open("a", people=("alice",))
    await asyncio.to_thread(a.submit, "alice@a.test", ["bob@b.test"], MESSAGE)
    await until(lambda: _told(a, "deferred"))

    def aged() -> Unit[None]:
        yield Sql("UPDATE outbound SET expires = arrived")

    await a.store.outbound._database.write(aged())
    [bob] = parts(await a.one("alice"))
    assert (bob["Action"], bob["Status"]) == ("failed", "4.4.7")


async def _told(house: House, name: str) -> bool:
    return bool(house.told(name))


async def test_success_is_told_to_who_asks_by_whoever_delivers(houses: Street) -> None:
    a, b = await houses.open("a", people=("alice", "anna")), await houses.open("b", people=("bob",))
    await asyncio.to_thread(
        a.submit, "alice@a.test", ["bob@b.test", "anna@a.test"], MESSAGE, rcpt_options=["NOTIFY=SUCCESS"],
        mail_options=["ENVID=QQ314159"],
    )  # fmt: skip
    await until(lambda: _has(a, "alice", 2))
    found = [email.message_from_bytes(each, policy=email.policy.default) for each in await a.inbox("alice")]
    told = {}
    for report in found:
        [one] = parts(report)  # type: ignore[arg-type]
        told[one["Final-Recipient"]] = (one["Action"], list(report.iter_parts())[1].get_payload()[0])  # type: ignore
    assert told["rfc822; anna@a.test"][0] == told["rfc822; bob@b.test"][0] == "delivered"
    assert told["rfc822; anna@a.test"][1]["Reporting-MTA"] == "dns; mx.a.test"
    assert told["rfc822; bob@b.test"][1]["Reporting-MTA"] == "dns; mx.b.test"
    assert {head["Original-Envelope-Id"] for _, head in told.values()} == {"QQ314159"}
    assert len(await b.inbox("bob")) == 1


async def _has(house: House, person: str, count: int) -> bool:
    return len(await house.inbox(person)) >= count


async def test_what_leaves_is_signed_once_whatever_it_takes(houses: Street) -> None:
    a = await houses.open("a", people=("alice",))
    keys = make_keys("a.test", time.time(), (), state=KeyState.ACTIVE)
    await a.store.signing_keys.add(keys)
    await asyncio.to_thread(a.submit, "alice@a.test", ["bob@b.test"], MESSAGE)
    await until(lambda: _told(a, "deferred"))
    b = await houses.open("b", people=("bob",))
    await b.one("bob")
    [octets] = await b.inbox("bob")
    [signed] = a.told("signed")
    [deferred, *_] = a.told("deferred")
    assert signed.data["id"] == deferred.data["id"]
    assert signed.data["contents"] == deferred.data["contents"], "the journal keeps it with the message"
    published = {f"{record.name}.".encode(): record.value.encode() for record in map(record_of, keys)}
    judge = dkim.DKIM(octets)
    assert [judge.verify(idx=one, dnsfunc=lambda name, timeout=5: published[name]) for one in (0, 1)] == [True, True]


async def test_a_sink_sends_on_only_what_a_rule_allows(houses: Street) -> None:
    b = await houses.open("b", people=("bob",))
    a = await houses.open("a", sink=True, sink_allow=("*@b.test",))
    await asyncio.to_thread(a.submit, "dev@a.test", ["bob@b.test", "eve@elsewhere.test"], MESSAGE)
    assert (await b.one("bob"))["Subject"] == "lunch"
    await a.empty()
    await until(lambda: _told(a, "sent"))  # which is said once the queue is empty
    assert [event.data["recipient"] for event in a.told("sent") + a.told("failed")] == ["bob@b.test"]


async def test_what_a_sink_has_caught_is_sent_on_as_it_came_when_it_is_released(houses: Street) -> None:
    b = await houses.open("b", people=("bob",))
    a = await houses.open("a", sink=True, sink_allow=("*@b.test",))
    await asyncio.to_thread(a.submit, "dev@a.test", ["eve@elsewhere.test"], MESSAGE)
    caught = (await a.store.accounts.find("sink")).id
    inbox = await a.store.mailboxes.find(caught, "INBOX")
    [row] = await a.store.mailboxes.messages(caught, inbox.id, MessageSet(((1, 1),)))
    delivery = Delivery(a.store, SinkDirectory(a.store, default_domain="a.test"), hostname="a.test")
    await delivery.release(row.content, [Address.parse("bob@b.test")], trace=Trace())
    got = await b.one("bob")
    assert (got["Subject"], got["Return-Path"]) == ("lunch", "<dev@a.test>")
    await a.empty()
    assert await a.store.contents.sweep(grace=-1) == 0, "it is still caught"


async def test_a_sink_without_rules_sends_nothing(houses: Street) -> None:
    a = await houses.open("a", sink=True)
    await asyncio.to_thread(a.submit, "dev@a.test", ["bob@b.test"], MESSAGE, rcpt_options=["NOTIFY=SUCCESS"])
    assert await a.store.outbound.agenda() == []
    assert await a.store.outbound.to_report() == ([], None), "nothing waits for a report that nobody makes"
