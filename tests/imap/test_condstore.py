"""CONDSTORE (RFC 7162): what has changed since, and changing only what nobody else has changed meanwhile."""

from __future__ import annotations

import random
import re

import pytest
from imap_door import Client, Door

from mailsystem.mail.mailbox import MessageSet

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


async def modseq(door: Door, mailbox: str = "INBOX") -> int:
    return (await door.store.mailboxes.find(door.account.id, mailbox)).modseq


async def filled(door: Door, count: int) -> int:
    for _ in range(count):
        await door.put()
    return await modseq(door)


# What switches it on


@pytest.mark.parametrize(
    "command",
    [
        "FETCH 1 MODSEQ",
        "UID FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 0) +FLAGS.SILENT \\Seen",
        "SEARCH MODSEQ 1",
        "STATUS Trash (HIGHESTMODSEQ)",
    ],
)
async def test_a_word_of_condstore_switches_it_on_and_is_told_where_counting_begins(door: Door, command: str) -> None:
    begun = await filled(door, 2)
    one = await door.client(mailbox="INBOX")
    assert await one.ok("STORE 2 +FLAGS.SILENT \\Flagged") == []
    told = await one.ok(command)
    assert told[0] == b"* OK [HIGHESTMODSEQ %d] highest" % (begun + 1)
    assert not [line for line in await one.ok(command) if line.startswith(b"* OK")]
    # From here on every change says its mod-sequence, whoever makes it.
    two = await door.client(mailbox="INBOX")
    await two.ok("STORE 2 +FLAGS.SILENT \\Answered")
    now = await modseq(door)
    assert (await one.ok("NOOP"))[-1] == b"* 2 FETCH (UID 2 FLAGS (\\Answered \\Flagged \\Recent) MODSEQ (%d))" % now
    assert await one.ok("STORE 2 FLAGS ()") == [b"* 2 FETCH (UID 2 FLAGS (\\Recent) MODSEQ (%d))" % (now + 1)]
    assert await one.ok("STORE 2 FLAGS.SILENT \\Draft") == [b"* 2 FETCH (UID 2 MODSEQ (%d))" % (now + 2)]
    seen = (await one.ok("FETCH 2 BODY[TEXT]"))[0]
    assert seen.startswith(b"* 2 FETCH (UID 2 MODSEQ (%d) FLAGS (\\Seen \\Draft \\Recent) BODY[TEXT]" % (now + 3))


async def test_the_fetches_of_rfc_7162(door: Door) -> None:
    """RFC 7162 3.1.4.1 and 3.1.4.2."""
    first = await filled(door, 4)
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 2 +FLAGS.SILENT \\Deleted")
    await other.ok("STORE 4 FLAGS.SILENT ($NoJunk $AutoJunk $MDNSent)")
    await door.dialog(
        f"""
        C1: a EXAMINE INBOX
        S1: * FLAGS ...
        S1: * OK [PERMANENTFLAGS ()] ...
        S1: * 4 EXISTS
        S1: * 0 RECENT
        S1: * OK [UNSEEN 1] ...
        S1: * OK [UIDVALIDITY ...
        S1: * OK [UIDNEXT 5] ...
        S1: * OK [HIGHESTMODSEQ {first + 2}] ...
        S1: * OK [MAILBOXID ...
        S1: a OK ...
        C1: s100 UID FETCH 1:* (FLAGS) (CHANGEDSINCE {first})
        S1: * OK [HIGHESTMODSEQ {first + 2}] ...
        S1: * 2 FETCH (UID 2 MODSEQ ({first + 1}) FLAGS (\\Deleted))
        S1: * 4 FETCH (UID 4 MODSEQ ({first + 2}) FLAGS ($AutoJunk $MDNSent $NoJunk))
        S1: s100 OK FETCH completed
        C1: s101 FETCH 1:3 (MODSEQ) (CHANGEDSINCE {first})
        S1: * 2 FETCH (MODSEQ ({first + 1}))
        S1: s101 OK FETCH completed
        C1: s102 FETCH 1:* FLAGS (CHANGEDSINCE {first + 2})
        S1: s102 OK FETCH completed
        C1: s103 UID FETCH 1:* FLAGS (CHANGEDSINCE {first} VANISHED)
        S1: s103 BAD ...
        C1: s104 FETCH 1:* FLAGS (VANISHED)
        S1: s104 BAD ...
        """
    )


