"""Clients of other people decide whether this is POP3."""

from __future__ import annotations

import asyncio
import poplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from outside import Certificates, Tool
from pop3_door import PASSWORD, Door, Opening

from mailsystem.store import Choices

MESSAGES = [
    b"Subject: one\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n",
    b"Subject: two\r\n\r\ncaf\xe9 \xff\r\n",
    b"Subject: three\r\n\r\nthe last line has no end",
    b"Subject: four\r\n\r\n" + b"x" * 900 + b"\r\n" + b"large\r\n" * 60_000,
]


def complete(message: bytes) -> bytes:
    return message if message.endswith(b"\r\n") else message + b"\r\n"


async def run(*command: str, expect: int = 0, **options: str | Path) -> bytes:
    """An outside program's output."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == expect, (process.returncode, err.decode())
    return out


@pytest.mark.parametrize("login", ["ann@example.org", "jörg@example.org"])
async def test_poplib_reads_lists_and_deletes(login: str, door: Door) -> None:
    await door.post(*MESSAGES, login=login)

    def talk() -> None:
        client = poplib.POP3(door.bound.host, door.bound.port, timeout=10)
        assert client.capa()["UIDL"] == []
        client.user(login)
        client.pass_(PASSWORD)
        assert client.stat() == (4, sum(map(len, MESSAGES)))
        assert client.list()[1] == [b"%d %d" % (n, len(m)) for n, m in enumerate(MESSAGES, 1)]
        single: object = client.list(2)
        assert single == b"+OK 2 %d" % len(MESSAGES[1])
        for number, message in enumerate(MESSAGES, 1):
            assert b"\r\n".join(client.retr(number)[1]) + b"\r\n" == complete(message)
        assert client.top(4, 1)[1] == [b"Subject: four", b"", b"x" * 900]
        assert len(set(client.uidl()[1])) == 4
        client.dele(1)
        client.rset()
        client.dele(2)
        with pytest.raises(poplib.error_proto):
            client.retr(2)
        client.noop()
        client.quit()

        client = poplib.POP3(door.bound.host, door.bound.port, timeout=10)
        client.user(login)
        with pytest.raises(poplib.error_proto, match=r"\[AUTH\]"):
            client.pass_("wrong")
        client.user(login)
        client.pass_(PASSWORD)
        assert client.stat()[0] == 3
        client.quit()

    await asyncio.to_thread(talk)


async def test_poplib_under_tls(open_door: Opening, certificates: Certificates) -> None:
    def talk(connect: Callable[[], poplib.POP3]) -> bytes:
        client = connect()
        client.user("ann")
        client.pass_(PASSWORD)
        lines = client.retr(4)[1]
        client.quit()
        return b"\r\n".join(lines) + b"\r\n"

    door = await open_door(tls=certificates.server())
    await door.post(*MESSAGES)
    trusting: ssl.SSLContext = certificates.client()

    def stls() -> poplib.POP3:
        client = poplib.POP3("localhost", door.bound.port, timeout=10)
        client.stls(trusting)
        return client

    assert await asyncio.to_thread(talk, stls) == MESSAGES[3]
    door = await open_door(tls=certificates.server(), implicit_tls=True)
    implicit = lambda: poplib.POP3_SSL("localhost", door.bound.port, context=trusting, timeout=10)  # noqa: E731
    assert await asyncio.to_thread(talk, implicit) == MESSAGES[3]


@pytest.mark.judge
@pytest.mark.parametrize("way", [["AUTH=PLAIN"], ["AUTH=PLAIN", "--sasl-ir"], ["AUTH=LOGIN"]])
async def test_curl_retrieves_octet_for_octet(way: list[str], door: Door, tool: Tool, tmp_path: Path) -> None:
    curl = tool("curl")
    await door.post(*MESSAGES)
    url = f"pop3://{door.bound.host}:{door.bound.port}/"
    who = tmp_path / "who"
    who.write_text(f'user = "ann@example.org:{PASSWORD}"\n')
    common = [curl, "--silent", "--show-error", "--config", str(who), "--login-options", *way]
    for number, message in enumerate(MESSAGES, 1):
        assert await run(*common, f"{url}{number}") == complete(message)
    assert await run(*common, url) == b"".join(b"%d %d\r\n" % (n, len(m)) for n, m in enumerate(MESSAGES, 1))
    assert (await run(*common, "-X", "TOP 1 0", url)) == b"Subject: one\r\n\r\n"
    await run(*common, "--request", "DELE", "--head", f"{url}2")
    assert [message.uid for message in await door.kept()] == [1, 3, 4]
    who.write_text('user = "ann@example.org:wrong"\n')
    await run(*common, url, expect=67)  # the server refused the login


@pytest.mark.judge
async def test_curl_asks_for_tls_and_gets_it(open_door: Opening, certificates: Certificates, tool: Tool) -> None:
    curl = tool("curl")
    door = await open_door(tls=certificates.server())
    await door.post(*MESSAGES)
    trust = ["--cacert", str(certificates.authority), "--user", f"ann@example.org:{PASSWORD}"]
    url = f"localhost:{door.bound.port}/4"
    assert await run(curl, "-sS", "--ssl-reqd", *trust, f"pop3://{url}") == MESSAGES[3]
    door = await open_door(tls=certificates.server(), implicit_tls=True)
    url = f"localhost:{door.bound.port}/1"
    assert await run(curl, "-sS", *trust, f"pop3s://{url}") == MESSAGES[0]


def for_mpop(door: Door, place: Path, *options: str) -> list[str]:
    """How mpop fetches Ann's mail into the maildir that is made in `place`."""
    for folder in ("cur", "new", "tmp"):
        (place / "mail" / folder).mkdir(parents=True)
    said = place / "said"
    said.write_text(PASSWORD + "\n")
    return [
        *f"--host=localhost --port={door.bound.port} --user=ann@example.org --received-header=off".split(),
        f"--passwordeval=cat {said}",
        f"--delivery=maildir,{place / 'mail'}",
        f"--uidls-file={place / 'uidls'}",
        *options,
    ]


