"""ESEARCH (RFC 4731), SEARCHRES (RFC 5182), PARTIAL (RFC 9394), and mod-sequences in searches (RFC 7162), over the wire."""

from __future__ import annotations

import asyncio
import random
import re

import pytest
from correspondence import said
from imap_door import Client, Door
from test_search import KEYS, filled, found

from mailsystem.imap import progress
from mailsystem.mail.mailbox import MessageSet
from mailsystem.store import Want


async def returned(client: Client, options: str, keys: str | bytes = "ALL", *, uid: bool = True) -> dict[str, str]:
    octets = keys.encode() if isinstance(keys, str) else keys
    said = await client.ok((b"UID " if uid else b"") + b"SEARCH RETURN (" + options.encode() + b") " + octets)
    [line] = [line.decode() for line in said if line.startswith(b"* ESEARCH")]
    assert (" UID" in line) is uid
    shape = re.fullmatch(
        r'\* ESEARCH \(TAG "t\d+"\)(?: UID)?((?: (?:MIN|MAX|COUNT|ALL|MODSEQ) [0-9:,]+| PARTIAL \(\S+ \S+\))*)', line
    )
    assert shape, line
    return dict(re.findall(r" ([A-Z]+) (\([^)]*\)|\S+)", shape[1]))


async def three(door: Door) -> None:
    senders = ["Smith", "Jones", "Smith", "Lee"]
    flags = ["\\Flagged", "\\Flagged", "", "\\Flagged"]
    for number, (sender, flag) in enumerate(zip(senders, flags, strict=True)):
        await door.put(f"From: {sender} <x@example.org>\r\n\r\n{number}\r\n".encode(), *filter(None, [flag]))


async def test_the_dialogs_of_the_rfc(door: Door) -> None:
    await three(door)
    one = await door.client(mailbox="INBOX")
    await door.dialog(
        """
        C1: A282 SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"
        S1: * ESEARCH (TAG "A282") MIN 2 COUNT 2
        S1: A282 OK SEARCH completed
        C1: A283 SEARCH RETURN () FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"
        S1: * ESEARCH (TAG "A283") ALL 2,4
        S1: A283 OK ...
        C1: A284 SEARCH RETURN (MIN) SINCE 1-Feb-1994 FROM "Nobody"
        S1: * ESEARCH (TAG "A284")
        S1: A284 OK ...
        C1: A285 UID SEARCH RETURN (MIN MAX) FLAGGED
        S1: * ESEARCH (TAG "A285") UID MIN 1 MAX 4
        S1: A285 OK ...
        C1: A286 SEARCH FLAGGED
        S1: * SEARCH 1 2 4
        S1: A286 OK ...
        """,
        c1=one,
    )


async def test_what_is_saved_can_be_used_at_once(door: Door) -> None:
    await three(door)
    one = await door.client(mailbox="INBOX")
    # RFC 5182 2.3, examples 1 to 3, sent in one piece.
    await one.send(
        b'A282 SEARCH RETURN (SAVE) SINCE 1-Feb-1994 NOT FROM "Smith"\r\nA283 FETCH $ (UID)\r\n'
        b"A284 UID SEARCH UID $ FLAGGED FROM lee\r\nA285 SEARCH RETURN (SAVE MIN MAX) $\r\n"
        b"A286 STORE $ +FLAGS.SILENT (\\Seen)\r\n"
        b"A287 UID COPY $ Trash\r\nA288 SEARCH SEEN\r\n"
    )
    heard = [await one.line() for _ in range(11)]
    assert heard == [
        b"A282 OK SEARCH completed",
        b"* 2 FETCH (UID 2)",
        b"* 4 FETCH (UID 4)",
        b"A283 OK FETCH completed",
        b"* SEARCH 4",
        b"A284 OK SEARCH completed",
        b'* ESEARCH (TAG "A285") MIN 2 MAX 4',
        b"A285 OK SEARCH completed",
        b"A286 OK STORE completed",
        heard[9],
        b"* SEARCH 2 4",
    ]
    assert re.fullmatch(rb"A287 OK \[COPYUID \d+ 2,4 1:2\] COPY completed", heard[9])
    await one.line()


