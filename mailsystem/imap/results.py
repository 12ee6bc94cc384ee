"""What a search gives back: result options (RFC 4731, RFC 5182, RFC 9394) and the ESEARCH response. Sans-IO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailsystem.imap.grammar import Arguments
from mailsystem.imap.numbers import long_runs
from mailsystem.mail.errors import SyntaxFault


@dataclass(frozen=True, slots=True)
class Partial:
    """A part of what was found, counted from its first (1:100) or from its last (-1:-100)."""

    ends: tuple[int, int]
    """As the client named them, without their signs."""
    from_last: bool

    def of(self, found: Sequence[int]) -> Sequence[int]:
        """Those that are meant, in the order in which they were found."""
        low, high = sorted(self.ends)
        if self.from_last:
            return found[max(0, len(found) - high) : max(0, len(found) - low + 1)]
        return found[low - 1 : high]

    def __bytes__(self) -> bytes:
        return (b"-%d:-%d" if self.from_last else b"%d:%d") % self.ends


@dataclass(frozen=True, slots=True)
class Returns:
    """The result options of one command."""

    min: bool = False
    max: bool = False
    all: bool = False
    count: bool = False
    save: bool = False
    partial: Partial | None = None

    @property
    def ends_only(self) -> bool:
        """Whether the first and the last that are found are all that counts."""
        return (self.min or self.max) and not (self.all or self.count or self.partial)

    @property
    def answers(self) -> bool:
        """Whether there is anything to tell: SAVE alone is done in silence (RFC 5182 2.1)."""
        return self.min or self.max or self.all or self.count or self.partial is not None

    def meant(self, found: Sequence[int]) -> Sequence[int]:
        """Those that SAVE saves (RFC 5182 2.4, RFC 9394 3.2) and that MODSEQ speaks of (RFC 7162 3.1.6)."""
        if self.all or self.count or not self.answers:
            return found
        chosen = set(self.partial.of(found)) if self.partial is not None else set()
        if found and self.min:
            chosen.add(found[0])
        if found and self.max:
            chosen.add(found[-1])
        return [number for number in found if number in chosen]

    def response(
        self,
        correlator: bytes,
        found: Sequence[int],
        *,
        by_uid: bool,
        modseq: int | None = None,
        ascend: bool = False,
    ) -> bytes:
        """esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)

        What was found is in the order of the answer, which may be that of a SORT, or is known to `ascend`.
        """
        set_of = ascending if ascend else in_order
        said = [b"* ESEARCH (" + correlator + b")"]
        if by_uid:
            said.append(b"UID")
        if found and self.min:
            said.append(b"MIN %d" % found[0])
        if found and self.max:
            said.append(b"MAX %d" % found[-1])
        if self.count:
            said.append(b"COUNT %d" % len(found))
        if found and self.all:
            said.append(b"ALL " + set_of(found))
        if self.partial is not None:
            said.append(b"PARTIAL (%b %b)" % (bytes(self.partial), set_of(self.partial.of(found)) or b"NIL"))
        if found and modseq is not None:
            said.append(b"MODSEQ %d" % modseq)
        return b" ".join(said) + b"\r\n"


def ascending(numbers: Sequence[int]) -> bytes:
    """A sequence-set of these numbers, which ascend."""
    said: list[bytes] = []
    rest = 0
    for first, rest in long_runs(numbers):
        said.append(_range(numbers[first], numbers[rest - 1]))
    if rest < len(numbers):
        said.append(in_order(numbers[rest:]))
    return b",".join(said)


def in_order(numbers: Iterable[int]) -> bytes:
    """A sequence-set of exactly these numbers in this order: neighbours that ascend by one are a range."""
    said: list[bytes] = []
    first = last = 0
    for number in numbers:
        if number == last + 1 and first:
            last = number
            continue
        if first:
            said.append(_range(first, last))
        first = last = number
    if first:
        said.append(_range(first, last))
    return b",".join(said)


def _range(first: int, last: int) -> bytes:
    return b"%d:%d" % (first, last) if first < last else b"%d" % first


def read_returns(args: Arguments) -> Returns | None:
    """["RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")" SP]; None where there is none"""
    if not args.accept(b"RETURN ("):
        return None
    named: set[str] = set()
    partial: Partial | None = None
    while not args.accept(b")"):
        if named:
            args.sp()
        option = args.keyword()
        if option == "PARTIAL":
            if partial is not None:
                raise SyntaxFault("PARTIAL can be asked for only once")  # RFC 9394 3.1
            args.sp()
            partial = _partial(args)
        elif option not in ("MIN", "MAX", "ALL", "COUNT", "SAVE"):
            raise SyntaxFault("unknown result option")
        named.add(option)
    args.sp()
    if partial is not None and "ALL" in named:
        raise SyntaxFault("ALL and PARTIAL exclude each other")  # RFC 9394 3.1
    # RFC 4731 3.1: () is (ALL).
    return Returns(
        "MIN" in named, "MAX" in named, "ALL" in named or not named, "COUNT" in named, "SAVE" in named, partial
    )


def _partial(args: Arguments) -> Partial:
    """partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number ; RFC 9394 5"""
    from_last = args.accept(b"-")
    first = args.nz_number()
    args.expect(b":")
    if from_last:
        args.expect(b"-")
    return Partial((first, args.nz_number()), from_last)
