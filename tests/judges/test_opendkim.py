"""OpenDKIM verifies what we sign, with the very records that we say are to be published."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from outside import missing

from mailsystem.mailauth import Signer, make_keys, record_of
from mailsystem.store import KeyState, SigningKey
from mailsystem.telemetry import Trace

pytestmark = pytest.mark.judge

HEAD = b"From: Alice <alice@a.test>\r\nTo: bob@b.test\r\nSubject: Hello\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
LETTERS = {
    "plain": HEAD + b"\r\nHello Bob\r\n",
    "empty": HEAD + b"\r\n",
    "empty lines": HEAD + b"\r\n\r\n\r\nHello\r\n\r\n \t\r\n\r\n",
    "white space": HEAD + b"X-Odd: \t a  \t b\r\n\t c \r\n\r\n  Hello \t Bob  \r\n\t\r\n",
    "folds": HEAD.replace(b"Hello", b"One\r\n two\r\n\t three") + b"\r\nHello\r\n",
    "utf-8": "From: Ålice <ålice@a.test>\r\nSubject: grüße\r\n\r\nschöne grüße\r\n".encode(),
    "8 bits": HEAD + b"\r\n\xff\xfe\x80\r\n",
    "fields twice": HEAD + b"To: carol@b.test\r\nCc: d@b.test\r\nCc: e@b.test\r\n\r\nHello\r\n",
    "list": HEAD + b"List-Id: <l.a.test>\r\nList-Unsubscribe: <https://a.test>\r\nReferences: <1@a>\r\n\r\nHello\r\n",
    "mime": HEAD
    + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
    "long lines": HEAD + b"\r\n" + b"y " * 400 + b"\r\n" + b"z" * 998 + b"\r\n",
    "large": HEAD + b"\r\n" + b"0123456789  abcdef \r\n" * 60_000,
}

Judge = Callable[[bytes], list[str]]
"""What OpenDKIM says of each signature of a message."""


@pytest.fixture(scope="module")
def keys() -> Sequence[SigningKey]:
    return make_keys("a.test", 1_700_000_000.0, [], state=KeyState.ACTIVE)


@pytest.fixture
def signer(keys: Sequence[SigningKey]) -> Signer:
    class Keyring:
        async def domains(self) -> set[str]:
            return {"a.test"}

        async def active(self, domain: str) -> Sequence[SigningKey]:
            return keys

    return Signer(Keyring(), Trace())


@pytest.fixture
def judge(tmp_path: Path, keys: Sequence[SigningKey]) -> Judge:
    program = shutil.which("opendkim", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        missing("opendkim")
    published = "".join(f"{record.name} {record.value}\n" for record in map(record_of, keys))
    (tmp_path / "published").write_text(published)
    (tmp_path / "opendkim.conf").write_text(f"Mode v\nSyslog no\nTestPublicKeys {tmp_path / 'published'}\n")

    def ask(octets: bytes) -> list[str]:
        letter = tmp_path / "letter"
        letter.write_bytes(octets)
        said = subprocess.run(
            [program, "-x", tmp_path / "opendkim.conf", "-vvv", "-t", letter],
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout.decode()
        return [f"{verdict} {how}" for verdict, how in re.findall(r"dkim=(\w+)\b.*? header\.a=([\w-]+)", said)]

    return ask


@pytest.mark.parametrize("name", LETTERS)
async def test_opendkim_finds_both_signatures_good(signer: Signer, judge: Judge, name: str) -> None:
    letter = LETTERS[name]
    fields = await signer.sign(letter, "a.test")
    assert judge(fields + letter) == ["pass rsa-sha256", "pass ed25519-sha256"]


async def test_opendkim_finds_a_changed_message_bad(signer: Signer, judge: Judge) -> None:
    letter = LETTERS["plain"]
    fields = await signer.sign(letter, "a.test")
    for changed in (
        letter.replace(b"Bob", b"Rob"),
        letter.replace(b"Subject:", b"Subject: Re:"),
        b"Cc: x@e.test\r\n" + letter,
    ):
        assert judge(fields + changed) == ["fail rsa-sha256", "fail ed25519-sha256"]
