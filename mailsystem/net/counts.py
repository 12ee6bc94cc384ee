"""Counts by key, such as the connections of an address: of this process alone, or of several that share their memory.

What several share is made before they are forked and has no name: it is gone with the last of them. A process that dies takes
along what it had under way, as soon as whoever started it says so.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
import struct
import tempfile
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final, Protocol

MOST_KEYS: Final = 100_000
_MOMENT: Final = 0.5
"""Seconds."""
_BUCKETS: Final = 1 << 14
_WAYS: Final = 8
"""Slots of a bucket: a key is in one of them. Together they hold no fewer keys than a process alone would."""
_KEY: Final = 16
_NOBODY: Final = bytes(_KEY)
_LEVELS: Final = struct.Struct("=3d")
_ONE: Final = struct.Struct("=I")
_NUMBER: Final = struct.Struct("=Q")


class Counts(Protocol):
    """For each key how much there was of something, with the time of that, and how much is under way."""

    is_shared: bool
    """Whether other processes count here, too."""

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else changes anything meanwhile. May be nested, and must not be held across an `await`."""
        ...

    def levels(self, key: str) -> tuple[float, tuple[float, ...]] | None:
        """The time and the levels that were put down last."""
        ...

    def put(self, key: str, time: float, levels: Sequence[float]) -> None:
        """Put down at most two levels. Past the bound, whoever was put down longest ago is forgotten."""
        ...

    def drop(self, key: str) -> None:
        """Forget the levels of a key."""
        ...

    def under_way(self, key: str) -> int: ...

    def enter(self, key: str) -> None:
        """One more is under way."""
        ...

    def leave(self, key: str) -> None:
        """One that has entered is not any more."""
        ...

    def ahead(self, key: str) -> int:
        """How many more are under way here than in the process that has the fewest."""
        ...


class Own:
    """Of this process alone."""

    is_shared = False

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        # By when it was last written; a key's levels are as of that time.
        self._levels: OrderedDict[str, tuple[float, tuple[float, ...]]] = OrderedDict()
        self._under_way: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._levels)

    def locked(self) -> AbstractContextManager[None]:
        return nullcontext()

    def levels(self, key: str) -> tuple[float, tuple[float, ...]] | None:
        return self._levels.get(key)

    def put(self, key: str, time: float, levels: Sequence[float]) -> None:
        self._levels[key] = (time, tuple(levels))
        self._levels.move_to_end(key)
        while len(self._levels) > self._most:
            self._levels.popitem(last=False)

    def drop(self, key: str) -> None:
        self._levels.pop(key, None)

    def under_way(self, key: str) -> int:
        return self._under_way[key]

    def enter(self, key: str) -> None:
        self._under_way[key] += 1

    def leave(self, key: str) -> None:
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]

    def ahead(self, key: str) -> int:
        return 0


def own(name: str) -> Counts:
    """Counts of this process alone, whatever their name."""
    return Own()


