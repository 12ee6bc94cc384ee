"""OfflineIMAP: two-way synchronisation with a Maildir, by Python's imaplib and a memory of UIDs in SQLite."""

from __future__ import annotations

from pathlib import Path

import messages
import pytest
from outside import Run, Tool
from overheard import Overheard
from program import House, Person
from wire import Imap

pytestmark = pytest.mark.judge


def near(folder: Path) -> dict[bytes, str]:
    """Subjects in a folder of the Maildir, and their flags."""
    files = [file for kind in ("cur", "new") for file in (folder / kind).iterdir()]
    return {subject(file.read_bytes()): file.name.partition(":2,")[2] for file in files}


def far(server: Imap, folder: bytes) -> dict[bytes, set[bytes]]:
    server.ok(b"EXAMINE " + folder)
    lines = server.ok(b"FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").untagged if server.uids() else []
    server.ok(b"UNSELECT")
    return {
        subject(line): set(line.partition(b"FLAGS (")[2].partition(b")")[0].split()) - {b"\\Recent"} for line in lines
    }


def subject(raw: bytes) -> bytes:
    return raw.partition(b"Subject: ")[2].splitlines()[0].strip()


def find(folder: Path, wanted: bytes) -> Path:
    files = [file for kind in ("cur", "new") for file in (folder / kind).iterdir()]
    return next(file for file in files if subject(file.read_bytes()) == wanted)


def test_offlineimap_carries_messages_flags_deletions_and_folders_both_ways(
    house: House, person: Person, tool: Tool, run: Run, tmp_path: Path, overheard: Overheard
) -> None:
    path = tool("offlineimap")
    mail = tmp_path / "Mail"
    config = tmp_path / "offlineimaprc"
    config.write_text(
        f"[general]\naccounts = A\nmetadatadir = {tmp_path}/meta\nui = quiet\nsocktimeout = 30\n\n"
        "[Account A]\nlocalrepository = near\nremoterepository = far\n\n"
        f"[Repository near]\ntype = Maildir\nlocalfolders = {mail}\nsep = /\n\n"
        "[Repository far]\ntype = IMAP\nremotehost = localhost\n"
        f"remoteport = {house.program.ready['imaps']['port']}\nremoteuser = {person.login}\n"
        f"remotepass = {person.password}\nssl = yes\nsslcacertfile = {house.authority}\n"
        "usecompression = yes\n"
        "maxconnections = 2\n"
    )

    def sync() -> None:
        told = run(path, "-c", str(config), "-o")
        assert b"ERROR" not in told.stdout + told.stderr, told

    with Imap(house.program.imap, person.login, person.password) as server:
        for number in range(12):
            server.append("INBOX", messages.simple(f"far {number}"), b"(\\Seen)" if number % 2 else b"")
        server.ok(b"CREATE Projects/Garden")
        server.append("Projects/Garden", messages.ODD["8-bit"], b"(\\Flagged $Forwarded)")
        sync()
        assert near(mail / "INBOX") == {b"far %d" % n: "S" if n % 2 else "" for n in range(12)}
        assert list(near(mail / "Projects/Garden").values()) == ["F"]
        assert (
            find(mail / "Projects/Garden", subject(messages.ODD["8-bit"]))
            .read_bytes()
            .endswith(messages.ODD["8-bit"].partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n"))
        )

        # Now each side changes: new mail, flags, deletions, a folder.
        for number in range(3):
            (mail / "INBOX/cur" / f"{number}.test:2,S").write_bytes(messages.simple(f"near {number}"))
        for kind in ("cur", "new", "tmp"):
            (mail / "Letters" / kind).mkdir(parents=True)
        (mail / "Letters/cur/9.test:2,RS").write_bytes(messages.simple("dear friend"))
        find(mail / "INBOX", b"far 5").unlink()
        flagged = find(mail / "INBOX", b"far 4")
        flagged.rename(mail / "INBOX/cur" / (flagged.name.partition(":")[0] + ":2,FS"))
        server.ok(b"SELECT INBOX")
        server.ok(b"STORE 1 +FLAGS.SILENT (\\Answered)")
        server.ok(b"STORE 7:9 +FLAGS.SILENT (\\Deleted)")
        server.ok(b"EXPUNGE")
        server.ok(b"UNSELECT")
        overheard.dialog()
        sync()
        assert far(server, b"Letters") == {b"dear friend": {b"\\Answered", b"\\Seen"}}
        there = far(server, b"INBOX")
        assert set(there) == {b"far %d" % n for n in (0, 1, 2, 3, 4, 9, 10, 11)} | {b"near 0", b"near 1", b"near 2"}
        assert there[b"far 4"] == {b"\\Flagged", b"\\Seen"}
        assert near(mail / "INBOX").keys() == there.keys()
        assert near(mail / "INBOX")[b"far 0"] == "R"

        # It knew its own messages by APPENDUID, and a run with nothing to do changes nothing.
        said = overheard.dialog()
        assert said.asked("COMPRESS DEFLATE")
        assert len(said.asked("APPEND")) == 4
        assert len(said.told(r"APPENDUID")) == 4
        assert not said.refused()
        sync()
        quiet = overheard.dialog()
        assert not [line for line in quiet.client if line.startswith(("APPEND", "UID STORE", "EXPUNGE", "CREATE"))]
        assert far(server, b"INBOX") == there
