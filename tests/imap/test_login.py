"""Who comes in and who does not: LOGIN, AUTHENTICATE, STARTTLS, and what is said in clear."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import suppress

import pytest
from imap_door import PASSWORD, Client, Door, Opening
from outside import Certificates

import mailsystem.mail.envelope
from mailsystem.store import Disabled


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


PLAIN = b64(f"\0ann\0{PASSWORD}")


async def connected(door: Door) -> Client:
    client = await door.connect()
    await client.line()
    return client


GOOD = [
    [b'LOGIN ann "%b"' % PASSWORD.encode()],
    [b'login "ann@EXAMPLE.org" "%b"' % PASSWORD.encode()],
    [b"LOGIN {3+}\r\nann {%d+}\r\n%b" % (len(PASSWORD.encode()), PASSWORD.encode())],
    [b"AUTHENTICATE PLAIN " + PLAIN],
    [b"AUTHENTICATE PLAIN", PLAIN],
    [b"authenticate plain", b64(f"ann\0ann\0{PASSWORD}")],
    [b"AUTHENTICATE LOGIN", b64("ann"), b64(PASSWORD)],
    [b"AUTHENTICATE LOGIN " + b64("ann"), b64(PASSWORD)],
]


@pytest.mark.parametrize("said", GOOD, ids=repr)
async def test_the_right_password_opens_the_door_in_every_way(door: Door, said: list[bytes]) -> None:
    client = await connected(door)
    await client.send(b"a " + said[0] + b"\r\n")
    for line in said[1:]:
        assert (await client.line()).startswith(b"+ ")
        await client.send(line + b"\r\n")
    answer = await client.line()
    assert answer.startswith(b"a OK [CAPABILITY IMAP4rev1 ")
    assert b"AUTH=" not in answer
    assert b"STARTTLS" not in answer
    [event] = door.named("logged in")
    assert event.data["login"] == "ann@example.org"


BAD = [
    ([b"LOGIN ann wrong"], b"a NO [AUTHENTICATIONFAILED] "),
    ([b"LOGIN nobody wrong"], b"a NO [AUTHENTICATIONFAILED] "),
    ([b"LOGIN {1+}\r\n\xff x"], b"a NO [AUTHENTICATIONFAILED] "),
    ([b'LOGIN "" ""'], b"a NO [AUTHENTICATIONFAILED] "),
    ([b"LOGIN ann"], b"a BAD "),
    ([b"LOGIN ann x y"], b"a BAD "),
    ([b"AUTHENTICATE PLAIN", b"*"], b"a BAD "),
    ([b"AUTHENTICATE PLAIN", b"!!!"], b"a BAD "),
    ([b"AUTHENTICATE PLAIN", b"AAA"], b"a BAD "),
    ([b"AUTHENTICATE PLAIN", b""], b"a BAD "),
    ([b"AUTHENTICATE PLAIN ="], b"a BAD "),
    ([b"AUTHENTICATE PLAIN " + b64("\0ann\0wrong")], b"a NO [AUTHENTICATIONFAILED] "),
    ([b"AUTHENTICATE PLAIN " + b64(f"bob\0ann\0{PASSWORD}")], b"a NO [NOPERM] "),
    ([b"AUTHENTICATE LOGIN", b64("ann"), b"*"], b"a BAD "),
    ([b"AUTHENTICATE LOGIN", b64("ann"), b64("wrong")], b"a NO [AUTHENTICATIONFAILED] "),
    ([b"AUTHENTICATE LOGIN", b"/w==", b"/w=="], b"a NO [AUTHENTICATIONFAILED] "),
    ([b"AUTHENTICATE LOGIN", b"x" * 9000], b"a BAD "),
    ([b"AUTHENTICATE GSSAPI"], b"a NO [CANNOT] "),
    ([b"AUTHENTICATE"], b"a BAD "),
]


@pytest.mark.parametrize(("said", "answer"), BAD, ids=lambda each: repr(each)[:40])
async def test_everything_else_does_not(door: Door, said: list[bytes], answer: bytes) -> None:
    client = await connected(door)
    await client.send(b"a " + said[0] + b"\r\n")
    for line in said[1:]:
        assert (await client.line()).startswith(b"+ ")
        await client.send(line + b"\r\n")
    assert (await client.line()).startswith(answer)
    assert (await client.say("SELECT INBOX")).status == "BAD"
    await client.ok(f'LOGIN ann "{PASSWORD}"')


async def test_after_a_few_wrong_passwords_the_door_is_shut(door: Door) -> None:
    client = await connected(door)
    for _ in range(2):
        assert (await client.say("LOGIN ann wrong")).code == "AUTHENTICATIONFAILED"
    await client.send(b"a LOGIN ann wrong\r\nb LOGIN ann wrong\r\n")
    heard = await client.rest()
    assert heard.startswith(b"* BYE too many failed logins\r\na NO [AUTHENTICATIONFAILED] ")
    assert b"\r\nb " not in heard
    assert [event.data["login"] for event in door.named("login failed")] == ["ann"] * 3


async def test_one_logs_in_once(door: Door) -> None:
    client = await door.client()
    assert (await client.say("LOGIN ann x")).status == "BAD"
    assert (await client.say("AUTHENTICATE PLAIN")).status == "BAD"
    assert (await client.say("STARTTLS")).status == "BAD"


async def test_commands_that_come_with_the_login_are_run_after_it(door: Door) -> None:
    client = await connected(door)
    await client.send(b"a AUTHENTICATE PLAIN\r\n" + PLAIN + b"\r\nb SELECT INBOX\r\nc LOGOUT\r\n")
    heard = await client.rest()
    assert heard.index(b"a OK") < heard.index(b"b OK") < heard.index(b"c OK")


async def test_a_client_that_does_not_log_in_is_sent_away_however_much_it_talks(open_door: Opening) -> None:
    door = await open_door(login_timeout=0.4)
    client = await connected(door)
    started = asyncio.get_running_loop().time()
    heard = b""
    while b"BYE" not in heard:
        await client.send(b"a NOOP\r\n")
        heard = await client.line()
        await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - started < 5
    assert heard == b"* BYE too long without a command"


async def test_one_that_is_logged_in_has_more_time(open_door: Opening) -> None:
    door = await open_door(login_timeout=0.1, idle_timeout=0.5)
    client = await door.client()
    await asyncio.sleep(0.2)
    await client.ok("NOOP")
    assert await client.rest() == b"* BYE too long without a command\r\n"


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every client came from another host."""
    monkeypatch.setattr(mailsystem.mail.envelope.Peer, "is_loopback", property(lambda self: False))


