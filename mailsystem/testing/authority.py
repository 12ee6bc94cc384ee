"""Whom tests trust: one certificate authority for a run, and what it says of our server. Made when somebody asks for TLS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

NAMES: Final = ("localhost", "127.0.0.1", "::1")
"""For whom the certificate is good."""
_DAYS: Final = 30


def make(authority: Path, served: Path) -> None:
    """Write whom to trust, and what a server shows: its certificate and key. Takes some hundredths of a second.

    With `trustme` installed it is an authority and a certificate of its own; without, one certificate that vouches for itself.
    """
    try:
        import trustme
    except ImportError:
        from mailsystem.net.self_signing import made

        whole = made(list(NAMES), days=_DAYS)
        trusted = whole[whole.index(b"-----BEGIN CERTIFICATE-----") :]
    else:
        ca = trustme.CA(organization_name="mailsystem, for tests only")
        issued = ca.issue_cert(*NAMES, common_name=NAMES[0])
        whole = issued.private_key_and_cert_chain_pem.bytes()
        trusted = ca.cert_pem.bytes()
    with open(os.open(served, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(whole)
    authority.write_bytes(trusted)
