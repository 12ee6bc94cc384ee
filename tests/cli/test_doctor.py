"""`mailsystem doctor`: every ill is found, said, and has its advice."""

from __future__ import annotations

import datetime
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import program
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailsystem.cli.doctor import certificate, doors, place
from mailsystem.cli.doctor.finding import State
from mailsystem.net import Pair
from mailsystem.settings import Settings

if TYPE_CHECKING:
    from conftest import Cli

NAME = "mail.example.org"


@pytest.fixture
def here(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A sound installation on this machine alone."""
    for name, value in {
        "HOST": "127.0.0.1",
        "HOSTNAME": NAME,
        "DEFAULT_DOMAIN": "example.org",
        "SMTP__PORT": "0",
        "POP3__PORT": "0",
        "IMAP__PORT": "0",
    }.items():
        monkeypatch.setenv(f"MAILSYSTEM_{name}", value)
    cli("domain", "add", "example.org")
    cli("user", "add", "postmaster@example.org", "--password-stdin", stdin="secret\n")
    return cli


def examined(cli: Cli, *, status: int = 0) -> dict[str, list[dict[str, str]]]:
    """The findings of a check by its name."""
    told = cli("doctor", "--json", status=status).json
    assert told["ok"] is (status == 0)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in told["findings"]:
        found.setdefault(finding["check"], []).append(finding)
        assert finding["said"]
        assert bool(finding["advice"]) is (finding["state"] != "good"), finding
    return found


def ill(cli: Cli, check: str, *, state: str = "wrong") -> str:
    """What is said about the one ill that must be found."""
    found = examined(cli, status=1 if state == "wrong" else 0)
    [finding] = [one for one in found[check] if one["state"] == state]
    others = [one for name, all_ in found.items() if name != check for one in all_ if one["state"] == "wrong"]
    assert not others
    return finding["said"]


def test_a_sound_installation_has_nothing_wrong(here: Cli) -> None:
    found = examined(here)
    assert {finding["state"] for all_ in found.values() for finding in all_} <= {"good", "warning"}
    assert {
        *("settings", "hostname", "clock", "data directory", "permissions", "file system", "disk space", "SQLite"),
        *("database", "schema", "certificate", "port of smtp", "domains", "default domain", "accounts"),
        *("postmaster of example.org", "relaying"),
    } <= set(found)
    assert found["relaying"][0]["said"].startswith("refused")


def test_people_are_told_line_by_line(here: Cli) -> None:
    told = here("doctor").out
    assert "✓ relaying" in told
    assert "0 wrong" in told
    here.data_dir.chmod(0o755)
    told = here("doctor", status=1).out
    assert "✗ permissions" in told
    assert f"→ chmod 700 {here.data_dir}" in told
    assert "1 wrong" in told


def test_it_changes_nothing(here: Cli) -> None:
    before = sorted(path.name for path in here.data_dir.rglob("*"))
    examined(here)
    assert sorted(path.name for path in here.data_dir.rglob("*")) == before


def test_where_there_is_nothing_it_makes_nothing(cli: Cli) -> None:
    assert "does not exist" in examined(cli, status=1)["data directory"][0]["said"]
    assert not cli.data_dir.exists()
    cli.data_dir.mkdir(mode=0o700)
    assert examined(cli, status=1)["accounts"][0]["state"] == "wrong"
    assert list(cli.data_dir.iterdir()) == []


def test_a_domain_without_a_postmaster(here: Cli) -> None:
    here("domain", "add", "example.net")
    assert "postmaster@example.net" in ill(here, "postmaster of example.net")


def test_nobody_lives_here(here: Cli) -> None:
    here("user", "remove", "postmaster@example.org", "--yes")
    found = examined(here, status=1)
    assert found["accounts"][0]["advice"] == "mailsystem user add ann@example.org"
    assert found["postmaster of example.org"][0]["state"] == "wrong"


def test_no_default_domain(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILSYSTEM_DEFAULT_DOMAIN")
    assert "postmaster" in ill(here, "default domain", state="warning")


def test_a_default_domain_that_was_never_added(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_DEFAULT_DOMAIN", "example.net")
    found = examined(here, status=1)
    assert found["default domain"][0]["advice"] == "mailsystem domain add example.net"


@pytest.mark.parametrize(("name", "state"), [("mailhost", "warning"), ("box.local", "warning"), ("a b", "wrong")])
def test_a_hostname_that_is_not_full(here: Cli, monkeypatch: pytest.MonkeyPatch, name: str, state: str) -> None:
    monkeypatch.setenv("MAILSYSTEM_HOSTNAME", name)
    assert name in ill(here, "hostname", state=state)


def test_data_of_somebody_else(here: Cli) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(here.data_dir, 12345, -1)
    assert "12345" in ill(here, "data directory")


# The database


def test_a_database_that_is_damaged(here: Cli) -> None:
    path = here.data_dir / "mail.db"
    octets = bytearray(path.read_bytes())
    octets[8192 * 2 :] = bytes(len(octets) - 8192 * 2)
    path.write_bytes(octets)
    assert ill(here, "database")


def test_what_is_no_database(here: Cli) -> None:
    (here.data_dir / "mail.db").write_bytes(b"something else" * 1000)
    assert "cannot be read" in ill(here, "database")


def test_a_schema_that_is_newer_or_older(here: Cli) -> None:
    def number(text: str) -> None:
        with closing(sqlite3.connect(here.data_dir / "mail.db")) as connection:
            connection.execute(text)
            connection.commit()

    number("INSERT INTO migrations VALUES (999, 'of the future')")
    assert "999" in ill(here, "schema")
    number("DELETE FROM migrations WHERE number > 1")
    assert ill(here, "schema", state="warning").startswith("1 of ")
    with closing(sqlite3.connect(here.data_dir / "mail.db")) as connection:
        assert connection.execute("SELECT MAX(number) FROM migrations").fetchall() == [(1,)], (
            "it was not brought forward"
        )


def test_an_open_relay_in_the_making(here: Cli) -> None:
    with closing(sqlite3.connect(here.data_dir / "mail.db")) as connection:
        connection.execute("INSERT INTO aliases VALUES ('a@one.example', 'b@two.example')")
        connection.commit()
    assert "a@one.example" in ill(here, "open relay")


# The settings


def test_secrets_that_others_can_read(here: Cli) -> None:
    file = here.home / "mailsystem.toml"
    file.write_text('[oauth]\nclient_secret = "hush"\n')
    file.chmod(0o644)
    assert "oauth.client_secret" in ill(here, "settings")
    assert "hush" not in here("doctor", status=1).out
    file.chmod(0o600)
    examined(here)
    file.write_text("[smtp]\n")
    file.chmod(0o644)
    examined(here)
    file.chmod(0o666)
    assert "write" in ill(here, "settings")


# The machine


@pytest.mark.parametrize(
    ("kind", "state"),
    [("nfs4", State.WRONG), ("fuse.sshfs", State.WRONG), ("tmpfs", State.WARNING), ("ext4", State.GOOD)],
)
def test_a_disk_of_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: State) -> None:
    mounts = tmp_path / "mountinfo"
    inner = tmp_path / "with space"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {escaped} rw,noatime shared:1 - {kind} server:/export rw\n"
    )
    assert place.file_system(inner / "mail", mounts) == kind
    assert place.file_system(tmp_path, mounts) == "ext4"
    monkeypatch.setattr(place, "file_system", lambda path: kind)
    inner.chmod(0o700)
    [finding] = [one for one in place.directory(inner) if one.check == "file system"]
    assert finding.state is state


def test_a_clock_that_is_behind(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.clock(here.data_dir).state is State.GOOD
    os.utime(here.data_dir / "mail.db", (4_000_000_000, 4_000_000_000))
    assert place.clock(here.data_dir).state is State.WRONG
    monkeypatch.setattr(place.time, "time", lambda: 1000.0)
    assert "1970" in place.clock(here.data_dir).said


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    assert place.disk(tmp_path, 1).state is not State.WRONG
    assert place.disk(tmp_path, 1 << 60).state is State.WRONG


# The certificate


class Issuer:
    """Issues certificates with whatever is wrong with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *names: str, begins: int = -1, ends: int = 90) -> Pair:
        """Valid from and until so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=ends, minutes=5))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pair = Pair(self.folder / "cert.pem", self.folder / "key.pem")
        pair.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        pair.key.touch(0o600)
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


@pytest.fixture
def issue(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def about(pair: Pair, name: str = NAME) -> dict[State, str]:
    """What is said about a certificate, without what every authority of a test gets: that nobody trusts it."""
    said: dict[State, str] = {}
    for finding in certificate.pair("certificate", pair, name):
        if "does not trust" not in finding.said:
            said[finding.state] = finding.said
    return said


def test_a_certificate_that_is_good(issue: Issuer) -> None:
    assert list(about(issue(NAME))) == [State.GOOD]
    assert list(about(issue("*.example.org"))) == [State.GOOD]


@pytest.mark.parametrize(
    ("names", "days", "state", "said"),
    [
        ([NAME], (-90, -1), State.WRONG, "expired on"),
        ([NAME], (-80, 13), State.WARNING, "expires in 13 days"),
        ([NAME], (1, 90), State.WRONG, "valid only from"),
        (["other.example.org"], (-1, 90), State.WRONG, "not for mail.example.org"),
        (["*.mail.example.org", "*.org"], (-1, 90), State.WRONG, "not for mail.example.org"),
    ],
)
def test_a_certificate_that_is_not(
    issue: Issuer, names: list[str], days: tuple[int, int], state: State, said: str
) -> None:
    assert said in about(issue(*names, begins=days[0], ends=days[1]))[state]


def test_a_key_of_another_certificate_or_for_all_to_read(issue: Issuer) -> None:
    pair = issue(NAME)
    pair.key.chmod(0o644)
    assert "anybody can read" in about(pair)[State.WRONG]
    old = pair.key.read_bytes()
    issue(NAME)
    pair.key.write_bytes(old)
    assert "does not belong" in about(pair)[State.WRONG]
    pair.key.unlink()
    assert "cannot read" in about(pair)[State.WRONG]


def test_an_authority_that_this_machine_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    pair = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    issued.private_key_pem.write_to_path(pair.key)
    issued.cert_chain_pems[0].write_to_path(pair.cert)
    assert certificate.chain_fault(pair)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert certificate.chain_fault(pair) is None


def test_a_certificate_is_asked_of_who_serves_others(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined(here)["certificate"][0]["state"] == "good"
    monkeypatch.setenv("MAILSYSTEM_HOST", "*")
    assert examined(here)["certificate"][0]["state"] == "warning"


# The doors


@contextmanager
def answering(say: Callable[[bytes], bytes], greeting: bytes) -> Iterator[int]:
    """A server of somebody else's: its port."""

    def converse(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(greeting)
            for line in lines:
                connection.sendall(say(line))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(converse, connection), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _quietly(work: Callable[[Any], None], argument: Any) -> None:
    with suppress(OSError):
        work(argument)


def test_a_port_that_another_program_has(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda line: b"250 ok\r\n", b"220 other.example ESMTP\r\n") as port:
        monkeypatch.setenv("MAILSYSTEM_SMTP__PORT", str(port))
        assert "other.example" in ill(here, "port of smtp")


def test_block_lists_are_told(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "block lists" not in examined(here)
    monkeypatch.setenv("MAILSYSTEM_POLICY__DNSBL", "bl.example, other.example")
    assert examined(here)["block lists"][0]["said"] == "bl.example, other.example"


def test_a_server_that_relays_is_found_out() -> None:
    settings = Settings(hostname=NAME, default_domain="example.org")
    with answering(lambda line: b"250 2.0.0 ok\r\n", b"220 mail.example.org ESMTP\r\n") as port:
        taken = doors.dialog("127.0.0.1", port, settings)
        assert len(taken) == 9
        finding = doors.relay(settings, [doors.Listener("smtp", "*", port)])
    assert finding.state is State.WRONG
    assert str(port) in finding.said


def test_the_server_that_runs_is_asked_itself(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("MAILSYSTEM_HOSTNAME", "MAILSYSTEM_DEFAULT_DOMAIN")
    env = {name: os.environ[name] for name in names}
    args, home = ["serve", "--web-port", "0"], here.home / "server"
    with program.Program(args, home=home, data_dir=here.data_dir, env=env) as running:
        for door in ("smtp", "pop3", "imap", "web"):
            monkeypatch.setenv(f"MAILSYSTEM_{door.upper()}__PORT", str(running.ready[door]["port"]))
        found = examined(here)
        for door in ("smtp", "pop3", "imap", "web"):
            assert "is open" in found[f"port of {door}"][0]["said"]
        assert found["relaying"][0]["said"] == f"refused (the server on port {running.smtp.port})"
