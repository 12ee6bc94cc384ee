"""SCRAM: who knows the password is let in and believes us, and nothing that was touched on its way is."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scram_client import ScramClient

from mailsystem.mail.errors import AuthFailed, MailError, NotPermitted, SyntaxFault
from mailsystem.mail.sasl import ITERATIONS, Keys, Scram, scram_keys
from mailsystem.mail.sasl.scram import prepared

KEYS = Keys.derive("pencil", salt=b"0123456789abcdef", iterations=4096)
CHANNEL = b"\x01\x02 the certificate's hash"
BOUND = b"p=tls-server-end-point,,"


def exchange(
    client: ScramClient, *, keys: Keys = KEYS, plus: bool = False, binding: bytes | None = None
) -> tuple[str, bytes]:
    """The name that was said, and the server's final message."""
    server = Scram(plus=plus, binding=binding)
    name = server.begin(client.first)
    return name, server.finish(client.final(server.challenge(keys)))


def test_the_example_of_rfc_7677() -> None:
    """Section 3, octet for octet."""
    keys = Keys.derive("pencil", salt=base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), iterations=4096)
    server = Scram(plus=False, binding=None, nonce=b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert server.begin(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == "user"
    assert server.challenge(keys) == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert (
        server.finish(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30))
def test_any_name_comes_through(login: str) -> None:
    client = ScramClient(login, "pencil")
    name, final = exchange(client)
    assert name == login
    assert client.believes(final)


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20))
def test_the_right_password_opens_and_no_other(password: str) -> None:
    keys = Keys.derive(password, iterations=4096)
    client = ScramClient("ann", password)
    assert client.believes(exchange(client, keys=keys)[1])
    with pytest.raises(AuthFailed):
        exchange(ScramClient("ann", password + "x"), keys=keys)


def test_a_bound_channel_opens() -> None:
    client = ScramClient("ann", "pencil", header=BOUND, binding=CHANNEL)
    assert client.believes(exchange(client, plus=True, binding=CHANNEL)[1])


@pytest.mark.parametrize(
    ("client", "plus", "binding"),
    [
        (ScramClient("ann", "pencil", header=BOUND, binding=b"another certificate"), True, CHANNEL),
        (ScramClient("ann", "pencil", header=BOUND, binding=b""), True, CHANNEL),
        (ScramClient("ann", "pencil", header=b"p=tls-unique,,", binding=CHANNEL), True, CHANNEL),
        (ScramClient("ann", "pencil", header=BOUND, binding=CHANNEL), True, None),
        (ScramClient("ann", "pencil", header=BOUND, binding=CHANNEL), False, CHANNEL),
        (ScramClient("ann", "pencil"), True, CHANNEL),
        (ScramClient("ann", "pencil", header=b"y,,"), True, CHANNEL),
        (ScramClient("ann", "pencil", header=b"y,,"), False, CHANNEL),  # somebody took -PLUS out of our offer
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_channel_that_is_not_the_one_does_not(client: ScramClient, plus: bool, binding: bytes | None) -> None:
    with pytest.raises(AuthFailed):
        exchange(client, plus=plus, binding=binding)


@pytest.mark.parametrize("binding", [None, CHANNEL])
def test_a_client_that_binds_nothing_is_let_in_without(binding: bytes | None) -> None:
    assert exchange(ScramClient("ann", "pencil"), binding=binding)
    assert exchange(ScramClient("ann", "pencil", header=b"y,,"))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_final_message_that_was_touched_fails_alike(data: st.DataObject) -> None:
    client = ScramClient("ann", "pencil")
    server = Scram(plus=False, binding=None)
    server.begin(client.first)
    good = client.final(server.challenge(KEYS))
    at = data.draw(st.integers(0, len(good) - 1))
    octet = data.draw(st.integers(0, 255).filter(lambda octet: octet != good[at]))
    touched = good[:at] + bytes([octet]) + good[at + 1 :]
    with pytest.raises(AuthFailed) as failure:
        server.finish(touched)
    assert str(failure.value) == "authentication failed"
    with pytest.raises(AuthFailed):
        server.finish(good[:at])
    assert client.believes(server.finish(good))


@pytest.mark.parametrize(
    "first",
    [b"n,,n=bob,r=clientnonce", b"n,,n=ann,r=othernonce", b"y,,n=ann,r=clientnonce", b"n,a=ann,n=ann,r=clientnonce"],
)
def test_a_first_message_that_was_touched_fails_in_the_end(first: bytes) -> None:
    client = ScramClient("ann", "pencil")
    server = Scram(plus=False, binding=None)
    server.begin(first)
    challenge = server.challenge(KEYS)
    client.nonce = b""
    with pytest.raises(AuthFailed):
        server.finish(client.final(challenge))


def test_a_proof_cannot_be_used_again() -> None:
    client = ScramClient("ann", "pencil")
    first, second = Scram(plus=False, binding=None), Scram(plus=False, binding=None)
    first.begin(client.first)
    good = client.final(first.challenge(KEYS))
    assert first.finish(good)
    second.begin(client.first)
    second.challenge(KEYS)
    with pytest.raises(AuthFailed):
        second.finish(good)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=ann",
        b"n,,r=x,n=ann",
        b"n,,n=,r=x",
        b"n,,n=ann,r=",
        b"n,,n=ann,r=a b",
        b"n,,n=a=b,r=x",
        b"n,,n=a=2c,r=x",
        b"n,,m=must,n=ann,r=x",
        b"x,,n=ann,r=x",
        b"n,,n=a\0b,r=x",
        b"n,,n=ann,r=" + b"x" * 600,
    ],
)
def test_what_is_no_first_message_is_refused(message: bytes) -> None:
    with pytest.raises(SyntaxFault):
        Scram(plus=False, binding=None).begin(message)


