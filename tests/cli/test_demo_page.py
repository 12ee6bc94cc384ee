"""`mailsystem demo --html`: one file that needs nothing else, and in which whatever was said is text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pages import EVIL, SHOWN, arrow, page_of

from mailsystem.cli.demo.parties import ALICE, OLD_PC, PHONE, SERVER_A, SERVER_B
from mailsystem.cli.demo.play import Reading, Silence
from mailsystem.cli.demo.telling import Inside
from mailsystem.telemetry.flow import Arrow

if TYPE_CHECKING:
    from conftest import Cli

VOID = {"meta", "br", "img", "link", "input"}


class Read(HTMLParser):
    """What a browser would make of the page: elements, text, and whether every element is closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(data)

    def count(self, tag: str, **attrs: str) -> int:
        return sum(name == tag and attrs.items() <= found.items() for name, found in self.elements)


def test_whatever_was_said_is_text() -> None:
    page = page_of(
        arrow(1.0, ALICE, SERVER_A, EVIL, opened=1.0),
        Inside(1.1, SERVER_A, EVIL),
        Silence(OLD_PC, EVIL),
        Reading(ALICE, EVIL, (EVIL,)),
        *(arrow(1.2 + n / 10, ALICE, SERVER_A, EVIL, EVIL, EVIL, EVIL) for n in range(3)),
    )
    read = Read(page)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", page)
    assert read.count("img") == 0
    assert read.count("script") == 1
    assert "alert(1)" not in page.rpartition("<script>")[2], "nothing that was said is in our script"
    assert not any(name.startswith("on") for _, attrs in read.elements for name in attrs)
    lines = [text for text in read.text if text.startswith("<script>alert(1)")]
    assert lines.count(SHOWN) >= 1 + 1 + 12
    assert not any("alert(1)" in str(value) for _, attrs in read.elements for value in attrs.values() if value != SHOWN)


def test_an_exchange_is_one_arrow_that_opens_to_its_lines() -> None:
    answer = Arrow(1.004, 1, "smtp", ALICE, SERVER_A, ALICE, "push", ["250 ok"], 1.0, SERVER_A)
    page = page_of(arrow(1.0, ALICE, SERVER_A, "MAIL FROM:<a@a.test>"), arrow(1.002, ALICE, SERVER_A, "DATA"), answer)
    summary, _, steps = page.partition("<summary>")[2].partition("</summary>")
    assert [text for text in Read(summary).text if text.strip() and "to" not in text] == [
        "0 ms",
        "MAIL · DATA",
        "250 ok",
        "4.0 ms",
    ]
    assert "MAIL FROM:&lt;a@a.test&gt;" in steps
    assert "<b>Alice</b>" in page


def test_a_single_arrow_needs_no_opening() -> None:
    page = page_of(arrow(1.0, SERVER_B, PHONE, "* 1 EXISTS"))
    assert "<details" not in page
    assert "* 1 EXISTS" in page


def test_time_in_which_nothing_happens_is_said_and_not_drawn() -> None:
    page = page_of(arrow(1.0, ALICE, SERVER_A, "NOOP"), Silence(OLD_PC, "x"), arrow(4.5, ALICE, SERVER_A, "NOOP"))
    assert "3.5 s pass" in page


@pytest.mark.parametrize("more", [("--bounce",), ("--history",)])
def test_the_page_is_one_file_with_everything_in_it(cli: Cli, tmp_path: Path, more: tuple[str, ...]) -> None:
    file = tmp_path / "journey.html"
    told = cli("demo", *more, "--json", "--html", str(file)).json
    page = file.read_text(encoding="utf-8")
    read = Read(page)
    for outside in ("http:", "https:", "url(", "@import", "<link", "src="):
        assert outside not in page
    text = "".join(read.text)
    lines = {line for chapter in told["chapters"] for arrow in chapter["arrows"] for line in arrow["lines"]}
    assert len(lines) > 50
    assert not [line for line in lines if line not in text]
    for chapter in told["chapters"]:
        assert chapter["title"] in text
        assert chapter["text"] in text
    assert read.count("h1") == 1
    assert read.count("section", **{"class": "chapter"}) == len(told["chapters"])
    for part in told["compared"]:
        assert part["title"] in text
    for generation in told.get("generations", []):
        assert generation["added"] in text
    assert "correct-horse" not in page


def test_every_arrow_says_in_words_from_whom_to_whom_and_whether_it_is_pushed() -> None:
    page = page_of(
        arrow(1.0, ALICE, SERVER_A, "NOOP"),
        Arrow(1.1, 2, "pop3", OLD_PC, OLD_PC, SERVER_B, "pull", ["STAT"], server=SERVER_B),
    )
    assert '<span class="vh">Alice to server A, push: </span><code>NOOP</code>' in page
    assert '<span class="vh">Bob’s old PC to server B, pull: </span><code>STAT</code>' in page


def test_the_page_can_be_piped(cli: Cli) -> None:
    page = cli("demo", "--history", "--html", "-").out
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
