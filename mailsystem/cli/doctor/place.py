"""The machine's side: the data directory and its disk, the file of settings, the clock, the name."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from mailsystem.cli.doctor.finding import Finding, good, warning, wrong
from mailsystem.cli.terminal import size
from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import SyntaxFault
from mailsystem.settings import Loaded, knobs
from mailsystem.store import health

_NETWORK: Final = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|gpfs|ncpfs|fuse\.(sshfs|glusterfs|s3fs|rclone)"
)
_IN_MEMORY: Final = {"tmpfs", "ramfs"}
_MUCH: Final = 1 << 30
_BORN: Final = 1_767_225_600.0  # 2026-01-01: no clock that is right says less
_HOUR: Final = 3600.0


def directory(path: Path) -> Iterator[Finding]:
    """It exists, is ours, nobody else's, writable, and on a disk of this machine."""
    check = "data directory"
    if not path.exists():
        yield wrong(
            check, f"{path} does not exist", f"make it: install -d -m 700 -o mailsystem {path}; or set data_dir"
        )
        return
    if not path.is_dir():
        yield wrong(check, f"{path} is not a directory", "choose another with --data-dir or data_dir")
        return
    found = path.stat()
    if found.st_uid != os.geteuid():
        owner = _user(found.st_uid)
        yield wrong(
            check,
            f"{path} belongs to {owner}, and this is {_user(os.geteuid())}",
            f"run this and the servers as {owner}, or: chown -R {_user(os.geteuid())} {path}",
        )
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield wrong(check, f"{path} cannot be written to", f"chmod 700 {path}, and mount it writable")
    else:
        yield good(check, f"{path} is there and ours")
    if others := stat.S_IMODE(found.st_mode) & 0o077:
        yield wrong(
            "permissions", f"others have access to {path} (mode {stat.S_IMODE(found.st_mode):04o})", f"chmod 700 {path}"
        )
    else:
        yield good("permissions", "nobody else has access" if not others else "")
    yield _file_system(path)


def _file_system(path: Path) -> Finding:
    kind = file_system(path)
    if _NETWORK.fullmatch(kind):
        return wrong(
            "file system",
            f"{path} is on a network file system ({kind}), where SQLite's locks cannot be relied on",
            "move the data to a disk of this machine",
        )
    if kind in _IN_MEMORY:
        return warning(
            "file system", f"{path} is in memory ({kind}): all mail is gone when this machine stops", "use a disk"
        )
    return good("file system", f"{kind or 'unknown kind'}, of this machine")


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of file system that a path is on; empty where the system does not tell."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    place, best, kind = path.resolve(), -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields.split()[4]))
        # The later of two on one point hides the earlier.
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split()[0]
    return kind


def disk(path: Path, message_size: int) -> Finding:
    """Room for what may come next."""
    space = shutil.disk_usage(path)
    inodes = os.statvfs(path)
    left = f"{size(space.free)} free of {size(space.total)}"
    advice = "remove old mail, or give the data a larger disk"
    if space.free < 4 * message_size:
        return wrong("disk space", f"{left}: hardly a message of {size(message_size)} fits", advice)
    if inodes.f_files and inodes.f_favail < 1000:
        return wrong("disk space", f"{left}, but only {inodes.f_favail} more files", advice)
    if space.free < min(_MUCH, space.total // 20):
        return warning("disk space", left, advice)
    return good("disk space", left)


def secrets(loaded: Loaded) -> Finding:
    """A file of settings that holds secrets is nobody else's to read."""
    check = "settings"
    if loaded.file is None:
        return good(check, "no file of settings")
    mode = stat.S_IMODE(loaded.file.stat().st_mode)
    held = [
        knob.name
        for knob in knobs()
        if loaded.sources[knob.name] == str(loaded.file) and isinstance(_value(loaded, knob.name), SecretStr)
    ]
    if held and mode & 0o077:
        return wrong(
            check, f"{loaded.file} holds {held[0]} and others can read it (mode {mode:04o})", f"chmod 600 {loaded.file}"
        )
    if mode & 0o022:
        return wrong(check, f"others can write {loaded.file} (mode {mode:04o})", f"chmod go-w {loaded.file}")
    return good(check, f"{loaded.file} is read, and nobody reads more in it than they should")


def _value(loaded: Loaded, name: str) -> object:
    value: object = loaded.settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def clock(path: Path) -> Finding:
    """No later than what was written before, and no earlier than this program."""
    now = time.time()
    advice = "set the clock, and keep it right: systemctl enable --now systemd-timesyncd"
    if now < _BORN:
        return wrong("clock", f"it says {_day(now)}, before this program was made", advice)
    written = health.database(path)
    if written.exists() and written.stat().st_mtime > now + _HOUR:
        return wrong("clock", f"it says {_day(now)}, and mail was written on {_day(written.stat().st_mtime)}", advice)
    return good("clock", f"{_day(now)} UTC")


def hostname(name: str) -> Finding:
    """What others look up and what certificates are for: a full name (RFC 5321 2.3.5)."""
    advice = "set hostname to this server's full name, such as mail.example.org"
    try:
        normal = normal_domain(name)
    except SyntaxFault:
        return wrong("hostname", f"{name} is not a name that a server can have", advice)
    if normal.startswith("["):
        return warning("hostname", f"{name} is an address", advice)
    if "." not in normal or normal.rpartition(".")[2] in {"local", "localdomain", "localhost", "internal", "lan"}:
        return warning("hostname", f"{name} is not a full name; other servers may refuse whoever says it", advice)
    return good("hostname", name)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
