"""NeoMutt at a terminal: it reads, searches on the server, flags, copies and deletes, and comes back with its header cache."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

import messages
import program
import pytest
from outside import Tool
from overheard import Overheard
from program import House, Person
from wire import Imap

pytestmark = pytest.mark.judge

PATIENCE = 20.0


class Terminal:
    """NeoMutt with one account; `keys` starts it, types, and waits for its end."""

    def __init__(self, house: House, person: Person, neomutt: str, home: Path, more: str = "") -> None:
        self._neomutt, self._home = neomutt, home
        (home / "headers").mkdir()
        (home / "neomuttrc").write_text(
            f'set folder = "imaps://localhost:{house.program.ready["imaps"]["port"]}/"\nset spoolfile = "+INBOX"\n'
            f'set imap_user = "{person.login}"\nset imap_pass = "{person.password}"\n'
            f'set ssl_ca_certificates_file = "{house.authority}"\nunset ssl_verify_dates\n'
            f'set header_cache = "{home}/headers"\nset imap_condstore\nset imap_qresync\nset imap_idle\n'
            "set quit = yes\nset delete = yes\nunset confirmappend\nunset confirmcreate\nunset mark_old\nunset beep\n"
            "unset help\nunset wait_key\nset sleep_time = 0\nset imap_keepalive = 300\nset sort = mailbox-order\n"
            f'set index_format = "<%4C %Z:%s>"\nset trash = ""\n{more}'
        )

    def keys(self, *keys: str, shows: bytes = b"") -> bytes:
        """Types, waits until the screen `shows` that, and quits. Gives all that went to the screen."""
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        pushed = "".join(keys).replace('"', '\\"')
        process = subprocess.Popen(
            [
                *(self._neomutt, "-n", "-F", f"{self._home}/neomuttrc", "-d", "3", "-l", f"{self._home}/debug.log"),
                *(("-e", f'push "{pushed}<quit>"') if not shows else ()),
            ],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=program.environment(self._home, TERM="xterm", LC_ALL="C.UTF-8", LINES="40", COLUMNS="160"),
            start_new_session=True,
        )
        os.close(inner)
        screen = b""
        typed = False
        until = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < until:
                quiet = not select.select([outer], [], [], 0.3)[0]
                if quiet and shows and not typed and shows in screen:
                    os.write(outer, b"q")
                    typed = True
                if not quiet:
                    try:
                        screen += os.read(outer, 65536)
                    except OSError:  # so Linux tells that nobody holds the other end any more
                        break
            assert typed or not shows, (shows, screen[-4000:])
            assert process.wait(max(0.1, until - time.monotonic())) == 0, screen[-4000:]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(outer)
        return screen


def test_neomutt_reads_searches_flags_copies_and_deletes(
    house: House, person: Person, tool: Tool, tmp_path: Path, overheard: Overheard
) -> None:
    terminal = Terminal(house, person, tool("neomutt"), tmp_path)
    with Imap(house.program.imap, person.login, person.password) as server:
        for name in ("apples", "pears", "plums", "figs"):
            server.append("INBOX", messages.simple(name, f"about {name}\r\nof the garden\r\n".encode()))
        overheard.dialog()
        terminal.keys(
            "<display-message><exit>",
            f"<pipe-message>cat > {tmp_path}/piped<enter>",
            "2<enter><flag-message>",
            "3<enter><copy-message>=Früchte<enter>",
            "4<enter><delete-message>",
            "<limit>=b pears<enter>",
            "<limit>all<enter>",
            "<sync-mailbox>",
        )
        assert (tmp_path / "piped").read_bytes().endswith(b"\n\nabout apples\nof the garden\n")
        said = overheard.dialog()
        assert said.asked("IDLE")
        assert said.asked('UID SEARCH BODY "?pears')
        assert said.told("COPYUID")
        # Only the mailbox that is to be made first was not there.
        assert [line[:2] for line in said.refused()] == ["NO", "NO"]
        assert said.told(r"TRYCREATE")
        server.ok(b"SELECT INBOX")
        assert [flags_of(line) for line in server.ok(b"FETCH 1:* FLAGS").untagged] == [{"\\Seen"}, {"\\Flagged"}, set()]
        assert b"MESSAGES 1" in server.ok(b"STATUS Fr&APw-chte (MESSAGES)").untagged[0]


def flags_of(line: bytes) -> set[str]:
    return set(line.partition(b"FLAGS (")[2].partition(b")")[0].decode().split()) - {"\\Recent"}


@pytest.mark.parametrize("memory", ["qresync", "condstore", "nothing"])
def test_neomutt_comes_back_and_sees_what_others_did(
    memory: str, house: House, person: Person, tool: Tool, tmp_path: Path, overheard: Overheard
) -> None:
    switches = {"qresync": "", "condstore": "unset imap_qresync\n", "nothing": "unset imap_condstore imap_qresync\n"}
    terminal = Terminal(house, person, tool("neomutt"), tmp_path, switches[memory])
    with Imap(house.program.imap, person.login, person.password) as server:
        for number in range(30):
            server.append("INBOX", messages.simple(f"number {number}"))
        screen = terminal.keys(shows=b":number 29>")
        assert all(f":number {n}>".encode() in screen for n in range(30))

        server.ok(b"SELECT INBOX")
        server.ok(b"STORE 3 +FLAGS.SILENT (\\Flagged)")
        server.ok(b"STORE 5 +FLAGS.SILENT (\\Seen)")
        server.ok(b"STORE 7:9,20 +FLAGS.SILENT (\\Deleted)")
        server.ok(b"EXPUNGE")
        server.append("INBOX", messages.simple("new"))
        overheard.dialog()
        screen = terminal.keys(shows=b":new>")
        gone = (6, 7, 8, 19)
        shown = {n for n in range(30) if re.search(rb"<[^<>]*:number %d>" % n, screen)}
        assert shown == set(range(30)) - set(gone)
        assert re.search(rb"<[^<>]*!:number 2>", screen)
        assert not re.search(rb"<[^<>]*!:number 4>", screen)
        assert b":new>" in screen
        said = overheard.dialog()
        changed = r"UID FETCH 1:30 \(.*FLAGS\)"
        since = {"qresync": r" \(CHANGEDSINCE \d+ VANISHED\)", "condstore": r" \(CHANGEDSINCE \d+\)", "nothing": "$"}
        assert said.asked(changed + since[memory])
        assert bool(said.told(r"^\* VANISHED \(EARLIER\) 7:9,20$")) is (memory == "qresync")
        # What it knows it does not fetch again; by QRESYNC it looks anew at the numbers that have become free.
        assert len(said.told("HEADER.FIELDS")) == (5 if memory == "qresync" else 1)
        assert said.asked("FETCH (27|.*:27) .*HEADER")
        assert not said.refused()
