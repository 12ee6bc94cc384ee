"""`mailsystem fault`: rules for a sink that runs or does not, and mail that answers mail."""

from __future__ import annotations

import asyncio
import email
import email.policy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailsystem.app import opened
from mailsystem.settings import Settings

if TYPE_CHECKING:
    from conftest import Cli

LETTER = b"From: shop@example.org\nTo: Ann <ann@example.net>\nSubject: Your order\n\nThank you.\n"


def test_faults_come_are_listed_and_go(cli: Cli) -> None:
    assert cli("fault", "list").out == "nothing goes wrong\n"
    told = cli("fault", "add", "smtp", "rcpt", "to=*@shop.test", "reply=451 4.7.1 later", "times=2")
    assert told.out == 'fault 1: smtp RCPT to=*@shop.test reply="451 4.7.1 later" times=2\n'
    line = "imap IDLE disconnect=before delay=5 namespace=job-7"
    assert cli("fault", "add", line, "--json").json == {
        "id": 2,
        "line": "imap IDLE namespace=job-7 delay=5 disconnect=before",
    }
    assert [each["id"] for each in cli("fault", "list", "--json").json] == [1, 2]
    assert [each["id"] for each in cli("fault", "list", "--json", "--namespace", "job-7").json] == [2]
    assert '451 4.7.1 later" times=2' in cli("fault", "list").out
    assert cli("fault", "reset", "1").out == "1 fault is counted anew\n"
    assert cli("fault", "reset").out == "2 faults are counted anew\n"
    assert cli("fault", "clear", "--namespace", "job-7").out == "1 fault is gone\n"
    assert cli("fault", "remove", "1").out == "fault 1 is gone\n"
    assert cli("fault", "clear", "--json").json == {"count": 0}


def test_what_makes_no_sense_is_refused_in_a_sentence(cli: Cli) -> None:
    assert "no stage FETCH" in cli.refused("fault", "add", "smtp", "FETCH", "reply=550")
    assert cli.refused("fault", "add", "smtp") == "a fault begins with a door and a stage, such as smtp RCPT"
    assert "there is no fault 7" in cli.refused("fault", "remove", "7")
    assert "there is no fault 7" in cli.refused("fault", "reset", "7")


def test_a_server_has_none(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    assert "only a sink has faults" in cli.refused("fault", "add", "smtp RCPT reply=550")
    (cli.home / "letter.eml").write_bytes(LETTER)
    about = ("--to", "shop@example.org", "--about", "letter.eml")
    assert "this is for a sink" in cli.refused("fault", "bounce", *about)


async def _inbox(directory: Path, login: str) -> list[bytes]:
    async with opened(Settings(data_dir=directory)) as store:
        account = await store.accounts.find(login)
        listing = await store.maildrops.listing(account.id)
        return [await store.contents.read(each.content, 0, each.size) for each in listing.messages]


@pytest.mark.parametrize(
    ("kind", "said", "report"),
    [
        ("bounce", "a bounce", "delivery-status"),
        ("autoreply", "an autoreply", None),
        ("complaint", "a complaint", "feedback-report"),
    ],
)
def test_an_answer_is_delivered(cli: Cli, kind: str, said: str, report: str | None) -> None:
    (cli.home / "letter.eml").write_bytes(LETTER)
    told = cli("fault", kind, "--to", "shop@example.org", "--about", "letter.eml")
    assert told.out == f"{said} is in the mailbox of shop@example.org\n"
    [octets] = asyncio.run(_inbox(cli.data_dir, "shop@example.org"))
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message["Return-Path"] == "<>"
    assert message["To"] == "shop@example.org"
    assert message.get_param("report-type") == report
    assert "ann@example.net" in octets.decode()


def test_a_bounce_says_what_it_was_told_and_can_be_printed(cli: Cli) -> None:
    (cli.home / "letter.eml").write_bytes(LETTER)
    about = ("--to", "shop@example.org", "--about", "letter.eml", "--print")
    told = cli("fault", "bounce", *about, "--from", "bob@example.com", "--reply", "552 5.2.2 full").out
    assert "Final-Recipient: rfc822; bob@example.com\n" in told
    assert "Status: 5.2.2\n" in told
    assert "is no refusal" in cli.refused("fault", "bounce", *about, "--reply", "250 ok")


def test_what_nobody_may_answer_is_not(cli: Cli) -> None:
    about = ("--to", "shop@example.org", "--about", "letter.eml")
    assert "cannot read letter.eml" in cli.refused("fault", "autoreply", *about)
    (cli.home / "letter.eml").write_bytes(b"Auto-Submitted: auto-replied\n" + LETTER)
    assert "mail of a program" in cli.refused("fault", "bounce", *about)
    (cli.home / "letter.eml").write_bytes(b"Precedence: bulk\n" + LETTER)
    assert "mail of a program or of a list" in cli.refused("fault", "autoreply", *about)
    (cli.home / "letter.eml").write_bytes(b"Subject: x\n\nx\n")
    assert "--from" in cli.refused("fault", "complaint", *about)
    assert "is not an address" in cli.refused("fault", "complaint", *about, "--from", "@")
