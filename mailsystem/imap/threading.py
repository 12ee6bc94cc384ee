"""Conversations (RFC 5256 3): ORDEREDSUBJECT, REFERENCES, and the THREAD response. Sans-IO.

Nothing here recurses: a conversation may be as deep as the mailbox is long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from mailsystem.imap.heading import Heading, collated
from mailsystem.imap.sorting import LONGEST, sent_or_arrived
from mailsystem.mail.mailbox import Message

MOST_STEPS: Final = 20_000_000
"""Links that are followed to find loops: about a second. Honest mail takes some hundreds; when these are used up, links that
might close a loop are left out."""
_NOBODY: Final = -1


class Letter(NamedTuple):
    """What is known of one message."""

    number: int
    """How the answer names it."""
    sent: float
    subject: str
    """Its base subject, collated."""
    is_reply: bool
    id: bytes | None = None
    references: Sequence[bytes] = ()


class Thread(NamedTuple):
    """A message and those that follow it; without a number it only holds together what has lost its beginning."""

    number: int | None
    children: Sequence[Thread]


def letter(message: Message, head: bytes | None, *, links: bool) -> Letter:
    """With `links`, ids and references are read too."""
    heading = Heading(head or b"")
    base = heading.base
    known = Letter(message.uid, sent_or_arrived(message, heading), collated(base.text[:LONGEST]), base.is_reply)
    return known._replace(id=heading.message_id, references=heading.references) if links else known


def ordered_subject(letters: Sequence[Letter]) -> list[Thread]:
    """ORDEREDSUBJECT: of each base subject the first message, and the others as its children."""
    by_date = sorted(letters, key=lambda one: one.sent)
    together = sorted(by_date, key=lambda one: one.subject)
    threads = [list(group) for _, group in groupby(together, key=lambda one: one.subject)]
    place = {one.number: at for at, one in enumerate(by_date)}
    threads.sort(key=lambda thread: place[thread[0].number])
    return [Thread(first.number, [Thread(one.number, ()) for one in rest]) for first, *rest in threads]


def by_references(letters: Sequence[Letter]) -> list[Thread]:
    """REFERENCES, for letters in the order of the mailbox."""
    return _Forest(letters).threads()


class _Forest:
    """Messages, and dummies for those that are only spoken of, as numbers from 0 on: first the messages, then the dummies."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        self._letters = letters
        self._parent = [_NOBODY] * len(letters)
        self._leaf = [True] * len(letters)
        """Whether it never had a child: then it can be anybody's."""
        self._children: list[list[int]] = []
        self._steps = 0
        in_time = sorted(range(len(letters)), key=lambda node: letters[node].sent)
        self._rank = [0] * len(letters)
        """Its place by the date on which it was sent, and then by that in the mailbox."""
        for place, node in enumerate(in_time):
            self._rank[node] = place

    def threads(self) -> list[Thread]:
        self._link()
        roots = self._pruned()  # steps 2 and 3
        self._sort(roots)  # step 4
        roots = self._gathered(roots)  # step 5
        self._sort_all(roots)  # step 6
        return self._built(roots)

    # Step 1

    def _link(self) -> None:
        nodes: dict[bytes, int] = {}
        for node, one in enumerate(self._letters):
            if one.id is not None:
                nodes.setdefault(one.id, node)  # only the first has the id, the others have none
        for node, one in enumerate(self._letters):
            before = _NOBODY
            for id_ in one.references:
                named = nodes.get(id_)
                if named is None:
                    named = nodes[id_] = self._dummy()
                if before != _NOBODY and self._parent[named] == _NOBODY:
                    self._adopt(before, named)  # 1.A
                before = named
            if self._parent[node] != before:
                # 1.B: what another's References said of this one's parent was cut short.
                self._parent[node] = _NOBODY
                if before != _NOBODY:
                    self._adopt(before, node)

    def _dummy(self) -> int:
        self._parent.append(_NOBODY)
        self._leaf.append(True)
        return len(self._parent) - 1

    def _adopt(self, parent: int, child: int) -> None:
        """Link them, unless that would close a loop; the child has no parent."""
        if parent == child or (not self._leaf[child] and self._descends(parent, child)):
            return
        self._parent[child] = parent
        self._leaf[parent] = False

    def _descends(self, node: int, above: int) -> bool:
        parent = self._parent
        while node not in (above, _NOBODY):
            if self._steps >= MOST_STEPS:
                return True
            self._steps += 1
            node = parent[node]
        return node == above

    # Steps 2 to 4

    def _is_dummy(self, node: int) -> bool:
        return node >= len(self._letters)

    def _pruned(self) -> list[int]:
        """The children of the root, without needless dummies anywhere."""
        children = self._children = [[] for _ in self._parent]
        roots: list[int] = []
        for node, parent in enumerate(self._parent):
            (roots if parent == _NOBODY else children[parent]).append(node)
        for node in reversed(self._downwards(roots)):
            if any(map(self._is_dummy, children[node])):
                children[node] = self._promoted(children[node])
        kept: list[int] = []
        for node in roots:
            if self._is_dummy(node) and len(children[node]) < 2:
                kept += children[node]
            else:
                kept.append(node)
        return kept

    def _promoted(self, siblings: Sequence[int]) -> list[int]:
        """Those among them that are messages, and the children of those that are none."""
        kept: list[int] = []
        for node in siblings:
            if self._is_dummy(node):
                kept += self._children[node]
            else:
                kept.append(node)
        return kept

    def _downwards(self, roots: Sequence[int]) -> list[int]:
        """All nodes, each after its parent."""
        order = list(roots)
        for node in order:
            order += self._children[node]
        return order

    def _place(self, node: int) -> int:
        """A dummy stands where its first child stands."""
        return self._rank[self._children[node][0] if self._is_dummy(node) else node]

    def _sort(self, roots: list[int]) -> None:
        for node in roots:
            if self._is_dummy(node):
                self._children[node].sort(key=self._rank.__getitem__)
        roots.sort(key=self._place)

    # Step 5

    def _gathered(self, roots: Sequence[int]) -> list[int]:
        """Threads of the same subject together."""
        table: dict[str, int] = {}
        for node in roots:
            subject = self._subject(node)
            if not subject:
                continue
            held = table.get(subject)
            if held is None or (
                not self._is_dummy(held)
                and (self._is_dummy(node) or (self._letters[held].is_reply and not self._letters[node].is_reply))
            ):
                table[subject] = node
        gone: set[int] = set()
        made: list[int] = []
        for node in roots:
            subject = self._subject(node)
            held = table.get(subject, node)
            if held != node and node not in gone:
                self._merge(node, held, table, subject, gone, made)
        return [node for node in (*roots, *made) if node not in gone]

    def _subject(self, node: int) -> str:
        return self._letters[self._children[node][0] if self._is_dummy(node) else node].subject

    def _merge(
        self, node: int, held: int, table: dict[str, int], subject: str, gone: set[int], made: list[int]
    ) -> None:
        children = self._children
        gone.add(node)
        if self._is_dummy(held):
            if self._is_dummy(node):
                children[held] += children[node]
            else:
                children[held].append(node)
        elif self._letters[node].is_reply and not self._letters[held].is_reply:
            children[held].append(node)
        else:
            dummy = self._dummy()
            children.append([held, node])
            gone.add(held)
            made.append(dummy)
            table[subject] = dummy

    # Step 6

    def _sort_all(self, roots: list[int]) -> None:
        for siblings in self._children:
            siblings.sort(key=self._rank.__getitem__)
        roots.sort(key=self._place)

    def _built(self, roots: Sequence[int]) -> list[Thread]:
        built: dict[int, Thread] = {}
        for node in reversed(self._downwards(roots)):
            number = None if self._is_dummy(node) else self._letters[node].number
            built[node] = Thread(number, [built.pop(child) for child in self._children[node]])
        return [built[node] for node in roots]


