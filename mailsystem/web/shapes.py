"""What the interface speaks: every value that goes out or comes in, as JSON has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer


def moment(seconds: float) -> datetime:
    """A time of ours, in seconds since the epoch, as the interface has it."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(_iso, return_type=str, when_used="json")]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Person(Shape):
    """Somebody in a header: the name may be anything that a sender has written."""

    name: str
    address: str


class Told(Shape):
    """What is told of every message."""

    id: str = Field(
        description="The same wherever the message is copied or moved to (EMAILID, RFC 8474).", examples=["M12"]
    )
    mailbox: str
    uid: int
    modseq: int
    sender: Person | None = Field(serialization_alias="from")
    to: list[Person] = Field(description="In lists the first 100.")
    cc: list[Person]
    subject: str
    date: Moment | None = Field(description="What the Date field says; null where it says nothing that is a date.")
    received: Moment
    size: int = Field(description="Octets.")
    snippet: str = Field(description="Its first words, up to 200 characters.")
    flags: list[str]
    unread: bool
    pinned: bool = Field(description="Marked \\Flagged, as mail programs call it.")
    tags: list[str] = Field(description="Its keywords.")


class Summary(Told):
    """A message as a list shows it."""

    attachments: int = Field(description="How many files come with it.")


class Page(Shape):
    """Some messages of a list, the newest first."""

    messages: list[Summary]
    next: str | None = Field(description="The cursor that leads on; null at the end.")
    total: int | None = Field(description="How many there are altogether, where that is known without looking at all.")
    unread: int
    modseq: int = Field(description="Events after this one are news to whoever has this list.")


class PartShape(Shape):
    """One node of a message's MIME tree."""

    part: str = Field(
        description="Its number, as IMAP counts (RFC 9051 6.4.5.1); empty for the whole.", examples=["1.2"]
    )
    type: str
    size: int = Field(description="Octets as they were sent.")
    encoding: str
    charset: str | None
    filename: str | None
    cid: str | None
    disposition: str | None
    children: list[PartShape]


class Attachment(Shape):
    """A part that is no text of the message."""

    part: str
    type: str
    filename: str | None
    size: int = Field(description="Octets as they were sent; the encoding makes it about a third larger.")
    cid: str | None
    inline: bool


class Whereabouts(Shape):
    mailbox: str
    uid: int


class Whole(Told):
    """A message as it is read."""

    bcc: list[Person]
    reply_to: list[Person]
    message_id: str | None
    in_reply_to: str | None
    text: str | None = Field(description="Its text; null where there is none.")
    text_cut: bool = Field(
        description="Whether `text` is only the first 4 MiB; `/parts/…?download=true` has all of it."
    )
    has_html: bool
    remote_content: bool = Field(description="Whether its HTML asks for anything from elsewhere.")
    parts: PartShape
    attachments: list[Attachment]
    mailboxes: list[Whereabouts] = Field(description="Where in the account it is.")


class HeaderField(Shape):
    name: str
    value: str = Field(description="Unfolded and decoded.")
    raw: str = Field(description="As it was sent.")


class Headers(Shape):
    headers: list[HeaderField] = Field(description="The first of them, at most 1,000.")
    total: int = Field(description="How many there are.")
    cut: bool = Field(description="Whether there is more of the header than is told.")


class MailboxShape(Shape):
    name: str
    special_use: str | None
    total: int
    unread: int
    octets: int


class Mailboxes(Shape):
    mailboxes: list[MailboxShape]
    modseq: int


class Name(Shape):
    name: str = Field(min_length=1, max_length=1000)


class AccountShape(Shape):
    login: str
    messages: int
    unread: int = Field(default=0, description="Of these, leaving out what is in Trash and in Junk.")
    octets: int
    kind: Literal["address", "sink", "space"] = Field(
        default="address", description="`sink` and `space` have a copy of everything: outside of spaces, and in one."
    )
    space: str | None = Field(default=None, description="The space that it is in.")


class Accounts(Shape):
    accounts: list[AccountShape]


class User(Shape):
    login: str
    admin: bool
    scopes: list[str]


class Started(Shape):
    started: bool


class Limits(Shape):
    """The most that is kept; 0 is without end. Of a space, null is what holds for all."""

    age: float | None = Field(
        default=None, ge=0, le=1e10, description="Seconds since the message came to where it lies."
    )
    messages: int | None = Field(default=None, ge=0, le=10**12)
    octets: int | None = Field(default=None, ge=0, le=10**15)


