"""A mailbox read and changed by IMAP, each command on a connection of its own that has the mailbox selected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks import tasks
from benchmarks.bench import Bench, Measured, row
from benchmarks.clients import Refused
from benchmarks.crew import Task
from benchmarks.results import Row
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target

EVERYTHING = "UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
FIELDS = "UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID REFERENCES)])"


def command(
    bench: Bench,
    target: Target,
    user: str,
    words: str,
    *,
    before: Sequence[str] = (),
    selected: Sequence[str] = (),
    select: str = "INBOX",
    repeats: int = 1,
) -> Measured:
    """One command, timed; those `before` and those when the mailbox is `selected` are not."""
    arguments = {
        "server": target.server,
        "user": user,
        "before": before,
        "selected": selected,
        "select": select,
        "timed": [words],
        "repeats": repeats,
    }
    return bench.measure(target, [Task(tasks.commands, arguments)])


def counted(done: Measured, **expected: int) -> Iterator[str]:
    """What the answer does not have as often as it must."""
    if done.errors:
        return
    facts: Mapping[str, int] = done.outcomes[0].found[0]
    for name, count in expected.items():
        if facts[name] != count:
            yield f"{facts[name]} of {count} {name}"


def sync(bench: Bench, target: Target) -> Iterator[Row]:
    count = min(bench.options.messages, bench.scaled(3000))
    [user] = bench.users(target, 1)
    bench.fill(target, [user], count)
    done = command(bench, target, user, EVERYTHING)
    yield row("IMAP sync, the first", target, done, operations=count, wrong=counted(done, fetch=count))
    large = bench.large_mailbox(target)
    for label, words in (("IMAP sync, again", EVERYTHING), ("IMAP sync, flags only", "UID FETCH 1:* (UID FLAGS)")):
        done = command(bench, target, large.user, words)
        yield row(label, target, done, operations=large.count, wrong=counted(done, fetch=large.count))


def headers(bench: Bench, target: Target) -> Iterator[Row]:
    large = bench.large_mailbox(target)
    done = command(bench, target, large.user, FIELDS)
    wrong = counted(done, fetch=large.count, literals=large.count)
    yield row("IMAP header fields", target, done, operations=large.count, wrong=wrong)


def bodies(bench: Bench, target: Target) -> Iterator[Row]:
    count = bench.scaled(5000)
    if count > bench.options.messages:
        count = bench.options.messages
    large = bench.large_mailbox(target)
    done = command(bench, target, large.user, f"FETCH 1:{count} (UID BODY.PEEK[])")
    octets = {"octets": large.octets} if count == large.count else {}
    wrong = counted(done, fetch=count, literals=count, **octets)
    yield row("IMAP bodies", target, done, operations=count, wrong=wrong, mb_s=done.octets / done.seconds / 1e6)


def store(bench: Bench, target: Target) -> Iterator[Row]:
    large = bench.large_mailbox(target)
    for label, words, before, told in (
        ("IMAP STORE, all at once", r"STORE 1:* +FLAGS (\Seen)", r"STORE 1:* -FLAGS.SILENT (\Seen)", large.count),
        ("IMAP STORE, all, silent", r"STORE 1:* -FLAGS.SILENT (\Seen)", r"STORE 1:* +FLAGS.SILENT (\Seen)", 0),
    ):
        done = command(bench, target, large.user, words, selected=[before])
        yield row(label, target, done, operations=large.count, wrong=counted(done, fetch=told))
        left = command(bench, target, large.user, "SEARCH UNSEEN")
        for fault in counted(left, search=0 if told else large.count):
            raise Refused(f"after {words}: {fault}")
    arguments = {"server": target.server, "user": large.user, "messages": large.count, "count": bench.scaled(300)}
    yield row("IMAP STORE, one by one", target, bench.measure(target, [Task(tasks.store_single, arguments)]))


def select(bench: Bench, target: Target) -> Iterator[Row]:
    large = bench.large_mailbox(target)
    done = command(bench, target, large.user, "SELECT INBOX", select="", repeats=20)
    yield row("IMAP SELECT", target, done, wrong=counted(done, exists=large.count))


def append(bench: Bench, target: Target) -> Iterator[Row]:
    for label, connections, count in (("IMAP APPEND", 1, 500), ("IMAP APPEND, 10 connections", 10, 100)):
        count = bench.scaled(count)
        users = bench.users(target, connections)
        work = [
            Task(
                tasks.fill,
                {"server": target.server, "users": share, "size": 5120, "count": count, "batch": 1, "mailbox": "INBOX"},
            )
            for share in bench.split(users)
        ]
        done = bench.measure(target, work)
        left = command(bench, target, users[0], "STATUS INBOX (MESSAGES)", select="")
        yield row(label, target, done, wrong=counted(left, status=count))


def copy(bench: Bench, target: Target) -> Iterator[Row]:
    count = bench.scaled(2000)
    [user] = bench.users(target, 1)
    bench.fill(target, [user], 2 * count)
    done = command(bench, target, user, f"COPY 1:{count} Copies", before=["CREATE Copies"])
    there = command(bench, target, user, "STATUS Copies (MESSAGES)", select="")
    yield row("IMAP COPY", target, done, operations=count, wrong=counted(there, status=count))
    done = command(bench, target, user, f"MOVE 1:{count} Moved", before=["CREATE Moved"])
    there = command(bench, target, user, "STATUS Moved (MESSAGES)", select="")
    wrong = [*counted(there, status=count), *counted(done, expunge=count)]
    yield row("IMAP MOVE", target, done, operations=count, wrong=wrong)
    done = command(bench, target, user, "EXPUNGE", selected=[r"STORE 1:* +FLAGS.SILENT (\Deleted)"])
    there = command(bench, target, user, "STATUS INBOX (MESSAGES)", select="")
    wrong = [*counted(there, status=0), *counted(done, expunge=count)]
    yield row("IMAP EXPUNGE", target, done, operations=count, wrong=wrong)


SCENARIOS: Sequence[Scenario] = (
    Scenario("imap-sync", "imap", "one message of a sync with ENVELOPE and BODYSTRUCTURE, and of one for flags", sync),
    Scenario("imap-headers", "imap", "one message of a FETCH of header fields", headers),
    Scenario("imap-bodies", "imap", "one message of a FETCH of bodies", bodies),
    Scenario("imap-store", "imap", "one message of a STORE 1:*, and one STORE of a single message", store),
    Scenario("imap-select", "imap", "one SELECT of the large mailbox", select),
    Scenario("imap-append", "imap", "one APPEND", append),
    Scenario("imap-copy", "imap", "one message of a COPY, a MOVE and an EXPUNGE", copy),
)
