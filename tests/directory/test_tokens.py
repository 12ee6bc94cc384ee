"""Whose token it is, judged by an issuer that a test runs."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from mailsystem.directory import token_verifier, tokens
from mailsystem.directory.tokens import AnyToken, Introspection, KeySet, Tokens
from mailsystem.mail.errors import AuthFailed, Unavailable

NOW = 1_800_000_000.0
ISSUER = "https://issuer.test"
GOOD = {"iss": ISSUER, "aud": ["mail", "other"], "exp": NOW + 600, "nbf": NOW - 5, "email": "ann@home.test"}


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time


class Server(HTTPServer):
    """Answers every request alike, and notes it."""

    answer: Any = None
    status = 200
    delay = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ask?realm=x"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.heard.append((self.path, dict(self.headers), body))
        time.sleep(self.server.delay)
        answer = self.server.answer
        octets = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def issuer() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asking(server: Server, clock: Clock, **limits: Any) -> Tokens:
    return Tokens(Introspection(server.url, "mail:system", "s&cret"), clock, **limits)


async def test_an_issuer_is_asked_and_its_word_is_kept_for_a_minute(issuer: Server, clock: Clock) -> None:
    issuer.answer = {**GOOD, "active": True}
    judge = asking(issuer, clock, issuer=ISSUER, audience="mail")
    for _ in range(3):
        assert await judge.login("a.token", claimed="") == "ann@home.test"
    [(path, headers, body)] = issuer.heard
    assert path == "/ask?realm=x"
    assert headers["Authorization"] == "Basic bWFpbCUzQXN5c3RlbTpzJTI2Y3JldA=="  # mail%3Asystem:s%26cret
    assert parse_qs(body.decode()) == {"token": ["a.token"], "token_type_hint": ["access_token"]}
    assert await judge.login("another", claimed="") == "ann@home.test"
    clock.time += 61
    assert await judge.login("a.token", claimed="") == "ann@home.test"
    assert len(issuer.heard) == 3
    assert "a.token" not in repr(vars(judge._good))


async def test_a_token_that_is_remembered_ends_in_time(issuer: Server, clock: Clock) -> None:
    issuer.answer = {"active": True, "email": "ann@home.test", "exp": NOW - 50}  # within what clocks may differ
    judge = asking(issuer, clock)
    assert await judge.login("a.token", claimed="")
    clock.time += 11
    with pytest.raises(AuthFailed):
        await judge.login("a.token", claimed="")


@pytest.mark.parametrize(
    "claims",
    [
        {"active": False},
        {"active": "true"},
        {"active": None},
        {"exp": NOW - 61},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": NOW + 61},
        {"iss": "https://elsewhere.test"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": ["other", "another"]},
        {"email": None},
        {"email": ""},
        {"email": "x" * 400},
        {"email": ["ann@home.test"]},
        {"email_verified": False},
        {"email": "mallory@evil.test", "email_verified": False, "username": "ann@home.test"},
    ],
    ids=repr,
)
async def test_what_speaks_against_a_token_makes_it_fail(issuer: Server, clock: Clock, claims: dict[str, Any]) -> None:
    issuer.answer = {**GOOD, "active": True, **claims}
    with pytest.raises(AuthFailed) as failure:
        await asking(issuer, clock, issuer=ISSUER, audience="mail").login("a.token", claimed="ann@home.test")
    assert str(failure.value) == "authentication failed"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {"active": True, "email": "x"}),
        (302, {"active": True, "email": "x"}),
        (401, {}),
        (200, b"not json"),
        (200, b"[1]"),
        (200, b"\xff"),
        (200, b"[" * 100_000),
        (200, b'{"active": true, "x": "' + b"x" * (tokens.MOST_OCTETS + 10) + b'"}'),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_an_issuer_that_answers_nonsense_is_a_temporary_failure(
    issuer: Server, clock: Clock, status: int, answer: Any
) -> None:
    issuer.status, issuer.answer = status, answer
    with pytest.raises(Unavailable):
        await asking(issuer, clock).login("a.token", claimed="")
    assert len(issuer.heard) == 1


async def test_an_issuer_that_is_slow_or_away_is_a_temporary_failure(
    issuer: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "TIMEOUT", 0.2)
    issuer.delay = 0.6
    with pytest.raises(Unavailable):
        await asking(issuer, clock).login("a.token", claimed="")
    away = Introspection("http://127.0.0.1:9/", "", "")
    with pytest.raises(Unavailable):
        await Tokens(away, clock).login("a.token", claimed="")


async def test_a_sink_believes_everybody() -> None:
    assert await AnyToken("sink").login("x", claimed="ann") == "ann"
    assert await AnyToken("sink").login("x", claimed="") == "sink"


def test_settings_choose_the_judge(clock: Clock) -> None:
    assert token_verifier(clock) is None
    assert token_verifier(clock, introspection_url="https://issuer.test/introspect") is not None
    for url in ("http://issuer.test/", "file:///etc/passwd", "https:///x", "issuer.test"):
        with pytest.raises(ValueError, match="HTTPS"):
            token_verifier(clock, introspection_url=url)
    with pytest.raises(ValueError, match="audience"):
        token_verifier(clock, jwks_url="https://issuer.test/keys", issuer=ISSUER)


# Signed tokens

jwt = pytest.importorskip("jwt")


class Signer:
    """A key of the issuer's."""

    def __init__(self, kid: str, algorithm: str = "ES256") -> None:
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        self.kid = kid
        self.algorithm = algorithm
        self.key: Any = (
            ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa.generate_private_key(65537, 2048)
        )

    @property
    def public(self) -> dict[str, Any]:
        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.key.public_key(), as_dict=True)
        return {**made, "kid": self.kid, "use": "sig"}

    def sign(self, **claims: Any) -> str:
        said = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
        return str(jwt.encode(said, self.key, algorithm=self.algorithm, headers={"kid": self.kid}))


