"""A pytest that has the plugin."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

import pytest

_NAME: Final = "mailsystem"
PLUGIN: Final = _NAME if entry_points(group="pytest11", name=_NAME) else "mailsystem.testing.plugin"
"""Where it is installed without its entry point, it is named as a module."""

Run = Callable[..., pytest.RunResult]
