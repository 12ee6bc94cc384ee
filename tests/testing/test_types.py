"""The plugin is typed for those who use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import program
import pytest

import mailsystem


@pytest.mark.slow
def test_a_user_can_check_tests_strictly(tmp_path: Path) -> None:
    """In a process of its own, which takes with it the half gigabyte that it needs."""
    user = Path(__file__).with_name("typed_user.py")
    done = subprocess.run(
        # What a user has installed is read for its types, and is not checked itself.
        [*(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"), str(user)],
        capture_output=True,
        text=True,
        env=program.environment(tmp_path, MYPYPATH=str(Path(mailsystem.__file__).parents[1])),
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(mailsystem.__file__).with_name("py.typed").exists()
