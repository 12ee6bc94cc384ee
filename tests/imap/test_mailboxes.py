"""Mailbox names: making, dropping, renaming, listing, subscribing, counting."""

from __future__ import annotations

import pytest
from imap_door import Client, Door

from mailsystem.imap.names import DEEPEST


async def listed(client: Client, command: str) -> dict[str, str]:
    """Names and attributes of a LIST or LSUB."""
    found = {}
    for line in await client.ok(command):
        attributes, _, name = line.decode().partition("(")[2].partition(') "/" ')
        found[name] = attributes
    return found


async def test_special_mailboxes_are_shown_as_such(door: Door) -> None:
    client = await door.client()
    assert await listed(client, 'LIST "" *') == {
        "INBOX": "\\HasNoChildren",
        "Archive": "\\HasNoChildren \\Archive",
        "Drafts": "\\HasNoChildren \\Drafts",
        "Junk": "\\HasNoChildren \\Junk",
        "Sent": "\\HasNoChildren \\Sent",
        "Trash": "\\HasNoChildren \\Trash",
    }


async def test_inbox_comes_first(door: Door) -> None:
    client = await door.client()
    assert (await client.ok('LIST "" "*"'))[0] == b'* LIST (\\HasNoChildren) "/" INBOX'


async def test_an_empty_pattern_asks_for_the_delimiter(door: Door) -> None:
    client = await door.client()
    assert await client.ok('LIST "" ""') == [b'* LIST (\\Noselect) "/" ""']
    assert await client.ok('LIST foo ""') == [b'* LIST (\\Noselect) "/" ""']


async def test_creating_makes_what_is_above_and_forgives_a_last_delimiter(door: Door) -> None:
    client = await door.client("bob")
    await client.ok("CREATE a/b/c/")
    assert await listed(client, 'LIST "" *') == {
        "INBOX": "\\HasNoChildren",
        "a": "\\HasChildren",
        "a/b": "\\HasChildren",
        "a/b/c": "\\HasNoChildren",
    }
    for name in ("a/b/c", "a/", "inbox", "INBOX"):
        assert (await client.say(f"CREATE {name}")).code == "ALREADYEXISTS"
    await client.ok("CREATE InBoX/sub")
    assert await listed(client, 'LIST "" inbox/%') == {"INBOX/sub": "\\HasNoChildren"}


async def test_a_deleted_name_with_others_below_it_stays_as_a_name_only(door: Door) -> None:
    client = await door.client("bob")
    await client.ok("CREATE foo/bar")
    await client.ok("DELETE foo")
    for pattern in ("%", "*"):
        assert (await listed(client, f'LIST "" {pattern}'))["foo"] == "\\Noselect \\HasChildren"
    assert (await client.say("SELECT foo")).code == "NONEXISTENT"
    assert (await client.say("DELETE foo")).code == "NONEXISTENT"
    await client.ok("CREATE foo")
    assert (await listed(client, 'LIST "" %'))["foo"] == "\\HasChildren"
    await client.ok("DELETE foo")
    await client.ok("DELETE foo/bar")
    assert await listed(client, 'LIST "" *') == {"INBOX": "\\HasNoChildren"}


async def test_inbox_cannot_be_deleted(door: Door) -> None:
    client = await door.client()
    assert (await client.say("DELETE inbox")).code == "NOPERM"


async def test_references_and_patterns_are_one(door: Door) -> None:
    client = await door.client("bob")
    for name in ("a", "a/b", "a/b/c", "ab", "x"):
        await client.ok(f"CREATE {name}")
    expected = {
        ('""', "%"): ["INBOX", "a", "ab", "x"],
        ('""', "a%"): ["a", "ab"],
        ('""', "a*"): ["a", "a/b", "a/b/c", "ab"],
        ("a/", "%"): ["a/b"],
        ("a/", "*"): ["a/b", "a/b/c"],
        ("a", "/%/%"): ["a/b/c"],
        ('""', "%/%"): ["a/b"],
        ('""', "*c"): ["a/b/c"],
        ('""', "iNbOx"): ["INBOX"],
        ('""', "nothing"): [],
    }
    for (reference, pattern), names in expected.items():
        assert list(await listed(client, f"LIST {reference} {pattern}")) == names, (reference, pattern)


async def test_names_are_modified_utf7_on_the_wire_and_unicode_inside(door: Door) -> None:
    client = await door.client("bob")
    await client.ok("CREATE Entw&APw-rfe")
    await client.ok('CREATE "a b/R&-D"')
    assert list(await listed(client, 'LIST "" *')) == ["INBOX", "Entw&APw-rfe", '"a b"', '"a b/R&-D"']
    assert [box.name for box in await door.store.mailboxes.list(door.people["bob"].id)] == [
        "INBOX", "Entwürfe", "a b", "a b/R&D"]  # fmt: skip
    await client.ok(b"SELECT {12+}\r\nEntw&APw-rfe")
    assert await listed(client, 'LIST "" Entw&APw-*') == {"Entw&APw-rfe": "\\HasNoChildren"}
    assert await listed(client, 'LIST "" %&-D') == {}
    assert await client.ok('STATUS "a b/R&-D" (MESSAGES)') == [b'* STATUS "a b/R&-D" (MESSAGES 0)']


