"""Back-off for wrong passwords: by account, by address, and never for those at home."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from argon2 import PasswordHasher
from vault import TestClock

from mailsystem.directory import AccountsDirectory
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, NotPermitted, TooMany
from mailsystem.mail.sasl import Credentials
from mailsystem.net.counts import Common
from mailsystem.policy.guard import DAY, SHARED, Guard
from mailsystem.store import Store, open_store

ANN = "ann@example.org"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")  # a test has many guesses to make


@dataclass
class House:
    store: Store
    guard: Guard
    clock: TestClock

    async def guess(self, host: str, login: str = ANN, password: str = "wrong") -> Account:
        account = await self.guard.login(Credentials(login, password), Peer(host, 1))
        await self.store.accounts.set_password(account.login, CHEAP)  # the directory has made it a dear one again
        return account

    async def wrong(self, host: str, login: str = ANN) -> None:
        with pytest.raises(AuthFailed):
            await self.guess(host, login)

    async def let_wait(self, host: str, login: str = ANN, password: str = "right") -> str:
        with pytest.raises(TooMany) as told:
            await self.guess(host, login, password)
        return str(told.value)


class Turns:
    """Two guards of two processes that count together: whoever comes is at one and then at the other."""

    def __init__(self, directory: AccountsDirectory, clock: TestClock) -> None:
        self.common = Common(2, SHARED)
        self._guards = [
            Guard(directory, clock, default_domain="example.org", counts=self.common.counts) for _ in range(2)
        ]
        self._turns = itertools.count()

    def __getattr__(self, name: str) -> Any:
        number = next(self._turns) % 2
        self.common.join(number)
        return getattr(self._guards[number], name)


@pytest.fixture(params=["one process", "two processes"])
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    clock = TestClock()
    async with open_store(tmp_path, clock=clock) as store:
        await store.accounts.add_domain("example.org")
        for login in (ANN, "bob@example.org", "sue@example.org"):
            await store.accounts.add(login, CHEAP)
        directory = AccountsDirectory(store, default_domain="example.org")
        directory._dummy = CHEAP
        if request.param == "two processes":
            yield House(store, cast("Guard", Turns(directory, clock)), clock)
        else:
            yield House(store, Guard(directory, clock, default_domain="example.org"), clock)


async def test_ten_wrong_passwords_a_minute_and_then_even_the_right_one_waits(house: House) -> None:
    for _ in range(10):
        await house.wrong("192.0.2.1")
    await house.let_wait("192.0.2.1")
    house.clock.time += 6
    assert (await house.guess("192.0.2.1", password="right")).login == ANN


async def test_a_neighbours_forgotten_phone_locks_no_owner_out(house: House) -> None:
    await house.guess("192.0.2.1", password="right")
    for _ in range(10):
        await house.wrong("192.0.2.1", "bob@example.org")
    assert await house.let_wait("192.0.2.1", "sue@example.org")
    for _ in range(3):
        assert (await house.guess("192.0.2.1", password="right")).login == ANN
    for _ in range(10):
        await house.wrong("192.0.2.1")
    await house.let_wait("192.0.2.1")


async def test_fifty_wrong_passwords_a_day(house: House) -> None:
    for _ in range(50):
        await house.wrong("192.0.2.1")
        house.clock.time += 6
    await house.let_wait("192.0.2.1")
    house.clock.time += DAY / 50
    await house.wrong("192.0.2.1")


async def test_every_spelling_of_a_login_is_one_account(house: House) -> None:
    for n in range(10):
        await house.wrong("192.0.2.1", ("ann", "ANN@example.org", "Ann@EXAMPLE.org", '"ann"@example.org')[n % 4])
    await house.let_wait("192.0.2.1", "ann")


async def test_an_address_that_guesses_for_many_accounts_waits(house: House) -> None:
    for n in range(10):
        await house.wrong("192.0.2.1", f"nobody{n}@example.org")
    await house.let_wait("192.0.2.1")
    assert await house.guess("198.51.100.1", password="right")


async def test_unknown_logins_are_let_wait_with_the_same_words(house: House) -> None:
    for _ in range(10):
        await house.wrong("192.0.2.1")
        await house.wrong("198.51.100.1", "nobody@example.org")
    assert await house.let_wait("192.0.2.1") == await house.let_wait("198.51.100.1", "nobody@example.org")
    for n in range(30):
        await house.wrong(f"203.0.{n * 8}.1", "ghost@example.org")
    await house.let_wait("100.64.0.1", "ghost@example.org")


@pytest.mark.parametrize("host", ["192.0.2.{}", "2001:db8:0:{}::1"])
async def test_a_wider_network_is_allowed_three_times_as_much(house: House, host: str) -> None:
    for n in range(30):
        await house.wrong(host.format(n + 1), f"nobody{n}@example.org")
    await house.let_wait(host.format(40))


async def test_the_widest_network_is_allowed_nine_times_as_much(house: House) -> None:
    for n in range(90):
        await house.wrong(f"10.0.{n % 8}.{n * 2 + 1}", f"nobody{n}@example.org")
    await house.let_wait("10.0.3.254")
    assert await house.guess("10.0.8.1", password="right")


async def test_one_customer_of_ipv6_is_one_address(house: House) -> None:
    for n in range(10):
        await house.wrong(f"2001:db8::{n}")
    await house.let_wait("2001:db8::ffff")


async def test_an_account_waits_for_strangers_but_not_for_its_owner_at_home(house: House) -> None:
    await house.guess("198.51.100.7", password="right")
    for n in range(30):
        await house.wrong(f"203.0.{n * 8}.1")
    await house.let_wait("192.0.2.1")
    assert await house.guess("198.51.100.7", password="right")
    house.clock.time += 2
    assert await house.guess("192.0.2.1", password="right"), "what is allowed comes back"


async def test_a_right_password_forgives_the_account_here_but_not_the_address(house: House) -> None:
    for _ in range(9):
        await house.wrong("192.0.2.1")
    await house.guess("192.0.2.1", password="right")
    await house.wrong("192.0.2.1")
    await house.let_wait("192.0.2.1", "bob@example.org")


async def test_a_right_password_elsewhere_forgives_nothing_here(house: House) -> None:
    await house.guess("192.0.2.1", password="right")
    for _ in range(10):
        await house.wrong("192.0.2.1")
    await house.guess("198.51.100.1", password="right")
    await house.let_wait("192.0.2.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "unix"])
async def test_this_machine_may_guess_for_many_but_not_for_one(house: House, host: str) -> None:
    for n in range(60):
        await house.wrong(host, f"nobody{n}@example.org")
    for _ in range(10):
        await house.wrong(host)
    await house.let_wait(host)
    assert await house.guess(host, "bob@example.org", "right")


async def test_a_thousand_guesses_at_once_are_no_more_than_ten(house: House) -> None:
    outcomes = await asyncio.gather(*(house.guess("192.0.2.1") for _ in range(200)), return_exceptions=True)
    assert sum(isinstance(outcome, AuthFailed) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, TooMany) for outcome in outcomes) == 190


async def test_many_right_passwords_at_once_are_all_let_in(house: House) -> None:
    right, peer = Credentials(ANN, "right"), Peer("192.0.2.1", 1)
    outcomes = await asyncio.gather(*(house.guard.login(right, peer) for _ in range(25)))
    assert len(outcomes) == 25
    assert not house.guard._by_network.under_way("192.0.2.1/32")
    assert not house.guard._by_login.under_way(ANN)


async def test_what_is_no_wrong_password_is_not_counted(house: House) -> None:
    async def ask(challenge: bytes) -> bytes:
        return base64.b64encode(b"somebody\0ann\0right")

    for _ in range(20):
        with pytest.raises(NotPermitted):
            await house.guard.authenticate("PLAIN", None, ask, peer=Peer("192.0.2.1", 1), binding=None)
    assert await house.guess("192.0.2.1", password="right")


async def test_an_exchange_ends_where_the_login_is_said(house: House) -> None:
    async def ask(challenge: bytes) -> bytes:
        return base64.b64encode(b"ann" if challenge == base64.b64encode(b"Username:") else b"wrong")

    for _ in range(10):
        with pytest.raises(AuthFailed):
            await house.guard.authenticate("LOGIN", None, ask, peer=Peer("192.0.2.1", 1), binding=None)
    right = base64.b64encode(b"\0ann\0right")
    with pytest.raises(TooMany):
        await house.guard.authenticate("PLAIN", right, ask, peer=Peer("192.0.2.1", 1), binding=None)
    assert await house.guard.authenticate("PLAIN", right, ask, peer=Peer("198.51.100.1", 1), binding=None)


async def test_no_proof_of_scram_is_looked_at_then(house: House) -> None:
    asked = 0

    async def ask(challenge: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return base64.b64encode(b"c=biws,r=wrong,p=AAAA")

    first, peer = base64.b64encode(b"n,,n=ann@example.org,r=abcdef"), Peer("192.0.2.1", 1)
    for _ in range(10):
        with pytest.raises(AuthFailed):
            await house.guard.authenticate("SCRAM-SHA-256", first, ask, peer=peer, binding=None)
    assert asked == 10
    with pytest.raises(TooMany):
        await house.guard.authenticate("SCRAM-SHA-256", first, ask, peer=peer, binding=None)
    assert asked == 11
    await house.let_wait("192.0.2.1")


async def test_clients_that_leave_a_challenge_unanswered_are_in_nobodys_way(house: House) -> None:
    async def silent(challenge: bytes) -> bytes:
        await asyncio.sleep(60)
        return b""

    first, peer = base64.b64encode(b"n,,n=ann@example.org,r=abcdef"), Peer("192.0.2.1", 1)
    waiting = [
        asyncio.ensure_future(house.guard.authenticate("SCRAM-SHA-256", first, silent, peer=peer, binding=None))
        for _ in range(40)
    ]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        assert await house.guess("192.0.2.1", password="right")
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_everything_else_is_the_directorys(house: House) -> None:
    ann = await house.store.accounts.find(ANN)
    assert [target.account for target in await house.guard.resolve(Address("ann", "example.org"))] == [ann.id]
    assert "PLAIN" in house.guard.mechanisms(secure=True, binding=False)
    assert await house.guard.may_send(ann, Address("ann", "example.org"))
    assert not await house.guard.may_send(ann, Address("bob", "example.org"))
    house.guard.forget()
