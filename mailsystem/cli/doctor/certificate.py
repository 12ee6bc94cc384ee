"""The certificates: readable, with their keys, in time, for the right names, and worth something to others."""

from __future__ import annotations

import datetime
import ssl
import stat
from collections.abc import Iterator
from typing import Final

from cryptography import x509

from mailsystem.cli.doctor.finding import Finding, good, warning, wrong
from mailsystem.net import BadCertificate, Certificates, Pair
from mailsystem.settings import Settings

SOON: Final = datetime.timedelta(days=14)


def certificates(settings: Settings) -> Iterator[Finding]:
    tls = settings.tls
    if tls.cert is None or tls.key is None:
        if settings.host in {"127.0.0.1", "::1", "localhost"}:
            yield good("certificate", "none, and none is needed on this machine alone")
        else:
            yield warning(
                "certificate",
                "there is none: mail crosses the network in clear, and nobody elsewhere can log in",
                "get one, by certbot for example, and set tls.cert and tls.key",
            )
        return
    yield from pair("certificate", Pair(tls.cert, tls.key), settings.hostname)
    for name, further in tls.names.items():
        yield from pair(f"certificate of {name}", Pair(further.cert, further.key, f"tls.names.{name}"), name)


def pair(check: str, files: Pair, name: str, *, now: datetime.datetime | None = None) -> Iterator[Finding]:
    """All about one certificate, which shall be for `name`."""
    try:
        Certificates(files)
        leaf = x509.load_pem_x509_certificates(files.cert.read_bytes())[0]
    except (BadCertificate, ValueError, OSError) as error:
        yield wrong(check, str(error), "let tls.cert name the chain (fullchain.pem) and tls.key its key (privkey.pem)")
        return
    mode = stat.S_IMODE(files.key.stat().st_mode)
    if mode & 0o007:
        yield wrong(check, f"anybody can read its key {files.key} (mode {mode:04o})", f"chmod 600 {files.key}")
    yield _dates(check, leaf, now or datetime.datetime.now(datetime.UTC))
    names = covered(leaf)
    if not any(_matches(pattern, name) for pattern in names):
        yield wrong(
            check,
            f"it is for {', '.join(names) or 'no name at all'}, not for {name}",
            f"get one for {name}, or set hostname to a name that it is for",
        )
    if leaf.issuer == leaf.subject:
        yield warning(check, "it vouches for itself: clients will warn or refuse", "get one from an authority")
    elif (fault := chain_fault(files)) is not None:
        yield warning(
            check,
            f"this machine does not trust it: {fault}",
            "let tls.cert hold the whole chain (fullchain.pem), unless your clients know its authority",
        )


def _dates(check: str, leaf: x509.Certificate, now: datetime.datetime) -> Finding:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    renew = "renew it; the servers notice new files by themselves"
    if now >= ends:
        return wrong(check, f"it expired on {ends:%Y-%m-%d}", renew)
    if now < begins:
        return wrong(check, f"it is valid only from {begins:%Y-%m-%d}", "set the clock, or wait")
    if ends - now < SOON:
        return warning(check, f"it expires in {(ends - now).days} days, on {ends:%Y-%m-%d}", renew)
    return good(check, f"valid until {ends:%Y-%m-%d}, for {', '.join(covered(leaf)) or 'no name'}")


def covered(leaf: x509.Certificate) -> list[str]:
    """The names and addresses that a certificate is for."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _matches(pattern: str, name: str) -> bool:
    """RFC 9525 6.3: a wildcard stands for one whole label, the first."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    return pattern == name or (pattern.startswith("*.") and pattern[2:] == name.partition(".")[2])


def chain_fault(files: Pair) -> str | None:
    """Why this machine's own authorities do not vouch for it; None where they do. Dates and names are not its matter."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.cert, files.key, password="")
    client = ssl.create_default_context()
    client.check_hostname = False
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    done = {ours: False, theirs: False}
    while not all(done.values()):
        for side in (theirs, ours):
            try:
                side.do_handshake()
                done[side] = True
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                # X509_V_ERR_CERT_HAS_EXPIRED and _NOT_YET_VALID: told apart, with their dates
                return None if error.verify_code in {9, 10} else error.verify_message
            except ssl.SSLError as error:
                return error.reason or str(error)
    return None
