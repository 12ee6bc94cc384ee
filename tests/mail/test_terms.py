"""Terms of texts and clues of needles: whatever stands in a text is found by its terms, and what is sure is so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.content import Part, scan
from mailsystem.mail.haystack import Words, fold, found_in, pieces
from mailsystem.mail.terms import LONGEST, MOST_TERMS, Gathered, Kind, Probe, probe_field, probe_words, terms, terms_in

TEXT = st.text(st.sampled_from("abcABC12 -_.'@\n\t漢字かなが。ß éÉ“”—ﬁДж\u0301Σσς한글😀"), max_size=60)


def gathered(raw: bytes) -> Gathered:
    root = Part.load(scan(raw).parts)
    found = Gathered(root)
    for piece in pieces(root, LONGEST):
        found.add(piece, raw[piece.start : piece.end])
    return found


def may_hold(probe: Probe, found: Gathered) -> bool:
    kinds = found.kinds()
    assert kinds is not None
    return all(
        any(clue.octets in b"\n%b\n" % term for kind in clue.kinds for term in kinds[kind]) for clue in probe.clues
    )


@given(TEXT, TEXT, TEXT)
def test_a_needle_that_is_there_is_never_missed(before: str, needle: str, after: str) -> None:
    text, needle = fold(before + needle + after), fold(needle)
    probe = probe_words(Words(needle, headers=False)) if needle and needle in text else None
    if probe is not None:
        assert all(any(clue.octets in b"\n%b\n" % term for term in terms(text)) for clue in probe.clues)


@given(TEXT, st.one_of(TEXT, st.text(st.sampled_from("abé漢字"), min_size=1, max_size=3)))
def test_what_is_sure_is_so(text: str, needle: str) -> None:
    text, needle = fold(text), fold(needle)
    probe = probe_words(Words(needle, headers=False)) if needle else None
    if probe is not None and probe.exact:
        found = all(any(clue.octets in b"\n%b\n" % term for term in terms(text)) for clue in probe.clues)
        assert found == (needle in text)


@given(st.integers(1, 700), st.integers(0, 699), st.integers(1, 80), st.sampled_from(["", "é", "语"]))
def test_no_part_of_a_run_without_end_is_lost(length: int, start: int, size: int, extra: str) -> None:
    run = fold("".join(chr(ord("a") + number * 7 % 26) for number in range(length)) + extra)
    needle = run[start : start + size]
    probe = probe_words(Words(needle, headers=False)) if needle else None
    assert probe is None or all(any(clue.octets in b"\n%b\n" % term for term in terms(run)) for clue in probe.clues)


@given(st.one_of(TEXT, st.text(max_size=80)))
def test_folding_what_is_left_of_the_words_gives_the_terms_of_the_folded_text(text: str) -> None:
    assert terms_in(text.encode("utf-8", "surrogatepass")) == terms(fold(text))


@given(
    st.lists(
        st.sampled_from(["Word", "É", "x" * 150, "語", "\u0301", " ", "_", "\r\n", "İ", "½", "\u00a0", "＠"]),
        max_size=300,
    )
)
def test_words_side_by_side_are_cut_where_the_folded_text_is(words: list[str]) -> None:
    text = "".join(words) * 20
    assert terms_in(text.encode()) == terms(fold(text))


def test_terms_are_words_and_pairs() -> None:
    assert terms(fold("Hello, hello WORLD_2!")) == {b"hello", b"world", b"2"}
    assert terms(fold("東京都 へ")) == {text.encode() for text in ("東京", "京都", "へ")}
    assert terms("") == set()
    assert all(len(term) <= LONGEST for term in terms("x" * 100_000))


def test_one_run_is_sure_and_more_are_not() -> None:
    for needle, exact in {
        "meeting": True, "eet": True, "é": True, "京": True, "東京": True, "don’t": True,
        "東京都": False, "two words": False, " word": False, "word.": False, "a" * 65: False, "abc京": False,
    }.items():  # fmt: skip
        probe = probe_words(Words(fold(needle), headers=True))
        assert probe is not None
        assert probe.exact is exact, needle
    assert probe_words(Words("- -", headers=True)) is None


def test_kinds_say_where_a_term_stands() -> None:
    found = gathered(
        b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nSUBJECT: one\r\nX-Loop: loop\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.png\r\n\r\nnothing\r\n--b\r\n\r\ntext\r\n--b--\r\n"
    ).kinds()
    assert found is not None
    assert found[Kind.SUBJECT] == {b"one"}
    assert found[Kind.FROM] == {fold("jörg").encode(), b"joerg", b"example", b"org"}
    assert found[Kind.BODY] == {b"text"}
    assert {b"subject", b"from", b"loop", fold("résumé").encode(), b"png"} <= found[Kind.HEADERS]
    assert not {b"one", b"nothing", b"joerg"} & found[Kind.HEADERS]


@given(st.binary(max_size=200), st.sampled_from([b"SUBJECT", b"X-A", b"CC", b"\xff"]), TEXT)
def test_any_message_and_field_can_be_asked_about(raw: bytes, name: bytes, needle: str) -> None:
    probe = probe_field(name, fold(needle))
    if probe is not None:
        may_hold(probe, gathered(raw))


def test_too_many_terms_are_not_kept() -> None:
    body = " ".join(map(str, range(MOST_TERMS + 10))).encode()
    assert gathered(b"Subject: x\r\n\r\n" + body).kinds() is None
    assert gathered(b"X: " + b"y" * 300_000 + b"\r\n\r\nbody").kinds() is None


def test_a_file_is_found_by_the_name_that_people_see() -> None:
    raw = b"Content-Type: application/pdf\r\nContent-Disposition: attachment;\r\n filename*=utf-8''%C3%9Cbersicht.pdf\r\n\r\nx"
    words = Words(fold("übersicht.pdf"), headers=True)
    assert found_in([words], pieces(Part.load(scan(raw).parts), 20), raw, 0) == {words}
