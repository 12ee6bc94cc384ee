"""Links are asked for; whatever a message says, nobody inside is reached by it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trustme

from mailsystem.checks.links import MOST_REDIRECTS, Tried, findings_of, try_links

Answer = Callable[[str, str], str | None]
"""By method and path: the status line's rest and further fields; None for silence."""


@dataclass
class Web:
    """A web server on loopback, and what it was asked."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    @property
    def asked(self) -> list[str]:
        return [head.split(" HTTP/")[0] for head in self.heads]


@asynccontextmanager
async def serving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    web = Web()

    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        web.open += 1
        web.most_open = max(web.most_open, web.open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            web.heads.append(head)
            method, path, _ = head.split(" ", 2)
            await asyncio.sleep(0.01)
            said = answer(method, path)
            if said is None:
                await reader.read()
            else:
                writer.write(f"HTTP/1.1 {said}\r\nSet-Cookie: a=b\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            web.open -= 1
            writer.close()

    server = await asyncio.start_server(asked, "127.0.0.1", 0, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()


def named(**hosts: str) -> Callable[[str, int], object]:
    """A resolver that knows these; their dots are written as `_`."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        known = hosts.get(host.replace(".", "_"))
        if known is None:
            raise OSError
        return known.split()

    return resolve


def ok(method: str, path: str) -> str:
    return "200 OK"


async def test_a_link_is_asked_by_head_without_anything_of_ours() -> None:
    async with serving(ok) as web:
        url = f"http://ann:secret@shop.test:{web.port}/x?y=1#z"
        [tried] = await try_links([url, url], allow_private=True, resolve=named(shop_test="127.0.0.1"))  # type: ignore[arg-type]
    assert tried == Tried(url, 200)
    assert tried.works
    [head] = web.heads
    assert head.startswith("HEAD /x?y=1 HTTP/1.1\r\n")
    assert f"\r\nHost: shop.test:{web.port}\r\n" in head
    assert "authorization" not in head.lower()
    assert "cookie" not in head.lower()


async def test_who_knows_no_head_is_asked_by_get() -> None:
    async with serving(lambda method, path: "405 No" if method == "HEAD" else "200 OK") as web:
        [tried] = await try_links([f"http://127.0.0.1:{web.port}/"], allow_private=True)
    assert tried.status == 200
    assert web.asked == ["HEAD /", "GET /"]


async def test_redirections_are_followed_without_cookies_and_not_for_ever() -> None:
    def answer(method: str, path: str) -> str:
        if path == "/a":
            return "302 Found\r\nLocation: /b"
        return f"302 Found\r\nLocation: /loop{len(path)}" if path.startswith("/loop") else "200 OK"

    async with serving(answer) as web:
        first, second = await try_links(
            [f"http://127.0.0.1:{web.port}/a", f"http://127.0.0.1:{web.port}/loop"], allow_private=True
        )
    assert first.works
    assert first.way == (f"http://127.0.0.1:{web.port}/b",)
    assert not second.works
    assert len(second.way) == MOST_REDIRECTS
    assert not any("cookie:" in head.lower() for head in web.heads)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://127.1:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://[::ffff:7f00:1]:{port}/",
        "http://0.0.0.0:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/",
        "http://10.0.0.1/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::7f00:1]/",
        "http://user@127.0.0.1:{port}/",
        "http://evil.test@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}\\@evil.test/",
        "http://①②⑦.⓪.⓪.①:{port}/",
    ],
)
async def test_nobody_inside_is_asked(url: str) -> None:
    async with serving(ok) as web:
        [tried] = await try_links([url.format(port=web.port)])
    assert web.heads == []
    assert tried.status is None
    assert tried.refused or tried.absent


async def test_a_name_that_also_leads_inside_is_refused() -> None:
    async with serving(ok) as web:
        resolve = named(evil_test="9.9.9.9 127.0.0.1")
        [tried] = await try_links([f"http://evil.test:{web.port}/"], resolve=resolve)  # type: ignore[arg-type]
    assert tried.refused
    assert "127.0.0.1, which is not public" in tried.error
    assert web.heads == []


