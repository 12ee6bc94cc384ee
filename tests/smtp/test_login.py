"""AUTH: who gets in, who does not, and that no password is ever seen again."""

from __future__ import annotations

import asyncio
import base64

import pytest
from smtp_door import PASSWORD, Client, House, play

from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import Unavailable
from mailsystem.net import Bound

LOGIN = "ann@example.org"


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(login: str = LOGIN, password: str = PASSWORD, authzid: str = "") -> str:
    return b64(f"{authzid}\0{login}\0{password}")


@pytest.mark.parametrize(
    "dialog",
    [
        f"C: AUTH PLAIN {plain()}\nS: 235 2.7.0",
        f"C: auth plain {plain()}\nS: 235 2.7.0",
        f"C: AUTH Plain\nS: 334 \nC: {plain()}\nS: 235 2.7.0",
        f"C: AUTH PLAIN {plain(authzid=LOGIN)}\nS: 235 2.7.0",
        f"C: AUTH PLAIN {plain(login='ann')}\nS: 235 2.7.0",
        f"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {b64(LOGIN)}\nS: 334 UGFzc3dvcmQ6\nC: {b64(PASSWORD)}\nS: 235 2.7.0",
        f"C: AUTH login {b64(LOGIN)}\nS: 334 UGFzc3dvcmQ6\nC: {b64(PASSWORD)}\nS: 235 2.7.0",
    ],
)
async def test_the_right_password_opens(dialog: str, house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await play(client, dialog)
        await play(client, "C: AUTH PLAIN\nS: 503 5.5.1\nC: EHLO again\nS: 250-mx.example.org")
        assert "AUTH" not in await client.reply()
    assert house.told("logged in")[0]["login"] == LOGIN


@pytest.mark.parametrize(
    "dialog",
    [
        f"C: AUTH PLAIN {plain(password='wrong')}\nS: 535 5.7.8 authentication failed",
        f"C: AUTH PLAIN {plain(login='nobody@example.org')}\nS: 535 5.7.8 authentication failed",
        f"C: AUTH PLAIN {plain(password='')}\nS: 535 5.7.8",
        f"C: AUTH PLAIN {plain(authzid='bob@example.org')}\nS: 535 5.7.8",
        "C: AUTH PLAIN =\nS: 501 5.5.2",
        "C: AUTH PLAIN !!!\nS: 501 5.5.2",
        f"C: AUTH PLAIN {b64('no nuls')}\nS: 501 5.5.2",
        f"C: AUTH PLAIN {b64(bytes([0, 255, 0, 255]))}\nS: 535 5.7.8",
        f"C: AUTH PLAIN {plain()} more\nS: 501 5.5.2",
        "C: AUTH PLAIN\nS: 334 \nC: *\nS: 501 5.7.0",
        "C: AUTH PLAIN\nS: 334 \nC: \nS: 501 5.5.2",
        "C: AUTH LOGIN\nS: 334\nC: !!!\nS: 501 5.5.2",
        f"C: AUTH LOGIN\nS: 334\nC: {b64(LOGIN)}\nS: 334\nC: *\nS: 501 5.7.0",
        f"C: AUTH LOGIN\nS: 334\nC: {b64(LOGIN)}\nS: 334\nC: {b64(bytes([255]))}\nS: 535 5.7.8",
        f"C: AUTH LOGIN\nS: 334\nC: \nS: 334\nC: {b64(PASSWORD)}\nS: 535 5.7.8",
        "C: AUTH CRAM-MD5\nS: 504 5.5.4",
        "C: AUTH <FF>\nS: 504 5.5.4",
        f"C: AUTH PLAIN\nS: 334\nC: {'A' * 13_000}\nS: 500 5.5.6",
        f"C: AUTH PLAIN {'A' * 13_000}\nS: 500 5.5.2",
        f"C: AUTH PLAIN {'A' * 12_000}\nS: 501 5.5.2",
        f"C: MAIL FROM:<a@example.net>\nS: 250\nC: AUTH PLAIN {plain()}\nS: 503 5.5.1",
    ],
    ids=lambda dialog: dialog[:40],
)
async def test_everything_else_does_not(dialog: str, house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await play(client, dialog + "\nC: NOOP\nS: 250 2.0.0")
    assert not house.told("logged in")
    assert not house.told("bug")


async def test_guessing_ends_a_session(house: House) -> None:
    async with house.door(error_limit=3) as door, await Client.connect(door) as client:
        for _ in range(2):
            assert (await client.say(f"AUTH PLAIN {plain(password='guess')}")).startswith("535")
        await play(client, f"C: AUTH PLAIN {plain(password='guess')}\nS: 535\nS: 421 4.7.0\nS: -")
    assert [event["login"] for event in house.told("login failed")] == [LOGIN] * 3


class Asked:
    """A directory that answers in its own way."""

    def __init__(self, answer: Exception | None = None) -> None:
        self.answer = answer

    def mechanisms(self, *, secure: bool, binding: bool) -> tuple[str, ...]:
        return ("PLAIN",)

    async def authenticate(self, mechanism: str, initial: bytes, *args: object, **facts: object) -> Account:
        if self.answer:
            raise self.answer
        await asyncio.sleep(0.2)
        return Account(1, LOGIN)  # type: ignore[arg-type]

    async def record_login(self, *args: object, **facts: object) -> None: ...

    async def resolve(self, address: Address, **facts: object) -> tuple[int, ...]:
        return (1,)


@pytest.mark.parametrize("answer", [Unavailable(), RuntimeError(PASSWORD), TimeoutError(PASSWORD)], ids=repr)
async def test_a_directory_that_fails_is_a_temporary_failure(answer: Exception, house: House) -> None:
    house.directory = Asked(answer)  # type: ignore[assignment]
    async with house.door() as door, await Client.connect(door) as client:
        reply = await client.say(f"AUTH PLAIN {plain()}")
        assert reply.startswith("454 4.")
        assert PASSWORD not in reply
        assert (await client.say("NOOP")).startswith("250")
    assert PASSWORD not in repr(house.events)


async def test_a_login_that_takes_long_holds_up_nobody_else(house: House) -> None:
    house.directory = Asked()  # type: ignore[assignment]
    async with house.door() as door, await Client.connect(door) as slow, await Client.connect(door) as other:
        await slow.send(f"AUTH PLAIN {plain()}\r\n".encode())
        async with asyncio.timeout(0.15):
            for _ in range(10):
                assert (await other.say("NOOP")).startswith("250")
        assert (await slow.reply()).startswith("235")


async def test_login_in_clear_is_for_loopback_unless_allowed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Peer, "is_loopback", property(lambda peer: False))

    async def offered(door: Bound) -> tuple[bool, str]:
        async with await Client.connect(door, hello=False) as client:
            await client.reply()
            offers = "AUTH SCRAM-SHA-256 PLAIN LOGIN" in await client.say("EHLO me")
            return offers, (await client.say(f"AUTH PLAIN {plain()}"))[:10]

    async with house.door() as door:
        assert await offered(door) == (False, "538 5.7.11")
    async with house.door(cleartext_login=True) as door:
        assert await offered(door) == (True, "235 2.7.0 ")


async def test_no_password_is_ever_traced(house: House) -> None:
    """In no spelling, whatever becomes of the command it came with."""
    dialogs = [
        f"C: AUTH PLAIN {plain()}\nS: 235",
        f"C: AUTH PLAIN\nS: 334\nC: {plain()}\nS: 235",
        f"C: AUTH LOGIN\nS: 334\nC: {b64(LOGIN)}\nS: 334\nC: {b64(PASSWORD)}\nS: 235",
        f"C: AUTH PLAIN {plain(password=PASSWORD + '!')}\nS: 535",
        f"C: AUTH CRAM-MD5 {b64(PASSWORD)}\nS: 504",
        f"C: AUTH {b64(PASSWORD)}\nS: 504",
        f"C: AUTHPLAIN {plain()}\nS: 500",
        f"C: AUHT PLAIN {plain()}\nS: 500",
        f"C: {b64(PASSWORD)}\nS: 500",
        f"C: {PASSWORD}\nS: 500",
        f"C:  AUTH PLAIN {plain()}\nS: 500",
        f"C: AUTH CRAM-MD5\nC: {b64(LOGIN)}\nC: {b64(PASSWORD)}\nS: 504\nS: 500\nS: 500",
        f"C: MAIL FROM:<a@example.net>\nS: 250\nC: AUTH PLAIN {plain()}\nS: 503",
        f"C: AUTH PLAIN {'A' * 13_000}\nS: 500",
    ]
    async with house.door() as door:
        for dialog in dialogs:
            async with await Client.connect(door) as client:
                await play(client, dialog)
    lines = [event for event in house.events if event.name == "line"]
    assert any("[redacted]" in event.data["text"] for event in lines)
    said = repr(house.events)
    for secret in (PASSWORD, b64(PASSWORD), plain(), plain(password=PASSWORD + "!"), PASSWORD.encode().hex()):
        assert secret not in said
        assert secret.rstrip("=")[:-2] not in said
