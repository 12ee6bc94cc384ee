"""Shared mailboxes: RFC 4314 between Ann, who owns them, and Bob, and what an attacker learns of them: nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from imap_door import Answer, Client, Door, Opening

from mailsystem.imap.command import TABLE
from mailsystem.mail.mailbox import MessageSet
from mailsystem.mail.rights import Identifier, rights_of
from mailsystem.store import Quota

ANN, BOB = "ann@example.org", "bob@example.org"
DRAFTS = f'"Other Users/{ANN}/Drafts"'
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


async def give(door: Door, letters: str, name: str = "Drafts", who: str = BOB) -> None:
    negative = who.startswith("-")
    identifier = Identifier(who.removeprefix("-"), negative)
    await door.store.sharing.change(door.account.id, name, identifier, rights_of(letters))


async def shared(door: Door, letters: str, *, messages: int = 3) -> Client:
    """Bob, who has these rights on Ann's Drafts, with messages in it."""
    for _ in range(messages):
        await door.put(mailbox="Drafts")
    await give(door, letters)
    return await door.client("bob")


# -- the commands, after the RFC's own transcripts


async def test_rights_are_given_told_and_taken_away(open_door: Opening) -> None:
    """RFC 4314 2.1.1, 3.1, 3.2 and 3.3: identifiers without a domain get ours, `c` and `d` are what took their place."""
    door = await open_door(share_with_anyone=True)
    bob = await door.client("bob")
    await door.dialog(
        f"""
        C1: A001 GETACL Drafts
        S1: * ACL Drafts {ANN} lrswipkxtecda
        S1: A001 OK GETACL completed
        C1: A002 SeTacl Drafts Bob lrswida
        S1: A002 OK SETACL completed
        C1: A003 getacl Drafts
        S1: * ACL Drafts {ANN} lrswipkxtecda {BOB} lrswiteda
        S1: A003 OK GETACL completed
        C1: A004 SETACL Drafts {BOB} lrswi
        S1: A004 OK SETACL completed
        C1: A005 SETACL Drafts {BOB} +cda
        S1: A005 OK SETACL completed
        C1: A006 GETACL Drafts
        S1: * ACL Drafts {ANN} lrswipkxtecda {BOB} lrswikxtecda
        S1: A006 OK GETACL completed
        C1: A007 SETACL Drafts {BOB} -cda
        S1: A007 OK SETACL completed
        C1: A008 SETACL Drafts -{BOB} w
        S1: A008 OK SETACL completed
        C1: A009 GETACL Drafts
        S1: * ACL Drafts {ANN} lrswipkxtecda {BOB} lrswi -{BOB} w
        S1: A009 OK GETACL completed
        C2: B001 MYRIGHTS {DRAFTS}
        S2: * MYRIGHTS {DRAFTS} lrsi
        S2: B001 OK MYRIGHTS completed
        C1: A010 DELETEACL Drafts {BOB}
        S1: A010 OK DELETEACL completed
        C1: A011 GETACL Drafts
        S1: * ACL Drafts {ANN} lrswipkxtecda -{BOB} w
        S1: A011 OK GETACL completed
        C2: B002 MYRIGHTS {DRAFTS}
        S2: B002 NO [NONEXISTENT] ...
        C1: A012 SETACL Drafts anyone lr
        S1: A012 OK SETACL completed
        C1: A013 MYRIGHTS Drafts
        S1: * MYRIGHTS Drafts lrswipkxtecda
        S1: A013 OK MYRIGHTS completed
        C2: B003 MYRIGHTS {DRAFTS}
        S2: * MYRIGHTS {DRAFTS} lr
        S2: B003 OK MYRIGHTS completed
        """,
        c2=bob,
    )


