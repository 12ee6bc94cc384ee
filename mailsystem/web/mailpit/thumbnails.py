"""Small pictures of large ones, by Pillow where it is installed (`mailsystem[thumbnails]`).

Whoever sends a message may have made its pictures to hurt: only usual formats are opened, and what would be large once it is
unpacked is not unpacked; its header tells. Blocks, so it belongs into a thread.
"""

from __future__ import annotations

import io
import warnings
from typing import Final

SIZE: Final = (180, 120)
"""Points, as Mailpit's have them."""
LARGEST: Final = 16 << 20
"""Octets of a picture that is made small."""
FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
MOST_POINTS: Final = 12_000_000
"""Of a picture that is unpacked whole: 48 MB."""
MOST_POINTS_JPEG: Final = 40_000_000
"""Of one that is unpacked at an eighth of its size."""
_WHITE: Final = (255, 255, 255)


class Missing(Exception):
    """There is no Pillow."""


def thumbnail(octets: bytes) -> bytes:
    """A picture as JPEG of `SIZE`, on white; white alone of what is no picture or is too large. Raises `Missing`."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise Missing from None

    small = Image.new("RGB", SIZE, _WHITE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of what is too large
            with Image.open(io.BytesIO(octets[:LARGEST]), formats=FORMATS) as opened:
                most = MOST_POINTS_JPEG if opened.format == "JPEG" else MOST_POINTS
                if opened.width * opened.height <= most:
                    opened.draft("RGB", (2 * SIZE[0], 2 * SIZE[1]))
                    picture = opened.convert("RGBA")
                    # What is smaller stays whole; of what is larger the middle fills the place, as in Mailpit.
                    whole = picture.width < SIZE[0] or picture.height < SIZE[1]
                    fitted = (ImageOps.contain if whole else ImageOps.fit)(picture, SIZE)
                    if whole and picture.width <= SIZE[0] and picture.height <= SIZE[1]:
                        fitted = picture
                    at = ((SIZE[0] - fitted.width) // 2, (SIZE[1] - fitted.height) // 2)
                    small.paste(fitted, at, fitted)
    except (OSError, ValueError, SyntaxError, ArithmeticError, LookupError, TypeError, Warning):
        small = Image.new("RGB", SIZE, _WHITE)
    except (Image.DecompressionBombError, MemoryError):
        small = Image.new("RGB", SIZE, _WHITE)
    made = io.BytesIO()
    small.save(made, "JPEG", quality=70)
    return made.getvalue()
