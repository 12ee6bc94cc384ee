"""Makes a certificate that vouches for itself: `python -m mailsystem.net.self_signing DAYS NAME …` prints it.

A process of its own, since `cryptography` takes a while to import and 12 MB of memory, which a server never needs again.
"""

from __future__ import annotations

import datetime
import ipaddress
import sys
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def made(names: list[str], *, days: int) -> bytes:
    """A certificate for `names` (host names and addresses) and its key, both as PEM in one piece."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a clock may be behind
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([*filter(None, map(_general, names))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _general(name: str) -> x509.GeneralName | None:
    """None for what can be no name in a certificate."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        with suppress(UnicodeError):
            return x509.DNSName(name.encode("idna").decode("ascii"))
        return None


if __name__ == "__main__":
    sys.stdout.buffer.write(made(sys.argv[2:], days=int(sys.argv[1])))
