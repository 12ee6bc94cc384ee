"""The example applications pass their own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from plugged import PLUGIN

import mailsystem

ROOT = Path(mailsystem.__file__).parents[1]


@pytest.mark.parametrize("example", ["django", "flask"])
def test_an_example_passes_its_own_tests(example: str, tmp_path: Path) -> None:
    place = tmp_path / "example"
    shutil.copytree(
        ROOT / "docs" / "examples" / example, place, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache")
    )
    run(place, "pytest", "-q", "-p", PLUGIN, "-p", "no:asyncio", "-p", "no:xdist")


def test_the_django_example_passes_without_pytest() -> None:
    place = ROOT / "docs" / "examples" / "django"
    run(place, "django", "test", "--pattern", "test_with_unittest.py", DJANGO_SETTINGS_MODULE="shop.settings")


def run(place: Path, *command: str, **more: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MAILSYSTEM_"))}
    environment |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{place}", "PYTHONDONTWRITEBYTECODE": "1", **more}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=place, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
