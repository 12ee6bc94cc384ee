"""`mailsystem ingest` and `mailsystem dump`: there and back again."""

from __future__ import annotations

import asyncio
import contextlib
import mailbox
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailsystem.app import opened
from mailsystem.cli.ingest import sources
from mailsystem.mail.mailbox import DELETED, FLAGGED, SEEN
from mailsystem.settings import Settings

if TYPE_CHECKING:
    from conftest import Cli

ANN = "ann@example.org"
MBOX = (
    b"From bob@example.net Fri Nov 27 12:00:00 2026\nFrom: bob@example.net\nTo: ann@example.org\nSubject: one\n"
    b"Status: RO\nX-Status: F\n\nhello\n>From the start\n\n"
    b"From bob@example.net Fri Nov 27 13:00:00 2026\nFrom: bob@example.net\nTo: nobody@example.org\nSubject: two\n\nbye\n\n"
)


@pytest.fixture
def home(cli: Cli) -> Cli:
    """A server where Ann lives."""
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", ANN, "--password-stdin", stdin="a long password\n")
    return cli


def found(cli: Cli, *words: str) -> list[dict[str, Any]]:
    return sorted(cli("find", *words, "--json").json["messages"], key=lambda each: each["uid"])


def octets(cli: Cli) -> list[bytes]:
    """All of Ann's messages as they are kept, in the order in which they came."""

    async def inside() -> list[bytes]:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            account = (await store.accounts.find(ANN)).id
            inbox = await store.mailboxes.find(account, "INBOX")
            roll = await store.mailboxes.roll(account, inbox.id)
            assert roll is not None
            from mailsystem.mail.mailbox import MessageSet

            rows = await store.mailboxes.messages(account, inbox.id, MessageSet.of(roll.uids))
            return [await store.contents.read(row.content) for row in rows]

    return asyncio.run(inside())


def test_an_mbox_comes_in_with_its_dates_and_flags_and_only_once_if_that_is_wanted(home: Cli) -> None:
    Path("a.mbox").write_bytes(MBOX)
    assert home("ingest", "a.mbox", "-a", ANN, "--skip-known", "--json").json == {
        "ingested": 2,
        "known": 0,
        "failed": 0,
    }
    one, two = found(home)
    assert (one["subject"], one["received"], one["flags"]) == ("one", "2026-11-27T12:00:00Z", [FLAGGED, SEEN])
    assert (two["subject"], two["received"], two["flags"]) == ("two", "2026-11-27T13:00:00Z", [])
    assert octets(home)[0].endswith(b"\r\n\r\nhello\r\nFrom the start\r\n")
    Path("a.mbox").write_bytes(MBOX + MBOX.replace(b"two", b"three"))
    told = home("ingest", "a.mbox", "-a", ANN, "--skip-known").out
    assert told == "1 message is in, 3 were there already\n"
    assert home("ingest", "a.mbox", "-a", ANN).out == "4 messages are in\n"


def test_a_message_may_be_known_by_its_message_id(home: Cli) -> None:
    Path("a").mkdir()
    Path("a/one.eml").write_bytes(b"Message-ID: <1@x.test>\r\nSubject: one\r\n\r\nx\r\n")
    Path("a/two.eml").write_bytes(b"Subject: without\r\n\r\nx\r\n")
    assert home("ingest", "a", "-a", ANN).out == "2 messages are in\n"
    Path("b").mkdir()
    other = b"Received: from elsewhere\r\nMessage-Id:\r\n <1@x.test> (again)\r\nSubject: one\r\n\r\nx\r\n"
    Path("b/one.eml").write_bytes(other)
    Path("b/new.eml").write_bytes(other.replace(b"<1@", b"<2@"))
    Path("b/new-again.eml").write_bytes(other.replace(b"<1@", b"<2@").replace(b"elsewhere", b"here"))
    Path("b/two.eml").write_bytes(b"Subject: without\r\n\r\nx\r\n")
    told = home("ingest", "b", "-a", ANN, "--skip-known", "--known-by", "message-id").out
    assert told == "1 message is in, 3 were there already\n"
    assert home("ingest", "b", "-a", ANN, "--skip-known").out == "2 messages are in, 2 were there already\n"
    assert "it goes with that" in home.refused("ingest", "b", "-a", ANN, "--known-by", "content")


