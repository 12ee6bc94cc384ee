"""The three doors ask one directory: what they offer, whom they let in, and that nothing secret is ever traced.

The clients are the standard library's, msmtp and curl: they carry the messages in their own way.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import imaplib
import poplib
import re
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from outside import Certificates, Tool
from scram_client import ScramClient

from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory, hash_password
from mailsystem.imap.server import serving as imap_serving
from mailsystem.mail.errors import AuthFailed
from mailsystem.mail.sasl import Keys
from mailsystem.net.tls import Certificates as Served
from mailsystem.net.tls import Pair
from mailsystem.pop3.server import serving as pop3_serving
from mailsystem.smtp.server import serving as smtp_serving
from mailsystem.store import Store, open_store
from mailsystem.telemetry import Event, Trace

ANN = "ann@home.test"
PASSWORD = "correct-horse"
TOKEN = "good.token-of-hers"
HASHED = {"scram": Keys.derive(PASSWORD, iterations=4096).dump()}  # made once
DOORS = ("smtp", "pop3", "imap")


class Issuer:
    async def login(self, token: str, *, claimed: str) -> str:
        if token != TOKEN:
            raise AuthFailed
        return ANN


@dataclass
class House:
    """Three doors before one store."""

    store: Store
    ports: dict[str, int]
    certificates: Certificates
    events: list[Event] = field(default_factory=list)

    def told(self, name: str) -> list[tuple[str, str, str]]:
        return [(e.door, e.data["login"], e.data["mechanism"]) for e in self.events if e.name == name]


@pytest.fixture
async def house(tmp_path: Path, certificates: Certificates) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(tmp_path / "store"))
        hashed = HASHED.get("argon2") or HASHED.setdefault("argon2", await hash_password(PASSWORD))
        await store.accounts.add(ANN, hashed, scram=HASHED["scram"])
        directory = AccountsDirectory(store, default_domain="home.test", tokens=Issuer())
        made = House(store, {}, certificates)
        trace = Trace([made.events.append], lines=True)
        tls = Served(Pair(certificates.certificate, certificates.key)).context
        delivery = Delivery(store, directory, hostname="mx.home.test")
        place = {"host": "127.0.0.1", "port": 0, "tls": tls}
        for name, door in (
            ("smtp", smtp_serving(store, directory, delivery, trace, offer_auth=True, **place)),
            ("pop3", pop3_serving(store, directory, trace, **place)),
            ("imap", imap_serving(store, directory, trace, **place)),
        ):
            made.ports[name] = (await stack.enter_async_context(door)).port
        yield made
    said = repr(made.events)
    assert "bug" not in [event.name for event in made.events]
    for secret in (PASSWORD, TOKEN, "n=ann", "v="):
        assert secret not in said
        # However it stands in what is encoded: three ways to begin, without what depends on its neighbours.
        for lead in range(3):
            encoded = base64.b64encode(b"x" * lead + secret.encode()).decode().rstrip("=")
            assert len(secret) < 6 or encoded[4:-2] not in said
    assert not re.search(r"C: |,s=|,i=\d", said)


def log_in(
    house: House, door: str, mechanism: str, answers: Callable[[bytes], bytes], *, tls: bool = True
) -> list[str]:
    """Log in by a client of the standard library; returns what was offered. Raises the client's own error."""
    port, context = house.ports[door], house.certificates.client()
    if door == "smtp":
        with smtplib.SMTP("localhost", port, timeout=20) as smtp:
            if tls:
                smtp.starttls(context=context)
            smtp.ehlo()
            offered = smtp.esmtp_features["auth"].split()
            first = answers(b"")
            code, text = smtp.docmd("AUTH", f"{mechanism} {base64.b64encode(first).decode()}")
            while code == 334:
                code, text = smtp.docmd(base64.b64encode(answers(base64.b64decode(text))).decode())
            if code != 235:
                raise smtplib.SMTPAuthenticationError(code, text)
            return offered
    if door == "pop3":
        pop3 = poplib.POP3("localhost", port, timeout=20)
        try:
            if tls:
                pop3.stls(context)
            offered = pop3.capa()["SASL"]
            pop3._putcmd(f"AUTH {mechanism}")  # type: ignore[attr-defined]
            while (line := pop3._getresp()).startswith(b"+ "):  # type: ignore[attr-defined]
                pop3._putline(base64.b64encode(answers(base64.b64decode(line[2:]))))  # type: ignore[attr-defined]
            return offered
        finally:
            pop3.close()
    imap = imaplib.IMAP4("localhost", port, timeout=20)
    try:
        if tls:
            imap.starttls(context)
        offered = [word.removeprefix("AUTH=") for word in imap.capabilities if word.startswith("AUTH=")]
        imap.authenticate(mechanism, answers)
        return offered
    finally:
        imap.shutdown()


