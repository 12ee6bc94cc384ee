"""Small pictures: what they look like, and what a picture that was made to hurt costs."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import Any

import pytest
from PIL import Image
from web_house import House, letter

from mailsystem.web.mailpit.thumbnails import MOST_POINTS, SIZE, Missing, thumbnail

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(picture: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    octets = io.BytesIO()
    picture.save(octets, kind, **more)
    return octets.getvalue()


def read(octets: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(octets))
    assert (picture.format, picture.size, picture.mode) == ("JPEG", SIZE, "RGB")
    return picture


def alike(one: Any, other: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 25 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_large_picture_fills_the_place(kind: str) -> None:
    picture = Image.new("RGB", (1000, 300), RED)
    picture.paste(BLUE, (0, 0, 200, 300))
    small = read(thumbnail(encoded(picture, kind)))
    for at in ((1, 1), (90, 60), (178, 118)):
        assert alike(small.getpixel(at), RED)  # the blue is cut off with the left


def test_a_small_one_stays_whole_in_the_middle_of_white() -> None:
    small = read(thumbnail(encoded(Image.new("RGB", (40, 20), BLUE))))
    assert alike(small.getpixel((90, 60)), BLUE)
    for at in ((0, 0), (60, 60), (90, 75)):
        assert alike(small.getpixel(at), WHITE)
    long = read(thumbnail(encoded(Image.new("RGB", (1800, 60), BLUE))))
    assert alike(long.getpixel((1, 60)), BLUE)
    assert alike(long.getpixel((90, 70)), WHITE)


def test_what_can_be_seen_through_is_on_white() -> None:
    small = read(thumbnail(encoded(Image.new("RGBA", (400, 400), (0, 0, 0, 0)))))
    assert alike(small.getpixel((90, 60)), WHITE)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_pictures_of_all_kinds_are_made_small(mode: str) -> None:
    read(thumbnail(encoded(Image.new(mode, (400, 300)), "JPEG" if mode == "CMYK" else "PNG")))


def bomb(side: int) -> bytes:
    """A PNG that says that it is so large; nothing of it needs to be there."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [3500, 10_000, 30_000])
def test_what_would_be_large_once_it_is_unpacked_is_not_unpacked(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert side * side > MOST_POINTS
    unpacked: list[Any] = []
    monkeypatch.setattr(Image.Image, "convert", lambda *given: unpacked.append(given))
    assert alike(read(thumbnail(bomb(side))).getpixel((90, 60)), WHITE)
    assert not unpacked


@pytest.mark.parametrize(
    "octets",
    [b"", b"x", b"\x89PNG\r\n\x1a\n", encoded(Image.new("RGB", (400, 300), RED), "TIFF"), bomb(100)[:60], bomb(2000)],
    ids=["nothing", "a letter", "its first octets", "another format", "cut off", "too short"],
)
def test_what_is_no_picture_is_white(octets: bytes) -> None:
    assert alike(read(thumbnail(octets)).getpixel((90, 60)), WHITE)


async def test_a_thumbnail_is_asked_for_by_its_part(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    message = letter("Pictures")
    picture = encoded(Image.new("RGB", (900, 600), RED))
    message.add_attachment(picture, maintype="image", subtype="png", filename="red.png")
    message.add_attachment(b"<svg/>", maintype="image", subtype="svg+xml", filename="x.svg")
    await house.send(message)
    parts = [one["PartID"] for one in (await house.get("/api/v1/message/latest"))["Attachments"]]
    for part, colour in zip(parts, (RED, WHITE), strict=True):
        answer = await house.client.get(f"/api/v1/message/latest/part/{part}/thumb")
        assert answer.headers["content-type"] == "image/jpeg"
        assert alike(read(answer.content).getpixel((90, 60)), colour)
    # Without Pillow it is the picture itself, and one white point for what is none.
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(Missing):
        thumbnail(picture)
    answer = await house.client.get(f"/api/v1/message/latest/part/{parts[0]}/thumb")
    assert (answer.content, answer.headers["content-type"]) == (picture, "image/png")
    answer = await house.client.get(f"/api/v1/message/latest/part/{parts[1]}/thumb")
    assert answer.headers["content-type"] == "image/gif"
