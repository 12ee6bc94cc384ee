"""The settings of what leaves."""

from __future__ import annotations

from pydantic import Field, model_validator

from mailsystem.settings.group import Group


class Queue(Group):
    """How mail for other servers is handed on."""

    retry_first: float = Field(
        default=120.0,
        ge=1,
        le=86_400,
        description="Seconds until mail that could not be handed on is tried again; each further wait is twice as long.",
    )
    retry_most: float = Field(
        default=14_400.0, ge=1, le=172_800, description="Most seconds between two tries to hand mail on."
    )
    delay_notice: float = Field(
        default=14_400.0,
        ge=0,
        description="Seconds after which senders are told that their mail is still waiting; 0 tells them nothing.",
    )
    lifetime: float = Field(
        default=432_000.0,
        ge=60,
        le=2_592_000,
        description="Seconds that mail is tried before it is given up and goes back to its sender.",
    )

    @model_validator(mode="after")
    def _ascending(self) -> Queue:
        if self.retry_first > self.retry_most:
            raise ValueError("retry_first is the shortest wait and retry_most the longest: it cannot be less")
        return self
