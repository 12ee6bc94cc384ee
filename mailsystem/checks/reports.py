"""Reports for programs: JSON, SARIF 2.1.0 for code scanning, JUnit XML for test runners."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from xml.etree import ElementTree

from mailsystem.checks.rule import Finding, Report, Severity, shown
from mailsystem.checks.rules import BY_ID, RULES

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}

Named = Sequence[tuple[str, Report]]
"""Reports, each with the name of its file."""


def as_json(report: Report) -> dict[str, Any]:
    """One report as plain values."""
    return {
        "findings": [
            {
                "rule": finding.rule,
                "severity": str(finding.severity),
                "message": finding.message,
                "line": finding.where.line,
                "part": finding.where.part,
                "header": finding.where.header,
                "hint": finding.hint,
                "source": finding.source,
            }
            for finding in report.findings
        ],
        "authentication": [
            {"method": one.method, "result": one.result, "detail": one.detail} for one in report.results
        ],
    }


def as_sarif(reports: Named, version: str) -> dict[str, Any]:
    """A SARIF log with one run; `version` is the program's."""
    places = {rule.id: place for place, rule in enumerate(RULES)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "mailsystem",
                        "semanticVersion": version,
                        "rules": [
                            {
                                "id": rule.id,
                                "shortDescription": {"text": rule.title},
                                "fullDescription": {"text": rule.explanation},
                                "help": {"text": " ".join(one for one in (rule.explanation, rule.hint) if one)},
                                "defaultConfiguration": {"level": _LEVELS[rule.severity]},
                                "properties": {"source": rule.source},
                            }
                            for rule in RULES
                        ],
                    }
                },
                "results": [
                    _result(name, finding, places[finding.rule])
                    for name, report in reports
                    for finding in report.findings
                ],
            }
        ],
    }


def _result(name: str, finding: Finding, place: int) -> dict[str, Any]:
    where = finding.where
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(name)}}
    physical["region"] = {"startLine": where.line or 1}
    location: dict[str, Any] = {"physicalLocation": physical}
    logical = []
    if where.part:
        logical.append({"name": f"part {where.part}", "kind": "element"})
    if where.header:
        logical.append({"name": where.header, "kind": "member"})
    if logical:
        location["logicalLocations"] = logical
    return {
        "ruleId": finding.rule,
        "ruleIndex": place,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. {finding.hint}" if finding.hint else f"{finding.message}."},
        "locations": [location],
    }


def _uri(name: str) -> str:
    from urllib.parse import quote

    return quote("stdin" if name == "-" else name.replace("\\", "/"), safe="/:", errors="replace")


def as_junit(reports: Named, fail_on: Severity | None, disabled: Collection[str] = ()) -> str:
    """A suite for each file, a case for each rule; one fails where something at least as bad as `fail_on` was found."""
    order = list(Severity)
    root = ElementTree.Element("testsuites", name="mailsystem check")
    totals = [0, 0]
    for name, report in reports:
        suite = ElementTree.SubElement(root, "testsuite", name=shown(name, 500) or "-")
        failures = 0
        rules = [rule for rule in RULES if rule.id not in disabled]
        for rule in rules:
            found = [finding for finding in report.findings if finding.rule == rule.id]
            case = ElementTree.SubElement(suite, "testcase", classname=shown(name, 500) or "-", name=rule.id)
            lines = [_line(finding) for finding in found]
            worst = min((order.index(finding.severity) for finding in found), default=len(order))
            if fail_on is not None and worst <= order.index(fail_on):
                failures += 1
                failure = ElementTree.SubElement(case, "failure", message=found[0].message, type=str(order[worst]))
                failure.text = "\n".join([*lines, "", BY_ID[rule.id].explanation])
            elif lines:
                ElementTree.SubElement(case, "system-out").text = "\n".join(lines)
        counts = {"tests": len(rules), "failures": failures, "errors": 0, "skipped": 0, "time": 0}
        for key, value in counts.items():
            suite.set(key, str(value))
        totals = [totals[0] + len(rules), totals[1] + failures]
    root.set("tests", str(totals[0]))
    root.set("failures", str(totals[1]))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _line(finding: Finding) -> str:
    where = str(finding.where)
    return f"{finding.severity}: {finding.message}" + (f" ({where})" if where else "")
