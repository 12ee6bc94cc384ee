"""The examples of RFC 8463 appendix A and RFC 6376 appendix A: with their keys we make their signatures, octet by octet."""

from __future__ import annotations

import base64
import re

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mailsystem.mail import header
from mailsystem.mailauth import record_of
from mailsystem.mailauth.canonical import BodyHash
from mailsystem.mailauth.signing import header_digest, raw_signature
from mailsystem.store import Algorithm, KeyState, SigningKey

ED25519_SEED = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
RSA_KEY = b"""-----BEGIN RSA PRIVATE KEY-----
MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi
Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM
KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB
AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm
6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe
zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy
6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc
uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy
WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd
WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a
licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst
o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe
uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL
-----END RSA PRIVATE KEY-----
"""
ED25519_FIELD = b"""\
 v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==""".replace(b"\n", b"\r\n")
RSA_FIELD = b"""\
 v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=""".replace(b"\n", b"\r\n")
HEAD = b"""\
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>
""".replace(b"\n", b"\r\n")
BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
NAMES = ["from", "to", "subject", "date", "message-id", "from", "subject", "date"]

RFC6376_FIELD = b"""\
DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
        4bmp/YzhwvcubU4=;
"""


def ed25519() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(ED25519_SEED))


def stored(private: object, selector: str, algorithm: Algorithm) -> SigningKey:
    secret = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]
    return SigningKey("football.example.com", selector, algorithm, secret, 0, KeyState.ACTIVE, 0)


@pytest.mark.parametrize(
    ("private", "field"),
    [(ed25519(), ED25519_FIELD), (load_pem_private_key(RSA_KEY, None), RSA_FIELD)],
    ids=["ed25519", "rsa"],
)
def test_the_signatures_of_rfc_8463_come_out_again(private: object, field: bytes) -> None:
    unsigned, expected = re.fullmatch(rb"(.*\sb=)(.*)", field, re.DOTALL).groups()  # type: ignore[union-attr]
    digest = header_digest(header.fields(HEAD), NAMES, unsigned)
    assert base64.b64encode(raw_signature(private, digest)) == re.sub(rb"\s", b"", expected)  # type: ignore[arg-type]


def test_the_body_of_the_examples_has_their_hash() -> None:
    hashing = BodyHash()
    hashing.feed(BODY)
    assert base64.b64encode(hashing.close()) == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="


def test_the_keys_of_rfc_8463_are_published_as_it_says() -> None:
    record = record_of(stored(ed25519(), "brisbane", Algorithm.ED25519))
    assert record.name == "brisbane._domainkey.football.example.com"
    assert record.value == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    record = record_of(stored(load_pem_private_key(RSA_KEY, None), "test", Algorithm.RSA))
    assert record.value == (
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
        "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kr"
        "yOTIKT+l/K4w3QIDAQAB"
    )


def test_who_judges_us_finds_the_example_of_rfc_6376_good() -> None:
    """So dkimpy's word is worth something."""
    key = (
        b"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4j"
        b"YfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QID"
        b"AQAB"
    )
    received = (
        b"Received: from client1.football.example.com  [192.0.2.1]\n"
        b"      by submitserver.example.com with SUBMISSION;\n"
        b"      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\n"
    )
    body = BODY.replace(b"game.  Are", b"game. Are")
    letter = (RFC6376_FIELD + received).replace(b"\n", b"\r\n") + HEAD + b"\r\n" + body
    assert dkim.verify(letter, dnsfunc=lambda name, timeout=5: key)
    assert not dkim.verify(letter.replace(b"dinner", b"supper"), dnsfunc=lambda name, timeout=5: key)
