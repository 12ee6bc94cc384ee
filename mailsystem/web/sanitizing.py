"""HTML mail as it may be shown: nothing in it runs, sends or fetches, whoever wrote it.

nh3 keeps what is known to be harmless and drops the rest. What it lets through is shown on its own, in a frame without scripts
and without an origin, under a policy that allows no request but for pictures that somebody has asked for. Each of these
would do alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

import nh3

from mailsystem.web.balancing import balanced

LONGEST: Final = 1 << 20
"""Characters of HTML that are shown; most programs cut far earlier."""
DEEPEST: Final = 300
"""Elements within elements; what is deeper is not shown. The time it takes to read them grows with the square of that."""
MOST_REFERENCES: Final = 20_000
"""Character references; what comes after them is not shown, for the same reason."""
MOST_PICTURES: Final = 8 << 20
"""Octets of pictures out of the message that a document carries within itself."""
MOST_CARRIED: Final = 2 * MOST_PICTURES
"""Characters that these take in the document. Each time that one is shown it stands there anew."""

MOST_PAGES: Final = 60
"""Screens of a document that can be turned like pages."""

_TEXT: Final = {
    "a", "abbr", "acronym", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote", "br", "center", "cite",
    "code", "dd", "del", "details", "dfn", "dir", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "menu", "nav",
    "ol", "p", "pre", "q", "rp", "rt", "ruby", "s", "samp", "section", "small", "span", "strike", "strong", "sub",
    "summary", "sup", "time", "tt", "u", "ul", "var", "wbr",
}  # fmt: skip
_TABLES: Final = {"caption", "col", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
_EVERYWHERE: Final = {
    "align", "bgcolor", "border", "class", "color", "dir", "face", "height", "hspace", "id", "lang", "role", "size", "style",
    "title", "type", "valign", "vspace", "width",
}  # fmt: skip
_ATTRIBUTES: Final = {
    "*": _EVERYWHERE,
    "a": {"href", "name"},
    "img": {"alt", "src"},
    "table": {"background", "cellpadding", "cellspacing", "summary"},
    "td": {"abbr", "background", "colspan", "headers", "nowrap", "rowspan", "scope"},
    "th": {"abbr", "background", "colspan", "headers", "nowrap", "rowspan", "scope"},
    "tr": {"background"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start", "reversed"},
    "li": {"value"},
    "del": {"cite", "datetime"},
    "ins": {"cite", "datetime"},
    "time": {"datetime"},
    "details": {"open"},
}
_KEPT: Final = _TEXT | _TABLES
_NAMES: Final = frozenset().union(*_ATTRIBUTES.values())
_GONE: Final = {
    "applet", "audio", "canvas", "embed", "frameset", "iframe", "math", "noembed", "noscript", "object", "script", "svg",
    "template", "textarea", "title", "video", "xml", "xmp",
}  # fmt: skip
"""Of these not even what is inside is shown."""
_PICTURE: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp|avif|bmp);base64,[A-Za-z0-9+/=\s]*", re.IGNORECASE)
_URL: Final = re.compile(r"url\s*\(\s*([^)]*)\)?", re.IGNORECASE)
_HARMFUL: Final = re.compile(
    r"@(?:import|charset|namespace)[^;{}]*;?|expression\s*\(|behavior\s*:|-moz-binding|javascript:|https?:|//",
    re.IGNORECASE,
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_MOST_PASSES: Final = 4
_STYLE: Final = re.compile("<style", re.IGNORECASE)
_STYLE_END: Final = re.compile("</style", re.IGNORECASE)
_BODY: Final = re.compile(r"<body(?=[\s>/])", re.IGNORECASE)
_ELSEWHERE: Final = re.compile(
    # Possessive, and no blanks in two places: else the time for blanks that lead nowhere grows with their square.
    r"""(?:(?:src|background)\s*+=|url\s*+\()\s*+(?:["']\s*+)?(?:https?:)?//""",
    re.IGNORECASE,
)

_PAGE: Final = """<!doctype html><html lang="en"{dir}><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Message</title><style>
:root{{color-scheme:{scheme}}}
html{{background:{paper};color:{ink};font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}}
body{{margin:0;padding:20px;overflow-wrap:anywhere;position:relative}}img{{max-width:100%;height:auto}}table{{max-width:100%}}pre{{white-space:pre-wrap}}
x-pages{{position:absolute!important;inset:0 auto 0 0;width:1px;overflow:clip;visibility:hidden;pointer-events:none}}
x-page{{position:absolute!important;height:1px;width:1px}}
a{{color:{link}}}blockquote{{margin:0 0 0 2px;padding-left:12px;border-left:2px solid #8886}}
</style>{styles}</head><body>{body}{marks}</body></html>"""
_MARKS: Final = (
    "<x-pages>"
    + "".join(f'<x-page id="mailsystem-page-{at}" style="top:{at * 90}vh"></x-page>' for at in range(MOST_PAGES + 1))
    + "</x-pages>"
)
"""Where each page begins: who shows the document may lead to a mark, but cannot look into it or scroll it."""
_LIGHT: Final = {"scheme": "light", "paper": "#fff", "ink": "#1d1b18", "link": "#1f5fbf"}
_DARK: Final = {"scheme": "dark", "paper": "#1c1b18", "ink": "#ece8e1", "link": "#7fb0ff"}


def policy(*, images: bool) -> str:
    """The Content-Security-Policy under which a document of `sanitized` is shown."""
    pictures = "data: https: http:" if images else "data:"
    return (
        f"default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
    )


def sanitized(html: str, pictures: Mapping[str, str], *, images: bool = False, dark: bool = False) -> str:
    """A document that shows what is harmless of some HTML. Takes as long as the HTML is, so best in a thread.

    `pictures` are those out of the message, by Content-ID, as data URLs. Those from elsewhere are there only with `images`.
    """
    carried = _Carried(pictures)
    rest, styles = _without_styles(html[:LONGEST])
    # The body itself is ours; what it was to look like goes on within.
    rest = _BODY.sub("<div", rest, count=1)
    rest = balanced(rest, kept=_KEPT, gone=_GONE, attributes=_NAMES, deepest=DEEPEST)
    clean = nh3.clean(
        _few_references(rest),
        tags=_KEPT,
        clean_content_tags=_GONE,
        attributes=_ATTRIBUTES,
        attribute_filter=_filter(carried, images),
        url_schemes={"http", "https", "mailto", "tel", "data", "cid"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        strip_comments=True,
    )
    told = "".join(f"<style>{_tamed(style, carried, images)}</style>" for style in styles)
    looks = _DARK if dark else _LIGHT
    return _PAGE.format(dir=' dir="auto"', styles=told, body=clean, marks=_MARKS, **looks)


class _Carried:
    """The pictures out of the message, as far as there is room for them."""

    def __init__(self, pictures: Mapping[str, str]) -> None:
        self._pictures = pictures
        self._room = MOST_CARRIED

    def take(self, cid: str) -> str | None:
        """One as a data URL; None where there is none, or no room."""
        found = self._pictures.get(cid)
        if found is None or len(found) > self._room:
            return None
        self._room -= len(found)
        return found


def asks_elsewhere(html: str) -> bool:
    """Whether HTML would have pictures or styles fetched from another server."""
    return _ELSEWHERE.search(html[:LONGEST]) is not None


def _few_references(html: str) -> str:
    if html.count("&") <= MOST_REFERENCES:
        return html
    return html[: next(islice(re.finditer("&", html), MOST_REFERENCES, None)).start()]


def _without_styles(html: str) -> tuple[str, list[str]]:
    """What is no style sheet, and the style sheets."""
    kept: list[str] = []
    styles: list[str] = []
    at = 0
    # Not by the text in small letters, which may be longer than the text.
    while (start := _STYLE.search(html, at)) is not None:
        kept.append(html[at : start.start()])
        begin = html.find(">", start.end())
        end = _STYLE_END.search(html, begin) if begin >= 0 else None
        if end is None:  # it never ends: a browser would take all that follows for styles
            return "".join(kept), styles
        styles.append(html[begin + 1 : end.start()])
        close = html.find(">", end.end())
        at = len(html) if close < 0 else close + 1
    kept.append(html[at:])
    return "".join(kept), styles


def _tamed(css: str, pictures: _Carried, images: bool) -> str:
    """Styles that leave nothing and fetch nothing that was not asked for."""
    css = css.replace("<!--", "").replace("-->", "").replace("<", "").replace("\\", "")
    # A browser takes them out of an address before it looks what that begins with.
    css = _CONTROLS.sub(" ", css)
    done: list[str] = []
    at = 0
    for found in _URL.finditer(css):
        done += (_harmless(css[at : found.start()]), _url(found[1], pictures, images))
        at = found.end()
    return "".join([*done, _harmless(css[at:])])


def _harmless(css: str) -> str:
    """Without what could do harm, also where that only comes about when something is left out."""
    for _ in range(_MOST_PASSES):
        css, count = _HARMFUL.subn("", css)
        if not count:
            return css
    return ""


def _url(inside: str, pictures: _Carried, images: bool) -> str:
    source = _picture(inside.strip().strip("\"'").strip(), pictures, images)
    return f'url("{source}")' if source is not None and '"' not in source else 'url("")'


def _picture(source: str, pictures: _Carried, images: bool) -> str | None:
    """Where a picture may come from; None for nowhere."""
    scheme, colon, rest = source.partition(":")
    match scheme.lower() if colon else "":
        case "cid":
            return pictures.take(rest.strip())
        case "data":
            return source if _PICTURE.fullmatch(source) else None
        case "http" | "https":
            return source if images else None
    return f"https:{source}" if images and source.startswith("//") else None


def _filter(pictures: _Carried, images: bool) -> Callable[[str, str, str], str | None]:
    def kept(tag: str, name: str, value: str) -> str | None:
        match name:
            case "src" | "background":
                return _picture(value.strip(), pictures, images)
            case "href":
                scheme, colon, _ = value.strip().partition(":")
                return value if colon and scheme.lower() in ("http", "https", "mailto", "tel") else None
            case "style":
                return _tamed(value, pictures, images)
            case "id" | "name" | "class":
                return value[:200]
        return value

    return kept


def referred(html: str) -> Iterator[str]:
    """The Content-IDs that HTML refers to."""
    for found in re.finditer(r"cid:([^\"'\s)>]{1,300})", html[:LONGEST], re.IGNORECASE):
        yield found[1]
