"""What clients do, each in a process of its own. All take `ready` and an `outcome`, and prepare before they are ready."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterable, Sequence

from benchmarks.clients import Imap, Pop3, Refused, Server, Smtp
from benchmarks.clients.imap import found, literals, responses, status
from benchmarks.crew import Outcome, Ready
from benchmarks.letters import Letters

_EXISTS = re.compile(rb"\* (\d+) EXISTS")


async def deliver(
    ready: Ready,
    outcome: Outcome,
    *,
    server: Server,
    size: int,
    drops: Sequence[tuple[int, Sequence[str]]],
    connections: int,
    per_connection: int,
) -> None:
    """Send letter so and so to these addresses, all of `drops`, over that many connections at once."""
    letters = Letters(size)
    made = {number % 200: letters.letter(number % 200) for number, _ in drops}
    left = iter(drops)
    await ready()

    async def one() -> None:
        drop = next(left, None)
        while drop is not None:
            peer = await Smtp.open(server)
            for _ in range(per_connection):
                number, addresses = drop
                sent = await peer.send(addresses, made[number % 200])
                outcome.waits.append(sent.answered - sent.begun)
                outcome.ended = sent.answered
                outcome.operations += 1
                drop = next(left, None)
                if drop is None:
                    break
            await peer.quit()

    await outcome.all_of([one() for _ in range(connections)])


async def fill(
    ready: Ready,
    outcome: Outcome,
    *,
    server: Server,
    users: Sequence[str],
    size: int,
    count: int,
    batch: int,
    mailbox: str,
) -> None:
    """Append the first `count` letters to a mailbox of each, `batch` in one command where the server can."""
    letters = Letters(size)
    peers = [await Imap.open(server, user) for user in users]
    if mailbox != "INBOX":
        for peer in peers:
            await peer.command(f"CREATE {mailbox}".encode())
    await ready()

    async def one(peer: Imap, user: str) -> None:
        several = batch if b"MULTIAPPEND" in peer.capabilities else 1
        for start in range(0, count, several):
            numbers = range(start, min(start + several, count))
            news = [(letters.internaldate(number), letters.letter(number, user)) for number in numbers]
            began = time.monotonic()
            await peer.append(mailbox, news)
            outcome.waits.append(time.monotonic() - began)
            outcome.operations += len(news)
            outcome.octets += sum(len(letter) for _, letter in news)
        outcome.ended = time.monotonic()
        await peer.logout()

    await outcome.all_of([one(peer, user) for peer, user in zip(peers, users, strict=True)])


async def drain(ready: Ready, outcome: Outcome, *, server: Server, users: Sequence[str], window: int) -> None:
    """Each user logs in by POP3, takes all there is, deletes it and quits; `window` commands are on the way at once."""
    for user in users:  # a password that is good is known from now on
        await (await Pop3.open(server, user)).quit()
    await ready()

    async def one(user: str) -> None:
        peer = await Pop3.open(server, user)
        count = int((await peer.command(b"STAT")).split()[1])
        peer.transport.write(b"UIDL\r\n")
        names = await peer.lines()
        if names.count(b"\r\n") != count:
            raise Refused(f"POP3: UIDL does not name {count} messages: {names[:100]!r}")
        for verb in (b"RETR", b"DELE"):
            asked = 0
            for number in range(1, count + 1):
                if asked < number + window // 2:
                    upto = min(count, number + window - 1)
                    peer.transport.write(b"".join(b"%b %d\r\n" % (verb, n) for n in range(asked + 1, upto + 1)))
                    asked = max(asked, upto)
                if verb == b"RETR":
                    message = await peer.lines()  # apart: others add up at the same time
                    outcome.octets += len(message)
                else:
                    await peer.ok()
        await peer.quit()
        outcome.operations += count

    await outcome.all_of([one(user) for user in users])


async def list_maildrop(ready: Ready, outcome: Outcome, *, server: Server, user: str, count: int) -> None:
    """Log in by POP3, see what there is by UIDL, and quit; so many times."""
    await ready()
    for _ in range(count):
        peer = await Pop3.open(server, user)
        there = int((await peer.command(b"STAT")).split()[1])
        peer.transport.write(b"UIDL\r\n")
        names = await peer.lines()
        if names.count(b"\r\n") != there:
            outcome.failed(f"UIDL does not name {there} messages")
        await peer.quit()
    outcome.operations = count


async def commands(
    ready: Ready,
    outcome: Outcome,
    *,
    server: Server,
    user: str,
    timed: Sequence[str],
    before: Sequence[str] = (),
    selected: Sequence[str] = (),
    select: str = "INBOX",
    repeats: int = 1,
) -> None:
    """Commands one after the other on one connection, the `timed` ones with the clock; `found` has, for each of them, the
    answers' facts (`Facts`) of the last repeat, and `waits` the seconds of each, repeat after repeat."""
    peer = await Imap.open(server, user)
    for words in before:
        await peer.command(words.encode())
    if select:
        await peer.select(select)
    for words in selected:
        await peer.command(words.encode())
    await ready()
    answers: list[bytes] = []
    for _ in range(repeats):
        answers = []
        for words in timed:
            began = time.monotonic()
            answers.append(await peer.command(words.encode()))
            outcome.waits.append(time.monotonic() - began)
    outcome.ended = time.monotonic()
    outcome.operations = len(outcome.waits)
    outcome.octets = sum(map(len, answers))
    outcome.found = [facts(answer) for answer in answers]
    await peer.logout()


