"""What CAPA announces of EXPIRE and LOGIN-DELAY (RFC 2449), and that it is meant."""

from __future__ import annotations

import pytest
from pop3_door import PASSWORD, Client, Door, Opening

from mailsystem.mail.mailbox import FLAGGED, MessageSet
from mailsystem.maildrop import lock
from mailsystem.store import Choices, FlagOp

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_ACQUIRE_PAUSES", (0.01,))


async def choose(door: Door, **chosen: object) -> None:
    await door.store.maildrops.choose(door.ann.id, Choices(**chosen))  # type: ignore[arg-type]


async def announced(client: Client) -> dict[str, str]:
    tags = [line.decode().partition(" ") for line in await client.listing(b"CAPA")]
    return {name: value for name, _, value in tags}


@pytest.mark.parametrize("days", [0, 1, 60])
async def test_the_shortest_time_is_announced_before_login_and_ones_own_after(days: int, door: Door) -> None:
    """RFC 2449 6.7."""
    bob = await door.store.accounts.find("bob@example.org")
    await door.store.maildrops.choose(bob.id, Choices(keep_days=days))
    client = await door.connect()
    assert (await announced(client))["EXPIRE"] == f"{days} USER"
    await client.log_in()
    assert (await announced(client))["EXPIRE"] == "NEVER"
    client = await door.connect()
    await client.log_in("bob@example.org")
    assert (await announced(client))["EXPIRE"] == str(days)


async def test_expire_0_removes_what_was_retrieved_at_quit(door: Door) -> None:
    await door.post(MESSAGE, MESSAGE, MESSAGE, MESSAGE)
    await choose(door, keep_days=0)
    inbox = (await door.store.maildrops.listing(door.ann.id)).mailbox
    flagged = frozenset({FLAGGED})
    await door.store.mailboxes.set_flags(door.ann.id, inbox.id, MessageSet.of([2]), FlagOp.ADD, flagged)
    client = await door.client()
    await client.many(b"RETR 1")
    await client.many(b"RETR 2")
    await client.many(b"TOP 3 9999")
    await client.ok(b"RSET")
    assert await client.say(b"QUIT") == b"+OK bye, 1 deleted"
    assert [message.uid for message in await door.kept()] == [2, 3, 4]


async def test_expire_0_removes_nothing_without_quit(door: Door) -> None:
    await door.post(MESSAGE)
    await choose(door, keep_days=0)
    client = await door.client()
    await client.many(b"RETR 1")
    client.vanish()
    await door.until_told("disconnected")
    assert len(await door.kept()) == 1


