"""The order in which tests run, and what each process begins with."""

from __future__ import annotations

import pytest
from order import dealt


def parts(items: list[str], workers: int) -> list[list[str]]:
    """What xdist gives to each worker at first."""
    left, shared = items, []
    for number in range(workers):
        size = len(left) // (workers - number)
        shared.append(left[:size])
        left = left[size:]
    return shared


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_modules_with_slow_tests_come_first_in_some_parts_and_all_tests_run_once(workers: int) -> None:
    slow = {"c3", "c7", "f0"}
    items = [f"{module}{number}" for module in "abcdefgh" for number in range(20)]
    order = dealt(items, workers=workers, is_slow=slow.__contains__, module=lambda one: one[0])
    assert sorted(order) == sorted(items)
    begun = [part[0][0] for part in parts(order, workers) if part[0][0] in "cf"]
    assert begun == ["c", "f"][: max(1, workers // 3)]
    assert [one for one in order if one[0] not in "cf"] == [one for one in items if one[0] not in "cf"], "as they stand"
    for module in "cf":
        at = order.index(f"{module}0")
        assert order[at : at + 20] == [f"{module}{number}" for number in range(20)], "they share what they need"
