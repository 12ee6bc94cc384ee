"""All that listens, side by side: MX, submission, LMTP, POP3 and IMAP, in clear and under TLS, and on what terms."""

from __future__ import annotations

import asyncio
import imaplib
import poplib
import signal
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import program
import pytest
import trustme

from mailsystem.app import LISTENERS, SELF_SIGNED, StartupError, running
from mailsystem.net import Bound
from mailsystem.settings import (
    Imap,
    Imaps,
    Limits,
    Lmtp,
    Pop3,
    Pop3s,
    Settings,
    Smtp,
    Submission,
    Submissions,
    Tls,
    Web,
)

if TYPE_CHECKING:
    from conftest import Certificates

EVERYWHERE: dict[str, Any] = {
    "smtp": Smtp(port=0),
    "submission": Submission(port=0),
    "submissions": Submissions(port=0),
    "lmtp": Lmtp(port=0),
    "pop3": Pop3(port=0),
    "pop3s": Pop3s(port=0),
    "imap": Imap(port=0),
    "imaps": Imaps(port=0),
    "web": Web(port=0),
}
AT_ONCE = ("submissions", "pop3s", "imaps")


def settings(tmp_path: Path, certificates: Certificates | None = None, **more: Any) -> Settings:
    given: dict[str, Any] = {"data_dir": tmp_path / "data", "host": "127.0.0.1", "hostname": "mail.example.org"}
    if certificates is not None:
        given["tls"] = Tls(cert=certificates.certificate, key=certificates.key)
    return Settings(**{**given, **EVERYWHERE, **more})


async def greeting(bound: Bound, tls: ssl.SSLContext | None = None) -> bytes:
    named = {"ssl": tls, "server_hostname": "localhost"} if tls is not None else {}
    if bound.path is not None:
        reader, writer = await asyncio.open_unix_connection(bound.path, **named)
    else:
        reader, writer = await asyncio.open_connection(bound.host, bound.port, **named)
    try:
        return await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()


async def test_every_listener_greets_in_its_own_way(tmp_path: Path, certificates: Certificates) -> None:
    async with running(settings(tmp_path, certificates)) as house:
        assert list(house.bound) == list(LISTENERS)
        said = {
            name: await greeting(place, certificates.client() if name in AT_ONCE else None)
            for name, place in house.bound.items()
            if name != "web"  # who greets nobody
        }
    assert {name: line[:4] for name, line in said.items()} == {
        **dict.fromkeys(("smtp", "submission", "submissions", "lmtp"), b"220 "),
        **dict.fromkeys(("pop3", "pop3s"), b"+OK "),
        **dict.fromkeys(("imap", "imaps"), b"* OK"),
    }
    assert b"STARTTLS" not in said["imaps"]
    assert b"STARTTLS" in said["imap"]


async def test_a_role_is_all_of_its_listeners(tmp_path: Path, certificates: Certificates) -> None:
    async with running(settings(tmp_path, certificates), ["smtp"]) as house:
        assert list(house.bound) == ["smtp", "submission", "submissions", "lmtp"]
    async with running(settings(tmp_path, certificates), ["imap", "pop3"]) as house:
        assert list(house.bound) == ["pop3", "pop3s", "imap", "imaps"]


async def test_tls_at_once_without_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError) as failed:
        async with running(settings(tmp_path), ["imap"]):
            raise AssertionError
    assert str(failed.value) == "imaps speaks TLS at once and needs a certificate; name one by tls.cert and tls.key"


async def test_lmtp_listens_on_a_path_and_a_place_that_is_taken_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    wanted = Settings(
        data_dir=tmp_path / "data",
        host="127.0.0.1",
        smtp=Smtp(port=0),
        lmtp=Lmtp(path=path),
        hostname="mail.example.org",
    )
    async with running(wanted, ["smtp"]) as house:
        assert house.bound["lmtp"].path == path
        assert (await greeting(house.bound["lmtp"])).startswith(b"220 mail.example.org")
    path.write_text("")
    with pytest.raises(StartupError, match=r"/lmtp \(lmtp\.path\) is in use by another program"):
        async with running(wanted, ["smtp"]):
            raise AssertionError


