"""Delivery status notifications, read as others read them: by Python's `email`, by programs that look for bounces, as bytes."""

from __future__ import annotations

import base64
import email
import email.policy
import re
import time
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.outgoing import State, Waiting
from mailsystem.mail.report import MOST_RETURNED, report, returns_body
from mailsystem.mail.reported import MOST_LINES, MOST_OCTETS, Action, Reported, clean, wanted

GOLDEN = Path(__file__).parent / "reports"
DAY = 86_400.0
ARRIVED = 1_764_226_800.0
ANN = Address.parse("ann@a.example")
BOB = Address.parse("bob@b.example")
JOERG = Address.parse("jörg@bücher.example")
HEAD = (
    b"Received: from laptop by mail.a.example with ESMTPSA id 18c3f5; Thu, 27 Nov 2025 07:00:00 +0000\r\n"
    b"From: Ann <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nSubject: Lunch on Friday\r\n"
    b"Date: Thu, 27 Nov 2025 07:00:00 +0000\r\nMessage-ID: <lunch.1@a.example>\r\nMIME-Version: 1.0\r\n"
)
BODY = b"\r\nDear Bob,\r\n--shall we have lunch?\r\n.\r\n\r\nAnn\r\n"
REFUSED = Reported(
    BOB, Action.FAILED, "5.1.1", None, "mx.b.example", "550 5.1.1 <bob@b.example>: no such user", ARRIVED + 2
)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dates are told in the time of the machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def made(*recipients: Reported, to: Address = ANN, head: bytes = HEAD, **more: Any) -> bytes:
    told: dict[str, Any] = {
        "hostname": "mail.a.example",
        "ident": "18c3f5a2",
        "arrived": ARRIVED,
        "now": ARRIVED + 3,
        "token": "7d1f0b6c9e2a4853",
    }
    return report(to=to, recipients=recipients or (REFUSED,), original_head=head, **(told | more))


def read(octets: bytes) -> EmailMessage:
    """As another program understands it, with all that RFC 5322 and MIME demand."""
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    assert octets.endswith(b"\r\n")
    assert b"\0" not in octets
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    for part in (message, *message.iter_parts()):
        assert not part.defects
    return message


