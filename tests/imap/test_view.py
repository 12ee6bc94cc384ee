"""What a client believes, against a model that does everything the slow way."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mailsystem.imap.view import View
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import (
    DELETED,
    SEEN,
    STAR,
    Changes,
    ContentId,
    Flag,
    Message,
    MessageSet,
    ModSeq,
    Uid,
)

NOTHING = MessageSet()


def message(uid: int, modseq: int, *flags: Flag) -> Message:
    return Message(Uid(uid), ModSeq(modseq), frozenset(flags), 0.0, 10, ContentId(uid))


def view(*uids: int, modseq: int = 10, recent: MessageSet = NOTHING) -> View:
    return View(array("I", uids), ModSeq(modseq), recent)


def changes(modseq: int, *messages: Message, vanished: str = "", after: int | None = None) -> Changes:
    gone = MessageSet.parse(vanished) if vanished else NOTHING
    return Changes(ModSeq(modseq), list(messages), gone, None if after is None else ModSeq(after))


def test_new_messages_are_told_by_their_number_only() -> None:
    here = view(3, 5)
    news = here.apply(changes(11, message(8, 11), message(9, 11, SEEN)))
    assert (news.expunged, news.exists, news.recent, news.flags) == ([], 4, 2, [])
    assert (here.exists, list(here.uids), here.modseq) == (4, [3, 5, 8, 9], 11)


def test_changed_flags_are_told_with_the_numbers_that_hold_after_the_expunges() -> None:
    here = view(3, 5, 8)
    news = here.apply(changes(12, message(8, 12, SEEN), message(9, 12), vanished="3"))
    assert news.expunged == [1]
    assert (news.exists, news.recent) == (3, 1)
    assert [(number, each.uid) for number, each in news.flags] == [(2, 8)]


def test_expunges_are_told_highest_first() -> None:
    here = view(*range(1, 11))
    assert here.apply(changes(11, vanished="2:4,9,77")).expunged == [9, 4, 3, 2]
    assert list(here.uids) == [1, 5, 6, 7, 8, 10]


def test_held_expunges_keep_their_numbers_until_they_may_be_told() -> None:
    here = view(1, 2, 3)
    news = here.apply(changes(11, message(4, 11), vanished="1"), hold_expunges=True)
    assert (news.expunged, news.exists) == ([], 4)
    assert here.number(3) == 3
    assert here.holding
    news = here.apply(changes(11), hold_expunges=True)
    assert news.expunged == []
    news = here.apply(changes(12, vanished="3"))
    assert news.expunged == [3, 1]
    assert list(here.uids) == [2, 4]
    assert not here.holding


def test_a_message_that_came_and_went_between_two_looks_is_never_told() -> None:
    here = view(1)
    news = here.apply(changes(12, vanished="2"))
    assert (news.expunged, news.exists, news.flags) == ([], None, [])


def test_a_uid_below_one_that_was_expunged_is_not_taken_for_new() -> None:
    here = view(1, 2, 9)
    here.apply(changes(11, vanished="9"))
    news = here.apply(changes(12, message(5, 12)))
    assert (news.expunged, news.exists, news.recent, news.flags) == ([], None, None, [])
    assert here.apply(changes(13, message(10, 13))).exists == 3


def test_messages_that_come_are_recent_here_and_so_are_those_claimed_at_the_start() -> None:
    here = view(1, 2, 5, recent=MessageSet(((2, 5),)))
    assert here.recent == 2
    assert [uid for uid in (1, 2, 3, 5, 6) if here.is_recent(uid)] == [2, 3, 5]
    assert here.apply(changes(11, message(6, 11))).recent == 3
    assert here.is_recent(6)
    here.apply(changes(12, vanished="5"))
    assert here.recent == 2


def test_own_changes_are_stepped_over_when_nobody_came_in_between() -> None:
    here = view(1, 2)
    assert here.follow(changes(15, message(1, 15, SEEN), after=10))
    assert here.modseq == 15


def test_own_changes_stay_news_when_somebody_may_have_come_in_between() -> None:
    here = view(1, 2)
    assert not here.follow(changes(15, message(1, 15, SEEN), after=14))
    assert not here.follow(changes(15, message(1, 15, SEEN)))
    assert here.modseq == 10
    # uid 2 was changed at 14 by somebody, uid 1 perhaps too: both are told.
    news = here.apply(changes(15, message(1, 15, SEEN), message(2, 14)))
    assert [number for number, _ in news.flags] == [1, 2]


def test_own_changes_that_were_answered_are_not_repeated_but_others_are_told() -> None:
    here = view(1, 2)
    here.told(changes(15, message(1, 15, SEEN), after=14))
    news = here.apply(changes(15, message(1, 15, SEEN), message(2, 14)))
    assert [number for number, _ in news.flags] == [2]
    news = here.apply(changes(16, message(1, 16)))
    assert [number for number, _ in news.flags] == [1]


def test_a_change_that_changed_nothing_steps_over_nobody() -> None:
    here = view(1)
    here.told(changes(15))
    assert here.modseq == 10


@pytest.mark.parametrize(
    ("text", "by_uid", "picked"),
    [
        ("1", False, "3"),
        ("1:2", False, "3:5"),
        ("2:*", False, "5:20"),
        ("*", False, "20"),
        ("4:*", False, "20"),
        ("1,3:4", False, "3,9:20"),
        ("1:*", True, "3:20"),
        ("4:8", True, "5"),
        ("5,9", True, "5:9"),
        ("3,9", True, "3,9"),
        ("1:2", True, ""),
        ("21:30", True, ""),
        ("99:*", True, "20"),
        ("*:99", True, "20"),
        ("*", True, "20"),
        ("21", True, ""),
    ],
)
def test_sets_are_resolved_into_as_few_ranges_of_uids_as_can_be(text: str, by_uid: bool, picked: str) -> None:
    here = view(3, 5, 9, 20)
    assert str(here.pick(MessageSet.parse(text), by_uid)) == picked


@pytest.mark.parametrize("text", ["5", "4:5", "5:*", "1,7"])
def test_numbers_that_are_not_in_use_are_refused(text: str) -> None:
    with pytest.raises(SyntaxFault):
        view(3, 5, 9, 20).pick(MessageSet.parse(text), by_uid=False)


def test_in_an_empty_mailbox_there_are_no_numbers_but_sets_of_uids_are_empty() -> None:
    for text in ("1", "*", "1:*"):
        assert not view().pick(MessageSet.parse(text), by_uid=True)
        with pytest.raises(SyntaxFault):
            view().pick(MessageSet.parse(text), by_uid=False)


def test_members_and_counts_are_those_the_client_knows() -> None:
    here = view(3, 5, 9)
    assert list(here.members(MessageSet.parse("1:6"))) == [3, 5]
    assert here.count(MessageSet.parse("5:100")) == 2
    assert [here.number(uid) for uid in (3, 4, 5, 9, 10)] == [1, 0, 2, 3, 0]


def test_messages_are_numbered_in_their_order_and_strangers_are_none() -> None:
    seen = view(3, 5, 8, 9)
    assert seen.numbered((5, 8, 9)) == range(2, 5)
    assert list(seen.numbered((3, 8))) == [1, 3]
    assert list(seen.numbered((4, 5, 10))) == [0, 2, 0]
    assert list(seen.numbered((8, 9, 10))) == [3, 4, 0]
    assert list(seen.numbered(())) == []
    assert list(view().numbered((1,))) == [0]


def test_a_large_mailbox_can_lose_half_of_its_messages_in_one_pass() -> None:
    here = View(array("I", range(1, 100_001)), ModSeq(1))
    gone = MessageSet.of(range(1, 100_001, 2))
    news = here.apply(Changes(ModSeq(2), [], gone))
    assert len(news.expunged) == 50_000
    assert news.expunged[0] == 99_999
    assert here.exists == 50_000


uids_in = st.sets(st.integers(1, 60), max_size=30).map(sorted)
bounds = st.integers(1, 70) | st.just(STAR)


@given(uids_in, st.lists(st.tuples(bounds, bounds), min_size=1, max_size=5))
def test_picking_by_uid_is_the_intersection(uids: list[int], pairs: list[tuple[int, int]]) -> None:
    chosen = MessageSet.of_ranges((min(p), max(p)) for p in pairs)
    here = view(*uids)
    highest = uids[-1] if uids else 0
    wanted = set()
    for pair in pairs:
        low, high = sorted(highest if bound == STAR else bound for bound in pair)
        wanted |= {uid for uid in uids if low <= uid <= high}
    picked = here.pick(chosen, by_uid=True)
    assert {uid for uid in uids if uid in picked} == wanted
    assert list(here.members(picked)) == sorted(wanted)


@dataclass
class Watcher:
    """A client: our view of it, and what the lines that it was sent make it believe."""

    view: View
    believes: list[int]
    flags: dict[int, frozenset[Flag]] = field(default_factory=dict)


class Mailbox(RuleBasedStateMachine):
    """A mailbox with three clients whose looks come at any time; each is only told what `News` says."""

    def __init__(self) -> None:
        super().__init__()
        self.modseq = 1
        self.next_uid = 1
        self.messages: dict[int, Message] = {}
        self.vanished: list[tuple[int, int]] = []
        self.watchers = [Watcher(View([], ModSeq(1)), []) for _ in range(3)]

    def since(self, modseq: int) -> Changes:
        return Changes(
            ModSeq(self.modseq),
            sorted(each for each in self.messages.values() if each.modseq > modseq),
            MessageSet.of(uid for at, uid in self.vanished if at > modseq),
        )

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        self.modseq += 1
        for _ in range(count):
            self.messages[self.next_uid] = message(self.next_uid, self.modseq)
            self.next_uid += 1 + self.modseq % 2

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def expunge(self, data: st.DataObject) -> None:
        gone = data.draw(st.sets(st.sampled_from(sorted(self.messages)), min_size=1))
        self.modseq += 1
        for uid in gone:
            del self.messages[uid]
            self.vanished.append((self.modseq, uid))

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), who=st.integers(0, 2), silent=st.booleans(), flag=st.sampled_from([SEEN, DELETED, Flag("k")]))
    def store(self, data: st.DataObject, who: int, silent: bool, flag: Flag) -> None:
        watcher = self.watchers[who]
        known = sorted(uid for uid in watcher.view.uids if uid in self.messages)
        if not known:
            return
        chosen = data.draw(st.sets(st.sampled_from(known), min_size=1))
        before, changed = self.modseq, []
        self.modseq += 1
        for uid in sorted(chosen):
            old = self.messages[uid]
            if flag not in old.flags:
                self.messages[uid] = message(uid, self.modseq, *old.flags, flag)
                changed.append(self.messages[uid])
        if not changed:
            self.modseq -= 1
        told = Changes(ModSeq(self.modseq), changed, NOTHING, ModSeq(before))
        if silent:
            # The client adds the flag to what it believes, and knows of nobody else's changes.
            for uid in chosen:
                watcher.flags[uid] = watcher.flags.get(uid, frozenset()) | {flag}
            watcher.view.follow(told)
        else:
            for uid in chosen:
                watcher.flags[uid] = self.messages[uid].flags
            watcher.view.told(told)

    @rule(who=st.integers(0, 2), hold=st.booleans())
    def look(self, who: int, hold: bool) -> None:
        watcher = self.watchers[who]
        news = watcher.view.apply(self.since(watcher.view.modseq), hold_expunges=hold)
        assert not (hold and news.expunged)
        for number in news.expunged:
            del watcher.believes[number - 1]
        if news.exists is not None:
            assert news.exists > len(watcher.believes)
            for uid in list(watcher.view.uids)[len(watcher.believes) :]:
                watcher.believes.append(uid)
                watcher.flags[uid] = self.messages[uid].flags if uid in self.messages else frozenset()
            assert news.exists == len(watcher.believes)
        for number, changed in news.flags:
            assert watcher.believes[number - 1] == changed.uid
            watcher.flags[changed.uid] = changed.flags
        if not hold:
            assert watcher.believes == sorted(self.messages)
            assert not watcher.view.holding
        for uid, kept in self.messages.items():
            assert watcher.flags[uid] == kept.flags

    @invariant()
    def nobody_is_told_numbers_that_do_not_fit(self) -> None:
        for watcher in self.watchers:
            assert watcher.believes == list(watcher.view.uids)
            assert watcher.view.recent == len(watcher.believes)


test_clients_are_told_all_and_only_what_happened = Mailbox.TestCase
