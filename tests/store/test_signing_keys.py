"""The keys that sign a domain's mail: made, waiting, signing, retired, gone."""

from __future__ import annotations

import pytest
from vault import TestClock, Vault

from mailsystem.mail.errors import MailboxExists, NoSuchRecipient
from mailsystem.store import Algorithm, KeyState, SigningKey


def key(selector: str, state: KeyState, *, domain: str = "a.test", algorithm: Algorithm = Algorithm.RSA) -> SigningKey:
    return SigningKey(domain, selector, algorithm, f"secret of {selector}".encode(), 1.0, state, 1.0)


@pytest.fixture
async def vault(vault: Vault) -> Vault:
    for domain in ("a.test", "b.test"):
        await vault.here.accounts.add_domain(domain)
    return vault


async def test_only_active_keys_of_the_domain_sign(vault: Vault) -> None:
    ed25519 = key("e", KeyState.ACTIVE, algorithm=Algorithm.ED25519)
    await vault.here.signing_keys.add([key("r", KeyState.ACTIVE), ed25519, key("w", KeyState.WAITING)])
    await vault.here.signing_keys.add([key("r", KeyState.RETIRED, domain="b.test")])
    assert list(await vault.there.signing_keys.active("a.test")) == [key("r", KeyState.ACTIVE), ed25519]
    assert list(await vault.there.signing_keys.active("b.test")) == []
    assert await vault.there.signing_keys.domains() == {"a.test"}
    assert [(one.domain, one.selector) for one in await vault.there.signing_keys.all()] == [
        *(("a.test", selector) for selector in ("r", "w", "e")),
        ("b.test", "r"),
    ]


async def test_those_that_wait_take_over_and_those_that_signed_are_retired(vault: Vault, clock: TestClock) -> None:
    keys = vault.here.signing_keys
    await keys.add([key("old", KeyState.ACTIVE), key("older", KeyState.RETIRED), key("new", KeyState.WAITING)])
    await keys.add([key("b", KeyState.ACTIVE, domain="b.test")])
    states = {one.selector: (one.state, one.changed) for one in await keys.activate("a.test")}
    assert states == {
        "older": (KeyState.RETIRED, 1.0),
        "old": (KeyState.RETIRED, clock.now()),
        "new": (KeyState.ACTIVE, clock.now()),
    }
    assert [one.selector for one in await keys.active("b.test")] == ["b"]
    with pytest.raises(NoSuchRecipient):
        await keys.activate("a.test")
    assert [one.selector for one in await keys.active("a.test")] == ["new"]


async def test_those_in_one_state_are_forgotten(vault: Vault) -> None:
    keys = vault.here.signing_keys
    await keys.add([key("old", KeyState.RETIRED), key("new", KeyState.ACTIVE)])
    assert [one.selector for one in await keys.remove("a.test", KeyState.RETIRED)] == ["old"]
    assert [one.selector for one in await keys.of("a.test")] == ["new"]
    assert list(await keys.remove("a.test", KeyState.RETIRED)) == []


async def test_a_selector_is_taken_once_and_all_are_added_or_none(vault: Vault) -> None:
    keys = vault.here.signing_keys
    await keys.add([key("r", KeyState.ACTIVE)])
    with pytest.raises(MailboxExists):
        await keys.add([key("s", KeyState.ACTIVE), key("r", KeyState.ACTIVE)])
    with pytest.raises(NoSuchRecipient):
        await keys.add([key("r", KeyState.ACTIVE, domain="c.test")])
    assert [one.selector for one in await keys.all()] == ["r"]


async def test_keys_go_with_their_domain(vault: Vault) -> None:
    keys = vault.here.signing_keys
    await keys.add([key("r", KeyState.ACTIVE)])
    await keys.add([key("r", KeyState.ACTIVE, domain="b.test")])
    await vault.here.accounts.remove_domain("a.test")
    assert [one.domain for one in await keys.all()] == ["b.test"]


def test_what_is_secret_of_a_key_is_never_shown() -> None:
    assert "secret" not in repr(key("r", KeyState.ACTIVE))