class Bounce:
    """What programs that handle bounces look for."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.message = read(octets)
        assert self.message.get_content_type() == "multipart/report"
        assert self.message.get_param("report-type") == "delivery-status"
        text, status, self.returned = self.message.get_payload()  # type: ignore[misc]
        assert isinstance(text, EmailMessage)
        assert text.get_content_type() == "text/plain"
        self.text: str = text.get_content().replace("\r\n", "\n")
        assert isinstance(status, EmailMessage)
        self.status = status
        self.fields, *self.recipients = status.get_payload()

    @property
    def returned_octets(self) -> bytes:
        """The third part with its transfer encoding undone, which `email` leaves alone in all that is `message/…`."""
        boundary = self.message.get_boundary()
        assert boundary is not None
        part = self.octets.split(b"--" + boundary.encode())[3].removeprefix(b"\r\n").removesuffix(b"\r\n")
        body = part.partition(b"\r\n\r\n")[2]
        return base64.b64decode(body) if b": base64\r\n" in part else body


def recipients_of(status: bytes) -> list[dict[str, str]]:
    """The groups of a delivery-status as RFC 3464 writes them, the first of them per message."""
    groups = []
    for block in status.decode().strip("\r\n").split("\r\n\r\n"):
        lines = re.sub(r"\r\n[ \t]+", " ", block).split("\r\n")
        names = [line.partition(":")[0] for line in lines]
        assert len(set(names)) == len(names), "at most once"
        groups.append({name: line.partition(":")[2].strip() for name, line in zip(names, lines, strict=True)})
    return groups


def status_of(octets: bytes) -> list[dict[str, str]]:
    part = re.split(rb"(?m)^--=_[^\r\n]*\r\n", octets)[2]
    assert re.search(rb"Content-Type: message/(?:global-)?delivery-status\r\n", part)
    return recipients_of(part.partition(b"\r\n\r\n")[2])


# As a whole: what stands in these files was read and found good


def cases() -> dict[str, bytes]:
    late = {"attempted": ARRIVED + 4 * 3600, "retry_until": ARRIVED + 5 * DAY}
    international = HEAD.replace(b"Subject: Lunch on Friday", "Subject: Frühstück".encode())
    return {
        "failed": made(original=HEAD + BODY, envid="QQ+2B314159"),
        "failed-headers-only": made(original=HEAD + BODY, ret="HDRS", envid="QQ314159"),
        "failed-after-days": made(
            Reported(BOB, Action.FAILED, "4.4.1", None, "", "mx.b.example: connection timed out", ARRIVED + 5 * DAY),
            now=ARRIVED + 5 * DAY,
        ),
        "failed-for-several": made(
            REFUSED,
            Reported(
                Address.parse("carol@c.example"), Action.FAILED, "5.7.1", "rfc822;sales@c.example", "mx.c.example",
                "550-5.7.1 Message refused by policy.\n550 5.7.1 See https://c.example/help", ARRIVED + 2,
            ),
            Reported(Address.parse("dan@c.example"), Action.FAILED, "5.2.2", None, "mx.c.example",
                     "552 5.2.2 over quota", ARRIVED + 2),
            Reported(Address.parse("eve@d.example"), Action.DELAYED, "4.4.1", None, "", "d.example: no route", **late),
        ),
        "delayed": made(
            Reported(BOB, Action.DELAYED, "4.2.0", None, "mx.b.example", "450 4.2.0 greylisted", **late),
            now=ARRIVED + 4 * 3600,
        ),
        "delivered": made(Reported(BOB, Action.DELIVERED, "", "rfc822;Bob@B.example"), envid="QQ314159"),
        "relayed": made(Reported(BOB, Action.RELAYED, "2.0.0", None, "mx.b.example", "250 2.0.0 Ok", ARRIVED + 1)),
        "expanded": made(Reported(Address.parse("all@a.example"), Action.EXPANDED)),
        "international-recipient": made(
            Reported(JOERG, Action.FAILED, "5.6.7", "utf-8;j\\x{F6}rg@bücher.example", "mx.b.example",
                     "no SMTPUTF8 at mx.b.example", ARRIVED + 1),
            head=international,
        ),
        "international-sender": made(
            Reported(JOERG, Action.FAILED, "5.1.1", "utf-8;j\\x{F6}rg@bücher.example", "mx.b.example",
                     "550 5.1.1 jörg ist unbekannt", ARRIVED + 1),
            to=Address.parse("änne@a.example"), head=international, original=international + BODY,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.eml"))])
def test_a_report_is_what_was_found_good(name: str) -> None:
    assert cases()[name].decode() == (GOLDEN / f"{name}.eml").read_bytes().decode()


def test_each_case_has_its_file() -> None:
    assert set(cases()) == {path.stem for path in GOLDEN.glob("*.eml")}


# What RFC 3461 6 and RFC 3464 2 demand


def test_the_fields_of_the_report_say_what_it_is_and_to_what_it_belongs() -> None:
    message = Bounce(made(original=HEAD + BODY)).message
    assert str(message["From"]) == "Mail Delivery System <mailer-daemon@mail.a.example>"
    assert str(message["To"]) == "ann@a.example"
    assert message["Subject"] == "Not delivered: Lunch on Friday"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == message["References"] == "<lunch.1@a.example>"
    assert message["Message-ID"] == "<7d1f0b6c9e2a4853@mail.a.example>"
    assert message["MIME-Version"] == "1.0"
    assert message["Date"].datetime.timestamp() == ARRIVED + 3


def test_what_is_for_programs_is_complete() -> None:
    bounce = Bounce(made(original=HEAD + BODY, envid="QQ+2B31+20x"))
    assert bounce.status.get_content_type() == "message/delivery-status"
    assert bounce.fields.items() == [
        ("Original-Envelope-Id", "QQ+31 x"),
        ("Reporting-MTA", "dns; mail.a.example"),
        ("X-Mailsystem-Queue-ID", "18c3f5a2"),
        ("Arrival-Date", "Thu, 27 Nov 2025 07:00:00 +0000"),
    ]
    [group] = bounce.recipients
    assert group.items() == [
        ("Final-Recipient", "rfc822; bob@b.example"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.b.example"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 <bob@b.example>: no such user"),
        ("Last-Attempt-Date", "Thu, 27 Nov 2025 07:00:02 +0000"),
    ]


def test_without_envid_and_orcpt_there_is_nothing_of_them() -> None:
    """RFC 3461 6.3: they must not be made up."""
    [message, group] = status_of(made())
    assert "Original-Envelope-Id" not in message
    assert "Original-Recipient" not in group


@pytest.mark.parametrize(
    ("orcpt", "to", "expected"),
    [
        ("rfc822;Bob@B.example", ANN, "rfc822; Bob@B.example"),
        ("RFC822;bob+2Btag@b.example", ANN, "RFC822; bob+tag@b.example"),
        ("x400;/C=de/S=bob+3D/", ANN, "x400; /C=de/S=bob=/"),
        ("utf-8;j\\x{F6}rg@b.example", ANN, "utf-8; j\\x{F6}rg@b.example"),
        ("utf-8;jörg@b.example", ANN, "utf-8; j\\x{F6}rg@b.example"),
        ("utf-8;a\\x{2B}b@b.example", ANN, "utf-8; a\\x{2B}b@b.example"),
        ("rfc822;j+C3+B6rg@b.example", ANN, "utf-8; j\\x{F6}rg@b.example"),
        ("utf-8;j\\x{F6}rg@b.example", Address.parse("änne@a.example"), "utf-8; jörg@b.example"),
        ("utf-8;\\x{D800}@b.example", ANN, "utf-8; \\x{D800}@b.example"),
        ("utf-8;\\x{5C}@b.example", ANN, "utf-8; \\x{5C}@b.example"),
    ],
)
def test_whom_the_sender_first_meant_is_told_as_they_said_it(orcpt: str, to: Address, expected: str) -> None:
    octets = made(Reported(BOB, Action.FAILED, original=orcpt), to=to)
    [_, group] = status_of(octets)
    assert group["Original-Recipient"] == expected
    read(octets)


def test_the_name_of_a_host_is_of_dns_only_if_it_can_be() -> None:
    assert status_of(made(hostname="laptop"))[0]["Reporting-MTA"] == "x-local-hostname; laptop"
    assert status_of(made(hostname="[192.0.2.1]"))[0]["Reporting-MTA"] == "dns; [192.0.2.1]"
    assert status_of(made(hostname="a b\r\nBcc: x"))[0]["Reporting-MTA"] == "x-local-hostname; a-b-Bcc-x"


@pytest.mark.parametrize(
    ("action", "status", "told"),
    [
        (Action.FAILED, "5.1.1", "5.1.1"),
        (Action.FAILED, "4.4.7", "4.4.7"),  # RFC 3464 2.3.3: given up, however temporary it was
        (Action.FAILED, "", "5.0.0"),
        (Action.FAILED, "2.0.0", "5.0.0"),
        (Action.FAILED, "5.1", "5.0.0"),
        (Action.FAILED, "5.001.010", "5.1.10"),  # no leading zeros
        (Action.FAILED, "5.1.1234", "5.0.0"),
        (Action.FAILED, "5.1.1\r\nX: y", "5.0.0"),
        (Action.FAILED, "5.1.٣", "5.0.0"),
        (Action.DELAYED, "4.2.2", "4.2.2"),
        (Action.DELAYED, "5.1.1", "4.0.0"),
        (Action.DELIVERED, "", "2.0.0"),
        (Action.RELAYED, "2.6.0", "2.6.0"),
        (Action.RELAYED, "5.0.0", "2.0.0"),
        (Action.EXPANDED, "x", "2.0.0"),
    ],
)
def test_a_status_is_one_that_fits_the_action(action: Action, status: str, told: str) -> None:
    assert status_of(made(Reported(BOB, action, status)))[1]["Status"] == told


def test_who_was_not_spoken_to_has_said_nothing() -> None:
    ours = status_of(made(Reported(BOB, Action.FAILED, "5.4.4", None, "", "b.example has no mail server")))[1]
    assert not {"Remote-MTA", "Diagnostic-Code"} & ours.keys()
    silent = status_of(made(Reported(BOB, Action.FAILED, "4.4.2", None, "mx.b.example", "it closed the connection")))[1]
    assert silent["Remote-MTA"] == "dns; mx.b.example"
    assert "Diagnostic-Code" not in silent
    assert (
        "it closed the connection"
        in Bounce(made(Reported(BOB, Action.FAILED, "4.4.2", None, "mx.b.example", "it closed the connection"))).text
    )


def test_only_a_delay_says_until_when_it_is_tried() -> None:
    for action in Action:
        group = status_of(made(Reported(BOB, action, retry_until=ARRIVED + DAY)))[1]
        assert ("Will-Retry-Until" in group) == (action is Action.DELAYED)


def test_a_reply_of_several_lines_keeps_them() -> None:
    """RFC 3461 9.2."""
    octets = made(Reported(BOB, Action.FAILED, remote="mx", reply="550-mailbox unavailable\n550 user has moved"))
    assert b"Diagnostic-Code: smtp; 550-mailbox unavailable\r\n 550 user has moved\r\n" in octets


def test_all_recipients_are_in_one_report_and_those_with_one_answer_share_it() -> None:
    others = [
        Reported(Address.parse(f"nobody{n}@b.example"), Action.FAILED, "5.1.1", None, "mx", "550 no")
        for n in range(300)
    ]
    bounce = Bounce(made(*others))
    assert len(bounce.recipients) == 300
    assert bounce.text.count("550 no") == 1
    assert "nobody299@b.example" in bounce.text


# Which part of the message comes back


@pytest.mark.parametrize(
    ("ret", "action", "size", "whole"),
    [
        (None, Action.FAILED, 1000, True),
        ("FULL", Action.FAILED, 1000, True),
        ("HDRS", Action.FAILED, 1000, False),
        ("FULL", Action.DELAYED, 1000, False),
        ("FULL", Action.RELAYED, 1000, False),
        ("FULL", Action.DELIVERED, 1000, False),
        ("FULL", Action.FAILED, MOST_RETURNED, True),
        ("FULL", Action.FAILED, MOST_RETURNED + 1, False),
    ],
)
def test_the_message_comes_back_whole_only_where_it_failed_and_is_wanted(
    ret: Any, action: Action, size: int, whole: bool
) -> None:
    assert returns_body(ret, [Action.RELAYED, action], size) is whole
    message = HEAD + b"\r\n" + b"x" * 70 + b"\r\n"
    message += (b"y" * 70 + b"\r\n") * ((size - len(message)) // 72)
    message += b"z" * (size - len(message))
    bounce = Bounce(made(Reported(BOB, action), original=message, ret=ret))
    assert bounce.returned.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert "attached" in bounce.text
    assert ("header" in bounce.text) != whole


def test_what_comes_back_is_what_was_sent() -> None:
    octets = made(original=HEAD + BODY)
    assert b"\r\n\r\n" + HEAD + BODY + b"\r\n--=_7d1f0b6c9e2a4853--\r\n" in octets
    [inner] = Bounce(octets).returned.get_payload()
    assert inner["Subject"] == "Lunch on Friday"
    only = made(head=HEAD + b"\r\n")
    assert b"\r\n\r\n" + HEAD + b"\r\n--=_7d1f0b6c9e2a4853--\r\n" in only


def test_a_boundary_is_never_in_a_part() -> None:
    body = BODY + b"--=_7d1f0b6c9e2a4853\r\nContent-Type: text/html\r\n\r\n--=_7d1f0b6c9e2a4853=--\r\n"
    bounce = Bounce(made(original=HEAD + body))
    assert bounce.message.get_boundary() == "=_7d1f0b6c9e2a4853=="
    assert len(bounce.message.get_payload()) == 3


@pytest.mark.parametrize("body", [b"\r\nx\0y\r\n", b"\r\nx\ny\r\n", b"\r\nx\ry\r\n", b"\r\n" + b"x" * 999 + b"\r\n"])
def test_what_could_not_travel_comes_back_as_its_header(body: bytes) -> None:
    assert Bounce(made(original=HEAD + body)).returned.get_content_type() == "text/rfc822-headers"


def test_a_message_of_eight_bits_stays_one() -> None:
    octets = made(original=HEAD + "\r\nGrüße\r\n".encode())
    bounce = Bounce(octets)
    assert bounce.message["Content-Transfer-Encoding"] == bounce.returned["Content-Transfer-Encoding"] == "8bit"
    assert "\r\n\r\nGrüße\r\n".encode() in octets


def test_an_international_header_is_said_to_be_one() -> None:
    """RFC 6533 4: in ASCII to whom may have no server for more, as it is to whom must have one."""
    head = HEAD + "Subject: Grüße\r\n".encode()
    for original in (None, head + BODY):
        kind = "message/global" if original else "message/global-headers"
        narrow = made(original=original, head=head)
        assert narrow.isascii()
        assert Bounce(narrow).returned.get_content_type() == kind
        assert Bounce(narrow).returned_octets == (original or head)
        wide = made(original=original, head=head, to=Address.parse("änne@a.example"))
        assert (original or head) in wide
        assert Bounce(wide).returned.get_content_type() == kind


def test_octets_that_are_no_text_come_back_all_the_same() -> None:
    head = HEAD + b"X-Name: J\xf6rg\r\n"
    octets = made(head=head)
    assert octets.isascii()
    assert Bounce(octets).returned.get_content_type() == "text/rfc822-headers"
    assert Bounce(octets).returned_octets == head
    whole = made(head=head, original=head + BODY)
    assert Bounce(whole).returned.get_content_type() == "message/rfc822"


@pytest.mark.parametrize(
    ("head", "returned"),
    [
        (b"A: 1\nB: 2\n", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\rB: 2\0\r\n\r\nno part of it\r\n", b"A: 1 B: 2\r\n"),
        (b"A: " + b"x" * 5000 + b"\r\nB: 2", b"A: " + b"x" * 995 + b"\r\nB: 2\r\n"),
        (b"A: " + b"\xc3\xb6" * 600 + b"\r\n", b"A: " + b"\xc3\xb6" * 497 + b"\r\n"),
        (b"A: " + b"\xff" * 5000, b"A: " + b"\xff" * 995 + b"\r\n"),
        (b"A: \xc3\xb6\r\n" * 10_000, b"A: \xc3\xb6\r\n" * 9362),
        (b"", b"\r\n"),
    ],
    ids=range(7),
)
def test_a_header_that_could_not_travel_is_mended_and_cut(head: bytes, returned: bytes) -> None:
    assert Bounce(made(head=head)).returned_octets == returned
    wide = made(head=head, to=Address.parse("änne@a.example"))
    assert Bounce(wide).returned_octets == returned


def test_an_address_that_is_too_long_for_a_line_is_cut_between_characters() -> None:
    octets = made(Reported(BOB, Action.FAILED, original="utf-8;" + "ö" * 490, remote="r" * 500))
    [_, group] = status_of(octets)
    assert re.fullmatch(r"utf-8; (?:\\x\{F6\})+", group["Original-Recipient"])
    assert 880 < len(group["Original-Recipient"]) <= 907
    read(octets)
    plain = status_of(made(Reported(BOB, Action.FAILED, original="x400;" + "y" * 5000)))[1]
    assert len(plain["Original-Recipient"]) < 998


def test_a_long_word_in_a_reply_does_not_make_a_long_line() -> None:
    bounce = Bounce(made(Reported(BOB, Action.FAILED, reply="x" * 5000)))
    assert "x" * 900 in bounce.text


@pytest.mark.parametrize(
    "line",
    [
        b"Message-ID: no\r\n", b"Message-ID: <a@b> <c@d>\r\n", b"Message-ID: <a b@c>\r\n", b"",
        b"Message-ID: <\xc3\xb6@b.example>\r\n", b"Message-ID: <" + b"x" * 300 + b"@b>\r\n",
    ],
)  # fmt: skip
def test_a_message_without_a_good_id_is_not_named(line: bytes) -> None:
    message = read(made(head=b"From: x\r\n" + line))
    assert message["In-Reply-To"] is None
    assert message["References"] is None


@pytest.mark.parametrize(
    ("field", "subject"),
    [
        (b"", "Not delivered: your message"),
        (b"Subject:   \r\n", "Not delivered: your message"),
        (b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n", "Not delivered: Grüße"),
        ("Subject: Grüße\r\n".encode(), "Not delivered: Grüße"),
        (b"Subject: two\r\n lines\r\n", "Not delivered: two lines"),
        (b"Subject: =?utf-8?q?a=0D=0ABcc:_x@y.example?=\r\n", "Not delivered: a Bcc: x@y.example"),
        (b"Subject: =?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=\r\n", "Not delivered: =?utf-8?q?x?="),
        (b"Subject: =?utf-8?q?=E2=80=AEabc?=\r\n", "Not delivered: abc"),
    ],
)
def test_the_subject_is_that_of_the_message_and_nothing_else(field: bytes, subject: str) -> None:
    message = read(made(head=b"From: x\r\n" + field))
    assert message["Subject"] == subject
    assert message["Bcc"] is None


# What people read


@pytest.mark.parametrize(
    ("status", "remote", "advice"),
    [
        ("5.1.1", "mx", "Please check the address"),
        ("5.1.10", "mx", "takes no mail"),
        ("5.2.2", "mx", "mailbox is full"),
        ("5.3.4", "mx", "too large"),
        ("4.4.1", "", "could not be reached"),
        # Its time is over: for whatever reason, their server answering or our smarthost refusing the login.
        ("4.4.7", "mx", "could not be handed on in all that time"),
        ("4.4.7", "", "could not be handed on in all that time"),
        ("5.4.4", "", "No mail server was found"),
        ("5.6.7", "mx", "international addresses"),
        ("5.7.1", "mx", "did not want the message"),
    ],
)
def test_people_hear_what_they_can_do(status: str, remote: str, advice: str) -> None:
    text = Bounce(made(Reported(BOB, Action.FAILED, status, None, remote, "550 no"))).text
    assert advice in " ".join(text.split())


def test_what_we_refused_ourselves_is_not_put_on_others() -> None:
    text = Bounce(made(Reported(BOB, Action.FAILED, "5.7.1", None, "", "it was dropped by the administrator"))).text
    assert "their mail server" not in text.lower()
    assert "it was dropped by the administrator" in text


def test_who_gave_up_says_for_how_long_it_was_tried() -> None:
    late = Reported(BOB, Action.FAILED, "4.4.1", None, "", "connection refused")
    assert "It was tried for 5 days" in Bounce(made(late, now=ARRIVED + 5 * DAY)).text
    assert "It was tried for 1 hour," in Bounce(made(late, now=ARRIVED + 3700)).text
    assert "tried for" not in Bounce(made()).text


def test_several_kinds_are_told_apart_and_failure_comes_first() -> None:
    bounce = Bounce(made(Reported(Address.parse("eve@d.example"), Action.RELAYED), REFUSED))
    assert bounce.message["Subject"].startswith("Not delivered:")
    assert re.search(r"could\snot\sbe\sdelivered.*was\shanded\sto", bounce.text, re.DOTALL)


# Nothing gets in by way of what others said


NASTY = [
    "550 5.1.1 no\r\n\r\n--=_7d1f0b6c9e2a4853\r\nContent-Type: text/html\r\n\r\n<script>",
    "550 no\r\nBcc: victim@c.example",
    "550 \x1b]0;owned\x07\x00\x7f\x85\u2028\u202e",
    "550 " + "x" * 100_000,
    "550-" + "many words " * 10_000,
    "\n".join(f"550-line {n}" for n in range(10_000)),
    "550 " + "😀" * 5000,
    "550 \ud800 lone",
    "550",
    "٥٥٠ digits",
    "",
]


@pytest.mark.parametrize("reply", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("to", [ANN, Address.parse("änne@a.example")], ids=["ascii", "utf8"])
def test_no_reply_does_more_than_be_shown(reply: str, to: Address) -> None:
    octets = made(Reported(BOB, Action.FAILED, "5.0.0", None, "mx", reply, ARRIVED), to=to)
    assert len(octets) < 12_000
    bounce = Bounce(octets)
    assert bounce.message["Bcc"] is None
    assert len(bounce.message.get_payload()) == 3
    assert [group["Action"] for group in status_of(octets)[1:]] == ["failed"]
    assert not {character for character in bounce.text if not character.isprintable()} - {"\n"}


printable = st.characters(codec="utf-8", exclude_categories=["Cs"])
addresses = st.one_of(
    st.from_regex(r"[a-z0-9+=!.\\-]{1,40}", fullmatch=True).map(lambda local: Address(local, "b.example")),
    st.text(printable, max_size=16).map(lambda local: Address(local.replace("\r", "").replace("\n", ""), "b.example")),
)
reported = st.builds(
    Reported,
    address=addresses,
    action=st.sampled_from(Action),
    status=st.one_of(st.sampled_from(["5.1.1", "4.4.1", "2.0.0"]), st.text(max_size=12)),
    original=st.one_of(st.none(), st.text(max_size=500)),
    remote=st.text(max_size=300),
    reply=st.one_of(st.text(max_size=2000), st.text(max_size=50).map(lambda text: f"550 {text}")),
    attempted=st.one_of(st.none(), st.floats(0, 4e9)),
    retry_until=st.one_of(st.none(), st.floats(0, 4e9)),
)


@given(
    st.lists(reported, min_size=1, max_size=4),
    st.one_of(st.just(HEAD), st.binary(max_size=2000), st.text(max_size=500).map(lambda text: HEAD + text.encode())),
    st.one_of(st.none(), st.binary(max_size=2000), st.just(HEAD + BODY)),
    st.one_of(st.none(), st.text(max_size=100)),
    st.sampled_from([ANN, Address.parse("änne@a.example")]),
)
def test_whatever_is_put_in_a_report_is_one(
    recipients: list[Reported], head: bytes, original: bytes | None, envid: str | None, to: Address
) -> None:
    octets = made(*recipients, head=head, original=original, envid=envid, to=to)
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    assert b"\0" not in octets
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    header_of_it = octets.partition(b"\r\n\r\n")[0]
    assert header_of_it.isascii() or not to.is_ascii
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert len(message.get_payload()) == 3
    names = [name.lower() for name in message]
    assert len(set(names)) == len(names)
    assert set(names) <= {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "in-reply-to", "references", "mime-version",
        "content-type", "content-transfer-encoding",
    }  # fmt: skip
    first, *groups = status_of(octets)
    assert first["Reporting-MTA"] == "dns; mail.a.example"
    assert len(groups) == len(recipients)
    for group, each in zip(groups, recipients, strict=True):
        assert group["Action"] == each.action
        assert re.fullmatch(r"[245](?:\.(?:0|[1-9][0-9]{0,2})){2}", group["Status"])
        assert {"Final-Recipient", "Action", "Status"} <= group.keys()
        assert group.keys() <= {
            "Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
            "Last-Attempt-Date", "Will-Retry-Until",
        }  # fmt: skip
        for name in ("Last-Attempt-Date", "Will-Retry-Until"):
            assert name not in group or datetime.strptime(group[name], "%a, %d %b %Y %H:%M:%S %z")
        if to.is_ascii:
            assert "".join(group.values()).isascii()


@given(st.text(), st.integers(0, 60))
def test_what_is_cleaned_can_be_seen_on_one_line(text: str, octets: int) -> None:
    cleaned = clean(text, octets)
    assert len(cleaned.encode()) <= octets
    assert cleaned.isprintable()
    assert cleaned == cleaned.strip()


def test_a_long_reply_is_cut_in_lines_and_octets() -> None:
    reply = "\n".join(f"550-{'x' * 50} {n}" for n in range(100))
    lines = Reported(BOB, Action.FAILED, remote="mx", reply=reply).lines
    assert len(lines) == MOST_LINES
    assert sum(len(line) for line in Reported(BOB, Action.FAILED, reply="y" * 5000).lines) == MOST_OCTETS


def test_nobody_and_nothing_have_no_report() -> None:
    with pytest.raises(ValueError, match="somebody"):
        made(to=Address.NULL)
    with pytest.raises(ValueError, match="somebody"):
        report(to=ANN, hostname="x", ident="", arrived=0, recipients=[], original_head=b"", now=0, token="t")


# Whether anything is to be told at all


@pytest.mark.parametrize(
    ("state", "notify", "expected"),
    [
        (State.FAILED, None, Action.FAILED),
        (State.FAILED, "FAILURE", Action.FAILED),
        (State.FAILED, "SUCCESS FAILURE DELAY", Action.FAILED),
        (State.FAILED, "SUCCESS", None),
        (State.FAILED, "DELAY", None),
        (State.FAILED, "NEVER", None),
        (State.WAITING, None, Action.DELAYED),
        (State.WAITING, "DELAY", Action.DELAYED),
        (State.WAITING, "FAILURE", None),
        (State.WAITING, "NEVER", None),
        (State.HELD, None, None),
        (State.HELD, "DELAY", None),
        (State.SENT, None, None),
        (State.SENT, "SUCCESS", None),
        (State.RELAYED, None, None),
        (State.RELAYED, "SUCCESS", Action.RELAYED),
        (State.RELAYED, "FAILURE DELAY", None),
        (State.RELAYED, "NEVER", None),
        (State.DELIVERED, None, None),
        (State.DELIVERED, "SUCCESS", Action.DELIVERED),
        (State.DELIVERED, "FAILURE", None),
        (State.DELIVERED, "NEVER", None),
        (State.EXPANDED, "SUCCESS", Action.EXPANDED),
        (State.EXPANDED, None, None),
    ],
)
def test_senders_hear_what_they_asked_for(state: State, notify: str | None, expected: Action | None) -> None:
    asked = Notification(None if notify is None else frozenset(notify.split()))
    assert wanted(state, asked, ANN) is expected
    assert wanted(state, asked, Address.NULL) is None


def test_every_state_has_been_thought_of() -> None:
    told = {state for state in State if wanted(state, Notification(frozenset({"SUCCESS", "FAILURE", "DELAY"})), ANN)}
    assert set(State) - told == {State.SENT, State.HELD}


def test_a_recipient_of_the_queue_is_reported_with_all_that_is_known() -> None:
    waiting = Waiting(
        BOB,
        State.WAITING,
        0.0,
        7,
        Notification(None, "rfc822;info@b.example"),
        False,
        ARRIVED,
        "mx",
        "4.2.0",
        "450 later",
    )
    told = Reported.of(waiting, Action.DELAYED, expires=ARRIVED + DAY)
    assert told == Reported(
        BOB, Action.DELAYED, "4.2.0", "rfc822;info@b.example", "mx", "450 later", ARRIVED, ARRIVED + DAY
    )
    assert told.is_of_remote


# The examples of RFC 3461 10: what stands in them is found in ours


@pytest.mark.parametrize(
    ("hostname", "recipient", "expected"),
    [
        (
            "mail.example.com",  # 10.6
            Reported(Address.parse("Bob@Example.COM"), Action.DELIVERED, "2.0.0", "rfc822;Bob@Example.COM"),
            {"Original-Recipient": "rfc822; Bob@Example.COM", "Final-Recipient": "rfc822; Bob@example.com",
             "Action": "delivered", "Status": "2.0.0"},
        ),
        (
            "example.org",  # 10.7
            Reported(Address.parse("Carol@Ivory.EDU"), Action.FAILED, "", "rfc822;Carol@Ivory.EDU", "Ivory.EDU",
                     "550 error - no such recipient"),
            {"Original-Recipient": "rfc822; Carol@Ivory.EDU", "Final-Recipient": "rfc822; Carol@ivory.edu",
             "Action": "failed", "Status": "5.0.0", "Remote-MTA": "dns; Ivory.EDU",
             "Diagnostic-Code": "smtp; 550 error - no such recipient"},
        ),
        (
            "ivory.edu",  # 10.8
            Reported(Address.parse("Dana@Ivory.EDU"), Action.RELAYED, "2.0.0", "rfc822;Dana@Ivory.EDU"),
            {"Original-Recipient": "rfc822; Dana@Ivory.EDU", "Final-Recipient": "rfc822; Dana@ivory.edu",
             "Action": "relayed", "Status": "2.0.0"},
        ),
        (
            "boondoggle.gov",  # 10.9
            Reported(Address.parse("Sam@Boondoggle.GOV"), Action.FAILED, "4.2.2", "rfc822;George@Tax-ME.GOV"),
            {"Original-Recipient": "rfc822; George@Tax-ME.GOV", "Final-Recipient": "rfc822; Sam@boondoggle.gov",
             "Action": "failed", "Status": "4.2.2"},
        ),
    ],
)  # fmt: skip
def test_the_examples_of_rfc_3461(hostname: str, recipient: Reported, expected: dict[str, str]) -> None:
    octets = made(recipient, hostname=hostname, envid="QQ314159", ret="HDRS", original=HEAD + BODY)
    [message, group] = status_of(octets)
    assert message["Original-Envelope-Id"] == "QQ314159"
    assert message["Reporting-MTA"] == f"dns; {hostname}"
    assert group == expected
    assert Bounce(octets).returned.get_content_type() == "text/rfc822-headers"
