"""fetchmail, which has met every server there is."""

from __future__ import annotations

from pathlib import Path

import messages
import pytest
from outside import Run, Tool
from program import House, Person
from wire import Imap, Smtp

pytestmark = pytest.mark.judge


def fetchmail(path: str, run: Run, tmp_path: Path, house: House, person: Person, protocol: str, *, keep: bool) -> bytes:
    """Run it once; gives what it handed to its delivery agent since the last run."""
    port = house.program.pop3.port if protocol == "pop3" else house.program.imap.port
    out = tmp_path / "fetched"
    out.write_bytes(b"")
    agent = tmp_path / "agent"
    agent.write_text(f"#!/bin/sh\nexec cat >> {out}\n")
    agent.chmod(0o700)
    config = tmp_path / "fetchmailrc"
    config.write_text(
        f'poll localhost service {port} protocol {protocol} user "{person.login}" password "{person.password}"\n'
        f'  sslproto "TLS1.2+" sslcertck sslcertfile "{house.authority}" no rewrite {"keep" if keep else "no keep"}\n'
        f'  mda "{agent}"\n'
    )
    config.chmod(0o600)
    # 0: there was mail; 1: there was none.
    ended = run(
        *(path, "--fetchmailrc", str(config), "--nosyslog", "--nodetach", "--pidfile", str(tmp_path / "pid")),
        *("--idfile", str(tmp_path / "ids"), "--verbose"),
        expect=None,
    )
    assert ended.returncode in (0, 1), ended
    assert (ended.returncode == 0) == bool(out.read_bytes()), ended
    return out.read_bytes()


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetchmail_fetches_each_message_once_and_deletes_it_when_told(
    protocol: str, house: House, person: Person, tool: Tool, run: Run, tmp_path: Path
) -> None:
    path = tool("fetchmail")
    raws = [messages.ODD["lines of dots"], messages.simple("two"), messages.large(300_000)]
    with Smtp(house.program.smtp) as sender:
        for raw in raws:
            assert sender.message("ann@elsewhere.example", [person.login], raw)[0] == 250
    fetched = fetchmail(path, run, tmp_path, house, person, protocol, keep=True)
    for raw in raws:
        assert raw.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n") in fetched
    assert fetchmail(path, run, tmp_path, house, person, protocol, keep=True) == b""
    with Imap(house.program.imap, person.login, person.password) as client:
        client.ok(b"SELECT INBOX")
        assert len(client.uids()) == 3
        client.ok(b"STORE 1:* -FLAGS (\\Seen)")
    (tmp_path / "ids").unlink(missing_ok=True)
    assert fetchmail(path, run, tmp_path, house, person, protocol, keep=False)
    with Imap(house.program.imap, person.login, person.password) as client:
        client.ok(b"SELECT INBOX")
        assert client.uids() == []
