"""The settings of webhooks."""

from __future__ import annotations

from pydantic import Field

from mailsystem.settings.group import Group


class Webhooks(Group):
    """How those are told who want to hear of mail by HTTP."""

    private: bool | None = Field(
        default=None,
        description="Let receivers be on this machine or its network, and reached by http; by default in a sink only."
        " Otherwise they have public addresses and https.",
    )
    timeout: float = Field(
        default=15.0, ge=0.1, le=600, description="Seconds that a receiver may take for one request."
    )
    retry_first: float = Field(
        default=5.0,
        ge=0.05,
        le=3600,
        description="Seconds until something that was not taken is sent again; each further wait is twice as long, up to four"
        " hours.",
    )
    lifetime: float = Field(
        default=259_200.0,
        ge=1,
        le=2_592_000,
        description="Seconds for which something is sent again before it is given up and kept to be looked at.",
    )
