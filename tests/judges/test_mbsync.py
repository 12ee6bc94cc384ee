"""mbsync (isync): two-way synchronisation with a Maildir, the strictest everyday user of UIDs and flags."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import messages
import pytest
from outside import Run, Tool
from overheard import Overheard
from program import House, Person
from wire import Imap

pytestmark = pytest.mark.judge


class Pair:
    """An account and its Maildir beside it."""

    def __init__(self, house: House, person: Person, run: Run, mbsync: str, home: Path) -> None:
        self._run, self._mbsync = run, mbsync
        self.maildir = home / "Mail"
        self.maildir.mkdir()
        self._config = home / "mbsyncrc"
        self._config.write_text(
            f"IMAPAccount there\nHost localhost\nPort {house.program.imap.port}\nUser {person.login}\n"
            f'Pass "{person.password}"\nSSLType STARTTLS\nCertificateFile {house.authority}\nSystemCertificates no\n\n'
            "IMAPStore far\nAccount there\n\n"
            f"MaildirStore near\nPath {self.maildir}/\nInbox {self.maildir}/INBOX\nSubFolders Verbatim\n\n"
            "Channel mail\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nRemove Both\n"
            f"SyncState {home}/state/\nCopyArrivalDate yes\n"
        )
        (home / "state").mkdir()
        self.server = Imap(house.program.imap, person.login, person.password)

    def sync(self) -> bytes:
        done = self._run(self._mbsync, "-c", str(self._config), "-V", "mail")
        return done.stdout + done.stderr

    def near(self, folder: str) -> Counter[tuple[bytes, str]]:
        """Subjects and flags in a folder of the Maildir."""
        found: Counter[tuple[bytes, str]] = Counter()
        for kind in ("cur", "new"):
            for file in (self.maildir / folder / kind).iterdir():
                flags = file.name.partition(":2,")[2]
                found[_subject(file.read_bytes()), flags] += 1
        return found

    def far(self, folder: str) -> Counter[tuple[bytes, str]]:
        """The same of the server."""
        letters = {b"\\Seen": "S", b"\\Answered": "R", b"\\Flagged": "F", b"\\Draft": "D", b"\\Deleted": "T"}
        self.server.ok(b'EXAMINE "%s"' % folder.encode())
        found: Counter[tuple[bytes, str]] = Counter()
        if self.server.uids():
            for line in self.server.ok(b"FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").untagged:
                flags = line.partition(b"FLAGS (")[2].partition(b")")[0].split()
                found[_subject(line), "".join(sorted(letters[f] for f in flags if f in letters))] += 1
        self.server.ok(b"UNSELECT")
        return found

    def file(self, folder: str, subject: bytes) -> Path:
        for kind in ("cur", "new"):
            for path in (self.maildir / folder / kind).iterdir():
                if _subject(path.read_bytes()) == subject:
                    return path
        raise AssertionError(subject)

    def set_flags(self, folder: str, subject: bytes, flags: str) -> None:
        path = self.file(folder, subject)
        path.rename(self.maildir / folder / "cur" / (path.name.partition(":")[0] + ":2," + flags))

    def put(self, folder: str, subject: str, flags: str = "") -> None:
        for kind in ("cur", "new", "tmp"):
            (self.maildir / folder / kind).mkdir(parents=True, exist_ok=True)
        name = f"{abs(hash(subject))}.test:2,{flags}"
        (self.maildir / folder / "cur" / name).write_bytes(messages.simple(subject).replace(b"\r\n", b"\n"))

    def state(self) -> tuple[object, ...]:
        """All that there is, on both sides: it must not change when nothing changed."""
        files = sorted(str(path.relative_to(self.maildir)) for path in self.maildir.rglob("*") if path.is_file())
        listed = sorted(self.server.ok(b'LIST "" "*"').untagged)
        names = [line.rpartition(b" ")[2].strip(b'"') for line in listed]
        status = [self.server.ok(b'STATUS "%s" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)' % n).untagged for n in names]
        return ([f for f in files if ".uidvalidity" not in f and ".mbsyncstate" not in f], listed, status)


def _subject(raw: bytes) -> bytes:
    return raw.partition(b"Subject: ")[2].splitlines()[0].strip()


def test_mbsync_carries_messages_flags_deletions_and_folders_both_ways(
    house: House, person: Person, tool: Tool, run: Run, tmp_path: Path, overheard: Overheard
) -> None:
    pair = Pair(house, person, run, tool("mbsync"), tmp_path)
    try:
        _sync_both_ways(pair)
        said = overheard.dialog()
        assert said.asked("COMPRESS DEFLATE"), "it takes what is offered"
        assert not said.refused()
    finally:
        pair.server.close()


def _sync_both_ways(pair: Pair) -> None:
    server = pair.server

    # New messages and folders on the server, some with flags.
    for number in range(20):
        server.append("INBOX", messages.simple(f"far {number}"), b"(\\Seen)" if number % 2 else b"")
    server.ok(b"CREATE Projects/Garden")
    server.append("Projects/Garden", messages.simple("tomatoes"), b"(\\Flagged)")
    pair.sync()
    assert pair.near("INBOX") == pair.far("INBOX")
    assert sum(pair.near("INBOX").values()) == 20
    assert pair.near("Projects/Garden") == Counter({(b"tomatoes", "F"): 1})
    before = pair.state()
    pair.sync()
    assert pair.state() == before

    # New messages and a new folder on this side.
    for number in range(10):
        pair.put("INBOX", f"near {number}", "S" if number % 3 else "")
    pair.put("Letters", "dear friend", "RS")
    pair.sync()
    assert sum(pair.far("INBOX").values()) == 30
    assert pair.near("INBOX") == pair.far("INBOX")
    assert pair.far("Letters") == Counter({(b"dear friend", "RS"): 1})

    # Flags change on both sides at once, of different messages; deletions too.
    pair.set_flags("INBOX", b"far 3", "FS")
    pair.set_flags("INBOX", b"near 4", "RST")
    server.ok(b"SELECT INBOX")
    server.ok(b"STORE 1 +FLAGS.SILENT (\\Answered \\Flagged)")
    server.ok(b"STORE 6:8 +FLAGS.SILENT (\\Deleted)")
    server.ok(b"EXPUNGE")
    server.ok(b"UNSELECT")
    pair.file("INBOX", b"far 12").unlink()
    pair.sync()
    near = pair.near("INBOX")
    assert near == pair.far("INBOX")
    assert sum(near.values()) == 30 - 3 - 1 - 1
    assert near[b"far 0", "FR"] == 1
    assert near[b"far 3", "FS"] == 1

    before = pair.state()
    pair.sync()
    assert pair.state() == before, "a run with nothing to do changes nothing"


def test_mbsync_keeps_odd_messages_whole(house: House, person: Person, tool: Tool, run: Run, tmp_path: Path) -> None:
    pair = Pair(house, person, run, tool("mbsync"), tmp_path)
    try:
        # mbsync puts a mark of its own into the header, so there must be one with an end.
        odd = {name: raw for name, raw in messages.ODD.items() if b"\r\n\r\n" in raw and raw.endswith(b"\r\n")}
        for raw in odd.values():
            assert pair.server.append("INBOX", raw).status == "OK"
        pair.sync()
        files = [f for kind in ("cur", "new") for f in (pair.maildir / "INBOX" / kind).iterdir()]
        found = {messages.digest(_without_tuid(f.read_bytes()).replace(b"\n", b"\r\n")) for f in files}
        missing = [name for name, raw in odd.items() if messages.digest(raw) not in found]
        assert not missing
    finally:
        pair.server.close()


def _without_tuid(raw: bytes) -> bytes:
    return b"".join(line for line in raw.splitlines(keepends=True) if not line.startswith(b"X-TUID: "))