async def test_the_vanished_of_rfc_7162(door: Door) -> None:
    """RFC 7162 3.2.6: only of the set, and before anything else."""
    away = await filled(door, 12)
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 2:5,8,11:12 +FLAGS.SILENT \\Deleted")
    await other.ok("EXPUNGE")
    await other.ok("UID STORE 6 +FLAGS.SILENT $Forwarded")
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    now = await modseq(door)
    assert await one.ok(f"UID FETCH 4:11 (UID FLAGS) (CHANGEDSINCE {away} VANISHED)") == [
        b"* VANISHED (EARLIER) 4:5,8,11",
        b"* 2 FETCH (MODSEQ (%d) UID 6 FLAGS ($Forwarded))" % now,
    ]
    # `*` is the highest there is, and what was above it belongs to n:*, too.
    told = await one.ok(f"UID FETCH 10:* FLAGS (VANISHED CHANGEDSINCE {away})")
    assert told == [b"* VANISHED (EARLIER) 11:12"]
    assert (await one.say(f"FETCH 1:* FLAGS (CHANGEDSINCE {away} VANISHED)")).status == "BAD"
    assert (await one.say("UID FETCH 1:* FLAGS (VANISHED)")).status == "BAD"


async def test_what_vanishes_just_now_is_told_once_and_not_as_earlier(door: Door) -> None:
    away = await filled(door, 4)
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 2 +FLAGS.SILENT \\Deleted")
    await other.ok("EXPUNGE")
    assert await one.ok(f"UID FETCH 1:* FLAGS (CHANGEDSINCE {away} VANISHED)") == [b"* VANISHED 2"]
    assert await one.ok(f"UID FETCH 1:* FLAGS (CHANGEDSINCE {away} VANISHED)") == [b"* VANISHED (EARLIER) 2"]


# STORE


async def test_the_conditional_stores_of_rfc_7162(door: Door) -> None:
    """RFC 7162 3.1.3: some pass, some fail, and those that failed are named."""
    start = await filled(door, 10)
    one, other = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await other.ok("STORE 7,9 +FLAGS.SILENT $Processed")
    await door.dialog(
        f"""
        C1: d105 STORE 7,5,9 (UNCHANGEDSINCE {start}) +FLAGS.SILENT (\\Deleted)
        S1: * OK [HIGHESTMODSEQ {start}] ...
        S1: * 5 FETCH (UID 5 MODSEQ ({start + 2}))
        S1: * FLAGS ...
        S1: * 5 FETCH (UID 5 FLAGS (\\Deleted \\Recent) MODSEQ ({start + 2}))
        S1: * 7 FETCH (UID 7 FLAGS (\\Recent $Processed) MODSEQ ({start + 1}))
        S1: * 9 FETCH (UID 9 FLAGS (\\Recent $Processed) MODSEQ ({start + 1}))
        S1: d105 OK [MODIFIED 7,9] ...
        C1: a103 UID STORE 6,4,8 (UNCHANGEDSINCE {start}) +FLAGS.SILENT (\\Deleted)
        S1: * 4 FETCH (UID 4 MODSEQ ({start + 3}))
        S1: * 6 FETCH (UID 6 MODSEQ ({start + 3}))
        S1: * 8 FETCH (UID 8 MODSEQ ({start + 3}))
        S1: a103 OK STORE completed
        C1: c101 STORE 10 (UNCHANGEDSINCE {start}) -FLAGS (\\Deleted)
        S1: * 10 FETCH (UID 10 FLAGS (\\Recent) MODSEQ ({start}))
        S1: c101 OK STORE completed
        C1: c102 UID STORE 1:9 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)
        S1: c102 OK [MODIFIED 1:9] ...
        C1: c103 UID STORE 20:30 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)
        S1: c103 OK STORE completed
        C1: c104 STORE * (UNCHANGEDSINCE {start}) +FLAGS.SILENT (\\Deleted $Processed)
        S1: * 10 FETCH (UID 10 MODSEQ ({start + 4}))
        S1: c104 OK STORE completed
        C1: c105 STORE 8,10 (UNCHANGEDSINCE {start + 4}) +FLAGS.SILENT (\\Deleted)
        S1: * 8 FETCH (UID 8 MODSEQ ({start + 3}))
        S1: * 10 FETCH (UID 10 MODSEQ ({start + 4}))
        S1: c105 OK STORE completed
        """,
        c1=one,
    )


async def test_what_is_gone_has_been_changed(door: Door) -> None:
    start = await filled(door, 3)
    one, other = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await other.ok("STORE 2 +FLAGS.SILENT \\Deleted")
    await other.ok("EXPUNGE")
    answer = await one.say(f"STORE 1:2 (UNCHANGEDSINCE {start + 9}) +FLAGS.SILENT \\Seen")
    assert (answer.status, answer.code) == ("OK", "MODIFIED 2")


@pytest.mark.parametrize(
    "words",
    ["()", "(UNCHANGEDSINCE)", "(UNCHANGEDSINCE x)", "(UNCHANGEDSINCE 1", "(UNCHANGEDSINCE 1 UNCHANGEDSINCE 1)",
     "(CHANGEDSINCE 1)", "(UNCHANGEDSINCE 9223372036854775808)", "(UNCHANGEDSINCE 1) ", "(UNCHANGEDSINCE -1)"],
)  # fmt: skip
async def test_bad_conditions_change_nothing(door: Door, words: str) -> None:
    await filled(door, 1)
    one = await door.client(mailbox="INBOX")
    before = await modseq(door)
    assert (await one.say(f"STORE 1 {words} +FLAGS \\Seen")).status == "BAD"
    assert await modseq(door) == before


