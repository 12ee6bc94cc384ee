"""`mailsystem extract`: links, one-time codes and how to unsubscribe, out of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.messages import File, octets_of
from mailsystem.cli.options import AsJson, examples
from mailsystem.cli.terminal import print_json, say

if TYPE_CHECKING:
    import re

epilog = examples(
    "mailsystem extract message.eml",
    "mailsystem extract --code message.eml",
    "mailsystem extract --link /reset/ message.eml",
    "mailsystem extract --code - < message.eml",
)


def extract(
    file: File,
    code: Annotated[bool, typer.Option("--code", help="Print the likeliest one-time code and nothing else.")] = False,
    link: Annotated[
        str | None,
        typer.Option(
            "--link", metavar="PATTERN", help="Print the first link of which address or words match and nothing else."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Print the links and one-time codes of a message, and how to unsubscribe.

    A pattern is a regular expression that may match anywhere; /reset/ is one.
    The exit status is 1 if what was asked for is not in the message.
    """
    from mailsystem.mail.extraction import extracted
    from mailsystem.mail.reading import read

    found = extracted(read(octets_of(file)))
    if link is not None:
        wanted = _pattern(link)
        matching = [one for one in found.links if wanted.search(one.url) or wanted.search(one.text)]
        if not matching:
            raise typer.Exit(_missing(f"no link matches {link}"))
        if json:
            print_json([_as_json(one) for one in matching])
        else:
            say(_shown(matching[0].url))
    if code:
        if not found.codes:
            raise typer.Exit(_missing("there is no code"))
        if json:
            print_json([_as_json(one) for one in found.codes])
        else:
            say(found.codes[0].value)
    if code or link is not None:
        return
    if json:
        print_json(
            {
                "links": [_as_json(one) for one in found.links],
                "codes": [_as_json(one) for one in found.codes],
                "unsubscribe": _as_json(found.unsubscribe) if found.unsubscribe else None,
            }
        )
        return
    for one in found.codes:
        say(f"code {one.value} ({one.score}): {_shown(one.context)}")
    for each in found.links:
        words = f" ({_shown(each.text)})" if each.kind == "html" and each.text else ""
        say(f"link {_shown(each.url)}{words}")
    if (leave := found.unsubscribe) is not None:
        how = " by one click" if leave.one_click else ""
        for way in (leave.http, leave.mailto):
            if way is not None:
                say(f"unsubscribe{how if way == leave.http else ''}: {_shown(way)}")
        for error in leave.errors:
            say(f"unsubscribe is wrong: {error}")
    if not (found.codes or found.links or found.unsubscribe):
        say("there is neither a link nor a code")


def _pattern(text: str) -> re.Pattern[str]:
    import re

    try:
        return re.compile(text)
    except re.error as error:
        raise typer.BadParameter(f"{text} is no regular expression: {error}", param_hint="--link") from None


def _missing(said: str) -> int:
    from mailsystem.cli.terminal import complain

    complain(said)
    return 1


def _shown(text: str) -> str:
    """What a message says, without what a terminal would obey."""
    return "".join(character for character in text if character.isprintable())


def _as_json(value: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(value)  # type: ignore[call-overload, no-any-return]
