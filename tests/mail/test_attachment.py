"""What is attached, and what is only text: told by what is known since the message arrived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.attachment import Attachment, attachments
from mailsystem.mail.content import scan


def of(raw: bytes) -> list[Attachment]:
    return attachments(scan(raw.replace(b"\n", b"\r\n")))


def part(*lines: str, body: str = "eight oc") -> str:
    return "\n".join([*lines, "", body])


def mixed(*parts: str, kind: str = "mixed") -> bytes:
    inside = "".join(f"--b\n{each}\n" for each in parts)
    return f"MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=b\n\n{inside}--b--\n".encode()


TEXT = part("Content-Type: text/plain")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["Content-Type: text/plain"], None),
        (["Content-Type: text/html"], None),
        (["Content-Type: text/calendar", "Content-Disposition: inline"], None),
        (["Content-Type: text/plain", "Content-Disposition: attachment"], ("text/plain", None, None, False)),
        (["Content-Type: text/plain; name=a.txt"], ("text/plain", "a.txt", None, False)),
        (["Content-Type: Application/PDF"], ("application/pdf", None, None, False)),
        (
            ["Content-Type: application/pdf", "Content-Disposition: inline; filename*=utf-8''b%C3%BC.pdf"],
            ("application/pdf", "bü.pdf", None, False),
        ),
        (["Content-Type: image/png"], ("image/png", None, None, False)),
        (["Content-Type: image/png", "Content-Disposition: InLine"], ("image/png", None, None, True)),
        (["Content-Type: image/png", "Content-ID: <a@b>"], ("image/png", None, "a@b", True)),
        (
            ["Content-Type: image/png", "Content-ID: <a@b>", "Content-Disposition: attachment; filename=x.png"],
            ("image/png", "x.png", "a@b", False),
        ),
        (["Content-Type: image/png", f"Content-ID: <{'a' * 1500}>"], ("image/png", None, "a" * 1500, True)),
        (["Content-Type: image/png", 'Content-Description: "(odd\\) [{5}'], ("image/png", None, None, False)),
    ],
)
def test_one_part_beside_the_text(lines: list[str], told: tuple[str, str | None, str | None, bool] | None) -> None:
    found = of(mixed(TEXT, part(*lines)))
    if told is None:
        assert found == []
    else:
        kind, filename, content_id, inline = told
        assert found == [Attachment("2", kind, filename, content_id, 8, inline)]


def test_a_message_that_is_nothing_but_a_file() -> None:
    [one] = of(b"Content-Type: application/pdf; name=a.pdf\n\n%PDF\n")
    assert (one.part, one.type, one.filename, one.size) == ("1", "application/pdf", "a.pdf", 6)
    assert of(b"Subject: hello\n\nhello\n") == []


def test_parts_are_numbered_as_imap_does() -> None:
    picture = part("Content-Type: image/png", "Content-ID: <x>")
    related = mixed(TEXT, picture, kind="related").decode().replace("=b", "=c").replace("--b", "--c")
    found = of(mixed(related.removeprefix("MIME-Version: 1.0\n"), part("Content-Type: application/zip")))
    assert [(one.part, one.type, one.inline) for one in found] == [
        ("1.2", "image/png", True),
        ("2", "application/zip", False),
    ]


def test_what_belongs_to_a_text_is_shown_within_it_whatever_it_is_marked_as() -> None:
    logo = part("Content-Type: image/png", "Content-ID: <x>", "Content-Disposition: attachment; filename=l.png")
    nameless = part("Content-Type: image/png", "Content-Disposition: attachment; filename=m.png")
    assert [one.inline for one in of(mixed(TEXT, logo, nameless, kind="related"))] == [True, False]
    assert [one.inline for one in of(mixed(TEXT, logo, nameless))] == [False, False]


def test_what_is_attached_to_a_message_within_is_not_attached_to_this_one() -> None:
    inner = mixed(TEXT, part("Content-Type: application/zip", "Content-Disposition: attachment")).decode()
    inner = inner.replace("=b", "=c").replace("--b", "--c")
    found = of(mixed(TEXT, part("Content-Type: message/rfc822", body=inner), part("Content-Type: application/pdf")))
    assert [(one.part, one.type) for one in found] == [("2", "message/rfc822"), ("3", "application/pdf")]


PIECES = st.sampled_from(
    [b"--b\r\n", b"--b--\r\n", b"\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n",
     b"Content-Type: image/png; name=\"x(\\\"\"\r\n", b"Content-Disposition: attachment\r\n", b"Content-ID: <{3}>\r\n",
     b"Content-Type: text/plain\r\n", b"Subject: \x00\xff)(\"\r\n", b"text\r\n"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_anything_has_some_attachments_or_none(raw: bytes) -> None:
    facts = scan(raw)
    for one in attachments(facts):
        assert 0 <= one.size <= facts.size
        assert "/" in one.type


def test_parts_deep_within_parts_are_no_trouble() -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(150))
    assert len(attachments(scan(nested + b"Content-Type: image/png\r\n\r\nx\r\n"))) == 1
