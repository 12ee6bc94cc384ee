"""A command's text into values: a cursor with one method per rule of RFC 3501 9. Sans-IO.

Each docstring is the rule. Whatever does not follow it raises `SyntaxFault`; no method ever reads beyond its rule.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from mailsystem.imap import names
from mailsystem.imap.framing import Frame, Sink
from mailsystem.mail.errors import Rejected, SyntaxFault, TooLarge
from mailsystem.mail.mailbox import RECENT, SAVED, STAR, Flag, MessageSet, ModSeq, flag_of

DEEPEST: Final = 50
"""Parentheses within parentheses."""
MOST_FLAGS: Final = 100

_SPECIALS = rb'\x00-\x20\x7f-\xff(){%*"\\'
_TAG = re.compile(rb"[^" + _SPECIALS + rb"+]+")
_ATOM = re.compile(rb"[^" + _SPECIALS + rb"\]]+")
_ASTRING = re.compile(rb"[^" + _SPECIALS + rb"]+")
_LIST_CHARS = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTED = re.compile(rb'"([^"\\\r\n\x00]*+(?:\\["\\][^"\\\r\n\x00]*+)*+)"')
_ESCAPED = re.compile(rb'\\(["\\])')
_NUMBER = re.compile(rb"[0-9]{1,19}")
_SET = re.compile(rb"[0-9*:,]+")
_FLAG = re.compile(rb"\\?[^" + _SPECIALS + rb"\]]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/=]+")
_MARKER = re.compile(rb"\{[0-9]+\+?\}")
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_MONTHS = {name: i for i, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}


class UidRequired(SyntaxFault):
    """A sequence number, where the client has enabled UIDONLY (RFC 9586 3)."""

    text = "sequence numbers are not in use here"


class BadCharset(Rejected):
    """A CHARSET that nobody here can read (RFC 3501 6.4.4)."""

    text = "unknown charset"


class Arguments:
    """A cursor over one frame."""

    __slots__ = ("_at", "_depth", "_line", "_literals", "_next", "_utf8")

    def __init__(self, frame: Frame, *, utf8: bool = False) -> None:
        """With `utf8` names of mailboxes are spelled so, else in modified UTF-7."""
        self._utf8 = utf8
        self._line = frame.line
        self._literals = frame.literals
        self._next = 0
        self._at = 0
        self._depth = 0

    # Punctuation

    @property
    def position(self) -> int:
        """How far the cursor has come in the command's text."""
        return self._at

    def peek(self) -> bytes:
        """The octet under the cursor; empty at the end."""
        return self._line[self._at : self._at + 1]

    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._line)

    def rest(self) -> bytes | None:
        """Step over all the text that is left and give it; None, and no step, where a literal is still to come."""
        if self._next < len(self._literals):
            return None
        at, self._at = self._at, len(self._line)
        return self._line[at:]

    def end(self) -> None:
        """Nothing may follow."""
        if self._at < len(self._line):
            raise SyntaxFault("unexpected arguments")

    def sp(self) -> None:
        """SP"""
        if self._line[self._at : self._at + 1] != b" ":
            raise SyntaxFault("space expected")
        self._at += 1

    def accept(self, token: bytes) -> bool:
        """Step over `token`, in any case, if it stands here."""
        end = self._at + len(token)
        if self._line[self._at : end].lower() != token.lower():
            return False
        self._at = end
        return True

    def expect(self, token: bytes) -> None:
        """Step over `token`, in any case."""
        if not self.accept(token):
            raise SyntaxFault(f"{token.decode()} expected")

    def enter(self) -> None:
        """`"("`, counted: parentheses may only be so deep."""
        self.expect(b"(")
        self._depth += 1
        if self._depth > DEEPEST:
            raise SyntaxFault("nested too deeply")

    def leave(self) -> None:
        """`")"`"""
        self.expect(b")")
        self._depth -= 1

    # Words

    def tag(self) -> bytes:
        """tag = 1*<any ASTRING-CHAR except "+">"""
        return self._match(_TAG, "tag expected")[0]

    def atom(self) -> str:
        """atom = 1*ATOM-CHAR"""
        return self._match(_ATOM, "atom expected")[0].decode("ascii")

    def keyword(self) -> str:
        """An atom that is a word of the protocol, in capitals."""
        return self.atom().upper()

    def astring(self) -> bytes:
        """astring = 1*ASTRING-CHAR / string"""
        found = _ASTRING.match(self._line, self._at)
        if found is None:
            return self.string()
        self._at = found.end()
        return found[0]

    def string(self) -> bytes:
        """string = quoted / literal"""
        if self.peek() == b"{":
            held = self.literal()
            if not isinstance(held, bytes):
                raise TooLarge("string too long")
            if b"\0" in held:
                raise SyntaxFault("NUL in a string")
            return held
        quoted = self._match(_QUOTED, "string expected")[1]
        if not quoted.isascii():
            # RFC 9051 9 allows UTF-8 here, and clients do it in RFC 3501 too (passwords); nothing else makes sense.
            try:
                quoted.decode()
            except UnicodeDecodeError:
                raise SyntaxFault("quoted string is not UTF-8") from None
        if b"\\" in quoted:
            return _ESCAPED.sub(rb"\1", quoted)
        return quoted

    def nstring(self) -> bytes | None:
        """nstring = string / nil"""
        if self.peek() in b'"{' and not self.at_end():
            return self.string()
        self.expect(b"NIL")
        return None

    def literal(self) -> bytes | Sink:
        """literal = "{" number ["+"] "}" CRLF *CHAR8; the large ones are in a sink"""
        if self._next < len(self._literals) and self._literals[self._next][0] == self._at:
            held = self._literals[self._next][1]
            self._next += 1
            self._match(_MARKER, "literal expected")
            return held
        raise SyntaxFault("literal expected")

    def value(self) -> bytes | Sink | None:
        """value = nstring / literal8 (RFC 5464 5); literal8 = "~{" number "}" CRLF *OCTET"""
        self.accept(b"~")
        return self.literal() if self.peek() == b"{" else self.nstring()

    def base64(self) -> bytes:
        """initial-resp = (base64 / "=") ; RFC 4959, still encoded"""
        return self._match(_BASE64, "base64 expected")[0]

    # Numbers

    def number(self) -> int:
        """number = 1*DIGIT ; (0 <= n < 4,294,967,296)"""
        value = int(self._match(_NUMBER, "number expected")[0])
        if value > 0xFFFFFFFF:
            raise SyntaxFault("number too large")
        return value

    def number64(self) -> int:
        """number64 = 1*DIGIT ; (0 <= n <= 9,223,372,036,854,775,807)"""
        value = int(self._match(_NUMBER, "number expected")[0])
        if value >= 1 << 63:
            raise SyntaxFault("number too large")
        return value

    def nz_number(self) -> int:
        """nz-number = digit-nz *DIGIT ; (0 < n < 4,294,967,296)"""
        value = self.number()
        if not value:
            raise SyntaxFault("number is zero")
        return value

    def sequence_set(self) -> MessageSet:
        """sequence-set = (seq-number / seq-range) *("," sequence-set) / "$"

        `*` is `STAR` and `$` is `SAVED` (RFC 5182) until `View.pick` resolves them.
        """
        if self.accept(b"$"):
            return SAVED
        return MessageSet.parse(self._match(_SET, "message set expected")[0].decode("ascii"))

    def seq_number(self) -> MessageSet:
        """seq-number = nz-number / "*" ; one message"""
        chosen = self.sequence_set()
        if chosen == SAVED or len(chosen) != 1:
            raise SyntaxFault("one message expected")
        return chosen

    def uid_set(self) -> MessageSet:
        """known-uids = sequence-set ; without "*" and "$" (RFC 7162 7)"""
        uids = self.sequence_set()
        if uids == SAVED or uids.ranges[-1][1] == STAR:
            raise SyntaxFault("a set of uids without * expected")
        return uids

    def mod_sequence(self) -> ModSeq:
        """mod-sequence-valzer = "0" / mod-sequence-value ; a positive 63-bit number (RFC 7162 7)"""
        value = int(self._match(_NUMBER, "mod-sequence expected")[0])
        if value >= 1 << 63:
            raise SyntaxFault("number too large")
        return ModSeq(value)

    def partial_range(self) -> tuple[int, int]:
        """partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number (RFC 9394 4); the smaller number first

        Those with a sign come out negative: they count from the end.
        """
        sign = -1 if self.accept(b"-") else 1
        first = self.nz_number()
        self.expect(b":")
        if sign < 0:
            self.expect(b"-")
        last = self.nz_number()
        return sign * min(first, last), sign * max(first, last)

    # Mailboxes

    def mailbox(self) -> str:
        """mailbox = "INBOX" / astring; in Unicode. Raises `Rejected` for a name that can never exist."""
        return names.from_wire(self.astring(), utf8=self._utf8)

    def mailbox_or_server(self) -> str | None:
        """mailbox, where an empty string is the server (RFC 5464 5); None then"""
        wire = self.astring()
        return names.from_wire(wire, utf8=self._utf8) if wire else None

    def mailbox_as_said(self) -> tuple[str, str]:
        """mailbox, as it was spelled and as it is kept"""
        wire = self.astring()
        kept = names.from_wire(wire, utf8=self._utf8)
        return names.pattern_from_wire(wire, utf8=self._utf8, plain=True), kept

    def list_mailbox(self) -> str:
        """list-mailbox = 1*list-char / string; in Unicode"""
        found = _LIST_CHARS.match(self._line, self._at)
        if found is None:
            return names.pattern_from_wire(self.string(), utf8=self._utf8)
        self._at = found.end()
        return names.pattern_from_wire(found[0], utf8=self._utf8)

    def reference(self) -> str:
        """LIST's first argument: a mailbox or a part of one, perhaps empty; in Unicode"""
        return names.pattern_from_wire(self.astring(), utf8=self._utf8)

    # Flags

    def flag_list(self) -> frozenset[Flag]:
        """flag-list = "(" [flag *(SP flag)] ")" """
        self.enter()
        flags: set[Flag] = set()
        if self.peek() != b")":
            flags = self._flags()
        self.leave()
        return frozenset(flags)

    def flags(self) -> frozenset[Flag]:
        """flag-list / (flag *(SP flag))"""
        return self.flag_list() if self.peek() == b"(" else frozenset(self._flags())

    def _flags(self) -> set[Flag]:
        flags = {self._flag()}
        while self.accept(b" "):
            flags.add(self._flag())
            if len(flags) > MOST_FLAGS:
                raise SyntaxFault("too many flags")
        return flags

    def _flag(self) -> Flag:
        flag = flag_of(self._match(_FLAG, "flag expected")[0].decode("ascii"))
        if flag == RECENT or (flag.startswith("\\") and flag_of(flag) not in _SETTABLE):
            raise SyntaxFault("flag cannot be set")
        return flag

    # Time

    def date(self) -> datetime.date:
        """date = date-text / DQUOTE date-text DQUOTE ; date-text = 1*2DIGIT "-" month "-" 4DIGIT"""
        found = self._match(_DATE, "date expected")
        try:
            return datetime.date(int(found[4]), _month(found[3]), int(found[2]))
        except ValueError:
            raise SyntaxFault("no such date") from None

    def date_time(self) -> float:
        """date-time = DQUOTE date-day-fixed "-" month "-" year SP time SP zone DQUOTE; in seconds since the epoch"""
        found = self._match(_DATE_TIME, "date and time expected")
        hours, minutes = int(found[8]), int(found[9])
        offset = (hours * 3600 + minutes * 60) * (-1 if found[7] == b"-" else 1)
        try:
            moment = datetime.datetime(
                int(found[3]), _month(found[2]), int(found[1]), int(found[4]), int(found[5]), min(int(found[6]), 59),
                tzinfo=datetime.UTC,
            )  # fmt: skip
        except ValueError:
            raise SyntaxFault("no such date") from None
        if minutes > 59 or hours > 23:
            raise SyntaxFault("no such zone")
        return moment.timestamp() - offset

    def _match(self, rule: re.Pattern[bytes], fault: str) -> re.Match[bytes]:
        found = rule.match(self._line, self._at)
        if found is None:
            raise SyntaxFault(fault)
        self._at = found.end()
        return found


_SETTABLE: Final = frozenset(map(flag_of, ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")))


def _month(name: bytes) -> int:
    return _MONTHS.get(name.lower(), 0)
