"""Several clients at once do whatever comes to their minds: what each was told must always be what there is."""

from __future__ import annotations

import asyncio
import random
import re

import pytest
from imap_door import Answer, Client, Door

FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "$k"]
DEEDS = ["append", "store", "store", "silent", "uid", "delete", "expunge", "noop", "fetch", "move", "idle"]
Belief = tuple[int | None, frozenset[str] | None]


class Believer:
    """A client that believes what it is told, and nothing else. What it does not know yet is None."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self.client = client
        self.chance = chance
        self.believes: list[Belief] = []

    async def say(self, command: str, *, quiet: bool = False) -> Answer:
        """Run a command and take in what is told; `quiet` ones may not move any number."""
        answer = await self.client.say(command)
        assert answer.status == "OK" or "NONEXISTENT" in answer.code, (command, answer)
        for line in map(bytes.decode, answer.untagged):
            self.hear(line, quiet=quiet)
        return answer

    def hear(self, line: str, *, quiet: bool = False) -> None:
        if found := re.fullmatch(r"\* (\d+) EXPUNGE", line):
            assert not quiet, line
            del self.believes[int(found[1]) - 1]
        elif found := re.fullmatch(r"\* (\d+) EXISTS", line):
            assert int(found[1]) > len(self.believes)
            self.believes += [(None, None)] * (int(found[1]) - len(self.believes))
        elif found := re.fullmatch(r"\* (\d+) FETCH \((?:UID (\d+) )?FLAGS \(([^)]*)\)\)", line):
            number, flags = int(found[1]) - 1, frozenset(found[3].split()) - {"\\Recent"}
            uid = self.believes[number][0]
            if found[2]:
                assert uid in (None, int(found[2])), line
                uid = int(found[2])
            self.believes[number] = (uid, flags)

    async def look(self) -> None:
        await self.say("FETCH 1:* (UID FLAGS)", quiet=True)

    async def act(self) -> None:
        """One thing of many."""
        chance, count = self.chance, len(self.believes)
        number = chance.randint(1, count) if count else 0
        flag, sign = chance.choice(FLAGS), chance.choice("+-")
        match chance.choice(DEEDS):
            case "append":
                await self.say("APPEND INBOX {1+}\r\nx")
            case "store" if count:
                await self.say(f"STORE {number}:* {sign}FLAGS ({flag})", quiet=True)
            case "silent" if count:
                answer = await self.say(f"STORE {number} {sign}FLAGS.SILENT ({flag})", quiet=True)
                uid, known = self.believes[number - 1]
                # If news of this message came along they are the whole truth.
                told = any(line.startswith(b"* %d FETCH " % number) for line in answer.untagged)
                if known is not None and not told:
                    known = known | {flag} if sign == "+" else known - {flag}
                self.believes[number - 1] = (uid, known)
            case "uid" if count and (uid := self.believes[number - 1][0]):
                await self.say(f"UID STORE {uid} {sign}FLAGS ({flag})")
            case "delete" if count > 3:
                await self.say(f"STORE {number} +FLAGS (\\Deleted)", quiet=True)
            case "expunge":
                await self.say("EXPUNGE")
            case "noop":
                await self.say("NOOP")
            case "fetch" if count:
                await self.look()
            case "move" if count > 5 and (uid := self.believes[number - 1][0]):
                await self.say(f"UID MOVE {uid} Archive")
            case "idle":
                await self.client.send(b"i IDLE\r\n")
                await asyncio.sleep(self.chance.random() * 0.01)
                await self.client.send(b"DONE\r\n")
                for line in (await self.client.answer(b"i")).untagged:
                    self.hear(line.decode())


@pytest.mark.parametrize("seed", range(4))
async def test_what_clients_were_told_is_what_there_is(door: Door, seed: int) -> None:
    for _ in range(8):
        await door.put(b"x")
    believers = []
    for number in range(4):
        believer = Believer(await door.client(), random.Random(f"{seed} {number}"))
        await believer.say("SELECT INBOX")
        believers.append(believer)

    async def live(believer: Believer) -> None:
        for _ in range(40):
            await believer.act()

    await asyncio.gather(*map(live, believers))
    for believer in believers:
        await believer.say("NOOP")
    judge = await door.client(mailbox="INBOX")
    truth = []
    for line in await judge.ok("UID FETCH 1:* (UID FLAGS)"):
        found = re.fullmatch(r"\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\)\)", line.decode())
        assert found is not None
        truth.append((int(found[1]), frozenset(found[2].split()) - {"\\Recent"}))
    for believer in believers:
        assert len(believer.believes) == len(truth)
        for (uid, flags), (true_uid, true_flags) in zip(believer.believes, truth, strict=True):
            assert uid in (None, true_uid)
            assert flags in (None, true_flags)