async def test_what_is_no_right_is_bad_and_changes_nothing(door: Door) -> None:
    """RFC 4314 3.1: an unrecognized right MUST be BAD, and capitals are not allowed."""
    await door.dialog(
        f"""
        C1: A035 SETACL Drafts {BOB} lrQswicda
        S1: A035 BAD ...
        C1: A036 SETACL Drafts {BOB} lrqswicda
        S1: A036 BAD ...
        C1: A037 SETACL Drafts {BOB} +
        S1: A037 OK SETACL completed
        C1: A038 SETACL Drafts {BOB} ""
        S1: A038 OK SETACL completed
        C1: A039 SETACL Drafts "" lr
        S1: A039 BAD ...
        C1: A040 SETACL Drafts - lr
        S1: A040 BAD ...
        C1: A041 SETACL Drafts nobody lr
        S1: A041 NO [NOPERM] ...
        C1: A042 SETACL Drafts {ANN} lr
        S1: A042 NO [NOPERM] ...
        C1: A043 DELETEACL Drafts {ANN}
        S1: A043 NO [NOPERM] ...
        C1: A044 SETACL Nowhere {BOB} lr
        S1: A044 NO [NONEXISTENT] ...
        C1: A045 GETACL Drafts
        S1: * ACL Drafts {ANN} lrswipkxtecda
        S1: A045 OK GETACL completed
        """
    )


async def test_every_right_can_be_given_alone_and_the_owner_has_them_all(door: Door) -> None:
    """RFC 4314 3.4: the identifier comes back as it was said."""
    await door.dialog(
        """
        C1: a001 LISTRIGHTS Drafts bob
        S1: * LISTRIGHTS Drafts bob "" l r s w i p k x t e c d a
        S1: a001 OK LISTRIGHTS completed
        C1: a002 listrights Drafts anyone
        S1: * LISTRIGHTS Drafts anyone "" l r s w i p k x t e c d a
        S1: a002 OK LISTRIGHTS completed
        C1: a003 LISTRIGHTS Drafts "Ann"
        S1: * LISTRIGHTS Drafts Ann lrswipkxtecda
        S1: a003 OK LISTRIGHTS completed
        C1: a004 LISTRIGHTS Drafts nobody
        S1: a004 NO [NOPERM] ...
        """
    )


async def test_what_there_is_beside_the_old_rights_is_announced(door: Door) -> None:
    client = await door.client()
    [line] = await client.ok("CAPABILITY")
    words = line.split()
    assert b"ACL" in words
    [extra] = [word for word in words if word.startswith(b"RIGHTS=")]
    assert set(extra.removeprefix(b"RIGHTS=")) == set(b"texk")


# -- what is seen


async def test_shared_mailboxes_are_listed_below_other_users(door: Door) -> None:
    await give(door, "lr")
    await give(door, "l", "INBOX")
    await give(door, "r", "Sent")
    bob = await door.client("bob")
    await door.dialog(
        f"""
        C2: b1 NAMESPACE
        S2: * NAMESPACE (("" "/")) (("Other Users/" "/")) NIL
        S2: b1 OK NAMESPACE completed
        C2: b2 LIST "" *
        S2: * LIST (...) "/" INBOX
        S2: * LIST (\\Noselect \\HasChildren) "/" "Other Users"
        S2: * LIST (\\Noselect \\HasChildren) "/" "Other Users/{ANN}"
        S2: * LIST (\\HasNoChildren) "/" {DRAFTS}
        S2: * LIST (\\HasNoChildren) "/" "Other Users/{ANN}/INBOX"
        S2: b2 OK LIST completed
        C2: b3 LIST "" %
        S2: * LIST (...) "/" INBOX
        S2: * LIST (\\Noselect \\HasChildren) "/" "Other Users"
        S2: b3 OK LIST completed
        C2: b4 LIST "Other Users/" %
        S2: * LIST (\\Noselect \\HasChildren) "/" "Other Users/{ANN}"
        S2: b4 OK LIST completed
        C2: b5 SUBSCRIBE {DRAFTS}
        S2: b5 OK SUBSCRIBE completed
        C2: b6 LSUB "Other Users/" *
        S2: * LSUB () "/" {DRAFTS}
        S2: b6 OK LSUB completed
        C2: b7 STATUS {DRAFTS} (MESSAGES)
        S2: * STATUS {DRAFTS} (MESSAGES 0)
        S2: b7 OK STATUS completed
        C1: a1 LIST "" "Other Users*"
        S1: a1 OK LIST completed
        """,
        c2=bob,
    )


