"""What FETCH asks for, as values, and how answers are written; without a server."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap.fetch import Attribute, Items, Modifiers, Octets, read_request
from mailsystem.imap.fetched import UnknownEncoding, encoded, octets_of, rendering
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.structure import Section, Specifier
from mailsystem.mail.errors import MailError, SyntaxFault, TooMany
from mailsystem.mail.kept import Kept
from mailsystem.mail.mailbox import RECENT, SEEN, Flag, ModSeq
from mailsystem.mail.part import Part


def request(text: str | bytes) -> tuple[Items, Modifiers]:
    return read_request(Arguments(Frame(text.encode() if isinstance(text, str) else text)))


def items(text: str | bytes) -> Items:
    return request(text)[0]


MESSAGE = {
    Kept.UID: 7,
    Kept.MODSEQ: 3,
    Kept.FLAGS: frozenset({SEEN, Flag("$Forwarded")}),
    Kept.INTERNALDATE: 837571465.0,
    Kept.SIZE: 4286,
    Kept.CONTENT: 1,
    Kept.SAVEDATE: 0.0,
    Kept.ENVELOPE: b"(env)",
    Kept.BODY: b"(body)",
    Kept.BODYSTRUCTURE: b"(bodystructure)",
    Kept.HEADER_SIZE: 25,
    Kept.PARTS: b'[["text","plain",0,25,35,1,"7bit",null,null,0]]',
    Kept.HEAD: b"From: a\r\nSubject: 50%\r\n\r\n",
    Kept.REST: b"abcdefghij",
    Kept.PREVIEW: None,
}


def written(text: str, number: int = 12, *, recent: bool = False, uidonly: bool = False, **other: Any) -> bytes:
    """The response for one message, of which nothing is known but what has to be read for it."""
    form = rendering(items(text), uidonly=uidonly)
    known = {**MESSAGE, **{Kept[thing]: value for thing, value in other.items()}}
    columns = {thing: [known[thing]] for thing in form.things}
    assert form.direct
    return b"".join(form.lines([number], columns, (lambda uid: uid == 7) if recent else None))


@pytest.mark.parametrize(
    ("macro", "meaning"),
    [
        ("ALL", "(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"),
        ("fast", "(FLAGS INTERNALDATE RFC822.SIZE)"),
        ("Full", "(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)"),
        ("FLAGS", "(FLAGS)"),
        ("body[text]", "(BODY[TEXT])"),
    ],
)
def test_macros_and_single_items_stand_for_lists(macro: str, meaning: str) -> None:
    assert items(macro) == items(meaning)


def test_each_thing_is_answered_once() -> None:
    asked = items("(UID FLAGS UID BODY.PEEK[1] BODY[1] BODY.PEEK[1]<0.5> FLAGS)")
    assert asked.attributes == (Attribute.UID, Attribute.FLAGS)
    assert [item.name for item in asked.octets] == [b"BODY[1]", b"BODY[1]<0>"]
    assert asked.marks_seen


@pytest.mark.parametrize(
    ("text", "sees"),
    [
        ("BODY[]", True), ("BODY.PEEK[]", False), ("RFC822", True), ("RFC822.TEXT", True), ("RFC822.HEADER", False),
        ("BODY", False), ("BODYSTRUCTURE", False), ("FULL", False), ("(BODY.PEEK[] BODY[HEADER])", True),
        ("BINARY[1]", True), ("(BINARY.PEEK[1] BINARY.SIZE[1] MODSEQ THREADID)", False), ("(BINARY.PEEK[1] BINARY[1])", True),
    ],
)  # fmt: skip
def test_only_what_is_no_peek_marks_a_message_seen(text: str, sees: bool) -> None:
    assert items(text).marks_seen is sees


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("(FLAGS UID INTERNALDATE RFC822.SIZE)", "FLAGS INTERNALDATE SIZE"),
        ("ALL", "FLAGS INTERNALDATE SIZE ENVELOPE"),
        ("BODY.PEEK[HEADER.FIELDS (Date)]", "HEAD"),
        ("(RFC822.HEADER BODY.PEEK[HEADER.FIELDS.NOT (Date)])", "HEAD"),
        ("BODY[]", "HEAD REST"),
        ("BODY[TEXT]", "HEAD REST"),
        ("BODY[1.HEADER.FIELDS (Date)]", "HEAD REST PARTS"),
        ("(ENVELOPE BODY.PEEK[HEADER])", "ENVELOPE HEAD"),
        ("(MODSEQ EMAILID SAVEDATE)", "MODSEQ CONTENT SAVEDATE"),
        ("THREADID", "HEAD"),
        ("BINARY[]", "HEAD REST CONTENT SIZE HEADER_SIZE PARTS"),
        ("BINARY.SIZE[1.2]", "HEAD REST CONTENT SIZE HEADER_SIZE PARTS"),
    ],
)
def test_nothing_is_read_that_is_not_asked_for(text: str, needs: str) -> None:
    assert " ".join(thing.name for thing in rendering(items(text)).things) == f"UID {needs}"


@pytest.mark.parametrize(
    "bad",
    ["", "()", "( FLAGS)", "(FLAGS )", "(FLAGS  UID)", "(FLAGS UID", "FLAGS UID", "FLAGS)", "(ALL)", "ALL UID", "BODY.PEEK",
     "BODY.PEEK[]x", "RFC822.PEEK", "NONSENSE", "BODY[]<0>", "BODY[]<.5>", "BODY[]<0.>", "BODY[]<-1.5>", "BODY[]<0.5",
     "BODY[]<4294967296.1>", "BODY[TEXT", "BODY [TEXT]", "((FLAGS))", "(FLAGS (UID))", "FLAGS\r", "BODY[1]]", "X-GM-LABELS",
     "BINARY", "BINARY[TEXT]", "BINARY[1.MIME]", "BINARY[1.]", "BINARY.SIZE[1]<0.1>", "BINARY.SIZE", "BINARY.PEEK[1]<0.>",
     "PREVIEW ()", "PREVIEW (EAGER)", "PREVIEW(LAZY)", "PREVIEW (LAZY LAZY)", "(PREVIEW (LAZY)FLAGS)", "PREVIEW (LAZY) FLAGS",
     "MODSEQ ()", "FLAGS (CHANGEDSINCE)", "FLAGS (CHANGEDSINCE 1", "FLAGS CHANGEDSINCE 1", "FLAGS (CHANGEDSINCE 1) ",
     "FLAGS (CHANGEDSINCE -1)", "FLAGS (CHANGEDSINCE 9223372036854775808)", "FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 1)",
     "FLAGS (PARTIAL 1)", "FLAGS (PARTIAL 0:1)", "FLAGS (PARTIAL 1:*)", "FLAGS (PARTIAL -1:1)", "FLAGS (PARTIAL 1:-1)",
     "FLAGS (PARTIAL 1:2 PARTIAL 1:2)", "FLAGS (PARTIAL 1:4294967296)", "FLAGS (VANISHED 1)", "FLAGS (UNCHANGEDSINCE 1)",
     "(FLAGS (CHANGEDSINCE 1))", "FLAGS  (CHANGEDSINCE 1)"],
)  # fmt: skip
def test_bad_items_are_syntax_faults(bad: str) -> None:
    with pytest.raises(SyntaxFault):
        items(bad)


def test_a_list_without_end_is_refused() -> None:
    with pytest.raises(TooMany):
        items("(" + " ".join(f"BODY[{n}]" for n in range(1, 400)) + ")")


_ALPHABET = "()[]<>. 0129BODYPEKHARFILSNTUMVGCSZbody"


@given(st.binary(max_size=40) | st.text(_ALPHABET, max_size=40).map(str.encode))
def test_garbage_is_a_mail_error_and_nothing_else(garbage: bytes) -> None:
    with suppress(MailError):
        items(garbage)


@pytest.mark.parametrize(
    ("partial", "part"),
    [("<0.5>", b"abcde"), ("<3.4>", b"defg"), ("<8.100>", b"ij"), ("<10.1>", b""), ("<4294967295.4294967295>", b""),
     ("<0.4294967295>", b"abcdefghij"), ("<0.0>", b""), ("<9.1>", b"j")],
)  # fmt: skip
def test_partials_end_where_the_octets_end(partial: str, part: bytes) -> None:
    [item] = items(f"BODY.PEEK[]{partial}").octets
    assert octets_of(item, 0, None, None, b"abcdefghij") == part
    assert item.name == b"BODY[]<%d>" % int(partial[1:].split(".")[0])
    [item] = items(f"BODY.PEEK[HEADER]{partial}").octets
    assert octets_of(item, 0, None, b"abcdefghij", None) == part


def test_what_is_not_in_memory_is_not_made_up() -> None:
    whole, header = items("(BODY[] BODY[HEADER])").octets
    assert octets_of(whole, 20, None, b"head", None) is None
    assert octets_of(header, 20, None, None, None) is None


def test_a_response_says_its_attributes() -> None:
    asked = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)"
    assert written(asked, recent=True) == (
        b'* 12 FETCH (UID 7 FLAGS (\\Seen \\Recent $Forwarded) INTERNALDATE "17-Jul-1996 02:44:25 +0000" RFC822.SIZE 4286'
        b" ENVELOPE (env) BODY (body) BODYSTRUCTURE (bodystructure))\r\n"
    )
    assert RECENT.encode() not in written("FLAGS")


def test_octets_stand_behind_the_attributes() -> None:
    head, rest = MESSAGE[Kept.HEAD], MESSAGE[Kept.REST]
    assert written("BODY.PEEK[]") == b"* 12 FETCH (BODY[] {35}\r\n" + head + rest + b")\r\n"
    assert written("(UID RFC822.TEXT RFC822.HEADER)") == (
        b"* 12 FETCH (UID 7 RFC822.TEXT {10}\r\n" + rest + b" RFC822.HEADER {25}\r\n" + head + b")\r\n"
    )
    assert written('(BODY[HEADER.FIELDS ("a%b" Subject)] BODY[HEADER.FIELDS.NOT (Subject)])') == (
        b'* 12 FETCH (BODY[HEADER.FIELDS ("A%B" SUBJECT)] {16}\r\nSubject: 50%\r\n\r\n'
        b" BODY[HEADER.FIELDS.NOT (SUBJECT)] {11}\r\nFrom: a\r\n\r\n)\r\n"
    )
    assert written("(BODY[1] BODY[]<23.4> BODY[HEADER]<0.4> BODY[2] BODY[TEXT]<8.9>)") == (
        b"* 12 FETCH (BODY[1] {10}\r\n"
        + rest
        + b" BODY[]<23> {4}\r\n\r\nab BODY[HEADER]<0> {4}\r\nFrom BODY[2] {0}\r\n"
        b" BODY[TEXT]<8> {2}\r\nij)\r\n"
    )


def test_a_column_of_messages_is_written_line_by_line() -> None:
    form = rendering(items("(FLAGS BODY.PEEK[])"))
    columns = {
        Kept.UID: (7, 9),
        Kept.FLAGS: [frozenset(), frozenset({SEEN})],
        Kept.HEAD: (b"\r\n", b"a: b\r\n\r\n"),
        Kept.REST: (b"one", b""),
    }
    assert b"".join(form.lines(range(1, 3), columns, lambda uid: uid == 7)) == (
        b"* 1 FETCH (FLAGS (\\Recent) BODY[] {5}\r\n\r\none)\r\n* 2 FETCH (FLAGS (\\Seen) BODY[] {8}\r\na: b\r\n\r\n)\r\n"
    )
    assert form.beginning(3, {thing: values[1:] for thing, values in columns.items()}) == b"* 3 FETCH (FLAGS (\\Seen)"
    assert form.lines([], {thing: [] for thing in columns}) == []


def test_what_needs_more_than_columns_is_not_written_from_them() -> None:
    for text in ("BINARY[1]", "(BODY[] BINARY.SIZE[1])"):
        assert not rendering(items(text)).direct
    assert rendering(items("THREADID")).wholes == (Kept.HEAD,)
    assert rendering(items("BODY[1]")).wholes == (Kept.HEAD, Kept.REST)
    assert rendering(items("ALL")).wholes == ()


def test_the_more_is_asked_of_each_message_the_fewer_are_answered_at_once() -> None:
    many = " ".join(f"BODY.PEEK[{number}]" for number in range(1, 101))
    assert rendering(items("(FLAGS BODY[])")).at_once == rendering(items("ALL")).at_once >= 1000
    assert rendering(items("BODY[1]")).at_once < 100
    assert rendering(items(f"({many})")).at_once == 1


def test_days_have_two_places() -> None:
    assert written("INTERNALDATE", INTERNALDATE=0.0).endswith(b'" 1-Jan-1970 00:00:00 +0000")\r\n')


def test_the_uid_comes_first_where_it_was_not_asked_for() -> None:
    assert items("FLAGS").including(Attribute.UID).attributes == (Attribute.UID, Attribute.FLAGS)
    assert items("(FLAGS UID)").including(Attribute.UID).attributes == (Attribute.FLAGS, Attribute.UID)


def test_fields_of_a_part_that_is_not_there_are_none() -> None:
    root = b'["text","plain",0,20,100,1,"7bit",null,null,0]'
    item = Octets(b"x", Section((2,), Specifier.FIELDS, (b"DATE",)))
    assert octets_of(item, 20, Part.load(b"[" + root + b"]"), None, b"x" * 100) == b""


@pytest.mark.parametrize(
    ("text", "modifiers"),
    [
        ("FLAGS", Modifiers()),
        ("(UID FLAGS) (CHANGEDSINCE 12345)", Modifiers(ModSeq(12345))),
        ("(FLAGS) (changedsince 9223372036854775807 Vanished)", Modifiers(ModSeq((1 << 63) - 1), vanished=True)),
        ("ALL (PARTIAL 1:100)", Modifiers(partial=(1, 100))),
        ("BODY.PEEK[HEADER.FIELDS (X)] (PARTIAL -100:-1 CHANGEDSINCE 0)", Modifiers(ModSeq(0), partial=(-1, -100))),
        ("BODY.PEEK[HEADER.FIELDS (CHANGEDSINCE)]", Modifiers()),
        ("BINARY[1]<0.5> (CHANGEDSINCE 1)", Modifiers(ModSeq(1))),
    ],
)
def test_modifiers_stand_behind_the_items(text: str, modifiers: Modifiers) -> None:
    assert request(text)[1] == modifiers
    assert items(text) == items(text.rpartition(" (")[0] if modifiers != Modifiers() else text)


def test_who_enabled_uidonly_reads_uids_where_the_numbers_stood() -> None:
    assert written("(FLAGS MODSEQ)", uidonly=True) == b"* 7 UIDFETCH (FLAGS (\\Seen $Forwarded) MODSEQ (3))\r\n"


def test_a_preview_may_be_asked_for_only_where_it_is_known() -> None:
    assert items("PREVIEW").attributes == (Attribute.PREVIEW,)
    assert request("preview (lazy) (CHANGEDSINCE 1)") == (items("(PREVIEW (LAZY))"), Modifiers(ModSeq(1)))
    assert items("(PREVIEW (LAZY) UID)").attributes == (Attribute.LAZY_PREVIEW, Attribute.UID)
    assert items("(PREVIEW (LAZY) PREVIEW)").attributes == (Attribute.PREVIEW,)
    for text, wire in (("Hello", b'"Hello"'), ("", b'""'), (None, b"NIL"), ("Grüße", b"{7}\r\nGr\xc3\xbc\xc3\x9fe")):
        for asked in ("PREVIEW", "PREVIEW (LAZY)"):
            assert written(asked, PREVIEW=text) == b"* 12 FETCH (PREVIEW " + wire + b")\r\n"


def test_objectids_and_dates_are_nil_where_there_are_none() -> None:
    asked = "(EMAILID THREADID SAVEDATE)"
    assert written(asked, HEAD=b"\r\n") == b"* 12 FETCH (EMAILID (M1) THREADID NIL SAVEDATE NIL)\r\n"
    told = written(asked, SAVEDATE=837571465.0, HEAD=b"Message-ID: <a@b>\r\n")
    assert b"THREADID (T" in told
    assert told.endswith(b'SAVEDATE "17-Jul-1996 02:44:25 +0000")\r\n')


def parts(encoding: str) -> Part:
    return Part.load(b'[["text","plain",0,9,99,1,"%b",null,null,0]]' % encoding.encode())


def test_binary_is_made_of_the_body_of_a_part() -> None:
    part, whole, missing = (each.section for each in items("(BINARY[1] BINARY[] BINARY[2])").octets)
    first, last, make = encoded(part, 99, parts("base64"))
    assert (first, last, make().feed(b"SGVsbG8=")) == (9, 99, b"Hello")
    first, last, make = encoded(whole, 99, parts("base64"))
    assert (first, last, make().feed(b"SGVsbG8=")) == (0, 99, b"SGVsbG8=")
    assert encoded(missing, 99, parts("base64"))[:2] == (0, 0)
    with pytest.raises(UnknownEncoding):
        encoded(part, 99, parts("x-uuencode"))[2]()
