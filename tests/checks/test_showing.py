"""What of a message's HTML mail programs do not show."""

from __future__ import annotations

import pytest
from made import WORDS, html, plain, report, told

from mailsystem.checks import Finding, Severity
from mailsystem.checks.support import table

ROUND = f'<p style="border-radius: 4px">{WORDS}</p>'


def found(raw: bytes, least: float) -> list[Finding]:
    return [one for one in report(raw, html_support=least).findings if one.rule in ("html-unsupported", "html-partial")]


def test_a_feature_is_held_against_how_many_show_it() -> None:
    feature = table().features["css-border-radius"]
    whole, partly, not_at_all = feature.shares
    assert min(whole, partly, not_at_all) > 0
    raw = html(ROUND, WORDS)
    assert found(raw, whole) == []
    [one] = found(raw, whole + 0.1)
    assert (one.rule, one.severity, one.where.part) == ("html-partial", Severity.INFO, "2")
    assert one.message.startswith("border-radius is shown in part only by ")
    assert one.message.endswith("): https://www.caniemail.com/features/css-border-radius/")
    assert found(raw, whole + partly)[0].rule == "html-partial"
    [one] = found(raw, whole + partly + 0.1)
    assert (one.rule, one.severity, one.where.part) == ("html-unsupported", Severity.WARNING, "2")
    those = [client for client in feature.clients if client.support == "no"]
    assert f"is not shown by {len(those)} of {len(feature.clients)} mail programs (" in one.message
    assert one.message.count("Outlook Windows") == 1, "seven versions of it are one program"
    assert " and " in one.message


def test_those_that_fewest_show_come_first_and_each_part_is_looked_at() -> None:
    raw = html(f"<style>p:hover {{gap: 1px}}</style><nav>{WORDS}</nav><video src=x></video>{ROUND}", WORDS)
    lost = [
        table().features[one.message.rpartition("/features/")[2].rstrip("/")].shares[2]
        for one in found(raw, 100)
        if one.rule == "html-unsupported"
    ]
    assert len(lost) > 3
    assert lost == sorted(lost, reverse=True)


@pytest.mark.parametrize("raw", [plain(), html("<p>x</p>", "x"), html(""), html("<unheard-of>", "x")])
def test_what_everybody_shows_is_left_alone(raw: bytes) -> None:
    assert found(raw, 80) == []


def test_nobody_looks_unless_asked_and_either_rule_can_be_left_out() -> None:
    raw = html(ROUND, WORDS)
    assert not [rule for rule in told(raw) if rule.startswith("html-")]
    assert "html-unsupported" in told(raw, html_support=100)
    assert "html-unsupported" not in told(raw, html_support=100, disabled=["html-unsupported"])
