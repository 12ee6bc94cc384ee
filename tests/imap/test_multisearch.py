"""ESEARCH in several mailboxes (RFC 7377)."""

from __future__ import annotations

import asyncio
import re

import pytest
from imap_door import Client, Door

from mailsystem.imap import progress
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.sources import Source, chosen, read_sources
from mailsystem.mail.errors import SyntaxFault

OWN = ["INBOX", "a", "a/b", "a/b/c", "ab", "d"]


def read(text: str) -> list[Source] | None:
    return read_sources(Arguments(Frame(text.encode())))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(mailboxes d)", ["d"]),
        ("(mailboxes (d inbox none))", ["d", "INBOX", "none"]),
        ("(mailboxes (R&D d))", ["d"]),
        ("(mailboxes R&D)", []),
        ("(subtree a)", ["a", "a/b", "a/b/c"]),
        ('(subtree "a/")', ["a", "a/b", "a/b/c"]),
        ("(subtree-one a)", ["a", "a/b"]),
        ('(subtree "")', [*OWN, "Other Users/bob"]),
        ('(subtree-one "")', ["INBOX", "a", "ab", "d"]),
        ("(personal)", OWN),
        ("(inboxes)", ["INBOX"]),
        ("(subscribed)", ["a/b"]),
        ("(selected)", []),
        ('(mailboxes "Other Users/bob" subtree d SUBSCRIBED mailboxes d)', ["Other Users/bob", "d", "a/b"]),
    ],
)
def test_each_filter_means_its_mailboxes(text: str, wanted: list[str]) -> None:
    sources = read(f"IN {text} ALL")
    assert sources is not None
    assert chosen(sources, OWN, ["Other Users/bob"], {"a/b", "gone"}) == wanted


@pytest.mark.parametrize(
    "bad",
    ["IN ()", "IN (mailboxes)", "IN (mailboxes ())", "IN (subtree)", "IN (nowhere)", "IN (personal", "IN (personal (x)) ALL",
     "IN (personal  inboxes) ALL", "IN (personal)", "IN (selected-delayed) ALL"],
)  # fmt: skip
def test_other_filters_are_faults(bad: str) -> None:
    with pytest.raises(SyntaxFault):
        read(bad)


async def filled(door: Door) -> tuple[Client, dict[str, str]]:
    client = await door.client()
    for name in ("folder1", "folder2", "folder2/banana", "folder2/banana/peel", "folder3"):
        await client.ok(f"CREATE {name}")
    for name, count in (("INBOX", 2), ("folder1", 3), ("folder2/banana", 2), ("folder3", 1)):
        for number in range(count):
            await door.put(b"Subject: %d\r\n\r\nx\r\n" % number, *(["\\Seen"] if number == 1 else []), mailbox=name)
    return client, {
        mailbox.name: f"MAILBOX {mailbox.name} UIDVALIDITY {mailbox.uidvalidity}"
        for mailbox in await door.store.mailboxes.list(door.account.id)
    }


async def test_one_search_looks_into_several_mailboxes(door: Door) -> None:
    client, named = await filled(door)
    # RFC 7377 2.1
    await door.dialog(
        f"""
        C1: tag1 ESEARCH IN (mailboxes "folder1" subtree "folder2") unseen
        S1: * ESEARCH (TAG "tag1" {named["folder1"]}) UID ALL 1,3
        S1: * ESEARCH (TAG "tag1" {named["folder2/banana"]}) UID ALL 1
        S1: tag1 OK ESEARCH completed
        C1: tag2 ESEARCH IN (subtree-one folder2 mailboxes (nowhere folder3 folder1)) RETURN (MIN MAX COUNT) UID 2:*
        S1: * ESEARCH (TAG "tag2" {named["folder2/banana"]}) UID MIN 2 MAX 2 COUNT 1
        S1: * ESEARCH (TAG "tag2" {named["folder3"]}) UID MIN 1 MAX 1 COUNT 1
        S1: * ESEARCH (TAG "tag2" {named["folder1"]}) UID MIN 2 MAX 3 COUNT 2
        S1: tag2 OK ...
        C1: tag3 ESEARCH IN (personal) RETURN (PARTIAL -1:-1) SUBJECT 1
        S1: * ESEARCH (TAG "tag3" {named["INBOX"]}) UID PARTIAL (-1:-1 2)
        S1: * ESEARCH (TAG "tag3" {named["folder1"]}) UID PARTIAL (-1:-1 2)
        S1: * ESEARCH (TAG "tag3" {named["folder2/banana"]}) UID PARTIAL (-1:-1 2)
        S1: tag3 OK ...
        C1: tag4 ESEARCH IN (inboxes subtree folder2) SUBJECT nothing
        S1: tag4 OK ...
        """,
        c1=client,
    )


