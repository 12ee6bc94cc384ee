"""HTML as tags and text, and what it shows: judged by a browser's rules, and by how little work hostile HTML makes."""

from __future__ import annotations

import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail import markup
from mailsystem.mail.hypertext import Anchor, Image, page_of
from mailsystem.mail.markup import MOST_HTML, MOST_TOKENS, Tag, Text, tokens


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("a < b", [Text("a < b", "")]),
        ("a&lt;b&amp;", [Text("a<b&", "")]),
        ("<B>x</b >", [Tag("b", False, {}), Text("x", ""), Tag("b", True, {})]),
        ("<a HREF = 'x y' b=1 c checked>", [Tag("a", False, {"href": "x y", "b": "1", "c": "", "checked": ""})]),
        ("<a href=x/y?a=1&amp;b=2>", [Tag("a", False, {"href": "x/y?a=1&b=2"})]),
        # 13.2.5.73: in an attribute what has no semicolon is no reference before letters, digits and `=`.
        (
            "<a href='?a=1&region=2&copy=3&lt=4&notify&times;=5'>",
            [Tag("a", False, {"href": "?a=1&region=2&copy=3&lt=4&notify×=5"})],
        ),
        (
            "<a b='&lt &copy. &#65;&#x42 &amp;copy= &copyfoo; &fjlig; &; &#;'>",
            [Tag("a", False, {"b": "< ©. AB &copy= &copyfoo; fj &; &#;"})],
        ),
        ("<br/>", [Tag("br", False, {})]),
        ("<a a=1 A=2>", [Tag("a", False, {"a": "1"})]),
        ("<a =x>", [Tag("a", False, {"=x": ""})]),
        ("<a x=>y", [Tag("a", False, {"x": ""}), Text("y", "")]),
        ("a<!-- <b> -->b<!doctype html>c<?x?>d</ >e</>f", [Text(one, "") for one in "abcdef"]),
        ("<!-->a", [Text("a", "")]),
        ("<!--->a", [Text("a", "")]),
        ("<!-- never closed", []),
        ("<a href='never closed>x", []),
        ("<a href", []),
        ("<script>if (a<b) '</b>'</SCRIPT >x", None),
        ("<title>&amp;<b></title>", [Tag("title", False, {}), Text("&<b>", "title"), Tag("title", True, {})]),
        ("<style>never closed", [Tag("style", False, {}), Text("never closed", "style")]),
        ("&#" + "9" * 10_000 + ";&#x" + "f" * 10_000 + ";", [Text("\ufffd\ufffd", "")]),
        ("<3 </3", [Text("<3 ", "")]),
    ],
)
def test_tags_and_texts_are_found_as_a_browser_finds_them(html: str, found: list[Tag | Text] | None) -> None:
    if found is None:
        found = [
            Tag("script", False, {}),
            Text("if (a<b) '</b>'", "script"),
            Tag("script", True, {}),
            Text("x", ""),
        ]
    assert list(tokens(html)) == found


class _Judge(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Tag | Text] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: dict[str, str] = {}
        for name, value in attrs:
            attributes.setdefault(name, value or "")
        self.found.append(Tag(tag, False, attributes))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(Tag(tag, True, {}))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self.found.append(Text(data, ""))


_WELL_FORMED = st.recursive(
    st.text("ab&; \n<>").map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;")),
    lambda inner: st.builds(
        lambda name, value, inside: f'<{name} title="{value}">{"".join(inside)}</{name}>',
        st.sampled_from(["p", "b", "table", "x-y"]),
        st.text("ab '<>/="),
        st.lists(inner, max_size=3),
    ),
    max_leaves=10,
)


@given(_WELL_FORMED)
def test_what_is_well_formed_is_found_as_the_standard_library_finds_it(html: str) -> None:
    judge = _Judge()
    judge.feed(html)
    judge.close()
    assert list(tokens(html)) == judge.found


@given(st.text(alphabet="<>/!-?=\"'& abs#x1\n") | st.text())
def test_any_text_is_read(html: str) -> None:
    for token in tokens(html):
        assert token
    page = page_of(html)
    assert all(0 <= start < end <= len(page.text) for start, end in page.strong)