class Common:
    """What `processes` count together under some `names`. Make it before they are forked, then let each `join`."""

    def __init__(self, processes: int, names: Sequence[str]) -> None:
        self.processes = processes
        self.number = -1
        """Which of them this one is; -1 for the one that started them."""
        self._head = mmap.mmap(-1, mmap.PAGESIZE * (1 + processes // mmap.PAGESIZE))
        # Each has its own description of the file, or one process's lock would be everybody's.
        self._locks = _descriptions(processes + 1)
        self._log_locks = _descriptions(processes + 1)
        self._lock = _Lock(self._locks[self.number])
        self._secret = secrets.token_bytes(16)
        self._counts = {name: Shared(self, self._secret) for name in names}

    def join(self, number: int) -> None:
        """This is process `number` now."""
        self.number = number
        self._lock = _Lock(self._locks[number])

    def counts(self, name: str) -> Shared:
        return self._counts[name]

    @property
    def at_work(self) -> Sequence[bool]:
        """Which processes take part in the work."""
        return [bool(self._head[8 + number]) for number in range(self.processes)]

    def begin(self) -> None:
        """This process takes part in the work from now on."""
        self._head[8 + self.number] = 1

    def bury(self, numbers: Collection[int]) -> bool:
        """These processes have died, perhaps in the middle of something: what they had under way is not any more.

        False where the lock is not to be had just now: whoever holds it may have died meanwhile.
        """
        for number in numbers:
            self._head[8 + number] = 0
            fcntl.flock(self._locks[number], fcntl.LOCK_UN)
            fcntl.flock(self._log_locks[number], fcntl.LOCK_UN)
        lock = self._locks[self.number]
        if not _taken(lock):
            return False
        try:
            for number in numbers:
                for counts in self._counts.values():
                    counts.clear(number)
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
        return True

    def next_number(self) -> int:
        """1, 2, 3 … over all processes."""
        with self.locked():
            [number] = _NUMBER.unpack_from(self._head)
            _NUMBER.pack_into(self._head, 0, number + 1)
        return int(number) + 1

    def locked(self) -> AbstractContextManager[None]:
        return self._lock

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nobody else writes to the log meanwhile. For one thread of each process; not the one that counts.

        Who started the others waits for a moment only, since nobody sees to them meanwhile.
        """
        lock = self._log_locks[self.number]
        if self.number >= 0:
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:
            until = time.monotonic() + _MOMENT
            while not _taken(lock) and time.monotonic() < until:
                time.sleep(0.005)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)


class _Lock(AbstractContextManager[None]):
    """What several do is done by one at a time. It may be taken again by who has it."""

    __slots__ = ("_depth", "_file")

    def __init__(self, file: int) -> None:
        self._file = file
        self._depth = 0

    def __enter__(self) -> None:
        if not self._depth:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            fcntl.flock(self._file, fcntl.LOCK_UN)


class Shared:
    """Of all processes. A key is told by a hash that nobody outside can foresee, so that nobody chooses whom it displaces."""

    is_shared = True

    def __init__(self, common: Common, secret: bytes) -> None:
        self._common = common
        self._secret = secret
        self._under = struct.Struct(f"={common.processes}I")
        self._slot = _KEY + _LEVELS.size + self._under.size
        # A byte for each bucket says whether it was ever used: the rest takes no memory, and must not be looked at.
        self._memory = mmap.mmap(-1, _BUCKETS * (1 + _WAYS * self._slot))
        self._held: dict[str, int] = {}
        """Where the slots are of what is under way in this process: nobody can displace those."""

    def locked(self) -> AbstractContextManager[None]:
        return self._common.locked()

    def levels(self, key: str) -> tuple[float, tuple[float, ...]] | None:
        at = self._find(key)
        if at is None:
            return None
        time, *levels = _LEVELS.unpack_from(self._memory, at + _KEY)
        return (time, tuple(levels)) if time else None

    def put(self, key: str, time: float, levels: Sequence[float]) -> None:
        with self.locked():
            at = self._find(key, make=True)
            if at is not None:
                _LEVELS.pack_into(self._memory, at + _KEY, time, *levels, *[0.0] * (2 - len(levels)))

    def drop(self, key: str) -> None:
        with self.locked():
            at = self._find(key)
            if at is not None:
                _LEVELS.pack_into(self._memory, at + _KEY, 0.0, 0.0, 0.0)
                self._free(at)

    def under_way(self, key: str) -> int:
        return sum(self._each(key))

    def enter(self, key: str) -> None:
        with self.locked():
            at = self._held.get(key) or self._find(key, make=True)
            if at is not None:
                self._held[key] = at
                self._change(at, 1)

    def leave(self, key: str) -> None:
        with self.locked():
            at = self._held.get(key)
            if at is not None and not self._change(at, -1):
                del self._held[key]
                self._free(at)

    def ahead(self, key: str) -> int:
        each = self._each(key)
        own = each[self._common.number]
        return own - min(own, *(one for one, works in zip(each, self._common.at_work, strict=True) if works), own)

    def clear(self, number: int) -> None:
        """Nothing is under way any more in process `number`."""
        for bucket in range(_BUCKETS):
            if self._memory[bucket]:
                for at in self._slots(bucket):
                    _ONE.pack_into(self._memory, self._place_of(at, number), 0)
                    self._free(at)

    def _each(self, key: str) -> tuple[int, ...]:
        at = self._held.get(key) or self._find(key)
        if at is None:
            return (0,) * self._common.processes
        return self._under.unpack_from(self._memory, at + _KEY + _LEVELS.size)

    def _change(self, at: int, by: int) -> int:
        """How many are under way here now."""
        place = self._place_of(at, self._common.number)
        count: int = _ONE.unpack_from(self._memory, place)[0] + by
        _ONE.pack_into(self._memory, place, count)
        return count

    def _place_of(self, at: int, number: int) -> int:
        return at + _KEY + _LEVELS.size + number * _ONE.size

    def _slots(self, bucket: int) -> range:
        begin = _BUCKETS + bucket * _WAYS * self._slot
        return range(begin, begin + _WAYS * self._slot, self._slot)

    def _find(self, key: str, *, make: bool = False) -> int | None:
        """Where the slot of a key begins. None where it has none, and also if none can be made: all hold what is under way."""
        name = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_KEY, key=self._secret).digest()
        bucket = int.from_bytes(name[:4], "little") % _BUCKETS
        memory = self._memory
        if memory[bucket]:
            for at in self._slots(bucket):
                if memory[at : at + _KEY] == name:
                    return at
        if not make:
            return None
        memory[bucket] = 1
        idle = [at for at in self._slots(bucket) if not any(self._under.unpack_from(memory, at + _KEY + _LEVELS.size))]
        if not idle:
            return None
        at = min(idle, key=lambda at: _LEVELS.unpack_from(memory, at + _KEY)[0])
        _LEVELS.pack_into(memory, at + _KEY, 0.0, 0.0, 0.0)
        memory[at : at + _KEY] = name
        return at

    def _free(self, at: int) -> None:
        """Give a slot back that says nothing."""
        size = _LEVELS.size + self._under.size
        if not any(self._memory[at + _KEY : at + _KEY + size]):
            self._memory[at : at + _KEY] = _NOBODY


def _taken(lock: int) -> bool:
    """Take a lock if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _descriptions(count: int) -> list[int]:
    """Open file descriptions of a file without a name."""
    with suppress(AttributeError, OSError):  # not Linux, or no /proc: then in the directory for temporary files
        made = os.memfd_create("mailsystem", os.MFD_CLOEXEC)
        own = f"/proc/self/fd/{made}"
        return [made, *(os.open(own, os.O_RDWR | os.O_CLOEXEC) for _ in range(count - 1))]
    made, path = tempfile.mkstemp(prefix="mailsystem-")
    try:
        return [made, *(os.open(path, os.O_RDWR | os.O_CLOEXEC) for _ in range(count - 1))]
    finally:
        os.unlink(path)
