"""`mailsystem demo --history`: three generations of POP fetch the same mail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import program
import pytest

if TYPE_CHECKING:
    from conftest import Cli

Told = dict[str, Any]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What `mailsystem demo --history --json` tells, once for all."""
    home = tmp_path_factory.mktemp("history")
    return json.loads(program.command("demo", "--history", "--json", home=home))  # type: ignore[no-any-return]


def said_by(told: Told, lane: str) -> list[str]:
    """All that was said to and by one client, in order."""
    arrows = [arrow for chapter in told["chapters"] for arrow in chapter["arrows"]]
    return [line for arrow in arrows if lane in (arrow["from"], arrow["to"]) for line in arrow["lines"]]


def test_three_generations_fetch_the_same_mail(history: Told) -> None:
    assert [lane["note"] for lane in history["lanes"]] == ["SMTP client", "one store", "POP1", "POP2", "POP3"]
    assert len(history["chapters"]) == 5
    for chapter in history["chapters"]:
        assert chapter["text"].endswith(".")
        assert chapter["arrows"]
    first, second, third = (said_by(history, lane) for lane in ("pop1", "pop2", "pop3"))
    whole = int(next(line for line in first if line.startswith("#"))[1:].split()[0])
    each = [int(line[1:].split()[0]) for line in second if line.startswith("=") and not line.startswith("=0 ")]
    assert f"[{whole} octets]" in first
    assert all(f"[{octets} octets]" in second for octets in each)
    assert f"+OK {each[0]} octets" in third
    one, again, two, _ = each
    assert one == again, "NACK has it sent again"
    assert one + two < whole < one + two + 200, "all of INBOX, and a line before each message"
    assert f"+OK 2 messages ({one + two} octets)" in third


def test_each_generation_shows_what_it_added(history: Told) -> None:
    first, second, third = (said_by(history, lane) for lane in ("pop1", "pop2", "pop3"))
    for said, words in (
        (first, ["USER bob@example.org", "RETR INBOX", "RCEV", "RCVD"]),
        (second, ["HELO bob@example.org [redacted]", "READ 1", "NACK", "ACKS", "FOLD Lists", "ACKD", "QUIT"]),
        (third, ["CAPA", "STLS", "UIDL", "RETR 1", "TOP 2 0", "DELE 1", "DELE 2", "RSET", "+OK bye, 1 deleted"]),
    ):
        places = [said.index(word) for word in words]
        assert places == sorted(places)
    assert "-ERR maildrop already locked" in first
    assert any(event["name"] == "secured" and event["protocol"] == "pop3" for event in history["events"])
    assert [one["name"] for one in history["generations"]] == ["POP1", "POP2", "POP3"]
    assert set(history["milliseconds"]) == {"pop1_to_first_mail", "pop2_to_first_mail", "pop3_to_first_mail"}
    assert all(0 < ms < 5000 for ms in history["milliseconds"].values())
    assert "correct-horse" not in str(history)


@pytest.mark.parametrize("width", [80, 120])
def test_the_drawing_of_the_history_fits(cli: Cli, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = cli("demo", "--history", "--fast").out
    lines = page.splitlines()
    assert max(len(line) for line in lines) < width
    assert not any(line != line.rstrip() for line in lines)
    for said in ("Bob, 1984", "#2 messages", "FOLD Lists", "STLS", "What each generation added", "RFC 937"):
        assert said in page
    assert "\x1b" not in page
