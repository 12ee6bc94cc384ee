"""How we prove to a smarthost who we are (RFC 4954): by the strongest mechanism that both know."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Final

from mailsystem.mail.sasl import SCRAM, BadProof, ScramProof
from mailsystem.queue.client import Fault, Session
from mailsystem.queue.replies import Reply
from mailsystem.telemetry.trace import REDACTED

_OK: Final = 235
_MORE: Final = 334


async def log_in(session: Session, login: str, password: str) -> None:
    """Raises `Fault`: for now, since it is our own settings that are wrong, and no mail should be lost by them."""
    if not session.connection.is_private:
        raise Fault("4.7.11", f"no login at {session.host} without TLS: the password could be read on the way")
    offered = session.extensions.get("AUTH", "").upper().split()
    if SCRAM in offered:
        reply = await _scram(session, login, password)
    elif "PLAIN" in offered:
        reply = await _plain(session, login, password)
    elif "LOGIN" in offered:
        reply = await _login(session, login, password)
    else:
        raise Fault("4.7.0", f"no login at {session.host}: it offers none of {SCRAM}, PLAIN and LOGIN")
    if reply.code != _OK:
        status = f"4{reply.status[1:]}" if reply.status else "4.7.8"
        raise Fault(status, f"login at {session.host} refused: {reply}")


async def _plain(session: Session, login: str, password: str) -> Reply:
    response = b"\0" + login.encode() + b"\0" + password.encode()
    return await session.ask(b"AUTH PLAIN " + _base64(response), shown=b"AUTH PLAIN " + REDACTED)


async def _login(session: Session, login: str, password: str) -> Reply:
    reply = await session.ask(b"AUTH LOGIN")
    for answer in (login, password):
        if reply.code != _MORE:
            break
        reply = await session.ask(_base64(answer.encode()), shown=REDACTED)
    return reply


async def _scram(session: Session, login: str, password: str) -> Reply:
    proof = ScramProof(login, password)
    reply = await session.ask(b"AUTH SCRAM-SHA-256 " + _base64(proof.first()), shown=b"AUTH SCRAM-SHA-256 " + REDACTED)
    try:
        if reply.code == _MORE:
            # Thousands of rounds of a hash: not on the loop.
            final = await asyncio.to_thread(proof.final, _decoded(reply))
            reply = await session.ask(_base64(final), shown=REDACTED)
            if reply.code == _MORE:
                proof.check(_decoded(reply))
                return await session.ask(b"", shown=b"")
        if reply.code == _OK:
            raise BadProof("it does not show that it knows the password itself")
    except BadProof as bad:
        raise Fault("4.7.8", f"login at {session.host} given up: {bad}") from None
    return reply


def _base64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def _decoded(reply: Reply) -> bytes:
    try:
        return base64.b64decode("".join(reply.lines), validate=True)
    except (binascii.Error, ValueError):
        raise BadProof("a challenge that is no base64") from None