async def test_nothing_is_saved_at_first_and_after_a_no_but_a_bad_changes_nothing(door: Door) -> None:
    await three(door)
    one = await door.client(mailbox="INBOX")
    assert await one.ok("FETCH $ UID") == []
    assert await found(one, "$") == []
    await one.ok("SEARCH RETURN (SAVE) 2:3")
    assert await found(one, "$") == [2, 3]
    assert (await one.say("SEARCH RETURN (SAVE) NONSENSE")).status == "BAD"
    assert (await one.say("SEARCH RETURN (SAVE")).status == "BAD"
    assert await found(one, "FLAGGED") == [1, 2, 4]
    assert await found(one, "$") == [2, 3]
    assert (await one.say("SEARCH RETURN (COUNT) CHARSET X-NONE ALL")).status == "NO"
    assert await found(one, "$") == [2, 3]
    answer = await one.say("SEARCH RETURN (SAVE) CHARSET X-NONE ALL")
    assert (answer.status, answer.code) == ("NO", "BADCHARSET (US-ASCII UTF-8)")
    assert await found(one, "$") == []
    await one.ok("SEARCH RETURN (SAVE) ALL")
    await one.ok("SELECT INBOX")
    assert await found(one, "$") == []


async def test_what_is_expunged_is_saved_no_more(door: Door) -> None:
    await three(door)
    one = await door.client(mailbox="INBOX")
    await one.ok("SEARCH RETURN (SAVE) 2:4")
    await one.ok("STORE 3 +FLAGS.SILENT \\Deleted")
    await one.ok("EXPUNGE")
    assert await one.ok("FETCH $ UID") == [b"* 2 FETCH (UID 2)", b"* 3 FETCH (UID 4)"]
    assert await found(one, "NOT $") == [1]
    assert await found(one, "UID $ NOT UID 2", uid=False) == [3]


async def test_results_are_the_same_in_every_form(door: Door) -> None:
    await filled(door)
    client = await door.client(mailbox="INBOX")
    chance = random.Random(5)
    for key in chance.sample(KEYS, 40):
        for uid in (True, False):
            plain = await found(client, said(key), uid=uid)
            everything = await returned(client, "MIN MAX COUNT ALL", said(key), uid=uid)
            assert int(everything["COUNT"]) == len(plain)
            assert list(MessageSet.parse(everything["ALL"]) if plain else []) == plain
            ends = {"MIN": str(plain[0]), "MAX": str(plain[-1])} if plain else {}
            assert await returned(client, "MAX MIN", said(key), uid=uid) == ends
            assert {**everything, **ends} == everything
            part = await returned(client, "PARTIAL -2:-3", said(key), uid=uid)
            wanted = str(MessageSet.of(plain[-3:-1])) or "NIL"
            assert part == {"PARTIAL": f"(-2:-3 {wanted})"}


