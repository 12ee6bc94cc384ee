"""The house keeps its own rules: rooms, names, sizes, one reply for every failure at every door."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import mailsystem
from mailsystem.mail import errors
from mailsystem.mail.errors import MailError

PACKAGE = Path(mailsystem.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

DOORS = {
    "smtp": "mailsystem.smtp.replies",
    "pop3": "mailsystem.pop3.replies",
    "imap": "mailsystem.imap.dispatch",
    "pop2": "mailsystem.pop2.replies",
    "pop1": "mailsystem.pop1.replies",
}


def kinds() -> list[type[MailError]]:
    """Every failure that has a name."""
    found: list[type[MailError]] = []
    waiting = MailError.__subclasses__()
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return sorted((kind for kind in found if kind.__module__ == errors.__name__), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("door", DOORS)
def test_every_failure_has_a_reply_at_every_door(door: str, kind: type[MailError]) -> None:
    replies: Mapping[type[MailError], object] = importlib.import_module(DOORS[door]).REPLIES
    assert kind in replies


def test_failures_are_named_in_one_place() -> None:
    elsewhere = [
        str(module.relative_to(ROOT))
        for module in MODULES
        if module.name != "errors.py" and re.search(r"^class \w+\(MailError\)", module.read_text(), re.MULTILINE)
    ]
    assert elsewhere == []


def test_every_failure_speaks_shortly_and_in_lower_case() -> None:
    for kind in kinds():
        text = str(kind())
        assert 0 < len(text) < 60
        assert text == text.lower()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_has_outgrown_its_room(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 420, "is there a second room inside?"


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "manager", "common", "base", "misc", "interface", "interfaces"}
    assert [str(m) for m in MODULES if m.stem in drawers or m.parent.name in drawers] == []


def test_only_one_place_knows_sql() -> None:
    spoken = re.compile(r'"(?:SELECT [^"]+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)')
    for module in MODULES:
        if "store" not in module.parts:
            assert not spoken.search(module.read_text()), module


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(module.relative_to(ROOT)) for module in MODULES if not module.read_text().startswith('"""')]
    assert silent == []


def test_the_repository_names_no_machine() -> None:
    """No path of somebody's machine and no package registry is written down anywhere."""
    models = importlib.import_module("pip._internal.models.index")
    named = re.compile(
        "|".join([re.escape(models.PyPI.netloc), re.escape(models.PyPI.file_storage_domain), r"/home/\w+/"])
    )
    folders = ("mailsystem", "tests", "docs", "deploy", "benchmarks", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    for file in [*files, *ROOT.glob("*.*"), ROOT / "Makefile"]:
        if file.suffix in {".py", ".md", ".toml", ".yml", ".sh", ""} and file.is_file() and file != Path(__file__):
            assert not named.search(file.read_text(errors="replace")), file
