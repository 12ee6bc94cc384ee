"""What stands before the SMTP door: messages an hour, block lists, greylisting. Each is off unless asked for.

Whoever has logged in, and this machine itself, is asked for nothing but their own messages an hour; and, for recipients on
other servers, whether there is any use in writing to them, and whether there is room under the caps of a day. Nothing here
looks up reverse DNS, and nobody is trusted more for where they come from than that their mail is not held up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import Final

from mailsystem.directory import POSTMASTER
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.clock import Clock
from mailsystem.mail.envelope import Envelope, Peer
from mailsystem.mail.errors import NoSuchRecipient, Rejected, TooMany, Unavailable
from mailsystem.net.counts import Counts, own
from mailsystem.policy.blocklists import BlockLists, Lookup
from mailsystem.policy.meter import Allowance, Meter, network_of
from mailsystem.store import Caps, Sending, Suppression
from mailsystem.store.greylist import Greylist
from mailsystem.telemetry import Trace

HOUR: Final = 3600.0
SHARED: Final = ("messages of a login", "messages of an address", "who was told of a cap")
"""What several processes count together, by the names under which they ask for it."""
_NUMBER: Final = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")


class Gatekeeper:
    """Asked by the SMTP door at every step; a refusal is a `MailError`."""

    def __init__(
        self,
        clock: Clock,
        *,
        messages_per_hour_login: int = 0,
        messages_per_hour_address: int = 0,
        block_lists: Sequence[str] = (),
        greylist: Greylist | None = None,
        lookup: Lookup | None = None,
        suppression: Suppression | None = None,
        sending: Sending | None = None,
        caps: Caps | None = None,
        trace: Trace | None = None,
        counts: Callable[[str], Counts] = own,
    ) -> None:
        """0 is no limit. `block_lists` are zones, asked by `lookup` or else by dnspython.

        `caps` are those of everybody who has none of their own, held against what `sending` knows.
        `counts` gives what is counted under a name of `SHARED`; where processes share it, they share the limits.
        """
        self._trace = trace or Trace()
        self._lists = BlockLists(block_lists, clock, lookup=lookup, trace=self._trace)
        self._greylist = greylist
        self._suppression = suppression
        self._sending = sending
        self._caps = caps or Caps()
        of_login, of_address, told = map(counts, SHARED)
        self._by_login = _hourly(clock, messages_per_hour_login, of_login)
        self._by_address = _hourly(clock, messages_per_hour_address, of_address)
        self._told = Meter(clock, [Allowance(1, HOUR)], told)

    async def connect(self, peer: Peer) -> None:
        """Nobody is turned away here: who is listed may still be one of ours who logs in from a hotel."""

    async def sender(self, peer: Peer, login: str | None, sender: Address) -> None:
        """MAIL. Raises `TooMany` for who has sent enough for this hour, before the message travels for nothing."""
        self._check(peer, login)

    async def recipient(self, peer: Peer, login: str | None, sender: Address, recipient: Address) -> None:
        """RCPT, for a recipient that exists. Raises `Rejected` for who is listed, `Unavailable` for who shall come again."""
        if login is not None or peer.is_loopback:
            return
        # RFC 5321 4.5.1: the postmaster can always be reached, also to complain about the rest of this.
        if recipient.local.casefold() == POSTMASTER:
            return
        zone = await self._lists.listing(peer.host)
        if zone is not None:
            self._trace.event("listed", host=peer.host, zone=zone)
            raise Rejected(f"your address {peer.host} is listed by {zone}")
        if self._greylist is not None:
            network = network_of(peer.host, ipv4=24, ipv6=64)
            left = await self._greylist.wait(network, stem(sender), recipient.key)
            if left > 0:
                self._trace.event("greylisted", host=peer.host, sender=str(sender), recipient=str(recipient))
                minutes = math.ceil(left / 60)
                raise Unavailable(f"greylisted, try again in {minutes} minute{'' if minutes == 1 else 's'}")

    async def relay(self, account: Account, recipient: Address, already: Collection[Address]) -> None:
        """RCPT of somebody who logged in, for a recipient elsewhere, beside those elsewhere that were taken already.

        Raises `NoSuchRecipient` where nothing is sent to it any more, and `TooMany` where the caps of the day are reached: it
        is better said here than after the message has travelled, and is counted where the message is accepted.
        """
        if self._suppression is not None:
            for one in await self._suppression.of([recipient.key]):
                self._trace.event(
                    "suppressed",
                    login=account.login,
                    recipient=str(recipient),
                    status=one.status,
                    added=one.added,
                    reason=one.reason,
                )
                raise NoSuchRecipient(one.told)
        if self._sending is not None:
            everybody = {each.key for each in already} | {recipient.key}
            try:
                await self._sending.room(account.id, everybody, self._caps)
            except TooMany as error:
                # Once an hour for each: who is held up tries every recipient of every message.
                if self._told.has_room(account.login):
                    self._told.count(account.login)
                    self._trace.event("capped", login=account.login, reason=str(error))
                raise

    async def message(self, envelope: Envelope) -> None:
        """The whole message is here and is counted. Raises `TooMany`."""
        self._check(envelope.peer, envelope.login)
        meter, key = self._meter(envelope.peer, envelope.login)
        if meter is not None:
            meter.count(key)

    def _check(self, peer: Peer, login: str | None) -> None:
        meter, key = self._meter(peer, login)
        if meter is not None and not meter.has_room(key):
            self._trace.event("too many messages", host=peer.host, login=login)
            raise TooMany("too many messages in an hour, try again later")

    def _meter(self, peer: Peer, login: str | None) -> tuple[Meter | None, str]:
        if login is not None:
            return self._by_login, login
        if peer.is_loopback:
            return None, ""
        return self._by_address, network_of(peer.host, ipv4=32, ipv6=64)


def stem(sender: Address) -> str:
    """What the senders of one mailing list have in common: a detail, and whatever looks like a number, is left out."""
    local = sender.local.casefold().partition("+")[0]
    return f"{_NUMBER.sub('#', local)}@{sender.domain}"


def _hourly(clock: Clock, count: int, counts: Counts) -> Meter | None:
    return Meter(clock, [Allowance(count, HOUR)], counts) if count else None
