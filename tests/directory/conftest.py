import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from mailsystem.directory import passwords

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "mail")]


@pytest.fixture(autouse=True)
def _dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes as they are elsewhere than in tests."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())
