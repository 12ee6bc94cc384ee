"""What one client believes of a mailbox from nothing but what it is told, and complains where that makes no sense.

It follows RFC 3501, RFC 9051, RFC 7162 and RFC 9586 to the letter: numbers move only by EXPUNGE, messages go only where
they may, and every line is of the dialect that was enabled.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field

PATIENCE = 20.0
SEQUENCED = ("FETCH", "STORE", "SEARCH")
"""Commands during which no EXPUNGE may come (RFC 9051 7.5.1), where they are not preceded by UID."""

_FETCH = re.compile(rb"\* (\d+) (UID)?FETCH \((.*)\)", re.DOTALL)
_UID = re.compile(rb"\bUID (\d+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
_MODSEQ = re.compile(rb"\bMODSEQ \((\d+)\)")


class Gone(Exception):
    """The server said BYE."""


def members(text: str) -> list[int]:
    """The numbers of a set without `*`."""
    found: list[int] = []
    for item in text.split(","):
        low, _, high = item.partition(":")
        found += range(int(low), int(high or low) + 1)
    return found


@dataclass
class Entry:
    """One message as the client knows it."""

    uid: int | None = None
    flags: frozenset[str] | None = None


@dataclass
class Memory:
    """What a client keeps when it leaves (RFC 7162 3.2.5)."""

    box: object
    uidvalidity: int
    modseq: int
    flags: dict[int, frozenset[str]]


@dataclass
class Answer:
    """What came of one command."""

    tagged: bytes
    fetched: dict[int, frozenset[str]] = field(default_factory=dict)
    """Flags by UID that FETCH responses told."""
    numbers: list[int] = field(default_factory=list)
    """What SEARCH found."""
    codes: list[bytes] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.tagged.startswith(b"OK")

    def code(self, name: bytes) -> list[str] | None:
        """The words of a response code, tagged or not."""
        for line in (self.tagged, *self.codes):
            if found := re.search(rb"\[" + name + rb" ([^\]]*)\]", line):
                return found[1].decode().split()
        return None


class Mirror:
    """One client. Everything is learnt from the wire."""

    def __init__(self, name: str, enables: str) -> None:
        self.name = name
        self.rev2 = "IMAP4rev2" in enables
        self.qresync = "QRESYNC" in enables
        self.condstore = self.qresync or "CONDSTORE" in enables
        self.uidonly = "UIDONLY" in enables
        self.enables = enables
        self.entries: list[Entry] = []
        self.read_only = False
        self.uidvalidity = 0
        self.modseq = 0
        """The highest that was heard of in this mailbox."""
        self.modseqs: dict[int, int] = {}
        self._count = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @property
    def vanishing(self) -> bool:
        return self.qresync or self.uidonly

    @property
    def uids(self) -> list[int]:
        """The UIDs it knows, in order."""
        return [entry.uid for entry in self.entries if entry.uid is not None]

    @property
    def flags(self) -> dict[int, frozenset[str] | None]:
        return {entry.uid: entry.flags for entry in self.entries if entry.uid is not None}

    async def connect(self, host: str, port: int, login: str, password: str) -> None:
        self._reader, self._writer = await asyncio.open_connection(host, port)
        await self._line()
        assert (await self.say(f"LOGIN {login} {password}")).ok
        if self.enables:
            assert (await self.say(f"ENABLE {self.enables}")).ok

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    # Speaking

    async def say(self, command: str) -> Answer:
        """Run a command and take in everything that it brings. Raises `Gone`."""
        tag = await self.send(command)
        return await self.answer(tag, command)

    async def send(self, command: str) -> bytes:
        self._count += 1
        tag = b"%b%d" % (self.name.encode(), self._count)
        self._writer.write(tag + b" " + command.encode() + b"\r\n")
        await self._writer.drain()
        return tag

    async def answer(self, tag: bytes, command: str) -> Answer:
        answer = Answer(b"")
        while True:
            line = await self._line()
            if line.startswith(tag + b" "):
                answer.tagged = line[len(tag) + 1 :]
                if self.qresync and (told := answer.code(b"HIGHESTMODSEQ")):
                    self.modseq = int(told[-1])  # RFC 7162 6: even if it has seen higher ones
                return answer
            self.hear(line, command, answer)

    async def idle(self, meanwhile: asyncio.Event, until: asyncio.Event) -> None:
        """Idle, tell that it does, hear what comes, and say DONE when told."""
        tag = await self.send("IDLE")
        line = await self._line()
        while line[:1] != b"+":
            self.hear(line, "IDLE", Answer(b""))
            line = await self._line()
        meanwhile.set()
        await until.wait()
        self._writer.write(b"DONE\r\n")
        assert (await self.answer(tag, "IDLE")).ok

    async def _line(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            whole = b""
            while True:
                piece = await self._reader.readline()
                if not piece:
                    raise Gone(whole)
                whole += piece
                found = re.search(rb"\{(\d+)\}\r\n\Z", whole)
                if found is None:
                    return whole.removesuffix(b"\r\n")
                whole += await self._reader.readexactly(int(found[1]))

    # Hearing

    def hear(self, line: bytes, command: str, answer: Answer) -> None:
        """Take in one untagged line."""
        words = line.split()
        assert words[0] == b"*", line
        if words[1] == b"BYE":
            raise Gone(line)
        if words[1] == b"VANISHED":
            self._vanished(line, command)
        elif words[1] == b"SEARCH":
            answer.numbers += map(int, words[2:])
        elif words[1] == b"ESEARCH":
            if b"ALL" in words:
                answer.numbers += members(words[words.index(b"ALL") + 1].decode())
        elif words[-1] == b"EXISTS":
            self._exists(int(words[1]))
        elif words[-1] == b"RECENT":
            assert not self.rev2, line
        elif words[-1] == b"EXPUNGE":
            self._expunged(int(words[1]), command)
        elif found := _FETCH.fullmatch(line):
            self._fetched(int(found[1]), found[2] is not None, found[3], answer, command)
        elif words[1] == b"OK":
            answer.codes.append(line)

    def _exists(self, count: int) -> None:
        assert count >= len(self.entries), (self.name, count, len(self.entries))
        self.entries += [Entry() for _ in range(count - len(self.entries))]

    def _expunged(self, number: int, command: str) -> None:
        assert not self.vanishing, "EXPUNGE where VANISHED was enabled"
        assert command.split()[0] not in SEQUENCED, f"EXPUNGE during {command}"
        assert 1 <= number <= len(self.entries), (number, len(self.entries))
        del self.entries[number - 1]

    def _vanished(self, line: bytes, command: str) -> None:
        assert self.vanishing, line
        earlier = b"(EARLIER)" in line
        assert not earlier or command.startswith(("SELECT", "EXAMINE", "UID FETCH"))
        assert earlier or command.split()[0] not in SEQUENCED, f"VANISHED during {command}"
        for uid in members(line.split()[-1].decode()):
            known = next((entry for entry in self.entries if entry.uid == uid), None)
            if earlier:
                self.forgotten.discard(uid)
                assert known is None, f"{uid} vanished earlier and is here"
                continue
            # Where it was not told the UID yet it can only be one of those that it was told to exist.
            known = known or next((entry for entry in self.entries if entry.uid is None), None)
            assert known is not None, f"{uid} vanished and was never here"
            self.entries.remove(known)

    forgotten: set[int]
    """While it comes back: UIDs it remembered and was not told to be gone."""

    def _fetched(self, number: int, by_uid: bool, items: bytes, answer: Answer, command: str) -> None:
        assert by_uid == self.uidonly, items
        uid_found, flags_found, modseq_found = _UID.search(items), _FLAGS.search(items), _MODSEQ.search(items)
        uid = number if by_uid else int(uid_found[1]) if uid_found else None
        if by_uid:
            entry = next((one for one in self.entries if one.uid == uid), None)
            entry = entry or next((one for one in self.entries if one.uid is None), None)
            assert entry is not None, (self.name, items)
        else:
            assert 1 <= number <= len(self.entries), (self.name, number, len(self.entries))
            entry = self.entries[number - 1]
        if uid is not None:
            assert entry.uid in (None, uid), f"number {number} was {entry.uid} and is {uid}"
            entry.uid = uid
            known = self.uids
            assert known == sorted(set(known)), known
        if flags_found:
            flags = frozenset(flags_found[1].decode().split())
            assert not (self.rev2 and "\\Recent" in flags)
            entry.flags = flags - {"\\Recent"}
            if entry.uid is not None:
                answer.fetched[entry.uid] = entry.flags
        if modseq_found:
            modseq = int(modseq_found[1])
            assert self.condstore
            if self.qresync or not command.startswith("STORE"):
                # What answers a STORE by number may be ahead of an EXPUNGE that could not be told.
                self.modseq = max(self.modseq, modseq)
            if entry.uid is not None:
                assert modseq >= self.modseqs.get(entry.uid, 0), "a ModSeq went back"
                self.modseqs[entry.uid] = modseq

    # Entering and leaving

    async def enter(self, name: str, *, read_only: bool = False, memory: Memory | None = None) -> Answer:
        """SELECT or EXAMINE, with what it remembers where that is given."""
        verb = "EXAMINE" if read_only else "SELECT"
        self.leave()
        self.read_only = read_only
        parameters = ""
        if memory is not None:
            self.forgotten = set(memory.flags)
            parameters = f" (QRESYNC ({memory.uidvalidity} {memory.modseq}))"
        answer = await self.say(f"{verb} {name}{parameters}")
        if not answer.ok:
            return answer
        [self.uidvalidity] = map(int, answer.code(b"UIDVALIDITY") or [])
        [modseq] = map(int, answer.code(b"HIGHESTMODSEQ") or [])
        self.modseq = max(self.modseq, modseq)
        if memory is not None and memory.uidvalidity == self.uidvalidity:
            self._remember(memory)
        else:
            await self.learn()
        return answer

    def _remember(self, memory: Memory) -> None:
        """Put what it remembers together with what it was told, and nothing else."""
        told = {entry.uid: entry.flags for entry in self.entries if entry.uid is not None}
        all_of_them = {**{uid: memory.flags[uid] for uid in self.forgotten}, **told}
        assert len(all_of_them) == len(self.entries), (self.name, sorted(all_of_them), len(self.entries))
        for place, (entry, uid) in enumerate(zip(self.entries, sorted(all_of_them), strict=True), 1):
            # Who speaks only UIDs was told of no places.
            assert self.uidonly or entry.uid in (None, uid), f"number {place} was told to be {entry.uid}, and is {uid}"
        self.entries = [Entry(uid, all_of_them[uid]) for uid in sorted(all_of_them)]

    async def learn(self) -> None:
        """Ask for what it was only told to exist."""
        if any(entry.uid is None or entry.flags is None for entry in self.entries):
            highest = max((entry.uid for entry in self.entries if entry.uid and entry.flags is not None), default=0)
            assert (await self.say(f"UID FETCH {highest + 1}:* (UID FLAGS)")).ok

    def leave(self) -> None:
        self.entries = []
        self.modseq = 0
        self.modseqs = {}
        self.forgotten = set()

    def remember(self, box: object) -> Memory:
        """What it takes home. Only what it knows for sure: all of it, at this ModSeq."""
        known = {entry.uid: entry.flags for entry in self.entries if entry.uid and entry.flags is not None}
        return Memory(box, self.uidvalidity, self.modseq, known)