def test_lmtp_by_port_is_for_this_machine_unless_it_is_told_otherwise() -> None:
    assert Settings().host == "*"
    assert Settings().lmtp.host == "127.0.0.1"


async def _ehlo(bound: Bound, word: bytes = b"EHLO") -> bytes:
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    await reader.readline()
    writer.write(word + b" client.example\r\n")
    said = b""
    while not said.endswith(b"\r\n") or said.splitlines()[-1][3:4] == b"-":
        said += await reader.readline()
    writer.close()
    return said


async def test_a_login_is_offered_to_our_people_and_never_where_strangers_come(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with running(settings(tmp_path, certificates), ["smtp"]) as house:
        assert b"AUTH" not in await _ehlo(house.bound["smtp"])
        assert b"AUTH" not in await _ehlo(house.bound["lmtp"], b"LHLO")
        assert b"AUTH PLAIN" in (await _ehlo(house.bound["submission"])).replace(b"SCRAM-SHA-256 ", b"")


async def test_the_sink_has_one_door_for_everything_and_a_certificate_of_its_own(tmp_path: Path) -> None:
    wanted = Settings(
        data_dir=tmp_path / "data",
        host="127.0.0.1",
        hostname="localhost",
        smtp=Smtp(port=0),
        pop3=Pop3(port=0),
        imap=Imap(port=0),
    )
    for _ in range(2):  # the second time it is there already
        async with running(wanted, sink=True) as house:
            assert list(house.bound) == ["smtp", "pop3", "imap"]
            said = await _ehlo(house.bound["smtp"])
            assert b"STARTTLS" in said
            assert b"AUTH" in said
            assert house.certificates is not None
            await asyncio.to_thread(house.certificates.make)  # it is made by now, or just now
            await asyncio.to_thread(_log_in_under_tls, house.bound, tmp_path / "data" / SELF_SIGNED)


def _log_in_under_tls(bound: Any, trusted: Path) -> None:
    context = ssl.create_default_context(cafile=str(trusted))
    with smtplib.SMTP("localhost", bound["smtp"].port, timeout=20) as smtp:
        smtp.starttls(context=context)
        smtp.login("ann@example.org", "any")
        smtp.sendmail("ann@example.org", ["bob@example.org"], b"Subject: x\r\n\r\n")
    pop3 = poplib.POP3("localhost", bound["pop3"].port, timeout=20)
    pop3.stls(context)
    pop3.user("bob@example.org")
    pop3.pass_("any")
    assert pop3.stat()[0] >= 1
    pop3.quit()
    with imaplib.IMAP4("localhost", bound["imap"].port, timeout=20) as imap:
        imap.starttls(context)
        imap.login("bob@example.org", "any")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smtp", b"421 4.7.0 mail.example.org too many connections"),
        ("submission", b"421 4.7.0 mail.example.org too many connections"),
        ("lmtp", b"421 4.7.0 mail.example.org too many connections"),
        ("pop3", b"-ERR [SYS/TEMP] too many connections"),
        ("imap", b"* BYE [UNAVAILABLE] too many connections"),
    ],
)
async def test_each_door_turns_away_in_its_own_words(
    tmp_path: Path, certificates: Certificates, name: str, words: bytes
) -> None:
    async with running(settings(tmp_path, certificates, limits=Limits(connections=1))) as house:
        # Whichever door the one is in, there is no room at any other.
        other = house.bound["imap" if name != "imap" else "pop3"]
        reader, writer = await asyncio.open_connection(other.host, other.port)
        await reader.readline()
        assert (await greeting(house.bound[name])).startswith(words)
        with pytest.raises(OSError):
            assert await greeting(house.bound["imaps"], certificates.client()) == b""
            raise ConnectionResetError
        writer.close()


