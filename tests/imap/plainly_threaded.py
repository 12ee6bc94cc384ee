"""THREAD=REFERENCES (RFC 5256 3) as its text says it, step by step and without a thought of speed: a judge for ours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mailsystem.imap.threading import Letter


class Node:
    """A message, or a dummy without one."""

    def __init__(self, letter: Letter | None, at: int = 0) -> None:
        self.letter = letter
        self.at = at
        self.parent: Node | None = None
        self.children: list[Node] = []

    def cut(self) -> None:
        if self.parent is not None:
            self.parent.children.remove(self)
            self.parent = None

    def adopt(self, child: Node) -> None:
        child.cut()
        child.parent = self
        self.children.append(child)

    def below(self, other: Node) -> bool:
        return self is other or (self.parent is not None and self.parent.below(other))

    def first(self) -> Letter:
        return self.letter or self.children[0].first()

    def order(self) -> tuple[float, int]:
        return (self.first().sent, self.at if self.letter else self.children[0].at)


def threaded(letters: Sequence[Letter]) -> list[Any]:
    """Each thread as [number or None, *threads]."""
    nodes = [Node(letter, at) for at, letter in enumerate(letters)]
    by_id: dict[bytes, Node] = {}
    for node, letter in zip(nodes, letters, strict=True):
        if letter.id is not None and letter.id not in by_id:
            by_id[letter.id] = node
    everybody = list(nodes)
    for node, letter in zip(nodes, letters, strict=True):
        named = []
        for id_ in letter.references:
            if id_ not in by_id:
                by_id[id_] = Node(None)
                everybody.append(by_id[id_])
            named.append(by_id[id_])
        for parent, child in pairwise(named):
            if child.parent is None and not parent.below(child):
                parent.adopt(child)
        last = named[-1] if named else None
        if node.parent is not last:
            node.cut()
            if last is not None and not last.below(node):
                last.adopt(node)
    root = Node(None)
    for node in everybody:
        if node.parent is None:
            root.adopt(node)
    while prune(root):
        pass
    for node in root.children:
        if node.letter is None:
            node.children.sort(key=Node.order)
    root.children.sort(key=Node.order)
    gather(root)
    sort(root)
    return [told(node) for node in root.children]


def prune(node: Node) -> bool:
    """One step of pruning, the first that is possible."""
    for child in list(node.children):
        if prune(child):
            return True
        if child.letter is None and (node.parent is not None or len(child.children) < 2):
            orphans = list(child.children)
            child.cut()
            for orphan in orphans:
                node.adopt(orphan)
            return True
    return False


def gather(root: Node) -> None:
    table: dict[str, Node] = {}
    for node in root.children:
        subject = node.first().subject
        if not subject:
            continue
        held = table.get(subject)
        if held is None or (
            held.letter is not None and (node.letter is None or more_of_a_start(node.letter, held.letter))
        ):
            table[subject] = node
    for node in list(root.children):
        held = table.get(node.first().subject) if node.first().subject else None
        if held is None or held is node or node.parent is not root:
            continue
        if held.letter is None and node.letter is None:
            for child in list(node.children):
                held.adopt(child)
            node.cut()
        elif held.letter is None or (node.letter is not None and node.letter.is_reply and not held.letter.is_reply):
            held.adopt(node)
        else:
            dummy = Node(None)
            root.adopt(dummy)
            dummy.adopt(held)
            dummy.adopt(node)
            table[node.first().subject] = dummy


def more_of_a_start(one: Letter, other: Letter) -> bool:
    return other.is_reply and not one.is_reply


def sort(node: Node) -> None:
    for child in node.children:
        sort(child)
    node.children.sort(key=Node.order)


def told(node: Node) -> list[Any]:
    return [node.letter.number if node.letter else None, *map(told, node.children)]
