"""Links, one-time codes, and how to unsubscribe, as messages of real services are built."""

from __future__ import annotations

import email.policy
from email.message import EmailMessage

import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail import codes as codes_module
from mailsystem.mail.codes import MOST_READ, MOST_READ_OF_ALL, Passage, codes_in
from mailsystem.mail.extraction import Link, Unsubscribe, extracted, html_of, links_of, text_of, unsubscribe_of
from mailsystem.mail.reading import read

POST = "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click"


def plain(body: str, subject: str = "") -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = subject
    message.set_content(body)
    return bytes(message)


def both(text: str, html: str, subject: str = "") -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = subject
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return bytes(message)


def codes(raw: bytes) -> list[str]:
    return [code.value for code in extracted(read(raw)).codes]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your verification code is 482913. It expires in 10 minutes.", "482913"),
        ("482913 is your Acme verification code", "482913"),
        ("G-482913 is your Google verification code.", "G-482913"),
        ("Ihr Bestätigungscode lautet: 123 456", "123456"),
        ("Ihr Einmalpasswort: Xk72Pq", "Xk72Pq"),
        ("Votre code de vérification : 829-104", "829104"),
        ("Tu código de verificación es 7392", "7392"),
        ("Seu código: 7392", "7392"),
        ("Il tuo codice è 48291", "48291"),
        ("Je verificatiecode is 482913", "482913"),
        ("Twój kod weryfikacyjny to 482913", "482913"),
        ("Din engångskod är 482913", "482913"),
        ("doğrulama kodunuz: 559201", "559201"),
        ("Код подтверждения: 4821", "4821"),
        ("您的验证码是 839201，5分钟内有效", "839201"),
        ("認証コード：４８２９１３", "482913"),
        ("인증번호 [839201]를 입력해 주세요", "839201"),
        ("رمز التحقق الخاص بك هو ٤٨٢٩١٣", "482913"),
        ("PIN: 2024", "2024"),
        ("ABCD-1234 is your login code", "ABCD-1234"),
        ("Enter this code: ABCD-EFGH", "ABCD-EFGH"),
        ("Enter the code below:\n\n  1 2 3 4 5 6\n", "123456"),
        ("Confirmation code\n\n77201934\n", "77201934"),
        ("Use KXJWQZ as your one-time passcode", "KXJWQZ"),
        ("Your temporary password is: hunter2X", "hunter2X"),
        ("Hello Ann\n\n582019\n\nBye", "582019"),
        ("Order 12345: your login code is 482913. Call +1 415 555 2671 in 2026.", "482913"),
        ("Acme, 1 Market St, San Francisco CA 94105\nPasscode 88412\n© 2026", "88412"),
        ("Your code expires at 12:30 on 2026-11-27. Code: 0042", "0042"),
    ],
)
def test_the_code_is_the_first(text: str, code: str) -> None:
    assert codes(plain(text))[:1] == [code]


@pytest.mark.parametrize(
    "text",
    [
        "Your order 48291734 has shipped. Total: $1,234.56, 19.99 EUR",
        "© 2026 Acme Inc, 1234 Market Street, San Francisco, CA 94105",
        "Call us at +1 415 555 2671, (030) 1234567 or 0800 123456",
        "10115 Berlin, Rechnung Nr. 20261127, Kundennummer 4829134",
        "color: #ff0000, #123456",
        "UTF-8 COVID-19 RFC-5322 2026-11-27 27.11.2026 12:30 10:45:12",
        "Your promo code: SUMMER25",
        "Tracking number 1Z999AA10123456784",
        "Your ticket #482913 was closed",
        "https://example.org/verify?code=482913 a482913@example.org www.example.org/482913",
        "welcome to 2026! We have 12345 members and 4096 MB",
        "Invoice INV-20934 due 2026-12-01",
        "The postcode is 10115",
        "Acme, 1600 Amphitheatre Parkway. Received at 09:23:03 (GMT-0800), see CVE-2024-3094.",
        "",
    ],
)
def test_what_is_no_code_is_left_out(text: str) -> None:
    assert codes(plain(text)) == []


