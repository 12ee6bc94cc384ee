"""Messages told in JSON, whose attachments stay where they were received."""

from __future__ import annotations

import base64
from email import message_from_bytes

import pytest

from mailsystem.web.api.writing import written
from mailsystem.web.problems import Problem


def told(content: str) -> bytes:
    file = '{"filename": "a", "content": "' + content + '"}'
    return b'{"to": ["ann@shop.test"], "attachments": [' + file.encode() + b"]}"


@pytest.mark.parametrize("shift", range(8))
def test_long_attachments_may_be_spelled_with_escapes(shift: int) -> None:
    octets = b"\xff" * shift + b"\xfb\xef\xbe\xff\xff" * 250_000
    octets += b"x" * ((1 - len(octets)) % 3)
    spelled = base64.b64encode(octets).decode()
    assert all(each in spelled for each in "+/=")
    # As some libraries for JSON write what could end a script, or an attribute of HTML.
    content = spelled.replace("+", "\\u002B").replace("=", "\\u003d").replace("/", "\\/")
    made = written(told(content), "bob@shop.test", "mx.test", 0)
    [part] = [each for each in message_from_bytes(b"".join(made.pieces)).walk() if each.get_filename()]
    assert part.get_payload(decode=True) == octets


@pytest.mark.parametrize("size", [100, 1_000_000])
@pytest.mark.parametrize("break_", ["\\n", "\\r\\n", "\\u000a", "\\u000D\\u000A"])
def test_attachments_may_be_broken_into_lines(size: int, break_: str) -> None:
    octets = bytes(range(256)) * (size // 256) + b"end"
    # As Base64.encode64 of Ruby, chunk_split of PHP and `base64` do it.
    content = base64.encodebytes(octets).decode().replace("\n", break_)
    made = written(told(content), "bob@shop.test", "mx.test", 0)
    [part] = [each for each in message_from_bytes(b"".join(made.pieces)).walk() if each.get_filename()]
    assert part.get_payload(decode=True) == octets


@pytest.mark.parametrize("wrong", ["\\u0022", "\\t", "\\\\", "\\u00e9", "\\u2028", "=A"])
def test_long_attachments_of_something_else_are_refused(wrong: str) -> None:
    content = "A" * 100_000 + wrong + "A" * (-len(wrong) % 4)
    with pytest.raises(Problem, match="not base64"):
        written(told(content), "bob@shop.test", "mx.test", 0)