async def test_the_ends_are_found_without_reading_what_lies_between(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in range(0, 1200, 200):
        await asyncio.gather(*(door.put(b"Subject: %d\r\n\r\nx\r\n" % number) for number in range(start, start + 200)))
    client = await door.client(mailbox="INBOX")
    read = 0
    fetch = door.store.mailboxes.fetch

    async def counting(*args: object, **more: object):  # type: ignore[no-untyped-def]
        nonlocal read
        async for slice_ in fetch(*args, **more):  # type: ignore[arg-type]
            read += len(slice_)
            yield slice_

    monkeypatch.setattr(door.store.mailboxes, "fetch", counting)
    assert await returned(client, "MIN MAX", "SENTBEFORE 1-Jan-2030") == {}
    assert read >= 1200
    read = 0
    assert await returned(client, "MIN MAX SAVE", "NOT SENTBEFORE 1-Jan-2030") == {"MIN": "1", "MAX": "1200"}
    assert read <= 600
    monkeypatch.undo()
    assert await found(client, "$") == [1, 1200]


async def test_parts_of_what_is_found(door: Door) -> None:
    for _ in range(7):
        await door.put()
    client = await door.client(mailbox="INBOX")
    assert await returned(client, "PARTIAL -1:-3") == {"PARTIAL": "(-1:-3 5:7)"}
    assert await returned(client, "PARTIAL 3:2 COUNT MIN") == {"MIN": "1", "COUNT": "7", "PARTIAL": "(3:2 2:3)"}
    assert await returned(client, "PARTIAL 24000:24500") == {"PARTIAL": "(24000:24500 NIL)"}
    await client.ok("SEARCH RETURN (SAVE PARTIAL 2:3) NOT 1")
    assert await found(client, "$") == [3, 4]
    assert (await client.say("UID SEARCH RETURN (ALL PARTIAL 1:2) ALL")).status == "BAD"
    assert (await client.say("UID SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL")).status == "BAD"


async def test_the_later_dialect_always_hears_esearch(door: Door) -> None:
    await three(door)
    client = await door.client()
    await client.ok("ENABLE IMAP4rev2")
    await client.ok("SELECT INBOX")
    await door.dialog(
        """
        C1: A1 UID SEARCH FLAGGED
        S1: * ESEARCH (TAG "A1") UID ALL 1:2,4
        S1: A1 OK ...
        C1: A2 SEARCH FROM Nobody
        S1: * ESEARCH (TAG "A2")
        S1: A2 OK ...
        """,
        c1=client,
    )


async def test_mod_sequences_are_told_where_they_were_asked_for(door: Door) -> None:
    await three(door)
    client = await door.client(mailbox="INBOX")
    modseqs = {
        each.message.uid: each.message.modseq
        async for slice_ in door.store.mailboxes.fetch(
            door.account.id,
            (await door.store.mailboxes.find(door.account.id, "INBOX")).id,
            MessageSet(((1, 9),)),
            Want.NONE,
        )
        for each in slice_
    }
    # RFC 7162 3.1: to speak of them enables CONDSTORE.
    said = await client.ok(f"SEARCH MODSEQ {modseqs[2]}")
    assert said == [b"* OK [HIGHESTMODSEQ %d] highest" % modseqs[4], b"* SEARCH 2 3 4 (MODSEQ %d)" % modseqs[4]]
    assert await client.ok(f'UID SEARCH MODSEQ "/flags/\\\\draft" all {modseqs[2]} FROM jones') == [
        b"* SEARCH 2 (MODSEQ %d)" % modseqs[2]
    ]
    assert await client.ok(f"SEARCH MODSEQ {modseqs[4] + 1}") == [b"* SEARCH"]
    asked = f"MODSEQ {modseqs[1]}"
    assert await returned(client, "ALL", asked) == {"ALL": "1:4", "MODSEQ": str(modseqs[4])}
    assert await returned(client, "MIN", asked) == {"MIN": "1", "MODSEQ": str(modseqs[1])}
    assert await returned(client, "MIN MAX", asked) == {"MIN": "1", "MAX": "4", "MODSEQ": str(modseqs[4])}
    assert await returned(client, "PARTIAL 1:2", asked) == {"PARTIAL": "(1:2 1:2)", "MODSEQ": str(modseqs[2])}
    assert await returned(client, "COUNT", f"MODSEQ {modseqs[4] + 1}") == {"COUNT": "0"}


async def test_who_speaks_only_uids_may_not_number_in_keys(door: Door) -> None:
    await three(door)
    client = await door.client()
    await client.ok("ENABLE UIDONLY")
    await client.ok("SELECT INBOX")
    for keys in ("1", "NOT (2:*)", "OR UID 1 5"):
        answer = await client.say(f"UID SEARCH {keys}")
        assert (answer.status, answer.code) == ("BAD", "UIDREQUIRED"), keys
    assert await returned(client, "ALL SAVE", "UID 2:3") == {"ALL": "2:3"}
    assert await found(client, "$ FLAGGED") == [2]


async def test_there_is_one_charset_where_utf8_was_accepted(door: Door) -> None:
    await door.put("Subject: Grüße\r\n\r\nx\r\n".encode())
    client = await door.client()
    await client.ok("ENABLE UTF8=ACCEPT")
    await client.ok("SELECT INBOX")
    assert (await client.say("SEARCH CHARSET UTF-8 ALL")).status == "BAD"
    assert await found(client, 'SUBJECT "grüße"') == [1]


async def test_a_long_search_tells_how_far_it_has_come(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await three(door)
    client = await door.client(mailbox="INBOX")
    assert await client.ok("SEARCH TEXT 3") == [b"* SEARCH 4"]
    monkeypatch.setattr(progress, "FIRST", 0.05)
    monkeypatch.setattr(progress, "AGAIN", 0.1)
    fetch = door.store.mailboxes.fetch

    async def slow(*args: object, **more: object):  # type: ignore[no-untyped-def]
        await asyncio.sleep(0.2)
        async for slice_ in fetch(*args, **more):  # type: ignore[arg-type]
            yield slice_

    monkeypatch.setattr(door.store.mailboxes, "fetch", slow)
    await client.send(b"]x SEARCH TEXT 3\r\nA1 SEARCH UNSEEN TEXT 3\r\n")
    heard = await client.answer(b"]x")
    assert heard.untagged[0] == b"* OK [INPROGRESS (NIL 0 4)] still at it"
    assert heard.untagged[-1] == b"* SEARCH 4"
    heard = await client.answer(b"A1")
    assert heard.untagged[0] == b'* OK [INPROGRESS ("A1" 0 4)] still at it'
    assert 2 < len(heard.untagged) < 8
