"""Postfix, which hands on by LMTP to Dovecot, tuned as a good administrator would, with Maildir, sdbox or mdbox."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from string import Template
from typing import Final

from benchmarks.clients import Server
from benchmarks.targets import PATIENCE, NotThere, Target, free_port, wait_for
from mailsystem.net.self_signing import made

FORMATS: Final = ("maildir", "sdbox", "mdbox")
_HERE: Final = Path(__file__).parent
_NEEDED: Final = ("postfix", "dovecot", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3", "/usr/lib/dovecot/lmtp")
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"
_OWNER: Final = "nobody"
"""Whose the mail is."""
_ENOUGH_WATCHES: Final = 4096
_WATCHES: Final = Path("/proc/sys/fs/inotify/max_user_instances")


def missing() -> str:
    """Why it cannot be started here; empty where it can."""
    absent = [name for name in _NEEDED if shutil.which(name, path=_PATH) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian: postfix dovecot-imapd dovecot-pop3d dovecot-lmtpd)"
    if os.geteuid() != 0:
        return "only root can start private instances of Postfix and Dovecot"
    version = _version()
    return "" if version.startswith("2.3") else f"the settings here are for Dovecot 2.3, this is {version or 'unknown'}"


def warning() -> str:
    """What makes it slower here than it would have to be; empty where nothing does."""
    watches = int(_WATCHES.read_text()) if _WATCHES.exists() else _ENOUGH_WATCHES
    if watches >= _ENOUGH_WATCHES:
        return ""
    return f"Dovecot polls for idling clients: fs.inotify.max_user_instances is {watches}; make it {_ENOUGH_WATCHES} or more"


def _version() -> str:
    done = subprocess.run(
        (str(shutil.which("dovecot", path=_PATH)), "--version"), capture_output=True, text=True, check=False
    )
    return done.stdout.split()[0] if done.stdout else ""


@contextmanager
def postfix_dovecot(kind: str) -> Iterator[Target]:
    """A running pair, whose mail is thrown away afterwards. Raises `NotThere`."""
    if reason := missing():
        raise NotThere(reason)
    place = Path(tempfile.mkdtemp(prefix="mailsystem-bench-"))
    try:
        place.chmod(0o755)  # servers enter it that have dropped their rights
        ports = {name: free_port() for name in ("smtp", "pop3", "imap", "lmtp")}
        _lay_out(place, kind, ports)
        try:
            _start("dovecot", "-c", str(place / "dovecot.conf"))
            _start("postfix", "-c", str(place / "postfix"), "start")
            for name, greeting in (("smtp", b"220"), ("pop3", b"+OK"), ("imap", b"* OK")):
                wait_for(ports[name], greeting)
            roots = tuple(int(file.read_text()) for file in _pid_files(place))

            def launch() -> AbstractContextManager[Target]:
                return postfix_dovecot(kind)

            server = Server(kind, "127.0.0.1", ports["smtp"], ports["pop3"], ports["imap"])
            about = f"Postfix {_postfix_version()}, Dovecot {_version()}, {kind}"
            yield Target(server, roots, is_peer=True, about=about, launch=launch)
        finally:
            for file in _pid_files(place):
                _end(file)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _postfix_version() -> str:
    done = subprocess.run(
        (str(shutil.which("postconf", path=_PATH)), "-d", "-h", "mail_version"),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _pid_files(place: Path) -> tuple[Path, Path]:
    return place / "run/master.pid", place / "spool/pid/master.pid"


def _lay_out(place: Path, kind: str, ports: dict[str, int]) -> None:
    for part in ("run", "state", "mail", "postfix", "spool", "data"):
        (place / part).mkdir()
    owner, postfix = pwd.getpwnam(_OWNER), pwd.getpwnam("postfix")
    os.chown(place / "mail", owner.pw_uid, owner.pw_gid)
    os.chown(place / "data", postfix.pw_uid, postfix.pw_gid)
    (place / "tls.pem").write_bytes(made(["localhost"], days=30))
    words = {"place": str(place), "format": kind, "owner": _OWNER, "uid": owner.pw_uid, "gid": owner.pw_gid, **ports}
    for template, to in (
        ("dovecot.conf", "dovecot.conf"),
        ("main.cf", "postfix/main.cf"),
        ("master.cf", "postfix/master.cf"),
    ):
        (place / to).write_text(Template((_HERE / template).read_text()).substitute(words))


def _start(name: str, *arguments: str) -> None:
    command = (str(shutil.which(name, path=_PATH)), *arguments)
    # A file and no pipe: the servers keep it open for as long as they live.
    with tempfile.TemporaryFile() as said:
        try:
            status = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise NotThere(f"{name} does not start") from None
        if status.returncode:
            said.seek(0)
            raise NotThere(f"{name} does not start: {said.read().decode(errors='replace')[-500:]}")


def _end(file: Path) -> None:
    """End the process whose pid is in a file, and wait until it is gone."""
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            os.kill(pid, 0)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
