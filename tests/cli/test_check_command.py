"""`mailsystem check`, `extract` and `diff`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from sarif_pydantic import Sarif

from mailsystem.checks import RULES

if TYPE_CHECKING:
    from conftest import Cli

GOOD = """From: Shop <shop@example.org>
To: Ann <ann@example.net>
Subject: Your order
Date: Fri, 27 Nov 2020 09:00:00 +0000
Message-ID: <1@example.org>

Your code is 482913.
https://example.org/reset/1
"""
ZONE = """$ORIGIN example.org.
@ TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc TXT "v=DMARC1; p=reject"
"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    return written(tmp_path / "good.eml", GOOD)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return written(tmp_path / "b\u00e4d <1>.eml", GOOD.replace("Date:", "X-Date:").replace("Your order", ""))


def written(file: Path, text: str) -> str:
    file.write_bytes(text.replace("\n", "\r\n").encode())
    return str(file)


def test_a_good_message_is_said_to_be_good(cli: Cli, good: str) -> None:
    assert cli("check", good).out == f"{good}: nothing is wrong\n"


def test_what_is_wrong_is_told_with_its_rule_and_fails(cli: Cli, bad: str) -> None:
    told = cli("check", bad, status=1).out.splitlines()
    assert told == [
        f"{bad}: error: there is no Date field (Date) [date-missing]",
        f"{bad}:3: warning: the subject is missing or empty (Subject) [subject-empty]",
        f"{bad}: 1 error, 1 warning",
    ]


def test_what_fails_is_chosen(cli: Cli, good: str, bad: str) -> None:
    cli("check", "--fail-on", "never", bad)
    cli("check", "--disable", "date-missing", bad)
    cli("check", "--disable", "date-missing", "--fail-on", "warning", bad, status=1)
    cli("check", "--disable", "date-missing", "--disable", "subject-empty", "--fail-on", "info", bad)
    cli("check", good, bad, status=1)


def test_a_message_can_be_piped_in(cli: Cli) -> None:
    told = cli("check", "-", stdin=GOOD, status=0)
    assert told.out.splitlines()[-1] == "-: 1 info"


def test_json_tells_all(cli: Cli, bad: str) -> None:
    [told] = cli("check", "--json", bad, status=1).json
    assert told["file"] == bad
    assert told["findings"][0] == {
        "rule": "date-missing",
        "severity": "error",
        "message": "there is no Date field",
        "line": None,
        "part": None,
        "header": "Date",
        "hint": "",
        "source": "RFC 5322 3.6",
    }