def test_standard_input_and_single_messages_come_in(home: Cli) -> None:
    assert home("ingest", "-", "-a", ANN, stdin=MBOX.decode()).out == "2 messages are in\n"
    Path("x").mkdir()
    Path("x/a.eml").write_bytes(b"Subject: alone\nDate: Thu, 26 Nov 2026 10:00:00 +0100\n\nx")
    Path("x/b.eml").write_bytes(b"Subject: with CRLF\r\n\r\nx\r\n")
    assert home("ingest", "x", "-a", ANN, "-m", "Old/Letters").out == "2 messages are in\n"
    told = found(home, "-m", "Old/Letters")
    assert [each["subject"] for each in told] == ["alone", "with CRLF"]
    assert told[0]["received"] == "2026-11-26T09:00:00Z"
    assert home("ingest", "-", "-a", ANN, stdin="").out == "0 messages are in\n"


def test_a_maildir_comes_in_with_its_folders(home: Cli) -> None:
    box = mailbox.Maildir("m")
    message = mailbox.MaildirMessage(b"Subject: seen\n\nx\n")
    message.set_subdir("cur")
    message.set_flags("FS")
    message.set_date(1_700_000_000)
    box.add(message)
    box.add_folder("Old.Work").add(mailbox.MaildirMessage(b"Subject: work\n\nx\n"))
    assert home("ingest", "m", "-a", ANN).out == "2 messages are in\n"
    [inbox] = found(home, "-m", "INBOX")
    assert (inbox["received"], inbox["flags"]) == ("2023-11-14T22:13:20Z", [FLAGGED, SEEN])
    assert [each["subject"] for each in found(home, "-m", "Old/Work")] == ["work"]


@pytest.mark.parametrize("beside", [False, True])
def test_folders_may_be_directories_within_a_maildir_or_beside_inbox(home: Cli, beside: bool) -> None:
    top = Path("mail")
    for name in ("INBOX" if beside else ".", "Work", "Work/Old", "Work/.Older", "Entw&APw-rfe", "Not/Itself", "a.b"):
        for part in ("cur", "new", "tmp"):
            (top / name / part).mkdir(parents=True)
        (top / name / "cur" / "1.x:2,S").write_bytes(b"Subject: " + name.encode() + b"\r\n\r\nx\r\n")
    (top / "Loop").symlink_to(top.absolute())
    assert home("ingest", "mail", "-a", ANN).out == "7 messages are in\n"
    assert {each["mailbox"]: each["subject"] for each in found(home)} == {
        "INBOX": "INBOX" if beside else ".",
        "Work": "Work",
        "Work/Old": "Work/Old",
        "Work/Older": "Work/.Older",
        "Entwürfe": "Entw&APw-rfe",
        "Not/Itself": "Not/Itself",
        "a.b": "a.b",
    }


def test_what_is_no_mail_is_passed_over_where_it_lies_beside_some(home: Cli) -> None:
    Path("Local Folders").mkdir()
    there = {
        "Inbox": MBOX,
        "Inbox.msf": b'// <!-- <mdb:mork:z v="1.4"/> -->\n< <(a=c)> >\n',
        "popstate.dat": b"# POP3 State File\n",
        "one.eml": b"\r\na body and no header\r\n",
        "two": b"Subject: two\n\nx\n",
        "empty": b"",
    }
    for name, said in there.items():
        (Path("Local Folders") / name).write_bytes(said)
    told = home("ingest", "Local Folders", "-a", ANN)
    assert told.out == "4 messages are in\n"
    assert "Inbox.msf does not look like mail and was passed over\n" in told.err
    assert told.err.count("\n") == 3
    # What is named by itself is meant.
    assert home("ingest", "Local Folders/popstate.dat", "-a", ANN).out == "1 message is in\n"


