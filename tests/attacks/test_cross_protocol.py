"""Clients of another protocol that are made to talk to ours (ALPACA, the HTML form protocol attack), and early talkers."""

from __future__ import annotations

import pytest
from attacked import DOORS, SMTP_DOORS, Target, until_closed
from program import Person
from wire import Wire

MAIL = (
    "EHLO browser.example\r\nMAIL FROM:<evil@elsewhere.example>\r\nRCPT TO:<{0}>\r\nDATA\r\n"
    "Subject: from a browser\r\n\r\nx\r\n.\r\nQUIT\r\n"
)
BODY = {
    "smtp": MAIL,
    "submission": MAIL,
    "pop3": "USER {0}\r\nPASS {1}\r\nDELE 1\r\nQUIT\r\n",
    "imap": "a LOGIN {0} x\r\nb LOGOUT\r\n",
}
VERBS = ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE")
HEADER = (
    "{verb} / HTTP/1.1\r\nHost: 127.0.0.1:25\r\nUser-Agent: Browser\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n"
    "Accept: */*\r\nAccept-Language: en\r\nAccept-Encoding: gzip\r\nOrigin: null\r\nCookie: a=b\r\nConnection: close\r\n\r\n"
)


@pytest.mark.parametrize("door", SMTP_DOORS)
@pytest.mark.parametrize("verb", [*VERBS, "PRI", "get", "Host:"])
def test_http_ends_an_smtp_session_at_once(verb: str, door: str, target: Target, bystander: Person) -> None:
    with Wire(target.place(door)) as client:
        client.send((HEADER.format(verb=verb) + BODY[door].format(bystander.login)).encode())
        said = until_closed(client).splitlines()
    assert len(said) == 2, "a greeting and one refusal"
    assert said[0].startswith(b"220 ")
    assert said[1].startswith((b"5", b"421"))


@pytest.mark.parametrize("door", ["pop3", "imap"])
@pytest.mark.parametrize("verb", VERBS)
def test_http_gets_nowhere_at_the_other_doors(verb: str, door: str, target: Target, bystander: Person) -> None:
    request = HEADER.format(verb=verb) + BODY[door].format(bystander.login, "wrong")
    with Wire(target.place(door)) as client:
        client.send(request.encode())
        client.socket.shutdown(1)
        said = until_closed(client).splitlines()
    # What an attacker's page could read back must be no echo of what it sent.
    assert b"Browser" not in b"".join(said)
    assert not any(line.startswith((b"a OK", b"+OK deleted")) for line in said)


@pytest.mark.parametrize("door", DOORS)
def test_a_client_of_tls_in_clear_is_sent_away(door: str, target: Target, victim: Person) -> None:
    """ALPACA: a browser's HTTPS, redirected; where TLS is not implicit, its hello is no command."""
    with pytest.raises((OSError, ValueError)):
        Wire(target.place(door), tls=target.certificates.client())
    target.still_serves(victim)


@pytest.mark.parametrize("door", SMTP_DOORS)
def test_a_message_thrown_at_the_door_before_any_answer_needs_every_answer(
    door: str, target: Target, bystander: Person
) -> None:
    """RFC 2920 3.1: whoever sends the body without waiting for 354 has it taken for commands where DATA is refused."""
    with Wire(target.place(door)) as client:
        client.send(MAIL.format(f"nobody-{bystander.login}").encode())
        said = until_closed(client)
    codes = [line[:3] for line in said.splitlines() if line[3:4] == b" "]
    assert b"354" not in codes
    assert set(codes[2:-1]) <= {b"250", b"500", b"501", b"502", b"503", b"530", b"550", b"553", b"554", b"421"}
