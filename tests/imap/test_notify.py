"""NOTIFY (RFC 5465): what is wanted is told at once, between commands and while idling, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imap_door import Client, Door

from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.notify import MESSAGE_EVENTS, MOST_GROUPS, read_wanted
from mailsystem.imap.watch import MOST_WATCHED
from mailsystem.mail.errors import MailError

ALL = "(MessageNew MessageExpunge FlagChange)"
NEW = "(MessageNew MessageExpunge)"


async def quiet(client: Client) -> None:
    """Nothing comes by itself."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            await client.reader.readline()


async def validity(door: Door, mailbox: str) -> int:
    return (await door.store.mailboxes.find(door.account.id, mailbox)).uidvalidity


async def test_a_client_hears_of_other_mailboxes_without_asking(door: Door) -> None:
    """The example of RFC 5465 3.1."""
    client = await door.client()
    await client.ok("CREATE Lists/Lemonade")
    await client.ok("CREATE Lists/Im2000")
    await door.put(mailbox="Lists/Lemonade")
    lemonade, im2000 = await validity(door, "Lists/Lemonade"), await validity(door, "Lists/Im2000")
    said = await client.ok(
        "NOTIFY SET STATUS (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (Subject)]) MessageExpunge))"
        " (subtree Lists (MessageNew MessageExpunge))"
    )
    lists = await validity(door, "Lists")
    assert sorted(said) == sorted([
        b"* STATUS Lists (MESSAGES 0 UIDNEXT 1 UIDVALIDITY %d)" % lists,
        b"* STATUS Lists/Lemonade (MESSAGES 1 UIDNEXT 2 UIDVALIDITY %d)" % lemonade,
        b"* STATUS Lists/Im2000 (MESSAGES 0 UIDNEXT 1 UIDVALIDITY %d)" % im2000,
    ])  # fmt: skip
    await client.ok("SELECT INBOX")
    await door.put(mailbox="Lists/Lemonade")
    assert await client.line() == b"* STATUS Lists/Lemonade (MESSAGES 2 UIDNEXT 3 UIDVALIDITY %d)" % lemonade
    await door.put(b"Subject: Re: good morning\r\nFrom: a@b.example\r\n\r\nx")
    assert [await client.line() for _ in range(2)] == [b"* 1 EXISTS", b"* 1 RECENT"]
    assert await client.response() == (
        b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {29}\r\nSubject: Re: good morning\r\n\r\n)"
    )
    await door.put(mailbox="Junk")
    await quiet(client)


