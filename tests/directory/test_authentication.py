"""A whole exchange against real accounts: what is offered, who is let in, and that nobody else can be told from nobody."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from scram_client import ScramClient

from mailsystem.directory import AccountsDirectory, SinkDirectory, authentication, hash_password
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, NotPermitted, SyntaxFault, TooMany, Unavailable
from mailsystem.mail.sasl import ITERATIONS, Cancelled, scram_keys
from mailsystem.store import Disabled, Store, open_store

PEER = Peer("192.0.2.1", 4711)
PASSWORD = "correct horse"
TOKEN = "good.token"
CHANNEL = b"hash of a certificate"
ANN, BARE = "ann@home.test", "bare@home.test"
HASHED = {"scram": scram_keys(PASSWORD)}  # made once: they take their time on purpose


class Issuer:
    """Knows one token."""

    def __init__(self, login: str = ANN) -> None:
        self.login_ = login

    async def login(self, token: str, *, claimed: str) -> str:
        if token != TOKEN:
            raise AuthFailed
        return self.login_


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as opened:
        hashed = HASHED.get("argon2") or HASHED.setdefault("argon2", await hash_password(PASSWORD))
        await opened.accounts.add(ANN, hashed, scram=HASHED["scram"])
        await opened.accounts.add(BARE, hashed)
        yield opened


@pytest.fixture
def directory(store: Store) -> AccountsDirectory:
    return AccountsDirectory(store, default_domain="home.test", tokens=Issuer())


class Talk:
    """The client's end: answers challenges one after the other, and notes them."""

    def __init__(self, *answers: bytes | Callable[[bytes], bytes]) -> None:
        self.answers = list(answers)
        self.heard: list[bytes] = []

    async def ask(self, challenge: bytes) -> bytes:
        self.heard.append(base64.b64decode(challenge, validate=True))
        answer = self.answers.pop(0)
        if answer == b"*":
            raise Cancelled
        return base64.b64encode(answer(self.heard[-1]) if callable(answer) else answer)


async def prove(
    directory: AccountsDirectory | SinkDirectory,
    mechanism: str,
    initial: bytes | None,
    talk: Talk,
    binding: bytes | None = None,
) -> Account:
    line = None if initial is None else base64.b64encode(initial) or b"="
    account = await directory.authenticate(mechanism, line, talk.ask, peer=PEER, binding=binding)
    assert not talk.answers
    return account


async def scram(directory: AccountsDirectory, client: ScramClient, binding: bytes | None = None) -> Account:
    talk = Talk(client.final, b"")
    account = await prove(directory, "SCRAM-SHA-256-PLUS" if binding else "scram-sha-256", client.first, talk, binding)
    assert client.believes(talk.heard[-1])
    return account


def test_the_strongest_is_offered_first(store: Store) -> None:
    plain = AccountsDirectory(store, default_domain="home.test")
    assert plain.mechanisms(secure=True, binding=False) == ("SCRAM-SHA-256", "PLAIN", "LOGIN")
    every = AccountsDirectory(store, default_domain="home.test", tokens=Issuer())
    assert every.mechanisms(secure=True, binding=True) == (
        "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN",
    )  # fmt: skip
    assert every.mechanisms(secure=False, binding=True) == ()


def test_a_sink_offers_what_needs_no_keys(store: Store) -> None:
    sink = SinkDirectory(store, default_domain="home.test")
    assert sink.mechanisms(secure=True, binding=True) == ("OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")


@pytest.mark.parametrize("login", [ANN, "ann", "Ann@HOME.test"])
async def test_each_mechanism_leads_to_the_account(directory: AccountsDirectory, login: str) -> None:
    name = login.encode()
    plain = b"\0" + name + b"\0" + PASSWORD.encode()
    assert (await prove(directory, "PLAIN", plain, Talk())).login == ANN
    assert (await prove(directory, "plain", None, Talk(plain))).login == ANN
    assert (await prove(directory, "Login", None, Talk(name, PASSWORD.encode()))).login == ANN
    assert (await scram(directory, ScramClient(login, PASSWORD))).login == ANN
    client = ScramClient(login, PASSWORD)
    assert (await prove(directory, "SCRAM-SHA-256", None, Talk(client.first, client.final, b""))).login == ANN
    bound = ScramClient(login, PASSWORD, header=b"p=tls-server-end-point,,", binding=CHANNEL)
    assert (await scram(directory, bound, CHANNEL)).login == ANN
    bearer = b"n,a=" + name + b",\1auth=Bearer good.token\1\1"
    assert (await prove(directory, "OAUTHBEARER", bearer, Talk())).login == ANN
    assert (await prove(directory, "XOAUTH2", b"user=" + name + b"\1auth=Bearer good.token\1\1", Talk())).login == ANN
    assert (await prove(directory, "OAUTHBEARER", b"n,,\1auth=Bearer good.token\1\1", Talk())).login == ANN


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "PLAIN "])
async def test_what_is_not_offered_is_not_taken(directory: AccountsDirectory, mechanism: str) -> None:
    with pytest.raises(SyntaxFault):
        await prove(directory, mechanism, b"", Talk())