def scram(client: ScramClient) -> Callable[[bytes], bytes]:
    def answer(challenge: bytes) -> bytes:
        if not challenge:
            return client.first
        if challenge.startswith(b"v="):
            assert client.believes(challenge)
            return b""
        return client.final(challenge)

    return answer


def at_once(first: bytes) -> Callable[[bytes], bytes]:
    return lambda challenge: b"\1" if challenge else first


WAYS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "PLAIN": lambda: at_once(f"\0ann\0{PASSWORD}".encode()),
    "SCRAM-SHA-256": lambda: scram(ScramClient("ann", PASSWORD)),
    "scram-sha-256": lambda: scram(ScramClient(ANN, PASSWORD)),
    "OAUTHBEARER": lambda: at_once(f"n,a=ann,\1host=localhost\1auth=Bearer {TOKEN}\1\1".encode()),
    "XOAUTH2": lambda: at_once(f"user={ANN}\1auth=Bearer {TOKEN}\1\1".encode()),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("door", DOORS)
async def test_each_mechanism_opens_each_door(house: House, door: str, way: str) -> None:
    offered = await asyncio.to_thread(log_in, house, door, way, WAYS[way]())
    assert offered == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]
    assert house.told("logged in") == [(door, ANN, way.upper())]
    await house.store.accounts.history.settle()
    [login] = await house.store.accounts.logins(ANN)
    assert (login.ok, login.door, login.mechanism) == (True, door, way.upper())


def channel(certificates: Certificates) -> bytes:
    """RFC 5929 4, for a certificate that is signed with SHA-256."""
    first = certificates.certificate.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).digest()


@pytest.mark.parametrize("door", DOORS)
async def test_a_channel_can_be_bound_at_each_door(house: House, door: str) -> None:
    header, binding = b"p=tls-server-end-point,,", channel(house.certificates)
    client = ScramClient(ANN, PASSWORD, header=header, binding=binding)
    await asyncio.to_thread(log_in, house, door, "SCRAM-SHA-256-PLUS", scram(client))
    assert house.told("logged in") == [(door, ANN, "SCRAM-SHA-256-PLUS")]
    refused = (smtplib.SMTPAuthenticationError, poplib.error_proto, imaplib.IMAP4.error)
    for bad in (
        ("SCRAM-SHA-256-PLUS", ScramClient(ANN, PASSWORD, header=header, binding=bytes(32))),
        ("SCRAM-SHA-256", ScramClient(ANN, PASSWORD, header=b"y,,")),
    ):
        with pytest.raises(refused):
            await asyncio.to_thread(log_in, house, door, bad[0], scram(bad[1]))
    assert len(house.told("login failed")) == 2


@pytest.mark.parametrize("door", DOORS)
async def test_in_clear_there_is_nothing_to_bind(house: House, door: str) -> None:
    offered = await asyncio.to_thread(
        log_in, house, door, "SCRAM-SHA-256", scram(ScramClient("ann", PASSWORD)), tls=False
    )
    assert offered[0] == "SCRAM-SHA-256"


REFUSED = {
    "smtp": r"5\.7\.8 authentication failed",
    "pop3": r"\[AUTH\] authentication failed",
    "imap": "authentication failed",
}


