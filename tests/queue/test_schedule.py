"""When mail is tried again, when its sender is told, and when it is given up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.queue.schedule import SPREAD, Schedule

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 1_700_000_000.0

schedules = st.builds(
    Schedule,
    first=st.floats(1, DAY),
    most=st.floats(1, 2 * DAY),
    notice=st.floats(0, DAY),
    lifetime=st.floats(60, 30 * DAY),
)
attempts = st.integers(-1, 1 << 40)
moments = st.floats(0, 4e9)
parts = st.floats(0, 1)


def middle() -> float:
    return 0.5


@pytest.mark.parametrize(
    ("tries", "minutes"),
    [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 64), (7, 128), (8, 200), (9, 200), (1000, 200)],
)
def test_the_wait_doubles_up_to_the_most(tries: int, minutes: float) -> None:
    assert Schedule().next_try(tries, NOW, jitter=middle) == pytest.approx(NOW + minutes * 60)


def test_greylisting_of_one_minute_and_of_five_lets_an_early_try_in() -> None:
    """Whatever jitter does, the second try comes after the first minute and the third before the first quarter is over."""
    schedule = Schedule()
    for jitter in (lambda: 0.0, lambda: 1.0):
        second = schedule.next_try(1, 0.0, jitter=jitter)
        third = schedule.next_try(2, second, jitter=jitter)
        fourth = schedule.next_try(3, third, jitter=jitter)
        assert 60 < second < 300
        assert third < 8 * 60
        assert 300 < fourth < 20 * 60


def test_a_message_is_tried_about_forty_times_in_five_days() -> None:
    schedule, now, tries = Schedule(), 0.0, 1
    source = random.Random(7)
    while not schedule.is_expired(0.0, now):
        now = schedule.next_try(tries, now, expires=schedule.expires(0.0), jitter=source.random)
        tries += 1
    assert now == 5 * DAY
    assert 35 <= tries <= 50


@given(schedules, attempts, moments, parts)
def test_no_try_is_due_before_now_or_later_than_the_most(
    schedule: Schedule, tries: int, now: float, part: float
) -> None:
    due = schedule.next_try(tries, now, jitter=lambda: part)
    assert now <= due <= now + schedule.most + 1e-3


@given(schedules, attempts, attempts, moments, parts)
def test_later_tries_never_come_sooner(schedule: Schedule, one: int, other: int, now: float, part: float) -> None:
    few, many = sorted((one, other))
    assert schedule.next_try(few, now, jitter=lambda: part) <= schedule.next_try(many, now, jitter=lambda: part)


@given(schedules, attempts, parts)
def test_jitter_stays_within_its_spread(schedule: Schedule, tries: int, part: float) -> None:
    planned = schedule.next_try(tries, 0.0, jitter=middle)
    due = schedule.next_try(tries, 0.0, jitter=lambda: part)
    assert planned * (1 - SPREAD) - 1e-6 <= due <= planned * (1 + SPREAD) + 1e-6


def test_what_failed_together_does_not_come_back_together() -> None:
    schedule = Schedule()
    for tries in (1, 5, 100):
        assert len({schedule.next_try(tries, NOW) for _ in range(50)}) > 40


@given(schedules, attempts, moments, parts)
def test_the_last_try_is_made_when_the_message_expires(
    schedule: Schedule, tries: int, arrived: float, part: float
) -> None:
    expires = schedule.expires(arrived)
    now = max(arrived, expires - 1)
    assert now <= schedule.next_try(tries, now, expires=expires, jitter=lambda: part) <= max(expires, now)
    assert schedule.next_try(tries, expires + 5, expires=expires, jitter=lambda: part) == expires + 5


@pytest.mark.parametrize(
    ("age", "delay", "expired"),
    [
        (0, False, False),
        (4 * HOUR - 1, False, False),
        (4 * HOUR, True, False),
        (5 * DAY - 1, True, False),
        (5 * DAY, False, True),
        (9 * DAY, False, True),
        (-HOUR, False, False),  # the clock was set back
    ],
)
def test_the_sender_hears_after_four_hours_and_gets_it_back_after_five_days(
    age: float, delay: bool, expired: bool
) -> None:
    schedule = Schedule()
    assert schedule.is_delay_due(NOW, NOW + age) is delay
    assert schedule.is_expired(NOW, NOW + age) is expired


@given(st.floats(0, 30 * DAY))
def test_with_no_notice_nothing_is_said(age: float) -> None:
    assert not Schedule(notice=0).is_delay_due(NOW, NOW + age)
