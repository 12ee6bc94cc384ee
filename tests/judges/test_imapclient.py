"""IMAPClient, which parses what we say with its own grammar."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator

import messages
import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError
from program import House, Person
from wire import Imap, Smtp

pytestmark = pytest.mark.judge


@pytest.fixture
def client(house: House, person: Person) -> Iterator[IMAPClient]:
    with IMAPClient("localhost", house.program.imap.port, ssl=False, timeout=20) as client:
        client.starttls(ssl.create_default_context(cafile=str(house.authority)))
        client.login(person.login, person.password)
        yield client


def test_mailboxes_are_made_renamed_subscribed_and_deleted(client: IMAPClient) -> None:
    by_use = {flag: name for flags, _, name in client.list_folders() for flag in flags}
    for use in (b"\\Drafts", b"\\Sent", b"\\Junk", b"\\Trash", b"\\Archive"):
        assert use in by_use
    client.create_folder("Reisen/Zürich & Köln/日本")
    assert client.folder_exists("Reisen/Zürich & Köln/日本")
    client.subscribe_folder("Reisen/Zürich & Köln/日本")
    assert "Reisen/Zürich & Köln/日本" in [name for _, _, name in client.list_sub_folders()]
    client.rename_folder("Reisen", "Fahrten")
    assert client.folder_exists("Fahrten/Zürich & Köln/日本")
    assert not client.folder_exists("Reisen/Zürich & Köln/日本")
    client.delete_folder("Fahrten/Zürich & Köln/日本")
    assert not client.folder_exists("Fahrten/Zürich & Köln/日本")
    with pytest.raises(IMAPClientError):
        client.select_folder("Fahrten/Zürich & Köln/日本")
    assert client.namespace().personal == (("", "/"),)


def test_envelope_and_bodystructure_are_understood(client: IMAPClient) -> None:
    for raw in messages.ODD.values():
        client.append("INBOX", raw)
    library = {name: raw for name, raw in messages.library().items() if raw}
    for raw in library.values():
        client.append("INBOX", raw)
    client.select_folder("INBOX", readonly=True)
    found = client.fetch(
        client.search(), ["ENVELOPE", "BODYSTRUCTURE", "BODY", "RFC822.SIZE", "INTERNALDATE", "FLAGS", "UID"]
    )
    assert len(found) == len(messages.ODD) + len(library)
    for raw, data in zip([*messages.ODD.values(), *library.values()], found.values(), strict=True):
        assert data[b"RFC822.SIZE"] == len(raw)
        assert data[b"BODYSTRUCTURE"]
    plain = found[1][b"ENVELOPE"]
    assert plain.subject == b"hello"
    assert (plain.from_[0].name, plain.from_[0].mailbox, plain.from_[0].host) == (b"Ann", b"ann", b"example.org")
    attached = list(messages.ODD).index("100 parts") + 1
    assert found[attached][b"BODYSTRUCTURE"].is_multipart
    assert len(found[attached][b"BODYSTRUCTURE"][0]) == 100


def test_search_sees_what_is_there(client: IMAPClient) -> None:
    old = datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    client.append("INBOX", messages.simple("apples"), [b"\\Flagged"], old)
    client.append("INBOX", messages.simple("pears", b"about Williams\r\n"))
    client.append("INBOX", messages.simple("=?utf-8?q?Gr=C3=BCn?="))
    client.select_folder("INBOX")
    assert client.search("FLAGGED") == [1]
    assert client.search(["BEFORE", datetime.date(2002, 1, 1)]) == [1]
    assert client.search(["SUBJECT", "PEARS"]) == [2]
    assert client.search(["BODY", "williams"]) == [2]
    assert client.search(["NOT", ["OR", "FLAGGED", "BODY", "williams"]]) == [3]
    assert client.search(["SUBJECT", "Grün"], "UTF-8") == [3]
    assert client.search(["UID", "2:*"]) == [2, 3]
    assert client.fetch(1, "INTERNALDATE")[1][b"INTERNALDATE"].timestamp() == old.timestamp()


def flags_of(client: IMAPClient, uids: list[int]) -> dict[int, set[bytes]]:
    return {uid: set(flags) - {b"\\Recent"} for uid, flags in client.get_flags(uids).items()}


def test_flags_copy_move_and_expunge(client: IMAPClient) -> None:
    for number in range(5):
        client.append("INBOX", messages.simple(f"n{number}"))
    client.select_folder("INBOX")
    client.add_flags([1, 2], [b"\\Seen", b"$Later"])
    assert flags_of(client, [1, 2]) == {1: {b"\\Seen", b"$Later"}, 2: {b"\\Seen", b"$Later"}}
    client.copy([1, 2], "Archive")
    client.move([3], "Trash")
    client.delete_messages([4])
    client.expunge([4])
    assert client.search() == [1, 2, 5]
    client.select_folder("Archive")
    assert flags_of(client, [1, 2]) == {1: {b"\\Seen", b"$Later"}, 2: {b"\\Seen", b"$Later"}}
    assert client.folder_status("Trash", ["MESSAGES"]) == {b"MESSAGES": 1}


def test_an_idling_client_hears_of_new_mail(client: IMAPClient, house: House, person: Person) -> None:
    client.select_folder("INBOX")
    client.idle()
    with Smtp(house.program.smtp) as sender:
        assert sender.message("ann@elsewhere.example", [person.login], messages.simple())[0] == 250
    heard = client.idle_check(timeout=10)
    assert (1, b"EXISTS") in heard
    client.idle_done()


def test_a_wrong_password_is_refused(house: House, person: Person) -> None:
    with (
        IMAPClient("localhost", house.program.imap.port, ssl=False, timeout=20) as client,
        pytest.raises(LoginError, match=r"(?i)authentication"),
    ):
        client.login(person.login, "wrong")


def test_condstore_tells_what_has_changed_since(client: IMAPClient, house: House, person: Person) -> None:
    assert b"CONDSTORE" in client.enable("CONDSTORE")
    for number in range(4):
        client.append("INBOX", messages.simple(f"n{number}"))
    before = client.select_folder("INBOX")[b"HIGHESTMODSEQ"]
    with Imap(house.program.imap, person.login, person.password) as other:
        other.ok(b"SELECT INBOX")
        other.ok(b"STORE 2 +FLAGS (\\Flagged)")
    client.noop()
    changed = client.fetch([1, 2, 3, 4], ["FLAGS"], [f"CHANGEDSINCE {before}"])
    assert list(changed) == [2]
    assert changed[2][b"MODSEQ"][0] > before
    assert b"\\Flagged" in changed[2][b"FLAGS"]
    found = client.search(["MODSEQ", str(before + 1)])
    assert (list(found), found.modseq) == ([2], changed[2][b"MODSEQ"][0])
    status = client.folder_status("INBOX", ["HIGHESTMODSEQ"])
    assert status[b"HIGHESTMODSEQ"] == changed[2][b"MODSEQ"][0]


def test_messages_are_sorted_and_threaded_by_the_server(client: IMAPClient) -> None:
    first = b"Message-ID: <1@x>\r\n" + messages.simple("banana")
    answer = b"Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nReferences: <1@x>\r\n" + messages.simple("Re: banana")
    raws = [first, messages.simple("cherry"), answer, messages.simple("Äpfel"), messages.simple("apple")]
    for day, raw in enumerate(raws, 1):
        client.append("INBOX", raw, (), datetime.datetime(2024, 1, day, tzinfo=datetime.UTC))
    client.select_folder("INBOX")
    assert client.sort(["SUBJECT"]) == [5, 4, 1, 3, 2]
    assert client.sort("REVERSE ARRIVAL", ["SUBJECT", "banana"]) == [3, 1]
    assert client.sort(["SIZE"])[-1] == 3
    threads = client.thread("REFERENCES")
    assert (1, 3) in threads
    assert len(threads) == 4
    assert (1, 3) in client.thread("ORDEREDSUBJECT", ["SUBJECT", "banana"])


def test_the_quota_is_told(client: IMAPClient, house: House, person: Person) -> None:
    house.limit(person, "1MB")
    client.append("INBOX", messages.large(100_000))
    roots, quotas = client.get_quota_root("INBOX")
    assert roots.mailbox == "INBOX"
    [storage] = [quota for quota in quotas if quota.resource == "STORAGE"]
    assert storage.quota_root in roots.quota_roots
    assert 80 < storage.usage < 200
    assert 950 < storage.limit <= 1024
    with pytest.raises(IMAPClientError, match="OVERQUOTA"):
        client.append("INBOX", messages.large(1_200_000))


def test_several_messages_are_appended_at_once(client: IMAPClient) -> None:
    raws = [messages.simple("one").decode(), messages.simple("two").decode()]
    client.multiappend("INBOX", [raws[0], {"msg": raws[1], "flags": [b"\\Flagged"]}])
    client.select_folder("INBOX")
    assert flags_of(client, [1, 2]) == {1: set(), 2: {b"\\Flagged"}}


def test_a_mailbox_is_shared_by_acl(client: IMAPClient, house: House, person: Person) -> None:
    friend = house.add(f"friend.of.{person.login}")
    client.append("Archive", messages.simple("shared"))
    client.setacl("Archive", friend.login, "lr")
    assert dict(client.getacl("Archive"))[friend.login.encode()] == b"lr"
    with IMAPClient("localhost", house.program.imap.port, ssl=False, timeout=20) as other:
        other.starttls(ssl.create_default_context(cafile=str(house.authority)))
        other.login(friend.login, friend.password)
        [(prefix, delimiter)] = other.namespace().other
        there = f"{prefix}{person.login}{delimiter}Archive"
        assert there in [name for _, _, name in other.list_folders()]
        assert other.select_folder(there, readonly=True)[b"EXISTS"] == 1
        assert other.fetch(1, ["ENVELOPE"])[1][b"ENVELOPE"].subject == b"shared"
        with pytest.raises(IMAPClientError):
            other.append(there, messages.simple())
        client.setacl("Archive", friend.login, '""')  # RFC 4314 knows no fewer arguments
        with pytest.raises(IMAPClientError, match="NONEXISTENT"):
            other.select_folder(there, readonly=True)
