"""QUOTA (RFC 9208): usage and limits are told as they are, and nobody sets their own."""

from __future__ import annotations

import pytest
from imap_door import Door

from mailsystem.store import Quota


async def test_usage_and_limits_are_told(door: Door) -> None:
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=3, octets=10_000))
    await door.put(b"x" * 1025)
    client = await door.client()
    await door.dialog(
        """
        C1: G0001 GETQUOTA "ann@example.org"
        S1: * QUOTA "ann@example.org" (STORAGE 2 10 MESSAGE 1 3)
        S1: G0001 OK GETQUOTA completed
        C1: G0002 GETQUOTAROOT inbox
        S1: * QUOTAROOT INBOX "ann@example.org"
        S1: * QUOTA "ann@example.org" (STORAGE 2 10 MESSAGE 1 3)
        S1: G0002 OK GETQUOTAROOT completed
        C1: G0003 GETQUOTAROOT "to be"
        S1: * QUOTAROOT "to be" "ann@example.org"
        S1: * QUOTA "ann@example.org" (STORAGE 2 10 MESSAGE 1 3)
        S1: G0003 OK GETQUOTAROOT completed
        C1: G0004 GETQUOTA "bob@example.org"
        S1: G0004 NO [NONEXISTENT] no such quota root
        """,
        c1=client,
    )


async def test_what_has_no_limit_is_not_listed(door: Door) -> None:
    client = await door.client()
    # RFC 9208 7: a list of nothing is no quota-list.
    assert (await client.say("GETQUOTA ann@example.org")).code == "NONEXISTENT"
    assert await client.ok("GETQUOTAROOT INBOX") == [b"* QUOTAROOT INBOX"]
    await door.store.accounts.set_quota("ann@example.org", Quota(octets=1 << 40))
    assert await client.ok("GETQUOTA ann@example.org") == [b'* QUOTA "ann@example.org" (STORAGE 0 1073741824)']


async def test_nobody_sets_their_own_quota(door: Door) -> None:
    client = await door.client()
    for resources in ("()", "(STORAGE 510)", "(STORAGE 99999999999 MESSAGE 3)"):
        assert (await client.say(f"SETQUOTA ann@example.org {resources}")).code == "NOPERM"
    assert "QUOTASET" not in (await client.ok("CAPABILITY"))[0].decode()


@pytest.mark.parametrize(
    "bad",
    ["GETQUOTA", "GETQUOTA a b", "GETQUOTAROOT", "GETQUOTAROOT a b", "SETQUOTA a", "SETQUOTA a STORAGE 3",
     "SETQUOTA a (STORAGE)", "SETQUOTA a (STORAGE x)", "SETQUOTA a (STORAGE 9223372036854775808)"],
)  # fmt: skip
async def test_what_is_not_grammar_is_bad(door: Door, bad: str) -> None:
    client = await door.client()
    assert (await client.say(bad)).status == "BAD"


async def test_who_is_full_is_told_and_keeps_what_there_is(door: Door) -> None:
    client = await door.client()
    await door.put(b"12345")
    await door.put(b"12345")
    assert not [line for line in await client.ok("SELECT INBOX") if b"OVERQUOTA" in line]
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=2))
    assert not [line for line in await client.ok("SELECT INBOX") if b"OVERQUOTA" in line]
    for command in (b"COPY 1 Junk", b"APPEND INBOX {2+}\r\nhi"):
        assert (await client.say(command)).code == "OVERQUOTA"
    await door.store.accounts.set_quota("ann@example.org", Quota(messages=1))
    assert b"* NO [OVERQUOTA] you keep more than you may" in await client.ok("SELECT INBOX")
    await client.ok("MOVE 1 Junk")
    assert await client.ok("STATUS Junk (MESSAGES)") == [b"* STATUS Junk (MESSAGES 1)"]
