"""Messages that mail software gets wrong: some of ours, and those of the standard library's e-mail tests."""

from __future__ import annotations

import base64
import functools
import hashlib
import random
import re
from importlib import util
from pathlib import Path
from typing import Final

HEAD: Final = b"From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: %s\r\n"


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def simple(subject: str = "hello", body: bytes = b"Hello.\r\n") -> bytes:
    """A small message of one part."""
    return HEAD % subject.encode() + b"\r\n" + body


def large(octets: int, seed: int = 0) -> bytes:
    """A message with a base64 attachment of about so many octets."""
    lines = base64.encodebytes(random.Random(seed).randbytes(1 << 16)).replace(b"\n", b"\r\n")
    count = max(1, octets // len(lines))
    return b"".join(
        [
            HEAD % b"an attachment",
            b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="cut here"\r\n\r\n',
            b"--cut here\r\n\r\nSee the attachment.\r\n--cut here\r\nContent-Type: application/octet-stream\r\n",
            b"Content-Disposition: attachment; filename=data.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            *([lines] * count),
            b"--cut here--\r\n",
        ]
    )


def crlf(raw: bytes) -> bytes:
    """With the line ends that mail has on the wire."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", raw)


def _many_parts(count: int) -> bytes:
    parts = b"".join(b"--p\r\nContent-Type: text/plain\r\n\r\npart %d\r\n" % n for n in range(count))
    return (
        HEAD % b"parts"
        + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=p\r\n\r\n"
        + parts
        + b"--p--\r\n"
    )


def nested(depth: int) -> bytes:
    """multipart within multipart, `depth` levels."""
    opening = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth)
    )
    closing = b"".join(b"\r\n--b%d--\r\n" % level for level in reversed(range(depth)))
    return HEAD % b"nested" + b"MIME-Version: 1.0\r\n" + opening + b"\r\nthe innermost\r\n" + closing


def many_parts(count: int) -> bytes:
    """One multipart of `count` small parts."""
    return _many_parts(count)


ODD: Final[dict[str, bytes]] = {
    "plain": simple(),
    "8-bit": HEAD % b"8-bit" + b"Content-Type: text/plain; charset=latin-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"caf\xe9 \xff\xfe \x80\r\n",
    "all octets": HEAD % b"octets" + b"\r\n" + bytes(sorted(set(range(1, 256)) - {10, 13})) + b"\r\n",
    "8-bit in the header": "From: Jörg <joerg@example.org>\r\nSubject: Grüße ✉\r\n\r\n".encode()
    + b"\xe4 in latin-1\r\n",
    "very long lines": HEAD % b"long"
    + b"\r\n"
    + b"x" * 998
    + b"\r\n"
    + b"y" * 5000
    + b"\r\n"
    + b"z" * 200_000
    + b"\r\n.\r\n",
    "a long header line": HEAD % (b"s" * 20_000) + b"\r\nbody\r\n",
    "lines of dots": HEAD % b"dots" + b"\r\n.\r\n..\r\n...\r\n.leading\r\n..two\r\n\r\n.\r\n",
    "dots only": b".\r\n..\r\n.\r\n",
    "an empty body": HEAD % b"empty" + b"\r\n",
    "a header without a blank line": HEAD % b"no blank line",
    "no header": b"\r\nonly a body\r\n",
    "no final newline": HEAD % b"unfinished" + b"\r\nthe last line has no end",
    "ends in empty lines": HEAD % b"lines" + b"\r\nbody\r\n\r\n\r\n\r\n",
    "trailing spaces": HEAD % b"spaces  \t" + b"X-Empty:\r\n\r\ntrailing   \r\n\t\r\n \r\n",
    "from lines": HEAD % b"from" + b"\r\nFrom here\r\n>From there\r\nFrom ann@example.org Mon Jan  1 00:00:00 2024\r\n",
    "trace fields of its own": b"Return-Path: <old@example.org>\r\n"
    b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" + HEAD % b"traced" + b"\r\nbody\r\n",
    "an unclosed boundary": HEAD % b"open"
    + b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\none\r\n--q\r\n\r\n",
    "bad encodings": HEAD % b"=?utf-8?b?////?= =?x-none?q?=ZZ?=" + b"Content-Transfer-Encoding: base64\r\n\r\n!!!=\r\n",
    "100 parts": _many_parts(100),
    "nested 50": nested(50),
}
"""By name. Lines end in CRLF; there are no NUL, bare CR and bare LF in them."""


@functools.cache
def library() -> dict[str, bytes]:
    """The messages of the running Python's own e-mail tests, with CRLF; none where it came without its tests."""
    found = util.find_spec("test")
    if found is None or not found.submodule_search_locations:
        return {}
    return {
        file.name: crlf(file.read_bytes())
        for root in found.submodule_search_locations
        for file in sorted(Path(root).glob("test_email/data/*.txt"))
    }


def received(stored: bytes) -> bytes:
    """What came in, of what is kept: without the Return-Path and the one Received field that delivery puts in front.

    Of a text without a header that is `bare`: delivery ends its own fields before it.
    """
    found = re.match(rb"Return-Path: <[^\r\n]*>\r\nReceived: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", stored)
    assert found, stored[:300]
    return bare(stored[found.end() :])


def bare(raw: bytes) -> bytes:
    """A message without the empty line that stands for a header, if a text that has none comes behind."""
    return raw[2:] if re.match(rb"\r\n(?![!-9;-~]+[ \t]*:|\r?\n|>*From |\Z)", raw) else raw