async def test_a_list_tells_rights_where_it_is_asked_to(door: Door) -> None:
    """RFC 8440 4: for each mailbox there is, not for levels above them; counts only where one may read (RFC 5819)."""
    await door.put(mailbox="Drafts")
    await give(door, "lrsd")
    await give(door, "l", "Sent")
    bob = await door.client("bob")
    await door.dialog(
        f"""
        C2: b1 LIST "" * RETURN (MYRIGHTS STATUS (MESSAGES))
        S2: * LIST (\\HasNoChildren) "/" INBOX
        S2: * STATUS INBOX (MESSAGES 0)
        S2: * MYRIGHTS INBOX lrswipkxtecda
        S2: * LIST (\\NonExistent \\HasChildren) "/" "Other Users"
        S2: * LIST (\\NonExistent \\HasChildren) "/" "Other Users/{ANN}"
        S2: * LIST (\\HasNoChildren) "/" {DRAFTS}
        S2: * STATUS {DRAFTS} (MESSAGES 1)
        S2: * MYRIGHTS {DRAFTS} lrsted
        S2: * LIST (\\HasNoChildren) "/" "Other Users/{ANN}/Sent"
        S2: * MYRIGHTS "Other Users/{ANN}/Sent" l
        S2: b1 OK LIST completed
        """,
        c2=bob,
    )


@pytest.mark.parametrize(
    ("letters", "permanent", "access"),
    [
        ("lr", "", "READ-ONLY"),
        ("lrkxpa", "", "READ-ONLY"),
        ("lrs", "\\Seen", "READ-WRITE"),
        ("lri", "", "READ-WRITE"),
        ("lre", "", "READ-WRITE"),
        ("lrwt", "\\Answered \\Flagged \\Deleted \\Draft $Work \\*", "READ-WRITE"),
        ("lrws", "\\Answered \\Flagged \\Seen \\Draft $Work \\*", "READ-WRITE"),
    ],
)
async def test_selecting_tells_what_one_may_change(door: Door, letters: str, permanent: str, access: str) -> None:
    """RFC 4314 5.1.1 and 5.2."""
    await door.put(MESSAGE, "$Work", mailbox="Drafts")
    bob = await shared(door, letters, messages=0)
    answer = await bob.say(f"SELECT {DRAFTS}")
    assert answer.code == access
    assert f"* OK [PERMANENTFLAGS ({permanent})] kept".encode() in answer.untagged
    assert (await bob.say(f"EXAMINE {DRAFTS}")).code == "READ-ONLY"


