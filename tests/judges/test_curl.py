"""curl as a client of all three doors, in clear and under TLS."""

from __future__ import annotations

from pathlib import Path

import messages
import pytest
from outside import Run, Tool
from program import House, Person, Program

pytestmark = pytest.mark.judge


def test_curl_sends_and_reads_back_octet_for_octet(
    sink: Program, address: str, tool: Tool, run: Run, tmp_path: Path
) -> None:
    curl = tool("curl")
    # curl stuffs no dots into lines that end a message itself; what it uploads is what DATA carries.
    sent = tmp_path / "sent"
    sent.write_bytes(messages.ODD["lines of dots"])
    run(
        *(curl, "--silent", "--show-error", f"smtp://{sink.smtp.host}:{sink.smtp.port}/client.example"),
        *("--mail-from", "ann@example.org", "--mail-rcpt", address, "--upload-file", str(sent)),
    )
    popped = run(curl, "-sS", f"pop3://{sink.pop3.host}:{sink.pop3.port}/1", "-u", f"{address}:any").stdout
    assert messages.received(popped) == sent.read_bytes()
    mailed = run(curl, "-sS", f"imap://{sink.imap.host}:{sink.imap.port}/INBOX;UID=1", "-u", f"{address}:any").stdout
    assert mailed == popped


def test_curl_lists_searches_and_appends(sink: Program, address: str, tool: Tool, run: Run, tmp_path: Path) -> None:
    curl, who = tool("curl"), ("-u", f"{address}:any")
    imap = f"imap://{sink.imap.host}:{sink.imap.port}"
    pop3 = f"pop3://{sink.pop3.host}:{sink.pop3.port}"
    (tmp_path / "mail").write_bytes(messages.simple("by curl"))
    run(curl, "-sS", f"{imap}/INBOX", *who, "-T", "mail")
    assert b"* SEARCH 1\r\n" in run(curl, "-sS", f"{imap}/INBOX?SUBJECT%20curl", *who).stdout
    assert b"* LIST" in run(curl, "-sS", f"{imap}/", *who).stdout
    assert run(curl, "-sS", f"{imap}/INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)", *who).stdout.startswith(
        b"Subject:"
    )
    assert run(curl, "-sS", f"{pop3}/", *who).stdout == b"1 %d\r\n" % len(messages.simple("by curl"))
    assert run(curl, "-sS", f"{pop3}/", "-X", "UIDL", *who).stdout.startswith(b"1 ")
    run(curl, "-sS", f"{pop3}/1", "-X", "DELE", "-I", *who)
    assert run(curl, "-sS", f"{pop3}/", *who).stdout.strip() == b""


def test_curl_speaks_to_every_door_under_tls(
    house: House, person: Person, tool: Tool, run: Run, tmp_path: Path
) -> None:
    curl = tool("curl")
    secure = ("-sS", "--ssl-reqd", "--cacert", str(house.authority), "-u", f"{person.login}:{person.password}")
    (tmp_path / "mail").write_bytes(messages.simple("under TLS"))
    doors = house.program
    run(
        *(curl, *secure, f"smtp://localhost:{doors.submission.port}/client.example"),
        *("--mail-from", person.login, "--mail-rcpt", person.login, "-T", "mail"),
    )
    raw = run(curl, *secure, f"imap://localhost:{doors.imap.port}/INBOX;UID=1").stdout
    # Submission puts the Date and the Message-ID in front that it lacks.
    assert messages.received(raw).endswith(b"\r\n" + messages.simple("under TLS"))
    assert b"with ESMTPSA" in raw
    assert run(curl, *secure, f"pop3://localhost:{doors.pop3.port}/1").stdout == raw


def test_curl_is_refused_with_a_wrong_password(house: House, person: Person, tool: Tool, run: Run) -> None:
    curl, doors = tool("curl"), house.program
    for url in (f"pop3://localhost:{doors.pop3.port}/", f"imap://localhost:{doors.imap.port}/"):
        # curl's 67: the server refused the login.
        run(curl, "-sS", url, "-u", f"{person.login}:wrong", expect=67)
