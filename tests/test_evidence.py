"""How each message came, word for word, and what became of it: told to whoever asks, in the moment after the 250."""

from __future__ import annotations

import asyncio
import imaplib
import poplib
import re
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailsystem.app import Running, running
from mailsystem.mail.mailbox import ContentId, MessageSet
from mailsystem.settings import Imap, Lmtp, Pop3, Settings, Smtp, Submission
from mailsystem.settings.model import Journal
from mailsystem.store import SessionRecord

T = TypeVar("T")
SECRET = "korrekt-horse-battery"
ANN, BOB = "ann@example.org", "bob@example.org"


def settings(tmp_path: Path, **more: Any) -> Settings:
    quiet: dict[str, Any] = {
        "data_dir": tmp_path / "data",
        "host": "127.0.0.1",
        "hostname": "mail.example.org",
        "cleartext_login": True,
        "smtp": Smtp(port=0),
        "submission": Submission(port=0),
        "lmtp": Lmtp(port=0),
        "pop3": Pop3(port=0),
        "imap": Imap(port=0),
    }
    return Settings(**{**quiet, **more})


@asynccontextmanager
async def sink(tmp_path: Path, **more: Any) -> AsyncIterator[Running]:
    async with running(settings(tmp_path, **more), sink=True) as house:
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Running]:
    async with sink(tmp_path) as house:
        yield house


async def with_client(house: Running, work: Callable[[smtplib.SMTP], T], door: str = "smtp") -> T:
    """Do `work` as a client of the standard library, which then says goodbye."""

    def whole() -> T:
        kind = smtplib.LMTP if door == "lmtp" else smtplib.SMTP
        with kind("127.0.0.1", house.bound[door].port, "client.example") as client:
            return work(client)

    return await asyncio.to_thread(whole)


