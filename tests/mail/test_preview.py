"""The first words of messages: what is text, what is HTML, what is neither."""

from __future__ import annotations

import base64
import time
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.content import Part, scan
from mailsystem.mail.preview import LONGEST, REACH, preview_of


def preview(raw: bytes) -> str:
    return preview_of(Part.load(scan(raw).parts), raw)


def html(body: str) -> bytes:
    return b"Content-Type: text/html; charset=utf-8\r\n\r\n" + body.encode()


def test_it_is_the_text_on_one_line() -> None:
    assert preview(b"Subject: x\r\n\r\nHello  Bob,\r\n\r\n\thow are you?\r\n") == "Hello Bob, how are you?"


def test_it_has_two_hundred_characters_at_most_and_none_is_cut_in_two() -> None:
    body = "ünd " * 100_000
    for encoding, octets in (("8bit", body.encode()), ("base64", base64.encodebytes(body.encode()))):
        head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        assert preview(head.encode() + octets) == ("ünd " * 50).strip()
    assert len(preview(b"\r\n" + b"x" * 1000)) == LONGEST


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<p>Hello <b>B</b>ob</p><p>Bye</p>", "Hello Bob Bye"),
        ("<html><head><title>No</title><style>p { color: red }</style></head><body>Yes</body></html>", "Yes"),
        ("<STYLE type=x>\n no\n</STYLE ><script>if (a<b) {}</script>Yes", "Yes"),
        ("<!-- no --><!--[if mso]>no<![endif]-->Yes", "Yes"),
        ("Caf&eacute; &amp; &lt;b&gt; &#8364; &nbsp; &bogus; x", "Café & <b> € &bogus; x"),
        ("one<br>two<br/>three<td>four", "one two three four"),
        ("\u200b\u034f&#847;&zwnj;\u00adpadded\ufeff", "\u200cpadded"),
        ("text <a href='cut", "text"),
        ("<style>never closed", ""),
        ("", ""),
    ],
)
def test_html_is_shown_without_its_looks(body: str, shown: str) -> None:
    assert preview(html(body)) == shown


def test_the_first_part_that_says_anything_is_taken_and_attachments_are_not() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; name=notes.txt\r\n\r\nattached\r\n"
        b"--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\n \r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<b>second</b>\r\n--b--\r\n"
    )
    assert preview(raw) == "second"
    assert preview(b"Content-Type: image/png\r\n\r\nPNG") == ""
    assert preview(b"") == ""


def test_the_beginning_of_a_large_message_is_enough() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\n\r\n" + b"x" * (2 * REACH)
    assert preview_of(Part.load(scan(raw).parts), raw[:REACH]) == "first"
    late = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"x" * REACH + b"\r\n--b\r\n\r\nlate\r\n--b--\r\n"
    assert preview_of(Part.load(scan(late).parts), late[:REACH]) == ""


@given(st.text(max_size=300))
def test_any_html_has_a_preview(body: str) -> None:
    shown = preview(html(body))
    assert len(shown) <= LONGEST
    assert shown == " ".join(shown.split())


@pytest.mark.parametrize(
    "bad", ["<", "<!", "<!--", "</", "<a ", "<style>", "<a href='", "&#", "<!DOCTYPE [", "<script", "<![x"]
)
def test_no_html_takes_long(bad: str) -> None:
    raw = html(bad * (100_000 // len(bad)))
    began = time.process_time()
    preview(raw)
    # Within one step of a pattern no other thread runs.
    assert time.process_time() - began < 0.2


_SOUP = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "<b>", "<br/>", "<style>", "</style>", "<!-- x", "-->", "<a href='", "'>", "&amp;", "&", "word ", " ",
         "\u00e9", "&nbsp;", "\n", "long" * 30, "<![CDATA[", "]]>", "<?x", "\u200b"]
    ),
    max_size=80,
).map("".join)  # fmt: skip


@given(_SOUP)
def test_html_read_bit_by_bit_says_what_all_of_it_says(html: str) -> None:
    raw = b"Content-Type: text/html; charset=utf-8\r\n\r\n%b<p>" % html.encode()  # what the parser waits for has come
    root = Part.load(scan(raw).parts)
    whole = preview_of(root, raw)
    with patch("mailsystem.mail.preview._HTML_AT_ONCE", 5):
        assert preview_of(root, raw) == whole


@given(st.lists(st.sampled_from(["w", " ", "\u200b", "\n", "word" * 9, "é"]), max_size=2000).map("".join))
def test_the_first_look_says_what_the_second_would(text: str) -> None:
    raw = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()
    joined = " ".join(text[: 1 << 12].replace("\u200b", "").split())
    assert preview_of(Part.load(scan(raw).parts), raw) == joined[:LONGEST].rstrip()