def facts(answer: bytes) -> dict[str, int]:
    """What can be counted in a reply."""
    seen = {"fetch": responses(answer, b"FETCH"), "expunge": responses(answer, b"EXPUNGE")}
    seen["literals"], seen["octets"] = literals(answer)
    exists = _EXISTS.search(answer)
    seen["exists"] = int(exists[1]) if exists else -1
    seen["search"] = found(answer) if b"* SEARCH" in answer else -1
    seen["status"] = status(answer) if b"* STATUS" in answer else -1
    return seen


async def store_single(ready: Ready, outcome: Outcome, *, server: Server, user: str, messages: int, count: int) -> None:
    """Set and clear a flag of one message after the other, all over the mailbox."""
    peer = await Imap.open(server, user)
    await peer.select()
    await ready()
    for number in range(count):
        place = 1 + number // 2 * 7919 % messages  # set and cleared: every one changes something
        began = time.monotonic()
        answer = await peer.command(b"STORE %d %bFLAGS (\\Flagged)" % (place, b"-" if number % 2 else b"+"))
        outcome.waits.append(time.monotonic() - began)
        if b"* %d FETCH" % place not in answer:
            outcome.failed(f"STORE was not answered by FETCH: {answer[:100]!r}")
    outcome.ended = time.monotonic()
    outcome.operations = count
    await peer.logout()


async def log_in(
    ready: Ready, outcome: Outcome, *, server: Server, users: Sequence[str], protocol: str, count: int, connections: int
) -> None:
    """Connect, log in and log out, again and again, at so many connections at once."""
    for user in users:  # a password that is good is known from now on
        await _session(server, user, protocol, outcome)
    del outcome.waits[:]
    left = iter(range(count))
    await ready()

    async def one() -> None:
        for number in left:
            await _session(server, users[number % len(users)], protocol, outcome)
            outcome.operations += 1

    await outcome.all_of([one() for _ in range(connections)])


async def _session(server: Server, user: str, protocol: str, outcome: Outcome) -> None:
    began = time.monotonic()
    if protocol == "imap":
        peer = await Imap.open(server, user)
        outcome.waits.append(time.monotonic() - began)
        await peer.logout()
    else:
        other = await Pop3.open(server, user)
        outcome.waits.append(time.monotonic() - began)
        await other.quit()


async def idle(
    ready: Ready, outcome: Outcome, *, server: Server, users: Sequence[str], expected: int, tls: bool, patience: float
) -> None:
    """One idling connection for each of `users`, until they have seen `expected` new messages altogether, or for so long.

    `found` has (user, messages that were there before, [(how many there are, when that was told)]).
    """
    seen: list[tuple[str, int, list[tuple[int, float]]]] = []
    peers: list[Imap] = []
    told, done = 0, asyncio.Event()
    at_once = asyncio.Semaphore(20)

    async def one(user: str) -> None:
        nonlocal told
        async with at_once:
            peer = await Imap.open(server, user, tls=tls)
            log: list[tuple[int, float]] = []
            seen.append((user, await peer.select(), log))
            highest = seen[-1][1]

            def tap(data: bytes) -> None:
                nonlocal told, highest
                now = time.monotonic()
                for each in _EXISTS.finditer(data):
                    log.append((int(each[1]), now))
                    told += max(0, int(each[1]) - highest)
                    highest = max(highest, int(each[1]))
                if told >= expected:
                    done.set()

            await peer.idle(tap)
            peers.append(peer)

    began = time.monotonic()
    await outcome.all_of([one(user) for user in users])
    outcome.waits.append(time.monotonic() - began)
    await ready()
    if expected:
        try:
            await asyncio.wait_for(done.wait(), patience)
        except TimeoutError:
            outcome.failed(f"{told} of {expected} messages were told to idling clients within {patience:.0f} s")
    outcome.operations, outcome.found = len(peers), seen
    for peer in peers:
        peer.transport.abort()
    await asyncio.sleep(0)


