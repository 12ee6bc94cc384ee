"""What HTML makes use of, and the table of who shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.checks.features import features_of
from mailsystem.checks.styles import Declaration, Rule, declarations, sheet
from mailsystem.checks.support import table


def slugs(html: str) -> set[str]:
    return set(features_of(html).used)


def styled(style: str) -> set[str]:
    return slugs(f'<p style="{style}">x</p>') - {"html-p"}


def sheeted(css: str) -> set[str]:
    return slugs(f"<style>{css}</style>") - {"html-style"}


def test_the_table_knows_programs_and_features() -> None:
    known = table()
    assert len(known.features) > 280
    assert known.platforms["desktop-webmail"][:2] == ["1&1", "AOL"]
    video = known.features["html-video"]
    assert (video.title, video.category) == ("<video> element", "html")
    assert sum(video.shares) == pytest.approx(100)
    outlooks = [one for one in video.clients if (one.family, one.platform) == ("outlook", "windows")]
    assert [one.version for one in outlooks] == ["2003", "2007", "2010", "2013", "2016", "2019"]
    assert outlooks[0].name == "Outlook Windows (2003)"
    for feature in known.features.values():
        assert feature.clients, feature.slug
        for one in feature.clients:
            assert set(one.notes) <= set(feature.notes)
            assert one.version


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>x</p>", {"html-p"}),
        ("<nav><h3>x</h3><dl></dl></nav>", {"html-semantics", "html-h1-h6", "html-lists"}),
        ("<table cellpadding=1 width=2 align=left>", {"html-table", "html-cellpadding", "html-width", "html-align"}),
        ("<input type=CheckBox required><input>", {"html-input-checkbox", "html-required", "html-input-text"}),
        ("<button type=submit>", {"html-button-submit"}),
        ("<a href='#x' target=_blank>", {"html-anchor-links", "html-target"}),
        ("<a href=' MAILTO:x@y.test'>", {"html-mailto-links"}),
        ("<img src='/a/b.WebP?x=1.png'>", {"html-img", "image-webp"}),
        ("<img src='data:image/svg+xml;base64,AA==' usemap='#m'>",
         {"html-img", "image-svg", "image-base64", "html-image-maps"}),
        ("<meta name=color-scheme content=dark>", {"html-meta-color-scheme"}),
        ("<div hidden aria-hidden=true lang=en>", {"html-div", "html-hidden", "html-aria-hidden", "html-lang"}),
        ("<unheard-of x=y>", set()),
    ],
)  # fmt: skip
def test_elements_and_attributes(html: str, found: set[str]) -> None:
    assert slugs(html) == found


@pytest.mark.parametrize(
    ("style", "found"),
    [
        ("display: FLEX", {"css-display", "css-display-flex"}),
        ("display:none !important", {"css-display", "css-display-none", "css-important"}),
        ("margin-left: 1.5em", {"css-margin", "css-unit-em"}),
        ("margin-inline: 0", {"css-margin-inline-block"}),
        ("border-top-left-radius:50%", {"css-border-radius", "css-unit-percent"}),
        ("border-start-start-radius:1px", {"css-border-radius-logical", "css-unit-px"}),
        ("border-bottom-color: rgb(1,2,3)", {"css-border", "css-rgb"}),
        ("width: calc(1vh - 2rem)", {"css-width", "css-unit-calc", "css-unit-vh", "css-unit-rem"}),
        ("color: var(--x); --x: 1", {"css-variables"}),
        ("background: url(a-1px.png) linear-gradient(red)", {"css-background", "css-linear-gradient"}),
        ("font-family: 'max(1px)', system-ui", {"css-sytem-ui"}),
        ("color:#1ee0cm", set()),
        ("transition-delay:1s", {"css-transition"}),
    ],
)
def test_declarations(style: str, found: set[str]) -> None:
    assert styled(style) == found


@pytest.mark.parametrize(
    ("css", "found"),
    [
        ("a:hover{}", {"css-pseudo-class-hover"}),
        ("p::after, p:before{}",
         {"css-pseudo-element-after", "css-pseudo-element-before", "css-selector-grouping"}),
        ("ul > li + li ~ b i{}", {
            "css-selector-child", "css-selector-adjacent-sibling", "css-selector-general-sibling",
            "css-selector-descendant"}),
        (".a.b#c [x='a,b']{}", {
            "css-selector-class", "css-selector-chaining", "css-selector-id", "css-selector-descendant",
            "css-selector-attribute"}),
        ("*{}", {"css-selector-universal"}),
        ("@media (prefers-color-scheme:dark){a{float:left}}",
         {"css-at-media", "css-at-media-prefers-color-scheme", "css-float"}),
        ("@import 'x.css'; @font-face{src:url(x)}", {"css-at-import", "css-at-font-face"}),
        ("@-webkit-keyframes x{from{top:0}}", {"css-at-keyframes", "css-left-right-top-bottom"}),
        ("a{/* float:left */ b{clear:both}}", {"css-comments", "css-nesting", "css-clear"}),
        ("a{content:'} b{float:left}'}", set()),
    ],
)  # fmt: skip
def test_sheets(css: str, found: set[str]) -> None:
    assert sheeted(css) == found


def test_what_may_be_seen_is_counted() -> None:
    found = features_of("<html><head><meta><title>x</title></head><body><p>a<p>b<br></body></html>")
    assert (found.nodes, found.used["html-p"]) == (4, 2)


def test_a_sheet_is_read_in_order() -> None:
    assert list(sheet("@media print { A > b { Color : RED; ; top:0 } } x")) == [
        Rule("media", "print", False),
        Rule("", "A > b", False),
        Declaration("color", "red"),
        Declaration("top", "0"),
    ]
    assert list(declarations("a:b;c")) == [Declaration("a", "b")]


@given(st.text(alphabet="<>{}@:;,#.*/\"'\\ ap-1%(![style=~+\n", max_size=300))
def test_nothing_that_somebody_writes_makes_it_fail(text: str) -> None:
    for html in (text, f"<style>{text}</style>", f"<p style='{text}'>"):
        features_of(html)


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "}",
        "/*",
        "/",
        "a{",
        "@",
        "@media ",
        "a:hover ",
        " ",
        "[",
        "'",
        '"',
        "url(",
        "1",
        "-",
        "a-",
        ";",
        ":",
        "\\",
        "!",
    ],
)
def test_a_long_sheet_of_anything_takes_time_in_proportion(piece: str) -> None:
    # Were it otherwise, this would never end.
    list(sheet(piece * 200_000))
    features_of(f"<style>{piece * 200_000}</style>")
    features_of("<p style='color:" + piece.replace("'", "") * 200_000 + "'>")
