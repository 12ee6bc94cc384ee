"""What a session says of itself."""

from __future__ import annotations

from smtp_door import Client, House, play

from mailsystem.telemetry.trace import CLIENT, SERVER


async def test_a_session_is_told_from_beginning_to_end(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await client.say("MAIL FROM:<a@example.net>")
        await client.say("RCPT TO:<nobody@example.org>")
        await client.say("RCPT TO:<ann@example.org>")
        await client.say("RCPT TO:<bob@example.org>")
        await client.say("DATA")
        await client.say(b"a body that nobody may see\r\n.")
        await client.say("QUIT")
    mine = [event for event in house.events if event.door == "smtp"]
    assert len({event.session for event in mine}) == 1
    assert len({event.data["peer"] for event in mine}) == 1
    told = [event.name for event in mine if event.name != "line"]
    assert told == ["connected", "refused", "delivered", "accepted", "disconnected"]
    assert house.told("refused")[0] | {"peer": ""} == {
        "peer": "",
        "command": "RCPT",
        "code": 550,
        "status": "5.1.1",
        "reason": "no such recipient",
    }
    accepted = house.told("accepted")[0]
    assert accepted["sender"] == "a@example.net"
    assert accepted["recipients"] == 2
    assert accepted["size"] == len(b"a body that nobody may see\r\n")
    assert house.told("disconnected")[0]["reason"] == "left"


async def test_lines_are_traced_as_they_were_said_and_bodies_never(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await play(
            client,
            """
            C: MAIL FROM:<a@example.net>
            C: RCPT TO:<ann@example.org>
            C: DATA
            S: 250
            S: 250
            S: 354
            C: Subject: secret
            C:
            C: body
            C: .
            S: 250
            C: NONSENSE secret
            S: 500
            C: QUIT
            S: 221
            """,
        )
    lines = [(event.data["who"], event.data["text"]) for event in house.events if event.name == "line"]
    assert lines[0] == (SERVER, "220 mx.example.org ESMTP mailsystem")
    assert lines[1] == (CLIENT, "EHLO client.example")
    assert lines[2] == (SERVER, "250-mx.example.org")
    start = lines.index((CLIENT, "MAIL FROM:<a@example.net>"))
    said = [text for who, text in lines[start:] if who == CLIENT]
    assert said == [
        "MAIL FROM:<a@example.net>",
        "RCPT TO:<ann@example.org>",
        "DATA",
        "[28 octets]",
        "[redacted]",
        "QUIT",
    ]
    assert "secret" not in repr(house.events)