async def test_a_download_is_kept_for_its_days_and_then_swept(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.post(MESSAGE, MESSAGE)
    await choose(door, keep_days=30)
    client = await door.client()
    await client.many(b"RETR 2")
    assert await client.say(b"QUIT") == b"+OK bye"
    maildrops, now = door.store.maildrops, door.store.clock.now()
    assert len(await maildrops.expire()) == 0
    monkeypatch.setattr(maildrops, "_clock", At(now + 31 * 86_400))
    assert len(await maildrops.expire()) == 1
    assert [message.uid for message in await door.kept()] == [1]


class At:
    """A clock that stands."""

    def __init__(self, time: float) -> None:
        self.time = time

    def now(self) -> float:
        return self.time


async def test_dele_moves_to_trash_if_that_is_chosen(door: Door) -> None:
    await door.post(MESSAGE, MESSAGE)
    await choose(door, trash=True)
    client = await door.client()
    await client.ok(b"DELE 2")
    assert await client.say(b"QUIT") == b"+OK bye, 1 deleted"
    assert (await door.store.mailboxes.status(door.ann.id, "Trash")).messages == 1
    assert len(await door.kept()) == 1


async def test_several_mailboxes_are_one_maildrop(door: Door) -> None:
    await door.post(MESSAGE, b"Subject: two\r\n\r\n")
    spool = door.store.contents.spool()
    spool.write(b"Subject: junk\r\n\r\n")
    await door.store.mailboxes.append(door.ann.id, "Junk", spool)
    await choose(door, mailboxes=("INBOX", "Junk"))
    client = await door.client()
    assert await client.say(b"STAT") == b"+OK 3 55"
    names = await client.listing(b"UIDL")
    assert len({name.partition(b" ")[2] for name in names}) == 3
    assert names[2].partition(b".")[2] == names[0].partition(b".")[2] == b"1"
    assert [await client.many(b"RETR %d" % number) for number in (1, 2, 3)] == [
        MESSAGE, b"Subject: two\r\n\r\n", b"Subject: junk\r\n\r\n"]  # fmt: skip
    await client.ok(b"DELE 1")
    await client.ok(b"DELE 3")
    assert await client.say(b"QUIT") == b"+OK bye, 2 deleted"
    client = await door.client()
    assert await client.listing(b"UIDL") == [b"1 " + names[1].partition(b" ")[2]]


async def names(door: Door) -> list[str]:
    """The unique-ids that a session sees, which then retrieves everything."""
    client = await door.client()
    listed = [line.decode().partition(" ")[2] for line in await client.listing(b"UIDL")]
    for number in range(1, len(listed) + 1):
        await client.many(b"RETR %d" % number)
    await client.ok(b"QUIT")
    return listed


async def test_a_message_that_imap_moves_between_shown_mailboxes_keeps_its_name(door: Door) -> None:
    await choose(door, mailboxes=("INBOX", "Junk"))
    await door.post(MESSAGE, MESSAGE)
    one, two = await names(door)
    mailboxes, ann = door.store.mailboxes, door.ann.id
    inbox, junk = await mailboxes.find(ann, "INBOX"), await mailboxes.find(ann, "Junk")
    await mailboxes.move(ann, inbox.id, MessageSet.of([1]), "Junk")
    assert await names(door) == [two, one]
    assert await names(door) == [two, one]
    await mailboxes.move(ann, junk.id, MessageSet.of([1]), "INBOX")
    assert await names(door) == [two, one]
    await mailboxes.copy(ann, inbox.id, MessageSet.of([2]), "Junk")
    listed = await names(door)
    assert listed[:2] == [two, one]
    assert len(set(listed)) == 3, "a copy is a message of its own"


async def test_what_was_deleted_leaves_its_name_to_nobody(door: Door) -> None:
    await choose(door, mailboxes=("INBOX", "Junk"))
    await door.post(MESSAGE)
    inbox = await door.store.mailboxes.find(door.ann.id, "INBOX")
    await door.store.mailboxes.copy(door.ann.id, inbox.id, MessageSet.of([1]), "Junk")
    _, copied = await names(door)
    client = await door.client()
    await client.ok(b"DELE 1")
    await client.ok(b"QUIT")
    assert await names(door) == [copied]


async def test_login_delay_is_announced_and_meant_at_every_door(open_door: Opening) -> None:
    """RFC 2449 6.5 and 8.1.1; two doors with a store each stand for two processes."""
    here, there = await open_door(login_delay=60), await open_door(login_delay=60)
    client = await here.connect()
    assert (await announced(client))["LOGIN-DELAY"] == "60"
    await client.log_in()
    assert (await announced(client))["LOGIN-DELAY"] == "60"
    await client.ok(b"QUIT")
    for door in (here, there):
        client = await door.connect()
        await client.ok(b"USER ann")
        answer = await client.say(b"PASS " + PASSWORD.encode())
        assert answer == b"-ERR [LOGIN-DELAY] this maildrop was opened a moment ago, come again later"
    await client.ok(b"USER ann")
    assert await client.say(b"PASS wrong") == b"-ERR [AUTH] authentication failed", "it is told to the owner alone"
    await client.log_in("bob@example.org")


async def test_without_a_delay_none_is_announced(door: Door) -> None:
    client = await door.connect()
    assert "LOGIN-DELAY" not in await announced(client)
    await client.log_in()
    assert "LOGIN-DELAY" not in await announced(client)


async def test_the_longest_delay_is_announced_before_login_and_ones_own_after(open_door: Opening) -> None:
    door = await open_door(login_delay=60)
    await choose(door, login_delay=900)
    client = await door.connect()
    assert (await announced(client))["LOGIN-DELAY"] == "900 USER"
    await client.log_in("bob@example.org")
    assert (await announced(client))["LOGIN-DELAY"] == "60"
    client = await door.client()
    assert (await announced(client))["LOGIN-DELAY"] == "900"


async def test_what_is_switched_off_for_an_account_is_not_listed_to_it(door: Door) -> None:
    await door.store.accounts.set_capabilities_off("ann@example.org", ["lang", "EXPIRE", "UIDONLY"])
    client = await door.connect()
    before = await announced(client)
    await client.log_in()
    assert set(before) - set(await announced(client)) == {"LANG", "EXPIRE"}


async def test_a_full_disk_keeps_nobody_from_fetching(door: Door) -> None:
    await door.post(MESSAGE)
    writer = door.store.maildrops._database._writer  # type: ignore[attr-defined]
    await writer._execute(lambda: writer._conn.execute("PRAGMA query_only = ON"))
    client = await door.client()
    assert await client.many(b"RETR 1") == MESSAGE
    assert await client.say(b"QUIT") == b"+OK bye"
    client = await door.client()
    await client.ok(b"DELE 1")
    assert await client.say(b"QUIT") == b"-ERR [SYS/TEMP] temporarily unavailable"
    await writer._execute(lambda: writer._conn.execute("PRAGMA query_only = OFF"))
    client, other = await door.client(), await door.connect()
    await client.ok(b"DELE 1")
    await other.ok(b"USER ann")
    assert (await other.say(b"PASS " + PASSWORD.encode())).startswith(b"-ERR [IN-USE]")
    assert await client.say(b"QUIT") == b"+OK bye, 1 deleted"
    assert await door.kept() == []
