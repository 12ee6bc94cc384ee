"""Reads FETCH responses as strictly as a client may: every octet of a response has to be where the grammar wants it."""

from __future__ import annotations

import re

_BEGIN = re.compile(rb"\* (\d+) FETCH \(")
_NAME = re.compile(rb"BODY\[(?:[^]\"]|\"(?:[^\"\\]|\\.)*\")*\](?:<\d+>)?|[A-Z0-9.]+")
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_PLAIN = re.compile(rb'"(?:[^"\\\r\n]|\\["\\])*"|[^ ()"{}\r\n]+')


def fetched(response: bytes) -> tuple[int, dict[str, bytes]]:
    """The sequence number, and each item by name: octets for a literal, the text itself for anything else."""
    begin = _BEGIN.match(response)
    assert begin, response[:200]
    at, items = begin.end(), {}
    while True:
        name = _NAME.match(response, at)
        assert name, response[at : at + 100]
        at = name.end()
        assert response[at : at + 1] == b" ", response[at : at + 100]
        value, at = _value(response, at + 1)
        assert name[0].decode() not in items, name
        items[name[0].decode()] = value
        if response[at : at + 1] == b")":
            assert at + 1 == len(response), response[at:]
            return int(begin[1]), items
        assert response[at : at + 1] == b" ", response[at : at + 100]
        at += 1


def _value(response: bytes, at: int) -> tuple[bytes, int]:
    literal = _LITERAL.match(response, at)
    if literal is not None:
        end = literal.end() + int(literal[1])
        assert end <= len(response)
        return response[literal.end() : end], end
    start, depth = at, 0
    while True:
        literal = _LITERAL.match(response, at)
        plain = _PLAIN.match(response, at)
        if literal is not None:
            at = literal.end() + int(literal[1])
        elif response[at : at + 1] == b"(":
            depth, at = depth + 1, at + 1
        elif response[at : at + 1] == b")" and depth:
            depth, at = depth - 1, at + 1
        elif response[at : at + 1] == b" " and depth:
            at += 1
        else:
            assert plain, response[at : at + 100]
            at = plain.end()
        if not depth:
            return response[start:at], at
