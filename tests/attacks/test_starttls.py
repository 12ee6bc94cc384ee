"""STARTTLS at every door: nothing said in clear counts under TLS (NO STARTTLS; CVE-2021-33515, CVE-2024-34083 and kin)."""

from __future__ import annotations

import ssl
import time
import warnings

import pytest
from attacked import DOORS, SMTP_DOORS, Target, until_closed
from program import Person
from wire import Wire

START = {"smtp": b"STARTTLS\r\n", "submission": b"STARTTLS\r\n", "pop3": b"STLS\r\n", "imap": b"a STARTTLS\r\n"}
GO = {"smtp": b"220 ", "submission": b"220 ", "pop3": b"+OK", "imap": b"a OK"}
NOTHING = {"smtp": b"NOOP\r\n", "submission": b"NOOP\r\n", "pop3": b"CAPA\r\n", "imap": b"b NOOP\r\n"}
INJECTED = {
    "a harmless command": None,
    "half a command": b"NOO",
    "one octet": b"x",
    "an empty line": b"\r\n",
    "a hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a long run": b"x" * 100_000,
    "a sender": b"MAIL FROM:<injected@elsewhere.example>\r\n",
    "a login": b"AUTH PLAIN AHZpY3RpbQB4\r\n",
    "a user": b"USER injected\r\n",
    "an open literal": b"c LOGIN {1000}\r\n",
}


def upgraded(client: Wire, target: Target) -> Wire:
    """The same client, from now on under TLS."""
    assert not client._held
    client.socket = target.certificates.client().wrap_socket(client.socket, server_hostname="localhost")
    return client


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("what", INJECTED)
def test_octets_in_one_segment_behind_the_command_end_the_session(what: str, door: str, target: Target) -> None:
    with target.wire(door) as client:
        client.send(START[door] + (INJECTED[what] or NOTHING[door]))
        said = until_closed(client)
    assert not said.startswith(GO[door]), "TLS never starts"
    refusals = {"pop3": (b"-ERR",), "imap": (b"a BAD", b"* BYE")}.get(door, (b"5", b"421"))
    lines = said.splitlines()
    assert len(lines) <= 2, said
    assert all(line.startswith((*refusals, b"421", b"* BYE")) for line in lines), said
    until = time.monotonic() + 5
    while not any(
        event["event"] in {"injected", "attacked"} and str(event.get("peer")).endswith(f":{client.port}")
        for event in target.house.program.log()
    ):
        assert time.monotonic() < until, "it is told in the log"
        time.sleep(0.02)


@pytest.mark.parametrize("door", DOORS)
def test_what_is_said_before_is_answered_before_and_in_clear(door: str, target: Target) -> None:
    """Response injection: an answer must not cross into TLS from before it."""
    with target.wire(door) as client:
        client.send(NOTHING[door] * 3 + START[door])
        while not (line := client.line()).startswith(GO[door]) or (door == "pop3" and b"TLS" not in line):
            assert not line.startswith(b"5"), line
        upgraded(client, target)
        client.send(NOTHING[door])
        first = client.line()
    assert first.startswith({"pop3": b"+OK", "imap": b"b OK"}.get(door, (b"250 2.0.0", b"503"))), first  # type: ignore[arg-type]


@pytest.mark.parametrize("door", SMTP_DOORS)
def test_a_transaction_in_clear_is_none_under_tls(door: str, target: Target, victim: Person) -> None:
    with target.smtp(door) as client:
        if door == "smtp":
            client.say(b"MAIL FROM:<evil@elsewhere.example>", expect=250)
            client.say(b"RCPT TO:<%s>" % victim.login.encode(), expect=250)
        client.say(b"STARTTLS", expect=220)
        upgraded(client, target)
        for line in (b"DATA", b"RCPT TO:<%s>" % victim.login.encode(), b"MAIL FROM:<evil@elsewhere.example>"):
            client.say(line, expect=503)


def test_a_name_given_in_clear_is_no_name_under_tls(target: Target, victim: Person) -> None:
    with target.wire("pop3") as client:
        client.send(b"USER attacker@example.org\r\n")
        assert client.line().startswith(b"+OK")
        client.send(b"STLS\r\n")
        assert client.line().startswith(b"+OK")
        upgraded(client, target)
        client.send(b"PASS %s\r\n" % victim.password.encode())
        assert client.line().startswith(b"-ERR")


@pytest.mark.parametrize("door", DOORS)
def test_capabilities_under_tls_offer_no_second_start(door: str, target: Target) -> None:
    with target.wire(door) as client:
        client.send(START[door])
        assert client.line().startswith(GO[door])
        upgraded(client, target)
        client.send({"pop3": b"CAPA\r\n", "imap": b"b CAPABILITY\r\n"}.get(door, b"EHLO client.example\r\n"))
        last = {"pop3": b".", "imap": b"b OK"}.get(door, b"250 ")
        told = b""
        while not (line := client.line()).startswith(last):
            told += line + b"\r\n"
        assert b"STARTTLS" not in told
        assert b"STLS" not in told
        assert b"AUTH" in told or b"SASL" in told or door == "smtp"
        client.send(START[door].replace(b"a ", b"c "))
        assert client.line().startswith((b"5", b"-ERR", b"c BAD", b"c NO"))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\0" * 50])
def test_a_handshake_of_nonsense_ends_one_session_only(hello: bytes, door: str, target: Target, victim: Person) -> None:
    with target.wire(door) as client:
        client.send(START[door])
        assert client.line().startswith(GO[door])
        client.send(hello)
        answer = until_closed(client)
        assert not answer or answer[:1] == b"\x15", "an alert at most"
    target.still_serves(victim)


@pytest.mark.parametrize("door", DOORS)
def test_old_versions_of_tls_are_refused(door: str, target: Target) -> None:
    context = target.certificates.client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with target.wire(door) as client:
        client.send(START[door])
        assert client.line().startswith(GO[door])
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(client.socket, server_hostname="localhost")