def test_flags_and_keywords_go_there_and_back(home: Cli) -> None:
    for folder in (Path("m"), Path("m/.Old")):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
    (Path("m") / "dovecot-keywords").write_text("0 Work\n1 $Label1\n9 (bad\nx y\n99 z\n")
    (Path("m") / "cur" / "1.a:2,FPSab").write_bytes(b"Subject: one\n\nx\n")
    # Only its sender can have written that.
    (Path("m") / "cur" / "2.b:2,bcj").write_bytes(b"Status: RO\nX-Status: D\nX-Keywords: evil\nSubject: two\n\nx\n")
    (Path("m") / ".Old" / "cur" / "3.c:2,a").write_bytes(b"Subject: three\n\nx\n")
    home("ingest", "m", "-a", ANN)
    flags = {each["subject"]: each["flags"] for each in found(home)}
    assert flags == {"one": ["$Forwarded", "$Label1", "Work", FLAGGED, SEEN], "two": ["$Label1"], "three": []}
    home("dump", "out", "-a", ANN, "-f", "maildir")
    home("domain", "add", "example.net", "--no-dkim")
    home("user", "add", "bob@example.net", "--password-stdin", stdin="a long password\n")
    home("ingest", "out", "-a", "bob@example.net")
    assert {each["subject"]: each["flags"] for each in found(home, "-a", "bob@example.net")} == flags
    # Letters that were given stay what they are.
    Path("b.mbox").write_bytes(MBOX.replace(b"Status: RO", b"X-Keywords: Later $Label1 (bad\nStatus: RO"))
    home("ingest", "b.mbox", "-a", ANN)
    assert home("dump", "out", "-a", ANN, "-f", "maildir").err == "2 messages written, 3 were there already\n"
    home("ingest", "out", "-a", ANN, "-m", "Again")
    again = {(each["subject"], *each["flags"]) for each in found(home, "-a", ANN, "-m", "Again")}
    assert again == {(subject, *each) for subject, each in flags.items()} | {
        ("one", "$Label1", "Later", FLAGGED, SEEN),
        ("two",),
    }


def test_a_folder_of_thunderbird_comes_in_with_its_flags(home: Cli) -> None:
    Path("Inbox").write_bytes(
        b"From \r\nX-Mozilla-Status: 0001\r\nX-Mozilla-Status2: 00800000\r\nX-Mozilla-Keys: $label1 work      \r\n"
        b"Date: Thu, 26 Nov 2026 10:00:00 +0100\r\nSubject: one\r\n\r\nx\r\n\r\n"
        b"From \r\nX-Mozilla-Status: 0000\r\nSubject: two\r\n\r\nx\r\n\r\n"
        b"From \r\nX-Mozilla-Status: 0009\r\nSubject: three\r\n\r\nx\r\n\r\n"
    )
    assert home("ingest", "Inbox", "-a", ANN).out == "3 messages are in\n"
    one, *others = found(home)
    assert (one["received"], one["flags"]) == ("2026-11-26T09:00:00Z", ["$label1", SEEN, "work"])
    assert [(each["subject"], each["flags"]) for each in others] == [("two", []), ("three", [DELETED, SEEN])]


@pytest.mark.parametrize(
    ("beginning", "said"), [(b"\x1f\x8b\x08\0", "gzip"), (b"PK\x03\x04", "zip"), (b"!BDN", "Outlook")]
)
def test_what_is_packed_is_no_message(home: Cli, beginning: bytes, said: str) -> None:
    Path("a.mbox.gz").write_bytes(beginning + b"\xff" * 99)
    told = home.refused("ingest", "a.mbox.gz", "-a", ANN)
    assert told.startswith("a.mbox.gz cannot be read: it is ")
    assert said in told
    Path("m/cur").mkdir(parents=True)
    Path("a.mbox.gz").rename("m/cur/1.x:2,S")
    assert home.refused("ingest", "m", "-a", ANN).startswith("m/cur/1.x:2,S cannot be read: it is ")


def test_a_folder_of_a_maildir_has_letters_for_26_keywords_and_it_is_told_what_is_lost(home: Cli) -> None:
    words = " ".join(f"k{number:02}" for number in range(27))
    Path("a.mbox").write_bytes(MBOX.replace(b"Status: RO", b"X-Keywords: " + words.encode()))
    home("ingest", "a.mbox", "-a", ANN)
    assert "M1 has lost keywords" in home("dump", "out", "-a", ANN, "-f", "maildir").err
    assert len(Path("out/dovecot-keywords").read_text().splitlines()) == 26


def test_a_crlf_stays_together_however_long_its_line_is(home: Cli) -> None:
    lines = b"".join(b"x" * length + b"\r\n" for length in (65_534, 65_535, 65_536, 65_537))
    message = b"Subject: long\r\n\r\n" + lines
    Path("a.eml").write_bytes(message)
    Path("a.mbox").write_bytes(b"From a@b.test Fri Nov 27 12:00:00 2026\r\n" + message + b"\r\n")
    home("ingest", "a.eml", "a.mbox", "-a", ANN)
    assert octets(home) == [message, message]


