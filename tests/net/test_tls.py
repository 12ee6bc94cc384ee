"""Certificates: new files come into force while sessions go on, bad ones never do, and each name is shown its own."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mailsystem.net import (
    BadCertificate,
    Bound,
    Certificates,
    Closed,
    Connection,
    Injected,
    Limits,
    Pair,
    Terms,
    listen,
    self_signed,
)
from mailsystem.net.tls import end_point
from mailsystem.telemetry import Event, Trace

AUTHORITY = trustme.CA()
KIND = "tls-server-end-point"


def write(place: Path, *names: str) -> Pair:
    """Certificate files for `names`, over those that are there."""
    place.mkdir(exist_ok=True)
    issued = AUTHORITY.issue_cert(*names)
    pair = Pair(place / "cert.pem", place / "key.pem")
    pair.key.write_bytes(issued.private_key_pem.bytes())
    pair.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return pair


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(
        pair.cert.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    )


async def bind_and_echo(connection: Connection) -> None:
    """Starts TLS if it must, tells the channel binding, then gives back what it hears."""
    if connection.secure is None:
        await connection.read(5)
        connection.write(b"go\n")
        with suppress(Injected):
            await connection.start_tls(CURRENT.context)
    connection.write((connection.binding(KIND) or b"").hex().encode() + b"\n")
    with suppress(Closed):
        while True:
            connection.write(await connection.read(5))


CURRENT: Certificates


@asynccontextmanager
async def door(certificates: Certificates) -> AsyncIterator[Bound]:
    async with listen(bind_and_echo, "127.0.0.1", 0, tls=certificates.context, grace=1.0) as bound:
        yield bound


@asynccontextmanager
async def client(
    bound: Bound, name: str = "mail.example.org"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]]:
    """A client that insists on the right certificate for `name`; gives that certificate too."""
    reader, writer = await asyncio.open_connection(bound.host, bound.port, ssl=trusting(), server_hostname=name)
    try:
        yield reader, writer, writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def shown(bound: Bound, name: str = "mail.example.org") -> bytes:
    async with client(bound, name) as (_, _, certificate):
        return certificate


async def test_a_new_certificate_is_shown_to_the_next_client_and_the_others_notice_nothing(tmp_path: Path) -> None:
    events: list[Event] = []
    old = der(pair := write(tmp_path, "mail.example.org"))
    certificates = Certificates(pair, trace=Trace([events.append]))
    async with door(certificates) as bound, client(bound) as (reader, writer, certificate):
        assert certificate == old
        await reader.readline()
        new = der(write(tmp_path, "mail.example.org"))
        assert certificates.reload()
        assert new != old
        assert await shown(bound) == new
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
    assert [event.name for event in events] == ["certificate loaded"]


async def test_bad_files_change_nothing_and_are_told_in_a_sentence(tmp_path: Path) -> None:
    events: list[Event] = []
    old = der(pair := write(tmp_path, "mail.example.org"))
    certificates = Certificates(pair, trace=Trace([events.append]))
    good = pair.key.read_bytes()
    async with door(certificates) as bound:
        for key, cert in (
            (b"", None),
            (b"junk", None),
            (write(tmp_path / "x", "x.example").key.read_bytes(), None),
            (good, b"no"),
        ):
            pair.key.write_bytes(key)
            if cert is not None:
                pair.cert.write_bytes(cert)
            assert not certificates.reload()
            assert await shown(bound) == old
        pair.cert.unlink()
        assert not certificates.reload()
        assert await shown(bound) == old
    told = [event.data["reason"] for event in events if event.name == "certificate refused"]
    assert len(told) == 5
    assert "does not belong to the certificate" in told[2]
    assert told[4] == f"cannot read {pair.cert} (tls.cert): no such file or directory"


async def test_changed_files_are_noticed_and_half_of_a_change_is_waited_out(tmp_path: Path) -> None:
    events: list[Event] = []
    certificates = Certificates(pair := write(tmp_path, "mail.example.org"), trace=Trace([events.append]))
    watching = asyncio.create_task(certificates.watch(0.01))

    async def until(count: int) -> list[str]:
        for _ in range(500):
            if len(events) >= count:
                break
            await asyncio.sleep(0.01)
        return [event.name for event in events]

    await asyncio.sleep(0.05)
    assert events == []
    new = write(tmp_path / "new", "mail.example.org")
    pair.cert.write_bytes(new.cert.read_bytes())
    assert await until(1) == ["certificate refused"]
    await asyncio.sleep(0.05)
    assert len(events) == 1, "it is not told again and again"
    pair.key.write_bytes(new.key.read_bytes())
    assert (await until(2))[-1] == "certificate loaded"
    async with door(certificates) as bound:
        assert await shown(bound) == der(new)
    watching.cancel()


async def test_who_asks_has_the_files_read_at_once(tmp_path: Path) -> None:
    events: list[Event] = []
    certificates = Certificates(write(tmp_path, "mail.example.org"), trace=Trace([events.append]))
    watching = asyncio.create_task(certificates.watch(3600))
    await asyncio.sleep(0)
    certificates.ask()
    for _ in range(500):
        if events:
            break
        await asyncio.sleep(0.01)
    assert [event.name for event in events] == ["certificate loaded"]
    watching.cancel()


async def test_each_name_is_shown_its_own_certificate(tmp_path: Path) -> None:
    first = write(tmp_path / "first", "mail.example.org", "other.example.org")
    exact = write(tmp_path / "exact", "mail.example.net")
    wild = write(tmp_path / "wild", "*.example.com")
    certificates = Certificates(first, {"mail.Example.net": exact, "*.example.com": wild})
    async with door(certificates) as bound:
        assert await shown(bound) == der(first)
        assert await shown(bound, "mail.example.net") == der(exact)
        assert await shown(bound, "imap.example.com") == der(wild)
        assert await shown(bound, "other.example.org") == der(first), "an unknown name is shown the first one"
        careless = trusting()
        careless.check_hostname = False
        reader, writer = await asyncio.open_connection(bound.host, bound.port, ssl=careless, server_hostname="")
        assert writer.get_extra_info("ssl_object").getpeercert(binary_form=True) == der(first), "and so is no name"
        await reader.readline()
        writer.close()
        new = write(tmp_path / "exact", "mail.example.net")
        assert certificates.reload()
        assert await shown(bound, "mail.example.net") == der(new)


async def test_the_binding_is_the_hash_of_the_certificate_that_was_shown(tmp_path: Path) -> None:
    global CURRENT
    first, further = write(tmp_path / "a", "mail.example.org"), write(tmp_path / "b", "mail.example.net")
    CURRENT = Certificates(first, {"mail.example.net": further})
    async with door(CURRENT) as bound:
        for name, pair in (("mail.example.org", first), ("mail.example.net", further)):
            async with client(bound, name) as (reader, _, certificate):
                assert certificate == der(pair)
                assert await reader.readline() == hashlib.sha256(certificate).hexdigest().encode() + b"\n"
    # And the same where TLS is started in mid-stream.
    async with listen(bind_and_echo, "127.0.0.1", 0, grace=1.0) as bound:
        reader, writer = await asyncio.open_connection(bound.host, bound.port)
        writer.write(b"STARTTLS")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(trusting(), server_hostname="mail.example.net")
        assert await reader.readline() == hashlib.sha256(der(further)).hexdigest().encode() + b"\n"
        writer.close()


async def test_there_is_no_binding_in_clear_nor_of_another_kind() -> None:
    told: list[bytes | None] = []

    async def serve(connection: Connection) -> None:
        told.extend([connection.binding(KIND), connection.binding("tls-unique")])

    async with listen(serve, "127.0.0.1", 0, grace=1.0) as bound:
        reader, writer = await asyncio.open_connection(bound.host, bound.port)
        assert await reader.read() == b""
        writer.close()
    assert told == [None, None]


@pytest.mark.parametrize(
    ("key", "algorithm", "name"),
    [
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256(), "sha256"),
        (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), "sha384"),
        (rsa.generate_private_key(65537, 2048), hashes.SHA512(), "sha512"),
        (rsa.generate_private_key(65537, 2048), hashes.SHA256(), "sha256"),
        (ed25519.Ed25519PrivateKey.generate(), None, None),
    ],
    ids=["P-256", "P-384", "RSA with SHA-512", "RSA", "Ed25519"],
)
def test_the_hash_is_that_of_the_certificates_signature(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, algorithm: hashes.SHA256, name: str | None
) -> None:
    import datetime

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + datetime.timedelta(1)).sign(
        key, algorithm
    )
    file = tmp_path / "both.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = Certificates(Pair(file, file))._served[""]
    expected = name and hashlib.new(name, made.public_bytes(serialization.Encoding.DER)).digest()
    assert end_point(context) == expected


def test_a_context_of_somebody_elses_has_no_binding() -> None:
    assert end_point(None) is None
    assert end_point(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) is None


async def test_tls_before_1_2_is_not_spoken(tmp_path: Path) -> None:
    async with door(Certificates(write(tmp_path, "mail.example.org"))) as bound:
        old = trusting()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with old_versions():
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):
            await asyncio.open_connection(bound.host, bound.port, ssl=old, server_hostname="mail.example.org")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        _, writer = await asyncio.open_connection(bound.host, bound.port, ssl=old, server_hostname="mail.example.org")
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.close()


@contextmanager
def old_versions() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def test_a_certificate_of_its_own_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    file = tmp_path / "own.pem"
    certificates = self_signed(file, ["localhost", "127.0.0.1", "::1"])
    assert certificates.waiting
    assert os.listdir(tmp_path) == []
    certificates.make()
    assert not certificates.waiting
    first = file.read_bytes()
    again = self_signed(file, ["localhost"])
    assert not again.waiting
    again.make()
    certificates.make()
    assert file.read_bytes() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["own.pem"]
    [names] = [
        one.value
        for one in x509.load_pem_x509_certificate(first).extensions
        if isinstance(one.value, x509.SubjectAlternativeName)
    ]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    file.write_bytes(b"broken")
    self_signed(file, ["localhost"]).make()
    Certificates(Pair(file, file))


def test_it_is_made_where_no_process_may_be_started_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    certificates = self_signed(tmp_path / "own.pem", ["localhost"])
    certificates.make()
    Certificates(Pair(tmp_path / "own.pem", tmp_path / "own.pem"))


def test_making_it_brings_nothing_large_into_the_program(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, mailsystem.net as net; net.self_signed(pathlib.Path(sys.argv[1]), ['localhost']).make()"
    )
    said = subprocess.run(
        [sys.executable, "-c", f"{program}; print(*sys.modules)", str(tmp_path / "own.pem")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (tmp_path / "own.pem").exists()
    assert "cryptography" not in said.stdout.split()


def test_nothing_that_lies_where_the_program_was_started_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "ipaddress.py").write_text("open('run', 'w').close()\n")
    monkeypatch.chdir(tmp_path / "here")
    self_signed(tmp_path / "own.pem", ["localhost", "no..name", "x" * 64]).make()
    assert not (tmp_path / "here" / "run").exists()
    assert (tmp_path / "own.pem").exists()


async def test_it_is_made_when_somebody_asks_and_for_a_handshake_at_the_latest(tmp_path: Path) -> None:
    asked = self_signed(tmp_path / "asked.pem", ["localhost"])
    watching = asyncio.create_task(asked.watch())
    asked.ask()
    until = time.monotonic() + 60
    while asked.waiting and time.monotonic() < until:  # noqa: ASYNC110 - it says nothing of what was only made
        await asyncio.sleep(0.01)
    watching.cancel()
    assert (tmp_path / "asked.pem").exists()

    certificates = self_signed(tmp_path / "own.pem", ["localhost", "127.0.0.1"])
    async with door(certificates) as bound:
        blind = ssl.create_default_context()
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(bound.host, bound.port, ssl=blind)
        assert len(await reader.readline()) == 65
        writer.close()
        assert not certificates.waiting


async def test_one_that_cannot_be_made_costs_the_handshake_and_says_so(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    heard: list[Event] = []
    certificates = self_signed(place / "own.pem", ["localhost"], trace=Trace([heard.append]))
    place.rmdir()
    async with door(certificates) as bound:
        with pytest.raises(OSError):
            await asyncio.open_connection(bound.host, bound.port, ssl=ssl.create_default_context())
    assert [event.name for event in heard] == ["certificate refused"]
    with pytest.raises(OSError):
        self_signed(place / "own.pem", ["localhost"])


async def test_a_client_that_is_told_to_can_trust_it(tmp_path: Path) -> None:
    certificates = self_signed(tmp_path / "own.pem", ["localhost", "127.0.0.1"])
    certificates.make()
    async with door(certificates) as bound:
        context = ssl.create_default_context(cafile=str(tmp_path / "own.pem"))
        for name in ("localhost", "127.0.0.1"):
            reader, writer = await asyncio.open_connection(bound.host, bound.port, ssl=context, server_hostname=name)
            assert len(await reader.readline()) == 65
            writer.close()


def test_files_that_are_no_good_are_refused_from_the_start(tmp_path: Path) -> None:
    pair = write(tmp_path, "mail.example.org")
    with pytest.raises(BadCertificate, match=r"cannot read .*nothing \(tls\.key\)"):
        Certificates(Pair(pair.cert, tmp_path / "nothing"))
    with pytest.raises(BadCertificate, match=r"\(further\.cert\)"):
        Certificates(pair, {"x.example": Pair(tmp_path / "nothing", pair.key, "further")})


def test_uvloop_carries_proxies_certificates_and_bindings_too(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")
    first, further = write(tmp_path / "a", "mail.example.org"), write(tmp_path / "b", "mail.example.net")
    certificates = Certificates(first, {"mail.example.net": further})
    seen: list[tuple[str, bytes | None]] = []

    async def serve(connection: Connection) -> None:
        seen.append((connection.peer.host, connection.binding(KIND)))

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        terms = Terms(Limits(0, 1), (ipaddress.ip_network("127.0.0.1"),))
        async with listen(serve, "127.0.0.1", 0, tls=certificates.context, terms=terms, grace=1.0) as bound:
            raw = socket.create_connection((bound.host, bound.port))
            raw.setblocking(False)
            for piece in (b"PROXY ", b"TCP4 203.0.113.9 ", b"192.0.2.1 4711 25\r\n"):
                await loop.sock_sendall(raw, piece)
                await asyncio.sleep(0.05)
            reader, writer = await asyncio.open_connection(sock=raw, ssl=trusting(), server_hostname="mail.example.net")
            assert await reader.read() == b""
            writer.close()

    uvloop.run(talk())
    assert seen == [("203.0.113.9", hashlib.sha256(der(further)).digest())]


async def test_an_idle_tls_connection_holds_no_large_buffer(tmp_path: Path) -> None:
    pair = write(tmp_path / "tls", "localhost")
    served: list[Connection] = []

    async def serve(connection: Connection) -> None:
        served.append(connection)
        while True:
            connection.write(await connection.read(10))

    async with listen(serve, "127.0.0.1", 0, tls=Certificates(pair).context) as bound:
        reader, writer = await asyncio.open_connection(
            bound.host, bound.port, ssl=trusting(), server_hostname="localhost"
        )
        sent = os.urandom(1 << 20)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        held = served[0]._transport._ssl_protocol._ssl_buffer  # type: ignore[attr-defined]
        assert len(held) <= 32 * 1024
        writer.close()
