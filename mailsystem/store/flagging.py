"""Changing flags: what STORE does, worked out on the roll of the mailbox where that is in memory, and else on its rows.

On the roll it is known beforehand which messages change, and into what. The change then is one statement for each kind of
flags, and no row comes back. It is carried out only if nothing has changed in the mailbox since the roll was looked at; that is
asked in the change's own transaction, so that it does not matter who else changes flags meanwhile.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, cast

from mailsystem.mail.mailbox import AccountId, Changes, Flag, MailboxId, MessageSet, ModSeq
from mailsystem.mail.rights import EVERY, Rights, settable
from mailsystem.store import messages
from mailsystem.store.database import Many, Ring, Row, Sql, Unit
from mailsystem.store.roll import Pick, Roll, is_uniform
from mailsystem.store.rows import RETURNED, FlagOp, flags_of, message_of, stored

_MANY: Final = 20_000
"""Messages of several kinds that are not looked at one by one on the loop's thread."""
_BRIDGE: Final = 64
"""Messages between two changed ones that are taken for changed, too, so that the log has fewer rows."""
# The ranges lead (CROSS JOIN), or SQLite would walk through the whole mailbox for a single message.
_AMONG: Final = (
    "SELECT m.uid FROM RANGES $3 CROSS JOIN messages m"
    " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi"
)


class Plan(NamedTuple):
    """What is to be changed in a mailbox, if it is still as it was `seen`."""

    account: AccountId
    mailbox: MailboxId
    seen: ModSeq
    places: Pick
    """Of the messages that get other flags."""
    becomes: dict[int, int]
    """From each kind of flags that they have to another one."""
    changes: Sequence[tuple[str, str, Sequence[object]]]
    """What is set and on what condition, in SQL; `among` which UIDs, and what goes into the `log`, all as ranges."""
    among: MessageSet
    log: MessageSet
    unchanged: MessageSet | None


def planned(roll: Roll, uids: MessageSet, op: FlagOp, flags: frozenset[Flag], since: ModSeq | None) -> Plan | None:
    """What STORE comes to, for the owner of the mailbox. None where there is too much to look at. Raises `TooMany`."""
    places = roll.among(uids)
    if len(places) > _MANY and not (since is None and isinstance(places, range)):
        return None
    unchanged = None
    if since is not None:
        places = [at for at in places if roll.modseqs[at] <= since]
        unchanged = MessageSet.of(roll.picked(roll.uids, places))
    kinds = array("I", roll.picked(roll.kinds, places))
    uniform = is_uniform(kinds)
    if len(places) > _MANY and not uniform:
        return None
    edit = _edit(op, flags, EVERY)
    becomes = {}
    for kind in kinds[:1] if uniform else set(kinds):
        now = roll.kind(*edit(roll.flags[kind]))
        if now != kind:
            becomes[kind] = now
    if not becomes:
        places = ()
    elif not uniform:
        places = [at for at, kind in zip(places, kinds, strict=True) if kind in becomes]
        if places[-1] - places[0] + 1 == len(places):
            places = range(places[0], places[-1] + 1)
    among = _stretches(roll, places, 0)
    if among and since is None and len(uids.ranges) == 1:
        # Whatever lies between and has flags of these kinds is meant, too.
        among = MessageSet(((among.ranges[0][0], among.ranges[-1][1]),))
    changes = [_kind_changed(roll.stored(old), roll.stored(new)) for old, new in becomes.items()]
    bits, keywords = stored(flags)
    if len(changes) > 1 and not keywords and op is not FlagOp.SET:
        changes = [(*_bits_changed(op, "${0}"), (bits,))]
    log = _stretches(roll, places, _BRIDGE)
    return Plan(roll.account, roll.mailbox, roll.modseq, places, becomes, changes, among, log, unchanged)


def _stretches(roll: Roll, places: Pick, bridge: int) -> MessageSet:
    """As ranges of UIDs: places with at most `bridge` others between them together."""
    uids = roll.uids
    if isinstance(places, range):
        return MessageSet(((uids[places.start], uids[places.stop - 1]),) if places else ())
    return MessageSet(tuple((uids[first], uids[last]) for first, last in _bridged(places, bridge)))


def _bridged(numbers: Iterable[int], bridge: int) -> list[tuple[int, int]]:
    """Ascending numbers as ranges, with at most `bridge` others between them together."""
    pairs: list[tuple[int, int]] = []
    for number in numbers:
        if pairs and number - pairs[-1][1] <= bridge + 1:
            pairs[-1] = (pairs[-1][0], number)
        else:
            pairs.append((number, number))
    return pairs


def _kind_changed(old: tuple[int, str], new: tuple[int, str]) -> tuple[str, str, Sequence[object]]:
    return "flags = ${0}, keywords = ${1}", "flags = ${2} AND keywords = ${3}", (*new, *old)


def _bits_changed(op: FlagOp, bits: str) -> tuple[str, str]:
    if op is FlagOp.ADD:
        return f"flags = flags | {bits}", f"flags & {bits} <> {bits}"
    return f"flags = flags & ~{bits}", f"flags & {bits} <> 0"