def test_names_with_dots_are_no_levels(home: Cli) -> None:
    Path("a.eml").write_bytes(b"Subject: x\r\n\r\nx\r\n")
    names = {"Work.2020", "Work/2020", "50%", "%2E"}
    for name in names:
        home("ingest", "a.eml", "-a", ANN, "-m", name)
    home("dump", "out", "-a", ANN, "-f", "maildir")
    home("domain", "add", "example.net", "--no-dkim")
    home("user", "add", "bob@example.net", "--password-stdin", stdin="a long password\n")
    assert home("ingest", "out", "-a", "bob@example.net").out == "4 messages are in\n"
    assert {each["mailbox"] for each in found(home, "-a", "bob@example.net")} == names


def test_by_recipient_is_as_if_it_was_received(home: Cli) -> None:
    Path("a.mbox").write_bytes(MBOX)
    told = home("ingest", "a.mbox", "--by-recipient", status=1)
    assert "message 2" in told.err
    assert told.out == "1 message is in, 1 could not be taken\n"
    [one] = octets(home)
    assert one.startswith(b"Return-Path: <bob@example.net>\r\nReceived: from ingest")
    assert "--by-recipient" in home("ingest", "a.mbox", "--by-recipient", "-a", ANN, status=1).err


def test_what_cannot_be_read_is_told_with_what_was_done_before(home: Cli) -> None:
    Path("a.mbox").write_bytes(MBOX)
    told = home("ingest", "a.mbox", "nowhere", "-a", ANN, status=1)
    assert "nowhere" in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("form", ["eml", "maildir"])
def test_what_is_dumped_is_octet_by_octet_what_came_and_nothing_is_written_twice(home: Cli, form: str) -> None:
    Path("a.mbox").write_bytes(MBOX)
    home("ingest", "a.mbox", "-a", ANN)
    assert home("dump", "out", "-a", ANN, "-f", form).err == "2 messages written\n"
    files = sorted(file for file in Path("out").rglob("*") if file.is_file())
    assert [file.read_bytes() for file in files] == octets(home)
    assert os.stat(files[0]).st_mtime == 1_795_780_800
    assert home("dump", "out", "-a", ANN, "-f", form).err == "0 messages written, 2 were there already\n"
    home("ingest", "out", "-a", ANN, "-m", "Again")
    again = found(home, "-m", "Again")
    assert [each["subject"] for each in again] == ["one", "two"]
    if form == "maildir":
        assert [each["flags"] for each in again] == [[FLAGGED, SEEN], []]
        assert len(mailbox.Maildir("out")) == 2


def test_an_mbox_is_written_to_a_file_or_to_standard_output_and_never_over_one(home: Cli) -> None:
    Path("a.mbox").write_bytes(MBOX)
    home("ingest", "a.mbox", "-a", ANN)
    home("dump", "b.mbox", "-a", ANN)
    assert Path("b.mbox").read_bytes().replace(b"From MAILER-DAEMON", b"From bob@example.net") == MBOX
    with contextlib.closing(mailbox.mbox("b.mbox")) as box:
        assert len(box) == 2
    assert "File exists" in home("dump", "b.mbox", "-a", ANN, status=1).err
    assert home("dump", "-", "subject:two", "-a", ANN).out.count("Subject: ") == 1
    assert "standard output" in home("dump", "-", "-f", "eml", status=1).err


def test_a_mailbox_of_any_name_leads_nowhere_else(home: Cli) -> None:
    Path("a.mbox").write_bytes(MBOX)
    for name in ("..", "a/../../b", ".hidden", "nul\u00e9"):
        home("ingest", "a.mbox", "-a", ANN, "-m", name)
    for form in ("eml", "maildir"):
        home("dump", f"out-{form}/deep", "-a", ANN, "-f", form)
        inside = [file for file in Path(f"out-{form}/deep").rglob("*") if file.is_file()]
        assert len(inside) == 8
    assert {path.name for path in Path().iterdir()} <= {"a.mbox", "data", "out-eml", "out-maildir"}
    assert [path.name for path in Path("out-eml").iterdir()] == ["deep"]


