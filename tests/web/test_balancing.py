"""HTML is repaired before it is cleaned: as a browser would, and at no more cost than it is long."""

from __future__ import annotations

import random
from html.parser import HTMLParser

import pytest

from mailsystem.web.balancing import MOST_REOPENED, balanced
from mailsystem.web.sanitizing import DEEPEST, LONGEST, sanitized

NAMES = "a b br div dd dl dt font i img li p table tbody td th tr ul h1 h2 caption col colgroup center"
KEPT = frozenset(NAMES.split())


def repaired(html: str) -> str:
    return balanced(html, kept=KEPT, gone=frozenset({"svg", "video"}), attributes={"href", "x"}, deepest=DEEPEST)


@pytest.mark.parametrize(
    ("html", "good"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>d", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>d"),
        ("<dl><dt>a<dd>b<dt>c</dl>", "<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>"),
        ("<b>a<i>b</b>c</i>d", "<b>a<i>b</i></b><i>c</i>d"),
        ("<p><font x=1>a</p><p>b", "<p><font x=\"1\">a</font></p><font x=\"1\"><p>b</p></font>"),
        ("<b><div>a</b>b</div>", "<b><div>a</div></b><div>b</div>"),
        ("<a href=x>a<a href=y>b", '<a href="x">a</a><a href="y">b</a>'),
        ("<div>a</i></table></td>b", "<div>ab</div>"),
        (
            "<div><table><tr><td>a</div>b<td>c<tr><th>d</table>e",
            "<div><table><tr><td>ab</td><td>c</td></tr><tr><th>d</th></tr></table>e</div>",
        ),
        (
            "<table><tbody><tr><td><b>a<tbody><tr><td>b",
            "<table><tbody><tr><td><b>a</b></td></tr></tbody><tbody><tr><td>b</td></tr></tbody></table>",
        ),
        ("<tr><td>a</td></tr>", "a"),
        ("<table><tr><table><tr><td>a</table>b", "<table><tr></tr></table><table><tr><td>a</td></tr></table>b"),
        ("<svg><p>a</svg>b", "<p>ab</p>"),
        ("<video><p>a<video>b</video>c</video>d", "d"),
        ("<div><video>a</div>b", "<div></div>"),
        ("a</br>b<br>", "a<br>b<br>"),
        ("<blink>1 &lt; 2 &amp;amp; <z-z>3", "1 &lt; 2 &amp;amp; 3"),
        ("<a href='\"&amp;copy=1&copy=2' onclick=x>", '<a href="&quot;&amp;copy=1&amp;copy=2"></a>'),
    ],
)  # fmt: skip
def test_it_is_repaired_as_the_standard_says_more_or_less(html: str, good: str) -> None:
    assert repaired(html) == good
    assert repaired(good) == good


class Depth(HTMLParser):
    """How deep a document is, and whether every end tag ends what began last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.deepest = 0
        self.good = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("br", "img", "col", "meta", "hr", "wbr"):
            self.open.append(tag)
            self.deepest = max(self.deepest, len(self.open))

    def handle_endtag(self, tag: str) -> None:
        self.good = self.good and bool(self.open) and self.open.pop() == tag


def depth(html: str) -> Depth:
    read = Depth()
    read.feed(html)
    read.close()
    return read


@pytest.mark.parametrize(
    "tag",
    [
        "<div></i>",
        "<b></i>",
        "<div><table><tr><td></div></table>",
        "<b><table><td></b>",
        "<table><b><tr>",
        "<h1><p></h1>",
    ],
)
def test_ends_that_nothing_ends_make_nothing_deeper(tag: str) -> None:
    html = tag * (4 * DEEPEST) + "end"
    told = depth(repaired(html))
    assert told.good
    assert told.deepest <= DEEPEST
    # A few elements are those of the document itself, and a table has rows that nobody wrote.
    assert depth(sanitized(html, {})).deepest <= 2 * DEEPEST + 5


def test_whatever_it_is_every_element_ends_where_it_should() -> None:
    dice = random.Random(7)
    names = sorted(KEPT | {"svg", "video", "o:p"})
    for _ in range(300):
        html = "".join(
            dice.choice(("<{}>", "</{}>", "<{} x=1>", "y")).format(dice.choice(names))
            for _ in range(dice.randrange(400))
        )
        told = depth(repaired(html))
        assert told.good, html
        assert not told.open


def test_what_is_left_open_is_not_opened_anew_without_end() -> None:
    # Each paragraph would be within all of them: of a message of 1 MB a parser would make some gigabytes.
    fonts = "".join(f"<font color='#{n:06}'>" for n in range(DEEPEST // 2))
    html = (f"<p>{fonts}</p>" + "<p>x</p>" * LONGEST)[:LONGEST]
    assert (
        len(balanced(html, kept={"p", "font"}, gone=set(), attributes={"color"}, deepest=DEEPEST))
        < 4 * LONGEST + MOST_REOPENED
    )
    wide = f"<b x='{'y' * 10_000}'><p></b>" * 1000
    assert len(repaired(wide)) < len(wide) + MOST_REOPENED + 100_000
