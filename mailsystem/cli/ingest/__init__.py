"""`mailsystem ingest`: mail out of files into the store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.find import Whose, whose
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json, say
from mailsystem.mail.errors import MailError, NoSuchMailbox

if TYPE_CHECKING:
    from mailsystem.cli.ingest.sources import Letter
    from mailsystem.delivery import Delivery
    from mailsystem.mail.account import Account
    from mailsystem.mail.address import Address
    from mailsystem.settings import Settings
    from mailsystem.store import Spool, Store

_MOST_TOLD: Final = 20


class Known(StrEnum):
    """By what a message is known."""

    CONTENT = "content"
    MESSAGE_ID = "message-id"


Places = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", help="An mbox, a Maildir, .eml files, or a directory of those; - for standard input."
    ),
]
MailboxOf = Annotated[
    str | None,
    typer.Option(
        "--mailbox",
        "-m",
        metavar="NAME",
        help="Into which mailbox, made where it is missing; INBOX, or as a Maildir has it.",
    ),
]
ByRecipient = Annotated[
    bool,
    typer.Option("--by-recipient", help="To whom each message is addressed, as if it had just been received."),
]
SkipKnown = Annotated[
    bool,
    typer.Option("--skip-known", help="Pass over what is in the mailbox already: to go on, or again."),
]
KnownBy = Annotated[
    Known | None,
    typer.Option(
        "--known-by",
        metavar="content|message-id",
        help="Which messages --skip-known takes for the same: those that are so octet by octet, or all with one Message-ID.",
    ),
]

epilog = examples(
    "mailsystem ingest archive.mbox --account ann@example.org",
    "mailsystem ingest ~/Maildir --account ann@example.org --skip-known",
    "mailsystem ingest letters/ --by-recipient --data-dir ./caught",
)


def ingest(
    files: Places,
    account: Whose = None,
    mailbox: MailboxOf = None,
    by_recipient: ByRecipient = False,
    skip_known: SkipKnown = False,
    known_by: KnownBy = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Bring mail in from files, with its dates and flags, whether the servers run or not.

    Each message is on disk before the next one is read, so whatever ends the
    command leaves what it has done; --skip-known goes on from there.
    """
    if by_recipient and (account or mailbox or skip_known):
        raise Refused(
            "--by-recipient finds the mailboxes by itself: it goes without --account, --mailbox and --skip-known"
        )

    if "" in files:
        raise Refused("a file without a name was named: is a variable empty? the directory that you are in is .")
    if known_by is not None and not skip_known:
        raise Refused("--known-by says what --skip-known passes over; it goes with that")

    counts: Counter[str] = Counter()

    async def work(store: Store, settings: Settings) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        from mailsystem.cli.ingest.sources import letters, size_of

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        ingesting: _Ingesting
        if by_recipient:
            ingesting = _Received(store, counts, await _delivery(store, settings))
        else:
            owner = await store.accounts.find(await whose(account, store, settings))
            ingesting = _Appended(store, counts, owner, mailbox, (known_by or Known.CONTENT) if skip_known else None)
        console, odd = Console(stderr=True), list[Path]()
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            try:
                task = progress.add_task("0 messages", total=size_of(files))
                for letter in letters(files, lambda octets: progress.advance(task, octets), odd.append):
                    await ingesting.take(letter)
                    progress.update(task, description=f"{counts.total()} messages")
            except OSError as error:
                raise Refused(
                    f"{error.filename or 'a file'} cannot be read: {error.strerror or error}; {_told(counts)} before it"
                ) from None
        for line in ingesting.failures[:_MOST_TOLD]:
            typer.echo(line, err=True)
        _tell_of(odd)

    try:
        with_store(config, data_dir, work)
    except KeyboardInterrupt:
        further = "" if by_recipient else "; --skip-known goes on from there"
        raise Refused(f"stopped: {_told(counts)}{further}") from None
    if json:
        print_json({"ingested": counts["ingested"], "known": counts["known"], "failed": counts["failed"]})
    else:
        say(_told(counts))
    if counts["failed"]:
        raise typer.Exit(1)


def _tell_of(odd: Sequence[Path]) -> None:
    from mailsystem.telemetry.log import printable

    for file in odd[:_MOST_TOLD]:
        typer.echo(f"{printable(str(file))} does not look like mail and was passed over", err=True)
    if len(odd) > _MOST_TOLD:
        typer.echo(f"and so were {len(odd) - _MOST_TOLD} other files", err=True)


def _told(counts: Counter[str]) -> str:
    many = "1 message is" if counts["ingested"] == 1 else f"{counts['ingested']} messages are"
    known = f", {counts['known']} were there already" if counts["known"] else ""
    failed = f", {counts['failed']} could not be taken" if counts["failed"] else ""
    return f"{many} in{known}{failed}"


class _Ingesting:
    """Takes one message after the other."""

    def __init__(self, store: Store, counts: Counter[str]) -> None:
        """What becomes of each is counted in `counts`."""
        self.store = store
        self.counts = counts
        self.failures: list[str] = []

    async def take(self, letter: Letter) -> None:
        spool, digest = self.store.contents.spool(), hashlib.sha256()
        try:
            for piece in letter.octets():
                digest.update(piece)
                spool.write(piece)
                if spool.wants_flush:
                    await spool.flush()
            self.counts[await self.keep(letter, spool, digest.digest())] += 1
        except MailError as error:
            from mailsystem.telemetry.log import printable

            self.counts["failed"] += 1
            if len(self.failures) < _MOST_TOLD:
                self.failures.append(printable(f"{letter.where}: {error}"))
        finally:
            spool.discard()
            for _ in letter.pieces:  # whatever went wrong: the next message begins behind this one
                pass

    async def keep(self, letter: Letter, spool: Spool, digest: bytes) -> str:
        """Store it; how it is counted."""
        raise NotImplementedError


