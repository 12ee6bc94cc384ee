"""The one spelling in which two messages are compared."""

from __future__ import annotations

import email.policy
import hashlib
import re
from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.golden import normal
from mailsystem.mail.reading import read

TOKEN = "aZ3kQ9xP4mR7tY2w"


def made(
    date: str, token: str, *, cte: str = "quoted-printable", name: str = "Ann", html: str = "<p>Hello {name}</p>"
) -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message["Received"] = f"from a by b; {date}"
    message["From"] = "Shop <shop@a.test>"
    message["To"] = "ann@b.test"
    message["Subject"] = "Grüße"
    message["Date"] = date
    message["Message-ID"] = f"<{token}@a.test>"
    message.set_content(f"Hello {name},\n\nhttps://a.test/reset/{token}?lang=en\n", cte=cte)
    message.add_alternative(
        html.format(name=name) + f'<a href="https://a.test/reset/{token}">Reset</a><img src="cid:{token}@x" alt=Logo>',
        subtype="html",
        cte=cte,
    )
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    message.set_boundary(token)
    return bytes(message)


def test_what_changes_each_time_is_masked() -> None:
    one = normal(read(made("Fri, 27 Nov 2026 12:00:00 +0000", TOKEN)))
    other = normal(read(made("Sat, 28 Nov 2026 12:00:00 +0000", TOKEN[::-1], cte="base64")))
    assert one == other
    assert one == (
        "From: Shop <shop@a.test>\nTo: ann@b.test\nSubject: Grüße\nDate: <date>\nMessage-Id: <message-id>\n\n"
        "== parts\nmultipart/mixed\n  multipart/alternative\n    text/plain\n    text/html\n"
        '  application/pdf, attachment, "a.pdf", 4 octets, sha256 ' + hashlib.sha256(b"%PDF").hexdigest()[:16] + "\n\n"
        "== text 1.1\nHello Ann,\n\nhttps://a.test/reset/<token>?lang=en\n\n"
        '== HTML 1.2\nHello Ann\n\nReset\n[image "Logo" cid:<content-id>]\n\n'
        "== links\nReset -> https://a.test/reset/<token>\nhttps://a.test/reset/<token>?lang=en\n"
    )


def test_what_people_see_counts() -> None:
    date = "Fri, 27 Nov 2026 12:00:00 +0000"
    one = normal(read(made(date, TOKEN)))
    assert normal(read(made(date, TOKEN, name="Bob"))) != one
    assert normal(read(made(date, TOKEN, html="<p>Hi {name}</p>"))) != one
    assert normal(read(made(date, TOKEN).replace(b"To: ann", b"To: bob"))) != one
    assert normal(read(made(date, TOKEN).replace(b"a.pdf", b"b.pdf"))) != one
    assert normal(read(made(date, TOKEN).replace(b"JVBERg==", b"JVBERQ=="))) != one


def test_words_of_paths_that_people_write_stay() -> None:
    raw = b"\r\nhttps://a.test/how-to-reset-your-password/index.html https://a.test/u/550e8400-e29b-41d4-a716-446655440000\r\n"
    told = normal(read(raw))
    assert "how-to-reset-your-password/index.html" in told
    assert "https://a.test/u/<uuid>" in told


def test_masks_of_ones_own_are_applied() -> None:
    assert "code <code>" in normal(read(b"\r\ncode 123456"), masks=[(re.compile(r"\d{6}"), "<code>")])


@given(st.binary())
def test_any_octets_have_a_normal_form_with_either_line_end(raw: bytes) -> None:
    assert normal(read(raw)).endswith("\n")
    text = re.sub(rb"[\r\n]+", b"\n", raw)
    assert normal(read(text)) == normal(read(text.replace(b"\n", b"\r\n")))
