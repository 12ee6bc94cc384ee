"""The journal's ear: what it keeps of what the doors say, in bounded memory."""

from __future__ import annotations

from typing import Any

from mailsystem.telemetry import Event, Trace
from mailsystem.telemetry.journal import Entry, Recorder


def heard(recorder: Recorder, most: int = 1000) -> list[tuple[str, list[int], dict[str, Any]]]:
    return [(entry.name, list(entry.contents), dict(entry.data)) for entry in recorder.take(most)]


def listening(**options: int) -> tuple[Recorder, Trace]:
    recorder = Recorder(**options)
    return recorder, Trace([recorder], contents=True)


def test_only_what_happens_to_messages_is_kept() -> None:
    recorder, trace = listening()
    trace.event("listening", imap="127.0.0.1:143")
    trace.event("retrieved", login="ann@example.org", messages=3)
    trace.event("deleted", login="ann@example.org", contents=[])
    assert recorder.waiting == 0
    assert recorder.take(10) == []


def test_who_it_was_is_known_from_what_the_session_said_before() -> None:
    recorder, trace = listening()
    session, other = trace.child("imap", peer="192.0.2.7:4000"), trace.child("imap", peer="192.0.2.8:4000")
    session.event("connected", tls="TLSv1.3")
    session.event("identified", client={"name": "Thunderbird", "version": "128.0", "os": "Linux"})
    session.event("logged in", login="ann@example.org", mechanism="PLAIN", tls="TLSv1.3")
    other.event("moved", contents=[8], uids=[5], mailbox="INBOX", target="Trash")
    session.event("moved", contents=[7], uids=[4], mailbox="INBOX", target="Trash")
    assert heard(recorder) == [
        ("moved", [8], {"door": "imap", "peer": "192.0.2.8:4000", "mailbox": "INBOX", "target": "Trash"}),
        (
            "moved",
            [7],
            {
                "door": "imap",
                "tls": "TLSv1.3",
                "login": "ann@example.org",
                "client": "Thunderbird 128.0",
                "peer": "192.0.2.7:4000",
                "mailbox": "INBOX",
                "target": "Trash",
            },
        ),
    ]


def test_who_has_logged_out_or_left_is_forgotten() -> None:
    recorder, trace = listening()
    session = trace.child("imap", peer="192.0.2.7:4000")
    session.event("logged in", login="ann@example.org", tls="TLSv1.3")
    session.event("logged out", login="ann@example.org")
    session.event("copied", contents=[7], uids=[1])
    session.event("disconnected", reason="logout")
    session.event("copied", contents=[7], uids=[2])
    assert [data.get("login") for _, _, data in heard(recorder)] == [None, None]
    assert recorder._sessions == {}


def test_a_read_tells_the_host_alone_since_the_next_connection_has_another_port() -> None:
    recorder, trace = listening()
    for peer in ("192.0.2.7:4000", "[2001:db8::7]:4000", "unix"):
        trace.child("pop3", peer=peer).event("retrieved", login="ann@example.org", octets=5, contents=[7])
    told = [data["peer"] for _, _, data in heard(recorder)]
    assert told == ["192.0.2.7", "[2001:db8::7]", "unix"]


def test_a_delivery_tells_how_it_came_and_where_it_is() -> None:
    recorder, trace = listening()
    session = trace.child("smtp", peer="192.0.2.7:4000")
    session.event("delivered", id="ab12", sender="", recipients=["ann@example.org"], octets=9, copies=1, protocol="ESMTPS",
                  tls="TLSv1.3", login=None, contents=[7], places=[(1, "INBOX", 5)])  # fmt: skip
    [(accepted, contents, how)] = heard(recorder)
    assert (accepted, contents) == ("accepted", [7])
    assert how == {
        "door": "smtp",
        "peer": "192.0.2.7:4000",
        "id": "ab12",
        "recipients": ["ann@example.org"],
        "octets": 9,
        "protocol": "ESMTPS",
        "tls": "TLSv1.3",
        "places": [(1, "INBOX", 5)],
    }


def test_what_only_goes_to_the_queue_is_delivered_nowhere() -> None:
    recorder, trace = listening()
    trace.event("delivered", id="ab12", sender="a@b.example", recipients=["x@y.example"], contents=[7], places=[])
    trace.event("queued", id="ab12", sender="a@b.example", recipients=["x@y.example"], contents=[7])
    assert [name for name, _, _ in heard(recorder)] == ["accepted", "queued"]


