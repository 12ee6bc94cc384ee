"""Who may come in, how they say who they are, and that nobody hears it."""

from __future__ import annotations

import base64
import ssl

import pytest
import trustme
from pop3_door import PASSWORD, Door, Opening

from mailsystem.mail.envelope import Peer
from mailsystem.telemetry.trace import CLIENT

ANN = "ann@example.org"


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


PLAIN = b64(f"\0{ANN}\0{PASSWORD}")


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client comes from another host."""
    monkeypatch.setattr(Peer, "is_loopback", property(lambda self: False))


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


@pytest.mark.parametrize("login", ["ann@example.org", "ANN@EXAMPLE.ORG", "ann", "jörg@example.org", "jörg"])
async def test_a_login_is_an_address_or_its_local_part(login: str, door: Door) -> None:
    client = await door.connect()
    assert await client.log_in(login) == b"+OK 0 messages (0 octets)"
    assert door.told("logged in")[0]["login"] == ("jörg" if "j" in login else "ann") + "@example.org"


async def test_a_wrong_password_and_an_unknown_name_are_told_alike(door: Door) -> None:
    client = await door.connect()
    await client.ok(b"USER ann@example.org")
    wrong = await client.say(b"PASS wrong")
    client = await door.connect()
    await client.ok(b"USER nobody@example.org")
    unknown = await client.say(b"PASS " + PASSWORD.encode())
    assert wrong == unknown == b"-ERR [AUTH] authentication failed"
    assert [event["login"] for event in door.told("login failed")] == ["ann@example.org", "nobody@example.org"]


@pytest.mark.parametrize("name", [b"\xff", b"a" * 1000, b"@", b"x@", b"ann@example.org\xc3\x28"])
async def test_a_name_that_can_be_nobodys_fails_alike(name: bytes, door: Door) -> None:
    client = await door.connect()
    await client.ok(b"USER " + name)
    assert await client.say(b"PASS x") == b"-ERR [AUTH] authentication failed"


async def test_the_name_is_forgotten_after_a_failure(door: Door) -> None:
    await door.play(
        f"""
        C: USER ann@example.org
        S: +OK*
        C: PASS wrong
        S: -ERR [AUTH]*
        C: PASS {PASSWORD}
        S: -ERR USER first
        C: USER
        S: -ERR argument missing
        C: USER bob@example.org
        S: +OK*
        C: USER ann@example.org
        S: +OK*
        C: PASS {PASSWORD}
        S: +OK*
        """
    )


async def test_a_few_failures_end_the_session(open_door: Opening) -> None:
    door = await open_door(login_attempts=2)
    client = await door.connect()
    await client.send(b"USER ann\r\nPASS one\r\nAUTH PLAIN " + b64("\0ann\0two") + b"\r\nUSER ann\r\nPASS three\r\n")
    assert await client.rest() == (
        b"+OK and the password?\r\n-ERR [AUTH] authentication failed\r\n-ERR [AUTH] authentication failed\r\n"
        b"-ERR too many failed logins\r\n"
    )


async def test_auth_plain_with_an_initial_response(door: Door) -> None:
    """RFC 5034 4."""
    client = await door.connect()
    assert await client.say(b"AUTH PLAIN " + PLAIN) == b"+OK 0 messages (0 octets)"


async def test_auth_plain_without_one(door: Door) -> None:
    client = await door.connect()
    assert await client.say(b"auth plain") == b"+ "
    assert await client.say(PLAIN) == b"+OK 0 messages (0 octets)"


async def test_auth_login(door: Door) -> None:
    client = await door.connect()
    assert await client.say(b"AUTH LOGIN") == b"+ " + b64("Username:")
    assert await client.say(b64(ANN)) == b"+ " + b64("Password:")
    assert await client.say(b64(PASSWORD)) == b"+OK 0 messages (0 octets)"
    await client.ok(b"QUIT")
    client = await door.connect()
    assert await client.say(b"AUTH LOGIN " + b64(ANN)) == b"+ " + b64("Password:")
    assert await client.say(b64(PASSWORD)) == b"+OK 0 messages (0 octets)"


async def test_auth_alone_lists_the_mechanisms(door: Door) -> None:
    client = await door.connect()
    assert await client.listing(b"AUTH") == [b"SCRAM-SHA-256", b"PLAIN", b"LOGIN"]


async def test_an_auth_can_be_cancelled(door: Door) -> None:
    client = await door.connect()
    for mechanism in (b"PLAIN", b"LOGIN"):
        assert (await client.say(b"AUTH " + mechanism)).startswith(b"+ ")
        assert await client.say(b"*") == b"-ERR authentication cancelled"
    assert (await client.log_in()).startswith(b"+OK")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"AUTH GSSAPI", b"-ERR unknown authentication mechanism"),
        (b"AUTH \xff", b"-ERR unknown authentication mechanism"),
        (b"AUTH PLAIN !!!", b"-ERR bad base64"),
        (b"AUTH PLAIN =", b"-ERR bad PLAIN response"),
        (b"AUTH PLAIN " + b64("no nul"), b"-ERR bad PLAIN response"),
        (b"AUTH PLAIN " + PLAIN + b" more", b"-ERR too many arguments"),
        (b"AUTH PLAIN " + b64(f"bob@example.org\0{ANN}\0{PASSWORD}"), b"-ERR [SYS/PERM] cannot act for somebody else"),
        (b"AUTH PLAIN " + b64(f"\0{ANN}\0wrong"), b"-ERR [AUTH] authentication failed"),
        (b"AUTH PLAIN " + b"A" * 20_000, b"-ERR line too long"),
    ],
    ids=lambda value: repr(value[:30]),
)
async def test_a_bad_auth_is_refused_and_the_session_goes_on(line: bytes, answer: bytes, door: Door) -> None:
    client = await door.connect()
    assert await client.say(line) == answer
    assert (await client.log_in()).startswith(b"+OK")


async def test_a_response_may_be_as_long_as_any_mechanism_needs(door: Door) -> None:
    client = await door.connect()
    await client.say(b"AUTH PLAIN")
    assert await client.say(b64("\0ann\0" + "x" * 9000)) == b"-ERR [AUTH] authentication failed"
    await client.say(b"AUTH PLAIN")
    assert await client.say(b"x" * 13_000) == b"-ERR line too long"
    assert (await client.log_in()).startswith(b"+OK")


@pytest.mark.usefixtures("far")
async def test_no_password_in_clear_over_a_network(
    open_door: Opening, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, trusting = contexts
    door = await open_door(tls=server)
    client = await door.connect()
    tags = await client.listing(b"CAPA")
    assert b"STLS" in tags
    assert not {tag.split()[0] for tag in tags} & {b"USER", b"SASL"}
    assert await client.listing(b"AUTH") == []
    for line in (b"USER ann@example.org", b"PASS " + PASSWORD.encode(), b"AUTH PLAIN " + PLAIN, b"AUTH LOGIN"):
        assert await client.say(line) == b"-ERR only under TLS"
    await client.ok(b"STLS")
    await client.start_tls(trusting)
    tags = await client.listing(b"CAPA")
    assert b"STLS" not in tags
    assert {b"USER", b"SASL SCRAM-SHA-256 PLAIN LOGIN"} <= set(tags)
    assert (await client.log_in()).startswith(b"+OK")
    assert door.told("logged in")[0]["tls"].startswith("TLSv1.")


@pytest.mark.usefixtures("far")
async def test_a_setting_allows_it(open_door: Opening) -> None:
    door = await open_door(cleartext_login=True)
    client = await door.connect()
    assert b"USER" in await client.listing(b"CAPA")
    assert (await client.log_in()).startswith(b"+OK")


async def test_no_event_ever_holds_a_secret(door: Door) -> None:
    """Each way to say it, right, wrong, misspelt and at the wrong moment."""
    client = await door.connect()
    said = [
        b"PASS " + PASSWORD.encode(),
        b"pass " + PASSWORD.encode(),
        b"PASS" + PASSWORD.encode(),
        b" PASS " + PASSWORD.encode(),
        b"PAS " + PASSWORD.encode(),
        PASSWORD.encode(),
        PLAIN,
        b"AUTH PLAIN",
        PLAIN + b"!",
        b"AUTH LOGIN",
        b64(ANN),
        b64(PASSWORD),
        b"PASS " + PASSWORD.encode(),
        b"AUTH PLAIN " + PLAIN,
    ]
    for line in said:
        await client.say(line)
    everything = repr(door.events)
    for secret in (PASSWORD.strip(), repr(PASSWORD.encode())[2:-1].strip(), PLAIN.decode(), b64(PASSWORD).decode()):
        assert secret not in everything
    lines = [event["text"] for event in door.told("line") if event["who"] == CLIENT]
    assert len(lines) == len(said)
    assert "PASS [redacted]" in lines
    assert "AUTH [redacted]" in lines
    assert "AUTH PLAIN" not in lines


async def test_the_trace_tells_the_conversation(door: Door) -> None:
    await door.post(b"Subject: private\r\n\r\nnobody reads this\r\n")
    client = await door.client()
    await client.many(b"RETR 1")
    await client.listing(b"LIST")
    await client.ok(b"QUIT")
    await door.until_told("disconnected")
    assert [(event["who"], event["text"]) for event in door.told("line")][5:] == [
        ("C", "RETR 1"),
        ("S", "+OK 39 octets"),
        ("S", "[39 octets]"),
        ("S", "."),
        ("C", "LIST"),
        ("S", "+OK 1 messages (39 octets)"),
        ("S", "1 39"),
        ("S", "."),
        ("C", "QUIT"),
        ("S", "+OK bye"),
    ]
    names = [event.name for event in door.events if event.door == "pop3" and event.name != "line"]
    assert names == ["connected", "logged in", "retrieved", "disconnected"]
    assert "nobody reads this" not in repr(door.events)