async def test_the_selected_mailbox_is_searched_as_the_client_knows_it(door: Door) -> None:
    client, named = await filled(door)
    for said in ("ESEARCH ALL", "ESEARCH IN (selected) ALL", "ESEARCH IN (mailboxes folder1 selected) ALL"):
        assert (await client.say(said)).status == "BAD"
    await client.ok("SELECT folder1")
    await door.put(b"Subject: not yet told\r\n\r\nx\r\n", "\\Seen", mailbox="folder1")
    said = await client.ok("ESEARCH RETURN (SAVE) SEEN")
    assert said == [b"* 4 EXISTS", b"* 4 RECENT"]
    assert await client.ok("SEARCH $") == [b"* SEARCH 2"]
    said = await client.ok("ESEARCH IN (selected subtree folder1 mailboxes INBOX) RETURN (COUNT) NOT $")
    assert said[0].endswith(f"{named['folder1']}) UID COUNT 3".encode())
    assert said[1].endswith(f"{named['INBOX']}) UID COUNT 2".encode())
    assert len(said) == 2


@pytest.mark.parametrize(
    "bad",
    ["IN (personal) RETURN (SAVE) ALL", "IN (personal) 1:2", "IN (personal) NOT 1", "IN (personal)", "IN (personal) NONSENSE",
     "RETURN (MIN) IN (personal) ALL", "IN (mailboxes folder1) RETURN (NONE) ALL"],
)  # fmt: skip
async def test_what_is_no_esearch_is_bad(door: Door, bad: str) -> None:
    client = await door.client(mailbox="INBOX")
    answer = await client.say(f"ESEARCH {bad}")
    assert (answer.status, answer.untagged) == ("BAD", [])


async def test_names_are_spelled_as_the_client_reads_them(door: Door) -> None:
    await door.store.mailboxes.create(door.account.id, "Entwürfe")
    await door.put(mailbox="Entwürfe")
    client = await door.client()
    [said] = await client.ok('ESEARCH IN (subtree "Entw&APw-rfe") ALL')
    assert b" MAILBOX Entw&APw-rfe UIDVALIDITY " in said
    await client.ok("ENABLE IMAP4rev2")
    [said] = await client.ok('ESEARCH IN (subtree "Entwürfe") ALL'.encode())
    assert ' MAILBOX "Entwürfe" UIDVALIDITY '.encode() in said


async def test_nobody_searches_in_what_belongs_to_others(door: Door) -> None:
    await filled(door)
    other = await door.client("bob")
    await other.ok("CREATE folder1")
    assert await other.ok("ESEARCH IN (personal subtree folder1 mailboxes folder3) ALL") == []
    at = "Other Users/ann@example.org"
    everything = f'ESEARCH IN (subtree "Other Users" mailboxes ("{at}/folder2/banana" "{at}/INBOX")) ALL'
    assert await other.ok(everything) == []
    ann = await door.client()
    await ann.ok("SETACL folder1 bob@example.org lr")
    await ann.ok("SETACL folder3 bob@example.org l")  # to be seen, not to be read
    await ann.ok("SETACL folder2/banana bob@example.org r")
    said = await other.ok(everything)
    assert [re.sub(rb".* MAILBOX ", b"", line) for line in said] == [
        b'"%b/%b" UIDVALIDITY %d) UID ALL %b' % (at.encode(), name.encode(), validity, found)
        for name, found in (("folder1", b"1:3"), ("folder2/banana", b"1:2"))
        for validity in [(await door.store.mailboxes.find(door.account.id, name)).uidvalidity]
    ]


async def test_a_long_one_tells_how_far_it_has_come(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = await filled(door)
    monkeypatch.setattr(progress, "FIRST", 0.05)
    monkeypatch.setattr(progress, "AGAIN", 0.05)
    fetch = door.store.mailboxes.fetch

    async def slow(*args: object, **more: object):  # type: ignore[no-untyped-def]
        await asyncio.sleep(0.08)
        async for slice_ in fetch(*args, **more):  # type: ignore[arg-type]
            yield slice_

    monkeypatch.setattr(door.store.mailboxes, "fetch", slow)
    said = await client.ok("ESEARCH IN (mailboxes (folder1 folder3)) TEXT x")
    assert said[0].startswith(b'* OK [INPROGRESS ("t')
    assert sum(line.startswith(b"* ESEARCH") for line in said) == 2
    assert any(b" 3 NIL)]" in line for line in said), said


async def test_a_mailbox_that_was_renamed_is_called_by_its_new_name(door: Door) -> None:
    client, named = await filled(door)
    await client.ok("SELECT folder1")
    await client.ok("RENAME folder1 elsewhere")
    [line] = await client.ok("ESEARCH IN (selected) ALL")
    assert named["folder1"].replace("folder1", "elsewhere").encode() in line


async def test_others_have_their_turns_between_small_mailboxes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = await filled(door)
    opened, turns, asked = door.store.mailboxes.open, 0, list[int]()

    async def noted(*args: object, **more: object) -> object:
        asked.append(turns)
        return await opened(*args, **more)  # type: ignore[arg-type]

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(door.store.mailboxes, "open", noted)
    waiting = asyncio.create_task(others())
    try:
        await client.ok("ESEARCH IN (personal) SEEN")
    finally:
        waiting.cancel()
    assert len(asked) > 5
    assert len(set(asked)) == len(asked)
