"""LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154), OLDNAME (RFC 9051), and STATUS with everything."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from imap_door import Client, Door

from mailsystem.imap import names, utf7
from mailsystem.imap.commands import listing

RFC5258 = (
    "foo2",
    "foo2/bar1",
    "foo2/bar2",
    "baz2/bar2",
    "baz2/bar22",
    "baz2/bar222",
    "eps2",
    "eps2/mamba",
    "qux2/bar2",
)


async def lines(client: Client, command: str) -> list[str]:
    """What a LIST says, without what is always the same and without \\HasChildren and its opposite, which always come."""
    said = [line.decode() for line in await client.ok(command)]
    plain = [line.replace("\\HasNoChildren ", "").replace("\\HasChildren ", "") for line in said]
    plain = [line.replace("\\HasNoChildren", "").replace("\\HasChildren", "") for line in plain]
    return [line.removeprefix("* LIST ").replace(' "/" ', " ") for line in plain]


@pytest.fixture
async def bob(door: Door) -> Client:
    """With nothing but an INBOX, and no subscription."""
    client = await door.client("bob")
    for name in await door.store.mailboxes.subscriptions(door.people["bob"].id):
        await client.ok(f"UNSUBSCRIBE {name}")
    return client


async def test_subscribed_names_are_chosen_or_only_marked(bob: Client) -> None:
    for name in ("Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable/Broccoli"):
        await bob.ok(f"CREATE {name}")
    for name in ("inbox", "Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli"):
        await bob.ok(f"SUBSCRIBE {name}")
    everything = ["(\\Subscribed) INBOX", "(\\Subscribed) Fruit/Banana", "(\\NonExistent \\Subscribed) Fruit/Peach",
                  "(\\Subscribed) Vegetable", "(\\Subscribed) Vegetable/Broccoli"]  # fmt: skip
    assert await lines(bob, 'LIST (SUBSCRIBED) "" "*"') == everything
    assert await lines(bob, 'LIST (REMOTE SUBSCRIBED) "" "*"') == everything
    assert await lines(bob, 'LIST () "" "*" RETURN (SUBSCRIBED)') == [
        "(\\Subscribed) INBOX", "() Fruit", "() Fruit/Apple", "(\\Subscribed) Fruit/Banana", "() Tofu",
        "(\\Subscribed) Vegetable", "(\\Subscribed) Vegetable/Broccoli"]  # fmt: skip
    assert await lines(bob, 'LIST (SUBSCRIBED) "" "%"') == ["(\\Subscribed) INBOX", "(\\Subscribed) Vegetable"]


async def test_an_option_that_is_said_twice_counts_once(bob: Client) -> None:
    """RFC 5258 3."""
    await bob.ok("SUBSCRIBE INBOX")
    once = await bob.ok('LIST (SUBSCRIBED) "" * RETURN (CHILDREN STATUS (MESSAGES))')
    assert once
    twice = 'LIST (SUBSCRIBED SUBSCRIBED) "" * RETURN (CHILDREN STATUS (MESSAGES) CHILDREN STATUS (MESSAGES))'
    assert await bob.ok(twice) == once


async def test_several_patterns_are_matched_at_once(bob: Client) -> None:
    for name in ("Drafts", "Sent/March2004", "Sent/August2004", "Other"):
        await bob.ok(f"CREATE {name}")
    assert await bob.ok('LIST "" ("INBOX" Drafts "Sent/%" "Sent/March*")') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b'* LIST (\\HasNoChildren \\Drafts) "/" Drafts',
        b'* LIST (\\HasNoChildren) "/" Sent/August2004',
        b'* LIST (\\HasNoChildren) "/" Sent/March2004',
    ]
    assert await bob.ok('LIST Sent/ ("M%" "")') == [b'* LIST (\\HasNoChildren) "/" Sent/March2004']
    assert await bob.ok('LIST "" ("")') == []


async def test_children_that_are_subscribed_are_told_of_their_parents(bob: Client) -> None:
    for name in ("Foo/Bar", "Foo/Baz", "Moo"):
        await bob.ok(f"CREATE {name}")
    recursive = 'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"'
    assert await lines(bob, recursive) == []
    await bob.ok("SUBSCRIBE Foo/Baz")
    assert await lines(bob, 'LIST (SUBSCRIBED) "" "*"') == ["(\\Subscribed) Foo/Baz"]
    assert await lines(bob, 'LIST (SUBSCRIBED) "" "%"') == []
    assert await lines(bob, recursive) == ['() Foo ("CHILDINFO" ("SUBSCRIBED"))']
    await bob.ok("SUBSCRIBE Foo")
    assert await lines(bob, recursive) == ['(\\Subscribed) Foo ("CHILDINFO" ("SUBSCRIBED"))']
    await bob.ok("UNSUBSCRIBE Foo")
    await bob.ok("DELETE Foo")
    assert await bob.ok(recursive) == [b'* LIST (\\NonExistent \\HasChildren) "/" Foo ("CHILDINFO" ("SUBSCRIBED"))']
    await bob.ok("CREATE Foo")
    await bob.ok("UNSUBSCRIBE Foo/Baz")
    await bob.ok("SUBSCRIBE Foo")
    await bob.ok("SUBSCRIBE Moo")
    assert await bob.ok(recursive + " RETURN (CHILDREN)") == [
        b'* LIST (\\HasChildren \\Subscribed) "/" Foo',
        b'* LIST (\\HasNoChildren \\Subscribed) "/" Moo',
    ]


async def test_children_are_told_where_a_pattern_does_not_reach_them(bob: Client) -> None:
    """The hierarchy of RFC 5258 5, example 9."""
    for name in RFC5258:
        await bob.ok(f"CREATE {name}")
        if name != "foo2":
            await bob.ok(f"SUBSCRIBE {name}")
    assert await lines(bob, 'LIST (RECURSIVEMATCH SUBSCRIBED) "" "*2"') == [
        "(\\Subscribed) baz2/bar2",
        "(\\Subscribed) baz2/bar22",
        "(\\Subscribed) baz2/bar222",
        '(\\Subscribed) eps2 ("CHILDINFO" ("SUBSCRIBED"))',
        '() foo2 ("CHILDINFO" ("SUBSCRIBED"))',
        "(\\Subscribed) foo2/bar2",
        "(\\Subscribed) qux2/bar2",
    ]


async def test_a_child_that_is_only_subscribed_is_no_child(bob: Client) -> None:
    """RFC 5258 5, example 10."""
    await bob.ok("CREATE foo")
    await bob.ok("SUBSCRIBE foo/bar")
    assert await bob.ok('LIST (SUBSCRIBED) "" "foo/*"') == [b'* LIST (\\NonExistent \\Subscribed) "/" foo/bar']
    assert await bob.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" foo RETURN (CHILDREN)') == [
        b'* LIST (\\HasNoChildren) "/" foo ("CHILDINFO" ("SUBSCRIBED"))'
    ]


async def test_a_missing_level_is_nonexistent_to_those_who_know_the_word(bob: Client) -> None:
    await bob.ok("CREATE music/rock")
    await bob.ok("DELETE music")
    assert b'* LIST (\\NonExistent \\HasChildren) "/" music' in await bob.ok('LIST () "" %')
    assert b'* LIST (\\Noselect \\HasChildren) "/" music' in await bob.ok('LIST "" %')
    await bob.ok("ENABLE IMAP4rev2")
    assert b'* LIST (\\NonExistent \\HasChildren) "/" music' in await bob.ok('LIST "" %')


@pytest.mark.parametrize(
    "bad",
    [
        '(RECURSIVEMATCH) "" *', '(REMOTE RECURSIVEMATCH) "" *', '(SPECIAL-USE RECURSIVEMATCH) "" *', '(NONSENSE) "" *',
        '(SUBSCRIBED  REMOTE) "" *', '(SUBSCRIBED "" *', '"" ()', '"" (a b',
        '"" * RETURN', '"" * RETURN CHILDREN', '"" * RETURN (NONSENSE)', '"" * RETURN (STATUS)', '"" * RETURN (STATUS ())',
        '"" * RETURN (STATUS (NONSENSE))', '"" * RETURN (CHILDREN) x', '"" * x',
        '"" (' + "a " * 101 + "a)",
    ],
)  # fmt: skip
async def test_what_is_not_grammar_is_bad(door: Door, bad: str) -> None:
    client = await door.client()
    assert (await client.say("LIST " + bad)).status == "BAD"


async def test_counts_come_with_the_names(door: Door) -> None:
    """RFC 5819 4: no counts of what cannot be selected, nor of parents that are only told because of those below them."""
    client = await door.client()
    await door.put(b"x", "\\Seen")
    await door.put(b"four")
    await client.ok("CREATE foo/bar")
    await client.ok("DELETE foo")
    await client.ok("SUBSCRIBE foo/bar")
    assert await client.ok('LIST "" (INBOX foo foo/%) RETURN (STATUS (MESSAGES UNSEEN SIZE))') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b"* STATUS INBOX (MESSAGES 2 UNSEEN 1 SIZE 5)",
        b'* LIST (\\NonExistent \\HasChildren) "/" foo',
        b'* LIST (\\HasNoChildren) "/" foo/bar',
        b"* STATUS foo/bar (MESSAGES 0 UNSEEN 0 SIZE 0)",
    ]
    assert await client.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" fo% RETURN (STATUS (MESSAGES))') == [
        b'* LIST (\\NonExistent \\HasChildren) "/" foo ("CHILDINFO" ("SUBSCRIBED"))'
    ]
    await door.put()
    assert (await client.ok('LIST "" INBOX RETURN (STATUS (MESSAGES))'))[1] == b"* STATUS INBOX (MESSAGES 3)"


async def test_counts_of_many_mailboxes_cost_as_many_statements_as_of_one(door: Door) -> None:
    client = await door.client()
    for number in range(40):
        await client.ok(f"CREATE m{number}")
        await door.put(b"x" * number, mailbox=f"m{number}")
    said = await client.ok('LIST "" m% RETURN (STATUS (MESSAGES SIZE RECENT))')
    counts = {line for line in said if line.startswith(b"* STATUS")}
    assert counts == {b"* STATUS m%d (MESSAGES 1 SIZE %d RECENT 1)" % (number, number) for number in range(40)}
    statements: list[str] = []
    reader = door.store.mailboxes._database._readers  # type: ignore[attr-defined]
    for each in reader:
        each._conn.set_trace_callback(statements.append)
    await client.ok('LIST "" m% RETURN (STATUS (MESSAGES SIZE RECENT))')
    looked = [statement for statement in statements if "FROM" in statement]
    assert len(looked) <= 5, looked
    assert not [statement for statement in looked if "messages" in statement], "nothing has changed: nothing is counted"
    await door.put(b"", mailbox="m7")
    statements.clear()
    said = await client.ok('LIST "" m% RETURN (STATUS (MESSAGES))')
    assert b"* STATUS m7 (MESSAGES 2)" in said
    assert len([statement for statement in statements if "messages" in statement]) == 1


async def test_special_uses_are_chosen_and_given(door: Door) -> None:
    client = await door.client()
    await client.ok("CREATE Plain")
    uses = [
        b'* LIST (\\HasNoChildren \\%b) "/" %b' % (name, name) for name in (b"Archive", b"Drafts", b"Junk", b"Sent")
    ]
    assert (await client.ok('LIST (SPECIAL-USE) "" "*"'))[:4] == uses
    assert await client.ok('LIST (SPECIAL-USE SUBSCRIBED) "" S%') == [
        b'* LIST (\\HasNoChildren \\Sent \\Subscribed) "/" Sent'
    ]
    assert uses[3] in await client.ok('LIST "" % RETURN (SPECIAL-USE)')


async def test_a_mailbox_is_created_for_a_purpose(bob: Client) -> None:
    """RFC 6154 5.3."""
    await bob.ok("CREATE MySpecial (USE (\\Drafts \\sent))")
    assert (await bob.say("CREATE Everything (USE (\\All))")).code == "USEATTR"
    assert (await bob.say("CREATE Another (USE (\\Sent))")).code == "USEATTR"
    assert await bob.ok('LIST "" "*"') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b'* LIST (\\HasNoChildren \\Drafts \\Sent) "/" MySpecial',
    ]
    await bob.ok("CREATE Plain (USE ())")
    for bad in ("CREATE x (USE \\Sent)", "CREATE x (USE (Sent))", "CREATE x (SIZE (3))", "CREATE x ()", "CREATE x y"):
        assert (await bob.say(bad)).status == "BAD", bad


async def test_sent_that_is_made_anew_is_sent_again(door: Door) -> None:
    client = await door.client()
    await client.ok("DELETE Sent")
    await client.ok("CREATE sent")
    assert await client.ok('LIST "" sent') == [b'* LIST (\\HasNoChildren \\Sent) "/" sent']
    await client.ok("CREATE Sent")
    assert await client.ok('LIST "" Sent') == [b'* LIST (\\HasNoChildren) "/" Sent']


async def test_who_creates_a_mailbox_hears_its_id(door: Door) -> None:
    """RFC 8474 4.1 and 4.3."""
    client = await door.client()
    code = (await client.say("CREATE foo")).code
    assert code.startswith("MAILBOXID (")
    assert await client.ok("STATUS foo (MAILBOXID)") == [b"* STATUS foo (%b)" % code.encode()]
    await client.ok("RENAME foo bar")
    assert await client.ok("STATUS bar (MAILBOXID)") == [b"* STATUS bar (%b)" % code.encode()]


async def test_the_old_name_is_told_to_those_who_know_of_it(bob: Client) -> None:
    """RFC 9051 6.3.9.7."""
    assert await bob.ok("CREATE foo/") == []
    assert await bob.ok("RENAME foo bar") == []
    await bob.ok("ENABLE IMAP4rev2")
    assert await bob.ok("CREATE baz") == []
    assert await bob.ok("CREATE inbox/foo/") == [b'* LIST () "/" INBOX/foo ("OLDNAME" (inbox/foo/))']
    assert await bob.ok("RENAME bar b&r") == [b'* LIST () "/" b&r ("OLDNAME" (bar))']


async def test_status_tells_everything(door: Door) -> None:
    client = await door.client()
    await door.put(b"0123456789", "\\Deleted")
    await door.put(b"01234", "\\Seen")
    box = await door.store.mailboxes.find(door.account.id, "INBOX")
    [line] = await client.ok(
        "STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED DELETED-STORAGE SIZE APPENDLIMIT MAILBOXID)"
    )
    assert (
        line
        == (
            f"* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY {box.uidvalidity} UNSEEN 1 DELETED 1 DELETED-STORAGE 10 SIZE 15"
            f" APPENDLIMIT {1 << 30} MAILBOXID ({box.objectid}))"
        ).encode()
    )


async def test_who_asks_for_the_highest_modseq_enables_condstore(door: Door) -> None:
    """RFC 7162 3.1."""
    client = await door.client()
    await door.put()
    other = await door.client(mailbox="INBOX")
    modseq = (await door.store.mailboxes.find(door.account.id, "INBOX")).modseq
    assert await client.ok("STATUS INBOX (HIGHESTMODSEQ)") == [b"* STATUS INBOX (HIGHESTMODSEQ %d)" % modseq]
    await client.ok("SELECT INBOX")
    await other.ok("STORE 1 +FLAGS.SILENT \\Seen")
    assert b"MODSEQ" in (await client.ok("NOOP"))[0]


async def test_nothing_is_recent_in_revision_2(door: Door) -> None:
    client = await door.client()
    await client.ok("STATUS INBOX (RECENT)")
    await client.ok("ENABLE IMAP4rev2")
    assert (await client.say("STATUS INBOX (RECENT)")).status == "BAD"


async def test_rights_come_with_the_names(door: Door) -> None:
    """RFC 8440."""
    ann, bob = await door.client("ann"), await door.client("bob")
    await ann.ok("CREATE ours")
    await ann.ok("SETACL ours bob lr")
    assert await bob.ok('LIST "" (INBOX "Other Users" "Other Users/*") RETURN (MYRIGHTS STATUS (MESSAGES))') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b"* STATUS INBOX (MESSAGES 0)",
        b"* MYRIGHTS INBOX lrswipkxtecda",
        b'* LIST (\\NonExistent \\HasChildren) "/" "Other Users"',
        b'* LIST (\\NonExistent \\HasChildren) "/" "Other Users/ann@example.org"',
        b'* LIST (\\HasNoChildren) "/" "Other Users/ann@example.org/ours"',
        b'* STATUS "Other Users/ann@example.org/ours" (MESSAGES 0)',
        b'* MYRIGHTS "Other Users/ann@example.org/ours" lr',
    ]


async def test_a_pattern_that_no_name_can_be_like_is_passed_over(bob: Client) -> None:
    """RFC 5258 3."""
    assert await lines(bob, 'LIST "" (R&D INBOX "\x01") RETURN (CHILDREN)') == ["() INBOX"]
    assert await lines(bob, 'LIST "" R&D') == []
    assert await lines(bob, 'LSUB "" R&D%') == []


@pytest.mark.parametrize("said", ['LIST "" "*b%"', 'LSUB "" "*b%"', 'LIST (SUBSCRIBED) "" "*b%"'])
async def test_many_names_hold_nobody_up(bob: Client, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    for number in range(5):
        await bob.ok(f"CREATE a/b{number}")
        await bob.ok(f"SUBSCRIBE a/b{number}")
    told = await bob.ok(said)
    asked: list[str] = []
    matcher, above = names.matcher, listing._above

    def noted(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def noting(*args: object) -> object:
            asked.append(name if threading.current_thread() is threading.main_thread() else "a thread")
            return work(*args)

        return noting

    monkeypatch.setattr(names, "matcher", noted("matcher", matcher))
    monkeypatch.setattr(listing, "_above", noted("above", above))
    monkeypatch.setattr(listing, "_MANY", 4)
    assert await bob.ok(said) == told
    assert set(asked) == {"a thread"}


async def test_one_name_is_looked_up_however_many_there_are(door: Door) -> None:
    client = await door.client()
    for name in ("a", "a/b", "a/b/c", "A", "a0", "a-x", "gone/below", "ä/ö"):
        await client.ok(f"CREATE {utf7.encode(name).decode()}")
    await client.ok("DELETE gone")
    everything = await client.ok('LIST "" *')
    statements: list[str] = []
    database = door.store.mailboxes._database
    connections = [database._brief, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(statements.append)
    for name in ("a", "a/b", "a/b/c", "A", "a0", "a-x", "gone", "gone/below", "INBOX", "inbox", "nobody", "a/", "ä"):
        wire = utf7.encode(name).decode()
        shown = "INBOX" if name == "inbox" else wire
        wanted = [line for line in everything if line.endswith(b'"/" %b' % shown.encode())]
        assert bool(wanted) is (name not in ("nobody", "a/"))
        assert await client.ok(f'LIST "" "{wire}"') == wanted, name
        assert await client.ok(f'LIST "{wire}" ("" "") RETURN (CHILDREN)') == []
        assert await client.ok(f'LIST () "" ("{wire}" "{wire}") RETURN (CHILDREN)') == [
            line.replace(b"\\Noselect", b"\\NonExistent") for line in wanted
        ]
    assert await client.ok('LIST "a/" b RETURN (STATUS (MESSAGES) MYRIGHTS)') == [
        b'* LIST (\\HasChildren) "/" a/b',
        b"* STATUS a/b (MESSAGES 0)",
        b"* MYRIGHTS a/b lrswipkxtecda",
    ]
    for connection in connections:
        connection.set_trace_callback(None)
    # All names are read by nobody: those are looked up one by one.
    assert not [each for each in statements if "ORDER BY name" in each]
