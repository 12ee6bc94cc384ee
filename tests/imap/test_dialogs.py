"""Conversations with one or several clients, after the RFCs' own transcripts."""

from __future__ import annotations

import asyncio

from imap_door import PATIENCE, Door, Opening

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


async def test_a_first_conversation(door: Door) -> None:
    await door.put()
    await door.dialog(
        """
        C1: a1 NOOP
        S1: a1 OK NOOP completed
        C1: a2 SELECT INBOX
        S1: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)
        S1: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] ...
        S1: * 1 EXISTS
        S1: * 1 RECENT
        S1: * OK [UNSEEN 1] ...
        S1: * OK [UIDVALIDITY ...] ...
        S1: * OK [UIDNEXT 2] ...
        S1: * OK [HIGHESTMODSEQ ...] ...
        S1: * OK [MAILBOXID (...)] ...
        S1: a2 OK [READ-WRITE] ...
        C1: a3 LOGOUT
        S1: * BYE ...
        S1: a3 OK LOGOUT completed
        """
    )


async def test_two_clients_in_one_mailbox_hear_of_each_other(door: Door) -> None:
    for _ in range(3):
        await door.put()
    one, two = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: a1 STORE 1:2 +FLAGS (\\Seen)
        S1: * 1 FETCH (FLAGS (\\Seen \\Recent))
        S1: * 2 FETCH (FLAGS (\\Seen \\Recent))
        S1: a1 OK STORE completed
        C2: b1 NOOP
        S2: * 1 FETCH (FLAGS (\\Seen))
        S2: * 2 FETCH (FLAGS (\\Seen))
        S2: b1 OK NOOP completed
        C2: b2 STORE 2 +FLAGS.SILENT (\\Deleted)
        S2: b2 OK STORE completed
        C1: a2 CHECK
        S1: * 2 FETCH (FLAGS (\\Deleted \\Seen \\Recent))
        S1: a2 OK CHECK completed
        C2: b3 EXPUNGE
        S2: * 2 EXPUNGE
        S2: b3 OK EXPUNGE completed
        C1: a3 STORE 3 FLAGS (\\Flagged $Work)
        S1: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)
        S1: * 3 FETCH (FLAGS (\\Flagged \\Recent $Work))
        S1: a3 OK STORE completed
        C1: a4 NOOP
        S1: * 2 EXPUNGE
        S1: a4 OK NOOP completed
        C2: b4 NOOP
        S2: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)
        S2: * 2 FETCH (FLAGS (\\Flagged $Work))
        S2: b4 OK NOOP completed
        """,
        c1=one,
        c2=two,
    )


async def test_copy_then_delete_silently_as_old_clients_do_hears_no_echo(door: Door) -> None:
    await door.put()
    await door.put()
    one = await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: a1 UID COPY 1:2 Trash
        S1: a1 OK [COPYUID ... 1:2 1:2] COPY completed
        C1: a2 UID STORE 1:2 +FLAGS.SILENT (\\Deleted)
        S1: a2 OK STORE completed
        C1: a3 NOOP
        S1: a3 OK NOOP completed
        C1: a4 CLOSE
        S1: a4 OK CLOSE completed
        C1: a5 STATUS INBOX (MESSAGES UNSEEN)
        S1: * STATUS INBOX (MESSAGES 0 UNSEEN 0)
        S1: a5 OK STATUS completed
        """,
        c1=one,
    )


