"""UIDBATCHES (RFC 10022): a mailbox cut into batches of as many messages as are asked for. Sans-IO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from mailsystem.imap.grammar import Arguments
from mailsystem.mail.errors import Rejected, SyntaxFault

SMALLEST: Final = 500
"""Messages in a batch: RFC 10022 has clients ask for no fewer."""


class TooFew(Rejected):
    """Batches smaller than makes sense."""

    text = f"batches have at least {SMALLEST} messages"


class ClientBug(SyntaxFault):
    """Something that no client says which knows what it does (RFC 5530)."""

    text = "the last batch comes before the first"


class Batches(NamedTuple):
    """Which batches are asked for, of how many messages; the first has the newest."""

    size: int
    first: int
    last: int | None
    """None for all there are."""

    def of(self, uids: Sequence[int]) -> list[tuple[int, int]]:
        """Ranges of UIDs as (highest, lowest). They touch, and the last of all reaches down to 1."""
        count = -(-len(uids) // self.size)
        ranges: list[tuple[int, int]] = []
        for number in range(self.first, min(count, self.last or count) + 1):
            above = len(uids) - (number - 1) * self.size
            high = uids[-1] if number == 1 else uids[above] - 1
            ranges.append((high, uids[above - self.size] if number < count else 1))
        return ranges


def read_batches(args: Arguments) -> Batches:
    """message-batches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number] ; from behind the name"""
    args.sp()
    size = args.nz_number()
    first, last = 1, None
    if args.accept(b" "):
        first = args.nz_number()
        args.expect(b":")
        last = args.nz_number()
    args.end()
    if last is not None and last < first:
        raise ClientBug
    if size < SMALLEST:
        raise TooFew
    return Batches(size, first, last)


def response(correlator: bytes, ranges: Sequence[tuple[int, int]]) -> bytes:
    """uidbatches-response = "UIDBATCHES" search-correlator [SP uid-range *("," uid-range)]"""
    said = b",".join([b"%d:%d" % each for each in ranges])
    return b"* UIDBATCHES (" + correlator + b")" + (b" " + said if said else b"") + b"\r\n"
