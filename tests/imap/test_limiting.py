"""MESSAGELIMIT (RFC 9738): what is in portions goes from the highest UID down, what is whole is refused; nothing is lost."""

from __future__ import annotations

import re

import pytest
from imap_door import Client, Door, Opening


@pytest.fixture
async def limited(open_door: Opening) -> Door:
    """A door where a command may be about four messages, and ten of them."""
    door = await open_door(messages_per_command=4)
    for number in range(10):
        await door.put(b"Subject: %d\r\n\r\n" % number)
    return door


def uids(lines: list[bytes]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search(rb"FETCH \(UID (\d+)", line))]


async def test_the_limit_is_announced_where_there_is_one(limited: Door, open_door: Opening) -> None:
    assert b" MESSAGELIMIT=4" in (await (await limited.client()).ok("CAPABILITY"))[0]
    assert b"MESSAGELIMIT" not in (await (await (await open_door()).client()).ok("CAPABILITY"))[0]


async def test_a_fetch_goes_from_the_highest_down_and_says_how_far(limited: Door) -> None:
    client = await limited.client(mailbox="INBOX")
    below, seen = 10, []
    while True:
        answer = await client.say(f"UID FETCH 1:{below} FLAGS")
        seen.append(uids(answer.untagged))
        if not answer.code:
            break
        below = int(answer.code.removeprefix("MESSAGELIMIT 4 ")) - 1
    assert seen == [[7, 8, 9, 10], [3, 4, 5, 6], [1, 2]]
    assert (await client.say("FETCH 1:4 FLAGS")).code == ""
    assert (await client.say("UID FETCH 1:* FLAGS (PARTIAL 1:4)")).code == ""
    answer = await client.say("UID FETCH 1:* FLAGS (PARTIAL 1:5)")
    assert (answer.status, answer.code, answer.untagged) == ("NO", "MESSAGELIMIT 4", [])


async def test_only_what_has_changed_counts(limited: Door) -> None:
    client = await limited.client(mailbox="INBOX")
    since = (await limited.store.mailboxes.find(limited.account.id, "INBOX")).modseq
    await client.ok("STORE 1:3 +FLAGS.SILENT \\Seen")
    assert (await client.say(f"UID FETCH 1:* FLAGS (CHANGEDSINCE {since})")).code == ""


async def test_a_store_changes_the_highest(limited: Door) -> None:
    client = await limited.client(mailbox="INBOX")
    assert (await client.say("STORE 1:* +FLAGS.SILENT \\Seen")).code == "MESSAGELIMIT 4 7"
    assert await client.ok("SEARCH 4:7 SEEN") == [b"* SEARCH 7"]
    since = (await limited.store.mailboxes.find(limited.account.id, "INBOX")).modseq - 1
    # Two codes do not fit into one line.
    answer = await client.say(f"UID STORE 1:* (UNCHANGEDSINCE {since}) +FLAGS.SILENT \\Flagged")
    assert answer.untagged[-1] == b"* NO [MESSAGELIMIT 4 7] only the last of them"
    assert answer.code == "MODIFIED 7:10"


async def test_a_move_and_an_expunge_by_uid_go_down_and_a_whole_expunge_is_whole(limited: Door) -> None:
    client = await limited.client(mailbox="INBOX")
    answer = await client.say("UID MOVE 1:* Trash")
    assert (answer.status, answer.code) == ("OK", "MESSAGELIMIT 4 7")
    assert b" 7:10 1:4] moved" in answer.untagged[0]
    for _ in range(2):
        await client.ok("STORE 3:* +FLAGS.SILENT \\Deleted")
        await client.ok("STORE 1:2 +FLAGS.SILENT \\Deleted")
    answer = await client.say("UID EXPUNGE 1:*")
    assert (answer.code, len(answer.untagged)) == ("MESSAGELIMIT 4 3", 4)
    await client.ok("SELECT Trash")
    await client.ok("STORE 1:4 +FLAGS.SILENT \\Deleted")
    await client.ok(b"APPEND Trash (\\Deleted) {1+}\r\nx")
    answer = await client.say("EXPUNGE")
    assert (answer.code, len([line for line in answer.untagged if line.endswith(b"EXPUNGE")])) == ("", 5)


@pytest.mark.parametrize(
    "command",
    [
        b"COPY 1:* Trash",
        b"APPEND Trash" + b" {1+}\r\nx" * 5,
        b"SORT (ARRIVAL) UTF-8 ALL",
        b"THREAD REFERENCES UTF-8 ALL",
    ],
)
async def test_what_must_be_whole_is_refused(limited: Door, command: bytes) -> None:
    client = await limited.client(mailbox="INBOX")
    answer = await client.say(command)
    assert (answer.status, answer.untagged) == ("NO", [])
    assert answer.code in ("MESSAGELIMIT 4", "MESSAGELIMIT 4 7")
    assert (await limited.store.mailboxes.status(limited.account.id, "Trash")).messages == 0
    await client.ok(command.replace(b"1:*", b"1:4").replace(b"ALL", b"UID 1:4").replace(b" {1+}\r\nx", b"", 1))


async def found(client: Client, keys: str) -> tuple[list[bytes], str]:
    answer = await client.say(f"UID SEARCH {keys}")
    assert answer.status == "OK"
    return answer.untagged[0].split()[2:], answer.code


async def test_a_search_counts_what_it_looks_at(limited: Door) -> None:
    client = await limited.client(mailbox="INBOX")
    assert await found(client, "ALL") == ([b"7", b"8", b"9", b"10"], "MESSAGELIMIT 4 7")
    assert await found(client, "SUBJECT 2") == ([], "MESSAGELIMIT 4 7")
    assert await found(client, "SUBJECT 2 UIDBEFORE 5") == ([b"3"], "")
    assert await found(client, "UIDBEFORE 7 UIDAFTER 2 ALL") == ([b"3", b"4", b"5", b"6"], "")
    assert await found(client, "UIDAFTER 10") == ([], "")
    assert await found(client, "UIDBEFORE 1") == ([], "")
    answer = await client.say("UID SEARCH RETURN (SAVE COUNT) ALL")
    assert answer.untagged[0].endswith(b"COUNT 4")
    assert uids(await client.ok("UID FETCH $ FLAGS")) == [7, 8, 9, 10]
    for wrong in ("UIDAFTER", "UIDAFTER 0", "UIDBEFORE *", "UIDBEFORE 1:2"):
        assert (await client.say(f"SEARCH {wrong}")).status == "BAD"
