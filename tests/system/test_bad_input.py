"""What bad input gets, over real sockets: the right error, bounded memory, a connection that goes on, a log that says why."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import messages
import program
import pytest
from wire import Imap, Pop3, Smtp, Wire, stuffed

ALLOWED = 40 << 20
"""Octets by which the server may grow while somebody floods it."""
NONSENSE = 64 << 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[program.Program]:
    env = {
        "MAILSYSTEM_LOG__FORMAT": "json",
        "MAILSYSTEM_LOG__LEVEL": "debug",
        "MAILSYSTEM_BARE_NEWLINE": "refuse",
        "MAILSYSTEM_LIMITS__MESSAGE_SIZE": "1 MiB",
    }
    with program.sink(tmp_path_factory.mktemp("bad"), env=env) as running:
        yield running
        bugs = [event for event in running.log() if event["event"] == "bug"]
        assert not bugs, "bad input is never a bug of ours"


@pytest.fixture(autouse=True)
def _warm(running: program.Program) -> None:
    """What is loaded on first use is no growth."""
    with Imap(running.imap, "warm@example.org") as client:
        client.append("INBOX", messages.simple())
        client.ok(b"SELECT INBOX")
        client.ok(b"FETCH 1:* (BODYSTRUCTURE)")


def logged(running: program.Program, client: Wire, name: str, **words: str) -> None:
    """The log tells of `name` in the session of this client, with those words in its data. Waits for it."""
    until = time.monotonic() + 5
    while True:
        mine = [event for event in running.log() if str(event.get("peer", "")).endswith(f":{client.port}")]
        if any(
            event["event"] == name and all(word in str(event.get(key, "")) for key, word in words.items())
            for event in mine
        ):
            return
        assert time.monotonic() < until, f"no {name} {words} in the log of this session: {mine}"
        time.sleep(0.02)


@contextlib.contextmanager
def little_memory(running: program.Program) -> Iterator[None]:
    """Whatever happens inside must cost the server little memory, at no moment."""
    before = running.memory()
    running.reset_peak()
    yield
    grown = running.peak_memory() - before
    print(f"grown by {grown / 2**20:.1f} MiB")
    assert grown < ALLOWED


def flood(client: Smtp | Pop3 | Imap, block: bytes, octets: int = NONSENSE) -> None:
    """Send much, as far as the peer takes it."""
    with contextlib.suppress(OSError):
        for _ in range(octets // len(block)):
            client.send(block)


# SMTP


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        (b"XYZZY plugh", {500, 502}),
        (b"", {500, 501}),
        (b"NOOP " + b"x" * 5000, {500}),
        (b"MAIL FROM:<a\0b@example.org>", {500, 501}),
        (b"MAIL FROM:<\xe4\xff@example.org>", {500, 501, 553}),
        (b"\xff\xfe\xfd", {500}),
        (b"MAIL FROM:a b c", {501}),
        (b"MAIL FROM:<a@example.org> SIZE=many", {501}),
        (b"MAIL FROM:<a@example.org> SIZE=99999999999", {552}),
        (b"RCPT TO:<a@example.org>", {503}),
        (b"DATA", {503}),
        (b"DATA now", {501, 503}),
        (b"AUTH PLAIN !!!", {501}),
        (b"AUTH NONSENSE", {504}),
        (b"STARTTLS now", {501}),
    ],
    ids=repr,
)
def test_smtp_refuses_a_bad_command_and_goes_on(line: bytes, codes: set[int], running: program.Program) -> None:
    with Smtp(running.smtp) as client:
        code, text = client.say(line)
        assert code in codes
        assert text[:2] in ("4.", "5."), "every refusal has an enhanced status code"
        assert int(text[0]) == code // 100
        logged(running, client, "refused")
        assert client.message("a@example.org", ["b@example.org"], messages.simple())[0] == 250


def test_smtp_bounds_a_line_without_end(running: program.Program) -> None:
    with Smtp(running.smtp) as client, little_memory(running):
        flood(client, b"x" * 65536)
        with contextlib.suppress(OSError, EOFError):
            assert client.reply()[0] in (500, 421)
    logged(running, client, "refused", reason="long")


def test_smtp_delivers_nothing_of_a_message_whose_sender_vanished(running: program.Program, address: str) -> None:
    with Smtp(running.smtp) as client:
        client.say(b"MAIL FROM:<a@example.org>", expect=250)
        client.say(b"RCPT TO:<%s>" % address.encode(), expect=250)
        client.say(b"DATA", expect=354)
        client.send(messages.simple(body=b"half a messa" * 30_000))
    logged(running, client, "disconnected")
    with Imap(running.imap, address) as client:
        assert b"MESSAGES 0" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


@pytest.mark.parametrize("raw", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\nMAIL FROM:<smuggled@example.org>\n"], ids=repr)
def test_smtp_refuses_bare_newlines_and_smuggled_ends(raw: bytes, running: program.Program, address: str) -> None:
    with Smtp(running.smtp) as client:
        code, text = client.message("a@example.org", [address], b"Subject: x\r\n\r\n" + raw)
        assert code in (550, 554)
        assert text.startswith("5.6")
        logged(running, client, "refused", reason="bare")
        assert client.message("a@example.org", [address], messages.simple("whole"))[0] == 250
    with Imap(running.imap, address) as client:
        assert b"MESSAGES 1" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


def test_smtp_reads_a_message_over_the_limit_to_its_end_and_refuses_it(running: program.Program, address: str) -> None:
    with Smtp(running.smtp) as client, little_memory(running):
        client.say(b"MAIL FROM:<a@example.org>", expect=250)
        client.say(b"RCPT TO:<%s>" % address.encode(), expect=250)
        client.say(b"DATA", expect=354)
        flood(client, b"0123456789abcdef\r\n" * 4096, 16 << 20)
        client.send(b"\r\n.\r\n")
        code, text = client.reply()
        assert (code, text[:5]) == (552, "5.3.4")
        logged(running, client, "refused", reason="large")
        assert client.message("a@example.org", [address], messages.simple("small"))[0] == 250
    with Imap(running.imap, address) as client:
        assert b"MESSAGES 1" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(messages.nested(150), id="150 levels"),
        pytest.param(messages.nested(5_000), id="5,000 levels"),
        pytest.param(messages.many_parts(10_000), id="10,000 parts"),
        pytest.param(messages.HEAD % b"nul" + b"\r\na\0b\0\0c\r\n", id="NULs"),
        pytest.param(b"Subject: \0\xff\r\nX\0: y\r\n\r\n\0", id="NULs in the header"),
        pytest.param(b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n", id="20,000 header fields"),
        pytest.param(b"To: " + b"a@b.example,\r\n " * 20_000 + b"c@d.example\r\n\r\n", id="20,000 addresses"),
        pytest.param(b"Subject: " + b"=?utf-8?q?=41?= " * 20_000 + b"\r\n\r\n", id="20,000 encoded words"),
        pytest.param(b"From: " + b"(" * 50_000 + b"\r\n\r\n", id="50,000 brackets"),
        pytest.param(b"Content-Type: text/plain" + b"; a=b" * 20_000 + b"\r\n\r\n", id="20,000 parameters"),
        pytest.param(
            b"Content-Type: message/rfc822\r\n\r\n" * 3_000 + b"Subject: inside\r\n\r\n", id="3,000 messages within"
        ),
    ],
)
def test_a_hostile_message_is_kept_whole_or_refused_and_costs_little(
    raw: bytes, running: program.Program, address: str
) -> None:
    with little_memory(running):
        started = time.monotonic()
        with Smtp(running.smtp) as client:
            code, text = client.message("a@example.org", [address], raw)
            assert code == 250 or (500 <= code < 600 and text.startswith("5."))
            assert client.say(b"NOOP")[0] == 250
        with Imap(running.imap, address) as client:
            client.ok(b"SELECT INBOX")
            if code == 250:
                answer = client.ok(b"FETCH 1 (ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE)")
                assert b"BODYSTRUCTURE" in answer.untagged[0]
                client.ok(b'SEARCH OR SUBJECT "inside" TEXT "innermost"')
                kept = client.ok(b"FETCH 1 BODY.PEEK[]").literal()
                sent = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
                assert messages.digest(messages.received(kept)) == messages.digest(messages.bare(sent))
        with Pop3(running.pop3, address) as client:
            count = 1 if code == 250 else 0
            assert client.ok(b"STAT").split()[1] == b"%d" % count
        took = time.monotonic() - started
        print(f"{code} after {took:.2f} s")
        assert took < 8


# POP3


@pytest.mark.parametrize(
    "line",
    [
        b"XYZZY",
        b"",
        b"STAT",
        b"RETR 1",
        b"PASS x",
        b"USER",
        b"USER " + b"x" * 5_000,
        b"USER a\0b",
        b"\xff\xfe",
        b"NOOP \xe4",
        b"STLS now",
    ],
    ids=lambda line: repr(line[:20]),
)
def test_pop3_refuses_a_bad_command_before_login_and_goes_on(
    line: bytes, running: program.Program, address: str
) -> None:
    with Pop3(running.pop3) as client:
        assert client.say(line).startswith(b"-ERR")
        logged(running, client, "refused")
        client.ok(b"USER " + address.encode())
        client.ok(b"PASS any")
        client.ok(b"QUIT")


@pytest.mark.parametrize(
    "line",
    [b"RETR", b"RETR 0", b"RETR 2", b"RETR -1", b"RETR 1 1", b"RETR 99999999999999999999", b"RETR \xb2", b"TOP 1",
     b"TOP 1 -1", b"TOP 1 x", b"DELE 7", b"LIST x", b"UIDL 0", b"USER again", b"STLS", b"FETCH 1"],
    ids=repr,
)  # fmt: skip
def test_pop3_refuses_a_bad_command_after_login_and_goes_on(
    line: bytes, running: program.Program, address: str
) -> None:
    with Imap(running.imap, address) as client:
        client.append("INBOX", messages.simple())
    with Pop3(running.pop3, address) as client:
        assert client.say(line).startswith(b"-ERR")
        assert client.many(b"RETR 1") == messages.simple()
        client.ok(b"QUIT")


def test_pop3_bounds_a_line_without_end(running: program.Program) -> None:
    with Pop3(running.pop3) as client, little_memory(running):
        flood(client, b"x" * 65536)
        with contextlib.suppress(OSError, EOFError):
            assert client.line().startswith(b"-ERR")
    logged(running, client, "refused", reason="long")


def test_pop3_deletes_nothing_when_the_client_vanishes(running: program.Program, address: str) -> None:
    with Imap(running.imap, address) as client:
        client.append("INBOX", messages.simple())
    with Pop3(running.pop3, address) as client:
        client.ok(b"DELE 1")
    logged(running, client, "disconnected")
    with Imap(running.imap, address) as client:
        assert b"MESSAGES 1" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


# IMAP


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (b"XYZZY", "BAD"),
        (b"SELECT", "BAD"),
        (b"SELECT INBOX extra", "BAD"),
        (b"FETCH 1 FLAGS", "BAD"),
        (b"CLOSE", "BAD"),
        (b"LOGIN a b", "BAD"),
        (b'SELECT "a\0b"', "BAD"),
        (b"SELECT \xff\xfe", "BAD"),
        (b'CREATE "\xe4"', "BAD"),
        (b'SELECT "unclosed', "BAD"),
        (b'SELECT "&ThisIsNotUtf7-"', "NO|BAD"),
        (b"SELECT nowhere", "NO"),
        (b"APPEND nowhere {3+}\r\nabc", "NO"),
        (b"STATUS INBOX (NONSENSE)", "BAD"),
        (b"STATUS INBOX ()", "BAD"),
        (b'LIST "" %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%x', "OK"),
        (b'CREATE "' + b"a/" * 3_000 + b'"', "NO|BAD"),
        (b"STARTTLS", "BAD|NO"),
        (b"AUTHENTICATE NONSENSE", "NO|BAD"),
        (b"IDLE now", "BAD"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_imap_refuses_a_bad_command_and_goes_on(
    command: bytes, status: str, running: program.Program, address: str
) -> None:
    with Imap(running.imap, address) as client:
        answer = client.say(command)
        assert answer.status in status.split("|"), answer
        if answer.status != "OK":
            logged(running, client, "refused")
        client.ok(b"NOOP")
        client.ok(b"SELECT INBOX")


@pytest.mark.parametrize(
    "command",
    [
        b"SEARCH " + b"(" * 5_000 + b"ALL" + b")" * 5_000,
        b"SEARCH " + b"NOT " * 3_000 + b"ALL",
        b"SEARCH " + b"OR ALL " * 1_000 + b"ALL",
        b"SEARCH CHARSET KLINGON ALL",
        b"SEARCH BEFORE 31-Feb-2024",
        b"SEARCH LARGER 99999999999999999999",
        b"SEARCH RETURN (" + b"ALL " * 3_000 + b"X) ALL",
        b"SEARCH RETURN (PARTIAL 1:4294967296) ALL",
        b"SORT (" + b"DATE " * 3_000 + b"DATE) UTF-8 ALL",
        b"THREAD REFERENCES KLINGON ALL",
        b"ESEARCH IN (mailboxes (" + b"x " * 3_000 + b"x)) NONSENSE",
        b"UIDBATCHES 500 4294967295:1",
        b"FETCH 0 FLAGS",
        b"FETCH 1:99 FLAGS",
        b"FETCH 1 (" + b"FLAGS " * 3_000 + b")",
        b"FETCH 1 BODY[" + b"1." * 3_000 + b"1]",
        b"FETCH 1 BODY[0]",
        b"FETCH 1 BODY[]<0.0>",
        b"FETCH 1 BODY[]<99999999999.1>",
        b"FETCH 4294967296 FLAGS",
        b"FETCH " + b"1," * 3_900 + b"1 FLAGS",
        b"STORE 1 FLAGS (\\Recent)",
        b"STORE 1 FLAGS (" + b"((" * 200 + b")",
        b"UID EXPUNGE",
        b"COPY 1 nowhere",
        b"UID COPY 1 " + b"x" * 3_000,
    ],
    ids=lambda command: repr(command[:30]),
)
def test_imap_survives_a_hostile_command_in_a_mailbox(command: bytes, running: program.Program, address: str) -> None:
    with Imap(running.imap, address) as client, little_memory(running):
        client.append("INBOX", messages.simple())
        client.ok(b"SELECT INBOX")
        started = time.monotonic()
        assert client.say(command).status in ("OK", "NO", "BAD")
        assert time.monotonic() - started < 3
        assert b"FLAGS" in client.ok(b"FETCH 1 FLAGS").untagged[0]


def test_imap_refuses_parentheses_deeper_than_100(running: program.Program, address: str) -> None:
    with Imap(running.imap, address) as client:
        client.ok(b"SELECT INBOX")
        client.ok(b"SEARCH " + b"(" * 20 + b"ALL" + b")" * 20)
        assert client.say(b"SEARCH " + b"(" * 101 + b"ALL" + b")" * 101).status == "BAD"
        client.ok(b"NOOP")


def test_imap_refuses_a_literal_over_the_limit_before_it_is_sent(running: program.Program, address: str) -> None:
    with Imap(running.imap, address) as client:
        for number, size in enumerate((b"2000000", b"99999999999", b"9" * 40)):
            client.send(b"a%d APPEND INBOX {%s}\r\n" % (number, size))
            line = client.line()
            assert line.startswith((b"a%d NO" % number, b"a%d BAD" % number)), line
        logged(running, client, "refused")
        client.ok(b"NOOP")
        assert b"MESSAGES 0" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


def test_imap_refuses_a_large_literal_before_login(running: program.Program) -> None:
    with Imap(running.imap) as client:
        client.send(b"a LOGIN {1000000}\r\n")
        assert client.line().startswith((b"a NO", b"a BAD"))
        client.ok(b"NOOP")


def test_imap_bounds_a_non_synchronising_literal_over_the_limit(running: program.Program, address: str) -> None:
    """RFC 7888 4: refuse and close, or read and throw away; never keep it."""
    with Imap(running.imap, address) as client, little_memory(running):
        client.send(b"a APPEND INBOX {%d+}\r\n" % NONSENSE)
        flood(client, b"x" * 65536)
        with contextlib.suppress(OSError, EOFError):
            client.send(b"\r\n")
            line = client.line()
            assert line.startswith((b"a NO", b"a BAD", b"* BYE")), line
    logged(running, client, "refused")
    with Imap(running.imap, address) as client:
        assert b"MESSAGES 0" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


@pytest.mark.parametrize("start", [b"", b"a ", b'a SELECT "', b"a SEARCH TEXT {70000+}\r\n"], ids=repr)
def test_imap_bounds_a_line_without_end(start: bytes, running: program.Program, address: str) -> None:
    with Imap(running.imap, address) as client, little_memory(running):
        client.send(start)
        flood(client, b"x" * 65536)
        with contextlib.suppress(OSError, EOFError):
            assert b" BAD" in (line := client.line()) or b"* BYE" in line or b" NO" in line
    logged(running, client, "refused")


def test_imap_appends_nothing_when_the_client_vanishes(running: program.Program, address: str) -> None:
    with Imap(running.imap, address) as client:
        client.send(b"a APPEND INBOX {300000}\r\n")
        assert client.line().startswith(b"+")
        client.send(b"Subject: half\r\n\r\n" + b"x" * 200_000)
    logged(running, client, "disconnected")
    with Imap(running.imap, address) as client:
        assert b"MESSAGES 0" in client.ok(b"STATUS INBOX (MESSAGES)").untagged[0]


def test_imap_never_gives_out_nul(running: program.Program, address: str) -> None:
    """RFC 9051 4.3: a literal carries CHAR8, which is any octet but NUL. What came in with NULs is given as it is or not
    taken; what a client appends with NULs is refused."""
    with Imap(running.imap, address) as client:
        assert client.append("INBOX", b"Subject: x\r\n\r\na\0b\r\n").status in ("NO", "BAD", "OK")
        client.ok(b"NOOP")


# All doors


@pytest.mark.parametrize("door", ["smtp", "pop3", "imap"])
def test_noise_is_answered_in_the_protocol_and_never_with_silence(door: str, running: program.Program) -> None:
    make: Callable[..., Smtp | Pop3 | Imap] = {"smtp": Smtp, "pop3": Pop3, "imap": Imap}[door]
    noise = [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"\0\0\0\r\n", b" \r\n"]
    for said in noise:
        with make(getattr(running, door)) as client:
            client.send(said)
            answer = client.line()
            assert answer[:1] in b"-45*" or b" BAD" in answer, (said, answer)


@pytest.mark.parametrize(
    ("door", "command"),
    [
        ("smtp", b"NOOP\r\n"),
        ("pop3", b"RETR 1\r\n"),
        ("imap", b"a FETCH 1 (ENVELOPE BODY.PEEK[])\r\n"),
    ],
)
def test_a_client_that_asks_and_never_reads_is_left_to_wait(
    door: str, command: bytes, running: program.Program, address: str
) -> None:
    with Imap(running.imap, address) as client:
        client.append("INBOX", messages.simple(body=b"x" * 60_000 + b"\r\n"))
    makers: dict[str, Callable[[], Wire]] = {
        "smtp": lambda: Smtp(running.smtp),
        "pop3": lambda: Pop3(running.pop3, address),
        "imap": lambda: Imap(running.imap, address),
    }
    with makers[door]() as client, little_memory(running):
        if isinstance(client, Imap):
            client.ok(b"SELECT INBOX")
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                client.send(command * 1000)
    with Smtp(running.smtp) as other:
        assert other.message("a@example.org", [address], messages.simple())[0] == 250, "nobody else has to wait"


def test_pipelined_octets_of_all_kinds_keep_their_order(running: program.Program, address: str) -> None:
    with Smtp(running.smtp) as client:
        raw = messages.ODD["lines of dots"]
        client.send(
            b"MAIL FROM:<a@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n" % address.encode()
            + stuffed(raw)
            + b"RSET\r\nXYZZY\r\nNOOP\r\nQUIT\r\n"
        )
        assert [client.reply()[0] for _ in range(8)] == [250, 250, 354, 250, 250, 500, 250, 221]
        assert client.is_closed()
