"""The commands of IMAP, by the state they belong to (RFC 3501 6). Importing this fills `command.TABLE`."""

from mailsystem.imap.commands import (
    acl,
    any_state,
    appending,
    authenticated,
    batches,
    entering,
    fetch,
    finding,
    listing,
    metadata,
    not_authenticated,
    notify,
    quota,
    selected,
    status,
    storing,
)

__all__ = [
    "acl",
    "any_state",
    "appending",
    "authenticated",
    "batches",
    "entering",
    "fetch",
    "finding",
    "listing",
    "metadata",
    "not_authenticated",
    "notify",
    "quota",
    "selected",
    "status",
    "storing",
]
