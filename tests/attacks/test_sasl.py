"""SASL: what is said in an exchange ends that exchange at most, never anybody else's (CVE-2025-59028, CVE-2019-11499)."""

from __future__ import annotations

import base64
import contextlib
import time

import pytest
from attacked import Target, plain, until_closed
from program import Person
from wire import Imap, Pop3, Wire

DOORS = ("submission", "pop3", "imap")
COMMAND = {"submission": b"AUTH ", "pop3": b"AUTH ", "imap": b"a AUTHENTICATE "}
GO_AHEAD = {"submission": b"334", "pop3": b"+ ", "imap": b"+"}
REFUSED = {
    "submission": (b"501 ", b"500 ", b"504 ", b"535 ", b"454 ", b"421 "),
    "pop3": (b"-ERR",),
    "imap": (b"a NO", b"a BAD", b"* BYE"),
}
NOTHING = {"submission": b"NOOP\r\n", "pop3": b"CAPA\r\n", "imap": b"z NOOP\r\n"}
FINE = {"submission": b"250", "pop3": b"+OK", "imap": b"z OK"}


def encoded(octets: bytes) -> bytes:
    return base64.b64encode(octets)


RESPONSES = {
    "nothing": b"",
    "cancelled": b"*",
    "cancelled twice": b"**",
    "no base64": b"!!!!",
    "one letter": b"A",
    "padding only": b"====",
    "padding within": b"AH==AHg=",
    "too much padding": b"AGEAYg=====",
    "no padding": b"AGEAYmM",
    "spaces within": b"AGEA YmM=",
    "a tab": b"\tAGEAYmM=",
    "url-safe": b"-_-_",
    "8-bit": b"\xc3\xbc\xff",
    "NUL": b"AGEA\0YmM=",
    "no NUL inside": encoded(b"name and password"),
    "one NUL": encoded(b"name\0password"),
    "three NULs": encoded(b"\0name\0pass\0word"),
    "only NULs": encoded(b"\0" * 3000),
    "no name": encoded(b"\0\0password"),
    "no password": encoded(b"\0name\0"),
    "no utf-8": encoded(b"\0\xff\xfe\0\xff"),
    "surrogates": encoded(b"\0\xed\xa0\x80\0x"),
    "a long name": encoded(b"\0" + b"n" * 8000 + b"\0x"),
    "a long password": encoded(b"\0nobody@example.org\0" + b"p" * 8000),
    "over the limit": b"A" * 13_000,
    "far over the limit": b"A" * 200_000,
    "line ends in the name": encoded(b"\0a\r\nb@example.org\0x"),
    "a format": encoded(b"\0%s%n{0}\0%s"),
    "somebody else": encoded(b"postmaster@example.org\0nobody@example.org\0x"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("mechanism", [b"PLAIN", b"LOGIN", b"SCRAM-SHA-256", b"OAUTHBEARER"])
def test_garbage_ends_the_exchange_and_the_session_goes_on(
    mechanism: bytes, response: str, door: str, target: Target
) -> None:
    with target.wire(door) as client:
        client.send(COMMAND[door] + mechanism + b"\r\n")
        answer = client.line()
        for _ in range(3):
            if not answer.startswith(GO_AHEAD[door]):
                break
            client.send(RESPONSES[response] + b"\r\n")
            answer = client.line()
        assert answer.startswith(REFUSED[door]), answer
        assert answer.isascii()
        with contextlib.suppress(EOFError, ConnectionError):
            client.send(NOTHING[door])
            assert client.line().startswith((FINE[door], *REFUSED[door]))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "name",
    [b"", b"=", b"PLAIN\0", b"PL\xc3\x84IN", b"ANONYMOUS", b"GSSAPI", b"x" * 1000, b"PLAIN PLAIN PLAIN", b"../PLAIN"],
)
def test_no_other_mechanism_is_one(name: bytes, door: str, target: Target) -> None:
    with target.wire(door) as client:
        client.send(COMMAND[door] + name + b"\r\n")
        answer = client.line()
        if door == "pop3" and not name:
            assert answer.startswith(b"+OK")  # RFC 1734's clients: a list
        else:
            assert answer.startswith(REFUSED[door]), answer


def test_nobody_else_notices(target: Target, victim: Person) -> None:
    """Bad base64 in one session once killed the logins of all others."""
    with (
        Imap(target.house.program.imap, victim.login, victim.password) as imap,
        Pop3(target.house.program.pop3, victim.login, victim.password) as pop3,
        target.smtp("submission") as smtp,
        contextlib.ExitStack() as attackers,
    ):
        smtp.say(plain(victim), expect=235)
        half: list[Wire] = []
        for door in DOORS:
            # One is in the middle of an exchange while others misbehave in all ways, and its login works afterwards.
            half.append(attackers.enter_context(target.wire(door)))
            half[-1].send(COMMAND[door] + b"PLAIN\r\n")
            assert half[-1].line().startswith(GO_AHEAD[door])
        for response in ("no base64", "NUL", "far over the limit", "no utf-8", "cancelled", "over the limit"):
            for door in DOORS:
                with target.wire(door) as attacker:
                    attacker.send(COMMAND[door] + b"PLAIN\r\n")
                    attacker.line()
                    attacker.send(RESPONSES[response] + b"\r\n")
        for door in DOORS:  # and some leave in the middle
            with target.wire(door) as attacker:
                attacker.send(COMMAND[door] + b"PLAIN\r\nAGE")
        began = time.monotonic()
        imap.ok(b"NOOP")
        pop3.ok(b"NOOP")
        smtp.say(b"NOOP", expect=250)
        assert time.monotonic() - began < 5
        pop3.ok(b"QUIT")  # the maildrop is one person's at a time
        proof = encoded(f"\0{victim.login}\0{victim.password}".encode())
        for client, good in zip(half, (b"235", b"+OK", b"a OK"), strict=True):
            client.send(proof + b"\r\n")
            while (line := client.line()).startswith(b"* "):
                pass
            assert line.startswith(good), line


@pytest.mark.parametrize("door", DOORS)
def test_commands_thrown_in_behind_an_exchange_are_responses_and_not_obeyed(door: str, target: Target) -> None:
    """What is pipelined behind AUTH is taken for the response, so nothing said before a login counts as said after it."""
    evil = {
        "submission": b"MAIL FROM:<evil@elsewhere.example>\r\n",
        "pop3": b"STAT\r\n",
        "imap": b"b SELECT INBOX\r\n",
    }[door]
    with target.wire(door) as client:
        client.send(COMMAND[door] + b"PLAIN\r\n" + evil + NOTHING[door])
        assert client.line().startswith(GO_AHEAD[door])
        assert client.line().startswith(REFUSED[door])
        assert client.line().startswith(FINE[door])


def test_smtp_has_no_login_in_a_transaction_or_after_one(target: Target, victim: Person) -> None:
    with target.smtp("submission") as client:
        client.say(plain(victim), expect=235)
        client.say(plain(victim), expect=503)  # RFC 4954 4
        client.say(f"MAIL FROM:<{victim.login}>".encode(), expect=250)
        client.say(plain(victim), expect=503)
    with target.smtp("submission", hello=False) as client:
        client.say(b"HELO client.example", expect=250)
        assert client.say(plain(victim))[0] in {500, 502, 503}, "AUTH is an extension: there is none without EHLO"


@pytest.mark.parametrize("door", DOORS)
def test_a_session_of_nothing_but_bad_logins_is_ended(door: str, target: Target) -> None:
    with target.wire(door) as client:
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                client.send(COMMAND[door] + b"PLAIN !!!!\r\n")
        client.socket.settimeout(20)
        said = until_closed(client)
    assert said.count(b"\r\n") < 60
