"""PREVIEW (RFC 8970): the first words, at once where they are known, and with LAZY only then."""

from __future__ import annotations

from imap_door import Door

from mailsystem.mail.mailbox import MessageSet
from mailsystem.store.database import Sql, Unit

PLAIN = b"Subject: x\r\n\r\nHello   there,\r\nhow are you?\r\n"
HTML = b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><style>p {}</style><p>Gr\xc3\xbc\xc3\x9fe</p></html>"
EMPTY = b"Subject: x\r\nContent-Type: image/png\r\n\r\n\x89PNG"


def large() -> bytes:
    body = b"From the beginning.\r\n" + b"x" * 70 + b"\r\n"
    return b"Subject: x\r\n\r\n" + body + (b"y" * 70 + b"\r\n") * 5000


async def test_the_first_words_are_told_of_every_message(door: Door) -> None:
    for raw in (PLAIN, HTML, EMPTY, large(), b""):
        await door.put(raw)
    client = await door.client(mailbox="INBOX")
    told = await client.ok("FETCH 1:* (UID PREVIEW)")
    assert told[:3] == [
        b'* 1 FETCH (UID 1 PREVIEW "Hello there, how are you?")',
        b"* 2 FETCH (UID 2 PREVIEW {7}\r\nGr\xc3\xbc\xc3\x9fe)",
        b'* 3 FETCH (UID 3 PREVIEW "")',
    ]
    assert told[3].startswith(b'* 4 FETCH (UID 4 PREVIEW "From the beginning. xxx')
    assert told[4] == b'* 5 FETCH (UID 5 PREVIEW "")'
    assert await client.ok("FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS (\\Recent))"]
    [line] = await client.ok("FETCH 1 (PREVIEW BODY.PEEK[TEXT]<0.5>)")
    assert line == b'* 1 FETCH (PREVIEW "Hello there, how are you?" BODY[TEXT]<0> {5}\r\nHello)'


async def test_who_does_not_wait_hears_of_what_is_known(door: Door) -> None:
    first, _ = await door.put(PLAIN), await door.put(PLAIN)
    [message] = await door.store.mailboxes.messages(door.account.id, first.mailbox.id, MessageSet.of([first.uid]))
    await remember(door, message.content, "Known words")
    client = await door.client(mailbox="INBOX")
    assert await client.ok("FETCH 1:2 PREVIEW (LAZY)") == [
        b'* 1 FETCH (PREVIEW "Known words")',
        b"* 2 FETCH (PREVIEW NIL)",
    ]
    assert await client.ok("FETCH 1:2 (PREVIEW (LAZY) PREVIEW)") == [
        b'* 1 FETCH (PREVIEW "Known words")',
        b'* 2 FETCH (PREVIEW "Hello there, how are you?")',
    ]


async def remember(door: Door, content: int, words: str) -> None:
    """As whoever reads messages behind the delivery does."""

    def unit() -> Unit[None]:
        yield Sql("INSERT INTO previews (content_id, text) VALUES ($1, $2)", content, words)

    await door.store.mailboxes._database.write(unit())


async def test_the_words_reach_no_trace(door: Door) -> None:
    client = await door.client()
    await door.put(b'Subject: x\r\n\r\nthe "confidential" words\r\n')
    await client.ok("SELECT INBOX")
    assert "confidential" in str(await client.ok("FETCH 1 (FLAGS PREVIEW UID)"))
    said = repr([event.data for event in door.events])
    assert "PREVIEW [" in said
    assert "confidential" not in said
