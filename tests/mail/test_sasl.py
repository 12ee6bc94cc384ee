"""What a client says to prove who it is."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.errors import AuthFailed, MailError, NotPermitted, SyntaxFault
from mailsystem.mail.sasl import PASSWORDS, Credentials, decode, plain, proven


@given(st.binary(max_size=100))
def test_base64_is_decoded(octets: bytes) -> None:
    assert decode(base64.b64encode(octets)) == octets


def test_an_equals_sign_is_the_empty_response() -> None:
    assert decode(b"=") == b""
    assert decode(b"") == b""


@pytest.mark.parametrize(
    "line", [b"a", b"YWJj\r\n", b"YW Jj", b"YWI", b"YWI=x", b"====", b"\xff\xff\xff\xff", b"YWJ-", b"*"]
)
def test_what_is_no_base64_is_refused(line: bytes) -> None:
    with pytest.raises(SyntaxFault):
        decode(line)


@pytest.mark.parametrize(
    ("response", "login", "password"),
    [
        (b"\0ann@example.org\0secret", "ann@example.org", "secret"),
        (b"ann\0ann\0secret", "ann", "secret"),
        ("\0jörg\0pässwörd ".encode(), "jörg", "pässwörd "),
    ],
)
def test_plain_is_read(response: bytes, login: str, password: str) -> None:
    assert plain(response) == Credentials(login, password)


@pytest.mark.parametrize("response", [b"", b"ann", b"ann\0secret", b"\0ann\0se\0cret", b"\0\0secret"])
def test_what_is_not_plain_is_refused(response: bytes) -> None:
    with pytest.raises(SyntaxFault):
        plain(response)


@pytest.mark.parametrize("response", [b"\0\xff\0x", b"\0a\0\xff"])
def test_nobody_has_a_name_or_password_that_is_not_utf8(response: bytes) -> None:
    with pytest.raises(AuthFailed):
        plain(response)


async def talk(name: str, initial: bytes | None, *responses: bytes) -> tuple[Credentials, list[bytes]]:
    """Credentials, and the challenges on the way to them."""
    waiting, asked = list(responses), []

    async def ask(challenge: bytes) -> bytes:
        asked.append(base64.b64decode(challenge))
        return base64.b64encode(waiting.pop(0))

    credentials = await proven(PASSWORDS[name], initial, ask)
    assert waiting == []
    return credentials, asked


async def test_mechanisms_ask_for_what_they_were_not_told_at_once() -> None:
    ann = Credentials("ann", "secret")
    assert await talk("PLAIN", b"\0ann\0secret") == (ann, [])
    assert await talk("PLAIN", None, b"\0ann\0secret") == (ann, [b""])
    assert await talk("LOGIN", b"ann", b"secret") == (ann, [b"Password:"])
    assert await talk("LOGIN", None, b"ann", b"secret") == (ann, [b"Username:", b"Password:"])


def test_nobody_acts_for_somebody_else() -> None:
    with pytest.raises(NotPermitted):
        plain(b"boss\0ann\0secret")


@given(st.binary(max_size=30))
def test_any_response_is_credentials_or_a_mail_error(response: bytes) -> None:
    with contextlib.suppress(MailError):
        assert plain(response).login


def test_a_password_does_not_show() -> None:
    assert "hunter2" not in repr(Credentials("ann", "hunter2"))
