"""UTF8=ACCEPT (RFC 9755): names and messages in UTF-8, for who has enabled it."""

from __future__ import annotations

from imap_door import Door


async def test_names_and_messages_are_spelled_in_utf8(door: Door) -> None:
    one, two = await door.client(), await door.client()
    assert b" UTF8=ACCEPT" in (await one.ok("CAPABILITY"))[0]
    assert await one.ok("ENABLE UTF8=ACCEPT") == [b"* ENABLED UTF8=ACCEPT"]
    await one.ok('CREATE "Grüße"')
    assert await one.ok('LIST "" "Grü*"') == ['* LIST (\\HasNoChildren) "/" "Grüße"'.encode()]
    assert await two.ok('LIST "" Gr*') == [b'* LIST (\\HasNoChildren) "/" Gr&APwA3w-e']
    raw = "From: Ann <änn@example.org>\r\nSubject: Grüße\r\n\r\nhallo\r\n".encode()
    answer = await one.say('APPEND "Grüße" (\\Seen) UTF8 (~{%d+}\r\n'.encode() % len(raw) + raw + b")")
    assert answer.code.startswith("APPENDUID ")
    assert await one.ok('STATUS "Grüße" (MESSAGES)') == ['* STATUS "Grüße" (MESSAGES 1)'.encode()]
    assert await two.ok("STATUS Gr&APwA3w-e (MESSAGES)") == [b"* STATUS Gr&APwA3w-e (MESSAGES 1)"]
    for client, name in ((one, '"Grüße"'), (two, "Gr&APwA3w-e")):
        await client.ok(f"SELECT {name}")
        [line] = await client.ok("FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]")
        assert "Subject: Grüße\r\n".encode() in line
    assert await one.ok('SEARCH SUBJECT "grüße"') == [b"* SEARCH 1"]
    assert (await one.say('SEARCH CHARSET UTF-8 SUBJECT "grüße"')).status == "BAD"