def test_nobody_acts_for_somebody_else() -> None:
    with pytest.raises(NotPermitted):
        Scram(plus=False, binding=None).begin(b"n,a=boss,n=ann,r=x")


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_octets_are_a_mail_error(first: bytes, final: bytes) -> None:
    server = Scram(plus=False, binding=None)
    with contextlib.suppress(MailError):
        server.begin(first)
    server.challenge(KEYS)
    with pytest.raises(AuthFailed):
        server.finish(final)


def test_keys_are_kept_as_text() -> None:
    kept = scram_keys("pencil")
    assert kept.startswith(f"SCRAM-SHA-256${ITERATIONS}:")
    assert ITERATIONS >= 4096
    keys = Keys.load(kept)
    assert keys.dump() == kept
    assert keys == Keys.derive("pencil", salt=keys.salt, iterations=keys.iterations)
    assert scram_keys("pencil") != kept, "every password has a salt of its own"
    assert "pencil" not in kept
    assert base64.b64encode(keys.stored_key).decode() not in repr(keys)


@pytest.mark.parametrize(
    "text",
    ["", "x", "$argon2id$v=19$x", "SCRAM-SHA-1$4096:AA==$AA==:AA==", "SCRAM-SHA-256$1:AA==$AA==:AA=="],
)
def test_what_are_no_keys_is_told(text: str) -> None:
    with pytest.raises(ValueError):
        Keys.load(text)


def test_who_is_not_known_is_told_the_same_salt_every_time_and_never_let_in() -> None:
    pretended = Keys.pretended("nobody", b"secret")
    assert pretended == Keys.pretended("nobody", b"secret")
    assert pretended.salt != Keys.pretended("nobody2", b"secret").salt
    assert pretended.salt != Keys.pretended("nobody", b"other").salt
    real = Keys.derive("x")
    assert (len(pretended.salt), pretended.iterations) == (len(real.salt), real.iterations)
    with pytest.raises(AuthFailed):
        exchange(ScramClient("nobody", "anything"), keys=pretended)


@pytest.mark.parametrize(
    ("password", "same"),
    [
        ("I\u00adX", "IX"),  # RFC 4013 3, example 1
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("p\u00e4ss", "pa\u0308ss"),
        ("\U0001faa0 plunger", "\U0001faa0 plunger"),  # newer than the tables
    ],
)
def test_passwords_that_only_look_different_are_the_same(password: str, same: str) -> None:
    assert prepared(password) == prepared(same)


@pytest.mark.parametrize("password", ["\u0007", "\u0627\u0031", ""])
def test_a_password_that_saslprep_forbids_is_taken_as_it_is(password: str) -> None:
    assert prepared(password) == password.encode()
