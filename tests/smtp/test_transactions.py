"""DATA over the wire: what is taken, what is refused, and that the conversation goes on in step."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import resource
from collections.abc import AsyncIterator

import messages
import pytest
from smtp_door import ALL, PASSWORD, Client, House

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope
from mailsystem.mail.errors import MailError, OverQuota, Rejected, Unavailable
from mailsystem.store import Quota, Spool
from mailsystem.telemetry import Trace

NEXT = b"Subject: next\r\n\r\nwhole\r\n"


async def goes_on(client: Client, house: House, *before: bytes) -> None:
    """The client is still in step: its next message arrives, after those and no others."""
    assert (await client.mail(NEXT + b".\r\n")).startswith("250 2.0.0 ok, queued as ")
    assert await house.received("ann@example.org") == [*before, NEXT]
    assert not house.told("bug")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"Subject: x\r\n\r\nbody\r\n.\r\n", b"Subject: x\r\n\r\nbody\r\n"),
        (b"..\r\n...\r\n.x\r\n.\r\n", b".\r\n..\r\nx\r\n"),
        (b"\xe4\xff\x80\r\n.\r\n", b"\xe4\xff\x80\r\n"),  # without BODY=8BITMIME
        (b"a\0b\r\n\0\r\n.\r\n", b"a\0b\r\n\0\r\n"),
        (b"x" * 200_000 + b"\r\n.\r\n", b"x" * 200_000 + b"\r\n"),
        (b"Received: a\r\n" * 50 + b"\r\n.\r\n", b"Received: a\r\n" * 50 + b"\r\n"),
    ],
    ids=lambda octets: repr(octets)[:30],
)
async def test_a_message_is_kept_as_it_was_sent(sent: bytes, message: bytes, house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.mail(sent)).startswith("250 2.0.0 ")
        await goes_on(client, house, message)


@pytest.mark.parametrize("name", messages.ODD)
async def test_odd_messages_are_kept_as_they_were_sent(name: str, house: House) -> None:
    raw = messages.ODD[name]
    raw += b"" if raw.endswith(b"\r\n") or not raw else b"\r\n"
    sent = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in raw.split(b"\r\n")) + b".\r\n"
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.mail(sent, parameters=" BODY=8BITMIME SMTPUTF8")).startswith("250 2.0.0 ")
    assert await house.received("ann@example.org") == [messages.bare(raw)]


SMUGGLED = b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\nSubject: smuggled\r\n"
ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r\n.\r\r\n", b"\r\n\0.\n",
    b"\r\n.\r\0\n", b"\n\n.\n\n", b"\n\r.\n\r",
]  # fmt: skip


@pytest.mark.parametrize("end", ENDS, ids=repr)
@pytest.mark.parametrize("cut", [False, True], ids=["one segment", "cut at the end"])
async def test_nothing_is_smuggled(end: bytes, cut: bool, house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await client.begin()
        await client.send(b"Subject: innocent\r\n\r\nx")
        for part in [bytes([octet]) for octet in end] if cut else [end]:
            await client.send(part)
            await asyncio.sleep(0.001 if cut else 0)
        await client.send(SMUGGLED + b".\r\n")
        reply = await client.reply()
        assert reply.startswith("550 5.6.0 bare CR or LF")
        await goes_on(client, house)


@pytest.mark.parametrize("end", ENDS, ids=repr)
async def test_a_sink_keeps_bare_newlines_and_is_not_smuggled_into(end: bytes, house: House) -> None:
    sent = b"Subject: innocent\r\n\r\nx" + end + SMUGGLED
    async with house.door(bare_newline="accept") as door, await Client.connect(door) as client:
        assert (await client.mail(sent + b".\r\n")).startswith("250 2.0.0")
        kept = sent.replace(b"\r\n.", b"\r\n")  # dots go at the beginning of a line, whatever the line is
        await goes_on(client, house, kept)


async def test_the_size_is_limited_before_and_during_data(house: House) -> None:
    async with house.door(size_limit=100_000) as door, await Client.connect(door) as client:
        assert (await client.say("MAIL FROM:<a@example.net> SIZE=100001")).startswith("552 5.3.4")
        line = b"0123456789abcd\r\n"
        assert (await client.mail(line * 6250 + b".\r\n")).startswith("250")
        assert (await client.mail(line * 6250 + b"\r\n.\r\n")).startswith("552 5.3.4")
        assert (await client.mail(line * 62500 + b".\r\n")).startswith("552 5.3.4")
        await goes_on(client, house, line * 6250)


async def test_who_has_no_room_for_so_much_keeps_it_from_nobody_else(house: House) -> None:
    """There is one answer to the message, so each must hear at RCPT what MAIL lets us know (RFC 1870 6)."""
    await house.store.accounts.set_quota("bob@example.org", Quota(octets=5000))
    await house.store.accounts.set_alias("all@example.org", ["ann@example.org", "bob@example.org"])
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.say("MAIL FROM:<a@example.net> SIZE=5001")).startswith("250")
        assert (await client.say("RCPT TO:<bob@example.org>")).startswith("452 4.2.2 ")
        assert (await client.say("RCPT TO:<all@example.org>")).startswith("452 4.2.2 ")
        assert (await client.say("RCPT TO:<ann@example.org>")).startswith("250")
        assert (await client.say("DATA")).startswith("354")
        assert (await client.say(b"x" * 4998 + b"\r\n.")).startswith("250")
        assert len(await house.kept("ann@example.org")) == 1
        assert (await client.say("MAIL FROM:<a@example.net> SIZE=1000")).startswith("250")
        assert (await client.say("RCPT TO:<bob@example.org>")).startswith("250")


@pytest.mark.parametrize(
    "first",
    [
        *(b" by mx.bank.example; today", b"\tby mx.bank.example; today", b"hello", b"hello, bank: they say", b":bank"),
        *(b"\xc3\xa4: bank", b"bank" * 500, b"From\tbank x", b"bank\x01: x"),
    ],
)
async def test_a_message_without_a_header_is_all_body(first: bytes, house: House) -> None:
    """It does not go on where our own trace fields end (RFC 5322 2.2.3), nor is it lost among them."""
    async with house.door() as door, await Client.connect(door) as client:
        said = first + b"\r\nSubject: x\r\n\r\nhello\r\n"
        assert (await client.mail(said + b".\r\n")).startswith("250")
        assert (await client.say("MAIL FROM:<a@example.net>")).startswith("250")
        assert (await client.say("RCPT TO:<ann@example.org>")).startswith("250")
        for at, octet in enumerate(said, 1):
            await client.send(b"BDAT 1%s\r\n%c" % (b" LAST" * (at == len(said)), octet))
            assert (await client.reply()).startswith("250")
    for kept in await house.kept("ann@example.org"):
        head, _, rest = kept.partition(b"\r\n\r\n")
        assert b"bank" not in head
        assert rest == said


@pytest.mark.parametrize(
    "first", [b"Subject: x", b"subject :x", b"!#$%&'*+-/^_`{|}~09: x", b"From ann Fri Nov 27", b">From x"]
)
async def test_a_header_is_taken_for_one(first: bytes, house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.mail(first + b"\r\n\r\nhello\r\n.\r\n")).startswith("250")
    [kept] = await house.kept("ann@example.org")
    assert kept.partition(b"\r\n\r\n")[2] == b"hello\r\n"


async def test_stuffed_dots_do_not_count(house: House) -> None:
    async with house.door(size_limit=1000) as door, await Client.connect(door) as client:
        assert (await client.mail(b"..\r\n" * 333 + b".\r\n")).startswith("250")


async def test_a_message_without_end_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.smtp.receiving.READ_OVER", 1 << 20)
    async with house.door(size_limit=1000) as door, await Client.connect(door) as client:
        await client.begin()
        flood = asyncio.create_task(client.send(b"x" * (4 << 20)))
        assert (await client.reply()).startswith("552 5.3.4")
        assert await client.rest() == b""
        await asyncio.wait([flood])
        flood.exception()
    assert await house.kept("ann@example.org") == []


async def test_a_message_that_goes_in_circles_is_stopped(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.mail(b"Received: a\r\n" * 51 + b"\r\n.\r\n")).startswith("554 5.4.6")
        await goes_on(client, house)


async def test_recipients_are_limited(house: House) -> None:
    async with house.door(recipient_limit=3) as door, await Client.connect(door) as client:
        assert (await client.say("MAIL FROM:<a@example.net>")).startswith("250")
        assert (await client.say("RCPT TO:<ann@example.org>")).startswith("250")
        assert (await client.say("RCPT TO:<ann@example.org>")).startswith(
            "250"
        )  # one copy, but it is kept in mind twice
        assert (await client.say("RCPT TO:<bob@example.org>")).startswith("250")
        for who in ("postmaster", "ann") * 15:  # and is no error that ends a session
            assert (await client.say(f"RCPT TO:<{who}@example.org>")).startswith("452 4.5.3")
        assert (await client.say("DATA")).startswith("354")
        assert (await client.say(b"x\r\n.")).startswith("250")
    assert len(await house.kept("ann@example.org")) == 1
    assert len(await house.kept("bob@example.org")) == 1
    assert await house.kept("postmaster@example.org") == []


async def test_a_transaction_is_forgotten_after_data(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.mail(b"x\ny\r\n.\r\n")).startswith("550")
        assert (await client.say("DATA")).startswith("503")
        assert (await client.say("RCPT TO:<ann@example.org>")).startswith("503")
        assert (await client.mail(b"x\r\n.\r\n")).startswith("250")
        assert (await client.say("DATA")).startswith("503")


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("how", ["close", "reset", "half close"])
async def test_a_client_that_vanishes_in_mid_data_delivers_nothing(how: str, size: int, house: House) -> None:
    async with house.door() as door:
        client = await Client.connect(door)
        await client.begin()
        await client.send(b"x" * size + b"\r\n.\r")
        if how == "reset":
            client.reset()
        elif how == "half close":
            client.writer.write_eof()
            assert await client.rest() == b""
        await client.close()
        (told,) = await house.until_told("disconnected")
        assert told["reason"] == "connection closed by the peer"
    assert await house.kept("ann@example.org") == []
    assert not house.told("accepted")
    assert not house.told("bug")


async def test_a_slow_message_is_not_cut_and_a_silent_one_is(house: House) -> None:
    async with house.door(timeout=0.3, data_timeout=0.3) as door, await Client.connect(door) as client:
        await client.begin()
        for _ in range(12):
            await client.send(b"slow\r\n")
            await asyncio.sleep(0.05)
        assert (await client.say(b".")).startswith("250")
        await client.begin()
        await client.send(b"and then nothing\r\n")
        assert (await client.reply()).startswith("421 4.4.2")
        assert await client.rest() == b""
    assert await house.received("ann@example.org") == [b"slow\r\n" * 12]


class Broken:
    """A delivery that fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def deliver(self, envelope: Envelope, spool: Spool, *, trace: Trace, sender: object = None) -> str:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (Unavailable("the disk is full"), "451 4.3.0 the disk is full"),
        (OverQuota(), "452 4.2.2 over quota"),
        (Rejected("we do not want it\r\n250 ok"), "554 5.7.1 we do not want it??250 ok"),
        (MailError("something new"), "451 4.3.0"),
        (RuntimeError("db password=hunter2"), "451 4.3.0"),
        (TimeoutError("hunter2"), "451 4.3.0"),
        (ConnectionResetError("hunter2"), "451 4.3.0"),
        (KeyError("hunter2"), "451 4.3.0"),
    ],
    ids=repr,
)
async def test_a_delivery_that_fails_is_told_without_internals(error: Exception, reply: str, house: House) -> None:
    house.delivery = Broken(error)
    async with house.door() as door, await Client.connect(door) as client:
        heard = await client.mail(b"x\r\n.\r\n")
        assert heard.startswith(reply)
        assert "hunter2" not in heard
        assert (await client.say("NOOP")).startswith("250")
    bugs = house.told("bug")
    assert bool(bugs) == (not isinstance(error, MailError))
    for bug in bugs:
        assert bug["command"] == "DATA"
        assert type(error).__name__ in bug["traceback"]