def test_it_is_taken_in_portions_and_acts_come_before_reads() -> None:
    recorder, trace = listening()
    trace.event("retrieved", contents=list(range(10)))
    trace.event("expunged", contents=[3, 4], uids=[1, 2])
    assert heard(recorder, 5) == [
        ("expunged", [3, 4], {"door": "app"}),
        ("read", [0, 1, 2], {"door": "app"}),
    ]
    assert [contents for _, contents, _ in heard(recorder, 5)] == [[3, 4, 5, 6, 7]]
    assert [contents for _, contents, _ in heard(recorder, 5)] == [[8, 9]]
    assert heard(recorder) == []


def test_each_message_of_a_portion_keeps_its_own_uid() -> None:
    recorder, trace = listening()
    trace.event("moved", contents=[7, 8, 9], uids=[1, 2, 3])
    first, rest = recorder.take(2), recorder.take(2)
    assert [(list(entry.contents), list(entry.uids)) for entry in (*first, *rest)] == [([7, 8], [1, 2]), ([9], [3])]


def test_a_flood_forgets_the_oldest_reads_first_and_counts_them() -> None:
    recorder, trace = listening(most=10)
    trace.event("deleted", contents=[100])
    for content in range(1000):
        trace.event("retrieved", contents=[content])
    assert recorder.waiting == 10
    told = [content for _, contents, _ in heard(recorder) for content in contents]
    assert told == [100, *range(991, 1000)]
    assert recorder.lost() == 991
    assert recorder.lost() == 0


def test_one_command_about_more_than_there_is_room_for_keeps_its_end() -> None:
    recorder, trace = listening(most=10)
    trace.event("retrieved", contents=list(range(1000)))
    assert [contents for _, contents, _ in heard(recorder)] == [list(range(990, 1000))]
    assert recorder.lost() == 990


def test_reads_that_follow_each_other_are_one_entry_as_long_as_they_are_alike() -> None:
    recorder = Recorder()
    for time, name, content, login in (
        (5.00, "retrieved", 1, "ann"),
        (5.05, "retrieved", 2, "ann"),
        (5.05, "retrieved", 2, "ann"),
        (5.06, "retrieved", 3, "bob"),
        (5.07, "flagged", 3, "bob"),
        (5.08, "retrieved", 4, "bob"),
        (5.30, "retrieved", 5, "bob"),
    ):
        recorder(Event(time, name, "pop3", 1, {"login": login, "contents": (content,)}))
    told = [(entry.name, entry.at, entry.contents, entry.data["login"]) for entry in recorder.take(100)]
    assert told == [
        ("read", 5.0, [1, 2, 2], "ann"),
        ("read", 5.06, [3], "bob"),
        ("flagged", 5.07, [3], "bob"),
        ("read", 5.08, [4], "bob"),
        ("read", 5.3, [5], "bob"),
    ]
    assert recorder.waiting == 0


def test_many_recipients_weigh_more() -> None:
    recorder, trace = listening(most=1000)
    recipients = [f"person{number}@example.org" for number in range(400)]
    for content in range(5):
        trace.event("delivered", id=f"{content}", recipients=recipients, contents=[content], places=[])
    assert [contents for _, contents, _ in heard(recorder)] == [[3], [4]]
    assert recorder.lost() == 3
    assert recorder.waiting == 0


def test_a_long_answer_of_another_server_is_cut() -> None:
    recorder, trace = listening()
    trace.event("deferred", contents=[7], reply="4" * 100_000)
    [entry] = recorder.take(1)
    assert isinstance(entry, Entry)
    assert len(entry.data["reply"]) == 1000


def test_nobody_is_asked_for_messages_where_nobody_follows_them() -> None:
    recorder = Recorder()
    assert not Trace([recorder]).wants_contents
    assert not Trace(contents=True).wants_contents
    assert Trace([recorder], contents=True).child("imap").wants_contents


def test_clients_that_read_at_once_are_an_entry_each_however_long_their_messages_are() -> None:
    recorder, trace = listening()
    ann, bob = trace.child("pop3", peer="192.0.2.7:4000"), trace.child("pop3", peer="192.0.2.8:4000")
    for number in range(5):
        ann.event("retrieved", login="ann", message=number, octets=1000 + number, contents=[number])
        bob.event("retrieved", login="bob", message=number, octets=2000 + number, contents=[10 + number])
    assert [(entry.contents, entry.data.get("login")) for entry in recorder.take(100)] == [
        ([0, 1, 2, 3, 4], "ann"),
        ([10, 11, 12, 13, 14], "bob"),
    ]
    ann.event("retrieved", login="ann", message=5, octets=7, contents=[5])
    assert [entry.contents for entry in recorder.take(100)] == [[5]], "what was taken grows no more"