@pytest.mark.parametrize("name", [b"R&D", b"&AGE-", b'"a//b"', b'"/a"', b'""', b"&AAE-", b"x" * 1001,
                                  b"/".join([b"d"] * (DEEPEST + 1)), "Entwürfe".encode(), b'"a\tb"'])  # fmt: skip
async def test_names_that_cannot_be_are_refused(door: Door, name: bytes) -> None:
    client = await door.client()
    for command in (b"CREATE ", b"SELECT ", b"SUBSCRIBE ", b"RENAME Junk ", b"RENAME "):
        end = b" x" if command == b"RENAME " else b""
        answer = await client.say(command + name + end)
        assert answer.status in ("NO", "BAD"), (command, answer)
    assert "Junk" in await listed(client, 'LIST "" *')


async def test_renaming_takes_along_what_is_below(door: Door) -> None:
    client = await door.client("bob")
    await client.ok("CREATE a/b/c")
    await client.ok("RENAME a/b new/place")
    assert list(await listed(client, 'LIST "" *')) == ["INBOX", "a", "new", "new/place", "new/place/c"]
    assert (await client.say("RENAME a new")).code == "ALREADYEXISTS"
    assert (await client.say("RENAME nothing x")).code == "NONEXISTENT"
    assert (await client.say("RENAME new new/place/deeper")).status == "NO"
    assert (await client.say("RENAME a inbox")).code == "ALREADYEXISTS"


async def test_subscriptions_are_names_of_their_own(door: Door) -> None:
    client = await door.client("bob")
    before = set(await listed(client, 'LSUB "" *'))
    await client.ok("CREATE foo/bar")
    await client.ok("SUBSCRIBE foo/bar")
    await client.ok("SUBSCRIBE gone")
    # RFC 3501 6.3.9: `%` stops at foo, which is not subscribed, and `*` does not tell it.
    assert await listed(client, 'LSUB "" %') == {**dict.fromkeys(before, ""), "foo": "\\Noselect", "gone": "\\Noselect"}
    assert await listed(client, 'LSUB "" *') == {**dict.fromkeys(before, ""), "foo/bar": "", "gone": "\\Noselect"}
    assert await listed(client, 'LSUB "foo/" %') == {"foo/bar": ""}
    await client.ok("UNSUBSCRIBE gone")
    await client.ok("UNSUBSCRIBE never-was")
    assert "gone" not in await listed(client, 'LSUB "" *')
    assert await client.ok('LSUB "" ""') == [b'* LSUB (\\Noselect) "/" ""']


async def test_status_counts(door: Door) -> None:
    await door.put(b"x", "\\Seen")
    await door.put(b"x")
    client = await door.client()
    [line] = await client.ok("STATUS inbox (UNSEEN MESSAGES RECENT UIDNEXT UIDVALIDITY)")
    validity = (await door.store.mailboxes.find(door.account.id, "INBOX")).uidvalidity
    assert line == b"* STATUS INBOX (UNSEEN 1 MESSAGES 2 RECENT 2 UIDNEXT 3 UIDVALIDITY %d)" % validity
    await client.ok("SELECT INBOX")
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 2)"]
    assert (await client.say("STATUS nowhere (MESSAGES)")).code == "NONEXISTENT"
    for bad in ("STATUS INBOX ()", "STATUS INBOX MESSAGES", "STATUS INBOX (SIZES)", "STATUS INBOX (MESSAGES"):
        assert (await client.say(bad)).status == "BAD"


async def test_accounts_do_not_see_each_other(door: Door) -> None:
    ann, bob = await door.client("ann"), await door.client("bob")
    await ann.ok("CREATE private")
    assert "private" not in await listed(bob, 'LIST "" *')
    assert (await bob.say("SELECT private")).code == "NONEXISTENT"
    await door.put()
    assert b"* 0 EXISTS" in await bob.ok("SELECT INBOX")


async def test_a_rename_that_would_make_names_too_long_or_too_deep_is_refused(door: Door) -> None:
    """RFC 9051 6.3.6: any error in renaming is a NO."""
    client = await door.client()
    await client.ok(f"CREATE deep/{'/'.join('x' * 40)}")
    await client.ok(f"CREATE long/{'x' * 600}")
    for old, new in (("deep", "/".join("y" * 20)), ("long", "y" * 600)):
        answer = await client.say(f"RENAME {old} {new}")
        assert (answer.status, answer.code) == ("NO", "CANNOT")
    assert len(await client.ok('LIST "" deep*')) == 41
