"""The scanner: offsets, sizes, any chunks, any garbage, bombs, and the standard library as a judge."""

from __future__ import annotations

import email
import email.message
import itertools
import json
import re
import tracemalloc
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parenthesised import check_body, check_envelope, read

from mailsystem.mail import content
from mailsystem.mail.content import Facts, Part, Scanner, scan, text_of


def tree(raw: bytes) -> Part:
    return Part.load(scan(raw).parts)


def every(part: Part) -> Iterator[Part]:
    waiting = [part]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(one.children))


def leaves(part: Part) -> list[Part]:
    return [one for one in every(part) if not one.children]


def body(raw: bytes, part: Part) -> bytes:
    return raw[slice(*part.body)]


def outline(raw: bytes, part: Part) -> Any:
    """A tree in short: `type/subtype` with the body of a leaf or the outlines of the children."""
    name = f"{part.type}/{part.subtype}"
    return (name, [outline(raw, child) for child in part.children] if part.children else body(raw, part))


def in_pieces(raw: bytes, cuts: list[int]) -> Facts:
    scanner = Scanner()
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    for start, end in itertools.pairwise(edges):
        scanner.feed(raw[start:end])
    return scanner.close()


def sound(raw: bytes, facts: Facts) -> Part:
    """Check everything that holds for the facts of any octets; the tree."""
    root = Part.load(facts.parts)
    assert root.dump() == facts.parts
    assert facts.size == len(raw)
    assert root.header == (0, facts.header_size)
    assert root.body == (facts.header_size, len(raw))
    parts = list(every(root))
    assert len(parts) <= content.MAX_PARTS
    for part in parts:
        assert part.header[0] <= part.header[1] == part.body[0] <= part.body[1]
        assert part.lines == raw.count(b"\n", *part.body)
        at = part.body[0]
        for child in part.children:
            assert at <= child.header[0]
            assert child.body[1] <= part.body[1]
            at = child.body[1]
        holds_message = part.type == "message" and part.subtype in ("rfc822", "global")
        assert bool(part.children) == (part.type == "multipart" or holds_message)
        assert len(part.children) == 1 or not holds_message
    check_envelope(read(facts.envelope))
    assert check_body(read(facts.body), extension=False) == len(parts)
    assert check_body(read(facts.bodystructure), extension=True) == len(parts)
    return root


MIXED = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n"

