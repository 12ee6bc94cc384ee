"""The language in which people and programs ask for messages: one for the page, the API, the command line and the tests.

`parse` reads what somebody typed, `str` of a query writes it in its one spelling, `explain` says it in a sentence. What a
message must be like to be found is in `docs/query.md`; who looks for it is the room `finding`. Pure.
"""

from mailsystem.mail.query.explaining import explain
from mailsystem.mail.query.reading import MOST_CHARACTERS, QueryFault, parse
from mailsystem.mail.query.values import (
    EVERYTHING,
    Addressed,
    And,
    Attached,
    AttachedType,
    Before,
    Body,
    Field,
    Has,
    Id,
    In,
    Is,
    Larger,
    Leaf,
    Not,
    Or,
    Query,
    Since,
    Smaller,
    Tag,
    Text,
    either,
    every,
    globbed,
    leaves,
    negated,
)

__all__ = [
    "EVERYTHING",
    "MOST_CHARACTERS",
    "Addressed",
    "And",
    "Attached",
    "AttachedType",
    "Before",
    "Body",
    "Field",
    "Has",
    "Id",
    "In",
    "Is",
    "Larger",
    "Leaf",
    "Not",
    "Or",
    "Query",
    "QueryFault",
    "Since",
    "Smaller",
    "Tag",
    "Text",
    "either",
    "every",
    "explain",
    "globbed",
    "leaves",
    "negated",
    "parse",
]
