"""imap-tools, which most scripts in Python read mail by."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator

import messages
import pytest
from imap_tools import AND, OR, MailBox, MailBoxStartTls, MailMessageFlags, SortCriteria
from overheard import Overheard
from program import House, Person
from wire import Smtp

pytestmark = pytest.mark.judge


@pytest.fixture
def box(house: House, person: Person) -> Iterator[MailBox]:
    context = ssl.create_default_context(cafile=str(house.authority))
    port = house.program.ready["imaps"]["port"]
    with MailBox("localhost", port, timeout=20, ssl_context=context).login(person.login, person.password) as box:
        yield box


def test_a_script_reads_marks_moves_and_deletes_mail(box: MailBox, overheard: Overheard) -> None:
    day = datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.UTC)
    box.append(messages.simple("apples"), "INBOX", dt=day, flag_set=[MailMessageFlags.SEEN])
    box.append(messages.simple("pears"), "INBOX", dt=day + datetime.timedelta(days=2))
    box.append(messages.many_parts(3), "INBOX")
    found = list(box.fetch(AND(subject="pears"), mark_seen=False))
    assert [(message.subject, message.from_, message.to) for message in found] == [
        ("pears", "ann@example.org", ("bob@example.org",))
    ]
    assert [message.uid for message in box.fetch(AND(date=day.date()), headers_only=True, mark_seen=False)] == ["1"]
    assert box.uids(OR(subject="apples", seen=True)) == ["1"]
    assert box.uids(AND(date_gte=day.date(), date_lt=datetime.date(2024, 3, 1))) == ["1"]
    assert [len(list(box.fetch(bulk=bulk, reverse=True))) for bulk in (False, True, 2)] == [3, 3, 3]
    assert box.uids(AND(seen=False)) == [], "they are read now"
    box.flag(["1", "2"], [MailMessageFlags.FLAGGED, "$Later"], True)
    box.flag(["2"], [MailMessageFlags.FLAGGED], False)
    assert box.uids(AND(flagged=True)) == ["1"]
    assert box.uids(AND(keyword="$Later")) == ["1", "2"]
    box.folder.create("Äpfel/Höfe")
    box.copy(["1"], "Äpfel/Höfe")
    box.move(["2"], "Äpfel/Höfe")
    box.delete(["1"])
    assert box.uids() == ["3"]
    box.folder.set("Äpfel/Höfe")
    assert sorted(message.subject for message in box.fetch()) == ["apples", "pears"]
    assert not overheard.dialog().refused()


def test_folders_are_listed_counted_renamed_and_subscribed(box: MailBox) -> None:
    names = {folder.name: folder for folder in box.folder.list()}
    assert "\\Trash" in names["Trash"].flags
    assert names["INBOX"].delim == "/"
    box.folder.create("Ünder/Över")
    box.folder.rename("Ünder", "Unter & oben")
    assert [folder.name for folder in box.folder.list("Unter & oben/", "*")] == ["Unter & oben/Över"]
    box.folder.subscribe("Unter & oben/Över", True)
    assert "Unter & oben/Över" in [folder.name for folder in box.folder.list(subscribed_only=True)]
    box.append(messages.simple(), "Unter & oben/Över")
    status = box.folder.status("Unter & oben/Över")
    assert (status["MESSAGES"], status["UNSEEN"], status["UIDNEXT"]) == (1, 1, 2)
    box.folder.delete("Unter & oben/Över")
    assert not box.folder.exists("Unter & oben/Över")


def test_odd_messages_are_read(box: MailBox) -> None:
    raws = [*messages.ODD.values(), *(raw for raw in messages.library().values() if raw)]
    for raw in raws:
        box.append(raw, "INBOX")
    read = list(box.fetch(bulk=True))
    assert [message.size_rfc822 for message in read] == [len(raw) for raw in raws]


def test_idle_returns_when_mail_comes_and_starttls_serves_as_well(house: House, person: Person) -> None:
    context = ssl.create_default_context(cafile=str(house.authority))
    place = MailBoxStartTls("localhost", house.program.imap.port, timeout=20, ssl_context=context)
    with place.login(person.login, person.password) as box:
        box.idle.start()
        with Smtp(house.program.smtp) as sender:
            assert sender.message("ann@elsewhere.example", [person.login], messages.simple())[0] == 250
        told = box.idle.poll(timeout=10)
        box.idle.stop()
        assert any(b"1 EXISTS" in line for line in told)
        assert [message.subject for message in box.fetch()] == ["hello"]


def test_the_server_sorts(box: MailBox, overheard: Overheard) -> None:
    for name in ("pear", "apple", "Cherry", "banana"):
        box.append(messages.simple(name), "INBOX")
    assert box.uids(sort=SortCriteria.SUBJECT_ASC) == ["2", "4", "3", "1"]
    assert [message.subject for message in box.fetch(sort=SortCriteria.SUBJECT_DESC)] == [
        *("pear", "Cherry", "banana", "apple")
    ]
    assert box.uids(AND(subject="an"), sort="REVERSE ARRIVAL") == ["4"]
    assert overheard.dialog().asked("UID SORT")