def test_sarif_has_what_code_scanning_reads(cli: Cli, good: str, bad: str) -> None:
    told = cli("check", "--format", "sarif", good, bad, status=1).json
    Sarif.model_validate(told)
    assert told["version"] == "2.1.0"
    assert "sarif-2.1.0" in told["$schema"]
    [run] = told["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.id for rule in RULES]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        [location] = result["locations"]
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert " " not in location["physicalLocation"]["artifactLocation"]["uri"]
    assert [result["ruleId"] for result in run["results"]] == ["date-missing", "subject-empty"]


def test_junit_has_a_case_for_each_rule(cli: Cli, good: str, bad: str) -> None:
    told = cli("check", "--format", "junit", "--disable", "nul", good, bad, status=1).out
    root = ElementTree.fromstring(told)
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures")) == (str(2 * len(RULES) - 2), "1")
    first, second = root.findall("testsuite")
    assert first.get("failures") == "0"
    assert second.get("name") == bad
    [failed] = [case for case in second if case.find("failure") is not None]
    assert failed.get("name") == "date-missing"
    assert failed.find("failure").get("type") == "error"  # type: ignore[union-attr]
    [told_only] = [case for case in second if case.find("system-out") is not None]
    assert told_only.get("name") == "subject-empty"


def test_junit_stays_xml_whatever_a_message_says(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "evil.eml"
    file.write_bytes(b"From: <x>&\x00\x1b[2J\r\n<script>]]>\xff\r\n\r\n")
    told = cli("check", "--format", "junit", str(file), status=1).out
    assert ElementTree.fromstring(told).get("failures") != "0"
    assert "\x1b" not in cli("check", str(file), status=1).out


def test_spf_and_dmarc_are_asked_of_a_zone_file(cli: Cli, good: str, tmp_path: Path) -> None:
    zone = tmp_path / "zone"
    zone.write_text(ZONE)
    sent = ("--mail-from", "bounce@example.org", "--helo", "mail.example.org")
    told = cli("check", "--zone", str(zone), *sent, "--ip", "192.0.2.1", good).out
    assert "spf=pass smtp.mailfrom=bounce@example.org" in told
    assert "dmarc=pass header.from=example.org" in told
    told = cli("check", "--zone", str(zone), *sent, "--ip", "192.0.2.2", good, status=1).out
    assert "[spf-fail]" in told
    assert "the policy of example.org is reject (From) [dmarc-fail]" in told


def test_links_inside_are_not_followed(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "m.eml", GOOD.replace("https://example.org/reset/1", "http://127.0.0.1:9/x"))
    told = cli("check", "--links", "--disable", "link-local", file).out
    assert "http://127.0.0.1:9/x was not asked for: 127.0.0.1 is at 127.0.0.1, which is not public" in told
    assert "was not answered" in cli("check", "--links", "--allow-private", file).out
    leave = "List-Unsubscribe: <http://127.0.0.1:9/x>\nTo:"
    file = written(tmp_path / "n.eml", Path(file).read_text().replace("To:", leave))
    assert "127.0.0.1:9/x was" not in cli("check", "--links", "--disable", "link-local", file).out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "which message?"),
        (("none.eml",), "none.eml cannot be read: No such file or directory"),
        (("--disable", "nonsense", "{good}"), "there is no rule nonsense"),
        (("--zone", "{good}", "{good}"), "this is no zone file"),
        (("--ip", "1.2.3", "{good}"), "1.2.3 is no IP address"),
        (("--ip", "192.0.2.1", "{good}"), "needs --zone or --dns"),
        (("--mail-from", "a@b", "{good}"), "SPF needs --ip"),
    ],
)
def test_what_makes_no_sense_ends_with_status_2(cli: Cli, good: str, args: tuple[str, ...], said: str) -> None:
    told = cli("check", *(arg.format(good=good) for arg in args), status=2)
    assert told.out == ""
    assert said in " ".join(told.err.replace("│", " ").split())


def test_the_rules_are_listed(cli: Cli) -> None:
    told = cli("check", "--rules").out
    listed = cli("check", "--rules", "--json").json
    assert [one["id"] for one in listed] == [rule.id for rule in RULES]
    for rule in RULES:
        assert f"{rule.id} ({rule.severity}): {rule.title}" in told
        assert rule.explanation in told


def test_links_and_codes_are_extracted(cli: Cli, good: str) -> None:
    assert cli("extract", good).out == "code 482913 (91): Your code is 482913.\nlink https://example.org/reset/1\n"
    assert cli("extract", "--code", good).out == "482913\n"
    assert cli("extract", "--link", "/res.t/", good).out == "https://example.org/reset/1\n"
    assert cli("extract", "--code", "-", stdin=GOOD).out == "482913\n"
    told = cli("extract", "--json", good).json
    assert told["codes"][0]["value"] == "482913"
    assert told["links"] == [
        {"url": "https://example.org/reset/1", "text": "https://example.org/reset/1", "part": "1", "kind": "text"}
    ]
    assert told["unsubscribe"] is None


def test_what_is_not_there_is_told_by_the_status(cli: Cli, tmp_path: Path, good: str) -> None:
    empty = written(tmp_path / "empty.eml", "Subject: x\n\n")
    assert cli.refused("extract", "--code", empty) == "there is no code"
    assert cli.refused("extract", "--link", "none", good) == "no link matches none"
    assert cli("extract", empty).out == "there is neither a link nor a code\n"
    assert "no regular expression" in cli("extract", "--link", "(", good, status=2).err


