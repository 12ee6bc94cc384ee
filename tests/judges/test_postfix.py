"""Postfix carries mail in: what it takes over arrives here once, octet for octet."""

from __future__ import annotations

import random
import re

import messages
import pytest
from private_servers import Relay, Tap, postfix
from program import House, Person, Program
from wire import Imap, Smtp

pytestmark = pytest.mark.judge

COUNT = 1000


def numbered(count: int) -> list[bytes]:
    """Messages with bodies that are all different, and each odd in its way."""
    dice = random.Random(25)
    oddities = [b".", b"..", b".hidden", b"From here", b"trailing  ", "Grüße ✉".encode(), b"\xff\xfe", b"", b"x" * 990]
    made = []
    for number in range(count):
        lines = [b"number %d" % number, *dice.choices(oddities, k=dice.randrange(8))]
        made.append(messages.simple(f"number {number}", b"".join(line + b"\r\n" for line in lines)))
    return made


def body(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2]


def bodies(house: Program, login: str, password: str) -> list[bytes]:
    """Of everything in somebody's INBOX."""
    with Imap(house.imap, login, password, timeout=60) as client:
        client.ok(b"EXAMINE INBOX")
        answer = client.say(b"FETCH 1:* (BODY.PEEK[])")
    return [body(raw[raw.index(b"\r\n") + 2 : -1]) for raw in answer.untagged if b"BODY[]" in raw]


def hand_in(relay: Relay, recipient: str, mails: list[bytes], *, mail: str = "", rcpt: str = "") -> None:
    """Give everything to the relay, over one connection, in groups."""
    with Smtp(relay.smtp, timeout=60) as sender:
        for raw in mails:
            sender.send(
                f"MAIL FROM:<sue@elsewhere.example> BODY=8BITMIME{mail}\r\nRCPT TO:<{recipient}>{rcpt}\r\n"
                "DATA\r\n".encode()
            )
            assert [sender.reply()[0] for _ in range(3)] == [250, 250, 354]
            sender.send(re.sub(rb"(^|\r\n)\.", rb"\1..", raw) + b".\r\n")
            assert sender.reply()[0] == 250


@pytest.mark.slow
def test_a_thousand_mails_from_postfix_arrive_once_and_whole(house: House, person: Person) -> None:
    mails = numbered(COUNT)
    door = house.program.smtp
    with postfix(
        f"relayhost = [{door.host}]:{door.port}",
        "smtp_tls_security_level = may",
        f"smtp_tls_CAfile = {house.authority}",
    ) as relay:
        hand_in(relay, person.login, mails)
        relay.wait_until_empty(120)
        log = relay.log()
    assert log.count("status=sent") == COUNT, log[-4000:]
    assert sorted(bodies(house.program, person.login, person.password)) == sorted(map(body, mails))


def test_postfix_pipelines_and_its_groups_are_answered_in_one_piece(sink: Program, address: str) -> None:
    mails = numbered(20)
    with Tap(sink.smtp) as tap, postfix(f"relayhost = [{tap.place.host}]:{tap.place.port}") as relay:
        hand_in(relay, address, mails)
        relay.wait_until_empty()
    # RFC 2920 3.1: a whole group in one segment, and its replies as well.
    assert any(b"MAIL FROM:" in data and b"RCPT TO:" in data and b"DATA\r\n" in data for data in tap.said), tap.said
    assert any(re.search(rb"^250 2\.1\.0.*\r\n250 2\.1\.5.*\r\n354 ", data) for data in tap.heard), tap.heard
    assert sorted(bodies(sink, address, "any")) == sorted(map(body, mails))


def test_postfix_is_told_who_does_not_live_here_and_bounces_itself(house: House, person: Person) -> None:
    door = house.program.smtp
    with postfix(f"relayhost = [{door.host}]:{door.port}", "soft_bounce = no") as relay:
        with Smtp(relay.smtp) as sender:
            # The bounce goes to a sender who lives here.
            told = sender.message(person.login, ["nobody@example.org"], messages.simple("for nobody"))
            assert told[0] == 250
        relay.wait_until_empty()
        assert "status=bounced" in relay.log()
        assert "550 5.1.1" in relay.log()
    [bounce] = bodies(house.program, person.login, person.password)
    assert b"nobody@example.org" in bounce
    assert b"Status: 5.1.1" in bounce


def test_postfix_hands_on_what_is_asked_of_delivery_reports(sink: Program, address: str) -> None:
    """RFC 3461: who offers DSN is told what the sender wants, in the words in which the sender said it."""
    mails = numbered(3)
    with Tap(sink.smtp) as tap, postfix(f"relayhost = [{tap.place.host}]:{tap.place.port}") as relay:
        with Smtp(sink.smtp, hello=False) as client:
            offered = "DSN" in client.say(b"EHLO client.example", expect=250)[1].split()
        rcpt = f" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{address.replace('@', '+40')}"
        hand_in(relay, address, mails, mail=" RET=HDRS ENVID=id+2B25", rcpt=rcpt)
        relay.wait_until_empty()
        assert relay.log().count("status=sent (250") >= len(mails), relay.log()[-4000:]
    said = b"".join(tap.said)
    assert (b" RET=HDRS" in said) is offered
    assert (b" ENVID=id+2B25" in said) is offered
    assert (b" NOTIFY=SUCCESS,FAILURE" in said) is offered
    assert sorted(bodies(sink, address, "any")) == sorted(map(body, mails))


def test_postfix_sends_utf8_addresses_on(sink: Program) -> None:
    recipient = "адрес@bücher.example"
    with postfix(f"relayhost = [{sink.smtp.host}]:{sink.smtp.port}") as relay:
        with Smtp(relay.smtp) as sender:
            sender.message("jörg@bücher.example", [recipient], messages.simple("utf-8"), " SMTPUTF8")
        relay.wait_until_empty()
        assert "status=sent" in relay.log(), relay.log()
    [only] = bodies(sink, recipient, "any")
    assert only == body(messages.simple("utf-8"))
