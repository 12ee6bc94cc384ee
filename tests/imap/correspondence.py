"""A mailbox of some sixty messages of all kinds, and a slow, plain judge of what SEARCH has to find in it.

The judge reads messages with the standard library and knows nothing of how we do it.
"""

from __future__ import annotations

import base64
import email
import email.policy
import email.utils
import quopri
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.message import EmailMessage
from typing import Any

DAY = 86_400.0
BEGIN = datetime(2024, 2, 25, 12, tzinfo=UTC).timestamp()


@dataclass
class Kept:
    """One message in the mailbox."""

    uid: int
    raw: bytes
    flags: frozenset[str]
    internaldate: float
    recent: bool = False

    def __post_init__(self) -> None:
        self.parsed: EmailMessage = email.message_from_bytes(self.raw, policy=email.policy.default)  # type: ignore[assignment]
        self.header_text = _headers(self.parsed)
        self.body_text, self.part_headers = _texts(self.parsed)

    @property
    def arrived(self) -> date:
        return datetime.fromtimestamp(self.internaldate, UTC).date()

    @property
    def sent(self) -> date | None:
        value = self.parsed["Date"]
        found = email.utils.parsedate(value) if value else None
        return date(*found[:3]) if found else None


def _headers(message: EmailMessage) -> str:
    return "\n".join(f"{name}: {value}" for name, value in message.items()).casefold()


def _texts(message: EmailMessage) -> tuple[str, str]:
    """The decoded text of all text parts with the headers of messages inside, and all headers of parts."""
    body, headers = [], []
    for part in message.walk():
        inside = part is not message
        if inside:
            headers.append(_headers(part))  # type: ignore[arg-type]
        if part.get_content_type() == "message/rfc822":
            body.append(_headers(part.get_payload(0)))  # type: ignore[arg-type]
        elif part.get_content_maintype() == "text":
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            body.append(octets.decode(part.get_content_charset("utf-8")).casefold())
    return "\n".join(body), "\n".join(headers)


FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "$Forwarded", "Work")


def holds(key: Any, kept: Kept, uids: list[int]) -> bool:
    """Whether a key in the judge's own form is true: a word, or a tuple of a word and what belongs to it."""
    word, *rest = (key,) if isinstance(key, str) else key
    match word:
        case "AND":
            return all(holds(one, kept, uids) for one in rest)
        case "OR":
            return holds(rest[0], kept, uids) or holds(rest[1], kept, uids)
        case "NOT":
            return not holds(rest[0], kept, uids)
        case "ALL":
            return True
        case "RECENT":
            return kept.recent
        case "OLD":
            return not kept.recent
        case "NEW":
            return kept.recent and "\\Seen" not in kept.flags
        case "ANSWERED" | "DELETED" | "DRAFT" | "FLAGGED" | "SEEN":
            return "\\" + word.capitalize() in kept.flags
        case "UNANSWERED" | "UNDELETED" | "UNDRAFT" | "UNFLAGGED" | "UNSEEN":
            return "\\" + word[2:].capitalize() not in kept.flags
        case "KEYWORD":
            return rest[0].lower() in {flag.lower() for flag in kept.flags}
        case "UNKEYWORD":
            return rest[0].lower() not in {flag.lower() for flag in kept.flags}
        case "LARGER":
            return len(kept.raw) > int(rest[0])
        case "SMALLER":
            return len(kept.raw) < int(rest[0])
        case "UID":
            return kept.uid in _members(rest[0], max(uids))
        case "SET":
            return uids.index(kept.uid) + 1 in _members(rest[0], len(uids))
        case "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE":
            day = kept.sent if word.startswith("SENT") else kept.arrived
            named = datetime.strptime(rest[0].strip('"'), "%d-%b-%Y").replace(tzinfo=UTC).date()
            if day is None:
                return False
            return {"BEFORE": day < named, "ON": day == named, "SINCE": day >= named}[word.removeprefix("SENT")]
        case "BCC" | "CC" | "FROM" | "SUBJECT" | "TO":
            return _in_field(kept, word, rest[0])
        case "HEADER":
            return _in_field(kept, rest[0], rest[1])
        case "BODY":
            return rest[0].casefold() in kept.body_text
        case "TEXT":
            needle = rest[0].casefold()
            return any(needle in text for text in (kept.header_text, kept.body_text, kept.part_headers))
        case _:
            raise AssertionError(key)


