"""A report in plain words: what has become of a message, why, and what can be done about it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from email.utils import formatdate
from typing import Final

from mailsystem.mail.reported import Action, Reported, clean

_WIDTH: Final = 72

ORDER: Final = (Action.FAILED, Action.DELAYED, Action.DELIVERED, Action.RELAYED, Action.EXPANDED)
"""What is told first, and names the whole report."""

TITLES: Final = {
    Action.FAILED: "Not delivered",
    Action.DELAYED: "Not delivered yet",
    Action.DELIVERED: "Delivered",
    Action.RELAYED: "Handed on",
    Action.EXPANDED: "Delivered and sent on",
}
"""What a report of this kind is called."""

_INTRODUCTIONS: Final = {
    Action.FAILED: "could not be delivered to",
    Action.DELAYED: "has not been delivered yet to",
    Action.DELIVERED: "was delivered to",
    Action.RELAYED: "was handed to the mail server of",
    Action.EXPANDED: "was delivered to, and sent on from there,",
}
_CONCLUSIONS: Final = {
    Action.DELAYED: "You need not do anything, nor send it again.",
    Action.DELIVERED: "That does not mean that it has been read.",
    Action.RELAYED: "That server does not confirm deliveries: you will hear no more, unless it fails there.",
    Action.EXPANDED: "You will hear no more of the others, unless it fails there.",
}

# By status code (RFC 3463 and the registry that it founded), without its class; the longest that fits.
_ADVICE: Final = {
    "1": "Please check the address: it may be misspelt, or no longer in use.",
    "1.2": "Please check what follows the @: no mail can be sent to a domain of that name.",
    "1.7": "They do not accept your own address as a sender. Your mail administrator can help.",
    "1.8": "They do not accept your own address as a sender. Your mail administrator can help.",
    "1.10": "Please check what follows the @: that domain says that it takes no mail.",
    "2.1": "The mailbox does not take mail at present. Please reach them in another way.",
    "2.2": "Their mailbox is full. Please try again later, or reach them in another way.",
    "2.3": "The message is too large for them. Please send it in parts, or large files in another way.",
    "3.4": "The message is too large for them. Please send it in parts, or large files in another way.",
    "4": "Their mail server could not be reached, or did not answer. Please try again later.",
    "4.4": "No mail server was found for that domain. Please check what follows the @.",
    "4.7": "It could not be handed on in all that time. What stands above may tell why; your mail administrator can help.",
    "4.6": "The message went round in circles. The mail administrator there would want to know.",
    "5.3": "There were too many recipients. Please send the message to fewer of them at a time.",
    "6": "Their mail server cannot take a message of this kind.",
    "6.7": "Their mail server does not know international addresses. Please ask for another one of theirs.",
    "7": "Their mail server did not want the message. What it said may tell why; whom you write to may know more.",
    "7.30": "You asked for encryption all the way, which their mail server does not offer.",
}


def explanation(
    *, hostname: str, recipients: Sequence[Reported], subject: str, arrived: float, now: float, attached: str
) -> str:
    """The first part of a report: lines of at most some 72 characters, but for words that are longer.

    `attached` says what of the message comes with it.
    """
    blocks = [_wrapped(f"This is the mail server {hostname}.")]
    message = "Your message" + (f' "{clean(subject, 200)}"' if subject else "")
    for action in ORDER:
        if told := [each for each in recipients if each.action is action]:
            blocks += _told(action, told, message, arrived, now)
            message = "It"
    blocks.append(_wrapped(attached))
    return "\n\n".join(blocks) + "\n"


def _told(action: Action, told: Sequence[Reported], message: str, arrived: float, now: float) -> Iterator[str]:
    when = f" of {formatdate(arrived, localtime=True)}" if message != "It" else ""
    yield _wrapped(f"{message}{when} {_INTRODUCTIONS[action]}:")
    for group in _alike(told):
        yield "\n".join(_recipients(group))
    if action is Action.FAILED:
        if any(each.code.startswith("4") for each in told):
            yield _wrapped(f"It was tried for {_span(now - arrived)}, and will not be tried again.")
    elif action is Action.DELAYED and (until := max(each.retry_until or 0 for each in told)):
        date = formatdate(until, localtime=True)
        yield _wrapped(
            f"{_CONCLUSIONS[action]} It will be tried until {date}; if that fails as well, you will hear of it."
        )
    else:
        yield _wrapped(_CONCLUSIONS[action])


def _alike(told: Iterable[Reported]) -> Iterable[list[Reported]]:
    """Those of whom the same is to be said."""
    groups: dict[tuple[str, str, str], list[Reported]] = {}
    for each in told:
        groups.setdefault((each.remote, each.reply, each.code), []).append(each)
    return groups.values()


def _recipients(group: Sequence[Reported]) -> Iterator[str]:
    first = group[0]
    for each in group:
        yield f"  {clean(str(each.address), 400)}"
        if each.original and (meant := _meant(each.original)) and meant.casefold() != str(each.address).casefold():
            yield f"    (to whom {meant} leads)"
    if first.action in (Action.FAILED, Action.DELAYED) and (lines := first.lines):
        if first.is_of_remote:
            yield _wrapped(f"{clean(first.remote, 255)} answered:", "    ")
            yield from (_wrapped(line, "      ") for line in lines)
        else:
            yield from (_wrapped(line, "    ") for line in lines)
    if first.action is Action.FAILED and (advice := _advice(first)):
        yield _wrapped(advice, "    ")


def _meant(original: str) -> str:
    """Whom ORCPT names, if people would know them by it."""
    kind, _, text = original.partition(";")
    plain = kind.lower() == "rfc822" and re.fullmatch(r"[!-*,-~]+", text)
    return text if plain and len(text) <= 256 else ""


def _advice(each: Reported) -> str:
    subject, _, detail = each.code[2:].partition(".")
    if subject == "7" and not each.is_of_remote:
        return ""  # it was us, and our reply says why
    return _ADVICE.get(f"{subject}.{detail}", _ADVICE.get(subject, ""))


def _span(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {unit}" + ("s" if count != 1 else "")
    return "a moment"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
