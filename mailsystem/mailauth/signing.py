"""DKIM signatures on mail that leaves (RFC 6376, RFC 8463): an RSA and an Ed25519 one, of the author's domain.

dkimpy selects the fields and brings them into their canonical form; the raw signatures are made by cryptography. In dkimpy's
own Python an RSA signature takes some 7 ms, in which nothing else runs, and its time tells about the key; here it takes
0.3 ms, and neither is so.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from mailsystem.mail import header
from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.clock import Clock, SystemClock
from mailsystem.mail.errors import MailError, SyntaxFault
from mailsystem.mailauth import keys
from mailsystem.mailauth.canonical import BodyHash
from mailsystem.store import Algorithm, SigningKey
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

MAX_HEAD: Final = 1 << 20
"""Octets of a header that is signed; a longer one is nobody's mail."""
MAX_FIELDS: Final = 2000
MAX_AUTHORS: Final = 100
MAX_SIGNED: Final = 200
"""Names in h=."""

SEALED: Final = (
    "From",
    "To",
    "Cc",
    "Subject",
    "Reply-To",
    "Content-Type",
    "Content-Transfer-Encoding",
)
"""Signed once more than they stand there (RFC 6376 5.4.2), absent ones too: programs show or obey one that somebody has put
in later, and the signature would still be good (RFC 6376 8.15). With another Content-Type the same octets say another thing."""
SEALED_IF_THERE: Final = ("Sender", "Date", "Message-ID", "MIME-Version", "In-Reply-To", "References")
"""The same, but who carries the mail on may add one that is missing (RFC 6409 8), and mailing lists a Sender."""
SIGNED_IF_THERE: Final = (
    "Content-ID",
    "Content-Description",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
)
"""Not sealed: a mailing list that the mail goes through puts its own there. RFC 8058 4 asks for List-Unsubscribe and -Post."""

NOTHING: Final[Mapping[str, object]] = {}

_AT_ONCE: Final = 256 * 1024
"""Octets gathered before a thread is given them."""
_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE: Final = 76


class Keys(Protocol):
    """Where a domain's keys come from."""

    async def domains(self) -> Collection[str]:
        """Those that have keys that sign now."""
        ...

    async def active(self, domain: str) -> Sequence[SigningKey]:
        """Those that sign now."""
        ...


class Unsignable(Exception):
    """Something about the message makes a signature of it worthless or impossible."""


def authors(value: bytes) -> list[str]:
    """The domains of the first addresses in a From field, in their normal spelling; an empty string for what is no address."""
    found: list[str] = []
    for mailbox in header.addresses(header.unfolded(value)):
        if mailbox.host is None:
            continue  # a group's start or end
        try:
            found.append(normal_domain(mailbox.host.decode("utf-8")))
        except (SyntaxFault, UnicodeDecodeError):
            found.append("")
        if len(found) > MAX_AUTHORS:
            break
    return found


def signing_domain(
    from_header: bytes, sender: Address, ours: Collection[str], *, written_here: bool = True
) -> str | None:
    """Whose signature a message gets: that of its one author's domain if it is ours, else of the envelope sender's if it is.

    Not `written_here` is what is only forwarded. Anybody can have put one of our addresses into its From, and our signature
    would swear to it: such a message gets none.
    """
    domains = authors(from_header)
    if len(domains) > MAX_AUTHORS:
        return None
    if not written_here and any(domain in ours for domain in domains):
        return None
    if len(domains) == 1 and domains[0] in ours:
        return domains[0]
    return sender.domain if sender.domain in ours else None


