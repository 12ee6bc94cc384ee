"""Nothing is lost and nothing is told twice for long, whatever happens to the processes that tell."""

from __future__ import annotations

import asyncio
import smtplib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
from program import PATIENCE, Program
from receiver import Got, Receiver, receiving
from web_house import House, letter, sink

from mailsystem.app import opened, running
from mailsystem.settings import Settings
from mailsystem.settings.webhooks import Webhooks

QUICK = {"MAILSYSTEM_WEBHOOKS__RETRY_FIRST": "0.05", "MAILSYSTEM_WEBHOOKS__TIMEOUT": "1"}


def started(place: Path) -> Program:
    return Program(["sink", "--web-port", "0"], home=place / "home", data_dir=place / "data", env=QUICK).wait_ready()


async def sent(program: Program, numbers: Sequence[int]) -> None:
    def send() -> None:
        with smtplib.SMTP(*program.smtp, timeout=PATIENCE) as smtp:
            for number in numbers:
                octets = letter(f"number {number}").as_bytes()
                smtp.sendmail("shop@shop.test", ["ann@shop.test"], octets)

    await asyncio.to_thread(send)


def numbers(got: Sequence[Got]) -> list[int]:
    """What was told, without what was told again."""
    return [int(subject.split()[1]) for subject in dict.fromkeys(each.json["data"]["subject"] for each in got)]


async def test_a_process_that_is_killed_loses_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    async with receiving(Receiver()) as receiver:
        program = await asyncio.to_thread(started, tmp_path)
        try:
            place = program.ready["web"]
            async with httpx.AsyncClient(
                base_url=f"http://{place['host']}:{place['port']}", timeout=PATIENCE
            ) as client:
                made = await client.post("/v1/webhooks", json={"url": receiver.url})
                assert made.status_code == 201, made.text
            sending = asyncio.create_task(sent(program, range(20)))
            await receiver.count(3)
            await sending
            program.kill()
            program = await asyncio.to_thread(started, tmp_path)
            await receiver.until(lambda got: len(numbers(got)) == 20)
            receiver.always = None
            await sent(program, range(20, 25))
            await receiver.until(lambda got: len(numbers(got)) == 21)
            program.kill()  # while one is on its way
            receiver.always = "200 OK"
            program = await asyncio.to_thread(started, tmp_path)
            got = await receiver.until(lambda got: len(numbers(got)) == 25)
        finally:
            program.kill()
    assert numbers(got) == list(range(25))
    ids: dict[str, set[bytes]] = {}
    for each in got:
        ids.setdefault(each.id, set()).add(each.body)
    assert len(ids) == 25, "what is told again has the same id"


async def test_of_several_processes_one_tells(tmp_path: Path) -> None:
    async with receiving(Receiver()) as receiver, sink(tmp_path, webhooks=Webhooks(retry_first=0.05)) as first:
        assert (await first.client.post("/v1/webhooks", json={"url": receiver.url})).status_code == 201
        async with sink(tmp_path, webhooks=Webhooks(retry_first=0.05)) as second:
            houses: list[House] = [first, second]
            for number in range(20):
                await houses[number % 2].send(letter(f"number {number}"))
            got = await receiver.until(lambda got: len(numbers(got)) == 20)
            await second.send(letter("the last"))
            await receiver.until(lambda got: got[-1].json["data"]["subject"] == "the last")
            receiver.got.pop()
            assert numbers(got) == list(range(20))
            assert max(Counter(each.id for each in got).values()) == 1


async def test_what_came_while_nobody_told_is_told_later(tmp_path: Path) -> None:
    """A process that has no part in telling takes mail; another one tells it."""
    async with receiving(Receiver()) as receiver:
        async with sink(tmp_path) as house:
            made = await house.client.post("/v1/webhooks", json={"url": receiver.url, "events": ["arrived", "flags"]})
            assert made.status_code == 201
            await house.send(letter("number 0"))
            await receiver.count(1)
        settings = Settings(
            data_dir=tmp_path / "data", host="127.0.0.1", hostname="localhost", smtp={"port": 0}, cleartext_login=True
        )
        async with running(settings, ["smtp"], sink=True) as smtp:
            await House(smtp, httpx.AsyncClient()).send(letter("number 1"), letter("number 2"))
            assert len(receiver.got) == 1
        async with opened(settings) as store:
            [hook] = await store.webhooks.all()
            assert hook.waiting == 0, "nothing was written where mail was delivered"
        async with sink(tmp_path):
            got = await receiver.count(3)
    assert [each.json["type"] for each in got] == ["arrived"] * 3
    assert numbers(got) == [0, 1, 2]
