"""Sections of messages against messages whose sections are known from how they were made."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from letters import Enclosed, Leaf, Letter, Multipart, nested, picked

from mailsystem.imap.fetched import extent
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.structure import Section, Specifier, pick_fields, read_section
from mailsystem.mail.content import scan
from mailsystem.mail.errors import MailError, SyntaxFault, TooMany
from mailsystem.mail.part import Part


def section(text: str | bytes, *literals: tuple[int, bytes]) -> Section:
    octets = text.encode() if isinstance(text, str) else text
    args = Arguments(Frame(octets + b"]", literals))
    read = read_section(args)
    args.end()
    return read


def cut(raw: bytes, text: str) -> bytes:
    """What our code says the section holds."""
    facts, wanted = scan(raw), section(text)
    first, last = extent(wanted, len(raw), facts.header_size, Part.load(facts.parts))
    return pick_fields(raw[first:last], wanted) if wanted.picks_fields else raw[first:last]


NESTED = nested()


@pytest.mark.parametrize("name", NESTED.sections)
def test_every_section_of_a_nested_message_is_found(name: str) -> None:
    assert cut(NESTED.raw, name) == NESTED.sections[name]


def test_the_nested_message_has_the_sections_one_expects() -> None:
    assert {"", "HEADER", "TEXT", "1", "1.MIME", "1.1", "1.2.MIME", "2", "3", "3.MIME", "3.HEADER", "3.TEXT", "3.1",
            "3.2", "3.2.HEADER", "3.2.TEXT", "3.2.1", "3.2.1.MIME", "4", "4.MIME"} <= set(NESTED.sections)  # fmt: skip
    assert NESTED.sections["3.2.1"] == b"the innermost text\r\n"
    assert NESTED.sections["3.2.HEADER"].startswith(b"Subject: innermost\r\n")


def test_the_parts_make_up_the_message() -> None:
    whole = NESTED.sections
    assert whole["HEADER"] + whole["TEXT"] == whole[""]
    assert whole["3.HEADER"] + whole["3.TEXT"] == whole["3"]
    for name in ("1", "2", "3", "4"):
        assert whole[name + ".MIME"] + whole[name] in whole["TEXT"]


@pytest.mark.parametrize(
    "name",
    ["5", "1.3", "1.1.1", "2.1", "2.HEADER", "2.TEXT", "1.HEADER", "3.3", "3.1.1", "3.2.2", "3.2.1.1", "9.MIME",
     "4294967295", "1.1.1.1.1.1.1.1.1.1.1.1.1", "5.HEADER.FIELDS (SUBJECT)", "5.HEADER.FIELDS.NOT (SUBJECT)"],
)  # fmt: skip
def test_a_section_that_is_not_there_is_empty(name: str) -> None:
    assert cut(NESTED.raw, name) == b""


def test_part_one_of_a_message_without_parts_is_its_text() -> None:
    raw = b"Subject: x\r\n\r\nbody\r\n"
    assert cut(raw, "1") == b"body\r\n"
    assert cut(raw, "1.MIME") == b"Subject: x\r\n\r\n"
    assert cut(raw, "2") == cut(raw, "1.1") == cut(raw, "1.TEXT") == b""


def test_a_message_that_is_a_message_is_entered_by_part_one() -> None:
    raw = b"Subject: outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nbody\r\n"
    assert cut(raw, "1.HEADER") == b"Subject: inner\r\n\r\n"
    assert cut(raw, "1.1") == cut(raw, "1.TEXT") == b"body\r\n"
    assert cut(raw, "TEXT") == cut(raw, "1") == b"Subject: inner\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    "names",
    [["Subject"], ["RECEIVED"], ["to", "from"], ["X-None"], ["MIME-Version", "Message-ID"], ["Subj"], ["Subject-"]],
)
@pytest.mark.parametrize("prefix", ["", "3.", "3.2."])
def test_fields_are_picked_and_left_out(names: list[str], prefix: str) -> None:
    header = NESTED.sections[prefix + "HEADER"]
    listed = " ".join(names)
    assert cut(NESTED.raw, f"{prefix}HEADER.FIELDS ({listed})") == picked(header, names)
    assert cut(NESTED.raw, f"{prefix}HEADER.FIELDS.NOT ({listed})") == picked(header, names, inverted=True)


@pytest.mark.parametrize(
    ("header", "only", "without"),
    [
        (b"\r\n", b"\r\n", b"\r\n"),
        (b"", b"", b""),
        (b"Subject: x\r\n", b"Subject: x\r\n", b""),
        (b"Subject: x", b"Subject: x", b""),
        (b"To: y\r\nSubject: x", b"Subject: x", b"To: y\r\n"),
        (b"Subject: x\r\nTo: y", b"Subject: x\r\n", b"To: y"),
        (b"Subject : x\r\n\r\n", b"Subject : x\r\n\r\n", b"\r\n"),
        (b"subject:\r\n\tx\r\nTo: y\r\n\r\n", b"subject:\r\n\tx\r\n\r\n", b"To: y\r\n\r\n"),
        (b"Subject: x\nTo: y\n\n", b"Subject: x\n\n", b"To: y\n\n"),
        (b"no field\r\nSubject\r\n\r\n", b"\r\n", b"no field\r\nSubject\r\n\r\n"),
        (b" stray\r\nSubject: x\r\n\r\n", b"Subject: x\r\n\r\n", b" stray\r\n\r\n"),
        (b"To: Subject: x\r\n\r\n", b"\r\n", b"To: Subject: x\r\n\r\n"),
        (b"Subject: x\r\n \r\n\ty\r\n\r\n", b"Subject: x\r\n \r\n\ty\r\n\r\n", b"\r\n"),
    ],
)
def test_odd_headers_lose_nothing_but_what_was_named(header: bytes, only: bytes, without: bytes) -> None:
    assert pick_fields(header, Section((), Specifier.FIELDS, (b"SUBJECT",))) == only
    assert pick_fields(header, Section((), Specifier.FIELDS_NOT, (b"SUBJECT",))) == without


# Spelling


@pytest.mark.parametrize(
    ("said", "spelled"),
    [
        ("", ""),
        ("header", "HEADER"),
        ("Text", "TEXT"),
        ("1", "1"),
        ("1.2.3", "1.2.3"),
        ("1.mime", "1.MIME"),
        ("2.3.header", "2.3.HEADER"),
        ("header.fields (date From)", "HEADER.FIELDS (DATE FROM)"),
        ("1.HEADER.FIELDS.NOT (x-Foo)", "1.HEADER.FIELDS.NOT (X-FOO)"),
        ('HEADER.FIELDS ("Date" date)', "HEADER.FIELDS (DATE)"),
        ('HEADER.FIELDS ("two words" "a\\"b")', 'HEADER.FIELDS ("TWO WORDS" "A\\"B")'),
    ],
)
def test_a_section_is_echoed_in_its_one_spelling(said: str, spelled: str) -> None:
    assert bytes(section(said)) == spelled.encode()
    assert section(spelled) == section(said)


def test_a_field_name_may_be_a_literal() -> None:
    line = b"HEADER.FIELDS ({4}Subject)"
    at = line.index(b"{")
    assert section(b"HEADER.FIELDS ({4} Subject)", (at, b"Date")).fields == (b"DATE", b"SUBJECT")


@pytest.mark.parametrize(
    "bad",
    ["MIME", "0", "1.0", "1.", ".1", "1..2", "HEADERS", "HEADER ", "header.fields", "HEADER.FIELDS ()", "TEXT.1",
     "HEADER.FIELDS (a  b)", "HEADER.FIELDS (a", "HEADER.FIELDS(a)", "1 ", "4294967296", "-1", "1.BODY", "MIME.1",
     "1.2.HEADER.FIELDS.NOT", '""', "HEADER.FIELDS (\"\")", "." .join("1" * 201)],
)  # fmt: skip
def test_bad_sections_are_syntax_faults(bad: str) -> None:
    with pytest.raises(SyntaxFault):
        section(bad)


def test_too_many_field_names_are_refused() -> None:
    with pytest.raises(TooMany):
        section("HEADER.FIELDS (" + " ".join(f"x{n}" for n in range(300)) + ")")


@given(st.binary(max_size=60) | st.text('0123456789.HEADRTXMIFLSNO() []"', max_size=40).map(str.encode))
def test_garbage_is_a_mail_error_and_nothing_else(garbage: bytes) -> None:
    try:
        read = section(garbage)
    except MailError:
        return
    assert section(bytes(read)) == read


# Any message, any section

_words = st.text("abc \xe4.=-\r", max_size=12).map(lambda text: text.encode("latin-1"))
_values = st.lists(_words.map(lambda word: word.replace(b"\r", b"")), min_size=1, max_size=3).map(
    lambda lines: b" x" + b"\r\n\t".join(lines)
)
_fields = st.lists(
    st.tuples(st.sampled_from([b"Subject", b"subject", b"From", b"X-A", b"X-AB", b"Received"]), _values), max_size=4
)
_bodies = st.lists(_words, max_size=4).map(b"\r\n".join)
_leaves = st.builds(Leaf, _fields, _bodies)
_trees = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(Enclosed, _fields, inner)
        | st.builds(
            Multipart, _fields, st.lists(inner, min_size=1, max_size=3), _bodies, _bodies.map(lambda b: b"\r\n" + b)
        )
    ),
    max_leaves=8,
)


@settings(max_examples=50)
@given(_trees)
def test_all_sections_of_any_message_are_what_it_was_made_of(root: Leaf | Multipart | Enclosed) -> None:
    letter = Letter(root)
    for name, octets in letter.sections.items():
        assert cut(letter.raw, name) == octets, name


@settings(max_examples=50)
@given(_trees, st.lists(st.sampled_from(["Subject", "FROM", "x-a", "None"]), min_size=1, max_size=3, unique=True))
def test_fields_of_any_message_are_picked(root: Leaf | Multipart | Enclosed, names: list[str]) -> None:
    letter = Letter(root)
    for name, header in letter.sections.items():
        if name.endswith("HEADER"):
            listed = " ".join(names)
            assert cut(letter.raw, f"{name}.FIELDS ({listed})") == picked(header, names)
            assert cut(letter.raw, f"{name}.FIELDS.NOT ({listed})") == picked(header, names, inverted=True)
