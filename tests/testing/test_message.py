"""What a test can ask of a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailsystem.testing import MailFailure, Message
from mailsystem.testing.arrival import Envelope, Parcel
from mailsystem.testing.clients import octets_of
from mailsystem.testing.naming import file_name
from mailsystem.testing.snapshots import Snapshots


def message(email: EmailMessage | bytes, snapshots: Snapshots | None = None) -> Message:
    octets = octets_of(email)
    envelope = Envelope("bob@example.net", ("ann@example.org",))
    return Message(Parcel("M1", b"Return-Path: <>\r\n" + octets, 17, envelope, datetime.now(UTC)), snapshots)


def reset(code: str = "482913", token: str = "eyJhbGciOiJIUzI1NiJ9x8") -> EmailMessage:
    email = EmailMessage()
    email["From"] = "Shop <shop@example.net>"
    email["To"] = "Ann <ann@example.org>, bob@example.org"
    email["Cc"] = "carl@example.org"
    email["Subject"] = "Réset your password"
    email["Date"] = "Fri, 21 Nov 1997 09:55:06 -0600"
    email["List-Unsubscribe"] = "<https://shop.test/leave>, <mailto:leave@shop.test>"
    email["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    email.set_content(f"Your code is {code}.\nhttps://shop.test/reset/{token}\n")
    email.add_alternative(
        f'<p>Your code is <b>{code}</b>. <a href="https://shop.test/reset/{token}">Reset</a> '
        '<a href="https://shop.test/help">Get help</a></p>',
        subtype="html",
    )
    email.add_attachment(b"%PDF-1", maintype="application", subtype="pdf", filename="Terms.pdf")
    email.add_attachment("a,b\n", subtype="csv", filename="list.csv")
    return email


def test_fields_are_decoded() -> None:
    got = message(reset())
    assert got.subject == "Réset your password"
    assert (got.sender, got.to, got.cc) == (
        "shop@example.net",
        ["ann@example.org", "bob@example.org"],
        ["carl@example.org"],
    )
    assert got.date == datetime.fromisoformat("1997-11-21T09:55:06-06:00")
    assert "Your code is 482913." in got.text
    assert "<b>482913</b>" in got.html
    assert got.email.get_body() is not None


def test_of_a_message_without_anything_nothing_is_told() -> None:
    got = message(b"\r\n")
    assert (got.subject, got.sender, got.to, got.date, got.text, got.html) == ("", "", [], None, "", "")
    assert (list(got.links), list(got.attachments), got.unsubscribe) == ([], [], None)


def test_a_link_is_found_by_a_part_or_by_its_words() -> None:
    got = message(reset())
    assert got.link("/reset/") == "https://shop.test/reset/eyJhbGciOiJIUzI1NiJ9x8", "in HTML and text it is the same"
    assert got.link(text="get help") == "https://shop.test/help"
    with pytest.raises(
        MailFailure, match=r"no link matches '/nowhere'.*links of the message:\n  https://shop"
    ) as failure:
        got.link("/nowhere")
    assert "(Get help)" in str(failure.value)
    with pytest.raises(MailFailure, match=r"2 links match 'shop\.test'"):
        got.link("shop.test")


def test_a_code_is_found() -> None:
    got = message(reset())
    assert got.code() == "482913"
    assert got.code(r"\d{6}") == "482913"
    with pytest.raises(MailFailure, match="there is no code"):
        got.code(r"[A-Z]{9}")


def test_a_file_is_found_by_its_name() -> None:
    got = message(reset())
    pdf = got.attachment("*.pdf")
    assert (pdf.filename, pdf.type, pdf.bytes, pdf.size, pdf.inline) == (
        "Terms.pdf",
        "application/pdf",
        b"%PDF-1",
        6,
        False,
    )
    assert got.attachment("list.csv").text == "a,b\r\n"
    with pytest.raises(MailFailure, match=r"no attachments match '\*\.doc'.*: Terms\.pdf, list\.csv"):
        got.attachment("*.doc")
    with pytest.raises(MailFailure, match="2 attachments match"):
        got.attachment()


def test_a_file_is_saved_under_no_name_that_leads_elsewhere(tmp_path: Path) -> None:
    email = EmailMessage()
    email.add_attachment(b"x", maintype="a", subtype="b", filename="../../etc/passwd")
    assert message(email).attachment().save(tmp_path) == tmp_path / "passwd"
    got = message(reset())
    assert got.save(tmp_path / "it.eml").read_bytes() == got.raw


def test_unsubscribe_is_told() -> None:
    found = message(reset()).unsubscribe
    assert found is not None
    assert (found.http, found.mailto, found.one_click) == ("https://shop.test/leave", "mailto:leave@shop.test", True)


def test_a_snapshot_masks_what_changes_and_tells_what_does_not(tmp_path: Path) -> None:
    writing = Snapshots(tmp_path, "test_reset[1]", update=True)
    message(reset(), writing).assert_matches_snapshot()
    [file] = tmp_path.iterdir()
    assert file.name == "test_reset-1.txt"
    assert "Date: <date>" in file.read_text()
    comparing = Snapshots(tmp_path, "test_reset[1]", update=False)
    message(reset(token="OTHERciOiJIUzI1NiJ9x8ab"), comparing).assert_matches_snapshot()
    with pytest.raises(
        MailFailure, match=r"(?s)is not as in .*--mail-snapshot-update.*-Your code is 482913\..*\+Your code is 11"
    ):
        message(reset(code="110022"), Snapshots(tmp_path, "test_reset[1]", update=False)).assert_matches_snapshot()


def test_without_a_snapshot_it_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(MailFailure, match="pytest --mail-snapshot-update writes it"):
        message(reset(), Snapshots(tmp_path, "t", update=False)).assert_matches_snapshot("welcome")
    with pytest.raises(MailFailure, match="that pytest runs"):
        message(reset()).assert_matches_snapshot()


def test_several_snapshots_of_one_test_are_counted_or_named(tmp_path: Path) -> None:
    writing = Snapshots(tmp_path, "t", update=True)
    for name in (None, None, "../Welcome mail"):
        message(reset(), writing).assert_matches_snapshot(name)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["Welcome-mail.txt", "t-2.txt", "t.txt"]


def test_what_is_wrong_with_a_message_is_told() -> None:
    bad = b"From: shop@example.net\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<img src='cid:no'>\r\n"
    got = message(bad)
    assert {"date-missing", "cid-broken"} <= {each.rule for each in got.checks().findings}
    with pytest.raises(
        MailFailure, match=r"is not as it should be:(?s:.*)\n  error date-missing: there is no Date field"
    ):
        got.assert_no_findings()
    assert "date-missing" not in {each.rule for each in got.checks(disabled=["date-missing"]).findings}
    with pytest.raises(ValueError, match="there is no rule nonsense"):
        got.assert_no_findings(disabled=["nonsense"])
    good = reset()
    good["Message-ID"] = "<1@example.net>"
    message(good).assert_no_findings()


def test_the_sender_is_judged_by_the_zone_of_the_test() -> None:
    zone = '$ORIGIN example.net.\n@ TXT "v=spf1 ip4:192.0.2.1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n'
    envelope = Envelope("bob@example.net", ("ann@example.org",), peer="192.0.2.1:5000", helo="mx.example.net")
    octets = octets_of(reset())
    ours = Message(Parcel("M1", octets, 0, envelope, datetime.now(UTC)))
    told = {each.method: each.result for each in ours.checks(zone=zone).results}
    assert told == {"spf": "pass", "dmarc": "pass"}
    foreign = Message(Parcel("M2", octets, 0, replace(envelope, peer="192.0.2.9:5000"), datetime.now(UTC)))
    assert {each.method: each.result for each in foreign.checks(zone=zone).results}["spf"] == "fail"


HOSTILE = (
    b"From: \x1b[31mRed <a@b.test>\r\nTo: \x1b]0;title\x07 <x@y.test>\r\nSubject: \x1b[2J\r\n"
    b"List-Unsubscribe: <mailto:\x1b[31m>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b'--b\r\nContent-Type: text/html\r\n\r\n<a href="http://x.test/">\x1b[31m click \xe2\x80\xae</a>\r\n'
    b"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''%1B%5B31m%9B.pdf\r\n"
    b"\r\nx\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    "ask",
    [
        lambda got: got.link("nowhere"),
        lambda got: got.attachment("nothing"),
        lambda got: got.code(),
        lambda got: got.assert_no_findings("info"),
        lambda got: got.assert_matches_snapshot(),
    ],
)
def test_no_failure_says_what_a_terminal_obeys(ask: Callable[[Message], object], tmp_path: Path) -> None:
    got = message(HOSTILE, Snapshots(tmp_path, "test_it", update=False))
    with pytest.raises(MailFailure) as caught:
        ask(got)
    assert all(c.isprintable() or c in "\n\t" for c in str(caught.value))
    assert "\\x1b[31m" in str(caught.value)
    assert repr(got).isprintable()


def test_a_date_beyond_all_time_is_none() -> None:
    assert message(b"Date: Mon, 1 Jan 99999999999 10:00:00 +0000\r\n\r\n").date is None


def test_brackets_in_the_name_of_a_file_are_brackets() -> None:
    email = reset()
    for number in "12":
        email.add_attachment(number.encode(), maintype="a", subtype="b", filename=f"Report [{number}].pdf")
    assert message(email).attachment("report [2].*").bytes == b"2"


def test_no_two_tests_have_the_same_files() -> None:
    tests = [
        "test_it",
        "test_it[a-b]",
        "test_it[a/b]",
        "test_it[a b]",
        "test_it[]",
        "test_it[\ud800]",
        "t.py::A::test_it",
    ]
    tests += [f"test_it[{'x' * 400}{n}]" for n in "12"] + ["test_it[ü]", "test_it[ä]", "/", "..", " "]
    names = [file_name(each) for each in tests]
    assert names[:2] == ["test_it", "test_it-a-b"]
    assert len(set(names)) == len(names)
    assert all(each and not each.startswith(".") and "/" not in each and len(each.encode()) < 200 for each in names)
