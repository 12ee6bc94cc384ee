"""A message that leaves is told of by `mailsystem trace`, though the doors and the queue are processes of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import messages
import program
from outside import Certificates
from sending import DOMAIN, sending, until


def test_the_way_to_another_server_and_the_report_that_came_back_are_told(
    tmp_path: Path, certificates: Certificates
) -> None:
    late = iter(["450 4.2.0 come again"])
    raw = messages.simple("traced").replace(b"\r\n\r\n", b"\r\nMessage-ID: <traced@home.example>\r\n\r\n", 1)
    with sending(tmp_path, certificates) as house, house.remote("away.example") as remote:
        remote.verdict = lambda line: (
            next(late, None)
            if line.startswith("RCPT TO:<bob")
            else "550 5.1.1 no such user"
            if line.startswith("RCPT TO:<nobody")
            else None
        )
        ann = house.person()

        def lives(name: str) -> list[dict[str, Any]]:
            said = program.command(
                "trace", name, "--json", "--data-dir", str(tmp_path / "data"), home=tmp_path, expect=None
            )
            return json.loads(said) if said.startswith("[") else []  # type: ignore[no-any-return]

        def events(name: str) -> dict[str, dict[str, Any]]:
            return {event["event"]: event for life in lives(name) for event in life["events"]}

        house.send(ann, ["bob@away.example", "nobody@away.example"], raw)
        until(lambda: {"accepted", "queued"} <= set(events("traced@home.example")), house.queued)
        [waiting] = lives("traced@home.example")
        assert [one["recipient"] for one in waiting["queue"]] == ["bob@away.example", "nobody@away.example"]
        assert waiting["places"] == []
        with house.worker():
            until(lambda: not house.queued(), house.queued)
            until(
                lambda: {"sent", "deferred", "failed", "bounced"} <= set(events("<traced@home.example>")), house.queued
            )
    told = events("traced@home.example")
    accepted = told["accepted"]
    assert (accepted["login"], accepted["protocol"], accepted["door"]) == (ann.login, "ESMTPA", "smtp")
    assert told["queued"]["recipients"] == ["bob@away.example", "nobody@away.example"]
    assert (told["deferred"]["recipient"], told["deferred"]["reply"]) == ("bob@away.example", "450 4.2.0 come again")
    assert told["sent"]["recipient"] == "bob@away.example"
    assert told["sent"]["remote"] == "mx0.away.example"
    assert told["sent"]["reply"].startswith("250")
    assert told["sent"]["door"] == "queue"
    assert (told["failed"]["recipient"], told["failed"]["status"]) == ("nobody@away.example", "5.1.1")
    assert (told["bounced"]["to"], told["bounced"]["id"]) == (ann.login, accepted["id"])
    report = events(told["bounced"]["report"])
    assert report["reported"]["recipient"] == ann.login
    assert report["delivered"]["places"] == [{"login": f"person1@{DOMAIN}", "mailbox": "INBOX", "uid": 1}]
    [life] = lives("traced@home.example")
    assert life["queue"] == []
