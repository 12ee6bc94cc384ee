"""The Sender Rewriting Scheme: a forwarded message's sender, and back again."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mailsystem.mail.address import MAX_LOCAL, Address
from mailsystem.mail.errors import NoSuchRecipient
from mailsystem.mail.srs import VALID_DAYS, Srs

DAY = 86_400.0
NOW = 1_764_000_000.0
SRS = Srs(b"a secret of sixteen octets and more")
OTHER = Srs(b"another secret that nobody else has")
ALICE = Address.parse("alice@example.org")

domains = st.sampled_from(
    ["a.example", "mail.example.org", "xn--bcher-kva.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"]
)
locals_ = st.one_of(
    st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12),
    st.from_regex(r"(?i:SRS[01])[-+=][A-Za-z0-9=+.-]{0,30}", fullmatch=True),
)
senders = st.builds(Address, locals_, domains)


def shape(address: Address) -> str:
    """With the hash and the day of each forwarder as the paper writes them."""
    text = re.sub(r"^(SRS[01]=)[A-Z2-7]{6}=", r"\1GGG=", str(address))
    return re.sub(r"=[A-Z2-7]{6}=[A-Z2-7]{2}=|^(SRS0=)GGG=[A-Z2-7]{2}=", lambda m: f"{m[1] or '='}HHH=TT=", text)


def test_each_forwarder_makes_what_the_published_examples_show() -> None:
    first = SRS.forward(ALICE, "example.com", NOW)
    second = OTHER.forward(first, "example.net", NOW)
    third = SRS.forward(second, "example.edu", NOW)
    assert shape(first) == "SRS0=HHH=TT=example.org=alice@example.com"
    assert shape(second) == "SRS1=GGG=example.com==HHH=TT=example.org=alice@example.net"
    assert shape(third) == "SRS1=GGG=example.com==HHH=TT=example.org=alice@example.edu"
    assert third.local != second.local

    assert SRS.reverse(third, NOW) == first, "the last forwarder goes past the second to the first"
    assert OTHER.reverse(second, NOW) == first
    assert SRS.reverse(first, NOW) == ALICE


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("SRS0+4xQz=BB=example.org=alice@example.com", "SRS1=GGG=example.com=+4xQz=BB=example.org=alice@b.example"),
        ("SRS0-4xQz=BB=example.org=alice@example.com", "SRS1=GGG=example.com=-4xQz=BB=example.org=alice@b.example"),
        ("srs0=4x/z=BB=example.org=a=b@example.com", "SRS1=GGG=example.com==4x/z=BB=example.org=a=b@b.example"),
        ("SRS1+5/yT=example.com=-4xQz=BB=a.example=al@x.example", "SRS1=GGG=example.com=-4xQz=BB=a.example=al@b.example"),
    ],
)  # fmt: skip
def test_what_another_program_made_is_kept_as_it_is(theirs: str, ours: str) -> None:
    forwarded = SRS.forward(Address.parse(theirs), "b.example", NOW)
    assert shape(forwarded) == ours
    back = SRS.reverse(forwarded, NOW)
    assert back is not None
    assert back.domain == "example.com"
    assert back.local.startswith("SRS0")
    assert back.local[4:] == ours.partition("example.com=")[2].rpartition("@")[0]


@pytest.mark.parametrize(
    "sender", ["srs0-fan@example.org", "SRS0=a@example.org", "srs1+x=y@example.org", "srs@example.org"]
)
def test_what_only_looks_like_it_is_an_address_like_any_other(sender: str) -> None:
    address = Address.parse(sender)
    assert SRS.reverse(address, NOW) is None
    forwarded = SRS.forward(address, "b.example", NOW)
    assert shape(forwarded) == f"SRS0=HHH=TT=example.org={address.local}@b.example"
    assert SRS.reverse(forwarded, NOW) == address


def test_the_null_sender_and_our_own_stay() -> None:
    assert SRS.forward(Address.NULL, "b.example", NOW) == Address.NULL
    own = Address.parse("bob@b.example")
    assert SRS.forward(own, "b.example", NOW) is own
    made = SRS.forward(ALICE, "b.example", NOW)
    assert SRS.forward(made, "b.example", NOW) is made


@given(senders, st.floats(0, 4e9), st.floats(0, VALID_DAYS * DAY))
def test_what_goes_forward_comes_back_and_is_an_address(sender: Address, now: float, later: float) -> None:
    forwarded = SRS.forward(sender, "fwd.example.net", now)
    if forwarded is sender:
        assert len(sender.local.encode()) + len(sender.domain) + len("SRS0=HHHHHH=TT==") > MAX_LOCAL or (
            sender.local[:4].upper() in {"SRS0", "SRS1"}
        )
        return
    assert Address.parse(str(forwarded)) == forwarded
    back = SRS.reverse(forwarded, now + later)
    assert back is not None
    if forwarded.local.startswith("SRS0"):
        assert back == sender
    else:
        assert back.local.upper().endswith(sender.local.upper().rpartition("=")[2])


@given(st.builds(Address, st.from_regex(r"[A-Za-z0-9+=._-]{1,12}", fullmatch=True), domains), st.booleans())
def test_an_address_that_lost_its_case_comes_back(sender: Address, upper: bool) -> None:
    forwarded = SRS.forward(sender, "b.example", NOW)
    assume(forwarded is not sender)
    folded = Address(forwarded.local.upper() if upper else forwarded.local.lower(), "b.example")
    back = SRS.reverse(folded, NOW)
    assert back is not None
    assert back.key == Address(sender.local, sender.domain).key


@pytest.mark.parametrize("days", [0, 1, VALID_DAYS, -1])
def test_reports_come_back_for_three_weeks(days: int) -> None:
    assert SRS.reverse(SRS.forward(ALICE, "b.example", NOW), NOW + days * DAY) == ALICE


@pytest.mark.parametrize("days", [VALID_DAYS + 1, 100, -2, 1024, 1024 + VALID_DAYS])
def test_an_older_one_is_nobody_nor_is_it_somebody_again_when_its_stamp_comes_round(days: int) -> None:
    with pytest.raises(NoSuchRecipient):
        SRS.reverse(SRS.forward(ALICE, "b.example", NOW), NOW + days * DAY)


def test_the_one_of_the_second_forwarder_lasts_as_long_as_that_of_the_first() -> None:
    first = OTHER.forward(ALICE, "a.example", NOW)
    second = SRS.forward(first, "b.example", NOW)
    assert SRS.reverse(second, NOW + 100 * DAY) == first
    with pytest.raises(NoSuchRecipient):
        OTHER.reverse(first, NOW + 100 * DAY)


@pytest.mark.parametrize(
    "forge",
    [
        lambda local: local.replace("alice", "mallory"),
        lambda local: local.replace("example.org", "example.net"),
        lambda local: re.sub(r"=[A-Z2-7]{6}=", "=AAAAAA=", local),
        lambda local: re.sub(r"=[A-Z2-7]{6}=", "==", local),
        lambda local: re.sub(r"=([A-Z2-7]{6})=", lambda m: f"={m[1][:4]}=", local),
        lambda local: re.sub(r"=([A-Z2-7]{6})=", lambda m: f"={m[1]}A=", local),
        lambda local: re.sub(r"=([A-Z2-7]{6})=..=", r"=\1=A1=", local),
        lambda local: re.sub(r"=([A-Z2-7]{6})=..=", "=\\1=\u00dfA=", local),
        lambda local: re.sub(r"=([A-Z2-7]{6})=..=", r"=\1==", local),
        lambda local: re.sub(r"SRS0=([A-Z2-7]{6})=..=(.*)=alice", r"SRS1=\1=\2==alice", local),
    ],
)
def test_what_was_not_made_here_is_nobody(forge: object) -> None:
    made = SRS.forward(ALICE, "b.example", NOW)
    forged = Address(forge(made.local), "b.example")  # type: ignore[operator]
    assert forged != made
    with pytest.raises(NoSuchRecipient):
        SRS.reverse(forged, NOW)
    with pytest.raises(NoSuchRecipient):
        OTHER.reverse(made, NOW)


@given(
    st.text(max_size=64).map(lambda text: re.sub("[\ud800-\udfff]", "", text)), st.sampled_from(["", "SRS0=", "SRS1="])
)
def test_nothing_gets_another_answer_than_nobody(text: str, tag: str) -> None:
    address = Address(tag + text, "b.example")
    with suppress(NoSuchRecipient):
        assert SRS.reverse(address, NOW) is None


def test_an_older_secret_still_lets_reports_back() -> None:
    before = b"the secret of the year before this"
    made = Srs(before).forward(ALICE, "b.example", NOW)
    changed = Srs(b"the secret that is in use from now", before)
    assert changed.reverse(made, NOW) == ALICE
    assert changed.forward(ALICE, "b.example", NOW) != made
    with pytest.raises(ValueError, match="at least 16"):
        Srs(b"short")


@pytest.mark.parametrize("local", ["x" * 60, "ü" * 30, "SRS0=abcd=BB=a-very-long-name-of-a-domain.example=somebody"])
def test_a_sender_that_would_come_out_too_long_stays_as_it_is(local: str) -> None:
    """It would be refused by others and not even be known here; so the report goes straight to the sender."""
    sender = Address(local, "somewhere.example.org")
    assert SRS.forward(sender, "b.example", NOW) is sender


def test_the_longest_that_fits_is_rewritten() -> None:
    fits = Address("x" * (MAX_LOCAL - len("SRS0=HHHHHH=TT=example.org=")), "example.org")
    forwarded = SRS.forward(fits, "b.example", NOW)
    assert len(forwarded.local) == MAX_LOCAL
    assert SRS.reverse(Address.parse(str(forwarded)), NOW) == fits
    longer = Address(fits.local + "x", "example.org")
    assert SRS.forward(longer, "b.example", NOW) is longer