def _in_field(kept: Kept, name: str, needle: str) -> bool:
    return any(needle.casefold() in str(value).casefold() for value in kept.parsed.get_all(name, []))


def _members(text: str, highest: int) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        low, _, high = item.partition(":")
        ends = [highest if end == "*" else int(end) for end in (low, high or low)]
        found.update(range(min(ends), max(ends) + 1))
    return found


def said(key: Any) -> bytes:
    """A key as a client says it, with strings as literals where they are no atoms."""
    word, *rest = (key,) if isinstance(key, str) else key
    match word:
        case "AND":
            return b"(" + b" ".join(map(said, rest)) + b")"
        case "OR" | "NOT":
            return b" ".join([word.encode(), *map(said, rest)])
        case "SET":
            return str(rest[0]).encode()
        case "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" | "BODY" | "TEXT" | "HEADER":
            return b" ".join([word.encode(), *map(_string, rest)])
        case _:
            return " ".join([word, *rest]).encode()


def _string(text: str) -> bytes:
    octets = text.encode()
    if text.isalnum() and text.isascii():
        return octets
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return b'"' + octets + b'"'
    return b"{%d+}\r\n%b" % (len(octets), octets)


# The messages


def _b64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def _qp(octets: bytes) -> bytes:
    return quopri.encodestring(octets).replace(b"\n", b"\r\n")


