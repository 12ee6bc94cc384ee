"""CONDSTORE and QRESYNC (RFC 7162), ENABLE (RFC 5161), IMAP4rev2 (RFC 9051) and UIDONLY (RFC 9586): what a client that
comes back is told, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from imap_door import Door

from mailsystem.imap.dialect import vanished
from mailsystem.mail.mailbox import DELETED, FLAGGED, MessageSet
from mailsystem.store import FlagOp, open_store
from mailsystem.store.doorbell import Doorbell


async def uidvalidity(door: Door, mailbox: str = "INBOX") -> int:
    return (await door.store.mailboxes.find(door.account.id, mailbox)).uidvalidity


async def modseq(door: Door, mailbox: str = "INBOX") -> int:
    return (await door.store.mailboxes.find(door.account.id, mailbox)).modseq


async def test_who_comes_back_is_told_what_vanished_and_what_changed(door: Door) -> None:
    for _ in range(6):
        await door.put()
    away = await modseq(door)
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 2,5 +FLAGS.SILENT \\Deleted")
    await other.ok("EXPUNGE")
    await other.ok("UID STORE 3 +FLAGS.SILENT \\Flagged")
    await door.put()
    one = await door.client()
    assert await one.ok("ENABLE QRESYNC") == [b"* ENABLED QRESYNC"]
    said = await one.ok(f"SELECT INBOX (QRESYNC ({await uidvalidity(door)} {away}))")
    now = await modseq(door)
    assert said[-3:] == [
        b"* VANISHED (EARLIER) 2,5",
        b"* 2 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (%d))" % (now - 1),
        b"* 5 FETCH (UID 7 FLAGS (\\Recent) MODSEQ (%d))" % now,
    ]
    assert b"* OK [HIGHESTMODSEQ %d] highest" % now in said
    assert await one.ok("NOOP") == []


async def test_only_known_uids_are_spoken_of(door: Door) -> None:
    for _ in range(6):
        await door.put()
    away = await modseq(door)
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 1:4 +FLAGS.SILENT \\Deleted")
    await other.ok("UID EXPUNGE 1:2")
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    said = await one.ok(f"EXAMINE INBOX (QRESYNC ({await uidvalidity(door)} {away} 2:3 (1,2 1,2)))")
    assert said[-2] == b"* VANISHED (EARLIER) 2"
    assert said[-1].startswith(b"* 1 FETCH (UID 3 ")


async def test_another_uidvalidity_tells_nothing_and_an_old_modseq_everything(door: Door) -> None:
    for _ in range(3):
        await door.put()
    other = await door.client(mailbox="INBOX")
    await other.ok("STORE 2 +FLAGS.SILENT \\Deleted")
    await other.ok("EXPUNGE")
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    validity = await uidvalidity(door)
    said = await one.ok(f"SELECT INBOX (QRESYNC ({validity + 1} 1))")
    assert not [line for line in said if b"VANISHED" in line or b"FETCH" in line]
    said = await one.ok(f"SELECT INBOX (QRESYNC ({validity} 1))")
    assert said[0] == b"* OK [CLOSED] left the mailbox before"
    assert b"* VANISHED (EARLIER) 2" in said


@pytest.mark.parametrize(
    "said",
    [
        "UID FETCH 2 (MODSEQ)",
        "UID FETCH 2 (MODSEQ BODY.PEEK[])",
        "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)",
        "UID SEARCH MODSEQ 1",
        "UID SEARCH RETURN (MAX) MODSEQ 1",
        "ESEARCH MODSEQ 1",
    ],
)
async def test_no_modseq_is_told_before_what_a_process_has_done_whose_bell_is_late(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """RFC 7162 3.2: with that mod-sequence the client believes that it knows of all before it."""
    for _ in range(3):
        await door.put()
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    monkeypatch.setattr(Doorbell, "ring", lambda self, topics: None)
    async with open_store(tmp_path / "store0") as other:
        mailbox = await other.mailboxes.find(door.account.id, "INBOX")
        for uid, flag in ((1, DELETED), (2, FLAGGED)):
            uids = MessageSet.of([uid])
            await other.mailboxes.set_flags(door.account.id, mailbox.id, uids, FlagOp.ADD, frozenset({flag}))
            await other.mailboxes.expunge(door.account.id, mailbox.id)
        assert b"* VANISHED 1" in await one.ok(said)


@pytest.mark.parametrize(("said", "heard"), [("EXPUNGE", b"* 1 EXPUNGE"), ("UID EXPUNGE 3", b"* 1 EXPUNGE")])
async def test_who_expunges_hears_of_all_that_is_gone(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, heard: bytes
) -> None:
    """That another process has taken away what was marked is no reason to say nothing."""
    for flag in (DELETED, FLAGGED, FLAGGED):
        await door.put(b"x", flag)
    one = await door.client(mailbox="INBOX")
    monkeypatch.setattr(Doorbell, "ring", lambda self, topics: None)
    async with open_store(tmp_path / "store0") as other:
        mailbox = await other.mailboxes.find(door.account.id, "INBOX")
        await other.mailboxes.expunge(door.account.id, mailbox.id)
        assert await one.ok(said) == [heard]


async def test_what_came_and_went_unseen_holds_no_news_back(door: Door) -> None:
    await door.put()
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    await door.put(b"x", DELETED)
    mailbox = await door.store.mailboxes.find(door.account.id, "INBOX")
    await door.store.mailboxes.expunge(door.account.id, mailbox.id)
    await door.put()
    told = [b"* 1 FETCH (UID 1)", b"* 2 EXISTS", b"* 2 RECENT"]
    assert await one.ok("FETCH 1 UID") == told
    assert await one.ok("NOOP") == []


async def test_where_history_is_forgotten_every_uid_that_is_not_there_is_told(door: Door) -> None:
    for _ in range(9):
        await door.put()
    other = await door.client(mailbox="INBOX")
    away = await modseq(door)
    for number in (1, 3, 3, 6):
        await other.ok(f"STORE {number} +FLAGS.SILENT \\Deleted")
        await other.ok("EXPUNGE")
    assert await door.store.mailboxes.forget(2) == 4  # of what vanished, and of what was flagged
    assert await door.store.mailboxes.forget(2) == 0
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    said = await one.ok(f"SELECT INBOX (QRESYNC ({await uidvalidity(door)} {away}))")
    assert b"* VANISHED (EARLIER) 1,4:5,9" in said
    # Somebody who was away for less still hears of no more than that.
    said = await one.ok(f"SELECT INBOX (QRESYNC ({await uidvalidity(door)} {await modseq(door) - 2}))")
    assert b"* VANISHED (EARLIER) 9" in said


async def test_what_goes_while_one_looks_is_told_by_uid_and_exactly_once(door: Door) -> None:
    for _ in range(5):
        await door.put()
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    two = await door.client(mailbox="INBOX")
    await two.ok("STORE 2,4 +FLAGS.SILENT \\Deleted")
    await two.ok("EXPUNGE")
    # With sequence numbers nothing may vanish, and nothing newer may be told before what has vanished.
    await two.ok("STORE 1 +FLAGS.SILENT \\Flagged")
    assert (await one.ok("FETCH 5 UID"))[:-1] == [b"* 5 FETCH (UID 5)"]
    now = await modseq(door)
    assert await one.ok("NOOP") == [
        b"* VANISHED 2,4",
        b"* 1 FETCH (UID 1 FLAGS (\\Flagged \\Recent) MODSEQ (%d))" % now,
    ]
    assert await one.ok("NOOP") == []


async def test_an_expunge_says_how_far_it_has_come(door: Door) -> None:
    for _ in range(2):
        await door.put(b"Subject: x\r\n\r\n", "\\Deleted")
    one = await door.client()
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    answer = await one.say("UID EXPUNGE 1")
    assert answer.untagged == [b"* VANISHED 1"]
    assert answer.code == f"HIGHESTMODSEQ {await modseq(door)}"
    answer = await one.say("EXPUNGE")
    assert (answer.untagged, answer.code) == ([b"* VANISHED 2"], f"HIGHESTMODSEQ {await modseq(door)}")
    assert (await one.say("EXPUNGE")).code == ""


async def test_qresync_must_be_enabled_first_and_its_words_be_right(door: Door) -> None:
    one = await door.client()
    assert (await one.say("SELECT INBOX (QRESYNC (1 1))")).status == "BAD"
    await one.ok("ENABLE QRESYNC")
    for words in ("(QRESYNC)", "(QRESYNC (0 1))", "(QRESYNC (1))", "(QRESYNC (1 1 *))", "(QRESYNC (1 1 1:*))", "()",
                  "(QRESYNC (1 1 $))", "(X)", "(QRESYNC (1 9223372036854775808))", "(QRESYNC (1 1 1 (1)))"):  # fmt: skip
        assert (await one.say(f"SELECT INBOX {words}")).status == "BAD", words
    assert (await one.say("SELECT INBOX (CONDSTORE)")).status == "OK"


async def test_who_is_not_told_yet_what_is_gone_does_not_believe_to_know_more(door: Door) -> None:
    """RFC 7162 3.2 and 6: a mod-sequence that is told while a VANISHED has to wait is followed by a lower one."""
    for _ in range(3):
        await door.put()
    one, two = await door.client(), await door.client(mailbox="INBOX")
    await one.ok("ENABLE QRESYNC")
    await one.ok("SELECT INBOX")
    before = await modseq(door)
    await two.ok("STORE 1 +FLAGS.SILENT \\Deleted")
    await two.ok("EXPUNGE")
    lower = b"* OK [HIGHESTMODSEQ %d] what is gone is told later" % before
    for command in ("STORE 2 +FLAGS.SILENT \\Flagged", "FETCH 3 BODY[TEXT]"):
        told = await one.ok(command)
        assert b"MODSEQ" in told[0]
        assert told[-1] == lower, command
    again = await door.client()
    await again.ok("ENABLE QRESYNC")
    uidvalidity = (await door.store.mailboxes.find(door.account.id, "INBOX")).uidvalidity
    assert b"* VANISHED (EARLIER) 1" in await again.ok(f"SELECT INBOX (QRESYNC ({uidvalidity} {before}))")
    assert (await one.ok("NOOP"))[0] == b"* VANISHED 1"


async def test_who_speaks_only_uids_may_not_match_numbers_with_them(door: Door) -> None:
    """RFC 9586 3.7."""
    one = await door.client()
    await one.ok("ENABLE QRESYNC UIDONLY")
    answer = await one.say("SELECT INBOX (QRESYNC (1 1 1:5 (1:2 1:2)))")
    assert (answer.status, answer.code) == ("BAD", "UIDREQUIRED")
    assert (await one.say("SELECT INBOX (QRESYNC (1 1 1:5))")).status == "OK"


async def test_the_later_dialect_has_no_recent_and_spells_names_in_utf8(door: Door) -> None:
    await door.put()
    one, two = await door.client(), await door.client()
    await two.ok("CREATE Entw&APw-rfe")
    assert await one.ok("ENABLE IMAP4rev2") == [b"* ENABLED IMAP4REV2"]
    said = await one.ok("SELECT INBOX")
    assert b'* LIST () "/" INBOX' in said
    assert b'* LIST (\\Sent) "/" Sent' in await one.ok("EXAMINE Sent")
    await one.ok("SELECT INBOX")
    assert not [line for line in said if b"RECENT" in line.upper() or b"UNSEEN" in line]
    assert await one.ok('LIST "" "Entwü*"') == ['* LIST (\\HasNoChildren) "/" "Entwürfe"'.encode()]
    await door.put()
    assert await one.ok("NOOP") == [b"* 2 EXISTS"]
    # `&` is only a letter to this one, and begins a shift for the other.
    await one.ok('CREATE "Q&A"')
    assert await two.ok('LIST "" Q*') == [b'* LIST (\\HasNoChildren) "/" Q&-A']
    assert (await one.say(b'CREATE "\xff"')).status == "BAD"


async def test_who_names_a_mailbox_in_another_form_is_told_its_name(door: Door) -> None:
    """RFC 9051 6.3.2, 6.3.5 and 6.3.6: whoever does not normalize names can tell by which the server calls them."""
    one = await door.client()
    await one.ok("ENABLE IMAP4rev2")
    said, kept = "Entwu\u0308rfe", "Entw\u00fcrfe"
    told = f'* LIST () "/" "{kept}" ("OLDNAME" ("{said}"))'.encode()
    assert await one.ok(f'CREATE "{said}"') == [told]
    assert told in await one.ok(f'SELECT "{said}"')
    assert told in await one.ok(f'EXAMINE "{said}"')
    assert f'* LIST () "/" "{kept}"'.encode() in await one.ok(f'SELECT "{kept}"')
    assert f'* LIST (\\NonExistent) "/" "{kept}" ("OLDNAME" ("{said}"))'.encode() in await one.ok(f'DELETE "{said}"')
    await one.ok(f'CREATE "{kept}"')
    assert await one.ok(f'RENAME "{said}" new') == [f'* LIST () "/" new ("OLDNAME" ("{said}"))'.encode()]
    assert await one.ok("DELETE new") == []


async def test_who_speaks_only_uids_hears_only_uids(door: Door) -> None:
    for _ in range(3):
        await door.put()
    one, two = await door.client(), await door.client(mailbox="INBOX")
    assert await one.ok("ENABLE UIDONLY") == [b"* ENABLED UIDONLY"]
    await one.ok("SELECT INBOX")
    for said in ("FETCH 1 FLAGS", "STORE 1 +FLAGS \\Seen", "COPY 1 Trash", "MOVE 1 Trash", "SEARCH ALL"):
        answer = await one.say(said)
        assert (answer.status, answer.code) == ("BAD", "UIDREQUIRED"), said
    await two.ok("STORE 2 +FLAGS.SILENT \\Deleted")
    await two.ok("EXPUNGE")
    await two.ok("UID STORE 3 +FLAGS.SILENT \\Flagged")
    assert await one.ok("NOOP") == [b"* VANISHED 2", b"* 3 UIDFETCH (FLAGS (\\Flagged))"]


async def test_a_client_that_breaks_on_uidonly_is_not_offered_it(door: Door) -> None:
    one = await door.client()
    assert b" UIDONLY" in (await one.ok("CAPABILITY"))[0]
    await one.ok('ID ("name" "Microsoft Office 365 sync")')
    assert b" UIDONLY" not in (await one.ok("CAPABILITY"))[0]
    assert await one.ok("ENABLE UIDONLY CONDSTORE") == [b"* ENABLED CONDSTORE"]


async def test_what_is_switched_off_for_an_account_cannot_be_enabled(door: Door) -> None:
    await door.store.accounts.set_capabilities_off("ann@example.org", ["qresync"])
    one = await door.client()
    assert b" QRESYNC" not in (await one.ok("CAPABILITY"))[0]
    assert await one.ok("ENABLE QRESYNC") == [b"* ENABLED"]
    assert (await one.say("SELECT INBOX (QRESYNC (1 1))")).status == "BAD"


def test_long_sets_of_what_vanished_come_in_lines_that_can_be_read() -> None:
    lines = vanished(MessageSet.of(range(1, 4001, 2)), earlier=True)
    assert all(line.startswith(b"* VANISHED (EARLIER) ") and len(line) < 8000 for line in lines)
    said = ",".join(line.split()[-1].decode() for line in lines)
    assert MessageSet.parse(said) == MessageSet.of(range(1, 4001, 2))
