"""Which addresses lead out to the internet: those of a cloud's own services do not. More are with the queue's tests."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailsystem.net.public import addresses, is_public


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:a9fe:a9fe::",
        "2a00:1450::5efe:10.0.0.1",
        "2a00:1450::200:5efe:169.254.169.254",
    ],
)
def test_services_of_clouds_are_inside_however_they_are_written(address: str) -> None:
    assert not is_public(address)


def test_an_address_that_names_a_public_one_is_outside() -> None:
    assert is_public("2a00:1450::5efe:9.9.9.9")
    assert is_public("9.9.9.9")


async def test_names_are_looked_up_beside_all_that_others_wait_for() -> None:
    loop, enough = asyncio.get_running_loop(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        loop.set_default_executor(pool)
        try:
            busy = asyncio.ensure_future(asyncio.to_thread(enough.wait, 60))
            async with asyncio.timeout(30):
                assert "127.0.0.1" in await addresses("127.0.0.1", 80)
                with pytest.raises((OSError, UnicodeError)):
                    await addresses("a" * 70, 80)
            assert not busy.done()
        finally:
            enough.set()
            await busy


async def test_who_gives_up_waiting_for_a_name_gets_no_answer_later(monkeypatch: pytest.MonkeyPatch) -> None:
    enough = threading.Event()
    ended = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        enough.wait(60)
        ended.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await addresses("slow.test", 80)
    enough.set()
    assert await asyncio.to_thread(ended.wait, 30)
    await asyncio.sleep(0)
