"""What the journey took, read from what was said and when."""

from __future__ import annotations

from collections.abc import Sequence

from mailsystem.cli.demo.parties import ALICE, OLD_PC, PC, PHONE, SERVER_A, SERVER_B
from mailsystem.cli.demo.play import Took
from mailsystem.telemetry.flow import Arrow, Flow, Way


def is_sent(flow: Flow, times: int) -> bool:
    """Whether server A has so often heard from server B that it has a message, and struck it out of its queue."""
    return sum(mark.server == SERVER_A and mark.event.name == "sent" for mark in flow.marks) >= times


def between(flow: Flow, source: str, target: str) -> list[Arrow]:
    return [arrow for arrow in flow.arrows if (arrow.source, arrow.target) == (source, target)]


def _when(arrows: Sequence[Arrow], what: str, number: int = 0) -> float | None:
    """When that was said, the first or another time."""
    found = [arrow.time for arrow in arrows if any(what in line for line in arrow.lines)]
    return found[number] if number < len(found) else None


def taken(flow: Flow) -> list[Took]:
    """What the story took, read from the flow."""
    told_phone, told_pc = ([a for a in between(flow, SERVER_B, device) if a.is_news] for device in (PHONE, PC))
    sent = _when(between(flow, ALICE, SERVER_A), " octets]")
    vanished = [_when(told_phone, " EXPUNGE", number) for number in range(2)]
    left, gone = _when(between(flow, OLD_PC, SERVER_B), "QUIT"), _when(between(flow, PC, SERVER_B), "EXPUNGE")
    refused = _when(between(flow, SERVER_B, SERVER_A), "550 ")
    reported = _when([a for a in between(flow, SERVER_A, ALICE) if a.is_news], " EXISTS")
    asked = flow.first_said(OLD_PC)
    found: list[tuple[str, str, float | None, float | None, Way]] = [
        (
            "message_to_server_a",
            "from the message’s last octet until server A had it on disk",
            sent,
            _when(between(flow, SERVER_A, ALICE), "250 2.0.0 ok, queued"),
            "push",
        ),
        (
            "message_to_server_b",
            "… until server B had it on disk",
            sent,
            _when(between(flow, SERVER_B, SERVER_A), "250 2.0.0 ok, queued"),
            "push",
        ),
        ("message_to_phone", "… until Bob’s phone was told", sent, _when(told_phone, " EXISTS"), "push"),
        ("message_to_pc", "… until his PC was told", sent, _when(told_pc, " EXISTS"), "push"),
        ("message_to_old_pc", "… until his old PC came and asked; it would not know yet", sent, asked, "pull"),
        ("pop3_quit_to_phone", "from QUIT of POP3 until it was gone on the phone", left, vanished[0], "push"),
        ("pop3_quit_to_pc", "… until it was gone on the PC", left, _when(told_pc, " EXPUNGE"), "push"),
        ("pc_expunge_to_phone", "from EXPUNGE on the PC until it was gone on the phone", gone, vanished[1], "push"),
        ("refusal_to_alice", "from server B’s refusal until Alice was told", refused, reported, "push"),
    ]  # fmt: skip
    return [
        Took(key, text, round((end - start) * 1000, 3), way)
        for key, text, start, end, way in found
        if start is not None and end is not None
    ]
