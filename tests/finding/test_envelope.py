"""Finding by the envelope: who was named by MAIL FROM and RCPT TO, whatever the fields of a message say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from vault import Vault, letter, spooled

from mailsystem.delivery import trace_fields
from mailsystem.finding import sifting
from mailsystem.finding.finder import Finder
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import UNIX, Envelope, Peer
from mailsystem.mail.mailbox import ContentId, MessageSet
from mailsystem.mail.query import parse

SENT: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bounce@shop.test", ("ann@example.org",)),
    ("bounce@shop.test", ("Ann@Example.org", "bob@example.org")),
    ("", ("ann@example.org", "carl@xn--bcher-kva.test")),
    ("joann@shop.test.example", ("list@example.org",)),
)
FORGED = b"Return-Path: <forged@evil.test>\r\nReceived: from x\r\n\tfor <forged@evil.test>;\r\n\tdate\r\n" + letter(
    "forged"
)


async def sent(vault: Vault) -> dict[ContentId, tuple[str, ...]]:
    """Messages as they come by SMTP, each with fields of the sender's own that look like ours; and one that was put there."""
    recipients = {}
    for sender, to in SENT:
        envelope = Envelope(
            Address.parse(sender) if sender else Address.NULL,
            tuple(map(Address.parse, to)),
            Peer(UNIX, 0),
            "x",
            "ESMTP",
        )
        prefix = trace_fields(envelope, "id", "mx.example.org", 0)
        done = await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, FORGED), prefix=prefix)
        recipients[done.content] = to
    await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, letter("put there")))
    vault.clock.time += 60
    return recipients


async def found(vault: Vault, finder: Finder, text: str) -> list[int]:
    query = parse(text, now=vault.clock.now())
    hits = (await finder.find(vault.ann.id, query, limit=9)).messages
    inbox = (await vault.here.mailboxes.list(vault.ann.id))[0].id
    matching = await finder.matching(vault.ann.id, inbox, query, MessageSet(((1, 9),)))
    uids = sorted(int(hit.message.uid) for hit in hits)
    assert [message.uid for message in matching] == uids, text
    return uids


@pytest.mark.parametrize("indexed", [False, True])
async def test_who_was_named_is_found(vault: Vault, monkeypatch: pytest.MonkeyPatch, indexed: bool) -> None:
    monkeypatch.setattr(sifting, "_FEW", 0)
    recipients = await sent(vault)
    if indexed:
        await vault.here.index.catch_up()

    async def told(contents: Sequence[ContentId]) -> Mapping[ContentId, Sequence[str]]:
        return {content: recipients[content] for content in contents if content in recipients}

    everything, alone = Finder(vault.there, told), Finder(vault.there)
    for text, uids in {
        "envelope-from:bounce@shop.test": [1, 2],
        "envelope-from:BOUNCE@Shop.Test": [1, 2],
        "envelope-from:@shop.test": [1, 2],
        "envelope-from:ann": [4],
        "envelope-from:<>": [3],
        "envelope-from:@evil.test": [],
        "-envelope-from:bounce@shop.test": [3, 4, 5],
        "envelope-from:bounce@shop.test subject:forged": [1, 2],
        "envelope-from:bounce@shop.test OR subject:there": [1, 2, 5],
        "envelope-from:@shop.test OR body:hello": [1, 2, 3, 4, 5],
    }.items():
        assert await found(vault, everything, text) == await found(vault, alone, text) == uids, text
    for text, uids in {
        "envelope-to:ann@example.org": [1, 2, 3],
        "envelope-to:bob@example.org": [2],
        "envelope-to:@bücher.test": [3],
        "envelope-to:@example.org -envelope-to:ann@example.org": [4],
        "envelope-to:nn@example.org": [],
        "envelope-to:carl OR body:nothing": [3],
        "envelope-to:forged@evil.test": [],
    }.items():
        assert await found(vault, everything, text) == uids, text
    # Who may not know of blind copies learns what each message says itself.
    assert await found(vault, alone, "envelope-to:ann@example.org") == [1]
    assert await found(vault, alone, "envelope-to:bob@example.org") == []
    assert await found(vault, alone, "envelope-to:@evil.test") == []


async def test_who_asks_before_the_journal_knows_waits_for_it(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.finding.searching._REST", 0)
    recipients = await sent(vault)
    vault.clock.time -= 60
    asked = 0

    async def told(contents: Sequence[ContentId]) -> Mapping[ContentId, Sequence[str]]:
        nonlocal asked
        asked += 1
        return {content: recipients[content] for content in contents if content in recipients} if asked > 3 else {}

    finder = Finder(vault.here, told)
    query = parse("envelope-to:bob@example.org", now=0)
    assert [hit.message.uid for hit in (await finder.find(vault.ann.id, query, limit=9)).messages] == [2]
    assert asked == 4


def test_a_blind_copy_is_not_told_by_the_field_of_somebody_else() -> None:
    from mailsystem.finding.header import Header

    envelope = Envelope(
        Address.NULL, (Address.parse("a@x.test"), Address.parse("b@x.test")), Peer(UNIX, 0), "x", "ESMTP"
    )
    below = b"Received: from y\r\n\tfor <victim@x.test>;\r\n\tdate\r\n\r\n"
    assert Header(trace_fields(envelope, "id", "mx", 0) + below).recipient() == ()
    alone = trace_fields(replace(envelope, recipients=envelope.recipients[:1]), "id", "mx", 0)
    assert Header(alone + below).recipient() == ("a@x.test",)
    assert Header(below).recipient() == ()
    assert Header(below).sender() is None
