"""POP1 and POP2 as the program serves them: only when named, only on this machine, and with their own mail."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import program
import pytest
from wire import Pop3, Smtp, Wire

from mailsystem.app import HISTORIC, ROLES, StartupError, running
from mailsystem.net import is_loopback
from mailsystem.settings import Pop1, Pop2, Settings, load


def settings(tmp_path: Path, **more: Any) -> Settings:
    free = {"pop2": Pop2(port=0), "pop1": Pop1(port=0)}
    return Settings(**{"data_dir": tmp_path / "data", "hostname": "dog-house.example.org", **free, **more})


def test_nobody_serves_them_unasked(tmp_path: Path) -> None:
    assert not {*ROLES}.intersection(HISTORIC.values())
    with program.serve(tmp_path, args=("--pop2-port", "0", "--pop1-port", "0")) as served:
        assert not {"pop2", "pop1"}.intersection(served.ready)


def test_they_take_their_own_ports() -> None:
    """RFC 937 has 109; RFC 918 has none, and what POP had in its days is POP2's."""
    loaded = load({}, config=None)
    assert (loaded.value("pop2.port"), loaded.value("pop1.port")) == (109, 918)


async def test_they_listen_on_this_machine_whatever_the_others_do(tmp_path: Path) -> None:
    async with running(settings(tmp_path, host="*"), ["pop2", "pop1"]) as house:
        assert {name: place.host for name, place in house.bound.items()} == {"pop2": "127.0.0.1", "pop1": "127.0.0.1"}
        for place in house.bound.values():
            with Wire((place.host, place.port)) as wire:
                assert b"dog-house.example.org" in await _line(wire)


async def _line(wire: Wire) -> bytes:
    import asyncio

    return await asyncio.to_thread(wire.line)


@pytest.mark.parametrize("name", HISTORIC)
@pytest.mark.parametrize("host", ["*", "0.0.0.0", "::", "192.0.2.1"])
async def test_they_refuse_to_listen_elsewhere_and_say_what_to_do(tmp_path: Path, name: str, host: str) -> None:
    kind = {"pop2": Pop2, "pop1": Pop1}[name]
    elsewhere = settings(tmp_path, cleartext_login=True, **{name: kind(port=0, host=host)})
    with pytest.raises(StartupError) as refused:
        async with running(elsewhere, [HISTORIC[name]]):  # type: ignore[index]
            raise AssertionError
    assert f"set {name}.host to 127.0.0.1, or {name}.anywhere to true" in str(refused.value)


@pytest.mark.parametrize("name", HISTORIC)
async def test_whoever_insists_gets_his_way(tmp_path: Path, name: str) -> None:
    kind = {"pop2": Pop2, "pop1": Pop1}[name]
    async with running(settings(tmp_path, **{name: kind(port=0, host="0.0.0.0", anywhere=True)}), [name]) as house:  # type: ignore[list-item]
        assert house.bound[name].host == "0.0.0.0"


@pytest.mark.parametrize("anywhere", [False, True])
async def test_who_comes_from_elsewhere_through_a_proxy_cannot_log_in(tmp_path: Path, anywhere: bool) -> None:
    """Behind a proxy the listener is on this machine and its clients are not."""
    import asyncio

    proxied = settings(
        tmp_path,
        proxies=(ipaddress.ip_network("127.0.0.1"),),
        pop2=Pop2(port=0, anywhere=anywhere),
        pop1=Pop1(port=0, anywhere=anywhere),
    )
    async with running(proxied, ["pop2", "pop1"]) as house:
        for name, said in (("pop2", b"HELO ann secret\r\n"), ("pop1", b"USER ann\r\n")):
            reader, writer = await asyncio.open_connection(house.bound[name].host, house.bound[name].port)
            writer.write(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 109\r\n" + said)
            await reader.readline()
            assert (b"not from another host" in await reader.readline()) is not anywhere
            writer.close()


@pytest.mark.parametrize(
    ("host", "so"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("*", False), ("", False),
     ("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("fe80::1", False)],
)  # fmt: skip
def test_what_loopback_is(host: str, so: bool) -> None:
    assert is_loopback(host) is so


def test_processes_of_all_generations_over_one_data_directory(tmp_path: Path) -> None:
    """What SMTP took in one process is read by POP1 and deleted by POP2 in another."""
    with program.serve(tmp_path) as served:
        program.add_domain("example.org", data_dir=served.data_dir)
        program.add_user("ann@example.org", "secret word", data_dir=served.data_dir)
        with Smtp(served.smtp) as smtp:
            assert (
                smtp.message("bob@example.net", ["ann@example.org"], b"Subject: hello\r\n\r\nold friend\r\n")[0] == 250
            )
        ports = ("--pop2-port", "0", "--pop1-port", "0")
        with program.serve(tmp_path, "pop2", "pop1", args=ports, data_dir=served.data_dir) as old:
            assert set(old.ready) == {"pid", "pop2", "pop1"}
            with Wire(program.Place(**old.ready["pop1"])) as pop1:
                assert pop1.line().startswith(b"+OK ")
                pop1.send(b"USER ann@example.org\r\nPASS secret word\r\nRETR INBOX\r\nRCEV\r\n")
                assert [pop1.line()[:3] for _ in range(2)] == [b"+OK"] * 2
                assert pop1.exactly(int(pop1.line()[1:].split()[0])).endswith(b"\r\n\r\nold friend\r\n")
                pop1.send(b"RCVD\r\nQUIT\r\n")
                assert [pop1.line()[:3] for _ in range(2)] == [b"+OK"] * 2
            with Wire(program.Place(**old.ready["pop2"])) as pop2:
                pop2.send(b"HELO ann@example.org secret\\ word\r\nREAD\r\nRETR\r\n")
                assert [pop2.line()[:2] for _ in range(2)] == [b"+ ", b"#1"]
                assert pop2.exactly(int(pop2.line()[1:].split()[0])).endswith(b"\r\n\r\nold friend\r\n")
                pop2.send(b"ACKD\r\nQUIT\r\n")
                assert [pop2.line()[:2] for _ in range(2)] == [b"=0", b"+ "]
        with Pop3(served.pop3, "ann@example.org", "secret word") as pop3:
            assert pop3.ok(b"STAT") == b"+OK 0 0"