async def test_the_expunge_of_rfc_3501_comes_with_numbers_that_fit(door: Door) -> None:
    """RFC 3501 6.4.3: messages 3, 4, 7 and 11 are marked; we tell the highest first, so their own numbers hold."""
    for number in range(1, 12):
        await door.put(MESSAGE, *(["\\Deleted"] if number in (3, 4, 7, 11) else []))
    one = await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: A202 EXPUNGE
        S1: * 11 EXPUNGE
        S1: * 7 EXPUNGE
        S1: * 4 EXPUNGE
        S1: * 3 EXPUNGE
        S1: A202 OK EXPUNGE completed
        """,
        c1=one,
    )


async def test_the_store_of_rfc_3501(door: Door) -> None:
    """RFC 3501 6.4.6."""
    for flags in ((), ("\\Seen",), (), ("\\Flagged", "\\Seen")):
        await door.put(MESSAGE, *flags)
    await (await door.client(mailbox="INBOX")).ok("LOGOUT")
    one = await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: A003 STORE 2:4 +FLAGS (\\Deleted)
        S1: * 2 FETCH (FLAGS (\\Deleted \\Seen))
        S1: * 3 FETCH (FLAGS (\\Deleted))
        S1: * 4 FETCH (FLAGS (\\Flagged \\Deleted \\Seen))
        S1: A003 OK STORE completed
        C1: A004 UID STORE 2:3 -FLAGS \\Deleted \\Seen
        S1: * 2 FETCH (UID 2 FLAGS ())
        S1: * 3 FETCH (UID 3 FLAGS ())
        S1: A004 OK STORE completed
        """,
        c1=one,
    )


async def test_with_uid_commands_news_come_with_uids_too(door: Door) -> None:
    for _ in range(3):
        await door.put(MESSAGE)
    one, two = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await two.ok("STORE 1 +FLAGS.SILENT \\Deleted")
    await two.ok("EXPUNGE")
    await two.ok("STORE 1 +FLAGS.SILENT \\Flagged")
    await door.dialog(
        """
        C1: a UID STORE 3 +FLAGS \\Seen
        S1: * 3 FETCH (UID 3 FLAGS (\\Seen \\Recent))
        S1: * 1 EXPUNGE
        S1: * 1 FETCH (UID 2 FLAGS (\\Flagged \\Recent))
        S1: a OK STORE completed
        """,
        c1=one,
    )


async def test_the_uid_expunge_of_rfc_4315(door: Door) -> None:
    for _ in range(4):
        await door.put(MESSAGE, "\\Deleted")
    one = await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: A101 UID EXPUNGE 3000:3002,2:3
        S1: * 3 EXPUNGE
        S1: * 2 EXPUNGE
        S1: A101 OK EXPUNGE completed
        """,
        c1=one,
    )


async def test_the_append_and_copy_of_rfc_4315(door: Door) -> None:
    one = await door.client(mailbox="INBOX")
    validity = (await one.ok("STATUS INBOX (UIDVALIDITY)"))[0].split()[-1].decode().rstrip(")")
    there = (await one.ok("STATUS Archive (UIDVALIDITY)"))[0].split()[-1].decode().rstrip(")")
    await door.dialog(
        f"""
        C1: A003 APPEND INBOX (\\Seen) {{12}}
        S1: + go ahead
        C1: Subject: z
        C1:
        S1: * 1 EXISTS
        S1: * 1 RECENT
        S1: A003 OK [APPENDUID {validity} 1] APPEND completed
        C1: A004 COPY 1 Archive
        S1: A004 OK [COPYUID {there} 1 1] COPY completed
        C1: A005 COPY 1 funny
        S1: A005 NO [TRYCREATE] ...
        C1: A006 UID COPY 77 Archive
        S1: A006 OK COPY completed
        """,
        c1=one,
    )


async def test_the_move_of_rfc_6851(door: Door) -> None:
    for _ in range(4):
        await door.put()
    one, two = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: a UID MOVE 2:3 foo
        S1: a NO [TRYCREATE] ...
        C1: b CREATE foo
        S1: b OK [MAILBOXID (...)] CREATE completed
        C1: c UID MOVE 2:3 foo
        S1: * OK [COPYUID ... 2:3 1:2] ...
        S1: * 3 EXPUNGE
        S1: * 2 EXPUNGE
        S1: c OK MOVE completed
        C1: d MOVE 1 foo
        S1: * OK [COPYUID ... 1 3] ...
        S1: * 1 EXPUNGE
        S1: d OK MOVE completed
        C2: e NOOP
        S2: * 3 EXPUNGE
        S2: * 2 EXPUNGE
        S2: * 1 EXPUNGE
        S2: e OK NOOP completed
        """,
        c1=one,
        c2=two,
    )


