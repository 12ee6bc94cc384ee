"""Base subjects (RFC 5256 2.1)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap.subject import Base, base_subject


@pytest.mark.parametrize(
    ("subject", "text", "is_reply"),
    [
        ("", "", False),
        ("hello", "hello", False),
        ("  hello \t world\t ", "hello world", False),
        ("hello\r\n world", "hello world", False),
        # subj-leader = (*subj-blob subj-refwd) / WSP
        ("Re: hello", "hello", True),
        ("re:hello", "hello", True),
        ("RE : hello", "hello", True),
        ("Re[2]: hello", "hello", True),
        ("Re [a] : hello", "hello", True),
        ("Fw: hello", "hello", True),
        ("FWD: hello", "hello", True),
        ("Fwd[x]:hello", "hello", True),
        ("Re: Fwd: RE: fw: hello", "hello", True),
        ("[list] Re: hello", "hello", True),
        ("[a] [b][c] Re: hello", "hello", True),
        ("Re: [list] Re: [list] hello", "hello", True),
        ("Re:", "", True),
        ("Re: Re:", "", True),
        # ... and nothing that only looks like it
        ("Regarding: hello", "Regarding: hello", False),
        ("Re hello", "Re hello", False),
        ("Re[a][b]: hello", "Re[a][b]: hello", False),
        ("Fwdd: hello", "Fwdd: hello", False),
        ("AW: hello", "AW: hello", False),
        ("ʀᴇ: hello", "ʀᴇ: hello", False),
        # subj-blob = "[" *BLOBCHAR "]" *WSP
        ("[list] hello", "hello", False),
        ("[] hello", "hello", False),
        ("[a][b] hello", "hello", False),
        ("[a] hello [b]", "hello [b]", False),
        ("[list]", "[list]", False),
        ("[a] [list]", "[list]", False),
        ("Re: [list]", "[list]", True),
        ("[list] Re:", "", True),
        ("[a[b]] hello", "[a[b]] hello", False),
        ("[a hello", "[a hello", False),
        # subj-trailer = "(fwd)" / WSP
        ("hello (fwd)", "hello", True),
        ("hello(FWD) (Fwd)  ", "hello", True),
        ("(fwd)", "", True),
        ("(fwd) hello", "(fwd) hello", False),
        ("hello (fw)", "hello (fw)", False),
        # subj-fwd = subj-fwd-hdr subject subj-fwd-trl
        ("[fwd: hello]", "hello", True),
        ("[Fwd: Re: [list] hello (fwd)]", "hello", True),
        ("Re: [FWD: [Fwd: hello]]", "hello", True),
        ("[fwd: hello] world", "world", False),
        ("[fwd: hello [x] world]", "hello [x] world", True),
        ("[fwd:]", "", True),
        ("[fwd: hello", "[fwd: hello", False),
        ("[fwd hello]", "[fwd hello]", False),
        ("Grüße", "Grüße", False),
    ],
)
def test_base_subjects(subject: str, text: str, is_reply: bool) -> None:
    assert base_subject(subject) == Base(text, is_reply)


_PARTS = st.sampled_from(["re", "fwd", "fw", ":", "[", "]", " ", "(fwd)", "[fwd:", "x", "[list]", "re: ", "\t", "ü"])


@given(st.lists(_PARTS, max_size=14).map("".join))
def test_what_is_left_has_nothing_more_to_lose(subject: str) -> None:
    base = base_subject(subject)
    again = base_subject(base.text)
    assert again.text == base.text
    assert not again.is_reply
    assert base_subject(f"Re: {subject}") == base._replace(is_reply=True)


@pytest.mark.parametrize("piece", ["[", "]", "[a]", "re:", "[fwd:", "(fwd)", "re[", "[a]re", " ", "re [a]", "[fwd:[a]"])
def test_a_long_subject_takes_no_long_time(piece: str) -> None:
    started = time.process_time()
    base_subject(piece * 100_000)
    base_subject("[a]" + piece * 100_000 + "]")
    assert time.process_time() - started < 0.5