async def test_a_disk_that_fails_in_mid_data_keeps_the_conversation_in_step(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(spool: Spool) -> None:
        raise Unavailable("no room")

    async with house.door() as door, await Client.connect(door) as client:
        with monkeypatch.context() as patched:
            patched.setattr(Spool, "flush", full)
            await client.begin()
            await client.send(b"x" * 100_000)
            await asyncio.sleep(0.02)
            await client.send(b"y" * 100_000 + b"\r\n.\r\n")
            assert (await client.reply()).startswith("451 4.3.0 no room")
        await goes_on(client, house)


async def test_the_promise_is_made_after_the_commit(house: House) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    class Held:
        async def deliver(self, envelope: Envelope, spool: Spool, *, trace: Trace, sender: object = None) -> str:
            begun.set()
            await go.wait()
            return "id"

    house.delivery = Held()
    async with house.door() as door, await Client.connect(door) as client:
        await client.begin()
        await client.send(b"x\r\n.\r\n")
        await begun.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.05)
        go.set()
        assert await client.reply() == "250 2.0.0 ok, queued as id"


@pytest.mark.parametrize(
    ("hello", "login", "parameters", "protocol"),
    [
        ("HELO me.example", False, "", b"SMTP"),
        ("EHLO me.example", False, "", b"ESMTP"),
        ("EHLO me.example", False, " SMTPUTF8", b"UTF8SMTP"),
        ("EHLO me.example", True, "", b"ESMTPA"),
        ("EHLO me.example", True, " SMTPUTF8", b"UTF8SMTPA"),
    ],
)
async def test_the_trace_fields_say_how_it_came(
    hello: str, login: bool, parameters: str, protocol: bytes, house: House
) -> None:
    async with house.door() as door, await Client.connect(door, hello=False) as client:
        await client.reply()
        await client.say(hello)
        if login:
            assert (await client.say("AUTH LOGIN YW5uQGV4YW1wbGUub3Jn")).startswith("334")
            assert (await client.say(base64.b64encode(PASSWORD.encode()))).startswith("235 2.7.0")
        ident = (await client.mail(b"x\r\n.\r\n", parameters=parameters)).split()[-1].encode()
    (raw,) = await house.kept("ann@example.org")
    head, _, _ = raw.rpartition(b"x\r\n")
    assert head.startswith(b"Return-Path: <sue@example.net>\r\nReceived: from me.example ([127.0.0.1])\r\n")
    assert b"\tby mx.example.org with " + protocol + b" id " + ident + b"\r\n" in head
    assert b"\tfor <ann@example.org>;\r\n" in head