async def test_the_idle_of_rfc_2177(door: Door) -> None:
    for _ in range(3):
        await door.put()
    one, two = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: A002 IDLE
        S1: + idling
        C2: b STORE 3 +FLAGS.SILENT \\Deleted
        S2: b OK STORE completed
        S1: * 3 FETCH (FLAGS (\\Deleted \\Recent))
        C2: c EXPUNGE
        S2: * 3 EXPUNGE
        S2: c OK EXPUNGE completed
        S1: * 3 EXPUNGE
        C1: DONE
        S1: A002 OK IDLE completed
        """,
        c1=one,
        c2=two,
    )


async def test_the_identification_of_rfc_2971(door: Door) -> None:
    one = await door.connect()
    await door.dialog(
        """
        S1: * OK [CAPABILITY IMAP4rev1 ...] localhost ready
        C1: a023 ID ("name" "sodr" "version" "19.34" "vendor" "Pink Floyd Music Limited" "os" NIL)
        S1: * ID ("name" "mailsystem")
        S1: a023 OK ID completed
        C1: a024 ID NIL
        S1: * ID ("name" "mailsystem")
        S1: a024 OK ID completed
        C1: a025 ID ("name")
        S1: a025 BAD ...
        """,
        c1=one,
    )
    [event] = door.named("identified")
    assert event.data["client"] == {
        "name": "sodr",
        "version": "19.34",
        "vendor": "Pink Floyd Music Limited",
        "os": None,
    }


async def test_namespace_enable_and_unselect(door: Door) -> None:
    await door.put(MESSAGE, "\\Deleted")
    await door.dialog(
        """
        C1: a1 ENABLE CONDSTORE X-UNHEARD-OF
        S1: * ENABLED CONDSTORE
        S1: a1 OK ENABLE completed
        C1: a2 NAMESPACE
        S1: * NAMESPACE (("" "/")) (("Other Users/" "/")) NIL
        S1: a2 OK NAMESPACE completed
        C1: a3 EXAMINE INBOX
        S1: * FLAGS ...
        S1: * OK [PERMANENTFLAGS ()] ...
        S1: * 1 EXISTS
        S1: * 1 RECENT
        S1: * OK [UNSEEN 1] ...
        S1: * OK [UIDVALIDITY ...
        S1: * OK [UIDNEXT 2] ...
        S1: * OK [HIGHESTMODSEQ ...] ...
        S1: * OK [MAILBOXID (...)] ...
        S1: a3 OK [READ-ONLY] ...
        C1: a4 STORE 1 +FLAGS \\Seen
        S1: a4 NO [NOPERM] ...
        C1: a5 EXPUNGE
        S1: a5 NO [NOPERM] ...
        C1: a6 UID EXPUNGE 1
        S1: a6 NO [NOPERM] ...
        C1: a7 MOVE 1 Trash
        S1: a7 NO [NOPERM] ...
        C1: a8 CLOSE
        S1: a8 OK CLOSE completed
        C1: a9 CLOSE
        S1: a9 BAD ...
        C1: b1 SELECT INBOX
        S1: * FLAGS ...
        S1: ...
        S1: * 1 EXISTS
        S1: * 1 RECENT
        S1: ...
        S1: ...
        S1: ...
        S1: ...
        S1: ...
        S1: b1 OK [READ-WRITE] ...
        C1: b2 UNSELECT
        S1: b2 OK UNSELECT completed
        C1: b3 STATUS INBOX (MESSAGES RECENT)
        S1: * STATUS INBOX (MESSAGES 1 RECENT 0)
        S1: b3 OK STATUS completed
        """
    )


async def test_recent_is_told_to_the_first_who_selects_and_to_those_who_only_look(door: Door) -> None:
    await door.put()
    await door.put()
    looking = await door.client()
    assert b"* 2 RECENT" in await looking.ok("EXAMINE INBOX")
    first = await door.client()
    assert b"* 2 RECENT" in await first.ok("SELECT INBOX")
    second = await door.client()
    assert b"* 0 RECENT" in await second.ok("SELECT INBOX")
    await door.put()
    assert await first.ok("NOOP") == [b"* 3 EXISTS", b"* 3 RECENT"]
    assert await second.ok("NOOP") == [b"* 3 EXISTS", b"* 1 RECENT"]


async def test_selecting_what_is_not_there_leaves_no_mailbox_selected(door: Door) -> None:
    await door.put()
    await door.dialog(
        """
        C1: a1 SELECT INBOX
        S1: * FLAGS ...
        S1: ...
        S1: * 1 EXISTS
        S1: ...
        S1: ...
        S1: ...
        S1: ...
        S1: ...
        S1: ...
        S1: a1 OK ...
        C1: a2 SELECT INBOX extra
        S1: a2 BAD ...
        C1: a3 CHECK
        S1: a3 OK ...
        C1: a4 SELECT nowhere
        S1: * OK [CLOSED] ...
        S1: a4 NO [NONEXISTENT] ...
        C1: a5 CHECK
        S1: a5 BAD ...
        """
    )


async def test_a_mailbox_deleted_by_somebody_else_ends_the_session_that_is_in_it(door: Door) -> None:
    one, two = await door.client(), await door.client()
    await one.ok("CREATE gone")
    await one.ok("SELECT gone")
    await two.ok("DELETE gone")
    await door.dialog(
        """
        C1: a1 NOOP
        S1: * BYE the selected mailbox was deleted
        S1: a1 OK NOOP completed
        """,
        c1=one,
    )
    assert await one.rest() == b""


async def test_a_mailbox_deleted_by_somebody_else_wakes_and_ends_the_one_that_idles_in_it(open_door: Opening) -> None:
    door = await open_door(grace=3600.0)
    one, two = await door.client(), await door.client()
    await one.ok("CREATE gone")
    await one.ok("SELECT gone")
    await one.send(b"a IDLE\r\n")
    assert await one.line() == b"+ idling"
    await two.ok("DELETE gone")
    assert await one.rest() == b"* BYE the selected mailbox was deleted\r\n"
    await asyncio.gather(one.close(), two.close())
    async with asyncio.timeout(PATIENCE):  # nobody is left for whom to have grace
        await door.stop()


async def test_whoever_deletes_the_mailbox_it_is_in_is_in_none(door: Door) -> None:
    await door.dialog(
        """
        C1: a1 CREATE gone
        S1: a1 OK ...
        C1: a2 SELECT gone
        S1: * FLAGS ...
        S1: ...
        S1: * 0 EXISTS
        S1: * 0 RECENT
        S1: ...
        S1: ...
        S1: ...
        S1: ...
        S1: a2 OK ...
        C1: a3 DELETE gone
        S1: * OK [CLOSED] ...
        S1: a3 OK DELETE completed
        C1: a4 CHECK
        S1: a4 BAD ...
        """
    )


async def test_a_mailbox_renamed_by_somebody_else_stays_selected(door: Door) -> None:
    one, two = await door.client(), await door.client()
    await one.ok("CREATE old")
    await one.ok("SELECT old")
    await two.ok("RENAME old new")
    await door.put(mailbox="new")
    assert await one.ok("NOOP") == [b"* 1 EXISTS", b"* 1 RECENT"]


async def test_renaming_inbox_moves_its_messages_away_under_the_eyes_of_who_is_in_it(door: Door) -> None:
    await door.put()
    one = await door.client(mailbox="INBOX")
    assert await one.ok("RENAME INBOX old-mail") == [b"* 1 EXPUNGE"]
    assert await one.ok("STATUS old-mail (MESSAGES)") == [b"* STATUS old-mail (MESSAGES 1)"]
    assert await one.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
