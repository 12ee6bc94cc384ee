"""METADATA (RFC 5464) and LIST-METADATA (RFC 9590): notes on mailboxes, private and shared, bounded."""

from __future__ import annotations

import pytest
from imap_door import Door

from mailsystem.store.metadata import MOST_ENTRIES


async def test_annotations_are_set_told_and_deleted(door: Door) -> None:
    client = await door.client()
    await door.dialog(
        """
        C1: a GETMETADATA INBOX /private/comment
        S1: * METADATA INBOX (/private/comment NIL)
        S1: a OK GETMETADATA completed
        C1: b SETMETADATA INBOX (/private/comment {33}
        S1: + go ahead
        C1: My new comment across
        C1: two lines.)
        S1: b OK SETMETADATA completed
        C1: c SETMETADATA INBOX (/private/comment "My comment" /shared/comment "Its sunny outside!")
        S1: c OK SETMETADATA completed
        C1: d GETMETADATA "INBOX" (/shared/comment /Private/Comment)
        S1: * METADATA INBOX (/shared/comment "Its sunny outside!")
        S1: * METADATA INBOX (/private/comment "My comment")
        S1: d OK GETMETADATA completed
        C1: e SETMETADATA INBOX (/private/comment NIL)
        S1: e OK SETMETADATA completed
        C1: f GETMETADATA INBOX (/private/comment)
        S1: * METADATA INBOX (/private/comment NIL)
        S1: f OK GETMETADATA completed
        """,
        c1=client,
    )


async def test_an_annotation_is_a_change_of_its_mailbox(door: Door) -> None:
    """RFC 7162 3.2: its mod-sequence counts annotations too, so that who comes back knows to look."""
    one, two = await door.client(mailbox="INBOX"), await door.client()

    async def highest() -> list[bytes]:
        return await two.ok("STATUS INBOX (HIGHESTMODSEQ)")

    before = await highest()
    await one.ok('SETMETADATA INBOX (/private/comment "x")')
    noted = await highest()
    assert noted != before
    await one.ok('SETMETADATA "" (/private/comment "x")')
    assert await highest() == noted
    assert await one.ok("NOOP") == []


async def test_a_value_is_any_octets(door: Door) -> None:
    client = await door.client()
    values = (b"", b"a\r\nb", b"\xff\xfe", b'"quoted\\"', bytes(range(256)), b"x" * 65_536)
    for value in values:
        await client.ok(b"SETMETADATA INBOX (/private/x ~{%d+}\r\n%b)" % (len(value), value))
        [said] = await client.ok("GETMETADATA INBOX /private/x")
        assert value in said or value == b'"quoted\\"', value
    await client.ok(b'SETMETADATA INBOX (/private/x "")')
    assert await client.ok("GETMETADATA INBOX /private/x") == [b'* METADATA INBOX (/private/x "")']
    await client.ok(b"SETMETADATA INBOX (/private/x ~{1+}\r\n\0)")
    assert await client.ok("GETMETADATA INBOX /private/x") == [b"* METADATA INBOX (/private/x ~{1}\r\n\0)"]


async def test_depth_reaches_below(door: Door) -> None:
    client = await door.client()
    await client.ok(
        'SETMETADATA INBOX (/private/filters/values/small "SMALLER 5000" /private/filters/values/boss "FROM boss"'
        ' /private/filters/values/boss/note "deep" /private/filtersx "x")'
    )
    small = b'* METADATA INBOX (/private/filters/values/small "SMALLER 5000")'
    boss = b'* METADATA INBOX (/private/filters/values/boss "FROM boss")'
    note = b'* METADATA INBOX (/private/filters/values/boss/note "deep")'
    assert await client.ok("GETMETADATA (DEPTH 1) INBOX /private/filters/values") == [boss, small]
    assert await client.ok("GETMETADATA INBOX (DEPTH 1) (/private/filters/values)") == [boss, small]
    assert await client.ok("GETMETADATA (DEPTH infinity) INBOX (/private/filters)") == [boss, note, small]
    assert await client.ok("GETMETADATA (DEPTH 0) INBOX (/private/filters/values)") == [
        b"* METADATA INBOX (/private/filters/values NIL)"
    ]


async def test_long_values_are_held_back_if_so_wished(door: Door) -> None:
    client = await door.client()
    await client.ok(b'SETMETADATA INBOX (/shared/comment {2199+}\r\n%b /private/comment "short")' % (b"x" * 2199))
    answer = await client.say("GETMETADATA INBOX (MAXSIZE 1024) (/shared/comment /private/comment)")
    assert answer.untagged == [b'* METADATA INBOX (/private/comment "short")']
    assert answer.code == "METADATA LONGENTRIES 2199"
    assert (await client.say("GETMETADATA (MAXSIZE 2199 DEPTH 1) INBOX /shared/comment")).code == ""


