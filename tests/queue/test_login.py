"""Logging in at a smarthost: at our own door, and at those that do it badly."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from other_side import Rig, relaying, server
from outside import Certificates
from smtp_door import PASSWORD, housed

from mailsystem.directory import hash_password
from mailsystem.mail.outgoing import Attempt, State
from mailsystem.mail.sasl import SCRAM, BadProof, Keys, Scram, ScramProof, scram_keys
from mailsystem.queue.opening import Credentials, trusting
from mailsystem.queue.relay import Smarthost
from mailsystem.store import Store

ANN = "ann@example.org"
SUE = "sue@example.org"
GREETING = "S: 220 mx.b.test ESMTP\nC: EHLO a.test\nS: 250-mx.b.test\n"


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
@pytest.mark.parametrize("offered", [f"PLAIN LOGIN {SCRAM}", "LOGIN PLAIN", "LOGIN"])
async def test_our_own_door_lets_the_relay_in(
    tmp_path: Path, certificates: Certificates, offered: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with housed(tmp_path) as house:
        directory = house.directory
        await house.store.accounts.add(SUE, await hash_password(PASSWORD), scram=scram_keys(PASSWORD))
        monkeypatch.setattr(directory, "mechanisms", lambda *, secure, binding: tuple(offered.split()))
        async with house.door(tls=certificates.server(), kind="submission") as door:
            host = Smarthost("127.0.0.1", door.port, credentials=Credentials(SUE, password))
            trust = trusting(str(certificates.authority))
            async with relaying(house.store, 1, trust=trust, smarthost=host) as rig:
                [attempt] = await rig.send(ANN, sender=SUE)
        if password == PASSWORD:
            assert attempt.state is State.SENT
        else:
            assert (attempt.state, attempt.status) == (State.WAITING, "4.7.8")
            assert attempt.reply == "login at 127.0.0.1 refused: 535 5.7.8 authentication failed"
        for secret in (
            password,
            base64.b64encode(f"\0{SUE}\0{password}".encode()).decode(),
            base64.b64encode(password.encode()).decode(),
        ):
            assert not any(secret in str(event.data) for event in rig.events)


async def attempt_at(store: Store, script: str, rigs: list[Rig] | None = None) -> Attempt:
    async with server(GREETING + script) as peer:
        host = Smarthost("127.0.0.1", peer.port, tls="none", credentials=Credentials("ann", "secret"))
        async with relaying(store, 1, smarthost=host) as rig:
            [attempt] = await rig.send()
        if rigs is not None:
            rigs.append(rig)
    return attempt


@pytest.mark.parametrize(
    ("script", "status", "reply"),
    [
        ("S: 250 HELP\n", "4.7.0", "no login at 127.0.0.1: it offers none of "),
        ("S: 250 AUTH GSSAPI\n", "4.7.0", "no login at 127.0.0.1: it offers none of "),
        (
            "S: 250 AUTH PLAIN\nC: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 535 5.7.8 no\n",
            "4.7.8",
            "login at 127.0.0.1 refused: 535 ",
        ),
        ("S: 250 AUTH PLAIN\nC: AUTH PLAIN…\nS: 454 4.7.0 later\n", "4.7.0", "login at 127.0.0.1 refused: 454 "),
        ("S: 250 AUTH PLAIN\nC: AUTH PLAIN…\nS: 421 bye\ndrop\n", "4.0.0", "421 bye"),
        ("S: 250 AUTH LOGIN\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YW5u\nS: 535 no\n", "4.7.8", "login at "),
        ("S: 250 AUTH SCRAM-SHA-256\nC: AUTH SCRAM…\nS: 334 !\n", "4.7.8", "login at 127.0.0.1 given up: "),
        (
            "S: 250 AUTH SCRAM-SHA-256\nC: AUTH SCRAM…\nS: 334 cj14LHM9eCxpPTQwOTY=\n",
            "4.7.8",
            "login at 127.0.0.1 given up: ",
        ),
        # It lets us in without knowing the password: it is not whom we mean.
        ("S: 250 AUTH SCRAM-SHA-256\nC: AUTH SCRAM…\nS: 235 welcome\n", "4.7.8", "login at 127.0.0.1 given up: "),
    ],
)
async def test_a_login_that_fails_loses_no_mail(store: Store, script: str, status: str, reply: str) -> None:
    attempt = await attempt_at(store, script)
    assert (attempt.state, attempt.status) == (State.WAITING, status)
    assert attempt.reply.startswith(reply)


# SCRAM, against the server's side of ours


def exchange(password: str, known: str = "pencil", **options: int) -> ScramProof:
    proof = ScramProof("us,er=", password)
    door = Scram(plus=False, binding=None)
    assert door.begin(proof.first()) == "us,er="
    challenge = door.challenge(Keys.derive(known, iterations=options.get("iterations", 4096)))
    proof.check(door.finish(proof.final(challenge)))
    return proof


def test_both_sides_of_scram_agree() -> None:
    exchange("pencil")
    exchange("I\u00adX", known="IX")


def test_the_exchange_of_rfc_7677() -> None:
    proof = ScramProof("user", "pencil", nonce=b"rOprNGfwEbeRWgbNEkqO")
    assert proof.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert proof.final(b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") == (
        b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    proof.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    for verdict in (b"", b"v=", b"v=AAAA", b"e=other-error"):
        with pytest.raises(BadProof):
            proof.check(verdict)


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=clientnonce,s=c2FsdA==,i=4096",
        b"r=another,s=c2FsdA==,i=4096",
        b"r=clientnonceX,s=!,i=4096",
        b"r=clientnonceX,s=c2FsdA=,i=4096",
        b"r=clientnonceX,s=c2FsdA==,i=4095",
        b"r=clientnonceX,s=c2FsdA==,i=1000001",
        b"r=clientnonceX,s=c2FsdA==,i=99999999999",
        b"m=ext,r=clientnonceX,s=c2FsdA==,i=4096",
    ],
)
def test_a_bad_challenge_is_refused_without_work(challenge: bytes) -> None:
    with pytest.raises(BadProof):
        ScramProof("ann", "secret", nonce=b"clientnonce").final(challenge)