async def raw(house: Running, *pieces: bytes, door: str = "smtp") -> bytes:
    """Say these octets, each once something was heard; all that was answered. The connection is cut at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.bound[door].port)
    heard = await reader.readline()
    for piece in pieces:
        writer.write(piece)
        heard += await asyncio.wait_for(reader.read(65536), 10)
    writer.transport.abort()
    return heard


async def last(house: Running) -> SessionRecord:
    return (await house.store.journal.sessions(1))[0]


async def until_ended(house: Running, count: int = 1) -> Sequence[SessionRecord]:
    async with asyncio.timeout(10):
        while True:
            found = await house.store.journal.sessions()
            if len(found) >= count and all(each.ended for each in found):
                return found
            await asyncio.sleep(0.01)


def said(session: SessionRecord) -> list[str]:
    return [f"{line.who} {line.text}" for line in session.lines]


def letter(subject: str = "hi") -> bytes:
    return f"From: {ANN}\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n".encode()


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def test_envelope_and_session_are_there_as_soon_as_the_250(house: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.bound["smtp"].port)
    for line in ("EHLO client.example", f"MAIL FROM:<{ANN}> SIZE=60 BODY=8BITMIME RET=HDRS ENVID=x+2By", "DATA"):
        if line == "DATA":
            writer.write(
                f"RCPT TO:<{BOB}> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@c.example\r\nRCPT TO:<c@x.example>\r\n".encode()
            )
        writer.write(line.encode() + b"\r\n")
        await reader.readuntil(b"ok\r\n" if line.startswith("MAIL") else b"354" if line == "DATA" else b"CODES\r\n")
    writer.write(letter("early") + b".\r\n")
    ident = (await reader.readuntil(b"queued as ")) and (await reader.readline()).decode().strip()
    journal = house.store.journal
    [life] = await journal.find(ident)
    evidence = await journal.evidence(life.content)
    assert evidence is not None
    assert (evidence.id, evidence.sender, evidence.helo, evidence.protocol) == (ident, ANN, "client.example", "ESMTP")
    assert evidence.parameters == {"SIZE": "60", "BODY": "8BITMIME", "RET": "HDRS", "ENVID": "x+2By"}
    assert [tuple(each) for each in evidence.recipients] == [
        (BOB, {"NOTIFY": "DELAY,SUCCESS", "ORCPT": "rfc822;b@c.example"}),
        ("c@x.example", {}),
    ]
    assert (evidence.tls, evidence.cipher, evidence.login) == (None, None, None)
    assert evidence.peer == f"127.0.0.1:{writer.get_extra_info('sockname')[1]}"
    assert evidence.octets == len(letter("early"))
    assert abs(evidence.received_at - life.notes[0].at) < 0.001
    assert evidence.session is not None
    session = await journal.session(evidence.session)
    assert session is not None
    assert session == await last(house)
    assert (session.door, session.peer, session.helo) == ("smtp", evidence.peer, "client.example")
    assert (session.ended, session.reason, session.failed) == (None, "", False)
    assert session.messages == [life.content]
    assert said(session)[-3:] == [
        "S 354 go ahead, end with <CRLF>.<CRLF>",
        f"C [{len(letter('early')) + 3} octets]",
        f"S 250 2.0.0 ok, queued as {ident}",
    ]
    writer.write(b"QUIT\r\n")
    await reader.read()
    writer.close()
    [session] = await until_ended(house)
    assert session.reason == "left"
    assert said(session)[-1] == "S 221 2.0.0 bye"
    assert session.messages == [life.content]


async def test_tls_and_login_are_told_and_the_password_is_nowhere(house: Running, tmp_path: Path) -> None:
    def work(client: smtplib.SMTP) -> None:
        client.starttls(context=unverified())
        client.login(ANN, SECRET)
        client.sendmail(ANN, [BOB], letter())

    await with_client(house, work, "submission")

    def wrong(client: smtplib.SMTP) -> None:
        client.docmd("EHLO", "x")
        client.docmd("AUTH", "LOGIN")
        client.docmd("YW5uQGV4YW1wbGUub3Jn")
        client.docmd("a29ycmVrdC1ob3JzZS1iYXR0ZXJ5")
        client.docmd(f"AUHT PLAIN {SECRET}")
        client.docmd("MAIL", "FROM:<>")

    await with_client(house, wrong, "submission")
    second, first = await until_ended(house, 2)
    assert re.fullmatch(r"TLSv1\.[23] \S+", first.tls or "")
    assert (first.login, first.door, second.login) == (ANN, "submission", ANN)
    lines = said(first)
    start = lines.index("C STARTTLS")
    assert lines[start + 1 : start + 3] == ["S 220 2.0.0 go ahead with TLS", f"S [{first.tls}]"]
    assert re.fullmatch(r"C AUTH PLAIN \[redacted\]", next(line for line in lines if line.startswith("C AUTH")))
    assert said(second).count("C [redacted]") == 3
    evidence = await house.store.journal.evidence(first.messages[0])
    assert evidence is not None
    assert f"{evidence.tls} {evidence.cipher}" == first.tls
    assert (evidence.login, evidence.protocol) == (ANN, "ESMTPSA")
    await house.store.journal.settled()
    for path in (tmp_path / "data").glob("mail.db*"):
        octets = path.read_bytes()
        assert SECRET.encode() not in octets
        assert b"a29ycmVrdC1ob3JzZS1iYXR0ZXJ5" not in octets
        if path.name == "mail.db-wal":
            assert b"AUTH PLAIN [redacted]" in octets


async def test_two_messages_of_one_session_name_it_both(house: Running) -> None:
    def work(client: smtplib.SMTP) -> None:
        client.sendmail(ANN, [BOB], letter("one"))
        client.sendmail(BOB, [ANN], letter("two"))

    await with_client(house, work)
    [session] = await until_ended(house)
    assert len(session.messages) == 2
    found = await house.store.journal.evidences(session.messages)
    assert [found[content].session for content in session.messages] == [session.id] * 2
    assert [found[content].sender for content in session.messages] == [ANN, BOB]
    assert not session.failed


async def test_a_refusal_keeps_the_session_without_a_message(house: Running) -> None:
    def work(client: smtplib.SMTP) -> None:
        client.ehlo()
        client.mail(ANN)
        client.docmd("RCPT", "TO:<not an address>")
        client.docmd("DATA")

    await with_client(house, work)
    await with_client(house, lambda client: client.sendmail(ANN, [BOB], letter()))
    fine, refused = await until_ended(house, 2)
    assert (fine.failed, refused.failed, refused.messages) == (False, True, [])
    assert [(each.command, each.reply[:9]) for each in refused.refused] == [
        ("RCPT TO:<not an address>", "501 5.5.4"),
        ("DATA", "554 5.5.1"),
    ]
    assert all(0 <= each.at_ms < 60_000 for each in refused.refused)
    assert await house.store.journal.sessions(only="refused") == [refused]
    assert await house.store.journal.sessions(1) == [fine]
    assert await house.store.journal.sessions(before=fine.id) == [refused]
    assert await house.store.journal.sessions(before=refused.id) == []
    for unknown in ("", "x", "f" * 17, refused.id.upper() + " ", f"{1:016x}", "-" + refused.id[1:]):
        assert await house.store.journal.session(unknown) is None
        assert unknown == f"{1:016x}" or await house.store.journal.sessions(before=unknown) == []


async def test_a_connection_that_breaks_in_the_middle_is_told(house: Running) -> None:
    await raw(house, b"EHLO x\r\n", f"MAIL FROM:<{ANN}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", house.bound["smtp"].port)
    writer.write(f"EHLO x\r\nMAIL FROM:<{ANN}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode())
    await reader.readuntil(b"354 ")
    writer.write(b"Subject: x\r\n\r\nhalf a mess")
    await writer.drain()
    writer.close()
    await raw(house, b"EHLO x\r\nNOOP\r\n")  # a probe: of it nothing is kept
    found = await until_ended(house, 2)
    assert len(found) == 2
    assert {each.reason for each in found} == {"connection closed by the peer"}
    assert all(each.failed and not each.messages for each in found)
    assert [said(each)[-1] for each in found] == ["C [25 octets, and no end]", "C [0 octets, and no end]"]


async def test_pipelined_commands_and_chunks_stand_in_the_order_in_which_they_were_obeyed(house: Running) -> None:
    body = letter("chunks")
    await raw(
        house,
        b"EHLO x\r\n",
        b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nRCPT TO:<>\r\nBDAT 10\r\n%bBDAT %d LAST\r\n%bQUIT\r\n"
        % (ANN.encode(), BOB.encode(), body[:10], len(body) - 10, body[10:]),
    )
    [session] = await until_ended(house)
    start = said(session).index(f"C MAIL FROM:<{ANN}>")
    assert [line[:14] for line in said(session)[start:]] == [
        f"C MAIL FROM:<{ANN}>"[:14],
        "S 250 2.1.0 ok",
        f"C RCPT TO:<{BOB}>"[:14],
        "S 250 2.1.5 ok",
        "C RCPT TO:<>",
        "S 501 5.1.3 ba",
        "C BDAT 10",
        "C [10 octets]",
        "S 250 2.0.0 10",
        f"C BDAT {len(body) - 10} LAST"[:14],
        f"C [{len(body) - 10} octets]"[:14],
        "S 250 2.0.0 ok",
        "C QUIT",
        "S 221 2.0.0 by",
    ]
    assert b"body of chunks" in await house.store.contents.read(session.messages[0])
    assert "body of chunks" not in session.text


async def test_lmtp_is_transcribed_too(house: Running) -> None:
    await raw(
        house,
        b"LHLO x\r\n",
        f"MAIL FROM:<{ANN}>\r\nRCPT TO:<{BOB}>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n".encode(),
        letter() + b".\r\nQUIT\r\n",
        door="lmtp",
    )
    [session] = await until_ended(house)
    assert (session.door, len(session.messages)) == ("lmtp", 1)
    assert sum(line.text.startswith("250 2.0.0 ok, queued") for line in session.lines) == 2


async def test_a_server_keeps_no_transcripts_but_the_envelope(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as house:
        await house.store.accounts.add_domain("example.org")
        await house.store.accounts.add(BOB, None)
        await with_client(house, lambda client: client.sendmail("a@b.example", [BOB], letter(), ["RET=FULL"]))
        content = await only_content(house, BOB)
        assert await house.store.journal.sessions() == []
        evidence = await house.store.journal.evidence(content)
        assert evidence is not None
        assert (evidence.sender, evidence.session, evidence.helo) == ("a@b.example", None, "client.example")
        assert evidence.parameters == {"SIZE": str(len(letter())), "RET": "FULL"}


async def test_a_setting_decides(tmp_path: Path) -> None:
    async with sink(tmp_path, journal=Journal(transcripts=False)) as house:
        await with_client(house, lambda client: client.sendmail(ANN, [BOB], letter()))
        assert await house.store.journal.sessions() == []
    async with running(settings(tmp_path, data_dir=tmp_path / "other", journal=Journal(transcripts=True))) as house:
        await with_client(house, lambda client: client.docmd("MAIL"))
        assert len(await until_ended(house)) == 1
    async with sink(tmp_path / "none", journal=Journal(days=0)) as house:
        await with_client(house, lambda client: client.sendmail(ANN, [BOB], letter()))
        content = await only_content(house, BOB)
        assert await house.store.journal.evidence(content) is None
        life = await house.store.journal.life(content)
        assert life is not None
        assert not life.notes


async def only_content(house: Running, login: str) -> ContentId:
    account = (await house.store.accounts.find(login)).id
    inbox = (await house.store.mailboxes.find(account, "INBOX")).id
    [message] = await house.store.mailboxes.messages(account, inbox, MessageSet(((1, 0xFFFFFFFF),)))
    return message.content


async def test_the_journey_tells_door_client_login_peer_and_time(house: Running) -> None:
    await with_client(house, lambda client: client.sendmail(ANN, [BOB], letter()))
    content = await only_content(house, BOB)

    def by_imap() -> int:
        with imaplib.IMAP4("127.0.0.1", house.bound["imap"].port) as client:
            port: int = client.sock.getsockname()[1]
            client.login(BOB, SECRET)
            client.xatom("ID", '("name" "Judge" "version" "1.0")')
            client.select()
            client.fetch("1", "(BODY[])")
            client.store("1", "+FLAGS", "\\Flagged")
            return port

    def by_pop3() -> None:
        client = poplib.POP3("127.0.0.1", house.bound["pop3"].port)
        client.user(BOB)
        client.pass_(SECRET)
        client.retr(1)
        client.dele(1)
        client.quit()

    await asyncio.to_thread(by_imap)
    await asyncio.to_thread(by_pop3)
    life = await house.store.journal.life(content)
    assert life is not None
    notes = [note for note in life.notes if note.data["door"] in {"imap", "pop3"}]
    assert sorted((note.data["door"], note.name, note.data.get("flags")) for note in notes) == [
        ("imap", "flagged", "+\\Flagged"),
        ("imap", "flagged", "+\\Seen"),
        ("imap", "read", None),
        ("pop3", "deleted", None),
        ("pop3", "read", None),
    ]
    for note in notes:
        assert note.data["login"] == BOB
        assert note.data["peer"].startswith("127.0.0.1")
        assert note.at > 0
    assert {note.data.get("client") for note in notes if note.data["door"] == "imap"} == {"Judge 1.0"}


def _send(client: smtplib.SMTP, subject: str) -> None:
    client.sendmail(ANN, [BOB], letter(subject))


async def test_lives_are_told_by_content_in_the_order_asked_for(house: Running) -> None:
    for number in range(3):
        await with_client(house, partial(_send, subject=str(number)))
    found = await until_ended(house, 3)
    contents = [each.messages[0] for each in found]
    assert [life.content for life in await house.store.journal.lives(contents)] == contents
    unknown = ContentId(999)
    assert [life.content for life in await house.store.journal.lives([unknown, contents[0]])] == [contents[0]]
    assert await house.store.journal.life(unknown) is None
    assert await house.store.journal.lives([]) == []
    assert await house.store.journal.evidence(unknown) is None
