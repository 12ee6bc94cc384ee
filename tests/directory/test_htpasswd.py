"""Logins and passwords in a file."""

from __future__ import annotations

import base64
import hashlib

import bcrypt
import pytest

from mailsystem.directory.htpasswd import Htpasswd


def sha(password: str, salt: bytes = b"") -> str:
    return base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()


def test_who_knows_the_password_is_let_in() -> None:
    known = Htpasswd.parse(
        f"# people\nann:secret\nbob:{{SHA}}{sha('b')}\n\nkim:{{SSHA}}{sha('k', b'salt')}\nlee:with blank:colon\n"
    )
    for login, password in (("ann", "secret"), ("bob", "b"), ("kim", "k"), ("lee", "with blank:colon")):
        assert known.knows(login, password)
        assert not known.knows(login, password + "x")
        assert not known.knows(login, "")
    assert not known.knows("nobody", "secret")
    assert not known.knows("", "")
    assert not known.knows("bob", f"{{SHA}}{sha('b')}")


def test_a_password_may_be_hashed_by_bcrypt() -> None:
    secret = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
    known = Htpasswd.parse(f"ann:{secret.decode()}")
    assert known.knows("ann", "secret")
    assert not known.knows("ann", "x" * 80)


def test_entries_stand_on_one_line_too() -> None:
    known = Htpasswd.parse(" ann:a  bob:b ")
    assert known.knows("ann", "a")
    assert known.knows("bob", "b")
    assert not Htpasswd.parse("")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ann", "login:password"),
        (":x", "login:password"),
        ("ann:", "login:password"),
        ("ann:$apr1$x$y", "not known here"),
        ("ann:{CRYPT}x", "not known here"),
    ],
)
def test_what_cannot_be_read_is_told_without_the_password(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as failed:
        Htpasswd.parse(text)
    assert "apr1" not in str(failed.value)