class Info(Shape):
    name: str
    version: str
    role: Literal["sink", "serve"]
    hostname: str
    account: str = Field(description="Whose mail is shown where no account is named.")
    user: User | None
    sending: bool = Field(description="Whether mail may leave for other servers.")
    ports: dict[str, str]
    retention: Limits | None = Field(
        default=None, description="What every account keeps, but for spaces that say otherwise; null where that is all."
    )
    faults: bool = Field(default=False, description="Whether things go wrong here on demand.")
    spaces: bool = Field(
        default=False, description="Whether there are spaces here. Who has the token of one sees that one alone."
    )


class Change(Shape):
    """What shall become of a message."""

    add_flags: list[str] = Field(default=[], max_length=100)
    remove_flags: list[str] = Field(default=[], max_length=100)
    mailbox: str | None = Field(default=None, description="Where it shall go.")


class Bulk(Shape):
    """What shall become of several messages: named by their ids or found by a query, never neither."""

    ids: list[str] | None = Field(default=None, max_length=10_000)
    query: str | None = None
    mailbox: str = Field(default="INBOX", description="Where they are; * is everywhere.")
    add_flags: list[str] = Field(default=[], max_length=100)
    remove_flags: list[str] = Field(default=[], max_length=100)
    move_to: str | None = None
    delete: Literal["trash", "permanent"] | None = None
    ignore_missing: bool = Field(
        default=False, description="Ids of messages that are not there are passed over: else none is changed (404)."
    )


class Changed(Shape):
    changed: int
    ids: list[str] = Field(description="Of very many the first 10,000.")


class Deleted(Shape):
    moved: dict[str, str]


class Arrivals(Shape):
    messages: list[Summary]


class Explanation(Shape):
    query: str = Field(description="The query in its one spelling.")
    explanation: str


class Kept(Shape):
    messages: int
    octets: int
    pinned: int = Field(description="Messages that are flagged, and so never go by themselves.")


class NextShape(Shape):
    """A message that goes before all newer ones."""

    id: str
    mailbox: str
    uid: int
    size: int
    since: Moment = Field(description="When it came to where it lies.")
    goes: Moment | None = Field(description="When its age will be too much; null where there is no limit of that.")
    why: Literal["age", "messages", "octets"] | None = Field(description="Why it goes now; null while it stays.")


class GoneShape(Shape):
    day: str
    why: str
    messages: int
    octets: int


class Retention(Shape):
    """What an account may keep, what it does, what goes next and what went."""

    limits: Limits
    kept: Kept
    next: list[NextShape]
    gone: list[GoneShape]


class NewSpace(Shape):
    """A space to be opened."""

    name: str = Field(min_length=1, max_length=63, description="Letters, digits and hyphens.", examples=["ci-4821"])
    ttl: float | None = Field(
        default=None,
        ge=1,
        le=31_536_000,
        description="Seconds after its last use when it is gone; as the settings say.",
    )
    login: bool = Field(default=True, description="Whoever logs in by its name, or NAME+anything, is in it.")
    tag: bool = Field(default=True, description="Mail to anything+NAME@any.domain is for it.")
    domains: list[str] = Field(
        default=[], max_length=100, description="Mail to these is for it; *.example.org is all below that one."
    )
    retention: Limits | None = None
    token: bool = Field(
        default=False,
        description="With a token that opens this space and nothing else: to read, change and send mail there.",
    )


class SpaceChange(Shape):
    """What shall be another; what is not named stays."""

    ttl: float | None = Field(default=None, ge=1, le=31_536_000)
    retention: Limits | None = None


class NewToken(Shape):
    """A token for a space."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[ -~]+$", description="What it is for.", examples=["ci"])
    scopes: list[Literal["read", "write", "send"]] = Field(
        default=["read", "write", "send"], min_length=1, max_length=3
    )


class TokenShape(Shape):
    name: str
    scopes: list[str]
    created: Moment
    used: Moment


class MadeToken(Shape):
    name: str
    scopes: list[str]
    token: str = Field(description="Shown this once.")


class Tokens(Shape):
    tokens: list[TokenShape]


class SpaceShape(Shape):
    """A space."""

    name: str
    account: str = Field(description="The login that has a copy of everything in it.")
    ttl: float
    created: Moment
    used: Moment = Field(description="When mail last came for it, or somebody logged in or asked.")
    expires: Moment
    login: bool
    tag: bool
    domains: list[str]
    accounts: int
    messages: int
    octets: int
    retention: Limits | None = None


class OpenedSpace(SpaceShape):
    token: str | None = Field(default=None, description="Shown this once, where one was asked for.")


class Spaces(Shape):
    spaces: list[SpaceShape]
