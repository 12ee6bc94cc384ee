"""The server of a test run: what it leaves alone, and that nothing of it stays."""

from __future__ import annotations

import smtplib
import ssl
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mailsystem.app import StartupError
from mailsystem.testing import server as module
from mailsystem.testing.server import LocalServer


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers keep their data."""
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def starttls(server: LocalServer, context: ssl.SSLContext) -> int:
    with smtplib.SMTP(server.where.host, server.where.port("smtp")) as client:
        return client.starttls(context=context)[0]


def test_it_takes_free_ports_and_leaves_nothing_behind(place: Path) -> None:
    before = threading.active_count()
    with closing(LocalServer()) as one, closing(LocalServer()) as two:
        assert not {*one.where.ports.values()} & {*two.where.ports.values()}
        assert set(one.where.ports) == {"smtp", "submissions", "pop3", "pop3s", "imap", "imaps"}
        assert one.where.url is None
        assert len([*place.iterdir()]) == 2
    assert [*place.iterdir()] == []
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(one.where.host, one.where.port("smtp"))
    with pytest.raises(LookupError, match="does not listen for lmtp"):
        one.where.port("lmtp")  # type: ignore[arg-type]


def test_a_certificate_is_made_when_somebody_asks_for_it(place: Path) -> None:
    with closing(LocalServer()) as server:
        assert [*place.rglob("*.pem")] == []
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        assert starttls(server, context) == 220
        assert {each.name for each in place.rglob("*.pem")} == {"authority.pem", "served.pem"}
        assert starttls(server, server.trusted()) == 220


def test_without_trustme_the_certificate_vouches_for_itself(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with closing(LocalServer()) as server:
        context = server.trusted()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        assert starttls(server, context) == 220
        assert b"PRIVATE KEY" not in server.authority().read_bytes()


def test_variables_for_a_real_server_are_not_obeyed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_SMTP__PORT", "25")
    monkeypatch.setenv("MAILSYSTEM_NONSENSE", "1")
    with closing(LocalServer()) as server:
        assert server.where.port("smtp") != 25


def test_why_it_cannot_start_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOST", "192.0.2.1")
    with pytest.raises(StartupError, match=r"192\.0\.2\.1 is not an address of this machine"):
        LocalServer()
    assert [*place.iterdir()] == []
