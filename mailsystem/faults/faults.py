"""The faults that are in force: asked at every command, changed from anywhere, counted by all processes together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from mailsystem.faults import magic
from mailsystem.faults.line import to_line
from mailsystem.faults.rule import ANY, BODY, CONNECT, STAGES, Rule, Scene, from_json, to_json
from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault
from mailsystem.store import RULES, Store
from mailsystem.telemetry import Trace

NamespaceOf: TypeAlias = Callable[[Scene], Awaitable[str]]
"""Tells whose a scene is; empty where it is nobody's."""
MAGIC: Final = 0
"""In the place of a rule's number: it was an address that asked for it."""
_IN_PASSING: Final = 500
"""Addresses that rules are held against while everybody else waits: about a millisecond."""


@dataclass(frozen=True, slots=True)
class Told:
    """A rule that is in force, or is spent."""

    id: int
    rule: Rule
    seen: int
    """Matches so far."""
    hits: int
    """Strikes among them."""

    @property
    def is_spent(self) -> bool:
        """Whether it will not strike again unless it is reset."""
        return self.rule.is_spent(self.hits)

    def as_json(self) -> dict[str, Any]:
        """The rule as `to_json` has it, with `id`, `seen`, `hits` and its `line` for people."""
        return {
            "id": self.id,
            **to_json(self.rule),
            "seen": self.seen,
            "hits": self.hits,
            "spent": self.is_spent,
            "line": to_line(self.rule),
        }


class _Known(NamedTuple):
    id: int
    rule: Rule


class Faults:
    """Rules for faults in one store. Every process that serves it has one of these, and all obey the same rules."""

    def __init__(self, store: Store, *, magic: bool = True, namespace_of: NamespaceOf | None = None) -> None:
        """With `magic`, there are addresses that ask for a fault, or an answer, by themselves. `namespace_of` tells whose a
        scene is; without it, it belongs to nobody."""
        self.magic: Final = magic
        self._store = store
        self._namespace_of = namespace_of
        self._heard = -1
        self._changes = -1
        self._known: dict[tuple[str, str], list[_Known]] = {}
        """By door and stage, the oldest first, without those that are spent."""

    # For whoever changes them

    async def all(self, namespace: str | None = None) -> list[Told]:
        """Every rule, the oldest first, or those of one namespace."""
        return [
            Told(kept.id, from_json(json.loads(kept.rule)), kept.seen, kept.hits)
            for kept in await self._store.faults.all()
            if namespace is None or kept.namespace == namespace
        ]

    async def add(self, rule: Rule) -> int:
        """Obey a rule from now on, in every process; gives its number. Raises `TooMany`."""
        return await self._store.faults.add(json.dumps(to_json(rule)), rule.namespace)

    async def remove(self, id_: int) -> bool:
        """Forget a rule; whether there was one of that number."""
        return await self._store.faults.remove(id_)

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all rules, or those of one namespace; gives how many. With all of them, magic addresses begin anew."""
        return await self._store.faults.clear(namespace)

    async def reset(self, id_: int | None = None, *, namespace: str | None = None) -> int:
        """Count anew, for one rule, those of a namespace or all, and with all of them for magic addresses; gives how many."""
        return await self._store.faults.reset(id_, namespace)

    # For the doors

    @property
    def quiet(self) -> bool:
        """Whether there is no rule, as far as this process has heard: then there is nothing to ask."""
        return not self._known and not self._store.bell.sounded(self._heard, RULES)

    async def look(self) -> None:
        """Hear of changes whose ring may still be on its way: for those who begin a session."""
        if await self._store.faults.changes() != self._changes:
            await self._learn()

    async def strike(self, scene: Scene, trace: Trace) -> Rule | None:
        """What goes wrong here, if anything: the oldest rule that matches and strikes. It is counted and told to `trace`."""
        if self._store.bell.sounded(self._heard, RULES):
            await self._learn()
        here = self._known.get((scene.door, scene.stage))
        if not here:
            return None
        scene = replace(scene, namespace=await self._namespace(scene))
        looked_at = 0
        for known in tuple(here):
            looked_at += 1 + len(scene.recipients)
            if looked_at > _IN_PASSING:
                looked_at = 0
                await asyncio.sleep(0)  # others have their turns
            if known.rule.matches(scene):
                struck, hits = await self._store.faults.match(known.id, known.rule.strikes)
                if known.rule.is_spent(hits):
                    self._drop(known)
                if struck:
                    _tell(trace, scene, known.id, known.rule)
                    return known.rule
        return None

    async def strike_magic(self, scene: Scene, trace: Trace) -> Rule | None:
        """What the recipients of the scene ask for by themselves, at RCPT, at DATA or at the message."""
        if not self.magic:
            return None
        stage = "DATA" if scene.stage == "BDAT" else scene.stage
        for address in scene.recipients:
            rule = magic.of_address(address) if "+" in address.local else None
            if rule is None or rule.stage != stage:
                continue
            if rule.times is None or await self._store.faults.match_address(
                address.key, rule.strikes, namespace=await self._namespace(replace(scene, recipients=(address,)))
            ):
                _tell(trace, scene, MAGIC, rule)
                return rule
        return None

    def writing(self, address: Address) -> magic.Writing | None:
        """What mail to an address is answered by, if it asks for that."""
        return magic.writing_of(address) if self.magic and "+" in address.local else None

    async def _namespace(self, scene: Scene) -> str:
        return scene.namespace if self._namespace_of is None else await self._namespace_of(scene)

    # What is known

    async def _learn(self) -> None:
        heard = self._store.bell.rung
        changes = await self._store.faults.changes()
        known: dict[tuple[str, str], list[_Known]] = {}
        for kept in await self._store.faults.all():
            try:
                one = _Known(kept.id, from_json(json.loads(kept.rule)))
            except (ValueError, SyntaxFault):
                continue  # of a program that knows more than this one
            if not one.rule.is_spent(kept.hits):
                for stage in _stages(one.rule):
                    known.setdefault((one.rule.door, stage), []).append(one)
        self._known, self._heard, self._changes = known, heard, changes

    def _drop(self, spent: _Known) -> None:
        for stage in _stages(spent.rule):
            place = (spent.rule.door, stage)
            left = [one for one in self._known.get(place, ()) if one.id != spent.id]
            if left:
                self._known[place] = left
            else:
                self._known.pop(place, None)


def _stages(rule: Rule) -> list[str]:
    if rule.stage != ANY:
        return [rule.stage]
    return [stage for stage in STAGES[rule.door] if stage not in {CONNECT, BODY}]


def _tell(trace: Trace, scene: Scene, id_: int, rule: Rule) -> None:
    if trace.transcript is not None:
        trace.transcript.remark(f"fault {id_}: {to_line(rule)}" if id_ else f"fault: {to_line(rule)}")
    if trace.wants_lines:
        trace.mark = f"rule {id_}" if id_ else "address"
    if trace.wants("fault"):
        told = {"rule": id_} if id_ else {"recipient": rule.recipient}
        trace.event("fault", command=scene.stage, **told, fault=to_line(rule))
