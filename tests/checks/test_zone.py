"""The real DNS, as far as a name server on loopback is that."""

from __future__ import annotations

import asyncio

from mailsystem.checks import NotAnswered, RealZone
from mailsystem.cli.demo.dns import NameServer, answering


async def test_a_name_server_is_asked() -> None:
    server = NameServer(
        {
            "example.org": ["MX 10 mail.example.org.", 'TXT "v=spf1 " "-all"'],
            "mail.example.org": ["A 192.0.2.1"],
            "alias.example.org": ["CNAME mail.example.org."],
        }
    )
    server.failing.add("broken.example")
    async with answering(server) as (host, port):
        zone = RealZone([host], port)

        def ask() -> list[list[str]]:
            return [
                zone.records("Example.org.", "MX"),
                zone.text("example.org"),
                zone.records("alias.example.org", "A"),
                zone.records("none.example", "A"),
                zone.text("mail.example.org"),
                zone.text("a..b"),
                zone.text("x" * 64 + ".example.org"),
            ]

        assert await asyncio.to_thread(ask) == [
            ["10 mail.example.org."],
            ["v=spf1 -all"],
            ["192.0.2.1"],
            [],
            [],
            [],
            [],
        ]

        def silent() -> str:
            try:
                zone.text("broken.example")
            except NotAnswered as error:
                return str(error)
            return ""

        assert await asyncio.to_thread(silent) == "DNS does not answer about broken.example"
