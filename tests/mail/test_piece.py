"""Parts have one number, wherever they are told of: that by which IMAP fetches them."""

from __future__ import annotations

import messages
import pytest

from mailsystem.imap.structure import find_part
from mailsystem.mail.attachment import attachments
from mailsystem.mail.content import scan
from mailsystem.mail.part import Part
from mailsystem.mail.piece import pieces
from mailsystem.mail.reading import read
from mailsystem.web.letters import leaves, numbered


def within(kind: str, *parts: bytes) -> bytes:
    inside = b"".join(b"--b%d\r\n%b\r\n" % (len(parts), each) for each in parts)
    return b"Content-Type: multipart/%b; boundary=b%d\r\n\r\n%b--b%d--\r\n" % (
        kind.encode(),
        len(parts),
        inside,
        len(parts),
    )


TEXT = b"Content-Type: text/plain\r\n\r\nx"
FILE = b"Content-Type: application/pdf; name=a.pdf\r\n\r\nx"
MESSAGE = b"Content-Type: message/rfc822\r\n\r\n"

MAILS = {
    "text": TEXT,
    "mixed": within("mixed", TEXT, FILE),
    "deep": within("mixed", within("alternative", TEXT, TEXT, within("related", TEXT, FILE, FILE, FILE)), FILE),
    "a message": MESSAGE + TEXT,
    "a message of parts": MESSAGE + within("mixed", TEXT, FILE),
    "a message in a message": MESSAGE + MESSAGE + within("mixed", TEXT, FILE),
    "messages as parts": within("mixed", TEXT, MESSAGE + TEXT, MESSAGE + within("related", TEXT, FILE, FILE), FILE),
    "a digest": within("digest", b"\r\nSubject: a\r\n\r\nx", b"\r\n" + within("mixed", TEXT, FILE, FILE)),
    "nested": messages.nested(20),
    "many": messages.many_parts(30),
    "nothing inside": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n",
    **messages.library(),
}


@pytest.mark.parametrize("name", MAILS)
def test_every_number_is_that_of_imap(name: str) -> None:
    facts = scan(MAILS[name])
    root = Part.load(facts.parts)
    found = list(pieces(root))
    own = {each.section: each.part for each in found if each.is_numbered}
    for section, part in own.items():
        if section:
            assert find_part(root, tuple(map(int, section.split(".")))) is part, section
        else:
            assert part is root
            assert part.type == "multipart"
    # One that has none of its own is all of the message whose number it has.
    for each in found:
        if not each.is_numbered:
            assert own[each.section].children[0] is each.part
    assert len(own) == sum(each.is_numbered for each in found), "each number once"
    # Whoever else tells of parts, tells of them by these.
    assert dict(numbered(root)) == own
    assert set(leaves(root)) <= set(own.items())
    assert read(MAILS[name]).pieces == found
    told = attachments(facts)
    assert {each.part for each in told} <= set(own)
    assert [each.section for each in read(MAILS[name]).attachments()] == [each.part for each in told]
