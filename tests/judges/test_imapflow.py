"""ImapFlow, the IMAP client of EmailEngine and much else on Node.js: it takes every fast path that a server offers."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import messages
import pytest
from obedient import Obedient
from outside import Tool, missing
from overheard import Overheard
from program import House, Person
from wire import Imap, Smtp

import mailsystem

pytestmark = pytest.mark.judge

SCRIPT = Path(__file__).parent / "imapflow/client.js"
INSTALLED = Path(mailsystem.__file__).parents[1] / ".venv/imapflow/node_modules"


Connect = Callable[..., tuple[Obedient, dict[str, Any]]]


@pytest.fixture
def connect(house: House, person: Person, tool: Tool, tmp_path: Path) -> Iterator[Connect]:
    """`connect(**options)`: one that has logged in as `person`, and what it knows of the server."""
    node = tool("node")
    modules = os.environ.get("IMAPFLOW", str(INSTALLED))
    if not (Path(modules) / "imapflow/package.json").exists():
        missing("imapflow")
    started: list[Obedient] = []

    def go(**options: Any) -> tuple[Obedient, dict[str, Any]]:
        client = Obedient(node, str(SCRIPT), home=tmp_path, env={"NODE_PATH": modules})
        started.append(client)
        known = client(
            "connect",
            {
                "host": "localhost",
                "port": house.program.ready["imaps"]["port"],
                "secure": True,
                "tls": {"ca": house.authority.read_text()},
                "auth": {"user": person.login, "pass": person.password},
                **options,
            },
        )
        return client, known

    yield go
    for client in started:
        client.close()


def test_mailboxes_are_listed_with_their_status_made_renamed_and_deleted(
    connect: Connect, overheard: Overheard
) -> None:
    client, _ = connect()
    client("append", "INBOX", messages.simple().decode(), ["\\Seen"])
    listed = {
        folder["path"]: folder
        for folder in client("list", {"statusQuery": {"messages": True, "unseen": True, "uidNext": True}})
    }
    assert listed["Trash"]["specialUse"] == "\\Trash"
    status = listed["INBOX"]["status"]
    assert (status["messages"], status["unseen"], status["uidNext"]) == (1, 0, 2)
    assert client("mailboxCreate", ["Reisen", "Zürich & Köln"])["path"] == "Reisen/Zürich & Köln"
    assert client("mailboxCreate", "INBOX")["created"] is False
    client("mailboxRename", "Reisen", "Fahrten")
    client("mailboxSubscribe", "Fahrten/Zürich & Köln")
    tree = client("listTree")
    assert [f["path"] for f in tree["folders"] if f["name"] == "Fahrten"] == ["Fahrten"]
    client("mailboxDelete", "Fahrten/Zürich & Köln")
    assert "Fahrten/Zürich & Köln" not in [folder["path"] for folder in client("list")]
    assert not overheard.dialog().told(r"^BAD")
    assert client("logout")


def test_messages_are_fetched_downloaded_flagged_copied_moved_and_deleted(
    connect: Connect, overheard: Overheard
) -> None:
    client, _ = connect()
    for raw in (messages.many_parts(3), messages.ODD["8-bit"], messages.large(300_000)):
        told = client("append", "INBOX", raw.decode("latin1"), ["\\Seen", "$Later"], "2024-02-29T12:00:00Z")
        assert told["uidValidity"]
    opened = client("open", "INBOX")
    assert (opened["exists"], opened["uidNext"], opened["readOnly"]) == (3, 4, False)
    found = client(
        "fetch",
        "1:*",
        {"uid": True, "flags": True, "envelope": True, "bodyStructure": True, "internalDate": True, "size": True},
    )
    assert [message["uid"] for message in found] == [1, 2, 3]
    assert len(found[0]["bodyStructure"]["childNodes"]) == 3
    assert found[2]["size"] == len(messages.large(300_000))
    assert found[0]["internalDate"] == "2024-02-29T12:00:00.000Z"
    assert set(found[1]["flags"]) >= {"\\Seen", "$Later"}
    assert client("download", "3")["content"].encode("latin1") == messages.large(300_000)
    [one] = client("fetch", "2", {"source": True, "headers": ["subject"], "bodyParts": ["TEXT"]})
    assert one["source"].encode("latin1") == messages.ODD["8-bit"]

    assert client("search", {"keyword": "$Later", "larger": 100_000}, {"uid": True}) == [3]
    assert client("search", {"or": [{"subject": "nothing such"}, {"on": "2024-02-29"}]}) == [1, 2, 3]
    assert client("messageFlagsAdd", "1", ["\\Flagged"])
    assert client("messageFlagsRemove", {"all": True}, ["$Later"])
    assert client("search", {"flagged": True}) == [1]
    assert client("messageCopy", "1:2", "Archive")["uidMap"] == {"1": 1, "2": 2}
    assert client("messageMove", "2", "Trash")["uidMap"] == {"2": 1}
    assert client("messageDelete", "1", {"uid": True})
    assert client("search", {"all": True}, {"uid": True}) == [3]
    assert client("status", "Archive", {"messages": True})["messages"] == 2
    assert not overheard.dialog().refused()


def test_events_are_heard_while_it_idles(connect: Connect, house: House, person: Person, overheard: Overheard) -> None:
    client, _ = connect()
    client("open", "INBOX")
    client("idleNow")
    with Smtp(house.program.smtp) as sender:
        assert sender.message("ann@elsewhere.example", [person.login], messages.simple())[0] == 250
    assert client("heard", "exists") == {"path": "INBOX", "count": 1, "prevCount": 0}
    with Imap(house.program.imap, person.login, person.password) as other:
        other.ok(b"SELECT INBOX")
        other.ok(b"STORE 1 +FLAGS (\\Flagged)")
        assert "\\Flagged" in client("heard", "flags")["flags"]
        other.ok(b"STORE 1 +FLAGS (\\Deleted)")
        other.ok(b"EXPUNGE")
    assert client("heard", "expunge")["path"] == "INBOX"
    assert client("search", {"all": True}) == []
    said = overheard.dialog()
    assert said.asked("IDLE")
    assert not said.refused()


def test_a_wrong_password_is_told(connect: Connect, person: Person, house: House, tool: Tool, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="AUTHENTICATIONFAILED"):
        connect(auth={"user": person.login, "pass": "wrong"})


def test_it_comes_back_by_qresync_and_hears_what_has_changed(
    connect: Connect, house: House, person: Person, overheard: Overheard
) -> None:
    client, known = connect(qresync=True)
    assert {"QRESYNC", "CONDSTORE", "IMAP4REV2"} <= set(known["enabled"])
    for number in range(10):
        client("append", "INBOX", messages.simple(f"n{number}").decode())
    opened = client("open", "INBOX")
    client("logout")
    with Imap(house.program.imap, person.login, person.password) as other:
        other.ok(b"SELECT INBOX")
        other.ok(b"STORE 2 +FLAGS (\\Flagged)")
        other.ok(b"STORE 4:6,9 +FLAGS (\\Deleted)")
        other.ok(b"EXPUNGE")
    overheard.dialog()
    client, _ = connect(qresync=True)
    again = client("open", "INBOX", {"changedSince": opened["highestModseq"], "uidValidity": opened["uidValidity"]})
    assert again["qresync"] is True
    assert again["exists"] == 6
    events = client("events")
    gone = [data for name, data in events if name == "expunge"]
    assert [data["uid"] for data in gone] == [4, 5, 6, 9]
    assert all(data["earlier"] and data["vanished"] for data in gone)
    [changed] = [data for name, data in events if name == "flags"]
    assert (changed["uid"], "\\Flagged" in changed["flags"]) == (2, True)
    said = overheard.dialog()
    assert said.asked(r"SELECT INBOX \(QRESYNC")
    assert said.told(r"VANISHED \(EARLIER\) 4:6,9")
    assert not said.refused()
    # From now on it hears VANISHED with UIDs.
    client("messageDelete", "7", {"uid": True})
    assert client("heard", "expunge")["uid"] == 7


def test_only_what_has_changed_is_fetched(connect: Connect, house: House, person: Person, overheard: Overheard) -> None:
    client, _ = connect()
    for number in range(5):
        client("append", "INBOX", messages.simple(f"n{number}").decode())
    before = client("open", "INBOX")["highestModseq"]
    with Imap(house.program.imap, person.login, person.password) as other:
        other.ok(b"SELECT INBOX")
        other.ok(b"STORE 3 +FLAGS (\\Flagged)")
    changed, *again = client("fetch", "1:*", {"flags": True, "uid": True}, {"changedSince": before})
    assert all(each["uid"] == 3 for each in again), "what is told may be told again as news"
    assert (changed["uid"], changed["modseq"] > before) == (3, True)
    said = overheard.dialog()
    assert said.asked(r".*CHANGEDSINCE")
    assert not said.refused()


@pytest.mark.parametrize("compressed", [True, False])
def test_all_that_is_said_can_be_compressed(connect: Connect, overheard: Overheard, compressed: bool) -> None:
    client, _ = connect(disableCompression=not compressed)
    assert client("state")["compressed"] is compressed
    raw = messages.large(2_000_000)
    client("append", "INBOX", raw.decode("latin1"))
    client("open", "INBOX")
    assert client("download", "1")["content"].encode("latin1") == raw
    assert bool(overheard.dialog().asked("COMPRESS DEFLATE")) is compressed
    client("idleNow")
    client("append", "INBOX", messages.simple().decode())
    assert client("heard", "exists")["count"] == 2


def test_messages_and_mailboxes_keep_their_ids(connect: Connect) -> None:
    client, known = connect()
    assert "OBJECTID" in known["capabilities"]
    answer = b"Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nReferences: <1@x>\r\n" + messages.simple("Re: hello")
    client("append", "INBOX", (b"Message-ID: <1@x>\r\n" + messages.simple()).decode())
    client("append", "INBOX", answer.decode())
    opened = client("open", "INBOX")
    first, second = client("fetch", "1:2", {"uid": True, "threadId": True})
    assert first["emailId"] != second["emailId"]
    assert first["threadId"] == second["threadId"]
    client("messageMove", "1", "Archive")
    assert client("open", "Archive")["mailboxId"] != opened["mailboxId"]
    [moved] = client("fetch", "1", {"uid": True, "threadId": True})
    assert (moved["emailId"], moved["threadId"]) == (first["emailId"], first["threadId"])
    client("mailboxCreate", "Old")
    named = client("open", "Old")["mailboxId"]
    client("mailboxClose")
    client("mailboxRename", "Old", "New")
    assert client("open", "New")["mailboxId"] == named
    client("open", "Archive")
    assert client("search", {"emailId": first["emailId"]}, {"uid": True}) == [1]
    assert client("search", {"threadId": "T0"}) == []


def test_counts_quota_and_decoded_parts_are_told(
    connect: Connect, house: House, person: Person, overheard: Overheard
) -> None:
    house.limit(person, "1MB")
    client, _ = connect()
    encoded = base64.encodebytes(bytes(range(256)) * 8).replace(b"\n", b"\r\n")
    head = b"Subject: octets\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
    client("append", "INBOX", (head + b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded).decode())
    quota = client("getQuota", "INBOX")
    assert quota["storage"]["limit"] >= 900_000
    assert 2000 < quota["storage"]["usage"] < 8000
    [inbox] = [
        folder
        for folder in client("list", {"statusQuery": {"messages": True, "size": True, "highestModseq": True}})
        if folder["path"] == "INBOX"
    ]
    assert inbox["status"]["messages"] == 1
    assert inbox["status"]["highestModseq"] > 0
    said = overheard.dialog()
    assert said.asked(r"LIST .*RETURN \(.*STATUS \("), "one command tells all counts"
    assert not said.asked("STATUS ")
    client("open", "INBOX")
    [message] = client("fetch", "1", {"bodyParts": ["1"]}, {"binary": True})
    assert message["bodyParts"]["1"].encode("latin1") == bytes(range(256)) * 8
    assert client("search", {"since": "2024-01-01"}) == [1]
    assert client("search", {"before": "2024-01-01"}) == []
    said = overheard.dialog()
    assert len(said.asked("SEARCH (YOUNGER|OLDER)")) == 2
    assert not said.refused()
