"""What outside programs need to judge us: where they are, how they are run, whom they trust."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """A judge is not there: the test is skipped, or fails where all of them must be."""
    if os.environ.get("REQUIRE_JUDGES") == "1":
        pytest.fail(f"{what} is not installed, and MAILSYSTEM_REQUIRE_JUDGES=1 asks for it", pytrace=False)
    pytest.skip(f"{what} is not installed")


Tool = Callable[[str], str]
"""A tool's name to its path (fixture `tool`)."""

Run = Callable[..., subprocess.CompletedProcess[bytes]]
"""Runs an outside program to its end (fixture `run`)."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate authority of our own and a certificate of it for localhost, as PEM files and as contexts."""

    authority: Path
    certificate: Path
    """With its chain."""
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))
