"""A reader for the parenthesised lists of IMAP, made only to judge what we write."""

from __future__ import annotations

import re
from typing import Any

TOKEN = re.compile(rb'[ ]|\(|\)|NIL|\d+|"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"|\{(\d+)\}\r\n')


def read(data: bytes) -> Any:
    """One value: a list, None, an int or bytes. Raises `ValueError` where `data` is not exactly one, well spaced.

    Only lists may follow a list without a space (RFC 9051: `"(" 1*address ")"`, `1*body SP media-subtype`).
    """
    stack: list[list[Any]] = [[]]
    at, spaced = 0, True
    while at < len(data):
        match = TOKEN.match(data, at)
        if match is None:
            raise ValueError(f"at {at}: {data[at : at + 40]!r}")
        token, at = match.group(), match.end()
        if token == b" ":
            if spaced:
                raise ValueError(f"stray space at {at}")
            spaced = True
            continue
        if token == b")":
            if len(stack) == 1 or (spaced and stack[-1]) or not stack[-1]:
                raise ValueError(f"bad end at {at}")
            done = stack.pop()
            stack[-1].append(done)
            spaced = False
            continue
        if not spaced and not (token == b"(" and stack[-1] and isinstance(stack[-1][-1], list)):
            raise ValueError(f"missing space at {at}")
        if token == b"(":
            stack.append([])
            spaced = True
            continue
        spaced = False
        if token == b"NIL":
            stack[-1].append(None)
        elif token.isdigit():
            stack[-1].append(int(token))
        elif token.startswith(b'"'):
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[1]))
        else:
            length = int(match[2])
            literal = data[at : at + length]
            if len(literal) != length or b"\0" in literal:
                raise ValueError(f"bad literal at {at}")
            stack[-1].append(literal)
            at += length
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError("unbalanced")
    return stack[0][0]


def is_nstring(value: Any) -> bool:
    return value is None or isinstance(value, bytes)


def check_envelope(value: Any) -> None:
    """Raises `AssertionError` unless `value` is RFC 9051's `envelope`."""
    assert isinstance(value, list)
    assert len(value) == 10
    for index in (0, 1, 8, 9):
        assert is_nstring(value[index])
    for field in value[2:8]:
        assert field is None or (isinstance(field, list) and field)
        depth = 0
        for address in field or []:
            assert len(address) == 4
            assert all(map(is_nstring, address))
            if address[3] is None:  # a group begins or ends
                depth += 1 if address[2] is not None else -1
                assert depth in (0, 1)
        assert depth == 0


def check_parameters(value: Any) -> None:
    assert value is None or (value and len(value) % 2 == 0 and all(isinstance(item, bytes) for item in value))


def check_extension(value: list[Any]) -> None:
    """Disposition, language, location."""
    disposition, language, location = value
    if disposition is not None:
        kind, parameters = disposition
        assert isinstance(kind, bytes)
        check_parameters(parameters)
    assert is_nstring(language) or (language and all(isinstance(tag, bytes) for tag in language))
    assert is_nstring(location)


def check_body(root: Any, *, extension: bool) -> int:
    """Raises `AssertionError` unless `root` is RFC 9051's `body`; returns how many nodes it has."""
    waiting, count = [root], 0
    while waiting:
        value = waiting.pop()
        count += 1
        assert isinstance(value, list)
        if isinstance(value[0], list):
            parts = [item for item in value if isinstance(item, list)]
            head = 0
            while head < len(value) and isinstance(value[head], list):
                head += 1
            waiting.extend(parts[:head])
            assert isinstance(value[head], bytes)
            rest = value[head + 1 :]
            if extension:
                check_parameters(rest[0])
                check_extension(rest[1:])
            else:
                assert not rest
            continue
        type_, subtype, parameters, identity, description, encoding, size = value[:7]
        assert isinstance(type_, bytes)
        assert isinstance(subtype, bytes)
        assert isinstance(encoding, bytes)
        assert type_ != b"MULTIPART"
        check_parameters(parameters)
        assert is_nstring(identity)
        assert is_nstring(description)
        assert isinstance(size, int)
        rest = value[7:]
        if type_ == b"TEXT":
            assert isinstance(rest.pop(0), int)
        elif type_ == b"MESSAGE" and subtype in (b"RFC822", b"GLOBAL"):
            check_envelope(rest.pop(0))
            waiting.append(rest.pop(0))
            assert isinstance(rest.pop(0), int)
        if extension:
            assert is_nstring(rest.pop(0))
            check_extension(rest)
        else:
            assert not rest
    return count
