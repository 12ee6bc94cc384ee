"""The same door on the other loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside import Certificates
from smtp_door import Client, housed

uvloop = pytest.importorskip("uvloop")


def test_uvloop_carries_the_door_too(tmp_path: Path, certificates: Certificates) -> None:
    raw = b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 100_000

    async def talk() -> None:
        async with housed(tmp_path) as house:
            async with house.door(tls=certificates.server()) as door, await Client.connect(door) as client:
                assert (await client.mail(raw + b".\r\n")).startswith("250")
                assert (await client.say("STARTTLS")).startswith("220")
                await client.writer.start_tls(certificates.client(), server_hostname="localhost")
                assert (await client.say("EHLO again")).startswith("250")
                assert (await client.mail(raw + b".\r\n")).startswith("250")
                injecting = await Client.connect(door)
                await injecting.send(b"STARTTLS\r\nNOOP\r\n")
                assert (await injecting.reply()).startswith("503")
                assert await injecting.rest() == b""
                await injecting.close()
                idle = await Client.connect(door)
            assert (await idle.reply()).startswith("421 4.3.2")
            await idle.close()
            assert await house.received("ann@example.org") == [raw, raw]
            assert not house.told("bug")

    uvloop.run(talk())
