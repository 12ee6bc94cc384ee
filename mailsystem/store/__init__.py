"""The vault: the only room that knows SQL. Nothing gets in or out but through `Store`.

- What changes the database is a *unit*: a plain generator of statements that does no I/O itself (`database`).
- ModSeq is the only cursor: each change takes the account's next one inside its own transaction, first of all.
- Writes that wait are committed together, durably, before any of them is answered (`sqlite`).
- A commit rings the bell (`bell`); whoever sleeps wakes up and *looks*. A ring carries no news.
"""

from mailsystem.store.access_tokens import PREFIX as TOKEN_PREFIX
from mailsystem.store.access_tokens import Access, AccessToken, AccessTokens
from mailsystem.store.accounts import AccountSummary, Quota
from mailsystem.store.additions import New
from mailsystem.store.bell import ITSELF, Bell, Topic
from mailsystem.store.choices import Announced, Choices
from mailsystem.store.contents import Contents
from mailsystem.store.deliveries import HOOKS, Delivery, Mark, News
from mailsystem.store.downloads import Handled
from mailsystem.store.faults import RULES
from mailsystem.store.headings import Said, Sayings
from mailsystem.store.index import Glance, Index, Told
from mailsystem.store.indexing import Counted
from mailsystem.store.leaving import QUEUE, Leaving
from mailsystem.store.lives import Life, Note, Whereabouts
from mailsystem.store.logins import Login
from mailsystem.store.mailboxes import Mailboxes
from mailsystem.store.maildrops import Folder, Lease, Maildrop, Maildrops
from mailsystem.store.metadata import LONGEST_VALUE, Metadata, Place, TooManyEntries, ValueTooLong
from mailsystem.store.names import BadUse
from mailsystem.store.outbound import (
    AlreadyReported,
    Job,
    Outbound,
    Settled,
    Settling,
    mark_delay_told,
    mark_reported,
)
from mailsystem.store.oversight import Backlog, Changed, Listing, Oversight, Queued, Selection
from mailsystem.store.replaying import Step
from mailsystem.store.retention import Gone, Old, Outlook, Retention
from mailsystem.store.roll import Pick, Roll
from mailsystem.store.routes import Alias, Disabled, Domain, Route
from mailsystem.store.rows import Appended, Copied, Delivered, Drop, Fetched, FlagOp, Having, Opened, Want
from mailsystem.store.secrets import AppPassword, Secrets
from mailsystem.store.sending import Caps, Sending, Standing
from mailsystem.store.sharing import Sharing, Sign
from mailsystem.store.signing_keys import Algorithm, KeyState, SigningKey, SigningKeys
from mailsystem.store.spaces import MOST_DOMAINS, SPACES, Space, Spaces
from mailsystem.store.spaces import Summary as SpaceSummary
from mailsystem.store.spool import Spool
from mailsystem.store.store import Store, open_store
from mailsystem.store.suppression import Suppressed, Suppression
from mailsystem.store.tls_levels import Level, TlsLevel, TlsLevels
from mailsystem.store.transcripts import Evidence, Line, Recipient, SessionRecord
from mailsystem.store.webhooks import Webhook, Webhooks
from mailsystem.telemetry.transcript import Refusal

__all__ = [
    "HOOKS",
    "ITSELF",
    "LONGEST_VALUE",
    "MOST_DOMAINS",
    "QUEUE",
    "RULES",
    "SPACES",
    "TOKEN_PREFIX",
    "Access",
    "AccessToken",
    "AccessTokens",
    "AccountSummary",
    "Algorithm",
    "Alias",
    "AlreadyReported",
    "Announced",
    "AppPassword",
    "Appended",
    "Backlog",
    "BadUse",
    "Bell",
    "Caps",
    "Changed",
    "Choices",
    "Contents",
    "Copied",
    "Counted",
    "Delivered",
    "Delivery",
    "Disabled",
    "Domain",
    "Drop",
    "Evidence",
    "Fetched",
    "FlagOp",
    "Folder",
    "Glance",
    "Gone",
    "Handled",
    "Having",
    "Index",
    "Job",
    "KeyState",
    "Lease",
    "Leaving",
    "Level",
    "Life",
    "Line",
    "Listing",
    "Login",
    "Mailboxes",
    "Maildrop",
    "Maildrops",
    "Mark",
    "Metadata",
    "New",
    "News",
    "Note",
    "Old",
    "Opened",
    "Outbound",
    "Outlook",
    "Oversight",
    "Pick",
    "Place",
    "Queued",
    "Quota",
    "Recipient",
    "Refusal",
    "Retention",
    "Roll",
    "Route",
    "Said",
    "Sayings",
    "Secrets",
    "Selection",
    "Sending",
    "SessionRecord",
    "Settled",
    "Settling",
    "Sharing",
    "Sign",
    "SigningKey",
    "SigningKeys",
    "Space",
    "SpaceSummary",
    "Spaces",
    "Spool",
    "Standing",
    "Step",
    "Store",
    "Suppressed",
    "Suppression",
    "TlsLevel",
    "TlsLevels",
    "Told",
    "TooManyEntries",
    "Topic",
    "ValueTooLong",
    "Want",
    "Webhook",
    "Webhooks",
    "Whereabouts",
    "mark_delay_told",
    "mark_reported",
    "open_store",
]
