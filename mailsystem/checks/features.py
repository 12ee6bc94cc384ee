"""What a piece of HTML makes use of: the features of HTML and CSS in it, and how often. Never raises."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mailsystem.checks.styles import Declaration, Rule, declarations, sheet
from mailsystem.checks.support import table
from mailsystem.mail.hypertext import address
from mailsystem.mail.markup import Tag, Text, tokens

_NO_NODES: Final = frozenset({"html", "head", "meta", "title"})

_ELEMENTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("article", "aside", "details", "figcaption", "figure", "footer", "header"), "html-semantics"),
    **dict.fromkeys(("main", "mark", "nav", "section", "summary", "time"), "html-semantics"),
    **{f"h{level}": "html-h1-h6" for level in range(1, 7)},
    **dict.fromkeys(("ul", "ol", "dl"), "html-lists"),
    "b": "html-strong",
    "embed": "html-object",
    "map": "html-image-maps",
}
"""Those that have no feature of their own name."""
_ATTRIBUTES: Final[Mapping[str, str]] = {
    **{
        name: f"html-{name}"
        for name in ["align", "background", "cellpadding", "cellspacing", "dir", "height", "hidden", "lang", "popover"]
    },
    **{name: f"html-{name}" for name in ["required", "role", "srcset", "target", "valign", "width"]},
    **{f"aria-{name}": f"html-aria-{name}" for name in ("describedby", "hidden", "label", "labelledby", "live")},
    "loading": "html-loading-attribute",
    "usemap": "html-image-maps",
}
_TYPED: Final[Mapping[tuple[str, str], str]] = {
    **{("input", kind): f"html-input-{kind}" for kind in ("checkbox", "hidden", "radio", "reset", "submit", "text")},
    ("button", "reset"): "html-button-reset",
    ("button", "submit"): "html-button-submit",
}
_FORMATS: Final[Mapping[str, str]] = {
    **{
        kind: kind
        for kind in ["apng", "avif", "bmp", "gif", "hdr", "heif", "ico", "mp4", "png", "ppm", "svg", "tiff", "webp"]
    },
    "jpg": "jpg",
    "jpeg": "jpg",
    "tif": "tiff",
    "heic": "heif",
}

_GROUPS: Final = (
    (r"animation(?:-.*)?", "css-animation"),
    (r"border-(?:inline|block)-(?:start|end)-(?:width|style|color)", "css-border-inline-block-individual"),
    (r"border-(?:inline|block)-(?:start|end|width|style|color)", "css-border-inline-block-longhand"),
    (r"border-(?:inline|block)", "css-border-inline-block"),
    (r"border-(?:start|end)-(?:start|end)-radius", "css-border-radius-logical"),
    (r"border(?:-(?:top|right|bottom|left))?-radius|border-(?:top|bottom)-(?:left|right)-radius", "css-border-radius"),
    (r"border-image(?:-.*)?", "css-border-image"),
    (r"border(?:-(?:top|right|bottom|left))?(?:-(?:width|style|color))?", "css-border"),
    (r"block-size|inline-size", "css-block-inline-size"),
    (r"columns?(?:-(?:width|fill|rule.*|span))?", "css-column-layout-properties"),
    (r"(?:row-|column-|grid-)?gap", "css-gap"),
    (r"grid-template(?:-.*)?", "css-grid-template"),
    (r"inset(?:-.*)?", "css-inset"),
    (r"left|right|top|bottom", "css-left-right-top-bottom"),
    (r"margin-(?:inline|block)-(?:start|end)", "css-margin-block-start-end css-margin-inline-start-end"),
    (r"margin-(?:inline|block)", "css-margin-inline-block"),
    (r"margin(?:-(?:top|right|bottom|left))?", "css-margin"),
    (r"mask(?:-image)?", "css-mask-image"),
    (r"outline(?:-(?:color|style|width))?", "css-outline"),
    (r"overflow(?:-[xy])?", "css-overflow"),
    (r"padding-(?:inline|block)-(?:start|end)", "css-padding-block-start-end css-padding-inline-start-end"),
    (r"padding-(?:inline|block)", "css-padding-inline-block"),
    (r"padding(?:-(?:top|right|bottom|left))?", "css-padding"),
    (r"scroll-snap(?:-.*)?", "css-scroll-snap"),
    (r"text-emphasis(?:-(?:color|style))?", "css-text-emphasis"),
    (r"transform(?:-.*)?", "css-transform"),
    (r"transition(?:-.*)?", "css-transition"),
    (r"--.*", "css-variables"),
)
"""Properties that stand for a feature together; all others are features by their own names."""
_GROUP: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _GROUPS))
_FUNCTIONS: Final[Mapping[str, str]] = {
    **{f"{kind}-gradient": f"css-{kind}-gradient" for kind in ("linear", "radial", "conic")},
    **{f"repeating-{kind}-gradient": f"css-{kind}-gradient" for kind in ("linear", "radial", "conic")},
    **{name: f"css-function-{name}" for name in ("clamp", "max", "min", "light-dark")},
    **dict.fromkeys(("oklch", "oklab", "lch", "lab", "color", "hwb"), "css-modern-color"),
    "calc": "css-unit-calc",
    "rgb": "css-rgb",
    "rgba": "css-rgba",
    "var": "css-variables",
}
_WORDS: Final[Mapping[str, str]] = {
    "initial": "css-unit-initial",
    "system-ui": "css-sytem-ui",
    **dict.fromkeys(("min-content", "max-content", "fit-content"), "css-intrinsic-size"),
}
_UNITS: Final = frozenset(
    ["ch", "cm", "em", "ex", "in", "mm", "pc", "pt", "px", "rem", "vh", "vmax", "vmin", "vw", "%"]
)
_VALUE = re.compile(
    r"url\([^)]*+\)?|\"[^\"]*+\"?|'[^']*+'?|#[0-9a-z]++"
    r"|[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(%|[a-z]++)?+|([a-z-][a-z0-9-]*+)(\()?",
)
_AT: Final[Mapping[str, str]] = {
    "font-face": "css-at-font-face",
    "import": "css-at-import",
    "keyframes": "css-at-keyframes",
    "supports": "css-at-supports",
    "media": "css-at-media",
}
_MEDIA: Final = (
    ("device-pixel-ratio", "css-at-media-device-pixel-ratio"),
    ("hover", "css-at-media-hover"),
    ("orientation", "css-at-media-orientation"),
    ("prefers-color-scheme", "css-at-media-prefers-color-scheme"),
    ("prefers-reduced-motion", "css-at-media-prefers-reduced-motion"),
)
_SELECTOR = re.compile(
    r"(\[[^\]]*+\]?)|(::?)([a-z-]++)|(\.)[\w-]++|(#)[\w-]++|(\*)|[ \t\r\n]*+([>+~,])[ \t\r\n]*+|([ \t\r\n]++)"
    r"|[^\[:.#*>+~, \t\r\n]++|."
)
_OLD_ELEMENTS: Final = frozenset({"after", "before", "first-letter", "first-line"})
_COMBINING: Final = {
    ">": "css-selector-child",
    "+": "css-selector-adjacent-sibling",
    "~": "css-selector-general-sibling",
    ",": "css-selector-grouping",
}


class Used(NamedTuple):
    """A feature, and how often it is made use of."""

    slug: str
    times: int


@dataclass(slots=True)
class Found:
    """What is in a piece of HTML."""

    nodes: int = 0
    """Elements that are or may be seen."""
    used: Counter[str] = field(default_factory=Counter)
    """By slug."""


def features_of(html: str) -> Found:
    """Look at a document or a piece of one, not at what it would fetch. Takes time in proportion to its length."""
    found = Found()
    known = table().features
    used: Counter[str] = Counter()
    for token in tokens(html):
        if isinstance(token, Text):
            if token.within == "style":
                used.update(_of_sheet(token.words))
        elif not token.closing:
            found.nodes += token.name not in _NO_NODES
            used.update(_of_tag(token))
    found.used.update({slug: count for slug, count in used.items() if slug in known})
    return found


def _of_tag(tag: Tag) -> Iterator[str]:
    name, attributes = tag.name, tag.attributes
    yield _ELEMENTS.get(name) or f"html-{name}"
    for attribute in attributes:
        if slug := _ATTRIBUTES.get(attribute):
            yield slug
    kind = attributes.get("type", "text" if name == "input" else "").strip().lower()
    if slug := _TYPED.get((name, kind)):
        yield slug
    if name == "a":
        link = address(attributes.get("href", ""))[:8].lower()
        if link.startswith("#"):
            yield "html-anchor-links"
        elif link.startswith("mailto:"):
            yield "html-mailto-links"
    if name == "meta" and attributes.get("name", "").strip().lower() == "color-scheme":
        yield "html-meta-color-scheme"
    if name in ("img", "source", "image"):
        yield from _of_image(address(attributes.get("src", "")))
    if style := attributes.get("style"):
        yield from _of_declarations(declarations(style))


def _of_image(source: str) -> Iterator[str]:
    scheme = source[:60].lower()
    if scheme.startswith("data:image/"):
        yield "image-base64"
        ending = re.split(r"[;,+]", scheme[11:], maxsplit=1)[0]
    else:
        ending = source.partition("?")[0].partition("#")[0].rpartition(".")[2][:8].lower()
    if kind := _FORMATS.get(ending):
        yield f"image-{kind}"


def _of_sheet(css: str) -> Iterator[str]:
    for piece in sheet(css):
        match piece:
            case Declaration():
                yield from _of_declarations([piece])
            case Rule(at="", nested=nested):
                yield from _of_selector(piece.prelude)
                if nested:
                    yield "css-nesting"
            case Rule(at=at):
                name = at.removeprefix("-webkit-").removeprefix("-moz-")
                if slug := _AT.get(name):
                    yield slug
                if name == "media":
                    prelude = piece.prelude.lower()
                    yield from (slug for word, slug in _MEDIA if word in prelude)
            case None:
                yield "css-comments"


def _of_declarations(said: Iterable[Declaration]) -> Iterator[str]:
    for name, value in said:
        if group := _GROUP.fullmatch(name):
            yield from _GROUPS[(group.lastindex or 1) - 1][1].split()
        else:
            yield f"css-{name}"
        if name == "display":
            word = value.partition("!")[0].strip().removeprefix("inline-")
            if word in ("flex", "grid", "none"):
                yield f"css-display-{word}"
        if "!" in value and "important" in value:
            yield "css-important"
        yield from _of_value(value)


def _of_value(value: str) -> Iterator[str]:
    for match in _VALUE.finditer(value):
        unit, word, opens = match[1], match[2], match[3]
        if unit is not None:
            if unit in _UNITS:
                yield f"css-unit-{'percent' if unit == '%' else unit}"
        elif word is not None and (slug := (_FUNCTIONS if opens else _WORDS).get(word)):
            yield slug


def _of_selector(selector: str) -> Iterator[str]:
    simple = 0
    """Parts of one compound."""
    for match in _SELECTOR.finditer(selector.strip().lower()):
        attribute, colons, pseudo, dot, hash_, star, combining, blank = match.groups()
        if combining or blank:
            yield _COMBINING.get(combining or "", "css-selector-descendant")
            simple = 0
            continue
        if colons:
            kind = "element" if colons == "::" or pseudo in _OLD_ELEMENTS else "class"
            yield f"css-pseudo-{kind}-{pseudo}"
            continue
        for there, slug in ((attribute, "attribute"), (dot, "class"), (hash_, "id"), (star, "universal")):
            if there:
                yield f"css-selector-{slug}"
        simple += 1
        if simple == 2 and (dot or hash_ or attribute):
            yield "css-selector-chaining"