@pytest.mark.parametrize("name", [name for name in LISTENERS if name != "web"])  # which has X-Forwarded-For
async def test_behind_a_proxy_every_door_knows_the_client(
    tmp_path: Path, certificates: Certificates, name: str
) -> None:
    import ipaddress

    events: list[Any] = []
    proxies = (ipaddress.ip_network("127.0.0.1"),)
    async with running(settings(tmp_path, certificates, proxies=proxies), sinks=[events.append]) as house:
        place = house.bound[name]
        with socket.create_connection((place.host, place.port), timeout=10) as raw:
            raw.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n")
            raw.setblocking(False)
            tls = {"ssl": certificates.client(), "server_hostname": "localhost"} if name in AT_ONCE else {}
            reader, writer = await asyncio.open_connection(sock=raw.dup(), **tls)
            assert (await reader.readline())[:3] in (b"220", b"+OK", b"* O")
            writer.close()
        for _ in range(300):
            if any(event.name == "disconnected" for event in events):
                break
            await asyncio.sleep(0.01)
    assert [event.data["peer"] for event in events if event.name == "connected"] == ["203.0.113.9:4711"]


async def test_the_whole_internet_is_no_proxy(tmp_path: Path) -> None:
    import ipaddress

    with pytest.raises(StartupError, match=r"^proxies has 0\.0\.0\.0/0: "):
        async with running(settings(tmp_path, proxies=(ipaddress.ip_network("0.0.0.0/0"),)), ["smtp"]):
            raise AssertionError


def _served(tmp_path: Path, certificates: Certificates, *args: str) -> program.Program:
    env = {"MAILSYSTEM_TLS__CERT": str(certificates.certificate), "MAILSYSTEM_TLS__KEY": str(certificates.key)}
    return program.serve(tmp_path, env=env, args=args)


def test_the_ready_file_names_every_listener(tmp_path: Path, certificates: Certificates) -> None:
    with _served(tmp_path, certificates, "--lmtp-port", "0", "--web-port", "0") as served:
        assert set(served.ready) == {"pid", *LISTENERS}
        context = certificates.client()
        with smtplib.SMTP_SSL("localhost", served.ready["submissions"]["port"], context=context, timeout=20) as smtp:
            assert smtp.noop()[0] == 250
        poplib.POP3_SSL("localhost", served.ready["pop3s"]["port"], context=context, timeout=20).quit()
        with imaplib.IMAP4_SSL("localhost", served.ready["imaps"]["port"], ssl_context=context, timeout=20) as imap:
            assert imap.noop()[0] == "OK"


def test_off_closes_a_door_that_a_certificate_would_open(tmp_path: Path, certificates: Certificates) -> None:
    env = {
        "MAILSYSTEM_LMTP__PATH": "lmtp",
        "MAILSYSTEM_TLS__CERT": str(certificates.certificate),
        "MAILSYSTEM_TLS__KEY": str(certificates.key),
    }
    flags = ["--submissions-port", "off", "--pop3s-port", "off", "--imaps-port", "off"]
    with program.serve(tmp_path, env=env, args=flags) as served:
        assert set(served.ready) == {"pid", "smtp", "submission", "lmtp", "pop3", "imap"}
        assert served.ready["lmtp"] == {"path": str(tmp_path / "lmtp")}


def test_sighup_has_a_new_certificate_read_while_sessions_go_on(tmp_path: Path) -> None:
    authority = trustme.CA()
    files = {"cert": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}

    def renew() -> bytes:
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(files["key"])
        issued.cert_chain_pems[0].write_to_path(files["cert"])
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    context = ssl.create_default_context()
    authority.configure_trust(context)

    def shown(port: int) -> bytes:
        raw = socket.create_connection(("localhost", port), timeout=20)
        with context.wrap_socket(raw, server_hostname="localhost") as secure:
            return secure.getpeercert(binary_form=True) or b""

    old = renew()
    env = {"MAILSYSTEM_TLS__CERT": str(files["cert"]), "MAILSYSTEM_TLS__KEY": str(files["key"])}
    with program.serve(tmp_path / "home", env=env, args=["--log-format", "json"]) as served:
        port = served.ready["imaps"]["port"]
        assert shown(port) == old
        with imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=20) as session:
            new = renew()
            served.process.send_signal(signal.SIGHUP)
            _until(lambda: any(event["event"] == "certificate loaded" for event in served.log()))
            _until(lambda: shown(port) == new)  # each worker reads it by itself
            assert session.noop()[0] == "OK"


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