@pytest.mark.parametrize(
    ("way", "answer"),
    [
        ("SCRAM-SHA-256", lambda: scram(ScramClient("ann", PASSWORD + "x"))),
        ("SCRAM-SHA-256", lambda: scram(ScramClient("nobody", PASSWORD))),
        ("OAUTHBEARER", lambda: at_once(b"n,a=ann,\1auth=Bearer bad\1\1")),
        ("XOAUTH2", lambda: at_once(b"user=nobody\1auth=Bearer " + TOKEN.encode() + b"\1\1")),
        ("PLAIN", lambda: at_once(f"\0nobody\0{PASSWORD}".encode())),
    ],
    ids=["wrong password", "unknown login", "bad token", "another's token", "plain"],
)
@pytest.mark.parametrize("door", DOORS)
async def test_whatever_is_wrong_is_told_alike(
    house: House, door: str, way: str, answer: Callable[[], Callable[[bytes], bytes]]
) -> None:
    refused = (smtplib.SMTPAuthenticationError, poplib.error_proto, imaplib.IMAP4.error)
    with pytest.raises(refused, match=REFUSED[door]):
        await asyncio.to_thread(log_in, house, door, way, answer())
    assert [(told[0], told[2]) for told in house.told("login failed")] == [(door, way)]


async def ran(*command: str, stdin: bytes = b"", expect: int = 0) -> bytes:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    said, _ = await asyncio.wait_for(process.communicate(stdin), 30)
    assert process.returncode == expect, said.decode("utf-8", "replace")
    return said


@pytest.mark.judge
@pytest.mark.parametrize("tls", ["off", "on"])
@pytest.mark.parametrize("auth", ["scram-sha-256", "oauthbearer", "xoauth2", "on"])
async def test_msmtp(house: House, tool: Tool, auth: str, tls: str) -> None:
    msmtp = tool("msmtp")
    if auth != "on" and auth.encode() not in (await ran(msmtp, "--version")):
        pytest.skip(f"this msmtp does not know {auth}")
    secret = TOKEN if "auth" in auth else PASSWORD
    await ran(
        *(msmtp, "--file=/dev/null", "--host=localhost", f"--port={house.ports['smtp']}", f"--tls={tls}"),
        *((f"--tls-trust-file={house.certificates.authority}",) if tls == "on" else ()),
        *(f"--auth={auth}", f"--user={ANN}", f"--passwordeval=echo {secret}", "--from=ann@home.test", ANN),
        stdin=b"Subject: msmtp\n\nbody\n",
    )
    [(door, login, mechanism)] = house.told("logged in")
    assert (door, login) == ("smtp", ANN)
    assert auth == "on" or mechanism == auth.upper()


@pytest.mark.judge
@pytest.mark.parametrize("ir", [(), ("--sasl-ir",)], ids=["asked", "at once"])
@pytest.mark.parametrize("door", DOORS)
async def test_curl_brings_a_token(house: House, tool: Tool, tmp_path: Path, door: str, ir: tuple[str, ...]) -> None:
    curl = tool("curl")
    way = "OAUTHBEARER"  # where that is offered, curl takes XOAUTH2 for nothing that anybody says
    (tmp_path / "mail").write_bytes(b"Subject: curl\r\n\r\nbody\r\n")
    what = ("--mail-from", ANN, "--mail-rcpt", ANN, "-T", str(tmp_path / "mail")) if door == "smtp" else ()
    common = [
        *(curl, "-sS", "--max-time", "20", "--ssl-reqd", "--cacert", str(house.certificates.authority), *ir, *what),
        *("--user", f"{ANN}:", f"{door}://localhost:{house.ports[door]}/"),
    ]
    await ran(*common, "--oauth2-bearer", TOKEN)
    assert house.told("logged in") == [(door, ANN, way)]
    await ran(*common, "--oauth2-bearer", "bad.token", expect=67)
    assert house.told("login failed") == [(door, ANN, way)]
