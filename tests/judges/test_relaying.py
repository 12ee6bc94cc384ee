"""Postfix and Dovecot at the other end: what our people send arrives there, and what theirs send arrives here."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy

import messages
import program
import pytest
from outside import Certificates
from private_dovecot import PASSWORD, Dovecot, dovecot
from private_servers import MAILBOXES, Relay, kept, postfix
from program import HOST, Person, Place
from sending import DOMAIN, Sending, bugs, sending, until
from test_postfix import body, numbered
from wire import Smtp

pytestmark = pytest.mark.judge

_domains = itertools.count(1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Sending]:
    """Doors, and two processes that work at the queue."""
    with sending(tmp_path_factory.mktemp("relaying"), certificates) as running, contextlib.ExitStack() as stack:
        workers = [stack.enter_context(running.worker(number)) for number in range(2)]
        yield running
        assert not any(bugs(one) for one in workers)


@pytest.fixture
def ann(house: Sending) -> Person:
    return house.person()


@pytest.fixture
def away(house: Sending) -> str:
    """A domain for whose mail a server may be started at its address (`at`)."""
    return f"away{next(_domains)}.example"


def at(house: Sending, *domains: str) -> Place:
    """Where a server has to listen that is to have the mail for these."""
    place = Place(house.address(), house.port)
    for domain in domains:
        house.names.mx(domain, place.host)
    return place


def hand_over(house: Sending, sender: Person, recipient: str, mails: list[bytes]) -> None:
    def send(some: list[bytes]) -> None:
        with house.submit(sender) as client:
            for raw in some:
                eight = " BODY=8BITMIME" if max(raw) >= 0x80 else ""
                assert client.message(sender.login, [recipient], raw, eight)[0] == 250

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(send, mails[first::3]) for first in range(3)]:
            done.result()


def arrived(house: Sending, relay: Relay, domain: str) -> list[bytes]:
    """What has come to the other side, once nothing waits here or there."""
    until(lambda: not house.queued_for(domain), lambda: (house.queued(), relay.log()[-4000:]))
    relay.wait_until_empty()
    return kept(relay)


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "clear"])
def test_postfix_gets_what_our_people_send_whole_and_once(
    house: Sending, ann: Person, away: str, certificates: Certificates, secure: bool
) -> None:
    mails = numbered(100)
    tls = [f"smtpd_tls_cert_file={certificates.certificate}", f"smtpd_tls_key_file={certificates.key}"]
    with postfix(
        *(f"virtual_mailbox_domains = {away}", *MAILBOXES),
        *(["smtpd_tls_security_level = may", "smtpd_tls_loglevel = 1", *tls] if secure else []),
        at=at(house, away),
    ) as relay:
        hand_over(house, ann, f"bob@{away}", mails)
        found = arrived(house, relay, away)
        assert ("TLS connection established from" in relay.log()) is secure
        assert "warning: non-SMTP command" not in relay.log()
        assert "improper command pipelining" not in relay.log()
    assert sorted(map(body, found)) == sorted(map(body, mails))
    assert all(raw.startswith(f"Return-Path: <{ann.login}>\r\n".encode()) for raw in found)


@pytest.mark.slow
def test_a_thousand_mails_reach_postfix_though_workers_are_killed(house: Sending, ann: Person, away: str) -> None:
    mails, kills, each = numbered(1000), 4, 250
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with (
        postfix(*(f"virtual_mailbox_domains = {away}", *MAILBOXES), at=at(house, away)) as relay,
        ThreadPoolExecutor(1) as pool,
    ):
        third = house.worker(2)
        try:
            for number in range(kills):
                third.wait_ready()
                some = mails[number * each : (number + 1) * each]
                going = pool.submit(hand_over, house, ann, f"bob@{away}", some)
                enough = number * each + chance.randrange(20, each - 20)
                until(lambda enough=enough: len(kept(relay)) >= enough, relay.log)  # type: ignore[misc]
                third.kill()
                going.result()
                third = house.worker(2)
            found = arrived(house, relay, away)
        finally:
            third.stop()
    came = Counter(map(body, found))
    assert came.keys() == set(map(body, mails)), "nothing is lost, and nothing is there by half"
    # Each kill cuts the connections of one process: five to one domain, and each of them may have carried two messages of
    # which nobody had written down yet that they are sent.
    assert came.total() - len(mails) <= kills * 5 * 2
    print(f"{came.total() - len(mails)} of {len(mails)} came twice after {kills} kills")


@pytest.mark.parametrize(
    "keywords",
    ["chunking", "chunking, dsn, size, enhancedstatuscodes", "pipelining, chunking, dsn, size, 8bitmime, smtputf8"],
)
def test_postfix_gets_it_too_where_it_offers_less(house: Sending, ann: Person, away: str, keywords: str) -> None:
    seven = [messages.simple(f"{number}", b".\r\n.dot\r\n") for number in range(10)]
    eight = messages.simple("eight", "Grüße\r\n".encode())
    with postfix(
        *(f"virtual_mailbox_domains = {away}", *MAILBOXES, f"smtpd_discard_ehlo_keywords = {keywords}"),
        at=at(house, away),
    ) as relay:
        hand_over(house, ann, f"bob@{away}", [*seven, eight])
        found = arrived(house, relay, away)
    reports = house.inbox(ann)
    if "8bitmime" in keywords:
        # RFC 6152 3: it is not cut to seven bits, and not sent as if it had them; its sender hears of it.
        assert sorted(map(body, found)) == sorted(map(body, seven))
        assert [b"Status: 5.6.3" in report for report in reports] == [True]
    else:
        assert sorted(map(body, found)) == sorted(map(body, [*seven, eight]))
        assert reports == []


def test_what_postfix_puts_off_arrives_later_and_once(house: Sending, ann: Person, away: str) -> None:
    mails = numbered(20)
    with (
        policy_service("DEFER 4.7.1 greylisted", times=30) as asked,
        postfix(
            *(f"virtual_mailbox_domains = {away}", *MAILBOXES),
            f"smtpd_recipient_restrictions = check_policy_service inet:{asked.host}:{asked.port}",
            at=at(house, away),
        ) as relay,
    ):
        hand_over(house, ann, f"bob@{away}", mails)
        found = arrived(house, relay, away)
        assert relay.log().count("greylisted") == 30
    assert house.inbox(ann) == []
    assert sorted(map(body, found)) == sorted(map(body, mails))


def test_what_postfix_refuses_comes_back_to_its_sender(house: Sending, ann: Person, away: str) -> None:
    with postfix(
        f"virtual_mailbox_domains = {away}",
        *(line for line in MAILBOXES if "_maps = static:all" not in line),
        f"virtual_mailbox_maps = inline:{{ bob@{away}=all/ }}",
        "smtpd_reject_unlisted_recipient = yes",
        at=at(house, away),
    ) as relay:
        house.send(ann, [f"bob@{away}", f"nobody@{away}"], messages.simple("for two"))
        assert len(arrived(house, relay, away)) == 1
        until(lambda: house.inbox(ann), house.queued)
    [report] = house.inbox(ann)
    parsed = message_from_bytes(report, policy=policy.default)
    told = next(part for part in parsed.walk() if part.get_content_type() == "message/delivery-status")
    _, only = told.get_payload()
    assert only["Final-Recipient"] == f"rfc822; nobody@{away}"
    assert only["Action"] == "failed"
    assert only["Status"] == "5.1.1"
    assert "User unknown" in only["Diagnostic-Code"]


def test_what_is_led_on_and_refused_there_comes_back_to_who_sent_it_first(
    house: Sending, away: str, ann: Person
) -> None:
    """By the way of its rewritten sender: SPF of the first one's domain would not let us send for it (SRS)."""
    alias = f"led-on-{away}".partition(".")[0] + f"@{DOMAIN}"
    program.command(
        *("alias", "add", alias, f"bob@{away}", f"nobody@{away}", ann.login),
        *("--data-dir", str(house.home / "data")),
        home=house.home,
    )
    with postfix(
        f"virtual_mailbox_domains = {away}",
        *(line for line in MAILBOXES if "_maps = static:all" not in line),
        f"virtual_mailbox_maps = inline:{{ {{ bob@{away} = all/ }} {{ sue@{away} = all/ }} }}",
        "smtpd_reject_unlisted_recipient = yes",
        at=at(house, away),
    ) as relay:
        with Smtp(house.doors.smtp, timeout=60) as client:
            assert client.message(f"sue@{away}", [alias], messages.simple("led on"))[0] == 250
        until(lambda: len(kept(relay)) >= 2, lambda: (house.queued(), relay.log()[-4000:]))
        found = arrived(house, relay, away)
    [led_on] = [raw for raw in found if f"Delivered-To: bob@{away}".encode() in raw]
    assert re.match(rb"Return-Path: <SRS0=[^@>]+=sue@home\.example>\r\n", led_on)
    [report] = [raw for raw in found if f"Delivered-To: sue@{away}".encode() in raw]
    assert report.startswith(b"Return-Path: <>\r\n")
    assert b"Status: 5.1.1" in report
    assert f"nobody@{away}".encode() in report
    assert len(house.inbox(ann)) == 1


