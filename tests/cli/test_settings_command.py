"""`mailsystem settings`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailsystem.settings import knobs

if TYPE_CHECKING:
    from conftest import Cli


def test_every_setting_is_shown_with_its_source(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mailsystem.toml").write_text("[imap]\nport = 2143\n")
    monkeypatch.setenv("MAILSYSTEM_SMTP__PORT", "2525")
    rows = {line.split()[0]: line.split() for line in cli("settings").out.splitlines()[2:]}
    assert set(rows) == {knob.name for knob in knobs()}
    assert rows["smtp.port"] == ["smtp.port", "2525", "MAILSYSTEM_SMTP__PORT"]
    assert rows["imap.port"] == ["imap.port", "2143", "mailsystem.toml"]
    assert rows["pop3.port"] == ["pop3.port", "110", "default"]
    assert rows["tls.cert"] == ["tls.cert", "-", "default"]
    assert rows["cleartext_login"][1] == "false"


def test_json_has_value_source_variable_and_description(cli: Cli) -> None:
    told = cli("settings", "--json").json
    assert list(told) == [knob.name for knob in knobs()]
    assert told["smtp.port"] == {
        "value": 25,
        "source": "default",
        "variable": "MAILSYSTEM_SMTP__PORT",
        "description": "Port for SMTP; 0 takes a free one.",
    }
    assert told["data_dir"] == {**told["data_dir"], "value": str(cli.data_dir), "source": "MAILSYSTEM_DATA_DIR"}


def test_those_of_the_sink_are_its_own(cli: Cli) -> None:
    told = cli("settings", "--sink", "--json").json
    assert (told["smtp.port"]["value"], told["smtp.port"]["source"]) == (1025, "sink")


def test_a_file_that_is_not_there_is_said(cli: Cli) -> None:
    assert cli.refused("settings", "--config", "none.toml") == (
        "there is no file of settings none.toml; --config and MAILSYSTEM_CONFIG must name one"
    )