CASES: dict[str, tuple[bytes, Any]] = {
    "nothing": (b"", ("text/plain", b"")),
    "a header alone": (b"Subject: x\r\n\r\n", ("text/plain", b"")),
    "a header without a blank line": (b"Subject: x", ("text/plain", b"")),
    "a body alone": (b"\r\nbody\r\n", ("text/plain", b"body\r\n")),
    "a body alone, bare LF": (b"\nbody\n", ("text/plain", b"body\n")),
    "one CR": (b"\r", ("text/plain", b"")),
    "text": (b"Content-Type: TEXT/HTML\r\n\r\n<p>", ("text/html", b"<p>")),
    "a content type without a slash": (b"Content-Type: text\r\n\r\nx", ("text/plain", b"x")),
    "a content type of garbage": (b"Content-Type: (\xff\0;;;\"\r\n\r\nx", ("text/plain", b"x")),
    "a folded content type": (b"Content-Type:\r\n image/\r\n\tpng (c;(d)) ; name=x\r\n\r\nx", ("image/png", b"x")),
    "the first content type counts": (
        b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\nx",
        ("a/b", b"x"),
    ),
    "parts": (
        MIXED % b"b" + b"preamble\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue",
        ("multipart/mixed", [("text/plain", b"one"), ("text/html", b"two\r\n")]),
    ),
    "parts, bare LF": (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n\n--b--\n",
        ("multipart/mixed", [("text/plain", b"one"), ("text/plain", b"two\n")]),
    ),
    "no closing delimiter": (
        MIXED % b"b" + b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n",
        ("multipart/mixed", [("text/plain", b"one"), ("text/plain", b"two\r\n")]),
    ),
    "a delimiter at the very end": (
        MIXED % b"b" + b"--b\r\n\r\none\r\n--b",
        ("multipart/mixed", [("text/plain", b"one"), ("text/plain", b"")]),
    ),
    "a closing delimiter at the very end": (
        MIXED % b"b" + b"--b\r\n\r\none\r\n--b--",
        ("multipart/mixed", [("text/plain", b"one")]),
    ),
    "no delimiter": (MIXED % b"b" + b"just text\r\n", ("multipart/mixed", [("text/plain", b"just text\r\n")])),
    "no boundary": (
        b"Content-Type: multipart/mixed\r\n\r\n--\r\n",
        ("multipart/mixed", [("text/plain", b"--\r\n")]),
    ),
    "an empty boundary": (MIXED % b'""' + b"--\r\n\r\nx\r\n", ("multipart/mixed", [("text/plain", b"--\r\n\r\nx\r\n")])),
    "only the closing delimiter": (MIXED % b"b" + b"--b--\r\n", ("multipart/mixed", [("text/plain", b"--b--\r\n")])),
    "empty parts": (
        MIXED % b"b" + b"--b\r\n\r\n--b\r\n\r\n\r\n--b\r\n\r\n--b--\r\n",
        ("multipart/mixed", [("text/plain", b""), ("text/plain", b""), ("text/plain", b"")]),
    ),
    "delimiters in a row": (
        MIXED % b"b" + b"--b\r\n--b\r\n\r\none\r\n--b\r\n--b\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
        ("multipart/mixed", [("text/plain", b"one"), ("text/plain", b"two")]),
    ),
    "an opening and a closing delimiter in a row": (
        MIXED % b"b" + b"--b\r\n--b--\r\n",
        ("multipart/mixed", [("text/plain", b"")]),
    ),
    "a part that is a header": (
        MIXED % b"b" + b"--b\r\nContent-Type: text/html\r\n--b\r\nContent-Type: a/b\r\n\r\n--b--\r\n",
        ("multipart/mixed", [("text/html", b""), ("a/b", b"")]),
    ),
    "white space behind delimiters": (
        MIXED % b'"b c "' + b"--b c \t \r\n\r\none\r\n--b c--  \r\nrest",
        ("multipart/mixed", [("text/plain", b"one")]),
    ),
    "what only looks like a delimiter": (
        MIXED % b"b" + b"--b\r\n\r\n--bb\r\n--b-\r\n --b\r\n-b\r\n--\r\n--b--x\r\n--B\r\nx--b\r\n--b--\r\n",
        ("multipart/mixed", [("text/plain", b"--bb\r\n--b-\r\n --b\r\n-b\r\n--\r\n--b--x\r\n--B\r\nx--b")]),
    ),
    "a boundary that begins like another": (
        MIXED % b"b" + b"--b\r\n" + MIXED % b"b1" + b"--b1\r\n\r\none\r\n--b1--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
        ("multipart/mixed", [("multipart/mixed", [("text/plain", b"one")]), ("text/plain", b"two")]),
    ),
    "a boundary that ends like a last one": (
        MIXED % b"b" + b"--b\r\n" + MIXED % b"b--" + b"--b--\r\n\r\none\r\n--b----\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
        ("multipart/mixed", [("multipart/mixed", [("text/plain", b"one")]), ("text/plain", b"two")]),
    ),
    "one boundary for two": (
        MIXED % b"b" + b"--b\r\n" + MIXED % b"b" + b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
        ("multipart/mixed", [("multipart/mixed", [("text/plain", b"one")]), ("text/plain", b"two")]),
    ),
    "an inner multipart that is not closed": (
        MIXED % b"a" + b"--a\r\n" + MIXED % b"b" + b"--b\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--a--\r\n",
        ("multipart/mixed", [("multipart/mixed", [("text/plain", b"one")]), ("text/plain", b"two")]),
    ),
    "a delimiter of the inner one after its end": (
        MIXED % b"a" + b"--a\r\n" + MIXED % b"b" + b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\nno\r\n--a--\r\n",
        ("multipart/mixed", [("multipart/mixed", [("text/plain", b"one")])]),
    ),
    "a message": (
        b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n",
        ("message/rfc822", [("text/plain", b"body\r\n")]),
    ),
    "an international message": (
        b"Content-Type: message/global\r\n\r\nSubject: in\r\n\r\nbody\r\n",
        ("message/global", [("text/plain", b"body\r\n")]),
    ),
    "a message without anything": (b"Content-Type: message/rfc822\r\n", ("message/rfc822", [("text/plain", b"")])),
    "a message that is a body": (
        b"Content-Type: message/rfc822\r\n\r\n\r\nbody\r\n",
        ("message/rfc822", [("text/plain", b"body\r\n")]),
    ),
    "a message that is a header, within parts": (
        MIXED % b"b" + b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n--b--\r\n",
        ("multipart/mixed", [("message/rfc822", [("text/plain", b"")])]),
    ),
    "a message with parts, within parts": (
        MIXED % b"a" + b"--a\r\nContent-Type: message/rfc822\r\n\r\n" + MIXED % b"b" + b"--b\r\n\r\none\r\n--a--\r\n",
        ("multipart/mixed", [("message/rfc822", [("multipart/mixed", [("text/plain", b"one")])])]),
    ),
    "an encoded message is an attachment": (
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDog\r\n",
        ("application/octet-stream", b"U3ViamVjdDog\r\n"),
    ),
    "a delivery status": (b"Content-Type: message/delivery-status\r\n\r\na: b\r\n", ("message/delivery-status", b"a: b\r\n")),
    "a digest": (
        (MIXED % b"b").replace(b"mixed", b"digest")
        + b"--b\r\n\r\nSubject: x\r\n\r\none\r\n--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n"
        + b"--b\r\nContent-Type: bad\r\n\r\nthree\r\n--b--\r\n",
        (
            "multipart/digest",
            [("message/rfc822", [("text/plain", b"one")]), ("text/plain", b"two"), ("text/plain", b"three")],
        ),
    ),
    "a boundary in RFC 2231's pieces": (
        b"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c\r\n\r\n--bc\r\n\r\none\r\n--bc--\r\n",
        ("multipart/mixed", [("text/plain", b"one")]),
    ),
    "NUL and 8-bit": (
        MIXED % b"\xff" + b"--\xff\r\n\r\n\0\xff\r\n--\xff--\r\n",
        ("multipart/mixed", [("text/plain", b"\0\xff")]),
    ),
    "bare CR is no line end": (b"Subject: x\r\rbody\r\n\r\nbody\r--b", ("text/plain", b"body\r--b")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_message_has_the_parts_that_its_octets_say(name: str) -> None:
    raw, expected = CASES[name]
    assert outline(raw, sound(raw, scan(raw))) == expected


@pytest.mark.parametrize("name", CASES)
def test_one_octet_at_a_time_gives_the_same_facts(name: str) -> None:
    raw, _ = CASES[name]
    assert in_pieces(raw, list(range(len(raw)))) == scan(raw)


FRAGMENTS = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"--", b"--a", b"--a--", b"--aa", b"--aa--", b"\r\n--a\r\n"),
        *(b"\r\n--aa\r\n", b"\r\n--a--\r\n", b"\r\n--aa--\r\n", b" ", b"\t", b"\0", b"\xff", b"text"),
        *(b'"', b"\\", b"(", b")", b"<", b">", b"=?", b"@", b",", b":", b";", b"/;="),
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n",
        b"Content-Type: multipart/digest; boundary=aa\r\n\r\n",
        b"Content-Type: multipart/mixed;\n boundary=a\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Type:",
        b"Content-Disposition: attachment; filename*0*=utf-8''%41; filename*1=b\r\n",
        b"Content-Language: a, b\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        *(b"From: ", b"To: a@b, c: d@e;, <@f:g@h>", b"Subject:"),
    ]
)
GARBAGE = st.lists(FRAGMENTS | st.binary(max_size=6), max_size=40).map(b"".join)


