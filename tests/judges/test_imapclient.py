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
from wire import Smtp

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