def test_how_to_unsubscribe_is_extracted(cli: Cli, tmp_path: Path) -> None:
    fields = "List-Unsubscribe: <https://example.org/u>, <mailto:u@example.org>\nList-Unsubscribe-Post: no\nTo:"
    told = cli("extract", written(tmp_path / "list.eml", GOOD.replace("To:", fields))).out
    assert "unsubscribe: https://example.org/u\nunsubscribe: mailto:u@example.org\n" in told
    assert "unsubscribe is wrong: List-Unsubscribe-Post must be List-Unsubscribe=One-Click" in told


def test_messages_that_say_the_same_do_not_differ(cli: Cli, good: str, tmp_path: Path) -> None:
    other = written(tmp_path / "other.eml", GOOD.replace("<1@", "<2@").replace("2020", "2021"))
    assert cli("diff", good, other).out == "no difference\n"
    assert cli("diff", good, other, "--json").json == {"same": True, "diff": []}


def test_where_messages_differ_is_shown(cli: Cli, good: str, tmp_path: Path) -> None:
    other = written(tmp_path / "other.eml", GOOD.replace("482913", "\x1b[31m77"))
    told = cli("diff", good, other, "-U", "0", status=1).out.splitlines()
    assert told == [
        f"--- {good}",
        f"+++ {other}",
        "@@ -11 +11 @@",
        "-Your code is 482913.",
        "+Your code is  [31m77.",
    ]
    beside = cli("diff", "-y", good, other, status=1).out
    assert "Your code is 482913." in beside
    assert "Your code is  [31m77." in beside
    assert "\x1b" not in beside
    assert cli("diff", good, other, "--json", status=1).json["same"] is False
    cli("diff", good, "-", stdin=GOOD, status=0)


def test_masks_make_no_difference(cli: Cli, good: str, tmp_path: Path) -> None:
    other = written(tmp_path / "other.eml", GOOD.replace("482913", "771122"))
    cli("diff", good, other, status=1)
    cli("diff", "--mask", "[0-9]{6}", good, other)
    cli("diff", "--mask", "(", good, other, status=2)
    cli("diff", "-", "-", status=2)


def test_neither_the_start_nor_a_check_imports_what_it_does_not_use(good: str) -> None:
    code = (
        "import sys, json; from mailsystem.cli import app\n"
        "before = [m for m in ('mailsystem.checks', 'httpx', 'spf') if m in sys.modules]\n"
        f"app(['check', {good!r}], standalone_mode=False)\n"
        "after = [m for m in ('httpx', 'spf', 'dkim', 'dns.resolver', 'asyncio.events') if m in sys.modules]\n"
        "print(json.dumps([before, [m for m in after if m in ('httpx', 'spf', 'dkim')]]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(out.splitlines()[-1]) == [[], []]


def test_html_is_held_against_what_mail_programs_show(cli: Cli, tmp_path: Path) -> None:
    head, _, body = GOOD.partition("\n\n")
    page = f"{head}\nMIME-Version: 1.0\nContent-Type: text/html\n\n<video>{body}</video>\n"
    file = written(tmp_path / "page.eml", page)
    assert "html-" not in cli("check", file).out
    left_out = ["--disable", "text-missing", "--fail-on", "warning", file]
    cli("check", *left_out)
    assert "html-unsupported" not in cli("check", "--html-support", "5", *left_out).out
    told = cli("check", "--html-support", "90", *left_out, status=1).out
    assert "warning: <video> element is not shown by " in told
    root = ElementTree.fromstring(cli("check", "--html-support", "90", "--format", "junit", *left_out, status=1).out)
    [failed] = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed.get("name") == "html-unsupported"
    log = cli("check", "--html-support", "90", "--format", "sarif", *left_out, status=1).json
    Sarif.model_validate(log)
    assert "html-unsupported" in [one["ruleId"] for one in log["runs"][0]["results"]]
    for wrong in ("101", "-1", "many"):
        assert "--html-support" in cli("check", "--html-support", wrong, file, status=2).err
