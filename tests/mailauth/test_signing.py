"""Signatures (RFC 6376, RFC 8463): what is signed, what is not, and that others find them good."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tracemalloc
from collections.abc import AsyncIterator, Sequence

import dkim
import pytest
from dkim.canonicalization import Relaxed
from hypothesis import example, given
from hypothesis import strategies as st

from mailsystem.mail.address import Address
from mailsystem.mail.errors import Unavailable
from mailsystem.mailauth import Signer, make_keys, record_of, signing_domain
from mailsystem.mailauth.canonical import BodyHash
from mailsystem.store import KeyState, SigningKey
from mailsystem.telemetry import Event, Trace

NOW = 1_700_000_000.0
KEYS = make_keys("a.test", NOW, [], state=KeyState.ACTIVE)
RECORDS = {f"{record.name}.".encode(): record.value.encode() for record in map(record_of, KEYS)}
LETTER = (
    b"Received: from somewhere\r\n"
    b"From: Alice <alice@a.test>\r\n"
    b"To: bob@b.test\r\n"
    b"Subject: One\r\n  two\t three \r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"Message-ID: <1@a.test>\r\n"
    b"List-Unsubscribe: <https://a.test/u>\r\n"
    b"\r\n"
    b"Hello  Bob, \t\r\n\r\nbye\r\n \r\n\r\n"
)


class Keyring:
    """The keys of one domain."""

    def __init__(self, keys: Sequence[SigningKey] = KEYS) -> None:
        self.keys = keys

    async def domains(self) -> set[str]:
        return {key.domain for key in self.keys}

    async def active(self, domain: str) -> Sequence[SigningKey]:
        return [key for key in self.keys if key.domain == domain]


class Bench:
    """A signer and what it tells."""

    def __init__(self, keys: Sequence[SigningKey] = KEYS) -> None:
        self.events: list[Event] = []
        self.signer = Signer(Keyring(keys), Trace([self.events.append]))

    def sign(self, octets: bytes | AsyncIterator[bytes], domain: str = "a.test") -> bytes:
        return asyncio.run(self.signer.sign(octets, domain))

    @property
    def reason(self) -> str:
        [event] = self.events
        assert event.name == "signing failed"
        return str(event.data["reason"])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def public(name: bytes, timeout: int = 5) -> bytes | None:
    return RECORDS.get(name)


def good(message: bytes) -> list[bool]:
    """What dkimpy thinks of each of the two signatures."""
    verdicts = []
    for number in range(2):
        try:
            verdicts.append(bool(dkim.DKIM(message).verify(idx=number, dnsfunc=public)))
        except dkim.ValidationError:
            verdicts.append(False)
    return verdicts


def tags(field: bytes) -> dict[str, str]:
    value = re.sub(r"\s", "", field.decode().partition(":")[2])
    return dict(pair.split("=", 1) for pair in value.split(";"))


def split(fields: bytes) -> list[bytes]:
    return [b"DKIM-Signature:" + each for each in fields.split(b"DKIM-Signature:")[1:]]


def test_both_signatures_are_good(bench: Bench) -> None:
    fields = bench.sign(LETTER)
    assert good(fields + LETTER) == [True, True]
    rsa, ed25519 = map(tags, split(fields))
    assert (rsa["a"], rsa["s"]) == ("rsa-sha256", "ms202311r")
    assert (ed25519["a"], ed25519["s"]) == ("ed25519-sha256", "ms202311e")
    for signature in (rsa, ed25519):
        assert (signature["v"], signature["c"], signature["d"]) == ("1", "relaxed/relaxed", "a.test")
        assert signature["t"].isdigit()
        assert "l" not in signature


def test_its_lines_are_short_and_end_in_crlf(bench: Bench) -> None:
    fields = bench.sign(LETTER)
    assert fields.endswith(b"\r\n")
    assert fields.count(b"\r\n") == fields.count(b"\n") == fields.count(b"\r")
    assert max(map(len, fields.split(b"\r\n"))) <= 80


def test_the_trace_tells_that_it_was_signed(bench: Bench) -> None:
    bench.sign(LETTER)
    [event] = bench.events
    assert event.name == "signed"
    assert event.data["domain"] == "a.test"
    assert event.data["selectors"] == "ms202311r, ms202311e"


def test_a_domain_without_keys_signs_nothing(bench: Bench) -> None:
    assert bench.sign(LETTER, "b.test") == b""
    assert not bench.events


@pytest.mark.parametrize(
    "line",
    [
        b"From: Eve <eve@e.test>",
        b"To: all@b.test",
        b"Cc: all@b.test",
        b"Subject: Pay now",
        b"Date: Wed, 15 Nov 2023 22:13:20 +0000",
        b"Message-ID: <2@e.test>",
        b"Reply-To: eve@e.test",
        b"Content-Type: text/html",
        b"Content-Transfer-Encoding: base64",
    ],
    ids=lambda line: line.partition(b":")[0].decode(),
)
@pytest.mark.parametrize("where", ["above", "below"])
def test_nobody_can_put_in_another(bench: Bench, line: bytes, where: str) -> None:
    fields = bench.sign(LETTER)
    letter = (
        line + b"\r\n" + LETTER if where == "above" else LETTER.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n", 1)
    )
    assert good(fields + letter) == [False, False]


@pytest.mark.parametrize("line", [b"List-Id: <l.b.test>", b"Sender: list@b.test", b"Received: by b", b"X-Spam: no"])
def test_what_others_may_add_leaves_it_good(bench: Bench, line: bytes) -> None:
    assert good(line + b"\r\n" + bench.sign(LETTER) + LETTER) == [True, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"alice@", b"eve@"),
        (b"One", b"Two"),
        (b"/u>", b"/v>"),
        (b"bye", b"buy"),
        (b"Message-ID: <1", b"Message-ID: <2"),
    ],
)
def test_a_change_breaks_it(bench: Bench, old: bytes, new: bytes) -> None:
    assert good(bench.sign(LETTER) + LETTER.replace(old, new)) == [False, False]


def test_refolding_and_white_space_leave_it_good(bench: Bench) -> None:
    changed = LETTER.replace(b"One\r\n  two\t three ", b"One two\r\n\tthree").replace(b"Hello  Bob, \t", b"Hello Bob,")
    assert changed != LETTER
    assert good(bench.sign(LETTER) + changed.rstrip() + b"\r\n") == [True, True]


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        (b"", "no From"),
        (b"\r\nFrom: alice@a.test\r\n", "no From"),
        (b"Subject: x\r\n\r\nFrom: alice@a.test\r\n", "no From"),
        (b"From: alice@a.test\r\nFROM: eve@a.test\r\n\r\n", "more than one From"),
        (b"From: alice@a.test\nSubject: x\r\n\r\n", "CRLF"),
        (b"From: alice@a.test\rSubject: x\r\n\r\n", "CRLF"),
        (b"From: alice@a.test\r\nSubject: a\x00b\r\n\r\n", "control"),
        (b" folded\r\nFrom: alice@a.test\r\n\r\n", "no field"),
        (b"From: alice@a.test\r\nhello\r\n\r\n", "no field"),
        (b"From alice Tue\r\nFrom: alice@a.test\r\n\r\n", "no field"),
        (b"From: alice@a.test\r\nS\xc3\xbc: x\r\n\r\n", "not ASCII"),
        (b"From: alice@a.test\r\n" + b"X: y\r\n" * 2000 + b"\r\n", "too many fields"),
        (b"From: alice@a.test\r\n" + b"To: b@b.test\r\n" * 300 + b"\r\n", "too many fields to sign"),
        (b"From: alice@a.test\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n", "too long"),
        (b"From: alice@a.test\r\nX:\r\n" + b" y\r\n" * 400_000, "too long"),
    ],
)
def test_what_cannot_be_signed_goes_without_and_the_trace_says_why(bench: Bench, letter: bytes, reason: str) -> None:
    assert bench.sign(letter) == b""
    assert reason in bench.reason


@pytest.mark.parametrize(
    "letter",
    [
        b"From: alice@a.test",
        b"From: alice@a.test\r\n",
        b"From: alice@a.test\r\n\r\n",
        b"From: alice@a.test\r\n\r\n\r\n \r\n",
        "From: Ålice <ålice@a.test>\r\nSubject: grüße\r\n\r\nhallo\r\n".encode(),
        b"From: alice@a.test\r\nSubject: \xff\xfe\r\n\r\n\xff\x00\r\n",
        b"From:\r\n alice@a.test\r\n\r\n",
        b"From: alice@a.test\r\nTo: a@b\r\nTo: c@d\r\n\r\nx\r\n",
        b"From: alice@a.test\r\nSubject: " + b"x" * 100_000 + b"\r\n\r\nx\r\n",
        b"From: alice@a.test\r\n\r\n" + b"y" * 600_000 + b"\r\n",
        b"From: alice@a.test\r\nX:\r\n" + b" y\r\n" * 20_000 + b"\r\nx\r\n",
    ],
    ids=lambda letter: repr(letter[:50]),
)
def test_odd_messages_have_good_signatures(bench: Bench, letter: bytes) -> None:
    signed = bench.sign(letter) + letter
    assert good(signed if b"\r\n\r\n" in signed else signed.rstrip() + b"\r\n\r\n") == [True, True]


@given(st.lists(st.sampled_from([b"From: a@a.test", b"\r\n", b"\r", b"\n", b" x", b"To: \xff", b":", b"\x00", b"a:b"])))
def test_no_message_makes_it_raise(pieces: list[bytes]) -> None:
    fields = Bench(KEYS[1:]).sign(b"".join(pieces))
    assert fields == b"" or good(fields + b"".join(pieces))[0]


def test_a_broken_key_is_told_by_its_name_and_never_by_what_it_is() -> None:
    key = SigningKey("a.test", "broken", KEYS[0].algorithm, b"very secret", NOW, KeyState.ACTIVE, NOW)
    bench = Bench([key])
    assert bench.sign(LETTER) == b""
    assert bench.reason == "the key broken cannot be used"
    assert "secret" not in repr(key)


def test_beside_a_broken_key_the_other_signs() -> None:
    broken = SigningKey("a.test", "broken", KEYS[0].algorithm, b"very secret", NOW, KeyState.ACTIVE, NOW)
    bench = Bench([broken, KEYS[1]])
    [field] = split(bench.sign(LETTER))
    assert tags(field)["s"] == "ms202311e"
    assert [event.name for event in bench.events] == ["signing failed", "signed"]
    assert bench.events[1].data["selectors"] == "ms202311e"


def test_a_fault_of_ours_lets_mail_go_unsigned(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the dog ate it")

    monkeypatch.setattr(dkim, "hash_headers", broken)
    assert bench.sign(LETTER) == b""
    assert [event.name for event in bench.events] == ["bug"]


def test_what_cannot_be_read_is_told_to_whoever_asked(bench: Bench) -> None:
    async def gone() -> AsyncIterator[bytes]:
        yield LETTER
        raise Unavailable("the disk is gone")

    with pytest.raises(Unavailable):
        bench.sign(gone())


@given(
    st.lists(
        st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"b \r\n", b"\r\n\r\n", b"  \r\n "]), max_size=30
    )
)
@example([b"\r\n"] * 20)
@example([b"a" + b"\r\n" * 3000, b"\r\n" * 1025])
@example([b"a" + b"\r\n" * 3000, b"\r\n" * 1025 + b"b\r\n"])
@example([b" ", b"\r", b"\n", b" ", b"\r\n"])
@example([b"a", b" "])
@example([b"a", b" ", b"\r"])
def test_a_body_in_any_pieces_has_the_hash_of_its_relaxed_form(pieces: list[bytes]) -> None:
    hashing = BodyHash()
    for piece in pieces:
        hashing.feed(piece)
    body = b"".join(pieces)
    # It is sent with a line end at its end, whatever it had (RFC 5321 4.1.1.4).
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    assert hashing.close() == hashlib.sha256(Relaxed.canonicalize_body(body)).digest()


@given(st.binary(max_size=2000), st.integers(min_value=1, max_value=50))
def test_pieces_make_no_difference(body: bytes, size: int) -> None:
    letter = b"From: alice@a.test\r\n\r\n" + body

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(letter), size):
            yield letter[at : at + size]

    quick = Bench(KEYS[1:])
    [whole], [in_pieces] = split(quick.sign(letter)), split(quick.sign(pieces()))
    assert tags(whole)["bh"] == tags(in_pieces)["bh"]


def test_a_large_message_is_never_held_as_a_whole() -> None:
    line = b"0123456789 " * 7 + b"\r\n"
    chunk = line * 800

    async def pieces() -> AsyncIterator[bytes]:
        yield b"From: alice@a.test\r\n\r\n"
        for _ in range(50 * 1024 * 1024 // len(chunk)):
            yield chunk

    bench = Bench()
    bench.sign(LETTER)  # what is imported is not counted
    tracemalloc.start()
    try:
        fields = bench.sign(pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert fields
    assert peak < 4 * 1024 * 1024


# Which domain


@pytest.mark.parametrize(
    ("author", "sender", "expected"),
    [
        (b" Alice <alice@a.test>", "x@b.test", "a.test"),
        (b" alice@A.Test", "x@e.test", "a.test"),
        (b" (of b.test) alice@a.test", "x@e.test", "a.test"),
        (b' "bob@b.test" <alice@a.test>', "x@e.test", "a.test"),
        (b" Alice\r\n <alice@a.test>", "x@e.test", "a.test"),
        (b" alice@a.test, bob@b.test", "x@e.test", None),
        (b" alice@a.test, bob@b.test", "x@b.test", "b.test"),
        (b" eve@e.test", "x@b.test", "b.test"),
        (b" eve@e.test", "x@e.test", None),
        (b" alice@sub.a.test", "x@e.test", None),
        (b" alice", "x@b.test", "b.test"),
        (b"", "x@b.test", "b.test"),
        ("  x@bücher.example".encode(), "x@e.test", "xn--bcher-kva.example"),
        (b" x@\xff", "x@e.test", None),
        (b" \x00<<<>>>@@,,;:(", "x@e.test", None),
    ],
)
def test_the_author_s_domain_signs_if_it_is_ours_and_else_the_sender_s(
    author: bytes, sender: str, expected: str | None
) -> None:
    ours = {"a.test", "b.test", "xn--bcher-kva.example"}
    assert signing_domain(author, Address.parse(sender), ours) == expected


def test_so_many_authors_are_nobody() -> None:
    many = b"".join(b"x%d@b.test, " % number for number in range(1000))
    assert signing_domain(many, Address.parse("x@a.test"), {"a.test", "b.test"}) is None
    assert signing_domain(many[:100], Address.parse("x@a.test"), {"a.test", "b.test"}) == "a.test"


def test_a_report_is_signed_by_its_author_s_domain() -> None:
    assert signing_domain(b" mailer-daemon@a.test", Address.NULL, {"a.test"}) == "a.test"


def test_what_is_only_forwarded_never_gets_the_signature_of_its_author_s_domain() -> None:
    sender = Address.parse("srs0=x@b.test")
    assert signing_domain(b" alice@a.test", sender, {"a.test", "b.test"}, written_here=False) is None
    assert signing_domain(b" e@e.test, alice@a.test", sender, {"a.test", "b.test"}, written_here=False) is None
    assert signing_domain(b" eve@e.test", sender, {"a.test", "b.test"}, written_here=False) == "b.test"


# Signing what leaves


async def in_pieces(letter: bytes, size: int = 10) -> AsyncIterator[bytes]:
    for at in range(0, len(letter), size):
        yield letter[at : at + size]


def signature(bench: Bench, letter: bytes, sender: str, *, authenticated: bool) -> bytes:
    return asyncio.run(
        bench.signer.signature(
            in_pieces(letter),
            Address.parse(sender) if sender else Address.NULL,
            authenticated=authenticated,
            about={"id": "abc"},
        )
    )


def test_mail_of_somebody_who_logged_in_is_signed(bench: Bench) -> None:
    assert good(signature(bench, LETTER, "x@e.test", authenticated=True) + LETTER) == [True, True]
    assert bench.events[0].data["id"] == "abc"


def test_mail_that_only_claims_to_be_from_here_is_forwarded_without_our_signature(bench: Bench) -> None:
    assert signature(bench, LETTER, "srs0=x@a.test", authenticated=False) == b""
    assert signature(bench, LETTER, "", authenticated=False) == b""


def test_what_we_have_written_ourselves_is_signed(bench: Bench) -> None:
    report = LETTER.replace(b"Received: from somewhere\r\n", b"")
    assert good(signature(bench, report, "", authenticated=False) + report) == [True, True]


def test_what_is_forwarded_for_others_is_signed_by_the_domain_that_forwards_it(bench: Bench) -> None:
    letter = LETTER.replace(b"alice@a.test", b"eve@e.test")
    assert good(signature(bench, letter, "srs0=x@a.test", authenticated=False) + letter) == [True, True]
    assert signature(bench, letter, "eve@e.test", authenticated=False) == b""


def test_a_long_message_in_pieces_is_signed_as_a_whole(bench: Bench) -> None:
    letter = LETTER + b"more  and more\t \r\n" * 50_000

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in in_pieces(letter, 100_001):
            yield piece

    fields = asyncio.run(bench.signer.signature(pieces(), Address.parse("x@a.test"), authenticated=True))
    assert good(fields + letter) == [True, True]


def test_mail_of_two_authors_fields_is_not_signed_and_the_trace_says_why(bench: Bench) -> None:
    assert signature(bench, b"From: eve@e.test\r\n" + LETTER, "x@a.test", authenticated=True) == b""
    assert "more than one From" in bench.reason
    assert bench.events[0].data["id"] == "abc"
