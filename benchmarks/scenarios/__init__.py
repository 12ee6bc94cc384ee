"""What can be measured, in the order in which it is."""

from collections.abc import Mapping
from typing import Final

from benchmarks.scenarios import idle, imap, large, logins, mixed, pop3, search, smtp, start
from benchmarks.scenarios.scenario import Scenario

ALL: Final[Mapping[str, Scenario]] = {
    each.name: each for room in (smtp, pop3, imap, search, idle, logins, mixed, large, start) for each in room.SCENARIOS
}
GROUPS: Final = tuple(dict.fromkeys(each.group for each in ALL.values()))

__all__ = ["ALL", "GROUPS", "Scenario", "chosen"]


def chosen(names: list[str]) -> list[Scenario]:
    """Those of these names or groups, each once; all, for none. Raises `ValueError`."""
    if not names:
        return list(ALL.values())
    wanted = set(names)
    if unknown := wanted - set(ALL) - set(GROUPS):
        raise ValueError(f"there is no scenario {', '.join(sorted(unknown))}; --list shows all")
    return [each for each in ALL.values() if each.name in wanted or each.group in wanted]
