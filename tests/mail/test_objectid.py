"""EMAILID and THREADID (RFC 8474): one name for one content, one for one conversation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.objectid import emailid, threadid

FIRST = threadid(b"Message-ID: <first@example.org>\r\n\r\n")
OBJECTID = re.compile(r"[A-Za-z0-9_-]{1,255}")


@pytest.mark.parametrize(
    "head",
    [
        b"References: <first@example.org> <second@example.org>\r\nMessage-ID: <third@example.org>\r\n\r\n",
        b"Subject: x\nreferences:\n <first@example.org>\n\t<second@example.org>\nIn-Reply-To: <other@example.org>\n\n",
        b"In-Reply-To: your words of yesterday <first@example.org>\r\nMessage-ID: <second@example.org>\r\n\r\n",
        b"References: \r\nIn-Reply-To:\r\nMessage-ID : <first@example.org>\r\n\r\n",
        b"Message-ID: <first@\r\n example.org>",
        b"Message-ID: <first@example.org>\r\nMessage-ID: <second@example.org>\r\n\r\n",
    ],
)
def test_everything_that_goes_back_to_one_message_is_one_thread(head: bytes) -> None:
    assert threadid(head) == FIRST


@pytest.mark.parametrize(
    "head", [b"", b"\r\n", b"Subject: <x@y>\r\n\r\n", b"Message-ID: none\r\n\r\n", b"References: <>\r\n\r\n"]
)
def test_a_message_without_ids_is_in_no_thread(head: bytes) -> None:
    assert threadid(head) is None


def test_other_messages_are_other_threads() -> None:
    assert threadid(b"Message-ID: <second@example.org>\r\n\r\n") != FIRST


@given(st.binary(max_size=300), st.sampled_from([b"", b"References: <", b"Message-ID: <a"]))
def test_any_header_gives_an_objectid_or_none(garbage: bytes, begun: bytes) -> None:
    made = threadid(begun + garbage)
    assert made is None or OBJECTID.fullmatch(made)


def test_an_emailid_is_an_objectid() -> None:
    assert OBJECTID.fullmatch(emailid(ContentId(1)))
    assert emailid(ContentId(1)) != emailid(ContentId(11))