async def test_what_is_private_is_seen_by_its_maker_alone(door: Door) -> None:
    ann, bob = await door.client("ann"), await door.client("bob")
    await ann.ok('SETMETADATA "" (/private/comment "mine")')
    assert await ann.ok('GETMETADATA "" /private/comment') == [b'* METADATA "" (/private/comment "mine")']
    assert await bob.ok('GETMETADATA "" /private/comment') == [b'* METADATA "" (/private/comment NIL)']


async def test_the_server_says_who_runs_it_and_lets_nobody_else_speak_for_it(door: Door) -> None:
    client = await door.client()
    assert await client.ok('GETMETADATA "" /shared/admin') == [
        b'* METADATA "" (/shared/admin "mailto:postmaster@example.org")'
    ]
    assert (await client.say('SETMETADATA "" (/private/comment "x" /shared/comment "x")')).code == "NOPERM"
    assert await client.ok('GETMETADATA "" /private/comment') == [b'* METADATA "" (/private/comment NIL)']


async def test_they_follow_a_rename_and_go_with_the_mailbox(door: Door) -> None:
    client = await door.client()
    await client.ok("CREATE a")
    await client.ok('SETMETADATA a (/private/comment "x")')
    await client.ok("RENAME a b")
    assert await client.ok("GETMETADATA b /private/comment") == [b'* METADATA b (/private/comment "x")']
    assert (await client.say("GETMETADATA a /private/comment")).code == "NONEXISTENT"
    await client.ok("DELETE b")
    assert (await client.say('SETMETADATA b (/private/comment "x")')).code == "NONEXISTENT"
    await client.ok("CREATE b")
    assert await client.ok("GETMETADATA b /private/comment") == [b"* METADATA b (/private/comment NIL)"]


async def test_they_are_bounded_and_all_or_none(door: Door) -> None:
    client = await door.client()
    for number in range(0, MOST_ENTRIES, 50):
        pairs = " ".join(f'/private/n/{n} "x"' for n in range(number, number + 50))
        await client.ok(f"SETMETADATA INBOX ({pairs})")
    answer = await client.say('SETMETADATA INBOX (/private/n/1 "y" /private/more "x")')
    assert answer.code == "METADATA TOOMANY"
    assert await client.ok("GETMETADATA INBOX /private/n/1") == [b'* METADATA INBOX (/private/n/1 "x")']
    await client.ok('SETMETADATA INBOX (/private/n/1 NIL /private/more "x")')
    for size in (65_537, 200_000):
        value = b"x" * size
        answer = await client.say(b'SETMETADATA INBOX (/private/n/1 "y" /private/n/2 {%d+}\r\n%b)' % (size, value))
        assert answer.code == "METADATA MAXSIZE 65536"
    assert await client.ok("GETMETADATA INBOX /private/n/2") == [b'* METADATA INBOX (/private/n/2 "x")']


@pytest.mark.parametrize(
    "bad",
    ["GETMETADATA INBOX", "GETMETADATA INBOX ()", "GETMETADATA INBOX comment", "GETMETADATA INBOX /other/comment",
     "GETMETADATA INBOX /private//x", "GETMETADATA INBOX /private/x/", 'GETMETADATA INBOX "/private/*"',
     'GETMETADATA INBOX "/private/%"', "GETMETADATA (DEPTH 2) INBOX /private/x", "GETMETADATA (SIZE 2) INBOX /private/x",
     "GETMETADATA () INBOX /private/x", "SETMETADATA INBOX", "SETMETADATA INBOX ()", "SETMETADATA INBOX (/private/x)",
     'SETMETADATA INBOX (/private "x")', 'SETMETADATA INBOX (/private/x "a" /private/X "b")',
     "SETMETADATA INBOX (/private/x atom)", "GETMETADATA INBOX /private/" + "x" * 1000],
)  # fmt: skip
async def test_what_is_not_grammar_is_bad(door: Door, bad: str) -> None:
    client = await door.client()
    assert (await client.say(bad)).status == "BAD"