@given(GARBAGE, st.lists(st.integers(0, 1 << 16), max_size=12))
@settings(max_examples=400, deadline=None)
def test_any_octets_in_any_pieces_give_the_same_sound_facts(raw: bytes, cuts: list[int]) -> None:
    facts = scan(raw)
    sound(raw, facts)
    assert in_pieces(raw, cuts) == facts


LIMITS = st.fixed_dictionaries(
    {
        "MAX_DEPTH": st.integers(1, 4),
        "MAX_PARTS": st.integers(2, 6),
        "MAX_HEADER": st.integers(1, 80),
        "MAX_HEADERS": st.integers(1, 200),
        "MAX_SHOWN": st.integers(1, 300),
        "MAX_DELIMITER": st.integers(4, 12),
        "MAX_CANDIDATES": st.integers(1, 8),
    }
)


@given(GARBAGE, st.lists(st.integers(0, 1 << 16), max_size=12), LIMITS)
@settings(max_examples=400, deadline=None)
def test_at_its_limits_too_the_scanner_gives_the_same_sound_facts(
    raw: bytes, cuts: list[int], limits: dict[str, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(content, name, limit)
        facts = scan(raw)
        sound(raw, facts)
        assert in_pieces(raw, cuts) == facts
        assert in_pieces(raw, list(range(len(raw)))) == facts


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_noise_gives_sound_facts(raw: bytes) -> None:
    sound(raw, scan(raw))


# A message made from a tree, with the offsets known while it is made.

TEXTS = st.lists(st.sampled_from([b"", b"a", b"- -", b"line", b"-", b"--x", b"--b", b"--b1x"]), max_size=4)
LEAVES = TEXTS.map(lambda lines: ("text/plain", b"\r\n".join(lines)))
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.tuples(st.just("multipart/mixed"), st.lists(inner, min_size=1, max_size=4))
        | st.tuples(st.just("message/rfc822"), st.lists(inner, min_size=1, max_size=1))
    ),
    max_leaves=12,
)


