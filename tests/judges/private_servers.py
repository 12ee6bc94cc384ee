"""Mail servers of other projects, each a private instance with a directory, a port and a queue of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from outside import missing
from program import HOST, Place, environment, is_alive

PATIENCE = 60.0
"""Seconds in which a server has to start, and its queue has to become empty."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A running server that takes any mail at `smtp` and carries it on to where it was told."""

    smtp: Place
    directory: Path
    queue: Callable[[], int]
    """How many messages wait in it."""
    log: Callable[[], str]

    def wait_until_empty(self, seconds: float = PATIENCE) -> None:
        """Return once everything has been carried on, or given up."""
        until = time.monotonic() + seconds
        while waiting := self.queue():
            assert time.monotonic() < until, f"{waiting} messages are still queued:\n{self.log()[-4000:]}"
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def directory(name: str) -> Iterator[Path]:
    """One that servers may enter which drop their rights: pytest's own are closed to everybody else."""
    path = Path(tempfile.mkdtemp(prefix=f"mailsystem-{name}-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def needs_root(what: str) -> None:
    if os.geteuid() != 0:
        missing(f"root, who alone may start a private {what},")


def _account(name: str, what: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        missing(f"the user {name} of {what}")


def wait_for(place: Place, log: Callable[[], str]) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(place, 5) as one:
            if one.recv(512).startswith((b"220", b"* OK")):
                return True
        if "Address already in use" in log():
            return False
        time.sleep(0.05)
    raise AssertionError(f"nothing at {place}:\n{log()[-4000:]}")


def _end(pid_file: Path) -> None:
    """End the one whose pid is in the file, and wait until it is gone."""
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 10
        while is_alive(pid):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)


_POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/maillog
maillog_file_prefixes = {home}
multi_instance_name = postfix-{port}
multi_instance_enable = yes
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.example
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_tls_security_level = none
smtputf8_enable = yes
in_flow_delay = 0s
disable_dns_lookups = yes
smtp_host_lookup = native
initial_destination_concurrency = 10
default_destination_recipient_limit = 50
queue_run_delay = 5s
minimal_backoff_time = 5s
maximal_backoff_time = 5s
{more}"""

_POSTFIX_MASTER = """\
{host}:{port} inet n - n - 20 smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - 20 smtp
relay unix - - n - 20 smtp
lmtp unix - - n - 20 lmtp
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
showq unix n - n - - showq
pickup unix n - n 60 1 pickup
postlog unix-dgram n - n - 1 postlogd
"""


MAILBOXES = (
    "virtual_mailbox_base = $queue_directory/../mail",
    "virtual_mailbox_maps = static:all/",
    "virtual_minimum_uid = 1",
    "virtual_uid_maps = static:65534",
    "virtual_gid_maps = static:65534",
)
"""For `postfix`, with `virtual_mailbox_domains`: what comes for those it keeps, in one maildir (`kept`)."""


def kept(relay: Relay) -> list[bytes]:
    """What a Postfix with `MAILBOXES` has delivered, as it stands on its disk, with the line ends of mail."""
    return [file.read_bytes().replace(b"\n", b"\r\n") for file in (relay.directory / "mail/all/new").glob("*")]


@contextlib.contextmanager
def postfix(*settings: str, at: Place | None = None) -> Iterator[Relay]:
    """A Postfix with some `name = value` of one's own in its main.cf; at a port that is free, or where it is told."""
    binary = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        missing("postfix")
    needs_root("Postfix")
    owner = _account("postfix", "Postfix")
    with directory("postfix") as home:
        for attempt in range(3):  # the port that was free may be somebody else's by now
            host, port = at or (HOST, free_port())
            place = home / str(attempt)
            for part in ("config", "spool", "data"):
                (place / part).mkdir(parents=True)
            os.chown(place / "data", owner.pw_uid, owner.pw_gid)
            (place / "mail").mkdir()  # of `MAILBOXES`
            nobody = _account("nobody", "every system")
            os.chown(place / "mail", nobody.pw_uid, nobody.pw_gid)
            (place / "config/main.cf").write_text(
                _POSTFIX_MAIN.format(home=place, port=port, more="\n".join(settings) + "\n")
            )
            (place / "config/master.cf").write_text(_POSTFIX_MASTER.format(host=host, port=port))
            relay = Relay(Place(host, port), place, _queued(place / "spool"), reader(place / "maillog"))
            command = (binary, "-c", str(place / "config"), "start")
            done = subprocess.run(command, capture_output=True, text=True, env=environment(place), timeout=PATIENCE)
            if done.returncode and "Address already in use" in relay.log():
                continue
            assert done.returncode == 0, f"{done.stdout}{done.stderr}{relay.log()}"
            try:
                if wait_for(relay.smtp, relay.log):
                    yield relay
                    return
            finally:
                _end(place / "spool/pid/master.pid")
        raise AssertionError("no port was free")


def _queued(spool: Path) -> Callable[[], int]:
    folders = [spool / name for name in ("maildrop", "incoming", "active", "deferred")]
    return lambda: sum(len(files) for folder in folders for _, _, files in os.walk(folder))


def reader(*files: Path) -> Callable[[], str]:
    return lambda: "".join(file.read_text(errors="replace") for file in files if file.exists())


_EXIM = """\
exim_path = {binary}
primary_hostname = relay.example
spool_directory = {home}/spool
log_file_path = {home}/spool/log/%slog
exim_user = {user}
exim_group = {group}
never_users =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
acl_smtp_rcpt = accept
acl_smtp_data = accept
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
keep_environment =
add_environment =
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
queue_only = false
begin routers
everywhere:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = onward
begin transports
onward:
  driver = smtp
  hosts = 127.0.0.1
  allow_localhost
{more}
begin retry
* * F,1h,5s
"""


@contextlib.contextmanager
def exim(*transport: str, authority: Path | None = None) -> Iterator[Relay]:
    """An Exim that trusts `authority`, with some `name = value` of one's own in the transport by which it carries mail on."""
    found = os.environ.get("EXIM") or shutil.which("exim4", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        missing("exim4 (or the variable EXIM with the path of one that was only unpacked)")
    needs_root("Exim")
    owner = _account("Debian-exim", "Exim, into whom it is compiled to turn")
    with directory("exim") as home:
        for attempt in range(3):
            port = free_port()
            place = home / str(attempt)
            (place / "spool/log").mkdir(parents=True)
            for part in (place, place / "spool", place / "spool/log"):
                os.chown(part, owner.pw_uid, owner.pw_gid)
            config = place / "exim.conf"
            trusting = []
            if authority is not None:  # which lies where Exim, once it has dropped its rights, may not look
                shutil.copy(authority, place / "authority.pem")
                trusting = [f"tls_verify_certificates = {place}/authority.pem"]
            more = "\n".join(f"  {line}" for line in [*transport, *trusting])
            config.write_text(
                _EXIM.format(home=place, port=port, binary=found, more=more, user=owner.pw_uid, group=owner.pw_gid)
            )
            log = reader(place / "spool/log/mainlog", place / "spool/log/paniclog")
            relay = Relay(Place(HOST, port), place, _queued_by_exim(place / "spool/input"), log)
            command = (found, "-C", str(config), "-bd", "-q5s", "-oP", str(place / "exim.pid"))
            done = subprocess.run(command, capture_output=True, text=True, env=environment(place), timeout=PATIENCE)
            assert done.returncode == 0, f"{done.stdout}{done.stderr}{relay.log()}"
            try:
                if wait_for(relay.smtp, relay.log):
                    yield relay
                    return
            finally:
                _end(place / "exim.pid")
        raise AssertionError("no port was free")


def _queued_by_exim(spool: Path) -> Callable[[], int]:
    return lambda: sum(name.endswith(("-D", "-H")) for _, _, files in os.walk(spool) for name in files)


class Tap:
    """A wire between a client and a door that keeps what goes over it, segment by segment."""

    def __init__(self, door: Place) -> None:
        self._door = door
        self._listening = socket.create_server((HOST, 0))
        self.place = Place(HOST, self._listening.getsockname()[1])
        self.said: list[bytes] = []
        """By clients, in the pieces in which it came."""
        self.heard: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Tap:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the one that accepts
        self._threads[0].join()
        self._listening.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._open.append(client)
                server = socket.create_connection(self._door)
                self._open.append(server)
                for source, target, kept in ((client, server, self.said), (server, client, self.heard)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    thread = threading.Thread(target=self._carry, args=(source, target, kept), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, kept: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                kept.append(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
