"""aioimaplib, the asyncio client of home automation: it lives in IDLE and takes apart by itself what it is told there."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator

import messages
import pytest
from aioimaplib import IMAP4_SSL
from overheard import Overheard
from program import House, Person
from wire import Imap, Smtp

pytestmark = pytest.mark.judge


@pytest.fixture
async def client(house: House, person: Person) -> AsyncIterator[IMAP4_SSL]:
    context = ssl.create_default_context(cafile=str(house.authority))
    client = IMAP4_SSL("localhost", house.program.ready["imaps"]["port"], timeout=20, ssl_context=context)
    await client.wait_hello_from_server()
    assert (await client.login(person.login, person.password)).result == "OK"
    yield client
    await client.logout()


async def heard(client: IMAP4_SSL, *wanted: bytes) -> None:
    """Returns when the server has said all that."""
    missing = list(wanted)
    while missing:
        for line in await client.wait_server_push(timeout=15):
            missing = [pattern for pattern in missing if not re.search(pattern, line)]


async def test_an_idling_client_hears_of_mail_flags_and_expunges(
    client: IMAP4_SSL, house: House, person: Person, overheard: Overheard
) -> None:
    assert client.has_capability("IDLE")
    assert (await client.select("INBOX")).result == "OK"
    idling = await client.idle_start(timeout=60)
    with Smtp(house.program.smtp) as sender:
        assert sender.message("ann@elsewhere.example", [person.login], messages.simple("first"))[0] == 250
    await heard(client, rb"1 EXISTS")
    with Imap(house.program.imap, person.login, person.password) as other:
        other.append("INBOX", messages.simple("second"))
        await heard(client, rb"2 EXISTS")
        other.ok(b"SELECT INBOX")
        other.ok(b"STORE 1 +FLAGS (\\Flagged)")
        await heard(client, rb"1 FETCH .*\\Flagged")
        other.ok(b"STORE 2 +FLAGS (\\Deleted)")
        other.ok(b"EXPUNGE")
        await heard(client, rb"2 EXPUNGE")
    client.idle_done()
    await asyncio.wait_for(idling, 10)
    assert (await client.noop()).result == "OK", "after DONE commands go on"
    said = overheard.dialog()
    assert said.asked("IDLE")
    assert said.asked("DONE")
    assert not said.refused()


async def test_messages_are_found_fetched_moved_and_deleted(client: IMAP4_SSL) -> None:
    bodies = [messages.ODD["8-bit"], messages.simple("two"), messages.large(100_000)]
    for raw in bodies:
        assert (await client.append(raw, "INBOX", flags="\\Seen")).result == "OK"
    await client.select("INBOX")
    found = await client.uid_search("SUBJECT two", charset=None)
    assert found.lines[0].split() == [b"2"]
    fetched = await client.uid("fetch", "1:3", "(UID RFC822.SIZE BODY.PEEK[])")
    assert [bytes(line) for line in fetched.lines if isinstance(line, bytearray)] == bodies
    await client.uid("store", "1", "+FLAGS (\\Flagged)")
    assert (await client.create("Holidays")).result == "OK"
    assert (await client.copy("1", "Holidays")).result == "OK"
    assert (await client.move("2", "Holidays")).result == "OK"
    await client.uid("store", "1", "+FLAGS (\\Deleted)")
    await client.uid("expunge", "1")
    status = await client.status("Holidays", "(MESSAGES UIDNEXT)")
    assert b"MESSAGES 2" in status.lines[0]
    assert (await client.search("ALL")).lines[0].split() == [b"1"]
    assert (await client.namespace()).result == "OK"


async def test_extensions_are_enabled_and_the_quota_is_told(client: IMAP4_SSL, house: House, person: Person) -> None:
    house.limit(person, "1MB")
    enabled = await client.enable("CONDSTORE")
    assert b"ENABLED CONDSTORE" in enabled.lines
    selected = await client.select("INBOX")
    assert any(b"[HIGHESTMODSEQ " in line for line in selected.lines)
    quota = await client.getquotaroot("INBOX")
    assert quota.result == "OK"
    assert any(b"STORAGE 0 977" in line for line in quota.lines)
