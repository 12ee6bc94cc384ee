"""getmail6, which fetches by POP3 and by IMAP and remembers what it has seen."""

from __future__ import annotations

from pathlib import Path

import messages
import pytest
from outside import Run, Tool
from overheard import Overheard
from program import House, Person
from wire import Imap

pytestmark = pytest.mark.judge

BODIES = [messages.ODD["lines of dots"], messages.simple("two"), messages.large(200_000)]


def bodies(fetched: Path) -> list[bytes]:
    return sorted(file.read_bytes().partition(b"\n\n")[2] for file in fetched.iterdir())


def getmail(path: str, run: Run, home: Path, house: House, person: Person, retriever: str, more: str) -> None:
    door = "pop3s" if "POP3" in retriever else "imaps"
    config = home / "getmailrc"
    config.write_text(
        f"[retriever]\ntype = {retriever}\nserver = localhost\nport = {house.program.ready[door]['port']}\n"
        f"username = {person.login}\npassword = {person.password}\nca_certs = {house.authority}\n\n"
        f"[destination]\ntype = MDA_external\npath = {home}/agent\nallow_root_commands = true\nunixfrom = false\n\n"
        f"[options]\nverbose = 2\ndelivered_to = false\nreceived = false\nread_all = false\n{more}\n"
    )
    config.chmod(0o600)
    run(path, f"--getmaildir={home}", f"--rcfile={config}")


@pytest.mark.parametrize("retriever", ["SimplePOP3SSLRetriever", "SimpleIMAPSSLRetriever"])
def test_getmail_fetches_each_message_once_and_deletes_it_when_told(
    retriever: str, house: House, person: Person, tool: Tool, run: Run, tmp_path: Path, overheard: Overheard
) -> None:
    path = tool("getmail")
    mail = tmp_path / "fetched"
    mail.mkdir()
    agent = tmp_path / "agent"  # its own Maildir is not for root, as whom tests may run
    agent.write_text(f"#!/bin/sh\nexec cat > $(mktemp {mail}/XXXXXX)\n")
    agent.chmod(0o700)
    with Imap(house.program.imap, person.login, person.password) as client:
        for raw in BODIES:
            client.append("INBOX", raw)
        wanted = sorted(raw.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n") for raw in BODIES)

        getmail(path, run, tmp_path, house, person, retriever, "delete = false")
        assert bodies(mail) == wanted
        # Seen once, a message is known: by its UIDL, or by its UID and UIDVALIDITY.
        overheard.dialog()
        getmail(path, run, tmp_path, house, person, retriever, "delete = false")
        said = overheard.dialog()
        assert said.asked("UIDL" if "POP3" in retriever else "UID FETCH 1:* UID|FETCH 1:")
        assert not said.asked("RETR|.*BODY")
        assert bodies(mail) == wanted

        client.append("INBOX", messages.simple("four"))
        getmail(path, run, tmp_path, house, person, retriever, "delete = true")
        assert len(bodies(mail)) == 4
        assert b"MESSAGES 0" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]
        assert not overheard.dialog().refused()
