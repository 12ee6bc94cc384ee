"""A disk that takes nothing more: told as temporary, nothing lost, and all is well again when there is room."""

from __future__ import annotations

import poplib
import resource
from collections.abc import Iterator
from pathlib import Path

import messages
import program
import pytest
from wire import Imap, Smtp

LOGIN = "ann@example.org"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[program.Program]:
    with program.sink(tmp_path) as running:
        yield running


def room(running: program.Program, octets: int) -> None:
    """No file of the program may grow past so many octets: to it, that is a full disk (EFBIG for ENOSPC)."""
    _, hard = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (octets, hard))


def test_a_full_disk_is_told_as_temporary_and_loses_nothing(running: program.Program) -> None:
    promised = []
    with Smtp(running.smtp) as sender:
        room(running, 2 << 20)
        for number in range(100):
            raw = messages.simple(str(number), b"x" * 76 + b"\r\n" + b"y" * 40_000 + b"\r\n")
            code, text = sender.message("bob@example.org", [LOGIN], raw)
            if code != 250:
                assert code in (451, 452)
                assert text.startswith("4.")
                break
            promised.append(messages.digest(raw))
        else:
            pytest.fail("the disk was never full")
        assert sender.message("bob@example.org", [LOGIN], messages.large(3 << 20))[0] in (451, 452)
    assert promised

    # Reading goes on meanwhile, even when nothing at all can be written.
    room(running, 1)
    with Imap(running.imap, LOGIN) as client:
        client.ok(b"SELECT INBOX")
        assert len(client.uids()) == len(promised)
        assert messages.received(client.ok(b"FETCH 1 BODY.PEEK[]").literal()).startswith(b"From: Ann")
        assert client.append("INBOX", messages.large(3 << 20)).status == "NO"
    for _ in range(2):  # no lock is left behind either
        fetching = poplib.POP3(running.pop3.host, running.pop3.port, timeout=10)
        fetching.user(LOGIN)
        fetching.pass_("any")
        assert fetching.stat()[0] == len(promised)
        assert fetching.top(1, 0)[1][0].startswith(b"Return-Path:")
        fetching.dele(1)
        with pytest.raises(poplib.error_proto, match=r"\[SYS/TEMP\]"):
            fetching.quit()
        fetching.close()

    room(running, resource.RLIM_INFINITY)
    with Smtp(running.smtp) as sender:
        raw = messages.large(3 << 20)
        assert sender.message("bob@example.org", [LOGIN], raw)[0] == 250
        promised.append(messages.digest(raw))
    with Imap(running.imap, LOGIN) as client:
        client.ok(b"SELECT INBOX")
        kept = [messages.received(client.ok(b"UID FETCH %d BODY.PEEK[]" % uid).literal()) for uid in client.uids()]
        assert [messages.digest(raw) for raw in kept] == promised