async def test_a_read_only_mailbox_stays_as_it_is(door: Door) -> None:
    bob = await shared(door, "lr")
    await door.dialog(
        f"""
        C2: b1 SELECT {DRAFTS}
        S2: * FLAGS ...
        S2: * OK [PERMANENTFLAGS ()] ...
        S2: * 3 EXISTS
        S2: * 3 RECENT
        S2: * OK [UNSEEN 1] ...
        S2: * OK [UIDVALIDITY ...
        S2: * OK [UIDNEXT 4] ...
        S2: * OK [HIGHESTMODSEQ ...
        S2: * OK [MAILBOXID ...
        S2: b1 OK [READ-ONLY] ...
        C2: b2 FETCH 1 BODY[TEXT]
        S2: * 1 FETCH (BODY[TEXT] {{7}}
        S2: hello
        S2: )
        S2: b2 OK FETCH completed
        C2: b3 STORE 1 +FLAGS (\\Seen)
        S2: b3 NO [NOPERM] ...
        C2: b4 EXPUNGE
        S2: b4 NO [NOPERM] ...
        C2: b5 MOVE 1 INBOX
        S2: b5 NO [NOPERM] ...
        C2: b6 COPY 1 INBOX
        S2: b6 OK [COPYUID ... 1 1] COPY completed
        C2: b7 SEARCH UNSEEN
        S2: * SEARCH 1 2 3
        S2: b7 OK SEARCH completed
        C2: b8 CLOSE
        S2: b8 OK CLOSE completed
        """,
        c2=bob,
    )
    [message, *_] = await door.store.mailboxes.messages(
        door.account.id, (await door.store.mailboxes.find(door.account.id, "Drafts")).id, MessageSet(((1, 9),))
    )
    assert message.flags == frozenset()


async def test_reading_marks_nothing_without_the_right_and_is_no_failure(door: Door) -> None:
    """RFC 4314 4: a FETCH that implies setting \\Seen MUST NOT set it."""
    bob = await shared(door, "lrwi")
    await bob.ok(f"SELECT {DRAFTS}")
    [answer] = await bob.ok("FETCH 1 (BODY[TEXT] FLAGS)")
    assert b"\\Seen" not in answer
    await give(door, "lrs")
    [answer, *_] = await bob.ok("FETCH 1 (BODY[TEXT] FLAGS)")
    assert b"\\Seen" in answer


async def test_of_several_flags_those_are_changed_that_one_may_change(door: Door) -> None:
    """RFC 4314 4: STORE SHOULD NOT fail if at least one can be changed."""
    bob = await shared(door, "lrs")
    await bob.ok(f"SELECT {DRAFTS}")
    await door.dialog(
        """
        C2: b1 STORE 1 +FLAGS (\\Seen \\Flagged \\Deleted)
        S2: * 1 FETCH (FLAGS (\\Seen \\Recent))
        S2: b1 OK STORE completed
        C2: b2 STORE 1 +FLAGS.SILENT (\\Flagged)
        S2: b2 NO [NOPERM] ...
        C2: b3 EXPUNGE
        S2: b3 NO [NOPERM] ...
        """,
        c2=bob,
    )


async def test_closing_without_the_right_to_expunge_is_fine_and_expunges_nothing(door: Door) -> None:
    """RFC 4314 4: the server MUST ignore the expunge request, close the mailbox, and return OK."""
    bob = await shared(door, "lrt")
    await bob.ok(f"SELECT {DRAFTS}")
    await bob.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)")
    await bob.ok("CLOSE")
    assert (await door.store.mailboxes.status(door.account.id, "Drafts")).messages == 3


async def test_copying_leaves_out_the_flags_that_one_may_not_set(door: Door) -> None:
    """RFC 4314 4, its example of COPY: rwis loses \\Deleted, rsti all but \\Deleted and \\Seen."""
    bob = await shared(door, "lrwis", messages=0)
    for flags in ("\\Draft \\Deleted", "\\Answered", "$Forwarded \\Seen"):
        await bob.ok(b"APPEND INBOX (%b) {%d+}\r\n%b" % (flags.encode(), len(MESSAGE), MESSAGE))
    await bob.ok("SELECT INBOX")
    await bob.ok(f"COPY 1:3 {DRAFTS}")
    await give(door, "lrsti")
    await bob.ok(f"COPY 1:3 {DRAFTS}")
    ann = await door.client()
    await ann.ok("EXAMINE Drafts")
    flags = [re.sub(rb" ?\\Recent ?", b" ", line) for line in await ann.ok("FETCH 1:6 FLAGS")]
    assert [re.search(rb"FLAGS \((.*?)\)", line)[1].split() for line in flags] == [
        [b"\\Draft"],
        [b"\\Answered"],
        [b"\\Seen", b"$Forwarded"],
        [b"\\Deleted"],
        [],
        [b"\\Seen"],
    ]


