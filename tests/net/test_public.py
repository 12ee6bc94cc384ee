"""Which addresses lead out to the internet: those of a cloud's own services do not. More are with the queue's tests."""

from __future__ import annotations

import pytest

from mailsystem.net.public import is_public


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:a9fe:a9fe::",
        "2a00:1450::5efe:10.0.0.1",
        "2a00:1450::200:5efe:169.254.169.254",
    ],
)
def test_services_of_clouds_are_inside_however_they_are_written(address: str) -> None:
    assert not is_public(address)


def test_an_address_that_names_a_public_one_is_outside() -> None:
    assert is_public("2a00:1450::5efe:9.9.9.9")
    assert is_public("9.9.9.9")
