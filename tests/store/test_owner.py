"""What root does in somebody's directory stays readable for whose that is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from mailsystem.app import startup
from mailsystem.mail.clock import SystemClock
from mailsystem.store import open_store, owner

SOMEBODY = 65_534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.mark.parametrize("name", ["mail.db", "mail.lock"])
def test_files_of_somebody_else_are_named(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:  # unlike pytest's, everybody may be let into it
        directory = Path(place) / "mail"
        directory.mkdir(mode=0o700)
        os.chmod(place, 0o755)
        os.chown(directory, SOMEBODY, SOMEBODY)
        for each in ("mail.db", "mail.lock"):
            (directory / each).touch(0o600)
            os.chown(directory / each, *(0, 0) if each == name else (SOMEBODY, SOMEBODY))
        child = os.fork()
        if not child:  # an effective user would do for files, but not for os.access
            status = 2
            try:
                os.setgid(SOMEBODY)
                os.setuid(SOMEBODY)
                startup._check_rights(directory)
            except startup.StartupError as error:
                told = f"{directory / name} is not to be read or written by this user"
                status = 0 if str(error).startswith(told) and "(root)" in str(error) else 3
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def test_whatever_root_makes_belongs_to_whom_the_directory_belongs(tmp_path: Path) -> None:
    directory = tmp_path / "mail"
    directory.mkdir(mode=0o700)
    os.chown(directory, SOMEBODY, SOMEBODY)
    async with open_store(directory, clock=SystemClock()) as store:
        ann = await store.accounts.add("ann@example.org", None)
        for size in (10, 300_000, 3_000_000):
            spool = store.contents.spool()
            spool.write(b"Subject: x\r\n\r\n" + b"x" * size)
            await spool.flush()
            await store.mailboxes.append(ann.id, "INBOX", spool)
        held = store.contents.spool()
        held.write(b"Subject: x\r\n\r\n" + b"y" * 300_000)
        await store.mailboxes.append(ann.id, "INBOX", held)
        made = [path for path in directory.rglob("*") if not path.is_socket()]
        assert {path.name for path in made} >= {"mail.db", "mail.lock", "mail.db-wal", "bells", "contents", "incoming"}
        assert len([path for path in made if path.is_file() and path.parent.parent.name == "contents"]) >= 2
        assert {(os.stat(path).st_uid, os.stat(path).st_gid) for path in made} == {(SOMEBODY, SOMEBODY)}


def test_what_was_there_before_is_nobody_elses_now(tmp_path: Path) -> None:
    os.chown(tmp_path, SOMEBODY, SOMEBODY)
    secret = tmp_path.parent / "secret"
    secret.write_bytes(b"")
    (tmp_path / "mail.lock").symlink_to(secret)
    owner.make_file(tmp_path / "mail.lock")
    (tmp_path / "contents").symlink_to(tmp_path.parent)
    owner.make_directory(tmp_path / "contents")
    assert secret.stat().st_uid == tmp_path.parent.stat().st_uid == 0
