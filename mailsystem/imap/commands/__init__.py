"""The commands of IMAP, by the state they belong to (RFC 3501 6). Importing this fills `command.TABLE`."""

from mailsystem.imap.commands import (
    acl,
    any_state,
    authenticated,
    batches,
    entering,
    fetch,
    listing,
    multisearch,
    not_authenticated,
    quota,
    search,
    selected,
    sort,
    status,
    storing,
    thread,
)

__all__ = [
    "acl",
    "any_state",
    "authenticated",
    "batches",
    "entering",
    "fetch",
    "listing",
    "multisearch",
    "not_authenticated",
    "quota",
    "search",
    "selected",
    "sort",
    "status",
    "storing",
    "thread",
]