class Signer:
    """Signs for every domain that has keys; one for the whole process."""

    def __init__(self, keys: Keys, trace: Trace, *, clock: Clock | None = None) -> None:
        self._keys = keys
        self._trace = trace
        self._clock = clock or SystemClock()
        self._loaded: dict[bytes, RSAPrivateKey | Ed25519PrivateKey] = {}
        """By their octets: to check an RSA key when it is read takes far longer than to sign with it."""

    async def sign(
        self, octets: bytes | AsyncIterable[bytes], domain: str, *, about: Mapping[str, object] = NOTHING
    ) -> bytes:
        """The DKIM-Signature fields that go in front of a message; none where the domain has no active key.

        The message may come in pieces; then little more than its header is held. What cannot be signed gets no field
        either, and the trace says why; `about` goes into its events. Raises only what reading the keys or the pieces raises.
        """
        active = await self._keys.active(domain)
        return await self._signed(_Message(), _slices(octets), domain, active, about) if active else b""

    async def signature(
        self,
        octets: AsyncIterable[bytes],
        sender: Address,
        *,
        authenticated: bool,
        about: Mapping[str, object] = NOTHING,
    ) -> bytes:
        """The same, of the domain that `signing_domain` chooses among those that have keys.

        What neither somebody who was `authenticated` has sent nor we have written ourselves is only forwarded. What we
        write has come through no door, and so it has no Received.
        """
        ours = await self._keys.domains()
        if not ours:
            return b""
        message, pieces = _Message(), _slices(octets)
        try:
            async for piece in pieces:
                await asyncio.to_thread(message.feed, piece)
                if message.has_header:
                    break
            domain = await asyncio.to_thread(_chosen, message, sender, ours, authenticated=authenticated)
        except Unsignable as error:
            self._trace.event("signing failed", **about, domain=sender.domain, reason=str(error))
            return b""
        active = await self._keys.active(domain) if domain else ()
        return await self._signed(message, pieces, domain, active, about) if domain and active else b""

    async def _signed(
        self,
        message: _Message,
        pieces: AsyncIterator[bytes],
        domain: str,
        active: Sequence[SigningKey],
        about: Mapping[str, object],
    ) -> bytes:
        start = time.perf_counter()
        try:
            async for piece in pieces:
                await asyncio.to_thread(message.feed, piece)
            made = await asyncio.to_thread(self._fields, message, domain, active)
        except Unsignable as error:
            self._trace.event("signing failed", **about, domain=domain, reason=str(error))
            return b""
        except MailError:
            raise  # a piece could not be read
        except Exception as error:
            # Whatever is wrong with us, mail goes out, if without a signature.
            self._trace.bug(error, **about, where="signing")
            return b""
        ms = round((time.perf_counter() - start) * 1000, 3)
        for key in active:
            if key.selector not in made:
                reason = f"the key {key.selector} cannot be used"
                self._trace.event("signing failed", **about, domain=domain, reason=reason)
        if made:
            self._trace.event("signed", **about, domain=domain, selectors=", ".join(made), ms=ms)
        return b"".join(made.values())

    def _fields(self, message: _Message, domain: str, active: Sequence[SigningKey]) -> dict[str, bytes]:
        """The signatures by their selectors, with all keys that can be used. Raises `Unsignable`."""
        message.only(b"from")  # RFC 6376 5.4 and 8.15
        fields, names, body = message.fields, _names(message.fields), message.close()
        now = int(self._clock.now())
        # RSA first: whoever looks at the first signature alone is more likely to know that.
        ordered = sorted(active, key=lambda key: key.algorithm is not Algorithm.RSA)
        usable = [(key, private) for key in ordered if (private := self._private(key)) is not None]
        return {key.selector: _field(fields, names, body, domain, key, private, now) for key, private in usable}

    def _private(self, key: SigningKey) -> RSAPrivateKey | Ed25519PrivateKey | None:
        private = self._loaded.get(key.secret)
        if private is None:
            try:
                private = keys.load(key)
            except ValueError:
                return None
            if len(self._loaded) >= 1000:
                self._loaded.clear()
            self._loaded[key.secret] = private
        return private


def _chosen(message: _Message, sender: Address, ours: Collection[str], *, authenticated: bool) -> str | None:
    """Raises `Unsignable`."""
    written_here = authenticated or not message.has(b"received")
    return signing_domain(message.only(b"from"), sender, ours, written_here=written_here)