def carried_out(plan: Plan) -> Unit[ModSeq | None]:
    """Do it, and give the ModSeq of the change; None where something else has changed meanwhile, and nothing was done."""
    key = plan.account, plan.mailbox
    modseq = yield from messages.next_modseq(plan.account)
    still = yield Sql(
        "UPDATE mailboxes SET modseq = $3 WHERE account_id = $1 AND id = $2 AND modseq = $4 RETURNING id",
        *key,
        modseq,
        plan.seen,
    )
    if not still:
        return None
    condition, among = f"uid IN ({_AMONG})", cast("Sequence[object]", (plan.among,))
    if len(plan.among.ranges) == 1:
        condition, among = "uid BETWEEN $3 AND $4", plan.among.ranges[0]
    first = 3 + len(among)
    for sets, holds, params in plan.changes:
        numbers = range(first + 1, first + 1 + len(params))
        yield Sql(
            f"UPDATE messages SET {sets.format(*numbers)}, modseq = ${first} WHERE account_id = $1 AND mailbox_id = $2"  # noqa: S608
            f" AND {condition} AND {holds.format(*numbers)} AND modseq <> ${first}",
            *key,
            *among,
            modseq,
            *params,
        )
    yield from _logged(*key, modseq, plan.log.ranges)
    yield Ring(key)
    return modseq


def _logged(account: AccountId, mailbox: MailboxId, modseq: ModSeq, stretches: Iterable[tuple[int, int]]) -> Unit[None]:
    yield Many(
        "INSERT INTO flagged (account_id, mailbox_id, modseq, uid, last) VALUES ($1, $2, $3, $4, $5)",
        [(account, mailbox, modseq, first, last) for first, last in stretches],
    )


def set_flags(
    account: AccountId,
    mailbox: MailboxId,
    uids: MessageSet,
    op: FlagOp,
    flags: frozenset[Flag],
    since: ModSeq | None = None,
    rights: Rights = EVERY,
) -> Unit[Changes]:
    """Change those flags that `rights` allow to change, with `since` only of messages that have not changed after it.

    `messages` are those that did change.
    """
    flags = settable(flags, rights)
    modseq = yield from messages.next_modseq(account)
    unchanged = None
    if since is not None:
        rows = yield Sql(f"{_AMONG} AND m.modseq <= $4", account, mailbox, uids, since)
        uids = unchanged = MessageSet.of(row[0] for row in rows)
    bits, keywords = stored(flags)
    if keywords or op is FlagOp.SET:
        changed = yield from _set_each_kind(account, mailbox, uids, _edit(op, flags, rights), modseq)
    else:
        sets, condition = _bits_changed(op, "$4")
        changed = yield Sql(
            f"UPDATE messages SET {sets}, modseq = $5 WHERE account_id = $1 AND mailbox_id = $2"  # noqa: S608
            f" AND uid IN ({_AMONG}) AND {condition}"
            f" RETURNING {RETURNED}",
            account,
            mailbox,
            uids,
            bits,
            modseq,
        )
    before: ModSeq | None = None
    if changed:
        yield from _logged(account, mailbox, modseq, _bridged(sorted(row[0] for row in changed), _BRIDGE))
        [[before]] = yield Sql("SELECT modseq FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox)
        yield from messages.touch(account, mailbox, modseq)
    return Changes(modseq, sorted(message_of(row) for row in changed), MessageSet(), before, unchanged)


def _edit(op: FlagOp, flags: frozenset[Flag], rights: Rights) -> Callable[[frozenset[Flag]], tuple[int, str]]:
    named = {flag.lower() for flag in flags}

    def edit(old: frozenset[Flag]) -> tuple[int, str]:
        if op is FlagOp.SET:
            return stored((*flags, *(old - settable(old, rights))))
        if op is FlagOp.ADD:
            return stored((*flags, *old))
        return stored(flag for flag in old if flag.lower() not in named)

    return edit


def _set_each_kind(
    account: AccountId,
    mailbox: MailboxId,
    uids: MessageSet,
    edit: Callable[[frozenset[Flag]], tuple[int, str]],
    modseq: ModSeq,
) -> Unit[list[Row]]:
    """Few combinations of flags live in a mailbox: one statement for each of them, however many messages there are."""
    kinds = yield Sql(
        "SELECT DISTINCT m.flags, m.keywords FROM RANGES $3 CROSS JOIN messages m"
        " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi",
        account,
        mailbox,
        uids,
    )
    changed: list[Row] = []
    for old_bits, old_keywords in kinds:
        bits, keywords = edit(flags_of(old_bits, old_keywords))
        if (bits, keywords) == (old_bits, old_keywords):
            continue
        changed += yield Sql(
            "UPDATE messages SET flags = $4, keywords = $5, modseq = $6"  # noqa: S608
            f" WHERE account_id = $1 AND mailbox_id = $2 AND uid IN ({_AMONG}) AND flags = $7 AND keywords = $8"
            f" AND modseq <> $6 RETURNING {RETURNED}",
            account,
            mailbox,
            uids,
            bits,
            keywords,
            modseq,
            old_bits,
            old_keywords,
        )
    return changed
