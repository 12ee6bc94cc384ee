"""The policies where they work: a whole house, and clients that come from elsewhere, by way of a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from mailsystem.app import StartupError, opened, running
from mailsystem.net import Bound
from mailsystem.settings import Settings

ANN = "ann@example.org"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")
FREE = {"port": 0}


def settings(path: Path, **more: Any) -> Settings:
    return Settings(
        **{
            "data_dir": path,
            "host": "127.0.0.1",
            "hostname": "mail.example.org",
            "default_domain": "example.org",
            "smtp": FREE,
            "pop3": FREE,
            "imap": FREE,
            "cleartext_login": True,
            "proxies": ["127.0.0.1"],
            "grace": 0.5,
            **more,
        }
    )


async def people(wanted: Settings) -> None:
    async with opened(wanted) as store:
        await store.accounts.add_domain("example.org")
        await store.accounts.add(ANN, CHEAP)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, line: str) -> str:
        self.writer.write(line.encode() + b"\r\n")
        return await self.heard()

    async def heard(self) -> str:
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 20)).decode()
            if line[3:4] != "-":
                return line.rstrip()


@asynccontextmanager
async def coming_from(host: str, door: Bound) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(door.host, door.port)
    client = Client(reader, writer)
    try:
        writer.write(f"PROXY TCP4 {host} 192.0.2.1 4242 25\r\n".encode())
        await client.heard()
        yield client
    finally:
        writer.close()


async def test_a_stranger_is_greylisted_and_this_machine_is_not(tmp_path: Path) -> None:
    wanted = settings(tmp_path, policy={"greylisting": True})
    await people(wanted)
    async with running(wanted, ["smtp"]) as house:
        for host, code in (("9.9.9.9", "450 4.7.1 greylisted"), ("127.0.0.1", "250 ")):
            async with coming_from(host, house.bound["smtp"]) as client:
                await client.say("EHLO client.example")
                await client.say("MAIL FROM:<sue@example.net>")
                told = await client.say(f"RCPT TO:<{ANN}>")
                assert told.startswith(code), told
                assert (await client.say("RCPT TO:<nobody@example.org>")).startswith("550 5.1.1 ")


async def test_messages_an_hour_are_counted_at_the_door(tmp_path: Path) -> None:
    wanted = settings(tmp_path, limits={"messages_per_hour_address": 2})
    await people(wanted)
    async with running(wanted, ["smtp"]) as house, coming_from("9.9.9.9", house.bound["smtp"]) as client:
        await client.say("EHLO client.example")
        for _ in range(2):
            assert (await client.say("MAIL FROM:<sue@example.net>")).startswith("250 ")
            await client.say(f"RCPT TO:<{ANN}>")
            await client.say("DATA")
            assert (await client.say("Subject: hello\r\n\r\n.")).startswith("250 ")
        assert (await client.say("MAIL FROM:<sue@example.net>")).startswith("451 4.7.0 too many messages")


async def test_whoever_guesses_waits_at_every_door(tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    await people(wanted)
    async with running(wanted, ["pop3", "imap"]) as house:
        for n in range(10):
            if n % 2:
                async with coming_from("9.9.9.9", house.bound["pop3"]) as client:
                    await client.say(f"USER {ANN}")
                    assert (await client.say("PASS wrong")).startswith("-ERR [AUTH]")
            else:
                async with coming_from("9.9.9.9", house.bound["imap"]) as client:
                    assert (await client.say(f"a LOGIN {ANN} wrong")).startswith("a NO [AUTHENTICATIONFAILED]")
        async with coming_from("9.9.9.9", house.bound["pop3"]) as client:
            await client.say(f"USER {ANN}")
            assert (await client.say("PASS right")).startswith("-ERR [SYS/TEMP]")
        async with coming_from("9.9.9.9", house.bound["imap"]) as client:
            assert (await client.say(f"a LOGIN {ANN} right")).startswith("a NO [LIMIT]")
        async with coming_from("149.112.112.112", house.bound["imap"]) as client:
            assert (await client.say(f"a LOGIN {ANN} right")).startswith("a OK")


async def test_lmtp_is_never_let_wait(tmp_path: Path) -> None:
    wanted = settings(tmp_path, policy={"greylisting": True}, lmtp=FREE)
    await people(wanted)
    async with running(wanted, ["smtp"]) as house, coming_from("9.9.9.9", house.bound["lmtp"]) as client:
        await client.say("LHLO relay.example")
        await client.say("MAIL FROM:<sue@example.net>")
        assert (await client.say(f"RCPT TO:<{ANN}>")).startswith("250 ")


async def test_aliases_of_a_default_domain_that_was_never_added_are_no_relay(tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    async with opened(wanted) as store:
        await store.accounts.add(ANN, CHEAP)
        await store.accounts.set_alias("info@example.org", [ANN])
    async with running(wanted, ["pop3"]):
        pass


async def test_it_does_not_start_with_an_alias_from_elsewhere_to_elsewhere(tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    async with opened(wanted) as store:
        await store.accounts.set_alias("a@one.example", ["b@two.example"])
    with pytest.raises(StartupError, match=r"a@one\.example"):
        async with running(wanted, ["pop3"]):
            pass


async def test_it_does_not_start_where_anybody_could_say_who_they_are(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"0\.0\.0\.0/0"):
        async with running(settings(tmp_path, proxies=["0.0.0.0/0"])):
            pass
