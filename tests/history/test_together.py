"""Three generations before one store: they see the same mail, wait for the same lock and obey the same directory."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from generations import PASSWORD, QUOTED, House, Opening

from mailsystem.mail.errors import Unavailable
from mailsystem.maildrop import lock
from mailsystem.store.choices import Choices
from mailsystem.store.routes import Disabled

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_ACQUIRE_PAUSES", (0.01,))


async def holding(house: House, door: str) -> object:
    client = await house.client(door)
    if door == "pop1":
        assert (await client.say(b"RDEL INBOX")).startswith(b"#")
    return client


async def refused(house: House, door: str) -> bytes:
    client = await house.connect(door)
    if door == "pop2":
        return await client.say(f"HELO ann {QUOTED}".encode())
    await client.say(b"USER ann")
    answer = await client.say(b"PASS " + PASSWORD.encode())
    if door == "pop1":
        assert answer.startswith(b"+OK")
        answer = await client.say(b"RETR INBOX")
    return answer


IN_USE = {
    "pop1": b"-ERR maildrop already locked",
    "pop2": b"- maildrop already locked",
    "pop3": b"-ERR [IN-USE] maildrop already locked",
}


@pytest.mark.parametrize("holder", IN_USE)
async def test_one_lock_holds_for_all_generations(house: House, holder: str) -> None:
    await house.post(MESSAGE)
    await holding(house, holder)
    for door, answer in IN_USE.items():
        assert await refused(house, door) == answer
    assert len(await house.kept()) == 1


async def test_pop1_holds_the_lock_only_while_it_reads(house: House) -> None:
    await house.post(MESSAGE)
    old = await house.client("pop1")
    other = await house.client("pop2")
    assert await old.say(b"RETR INBOX") == IN_USE["pop1"]
    assert await other.say(b"QUIT") == b"+ OK"
    assert (await old.say(b"RETR INBOX")).startswith(b"#")
    assert (await old.say(b"RSET")).startswith(b"+OK")
    await house.client("pop3")


async def test_what_one_generation_deletes_the_next_does_not_see(house: House) -> None:
    await house.post(MESSAGE, MESSAGE + b"two\r\n", MESSAGE + b"three\r\n")
    second = await house.client("pop2")
    await second.say(b"READ 2")
    await second.send(b"RETR\r\n")
    await second.exactly(len(MESSAGE) + 5)
    await second.say(b"ACKD")
    assert await second.say(b"QUIT") == b"+ OK"
    third = await house.client("pop3")
    assert await third.say(b"STAT") == b"+OK 2 %d" % (2 * len(MESSAGE) + 7)
    await third.say(b"DELE 1")
    assert (await third.say(b"QUIT")).startswith(b"+OK")
    first = await house.client("pop1")
    octets = int((await first.say(b"RDEL INBOX"))[1:].split()[0])
    await first.send(b"RCEV\r\n")
    assert (await first.exactly(octets)).endswith(b";000000000000\r\n" + MESSAGE + b"three\r\n")
    assert await first.say(b"RCVD") == b"+OK 1 deleted"


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_who_lost_the_lock_deletes_nothing(house: House, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.post(MESSAGE)
    client = await house.client(door)
    if door == "pop1":
        size = int((await client.say(b"RDEL INBOX"))[1:].split()[0])
        await client.send(b"RCEV\r\n")
    else:
        size = int((await client.say(b"READ"))[1:].split()[0])
        await client.send(b"RETR\r\n")
    await client.exactly(size)
    if door == "pop2":
        await client.say(b"ACKD")
    clock = house.store.maildrops._clock

    class Later:
        def now(self) -> float:
            return clock.now() + 1000

    with monkeypatch.context() as patch:
        patch.setattr(house.store.maildrops, "_clock", Later())
        await house.store.maildrops.acquire(house.ann.id)
    answer = await client.say(b"RCVD" if door == "pop1" else b"QUIT")
    assert answer == (b"-ERR" if door == "pop1" else b"-") + b" the maildrop lock was lost"
    assert len(await house.kept()) == 1


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_a_living_session_keeps_its_lock(house: House, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_RENEW_EVERY", 0.02)
    renewed = []
    renew = house.store.maildrops.renew

    async def counting(lease: object) -> object:
        renewed.append(lease)
        return await renew(lease)  # type: ignore[arg-type]

    monkeypatch.setattr(house.store.maildrops, "renew", counting)
    client = await holding(house, door)
    async with asyncio.timeout(5):
        while len(renewed) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await client.say(b"QUIT")).startswith(b"+")  # type: ignore[attr-defined]
    await house.until_told("disconnected")
    seen = len(renewed)
    await asyncio.sleep(0.1)
    assert len(renewed) == seen, "nobody renews for the dead"


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_who_vanishes_gives_the_lock_back_and_deletes_nothing(house: House, door: str) -> None:
    await house.post(MESSAGE)
    client = await holding(house, door)
    if door == "pop2":
        await client.say(b"READ")  # type: ignore[attr-defined]
        await client.send(b"RETR\r\nACKD\r\n")  # type: ignore[attr-defined]
        await client.exactly(len(MESSAGE) + 4)  # type: ignore[attr-defined]
    client.vanish()  # type: ignore[attr-defined]
    await house.free()
    assert len(await house.kept()) == 1


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_a_message_that_cannot_be_read_is_no_message(
    house: House, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.post(b"Subject: big\r\n\r\n" + b"x" * 100_000)

    async def broken(*args: object) -> object:
        raise Unavailable
        yield b""

    client = await house.client(door)
    await client.say(b"RDEL INBOX" if door == "pop1" else b"READ")
    monkeypatch.setattr(house.store.contents, "stream", broken)
    await client.send(b"RCEV\r\n" if door == "pop1" else b"RETR\r\n")
    try:
        rest = await client.rest()
    except ConnectionError:
        rest = b""
    # POP2 may say a word as long as nothing of the message was sent; POP1 has begun with the line before it.
    assert rest in (b"", b"- temporarily unavailable\r\n")
    assert len(await house.kept()) == 1


async def test_guessing_is_slowed_down_as_at_every_door(house: House) -> None:
    for _ in range(40):
        client = await house.connect("pop2")
        answer = await client.say(b"HELO bob@example.org guess")
        if b"too many" in answer:
            break
        assert answer == b"- authentication failed"
    else:
        raise AssertionError("guesses for ever")
    client = await house.connect("pop1")
    await client.say(b"USER bob@example.org")
    assert b"too many" in await client.say(b"PASS guess")


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_a_disabled_account_stays_out_and_logins_are_noted(house: House, door: str) -> None:
    noted: list[tuple[object, ...]] = []
    record = house.store.accounts.record_login

    async def noting(who: object, *, door: str, ok: bool, **rest: object) -> None:
        noted.append((door, ok))
        await record(who, door=door, ok=ok, **rest)  # type: ignore[arg-type]

    house.store.accounts.record_login = noting  # type: ignore[method-assign]
    client = await house.client(door)
    await client.say(b"QUIT")
    await house.store.accounts.disable("ann@example.org", Disabled.REJECT)
    client = await house.connect(door)
    await client.say(b"USER ann" if door == "pop1" else f"HELO ann {QUOTED}".encode())
    if door == "pop1":
        assert await client.say(b"PASS " + PASSWORD.encode()) == b"-ERR authentication failed"
    assert noted == [(door, True), (door, False)]


async def test_the_trace_has_every_line_but_no_secret_and_no_mail(house: House) -> None:
    await house.post(b"Subject: private\r\n\r\nmy words\r\n")
    first, second = await house.client("pop1"), await house.client("pop2")
    await second.say(b"READ")
    await second.send(b"RETR\r\n")
    await second.exactly(30)
    await second.say(b"ACKS")
    await second.say(b"QUIT")
    await first.say(b"whatIthoughtWasMy password")
    lines = house.lines()
    assert "C: HELO ann@example.org [redacted]" in lines
    assert "C: PASS [redacted]" in lines
    assert "S: [30 octets]" in lines
    assert "C: [26 octets]" in lines
    assert "my words" not in str(house.events)
    assert "whatIthought" not in str(house.events)


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_a_large_message_takes_no_more_memory_than_a_small_one(house: House, door: str) -> None:
    large = b"Subject: large\r\n\r\n" + (b"x" * 998 + b"\r\n") * 30_000
    await house.post(large)
    client = await house.client(door)
    octets = int((await client.say(b"RETR INBOX" if door == "pop1" else b"READ"))[1:].split()[0])
    assert octets >= len(large)
    size = len(large)
    del large
    tracemalloc.start()
    try:
        await client.send(b"RCEV\r\n" if door == "pop1" else b"RETR\r\n")
        left = octets
        while left:
            left -= len(await client.exactly(min(left, 100_000)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 4, peak


@pytest.mark.parametrize(("door", "word"), [("pop1", b"-ERR"), ("pop2", b"-")])
async def test_the_end_of_the_program_is_told(open_house: Opening, door: str, word: bytes, tmp_path: object) -> None:
    from generations import DOORS

    from mailsystem.directory import AccountsDirectory
    from mailsystem.telemetry import Trace

    house = await open_house()
    people = AccountsDirectory(house.store, default_domain="example.org")
    async with DOORS[door](house.store, people, Trace(), host="127.0.0.1", port=0) as bound:
        house.bound[door] = bound
        client = await house.client(door)
    assert await client.rest() == word + b" server is shutting down\r\n"
    await house.free()


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_a_mailbox_that_is_deleted_meanwhile_leaves_nothing_to_do(house: House, door: str) -> None:
    await house.store.mailboxes.create(house.ann.id, "Old")
    await house.post(MESSAGE, mailbox="Old")
    client = await house.client(door)
    if door == "pop1":
        size = int((await client.say(b"RDEL Old"))[1:].split()[0])
        await client.send(b"RCEV\r\n")
    else:
        await client.say(b"FOLD Old")
        size = int((await client.say(b"READ"))[1:].split()[0])
        await client.send(b"RETR\r\n")
    await client.exactly(size)
    await house.store.mailboxes.delete(house.ann.id, "Old")
    if door == "pop2":
        await client.say(b"ACKD")
    assert (await client.say(b"RCVD" if door == "pop1" else b"QUIT")).startswith(b"+")
    await house.free()


# What an account has chosen for its maildrop counts for all generations


async def test_a_login_delay_is_between_logins_and_not_within_one(house: House) -> None:
    await house.store.maildrops.choose(house.ann.id, Choices(login_delay=3600))
    await house.post(MESSAGE)
    client = await house.client("pop2")
    await client.say(b"READ")
    await client.send(b"RETR\r\n")
    await client.exactly(len(MESSAGE))
    await client.say(b"ACKD")
    assert await client.say(b"FOLD Junk") == b"#0 messages"
    assert await client.say(b"FOLD INBOX") == b"#0 messages"
    assert await client.say(b"QUIT") == b"+ OK"
    again = await house.connect("pop2")
    assert b"come again later" in await again.say(f"HELO ann {QUOTED}".encode())
    await house.store.maildrops.choose(house.ann.id, Choices())
    first = await house.client("pop1")
    await house.store.maildrops.choose(house.ann.id, Choices(login_delay=3600))
    assert b"come again later" in await first.say(b"RETR INBOX")
    await house.store.maildrops.choose(house.ann.id, Choices())
    assert (await first.say(b"RETR INBOX")).startswith(b"#")
    await house.store.maildrops.choose(house.ann.id, Choices(login_delay=3600))
    assert await first.say(b"RSET") == b"+OK"
    assert (await first.say(b"RETR Junk")).startswith(b"#")


async def test_what_is_deleted_goes_to_trash_where_that_is_chosen(house: House) -> None:
    await house.store.mailboxes.create(house.ann.id, "Trash", "\\Trash")
    await house.store.maildrops.choose(house.ann.id, Choices(trash=True))
    await house.post(MESSAGE, MESSAGE)
    second = await house.client("pop2")
    await second.say(b"READ")
    await second.send(b"RETR\r\n")
    await second.exactly(len(MESSAGE))
    await second.say(b"ACKD")
    assert await second.say(b"QUIT") == b"+ OK"
    first = await house.client("pop1")
    size = int((await first.say(b"RDEL INBOX"))[1:].split()[0])
    await first.send(b"RCEV\r\n")
    await first.exactly(size)
    assert await first.say(b"RCVD") == b"+OK 1 deleted"
    assert (len(await house.kept()), len(await house.kept("Trash"))) == (0, 2)


async def fetched(house: House, door: str, *words: bytes, mailbox: bytes = b"INBOX") -> None:
    """Fetch what is first in a mailbox by POP2 (by POP1 all of it), and answer it with `words`."""
    client = await house.client(door)
    if door == "pop1":
        size = int((await client.say(b"RETR " + mailbox))[1:].split()[0])
        await client.send(b"RCEV\r\n")
    else:
        assert (await client.say(b"FOLD " + mailbox)).startswith(b"#")
        size = int((await client.say(b"READ"))[1:].split()[0])
        await client.send(b"RETR\r\n")
    await client.exactly(size)
    for word in words:
        assert (await client.say(word)).startswith((b"+", b"=")), word
    await client.close()
    await house.free()


@pytest.mark.parametrize(
    ("door", "words", "left"),
    [
        ("pop1", [b"RCVD", b"QUIT"], 0),
        ("pop1", [b"RSET", b"QUIT"], 2),
        ("pop1", [b"QUIT"], 2),
        ("pop2", [b"ACKS", b"QUIT"], 1),
        ("pop2", [b"NACK", b"QUIT"], 2),
        ("pop2", [b"ACKS"], 2),
    ],
)
async def test_what_was_fetched_and_acknowledged_goes_at_once_where_no_days_are_kept(
    house: House, door: str, words: list[bytes], left: int
) -> None:
    await house.store.maildrops.choose(house.ann.id, Choices(keep_days=0))
    await house.post(MESSAGE, MESSAGE)
    await fetched(house, door, *words)
    assert len(await house.kept()) == left


async def test_a_fold_settles_what_was_downloaded_in_the_last_mailbox(house: House) -> None:
    await house.store.maildrops.choose(house.ann.id, Choices(keep_days=0))
    await house.post(MESSAGE, MESSAGE)
    client = await house.client("pop2")
    await client.say(b"READ")
    await client.send(b"RETR\r\n")
    await client.exactly(len(MESSAGE))
    assert (await client.say(b"ACKS")).startswith(b"=")
    assert await client.say(b"FOLD INBOX") == b"#1 message"


@pytest.mark.parametrize(("door", "word"), [("pop1", b"RCVD"), ("pop2", b"ACKS")])
async def test_the_days_that_a_message_is_kept_count_from_its_first_download_by_whichever_door(
    house: House, door: str, word: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.store.maildrops.choose(house.ann.id, Choices(keep_days=3))
    await house.post(MESSAGE)
    await house.post(MESSAGE, mailbox="Junk")
    await fetched(house, door, word, b"QUIT")
    assert len(await house.kept()) == 1
    clock = house.store.maildrops._clock

    class Later:
        def now(self) -> float:
            return clock.now() + 4 * 86_400

    with monkeypatch.context() as patch:
        patch.setattr(house.store.maildrops, "_clock", Later())
        assert len(await house.store.maildrops.expire()) == 1
    assert (len(await house.kept()), len(await house.kept("Junk"))) == (0, 1)


async def test_a_mailbox_that_could_not_be_opened_was_no_login(house: House) -> None:
    await house.store.maildrops.choose(house.ann.id, Choices(login_delay=3600))
    client = await house.client("pop1")
    assert await client.say(b"RETR Nowhere") == b"-ERR no such mailbox"
    assert (await client.say(b"RETR INBOX")).startswith(b"#")
    assert await client.say(b"RSET") == b"+OK"
    assert await client.say(b"RETR Nowhere") == b"-ERR no such mailbox"
    other = await house.client("pop1")
    assert b"come again later" in await other.say(b"RETR INBOX")


async def test_what_could_not_be_deleted_is_told_and_the_mailbox_can_be_opened_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: object) -> int:
        raise Unavailable

    await house.post(MESSAGE)
    client = await house.client("pop1")
    for again in (False, True):
        size = int((await client.say(b"RDEL INBOX"))[1:].split()[0])
        await client.send(b"RCEV\r\n")
        await client.exactly(size)
        with monkeypatch.context() as patch:
            if not again:
                patch.setattr(house.store.maildrops, "finish", broken)
            assert (await client.say(b"RCVD")) == (b"+OK 1 deleted" if again else b"-ERR temporarily unavailable")
    assert await house.kept() == []
