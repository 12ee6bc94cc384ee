"""Faults on demand, in a sink: what a client must be able to live with, when and as often as a test wants it.

- A `Rule` is a pure value: where it strikes, whom, how often, and what goes wrong. It is read and written as JSON
  (`from_json`, `to_json`) and as a line (`of_line`, `to_line`).
- `Faults` keeps the rules in the store, so that every process obeys them at once and all count together.
- The doors ask it once for each command, and make what it says go wrong.
- `generators` writes mail that an application has to understand; it is imported when something is to be written.
"""

from mailsystem.faults.doubting import Doubting
from mailsystem.faults.faults import Faults, Told
from mailsystem.faults.line import of_line, of_words, to_line
from mailsystem.faults.magic import Writing
from mailsystem.faults.narrow import Narrow, finished, hang_up, pause
from mailsystem.faults.rule import BODY, CONNECT, STAGES, Misruled, Rule, Scene, from_json, is_login, to_json

__all__ = [
    "BODY",
    "CONNECT",
    "STAGES",
    "Doubting",
    "Faults",
    "Misruled",
    "Narrow",
    "Rule",
    "Scene",
    "Told",
    "Writing",
    "finished",
    "from_json",
    "hang_up",
    "is_login",
    "of_line",
    "of_words",
    "pause",
    "to_json",
    "to_line",
]
