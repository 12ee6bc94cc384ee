"""`mailsystem settings`: what is in force, and where it came from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailsystem.cli.options import AsJson, Config, examples
from mailsystem.cli.terminal import print_json, print_table

epilog = examples("mailsystem settings", "mailsystem settings --sink", "mailsystem settings --json")


def show(
    sink: Annotated[bool, typer.Option("--sink", help="Show those of `mailsystem sink` instead.")] = False,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """Show every setting, its value and where that came from: a variable, a file, or the default.

    A flag beats a MAILSYSTEM_… variable, which beats mailsystem.toml, which
    beats the default. Secrets are not shown.
    """
    from mailsystem.settings import knobs, load

    loaded = load(config=config, sink=sink)
    if json:
        print_json(
            {
                knob.name: {
                    "value": loaded.value(knob.name),
                    "source": loaded.sources[knob.name],
                    "variable": knob.variable,
                    "description": knob.description,
                }
                for knob in knobs()
            }
        )
        return
    print_table(
        ["setting", "value", "from"],
        [[knob.name, _shown(loaded.value(knob.name)), loaded.sources[knob.name]] for knob in knobs()],
        empty="",
    )


def _shown(value: Any) -> str:
    """A value as the file of settings would have it."""
    if value in (None, "", (), {}):
        return "-"
    if isinstance(value, tuple | dict):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    readable = getattr(value, "human_readable", None)
    return str(value) if readable is None else str(readable(separator=" "))