def test_the_folders_of_a_maildir_are_called_as_imap_spells_them_and_come_back(home: Cli) -> None:
    box = mailbox.Maildir("m")
    box.add_folder("Entw&APw-rfe").add(b"Subject: a\n\nx\n")
    for name, told in ((b"\xff", "\ufffd"), (b"a &b", "a &b")):
        (Path("m") / os.fsdecode(b"." + name) / "cur").mkdir(parents=True)
        (Path("m") / os.fsdecode(b"." + name) / "cur" / "1:2,").write_bytes(b"Subject: b\n\nx\n")
        assert told
    assert home("ingest", "m", "-a", ANN).out == "3 messages are in\n"
    names = {"Entw\u00fcrfe", "\ufffd", "a &b"}
    assert {each["mailbox"] for each in found(home)} == names
    home("ingest", "m/.a &b/cur/1:2,", "-a", ANN, "-m", 'Caf\u00e9/100% "x"')
    home("dump", "out", "-a", ANN, "-f", "maildir")
    assert Path("out/.Entw&APw-rfe/cur").is_dir()
    home("domain", "add", "example.net", "--no-dkim")
    home("user", "add", "bob@example.net", "--password-stdin", stdin="a long password\n")
    assert home("ingest", "out", "-a", "bob@example.net").out == "4 messages are in\n"
    assert {each["mailbox"] for each in found(home, "-a", "bob@example.net")} == names | {'Caf\u00e9/100% "x"'}


def test_no_link_in_a_maildir_leads_out_of_it(home: Cli) -> None:
    Path("secret").write_bytes(b"root:x:0:0\n")
    Path("elsewhere/cur").mkdir(parents=True)
    Path("elsewhere/cur/2:2,").write_bytes(b"Subject: private\n\nx\n")
    mailbox.Maildir("m").add(b"Subject: mine\n\nx\n")
    Path("m/cur/1:2,S").symlink_to(Path("secret").absolute())
    Path("m/.Sent").symlink_to(Path("elsewhere").absolute())
    Path("n/new").mkdir(parents=True)
    Path("n/cur").symlink_to(Path("elsewhere/cur").absolute())
    assert home("ingest", "m", "n", "-a", ANN).out == "1 message is in\n"
    # What is named by itself is meant.
    Path("link.eml").symlink_to(Path("elsewhere/cur/2:2,").absolute())
    assert home("ingest", "link.eml", "-a", ANN).out == "1 message is in\n"


def test_what_files_say_that_cannot_be_is_not_believed(home: Cli) -> None:
    Path("a.mbox").write_bytes(MBOX.replace(b"Subject: one\n", b"Subject: one\nContent-Length: 999999999999999\n"))
    assert home("ingest", "a.mbox", "-a", ANN).out == "2 messages are in\n"
    mailbox.Maildir("m").add(b"Subject: late\n\nx\n")
    [file] = Path("m/new").iterdir()
    os.utime(file, (1 << 34, (1 << 34) - 1))
    Path("old.eml").write_bytes(b"Date: Mon, 01 Jan 0001 00:00:00 +0000\nSubject: old\n\nx\n")
    home("ingest", "m", "old.eml", "-a", ANN)
    assert len(found(home)) == 4


@pytest.mark.parametrize("form", ["eml", "maildir", "mbox"])
def test_one_that_is_damaged_does_not_keep_the_others_from_being_saved(home: Cli, form: str) -> None:
    Path("a.mbox").write_bytes(MBOX.replace(b"hello", b"x\n" * 200_000))
    home("ingest", "a.mbox", "-a", ANN)
    [file] = [file for file in (home.data_dir / "contents").rglob("*") if file.is_file()]
    file.write_bytes(b"")
    told = home("dump", "out", "-a", ANN, "-f", form, status=1).err
    assert "M1 in INBOX cannot be read" in told
    assert told.endswith("1 message written, 1 could not be read\n")


def test_who_stops_it_is_told_what_was_done_and_how_it_goes_on(home: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.mbox").write_bytes(MBOX)
    whole = sources.letters

    def stopped(*known: Any) -> Any:
        for letter in whole(*known):
            yield letter
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sources, "letters", stopped)
        told = home("ingest", "a.mbox", "-a", ANN, status=1).err
    assert told == "error: stopped: 1 message is in; --skip-known goes on from there\n"
    assert home("ingest", "a.mbox", "-a", ANN, "--skip-known").out == "1 message is in, 1 were there already\n"
