"""Postfix delivers into our store by LMTP (RFC 2033), over a port and over a unix socket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import messages
import program
import pytest
from private_servers import postfix
from program import House, Person
from test_postfix import bodies, body, hand_in, numbered
from wire import Smtp

pytestmark = pytest.mark.judge


@pytest.fixture(scope="module", params=["port", "socket"])
def delivered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str]]:
    """A house with an LMTP door, and what Postfix calls that."""
    home = tmp_path_factory.mktemp("lmtp")
    program.add_domain("example.org", data_dir=home / "data")
    with tempfile.TemporaryDirectory(prefix="mailsystem-lmtp-") as open_to_postfix:
        place = Path(open_to_postfix)
        place.chmod(0o755)
        path = place / "lmtp"
        env = {"MAILSYSTEM_LMTP__PATH": str(path)} if request.param == "socket" else {"MAILSYSTEM_LMTP__PORT": "0"}
        with program.serve(home, env=env) as running:
            if request.param == "socket":
                path.chmod(0o666)
                yield House(running, home), f"lmtp:unix:{path}"
            else:
                bound = running.ready["lmtp"]
                yield House(running, home), f"lmtp:inet:{bound['host']}:{bound['port']}"


@pytest.fixture
def people(delivered: tuple[House, str]) -> list[Person]:
    house, _ = delivered
    number = len(list(house.program.home.glob("person-*")))
    (house.program.home / f"person-{number}").touch()
    return [house.add(f"{name}{number}@example.org") for name in ("ann", "bob")]


def test_postfix_delivers_hundreds(delivered: tuple[House, str], people: list[Person]) -> None:
    house, transport = delivered
    mails = numbered(200)
    with postfix(f"default_transport = {transport}") as relay:
        hand_in(relay, people[0].login, mails)
        relay.wait_until_empty()
        log = relay.log()
    assert log.count("status=sent") == len(mails), log[-4000:]
    kept = bodies(house.program, people[0].login, people[0].password)
    assert sorted(kept) == sorted(map(body, mails))


def test_each_recipient_has_a_reply_of_its_own(delivered: tuple[House, str], people: list[Person]) -> None:
    """RFC 2033 4.2: one is not held up, or sent twice, for the others' sake."""
    house, transport = delivered
    ann, bob = people
    with postfix(f"default_transport = {transport}") as relay:
        with Smtp(relay.smtp) as sender:
            everybody = [ann.login, "nobody@example.org", bob.login]
            assert sender.message(ann.login, everybody, messages.simple("for three"))[0] == 250
        relay.wait_until_empty()
        log = relay.log()
    assert log.count("status=bounced") == 1, log
    assert "550 5.1.1" in log
    assert bodies(house.program, bob.login, bob.password) == [body(messages.simple("for three"))]
    [bounce, copy] = sorted(bodies(house.program, ann.login, ann.password), key=len, reverse=True)
    assert copy == body(messages.simple("for three"))
    assert b"nobody@example.org" in bounce
