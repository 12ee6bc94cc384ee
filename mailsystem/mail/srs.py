"""The Sender Rewriting Scheme: a sender for mail that is forwarded, so that its reports come back by way of us.

A forwarded message that keeps its sender fails SPF (RFC 7208), since it no longer comes from that domain's servers. So it
leaves with an address of our own that holds the sender's:

    ann@a.example                            becomes, where b.example forwards it,
    SRS0=hash=day=a.example=ann@b.example    and that, where c.example forwards it once more,
    SRS1=hash=b.example==hash=day=a.example=ann@c.example

However often it is forwarded, it grows no further: each forwarder only puts its own hash in front of what the first one made,
and a report goes from the last one straight to the first, who knows whose it is. The hash keeps others from sending through us
to whom they like, and the day lets an address that went astray lose its use.

The layout is that of Mail::SRS and everybody else. What is in the hash is only ours to know, since nobody else checks it.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import Final

from mailsystem.mail.address import MAX_LOCAL, MAX_PATH, Address, normal_domain
from mailsystem.mail.errors import NoSuchRecipient, SyntaxFault

VALID_DAYS: Final = 21
"""How long reports come back; longer than anybody keeps mail that cannot be delivered."""
SHORTEST_SECRET: Final = 16

_DAY: Final = 86_400
_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # of base32, which survives who takes the case out of addresses
_CYCLE: Final = len(_DIGITS) ** 2
_HASH: Final = 6
"""Digits of the hash, of 5 bits each; the usual four of base64 have 24 bits. Each is one less for the sender's own address."""

# The separator behind the tag may be any of three, since some servers take what follows a `+` or `-` for a detail. What comes
# behind it in an address that somebody else made is theirs, and is kept as it is.
_FIRST = re.compile(r"SRS0([-+=][^=]*=[^=]*=[^=]+=.*)", re.IGNORECASE | re.DOTALL)
_FURTHER = re.compile(r"SRS1[-+=][^=]*=([^=]+)=([-+=].*)", re.IGNORECASE | re.DOTALL)


class Srs:
    """Rewrites senders with a secret, and back. Older secrets only serve the way back."""

    def __init__(self, secret: bytes, *older: bytes) -> None:
        if min(map(len, (secret, *older))) < SHORTEST_SECRET:
            raise ValueError(f"a secret has at least {SHORTEST_SECRET} octets")
        self._secrets = (secret, *older)

    def forward(self, sender: Address, domain: str, now: float) -> Address:
        """The sender to tell the other side, for a message of `sender` that `domain`, one of ours, forwards at `now`.

        It stays as it is where it is null, where it is of `domain` already, and where it would come out longer than an address
        may be (RFC 5321 4.5.3.1.1: 64 octets before the `@`). Many servers refuse a longer one, and so do ours: the report
        would not find its way back, and nobody would hear of it. With its own sender the message passes, unless the other
        side looks at SPF alone; and if that refuses it, its sender hears so.
        """
        if not sender or sender.domain == domain:
            return sender
        if (further := _FURTHER.fullmatch(sender.local)) is not None:
            first, rest = further.groups()
            local = self._further(first, rest)
        elif (theirs := _FIRST.fullmatch(sender.local)) is not None:
            local = self._further(sender.domain, theirs[1])
        else:
            today = _day(now)
            mac = self._hash(self._secrets[0], "0", str(today), sender.domain, sender.local)
            local = f"SRS0={mac}={_stamp(today)}={sender.domain}={sender.local}"
        rewritten = Address(local, domain)
        if len(local.encode()) > MAX_LOCAL or len(str(rewritten).encode()) > MAX_PATH:
            return sender
        return rewritten

    def reverse(self, address: Address, now: float) -> Address | None:
        """Whom a report to `address`, of a domain of ours, is for; None where it is not built like one of these addresses.

        To be asked before anything else is made of the address: a `+` in it begins no detail. Raises `NoSuchRecipient` where
        it was not made here (or not with any of the secrets), or more than `VALID_DAYS` ago.
        """
        if (further := _FURTHER.fullmatch(address.local)) is not None:
            host, rest = further.groups()
            if not self._is_ours(address.local[5:].partition("=")[0], "1", host, rest):
                raise NoSuchRecipient
            return _address("SRS0" + rest, host)
        if (first := _FIRST.fullmatch(address.local)) is None:
            return None
        mac, stamp, host, local = first[1][1:].split("=", 3)
        day = _stamped(stamp, now)
        if day is None or not self._is_ours(mac, "0", str(day), host, local):
            raise NoSuchRecipient
        return _address(local, host)

    def _further(self, host: str, rest: str) -> str:
        """`rest` is what the first forwarder made, without its tag: no day is needed here, since theirs is in it."""
        return f"SRS1={self._hash(self._secrets[0], '1', host, rest)}={host}={rest}"

    def _is_ours(self, mac: str, *parts: str) -> bool:
        given = mac.upper().encode()
        return any(hmac.compare_digest(self._hash(secret, *parts).encode(), given) for secret in self._secrets)

    @staticmethod
    def _hash(secret: bytes, *parts: str) -> str:
        # Only ASCII letters lose their case, as they do on the way. No part but the last can have a NUL or a `=` in it.
        octets = "\0".join(parts).encode().lower()
        return base64.b32encode(hmac.digest(secret, octets, "sha256")).decode()[:_HASH]


def _day(now: float) -> int:
    return int(now // _DAY)


def _stamp(day: int) -> str:
    high, low = divmod(day % _CYCLE, len(_DIGITS))
    return _DIGITS[high] + _DIGITS[low]


def _stamped(stamp: str, now: float) -> int | None:
    """The day that a stamp means, counted from 1970: it stands in the hash, so that no stamp is good again after 1024 days."""
    if len(stamp) != 2 or not stamp.isascii() or any(digit not in _DIGITS for digit in stamp.upper()):
        return None
    high, low = map(_DIGITS.index, stamp.upper())
    today = _day(now)
    age = (today - (high * len(_DIGITS) + low)) % _CYCLE
    if age == _CYCLE - 1:
        return today + 1  # made by another machine, whose clock is ahead of ours at midnight
    return today - age if age <= VALID_DAYS else None


def _address(local: str, host: str) -> Address:
    try:
        return Address(local, normal_domain(host))
    except SyntaxFault:
        raise NoSuchRecipient from None
