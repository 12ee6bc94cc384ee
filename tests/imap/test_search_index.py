"""SEARCH with an index of all, of some or of no mail: it finds what reading finds."""

from __future__ import annotations

import asyncio
import base64
import os
import quopri
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from correspondence import messages, said
from imap_door import Door, Opening
from test_search import KEYS, expected, filled, found, tree

from mailsystem.finding import sifting
from mailsystem.finding.header import Header
from mailsystem.mail.content import Part, scan
from mailsystem.mail.haystack import Words, fold, found_in, pieces


@pytest.fixture(autouse=True)
def _ask_always(monkeypatch: pytest.MonkeyPatch) -> None:
    # Even about mailboxes so small that reading is quicker.
    monkeypatch.setattr(sifting, "_FEW", 0)
    monkeypatch.setattr(sifting, "_SHARE", 0)


def lose(directory: Path, chance: random.Random) -> None:
    """Some shelves are gone: the index knows nothing of those messages."""
    with closing(sqlite3.connect(directory / "mail.db")) as connection, connection:
        for [shelf] in connection.execute("SELECT id FROM index_shelves").fetchall():
            if chance.random() < 0.5:
                connection.execute("DELETE FROM index_shelves WHERE id = ?", (shelf,))


@pytest.mark.parametrize("headings", [20, 0])
@pytest.mark.parametrize("part", ["none", "some", "all"])
async def test_every_key_finds_what_the_judge_finds(
    open_door: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, headings: int
) -> None:
    monkeypatch.setattr("mailsystem.store.index._BATCH", 3)
    monkeypatch.setattr("mailsystem.store.headings._WORTH", headings)
    door = await open_door(indexed=False)
    kept = await filled(door)
    if part != "none":
        await door.store.index.catch_up()
    if part == "some":
        lose(tmp_path / "store0", random.Random(1))
    client = await door.client(mailbox="INBOX")
    everything = [each.uid for each in kept]
    for key in KEYS:
        wanted = expected(kept, key)
        assert await found(client, said(key)) == wanted, key
        assert await found(client, b"NOT " + said(key)) == [uid for uid in everything if uid not in wanted], key
    chance = random.Random(2)
    for _ in range(60):
        keys = [tree(chance, 4) for _ in range(chance.randint(1, 3))]
        assert await found(client, b" ".join(map(said, keys))) == expected(kept, ("AND", *keys)), keys


SCRIPTS = {
    "utf-8": "straße grüße é ﬁsh “quoted” don’t 東京都 日本語のメール Привет καλημέρα word_with-marks 한국어 ไทย",
    "iso-8859-1": "straße grüße café naïve ångström ½ word",
    "koi8-r": "привет из москвы слово и word",
    "iso-2022-jp": "日本語のメール 東京都 word",
    "gb18030": "北京大学 你好，世界。word",
    "us-ascii": "hello world re: fwd: user@example.org x-ray a.b.c 12345 loooong" + "x" * 200,
}
ENCODED = {
    "8bit": lambda octets: octets,
    "base64": lambda octets: base64.encodebytes(octets).replace(b"\n", b"\r\n"),
    "quoted-printable": lambda octets: quopri.encodestring(octets).replace(b"\n", b"\r\n"),
}


def written(chance: random.Random) -> bytes:
    """A message of random words in a random charset, perhaps with an attachment."""
    charset = chance.choice(list(SCRIPTS))
    encoding = chance.choice(list(ENCODED))
    words = SCRIPTS[charset].split()
    subject = " ".join(chance.choices(words, k=3))
    text = "\n".join(chance.choice([" ", ", ", "", "-"]).join(chance.choices(words, k=4)) for _ in range(4))
    encoded = base64.b64encode(subject.encode(charset)).decode()
    head = (
        f"From: {chance.choice(['Ann', 'Bob'])} <user{chance.randrange(9)}@example.org>\r\n"
        f"To: ann@example.org\r\nSubject: =?{charset}?b?{encoded}?=\r\nX-Number: {chance.randrange(30)}\r\n"
    ).encode()
    kind = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    body = kind + ENCODED[encoding](text.encode(charset))
    if chance.random() < 0.5:
        return head + body
    return (
        head
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + body
        + b"\r\n--b\r\nContent-Type: image/png\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''gr%C3%BC%C3%9Fe.png\r\n\r\nno text\r\n--b--\r\n"
    )


def needle(chance: random.Random) -> str:
    """A part of a text as it might be written, or of two words that might meet."""
    text = " ".join(SCRIPTS[chance.choice(list(SCRIPTS))].split())
    start = chance.randrange(len(text))
    return fold(text[start : start + chance.choice([1, 1, 2, 2, 3, 4, 6, 10, 40, 150])])


