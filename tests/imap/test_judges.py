"""Clients of other people decide whether we speak IMAP: the standard library's, IMAPClient, curl."""

from __future__ import annotations

import asyncio
import imaplib
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import imapclient
import pytest
from imap_door import PASSWORD, Door, Opening
from outside import Certificates, Tool

pytestmark = pytest.mark.judge

MESSAGE = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\nworld\r\n"


async def test_imaplib_finds_its_way(door: Door) -> None:
    def visit() -> None:
        with imaplib.IMAP4(door.bound.host, door.bound.port, timeout=10) as client:
            assert "IMAP4REV1" in client.capabilities
            client.authenticate("PLAIN", lambda _: f"\0ann\0{PASSWORD}".encode())
            assert client.create("work")[0] == "OK"
            assert client.subscribe("work")[0] == "OK"
            assert client.append("work", "(\\Flagged $x)", imaplib.Time2Internaldate(1_000_000_000), MESSAGE)[0] == "OK"
            assert client.append("work", "", "", MESSAGE.replace(b"hello", b"again"))[0] == "OK"  # type: ignore[arg-type]
            assert client.select("work") == ("OK", [b"2"])
            assert client.response("UIDNEXT") == ("UIDNEXT", [b"3"])
            kind, data = client.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
            assert kind == "OK"
            assert isinstance(data[0], tuple)
            assert data[0][1] == MESSAGE
            assert b"RFC822.SIZE %d" % len(MESSAGE) in data[0][0]
            assert imaplib.Internaldate2tuple(data[0][0]) is not None
            assert client.store("1:2", "+FLAGS", "(\\Seen)")[0] == "OK"
            assert client.search(None, "FLAGGED") == ("OK", [b"1"])
            assert client.uid("SEARCH", "KEYWORD", "$x") == ("OK", [b"1"])
            assert client.copy("1", "Trash")[0] == "OK"
            assert client.store("1", "+FLAGS.SILENT", "\\Deleted")[0] == "OK"
            assert client.expunge() == ("OK", [b"1"])
            assert client.status("work", "(MESSAGES UIDNEXT)") == ("OK", [b"work (MESSAGES 1 UIDNEXT 3)"])
            assert client.lsub('""', "w*") == ("OK", [b'() "/" work'])
            assert client.namespace() == ("OK", [b'(("" "/")) (("Other Users/" "/")) NIL'])
            assert client.noop()[0] == client.check()[0] == client.close()[0] == "OK"
            assert client.rename("work", "done")[0] == client.delete("done")[0] == "OK"
            assert client.select()[0] == client.unselect()[0] == "OK"
            client.enable("X-NOTHING")
            assert client.select("nowhere")[0] == "NO"
            with pytest.raises(imaplib.IMAP4.error):
                client.fetch("1", "FLAGS")

    await asyncio.to_thread(visit)


async def test_imapclient_finds_its_way(door: Door) -> None:
    def visit() -> None:
        with imapclient.IMAPClient(door.bound.host, door.bound.port, ssl=False, timeout=10) as client:
            client.plain_login("ann", PASSWORD)
            assert client.has_capability("UIDPLUS")
            assert client.id_({"name": "judge"}) == ((b"name", b"mailsystem"),)
            client.create_folder("Entwürfe/Ämter & Co")
            names = {name: flags for flags, _, name in client.list_folders()}
            assert names["Entwürfe/Ämter & Co"] == (b"\\HasNoChildren",)
            assert names["Sent"] == (b"\\HasNoChildren", b"\\Sent")
            assert client.find_special_folder(b"\\Trash") == "Trash"
            when = datetime(2020, 2, 29, 12, 30, tzinfo=UTC)
            client.append("Entwürfe/Ämter & Co", MESSAGE, ["\\Seen", "$Work"], when)
            chosen = client.select_folder("Entwürfe/Ämter & Co")
            assert (chosen[b"EXISTS"], chosen[b"READ-WRITE"]) == (1, True)
            fetched = client.fetch([1], ["FLAGS", "INTERNALDATE", "ENVELOPE", "BODY[]", "BODYSTRUCTURE"])[1]
            assert fetched[b"BODY[]"] == MESSAGE
            assert set(fetched[b"FLAGS"]) == {b"\\Seen", b"$Work", b"\\Recent"}
            assert fetched[b"INTERNALDATE"].astimezone(UTC).replace(tzinfo=UTC) == when
            assert fetched[b"ENVELOPE"].subject == b"=?utf-8?q?gr=C3=BC=C3=9Fe?="
            assert client.search(["SUBJECT", "grüße"], "UTF-8") == [1]
            assert client.add_flags([1], [imapclient.DELETED])[1] == (b"\\Deleted", b"\\Seen", b"\\Recent", b"$Work")
            client.copy([1], "Trash")
            client.remove_flags([1], [imapclient.DELETED])
            client.move([1], "Archive")
            assert client.folder_status("Archive", ["MESSAGES"]) == {b"MESSAGES": 1}
            client.select_folder("Archive")
            client.idle()
            assert client.idle_check(timeout=0.05) == []
            client.idle_done()
            client.add_flags([1], [imapclient.DELETED])
            client.uid_expunge([1])
            assert client.search() == []
            client.unselect_folder()
            assert client.namespace().personal == (("", "/"),)
            client.delete_folder("Entwürfe/Ämter & Co")

    await asyncio.to_thread(visit)


async def test_imaplib_finds_its_way_under_tls(open_door: Opening, certificates: Certificates) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificates.certificate, certificates.key)
    door = await open_door(tls=server)
    trusting = ssl.create_default_context(cafile=str(certificates.authority))

    def visit() -> None:
        with imaplib.IMAP4("localhost", door.bound.port, timeout=10) as client:
            client.starttls(trusting)
            client.authenticate("PLAIN", lambda _: f"\0ann\0{PASSWORD}".encode())
            assert client.select()[0] == "OK"
            assert client.append("INBOX", "", "", b"x" * 3_000_000)[0] == "OK"  # type: ignore[arg-type]
            [part, _] = client.fetch("1", "BODY[]")[1]
            assert part[1] == b"x" * 3_000_000  # type: ignore[index]

    await asyncio.to_thread(visit)


async def test_curl_finds_its_way(door: Door, tool: Tool, tmp_path: Path) -> None:
    curl = tool("curl")
    url = f"imap://{door.bound.host}:{door.bound.port}"
    letter = tmp_path / "letter.eml"
    letter.write_bytes(MESSAGE)

    async def run(*args: str) -> bytes:
        command = [curl, "-sS", "--max-time", "20", "-u", f"ann:{PASSWORD}", *args]
        return (await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)).stdout

    await run("-T", str(letter), f"{url}/INBOX")
    assert await run(f"{url}/INBOX;UID=1") == MESSAGE
    assert (await run(f"{url}/INBOX;UID=1;SECTION=TEXT")).strip() == b"hello\r\nworld"
    assert b"* SEARCH 1" in await run(f"{url}/INBOX?ALL")
    assert b'"/" Archive' in await run(f"{url}/")
    assert b"COPY completed" not in await run(f"{url}/INBOX", "-X", "UID COPY 1 Archive")
    assert b"MESSAGES 1" in await run(url, "-X", "STATUS Archive (MESSAGES)")
