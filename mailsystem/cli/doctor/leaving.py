"""Mail that should leave, and does not."""

from __future__ import annotations

from typing import Final

from mailsystem.cli.doctor.finding import Finding, good, warning
from mailsystem.cli.queue.looking import printed, span
from mailsystem.cli.queue.selecting import plural
from mailsystem.store import Backlog, Selection, Store

CHECK: Final = "queue"
_OVERDUE: Final = 600.0
"""Seconds in which a queue that runs takes what is due, however busy it is."""
_LONG: Final = 3600.0
"""Seconds that mail may wait before somebody should look; greylisting is over by then."""
_TOLD: Final = 200
_BLOCKED: Final = (
    "no server is reached: is port 25 blocked for this machine? ask its provider to open it, or set queue.smarthost"
)


async def leaving(store: Store) -> Finding:
    """Whether somebody carries mail to other servers, and they take it."""
    backlog = await store.oversight.backlog(Selection())
    now = store.clock.now()
    if not backlog:
        return good(CHECK, "nothing waits to leave")
    count = (await store.oversight.count(Selection())).messages
    waits = f"{plural(count, 'message')} {'waits' if count == 1 else 'wait'} to leave"
    due = min((one.due for one in backlog if one.due is not None), default=now)
    if now - due > _OVERDUE and not any(one.is_taken for one in backlog):
        said = f"{waits}, and nobody has tried for {span(now - due)} what is due"
        return warning(
            CHECK, said, "start what carries it: mailsystem serve, or beside other roles mailsystem serve queue"
        )
    late = [one for one in backlog if one.waiting and one.reply and now - one.oldest > _LONG]
    if not late:
        return good(CHECK, waits)
    first = min(late, key=lambda one: one.oldest)
    said = f"{waits}, the oldest for {span(now - first.oldest)} for {first.domain}: {printed(first.reply)[:_TOLD]}"
    if _is_nobody_reached(backlog):
        return warning(CHECK, said, _BLOCKED)
    return warning(CHECK, said, "mailsystem queue list --summary tells what each domain says")


def _is_nobody_reached(backlog: list[Backlog]) -> bool:
    """Whether more than one domain was tried, and not one of them by a connection that came about."""
    tried = [one for one in backlog if one.reply]
    return len(tried) > 1 and all(one.reply.startswith("no connection to ") for one in tried)