async def _slices(octets: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(octets, bytes):
        for at in range(0, len(octets), _AT_ONCE):
            yield octets[at : at + _AT_ONCE]
        return
    gathered: list[bytes] = []
    size = 0
    async for piece in octets:
        gathered.append(piece)
        size += len(piece)
        if size >= _AT_ONCE:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


class _Message:
    """A message as it comes in: its header kept, its body hashed."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body: BodyHash | None = None

    @property
    def has_header(self) -> bool:
        """Whether all of it is there."""
        return self._body is not None

    @cached_property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Of the header, as far as it has come. Raises `Unsignable`."""
        return _fields_of(bytes(self._head))

    def has(self, name: bytes) -> bool:
        return any(each.lower() == name for each, _ in self.fields)

    def only(self, name: bytes) -> bytes:
        """The value of the one field of that name. Raises `Unsignable`."""
        found = [value for each, value in self.fields if each.lower() == name]
        if not found:
            raise Unsignable(f"there is no {name.decode('ascii').title()}")
        if len(found) > 1:
            raise Unsignable(f"there is more than one {name.decode('ascii').title()}")
        return found[0]

    def feed(self, piece: bytes) -> None:
        """Raises `Unsignable`."""
        if self._body is not None:
            self._body.feed(piece)
            return
        seen = max(len(self._head) - 3, 0)
        self._head += piece
        end = 0 if self._head.startswith(b"\r\n") else self._head.find(b"\r\n\r\n", seen) + 2
        if end == 1:
            if len(self._head) > MAX_HEAD:
                raise Unsignable("the header is too long")
            return
        self._body = BodyHash()
        self._body.feed(bytes(memoryview(self._head)[end + 2 :]))
        del self._head[end:]
        if len(self._head) > MAX_HEAD:
            raise Unsignable("the header is too long")

    def close(self) -> bytes:
        """The hash of the body."""
        return (self._body or BodyHash()).close()


def _fields_of(head: bytes) -> list[tuple[bytes, bytes]]:
    if head and not head.endswith(b"\r\n"):
        head += b"\r\n"
    if _BARE.search(head):
        raise Unsignable("a line in the header does not end in CRLF")
    if _CONTROL.search(head):
        raise Unsignable("there is a control character in the header")
    fields = header.fields(head)
    if b"".join(name + b":" + value + b"\r\n" for name, value in fields) != head:
        raise Unsignable("a line in the header is no field")
    if len(fields) > MAX_FIELDS:
        raise Unsignable("the header has too many fields")
    if not all(name.isascii() for name, _ in fields):
        raise Unsignable("a field's name is not ASCII")
    return fields


def _names(fields: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """What h= says."""
    there = Counter(name.lower() for name, _ in fields)
    found: list[str] = []
    for name in (*SEALED, *SEALED_IF_THERE, *SIGNED_IF_THERE):
        count = there[name.lower().encode("ascii")]
        if name in SEALED or (count and name in SEALED_IF_THERE):
            count += 1
        if len(found) + count > MAX_SIGNED:
            raise Unsignable("there are too many fields to sign")
        found += [name] * count
    return found


def _field(
    fields: Sequence[tuple[bytes, bytes]],
    names: Sequence[str],
    body: bytes,
    domain: str,
    key: SigningKey,
    private: RSAPrivateKey | Ed25519PrivateKey,
    now: int,
) -> bytes:
    """One DKIM-Signature field."""
    # Folded between tags and names only, which every reader of such a field bears.
    value = (
        f" v=1; a={key.algorithm}; c=relaxed/relaxed; t={now};\r\n"
        f"\td={domain};\r\n"
        f"\ts={key.selector};\r\n"
        f"\th={_folded(names)};\r\n"
        f"\tbh={base64.b64encode(body).decode('ascii')};\r\n"
        "\tb="
    ).encode("ascii")
    encoded = base64.b64encode(raw_signature(private, header_digest(fields, names, value)))
    lines = [encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]
    return b"DKIM-Signature:" + value + b"\r\n\t".join(lines) + b"\r\n"


def header_digest(fields: Sequence[tuple[bytes, bytes]], names: Sequence[str], value: bytes) -> bytes:
    """What is signed (RFC 6376 3.7): a header's fields of these names, and the signature's own, whose b= is still empty."""
    import dkim
    from dkim.canonicalization import CanonicalizationPolicy

    canon = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
    digest = hashlib.sha256()
    dkim.hash_headers(
        digest,
        canon,
        canon.canonicalize_headers(fields),
        [name.lower().encode("ascii") for name in names],
        (b"DKIM-Signature", value),
        {},
    )
    return digest.digest()


def raw_signature(private: RSAPrivateKey | Ed25519PrivateKey, digest: bytes) -> bytes:
    """What stands in b=. Ed25519 signs the SHA-256 of the header, as RSA does (RFC 8463 3)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(private, Ed25519PrivateKey):
        return private.sign(digest)
    return private.sign(digest, PKCS1v15(), Prehashed(SHA256()))


def _folded(names: Sequence[str]) -> str:
    lines = [""]
    for name in names:
        if lines[-1] and len(lines[-1]) + len(name) > _LINE:
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n\t ".join(lines).removesuffix(":")
