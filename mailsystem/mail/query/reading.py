"""What somebody typed into a query.

    query    = either
    either   = row *( "OR" row )
    row      = 1*( ["AND"] negated )        ; all of them hold
    negated  = *( "-" / "!" / "NOT" ) ( "(" either ")" / term )
    term     = [ operator ":" ] value       ; a value may be quoted, in whole or in part

Each character is looked at once, and what is nested is bounded.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, NamedTuple

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.query.moments import OutOfCalendar, Span, span
from mailsystem.mail.query.values import (
    ENVELOPE,
    EVERYTHING,
    FIELDS,
    STATES,
    Addressed,
    Attached,
    AttachedType,
    Before,
    Body,
    Enveloped,
    Field,
    Has,
    Id,
    In,
    Is,
    Larger,
    Query,
    Since,
    Smaller,
    Tag,
    Text,
    either,
    every,
    negated,
)

MOST_CHARACTERS: Final = 4096
MOST_TERMS: Final = 200
DEEPEST: Final = 40
"""Parentheses within parentheses."""

_SPACE = re.compile(r"\s*+")
_PLAIN = re.compile(r'[^\s"()]++')
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_OPERATOR = re.compile(r"([A-Za-z][A-Za-z-]{0,30}+):(?!//)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,76}")
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*+(?:([KMG])I?)?(?:B|YTES)?", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,126}(?:/(?:\*|[a-z0-9][a-z0-9.+_-]{0,126}))?")
_TIMES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

_NEVER_OPENED: Final = 'there is no "(" for this ")"; to look for it, put it in quotes'
_NEVER_CLOSED: Final = 'this "(" is never closed'

_STATES: Final = {
    **{state: (state, True) for state in STATES},
    "unread": ("read", False),
    "seen": ("read", True),
    "unseen": ("read", False),
    "pinned": ("flagged", True),
    "starred": ("flagged", True),
    "unflagged": ("flagged", False),
    "unanswered": ("answered", False),
    "untagged": ("tagged", False),
}
_HAS: Final = {"attachment": "attachment", "attachments": "attachment", "inline": "inline", "inlines": "inline"}


class QueryFault(SyntaxFault):
    """A query that cannot be read, and where."""

    text = "this query cannot be read"

    def __init__(self, text: str, position: int) -> None:
        super().__init__(text)
        self.position = position
        """The character at which it fails, counted from 0."""


class _Token(NamedTuple):
    at: int
    kind: str
    """One of `( ) - OR AND`, or `""` for a term."""
    operator: str = ""
    value: str = ""
    is_phrase: bool = False
    """Quoted from the first character on."""


def parse(text: str, *, now: float, tz: datetime.tzinfo = datetime.UTC) -> Query:
    """The query that was typed; none at all is everything.

    Ages count back from `now`, in seconds since the epoch; days begin at midnight in `tz`. Raises `QueryFault`.
    """
    if len(text) > MOST_CHARACTERS:
        raise QueryFault(f"a query may have {MOST_CHARACTERS} characters", MOST_CHARACTERS)
    return _Reader(text, now, tz).query()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    terms = 0
    at = _end(_SPACE, text, 0)
    while at < len(text):
        character = text[at]
        if character in "()":
            tokens.append(_Token(at, character))
            at += 1
        elif character in "-!" and at + 1 < len(text) and not text[at + 1].isspace() and text[at + 1] != ")":
            tokens.append(_Token(at, "-"))
            at += 1
            continue  # it belongs to what follows at once
        else:
            token, at = _term(text, at)
            tokens.append(token)
            terms += not token.kind
            if terms > MOST_TERMS:
                raise QueryFault(f"a query may have {MOST_TERMS} terms", token.at)
        at = _end(_SPACE, text, at)
    return tokens


def _term(text: str, start: int) -> tuple[_Token, int]:
    found = _OPERATOR.match(text, start)
    operator, at = (found[1].lower(), found.end()) if found else ("", start)
    pieces: list[str] = []
    is_quoted = False
    while at < len(text):
        if text[at] == '"':
            match = _QUOTED.match(text, at)
            if match is None:
                raise QueryFault("this quote is never closed", at)
            pieces.append(_ESCAPED.sub(r"\1", match[1]))
            is_quoted = True
        else:
            match = _PLAIN.match(text, at)
            if match is None:
                break
            pieces.append(match[0])
        at = match.end()
    value = "".join(pieces)
    if operator and not value and not is_quoted and operator not in _OPERATORS:
        return _Token(start, "", "", text[start:at]), at  # `Re:` is a word
    if not operator and not is_quoted and value in ("OR", "AND", "NOT"):
        return _Token(start, "-" if value == "NOT" else value), at
    return _Token(start, "", operator, value, is_quoted), at


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


class _Reader:
    def __init__(self, text: str, now: float, tz: datetime.tzinfo) -> None:
        self._tokens = _tokens(text)
        self._end = len(text)
        self._place = 0
        self._now = now
        self._tz = tz

    def query(self) -> Query:
        if not self._tokens:
            return EVERYTHING
        query = self._either(0)
        if self._next is not None:
            raise QueryFault(_NEVER_OPENED, self._next.at)
        return query

    @property
    def _next(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _either(self, depth: int) -> Query:
        rows = [self._row(depth)]
        while (token := self._next) is not None and token.kind == "OR":
            self._place += 1
            rows.append(self._row(depth))
        return either(*rows)

    def _row(self, depth: int) -> Query:
        parts = [self._negated(depth)]
        while (token := self._next) is not None and token.kind not in (")", "OR"):
            if token.kind == "AND":
                self._place += 1
            parts.append(self._negated(depth))
        return every(*parts)

    def _negated(self, depth: int) -> Query:
        odd = False
        while (token := self._next) is not None and token.kind == "-":
            odd = not odd
            self._place += 1
        if token is None or token.kind in (")", "OR", "AND"):
            raise self._missing(token)
        self._place += 1
        part = self._parenthesised(token, depth + 1) if token.kind == "(" else self._term(token)
        return negated(part) if odd else part

    def _missing(self, token: _Token | None) -> QueryFault:
        """What is wrong where a term should stand, and this does."""
        at = self._end if token is None else token.at
        before = self._tokens[self._place - 1] if self._place else None
        if before is not None and before.kind in ("OR", "AND"):
            return QueryFault(f"something is missing after {before.kind}; to look for it, put it in quotes", at)
        if before is not None and before.kind == "-":
            return QueryFault("what is it that should not be so?", at)
        if token is not None and token.kind != ")":
            return QueryFault(f"something is missing before {token.kind}; to look for it, put it in quotes", at)
        if before is None:
            return QueryFault(_NEVER_OPENED, at)
        return QueryFault("there is nothing in these parentheses" if token else _NEVER_CLOSED, before.at)

    def _parenthesised(self, opened: _Token, depth: int) -> Query:
        if depth > DEEPEST:
            raise QueryFault("parentheses are nested too deeply", opened.at)
        query = self._either(depth)
        if self._next is None:
            raise QueryFault(_NEVER_CLOSED, opened.at)
        self._place += 1
        return query

    def _term(self, token: _Token) -> Query:
        if not token.operator:
            if not token.value or (token.value == "*" and not token.is_phrase):
                return EVERYTHING
            return Text(token.value)
        read = _OPERATORS.get(token.operator)
        if read is None:
            raise QueryFault(_unknown(token.operator), token.at)
        if not token.value.strip():
            raise QueryFault(f"{token.operator}: must be followed by what to look for", token.at)
        try:
            return read(self, token.value)
        except SyntaxFault as fault:
            raise QueryFault(str(fault), token.at) from None

    # What stands behind each operator; a `SyntaxFault` is told with the place of the term.

    def people(self, word: str, value: str) -> Query:
        if value.startswith("<") and value.endswith(">") and len(value) > 2:
            value = value[1:-1]
        return Enveloped(word, value) if word in ENVELOPE else Addressed(word, value)

    def header(self, value: str) -> Query:
        name, _, text = value.partition("=")
        if not _NAME.fullmatch(name):
            raise SyntaxFault("header: must be followed by the name of a field, as in header:X-Mailer=text")
        return Field(name.lower(), text)

    def state(self, value: str) -> Query:
        known = _STATES.get(value.lower())
        if known is None:
            raise SyntaxFault(f"is: may be followed by {_listed(('unread', *STATES, 'pinned'))}")
        state, holds = known
        return Is(state) if holds else negated(Is(state))

    def has(self, value: str) -> Query:
        what = _HAS.get(value.lower())
        if what is None:
            raise SyntaxFault("has: may be followed by attachment or inline")
        return Has(what)

    def media_type(self, value: str) -> Query:
        kind = value.strip().lower()
        if not _MEDIA_TYPE.fullmatch(kind):
            raise SyntaxFault("type: must be followed by a media type, as in type:application/pdf or type:image/*")
        return AttachedType(kind if "/" in kind else f"{kind}/*")

    def octets(self, value: str) -> int:
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            raise SyntaxFault("a size is a number of octets, or of K, M or G, as in larger:5M")
        return int(float(found[1]) * _TIMES[(found[2] or "").lower()])

    def span(self, value: str) -> Span:
        try:
            return span(value.strip(), self._now, self._tz)
        except (OutOfCalendar, OverflowError):
            raise SyntaxFault("no calendar goes so far") from None

    def on(self, value: str) -> Query:
        first, end = self.span(value)
        if end is None:
            raise SyntaxFault("on: must be followed by a day, as in on:2026-01-31 or on:yesterday")
        return every(Since(first), Before(end))


def _unknown(operator: str) -> str:
    near = get_close_matches(operator, _OPERATORS, 1)
    like = f'; did you mean "{near[0]}:"?' if near else ";"
    return f'there is no "{operator}:"{like} to look for it as text, put it in quotes'


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _people(word: str) -> Callable[[_Reader, str], Query]:
    return lambda reader, value: reader.people(word, value)


_OPERATORS: Final[dict[str, Callable[[_Reader, str], Query]]] = {
    **{word: _people(word) for word in (*FIELDS, *ENVELOPE)},
    "subject": lambda _, value: Field("subject", value),
    "message-id": lambda _, value: Field("message-id", value),
    "header": _Reader.header,
    "body": lambda _, value: Body(value),
    "tag": lambda _, value: Tag(value),
    "is": _Reader.state,
    "has": _Reader.has,
    "attachment": lambda _, value: Attached(value),
    "type": _Reader.media_type,
    "larger": lambda reader, value: Larger(reader.octets(value)),
    "smaller": lambda reader, value: Smaller(reader.octets(value)),
    "since": lambda reader, value: Since(reader.span(value).first),
    "after": lambda reader, value: Since(reader.span(value).first),
    "before": lambda reader, value: Before(reader.span(value).first),
    "on": _Reader.on,
    "in": lambda _, value: In(value),
    "id": lambda _, value: Id(value),
}
