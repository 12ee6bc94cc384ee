"""Everything that several clients may do to each other, two IMAP doors over one store for them to do it at, which are two
processes or stand for them, and a model of the store that is a dictionary."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from mirror import Answer, Gone, Memory, Mirror, members

from mailsystem.directory import AccountsDirectory
from mailsystem.imap.server import serving
from mailsystem.mail.mailbox import Flag, MessageSet
from mailsystem.net import Bound
from mailsystem.store import FlagOp, Store, open_store
from mailsystem.telemetry import Event, Trace

T = TypeVar("T")
PASSWORD = "secret"
LOGIN = "ann@example.org"
DIALECTS = ("", "CONDSTORE", "QRESYNC", "IMAP4rev2", "IMAP4rev2 QRESYNC", "UIDONLY", "UIDONLY QRESYNC")
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$Work")


class House:
    """Two doors over one store, on a loop of their own, or in processes of their own."""

    def __init__(self, directory: Path, *, processes: bool = False) -> None:
        self.loop = asyncio.new_event_loop()
        self.boxes = itertools.count(1)
        self.events: list[Event] = []
        self._stack = AsyncExitStack()
        self.store: Store
        self.bound: list[Bound] = []
        self._doors: list[subprocess.Popen[str]] = []
        self.run(self._open(directory, 1 if processes else 2))
        if processes:
            self.bound.clear()  # our own store stands for a third
            self._start(directory)
            self._start(directory)

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(doing, 60))

    def _start(self, directory: Path) -> None:
        door = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("door.py")), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._doors.append(door)
        assert door.stdout is not None
        self.bound.append(Bound("127.0.0.1", int(door.stdout.readline())))

    async def _open(self, directory: Path, doors: int) -> None:
        trace = Trace([self.events.append])
        for _ in range(doors):
            self.store = await self._stack.enter_async_context(open_store(directory, trace=trace))
            people = AccountsDirectory(self.store, default_domain="example.org")
            people._renewing = False
            bound = await self._stack.enter_async_context(
                serving(self.store, people, trace, host="127.0.0.1", port=0, grace=0.2, bad_commands=10**6)
            )
            self.bound.append(bound)
        cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        self.ann = await self.store.accounts.add(LOGIN, cheap)

    def close(self) -> None:
        """Raises `AssertionError` where a door had something to say."""
        bugs = [door.communicate(timeout=30)[0] for door in self._doors]
        self.run(self._stack.aclose())
        self.loop.close()
        assert not any(bugs), bugs


@dataclass
class Box:
    """The model of a mailbox."""

    name: str
    messages: dict[int, frozenset[str]] = field(default_factory=dict)
    uidnext: int = 1
    gone: bool = False

    def take(self, flags: frozenset[str]) -> int:
        uid, self.uidnext = self.uidnext, self.uidnext + 1
        self.messages[uid] = flags
        return uid


flag_sets = st.frozensets(st.sampled_from(FLAGS), max_size=3)
pick = st.lists(st.integers(0, 11), min_size=1, max_size=4)


def spelled(flags: frozenset[str]) -> str:
    return f"({' '.join(sorted(flags))})"


class Clients(RuleBasedStateMachine):
    """Everything that clients may do to each other."""

    house: House

    def __init__(self) -> None:
        super().__init__()
        number = next(self.house.boxes)
        self.boxes = [Box(f"a{number}"), Box(f"b{number}")]
        self.names = itertools.count(1)
        self.number = number
        self.mirrors: list[Mirror] = []
        self.where: dict[str, Box | None] = {}
        self.memories: list[Memory] = []
        self.deaths = 0
        for box in self.boxes:
            self.run(self.house.store.mailboxes.create(self.house.ann.id, box.name))

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.house.run(doing)

    def teardown(self) -> None:
        for mirror in self.mirrors:
            self.run(mirror.close())
        assert not [event for event in self.house.events if event.name == "bug"]
        self.house.events.clear()

    # What the rules are made of

    def someone(self, index: int) -> Mirror:
        return self.mirrors[index % len(self.mirrors)]

    def box_of(self, mirror: Mirror) -> Box | None:
        return self.where[mirror.name]

    def is_lost(self, mirror: Mirror) -> bool:
        """Whether its mailbox is no more, and it does not know."""
        box = self.box_of(mirror)
        return box is not None and box.gone

    def say(self, mirror: Mirror, command: str, *, learn: bool = True) -> Answer | None:
        """What came of a command; None if the client's mailbox is no more, and so the client neither."""
        box = self.box_of(mirror)
        try:
            answer = self.run(mirror.say(command))
            if learn and self.box_of(mirror) is not None:
                self.run(mirror.learn())
        except Gone:
            assert box is not None
            assert box.gone, f"{mirror.name} was sent away from {box.name} that is there"
            self.bury(mirror)
            return None
        return answer

    def bury(self, mirror: Mirror) -> None:
        self.mirrors.remove(mirror)
        self.run(mirror.close())

    def chosen(self, mirror: Mirror, places: list[int]) -> list[int]:
        """UIDs that the client knows."""
        uids = mirror.uids
        return sorted({uids[place % len(uids)] for place in places}) if uids else []

    def spoken(self, mirror: Mirror, uids: list[int], by_uid: bool) -> str:
        if by_uid:
            return ",".join(map(str, uids))
        return ",".join(str(mirror.uids.index(uid) + 1) for uid in uids)

    def by_uid(self, mirror: Mirror, wish: bool) -> bool:
        return wish or mirror.uidonly

    # Arriving and entering

    @initialize(
        mail=st.lists(flag_sets, min_size=2, max_size=6),
        dialects=st.lists(st.sampled_from(DIALECTS), min_size=2, max_size=3),
    )
    def begins(self, mail: list[frozenset[str]], dialects: list[str]) -> None:
        """Some mail, and two or three clients before it."""
        for flags in mail:
            self.mail_comes(0, flags)
        for door, enables in enumerate(dialects):
            self.comes(enables, door % 2, 0, False)

    @precondition(lambda self: len(self.mirrors) < 4)
    @rule(enables=st.sampled_from(DIALECTS), door=st.integers(0, 1), box=st.integers(0, 1), read_only=st.booleans())
    def comes(self, enables: str, door: int, box: int, read_only: bool) -> None:
        mirror = Mirror(f"c{next(self.names)}x", enables)
        mirror.leave()
        bound = self.house.bound[door]
        self.run(mirror.connect(bound.host, bound.port, LOGIN, PASSWORD))
        self.mirrors.append(mirror)
        self.where[mirror.name] = None
        self.enter(mirror, self.boxes[box], read_only=read_only and box == 1)

    def enter(self, mirror: Mirror, box: Box, *, read_only: bool = False, memory: Memory | None = None) -> None:
        self.where[mirror.name] = None
        answer = self.run(mirror.enter(box.name, read_only=read_only, memory=memory))
        assert answer.ok == (not box.gone)
        if answer.ok:
            self.where[mirror.name] = box
            self.agrees(mirror)

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), box=st.integers(0, 1), read_only=st.booleans())
    def enters(self, who: int, box: int, read_only: bool) -> None:
        self.enter(self.someone(who), self.boxes[box], read_only=read_only)

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), how=st.sampled_from(["UNSELECT", "CLOSE", "LOGOUT"]))
    def leaves(self, who: int, how: str) -> None:
        mirror = self.someone(who)
        box = self.box_of(mirror)
        if box is None:
            return
        if mirror.condstore and not box.gone:
            self.memories.append(mirror.remember(box))
        self.where[mirror.name] = None
        if how == "LOGOUT":
            self.bury(mirror)
            return
        if box.gone:
            self.where[mirror.name] = box
        if self.say(mirror, how, learn=False) is None:
            return
        self.where[mirror.name] = None
        if how == "CLOSE" and not mirror.read_only:
            self.expunge(box, None)
        mirror.leave()

    @precondition(lambda self: self.memories and any(one.qresync for one in self.mirrors))
    @rule(who=st.integers(0, 3), which=st.integers(0, 20), read_only=st.booleans())
    def comes_back(self, who: int, which: int, read_only: bool) -> None:
        mirror = self.someone(who)
        memory = self.memories[which % len(self.memories)]
        assert isinstance(memory.box, Box)
        if mirror.qresync:
            self.enter(mirror, memory.box, read_only=read_only, memory=memory)

    @precondition(lambda self: any(one.qresync for one in self.mirrors))
    @rule(
        who=st.integers(0, 3),
        first=st.sampled_from(["SEARCH ALL", "UID SEARCH ALL", "NOOP", "FETCH 1 FLAGS"]),
        gone=pick,
        flagged=pick,
        flags=flag_sets,
    )
    def blinks(self, who: int, first: str, gone: list[int], flagged: list[int], flags: frozenset[str]) -> None:
        """One that does something after others have, leaves and is back at once has missed nothing."""
        mirror = self.someone(who)
        box = self.box_of(mirror)
        if box is None or box.gone or not mirror.qresync:
            return
        if first.startswith(("SEARCH", "FETCH")) and (mirror.uidonly or not mirror.entries):
            return
        self.another_process_is_busy(self.boxes.index(box), gone, flagged, flags)
        self.say(mirror, first)
        self.enter(mirror, box, read_only=mirror.read_only, memory=mirror.remember(box))

    # Mail

    @rule(box=st.integers(0, 1), flags=flag_sets)
    def mail_comes(self, box: int, flags: frozenset[str]) -> None:
        here = self.boxes[box]
        spool = self.house.store.contents.spool()
        spool.write(b"Subject: x\r\n\r\nhello\r\n")
        held = frozenset(map(Flag, flags))
        done = self.run(self.house.store.mailboxes.append(self.house.ann.id, here.name, spool, flags=held))
        assert done.uid == here.take(flags)

    @rule(box=st.integers(0, 1), gone=pick, flagged=pick, flags=flag_sets)
    def another_process_is_busy(self, box: int, gone: list[int], flagged: list[int], flags: frozenset[str]) -> None:
        """Some messages go, then others change, and nobody is told in between."""
        here, mailboxes, ann = self.boxes[box], self.house.store.mailboxes, self.house.ann.id
        if not here.messages:
            return
        uids = sorted(here.messages)
        going = {uids[place % len(uids)] for place in gone[:2]}
        mailbox = self.run(mailboxes.find(ann, here.name))
        deleted = frozenset({Flag("\\Deleted")})
        self.run(mailboxes.set_flags(ann, mailbox.id, MessageSet.of(going), FlagOp.ADD, deleted))
        self.run(mailboxes.expunge(ann, mailbox.id, MessageSet.of(going)))
        for uid in going:
            del here.messages[uid]
        changing = {uids[place % len(uids)] for place in flagged} - going
        self.run(mailboxes.set_flags(ann, mailbox.id, MessageSet.of(changing), FlagOp.SET, frozenset(map(Flag, flags))))
        here.messages.update(dict.fromkeys(changing, flags))

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), box=st.integers(0, 1), flags=flag_sets)
    def appends(self, who: int, box: int, flags: frozenset[str]) -> None:
        here = self.boxes[box]
        answer = self.say(self.someone(who), f"APPEND {here.name} {spelled(flags)} {{6+}}\r\na: b\r\n")
        uid = here.take(flags)
        if answer is not None:
            assert answer.code(b"APPENDUID") is not None
            assert (answer.code(b"APPENDUID") or [])[1] == str(uid)

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), places=pick, wish=st.booleans(), sign=st.sampled_from(["", "+", "-"]),
          silent=st.booleans(), flags=flag_sets)  # fmt: skip
    def stores(self, who: int, places: list[int], wish: bool, sign: str, silent: bool, flags: frozenset[str]) -> None:
        mirror = self.someone(who)
        box, uids, by_uid = self.box_of(mirror), self.chosen(mirror, places), self.by_uid(mirror, wish)
        if box is None or not uids:
            return
        there = {uid: box.messages[uid] for uid in uids if uid in box.messages}
        item = f"{sign}FLAGS{'.SILENT' if silent else ''}"
        uid_ = "UID " if by_uid else ""
        answer = self.say(mirror, f"{uid_}STORE {self.spoken(mirror, uids, by_uid)} {item} {spelled(flags)}")
        if mirror.read_only:
            assert answer is None or answer.tagged.startswith(b"NO")
            return
        for uid, held in there.items():
            box.messages[uid] = held | flags if sign == "+" else held - flags if sign == "-" else flags
        if answer is not None and not silent:
            assert {uid: answer.fetched[uid] for uid in there} == {uid: box.messages[uid] for uid in there}
        if answer is not None and silent:
            # It knows what it did.
            for entry in mirror.entries:
                if entry.uid in there:
                    entry.flags = box.messages[entry.uid]

    @precondition(lambda self: self.mirrors)
    @rule(
        who=st.integers(0, 3),
        places=pick,
        wish=st.booleans(),
        items=st.sampled_from(["FLAGS", "BODY[]", "UID BODY.PEEK[]"]),
    )
    def fetches(self, who: int, places: list[int], wish: bool, items: str) -> None:
        mirror = self.someone(who)
        box, uids, by_uid = self.box_of(mirror), self.chosen(mirror, places), self.by_uid(mirror, wish)
        if box is None or not uids:
            return
        uid_ = "UID " if by_uid else ""
        answer = self.say(mirror, f"{uid_}FETCH {self.spoken(mirror, uids, by_uid)} ({items})")
        if items == "BODY[]" and not mirror.read_only:
            for uid in uids:
                if uid in box.messages:
                    box.messages[uid] |= {"\\Seen"}
        if answer is not None and items == "FLAGS":
            for uid in uids:
                assert uid not in box.messages or answer.fetched[uid] == box.messages[uid]

    def expunge(self, box: Box, uids: list[int] | None) -> list[int]:
        gone = [u for u, held in box.messages.items() if "\\Deleted" in held and (uids is None or u in uids)]
        for uid in gone:
            del box.messages[uid]
        return gone

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), places=st.none() | pick)
    def expunges(self, who: int, places: list[int] | None) -> None:
        mirror = self.someone(who)
        box = self.box_of(mirror)
        uids = None if places is None else self.chosen(mirror, places)
        if box is None or uids == []:
            return
        answer = self.say(mirror, "EXPUNGE" if uids is None else f"UID EXPUNGE {self.spoken(mirror, uids, True)}")
        if answer is not None:
            assert answer.ok == (not mirror.read_only)
            if answer.ok:
                gone = self.expunge(box, uids)
                assert not set(gone) & set(mirror.uids)

    @precondition(lambda self: self.mirrors)
    @rule(
        who=st.integers(0, 3),
        places=pick,
        wish=st.booleans(),
        verb=st.sampled_from(["COPY", "MOVE"]),
        to=st.integers(0, 1),
    )
    def copies(self, who: int, places: list[int], wish: bool, verb: str, to: int) -> None:
        mirror = self.someone(who)
        box, uids, by_uid = self.box_of(mirror), self.chosen(mirror, places), self.by_uid(mirror, wish)
        target = self.boxes[to]
        if box is None or not uids:
            return
        uid_ = "UID " if by_uid else ""
        answer = self.say(mirror, f"{uid_}{verb} {self.spoken(mirror, uids, by_uid)} {target.name}")
        if answer is not None and not answer.ok:
            assert mirror.read_only
            assert verb == "MOVE"
            return
        if box.gone:
            return
        there = [uid for uid in uids if uid in box.messages]
        new = [target.take(box.messages[uid]) for uid in there]
        if verb == "MOVE":
            for uid in there:
                del box.messages[uid]
        assert answer is not None
        told = answer.code(b"COPYUID")
        assert (told is None) == (not there)
        if told:
            assert (members(told[1]), members(told[2])) == (there, new)
        if verb == "MOVE":
            assert not set(there) & set(mirror.uids)

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), place=st.integers(0, 11), wish=st.booleans(), to=st.integers(0, 1), flags=flag_sets)
    def replaces(self, who: int, place: int, wish: bool, to: int, flags: frozenset[str]) -> None:
        """As a draft is saved: a new message comes and the old one goes, or nothing happens."""
        mirror = self.someone(who)
        box, uids, by_uid = self.box_of(mirror), self.chosen(mirror, [place]), self.by_uid(mirror, wish)
        target = self.boxes[to]
        if box is None or box.gone or not uids:
            return
        [uid] = uids
        said = f"{'UID ' if by_uid else ''}REPLACE {self.spoken(mirror, uids, by_uid)} {target.name} {spelled(flags)}"
        answer = self.say(mirror, said + " {6+}\r\na: b\r\n")
        assert answer is not None
        assert answer.ok == (uid in box.messages and not mirror.read_only)
        if answer.ok:
            new = target.take(flags)
            del box.messages[uid]
            assert (answer.code(b"APPENDUID") or ["", ""])[1] == str(new)
            assert uid not in mirror.uids

    # Looking

    def agrees(self, mirror: Mirror) -> None:
        box = self.box_of(mirror)
        assert box is not None
        assert mirror.flags == dict(sorted(box.messages.items())), (mirror.name, mirror.enables)
        assert len(mirror.entries) == len(box.messages)

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), how=st.sampled_from(["NOOP", "CHECK"]))
    def looks(self, who: int, how: str) -> None:
        mirror = self.someone(who)
        if self.box_of(mirror) is not None and self.say(mirror, how) is not None:
            self.agrees(mirror)

    @precondition(lambda self: self.mirrors)
    @rule(
        who=st.integers(0, 3),
        key=st.sampled_from(["ALL", "DELETED", "UNSEEN", "KEYWORD $Work", "NOT FLAGGED"]),
        wish=st.booleans(),
    )
    def searches(self, who: int, key: str, wish: bool) -> None:
        mirror = self.someone(who)
        box, by_uid = self.box_of(mirror), self.by_uid(mirror, wish)
        if box is None:
            return
        before = mirror.uids
        answer = self.say(mirror, f"{'UID ' if by_uid else ''}SEARCH {key}")
        if answer is None:
            return
        found = answer.numbers if by_uid else [before[number - 1] for number in answer.numbers]
        holds = {
            "ALL": lambda held: True,
            "DELETED": lambda held: "\\Deleted" in held,
            "UNSEEN": lambda held: "\\Seen" not in held,
            "KEYWORD $Work": lambda held: "$Work" in held,
            "NOT FLAGGED": lambda held: "\\Flagged" not in held,
        }[key]
        # What is gone and was not told yet may be found by who only looks at numbers.
        wanted = [uid for uid in before if uid in box.messages and holds(box.messages[uid])]
        assert [uid for uid in found if uid in box.messages] == wanted

    @precondition(lambda self: len(self.mirrors) > 1)
    @rule(who=st.integers(0, 3), other=st.integers(0, 3), flags=flag_sets)
    def idles_while_others_act(self, who: int, other: int, flags: frozenset[str]) -> None:
        mirror = self.someone(who)
        box = self.box_of(mirror)
        if box is None or box.gone:
            return

        async def both() -> None:
            idling, until = asyncio.Event(), asyncio.Event()
            listening = asyncio.ensure_future(mirror.idle(idling, until))
            waiting = asyncio.ensure_future(idling.wait())
            await asyncio.wait({listening, waiting}, return_when=asyncio.FIRST_COMPLETED)
            spool = self.house.store.contents.spool()
            spool.write(b"Subject: x\r\n\r\nhello\r\n")
            held = frozenset(map(Flag, flags))
            done = await self.house.store.mailboxes.append(self.house.ann.id, box.name, spool, flags=held)
            assert done.uid == box.take(flags)
            until.set()
            await listening
            await mirror.learn()

        self.run(both())
        self.agrees(mirror)

    @precondition(lambda self: len(self.mirrors) > 1)
    @rule(choices=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 5)), min_size=4, max_size=4))
    def all_at_once(self, choices: list[tuple[int, int]]) -> None:
        """Everybody says something before anybody is answered: the outcome is the store's, and in the end all agree to it."""
        said: list[tuple[Mirror, str]] = []
        for mirror, (place, verb) in zip(list(self.mirrors), choices, strict=False):
            box = self.box_of(mirror)
            if box is None or box.gone or not mirror.uids or mirror.read_only:
                continue
            [uid] = self.chosen(mirror, [place])
            verbs = (
                f"UID STORE {uid} +FLAGS (\\Flagged)",
                f"UID STORE {uid} FLAGS (\\Deleted)",
                "EXPUNGE",
                "NOOP",
                f"UID MOVE {uid} {box.name}",
                f"APPEND {box.name} () {{6+}}\r\na: b\r\n",
            )
            said.append((mirror, verbs[verb]))

        async def burst() -> None:
            tags = [(mirror, await mirror.send(command), command) for mirror, command in said]
            await asyncio.gather(*[mirror.answer(tag, command) for mirror, tag, command in tags])
            for mirror, _ in said:
                await mirror.learn()

        self.run(burst())
        for box in self.boxes:
            if not box.gone:
                self.run(self.read_anew(box))
        for mirror, _ in said:
            assert self.say(mirror, "NOOP") is not None
            self.agrees(mirror)

    async def read_anew(self, box: Box) -> None:
        """Let the model be what the store says."""
        mailbox = await self.house.store.mailboxes.find(self.house.ann.id, box.name)
        box.messages.clear()
        everything = MessageSet(((1, mailbox.uidnext),))
        async for slice_ in self.house.store.mailboxes.fetch(self.house.ann.id, mailbox.id, everything):
            box.messages.update({each.message.uid: frozenset(each.message.flags) for each in slice_})
        assert mailbox.uidnext >= box.uidnext
        box.uidnext = mailbox.uidnext

    # Names

    @precondition(lambda self: self.mirrors)
    @rule(who=st.integers(0, 3), box=st.integers(0, 1))
    def renames(self, who: int, box: int) -> None:
        here = self.boxes[box]
        if self.is_lost(self.someone(who)):
            return
        new = f"{here.name[0]}{self.number}-{next(self.names)}"
        if self.say(self.someone(who), f"RENAME {here.name} {new}") is not None:
            here.name = new

    @precondition(lambda self: self.mirrors and self.deaths < 2)
    @rule(who=st.integers(0, 3), box=st.integers(0, 1))
    def deletes(self, who: int, box: int) -> None:
        """Whoever is in it hears BYE, but for the one who did it; a new one of that name is another mailbox."""
        mirror, here = self.someone(who), self.boxes[box]
        if self.is_lost(mirror):
            return
        if self.box_of(mirror) is here:
            self.where[mirror.name] = None
        answer = self.say(mirror, f"DELETE {here.name}")
        if answer is None:
            return
        assert answer.ok
        if self.where[mirror.name] is None:
            mirror.leave()
        here.gone = True
        self.deaths += 1
        self.memories = [memory for memory in self.memories if memory.box is not here]
        self.boxes[box] = Box(here.name)
        self.run(self.house.store.mailboxes.create(self.house.ann.id, here.name))

    @invariant()
    def nobody_knows_what_never_was(self) -> None:
        for mirror in self.mirrors:
            box = self.box_of(mirror)
            if box is not None and mirror.uids:
                assert mirror.uids[-1] < box.uidnext
