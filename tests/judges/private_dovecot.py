"""Dovecot, a private instance: it takes mail by LMTP, shows it by IMAP, and hands on what its people submit."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from outside import missing
from private_servers import PATIENCE, directory, free_port, needs_root, reader, wait_for
from program import HOST, Place, environment
from wire import Imap

_CONFIG = """\
base_dir = {home}/run
log_path = {home}/log
listen = 127.0.0.1
hostname = dovecot.example
protocols = imap lmtp submission
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:{home}/mail/%u
mail_uid = 65534
mail_gid = 65534
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={home}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = {submission}
  }}
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
"""
PASSWORD = "secret"


@dataclass(frozen=True, slots=True)
class Dovecot:
    """Everybody has a mailbox in it, and `PASSWORD`."""

    imap: Place
    lmtp: Place
    submission: Place
    log: Callable[[], str]

    def inbox(self, login: str) -> list[bytes]:
        """Everything in somebody's INBOX."""
        with Imap(self.imap, login, PASSWORD, timeout=60) as client:
            client.ok(b"EXAMINE INBOX")
            return [client.ok(b"UID FETCH %d BODY.PEEK[]" % uid).literal() for uid in client.uids()]


@contextlib.contextmanager
def dovecot(relay: Place) -> Iterator[Dovecot]:
    """A Dovecot that hands on to `relay`, by SMTP."""
    binary = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None or not all(Path("/usr/lib/dovecot", part).exists() for part in ("imap", "lmtp", "submission")):
        missing("dovecot (dovecot-imapd, dovecot-lmtpd, dovecot-submissiond)")
    needs_root("Dovecot")
    nobody = pwd.getpwnam("nobody")
    with directory("dovecot") as home:
        for attempt in range(3):  # the ports that were free may be somebody else's by now
            place = home / str(attempt)
            (place / "mail").mkdir(parents=True)
            os.chown(place / "mail", nobody.pw_uid, nobody.pw_gid)
            imap, lmtp, submission = (Place(HOST, free_port()) for _ in range(3))
            (place / "dovecot.conf").write_text(
                _CONFIG.format(
                    home=place,
                    password=PASSWORD,
                    imap=imap.port,
                    lmtp=lmtp.port,
                    submission=submission.port,
                    relay=relay.port,
                )
            )
            running = Dovecot(imap, lmtp, submission, reader(place / "said", place / "log"))
            with (place / "said").open("wb") as said:
                command = (binary, "-F", "-c", str(place / "dovecot.conf"))
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment(place)
                )
            try:
                if all(wait_for(one, running.log) for one in (imap, lmtp, submission)):
                    yield running
                    return
            finally:
                process.terminate()
                process.wait(PATIENCE)
        raise AssertionError("no port was free")
