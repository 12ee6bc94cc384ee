"""`mailsystem trace` on running servers: what one message went through, told by the doors and read from the store."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import program
import pytest
from wire import Imap, Pop3, Smtp

ANN, BOB = "ann@example.org", "bob@example.org"
PATIENCE = 30.0


def letter(name: str, body: str = "hello\r\n") -> bytes:
    return f"From: eve@example.net\r\nSubject: x\r\nMessage-ID: <{name}@example.net>\r\n\r\n{body}".encode()


class House:
    """A running program and what `mailsystem trace` says beside it."""

    def __init__(self, running: program.Program) -> None:
        self.running = running
        self.home = running.home

    def trace(self, name: str, *args: str, expect: int = 0) -> str:
        data_dir = str(self.running.data_dir)
        return program.command("trace", name, *args, "--data-dir", data_dir, home=self.home, expect=expect)

    def lives(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.trace(name, "--json"))
        return found

    def until(self, name: str, told: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The events of the only message of that name, once they are as they should be."""
        deadline = time.monotonic() + PATIENCE
        while True:
            said = program.command(
                "trace", name, "--json", "--data-dir", str(self.running.data_dir), home=self.home, expect=None
            )
            if said.startswith("["):
                [life] = json.loads(said)
                events: list[dict[str, Any]] = life["events"]
                if told(events):
                    return events
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def post(self, name: str, *recipients: str) -> str:
        """The id that the 250 told."""
        with Smtp(self.running.smtp) as client:
            code, text = client.message("eve@example.net", list(recipients), letter(name))
        assert code == 250
        return text.rpartition(" ")[2]


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def has(*wanted: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda events: set(wanted) <= set(names(events))


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A data directory in which Ann and Bob live."""
    program.add_domain("example.org", data_dir=tmp_path / "data")
    for person in (ANN, BOB):
        program.add_user(person, "secret", data_dir=tmp_path / "data")
    return tmp_path / "data"


def test_a_message_is_told_of_from_its_arrival_to_its_end(people: Path, tmp_path: Path) -> None:
    with program.serve(tmp_path, data_dir=people) as running:
        house = House(running)
        ident = house.post("whole", ANN, BOB)
        with Imap(running.imap, ANN) as phone:
            phone.ok(b'ID ("name" "Pocket Mail" "version" "7")')
            phone.ok(b"SELECT INBOX")
            phone.ok(b"FETCH 1 (FLAGS ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT)] PREVIEW)")
            house.until(ident, has("accepted", "delivered"))
            for _ in range(3):
                phone.ok(b"FETCH 1 BODY[TEXT]")
            phone.ok(b"COPY 1 Archive")
            phone.ok(rb"STORE 1 +FLAGS (\Flagged)")
            phone.ok(b"MOVE 1 Trash")
            phone.ok(b"SELECT Trash")
            phone.ok(rb"STORE 1 +FLAGS.SILENT (\Deleted)")
            phone.ok(b"EXPUNGE")
        with Pop3(running.pop3, BOB) as old:
            old.many(b"RETR 1")
            old.ok(b"DELE 1")
            old.ok(b"QUIT")
        events = house.until(ident, has("expunged", "deleted"))
        assert names(events) == [
            "accepted",
            "delivered",
            "flagged",
            "read",
            "copied",
            "flagged",
            "moved",
            "flagged",
            "expunged",
            "read",
            "deleted",
        ] or names(events)[2:4] == ["read", "flagged"]
        by_name = {event["event"]: event for event in events}
        accepted = by_name["accepted"]
        assert accepted["id"] == ident
        assert accepted["sender"] == "eve@example.net"
        assert accepted["recipients"] == [ANN, BOB]
        assert accepted["protocol"] == "ESMTP"
        assert accepted["peer"].startswith("127.0.0.1:")
        assert by_name["delivered"]["places"] == [
            {"login": ANN, "mailbox": "INBOX", "uid": 1},
            {"login": BOB, "mailbox": "INBOX", "uid": 1},
        ]
        reads = [event for event in events if event["event"] == "read"]
        assert [(read["door"], read["login"], read["times"], read["peer"]) for read in reads] == [
            ("imap", ANN, 3, "127.0.0.1"),
            ("pop3", BOB, 1, "127.0.0.1"),
        ]
        assert reads[0]["client"] == "Pocket Mail 7"
        assert reads[0]["last"] >= reads[0]["time"]
        flags = [event["flags"] for event in events if event["event"] == "flagged"]
        assert flags == ["+\\Seen", "+\\Flagged", "+\\Deleted"]
        moved = by_name["moved"]
        assert (moved["mailbox"], moved["target"], moved["uid"], moved["login"]) == ("INBOX", "Trash", 1, ANN)
        assert by_name["expunged"]["mailbox"] == "Trash"
        assert by_name["deleted"]["login"] == BOB
        [life] = house.lives("<whole@example.net>")
        assert [(place["login"], place["mailbox"]) for place in life["places"]] == [(ANN, "Archive")]
        assert not re.search(r"secret|hello", json.dumps(life))
    # The servers are gone, the journal is not.
    told = House(running).trace("whole@example.net")
    for words in (
        "to ann@example.org INBOX (uid 1)",
        "with Pocket Mail 7",
        "3 times",
        f"now  in  {ANN} Archive (uid 1)",
    ):
        assert words in told
    assert "\x1b" not in told
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4} ", line) for line in told.splitlines()[2:-1])


def test_what_imap_does_to_messages_in_its_other_ways_is_told_too(people: Path, tmp_path: Path) -> None:
    with program.serve(tmp_path, data_dir=people) as running:
        house = House(running)
        with Imap(running.imap, ANN) as client:
            client.append("Drafts", letter("draft"))
            client.ok(b"SELECT Drafts")
            new = letter("final")
            tag = client.tag()
            client.send(tag + b" REPLACE 1 Drafts {%d}\r\n" % len(new))
            assert client.line().startswith(b"+")
            client.send(new + b"\r\n")
            assert client.answer(tag).status == "OK"
            client.ok(b"CREATE Projects")
            client.ok(b"COPY 1 Projects")
            client.ok(b"DELETE Projects")
            client.append("INBOX", letter("inbox"))
            client.ok(b"RENAME INBOX Old")
            client.append("INBOX", letter("closed"), rb"(\Deleted)")
            client.ok(b"SELECT INBOX")
            client.ok(b"CLOSE")
        draft = house.until("draft@example.net", has("appended", "expunged"))
        assert draft[-1]["replaced"] is True
        final = house.until("final@example.net", has("appended", "copied", "expunged"))
        assert [event["mailbox"] for event in final] == ["Drafts", "Drafts", "Projects"]
        moved = house.until("inbox@example.net", has("moved"))[-1]
        assert (moved["mailbox"], moved["target"]) == ("INBOX", "Old")
        house.until("closed@example.net", has("appended", "expunged"))


def test_a_sink_tells_it_too_and_both_doors_of_pop_count(tmp_path: Path) -> None:
    with program.sink(tmp_path) as running:
        house = House(running)
        house.post("caught", ANN)
        with Pop3(running.pop3, ANN) as client:
            client.many(b"TOP 1 0")
            client.many(b"TOP 1 1")
            client.many(b"RETR 1")
        events = house.until("caught@example.net", has("read"))
        assert [(event["event"], event.get("top")) for event in events[2:]] == [("read", True), ("read", None)]
        assert {place["login"] for place in events[1]["places"]} == {ANN, "sink"}


def test_many_messages_of_one_message_id_are_all_told(tmp_path: Path) -> None:
    with program.sink(tmp_path) as running:
        house = House(running)
        first, second = house.post("twin", ANN), house.post("twin", BOB)
        house.until(first, has("delivered"))
        house.until(second, has("delivered"))
        assert [life["events"][0]["id"] for life in house.lives("twin@example.net")] == [first, second]
        assert house.trace("twin@example.net").count("<twin@example.net>") == 2


def test_where_no_days_are_kept_nothing_is_known_and_the_message_comes_all_the_same(tmp_path: Path) -> None:
    with program.sink(tmp_path, env={"MAILSYSTEM_JOURNAL__DAYS": "0"}) as running:
        house = House(running)
        ident = house.post("silent", ANN)
        with Imap(running.imap, ANN) as client:
            client.ok(b"SELECT INBOX")
            assert b"hello" in client.ok(b"FETCH 1 BODY[]").literal()
    # Whoever keeps a journal has written down all of it by now.
    assert f"nothing is known of {ident}" in house.trace(ident, expect=1)


def test_a_process_that_is_killed_loses_the_last_moments_only(tmp_path: Path) -> None:
    running = program.sink(tmp_path)
    with running:
        house = House(running)
        ident = house.post("killed", ANN)
        house.until(ident, has("delivered"))
        running.kill()
    assert has("accepted", "delivered")(house.lives(ident)[0]["events"])


def test_the_log_is_spared_the_lists(tmp_path: Path) -> None:
    env = {"MAILSYSTEM_LOG__FORMAT": "json", "MAILSYSTEM_LOG__LEVEL": "debug"}
    with program.sink(tmp_path, env=env) as running:
        house = House(running)
        house.post("logged", ANN)
        with Imap(running.imap, ANN) as client:
            client.ok(b"SELECT INBOX")
            client.ok(b"FETCH 1 BODY[]")
        house.until("logged@example.net", has("read"))
    events = running.log()
    assert {"delivered", "retrieved", "flagged"} <= {event["event"] for event in events}
    assert not [event for event in events if {"contents", "places", "uids"} & set(event)]
    assert {event["level"] for event in events if event["event"] == "flagged"} == {"debug"}
