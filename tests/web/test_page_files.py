"""The files of the page: how they are served, and what may not be in them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from pathlib import Path

import httpx
import pytest
from web_house import House

from mailsystem.web.pages import CSP, HOME, Pages

FILES = sorted(path for path in HOME.iterdir() if path.is_file())
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in FILES if path.suffix == ".js"}
STYLES = {path.name: path.read_text(encoding="utf-8") for path in FILES if path.suffix == ".css"}
_IMPORT = re.compile(r'(?:from|import\()\s*"\./([\w.-]+)"')
_NAMED = re.compile(r'^import (?:\{ ([^}]*) \}|\* as \w+) from "\./([\w.-]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:async )?(?:function|const|class|let) ([\w$]+)", re.MULTILINE)


@pytest.mark.parametrize(
    "path", ["/", "/m/INBOX", "/m/Clubs%2FRowing/M1/headers?q=x", "/sessions", "/sessions/12", "/faults"]
)
async def test_every_view_of_the_page_is_the_same_document(house: House, path: str) -> None:
    answer = await house.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert re.sub(r" 'sha256-[\w+/=]+'", "", policy) == CSP
    assert "unsafe" not in policy
    for element, octets in re.findall(r"<(script|style)>(.*?)</", answer.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(octets.encode()).digest()).decode()
        assert f"{element}-src 'self' 'sha256-{digest}'" in policy
    assert answer.headers["cache-control"] == "no-cache"
    assert "{static}" not in answer.text
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        file = await house.client.get(address)
        assert file.status_code == 200, address
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["x-content-type-options"] == "nosniff"


async def test_what_is_known_already_is_not_sent_again(house: House) -> None:
    first = await house.client.get("/static/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await house.client.get("/static/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await house.client.get("/static/main.js", headers={"If-None-Match": 'W/"other"'})
    assert other.status_code == 200


async def test_it_is_packed_for_whoever_unpacks(house: House) -> None:
    plain = await house.client.get("/static/main.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPTS["main.js"]
    for accepted in ("gzip", "br, gzip;q=0.5", "*"):
        async with house.client.stream("GET", "/static/main.js", headers={"Accept-Encoding": accepted}) as packed:
            octets = b"".join([piece async for piece in packed.aiter_raw()])
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert gzip.decompress(octets) == plain.content
        assert len(octets) < len(plain.content) / 2
    refused = await house.client.get("/static/main.js", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


@pytest.mark.parametrize(
    "path", ["/static/nothing.js", "/static/..%2fpages.py", "/static/x/..%2f..%2fpages.py", "/nothing"]
)
async def test_what_is_not_there_is_not_served(house: House, path: str) -> None:
    answer = await house.client.get(path)
    assert answer.status_code == 404


async def test_a_file_asked_for_by_an_old_name_is_not_kept(house: House) -> None:
    """Whoever has the page open when the server is replaced gets files that work, and asks again."""
    old = await house.client.get("/static/0123456789ab/main.js")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")


async def test_the_page_has_an_icon_and_takes_no_other_method(house: House) -> None:
    icon = await house.client.get("/favicon.ico")
    assert icon.headers["content-type"].startswith("image/svg+xml")
    assert (await house.client.post("/")).status_code == 405
    assert (await house.client.head("/")).status_code == 200


def test_what_stands_in_a_document_is_named_by_its_policy(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p {}\n")
    (tmp_path / "b.css").write_text("q {}\n")
    (tmp_path / "t.js").write_text("1;\n")
    (tmp_path / "x.html").write_text("{inline t.js}{inline a.css b.css}")
    file = Pages(tmp_path).files["x.html"]
    assert file.plain == b"<script>1;\n</script><style>p {}\nq {}\n</style>"
    style, script = (base64.b64encode(hashlib.sha256(each).digest()).decode() for each in (b"p {}\nq {}\n", b"1;\n"))
    assert f"style-src 'self' 'sha256-{style}';" in file.policy
    assert f"script-src 'self' 'sha256-{script}';" in file.policy
    assert Pages(tmp_path).files["a.css"].policy == CSP


def test_a_page_of_its_own_is_a_file_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text('import { a } from "./a.js";\n')
    (tmp_path / "a.js").write_text("export const a = 1;\n")
    (tmp_path / "flow.html").write_text("<!doctype html>{modulepreload main.js}<script src={static}main.js></script>")
    pages = Pages(tmp_path)
    text = pages.files["flow.html"].plain.decode()
    base = f"/static/{pages.digest}/"
    assert text == (
        f'<!doctype html><link rel="modulepreload" href="{base}main.js">\n<link rel="modulepreload" href="{base}a.js">'
        f"<script src={base}main.js></script>"
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_data_is_never_parsed_as_markup_or_run(name: str) -> None:
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "new Function",
    ):
        assert word not in SCRIPTS[name], word
    assert not re.search(r"set(?:Timeout|Interval)\(\s*[\"'`]", SCRIPTS[name])
    assert "javascript:" not in SCRIPTS[name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_asked_of_anybody_else(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"""(?:src|href|url\(|@import|import)\s*[=(]?\s*["'`(]?\s*(?:https?:)?//""", text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_import_is_there(name: str) -> None:
    for wanted in _IMPORT.findall(SCRIPTS[name]):
        assert wanted in SCRIPTS, wanted
    for names, module in _NAMED.findall(SCRIPTS[name]):
        there = set(_EXPORT.findall(SCRIPTS[module]))
        for one in filter(None, (each.split(" as ")[0].strip() for each in names.split(","))):
            assert one in there, f"{one} of {module}"


def test_every_script_and_style_is_used() -> None:
    document = (HOME / "index.html").read_text(encoding="utf-8")
    words = document + "".join(SCRIPTS.values()) + "".join(p.read_text() for p in HOME.glob("*.html"))
    for name in (*SCRIPTS, *STYLES):
        assert f'/{name}"' in words or f'}}{name}"' in words or re.search(rf"\{{inline [^}}]*\b{name}\b", words), name


def test_styles_take_their_colours_from_the_tokens() -> None:
    known = set(re.findall(r"(--[\w-]+):", "".join(STYLES.values())))
    known |= {
        "--at",
        "--rows",
        "--swipe",
        "--deep",
        "--scale",
        "--height",
        "--width",
        "--tint",
        "--tint-soft",
        "--part",
    }  # these, scripts set
    for name, text in STYLES.items():
        used = set(re.findall(r"var\((--[\w-]+)", text))
        assert used <= known, (name, used - known)


def test_it_stays_small() -> None:
    """What a browser fetches to show the inbox; what only some look at comes later."""
    pages = Pages()
    document = pages.files["index.html"].plain.decode()
    first = set(re.findall(r'"/static/[0-9a-f]+/([\w.-]+)"', document))
    packed = sum(len(pages.files[name].packed or pages.files[name].plain) for name in {*first, "index.html"})
    assert packed < 64 << 10
    assert len(first) < 36


def test_every_key_is_a_key_of_one_thing() -> None:
    text = SCRIPTS["commands.js"]
    lists = re.findall(r'keys: \[("[^"]*"(?:, "[^"]*")*)\]', text)
    keys = [key for found in lists for key in re.findall(r'"([^"]*)"', found)]
    assert len(keys) > 60
    assert {key for key in keys if keys.count(key) > 1} == set()
    assert len(lists) == text.count('group: "')


async def test_whoever_follows_a_link_on_another_site_sees_the_page(house: House) -> None:
    answer = await house.client.get("/m/INBOX/M1", headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://x.test"})
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 200