async def test_tokens_are_taken_only_where_somebody_judges_them(store: Store) -> None:
    with pytest.raises(SyntaxFault, match="unknown"):
        await prove(AccountsDirectory(store, default_domain="home.test"), "XOAUTH2", b"", Talk())


@pytest.mark.parametrize("login", [ANN, "nobody@home.test", BARE, "not an address@", "x" * 400])
async def test_a_wrong_password_an_unknown_login_and_one_without_keys_look_alike(
    directory: AccountsDirectory, login: str
) -> None:
    challenges = []
    for _ in range(2):
        client = ScramClient(login, "wrong")
        talk = Talk(client.final)
        with pytest.raises(AuthFailed) as failure:
            await prove(directory, "SCRAM-SHA-256", client.first, talk)
        assert str(failure.value) == "authentication failed"
        assert failure.value.login == login
        challenges.append(talk.heard[0].split(b",")[1:])
    assert challenges[0] == challenges[1], "the same salt and count each time"
    assert (len(challenges[0][0]), challenges[0][1]) == (26, b"i=%d" % ITERATIONS)


async def test_a_restart_changes_no_salt(store: Store) -> None:
    salts = set()
    for _ in range(2):
        directory = AccountsDirectory(store, default_domain="home.test")
        client = ScramClient("nobody", "wrong")
        talk = Talk(client.final)
        with pytest.raises(AuthFailed):
            await prove(directory, "SCRAM-SHA-256", client.first, talk)
        salts.add(talk.heard[0].split(b",")[1])
    assert len(salts) == 1


async def test_all_spellings_of_an_unknown_login_are_told_one_salt(directory: AccountsDirectory) -> None:
    salts = set()
    for login in ("nobody", "Nobody@home.test", "nobody@HOME.TEST"):
        client = ScramClient(login, "wrong")
        talk = Talk(client.final)
        with pytest.raises(AuthFailed):
            await prove(directory, "SCRAM-SHA-256", client.first, talk)
        salts.add(talk.heard[0].split(b",")[1])
    assert len(salts) == 1


async def test_keys_come_with_the_first_login_by_password(directory: AccountsDirectory) -> None:
    with pytest.raises(AuthFailed):
        await prove(directory, "SCRAM-SHA-256", b"n,,n=bare,r=x", Talk(ScramClient("bare", PASSWORD, nonce=b"x").final))
    await prove(directory, "PLAIN", f"\0bare\0{PASSWORD}".encode(), Talk())
    assert (await scram(directory, ScramClient("bare", PASSWORD))).login == BARE


async def test_who_is_disabled_is_not_let_in_by_any_mechanism(store: Store, directory: AccountsDirectory) -> None:
    await store.accounts.disable(ANN, next(iter(Disabled)))
    with pytest.raises(AuthFailed):
        await prove(directory, "PLAIN", f"\0ann\0{PASSWORD}".encode(), Talk())
    client = ScramClient("ann", PASSWORD)
    with pytest.raises(AuthFailed):
        await prove(directory, "SCRAM-SHA-256", client.first, Talk(client.final))
    with pytest.raises(AuthFailed):
        await prove(directory, "XOAUTH2", b"user=ann\1auth=Bearer good.token\1\1", Talk(b""))


async def test_a_client_that_does_not_believe_us_is_not_let_in(directory: AccountsDirectory) -> None:
    for last in (b"*", b"no"):
        client = ScramClient("ann", PASSWORD)
        with pytest.raises(SyntaxFault):
            await prove(directory, "SCRAM-SHA-256", client.first, Talk(client.final, last))


