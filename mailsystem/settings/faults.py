"""Settings for what goes wrong on demand, in a sink."""

from __future__ import annotations

from pydantic import Field

from mailsystem.settings.group import Group


class Faults(Group):
    """What goes wrong on demand, in a sink and nowhere else."""

    magic: bool = Field(
        default=True,
        description="Let mail to addresses such as 451-twice+x@example.org meet in a sink what they ask for.",
    )
