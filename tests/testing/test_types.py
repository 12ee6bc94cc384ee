"""The plugin is typed for those who use it."""

from __future__ import annotations

from pathlib import Path

import mypy.api
import pytest

import mailsystem


@pytest.mark.slow
def test_a_user_can_check_tests_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYPYPATH", str(Path(mailsystem.__file__).parents[1]))
    user = Path(__file__).with_name("typed_user.py")
    said, failed, status = mypy.api.run(["--strict", "--config-file=", str(user)])
    assert (status, failed) == (0, ""), said


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(mailsystem.__file__).with_name("py.typed").exists()