async def test_two_who_change_one_message_under_a_condition_do_not_overwrite_each_other(door: Door) -> None:
    start = await filled(door, 1)
    clients = [await door.client(mailbox="INBOX") for _ in range(6)]
    for number, client in enumerate(clients):
        await client.send(b"x UID STORE 1 (UNCHANGEDSINCE %d) FLAGS.SILENT (mine%d)\r\n" % (start, number))
    answers = [await client.answer(b"x") for client in clients]
    assert sorted(answer.code for answer in answers) == [""] + ["MODIFIED 1"] * 5
    winner = next(number for number, answer in enumerate(answers) if not answer.code)
    told = (await clients[0].ok("UID FETCH 1 FLAGS"))[-1]
    assert b"mine%d" % winner in told


async def test_a_move_says_how_far_it_has_come_and_by_uid_what_is_gone(door: Door) -> None:
    await filled(door, 4)
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    answer = await one.say("MOVE 2:3 Trash")
    assert re.fullmatch(rb"\* OK \[COPYUID \d+ 2:3 1:2\] moved", answer.untagged[0])
    assert answer.untagged[1:] == [b"* VANISHED 2:3"]
    assert answer.code == f"HIGHESTMODSEQ {await modseq(door)}"
    assert (await one.say("UID MOVE 2:3 Trash")).code == ""
    await one.ok("LOGOUT")
    one = await door.client()
    await one.ok("ENABLE UIDONLY")
    await one.ok("SELECT INBOX")
    answer = await one.say("UID MOVE 4 Trash")
    assert answer.untagged[1:] == [b"* VANISHED 4"]


# Everything at once


async def heard(client: Client, since: int) -> tuple[set[int], set[int]]:
    """UIDs that changed and that vanished, as one UID FETCH tells."""
    changed: set[int] = set()
    gone: set[int] = set()
    for line in await client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since} VANISHED)"):
        if found := re.match(rb"\* VANISHED \(EARLIER\) (\S+)", line):
            gone.update(MessageSet.parse(found[1].decode()))
        elif found := re.match(rb"\* \d+ FETCH \(UID (\d+) MODSEQ \((\d+)\) FLAGS \(.*\)\)$", line):
            assert int(found[2]) > since
            changed.add(int(found[1]))
        else:
            raise AssertionError(line)
    return changed, gone


@pytest.mark.parametrize("seed", range(6))
async def test_changes_since_any_moment_are_told_exactly(door: Door, seed: int) -> None:
    """Random changes; then from every moment on, what a client hears is what did change, no more and no less."""
    dice = random.Random(seed)
    for _ in range(8):
        await door.put()
    writer = await door.client(mailbox="INBOX")
    last_change = dict.fromkeys(range(1, 9), 0)
    flags: dict[int, set[str]] = {uid: set() for uid in last_change}
    gone: dict[int, int] = {}
    moments = [await modseq(door)]
    start = moments[0]
    for _ in range(25):
        alive = sorted(set(last_change) - set(gone))
        some = sorted(dice.sample(alive, dice.randint(0, len(alive)))) if alive else []
        act = dice.choice(["put", "add", "remove", "expunge", "move"])
        if act == "put" or not some:
            appended = await door.put()
            last_change[appended.uid], flags[appended.uid] = appended.modseq, set()
            await writer.ok("NOOP")
        elif act in ("add", "remove"):
            await writer.ok(f"UID STORE {MessageSet.of(some)} {'+' if act == 'add' else '-'}FLAGS.SILENT \\Flagged")
            for uid in some:
                if ("\\Flagged" in flags[uid]) != (act == "add"):
                    flags[uid] ^= {"\\Flagged"}
                    last_change[uid] = await modseq(door)
        elif act == "expunge":
            await writer.ok(f"UID STORE {MessageSet.of(some)} +FLAGS.SILENT \\Deleted")
            await writer.ok(f"UID EXPUNGE {MessageSet.of(some)}")
            gone.update(dict.fromkeys(some, await modseq(door)))
        else:
            await writer.ok(f"UID MOVE {MessageSet.of(some)} Archive")
            gone.update(dict.fromkeys(some, await modseq(door)))
        moments.append(await modseq(door))
    reader = await door.client()
    await reader.ok("ENABLE QRESYNC")
    await reader.ok("SELECT INBOX")
    for moment in moments:
        changed, vanished = await heard(reader, moment)
        assert changed == {uid for uid, at in last_change.items() if uid not in gone and at > moment and at > start}
        assert vanished == {uid for uid, at in gone.items() if at > moment}
