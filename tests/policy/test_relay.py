"""What would make an open relay."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from mailsystem.policy.relay import is_of_anybody, open_relay_reasons

OURS = ["example.org", "xn--bcher-kva.example"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"catch_alls": [("example.org", "ann@example.org")]},
        {"aliases": [("sales@example.org", ["ann@example.org", "helper@elsewhere.example"])]},
        {"aliases": [("ann@elsewhere.example", ["ann@example.org"])]},
        {"proxies": ["127.0.0.1", "10.0.0.0/8", "172.16.0.0/12", "fc00::/7", "203.0.113.0/24"]},
        {"proxies": [ipaddress.ip_network("192.168.0.0/16")]},
        {"anybody_logs_in": True},
        {"anybody_logs_in": True, "relays": True, "host": "127.0.0.1"},
        {"relays": True},
    ],
)
def test_what_is_usual_is_no_open_relay(settings: dict[str, Any]) -> None:
    assert open_relay_reasons(**{"domains": OURS, **settings}) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"domains": ["*"]}, "*"),
        ({"domains": ["*.example.org"]}, "*.example.org"),
        ({"domains": [""]}, "(empty)"),
        ({"domains": ["EXAMPLE.org"]}, "EXAMPLE.org"),
        ({"catch_alls": [("example.org", "all@elsewhere.example")]}, "all@elsewhere.example"),
        ({"aliases": [("*@example.org", ["ann@example.org"])]}, "*@example.org"),
        ({"aliases": [("a@one.example", ["b@two.example"])]}, "a@one.example"),
        ({"proxies": ["0.0.0.0/0"]}, "0.0.0.0/0"),
        ({"proxies": ["::/0"]}, "::/0"),
        ({"proxies": ["128.0.0.0/1"]}, "128.0.0.0/1"),
        ({"proxies": ["2000::/3"]}, "2000::/3"),
        ({"anybody_logs_in": True, "relays": True, "host": "*"}, "*"),
    ],
)
def test_each_reason_is_named(settings: dict[str, Any], named: str) -> None:
    [reason] = open_relay_reasons(**{"domains": OURS, **settings})
    assert named in reason
    assert len(reason) > 40


@pytest.mark.parametrize("pattern", ["*", "*@*", "*@*.org", "ann@*", "*.com", "*@?.de", "*@[a-z]*", "*@exampl?", "a*"])
def test_a_sink_may_not_send_to_whole_parts_of_the_internet(pattern: str) -> None:
    assert is_of_anybody(pattern)


@pytest.mark.parametrize(
    "pattern", ["ann@example.org", "*@example.org", "*@*.example.org", "*@localhost", "*@*example.org"]
)
def test_a_sink_may_send_to_domains_that_were_named(pattern: str) -> None:
    assert not is_of_anybody(pattern)