@pytest.mark.judge
@pytest.mark.parametrize("auth", ["user", "plain", "login"])
@pytest.mark.parametrize("secure", ["off", "starttls", "on"])
async def test_mpop_fetches_everything_once_and_deletes_it(
    auth: str, secure: str, open_door: Opening, certificates: Certificates, tool: Tool, tmp_path: Path
) -> None:
    mpop = tool("mpop")
    tls = None if secure == "off" else certificates.server()
    door = await open_door(tls=tls, implicit_tls=secure == "on")
    await door.post(*MESSAGES)
    options = [
        *for_mpop(door, tmp_path, f"--auth={auth}", "--pipelining=on"),
        *(["--tls=off"] if secure == "off" else ["--tls=on", f"--tls-starttls={'on' if secure == 'starttls' else 'off'}"]),
        *([] if secure == "off" else [f"--tls-trust-file={certificates.authority}"]),
    ]  # fmt: skip

    def fetched() -> list[bytes]:
        return sorted(file.read_bytes() for file in (tmp_path / "mail" / "new").iterdir())

    await run(mpop, *options, "--keep=on")
    expected = sorted(complete(message).replace(b"\r\n", b"\n") for message in MESSAGES)
    assert fetched() == expected
    await run(mpop, *options, "--keep=on")
    assert fetched() == expected, "what it has it knows by its name"
    await run(mpop, *options, "--keep=off")
    assert await door.kept() == []


@pytest.mark.judge
async def test_fetchmail_fetches_everything(door: Door, tool: Tool, tmp_path: Path) -> None:
    fetchmail = tool("fetchmail")
    await door.post(*MESSAGES)
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f'poll {door.bound.host} service {door.bound.port} protocol pop3 user "ann@example.org" password "{PASSWORD}"'
        f' sslproto "" fetchall mda "cat >> {tmp_path / "mail"}"\n'
    )
    rc.chmod(0o600)
    await run(
        fetchmail, "--fetchmailrc", str(rc), "--pidfile", str(tmp_path / "pid"), "--idfile", str(tmp_path / "ids"),
        "--invisible", "--nosyslog",
    )  # fmt: skip
    mail = (tmp_path / "mail").read_bytes()
    for message in MESSAGES:
        assert complete(message).replace(b"\r\n", b"\n").split(b"\n\n", 1)[1] in mail
    assert await door.kept() == []


@pytest.mark.judge
@pytest.mark.parametrize("days", [0, 30, None])
async def test_mpop_that_leaves_mail_on_the_server_is_overruled_only_where_that_was_chosen(
    days: int | None, door: Door, tool: Tool, tmp_path: Path
) -> None:
    """What EXPIRE says, happens: 0 at QUIT, 30 by the sweep of another month, NEVER never."""
    mpop = tool("mpop")
    await door.store.maildrops.choose(door.ann.id, Choices(keep_days=days, mailboxes=("INBOX", "Junk")))
    await door.post(*MESSAGES[:2])
    spool = door.store.contents.spool()
    spool.write(MESSAGES[2])
    await door.store.mailboxes.append(door.ann.id, "Junk", spool)
    options = for_mpop(door, tmp_path, "--auth=user", "--tls=off", "--keep=on")
    for _ in range(2):
        await run(mpop, *options)
        got = [file.read_bytes() for file in (tmp_path / "mail" / "new").iterdir()]
        assert sorted(got) == sorted(complete(message).replace(b"\r\n", b"\n") for message in MESSAGES[:3])

    async def left() -> int:
        drop = await door.store.maildrops.listing(door.ann.id)
        return sum(len(folder.messages) for folder in drop.folders)

    assert await left() == (0 if days == 0 else 3)
    later = door.store.clock.now() + 31 * 86_400
    door.store.maildrops._clock = Then(later)
    await door.store.maildrops.expire()
    assert await left() == (3 if days is None else 0)


class Then:
    """A clock that stands."""

    def __init__(self, time: float) -> None:
        self.time = time

    def now(self) -> float:
        return self.time


@pytest.mark.judge
async def test_fetchmail_meets_expire_0_and_finds_nothing_the_second_time(
    door: Door, tool: Tool, tmp_path: Path
) -> None:
    fetchmail = tool("fetchmail")
    await door.store.maildrops.choose(door.ann.id, Choices(keep_days=0, trash=True))
    await door.post(*MESSAGES[:3])
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f'poll {door.bound.host} service {door.bound.port} protocol pop3 user "ann@example.org" password "{PASSWORD}"'
        f' sslproto "" fetchall keep mda "cat >> {tmp_path / "mail"}"\n'
    )
    rc.chmod(0o600)
    options = [
        *("--fetchmailrc", str(rc), "--pidfile", str(tmp_path / "pid"), "--idfile", str(tmp_path / "ids")),
        *("--invisible", "--nosyslog"),
    ]
    await run(fetchmail, *options)
    mail = (tmp_path / "mail").read_bytes()
    for message in MESSAGES[:3]:
        assert complete(message).replace(b"\r\n", b"\n").split(b"\n\n", 1)[1] in mail
    assert await door.kept() == []
    assert (await door.store.mailboxes.status(door.ann.id, "Trash")).messages == 3
    await run(fetchmail, *options, expect=1)  # no mail
