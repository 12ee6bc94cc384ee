"""Sessions in the store: written again while they last, listed, and dropped when they are old or too many."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from vault import TestClock, Vault, spooled

from mailsystem.store import Line, open_store, transcripts
from mailsystem.telemetry import Trace
from mailsystem.telemetry.journal import Recorder
from mailsystem.telemetry.trace import CLIENT, SERVER
from mailsystem.telemetry.transcript import Transcript


def kept(*lines: bytes, began: float | None = None, reason: str | None = "left") -> Transcript:
    transcript = Transcript("smtp", "192.0.2.7:4000")
    if began is not None:
        transcript.began = began
        transcript.number = int(began * 1e6) << 10
    for index, line in enumerate(lines):
        transcript.add(SERVER if index % 2 else CLIENT, line)
    if reason is not None:
        transcript.end(reason)
    return transcript


async def ids(vault: Vault) -> list[str]:
    return [each.id for each in await vault.there.journal.sessions()]


async def test_a_session_reads_as_it_was_said(vault: Vault) -> None:
    one = kept(b"EHLO x", b"250-here\r\n250 SIZE", b"MAIL FROM:<> BODY=7BIT", b"250 ok")
    one.helo, one.tls, one.login = "x", "TLSv1.3 AES", "ann@example.org"
    one.contents = [7, 9]
    await vault.here.journal.write([], [one])
    session = await vault.there.journal.session(one.name)
    assert session is not None
    assert [(line.who, line.text) for line in session.lines] == [
        ("C", "EHLO x"),
        ("S", "250-here"),
        ("S", "250 SIZE"),
        ("C", "MAIL FROM:<> BODY=7BIT"),
        ("S", "250 ok"),
    ]
    assert all(isinstance(line, Line) and 0 <= line.at_ms < 60_000 for line in session.lines)
    assert (session.door, session.peer, session.began, session.ended) == ("smtp", one.peer, one.began, one.ended)
    assert (session.helo, session.tls, session.login) == ("x", "TLSv1.3 AES", "ann@example.org")
    assert (session.messages, session.refused, session.failed) == ([7, 9], [], False)


async def test_what_no_client_may_say_makes_no_line_of_its_own(vault: Vault) -> None:
    one = kept(b"a\nb\r\nc 1 S 250 forged", b"")
    await vault.here.journal.write([], [one])
    [session] = await vault.there.journal.sessions()
    assert [(line.who, line.text) for line in session.lines] == [
        ("C", "a"), ("C", "b"), ("C", "c 1 S 250 forged"), ("S", "")
    ]  # fmt: skip


async def test_one_that_lasts_is_written_again(vault: Vault) -> None:
    one = kept(b"EHLO x", b"250 x", reason=None)
    await vault.here.journal.write([], [one])
    [session] = await vault.there.journal.sessions()
    assert (session.ended, session.failed, session.reason) == (None, False, "")
    one.add(CLIENT, b"DATA")
    one.add(SERVER, b"503 no")
    one.end("too slow")
    await vault.here.journal.write([], [one])
    [session] = await vault.there.journal.sessions()
    assert (len(session.lines), session.ended, session.failed) == (4, one.ended, True)
    assert [each.reply for each in session.refused] == ["503 no"]
    assert await vault.there.journal.sessions(only="refused") == [session]


async def test_sessions_are_listed_from_the_newest_on(vault: Vault) -> None:
    many = [kept(b"MAIL", b"5" if index % 2 else b"2", began=1000.0 + index) for index in range(6)]
    await vault.here.journal.write([], many)
    names = [each.name for each in reversed(many)]
    journal = vault.there.journal
    assert [each.id for each in await journal.sessions(4)] == names[:4]
    assert [each.id for each in await journal.sessions(4, names[3])] == names[4:]
    assert [each.id for each in await journal.sessions(2, only="refused")] == [names[0], names[2]]
    assert [each.id for each in await journal.sessions(2, names[2], "refused")] == [names[4]]


async def test_those_that_are_old_go_with_the_rest(vault: Vault) -> None:
    old, new = kept(b"MAIL", began=1000.0), kept(b"MAIL", began=2000.0)
    await vault.here.journal.write([], [old, new])
    assert await vault.here.journal.forget(2000.0) == 1
    assert await ids(vault) == [new.name]


async def test_no_more_than_so_many_are_kept(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "MOST_SESSIONS", 3)
    many = [kept(b"MAIL", began=1000.0 + index) for index in range(1000)]
    await vault.here.journal.write([], many[:999])
    assert len(await ids(vault)) == 100
    await vault.here.journal.write([], many[999:])
    assert await ids(vault) == [each.name for each in reversed(many[-3:])]
    await vault.here.journal.write([], [kept(b"MAIL", began=3000.0)])
    await vault.here.journal.forget(0.0)
    assert len(await ids(vault)) == 3


async def test_whoever_reads_here_sees_what_happened_before(tmp_path: Path) -> None:
    recorder = Recorder(transcripts=True)
    trace = Trace([recorder], contents=True, transcripts=recorder.transcripts)
    async with open_store(tmp_path, trace=trace, recorder=recorder, journal_days=14) as store:
        ann = await store.accounts.add("ann@example.org", None)
        for number in range(20):
            letter = b"Message-ID: <%d@example.net>\r\n\r\n" % number
            made = await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter))
            web = trace.child("web", peer="192.0.2.7:4000", login="ann@example.org", client="Firefox 140")
            web.event("appended", contents=[made.content], uids=[made.uid], mailbox="INBOX")
            web.event("read", contents=[made.content], mailbox="INBOX")
            web.event("flagged", contents=[made.content], mailbox="INBOX", flags="+\\Seen")
            life = await store.journal.life(made.content)
            assert life is not None
            assert [note.name for note in life.notes] == ["appended", "read", "flagged"]
            for note in life.notes:
                assert note.data["door"] == "web"
                assert note.data["peer"].startswith("192.0.2.7")
                assert (note.data["login"], note.data["client"]) == ("ann@example.org", "Firefox 140")
            if number % 3 == 0:
                await asyncio.sleep(0.2)  # so that the chore that writes is met at its work, too
        assert recorder.waiting == 0


async def test_readers_at_once_all_wait_for_what_is_being_written(tmp_path: Path) -> None:
    recorder = Recorder(transcripts=True)
    trace = Trace([recorder], contents=True, transcripts=recorder.transcripts)
    async with open_store(tmp_path, trace=trace, recorder=recorder, journal_days=14) as store:
        contents = list(range(1, 9001))
        trace.child("imap").event("moved", contents=contents, mailbox="INBOX", target="Trash")
        found = await asyncio.gather(*(store.journal.lives(contents[-3:]) for _ in range(5)))  # type: ignore[arg-type]
        assert [len(lives) for lives in found] == [3] * 5


async def test_a_session_that_lasts_is_seen_by_other_processes_soon(tmp_path: Path) -> None:
    recorder = Recorder(transcripts=True)
    trace = Trace([recorder], contents=True, transcripts=recorder.transcripts)
    async with (
        open_store(tmp_path, trace=trace, recorder=recorder, journal_days=14) as store,
        open_store(tmp_path, clock=TestClock()) as other,
    ):
        session = trace.child("smtp", peer="192.0.2.7:4000")
        session.transcribe("smtp")
        session.line(CLIENT, b"MAIL FROM:<>")
        session.event("delivered", contents=[7])
        assert len(await store.journal.sessions()) == 1
        session.line(SERVER, b"250 ok")
        session.event("delivered", contents=[8])
        session.line(SERVER, b"250 ok again")
        deadline = time.monotonic() + 20
        while len((await other.journal.sessions())[0].lines) < 3:
            assert time.monotonic() < deadline, "it was never written"
            await asyncio.sleep(0.05)
        assert (await other.journal.sessions())[0].messages == [7, 8]
