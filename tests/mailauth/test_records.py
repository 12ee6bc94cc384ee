"""What is to be published: in the form of a zone file, and found again however DNS writes it."""

from __future__ import annotations

import dns.zone
import pytest

from mailsystem.mailauth import make_keys, record_of
from mailsystem.mailauth.records import is_published, records_of
from mailsystem.store import Algorithm, KeyState

NOVEMBER = 1_700_000_000.0
KEYS = make_keys("a.test", NOVEMBER, [], state=KeyState.ACTIVE)


def test_the_records_are_lines_of_a_zone_file() -> None:
    records = list(records_of("a.test", "mx.a.test", KEYS))
    text = "@ 3600 IN SOA ns hostmaster 1 1 1 1 1\n@ 3600 IN NS ns\n" + "\n".join(record.line for record in records)
    zone = dns.zone.from_text(text, origin="a.test.", relativize=False)
    assert [str(data) for data in zone.find_rdataset("a.test.", "MX")] == ["10 mx.a.test."]
    for record in records[1:]:
        [data] = zone.find_rdataset(record.name + ".", "TXT")
        assert b"".join(data.strings).decode() == record.value
        assert all(len(string) <= 255 for string in data.strings)


def test_the_key_of_rsa_takes_two_strings_and_that_of_ed25519_one() -> None:
    rsa, ed25519 = map(record_of, KEYS)
    assert [len(rsa.strings), len(ed25519.strings)] == [2, 1]
    assert len(rsa.strings[0]) == 255


def test_selectors_tell_the_month_and_the_algorithm() -> None:
    assert [(key.selector, key.algorithm) for key in KEYS] == [
        ("ms202311r", Algorithm.RSA),
        ("ms202311e", Algorithm.ED25519),
    ]


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], "ms202311r"),
        (["ms202310r", "mine", "ms202311x"], "ms202311r"),
        (["ms202311e"], "ms202311-2r"),
        (["ms202311-2r", "ms202311-2e"], "ms202311-3r"),
        (["ms202311r", "ms202311-9e"], "ms202311-10r"),
    ],
)
def test_no_selector_comes_back_with_another_key(taken: list[str], expected: str) -> None:
    assert make_keys("a.test", NOVEMBER, taken, state=KeyState.WAITING)[0].selector == expected


def test_no_two_keys_are_alike() -> None:
    others = make_keys("a.test", NOVEMBER, [], state=KeyState.ACTIVE)
    assert {key.secret for key in KEYS}.isdisjoint(key.secret for key in others)


def test_a_record_is_found_however_it_is_written() -> None:
    record = record_of(KEYS[0])
    public = record.value.partition("p=")[2]
    assert is_published(record, [record.value])
    assert is_published(record, ["v=spf1 mx", f"v=DKIM1;p={public[:50]} {public[50:]};"])
    assert is_published(record, [f"k=rsa ; s=email; p = {public}"])


def test_another_key_or_one_that_was_revoked_is_not_ours() -> None:
    rsa, ed25519 = map(record_of, KEYS)
    assert not is_published(rsa, [])
    assert not is_published(rsa, [ed25519.value, "v=DKIM1; k=rsa; p=", "v=DKIM1", "", ";;;="])
    assert not is_published(ed25519, [ed25519.value.replace("k=ed25519", "k=rsa")])