def contexts(certificates: Certificates) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificates.certificate, certificates.key)
    return server, ssl.create_default_context(cafile=str(certificates.authority))


@pytest.mark.usefixtures("far_away")
async def test_passwords_in_clear_are_not_taken_from_afar(open_door: Opening) -> None:
    door = await open_door()
    client = await door.connect()
    greeting = await client.line()
    assert b" LOGINDISABLED" in greeting
    assert b"AUTH=" not in greeting
    assert b"STARTTLS" not in greeting
    assert (await client.say(f'LOGIN ann "{PASSWORD}"')).code == "PRIVACYREQUIRED"
    assert (await client.say(b"AUTHENTICATE PLAIN " + PLAIN)).code == "PRIVACYREQUIRED"
    assert (await client.say("STARTTLS")).status == "NO"


@pytest.mark.usefixtures("far_away")
async def test_passwords_in_clear_are_taken_from_afar_where_that_is_wanted(open_door: Opening) -> None:
    door = await open_door(cleartext_login=True)
    await door.client()


@pytest.mark.usefixtures("far_away")
async def test_under_tls_the_door_opens(open_door: Opening, certificates: Certificates) -> None:
    server, trusting = contexts(certificates)
    door = await open_door(tls=server)
    client = await door.connect()
    greeting = await client.line()
    assert b" STARTTLS" in greeting
    assert b" LOGINDISABLED" in greeting
    answer = await client.say("STARTTLS")
    assert answer.status == "OK"
    await client.writer.start_tls(trusting, server_hostname="localhost")
    [capability] = await client.ok("CAPABILITY")
    assert b"STARTTLS" not in capability
    assert b"LOGINDISABLED" not in capability
    assert b" AUTH=PLAIN" in capability
    assert (await client.say("STARTTLS")).status == "NO"
    await client.ok(f'LOGIN ann "{PASSWORD}"')
    await client.ok("SELECT INBOX")
    assert door.named("logged in")[0].data["tls"].startswith("TLSv1.")


@pytest.mark.usefixtures("far_away")
async def test_with_implicit_tls_there_is_no_clear_word(open_door: Opening, certificates: Certificates) -> None:
    server, trusting = contexts(certificates)
    door = await open_door(tls=server, implicit_tls=True)
    reader, writer = await asyncio.open_connection(
        door.bound.host, door.bound.port, ssl=trusting, server_hostname="localhost"
    )
    client = Client(reader, writer)
    assert b"STARTTLS" not in await client.line()
    await client.ok(f'LOGIN ann "{PASSWORD}"')
    await client.close()


async def test_words_in_clear_behind_starttls_are_an_attack(open_door: Opening, certificates: Certificates) -> None:
    server, _ = contexts(certificates)
    door = await open_door(tls=server)
    client = await connected(door)
    await client.send(b"a STARTTLS\r\nb LOGIN ann x\r\n")
    try:
        heard = await client.rest()
    except ConnectionResetError:
        heard = b""
    assert b"OK" not in heard
    assert door.named("attacked")