ALGORITHMS: Final[Mapping[str, Callable[[Sequence[Letter]], list[Thread]]]] = {
    "ORDEREDSUBJECT": ordered_subject,
    "REFERENCES": by_references,
}

_Piece: TypeAlias = bytes | Thread


def response(threads: Sequence[Thread]) -> bytes:
    """thread-data = "THREAD" [SP 1*thread-list]"""
    said = b"".join(_lists(threads))
    return b"* THREAD" + (b" " + said if said else b"") + b"\r\n"


def _lists(threads: Sequence[Thread]) -> Iterator[bytes]:
    """thread-list = "(" (thread-members / thread-nested) ")" ; one after the other"""
    waiting: list[_Piece] = _nested(threads)
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, bytes):
            yield piece
            continue
        if piece.number is not None:
            yield b"%d" % piece.number
        children = piece.children
        if len(children) == 1:
            waiting += (children[0], b" " if piece.number is not None else b"")
        elif children:
            waiting += _nested(children)
            if piece.number is not None:
                waiting.append(b" ")


def _nested(threads: Sequence[Thread]) -> list[_Piece]:
    """What is to be said of them, the last first."""
    pieces: list[_Piece] = []
    for thread in reversed(threads):
        pieces += (b")", thread, b"(")
    return pieces