async def test_a_redirection_to_the_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from mailsystem.checks import links

    monkeypatch.setattr(links, "is_public", lambda address: address != "127.0.0.2")
    async with serving(lambda method, path: "301 Moved\r\nLocation: http://inside.test/") as web:
        resolve = named(outside_test="127.0.0.1", inside_test="127.0.0.2")
        [tried] = await try_links([f"http://outside.test:{web.port}/"], resolve=resolve)  # type: ignore[arg-type]
    assert tried.refused
    assert tried.way == ("http://inside.test/",)
    [finding] = findings_of([tried])
    assert finding.rule == "link-not-followed"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://9.9.9.9/", "gopher://9.9.9.9/", "javascript:x"])
async def test_a_redirection_to_what_is_no_web_page_is_refused(location: str) -> None:
    async with serving(lambda method, path: f"302 Found\r\nLocation: {location}") as web:
        [tried] = await try_links([f"http://127.0.0.1:{web.port}/"], allow_private=True)
    assert tried.refused
    assert tried.status is None


async def test_dns_is_asked_once_and_the_connection_goes_to_what_it_said() -> None:
    """Who would answer otherwise the second time is not asked a second time."""
    answers = ["127.0.0.1", "127.0.0.2"]

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [answers.pop(0)]

    async with serving(ok) as web:
        [tried] = await try_links([f"http://rebinding.test:{web.port}/"], allow_private=True, resolve=resolve)
    assert tried.works
    assert answers == ["127.0.0.2"]


async def test_a_certificate_is_compared_with_the_name_and_not_the_address() -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("shop.test").configure_cert(tls)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    resolve = named(shop_test="127.0.0.1", other_test="127.0.0.1")
    async with serving(ok, tls=tls) as web:
        good, bad = await try_links(
            [f"https://shop.test:{web.port}/", f"https://other.test:{web.port}/"],
            allow_private=True,
            resolve=resolve,  # type: ignore[arg-type]
            verify=trusted,
        )
    assert good.works
    assert not bad.works
    assert "certificate" in bad.error.lower()


async def test_who_does_not_answer_is_not_waited_for() -> None:
    async with serving(lambda method, path: None) as web:
        [tried] = await try_links([f"http://127.0.0.1:{web.port}/"], allow_private=True, timeout=0.2)
    assert tried.error == "no answer within 0.2 s"
    assert [finding.rule for finding in findings_of([tried])] == ["link-unreachable"]


async def test_only_so_many_are_asked_at_once() -> None:
    async with serving(ok) as web:
        urls = [f"http://127.0.0.1:{web.port}/{number}" for number in range(12)]
        tried = await try_links(urls, allow_private=True, at_once=3)
    assert [one.url for one in tried] == urls
    assert all(one.works for one in tried)
    assert web.most_open <= 3


async def test_what_is_no_web_address_is_left_out() -> None:
    assert await try_links(["mailto:ann@a.test", "javascript:x", "ftp://a.test", "/x", "", "cid:x"]) == []


def test_what_is_found_is_told() -> None:
    found = findings_of(
        [
            Tried("http://a.test/", 200),
            Tried("http://b.test/", 404),
            Tried("http://c.test/", None, "there is no host c.test", absent=True),
            Tried("http://d.test/", 503),
            Tried("http://e.test/", None, "d.test is at ::1, which is not public", refused=True),
        ]
    )
    assert [(one.rule, str(one.severity)) for one in found] == [
        ("link-broken", "error"),
        ("link-broken", "error"),
        ("link-unreachable", "warning"),
        ("link-not-followed", "warning"),
    ]
    assert findings_of([Tried("http://b.test/", 404)], disabled=["link-broken"]) == ()


async def test_when_their_time_is_over_no_more_links_are_asked() -> None:
    async with serving(ok) as web:
        url = f"http://127.0.0.1:{web.port}/"
        [tried] = await try_links([url], allow_private=True, in_all=0)
        assert (tried.error, tried.works, tried.refused) == ("not asked: those before it took 0 s", False, False)
        assert web.heads == []
        [tried] = await try_links([url], allow_private=True)
        assert tried.works
