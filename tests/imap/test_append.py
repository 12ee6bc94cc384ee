"""APPEND: octets go in as they are, however large, and nothing is left of what does not go in."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random

import pytest
from imap_door import Client, Door, Opening

from mailsystem.store import Quota

MAILBOX = "INBOX"


async def stored(door: Door, uid: int, mailbox: str = MAILBOX) -> bytes:
    """The octets of one of Ann's messages, from the store itself."""
    [message] = await messages(door, mailbox, uid)
    return await door.store.contents.read(message.content)


async def messages(door: Door, mailbox: str, uid: int) -> list:  # type: ignore[type-arg]
    from mailsystem.mail.mailbox import MessageSet

    box = await door.store.mailboxes.find(door.account.id, mailbox)
    return list(await door.store.mailboxes.messages(door.account.id, box.id, MessageSet.of([uid])))


async def append(client: Client, raw: bytes, arguments: bytes = b"INBOX", *, wait: bool = False) -> str:
    """Append and give the tagged line's response code."""
    if wait:
        await client.send(b"A APPEND %b {%d}\r\n" % (arguments, len(raw)))
        assert (await client.line()).startswith(b"+ ")
        await client.send(raw + b"\r\n")
    else:
        await client.send(b"A APPEND %b {%d+}\r\n%b\r\n" % (arguments, len(raw), raw))
    return (await client.answer(b"A")).code


ODD = {
    "no header": b"\r\nbody",
    "no final newline": b"Subject: x\r\n\r\nhello",
    "bare LF": b"Subject: x\n\nhello\n",
    "bare CR": b"Subject: x\r\rhello\r",
    "8 bit and NUL": bytes(range(256)) * 3,
    "looks like commands": b"a LOGOUT\r\nb NOOP\r\n{100+}\r\n",
    "dots": b".\r\n..\r\n.\r\n",
    "long line": b"Subject: " + b"x" * 200_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("name", ODD)
async def test_a_message_is_kept_octet_by_octet(door: Door, name: str, wait: bool) -> None:
    client = await door.client()
    code = await append(client, ODD[name], wait=wait)
    validity = (await door.store.mailboxes.find(door.account.id, MAILBOX)).uidvalidity
    assert code == f"APPENDUID {validity} 1"
    assert await stored(door, 1) == ODD[name]


async def test_flags_and_date_are_kept(door: Door) -> None:
    client = await door.client()
    await append(client, b"x", b'Sent (\\Seen $Label \\draft) "17-Jul-1996 02:44:25 -0700"')
    [message] = await messages(door, "Sent", 1)
    assert message.flags == {"\\Seen", "$Label", "\\Draft"}
    assert message.internaldate == 837596665.0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (b"nowhere", "TRYCREATE"),
        (b"INBOX (\\Recent)", ""),
        (b"INBOX (\\Seen", ""),
        (b'INBOX "yesterday"', ""),
        (b"INBOX \\Seen", ""),
        (b"INBOX () ()", ""),
        (b"R&D", "CANNOT"),
    ],
)
async def test_what_is_wrong_with_an_append_is_told_and_the_stream_goes_on(
    door: Door, arguments: bytes, status: str
) -> None:
    client = await door.client()
    assert await append(client, b"z LOGOUT\r\n", arguments) == status
    assert await append(client, b"z LOGOUT\r\n" * 20_000, arguments) == status
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]


async def test_what_follows_the_message_is_an_error(door: Door) -> None:
    client = await door.client()
    assert (await client.say(b"APPEND INBOX {1+}\r\nx y")).status == "BAD"
    assert (await client.say(b"APPEND INBOX {1+}\r\nx{1+}\r\ny")).status == "BAD"
    assert (await client.say(b"APPEND INBOX x")).status == "BAD"
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]


async def nothing_left(door: Door) -> None:
    """What is still being written goes when it is."""
    async with asyncio.timeout(5):
        while os.listdir(door.store.contents._incoming):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("wait", [True, False])
async def test_a_large_message_is_kept_octet_by_octet_and_leaves_no_temporary_file(door: Door, wait: bool) -> None:
    raw = b"Subject: large\r\n\r\n" + random.Random(7).randbytes(5_000_000)
    client = await door.client()
    assert (await append(client, raw, wait=wait)).startswith("APPENDUID")
    assert hashlib.sha256(await stored(door, 1)).digest() == hashlib.sha256(raw).digest()
    await nothing_left(door)
    assert (await append(client, raw, b"nowhere", wait=wait)) == "TRYCREATE"
    await nothing_left(door)
    assert (await append(client, raw, b"INBOX (\\Recent)", wait=wait)) == ""
    await nothing_left(door)
    assert len([each for each in door.store.contents._directory.rglob("*") if each.is_file()]) == 1


async def test_a_full_disk_is_told_after_the_literal_and_the_stream_goes_on(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await door.client()
    with monkeypatch.context() as patch:
        patch.setattr("mailsystem.store.contents.Spool._append", full)
        for wait in (True, False):
            assert await append(client, b"x NOOP\r\n" * 300_000, wait=wait) == "UNAVAILABLE"
    await client.ok("NOOP")
    assert (await append(client, b"x" * 300_000)).startswith("APPENDUID")


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_a_connection_lost_in_a_literal_leaves_nothing(door: Door) -> None:
    client = await door.client()
    await client.send(b"A APPEND INBOX {5000000+}\r\n" + b"x" * 3_000_000)
    await client.close()
    await door.until("disconnected")
    await nothing_left(door)
    other = await door.client()
    assert await other.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]


async def test_a_message_over_the_limit_is_refused_before_it_is_sent(open_door: Opening) -> None:
    door = await open_door(largest_message=100_000)
    client = await door.client()
    await client.send(b"A APPEND INBOX {100001}\r\n")
    assert (await client.line()).startswith(b"A NO [TOOBIG] ")
    assert await append(client, b"x" * 100_000) != "TOOBIG"
    assert await append(client, b"x" * 100_001) == "TOOBIG"
    assert await append(client, b"x" * 16_000_000) == "TOOBIG"
    await client.send(b"A APPEND INBOX {99999999999+}\r\n")
    heard = await client.rest()
    assert heard.startswith(b"* BYE ")
    assert b"A NO [TOOBIG] " in heard


async def test_a_message_appended_to_the_selected_mailbox_is_seen_at_once(door: Door) -> None:
    one, two = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    assert await one.ok(b"APPEND INBOX (\\Seen) {1+}\r\nx") == [b"* 1 EXISTS", b"* 1 RECENT"]
    assert await two.ok("NOOP") == [b"* 1 EXISTS", b"* 1 RECENT"]


async def test_who_is_full_is_told_overquota_and_can_still_move(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    assert (await client.say(b"APPEND INBOX {4+}\r\nA: b")).status == "OK"
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=1))
    for command in (b"APPEND INBOX {4+}\r\nA: b", b"COPY 1 Trash"):
        answer = await client.say(command)
        assert (answer.status, answer.code) == ("NO", "OVERQUOTA")
    assert (await client.say("MOVE 1 Trash")).status == "OK"