def test_postfix_reports_success_where_it_was_asked_to(
    house: Sending, ann: Person, away: str, certificates: Certificates
) -> None:
    """What is asked about delivery reports goes on to who knows them (RFC 3461), and what comes back is delivered here."""
    with back_and_forth(house, away, certificates) as relay:
        with house.submit(ann) as client:
            client.say(f"MAIL FROM:<{ann.login}> RET=HDRS ENVID=this+2Bone".encode(), expect=250)
            client.say(f"RCPT TO:<bob@{away}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@{away}".encode(), expect=250)
            client.say(b"DATA", expect=354)
            client.send(messages.simple("tell me") + b".\r\n")
            assert client.reply()[0] == 250
        arrived(house, relay, away)
        until(lambda: house.inbox(ann), relay.log)
    [report] = house.inbox(ann)
    assert b"Original-Envelope-Id: this+one" in report
    assert b"Action: delivered" in report


def test_mail_goes_to_postfix_and_back_again(
    house: Sending, ann: Person, away: str, certificates: Certificates
) -> None:
    """Over an address there that leads to somebody here; under TLS, both ways."""
    eve, mails = house.person(), numbered(30)
    with back_and_forth(house, away, certificates) as relay:
        hand_over(house, ann, f"{eve.login.partition('@')[0]}@back.{away}", mails)
        until(lambda: not house.queued_for(away), lambda: (house.queued(), relay.log()[-4000:]))
        relay.wait_until_empty()
    assert sorted(map(body, house.inbox(eve))) == sorted(map(body, mails))


