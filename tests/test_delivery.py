"""From the door's hands into mailboxes."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailsystem.delivery import Delivery, trace_fields
from mailsystem.directory import AccountsDirectory
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import UNIX, Envelope, Peer
from mailsystem.mail.errors import NoSuchRecipient, OverQuota, Unavailable
from mailsystem.mail.mailbox import MessageSet
from mailsystem.store import Quota, Spool, Store, open_store
from mailsystem.telemetry import Event, Trace

MESSAGE = b"From: bob@example.net\r\nTo: ann@example.org\r\nSubject: hi\r\n\r\nhello\r\n"


def envelope(*recipients: str, sender: str = "bob@example.net", helo: str = "client.example.net") -> Envelope:
    return Envelope(
        sender=Address.parse(sender) if sender else Address.NULL,
        recipients=tuple(map(Address.parse, recipients)),
        peer=Peer("192.0.2.7", 4711),
        helo=helo,
        protocol="ESMTP",
    )


def spooled(store: Store, octets: bytes = MESSAGE) -> Spool:
    spool = store.contents.spool()
    spool.write(octets)
    return spool


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, spool_limit=128 << 10) as opened:
        await opened.accounts.add_domain("example.org")
        for name in ("ann", "bob"):
            await opened.accounts.add(f"{name}@example.org", None)
        yield opened


async def contents(store: Store, login: str) -> list[bytes]:
    account = await store.accounts.find(login)
    inbox = await store.mailboxes.find(account.id, "INBOX")
    found = await store.mailboxes.messages(account.id, inbox.id, MessageSet.parse("1:*"))
    return [await store.contents.read(message.content) for message in found]


async def test_a_message_arrives_untouched_behind_its_trace_fields(store: Store) -> None:
    heard: list[Event] = []
    delivery = Delivery(store, AccountsDirectory(store, default_domain="example.org"), hostname="mx.example.org")
    ident = await delivery.deliver(envelope("ann@example.org"), spooled(store), trace=Trace([heard.append]))
    [raw] = await contents(store, "ann@example.org")
    prefix, untouched = raw[: -len(MESSAGE)], raw[-len(MESSAGE) :]
    assert untouched == MESSAGE
    parsed = email.message_from_bytes(prefix, policy=email.policy.default)
    assert parsed.keys() == ["Return-Path", "Received"]
    assert parsed["Return-Path"] == "<bob@example.net>"
    received = parsed["Received"]
    for word in (
        "from client.example.net ([192.0.2.7])",
        "by mx.example.org with ESMTP",
        ident,
        "for <ann@example.org>",
    ):
        assert word in received
    assert [(e.name, e.data["id"], e.data["copies"]) for e in heard] == [("delivered", ident, 1)]


async def test_one_copy_for_one_person_however_many_addresses_lead_there(store: Store) -> None:
    await store.accounts.set_alias("info@example.org", ["ann@example.org", "bob@example.org"])
    delivery = Delivery(store, AccountsDirectory(store, default_domain="example.org"), hostname="mx")
    to = envelope("ann@example.org", "ann+x@example.org", "info@example.org")
    await delivery.deliver(to, spooled(store), trace=Trace())
    assert len(await contents(store, "ann@example.org")) == 1
    assert len(await contents(store, "bob@example.org")) == 1


async def test_many_recipients_do_not_learn_of_each_other(store: Store) -> None:
    delivery = Delivery(store, AccountsDirectory(store, default_domain="example.org"), hostname="mx")
    await delivery.deliver(envelope("ann@example.org", "bob@example.org"), spooled(store), trace=Trace())
    [raw] = await contents(store, "ann@example.org")
    assert b"bob@example.org" not in raw
    assert b" for <" not in raw


async def test_one_unknown_recipient_and_nobody_gets_it(store: Store) -> None:
    delivery = Delivery(store, AccountsDirectory(store, default_domain="example.org"), hostname="mx")
    with pytest.raises(NoSuchRecipient):
        await delivery.deliver(envelope("ann@example.org", "nobody@example.org"), spooled(store), trace=Trace())
    assert await contents(store, "ann@example.org") == []


@pytest.mark.parametrize("octets", [MESSAGE, MESSAGE + b"x" * 300_000], ids=["small", "large"])
async def test_an_account_that_was_remade_since_rcpt_still_gets_its_mail(octets: bytes, store: Store) -> None:
    directory = AccountsDirectory(store, default_domain="example.org")
    delivery = Delivery(store, directory, hostname="mx")
    await directory.resolve(Address.parse("ann@example.org"))
    await store.accounts.remove("ann@example.org")
    await store.accounts.add("ann@example.org", None)
    await delivery.deliver(envelope("ann@example.org"), spooled(store, octets), trace=Trace())
    [raw] = await contents(store, "ann@example.org")
    assert raw.endswith(octets)


@pytest.mark.parametrize("octets", [MESSAGE, MESSAGE + b"x" * 300_000], ids=["small", "large"])
async def test_who_has_no_room_for_it_keeps_it_from_nobody(octets: bytes, store: Store) -> None:
    directory = AccountsDirectory(store, default_domain="example.org")
    delivery = Delivery(store, directory, hostname="mx")
    await store.accounts.set_quota("ann@example.org", Quota(octets=20))
    await store.accounts.set_alias("info@example.org", ["ann@example.org"])
    to = envelope("bob@example.org", "ann@example.org", "nobody@example.org", "info@example.org")
    heard: list[Event] = []
    spool = spooled(store, octets)
    outcome = await delivery.deliver_each(to, spool, trace=Trace([heard.append]))
    spool.discard()
    assert {str(each): type(error) for each, error in outcome.failed.items()} == {
        "ann@example.org": OverQuota,
        "info@example.org": OverQuota,
        "nobody@example.org": NoSuchRecipient,
    }
    [raw] = await contents(store, "bob@example.org")
    assert raw.endswith(octets)
    assert await contents(store, "ann@example.org") == []
    assert [event.data["recipients"] for event in heard] == [["bob@example.org"]]


async def test_one_who_went_since_rcpt_keeps_mail_from_nobody_else(store: Store) -> None:
    directory = AccountsDirectory(store, default_domain="example.org")
    delivery = Delivery(store, directory, hostname="mx")
    to = envelope("ann@example.org", "bob@example.org")
    for recipient in to.recipients:
        await directory.resolve(recipient)  # as RCPT does, and it is remembered
    await store.accounts.remove("bob@example.org")
    outcome = await delivery.deliver_each(to, spooled(store), trace=Trace())
    assert [(str(who), type(why)) for who, why in outcome.failed.items()] == [("bob@example.org", NoSuchRecipient)]
    assert len(await contents(store, "ann@example.org")) == 1


async def test_one_who_went_since_rcpt_makes_the_whole_message_come_again(store: Store) -> None:
    """There is one reply for all: the next try hears at RCPT who it is."""
    directory = AccountsDirectory(store, default_domain="example.org")
    delivery = Delivery(store, directory, hostname="mx")
    to = envelope("ann@example.org", "bob@example.org")
    for recipient in to.recipients:
        await directory.resolve(recipient)
    await store.accounts.remove("bob@example.org")
    with pytest.raises(Unavailable):
        await delivery.deliver(to, spooled(store), trace=Trace())
    assert await contents(store, "ann@example.org") == []


async def test_a_message_that_has_nowhere_to_go_leaves_no_file(store: Store, tmp_path: Path) -> None:
    delivery = Delivery(store, AccountsDirectory(store, default_domain="example.org"), hostname="mx")
    await store.accounts.set_quota("ann@example.org", Quota(octets=20))
    spool = spooled(store, b"x" * 300_000)
    with pytest.raises(OverQuota):
        await delivery.deliver(envelope("ann@example.org"), spool, trace=Trace())
    spool.discard()
    assert [file for file in (tmp_path / "contents").rglob("*") if file.is_file()] == []


def test_a_submission_is_given_the_fields_it_came_without_and_a_socket_has_no_address() -> None:
    fields = trace_fields(
        replace(envelope("ann@example.org"), peer=Peer(UNIX, 0), missing=("Date", "Message-ID")), "id", "mx", 0.0
    )
    parsed = email.message_from_bytes(fields, policy=email.policy.default)
    assert parsed.keys() == ["Return-Path", "Received", "Date", "Message-ID"]
    assert parsed["Message-ID"] == "<id@mx>"
    assert fields.startswith(b"Return-Path: <bob@example.net>\r\nReceived: from client.example.net\r\n\tby mx ")


@pytest.mark.parametrize("helo", ["evil\r\nBcc: x", "a b", "(", "x" * 300, "ünïcode", ""])
def test_nothing_a_client_calls_itself_can_write_a_header(helo: str) -> None:
    fields = trace_fields(envelope("ann@example.org", helo=helo), "id", "mx", 0.0)
    assert b"from unknown ([192.0.2.7])" in fields
    assert email.message_from_bytes(fields).keys() == ["Return-Path", "Received"]


def test_the_null_path_is_written_as_such() -> None:
    assert trace_fields(envelope("ann@example.org", sender=""), "id", "mx", 0.0).startswith(b"Return-Path: <>\r\n")


def test_the_time_in_received_is_that_of_its_own_second() -> None:
    def told(now: float) -> bytes:
        return trace_fields(envelope("ann@example.org"), "4711", "mx.example.org", now).splitlines()[-1]

    assert told(1_700_000_000.0) == told(1_700_000_000.9) != told(1_700_000_001.0)
    assert b":20 " in told(1_700_000_000.9)
    assert b":21 " in told(1_700_000_001.0)


def test_another_spelling_of_helo_or_address_is_told_as_it_is() -> None:
    first = envelope("ann@example.org", helo="one.example.net")
    assert b"from one.example.net ([192.0.2.7])" in trace_fields(first, "1", "mx", 0.0)
    assert b"from One.example.net ([192.0.2.8])" in trace_fields(
        replace(first, helo="One.example.net", peer=Peer("192.0.2.8", 1)), "1", "mx", 0.0
    )


def test_a_peer_of_our_own_link_is_told_without_its_scope() -> None:
    """RFC 5321 4.1.3 has no place for it."""
    near = replace(envelope("ann@example.org"), peer=Peer("fe80::1%eth0", 1))
    assert b" ([IPv6:fe80::1])\r\n" in trace_fields(near, "1", "mx", 0.0)


async def test_the_ids_of_messages_ascend_and_none_is_given_twice(store: Store) -> None:
    delivery = Delivery(store, AccountsDirectory(store, default_domain="example.org"), hostname="mx.example.org")
    given = [await delivery.deliver(envelope("ann@example.org"), spooled(store), trace=Trace()) for _ in range(20)]
    assert given == sorted(set(given))
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in given)
