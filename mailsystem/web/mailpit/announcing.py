"""A message that has come, as Mailpit's webhook tells it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mailsystem.mail.content import scan
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import Flag, Mailbox
from mailsystem.mail.preview import preview_of
from mailsystem.store import Delivery, Store
from mailsystem.web.letters import MOST_TEXT, attached, tree_of
from mailsystem.web.mailpit.shapes import MOST_HEAD, Told, evidences, rows, summary


async def announced(store: Store, mailbox: Mailbox, delivery: Delivery, *, in_space: bool) -> dict[str, Any]:
    """`MessageSummary`; also of one that its mailbox has no more. `in_space`, and it does not say to whom the message went
    blindly, who may be of another one. Raises `Unavailable` where its octets are gone too."""
    there: list[Told] = []
    with suppress(NoSuchMailbox):
        there = [one async for one in rows(store, mailbox, [delivery.uid])]
    told = there[0] if there else await _departed(store, delivery)
    came = (await evidences(store, [told.content])).get(told.content)
    return await summary(told, replace(came, recipients=[]) if came is not None and in_space else came)


async def _departed(store: Store, delivery: Delivery) -> Told:
    octets = await store.contents.read(delivery.content, 0, MOST_TEXT)
    facts = await asyncio.to_thread(scan, octets)
    root, known = await tree_of(facts.parts), json.loads(delivery.detail)
    return Told(
        delivery.uid,
        frozenset(map(Flag, known["flags"])),
        known["received"],
        known["size"],
        delivery.content,
        octets[: min(facts.header_size, MOST_HEAD)],
        {},
        root,
        await attached(root, facts.bodystructure),
        preview_of(root, octets),
    )
