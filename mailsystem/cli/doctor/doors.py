"""The doors: who listens where, and whether mail for others is refused as it must be."""

from __future__ import annotations

import asyncio
import errno
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Final

from mailsystem.app import LISTENERS, StartupError, running
from mailsystem.app.listeners import host_of, is_secure
from mailsystem.cli.doctor.finding import Finding, State, good, warning, wrong
from mailsystem.mail.errors import MailError
from mailsystem.settings import Settings, Tls

PATIENCE: Final = 10.0
_LONGEST: Final = 8192
_CAPABILITIES: Final = re.compile(r"\[CAPABILITY[^]]*\] ?")
_QUESTION: Final = b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n"
"""Who speaks HTTP waits to be asked."""
_ANSWER: Final = re.compile(r"HTTP/1\.[01] 200 .*\r\n\r\nok", re.DOTALL)
_FOREIGN: Final = "relay-test.invalid"  # RFC 2606 2: nobody's, for ever


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a door shall be."""

    name: str
    host: str
    port: int
    secure: bool = False
    """Under TLS from the first octet."""

    @property
    def reached(self) -> str:
        """Where this machine itself reaches it."""
        return {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)


def listeners(settings: Settings) -> Iterator[Listener]:
    for name in LISTENERS:
        own = getattr(settings, name)
        if isinstance(own.port, int) and getattr(own, "path", None) is None:
            yield Listener(name, host_of(name, settings), own.port, is_secure(name, settings))


def ports(settings: Settings) -> Iterator[tuple[Listener, Finding, bool]]:
    """Each door with what was found there, and whether it is open and ours."""
    for door in listeners(settings):
        finding, ours = _port(door, settings)
        yield door, finding, ours


def _port(door: Listener, settings: Settings) -> tuple[Finding, bool]:
    check, where = f"port of {door.name}", f"{door.host}:{door.port}"
    if door.port == 0:
        return good(check, "whichever is free"), False
    try:
        _bind(door)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _in_use(check, door, settings)
        if error.errno in {errno.EACCES, errno.EPERM}:
            advice = (
                f"give CAP_NET_BIND_SERVICE (AmbientCapabilities= of systemd), or set {door.name}.port to 1024 or more"
            )
            return wrong(check, f"{where} may only be opened by root or with a capability", advice), False
        return (
            wrong(
                check,
                f"{where} cannot be opened: {(error.strerror or str(error)).lower()}",
                "set host to an address here",
            ),
            False,
        )
    return good(check, f"{where} is free: no server runs there now"), False


def _bind(door: Listener) -> None:
    """Raises `OSError` where a server could not listen."""
    host = None if door.host == "*" else door.host
    found = socket.getaddrinfo(host, door.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in found:
        try:
            bound = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a machine without IPv6
        with closing(bound):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                bound.bind(address)
                bound.listen()
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or host is not None:
                    raise


def _in_use(check: str, door: Listener, settings: Settings) -> tuple[Finding, bool]:
    advice = f"stop the other program, or set {door.name}.port"
    try:
        said, ours = _asked(door, settings)
    except OSError as error:
        reason = f"somebody has port {door.port} and does not greet ({type(error).__name__})"
        return warning(check, reason, f"if that is no server of ours: {advice}"), False
    if ours:
        return good(check, f"{door.host}:{door.port} is open: {_CAPABILITIES.sub('', said)[:60]}"), True
    return wrong(check, f"another program has port {door.port}; it says {said[:60]!r}", advice), False


def _asked(door: Listener, settings: Settings) -> tuple[str, bool]:
    """What is said there first, and whether that is us."""
    patience = PATIENCE + settings.smtp.greeting_delay
    with socket.create_connection((door.reached, door.port), timeout=patience) as plain:
        if not door.secure:
            return _heard(plain, door, settings)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain, server_hostname=settings.hostname) as secure:
            return _heard(secure, door, settings)


def _heard(connection: socket.socket, door: Listener, settings: Settings) -> tuple[str, bool]:
    """The first line; IMAP names all that it can there."""
    if door.name == "web":
        connection.sendall(_QUESTION)
        with connection.makefile("rb") as answer:
            answered = answer.read(_LONGEST).decode("ascii", "replace")
        return answered.partition("\r\n")[0], _ANSWER.fullmatch(answered) is not None
    with connection.makefile("rb") as answer:
        said = answer.readline(_LONGEST).decode("ascii", "replace").strip()
    greets = said.startswith(("+OK", "* OK")) and "mailsystem" in said.lower()
    return said, greets or settings.hostname.lower() in said.lower()


def block_lists(settings: Settings) -> Iterator[Finding]:
    """Which lists are asked."""
    if settings.policy.dnsbl:
        yield good("block lists", ", ".join(settings.policy.dnsbl))


# The open-relay question


def relay(settings: Settings, open_doors: list[Listener]) -> Finding:
    """Ask a server of ours to carry mail to somebody else's domain: the one that runs, or else one made for the question."""
    check = "relaying"
    door = next((door for door in open_doors if door.name == "smtp"), None)
    if door is not None:
        with suppress(OSError, smtplib.SMTPException):
            return _judged(check, dialog(door.reached, door.port, settings), f"the server on port {door.port}")
    try:
        return _judged(check, asyncio.run(_asked_inside(settings)), "a server made for the question")
    except (StartupError, MailError, OSError, smtplib.SMTPException) as error:
        return warning(check, f"could not be asked: {error}", "mend what stands above, and ask again")


def _judged(check: str, taken: list[str], who: str) -> Finding:
    if not taken:
        return good(check, f"refused ({who})")
    said = f"{who} takes mail for others: {'; '.join(taken)}"
    return Finding(
        check, State.WRONG, said, "stop it now; look at the domains, catch-alls and aliases, and report this"
    )


async def _asked_inside(settings: Settings) -> list[str]:
    quiet: dict[str, Any] = {name: getattr(settings, name).model_copy(update={"port": None}) for name in LISTENERS}
    quiet["smtp"] = settings.smtp.model_copy(update={"port": 0, "greeting_delay": 0.0})
    quiet["lmtp"] = settings.lmtp.model_copy(update={"port": None, "path": None})
    # The proxies would have to begin a connection in their own way.
    alone = settings.model_copy(update={**quiet, "host": "127.0.0.1", "tls": Tls(), "proxies": (), "grace": 0.5})
    async with running(alone, ["smtp"]) as house:
        place = house.bound["smtp"]
        return await asyncio.to_thread(dialog, place.host, place.port, settings)


def dialog(host: str, port: int, settings: Settings) -> list[str]:
    """What a server took that it should have refused. Raises `OSError` and `SMTPException`."""
    ours = settings.default_domain or settings.hostname
    taken = []
    patience = PATIENCE + settings.smtp.greeting_delay
    # Not `with` the client itself: what it answers to QUIT must not hide what it took.
    with closing(smtplib.SMTP(host, port, local_hostname="localhost", timeout=patience)) as client:
        client.ehlo()
        for sender in ("", f"postmaster@{ours}", f"somebody@{_FOREIGN}"):
            for recipient in (f"somebody@{_FOREIGN}", f"@{ours}:somebody@{_FOREIGN}", f"somebody%{_FOREIGN}"):
                code, _ = client.docmd(f"MAIL FROM:<{sender}>")
                if code // 100 == 2:
                    code, _ = client.docmd(f"RCPT TO:<{recipient}>")
                    if code // 100 == 2:
                        taken.append(f"from <{sender}> to <{recipient}>")
                client.rset()
        with suppress(OSError, smtplib.SMTPException):
            client.quit()
    return taken