@pytest.mark.parametrize("answer", [b"\1", b"", b"*", b"anything"])
@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("OAUTHBEARER", b"n,a=ann,\1auth=Bearer bad\1\1"),
        ("OAUTHBEARER", b"n,a=bare,\1auth=Bearer good.token\1\1"),
        ("OAUTHBEARER", b"n,a=not an address@,\1auth=Bearer good.token\1\1"),
        ("XOAUTH2", b"user=ann\1auth=Bearer bad\1\1"),
    ],
)
async def test_a_bad_token_is_told_as_json_and_fails_after_the_next_response(
    directory: AccountsDirectory, mechanism: str, response: bytes, answer: bytes
) -> None:
    talk = Talk(answer)
    with pytest.raises(AuthFailed) as failure:
        await prove(directory, mechanism, response, talk)
    assert json.loads(talk.heard[0])["status"]
    assert not talk.answers
    assert str(failure.value) == "authentication failed"


async def test_a_good_token_of_nobody_here_is_no_good(store: Store) -> None:
    directory = AccountsDirectory(store, default_domain="home.test", tokens=Issuer("nobody@home.test"))
    with pytest.raises(AuthFailed):
        await prove(directory, "OAUTHBEARER", b"n,,\1auth=Bearer good.token\1\1", Talk(b"\1"))


async def test_an_issuer_that_does_not_answer_is_no_wrong_token(store: Store) -> None:
    class Silent:
        async def login(self, token: str, *, claimed: str) -> str:
            raise Unavailable

    directory = AccountsDirectory(store, default_domain="home.test", tokens=Silent())
    with pytest.raises(Unavailable):
        await prove(directory, "XOAUTH2", b"user=ann\1auth=Bearer x\1\1", Talk())


async def test_who_is_claimed_is_told_before_anything_is_looked_into(directory: AccountsDirectory) -> None:
    async def claimed(login: str) -> None:
        raise TooMany(login)

    client = ScramClient("ann", PASSWORD)
    for mechanism, response, talk in (
        ("PLAIN", b"\0ann\0" + PASSWORD.encode(), Talk()),
        ("SCRAM-SHA-256", client.first, Talk(client.final)),
        ("OAUTHBEARER", b"n,a=ann,\1auth=Bearer good.token\1\1", Talk()),
        ("XOAUTH2", b"user=ann\1auth=Bearer good.token\1\1", Talk()),
    ):
        with pytest.raises(TooMany, match="ann"):
            await directory.authenticate(
                mechanism, base64.b64encode(response), talk.ask, peer=PEER, binding=None, claimed=claimed
            )


async def test_a_client_that_says_nothing_to_the_refusal_of_its_token_is_not_waited_for(
    directory: AccountsDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "_DUMMY_WITHIN", 0.05)

    async def ask(challenge: bytes) -> bytes:
        await asyncio.sleep(60)
        return b""

    bearer = base64.b64encode(b"n,a=ann,\1auth=Bearer bad\1\1")
    async with asyncio.timeout(10):
        with pytest.raises(AuthFailed):
            await directory.authenticate("OAUTHBEARER", bearer, ask, peer=PEER, binding=None)


async def test_nobody_acts_for_somebody_else(directory: AccountsDirectory) -> None:
    for mechanism, response in (("PLAIN", b"boss\0ann\0x"), ("SCRAM-SHA-256", b"n,a=boss,n=ann,r=x")):
        with pytest.raises(NotPermitted):
            await prove(directory, mechanism, response, Talk())


async def test_a_sink_takes_any_token(store: Store) -> None:
    sink = SinkDirectory(store, default_domain="home.test")
    for mechanism, response, login in (
        ("XOAUTH2", b"user=who@ever.example\1auth=Bearer x\1\1", "who@ever.example"),
        ("OAUTHBEARER", b"n,a=sink,\1auth=Bearer x\1\1", "sink"),
        ("OAUTHBEARER", b"n,,\1auth=Bearer x\1\1", "sink"),
    ):
        assert (await prove(sink, mechanism, response, Talk())).login == login


async def test_logins_are_kept_for_their_owner_under_any_spelling(store: Store, directory: AccountsDirectory) -> None:
    await directory.record_login("Ann", door="imap", peer=PEER, ok=False, mechanism="PLAIN")
    await directory.record_login("not an address@", door="imap", peer=PEER, ok=False, mechanism="PLAIN")
    await store.accounts.history.settle()
    [login] = await store.accounts.logins(ANN)
    assert (login.ok, login.door, login.host, login.mechanism) == (False, "imap", "192.0.2.1", "PLAIN")