def confused(key: bytes) -> str:
    """Signed with a public key as if it were a shared secret."""
    said = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "one"}, GOOD)]
    signed = b".".join(part.rstrip(b"=") for part in said)
    return (signed + b"." + base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")).decode()


def reading(issuer: Server, clock: Clock) -> Tokens:
    keys = KeySet(issuer.url, clock)
    return Tokens(keys, clock, issuer=ISSUER, audience="mail", login_claims=("email",))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_a_signed_token_is_read(issuer: Server, clock: Clock, algorithm: str) -> None:
    signer = Signer("one", algorithm)
    issuer.answer = {"keys": [{"kty": "oct", "k": "AAAA", "kid": "secret"}, "x", {"kty": "EC"}, signer.public]}
    judge = reading(issuer, clock)
    assert await judge.login(signer.sign(), claimed="") == "ann@home.test"
    assert await judge.login(signer.sign(email="bob@home.test"), claimed="") == "bob@home.test"
    assert len(issuer.heard) == 1, "the keys are kept"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 61},
        {"exp": None},
        {"nbf": NOW + 61},
        {"iss": "x"},
        {"aud": "other"},
        {"aud": None},
        {"email": None},
    ],
    ids=repr,
)
async def test_a_signed_token_must_be_for_us_and_for_now(issuer: Server, clock: Clock, claims: dict[str, Any]) -> None:
    signer = Signer("one")
    issuer.answer = {"keys": [signer.public]}
    with pytest.raises(AuthFailed):
        await reading(issuer, clock).login(signer.sign(**claims), claimed="")


async def test_a_signature_that_is_not_the_issuers_is_no_signature(issuer: Server, clock: Clock) -> None:
    signer, other = Signer("one"), Signer("one")
    public = signer.public
    issuer.answer = {"keys": [public, {"kty": "oct", "k": "AAAA", "kid": "secret"}]}
    good = signer.sign()
    head, body, signature = good.split(".")
    forged = [
        other.sign(),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{other.sign(email='boss@home.test').split('.')[1]}.{signature}",
        jwt.encode(GOOD, None, algorithm="none"),
        jwt.encode(GOOD, None, algorithm="none", headers={"kid": "one"}),
        jwt.encode(GOOD, b"\0" * 32, algorithm="HS256", headers={"kid": "secret"}),
        confused(json.dumps(public).encode()),
        "opaque",
        "a.b.c",
        "....",
    ]
    judge = reading(issuer, clock)
    for token in forged:
        with pytest.raises(AuthFailed):
            await judge.login(token, claimed="ann@home.test")
    assert await judge.login(good, claimed="") == "ann@home.test"


async def test_new_keys_are_looked_up_but_not_for_every_guess(issuer: Server, clock: Clock) -> None:
    old, new = Signer("old"), Signer("new")
    issuer.answer = {"keys": [old.public]}
    judge = reading(issuer, clock)
    assert await judge.login(old.sign(), claimed="")
    issuer.answer = {"keys": [new.public]}
    for _ in range(3):
        with pytest.raises(AuthFailed):
            await judge.login(new.sign(), claimed="")
    assert len(issuer.heard) == 1, "they were looked up a moment ago"
    clock.time += 61
    assert await judge.login(new.sign(), claimed="")
    assert len(issuer.heard) == 2
    issuer.status = 500
    clock.time += 4000
    assert await judge.login(new.sign(exp=NOW + 9000), claimed=""), (
        "an issuer that is away for a while shuts out nobody"
    )
    assert len(issuer.heard) == 3


async def test_no_keys_at_all_are_a_temporary_failure(issuer: Server, clock: Clock) -> None:
    issuer.status = 503
    judge = reading(issuer, clock)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await judge.login(Signer("one").sign(), claimed="")
    assert len(issuer.heard) == 1
