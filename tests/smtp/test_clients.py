"""The judges: clients that others wrote."""

from __future__ import annotations

import asyncio
import email.message
import email.policy
import hashlib
import re
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from outside import Certificates, Tool
from smtp_door import PASSWORD, House

from mailsystem.net import Bound

pytestmark = pytest.mark.judge
LOGIN = "ann@example.org"


async def with_smtplib(door: Bound, use: Callable[[smtplib.SMTP], object]) -> None:
    def run() -> None:
        with smtplib.SMTP(door.host, door.port, local_hostname="client.example", timeout=20) as client:
            use(client)

    await asyncio.to_thread(run)


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: x\r\n\r\nbody\r\n",
        b"Subject: 8-bit\r\n\r\ncaf\xe9\r\n",
        b"Subject: long\r\n\r\n" + b"x" * 5000 + b"\r\n",
        b"Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\n\r\n.\r\n",
        b"Subject: empty\r\n\r\n",
        b"\r\n",
        b"Subject: unfinished\r\n\r\nno newline at the end",
    ],
    ids=lambda raw: repr(raw)[:30],
)
async def test_smtplib_sends_octets_and_they_arrive(raw: bytes, house: House) -> None:
    def send(client: smtplib.SMTP) -> None:
        assert client.sendmail("sue@example.net", [LOGIN, "bob@example.org"], raw, ["BODY=8BITMIME"]) == {}

    async with house.door() as door:
        await with_smtplib(door, send)
    # SMTP has lines only: the last one is ended by the client (RFC 5321 4.1.1.4).
    whole = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
    assert await house.received(LOGIN) == [whole]
    assert await house.received("bob@example.org") == [whole]


async def test_smtplib_sends_30_megabytes(house: House) -> None:
    raw = b"Subject: large\r\n\r\n" + (b"x" * 74 + b"\r\n.\r\n") * 400_000

    async with house.door() as door:
        await with_smtplib(door, lambda client: client.sendmail("sue@example.net", [LOGIN], raw))
    (kept,) = await house.received(LOGIN)
    assert hashlib.sha256(kept).digest() == hashlib.sha256(raw).digest()


async def test_smtplib_sends_utf8_addresses(house: House) -> None:
    await house.store.accounts.add("jörg@example.org", None)
    message = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    message["From"], message["To"], message["Subject"] = "sué@example.net", "jörg@example.org", "Grüße"
    message.set_content("Schöne Grüße\n")
    async with house.door() as door:
        await with_smtplib(door, lambda client: client.send_message(message))
    (raw,) = await house.kept("jörg@example.org")
    assert "Return-Path: <sué@example.net>\r\n".encode() in raw
    assert b"with UTF8SMTP id" in raw
    assert "Subject: Grüße\r\n".encode() in raw


async def test_smtplib_is_told_who_does_not_live_here(house: House) -> None:
    def send(client: smtplib.SMTP) -> None:
        refused = client.sendmail("sue@example.net", [LOGIN, "nobody@example.org", "x@elsewhere.example"], b"x\r\n")
        assert {address: code for address, (code, _) in refused.items()} == {
            "nobody@example.org": 550,
            "x@elsewhere.example": 550,
        }
        assert refused["nobody@example.org"][1].startswith(b"5.1.1 ")
        assert refused["x@elsewhere.example"][1].startswith(b"5.7.1 ")

    async with house.door(size_limit=1000) as door:
        await with_smtplib(door, send)

        def too_much(client: smtplib.SMTP) -> None:
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail("sue@example.net", [LOGIN], b"x" * 2000)
            assert refused.value.smtp_code == 552

        await with_smtplib(door, too_much)


async def test_smtplib_starts_tls_and_logs_in(house: House, certificates: Certificates) -> None:
    def send(client: smtplib.SMTP) -> None:
        client.starttls(context=certificates.client())
        client.ehlo()
        for mechanism in ("AUTH PLAIN", "AUTH LOGIN"):
            assert mechanism.split()[1] in client.esmtp_features["auth"]
        client.login(LOGIN, PASSWORD)
        client.sendmail("sue@example.net", [LOGIN], b"x\r\n")

    async with house.door(tls=certificates.server()) as door:
        door = Bound("localhost", door.port)
        await with_smtplib(door, send)
    assert b"with ESMTPSA id" in (await house.kept(LOGIN))[0]


async def ran(*command: str, stdin: bytes = b"") -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(stdin), 30)
    assert process.returncode == 0, said.decode("utf-8", "replace")
    return said


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("tls", [(), ("--tls",)], ids=["clear", "tls"])
async def test_swaks(
    mechanism: str, tls: tuple[str, ...], house: House, certificates: Certificates, tool: Tool
) -> None:
    if tls and b"=== TLS supported" not in await ran(tool("swaks"), "--support"):
        pytest.skip("swaks cannot do TLS here: Net::SSLeay is missing")
    async with house.door(tls=certificates.server()) as door:
        said = await ran(
            *(tool("swaks"), "--server", door.host, "--port", str(door.port), "--helo", "client.example", *tls),
            *("--auth", mechanism, "--auth-user", LOGIN, "--auth-password", PASSWORD, "--pipeline"),
            *("--from", "sue@example.net", "--to", f"{LOGIN},bob@example.org", "--body", ".first\n\nlast"),
        )
    assert re.search(rb"<[~-]\*?  250 2\.0\.0 ok, queued as", said)
    assert (await house.received(LOGIN))[0].endswith(b"\r\n\r\n.first\r\n\r\nlast\r\n\r\n")
    assert len(await house.received("bob@example.org")) == 1


async def test_curl(house: House, certificates: Certificates, tool: Tool) -> None:
    raw = b"Subject: curl\r\n\r\n.dot\r\n" + b"x" * 300_000 + b"\r\n"
    async with house.door(tls=certificates.server()) as door:
        await ran(
            *(tool("curl"), "-sS", "--url", f"smtp://localhost:{door.port}/client.example", "--ipv4", "--ssl-reqd"),
            *("--cacert", str(certificates.authority), "--user", f"{LOGIN}:{PASSWORD}"),
            *("--mail-from", "sue@example.net", "--mail-rcpt", LOGIN, "--upload-file", "-"),
            stdin=raw,
        )
    assert await house.received(LOGIN) == [raw]


async def test_msmtp(house: House, certificates: Certificates, tool: Tool, tmp_path: Path) -> None:
    async with house.door(tls=certificates.server()) as door:
        await ran(
            *(tool("msmtp"), "--file=/dev/null", "--host=localhost", f"--port={door.port}", "--tls=on"),
            *(f"--tls-trust-file={certificates.authority}", "--auth=plain", f"--user={LOGIN}"),
            *(f"--passwordeval=echo '{PASSWORD}'", "--from=sue@example.net", "--domain=client.example", LOGIN),
            stdin=b"Subject: msmtp\n\n.\n..\nbody\n",
        )
    assert (await house.received(LOGIN))[0].endswith(b"Subject: msmtp\r\n\r\n.\r\n..\r\nbody\r\n")


async def test_tls_clients_that_trust_nobody_are_left_alone(house: House, certificates: Certificates) -> None:
    def distrust(client: smtplib.SMTP) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            client.starttls(context=ssl.create_default_context())
        client.close()

    async with house.door(tls=certificates.server()) as door:
        await with_smtplib(door, distrust)
        await with_smtplib(door, lambda client: client.sendmail("sue@example.net", [LOGIN], b"x\r\n"))
    assert len(await house.kept(LOGIN)) == 1