async def trickle(
    ready: Ready, outcome: Outcome, *, server: Server, users: Sequence[str], count: int, gap: float, size: int
) -> None:
    """Send one message after the other with a pause; `found` has (user, when all was sent, when it was answered)."""
    letters = Letters(size)
    await ready()
    await asyncio.sleep(0.3)
    peer = await Smtp.open(server)
    outcome.found = []
    for number in range(count):
        user = users[number * 131 % len(users)]
        sent = await peer.send([server.address(user)], letters.letter(number))
        outcome.found.append((user, sent.written, sent.answered))
        outcome.operations += 1
        await asyncio.sleep(gap)
    await peer.quit()


async def mixed(
    ready: Ready,
    outcome: Outcome,
    *,
    server: Server,
    users: Sequence[str],
    seconds: float,
    seed: int,
    per_second: float,
    readers: int,
    fetchers: int,
) -> None:
    """Mail comes in at a fixed pace while IMAP and POP3 clients do what they can; `found` counts operations by name."""
    made, letters = random.Random(seed), Letters(6000)
    counts: dict[str, int] = {}
    await ready()
    until = outcome.began + seconds

    def did(name: str, began: float) -> None:
        counts[name] = counts.get(name, 0) + 1
        outcome.waits.append(time.monotonic() - began)

    async def sender() -> None:
        due, number = time.monotonic(), 0
        while time.monotonic() < until:
            peer = await Smtp.open(server)
            for _ in range(5):
                due, number = due + 1 / per_second, number + 1
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                sent = await peer.send([server.address(made.choice(users))], letters.letter(number))
                did("smtp", sent.begun)
            await peer.quit()

    async def reader() -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            peer = await Imap.open(server, made.choice(users))
            count = await peer.select()
            did("imap open", began)
            for _ in range(4):
                first, one = max(1, count - 49), made.randint(max(1, count - 49), count)
                listing = f"FETCH {first}:{count} (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
                for name, words, wanted in (
                    ("imap list", listing, count + 1 - first),
                    ("imap body", f"FETCH {one} (UID BODY.PEEK[])", 1),
                    ("imap store", f"STORE {one} +FLAGS (\\Seen)", 0),
                    ("imap noop", "NOOP", 0),
                ):
                    began = time.monotonic()
                    answer = await peer.command(words.encode())
                    did(name, began)
                    if responses(answer, b"FETCH") < wanted:
                        outcome.failed(f"{words}: {responses(answer, b'FETCH')} of {wanted}")
            began = time.monotonic()
            await peer.command(b"UID SEARCH UNSEEN SUBJECT invoice")
            did("imap search", began)
            await peer.logout()

    async def fetcher() -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            peer = await Pop3.open(server, made.choice(users))
            count = int((await peer.command(b"STAT")).split()[1])
            peer.transport.write(b"UIDL\r\n")
            await peer.lines()
            for number in range(max(1, count - 4), count + 1):
                peer.transport.write(b"RETR %d\r\n" % number)
                await peer.lines()
            await peer.quit()
            did("pop3 session", began)

    works = [sender(), *(reader() for _ in range(readers)), *(fetcher() for _ in range(fetchers if server.pop3 else 0))]
    await outcome.all_of(works)
    outcome.operations, outcome.found = sum(counts.values()), counts


def large_pieces(octets: int) -> Iterable[bytes]:
    """A message of so many octets, in pieces: a head, and lines."""
    yield b"From: sender@example.org\r\nSubject: large\r\nContent-Type: text/plain\r\n\r\n"
    piece = (b"x" * 70 + b"\r\n") * 3640
    for _ in range(octets // len(piece)):
        yield piece


async def large_in(ready: Ready, outcome: Outcome, *, server: Server, user: str, octets: int) -> None:
    """One message that is too large for any memory."""
    peer = await Smtp.open(server)
    await ready()
    await peer.stream(server.address(user), large_pieces(octets))
    outcome.ended = time.monotonic()
    outcome.operations, outcome.octets = 1, sum(map(len, large_pieces(octets)))
    await peer.quit()


async def large_out(ready: Ready, outcome: Outcome, *, server: Server, user: str) -> None:
    """Read the first message of INBOX by IMAP, whatever its size."""
    peer = await Imap.open(server, user)
    await peer.select()
    await ready()
    outcome.octets = await peer.count(b"FETCH 1 BODY.PEEK[]")
    outcome.ended = time.monotonic()
    outcome.operations = 1
    await peer.logout()