def scanned(raw: bytes, word: str, name: str, text: str) -> bool:
    """What reading says."""
    if word in ("BODY", "TEXT"):
        words = Words(text, word == "TEXT")
        return not text or bool(found_in([words], pieces(Part.load(scan(raw).parts), len(text)), raw, 0))
    return any(text in value for value in Header(raw[: scan(raw).header_size]).values(name.encode()))


@pytest.mark.parametrize("seed", range(6))
async def test_the_index_finds_what_reading_finds(
    open_door: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("mailsystem.store.index._BATCH", 5)
    monkeypatch.setattr("mailsystem.store.headings._WORTH", seed % 2 * 20)
    chance = random.Random(seed)
    door = await open_door(indexed=False)
    raws = [written(chance) for _ in range(60)]
    for raw in raws[:50]:
        await door.put(raw)
    await door.store.index.catch_up()
    lose(tmp_path / "store0", chance)
    for raw in raws[50:]:
        await door.put(raw)
    client = await door.client(mailbox="INBOX")
    hits = 0
    for _ in range(120):
        word = chance.choice(["BODY", "TEXT", "SUBJECT", "FROM", "HEADER"])
        name = "X-NUMBER" if word == "HEADER" else word
        text = chance.choice(
            [needle(chance), needle(chance), str(chance.randrange(30)), "user3", "example.org", fold("Grüße.png")]
        )
        wanted = [uid for uid, raw in enumerate(raws, 1) if scanned(raw, word, name, text)]
        octets = text.encode()
        keys = f"{word} X-NUMBER" if word == "HEADER" else word
        command = b"CHARSET UTF-8 %b {%d+}\r\n%b" % (keys.encode(), len(octets), octets)
        assert await found(client, command) == wanted, (word, text)
        hits += bool(wanted)
    assert hits > 40


async def test_what_is_sure_is_not_read(open_door: Opening, tmp_path: Path) -> None:
    door = await open_door(indexed=False)
    await door.put(b"Subject: large\r\n\r\n" + b"nothing here\r\n" * 20_000 + b"needle\r\n")
    await door.put(b"Subject: small\r\n\r\nneedle and thread\r\n")
    await door.store.index.catch_up()
    [file] = (tmp_path / "store0" / "contents").glob("??/*")
    os.truncate(file, 0)  # whoever has it open would read on from one that was removed
    client = await door.client(mailbox="INBOX")
    for keys, wanted in {
        "BODY needle": [1, 2],
        "NOT BODY eedl": [],
        "TEXT thread": [2],
        "BODY absent": [],
        "OR BODY absent SUBJECT small": [2],
        'BODY "needle and"': [2],
    }.items():
        assert await found(client, keys) == wanted, keys
    assert (await client.say('BODY "nothing here"')).status == "BAD"
    assert (await client.say('SEARCH BODY "nothing here"')).code == "UNAVAILABLE"


async def test_mail_is_found_while_it_is_indexed(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    for start in range(0, 400, 50):
        await asyncio.gather(
            *(door.put(b"Subject: x\r\n\r\nword%d needle\r\n" % number) for number in range(start, start + 50))
        )
        await client.ok("NOOP")
        assert len(await found(client, "BODY needle")) == start + 50
        assert len(await found(client, f"BODY word{start + 7}")) == 1
        await asyncio.sleep(0.1)
    assert len(messages()) > 50


async def test_headers_are_read_once_however_often_they_are_searched(
    open_door: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The index cannot tell for sure, or does not know the messages yet.
    monkeypatch.setattr(sifting, "_FEW", 20)
    door = await open_door(indexed=False)
    for number in range(60):
        if number == 40:
            await door.store.index.catch_up()
        await door.put(b"From: ann.%d.@example.org\r\nSubject: about %d\r\n\r\nx\r\n" % (number % 2, number))
    client = await door.client(mailbox="INBOX")
    assert await found(client, "FROM ann.1.") == list(range(2, 61, 2))
    statements: list[str] = []
    database = door.store.mailboxes._database
    connections = [database._brief, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(statements.append)
    assert await found(client, "FROM ann.1.") == list(range(2, 61, 2))
    assert await found(client, "FROM ann.0. SUBJECT 9") == []
    assert await found(client, "OR TO nobody SUBJECT 9") == [10, 20, 30, 40, 50, 60]
    assert await found(client, "NOT FROM ann.1. UNSEEN") == list(range(1, 60, 2))
    assert not [each for each in statements if "c.head" in each or "FROM index_" in each]
    await door.put(b"From: ann.1.\r\nSubject: 9\r\n\r\nx\r\n")
    await client.ok("NOOP")
    statements.clear()
    assert await found(client, "SUBJECT 9 FROM ann.1.") == [10, 20, 30, 40, 50, 60, 61]
    [read] = [each for each in statements if "c.head" in each]
    assert "m.uid BETWEEN 61 AND 61" in read
    for connection in connections:
        connection.set_trace_callback(None)
