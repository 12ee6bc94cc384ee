"""What of a message's HTML mail programs do not show, by the table of Can I email."""

from __future__ import annotations

from collections.abc import Iterable

from mailsystem.checks.features import features_of
from mailsystem.checks.rule import Findings
from mailsystem.checks.rules import content
from mailsystem.checks.support import Client, Feature, table
from mailsystem.mail.reading import Reading

MOST_NAMED = 5
"""Programs that one finding names."""


def check_showing(message: Reading, findings: Findings, *, least: float) -> None:
    """Find each feature that fewer than `least` per cent of the programs show as it is meant, those first that fewest do."""
    known = table().features
    for piece in message.htmls:
        used = [known[slug] for slug in features_of(message.text(piece.part)).used]
        for feature in sorted(used, key=lambda one: (-one.shares[2], one.shares[0], one.slug)):
            whole, partly, _ = feature.shares
            if whole + partly < least:
                told = _told(feature, "no", "not shown")
                findings.add(content.HTML_UNSUPPORTED, told, part=piece.section)
            elif whole < least:
                told = _told(feature, "partial", "shown in part only")
                findings.add(content.HTML_PARTIAL, told, part=piece.section)


def _told(feature: Feature, support: str, how: str) -> str:
    those = [one for one in feature.clients if one.support == support]
    names = _names(those)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    programs = f"{', '.join(names[:MOST_NAMED])}{more}"
    return (
        f"{feature.title} is {how} by {len(those)} of {len(feature.clients)} mail programs ({programs}): {feature.url}"
    )


def _names(clients: Iterable[Client]) -> list[str]:
    """Each program once, whatever its versions."""
    return list(dict.fromkeys(one.name.rpartition(" (")[0] for one in clients))