async def test_a_failed_handshake_ends_only_this_session(open_door: Opening, certificates: Certificates) -> None:
    server, _ = contexts(certificates)
    door = await open_door(tls=server)
    client = await connected(door)
    assert (await client.say("STARTTLS")).status == "OK"
    await client.send(b"this is no handshake\r\n")
    with suppress(ConnectionResetError):
        await client.rest()
    await door.client()


async def test_what_is_switched_off_for_an_account_is_not_offered_to_it(door: Door) -> None:
    await door.store.accounts.set_capabilities_off("ann@example.org", ["idle", "AUTH=PLAIN"])
    client = await connected(door)
    assert b" IDLE" in (await client.ok("CAPABILITY"))[0]
    answer = await client.say(f'LOGIN ann "{PASSWORD}"')
    assert " IDLE" not in answer.code
    [capability] = await client.ok("CAPABILITY")
    assert b" IDLE" not in capability
    assert b" MOVE" in capability
    [capability] = await (await door.client("bob")).ok("CAPABILITY")
    assert b" IDLE" in capability


async def test_one_connection_serves_several_people(door: Door) -> None:
    """RFC 8437: nothing of the first is left for the second."""
    client = await door.client()
    await door.put()
    await client.ok("ENABLE IMAP4rev2 QRESYNC")
    await client.ok("SELECT INBOX")
    answer = await client.say("UNAUTHENTICATE")
    assert answer.code.startswith("CAPABILITY IMAP4rev1")
    assert "LITERAL-" in answer.code
    for command in ("FETCH 1 FLAGS", "STATUS INBOX (MESSAGES)", "UNAUTHENTICATE"):
        assert (await client.say(command)).status == "BAD"
    await client.send(b"a APPEND INBOX {9999999}\r\n")
    assert (await client.line()).startswith(b"a ")
    await client.ok(f'LOGIN bob "{PASSWORD}"')
    assert (await client.say("FETCH 1 FLAGS")).status == "BAD"
    assert b"* 0 RECENT" in await client.ok("SELECT INBOX"), "it is spoken to in revision 1 again"
    await client.send(f'b UNAUTHENTICATE\r\nc LOGIN ann "{PASSWORD}"\r\nd STATUS INBOX (MESSAGES)\r\n'.encode())
    assert (await client.line()).startswith(b"b OK ")
    assert (await client.line()).startswith(b"c OK ")
    assert [await client.line() for _ in range(2)] == [b"* STATUS INBOX (MESSAGES 1)", b"d OK STATUS completed"]


async def test_who_has_logged_out_must_hurry_again(open_door: Opening) -> None:
    door = await open_door(login_timeout=0.5)
    client = await door.client()
    await asyncio.sleep(0.6)
    await client.ok("UNAUTHENTICATE")
    await client.ok("NOOP")
    assert (await client.rest()).startswith(b"* BYE too long without a command")


async def test_unauthenticate_can_be_switched_off(door: Door) -> None:
    await door.store.accounts.set_capabilities_off("ann@example.org", ["UNAUTHENTICATE"])
    client = await door.client()
    assert b"UNAUTHENTICATE" not in (await client.ok("CAPABILITY"))[0]
    assert (await client.say("UNAUTHENTICATE")).status == "BAD"
    await client.ok("NOOP")
    await client.ok("STATUS INBOX (MESSAGES)")


@pytest.mark.parametrize("how", ["disabled", "its domain disabled", "removed"])
@pytest.mark.parametrize("doing", ["IDLE", "IDLE in INBOX", "nothing", "NOTIFY"])
async def test_an_open_session_ends_with_its_account(door: Door, how: str, doing: str) -> None:
    client, other = await door.client(), await door.client("bob")
    if "INBOX" in doing:
        await client.ok("SELECT INBOX")
    if doing.startswith("IDLE"):
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
    if doing == "NOTIFY":
        await client.ok("NOTIFY SET (personal (MailboxName))")
    accounts = door.store.accounts
    if how == "removed":
        await accounts.remove("ann@example.org")
    elif how == "disabled":
        await accounts.disable("ann@example.org", Disabled.REJECT)
    else:
        await accounts.add_domain("example.org")
        await accounts.disable_domain("example.org", Disabled.DEFER)
    if doing == "nothing":
        await client.send(b"n STATUS INBOX (MESSAGES)\r\n")
    said = await client.rest()
    assert b"* BYE " in said
    assert b"MESSAGES" not in said
    if how != "its domain disabled":
        await other.ok("NOOP")
