"""What the machine's start has to do with mail: what was answered before it was on disk may be gone after a power cut.

A client may know of a ModSeq then that was never kept. It must not be given to another change, or that client would take
the change for one that it has seen (RFC 7162 3.1.2.2). So each start of the machine leaves a gap in the ModSeqs of all
accounts, wider than what can be lost.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

from mailsystem.store.database import Sql, Unit

GAP: Final = 1 << 24
"""More changes than any machine makes in the half minute within which its system writes down what it holds."""
_IDENTITY: Final = Path("/proc/sys/kernel/random/boot_id")


def current() -> str:
    """What tells this start of the machine from all others; where the system has nothing of the kind, from any other call."""
    try:
        return _IDENTITY.read_text().strip()
    except OSError:
        return uuid.uuid4().hex


def noticed(boot: str) -> Unit[bool]:
    """Leave the gap, unless that was done since this start; returns whether it was left."""
    same = yield Sql("SELECT 1 FROM boots WHERE id = $1", boot)
    if same:
        return False
    yield Sql("DELETE FROM boots")
    yield Sql("INSERT INTO boots (id) VALUES ($1)", boot)
    yield Sql("UPDATE accounts SET modseq = modseq + $1", GAP)
    return True
