"""The relay against our own door and against scripted servers: whom it asks, what it says, what comes of it."""

from __future__ import annotations

from pathlib import Path

from other_side import MAIL, relaying, server
from smtp_door import housed

from mailsystem.mail.outgoing import State
from mailsystem.store import Store


async def test_our_own_door_takes_what_the_relay_brings(tmp_path: Path) -> None:
    async with housed(tmp_path) as house, house.door() as door, relaying(house.store, door.port) as rig:
        [attempt] = await rig.send("ann@example.org")
        assert (attempt.state, attempt.status, attempt.remote, attempt.ip) == (
            State.SENT,
            "2.0.0",
            "mx.b.test",
            "127.0.0.1",
        )
        assert attempt.reply.startswith("250 2.0.0 ok, queued as ")
        assert attempt.is_of_remote
        assert await house.received("ann@example.org") == [MAIL]


async def test_it_pipelines_and_chunks(store: Store) -> None:
    script = f"""
        S: 220 mx.b.test ESMTP
        C: EHLO a.test
        S: 250-mx.b.test hello
        S: 250-PIPELINING
        S: 250-SIZE 1000000
        S: 250 CHUNKING
        C: MAIL FROM:<ann@a.test> SIZE={len(MAIL)}
        C: RCPT TO:<bob@b.test>
        nothing
        S: 250 2.1.0 ok
        S: 250 2.1.5 ok
        C: BDAT {len(MAIL)} LAST
        octets {len(MAIL)}
        S: 250 2.0.0 taken
        C: QUIT
        S: 221 bye
    """
    async with server(script) as peer, relaying(store, peer.port, idle=0.0) as rig:
        [attempt] = await rig.send()
        assert (attempt.state, attempt.reply) == (State.RELAYED, "250 2.0.0 taken")
    assert peer.heard == [MAIL]
