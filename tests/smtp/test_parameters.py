"""The parameters of MAIL and RCPT: checked, kept with the envelope, limits that are meant."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_door import Client, House, play

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope, Notification
from mailsystem.mail.errors import SyntaxFault, TooLarge
from mailsystem.smtp import parameters
from mailsystem.smtp.replies import Refusal


def of_mail(text: bytes, *, secure: bool = False) -> parameters.MailParameters:
    return parameters.of_mail(text, size_limit=1000, secure=secure)


def test_nothing_asked_is_nothing_special() -> None:
    assert of_mail(b"") == parameters.MailParameters()
    assert parameters.of_rcpt(b"") is None


def test_everything_at_once() -> None:
    text = b"SIZE=1000 body=binarymime SMTPUTF8 AUTH=<> RET=hdrs ENVID=QQ314159+2Babc REQUIRETLS"
    given = {"SIZE": "1000", "BODY": "binarymime", "SMTPUTF8": None, "AUTH": "<>", "RET": "hdrs"}
    given |= {"ENVID": "QQ314159+2Babc", "REQUIRETLS": None}
    wanted = parameters.MailParameters(True, "BINARYMIME", True, "HDRS", "QQ314159+2Babc", given, 1000)
    assert of_mail(text, secure=True) == wanted
    asked = parameters.of_rcpt(b"notify=success,DELAY ORCPT=rfc822;Bob+2Bx@example.com")
    assert asked == Notification(frozenset({"SUCCESS", "DELAY"}), "rfc822;Bob+2Bx@example.com")


@pytest.mark.parametrize(
    "text",
    [
        *(b"RET", b"RET=", b"RET=ALL", b"RET=FULL RET=FULL", b"ENVID", b"ENVID=", b"ENVID=a+0", b"ENVID=a+0a"),
        *(
            b"ENVID=a+7F",
            b"ENVID=a+2b",
            b"ENVID=" + b"x" * 101,
            b"ENVID=\xc3\xa4",
            b"BODY",
            b"BODY=8BIT",
            b"REQUIRETLS=1",
        ),
        *(b"SMTPUTF8=1", b"SIZE", b"SIZE=-1", b"ENVID=a=b"),
    ],
)
def test_bad_parameters_of_mail(text: bytes) -> None:
    with pytest.raises(SyntaxFault):
        of_mail(text, secure=True)


@pytest.mark.parametrize(
    "text",
    [
        *(b"NOTIFY", b"NOTIFY=", b"NOTIFY=NEVER,DELAY", b"NOTIFY=SUCCESS,", b"NOTIFY=DELAY,delay", b"NOTIFY=ALWAYS"),
        *(b"ORCPT", b"ORCPT=", b"ORCPT=bob@example.com", b"ORCPT=rfc822;", b"ORCPT=;bob", b"ORCPT=rfc822;a+0D+0Ab"),
        *(b"ORCPT=rfc822;" + b"x" * 500, b"ORCPT=rfc822;\xc3\xa4", b"ORCPT=a(b;c", b"ORCPT=rfc822;a+"),
    ],
)
def test_bad_parameters_of_rcpt(text: bytes) -> None:
    with pytest.raises(SyntaxFault):
        parameters.of_rcpt(text)


def test_international_recipients_are_told_as_their_rfc_has_it() -> None:
    for address in ("jörg@example.org", "j\\x{F6}rg@example.org"):
        asked = parameters.of_rcpt(f"ORCPT=utf-8;{address}".encode())
        assert asked == Notification(None, f"utf-8;{address}")


@pytest.mark.parametrize("text", [b"HOLDFOR=1", b"MT-PRIORITY=3", b"X", b"NOTIFY=NEVER", b"REQUIRETLS"])
def test_what_is_not_offered_is_unknown(text: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        of_mail(text)
    assert refused.value.reply.code == 555


@given(st.binary(max_size=60) | st.from_regex(rb"(ENVID|RET|NOTIFY|ORCPT|BODY|SIZE)=[ -~]{0,40}", fullmatch=True))
def test_garbage_is_a_value_or_a_refusal(text: bytes) -> None:
    for reading in (of_mail, parameters.of_rcpt):
        with contextlib.suppress(SyntaxFault, TooLarge, Refusal):
            reading(text)


class Seen:
    """A delivery that only looks."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def deliver(self, envelope: Envelope, *_: Any, **__: Any) -> str:
        self.envelopes.append(envelope)
        return "seen"


async def test_they_are_kept_with_the_envelope(house: House) -> None:
    house.delivery = seen = Seen()
    async with house.door() as door, await Client.connect(door) as client:
        await play(
            client,
            """
            C: MAIL FROM:<a@example.net> RET=HDRS ENVID=Case+2BKept BODY=BINARYMIME SMTPUTF8
            S: 250
            C: RCPT TO:<ann@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Info@example.org
            S: 250
            C: RCPT TO:<nobody@example.org> NOTIFY=NEVER
            S: 550 5.1.1
            C: RCPT TO:<bob@example.org>
            S: 250
            C: BDAT 0 LAST
            S: 250
            """,
        )
        assert (await client.mail(b".\r\n")).startswith("250")
    first, second = seen.envelopes
    assert (first.ret, first.envid, first.body, first.utf8) == ("HDRS", "Case+2BKept", "BINARYMIME", True)
    assert first.notifications == {
        Address("ann", "example.org"): Notification(frozenset({"SUCCESS", "FAILURE"}), "rfc822;Info@example.org")
    }
    assert (second.ret, second.envid, second.body, second.utf8) == (None, None, "7BIT", False)
    assert second.notifications == {}


async def test_limits_are_told_and_meant(house: House) -> None:
    async with house.door(mail_limit=2, recipient_limit=1) as door, await Client.connect(door, hello=False) as client:
        await client.reply()
        assert "LIMITS MAILMAX=2 RCPTMAX=1" in (await client.say("EHLO me")).replace("250-", "").split("\n")
        await play(
            client,
            """
            C: MAIL FROM:<a@example.net>
            S: 250
            C: RCPT TO:<ann@example.org>
            S: 250
            C: RCPT TO:<bob@example.org>
            S: 452 4.5.3
            C: RSET
            S: 250
            C: MAIL FROM:<a@example.net>
            S: 250
            C: RSET
            S: 250
            C: MAIL FROM:<a@example.net>
            S: 421 4.5.3
            S: -
            """,
        )