async def test_a_whole_day_in_anothers_mailbox(door: Door) -> None:
    """Both are in it at once: each hears of what the other does, and moves go between their accounts."""
    bob = await shared(door, "lrswite", messages=1)
    ann = await door.client("ann", "Drafts")
    await bob.ok(f"SELECT {DRAFTS}")
    await door.dialog(
        f"""
        C1: a1 IDLE
        S1: + ...
        C2: b1 STORE 1 +FLAGS (\\Answered)
        S2: * 1 FETCH (FLAGS (\\Answered...))
        S2: b1 OK STORE completed
        S1: * 1 FETCH (FLAGS (\\Answered...))
        C2: b2 MOVE 1 INBOX
        S2: * OK [COPYUID ... 1 1] moved
        S2: * 1 EXPUNGE
        S2: b2 OK ...
        S1: * 1 EXPUNGE
        C1: DONE
        S1: a1 OK IDLE completed
        C2: b3 SELECT INBOX
        S2: * OK [CLOSED] ...
        S2: * FLAGS ...
        S2: * OK [PERMANENTFLAGS ...
        S2: * 1 EXISTS
        S2: * 1 RECENT
        S2: * OK [UNSEEN 1] ...
        S2: * OK [UIDVALIDITY ...
        S2: * OK [UIDNEXT 2] ...
        S2: * OK [HIGHESTMODSEQ ...
        S2: * OK [MAILBOXID ...
        S2: b3 OK [READ-WRITE] ...
        C2: b4 MOVE 1 {DRAFTS}
        S2: * OK [COPYUID ... 1 2] moved
        S2: * 1 EXPUNGE
        S2: b4 OK MOVE completed
        C1: a2 NOOP
        S1: * 1 EXISTS
        S1: * 1 RECENT
        S1: a2 OK NOOP completed
        """,
        c1=ann,
        c2=bob,
    )


async def test_deleting_a_shared_mailbox_leaves_ones_own_of_the_same_number_selected(door: Door) -> None:
    drafts = (await door.store.mailboxes.find(door.account.id, "Drafts")).id
    bob = await shared(door, "lrx")
    numbers = {}
    for name in ("a", "b", "c"):
        await bob.ok(f"CREATE {name}")
        numbers[(await door.store.mailboxes.find(door.people["bob"].id, name)).id] = name
    await bob.ok(f"SELECT {numbers[drafts]}")
    assert await bob.ok(f"DELETE {DRAFTS}") == []
    assert (await bob.say("CHECK")).status == "OK"


async def test_several_mailboxes_are_searched_as_far_as_one_may_read_them(door: Door) -> None:
    """RFC 7377 2.2: those that cannot be searched are left out."""
    bob = await shared(door, "lr", messages=2)
    await door.put(mailbox="Sent")
    await give(door, "lswite", "Sent")
    answers = await bob.ok('ESEARCH IN (subtree "Other Users") ALL')
    assert len(answers) == 1
    assert DRAFTS.encode() in answers[0]
    assert answers[0].endswith(b"ALL 1:2")


# -- rights that end


async def test_who_loses_the_right_to_read_is_told_goodbye_at_once(door: Door) -> None:
    bob = await shared(door, "lrswite")
    await bob.ok(f"SELECT {DRAFTS}")
    ann = await door.client()
    await door.dialog(
        f"""
        C2: b1 IDLE
        S2: + ...
        C1: a1 SETACL Drafts {BOB} lswite
        S1: a1 OK SETACL completed
        S2: * BYE ...
        """,
        c1=ann,
        c2=bob,
    )
    assert await bob.rest() == b""


