"""Exim carries mail in: by BDAT where it is offered, and by DATA."""

from __future__ import annotations

import re

import messages
import pytest
from private_servers import Tap, exim
from program import House, Person, Program
from test_postfix import bodies, body, hand_in, numbered
from wire import Smtp

pytestmark = pytest.mark.judge


def offers(program: Program, extension: bytes) -> bool:
    with Smtp(program.smtp, hello=False) as client:
        return extension in client.say(b"EHLO client.example", expect=250)[1].encode().split()


@pytest.mark.parametrize("chunking", ["*", ""])
def test_what_exim_carries_arrives_once_and_whole(chunking: str, sink: Program, address: str) -> None:
    mails = numbered(60)
    with (
        Tap(sink.smtp) as tap,
        exim(f"port = {tap.place.port}", f"hosts_try_chunking = {chunking}", "hosts_avoid_tls = *") as relay,
    ):
        hand_in(relay, address, mails)
        relay.wait_until_empty()
        log = relay.log()
    assert log.count(" => ") == len(mails), log[-4000:]
    assert sorted(bodies(sink, address, "any")) == sorted(map(body, mails))
    said = b"".join(tap.said)
    assert (b"\r\nBDAT " in said) == (bool(chunking) and offers(sink, b"CHUNKING"))


def test_exim_comes_under_tls(house: House, person: Person) -> None:
    mails = numbered(5)
    door = house.program.smtp
    with exim(f"port = {door.port}", "hosts_require_tls = *", authority=house.authority) as relay:
        hand_in(relay, person.login, mails)
        relay.wait_until_empty()
        log = relay.log()
    assert re.search(r" => .* X=TLS", log), log[-4000:]
    assert sorted(bodies(house.program, person.login, person.password)) == sorted(map(body, mails))


def test_exim_is_told_who_does_not_live_here(house: House, person: Person) -> None:
    door = house.program.smtp
    with exim(f"port = {door.port}", "hosts_avoid_tls = *") as relay:
        with Smtp(relay.smtp) as sender:
            sender.message(person.login, ["nobody@example.org"], messages.simple("for nobody"))
        relay.wait_until_empty()
        assert "550 5.1.1" in relay.log()
    [bounce] = bodies(house.program, person.login, person.password)
    assert b"nobody@example.org" in bounce
