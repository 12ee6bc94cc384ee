"""msmtp sends and mpop fetches, as they do for many people every day."""

from __future__ import annotations

from pathlib import Path

import messages
import pytest
from outside import Run, Tool
from program import House, Person, Program
from wire import Imap

pytestmark = pytest.mark.judge


def test_msmtp_sends_and_mpop_fetches_under_tls(
    house: House, person: Person, tool: Tool, run: Run, tmp_path: Path
) -> None:
    msmtp, mpop = tool("msmtp"), tool("mpop")
    account = (
        f"host localhost\nuser {person.login}\npasswordeval printf %s '{person.password}'\nauth on\n"
        f"tls on\ntls_starttls on\ntls_trust_file {house.authority}\n"
    )
    _config(tmp_path / "msmtprc", f"account a\nport {house.program.submission.port}\nfrom {person.login}\n{account}")
    _config(
        tmp_path / "mpoprc", f"account a\nport {house.program.pop3.port}\n{account}delivery maildir {tmp_path}/Mail\n"
    )
    for kind in ("new", "cur", "tmp"):
        (tmp_path / "Mail" / kind).mkdir(parents=True)
    sent = [messages.ODD["lines of dots"], messages.ODD["8-bit"], messages.simple("third")]
    for raw in sent:
        run(msmtp, "-C", "msmtprc", "-a", "a", "--", person.login, stdin=raw.replace(b"\r\n", b"\n"))
    run(mpop, "-C", "mpoprc", "--keep=on", "a")
    assert _bodies(tmp_path / "Mail/new") == sorted(map(_body, sent))
    # What is fetched already is known by its UIDL and not fetched again.
    run(mpop, "-C", "mpoprc", "--keep=on", "a")
    assert len(list((tmp_path / "Mail/new").iterdir())) == 3
    run(mpop, "-C", "mpoprc", "--keep=off", "a")
    with Imap(house.program.imap, person.login, person.password) as client:
        assert b"MESSAGES 0" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


def test_mpop_pipelines_a_hundred_messages_and_deletes_them(
    sink: Program, address: str, tool: Tool, run: Run, tmp_path: Path
) -> None:
    mpop = tool("mpop")
    with Imap(sink.imap, address) as client:
        for number in range(100):
            client.append("INBOX", messages.simple(f"number {number}", b"x\r\n" * number))
    _config(
        tmp_path / "mpoprc",
        f"account a\nhost {sink.pop3.host}\nport {sink.pop3.port}\nuser {address}\npasswordeval echo any\nauth user\n"
        f"tls off\nkeep off\npipelining on\nreceived_header off\ndelivery mbox {tmp_path}/mbox\n",
    )
    run(mpop, "-C", "mpoprc", "a")
    assert (tmp_path / "mbox").read_bytes().count(b"\nSubject: number ") == 100
    with Imap(sink.imap, address) as client:
        assert b"MESSAGES 0" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


def _config(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _body(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")


def _bodies(folder: Path) -> list[bytes]:
    return sorted(file.read_bytes().partition(b"\n\n")[2] for file in folder.iterdir())