class _Appended(_Ingesting):
    """Into mailboxes of one account."""

    def __init__(
        self, store: Store, counts: Counter[str], owner: Account, mailbox: str | None, known_by: Known | None
    ) -> None:
        """`known_by` tells which messages are passed over; None lets all come in."""
        super().__init__(store, counts)
        self._owner = owner
        self._mailbox = mailbox
        self._known_by = known_by
        self._known: dict[str, set[bytes | str]] = {}

    async def keep(self, letter: Letter, spool: Spool, digest: bytes) -> str:
        name = self._mailbox or letter.folder or "INBOX"
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = await self._opened(name)
        # What has no Message-ID is known by what it says.
        id_ = _message_id(bytes(letter.head)) if self._known_by is Known.MESSAGE_ID else None
        names: set[bytes | str] = {digest} if id_ is None else {digest, id_}
        if self._known_by is not None and names & known:
            return "known"
        await self.store.mailboxes.append(self._owner.id, name, spool, flags=letter.flags, internaldate=letter.date)
        if self._known_by is not None:
            known |= names
        return "ingested"

    async def _opened(self, name: str) -> set[bytes | str]:
        """Make the mailbox where it is missing; what is in it."""
        mailboxes = self.store.mailboxes
        try:
            mailbox = await mailboxes.find(self._owner.id, name)
        except NoSuchMailbox:
            mailbox = await mailboxes.create(self._owner.id, name)
            await mailboxes.subscribe(self._owner.id, mailbox.name, True)
        known: set[bytes | str] = set()
        if self._known_by is not None:
            known |= await mailboxes.digests(mailbox.account, mailbox.id)
        if self._known_by is Known.MESSAGE_ID:
            from mailsystem.mail.kept import Kept
            from mailsystem.mail.mailbox import STAR, MessageSet
            from mailsystem.mail.structure import message_id

            every = MessageSet(((1, STAR),))
            async for some in self.store.fetching.columns(mailbox.account, mailbox.id, every, (Kept.ENVELOPE,)):
                known.update(id_ for envelope in some[Kept.ENVELOPE] if (id_ := message_id(envelope)))
        return known


def _message_id(head: bytes) -> str | None:
    from mailsystem.mail.header import of_structure
    from mailsystem.mail.structure import envelope, message_id

    return message_id(envelope(of_structure(head.partition(b"\r\n\r\n")[0] + b"\r\n")))


class _Received(_Ingesting):
    """To those whom each message is for."""

    def __init__(self, store: Store, counts: Counter[str], delivery: Delivery) -> None:
        super().__init__(store, counts)
        self._delivery = delivery

    async def keep(self, letter: Letter, spool: Spool, digest: bytes) -> str:
        from mailsystem.mail.address import Address
        from mailsystem.mail.envelope import UNIX, Envelope, Peer
        from mailsystem.mail.errors import NoSuchRecipient, SyntaxFault
        from mailsystem.telemetry import Trace

        recipients = _recipients(bytes(letter.head))
        if not recipients:
            raise NoSuchRecipient("it is addressed to nobody")
        try:
            sender = Address.parse(letter.sender) if letter.sender else Address.NULL
        except SyntaxFault:
            sender = Address.NULL
        envelope = Envelope(sender, tuple(recipients), Peer(UNIX, 0), "ingest", "LMTP", body="8BITMIME")
        outcome = await self._delivery.deliver_each(envelope, spool, trace=Trace())
        if len(outcome.failed) == len(recipients):
            raise next(iter(outcome.failed.values()))
        return "ingested"


def _recipients(head: bytes) -> list[Address]:
    """Whom a message was delivered to, or else whom it is addressed to."""
    from mailsystem.mail import header
    from mailsystem.mail.address import Address
    from mailsystem.mail.errors import SyntaxFault
    from mailsystem.mail.words import text

    fields = header.fields(head.partition(b"\r\n\r\n")[0] + b"\r\n")
    for names in ((b"delivered-to", b"x-original-to", b"envelope-to"), (b"to", b"cc", b"bcc")):
        found: dict[Address, None] = {}
        for name, value in fields:
            if name.lower() in names:
                for each in header.addresses(header.unfolded(value)):
                    if each.host is not None:
                        try:
                            found[Address.parse(f"{text(each.mailbox or b'', None)}@{text(each.host, None)}")] = None
                        except SyntaxFault:
                            continue
        if found:
            return [*found]
    return []


async def _delivery(store: Store, settings: Settings) -> Delivery:
    """As the server delivers whose mail this is, or the sink."""
    from mailsystem.delivery import Delivery
    from mailsystem.directory import SINK_LOGIN, AccountsDirectory, Directory, SinkDirectory

    directory: Directory
    if await store.accounts.domains():
        accounts = settings.accounts
        directory = AccountsDirectory(
            store,
            default_domain=settings.default_domain,
            separator=accounts.separator,
            detail_folder=accounts.detail_folder,
        )
    else:
        if SINK_LOGIN not in [each.account.login for each in await store.accounts.list()]:
            raise Refused("nobody lives here, and it is no sink's directory either; name that by --data-dir")
        directory = SinkDirectory(store, default_domain=settings.default_domain or "localhost")
    return Delivery(store, directory, hostname=settings.hostname, reporting=False)