async def test_who_is_in_a_mailbox_hears_what_they_may_do_from_now_on(door: Door) -> None:
    """RFC 4314 5.1.1: a server that asks at each command SHOULD send FLAGS and PERMANENTFLAGS when they have changed."""
    bob = await shared(door, "lr")
    await bob.ok(f"SELECT {DRAFTS}")
    ann = await door.client()
    await door.dialog(
        f"""
        C2: b1 IDLE
        S2: + ...
        C1: a1 SETACL Drafts {BOB} lrst
        S1: a1 OK SETACL completed
        S2: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)
        S2: * OK [PERMANENTFLAGS (\\Deleted \\Seen)] ...
        S2: * OK [READ-WRITE] ...
        C2: DONE
        S2: b1 OK IDLE completed
        C2: b2 STORE 1 +FLAGS.SILENT (\\Seen)
        S2: b2 OK STORE completed
        C1: a2 SETACL Drafts {BOB} lr
        S1: a2 OK SETACL completed
        C2: b3 NOOP
        S2: * FLAGS ...
        S2: * OK [PERMANENTFLAGS ()] ...
        S2: * OK [READ-ONLY] ...
        S2: b3 OK NOOP completed
        C2: b4 EXAMINE {DRAFTS}
        """,
        c1=ann,
        c2=bob,
    )
    await bob.answer(b"b4")
    await give(door, "lrst")
    assert await bob.ok("NOOP") == []
    assert (await bob.say("STORE 1 -FLAGS (\\Seen)")).code == "NOPERM"


INSIDE = {
    "FETCH": "FETCH 1 BODY[]",
    "UID FETCH": "UID FETCH 1 (FLAGS)",
    "SEARCH": "SEARCH TEXT hello",
    "SORT": "SORT (SUBJECT) UTF-8 ALL",
    "THREAD": "THREAD REFERENCES UTF-8 ALL",
    "UID FETCH since": "UID FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
    "STORE unless": "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)",
    "STORE": "STORE 1 +FLAGS (\\Seen)",
    "COPY": "COPY 1 INBOX",
    "MOVE": "MOVE 1 INBOX",
    "REPLACE": "REPLACE 1 INBOX {3+}\r\nx\r\n",
    "EXPUNGE": "EXPUNGE",
    "NOOP": "NOOP",
    "CHECK": "CHECK",
}


@pytest.mark.parametrize("name", INSIDE)
async def test_nothing_can_be_done_within_once_the_right_to_read_is_gone(door: Door, name: str) -> None:
    bob = await shared(door, "lrswite")
    await bob.ok(f"SELECT {DRAFTS}")
    await give(door, "")
    before = await door.store.mailboxes.status(door.account.id, "Drafts")
    answer = await bob.say(INSIDE[name])
    assert any(line.startswith(b"* BYE") for line in answer.untagged)
    assert not any(b"hello" in line or b"FETCH" in line or b"SEARCH" in line for line in answer.untagged)
    assert await door.store.mailboxes.status(door.account.id, "Drafts") == before
    assert (await door.store.mailboxes.status(door.people["bob"].id, "INBOX")).messages == 0


# -- an attacker