def written(node: Any, path: str = "b") -> bytes:
    name, inside = node
    if isinstance(inside, bytes):
        return b"Content-Type: %b\r\n\r\n%b" % (name.encode(), inside)
    if name == "message/rfc822":
        return b"Content-Type: message/rfc822\r\n\r\n" + written(inside[0], path + "m")
    boundary = f"{path}0.".encode()
    parts = b"".join(
        b"--%b\r\n%b\r\n" % (boundary, written(child, f"{path}{index}")) for index, child in enumerate(inside, start=1)
    )
    return b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n%b--%b--\r\n" % (boundary, parts, boundary)


@given(TREES, st.lists(st.integers(0, 1 << 16), max_size=8))
@settings(deadline=None)
def test_a_tree_comes_back_from_the_message_made_of_it(node: Any, cuts: list[int]) -> None:
    raw = written(node)
    root = sound(raw, in_pieces(raw, cuts))

    def as_tree(part: Part) -> Any:
        name = f"{part.type}/{part.subtype}"
        return (name, [as_tree(child) for child in part.children] if part.children else body(raw, part))

    assert as_tree(root) == node


def test_slices_of_a_part_are_its_octets() -> None:
    inner = b"Content-Type: text/html; charset=X\r\nContent-ID: <1>\r\n\r\n<p>\r\n</p>"
    raw = MIXED % b"b" + b"--b\r\n" + inner + b"\r\n--b--\r\n"
    [part] = tree(raw).children
    assert raw[part.header[0] : part.body[1]] == inner
    assert raw[slice(*part.header)].endswith(b"<1>\r\n\r\n")
    assert (part.lines, part.charset, part.encoding, part.filename) == (1, "x", "7bit", None)


def test_a_part_survives_dump_and_load() -> None:
    part = Part("a", "b", (0, 1), (1, 9), 2, "8bit", 'x"\\', 'ä\u20ac\U0001f4a9\n"', ())
    nested = Part("multipart", "mixed", (0, 0), (0, 9), 3, "7bit", None, None, (part, Part.load(part.dump()), part))
    assert Part.load(nested.dump()) == nested
    assert json.loads(nested.dump())[0][:2] == ["multipart", "mixed"]


# Bombs.


