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
