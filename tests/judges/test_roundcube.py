"""Roundcube's own IMAP class, by which the webmail reads: it asks for much and takes the answers apart by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import messages
import pytest
from obedient import Obedient
from outside import Tool, missing
from overheard import Overheard
from program import House, Person
from wire import Imap

import mailsystem

pytestmark = pytest.mark.judge

SCRIPT = Path(__file__).parent / "roundcube/client.php"
UNPACKED = Path(mailsystem.__file__).parents[1] / ".venv/roundcube/usr/share/roundcube"


@pytest.fixture
def roundcube(house: House, person: Person, tool: Tool, tmp_path: Path) -> Iterator[Obedient]:
    php = tool("php")
    library = Path(os.environ.get("ROUNDCUBE", str(UNPACKED))) / "program/lib/Roundcube"
    if not (library / "rcube_imap_generic.php").exists():
        missing("roundcube")
    client = Obedient(php, str(SCRIPT), str(library), home=tmp_path)
    options = {
        "port": house.program.ready["imaps"]["port"],
        "ssl_mode": "ssl",
        "socket_options": {"ssl": {"cafile": str(house.authority), "peer_name": "localhost"}},
        "ident": {"name": "Roundcube"},
        "timeout": 20,
    }
    assert client("connect", "localhost", person.login, person.password, options), client.tell("data")
    yield client
    client("closeConnection")
    client.close()


def test_folders_are_made_listed_counted_renamed_and_deleted(roundcube: Obedient, overheard: Overheard) -> None:
    assert roundcube("getHierarchyDelimiter") == "/"
    assert roundcube("getNamespace")["personal"] == [["", "/"]]
    assert roundcube("createFolder", "Briefe/M&APw-ller")
    assert roundcube("subscribe", "Briefe/M&APw-ller")
    assert "Briefe/M&APw-ller" in roundcube("listSubscribed", "", "*")
    assert roundcube("append", "Briefe/M&APw-ller", messages.simple().decode(), ["SEEN"])
    assert roundcube("countMessages", "Briefe/M&APw-ller") == 1
    status = roundcube("status", "Briefe/M&APw-ller", ["UIDNEXT", "UIDVALIDITY", "UNSEEN"])
    assert (int(status["UIDNEXT"]), int(status["UNSEEN"])) == (2, 0)
    assert roundcube("renameFolder", "Briefe", "Post")
    assert "Post/M&APw-ller" in roundcube("listMailboxes", "", "*", ["SUBSCRIBED"], [])
    assert "\\Trash" in roundcube("data")["LIST"]["Trash"]
    assert roundcube("clearFolder", "Post/M&APw-ller")
    assert roundcube("deleteFolder", "Post/M&APw-ller")
    assert "Post/M&APw-ller" not in roundcube("listMailboxes", "", "*")
    assert not overheard.dialog().refused()


def test_messages_are_listed_read_searched_flagged_and_moved(roundcube: Obedient, overheard: Overheard) -> None:
    for raw in (messages.simple("apples"), messages.simple("pears"), messages.many_parts(3)):
        assert roundcube("append", "INBOX", raw.decode("latin1"), ["FLAGGED"])
    assert roundcube("select", "INBOX")
    headers = roundcube("fetchHeaders", "INBOX", "1:*", True, True)
    assert [headers[uid]["subject"] for uid in ("1", "2")] == ["apples", "pears"]
    assert headers["1"]["flags"]["FLAGGED"]
    assert roundcube("getStructurePartData", headers["3"]["bodystructure"], "2")["type"] == "text"
    assert roundcube("handlePartBody", "INBOX", 1, True, "TEXT").replace("\r\n", "\n") == "Hello.\n"
    assert "apples" in roundcube("fetchPartHeader", "INBOX", 1, True)
    assert roundcube("search", "INBOX", 'SUBJECT "pears"', True)["ids"] == ["2"]
    assert roundcube("search", "INBOX", "NOT FLAGGED", True)["ids"] == []
    assert roundcube("index", "INBOX", "1:*", "SUBJECT", False)["ids"][0] in ("1", "3")
    assert roundcube("UID2ID", "INBOX", 3) == 3
    assert roundcube("flag", "INBOX", "1:2", "SEEN")
    assert roundcube("unflag", "INBOX", "2", "FLAGGED")
    assert roundcube("countUnseen", "INBOX") == 1
    assert roundcube("copy", "1", "INBOX", "Archive")
    assert roundcube("move", "2", "INBOX", "Trash")
    assert roundcube("flag", "INBOX", "1", "DELETED")
    assert roundcube("expunge", "INBOX", "1")
    assert roundcube("search", "INBOX", "ALL", True)["ids"] == ["3"]
    assert roundcube("countMessages", "Trash") == 1
    assert not overheard.dialog().refused()


def test_the_list_of_folders_tells_what_is_subscribed_and_special(roundcube: Obedient, overheard: Overheard) -> None:
    assert roundcube("createFolder", "Vorlagen")
    assert roundcube("createFolder", "Wichtig", ["\\Important"])
    assert roundcube("listMailboxes", "", "*", ["SUBSCRIBED", "CHILDREN"])
    known = roundcube("data")["LIST"]
    assert "\\Subscribed" in known["INBOX"]
    assert "\\Subscribed" not in known["Vorlagen"]
    rights = roundcube("listMailboxes", "", "*", ["MYRIGHTS", "SUBSCRIBED"])
    assert all(set("lrswipkxtea") <= set(told["MYRIGHTS"]) for told in rights.values())
    uses = {"Archive", "Drafts", "Junk", "Sent", "Trash", "Wichtig"}
    assert set(roundcube("listMailboxes", "", "*", [], ["SPECIAL-USE"])) == uses
    assert "INBOX" in roundcube("listMailboxes", "", "*", [], ["SUBSCRIBED"])
    status = roundcube("status", "INBOX", ["SIZE", "HIGHESTMODSEQ", "MAILBOXID"])
    assert (status["SIZE"], status["MAILBOXID"] != "") == ("0", True)
    said = overheard.dialog()
    assert said.asked(r"LIST .*RETURN \(SUBSCRIBED CHILDREN\)")
    assert said.asked(r"LIST \(SPECIAL-USE\)")
    assert said.asked(r"CREATE Wichtig \(USE")
    assert said.asked(r"LIST .*RETURN \(SUBSCRIBED MYRIGHTS\)")
    assert not said.refused()


def test_the_server_sorts_threads_and_counts(roundcube: Obedient, overheard: Overheard) -> None:
    first = b"Message-ID: <1@x>\r\n" + messages.simple("banana")
    answer = b"Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nReferences: <1@x>\r\n" + messages.simple("Re: banana")
    for raw in (first, messages.simple("cherry"), answer, messages.simple("apple")):
        assert roundcube("append", "INBOX", raw.decode())
    assert roundcube("sort", "INBOX", "SUBJECT", "", True)["ids"] == ["4", "1", "3", "2"]
    assert roundcube("sort", "INBOX", "FROM", "UNDELETED", True)["ids"] == ["1", "2", "3", "4"]
    threads = roundcube("thread", "INBOX", "REFERENCES", "", True)
    assert threads["tree"] == {"1": {"3": []}, "2": [], "4": []}
    assert roundcube("thread", "INBOX", "ORDEREDSUBJECT", "", True)["tree"]
    found = roundcube("search", "INBOX", 'SUBJECT "banana"', True, ["MIN", "MAX", "COUNT", "ALL"])
    assert (found["ids"], found["count"], found["min"], found["max"]) == (["1", "3"], 2, 1, 3)
    none = roundcube("search", "INBOX", 'SUBJECT "nothing such"', True, ["COUNT", "ALL"])
    assert (none["ids"], none["count"], none["error"]) == ([], 0, False)
    said = overheard.dialog()
    assert said.asked(r"UID SORT \(DISPLAYFROM\)")
    assert said.told("^\\* ESEARCH")
    assert not said.refused()


def test_it_comes_back_by_qresync(roundcube: Obedient, house: House, person: Person, overheard: Overheard) -> None:
    assert "QRESYNC" in roundcube("enable", "QRESYNC")
    for number in range(6):
        assert roundcube("append", "INBOX", messages.simple(f"n{number}").decode())
    assert roundcube("select", "INBOX")
    known = roundcube("data")
    with Imap(house.program.imap, person.login, person.password) as other:
        other.ok(b"SELECT INBOX")
        other.ok(b"STORE 2 +FLAGS (\\Flagged)")
        other.ok(b"STORE 3:4 +FLAGS (\\Deleted)")
        other.ok(b"EXPUNGE")
    assert roundcube("reselect", "INBOX", [known["UIDVALIDITY"], known["HIGHESTMODSEQ"], [1, 2, 3, 4, 5, 6]])
    data = roundcube("data")
    assert data["VANISHED"] == "3:4"
    assert list(data["QRESYNC"]) == ["2"]
    assert "\\Flagged" in data["QRESYNC"]["2"]["flags"]
    assert int(data["HIGHESTMODSEQ"]) > int(known["HIGHESTMODSEQ"])
    changed = roundcube("fetch", "INBOX", "1:*", True, ["FLAGS"], known["HIGHESTMODSEQ"], True)
    assert list(changed) == ["2"]
    assert not overheard.dialog().refused()


def test_quota_and_rights_are_kept_and_told(
    roundcube: Obedient, house: House, person: Person, overheard: Overheard
) -> None:
    house.limit(person, "1MB")
    quota = roundcube("getQuota", "INBOX")
    assert 900 < quota["total"] <= 1024
    assert quota["used"] < 10
    friend = house.add(f"friend.of.{person.login}")
    assert roundcube("setACL", "Archive", friend.login, "lrs")
    assert sorted(roundcube("getACL", "Archive")[friend.login]) == ["l", "r", "s"]
    assert {"l", "r"} <= set("".join(roundcube("listRights", "Archive", friend.login)["optional"]))
    assert set("lrswipkxtea") <= set(roundcube("myRights", "Archive"))
    assert roundcube("deleteACL", "Archive", friend.login)
    assert friend.login not in roundcube("getACL", "Archive")
    assert not overheard.dialog().refused()


def test_notes_are_kept_with_mailboxes(roundcube: Obedient, overheard: Overheard) -> None:
    """By METADATA, as Roundcube's plugins keep colours and kinds of folders."""
    colour, note = "/private/vendor/kolab/color", "/shared/comment"
    assert roundcube("setMetadata", "INBOX", {colour: "ff0000", note: 'für alle, "zitiert"\r\nund lang'})
    told = roundcube("getMetadata", "INBOX", [colour, note])
    assert told["INBOX"] == {colour: "ff0000", note: 'für alle, "zitiert"\r\nund lang'}
    assert roundcube("deleteMetadata", "INBOX", [colour])
    assert colour not in roundcube("getMetadata", "INBOX", [colour, note])["INBOX"]
    assert roundcube("setMetadata", "Drafts", {colour: "00ff00"})
    assert roundcube("getMetadata", "Drafts", [colour]) == {"Drafts": {colour: "00ff00"}}
    dialog = overheard.dialog()
    assert dialog.asked("SETMETADATA")
    assert not dialog.refused()
    assert not [line for line in (*dialog.client, *dialog.server) if "ff0000" in line]