def test_a_nesting_bomb_is_opened_a_hundred_levels_deep() -> None:
    raw = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(10_000))
    facts = scan(raw)
    root = sound(raw, facts)
    assert in_pieces(raw, list(range(0, len(raw), 997))) == facts
    chain = list(every(root))
    assert len(chain) == content.MAX_DEPTH
    assert (chain[-1].type, chain[-1].subtype) == ("application", "octet-stream")
    assert chain[-1].body[1] == len(raw)


def test_messages_within_messages_are_opened_a_hundred_levels_deep() -> None:
    raw = b"Content-Type: message/rfc822\r\n\r\n" * 10_000 + b"end"
    chain = list(every(sound(raw, scan(raw))))
    assert len(chain) == content.MAX_DEPTH
    assert chain[-1].type == "application"


@pytest.mark.parametrize(
    "header", [b"", b"Content-Type: message/rfc822\r\n", b"Content-Type: multipart/x; boundary=q\r\n"]
)
def test_parts_are_counted_and_bounded(header: bytes) -> None:
    raw = MIXED % b"b" + (b"--b\r\n" + header + b"\r\nx\r\n") * 30_000
    facts = scan(raw)
    root = sound(raw, facts)
    assert content.MAX_PARTS - 2 <= len(list(every(root))) <= content.MAX_PARTS
    assert in_pieces(raw, list(range(0, len(raw), 65_537))) == facts


def test_exactly_as_many_parts_as_are_allowed_are_seen() -> None:
    raw = MIXED % b"b" + b"--b\r\n\r\nx\r\n" * (content.MAX_PARTS - 1) + b"--b--\r\n"
    assert [body(raw, leaf) for leaf in leaves(tree(raw))] == [b"x"] * (content.MAX_PARTS - 1)


@pytest.mark.parametrize("blank", [b"\r\n\r\nbody", b"", b"\r\n"])
def test_of_a_huge_header_the_beginning_is_looked_at(blank: bytes) -> None:
    raw = b"From: a@example.org\r\nSubject: " + b"s" * (1 << 20) + b"\r\nTo: b@example.org" + blank
    facts = scan(raw)
    sound(raw, facts)
    assert in_pieces(raw, list(range(0, len(raw), 10_007))) == facts
    assert facts.header_size == len(raw.removesuffix(b"body"))
    envelope = read(facts.envelope)
    assert envelope[2] == [[None, None, b"a", b"example.org"]]
    assert envelope[1].startswith(b"sss")
    assert len(envelope[1]) < content.MAX_HEADER
    assert envelope[5] is None


def test_a_delimiter_after_a_header_just_as_long_as_is_looked_at_changes_nothing() -> None:
    start = MIXED % b"b" + b"--b\r\nSubject: "
    for length in range(content.MAX_HEADER - 20, content.MAX_HEADER + 3):
        raw = start + b"s" * (length - len(b"Subject: ")) + b"\r\nContent-Type: a/b\r\n--b--\r\n"
        assert in_pieces(raw, [len(raw) - 12, len(raw) - 9, len(raw) - 5]) == scan(raw)


@pytest.mark.parametrize("length", [content.MAX_DELIMITER - 1, content.MAX_DELIMITER])
def test_a_delimiter_line_of_just_the_longest_length_is_one(length: int) -> None:
    line = b"--b" + b" " * (length - 3)
    for end in (b"\n\nx", b""):
        raw = MIXED % b"b" + line + end
        seen = [body(raw, leaf) for leaf in leaves(tree(raw))] == [end[2:]]
        assert seen == (length < content.MAX_DELIMITER)
        for cut in range(len(raw) - 8, len(raw)):
            assert in_pieces(raw, [cut]) == scan(raw)


