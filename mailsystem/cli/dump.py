"""`mailsystem dump`: mail out of the store into files."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, NamedTuple

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.find import Asked, Mailbox, Whose, asked_for, mailboxes_of, whose
from mailsystem.cli.folders import Maildir, directory, maildir_folder
from mailsystem.cli.options import Config, DataDir, examples
from mailsystem.cli.terminal import complain

if TYPE_CHECKING:
    from mailsystem.mail.mailbox import ContentId, Flag, Uid
    from mailsystem.settings import Settings
    from mailsystem.store import Store

STDOUT: Final = "-"
_PAGE: Final = 500
_NEW, _KNOWN, _LOST = "new", "known", "lost"
"""What becomes of a message."""
_LONG: Final = 1 << 20
"""Octets of one line that are held in memory."""


class Form(StrEnum):
    EML = "eml"
    MBOX = "mbox"
    MAILDIR = "maildir"


Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="A directory, or for mbox a file; - writes an mbox to standard output.")
]
FormOf = Annotated[
    Form | None,
    typer.Option(
        "--format", "-f", help="One file each (eml), all in one (mbox), or a Maildir; mbox for - and *.mbox, else eml."
    ),
]

epilog = examples(
    "mailsystem dump ./letters -a ann@example.org",
    "mailsystem dump archive.mbox -a ann@example.org -m Archive",
    "mailsystem dump ./copy 'since:7d' --format maildir",
)


class _One(NamedTuple):
    content: ContentId
    uid: Uid
    mailbox: str
    date: float
    flags: frozenset[Flag]
    size: int


def dump(
    target: Target,
    query: Asked = None,
    account: Whose = None,
    mailbox: Mailbox = None,
    form: FormOf = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write messages into files, the oldest first, whether the servers run or not.

    Nothing that is there already is written over: a dump into the same
    directory adds what is new. Only a Maildir tells the flags and keywords.
    """
    chosen = form or (Form.MBOX if target == STDOUT or target.endswith(".mbox") else Form.EML)
    if target == STDOUT and chosen is not Form.MBOX:
        raise Refused("only an mbox can be written to standard output")
    asked = asked_for(query)

    async def work(store: Store, settings: Settings) -> Counter[str]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from mailsystem.finding.finder import Finder

        id_ = (await store.accounts.find(await whose(account, store, settings))).id
        boxes = await mailboxes_of(store, id_, mailbox)
        finder, cursor, found = Finder(store, store.journal.recipients), None, list[_One]()
        while True:
            page = await finder.find(id_, asked, mailboxes=boxes, before=cursor, limit=_PAGE)
            for box, one in page.messages:
                found.append(_One(one.content, one.uid, box.name, one.internaldate, one.flags, one.size))
            cursor = page.next
            if cursor is None:
                break
        columns = TextColumn("dumping"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        counts: Counter[str] = Counter()
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=len(found))
            async for what in _written(store, chosen, target, found):
                counts[what] += 1
                progress.advance(task)
        return counts

    try:
        counts = with_store(config, data_dir, work)
    except BrokenPipeError:
        raise  # whoever reads has enough
    except OSError as error:
        complain(f"{error.filename or target} cannot be written: {error.strerror or error}")
        raise typer.Exit(1) from None
    known = f", {counts[_KNOWN]} were there already" if counts[_KNOWN] else ""
    lost = f", {counts[_LOST]} could not be read" if counts[_LOST] else ""
    many = "1 message" if counts[_NEW] == 1 else f"{counts[_NEW]} messages"
    typer.echo(f"{many} written{known}{lost}", err=True)
    if counts[_LOST]:
        raise typer.Exit(1)


async def _written(store: Store, form: Form, target: str, found: list[_One]) -> AsyncIterator[str]:
    """Write all of them, the oldest first; what became of each. Raises `OSError`."""
    from mailsystem.mail.errors import Unavailable
    from mailsystem.telemetry.log import printable

    async with AsyncExitStack() as stack:
        mbox: BinaryIO = sys.stdout.buffer
        if form is Form.MBOX and target != STDOUT:
            # Nobody else waits in this process.
            mbox = stack.enter_context(Path(target).open("xb"))  # noqa: ASYNC230, SIM115
        maildirs = dict[str, Maildir]()
        if form is Form.MAILDIR:  # it is one, also where nothing is in INBOX
            maildirs["INBOX"] = Maildir(Path(target))
        for one in reversed(found):
            try:
                yield await _put(store, form, Path(target), mbox, maildirs, one)
            except Unavailable:  # it is damaged; the others shall be saved all the same
                complain(f"M{one.content} in {printable(one.mailbox)} cannot be read")
                yield _LOST
        mbox.flush()


async def _put(store: Store, form: Form, folder: Path, mbox: BinaryIO, maildirs: dict[str, Maildir], one: _One) -> str:
    if form is Form.MBOX:
        await _to_mbox(store, mbox, one)
        return _NEW
    if form is Form.EML:
        if one.mailbox != "INBOX":
            folder /= directory(one.mailbox)
        # By what we know of it and nothing that its sender wrote.
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(max(one.date, 0)))}-M{one.content}.eml"
        fresh = await _to_file(store, folder, folder, name, one)
    else:
        if one.mailbox not in maildirs:
            maildirs[one.mailbox] = Maildir(folder / maildir_folder(one.mailbox))
        fresh = await _to_maildir(store, maildirs[one.mailbox], one)
    return _NEW if fresh else _KNOWN


async def _to_maildir(store: Store, maildir: Maildir, one: _One) -> bool:
    from mailsystem.mail.mbox import maildir_info

    name = f"{int(one.date)}.M{one.content}U{one.uid}.mailsystem"
    if name in maildir:
        return False
    if not maildir.know(one.flags):
        complain(f"M{one.content} has lost keywords: a folder of a Maildir has no more than 26")
    info = maildir_info(one.flags, maildir.keywords)
    return await _to_file(store, maildir.path / "tmp", maildir.path / "cur", name + info, one)


async def _to_file(store: Store, by: Path, folder: Path, name: str, one: _One) -> bool:
    """Whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nobody else waits in this process
    if (folder / name).exists():
        return False
    passing = by / f".{name}.part"
    try:
        with passing.open("wb") as file:
            async for piece in store.contents.stream(one.content):
                file.write(piece)
        os.utime(passing, (one.date, one.date))
        passing.rename(folder / name)
    finally:
        passing.unlink(missing_ok=True)
    return True


async def _to_mbox(store: Store, file: BinaryIO, one: _One) -> None:
    from mailsystem.mail.mbox import quoted, separator

    sender, rest, begun, within = "", b"", False, False
    async for piece in store.contents.stream(one.content):
        if not begun:
            begun = True
            if piece.startswith(b"Return-Path: <"):
                sender = piece[14:300].partition(b">")[0].decode("utf-8", "replace")
            file.write(separator(sender, one.date))
        lines, newline, rest = (rest + piece).rpartition(b"\n")
        if newline and within:  # the end of a line whose beginning is written
            end, _, lines = (lines + newline).partition(b"\n")
            file.write(end.removesuffix(b"\r") + b"\n" + quoted(lines))
            within = False
        elif newline:
            file.write(quoted(lines + newline))
        elif len(rest) > _LONG:
            file.write(rest if within else quoted(rest))
            rest, within = b"", True
    if rest or within:
        file.write((rest if within else quoted(rest)) + b"\n")
    file.write(b"\n")
