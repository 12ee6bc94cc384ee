"""What is here, and what of Mailpit's is not."""

from __future__ import annotations

import resource
import time
from typing import Any

from fastapi import APIRouter, Request

from mailsystem import __version__
from mailsystem.web.mailpit.box import Box

VERSION = "v1.30.5"
"""The Mailpit that this is like; its clients ask for one that is new enough."""


def add_to(router: APIRouter, box: Box) -> None:
    context = box.context
    began = time.monotonic()

    @router.get("/api/v1/info")
    async def info(request: Request) -> dict[str, Any]:
        account = await box.account(request)
        counted = await box.counted(account)
        return {
            "Version": VERSION,
            "LatestVersion": VERSION,
            "Database": f"mailsystem {__version__}",
            "DatabaseSize": counted.octets,
            "Messages": counted.total,
            "Unread": counted.unread,
            "Tags": {tag: await box.count(account, box.tagged(tag)) for tag in counted.tags},
            "RuntimeStats": {
                "Uptime": int(time.monotonic() - began),
                "Memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
                # Of what came and went nobody keeps count but the journal.
                "MessagesDeleted": 0,
                "SMTPAccepted": 0,
                "SMTPAcceptedSize": 0,
                "SMTPRejected": 0,
                "SMTPIgnored": 0,
            },
        }

    @router.get("/api/v1/webui")
    async def configuration(request: Request) -> dict[str, Any]:
        await box.account(request)
        return {
            "Label": context.label,
            "MessageRelay": {
                "Enabled": context.sending,
                "SMTPServer": "",
                "ReturnPath": "",
                "AllowedRecipients": " ".join(context.sent_on),
                "BlockedRecipients": "",
                "OverrideFrom": "",
                "PreserveMessageIDs": True,
                "RecipientAllowlist": " ".join(context.sent_on),
            },
            "SpamAssassin": False,
            "ChaosEnabled": context.faults is not None,
            "DuplicatesIgnored": False,
            "HideDeleteAllButton": not context.delete_all,
        }
