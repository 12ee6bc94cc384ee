"""Where a POST may go, and what is made of the answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import pytest
from outside import Certificates
from receiver import Receiver

from mailsystem.hooks.posting import Poster
from mailsystem.net.public import is_allowed


def poster(*addresses: str, private: bool, timeout: float = 5, trust: ssl.SSLContext | None = None) -> Poster:
    """One for whom every name has these addresses."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        if not addresses:
            raise OSError("no such host")
        return addresses

    return Poster(private=private, timeout=timeout, name="test", resolve=resolve, trust=trust)


async def test_the_name_is_looked_up_once_and_told_to_the_receiver(receiver: Receiver) -> None:
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    to = Poster(private=True, timeout=5, name="test", resolve=resolve)
    url = f"http://shop.test:{receiver.port}/hook?x=1"
    assert await to.post(url, {"webhook-id": "1"}, b"{}") == (204, "", 0.0)
    [got] = receiver.got
    assert (got.path, got.headers["host"], got.headers["user-agent"]) == (
        "/hook?x=1",
        f"shop.test:{receiver.port}",
        "test",
    )
    assert asked == [("shop.test", receiver.port)]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fe80::1",
     "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "255.255.255.255", "168.63.129.16"],
)  # fmt: skip
async def test_a_server_asks_public_addresses_only(address: str, receiver: Receiver) -> None:
    outcome = await poster(address, private=False).post(f"https://shop.test:{receiver.port}/", {}, b"{}")
    assert outcome.status is None
    assert "may not be asked" in outcome.said
    mixed = await poster("192.0.2.1", address, private=False).post(f"https://shop.test:{receiver.port}/", {}, b"{}")
    assert "may not be asked" in mixed.said
    literal = f"[{address}]" if ":" in address else address
    said = (await poster(private=False).post(f"https://{literal}:{receiver.port}/", {}, b"{}")).said
    assert "may not be asked" in said
    assert receiver.got == []


@pytest.mark.parametrize("url", ["https://0x7f.1/", "https://2130706433/", "https://localhost/", "https://127.1/"])
async def test_other_spellings_of_this_machine_lead_nowhere_either(url: str) -> None:
    outcome = await Poster(private=False, timeout=5, name="test").post(url, {}, b"{}")
    assert outcome.status is None
    assert "may not be asked" in outcome.said or "there is no host" in outcome.said


async def test_a_server_tells_nothing_in_clear(receiver: Receiver) -> None:
    outcome = await poster("127.0.0.1", private=False).post(receiver.url, {}, b"{}")
    assert "https" in outcome.said
    assert receiver.got == []


def test_not_even_a_sink_asks_where_clouds_tell_their_secrets() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "::1", "fd00::1", "192.0.2.1"):
        assert is_allowed(address, private=True), address
    for address in (
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::",
        "::169.254.169.254",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%1",
        "224.0.0.1",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "::ffff:100.100.100.200",
        "x",
    ):
        assert not is_allowed(address, private=True), address


@pytest.mark.parametrize(
    "url", ["http://", "ftp://shop.test/", "http://[::1/", "nonsense", "http://" + "a" * 300 + "/"]
)
async def test_what_is_no_address_is_no_reason_to_fail(url: str) -> None:
    assert (await poster(private=True).post(url, {}, b"{}")).said


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("200 OK", 200, ""),
        ("202 Accepted", 202, ""),
        ("301 Moved\r\nlocation: http://127.0.0.1:1/", 301, "not followed"),
        ("404 Not Found", 404, "says 404"),
        ("500 Broken", 500, "says 500"),
    ],
)
async def test_only_two_hundreds_are_taken(receiver: Receiver, answer: str, status: int, said: str) -> None:
    receiver.always = answer
    outcome = await poster("127.0.0.1", private=True).post(receiver.url, {}, b"{}")
    assert (outcome.status, outcome.taken) == (status, not said)
    assert said in outcome.said
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("value", "later"), [("7", 7.0), ("99999999999", 0.0), ("9999999", 86_400.0), ("-1", 0), ("x", 0)]
)
async def test_who_wants_to_be_left_alone_is(receiver: Receiver, value: str, later: float) -> None:
    receiver.always = f"503 Busy\r\nretry-after: {value}"
    assert (await poster("127.0.0.1", private=True).post(receiver.url, {}, b"{}")).later == later


async def test_an_answer_without_end_ends() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 ")
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await poster(private=True, timeout=0.3).post(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert outcome == (None, "no answer within 0.3 s", 0.0)


async def test_under_tls_the_certificate_must_be_that_of_the_name(certificates: Certificates) -> None:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=certificates.server())
    async with server:
        port = server.sockets[0].getsockname()[1]
        to = poster("127.0.0.1", private=True, trust=certificates.client())
        assert (await to.post(f"https://localhost:{port}/", {}, b"{}")).taken
        assert "certificate" in (await to.post(f"https://shop.test:{port}/", {}, b"{}")).said.lower()
        assert (
            "certificate"
            in (await poster("127.0.0.1", private=True).post(f"https://localhost:{port}/", {}, b"{}")).said.lower()
        )
