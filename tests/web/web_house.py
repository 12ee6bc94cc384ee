"""A whole sink with its web door, and a client that speaks to it."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

from mailsystem.app import Running, running
from mailsystem.settings import Imap, Pop3, Settings, Smtp, Web
from mailsystem.telemetry import Event

PATIENCE = 30.0


@dataclass
class House:
    """The sink, and what it said."""

    running: Running
    client: httpx.AsyncClient
    events: list[Event] = field(default_factory=list)

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        """What is answered to a GET, as JSON."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def send(
        self, *messages: EmailMessage | bytes, sender: str = "shop@shop.test", to: Sequence[str] = ("ann@shop.test",)
    ) -> None:
        """Send messages by SMTP."""
        place = self.running.bound["smtp"]

        def send() -> None:
            with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as smtp:
                for message in messages:
                    octets = message if isinstance(message, bytes) else message.as_bytes(policy=policy.SMTP)
                    smtp.sendmail(sender, list(to), octets, ["BODY=8BITMIME"])

        await asyncio.to_thread(send)


def letter(subject: str = "Hello", text: str = "It works.\n", **fields: str) -> EmailMessage:
    """A plain message."""
    message = EmailMessage()
    message["From"] = fields.pop("sender", "Shop <shop@shop.test>")
    message["To"] = fields.pop("to", "Ann Lee <ann@shop.test>")
    message["Subject"] = subject
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


@asynccontextmanager
async def sink(place: Path, **more: Any) -> AsyncIterator[House]:
    """A sink with all its doors at free ports."""
    given: dict[str, Any] = {
        "data_dir": place / "data",
        "host": "127.0.0.1",
        "hostname": "localhost",
        "default_domain": "localhost",
        "cleartext_login": True,
        "smtp": Smtp(port=0),
        "pop3": Pop3(port=0),
        "imap": Imap(port=0),
        "web": Web(port=0, tls=False),
    }
    events: list[Event] = []
    async with running(Settings(**{**given, **more}), sink=True, sinks=[events.append]) as house:
        base = f"http://{house.bound['web']}"
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as client:
            yield House(house, client, events)
