"""Faults at the SMTP door, as smtplib and a raw client meet them."""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from faulty import Rules, held
from program import Program
from wire import Smtp, Wire, stuffed

MESSAGE = b"From: bob@example.net\r\nSubject: hello\r\n\r\n" + b"0123456789abcdef\r\n" * 100


@contextmanager
def client(sink: Program) -> Iterator[smtplib.SMTP]:
    made = smtplib.SMTP(*sink.smtp, timeout=20)
    try:
        yield made
    finally:
        made.close()


def send(sink: Program, to: str, sender: str = "bob@example.net") -> None:
    with client(sink) as smtp:
        smtp.sendmail(sender, [to], MESSAGE)


def test_a_recipient_is_put_off_so_often_and_then_taken(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f'smtp RCPT to={address} reply="451 4.7.1 come again" times=2')
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send(faulty_sink, address)
        assert refused.value.recipients == {address: (451, b"4.7.1 come again")}
    send(faulty_sink, address)
    assert held(faulty_sink, address) == 1
    [told] = rules.all()
    assert (told.hits, told.is_spent) == (2, True)


def test_it_is_about_nobody_else(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(
        "smtp RCPT to=*@elsewhere.test reply=550", "smtp MAIL from=eve@* reply=550", "smtp MAIL from=<> reply=550"
    )
    send(faulty_sink, address)
    assert held(faulty_sink, address) == 1
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(faulty_sink, "x@elsewhere.test")
    for sender in ("eve@example.org", ""):
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(faulty_sink, address, sender)
    assert held(faulty_sink, address) == 1


def test_it_passes_some_by_first(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp MAIL from={address} reply=452 after=1 times=1")
    send(faulty_sink, address, address)
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(faulty_sink, address, address)
    send(faulty_sink, address, address)


def test_a_reply_may_have_several_lines(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(rf'smtp RCPT to={address} reply="550 5.7.1 no\nand why\nthat is"')
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.send(b"RCPT TO:<%b>\r\n" % address.encode())
        assert [smtp.line() for _ in range(3)] == [b"550-5.7.1 no", b"550-5.7.1 and why", b"550 5.7.1 that is"]
        smtp.say(b"RCPT TO:<bob@example.org>", expect=250)


def test_the_greeting_refuses(faulty_sink: Program, rules: Rules) -> None:
    rules.add('smtp CONNECT reply="554 5.7.1 not you" peer=127.0.0.0/8 times=1')
    with Smtp(faulty_sink.smtp, hello=False) as refused:
        assert refused.greeting == (554, "5.7.1 not you")
        assert refused.is_closed()
    with client(faulty_sink) as smtp:
        assert smtp.noop()[0] == 250


def test_there_is_no_greeting(faulty_sink: Program, rules: Rules) -> None:
    rules.add("smtp CONNECT disconnect=before times=1")
    with Wire(faulty_sink.smtp) as smtp:
        assert smtp.rest() == b""


@pytest.mark.parametrize("command", ["EHLO me", "STARTTLS", "NOOP", "RSET", "VRFY bob", "QUIT"])
def test_a_command_fails(faulty_sink: Program, rules: Rules, command: str) -> None:
    verb = command.split()[0]
    rules.add(f'smtp {verb} reply="421 4.3.2 out of order" times=1')
    with Smtp(faulty_sink.smtp, hello=False) as smtp:
        assert smtp.say(command.encode(), expect=421)[1] == "4.3.2 out of order"
        assert smtp.is_closed()


def test_helo_is_meant_by_ehlo(faulty_sink: Program, rules: Rules) -> None:
    rules.add("smtp EHLO reply=502 times=1")
    with Smtp(faulty_sink.smtp, hello=False) as smtp:
        smtp.say(b"HELO me", expect=502)
        smtp.say(b"EHLO me", expect=250)


def test_a_login_fails_for_one_person_however_it_is_proven(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f'smtp AUTH login={address} reply="454 4.7.0 not now" times=2')
    with client(faulty_sink) as smtp:
        smtp.ehlo()
        smtp.user, smtp.password = address, "any"
        for mechanism in (smtp.auth_plain, smtp.auth_login):
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                smtp.auth(mechanism.__name__[5:].upper(), mechanism)
            assert refused.value.smtp_code == 454
        smtp.login("somebody@example.org", "any")


def test_it_knows_who_is_logged_in(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp MAIL login={address} reply=550")
    send(faulty_sink, address)
    with client(faulty_sink) as smtp:
        smtp.login(address, "any")
        with pytest.raises(smtplib.SMTPSenderRefused):
            smtp.sendmail("bob@example.net", [address], MESSAGE)


def test_data_is_refused_before_the_message_and_after_it(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp DATA to={address} reply=451 times=1", f"smtp BODY to={address} reply=554 times=1")
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
        smtp.say(b"DATA", expect=451)
        smtp.say(b"DATA", expect=354)
        smtp.send(stuffed(MESSAGE))
        assert smtp.reply()[0] == 554
        assert smtp.message("bob@example.net", [address], MESSAGE)[0] == 250
    assert held(faulty_sink, address) == 1


def test_a_message_in_chunks_is_refused_at_its_end(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} reply=452 times=1")
    with Smtp(faulty_sink.smtp) as smtp:
        for expected in (452, 250):
            smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
            smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
            smtp.send(b"BDAT %d\r\n%b" % (len(MESSAGE), MESSAGE))
            assert smtp.reply()[0] == 250
            smtp.send(b"BDAT 4 LAST\r\nbye\n")
            assert smtp.reply()[0] == expected
    assert held(faulty_sink, address) == 1


def test_chunks_before_the_last_are_answered_before_the_connection_ends(
    faulty_sink: Program, rules: Rules, address: str
) -> None:
    rules.add(f"smtp BODY to={address} disconnect=before times=1")
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
        smtp.send(b"BDAT 6\r\nHello\nBDAT 4 LAST\r\nbye\n")
        assert smtp.reply()[0] == 250
        assert smtp.is_closed()


def test_a_chunk_that_is_refused_is_not_taken_for_commands(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BDAT to={address} reply=451 times=1")
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
        smtp.send(b"BDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nQUIT\r\n")
        assert smtp.reply()[0] == 451
        assert smtp.reply()[0] == 503, "the message went with its first chunk"
        smtp.say(b"NOOP", expect=250)
    assert held(faulty_sink, address) == 0


def test_it_is_stored_and_refused_all_the_same(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} reply=451 performed times=1")
    with pytest.raises(smtplib.SMTPDataError):
        send(faulty_sink, address)
    assert held(faulty_sink, address) == 1


def test_it_is_stored_and_nobody_hears_of_it(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} disconnect=before performed times=1")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(faulty_sink, address)
    assert held(faulty_sink, address) == 1


def test_it_is_lost_before_the_answer(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} disconnect=before times=1")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(faulty_sink, address)
    assert held(faulty_sink, address) == 0


def test_the_connection_ends_behind_the_answer(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} disconnect=after")
    with Smtp(faulty_sink.smtp) as smtp:
        assert smtp.message("bob@example.net", [address], MESSAGE)[0] == 250
        assert smtp.is_closed()
    assert held(faulty_sink, address) == 1


def test_the_connection_ends_within_the_message(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} truncate=1000")
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
        smtp.say(b"DATA", expect=354)
        smtp.send(MESSAGE[:1200])
        assert smtp.is_closed()
    assert held(faulty_sink, address) == 0


def test_an_answer_is_cut_off(faulty_sink: Program, rules: Rules) -> None:
    rules.add("smtp EHLO truncate=7 times=1")
    with Smtp(faulty_sink.smtp, hello=False) as smtp:
        smtp.send(b"EHLO me\r\n")
        assert smtp.rest() == b"250-loc"


def test_an_answer_is_late_and_those_before_it_are_not(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp RCPT to={address} delay=0.4")
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.send(b"MAIL FROM:<bob@example.net>\r\nRCPT TO:<%b>\r\n" % address.encode())
        assert smtp.reply()[0] == 250
        since = time.monotonic()
        assert smtp.reply()[0] == 250
        assert time.monotonic() - since > 0.3


def test_a_message_comes_in_slowly(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} throttle=4000")
    with Smtp(faulty_sink.smtp) as smtp:
        since = time.monotonic()
        assert smtp.message("bob@example.net", [address], MESSAGE)[0] == 250
        assert time.monotonic() - since > 0.3
    assert held(faulty_sink, address) == 1


def test_a_chunk_that_comes_with_its_command_is_slow_too(faulty_sink: Program, rules: Rules, address: str) -> None:
    rules.add(f"smtp BODY to={address} throttle=4000 times=1", f"smtp BODY to={address} truncate=9999999 times=1")
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
        since = time.monotonic()
        smtp.send(b"BDAT %d LAST\r\n%b" % (len(MESSAGE), MESSAGE))
        assert smtp.reply()[0] == 250
        assert time.monotonic() - since > 0.4
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
        smtp.send(b"BDAT %d LAST\r\n%b" % (len(MESSAGE), MESSAGE))
        assert smtp.is_closed()
    assert held(faulty_sink, address) == 1


def test_under_tls_it_is_the_same(faulty_sink: Program, rules: Rules, address: str) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with client(faulty_sink) as smtp:
        smtp.starttls(context=trusting)
        rules.add(f"smtp MAIL from={address} throttle=200 reply=452 times=1", f"smtp MAIL from={address} truncate=0")
        assert smtp.mail(address) == (452, b"")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.mail(address)


def test_any_command_is_any_but_the_connection_and_the_message(
    faulty_sink: Program, rules: Rules, address: str
) -> None:
    rules.add(f"smtp * to={address} reply=450")
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=450)
        smtp.say(b"NOOP", expect=250)


# Addresses that ask for it


@pytest.mark.parametrize("code", [b"451", b"550"])
def test_an_address_asks_for_a_refusal(faulty_sink: Program, rules: Rules, code: bytes, address: str) -> None:
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        magic = b"%b-twice+%b" % (code, address.encode())
        smtp.say(b"RCPT TO:<%b>" % magic, expect=int(code))
        smtp.say(b"RCPT TO:<%b>" % magic.upper(), expect=int(code))
        smtp.say(b"RCPT TO:<%b>" % magic, expect=250)
        for _ in range(3):
            smtp.say(b"RCPT TO:<%b+%b>" % (code, address.encode()), expect=int(code))


def test_an_address_asks_for_the_message_to_be_refused(faulty_sink: Program, rules: Rules, address: str) -> None:
    magic = f"body-554-once+{address}"
    with Smtp(faulty_sink.smtp) as smtp:
        assert smtp.message("bob@example.net", [address, magic], MESSAGE) == (554, "5.7.1 as the address asks")
        assert smtp.message("bob@example.net", [address, magic], MESSAGE)[0] == 250
    assert held(faulty_sink, address) == 1


def test_an_address_asks_for_data_to_be_refused(faulty_sink: Program, rules: Rules, address: str) -> None:
    magic = f"data-554-once+{address}".encode()
    with Smtp(faulty_sink.smtp) as smtp:
        for status in (554, 354):
            smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
            smtp.say(b"RCPT TO:<%b>" % address.encode(), expect=250)
            smtp.say(b"RCPT TO:<%b>" % magic, expect=250)
            smtp.say(b"DATA", expect=status)
            if status == 554:
                smtp.say(b"RSET", expect=250)
        smtp.say(MESSAGE + b"\r\n.", expect=250)
    assert held(faulty_sink, address) == 1


def test_an_address_asks_for_the_first_chunk_to_be_refused(faulty_sink: Program, rules: Rules, address: str) -> None:
    magic = f"data-451-once+{address}".encode()
    with Smtp(faulty_sink.smtp) as smtp:
        for status in (451, 250):
            smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
            smtp.say(b"RCPT TO:<%b>" % magic, expect=250)
            smtp.send(b"BDAT %d LAST\r\n%b" % (len(MESSAGE), MESSAGE))
            assert smtp.reply()[0] == status
    assert held(faulty_sink, magic.decode()) == 1


def test_an_address_asks_for_a_message_to_be_kept_and_refused(faulty_sink: Program, rules: Rules, address: str) -> None:
    magic = f"stored-451-once+{address}"
    with Smtp(faulty_sink.smtp) as smtp:
        assert smtp.message("bob@example.net", [magic], MESSAGE)[0] == 451
    assert held(faulty_sink, magic) == 1


def test_an_address_asks_to_be_cut_off_or_to_wait(faulty_sink: Program, rules: Rules, address: str) -> None:
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        since = time.monotonic()
        smtp.say(b"RCPT TO:<delay-1+%b>" % address.encode(), expect=250)
        assert time.monotonic() - since > 0.9
        smtp.send(b"RCPT TO:<disconnect-once+%b>\r\n" % address.encode())
        assert smtp.is_closed()
    send(faulty_sink, f"disconnect-once+{address}")


def test_421_ends_the_connection(faulty_sink: Program, rules: Rules, address: str) -> None:
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
        smtp.say(b"RCPT TO:<421-3+%b>" % address.encode(), expect=421)
        assert smtp.is_closed()


def test_what_struck_is_told(faulty_sink: Program, rules: Rules, address: str) -> None:
    [number] = rules.add(f"smtp RCPT to={address} reply=450 times=1")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(faulty_sink, address)
    told: list[tuple[str, str]] = []
    until = time.monotonic() + 20
    while not told and time.monotonic() < until:
        told = [(event["command"], event["fault"]) for event in faulty_sink.log() if event.get("rule") == number]
    line = f"smtp RCPT to={address} reply=450 times=1"
    assert told == [("RCPT", line)]
    said: list[str] = []
    while f"S: [fault {number}: {line}]" not in said and time.monotonic() < until:
        said = rules.refused()
    assert said[said.index(f"S: [fault {number}: {line}]") + 1] == "S: 450"
