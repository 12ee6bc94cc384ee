"""The composition root: what runs, what is said when it cannot, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailsystem import app
from mailsystem.app import ROLES, Role, StartupError, opened, running
from mailsystem.app.listeners import why_not as why_not_listening
from mailsystem.mail.errors import Unavailable
from mailsystem.settings import Imap, Pop3, Queue, Settings, Smtp, Tls
from mailsystem.telemetry import Event

if TYPE_CHECKING:
    from conftest import Certificates, Tool


def settings(tmp_path: Path, **more: Any) -> Settings:
    """Free ports on loopback."""
    quiet: dict[str, Any] = {
        "data_dir": tmp_path / "data",
        "host": "127.0.0.1",
        "hostname": "mail.example.org",
        "smtp": Smtp(port=0),
        "pop3": Pop3(port=0),
        "imap": Imap(port=0),
    }
    return Settings(**{**quiet, **more})


async def why_not(wanted: Settings, roles: tuple[Any, ...] = ROLES, *, sink: bool = False) -> str:
    """The sentence with which it refuses to start."""
    with pytest.raises(StartupError) as failed:
        async with running(wanted, roles, sink=sink):
            raise AssertionError("it did start")
    assert "\n" not in str(failed.value)
    return str(failed.value)


async def greeting(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = await reader.readline()
    writer.close()
    return line


def taken() -> socket.socket:
    """A port that somebody else listens on."""
    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    return other


async def test_every_door_listens_when_running_yields(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as house:
        assert list(house.bound) == [role for role in ROLES if role not in ("queue", "web")]
        said = [await greeting(place.port) for place in house.bound.values()]
        assert [line[:4] for line in said] == [b"220 ", b"+OK ", b"* OK"]
        assert b"mail.example.org" in said[0]


@pytest.mark.parametrize("role", ["smtp", "pop3", "imap"])
async def test_a_role_alone_is_a_process_of_its_own(tmp_path: Path, role: Role) -> None:
    async with running(settings(tmp_path), [role]) as house:
        assert list(house.bound) == [role]
        assert await greeting(house.bound[role].port)


async def test_the_queue_alone_is_a_process_that_nobody_connects_to(tmp_path: Path) -> None:
    async with running(settings(tmp_path), ["queue"]) as house:
        assert not house.bound


async def test_it_says_when_it_listens_and_when_it_stops(tmp_path: Path) -> None:
    events: list[Event] = []
    async with running(settings(tmp_path), ["imap"], sinks=[events.append]) as house:
        listening = next(event for event in events if event.name == "listening")
        assert listening.data == {"imap": f"127.0.0.1:{house.bound['imap'].port}"}
        assert not any(event.name == "stopping" for event in events)
    assert [event.name for event in events][-2:] == ["stopping", "stopped"]


async def test_clients_that_wait_are_told_goodbye_at_once(tmp_path: Path) -> None:
    async with running(settings(tmp_path, grace=30.0)) as house:
        clients = [await asyncio.open_connection("127.0.0.1", place.port) for place in house.bound.values()]
        for reader, _ in clients:
            await reader.readline()
        start = time.monotonic()
    assert time.monotonic() - start < 5
    last_words = [await reader.read() for reader, _ in clients]
    for _, writer in clients:
        writer.close()
    assert last_words[0].startswith(b"421 ")
    assert last_words[2].startswith(b"* BYE ")


async def test_the_ports_are_free_again_when_it_has_stopped(tmp_path: Path) -> None:
    async with running(settings(tmp_path), ["smtp"]) as house:
        port = house.bound["smtp"].port
    async with running(settings(tmp_path, smtp=Smtp(port=port)), ["smtp"]) as house:
        assert house.bound["smtp"].port == port


async def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with closing(taken()) as other:
        port = other.getsockname()[1]
        said = await why_not(settings(tmp_path, imap=Imap(port=port)))
    assert said == (
        f"port {port} is in use by another program; stop that one, or choose another with --imap-port (setting imap.port)"
    )


async def test_a_door_that_cannot_open_closes_those_that_are_open(tmp_path: Path) -> None:
    with closing(taken()) as free:
        smtp = free.getsockname()[1]
    with closing(taken()) as other:
        await why_not(settings(tmp_path, smtp=Smtp(port=smtp), imap=Imap(port=other.getsockname()[1])))
    with closing(socket.socket()) as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", smtp))


async def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    said = await why_not(settings(tmp_path, host="192.0.2.1"))
    assert said == "192.0.2.1 is not an address of this machine; choose another with --host (setting host)"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.EACCES, "Permission denied"),
            (
                "port 25 may only be opened by root or with CAP_NET_BIND_SERVICE; "
                "give that, or choose one from 1024 with --smtp-port (setting smtp.port)"
            ),
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "there is no address for the name *; choose another with --host (setting host)",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "cannot listen on * port 25 for smtp: too many open files"),
        (Unavailable(), "cannot listen on * port 25 for smtp: temporarily unavailable"),
    ],
)
def test_each_reason_why_a_door_cannot_listen_has_its_sentence(error: Any, sentence: str) -> None:
    assert why_not_listening(error, "smtp", Settings()) == sentence


async def test_unknown_roles_are_refused(tmp_path: Path) -> None:
    assert (
        await why_not(settings(tmp_path), ("imap", "www"))
        == "there is no role www; the roles are smtp, pop3, imap, web, queue, pop2, pop1"
    )
    assert (
        await why_not(settings(tmp_path), ())
        == "no role was named; the roles are smtp, pop3, imap, web, queue, pop2, pop1"
    )


async def test_the_data_directory_is_made_but_not_what_is_above_it(tmp_path: Path) -> None:
    async with opened(settings(tmp_path)):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    said = await why_not(settings(tmp_path, data_dir=tmp_path / "a" / "b"))
    assert said.startswith(f"{tmp_path}/a/b (data_dir) cannot be made, since {tmp_path}/a does not exist; ")
    assert "--data-dir" in said
    assert not (tmp_path / "a").exists()


async def test_the_sink_makes_all_of_its_directory(tmp_path: Path) -> None:
    async with running(settings(tmp_path, data_dir=tmp_path / "a" / "b"), ["smtp"], sink=True):
        assert (tmp_path / "a" / "b").is_dir()


async def test_a_file_in_place_of_the_data_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert (await why_not(settings(tmp_path))).startswith(f"{tmp_path}/data (data_dir) is not a directory; ")


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    said = await why_not(settings(tmp_path))
    assert said.startswith(f"cannot make {tmp_path}/data (data_dir): permission denied; ")


async def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # root may write everywhere
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        (tmp_path / "data").mkdir(0o500)
    said = await why_not(settings(tmp_path))
    assert said.startswith(f"cannot write to {tmp_path}/data (data_dir): permission denied; ")


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mail.db").write_bytes(b"this is not a database, and never was one" * 100)
    said = await why_not(settings(tmp_path))
    assert said.startswith(f"cannot open the mail in {tmp_path}/data (data_dir): ")


async def test_a_sink_never_opens_the_mail_of_a_server(tmp_path: Path) -> None:
    async with opened(settings(tmp_path)) as store:
        await store.accounts.add_domain("example.org")
    assert "lets anybody in with any password" in await why_not(settings(tmp_path), sink=True)


async def test_a_sink_that_all_can_reach_sends_nothing_on_to_everybody(tmp_path: Path) -> None:
    wanted = settings(tmp_path, host="0.0.0.0", queue=Queue(sink_allow=("*@*.com",)))
    assert "listen on 127.0.0.1 instead" in await why_not(wanted, sink=True)


async def test_tls_is_offered_with_a_certificate(tmp_path: Path, certificates: Certificates) -> None:
    tls = Tls(cert=certificates.certificate, key=certificates.key)
    async with running(settings(tmp_path, tls=tls), ["smtp"]) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.bound["smtp"].port)
        writer.write(b"EHLO x\r\nSTARTTLS\r\n")
        while b"220 2.0.0" not in (line := await reader.readline()):
            assert line
        await writer.start_tls(certificates.client(), server_hostname="localhost")
        assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
        writer.close()


def test_old_tls_is_not_spoken(certificates: Certificates) -> None:
    context = app.tls_context(Tls(cert=certificates.certificate, key=certificates.key))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert app.tls_context(Tls()) is None


async def test_each_bad_certificate_has_its_sentence(tmp_path: Path, certificates: Certificates, tool: Tool) -> None:
    openssl = tool("openssl")

    async def said(cert: Path, key: Path) -> str:
        return await why_not(settings(tmp_path, tls=Tls(cert=cert, key=key)))

    missing, junk = tmp_path / "missing.pem", tmp_path / "junk.pem"
    junk.write_text("no certificate")
    good, key = certificates.certificate, certificates.key
    assert await said(missing, key) == f"cannot read {missing} (tls.cert): no such file or directory"
    assert await said(good, missing) == f"cannot read {missing} (tls.key): no such file or directory"
    assert "are not a certificate and its key in PEM" in await said(junk, key)
    assert "are not a certificate and its key in PEM" in await said(good, junk)
    other = tmp_path / "other.pem"
    subprocess.run([openssl, "genrsa", "-out", other, "2048"], check=True, capture_output=True)
    assert "does not belong to the certificate" in await said(good, other)
    locked = tmp_path / "locked.pem"
    subprocess.run(
        [openssl, "rsa", "-in", other, "-aes128", "-passout", "pass:hush", "-out", locked],
        check=True,
        capture_output=True,
    )
    assert "without a passphrase" in await said(good, locked)


async def test_it_never_starts_as_an_open_relay(tmp_path: Path) -> None:
    async with opened(settings(tmp_path)) as store:
        await store.accounts.add_domain("example.org")
        await store.accounts.set_alias("*@elsewhere.example", ("ann@far.example",))
    assert (await why_not(settings(tmp_path))).startswith("the alias *@elsewhere.example ")