async def test_flags_and_expunges_elsewhere_are_told_as_counts(door: Door) -> None:
    client, other = await door.client(), await door.client()
    for _ in range(3):
        await door.put(mailbox="Junk")
    junk = await validity(door, "Junk")
    await client.ok(f"NOTIFY SET (mailboxes (Junk Trash) {ALL})")
    await other.ok("SELECT Junk")
    await other.ok("STORE 1 +FLAGS (\\Seen)")
    assert await client.line() == b"* STATUS Junk (UIDVALIDITY %d UNSEEN 2)" % junk
    await other.ok("STORE 1 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    assert await client.line() == b"* STATUS Junk (MESSAGES 2 UIDNEXT 4 UIDVALIDITY %d UNSEEN 2)" % junk
    await client.ok("ENABLE CONDSTORE")
    await other.ok("STORE 1 +FLAGS (\\Flagged)")
    modseq = (await door.store.mailboxes.find(door.account.id, "Junk")).modseq
    assert await client.line() == b"* STATUS Junk (UIDVALIDITY %d UNSEEN 2 HIGHESTMODSEQ %d)" % (junk, modseq)
    await client.ok("NOTIFY NONE")
    await other.ok("STORE 1 -FLAGS (\\Flagged)")
    await quiet(client)


async def test_the_selected_mailbox_speaks_at_once_or_waits_with_what_is_gone(door: Door) -> None:
    for _ in range(3):
        await door.put(b"x", "\\Seen")
    client, other = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await client.ok(f"NOTIFY SET (selected {ALL})")
    await other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert await client.line() == b"* 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen \\Recent))"
    await other.ok("EXPUNGE")
    assert await client.line() == b"* 1 EXPUNGE"
    await client.ok(f"NOTIFY SET (selected-delayed {NEW})")
    await other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    await quiet(client)
    await door.put(b"x", "\\Seen")
    assert await client.line() == b"* 3 EXISTS"
    assert await client.line() == b"* 3 RECENT"
    assert await client.ok("FETCH 3 UID") == [b"* 3 FETCH (UID 4)"]
    assert await client.ok("NOOP") == [b"* 1 EXPUNGE"]
    await other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    await client.send(b"i IDLE\r\n")
    assert [await client.line() for _ in range(2)] == [b"+ idling", b"* 1 EXPUNGE"]
    await client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"


async def test_who_wants_nothing_of_the_selected_mailbox_hears_nothing_but_answers(door: Door) -> None:
    await door.put(b"x", "\\Seen")
    await door.put(b"x", "\\Seen")
    client, other = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await client.ok(f"NOTIFY SET (mailboxes Junk {NEW})")
    await door.put()
    await other.ok("STORE 1 +FLAGS (\\Flagged)")
    assert await client.ok("NOOP") == []
    await quiet(client)
    assert await client.ok("STORE 2 +FLAGS (\\Deleted)") == [b"* 2 FETCH (FLAGS (\\Deleted \\Seen \\Recent))"]
    assert b"* 2 EXPUNGE" in await client.ok("EXPUNGE")
    await client.ok(f"NOTIFY SET (selected {ALL})")
    await door.put()
    assert await client.line() == b"* 3 EXISTS"


async def test_names_come_and_go(door: Door) -> None:
    """RFC 5465 5.4."""
    client, other = await door.client(), await door.client()
    await client.ok("NOTIFY SET (personal (MailboxName))")
    await other.ok("CREATE NewMailbox")
    assert await client.line() == b'* LIST (\\HasNoChildren) "/" NewMailbox'
    await other.ok("CREATE NewMailbox/below")
    assert await client.line() == b'* LIST (\\HasChildren) "/" NewMailbox'
    assert await client.line() == b'* LIST (\\HasNoChildren) "/" NewMailbox/below'
    await other.ok("RENAME NewMailbox OldMailbox")
    assert await client.line() == b'* LIST (\\HasChildren) "/" OldMailbox ("OLDNAME" (NewMailbox))'
    await other.ok("DELETE OldMailbox/below")
    assert await client.line() == b'* LIST (\\HasNoChildren) "/" OldMailbox'
    assert await client.line() == b'* LIST (\\NonExistent) "/" OldMailbox/below'
    await door.put(mailbox="OldMailbox")
    await quiet(client)


async def test_what_one_does_oneself_is_no_news(door: Door) -> None:
    client, other = await door.client(), await door.client()
    await client.ok("NOTIFY SET (personal (MailboxName SubscriptionChange MailboxMetadataChange))")
    assert await client.ok("CREATE mine") == []
    assert await client.ok("SUBSCRIBE mine") == []
    assert await client.ok("RENAME mine my-own") == []
    assert await client.ok('SETMETADATA my-own (/private/comment "x")') == []
    await quiet(client)
    await other.ok("CREATE theirs")
    assert await client.line() == b'* LIST (\\HasNoChildren) "/" theirs'


async def test_subscriptions_are_told(door: Door) -> None:
    """RFC 5465 5.5."""
    client, other = await door.client(), await door.client()
    await client.ok("NOTIFY SET (personal (SubscriptionChange))")
    await other.ok("UNSUBSCRIBE Junk")
    assert await client.line() == b'* LIST (\\HasNoChildren \\Junk) "/" Junk'
    await other.ok("SUBSCRIBE Junk")
    assert await client.line() == b'* LIST (\\HasNoChildren \\Junk \\Subscribed) "/" Junk'
    await other.ok("SUBSCRIBE nowhere")
    assert await client.line() == b'* LIST (\\NonExistent \\Subscribed) "/" nowhere'


async def test_the_subscribed_ones_are_those_of_the_moment(door: Door) -> None:
    client, other = await door.client(), await door.client()
    await other.ok("CREATE box")
    await client.ok(f"NOTIFY SET (subscribed {NEW})")
    await door.put(mailbox="box")
    await quiet(client)
    await other.ok("SUBSCRIBE box")
    await client.ok("NOOP")
    await door.put(mailbox="box")
    heard = [await client.line()]
    while b"MESSAGES 2" not in heard[-1]:
        heard.append(await client.line())
    assert heard[-1].startswith(b"* STATUS box (MESSAGES 2 UIDNEXT 3 ")
    await other.ok("UNSUBSCRIBE box")
    await door.put(mailbox="box")
    await quiet(client)


async def test_annotations_are_told_by_name(door: Door) -> None:
    """RFC 5465 5.6 and 5.7."""
    client, other = await door.client(), await door.client()
    await client.ok("NOTIFY SET (personal (MailboxMetadataChange ServerMetadataChange))")
    await other.ok('SETMETADATA INBOX (/shared/comment "x" /private/comment "y")')
    assert await client.line() == b"* METADATA INBOX /private/comment /shared/comment"
    await other.ok("SETMETADATA INBOX (/shared/comment NIL)")
    assert await client.line() == b"* METADATA INBOX /shared/comment"
    await other.ok('SETMETADATA "" (/private/comment "x")')
    assert await client.line() == b'* METADATA "" /private/comment'


async def test_what_others_share_is_watched_too(door: Door) -> None:
    ann, bob = await door.client("ann"), await door.client("bob")
    await ann.ok("CREATE ours")
    await bob.ok(f'NOTIFY SET (subtree "Other Users" {NEW[:-1]} MailboxName))')
    await ann.ok("SETACL ours bob lr")
    there = '"Other Users/ann@example.org/ours"'
    heard = [await bob.line(), await bob.line()]
    assert f'* LIST (\\HasNoChildren) "/" {there}'.encode() in heard
    await door.put(mailbox="ours")
    assert (await bob.line()).startswith(f"* STATUS {there} (MESSAGES 1 UIDNEXT 2 ".encode())
    await door.put(mailbox="Junk")
    await quiet(bob)
    await ann.ok("DELETEACL ours bob")
    heard = [await bob.line(), await bob.line()]
    assert f'* LIST (\\NonExistent) "/" {there}'.encode() in heard


async def test_who_may_not_read_hears_of_the_name_alone(door: Door) -> None:
    ann, bob = await door.client("ann"), await door.client("bob")
    await ann.ok("CREATE ours")
    await ann.ok("SETACL ours bob l")
    there = '"Other Users/ann@example.org/ours"'
    assert await bob.ok(f"NOTIFY SET STATUS (mailboxes {there} {ALL[:-1]} MailboxName MailboxMetadataChange))") == [
        f'* LIST (\\NoAccess) "/" {there}'.encode()
    ]
    await door.put(mailbox="ours")
    await ann.ok('SETMETADATA ours (/shared/comment "x")')
    await quiet(bob)
    await ann.ok("DELETE ours")
    assert await bob.line() == f'* LIST (\\NonExistent) "/" {there}'.encode()


async def test_news_come_while_idling_and_in_the_middle_of_a_literal(door: Door) -> None:
    client = await door.client()
    junk = await validity(door, "Junk")
    await client.ok(f"NOTIFY SET (mailboxes Junk {NEW})")
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await door.put(mailbox="Junk")
    assert await client.line() == b"* STATUS Junk (MESSAGES 1 UIDNEXT 2 UIDVALIDITY %d)" % junk
    await client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"
    await client.send(b"a APPEND INBOX {200000}\r\n")
    assert await client.line() == b"+ go ahead"
    await client.send(b"x" * 100_000)
    await door.put(mailbox="Junk")
    assert await client.line() == b"* STATUS Junk (MESSAGES 2 UIDNEXT 3 UIDVALIDITY %d)" % junk
    await client.send(b"x" * 100_000 + b"\r\nb NOOP\r\n")
    assert (await client.line()).startswith(b"a OK [APPENDUID ")
    assert await client.line() == b"b OK NOOP completed"


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        ("NOTIFY", "BAD", ""),
        ("NOTIFY SET", "BAD", ""),
        ("NOTIFY BOGUS", "BAD", ""),
        ("NOTIFY NONE x", "BAD", ""),
        ("NOTIFY SET ()", "BAD", ""),
        ("NOTIFY SET (personal)", "BAD", ""),
        ("NOTIFY SET (personal ())", "BAD", ""),
        ("NOTIFY SET (mailboxes (MessageNew MessageExpunge))", "BAD", ""),
        ("NOTIFY SET (elsewhere (MessageNew MessageExpunge))", "BAD", ""),
        (f"NOTIFY SET (selected {NEW}) (selected-delayed {NEW})", "BAD", ""),
        ("NOTIFY SET (selected (MailboxName))", "BAD", ""),
        ("NOTIFY SET (personal (MessageNew))", "BAD", ""),
        ("NOTIFY SET (personal (MessageExpunge))", "BAD", ""),
        ("NOTIFY SET (personal (FlagChange))", "BAD", ""),
        ("NOTIFY SET (personal (FlagChange MessageNew))", "BAD", ""),
        ("NOTIFY SET (personal (MessageNew (BOGUS) MessageExpunge))", "BAD", ""),
        ("NOTIFY SET (selected (MessageNew MessageExpunge AnnotationChange))", "NO", "BADEVENT"),
        ("NOTIFY SET (personal (MessageNew MessageExpunge XFutureEvent))", "NO", "BADEVENT"),
        ("NOTIFY SET " + " ".join([f"(mailboxes a {NEW})"] * (MOST_GROUPS + 1)), "NO", "NOTIFICATIONOVERFLOW"),
        ("NOTIFY SET (mailboxes nowhere " + NEW + ")", "OK", ""),
        ("NOTIFY SET (mailboxes (R&D a//b INBOX) " + NEW + ") (subtree /a " + NEW + ")", "OK", ""),
        ("NOTIFY SET (inboxes NONE) (subscribed NONE)", "OK", ""),
        ("notify set status (SELECTED none) (subtree (a b) (mailboxname))", "OK", ""),
    ],
)
async def test_what_is_understood_and_what_is_not(door: Door, command: str, status: str, code: str) -> None:
    client = await door.client()
    answer = await client.say(command)
    assert (answer.status, answer.code.split(" ")[0]) == (status, code)
    if code == "BADEVENT":
        assert "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange" in answer.code