NAMED = {
    "SELECT": "SELECT {}",
    "EXAMINE": "EXAMINE {}",
    "CREATE": "CREATE {}",
    "DELETE": "DELETE {}",
    "RENAME": "RENAME {} Mine",
    "STATUS": "STATUS {} (MESSAGES UIDNEXT)",
    "APPEND": "APPEND {} {{3+}}\r\nx\r\n",
    "COPY": "COPY 1 {}",
    "MOVE": "MOVE 1 {}",
    "REPLACE": "REPLACE 1 {} {{3+}}\r\nx\r\n",
    "SETACL": "SETACL {} bob lr",
    "DELETEACL": "DELETEACL {} bob",
    "GETACL": "GETACL {}",
    "LISTRIGHTS": "LISTRIGHTS {} bob",
    "MYRIGHTS": "MYRIGHTS {}",
    "GETMETADATA": "GETMETADATA {} /shared/comment",
    "SETMETADATA": 'SETMETADATA {} (/shared/comment "x")',
}
"""Commands that name a mailbox, and must be refused where one has no right to what they do."""
LISTING = {
    "LIST": 'LIST "" {}',
    "LSUB": 'LSUB "" {}',
    "SUBSCRIBE": "SUBSCRIBE {}",
    "UNSUBSCRIBE": "UNSUBSCRIBE {}",
    "GETQUOTAROOT": "GETQUOTAROOT {}",
    "ESEARCH": "ESEARCH IN (mailboxes {}) ALL",
    "NOTIFY": "NOTIFY SET STATUS (mailboxes {} (MessageNew MessageExpunge FlagChange MailboxName MailboxMetadataChange))",
}
"""Those that never refuse a name (RFC 4314 4), and must say the same whether it is there or not."""
_WITHOUT = (
    "CAPABILITY NOOP LOGOUT STARTTLS AUTHENTICATE LOGIN CHECK CLOSE EXPUNGE SEARCH FETCH SORT THREAD UIDBATCHES STORE IDLE"
    " UNSELECT NAMESPACE ID ENABLE COMPRESS UNAUTHENTICATE GETQUOTA SETQUOTA"
)
"""Those that name none: they are about the mailbox that is selected, or about none at all."""


def test_every_command_has_been_looked_at_with_an_attackers_eyes() -> None:
    """A new command goes into one of these, and if it names mailboxes it is attacked below."""
    assert set(TABLE) <= {*NAMED, *LISTING, *_WITHOUT.split()}


async def tried(client: Client, command: str, name: str) -> Answer:
    """What a command answers for a name, which itself is left out of the answer."""
    answer = await client.say(command.format(f'"{name}"'))
    return Answer([line.replace(name.encode(), b"NAME") for line in answer.untagged], answer.tagged)


@pytest.mark.parametrize("command", [name for name in (*NAMED, *LISTING) if name in TABLE])
async def test_what_one_may_not_see_looks_exactly_like_what_is_not_there(door: Door, command: str) -> None:
    await door.put(mailbox="Drafts")
    await give(door, "swpte")  # what lets nobody know of it (RFC 4314 4)
    await give(door, "lrswipkxtea", "Sent")
    await give(door, "lrswipkxtea", "Sent", f"-{BOB}")
    bob = await door.client("bob")
    await bob.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MESSAGE), MESSAGE))
    await bob.ok("SELECT INBOX")
    answers = []
    for name in (f"{ANN}/Drafts", f"{ANN}/Sent", f"{ANN}/INBOX", f"{ANN}/Nothing", "nobody@example.org/INBOX"):
        answers.append(await tried(bob, {**NAMED, **LISTING}[command], f"Other Users/{name}"))
        if command in ("SELECT", "EXAMINE"):
            await bob.ok("SELECT INBOX")
    assert all(answer == answers[-1] for answer in answers), answers
    assert answers[0].status == ("OK" if command in LISTING else "NO")
    assert (await door.store.mailboxes.status(door.account.id, "Drafts")).messages == 1


@pytest.mark.parametrize("command", [name for name in NAMED if name in TABLE and name != "MYRIGHTS"])
async def test_who_may_only_look_a_mailbox_up_is_refused_everything_else(door: Door, command: str) -> None:
    await door.put(mailbox="Drafts")
    await give(door, "l")
    bob = await door.client("bob")
    await bob.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MESSAGE), MESSAGE))
    await bob.ok("SELECT INBOX")
    before = await door.store.mailboxes.visible(door.account.id)
    answer = await bob.say(NAMED[command].format(DRAFTS))
    assert (answer.status, answer.code) == ("NO", "NOPERM")
    assert await door.store.mailboxes.visible(door.account.id) == before
    assert (await door.store.mailboxes.status(door.people["bob"].id, "INBOX")).messages == 1