def _plain(subject: str, body: bytes, *more: bytes, sender: str = "Ann <ann@example.org>", day: int = 1) -> bytes:
    lines = [
        b"From: " + sender.encode(),
        b"To: Bob <bob@example.org>",
        b"Subject: " + subject.encode(),
        b"Date: %02d Mar 2024 23:59:59 -0800" % day,
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _texted(charset: str, encoding: str, body: bytes, subject: str) -> bytes:
    return _plain(
        subject,
        body,
        b"MIME-Version: 1.0",
        f"Content-Type: text/plain; charset={charset}".encode(),
        f"Content-Transfer-Encoding: {encoding}".encode(),
    )


_PICTURE = (
    b"--cut\r\nContent-Type: image/png; name=holiday.png\r\nContent-Disposition: attachment; filename=holiday.png\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + _b64(b"meeting in the picture " * 5)
)

_ALTERNATIVE = _plain(
    "two versions",
    b"--cut\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    + _qp("Das Treffen fällt aus. Straße gesperrt, ganz unten steht das Wort Zinnober.".encode())
    + b"\r\n--cut\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + _b64("<p>Das <b>Treffen</b> fällt aus.</p>".encode())
    + b"--cut--\r\n",
    b"MIME-Version: 1.0",
    b"Content-Type: multipart/alternative; boundary=cut",
)

_WITH_PICTURE = _plain(
    "a picture",
    b"--cut\r\n\r\nsee the picture\r\n" + _PICTURE + b"--cut--\r\n",
    b"MIME-Version: 1.0",
    b"Content-Type: multipart/mixed; boundary=cut",
)

_FORWARDED = _plain(
    "Fwd: hidden",
    b"--cut\r\n\r\nsee below\r\n--cut\r\nContent-Type: message/rfc822\r\nContent-Description: forwarded\r\n\r\n"
    + _plain("The secret plan", b"We meet at the lighthouse.\r\n", sender="Zoe <zoe@lighthouse.example>")
    + b"--cut--\r\n",
    b"MIME-Version: 1.0",
    b"Content-Type: multipart/mixed; boundary=cut",
)

_LARGE = _plain(
    "large",
    b"--cut\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + _b64(bytes(range(256)) * 900)
    + b"--cut\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    + b"nothing to see in this line of the large message\r\n" * 2000
    + b"the albatross is at the end\r\n--cut--\r\n",
    b"MIME-Version: 1.0",
    b"Content-Type: multipart/mixed; boundary=cut",
)

_SPECIAL: list[bytes] = [
    _texted("utf-8", "8bit", "Grüße aus Köln, Frühstück um acht\r\n".encode(), "=?utf-8?q?Gr=C3=BC=C3=9Fe?="),
    _texted(
        "iso-8859-1",
        "quoted-printable",
        _qp("Grüße aus Köln und ein sehr langer Satz, der umbrochen wird, bis er zu Ende ist".encode("latin-1")),
        "=?iso-8859-1?Q?Gr=FC=DFe?=",
    ),
    _texted("koi8-r", "base64", _b64("Привет из Москвы".encode("koi8-r")), "=?koi8-r?B?8NLJ18XU?="),
    _texted("iso-2022-jp", "7bit", "日本語のメール\r\n".encode("iso-2022-jp"), "=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?="),
    _texted(
        "utf-8", "base64", _b64("Ελλάδα meeting notes".encode()), "=?utf-8?b?zpXOu867zqzOtM6x?= =?utf-8?b?IG5vdGVz?="
    ),
    _texted("us-ascii", "7bit", b"THE MEETING IS LATE\r\n", "Meeting"),
    _ALTERNATIVE,
    _WITH_PICTURE,
    _FORWARDED,
    _LARGE,
    _plain(
        "folded\r\n over\r\n\tthree lines",
        b"body\r\n",
        b"X-Priority: 1",
        b"Cc: Dora <dora@example.com>,\r\n emil@example.net",
    ),
    _plain("blind", b"body\r\n", b"Bcc: spy@example.org", b"Reply-To: other@example.org"),
    _plain("", b"no subject at all\r\n"),
    b"Subject: no date and no sender\r\n\r\nmeeting\r\n",
    b"From: nobody@example.org\r\nDate: not a date\r\n\r\nbody\r\n",
    b"From: old@example.org\r\nDate: Thu, 13 Feb 69 23:32 -0330\r\nSubject: obsolete\r\n\r\nyear of two digits\r\n",
    b"From: late@example.org\r\nDate: Fri, 1 Mar 2024 00:00:01 +1400 (a comment)\r\nSubject: first of March\r\n\r\nbody\r\n",
    b"From: early@example.org\r\nDate: 29 Feb 2024 23:59:59 -1200\r\nSubject: leap day\r\n\r\nbody\r\n",
    b"X-Empty:\r\nX-Twice: one\r\nX-Twice: two\r\nSubject: empty body\r\n\r\n",
    (
        b"Subject: =?utf-8?q?split_=C3=A4?=\r\n =?utf-8?q?_word?=\r\n"
        b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\n\r\nbody\r\n"
    ),
]


def messages() -> list[tuple[bytes, frozenset[str], float]]:
    """Raw message, flags, internal date."""
    made: list[bytes] = list(_SPECIAL)
    words = ("meeting", "invoice", "holiday", "Treffen", "lunch", "report", "zinnober")
    people = ("Ann <ann@example.org>", '"Lee, Bruce" <bruce@example.com>', "carl@sub.example.net")
    for number in range(40):
        first, second = words[number % 7], words[number // 7]
        made.append(
            _plain(
                f"{first} {number}",
                b"about the %b and the %b\r\n" % (second.encode(), words[(number * 3) % 7].encode()) * (number + 1),
                b"X-Number: %d" % number,
                b"X-Loop: yes" if number % 3 else b"X-Other: no",
                sender=people[number % 3],
                day=number % 28 + 1,
            )
        )
    return [
        (
            raw,
            frozenset(flag for bit, flag in enumerate(FLAGS) if (index * 37 + index // 5) >> bit & 1),
            BEGIN + index * DAY / 3 - 1,
        )
        for index, raw in enumerate(made)
    ]
