"""Characters taken apart (Unicode's NFKD), in time in proportion to the text, whatever it is.

Unicode puts the marks on one letter into order, and Python does so by a sort that takes quadratic time: for a mebibyte of marks
many minutes, in which no other thread runs. No language has more than a few marks on a letter, so here a text is taken apart
piece by piece: only of marks without end some may stay where they stood.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

_AT_ONCE: Final = 256
"""Characters; so many marks are put into order in a tenth of a millisecond."""


def decomposed(text: str) -> str:
    """The text in NFKD."""
    if len(text) <= _AT_ONCE or unicodedata.is_normalized("NFKD", text):
        return unicodedata.normalize("NFKD", text)
    return "".join([unicodedata.normalize("NFKD", piece) for piece in _pieces(text)])


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + _AT_ONCE
        if end < len(text):
            end = next((at for at in range(end, start + _AT_ONCE // 2, -1) if _begins(text[at])), end)
        yield text[start:end]
        start = end


def _begins(letter: str) -> bool:
    """Whether it is none of the marks that belong to the letter before them."""
    return letter.isascii() or not unicodedata.combining(unicodedata.normalize("NFKD", letter)[0])
