"""A message as a test looks at it: parsed, and octet by octet; how it came; its links, codes and files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from mailsystem.testing.arrival import Envelope, Parcel, Session
from mailsystem.testing.attachment import Attachment
from mailsystem.testing.failing import MailFailure, harmless, hidden
from mailsystem.testing.naming import is_like

if TYPE_CHECKING:
    from mailsystem.checks import Report
    from mailsystem.mail.extraction import Code, Link, Unsubscribe
    from mailsystem.mail.reading import Reading

__tracebackhide__ = hidden


class Comparing(Protocol):
    """Who keeps snapshots."""

    def compare(self, message: Message, name: str | None, masks: Mapping[str, str]) -> None:
        """Raises `MailFailure` where a message is not as it was."""
        ...


class Message:
    """What has arrived. Everything that takes parsing is done when it is asked for."""

    def __init__(self, parcel: Parcel, snapshots: Comparing | None = None) -> None:
        self._parcel = parcel
        self._snapshots = snapshots

    def __repr__(self) -> str:
        people = harmless(f"from {self.sender or '<>'} to {', '.join(self.to) or 'nobody'}")
        return f"<Message {self.id} {self.subject!r} {people}>"

    # How it came

    @property
    def id(self) -> str:
        """The server's name for it: `M12`."""
        return self._parcel.id

    @property
    def arrived(self) -> datetime:
        """When it had come, in UTC."""
        return self._parcel.at

    @property
    def envelope(self) -> Envelope:
        """From whom and to whom the client said it was, and how the client came."""
        return self._parcel.envelope

    @property
    def session(self) -> Session:
        """The connection by which it came, with the complete transcript so far."""
        return self._parcel.session()

    @property
    def raw(self) -> bytes:
        """The octets that were sent, untouched."""
        return self._parcel.stored[self._parcel.prefix :]

    @property
    def stored(self) -> bytes:
        """The same as it is kept, and as it is read by POP3 and IMAP: Return-Path and Received in front."""
        return self._parcel.stored

    # What it says

    @cached_property
    def email(self) -> EmailMessage:
        """Parsed by the standard library with its default policy."""
        return message_from_bytes(self.raw, policy=default)

    @property
    def subject(self) -> str:
        """Decoded; empty where there is none."""
        return self._reading.header("Subject") or ""

    @property
    def sender(self) -> str:
        """The address in From; empty where there is none."""
        return next(iter(self._people("From")), "")

    @property
    def to(self) -> list[str]:
        """The addresses in To."""
        return self._people("To")

    @property
    def cc(self) -> list[str]:
        """The addresses in Cc."""
        return self._people("Cc")

    @property
    def date(self) -> datetime | None:
        """What the Date field says; None where that is no date."""
        try:
            return parsedate_to_datetime(self._reading.header("Date") or "")
        except (ValueError, OverflowError):
            return None

    @property
    def text(self) -> str:
        """Its plain text; of a message without that, what its HTML shows. Lines end in LF."""
        from mailsystem.mail.extraction import text_of

        return text_of(self._reading)

    @property
    def html(self) -> str:
        """Its HTML; empty where it has none."""
        from mailsystem.mail.extraction import html_of

        return html_of(self._reading) or ""

    # What is in it

    @property
    def links(self) -> Sequence[Link]:
        """All links of the HTML and all addresses in the text, each with its words."""
        from mailsystem.mail.extraction import links_of

        return links_of(self._reading)

    def link(self, url: str | re.Pattern[str] = "", *, text: str | None = None) -> str:
        """The one address that has `url` in it, or on whose link `text` is to be read, without regard to case.

        Raises `MailFailure` where there is none, or more than one.
        """
        urls = dict.fromkeys(
            link.url
            for link in self.links
            if (url in link.url if isinstance(url, str) else url.search(link.url))
            and (text is None or text.casefold() in link.text.casefold())
        )
        if len(urls) == 1:
            return next(iter(urls))
        wanted = f"{url!r}" if isinstance(url, str) else f"{url.pattern!r}"
        wanted += "" if text is None else f", text={text!r}"
        every = "".join(f"\n  {link.url}  ({link.text})" for link in self.links) or "\n  none"
        count = f"{len(urls)} links match" if urls else "no link matches"
        raise MailFailure(f"{count} {wanted} in {self!r}; links of the message:{every}")

    @property
    def codes(self) -> Sequence[Code]:
        """One-time codes, the likeliest first."""
        from mailsystem.mail.extraction import codes_of

        return codes_of(self._reading)

    def code(self, pattern: str | None = None) -> str:
        """The likeliest one-time code; with a `pattern` (an expression for the whole of it) the likeliest that fits.

        Raises `MailFailure` where there is none.
        """
        for code in self.codes:
            if pattern is None or re.fullmatch(pattern, code.value):
                return code.value
        if pattern is not None and (found := re.search(rf"(?<!\w)(?:{pattern})(?!\w)", self.text)):
            return found[0]
        raise MailFailure(f"there is no code in {self!r}; its text is:\n{self.text}")

    @cached_property
    def attachments(self) -> Sequence[Attachment]:
        """Everything that is no text of the message itself."""
        from mailsystem.mail.words import transferred

        reading = self._reading
        found = []
        for piece in reading.attachments():
            part = piece.part
            cid = reading.field_of(part, "Content-ID")
            found.append(
                Attachment(
                    filename=part.filename or "",
                    type=f"{part.type}/{part.subtype}",
                    bytes=transferred(reading.body(part, len(reading.octets)), part.encoding),
                    cid=None if cid is None else cid.decode("utf-8", "replace").strip().strip("<>"),
                    inline=reading.disposition(part) == "inline",
                )
            )
        return found

    def attachment(self, name: str = "*") -> Attachment:
        """The one file of that name, in which `*` and `?` stand for any letters.

        Raises `MailFailure` where there is none, or more than one.
        """
        found = [each for each in self.attachments if is_like(each.filename, name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(each.filename or f"({each.type})" for each in self.attachments) or "none"
        raise MailFailure(f"{len(found) or 'no'} attachments match {name!r} in {self!r}; its attachments: {names}")

    @property
    def unsubscribe(self) -> Unsubscribe | None:
        """What List-Unsubscribe says; None where there is no such field."""
        from mailsystem.mail.extraction import unsubscribe_of

        return unsubscribe_of(self._reading)

    # What may be asked of it

    def assert_matches_snapshot(self, name: str | None = None, *, masks: Mapping[str, str] | None = None) -> None:
        """Compare it with how it was when its snapshot was written: dates, ids, tokens and the test's addresses are masked, and
        what `masks` name, expressions with what stands instead.

        `pytest --mail-snapshot-update` writes it. Without a `name` the snapshots of a test are counted. Raises `MailFailure`.
        """
        if self._snapshots is None:
            raise MailFailure("snapshots are kept for tests that pytest runs")
        self._snapshots.compare(self, name, masks or {})

    def save(self, path: str | Path) -> Path:
        """Write what was sent to a file, octet by octet."""
        path = Path(path)
        path.write_bytes(self.raw)
        return path

    def checks(self, *, zone: str | None = None, disabled: Collection[str] = ()) -> Report:
        """What is wrong with it, by all rules but those that are `disabled`.

        With a `zone`, the text of a zone file, its signatures, SPF and DMARC are judged by what stands there: nothing is asked
        of the real DNS. Raises `ValueError` for a zone that is none, or for rules that there are not.
        """
        from mailsystem.checks import GivenZone, Options, Sender, check

        envelope = self.envelope
        host = envelope.peer.rpartition(":")[0].strip("[]")
        sender = Sender(host, envelope.mail_from, envelope.helo.strip("[]")) if zone is not None and host else None
        given = None if zone is None else GivenZone.parse(zone)
        wide = envelope.protocol.startswith("UTF8")
        return check(self.raw, options=Options(disabled=disabled, smtputf8=wide, zone=given, sender=sender))

    def assert_no_findings(
        self,
        on: Literal["error", "warning", "info"] = "error",
        *,
        zone: str | None = None,
        disabled: Collection[str] = (),
    ) -> None:
        """Nothing so bad, or worse, is wrong with it; see `checks`. Raises `MailFailure` with all of that."""
        from mailsystem.checks import Severity

        every = list(Severity)
        found = self.checks(zone=zone, disabled=disabled).findings
        bad = [each for each in found if every.index(each.severity) <= every.index(Severity(on))]
        if bad:
            told = "".join(
                f"\n  {each.severity} {each.rule}: {each.message}{f' ({each.where})' if str(each.where) else ''}"
                for each in bad
            )
            raise MailFailure(f"{self!r} is not as it should be:{told}")

    @cached_property
    def _reading(self) -> Reading:
        from mailsystem.mail.reading import read

        return read(self.raw)

    @property
    def reading(self) -> Reading:
        """The message in the words of this program."""
        return self._reading

    def _people(self, name: str) -> list[str]:
        from mailsystem.mail import header
        from mailsystem.mail.words import text

        found: list[str] = []
        for value in self._reading.values(name):
            found += [
                f"{text(each.mailbox or b'', None)}@{text(each.host, None)}"
                for each in header.addresses(header.unfolded(value))
                if each.host is not None
            ]
        return found
