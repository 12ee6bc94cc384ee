"""What is here, and what of Mailpit's is not."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from mailsystem import __version__
from mailsystem.mail.mailbox import INBOX
from mailsystem.web.mailpit.box import Box

VERSION = "v1.30.5"
"""The Mailpit that this is like; its clients ask for one that is new enough."""
_STATM: Final = "/proc/{}/statm"


def add_to(router: APIRouter, box: Box) -> None:
    context = box.context

    async def figures(request: Request) -> dict[str, Any]:
        visitor = await box.visitor(request)
        account, own = visitor.account, bool(visitor.space)
        counted = await box.counted(account)
        gone = (await context.store.mailboxes.find(account.id, INBOX)).uidnext - 1 - counted.total
        tally = context.tally
        return {
            "Version": VERSION,
            "LatestVersion": VERSION,
            "Database": f"mailsystem {__version__}",
            "DatabaseSize": counted.octets,
            "Messages": counted.total,
            "Unread": counted.unread,
            "Tags": await box.tagged(account),
            "RuntimeStats": {
                "Uptime": int(tally.seconds),
                "Memory": _memory(tally.pids),
                "MessagesDeleted": gone if own else max(0, gone - tally.gone_before),
                # What comes for all is not for who has a space of their own to know.
                "SMTPAccepted": 0 if own else tally.accepted,
                "SMTPAcceptedSize": 0 if own else tally.octets,
                "SMTPRejected": 0 if own else tally.rejected,
                "SMTPIgnored": 0,  # whatever is accepted is kept
            },
        }

    @router.get("/api/v1/info")
    async def info(request: Request) -> dict[str, Any]:
        return await figures(request)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        octets, kind = await asyncio.to_thread(_exposed, await figures(request))
        return Response(octets, media_type=kind)

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
            "SpamAssassin": bool(context.spamd),
            "ChaosEnabled": context.faults is not None,
            "DuplicatesIgnored": False,
            "HideDeleteAllButton": not context.delete_all,
        }


def _exposed(told: Mapping[str, Any]) -> tuple[bytes, str]:
    """The figures of `AppInformation` for Prometheus, by the names that Mailpit has for them, and of what type that is."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

    ran = told["RuntimeStats"]

    class Figures(Collector):
        def collect(self) -> Iterator[Metric]:
            for name, what, value in (
                ("messages", "Messages in the mailbox", told["Messages"]),
                ("messages_unread", "Messages that nobody has read", told["Unread"]),
                ("database_size_bytes", "Octets of all messages", told["DatabaseSize"]),
                ("uptime_seconds", "Seconds since the start", ran["Uptime"]),
                ("memory_usage_bytes", "Octets in memory", ran["Memory"]),
            ):
                yield GaugeMetricFamily(f"mailpit_{name}", what, value=value)
            for name, what, value in (
                ("messages_deleted", "Messages deleted", ran["MessagesDeleted"]),
                ("smtp_accepted", "Messages accepted", ran["SMTPAccepted"]),
                ("smtp_rejected", "Senders, recipients and messages refused", ran["SMTPRejected"]),
                ("smtp_ignored", "Messages accepted and not kept", ran["SMTPIgnored"]),
                ("smtp_accepted_size_bytes", "Octets of messages accepted", ran["SMTPAcceptedSize"]),
            ):
                yield CounterMetricFamily(f"mailpit_{name}", what, value=value)
            tagged = GaugeMetricFamily("mailpit_tag_messages", "Messages with a tag", labels=["tag"])
            for tag, messages in told["Tags"].items():
                tagged.add_metric([tag], messages)
            yield tagged

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures())
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def _memory(pids: Iterable[int]) -> int:
    """Octets that these processes have in memory; where the system does not say it, the most that this one ever had."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(_STATM.format(pid)).read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue  # one that has died is being replaced
    if pages:
        return pages * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10
