"""What OAUTHBEARER and XOAUTH2 say."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsystem.mail.errors import AuthFailed, MailError, SyntaxFault
from mailsystem.mail.sasl import OAUTHBEARER, XOAUTH2, Bearer, oauthbearer, token_refused, xoauth2

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_the_examples_are_read() -> None:
    """RFC 7628 4.1, and Google's own description of XOAUTH2."""
    response = f"n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer {TOKEN}\1\1".encode()
    assert oauthbearer(response) == Bearer("user@example.com", TOKEN)
    assert xoauth2(f"user=someuser@example.com\1auth=Bearer {TOKEN}\1\1".encode()) == Bearer(
        "someuser@example.com", TOKEN
    )


@pytest.mark.parametrize(
    ("response", "bearer"),
    [
        ("n,,\1auth=Bearer abc\1\1", Bearer("", "abc")),
        ("y,a=j\u00f6rg=2C=3D,\1auth=bearer abc\1\1", Bearer("j\u00f6rg,=", "abc")),
        ("n,a=ann,\1auth=BEARER  a.b-c_d~e+f/g==\1\1", Bearer("ann", "a.b-c_d~e+f/g==")),
    ],
)
def test_oauthbearer_is_read(response: str, bearer: Bearer) -> None:
    assert oauthbearer(response.encode()) == bearer


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\1",
        b"\1\1",
        b"n,,",
        b"n,a=ann,\1auth=Bearer abc\1",
        b"n,a=ann,\1auth=Bearer abc",
        b"n,a=ann\1auth=Bearer abc\1\1",
        b"p=tls-unique,a=ann,\1auth=Bearer abc\1\1",
        b"n,b=ann,\1auth=Bearer abc\1\1",
        b"n,a=,\1auth=Bearer abc\1\1",
        b"n,a=ann,\1auth=Basic abc\1\1",
        b"n,a=ann,\1auth=Bearer\1\1",
        b"n,a=ann,\1auth=Bearer a b\1\1",
        b"n,a=ann,\1auth=Bearer a\nb\1\1",
        b"n,a=ann,\1token=abc\1\1",
    ],
)
def test_what_is_not_oauthbearer_is_refused(response: bytes) -> None:
    with pytest.raises(SyntaxFault):
        oauthbearer(response)


@pytest.mark.parametrize(
    "response",
    [b"", b"\1\1", b"user=ann", b"user=ann\1auth=Bearer abc\1", b"auth=Bearer abc\1user=ann\1\1", b"user=ann\1\1"],
)
def test_what_is_not_xoauth2_is_refused(response: bytes) -> None:
    with pytest.raises(SyntaxFault):
        xoauth2(response)


def test_nobody_has_a_name_that_is_not_utf8() -> None:
    for read, response in ((oauthbearer, b"n,a=\xff,\1"), (xoauth2, b"user=\xff\1")):
        with pytest.raises(AuthFailed):
            read(response + b"auth=Bearer abc\1\1")


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="n,a=\1auth=Bearer x", max_size=60).map(str.encode))
def test_any_response_is_a_token_or_a_mail_error(response: bytes) -> None:
    for read in (oauthbearer, xoauth2):
        with contextlib.suppress(MailError):
            assert read(response).token


def test_a_refusal_is_json() -> None:
    assert json.loads(token_refused(OAUTHBEARER)) == {"status": "invalid_token"}
    assert json.loads(token_refused(XOAUTH2))["status"] == "401"


def test_a_token_does_not_show() -> None:
    assert TOKEN not in repr(Bearer("ann", TOKEN))
