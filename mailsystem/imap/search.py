"""The words of a SEARCH into search keys (RFC 3501 6.4.4). Sans-IO."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, TypeAlias

from mailsystem.finding.header import Words, fold
from mailsystem.finding.key import (
    All,
    Among,
    Any,
    Arrived,
    EmailId,
    Every,
    Field,
    Flagged,
    Key,
    Keyword,
    Modified,
    Not,
    Recent,
    Saved,
    Sent,
    Size,
    Text,
    ThreadId,
)
from mailsystem.imap.grammar import Arguments, BadCharset
from mailsystem.mail.errors import SyntaxFault, TooMany
from mailsystem.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, STAR, MessageSet, flag_of
from mailsystem.mail.words import codec

MOST_KEYS: Final = 500
DEEPEST: Final = 100
"""Keys within keys. A row of ORs or NOTs is one level: programs write long ones."""

Resolve: TypeAlias = Callable[[MessageSet, bool], MessageSet]
"""From a set of UIDs (True) or sequence numbers (False) to the UIDs that it means."""


def read_search(args: Arguments, resolve: Resolve, *, now: float, may_name_charset: bool = True) -> Key:
    """["CHARSET" SP charset SP] search-key *(SP search-key), to the end of the command.

    `now` is what YOUNGER and OLDER count from. Raises `SyntaxFault`, `TooMany`, `BadCharset`.
    """
    charset: str | None = None
    if args.accept(b"CHARSET "):
        if not may_name_charset:
            raise SyntaxFault("with UTF8=ACCEPT there is no other charset")  # RFC 9755 3
        charset = _charset(args)
        args.sp()
    return _keys(args, resolve, charset, now)


def read_criteria(args: Arguments, resolve: Resolve, *, now: float) -> Key:
    """search-criteria = charset 1*(SP search-key) ; RFC 5256 5. Raises as `read_search` does."""
    charset = _charset(args)
    args.sp()
    return _keys(args, resolve, charset, now)


def _charset(args: Arguments) -> str:
    charset = codec(args.astring().decode("ascii", "replace"))
    if charset is None:
        raise BadCharset
    return charset


def _keys(args: Arguments, resolve: Resolve, charset: str | None, now: float) -> Key:
    reader = _Reader(args, resolve, charset, now)
    keys = [reader.key(0)]
    while not args.at_end():
        args.sp()
        keys.append(reader.key(0))
    return _every(keys)


def _every(keys: Sequence[Key]) -> Key:
    keys = list(dict.fromkeys(keys))  # to ask the same twice says nothing more
    return keys[0] if len(keys) == 1 else Every(tuple(sorted(keys, key=lambda key: key.cost)))


class _Reader:
    """One command's keys."""

    def __init__(self, args: Arguments, resolve: Resolve, charset: str | None, now: float) -> None:
        self._args = args
        self._resolve = resolve
        self._charset = charset
        self._now = int(now)
        self._count = 0

    def key(self, depth: int) -> Key:
        """search-key"""
        self._counted()
        if depth > DEEPEST:
            raise SyntaxFault("nested too deeply")
        args = self._args
        negated = False
        while args.accept(b"NOT "):
            negated = not negated
            self._counted()
        key = self._plain(depth)
        return Not(key) if negated else key

    def _plain(self, depth: int) -> Key:
        args = self._args
        if args.accept(b"("):
            return self._parenthesised(depth)
        if args.accept(b"OR "):
            return self._row_of_ors(depth)
        octet = args.peek()
        if octet.isdigit() or octet in (b"*", b"$"):
            return Among(self._resolve(args.sequence_set(), False))
        word = args.keyword()
        simple = _SIMPLE.get(word)
        if simple is not None:
            return simple
        read = _READ.get(word)
        if read is None:
            raise SyntaxFault("unknown search key")
        args.sp()
        return read(self)

    def _parenthesised(self, depth: int) -> Key:
        args = self._args
        keys = [self.key(depth + 1)]
        while not args.accept(b")"):
            args.sp()
            keys.append(self.key(depth + 1))
        return _every(keys)

    def _row_of_ors(self, depth: int) -> Key:
        """`OR a OR b c` and `OR OR a b c` alike: of these keys one must hold."""
        args = self._args
        keys: list[Key] = []
        to_come = 2
        while True:
            if args.accept(b"OR "):
                self._counted()
                to_come += 1
                continue
            keys.append(self.key(depth + 1))
            to_come -= 1
            if not to_come:
                return Any(tuple(sorted(dict.fromkeys(keys), key=lambda key: key.cost)))
            args.sp()

    def _counted(self) -> None:
        self._count += 1
        if self._count > MOST_KEYS:
            raise TooMany("too many search keys")

    def string(self) -> str:
        """astring, in the charset of the command, folded."""
        octets = self._args.astring()
        try:
            # Without CHARSET it should be US-ASCII; clients that send more mean UTF-8, of which that is a part.
            return fold(octets.decode(self._charset or "utf-8"))
        except ValueError:
            raise SyntaxFault("string does not fit its charset") from None

    def header(self) -> Key:
        """header-fld-name SP astring"""
        name = self._args.astring()
        if not name:
            raise SyntaxFault("bad field name")
        self._args.sp()
        return Field(name.upper(), self.string())

    def text(self, *, headers: bool) -> Key:
        needle = self.string()
        # The empty string is in every text, even where there is none.
        return Text(Words(needle, headers)) if needle else All()

    def keyword(self) -> Key:
        """flag-keyword = atom"""
        return Keyword(flag_of(self._args.atom()).lower())

    def uids(self) -> Key:
        """sequence-set, of UIDs"""
        return Among(self._resolve(self._args.sequence_set(), True))

    def uids_after(self) -> Key:
        """uniqueid ; RFC 9738 3.2: as UID n+1:*, but for the last message, which is only in it if it is above"""
        return Among(MessageSet(((self._args.nz_number() + 1, STAR),)))

    def uids_before(self) -> Key:
        """uniqueid ; RFC 9738 3.2"""
        below = self._args.nz_number() - 1
        return Among(MessageSet(((1, below),)) if below else MessageSet())

    def number(self) -> int:
        return self._args.number()

    def moment(self) -> float:
        """nz-number, seconds before now (RFC 5032); as INTERNALDATE is told in whole seconds, so is this"""
        return float(self._now - self._args.nz_number())

    def modseq(self) -> Key:
        """[SP entry-name SP entry-type-req] SP mod-sequence-valzer ; RFC 7162 7

        All of a message's metadata have one mod-sequence here, so the entry is only read.
        """
        if self._args.peek() == b'"':
            if not self._args.string().lower().startswith(b"/flags/"):
                raise SyntaxFault("unknown entry")
            self._args.sp()
            if self._args.keyword() not in ("PRIV", "SHARED", "ALL"):
                raise SyntaxFault("unknown entry type")
            self._args.sp()
        return Modified(self._args.mod_sequence())

    def object_id(self) -> str:
        """objectid = 1*255(ALPHA / DIGIT / "_" / "-") ; RFC 8474 7"""
        id_ = self._args.astring().decode("latin-1")
        if not _OBJECT_ID.fullmatch(id_):
            raise SyntaxFault("bad object id")
        return id_

    def day(self) -> int:
        """date, as an ordinal"""
        return self._args.date().toordinal()

    def midnight(self) -> float:
        """When the day begins that is named: in UTC, since INTERNALDATE is told in that."""
        return (self.day() - _EPOCH) * _DAY


