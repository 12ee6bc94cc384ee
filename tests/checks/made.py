"""Messages to check: a good one, and ways to spoil it."""

from __future__ import annotations

from mailsystem.checks import Options, Report, check

NOW = 1_795_770_000.0
"""2026-11-27."""

HEAD = (
    b"From: Shop <shop@example.org>\r\n"
    b"To: Ann <ann@example.net>\r\n"
    b"Subject: Your order\r\n"
    b"Date: Fri, 27 Nov 2026 09:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
)
MIME = b"MIME-Version: 1.0\r\n"
PNG = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
WORDS = "Thank you for your order of seven green apples, which we will send tomorrow morning by bicycle."


def plain(body: bytes = b"Hello.\r\n", head: bytes = HEAD, mime: bytes = b"") -> bytes:
    return head + mime + b"\r\n" + body


def html(body: str, text: str | None = None) -> bytes:
    """A message with text, where there is one, and HTML."""
    if text is None:
        return plain(
            body.encode() + b"\r\n",
            HEAD,
            MIME + b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        )
    return parts(
        "alternative",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text.encode(),
        b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body.encode(),
    )


def parts(subtype: str, *children: bytes, end: bytes = b"--b--\r\n") -> bytes:
    inner = b"".join(b"--b\r\n" + child + b"\r\n" for child in children)
    return HEAD + MIME + b"Content-Type: multipart/" + subtype.encode() + b"; boundary=b\r\n\r\n" + inner + end


def told(raw: bytes, **options: object) -> list[str]:
    """The ids of the rules that find something, each once."""
    return list(dict.fromkeys(finding.rule for finding in report(raw, **options).findings))


def report(raw: bytes, **options: object) -> Report:
    return check(raw, options=Options(now=NOW, **options))  # type: ignore[arg-type]