async def test_greetings_cannot_write_trace_fields(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await client.say("EHLO evil (x) by elsewhere; Mon")
        assert (await client.mail(b"x\r\n.\r\n")).startswith("250")
    (raw,) = await house.kept("ann@example.org")
    assert b"elsewhere" not in raw


async def test_the_null_sender_and_the_postmaster(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await client.begin("Postmaster", sender="")
        assert (await client.say(b"x\r\n.")).startswith("250")
    (raw,) = await house.kept("postmaster@example.org")
    assert raw.startswith(b"Return-Path: <>\r\n")


async def test_many_messages_in_one_session_and_many_sessions_at_once(house: House) -> None:
    async def session(number: int) -> None:
        async with await Client.connect(door) as client:
            for count in range(20):
                await client.send(
                    b"MAIL FROM:<a@example.net>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n",
                )
                replies = [await client.reply() for _ in range(3)]
                assert [reply[:3] for reply in replies] == ["250", "250", "354"]
                assert (await client.say(b"%d %d\r\n." % (number, count))).startswith("250")

    async with house.door() as door:
        await asyncio.gather(*(session(number) for number in range(10)))
    kept = await house.received("ann@example.org")
    assert sorted(kept) == sorted(b"%d %d\r\n" % (n, c) for n in range(10) for c in range(20))


@pytest.mark.slow
async def test_a_large_message_costs_constant_memory(house: House) -> None:
    octets = 128 << 20
    block = b"0123456789abcdef" * 4095 + b"0123456789abcd\r\n"

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(octets // len(block)):
            yield block

    async with house.door(size_limit=1 << 30) as door, await Client.connect(door) as client:
        await client.begin()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent = hashlib.sha256()
        async for each in blocks():
            await client.send(each)
            sent.update(each)
        assert (await client.say(b".")).startswith("250")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 << 10, f"grown by {grown} KiB"
    ((account, *_),) = await house.directory.resolve(Address("ann", "example.org"))
    mailbox = await house.store.mailboxes.find(account, "INBOX")
    (message,) = await house.store.mailboxes.messages(account, mailbox.id, ALL)
    kept = hashlib.sha256()
    skip = message.size - octets // len(block) * len(block)
    async for piece in house.store.contents.stream(message.content, skip):
        kept.update(piece)
    assert kept.digest() == sent.digest()