def test_what_stands_out_in_html_is_ranked_first() -> None:
    html = (
        "<p>Use your code to log in. Reference 771122 and 883344.</p>"
        "<table><tr><td style='font-size:32px'>482913</td></tr></table><p>Acme 553311</p>"
    )
    assert codes(both("", html))[0] == "482913"


def test_a_digit_in_each_cell_is_one_code() -> None:
    cells = "".join(f"<td><b>{digit}</b></td>" for digit in "482913")
    assert codes(both("", f"<p>Your code</p><table><tr>{cells}</tr></table>")) == ["482913"]


def test_the_subject_counts_and_what_is_said_twice_more() -> None:
    once = extracted(read(plain("Hello", "482913 is your code"))).codes[0]
    twice = extracted(read(plain("Your code: 482913", "482913 is your code"))).codes[0]
    assert (once.value, once.context) == ("482913", "482913 is your code")
    assert twice.score > once.score


@pytest.mark.parametrize("once", ["1", "1 ", "a", "12-", "code ", "1234 ", "\n", "ABC-", "bestell", "code 1234\n", "<"])
def test_text_without_end_has_few_codes(once: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    by_shape = codes_module._by_shape

    def counted(*args: object) -> int:
        nonlocal looked
        looked += 1
        return by_shape(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(codes_module, "_by_shape", counted)
    assert len(codes_in([Passage(once * 5_000_000, [])])) <= codes_module.MOST_CODES
    assert looked <= codes_module.MOST_CANDIDATES


@given(st.text(), st.text(alphabet="code PIN order 0123456789-ABC\n.$#/@"))
def test_any_text_is_looked_through(one: str, other: str) -> None:
    for code in codes_in([Passage(one, []), Passage(other, [(0, 3)])]):
        assert code.value
        assert 25 <= code.score <= 100
        assert len(code.context) <= 120


def test_links_are_told_with_their_words_and_where_they_stand() -> None:
    raw = both(
        "Go to https://a.test/reset?t=1&u=2. Or (see www.a.test/x_(y)), <https://a.test/long/\nline>\nmailto:ann@a.test",
        '<a href="https://a.test/reset?t=1&amp;u=2">Reset <b>it</b></a><a href="#top">up</a><a href=javascript:x>no</a>'
        '<a href="https://a.test/reset?t=1&amp;u=2">Reset it</a>',
    )
    assert links_of(read(raw)) == (
        Link("https://a.test/reset?t=1&u=2", "Reset it", "2", "html"),
        Link("javascript:x", "no", "2", "html"),
        Link("https://a.test/reset?t=1&u=2", "https://a.test/reset?t=1&u=2", "1", "text"),
        Link("http://www.a.test/x_(y)", "http://www.a.test/x_(y)", "1", "text"),
        Link("https://a.test/long/line", "https://a.test/long/line", "1", "text"),
        Link("mailto:ann@a.test", "mailto:ann@a.test", "1", "text"),
    )


def test_punctuation_behind_addresses_is_no_part_of_them() -> None:
    text = "(https://a.test/x_(y)). https://a.test/z), [https://a.test/?a[]=1] https://a.test/!?... https://a.test/"
    found = [link.url.removeprefix("https://a.test") for link in links_of(read(plain(text)))]
    assert found == ["/x_(y)", "/z", "/?a[]=1", "/"]
    assert len(links_of(read(b"\r\n" + (b"http://a" + b")" * 7000 + b" ") * 500))) == 1


def test_attachments_and_messages_within_are_not_read() -> None:
    inner = EmailMessage()
    inner.set_content("https://inner.test/")
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content("https://outer.test/")
    message.add_attachment("https://file.test/", filename="x.txt")
    message.add_attachment(inner)
    reading = read(bytes(message))
    assert [link.url for link in links_of(reading)] == ["https://outer.test/"]
    assert [piece.section for piece in reading.attachments()] == ["2", "3"]
    assert text_of(reading) == "https://outer.test/"


def test_text_is_that_of_the_html_where_there_is_no_other() -> None:
    raw = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\xc3\xbc\xc3\x9fe<p>Ann"
    assert text_of(read(raw)) == "Grüße\n\nAnn"
    assert html_of(read(raw)) == "<p>Grüße<p>Ann"
    assert html_of(read(plain("x"))) is None


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (None, None),
        (
            "List-Unsubscribe: <mailto:u@a.test?subject=x>, <https://a.test/u>" + POST,
            Unsubscribe("https://a.test/u", "mailto:u@a.test?subject=x", True, ()),
        ),
        (
            "List-Unsubscribe: (leave) <https://a.test/u\r\n /more>",
            Unsubscribe("https://a.test/u/more", None, False, ()),
        ),
        (
            "List-Unsubscribe: https://a.test/u",
            Unsubscribe(None, None, False, ("List-Unsubscribe has no address in angle brackets",)),
        ),
        (
            "List-Unsubscribe: <http://a.test/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click",
            Unsubscribe(
                "http://a.test/u", None, False, ("one click needs exactly one https address in List-Unsubscribe",)
            ),
        ),
        (
            "List-Unsubscribe: <https://a.test/u>\r\nList-Unsubscribe-Post: yes",
            Unsubscribe("https://a.test/u", None, False, ("List-Unsubscribe-Post must be List-Unsubscribe=One-Click",)),
        ),
        (
            "List-Unsubscribe: <https://a.test/1> <https://a.test/2>",
            Unsubscribe(
                "https://a.test/1", None, False, ("the addresses in List-Unsubscribe are not parted by commas",)
            ),
        ),
        (
            "List-Unsubscribe: <ftp://a.test>",
            Unsubscribe(None, None, False, ("List-Unsubscribe leads neither to a web page nor to a mail address",)),
        ),
    ],
)
def test_how_to_unsubscribe_is_read_and_judged(field: str | None, told: Unsubscribe | None) -> None:
    raw = ((field + "\r\n") if field else "").encode() + b"Subject: x\r\n\r\n"
    assert unsubscribe_of(read(raw)) == told