@pytest.fixture(scope="module")
def cot(house: Sending) -> Iterator[Dovecot]:
    """A Dovecot whose people send by way of our house."""
    with dovecot(house.doors.smtp) as running:
        yield running


def test_mail_for_people_of_dovecot_is_in_their_mailboxes(house: Sending, ann: Person, away: str, cot: Dovecot) -> None:
    """Which takes it from Postfix, by LMTP, and shows it by IMAP."""
    mails = numbered(50)
    with postfix(
        *(f"virtual_mailbox_domains = {away}", f"virtual_transport = lmtp:inet:{cot.lmtp.host}:{cot.lmtp.port}"),
        at=at(house, away),
    ) as relay:
        hand_over(house, ann, f"bob@{away}", mails)
        arrived(house, relay, away)
        found = cot.inbox(f"bob@{away}")
    assert sorted(map(body, found)) == sorted(map(body, mails))


def test_what_people_of_dovecot_submit_arrives_here(house: Sending, ann: Person, cot: Dovecot) -> None:
    mails = numbered(50)
    with house.submit(Person("bob@dovecot.example", PASSWORD), to=cot.submission) as client:
        for raw in mails:
            assert client.message("bob@dovecot.example", [ann.login], raw, " BODY=8BITMIME")[0] == 250
        assert client.say(b"MAIL FROM:<bob@dovecot.example>")[0] == 250
        told = client.say(f"RCPT TO:<nobody@{DOMAIN}>".encode())
    assert told[0] == 550
    assert told[1].startswith("5.1.1 ")
    assert sorted(map(body, house.inbox(ann))) == sorted(map(body, mails))


@contextlib.contextmanager
def policy_service(action: str, *, times: int) -> Iterator[Place]:
    """What Postfix asks before it takes a recipient: so many are answered with this action, and then all are let in."""
    answers = itertools.chain(itertools.repeat(action, times), itertools.repeat("DUNNO"))
    turn = threading.Lock()
    connections: list[socket.socket] = []

    def answer(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, client.makefile("rb") as asked:
            while asked.readline():
                while asked.readline() not in {b"\n", b""}:
                    pass
                with turn:
                    said = next(answers)
                client.sendall(f"action={said}\n\n".encode())

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connections.append(listening.accept()[0])
                threads.append(threading.Thread(target=answer, args=(connections[-1],), daemon=True))
                threads[-1].start()

    with socket.create_server((HOST, 0)) as listening:
        threads = [threading.Thread(target=accept, daemon=True)]
        threads[0].start()
        try:
            yield Place(HOST, listening.getsockname()[1])
        finally:
            for one in (listening, *connections):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


@contextlib.contextmanager
def back_and_forth(house: Sending, away: str, certificates: Certificates) -> Iterator[Relay]:
    """A Postfix that sends to our house too: everybody at back.AWAY is led on to the same name here."""
    home = house.doors.smtp
    tls = [f"smtpd_tls_cert_file={certificates.certificate}", f"smtpd_tls_key_file={certificates.key}"]
    with postfix(
        *(f"virtual_mailbox_domains = {away}", *MAILBOXES),
        f"virtual_alias_domains = back.{away}",
        f"virtual_alias_maps = regexp:{{ {{/^(.*)@back\\.{away}$$/ $$1@{DOMAIN}}} }}",
        *("smtpd_tls_security_level = may", *tls),
        *("smtp_tls_security_level = encrypt", f"smtp_tls_CAfile = {certificates.authority}"),
        f"relayhost = [{home.host}]:{home.port}",
        at=at(house, away, f"back.{away}"),
    ) as relay:
        yield relay
