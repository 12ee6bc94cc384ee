"""swaks, the tester of SMTP servers."""

from __future__ import annotations

import messages
import pytest
from outside import Run, Tool, missing
from program import House, Person, Program
from wire import Imap

pytestmark = pytest.mark.judge


def test_swaks_sends_pipelined_to_several_and_in_utf8(sink: Program, address: str, tool: Tool, run: Run) -> None:
    said = run(
        *(tool("swaks"), "--server", f"{sink.smtp.host}:{sink.smtp.port}", "--pipeline", "--helo", "client.example"),
        *("--from", "ann@example.org", "--to", f"{address},other-{address}", "--header", "Subject: Grüße"),
        *("--body", "first line\n.second begins with a dot\n"),
    ).stdout
    assert b"<-  250 2." in said
    for login in (address, f"other-{address}"):
        with Imap(sink.imap, login) as client:
            client.ok(b"SELECT INBOX")
            raw = client.ok(b"FETCH 1 BODY.PEEK[]").literal()
        assert "Subject: Grüße\r\n".encode() in raw
        assert b"\r\nfirst line\r\n.second begins with a dot\r\n" in raw


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_logs_in_under_tls(mechanism: str, house: House, person: Person, tool: Tool, run: Run) -> None:
    swaks = tool("swaks")
    if run(tool("perl"), "-MNet::SSLeay", "-e1", expect=None).returncode:
        missing("Net::SSLeay, by which swaks speaks TLS,")
    said = run(
        *(swaks, "--server", "localhost", "--port", str(house.program.submission.port), "--helo", "client.example"),
        *("--tls", "--tls-verify", "--tls-ca-path", str(house.authority)),
        *("--auth", mechanism, "--auth-user", person.login, "--auth-password", person.password),
        *("--from", person.login, "--to", person.login),
    ).stdout
    assert b"235 2.7.0" in said
    with Imap(house.program.imap, person.login, person.password) as client:
        client.ok(b"SELECT INBOX")
        assert b"with ESMTPSA" in client.ok(b"FETCH 1 BODY.PEEK[HEADER]").literal()


def test_swaks_is_told_what_is_wrong(house: House, person: Person, tool: Tool, run: Run) -> None:
    swaks = (tool("swaks"), "--helo", "client.example", "--server", "localhost", "--port")
    server = (*swaks, str(house.program.smtp.port))
    # swaks ends with 24 when no recipient was accepted, with 28 when a login failed.
    assert b"550 5.1.1" in run(*server, "--from", "a@b.example", "--to", "nobody@example.org", expect=24).stdout
    assert b"550 5.7.1" in run(*server, "--from", "a@b.example", "--to", "x@elsewhere.example", expect=24).stdout
    wrong = ("--auth", "PLAIN", "--auth-user", person.login, "--auth-password", "wrong")
    ours = (*swaks, str(house.program.submission.port))
    assert b"535 5.7.8" in run(*ours, *wrong, "--from", person.login, "--to", person.login, expect=28).stdout


def test_the_null_reverse_path_is_kept(sink: Program, address: str, tool: Tool, run: Run) -> None:
    run(tool("swaks"), "--server", f"{sink.smtp.host}:{sink.smtp.port}", "--from", "<>", "--to", address)
    with Imap(sink.imap, address) as client:
        client.ok(b"SELECT INBOX")
        raw = client.ok(b"FETCH 1 BODY.PEEK[]").literal()
    assert raw.startswith(b"Return-Path: <>\r\n")
    assert messages.received(raw)
