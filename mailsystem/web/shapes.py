"""What the interface speaks: every value that goes out or comes in, as JSON has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

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
    to: list[Person]
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
    headers: list[HeaderField]


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
    octets: int


class Accounts(Shape):
    accounts: list[AccountShape]


class User(Shape):
    login: str
    admin: bool
    scopes: list[str]


class Started(Shape):
    started: bool


class Info(Shape):
    name: str
    version: str
    role: Literal["sink", "serve"]
    hostname: str
    account: str = Field(description="Whose mail is shown where no account is named.")
    user: User | None
    sending: bool = Field(description="Whether mail may leave for other servers.")
    ports: dict[str, str]
    retention: dict[str, Any] | None = None
    faults: bool = False


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


class Changed(Shape):
    changed: int
    ids: list[str]


class Deleted(Shape):
    moved: dict[str, str]


class Arrivals(Shape):
    messages: list[Summary]


class Explanation(Shape):
    query: str = Field(description="The query in its one spelling.")
    explanation: str
