"""Counts that decay, and the networks that an address is in."""

from __future__ import annotations

import pytest
from vault import TestClock

from mailsystem.net.counts import Common, Own
from mailsystem.policy.meter import Allowance, Meter, network_of, networks


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


def test_what_is_allowed_comes_back_with_time(clock: TestClock) -> None:
    meter = Meter(clock, [Allowance(3, 60.0)])
    for _ in range(3):
        assert meter.has_room("ann")
        meter.count("ann")
    assert not meter.has_room("ann")
    assert meter.has_room("bob")
    clock.time += 19.9
    assert not meter.has_room("ann")
    clock.time += 0.1
    assert meter.has_room("ann")
    meter.count("ann")
    assert not meter.has_room("ann")


def test_the_narrowest_allowance_decides(clock: TestClock) -> None:
    meter = Meter(clock, [Allowance(2, 1.0), Allowance(4, 1000.0)])
    for _ in range(4):
        assert meter.has_room("ann")
        meter.count("ann")
        clock.time += 0.5
    assert not meter.has_room("ann")


def test_a_factor_widens_an_allowance_and_lets_it_come_back_as_much_sooner(clock: TestClock) -> None:
    meter = Meter(clock, [Allowance(10, 60.0)])
    for _ in range(90):
        assert meter.has_room("net", factor=9)
        meter.count("net", factor=9)
    assert not meter.has_room("net", factor=9)
    clock.time += 60 / 90
    assert meter.has_room("net", factor=9)


def test_those_under_way_take_room_too(clock: TestClock) -> None:
    meter = Meter(clock, [Allowance(2, 60.0)])
    assert meter.has_room("ann", beside=1)
    assert not meter.has_room("ann", beside=2)


def test_a_clock_that_is_set_back_lets_nothing_decay(clock: TestClock) -> None:
    meter = Meter(clock, [Allowance(1, 60.0)])
    meter.count("ann")
    clock.time -= 1000
    assert not meter.has_room("ann")


def test_memory_is_bounded_and_who_was_quiet_longest_is_forgotten(clock: TestClock) -> None:
    counts = Own(most=100)
    meter = Meter(clock, [Allowance(1, 60.0)], counts)
    for n in range(1000):
        meter.count(str(n))
        meter.count("always")
    assert len(counts) == 100
    assert not meter.has_room("always")
    assert not meter.has_room("999")
    assert meter.has_room("1")


def test_what_one_process_counts_another_knows(clock: TestClock) -> None:
    common = Common(2, ["guesses"])
    for allowances in ([Allowance(4, 60.0)], [Allowance(4, 60.0), Allowance(5, 6000.0)]):
        here, there = (Meter(clock, allowances, common.counts("guesses")) for _ in range(2))
        for _ in range(2):
            for number, meter in enumerate((here, there)):
                common.join(number)
                assert meter.has_room("ann")
                meter.count("ann")
        assert not here.has_room("ann")
        assert here.has_room("bob")
        clock.time += 15
        assert there.has_room("ann")
        here.clear("ann")


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("192.0.2.77", ["192.0.2.77/32", "192.0.2.64/26", "192.0.0.0/21"]),
        ("::ffff:192.0.2.77", ["192.0.2.77/32", "192.0.2.64/26", "192.0.0.0/21"]),
        ("2001:db8:1:2:3::4", ["2001:db8:1:2::/64", "2001:db8:1::/48", "2001:db8::/32"]),
        ("fe80::1%eth0", ["fe80::/64", "fe80::/48", "fe80::/32"]),
        ("unix", ["unix"]),
    ],
)
def test_an_address_is_in_ever_wider_networks(host: str, names: list[str]) -> None:
    around = networks(host)
    assert [one.name for one in around] == names
    assert [one.factor for one in around] == [1, 3, 9][: len(names)]


def test_a_network_of_any_width_has_one_name() -> None:
    assert network_of("192.0.2.77", ipv4=24, ipv6=64) == "192.0.2.0/24"
    assert network_of("::ffff:192.0.2.1", ipv4=24, ipv6=64) == "192.0.2.0/24"
    assert network_of("2001:db8::77", ipv4=24, ipv6=64) == "2001:db8::/64"
    assert network_of("unix", ipv4=24, ipv6=64) == "unix"
