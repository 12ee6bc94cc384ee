"""A rule on one line, for people: `smtp RCPT to=*@shop.test reply="451 4.7.1 later" times=2`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any, Final

from mailsystem.faults.rule import FIELDS, Rule, from_json, to_json
from mailsystem.mail.errors import SyntaxFault

_BARE: Final = re.compile(r"[^\s\"'\\]+")
_YES: Final = {"": True, "yes": True, "true": True, "no": False, "false": False}


def of_line(text: str) -> Rule:
    """The rule that a line says. Values with blanks in them are quoted as for a shell. Raises `SyntaxFault`."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise SyntaxFault("a quotation mark is missing") from None
    return of_words(words)


def of_words(words: Sequence[str]) -> Rule:
    """The same of a line that has been taken apart: the door, the stage, and `name=value`. Raises `SyntaxFault`."""
    if len(words) < 2 or "=" in words[0] or "=" in words[1]:
        raise SyntaxFault("a fault begins with a door and a stage, such as smtp RCPT")
    given: dict[str, Any] = {"door": words[0].lower(), "stage": words[1].upper()}
    for word in words[2:]:
        name, _, value = word.partition("=")
        if name in given:
            raise SyntaxFault(f"{name} is said twice")
        given[name] = _read(name, value)
    return from_json(given)


def _read(name: str, value: str) -> object:
    if name not in FIELDS:
        return value  # which `from_json` refuses by its name
    kind = FIELDS[name][1]
    if kind is bool:
        return _YES.get(value.lower(), value)
    if kind is str:
        return value.replace("\\n", "\n")
    try:
        return kind(value)
    except ValueError:
        return value


def to_line(rule: Rule) -> str:
    """The rule as a line that `of_line` understands."""
    told = to_json(rule)
    words = [told.pop("door"), told.pop("stage")]
    for name, value in told.items():
        if value is True:
            words.append(name)
        else:
            shown = str(value).removesuffix(".0") if isinstance(value, float) else str(value).replace("\n", "\\n")
            words.append(f"{name}={shown if _BARE.fullmatch(shown) else _quoted(shown)}")
    return " ".join(words)


def _quoted(text: str) -> str:
    # Within double quotes a backslash stands for itself, unless a quotation mark or another one follows.
    return '"' + re.sub(r'"|\\(?!n)', r"\\\g<0>", text) + '"'
