"""The interface is as it describes itself: schemathesis asks for everything, sensibly and otherwise."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from web_house import House, letter

pytestmark = [
    pytest.mark.judge,
    # Its own dependencies warn of themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore:.*SyntaxWarning"),
]

UNASKED = {
    "/v1/events": "it never ends",
    "/v1/flow": "nor does it",
    "/v1/send": "schemathesis writes no message/rfc822",
}


async def test_every_operation_answers_as_it_is_described(house: House) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schemathesis = pytest.importorskip("schemathesis")
        from schemathesis.checks import load_all_checks
        from schemathesis.specs.openapi import checks

        load_all_checks()
    await house.send(letter("one"), letter("two"))
    failures = await asyncio.to_thread(_every_operation, schemathesis, checks, str(house.client.base_url))
    assert failures == {}
    assert [event.data for event in house.events if event.name == "bug"] == []


def _every_operation(schemathesis: Any, checks: Any, base: str) -> dict[str, str]:
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    wanted = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    failures: dict[str, str] = {}
    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in UNASKED:
            continue
        count += 1
        try:
            _ask(operation, wanted)
        except Exception as error:
            failures[f"{operation.method.upper()} {operation.path}"] = str(error)
    assert count > 25
    return failures


def _ask(operation: Any, wanted: list[Any]) -> None:
    @given(case=operation.as_strategy())
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(case: Any) -> None:
        if operation.path == "/v1/wait":
            case.query["timeout"] = 0
        case.call_and_validate(timeout=30, checks=wanted)

    ask()
