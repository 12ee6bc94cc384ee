"""The scanner: microseconds per message, offsets, ENVELOPE and BODYSTRUCTURE included; whole and in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable

from mailsystem.mail.content import Facts, Scanner, scan

SIZES = {"1 KB": 1 << 10, "5 KB": 5 << 10, "50 KB": 50 << 10, "1 MB": 1 << 20}
REPEATS = 5
LINE = b"The quick brown fox jumps over the lazy dog, again and again.\r\n"
HEAD = (
    b"Return-Path: <ann@example.org>\r\nReceived: from mail.example.org (mail.example.org [192.0.2.1])\r\n"
    b"\tby mx.example.net with ESMTPS id abc123 for <bob@example.net>;\r\n\tMon, 1 Jan 2024 10:00:00 +0000\r\n"
    b"From: Ann Lee <ann@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: =?utf-8?q?Hello_W=C3=B6rld?=\r\n"
    b"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nMessage-ID: <123@example.org>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative;\r\n boundary="000000000000abcdef0123"\r\n\r\n'
)
PART = b"--000000000000abcdef0123\r\nContent-Type: text/%b; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def message(size: int) -> bytes:
    """A multipart/alternative of about `size` octets."""
    lines = LINE * max((size - len(HEAD) - 250) // 2 // len(LINE), 1)
    return HEAD + PART % b"plain" + lines + PART % b"html" + lines + b"--000000000000abcdef0123--\r\n"


def in_pieces(raw: bytes) -> Facts:
    scanner = Scanner()
    for start in range(0, len(raw), 64 << 10):
        scanner.feed(raw[start : start + (64 << 10)])
    return scanner.close()


def microseconds(work: Callable[[bytes], Facts], raw: bytes) -> float:
    count = max(5, 4_000_000 // (len(raw) + 4_000))
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(count):
            work(raw)
        best = min(best, (time.perf_counter() - start) / count)
    return best * 1e6


def main() -> None:
    print(f"{'':8}{'scan':>12}{'64 KiB fed':>12}   µs per message, best of {REPEATS}")
    for name, size in SIZES.items():
        raw = message(size)
        print(f"{name:8}{microseconds(scan, raw):12.1f}{microseconds(in_pieces, raw):12.1f}")


if __name__ == "__main__":
    main()