HOSTILE = {
    name: (once * (MOST_HTML // len(once) + 1))
    for name, once in {
        "angles": "<",
        "tags": "<a",
        "closed tags": "<a >",
        "comments": "<!--",
        "declarations": "<!",
        "end tags": "</",
        "quotes": '<a x="',
        "attributes": "<a x=1 ",
        "references": "&",
        "scripts": "<script>",
        "divisions": "<div>",
        "style": "<style>url(",
        "blanks": "<a ",
    }.items()
} | {
    "one tag of blanks": "<a" + " " * MOST_HTML,
    "equals": "<a" + " =" * (MOST_HTML // 2),
    "a number": "&#" + "9" * MOST_HTML,
    "ten million": "<" * 10_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_html_takes_no_more_steps_than_it_has_characters(name: str) -> None:
    """Counted, not timed; the rest is read too, which would take hours if any step looked at all of it."""
    html = HOSTILE[name]
    lines = 0

    def count(frame: object, event: str, _: object) -> object:
        nonlocal lines
        lines += event == "line" and frame.f_code.co_filename == markup.__file__  # type: ignore[attr-defined]
        return count

    before = sys.gettrace()
    sys.settrace(count)  # type: ignore[arg-type]
    try:
        found = 0
        for _ in tokens(html[:200_000]):
            found += 1
    finally:
        sys.settrace(before)
    assert found <= MOST_TOKENS
    assert lines <= 12 * 200_000
    assert len(page_of(html).text) <= MOST_HTML


def test_what_is_deeply_nested_is_read() -> None:
    page = page_of("<div><b>" * 50_000 + "deep" + "</b></div>" * 50_000 + "after")
    assert page.text == "deep\nafter"
    assert page.strong == [(0, 4)]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Hi</h1><p>Hello <b>B</b>ob,<br>how  are\nyou?</p>", "Hi\n\nHello Bob,\nhow are you?"),
        ("<head><title>no</title><style>no</style></head><body>yes", "yes"),
        ("<head><body>yes", "yes"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<table><tr><td>1<td>2</tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("<pre>a\n  b</pre>c", "a\n  b\n\nc"),
        ("one<p></p><p></p><p>two", "one\n\ntwo"),
        ("<script>no</script><template>no</template>yes", "yes"),
        ("", ""),
    ],
)
def test_html_is_shown_as_lines(html: str, text: str) -> None:
    assert page_of(html).text == text


def test_links_images_and_what_is_fetched_are_told() -> None:
    page = page_of(
        '<a href=" https://a.test/?a&amp;b\n">go <img alt="Logo" src=cid:1> <b>now</b></a><a name=x>no</a>'
        '<area href=/m alt=Map><a href=/open>open<a href=/next>next<img src="https://t.test/p.gif" width=1>'
        '<link rel=stylesheet href=//s.test/s.css><link rel=icon href=/no><td background=b.png style="background:url(c.png)">'
        "<style>@import 'd.css'; p{background: url(\"e.png\")}</style><img srcset='f.png 1x, g.png 2x'>"
        "<form onsubmit=x><script>1</script><meta http-equiv=Refresh content=0>"
    )
    assert page.anchors == [
        Anchor("https://a.test/?a&b", "go Logo now"),
        Anchor("/m", "Map"),
        Anchor("/open", "open"),
        Anchor("/next", "next"),
    ]
    assert page.images == [
        Image("cid:1", "Logo", False),
        Image("https://t.test/p.gif", None, True),
        Image("", None, False),
    ]
    assert page.fetched == [
        "cid:1", "https://t.test/p.gif", "//s.test/s.css", "c.png", "b.png", "d.css", "e.png", "f.png", "g.png",
    ]  # fmt: skip
    assert page.active == ["on… of <form>", "<form>", "<script>", "<meta> that refreshes"]


def test_what_is_bold_or_large_is_strong() -> None:
    page = page_of(
        "a <b>b</b> <span style='color: red; font-size:32px'>c d</span> <span style='font-size:9px'>e</span>"
    )
    assert [page.text[start:end] for start, end in page.strong] == ["b c d"]
