"""Certificates that can be changed while the program runs, and what a session can prove about the one it saw."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from mailsystem.telemetry import Trace

POLL: Final = 10.0
"""Seconds between two looks at the files."""

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_NOT_ITS_KEY: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""OpenSSL's names for a key that is another's; the last one where it is of another kind."""


class BadCertificate(Exception):
    """Files that no TLS can be made of; the text is one clear sentence."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain and its key, as PEM files that may be one."""

    cert: Path
    key: Path
    name: str = "tls"
    """The setting that names them, for whoever has to mend it."""


class _Served(ssl.SSLContext):
    """A context that knows its certificate: `ssl` does not tell the server which one a session was shown."""

    certificate: bytes = b""
    """DER."""


class Certificates:
    """The certificates of all doors, by the name that a client asks for (SNI, RFC 6066 3).

    One of our own making is made when somebody asks for it (`ask`, or a handshake), since that takes a while. `context`
    stays the same object for as long as the program runs. What it shows a client is chosen in the handshake, so that new
    files are in force for the next handshake, and sessions that are open notice nothing.
    """

    def __init__(
        self,
        default: Pair,
        names: Mapping[str, Pair] | None = None,
        *,
        make: Callable[[], None] | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Reads the files; where there is something to `make` first, once they are asked for. Raises `BadCertificate`."""
        self._pairs = {"": default, **{name.lower(): pair for name, pair in (names or {}).items()}}
        self._trace = trace or Trace()
        self._asked = asyncio.Event()
        self._make = make
        self._making = threading.Lock()
        self._stamps = self._look()
        self._served = {} if make is not None else self._load()
        # What this one shows is never seen: the handshake goes on with the one that is chosen.
        self.context = _bare()
        self.context.sni_callback = self._choose

    def make(self) -> None:
        """Make what is to be made, unless that was done. Blocks for a moment then. Raises `BadCertificate` and `OSError`."""
        if self._make is None:
            return
        with self._making:
            if self._make is not None:
                self._make()
                self._stamps = self._look()
                self._served = self._load()
                self._make = None

    def _load(self) -> dict[str, _Served]:
        return {name: _loaded(pair) for name, pair in self._pairs.items()}

    def _choose(self, session: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        # An exact name, else a wildcard for its last labels, else the first certificate: never a failure, since mail
        # servers ask for all sorts of names and check none.
        try:
            self.make()
        except (BadCertificate, OSError) as error:
            self._trace.event("certificate refused", reason=str(error))
            return int(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR)
        asked = (name or "").lower()
        served = self._served
        session.context = served.get(asked) or served.get("*." + asked.partition(".")[2]) or served[""]
        return None

    def reload(self) -> bool:
        """Read the files again; where one is bad, all of the old ones stay in force and it is said. Blocks for a moment."""
        first = self.waiting
        try:
            self.make()
            if first:
                return True
            self._stamps = self._look()
            self._served = self._load()
        except (BadCertificate, OSError) as error:
            self._trace.event("certificate refused", reason=str(error))
            return False
        self._trace.event("certificate loaded", names=[name for name in self._served if name])
        return True

    @property
    def waiting(self) -> bool:
        """Whether there is something to be made still."""
        return self._make is not None

    def ask(self) -> None:
        """Let `watch` read the files now, changed or not."""
        self._asked.set()

    async def watch(self, every: float = POLL) -> None:
        """Reload whenever the files have changed or somebody asks; runs until it is cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), every)
            asked = self._asked.is_set()
            self._asked.clear()
            if asked or await asyncio.to_thread(self._look) != self._stamps:
                await asyncio.to_thread(self.reload)

    def _look(self) -> list[tuple[int, ...]]:
        return [_stamp(path) for pair in self._pairs.values() for path in (pair.cert, pair.key)]


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _bare() -> _Served:
    context = _Served(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996, RFC 9325 3.1.1
    return context


def _loaded(pair: Pair) -> _Served:
    """A server's context with the certificate of `pair`. Raises `BadCertificate`."""
    cert, key = f"{pair.cert} ({pair.name}.cert)", f"{pair.key} ({pair.name}.key)"
    for said, path in ((cert, pair.cert), (key, pair.key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise BadCertificate(f"cannot read {said}: {(error.strerror or str(error)).lower()}") from None
    context = _bare()
    try:
        # Without a password given here, a key with a passphrase would ask for it at the terminal.
        context.load_cert_chain(pair.cert, pair.key, password="")
        found = _CERTIFICATE.search(pair.cert.read_bytes())
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) in _NOT_ITS_KEY:
            raise BadCertificate(f"the key in {key} does not belong to the certificate in {cert}") from None
        raise BadCertificate(
            f"{cert} and {key} are not a certificate and its key in PEM without a passphrase"
        ) from None
    except OSError as error:  # it was there a moment ago
        raise BadCertificate(f"cannot read {cert}: {error}") from None
    if found is not None:
        context.certificate = ssl.PEM_cert_to_DER_cert(found[0].decode("ascii"))
    return context


# What a session can prove

_HASHES: Final = {
    bytes.fromhex(oid): name
    for oid, name in {
        "2a864886f70d010104": "sha256",  # md5WithRSAEncryption: RFC 5929 4.1 takes SHA-256 for MD5 and SHA-1
        "2a864886f70d010105": "sha256",  # sha1WithRSAEncryption
        "2a864886f70d01010b": "sha256",
        "2a864886f70d01010c": "sha384",
        "2a864886f70d01010d": "sha512",
        "2a864886f70d01010e": "sha224",
        "2a8648ce3d0401": "sha256",  # ecdsa-with-SHA1
        "2a8648ce3d040301": "sha224",
        "2a8648ce3d040302": "sha256",
        "2a8648ce3d040303": "sha384",
        "2a8648ce3d040304": "sha512",
    }.items()
}
"""The signature algorithms' object identifiers (RFC 3279, 4055, 5758) and the hash that stands in each."""


def end_point(context: ssl.SSLContext | None) -> bytes | None:
    """The `tls-server-end-point` channel binding (RFC 5929 4): a hash of the certificate that this context shows.

    None where the certificate is unknown, or its signature has no hash of its own to name (Ed25519, or PSS with parameters).
    """
    certificate = getattr(context, "certificate", b"")
    if not certificate:
        return None
    try:
        name = _HASHES.get(_signature_algorithm(certificate))
    except (IndexError, ValueError):
        return None
    return None if name is None else hashlib.new(name, certificate).digest()


def _signature_algorithm(certificate: bytes) -> bytes:
    """The object identifier that stands behind the to-be-signed part (RFC 5280 4.1.1.2)."""
    start, _ = _value(certificate, 0)  # Certificate
    _, behind = _value(certificate, start)  # tbsCertificate
    start, _ = _value(certificate, behind)  # signatureAlgorithm
    start, end = _value(certificate, start)
    return certificate[start:end]


def _value(der: bytes, at: int) -> tuple[int, int]:
    """Where the value of the element at `at` begins and ends."""
    length, at = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(der[at : at + count], "big"), at + count
    if at + length > len(der):
        raise ValueError
    return at, at + length


# A certificate of one's own making

LIFETIME: Final = 3650
"""Days."""
_MAKING: Final = 30.0
"""Seconds that it may take."""


def self_signed(file: Path, names: list[str], *, trace: Trace | None = None) -> Certificates:
    """The certificate in `file`, to be made for `names` if there is none yet: for tests and tries, trusted by nobody.

    Raises `OSError` where the file cannot be written.
    """
    pair = Pair(file, file)
    try:
        return Certificates(pair, trace=trace)
    except BadCertificate:
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        # Whether it can be written shall not come out at the first handshake.
        os.close(_fresh(draft))
        draft.unlink()
        return Certificates(pair, make=partial(_write, draft, file, names), trace=trace)


def _write(draft: Path, file: Path, names: list[str]) -> None:
    """Certificate and key share a file, so that two programs that make it at once leave one of the two whole."""
    # -P: what lies where the program was started is not to be run.
    command = [sys.executable, "-P", "-m", "mailsystem.net.self_signing", str(LIFETIME), *names]
    try:
        pem = subprocess.run(  # noqa: S603 - our own program
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_MAKING, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):  # where no process may be started
        from mailsystem.net.self_signing import made

        pem = made(names, days=LIFETIME)
    with os.fdopen(_fresh(draft), "wb") as out:
        out.write(pem)
    draft.replace(file)


def _fresh(file: Path) -> int:
    """Open a file that nobody else can have open."""
    with suppress(OSError):
        file.unlink()
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
