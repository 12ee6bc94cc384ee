"""The octets of a message: line ends, long lines, NULs (RFC 5321 2.3.8, RFC 5322 2.1.1)."""

from __future__ import annotations

import itertools
import re
from typing import Final

from mailsystem.checks.rule import MOST_OF_A_RULE, Findings, Rule, shown
from mailsystem.checks.rules import writing

LONGEST: Final = 998
WIDEST: Final = 78

_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_NUL = re.compile(rb"\0")
# From the beginning of a line on: otherwise each octet of it would be tried as one.
_LONG = re.compile(rb"(?m)^[^\n]{%d,}+" % (LONGEST + 1))
_FIELD = re.compile(rb"[!-9;-~]++[ \t]*+:|[ \t]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_EIGHT_BIT = re.compile(rb"[\x80-\xff]")


def with_line_ends(octets: bytes) -> tuple[bytes, bool]:
    """A message as it goes over the wire, and whether it is a text file of which the lines end in LF alone."""
    if b"\r" in octets or b"\n" not in octets:
        return octets, False
    return octets.replace(b"\n", b"\r\n"), True


def check_lines(octets: bytes, findings: Findings) -> None:
    """Line ends, NULs and the length of lines in the whole message."""
    pairs = octets.count(b"\r\n")
    _each(writing.BARE_LF, _BARE_LF, octets, octets.count(b"\n") - pairs, findings)
    _each(writing.BARE_CR, _BARE_CR, octets, octets.count(b"\r") - pairs, findings)
    _each(writing.NUL, _NUL, octets, octets.count(b"\0"), findings)
    wide, wide_at = 0, 0
    at, line = 0, 1
    for match in _LONG.finditer(octets):
        length = len(match[0]) - match[0].endswith(b"\r")
        if length > LONGEST:
            line += octets.count(b"\n", at, match.start())
            at = match.start()
            findings.add(writing.LONG_LINE, f"the line has {length} octets", line=line)
    for number, one in enumerate(octets.splitlines() if len(octets) <= 4 << 20 else (), 1):
        if WIDEST < len(one) <= LONGEST:
            wide, wide_at = wide + 1, wide_at or number
    if wide:
        lines = "1 line has" if wide == 1 else f"{wide} lines have"
        findings.add(writing.WIDE_LINE, f"{lines} more than {WIDEST} octets", line=wide_at)


def _each(rule: Rule, pattern: re.Pattern[bytes], octets: bytes, count: int, findings: Findings) -> None:
    at, line = 0, 1
    for match in itertools.islice(pattern.finditer(octets), MOST_OF_A_RULE) if count else ():
        line += octets.count(b"\n", at, match.start())
        at = match.start()
        findings.add(rule, line=line)
    findings.count(rule, count - MOST_OF_A_RULE)


def check_header_octets(head: bytes, findings: Findings, *, smtputf8: bool) -> None:
    """Lines of the header block that are no field, and octets that have no place there."""
    eight, name = False, None
    for number, raw in enumerate(head.split(b"\n"), 1):
        line = raw.removesuffix(b"\r")
        if not line:
            continue
        if _FIELD.match(line) is None:
            is_mbox = number == 1 and line.startswith(b"From ")
            eight_bit_name = _EIGHT_BIT.search(line.partition(b":")[0]) and b":" in line
            if not is_mbox:
                what = "a name with octets beyond ASCII" if eight_bit_name else "no field"
                findings.add(writing.HEADER_SYNTAX, f"{what}: {shown(line)}", line=number)
            continue
        if line[:1] not in b" \t":
            name = line.partition(b":")[0].strip().decode("ascii", "replace")
            if re.match(rb"[!-9;-~]++[ \t]", line):
                findings.add(writing.HEADER_SYNTAX, "there is a space before the colon", line=number, header=name)
        if not smtputf8 and not eight and _EIGHT_BIT.search(line):
            eight = True
            findings.add(writing.EIGHT_BIT_HEADER, line=number, header=name)
        if _CONTROL.search(line):
            findings.add(writing.HEADER_CONTROLS, line=number, header=name)