@pytest.mark.parametrize(
    "part", [b"--b\r\n\r\n--bX\r\n", b"--b\r\n" + MIXED % b"q" + b"--b\r\n", b"--b\r\n--X\r\n\r\n"]
)
def test_the_search_for_delimiters_is_bounded(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for most in (7, 8):
        monkeypatch.setattr(content, "MAX_CANDIDATES", most)
        raw = MIXED % b"b" + part * 20 + MIXED % b"c" + b"--c\r\n\r\nx"
        facts = scan(raw)
        root = sound(raw, facts)
        assert 3 < len(root.children) <= 8
        assert in_pieces(raw, list(range(0, len(raw), 3))) == facts


def test_all_headers_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_HEADERS", 500)
    part = b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\nx\r\n"
    raw = MIXED % b"b" + part * 20
    facts = scan(raw)
    sound(raw, facts)
    assert in_pieces(raw, list(range(0, len(raw), 7))) == facts
    kinds = [leaf.subtype for leaf in leaves(Part.load(facts.parts))]
    assert kinds[0] == "html"
    assert kinds[-1] == "plain"
    assert len(kinds) == 20


def test_what_parts_add_to_bodystructure_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_SHOWN", 10_000)
    message = b"Content-Type: message/rfc822; name=%s\r\n\r\nFrom: %s\r\nSubject: x\r\n\r\nx\r\n" % (
        b"n" * 100,
        b"a," * 200,
    )
    raw = MIXED % b"b" + b"".join(b"--b\r\n" + message for _ in range(50))
    facts = scan(raw)
    sound(raw, facts)
    assert len(facts.bodystructure) < 10_000 + 20_000 + 50 * 400
    first, *_, last = read(facts.bodystructure)[:50]
    assert first[2] == [b"NAME", b"n" * 100]
    assert first[7][1] == b"x"
    assert last[2] is None
    assert last[7] == [None] * 10


def test_a_hundred_thousand_addresses_are_shown_up_to_a_bound() -> None:
    one = b"a@b.example, "
    few = read(scan(b"To: " + one * 10_000 + b"\r\n\r\n").envelope)[5]
    assert len(few) == 10_000
    raw = b"To: " + one * 100_000 + b"\r\n\r\nx"
    facts = scan(raw)
    sound(raw, facts)
    assert len(read(facts.envelope)[5]) == 10_000


def test_memory_does_not_grow_with_an_attachment() -> None:
    line = b"QUJD" * 19 + b"\r\n"
    chunk = line * 800
    scanner = Scanner()
    scanner.feed(MIXED % b"b" + b"--b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n")
    scanner.feed(chunk)
    tracemalloc.start()
    try:
        for _ in range(300):
            scanner.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    scanner.feed(b"--b--\r\n")
    [part] = Part.load(scanner.close().parts).children
    assert part.body[1] - part.body[0] == 301 * len(chunk) - 2
    assert part.lines == 301 * 800 - 1
    assert peak < 8 * len(chunk)


def test_a_header_without_end_does_not_fill_the_memory() -> None:
    scanner = Scanner()
    chunk = b"x" * 60_000
    tracemalloc.start()
    try:
        for _ in range(200):
            scanner.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert scanner.close().header_size == 200 * 60_000
    assert peak < 8 * content.MAX_HEADER


class _Counting:
    """Counts the octets that searches of the scanner pass over."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern, self.octets = pattern, 0

    def search(self, data: bytes, at: int) -> re.Match[bytes] | None:
        found = self.pattern.search(data, at)
        self.octets += (found.end() if found else len(data)) - at
        return found


@pytest.mark.parametrize(
    "part",
    [
        b"--b\r\n\r\nx\r\n",
        b"--b\nA: b\n\nx\n",
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n",
        b"--c\r\n\r\nx\r\n",
    ],
)
def test_header_searches_pass_over_each_octet_a_few_times_at_most(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = [_Counting(content._BLANK_LINE), _Counting(content._BLANK_LINE_OR_DELIMITER)]
    monkeypatch.setattr(content, "_BLANK_LINE", counting[0])
    monkeypatch.setattr(content, "_BLANK_LINE_OR_DELIMITER", counting[1])
    raw = MIXED % b"b" + part * 5_000
    scan(raw)
    assert sum(one.octets for one in counting) < 3 * len(raw)


# The standard library as a judge.


def _library() -> dict[str, bytes]:
    """The odd messages of the running Python's own e-mail tests."""
    found = util.find_spec("test")
    places = found.submodule_search_locations if found else None
    files = [path for place in places or () for path in sorted(Path(place).glob("test_email/data/*.txt"))]
    return {f"{path.stem}{end}": _with(path.read_bytes(), ends) for path in files for end, ends in ENDS.items()}


ENDS = {"": None, "-crlf": b"\r\n", "-lf": b"\n"}


def _with(raw: bytes, ends: bytes | None) -> bytes:
    return raw if ends is None else re.sub(rb"\r\n|\r|\n", ends, raw)


LIBRARY = _library()


def test_the_library_came_with_its_messages() -> None:
    if not LIBRARY:
        pytest.skip("THIS PYTHON CAME WITHOUT ITS E-MAIL TESTS: the judge of the scanner is missing")
    assert len(LIBRARY) > 100


@pytest.mark.parametrize("name", LIBRARY)
def test_odd_messages_give_sound_facts_in_any_pieces(name: str) -> None:
    raw = LIBRARY[name]
    facts = scan(raw)
    sound(raw, facts)
    for step in (1, 2, 3, 17, 64):
        assert in_pieces(raw, list(range(0, len(raw), step))) == facts


def judged(message: email.message.Message) -> Iterator[email.message.Message]:
    """The leaves, as the standard library sees them; only what IMAP calls a message is looked into."""
    waiting: list[Any] = [message]
    while waiting:
        one = waiting.pop()
        inside = one.get_content_maintype() == "multipart" or one.get_content_type() in (
            "message/rfc822",
            "message/global",
        )
        if inside and one.is_multipart():
            waiting.extend(reversed(one.get_payload()))
        else:
            yield one


def clean(message: email.message.Message) -> bool:
    return not any(part.defects for part in message.walk())


JUDGED = {name: message for name, raw in LIBRARY.items() if clean(message := email.message_from_bytes(raw))}


def test_the_judge_understands_most_of_its_own_messages() -> None:
    assert len(JUDGED) > len(LIBRARY) // 2 or not LIBRARY


@pytest.mark.parametrize("name", JUDGED)
def test_the_standard_library_sees_the_same_parts(name: str) -> None:
    raw, message = LIBRARY[name], JUDGED[name]
    theirs, ours = list(judged(message)), leaves(tree(raw))
    assert [f"{leaf.type}/{leaf.subtype}" for leaf in ours] == [part.get_content_type() for part in theirs]
    for leaf, part in zip(ours, theirs, strict=True):
        payload = part.get_payload()
        if isinstance(payload, str):
            assert body(raw, leaf) == payload.encode("ascii", "surrogateescape")
        if leaf.type == "text":
            assert leaf.charset in (part.get_content_charset(), "us-ascii")
        assert leaf.encoding == str(part.get("content-transfer-encoding", "7bit")).lower().strip()


@pytest.mark.parametrize(
    ("part", "octets", "expected"),
    [
        (("plain", "7bit", None), b"caf\xc3\xa9\r\n", "café\r\n"),
        (("plain", "8bit", "us-ascii"), b"caf\xe9", "café"),
        (("plain", "8bit", "iso-8859-15"), b"\xa4", "€"),
        (("plain", "quoted-printable", "utf-8"), b"caf=C3=A9 =\r\nau lait=20\r\n", "café au lait \r\n"),
        (("plain", "quoted-printable", "utf-8"), b"=zz=", "=zz"),
        (("plain", "base64", "utf-8"), b"Y2Fm\r\nw6k=\r\n", "café"),
        (("plain", "base64", "utf-8"), b"!Y2Fmw6k", "café"),
        (("plain", "base64", "x-unknown"), b"AAAAA", "\0\0\0"),
        (("plain", "7bit", "x-unknown"), b"a\xffb", "a\ufffdb"),
        (("plain", "7bit", "punycode"), b"abc", "abc"),
        (("plain", "7bit", "unicode_escape"), b"\\u0041", "\\u0041"),
        (("plain", "7bit", "utf-7"), b"+2AA-", "\ufffd"),
        (("plain", "x-strange", "utf-16"), b"\xff\xfea\0b", "a\ufffd"),
    ],
)
def test_text_is_decoded_whatever_it_says(part: tuple[str, str, str | None], octets: bytes, expected: str) -> None:
    subtype, encoding, charset = part
    assert text_of(Part("text", subtype, (0, 0), (0, 0), 0, encoding, charset, None), octets) == expected