async def test_to_replace_takes_the_rights_to_remove_here_and_to_insert_there(door: Door) -> None:
    """RFC 8508 4.1; and each account counts what it keeps."""
    await door.put(b"x" * 100, mailbox="Drafts")
    bob = await door.client("bob")
    for letters, answer in (("lri", "NOPERM"), ("lrit", "NOPERM"), ("lrte", "NOPERM"), ("lrite", "")):
        await give(door, letters)
        await bob.ok(f"SELECT {DRAFTS}")
        said = await bob.say(f"REPLACE 1 {DRAFTS} (\\Seen \\Draft) {{40+}}\r\n".encode() + b"y" * 40)
        assert said.code == answer, letters
    [line] = [line for line in await bob.ok("FETCH 1 (FLAGS RFC822.SIZE)") if b"RFC822.SIZE" in line]
    assert b"FLAGS ()" in line.replace(b"\\Recent", b"")
    assert b"RFC822.SIZE 40" in line
    assert (await bob.say(b"REPLACE 1 INBOX {50+}\r\n" + b"z" * 50)).status == "OK"
    await door.store.accounts.set_quota(ANN, Quota(messages=1, octets=10))
    await door.store.accounts.set_quota(BOB, Quota(messages=2, octets=60))
    await door.put(b"x" * 10)
    assert (await bob.say(b"APPEND INBOX {11+}\r\n" + b"x" * 11)).code == "OVERQUOTA"
    assert (await bob.say(b"APPEND INBOX {10+}\r\n" + b"x" * 10)).status == "OK"


async def test_owners_of_nothing_here_cannot_be_told_from_nobody(door: Door) -> None:
    """Names that lead out of the namespace, or to oneself, are no way around."""
    await give(door, "lrswipkxtea", "INBOX", "anyone")
    bob = await door.client("bob")
    for name in (
        "Other Users",
        "Other Users/",
        f"Other Users/{ANN}",
        f"Other Users/{BOB}/INBOX",
        f"Other Users/{ANN.upper()}/INBOX",
        f"Other Users/{ANN}/INBOX/../Drafts",
        "other users/ann@example.org/INBOX",
        "Other Users/%61nn@example.org/INBOX",
    ):
        assert (await bob.say(f'SELECT "{name}"')).status == "NO", name
    assert (await bob.say(f'SELECT "Other Users/{ANN}/inbox"')).status == "OK"


async def test_no_door_acts_in_a_mailbox_without_saying_who_acts() -> None:
    """Rights are asked for who is named as `actor`: a call that leaves it out would act for the owner."""
    import ast
    from pathlib import Path

    import mailsystem.imap

    asked: Callable[[ast.Call], bool] = lambda call: any(word.arg == "actor" for word in call.keywords)  # noqa: E731
    missing, seen = [], 0
    for module in Path(mailsystem.imap.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args:
                first = ast.unparse(call.args[0])
                if re.fullmatch(r".*\.mailboxes", ast.unparse(call.func.value)) and first.endswith("mailbox.account"):
                    seen += 1
                    if not asked(call):
                        missing.append(f"{module.name}: {ast.unparse(call)}")
    assert seen > 5
    assert missing == []


async def test_sharing_with_everybody_has_to_be_allowed(door: Door, open_door: Opening) -> None:
    ann = await door.client()
    answer = await ann.say("SETACL Drafts anyone lr")
    assert (answer.status, answer.code) == ("NO", "NOPERM")
    await ann.ok("SETACL Drafts anyone -lr")
    await ann.ok("SETACL Drafts -anyone a")
    open_to_all = await open_door(share_with_anyone=True)
    await (await open_to_all.client()).ok("SETACL Drafts anyone lr")
    bob = await open_to_all.client("bob")
    assert any(b"Drafts" in line for line in await bob.ok('LIST "" "Other Users/*"'))