@given(st.binary())
def test_any_octets_are_read(raw: bytes) -> None:
    reading = read(raw)
    extracted(reading)
    text_of(reading)
    html_of(reading)


@pytest.mark.parametrize("name", messages.ODD)
def test_odd_messages_are_read_as_the_standard_library_reads_them(name: str) -> None:
    reading = read(messages.ODD[name])
    judged = email.message_from_bytes(messages.ODD[name], policy=email.policy.default)
    body = judged.get_body(("plain",)) if not judged.is_multipart() else None
    # Octets that are declared as nothing are read by guessing, and dots without a header are none.
    if body is not None and name not in ("8-bit in the header", "dots only", "bad encodings", "all octets"):
        assert text_of(reading).split() == body.get_content().split()


def test_the_numbers_of_parts_are_those_of_imap() -> None:
    inner = (
        messages.HEAD % b"in"
        + b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\na\r\n--i\r\n\r\nb\r\n--i--\r\n"
    )
    raw = (
        messages.HEAD % b"out"
        + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nfirst\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
        + inner
        + b"--o--\r\n"
    )
    assert [piece.section for piece in read(raw).pieces] == ["", "1", "2", "2", "2.1", "2.2"]
    assert [piece.section for piece in read(messages.simple()).pieces] == ["1"]


def test_codes_are_looked_for_in_so_much_of_a_message_and_no_more() -> None:
    code, filler = Passage("Your code is 482913.", []), Passage("a " * MOST_READ, [])
    few = MOST_READ_OF_ALL // MOST_READ - 1
    assert [found.value for found in codes_in([filler] * few + [code])] == ["482913"]
    assert codes_in([filler] * (few + 1) + [code]) == ()
