"""Several clients, several processes, any order: each client's mirror is true whenever it has looked.

After NOOP a client must know exactly what is there; in between it may only be behind. Clients that come back with QRESYNC must
know all that came to pass meanwhile from what SELECT tells them. Set MODEL_EXAMPLES to look for longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from clients import DIALECTS, Clients, House
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "120"))


@pytest.fixture(scope="module", params=["one process", "processes"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("model"), processes=request.param == "processes")
    yield house
    house.close()


@pytest.mark.slow
def test_every_mirror_is_true(house: House) -> None:
    Clients.house = house
    run_state_machine_as_test(
        Clients,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


# What went wrong once, here or in a server that was broken on purpose


@pytest.fixture
def clients(house: House) -> Iterator[Clients]:
    Clients.house = house
    played = Clients()
    yield played
    played.teardown()


@pytest.mark.parametrize("first", ["SEARCH ALL", "FETCH 1 FLAGS", "UID SEARCH ALL", "NOOP"])
def test_no_modseq_is_told_before_what_vanished_earlier(clients: Clients, first: str) -> None:
    """A flag that changed after an expunge, told while the expunge could not be, made the client miss the expunge for good."""
    clients.begins([frozenset()] * 3, ["QRESYNC", ""])
    clients.blinks(0, first, [0], [1], frozenset({"\\Flagged"}))


def test_nothing_is_expunged_under_the_hands_of_who_counts(clients: Clients) -> None:
    clients.begins([frozenset()] * 4, ["", "CONDSTORE"])
    clients.another_process_is_busy(0, [0, 2], [1], frozenset({"$Work"}))
    clients.fetches(0, [3], False, "FLAGS")
    clients.searches(1, "ALL", False)
    clients.looks(0, "NOOP")
    clients.looks(1, "CHECK")


@pytest.mark.parametrize("enables", [each for each in DIALECTS if "QRESYNC" in each])
def test_who_was_away_knows_of_all_that_came_and_went(clients: Clients, enables: str) -> None:
    clients.begins([frozenset(), frozenset({"\\Deleted"})], [enables, ""])
    clients.leaves(0, "UNSELECT")
    clients.mail_comes(0, frozenset({"\\Seen"}))
    clients.expunges(1, None)
    clients.copies(1, [0], True, "MOVE", 1)
    clients.copies(1, [0], True, "COPY", 0)
    clients.renames(1, 0)
    clients.comes_back(0, 0, True)