async def test_too_much_is_refused_or_ends_the_notifications(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.imap.watch.MOST_WATCHED", 7)
    assert MOST_WATCHED > 7
    client, other = await door.client(), await door.client()
    await client.ok(f"NOTIFY SET (personal {NEW})")
    await other.ok("CREATE seven")
    await other.ok("CREATE eight")
    assert await client.line() == b"* OK [NOTIFICATIONOVERFLOW] too much to watch"
    await door.put()
    await quiet(client)
    assert (await client.say(f"NOTIFY SET (personal {NEW})")).code == "NOTIFICATIONOVERFLOW"


async def test_it_ends_with_the_login(door: Door) -> None:
    client = await door.client()
    await client.ok(f"NOTIFY SET (personal {NEW})")
    await client.ok("UNAUTHENTICATE")
    await door.put()
    await quiet(client)


async def test_many_mailboxes_are_looked_at_together(door: Door) -> None:
    client = await door.client()
    for number in range(40):
        await client.ok(f"CREATE m{number}")
    await client.ok(f"NOTIFY SET (personal {ALL[:-1]} MailboxName SubscriptionChange MailboxMetadataChange))")
    statements: list[str] = []
    for each in door.store.mailboxes._database._readers:  # type: ignore[attr-defined]
        each._conn.set_trace_callback(statements.append)
    await door.put(mailbox="m7")
    assert (await client.line()).startswith(b"* STATUS m7 (MESSAGES 1 ")
    assert len([statement for statement in statements if "FROM" in statement]) <= 8


async def test_mail_that_comes_makes_nobody_walk_through_the_names(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await door.client()
    await client.ok("CREATE a/b/c")
    await client.ok(f"NOTIFY SET (personal {ALL[:-1]} MailboxName))")
    walked: list[str] = []
    monkeypatch.setattr("mailsystem.imap.watch.parents", lambda name: walked.append(name) or [])
    await door.put(mailbox="a/b/c")
    assert (await client.line()).startswith(b"* STATUS a/b/c (MESSAGES 1 ")
    assert not walked


WORDS = st.sampled_from(
    ["(", ")", " ", "personal", "selected", "subtree", "mailboxes", "a", "INBOX", "MessageNew", "MessageExpunge",
     "FlagChange", "MailboxName", "NONE", "(UID FLAGS)", "(BODY[])", "x" * 30, "&", "\\", "%", '"b c"']
)  # fmt: skip


@given(st.lists(WORDS, max_size=14).map("".join) | st.text(max_size=40))
def test_any_words_are_understood_or_a_mistake(text: str) -> None:
    args = Arguments(Frame(text.encode("utf-8", "replace")))
    try:
        wanted = read_wanted(args)
    except MailError:
        return
    assert wanted.selected <= MESSAGE_EVENTS
    assert wanted.items is None or not wanted.items.marks_seen