async def test_special_uses_are_annotations_too(door: Door) -> None:
    """RFC 6154 5.4."""
    client = await door.client()
    await client.ok("CREATE SavedDrafts")
    assert await client.ok("GETMETADATA Drafts /private/specialuse") == [
        b'* METADATA Drafts (/private/specialuse "\\\\Drafts")'
    ]
    assert await client.ok('SETMETADATA SavedDrafts (/private/specialuse "\\\\Drafts")') == [
        b"* METADATA Drafts (/private/specialuse NIL)"
    ]
    await client.ok("SETMETADATA Sent (/private/specialuse NIL)")
    assert await client.ok('LIST "" (Drafts SavedDrafts Sent)') == [
        b'* LIST (\\HasNoChildren) "/" Drafts',
        b'* LIST (\\HasNoChildren \\Drafts) "/" SavedDrafts',
        b'* LIST (\\HasNoChildren) "/" Sent',
    ]
    for other in ("", '/private/comment "x" '):
        assert (await client.say(f'SETMETADATA Sent ({other}/private/specialuse "\\\\All")')).code == "USEATTR"
    assert await client.ok("GETMETADATA Sent /private/comment") == [b"* METADATA Sent (/private/comment NIL)"]
    assert (await client.say('SETMETADATA INBOX (/private/specialuse "\\\\Sent")')).code == "NOPERM"


async def test_annotations_come_with_the_names(door: Door) -> None:
    """RFC 9590 4."""
    client = await door.client("bob")
    await client.ok("CREATE foo")
    await client.ok("CREATE bar/x")
    await client.ok("DELETE bar")
    await client.ok('SETMETADATA INBOX (/shared/vendor/cmu/cyrus-imapd/color "#b71c1c")')
    assert await client.ok('LIST "" % RETURN (METADATA ("/shared/vendor/cmu/cyrus-imapd/color"))') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b'* METADATA INBOX (/shared/vendor/cmu/cyrus-imapd/color "#b71c1c")',
        b'* LIST (\\NonExistent \\HasChildren) "/" bar',
        b'* LIST (\\HasNoChildren) "/" foo',
        b"* METADATA foo (/shared/vendor/cmu/cyrus-imapd/color NIL)",
    ]


async def test_a_shared_mailbox_is_annotated_by_those_who_may(door: Door) -> None:
    ann, bob = await door.client("ann"), await door.client("bob")
    await ann.ok("CREATE ours")
    there = '"Other Users/ann@example.org/ours"'
    for command in (f"GETMETADATA {there} /shared/comment", f'SETMETADATA {there} (/private/comment "x")'):
        assert (await bob.say(command)).code == "NONEXISTENT"
    await ann.ok("SETACL ours bob lr")
    await ann.ok('SETMETADATA ours (/shared/comment "for us" /private/comment "for me")')
    assert await bob.ok(f"GETMETADATA {there} (/shared/comment /private/comment)") == [
        f'* METADATA {there} (/shared/comment "for us")'.encode(),
        f"* METADATA {there} (/private/comment NIL)".encode(),
    ]
    assert (await bob.say(f'SETMETADATA {there} (/shared/comment "his")')).code == "NOPERM"
    await bob.ok(f'SETMETADATA {there} (/private/comment "his own")')
    assert f'* METADATA {there} (/private/comment "his own")'.encode() in await bob.ok(
        'LIST "" "*" RETURN (METADATA (/private/comment))'
    )
    assert (await bob.say(f'SETMETADATA {there} (/private/specialuse "\\\\Sent")')).code == "NOPERM"
    await ann.ok("SETACL ours bob l")
    assert (await bob.say(f"GETMETADATA {there} /shared/comment")).code == "NOPERM"
    said = b"".join(await bob.ok('LIST "" "*" RETURN (METADATA (/private/comment))'))
    assert b"his own" not in said


async def test_what_people_note_reaches_no_trace(door: Door) -> None:
    client = await door.client()
    await client.ok('SETMETADATA INBOX (/private/comment "the confidential")')
    await client.ok('SETMETADATA "" (/private/comment {16+}\r\nthe confidential)')
    assert "confidential" in str(await client.ok("GETMETADATA INBOX /private/comment"))
    assert "confidential" in str(await client.ok('GETMETADATA (DEPTH infinity) "" /private'))
    assert "confidential" in str(await client.ok('LIST "" INBOX RETURN (METADATA (/private/comment))'))
    said = repr([event.data for event in door.events])
    assert "GETMETADATA" in said
    assert "confidential" not in said


async def test_annotations_go_with_a_renamed_mailbox_and_stay_on_inbox_too(door: Door) -> None:
    """RFC 5464 4.1."""
    client = await door.client()
    for name in ("INBOX", "Junk"):
        await client.ok(f'SETMETADATA {name} (/private/comment "mine" /shared/comment "ours" /private/gone "x")')
        await client.ok(f"SETMETADATA {name} (/private/gone NIL)")
        await client.ok(f"RENAME {name} {name}-before")
    for name in ("INBOX", "INBOX-before", "Junk-before"):
        assert await client.ok(f"GETMETADATA {name} (/private/comment /shared/comment /private/gone)") == [
            f"* METADATA {name} ({note})".encode()
            for note in ('/private/comment "mine"', '/shared/comment "ours"', "/private/gone NIL")
        ]