_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
_DAY: Final = 86_400.0

_FLAGS: Final = {"ANSWERED": ANSWERED, "DELETED": DELETED, "DRAFT": DRAFT, "FLAGGED": FLAGGED, "SEEN": SEEN}
_FIELDS: Final = ("BCC", "CC", "FROM", "SUBJECT", "TO")

_SIMPLE: Final[dict[str, Key]] = {
    "ALL": All(),
    "SAVEDATESUPPORTED": All(),
    "RECENT": Recent(),
    "OLD": Not(Recent()),
    "NEW": Every((Recent(), Not(Flagged(SEEN)))),
    **{word: Flagged(flag) for word, flag in _FLAGS.items()},
    **{"UN" + word: Not(Flagged(flag)) for word, flag in _FLAGS.items()},
}


def _named(name: bytes) -> Callable[[_Reader], Key]:
    return lambda reader: Field(name, reader.string())


def _on(midnight: float) -> Key:
    return Arrived(midnight, midnight + _DAY)


def _saved_on(midnight: float) -> Key:
    return Saved(midnight, midnight + _DAY)


def _sent_on(day: int) -> Key:
    return Sent(day, day + 1)


_READ: Final[dict[str, Callable[[_Reader], Key]]] = {
    **{word: _named(word.encode()) for word in _FIELDS},
    "HEADER": _Reader.header,
    "BODY": lambda reader: reader.text(headers=False),
    "TEXT": lambda reader: reader.text(headers=True),
    "KEYWORD": _Reader.keyword,
    "UNKEYWORD": lambda reader: Not(reader.keyword()),
    "UID": _Reader.uids,
    "UIDAFTER": _Reader.uids_after,
    "UIDBEFORE": _Reader.uids_before,
    "LARGER": lambda reader: Size(reader.number(), inf),
    "SMALLER": lambda reader: Size(-inf, reader.number()),
    "BEFORE": lambda reader: Arrived(-inf, reader.midnight()),
    "ON": lambda reader: _on(reader.midnight()),
    "SINCE": lambda reader: Arrived(reader.midnight(), inf),
    "YOUNGER": lambda reader: Arrived(reader.moment(), inf),
    "OLDER": lambda reader: Arrived(-inf, reader.moment() + 1),
    "SAVEDBEFORE": lambda reader: Saved(-inf, reader.midnight()),
    "SAVEDON": lambda reader: _saved_on(reader.midnight()),
    "SAVEDSINCE": lambda reader: Saved(reader.midnight(), inf),
    "MODSEQ": _Reader.modseq,
    "EMAILID": lambda reader: EmailId(reader.object_id()),
    "THREADID": lambda reader: ThreadId(reader.object_id()),
    "SENTBEFORE": lambda reader: Sent(-inf, reader.day()),
    "SENTON": lambda reader: _sent_on(reader.day()),
    "SENTSINCE": lambda reader: Sent(reader.day(), inf),
}
