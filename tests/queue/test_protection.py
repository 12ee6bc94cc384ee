"""How well mail is protected on its way: TLS wherever there is any, and never less than there was before."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import pytest
import trustme
from other_side import MAIL, Letter, relaying, server, table

from mailsystem.mail.outgoing import State
from mailsystem.queue.client import Timeouts
from mailsystem.queue.opening import Credentials
from mailsystem.queue.relay import Smarthost
from mailsystem.store import Store
from mailsystem.store.tls_levels import Level

GREETING = "S: 220 mx.b.test ESMTP\n"
EHLO = "C: EHLO a.test\n"
OFFER = f"{GREETING}{EHLO}S: 250-mx.b.test\nS: 250 STARTTLS\n"
START = "C: STARTTLS\nS: 220 go ahead\ntls\n"
CLEAR = "S: 250 mx.b.test\n"
PROMISED = "S: 250-mx.b.test\nS: 250 REQUIRETLS\n"
CONTENT = "C: MAIL…\nS: 250 ok\nC: RCPT…\nS: 250 ok\nC: DATA\nS: 354 go\nmessage\nS: 250 taken\n"
BYE = "C: QUIT\nS: 221 bye\n"
UNDER_TLS = f"{OFFER}{START}{EHLO}{CLEAR}{CONTENT}{BYE}"
IN_CLEAR = f"{GREETING}{EHLO}{CLEAR}{CONTENT}{BYE}"
BROKEN = f"{OFFER}C: STARTTLS\nS: 220 go ahead\nsleep 0.1\nraw nonsense\ndrop"


@dataclass
class Authority:
    """Issues certificates, and trusts those it issued."""

    ca: trustme.CA

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        return context

    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(trustme.CA())


# As good as can be


async def test_a_certificate_is_verified_where_it_can_be(store: Store, authority: Authority) -> None:
    async with (
        server(UNDER_TLS, tls=authority.server("mx.b.test")) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        [attempt] = await rig.send()
        await rig.relay.close()
        assert attempt.state is State.RELAYED
        assert attempt.tls is not None
        assert attempt.tls.startswith("TLSv1.")
        assert await rig.levels.level("b.test") is Level.VERIFIED
        assert peer.heard == [MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"]


@pytest.mark.parametrize("name", ["mx.b.test", "mx.evil.test"])
async def test_a_certificate_that_proves_nothing_is_better_than_none(
    store: Store, name: str, authority: Authority
) -> None:
    """Either nobody vouches for it, or it is another's."""
    trust = authority.trust() if name == "mx.evil.test" else ssl.create_default_context()
    refused = f"{OFFER}{START}"
    async with (
        server(refused, UNDER_TLS, UNDER_TLS, tls=authority.server(name), strict=False) as peer,
        relaying(store, peer.port, trust=trust) as rig,
    ):
        for _ in range(2):
            [attempt] = await rig.send()
            assert attempt.tls is not None
            await rig.relay.close()
        assert peer.connections == 3, "it is known for a while that there is no use in asking for proof"
        assert await rig.levels.level("b.test") is Level.ENCRYPTED


@pytest.mark.parametrize("lost", [BROKEN, f"{OFFER}C: STARTTLS\nS: 220 go ahead\ndrop"])
async def test_where_tls_fails_mail_goes_in_clear_if_it_always_did(
    store: Store, lost: str, authority: Authority
) -> None:
    async with (
        server(lost, IN_CLEAR.replace(CLEAR, "S: 250-mx.b.test\nS: 250 STARTTLS\n")) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        [attempt] = await rig.send()
        await rig.relay.close()
        assert (attempt.state, attempt.tls) == (State.RELAYED, None)
        assert await rig.levels.level("b.test") is Level.NONE


async def test_where_tls_is_refused_mail_goes_in_clear_if_it_always_did(store: Store) -> None:
    async with server(f"{OFFER}C: STARTTLS\nS: 454 not now\n{CONTENT}{BYE}") as peer, relaying(store, peer.port) as rig:
        [attempt] = await rig.send()
        await rig.relay.close()
    assert (attempt.state, attempt.tls) == (State.RELAYED, None)


# Never less than there was


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (f"{GREETING}{EHLO}{CLEAR}", "4.7.10"),
        (f"{OFFER}C: STARTTLS\nS: 454 not now\n", "4.7.10"),
        (BROKEN, "4.7.5"),
        (f"{GREETING}{EHLO}S: 500 what\nC: HELO a.test\nS: 250 mx.b.test\n", "4.7.10"),
    ],
)
async def test_what_was_encrypted_once_waits_rather_than_go_in_clear(store: Store, script: str, status: str) -> None:
    async with server(script) as peer, relaying(store, peer.port) as rig:
        await rig.levels.seen("b.test", Level.ENCRYPTED)
        [attempt] = await rig.send()
        assert await rig.levels.level("b.test") is Level.ENCRYPTED
    assert (attempt.state, attempt.status) == (State.WAITING, status)
    assert attempt.reply.startswith(("not protected enough: mx.b.test has no TLS", "no TLS with mx.b.test: "))


async def test_what_was_verified_once_waits_rather_than_go_to_anybody(store: Store, authority: Authority) -> None:
    async with (
        server(f"{OFFER}{START}", tls=authority.server("mx.evil.test"), strict=False) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        await rig.levels.seen("b.test", Level.VERIFIED)
        [attempt] = await rig.send()
        assert (attempt.state, attempt.status, peer.connections) == (State.WAITING, "4.7.5", 1)
    assert attempt.reply.startswith("no trust in mx.b.test: certificate not trusted: ")
    assert "mx.evil.test" not in attempt.reply


async def test_another_host_of_the_domain_may_be_as_good_as_before(store: Store, authority: Authority) -> None:
    dns = table(mx=["127.0.0.1"], other=["127.0.0.2"])
    tls = authority.server("other.b.test")
    async with (
        server(f"{GREETING}{EHLO}{CLEAR}") as first,
        server(UNDER_TLS.replace("mx.b", "other.b"), host="127.0.0.2", port=first.port, tls=tls),
        relaying(store, first.port, dns=dns, trust=authority.trust()) as rig,
    ):
        await rig.levels.seen("b.test", Level.VERIFIED)
        [attempt] = await rig.send()
        await rig.relay.close()
    assert (attempt.state, attempt.remote) == (State.RELAYED, "other.b.test")


async def test_a_connection_that_was_kept_is_used_only_if_it_is_good_enough(store: Store, authority: Authority) -> None:
    async with (
        server(IN_CLEAR, UNDER_TLS, tls=authority.server("mx.b.test")) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        assert (await rig.send())[0].tls is None
        await rig.levels.seen("b.test", Level.VERIFIED)
        assert (await rig.send())[0].tls is not None
        await rig.relay.close()


@pytest.mark.parametrize(
    ("pieces", "state"),
    [
        ((b"From: ann@a.test\r\ntls-req", b"uired:  NO \r\nSubject: x\r\n\r\nhello\r\n"), State.RELAYED),
        ((b"TLS-Required: No\r\n\r\n",), State.RELAYED),
        ((b"TLS-Required: Nothing\r\n\r\nhello\r\n",), State.WAITING),
        ((b"From: ann@a.test\r\n\r\nTLS-Required: No\r\n",), State.WAITING),
    ],
)
async def test_mail_that_waives_tls_waits_for_none(store: Store, pieces: tuple[bytes, ...], state: State) -> None:
    """RFC 8689 4.2.2, such as a report that TLS has failed."""
    script = IN_CLEAR if state is State.RELAYED else f"{GREETING}{EHLO}{CLEAR}"
    async with server(script) as peer, relaying(store, peer.port) as rig:
        await rig.levels.seen("b.test", Level.ENCRYPTED)
        [attempt] = await rig.send(letter=Letter(*pieces))
        await rig.relay.close()
    assert attempt.state is state


# An attack


@pytest.mark.parametrize(
    "answer",
    [
        r"raw 220 go ahead\r\n250 mx.b.test\r\n",
        r"raw 220 go ahead\r\n2",
        r"raw 220-go\r\n220 ahead\r\n250-mx.b.test\r\n250 AUTH PLAIN\r\n",
    ],
)
async def test_an_answer_in_clear_behind_that_to_starttls_is_an_attack(store: Store, answer: str) -> None:
    """CVE-2021-38371."""
    async with server(f"{OFFER}C: STARTTLS\n{answer}\n") as peer, relaying(store, peer.port) as rig:
        [attempt] = await rig.send()
    assert (attempt.state, attempt.status) == (State.WAITING, "4.7.5")
    assert attempt.reply == "attacked: octets in clear behind the answer of mx.b.test to STARTTLS"
    assert rig.told("attacked")


async def test_what_was_offered_in_clear_is_forgotten(store: Store, authority: Authority) -> None:
    script = UNDER_TLS.replace("S: 250 STARTTLS", "S: 250-SIZE 1\nS: 250 STARTTLS")
    async with (
        server(script, tls=authority.server("mx.b.test")) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        [attempt] = await rig.send()
        await rig.relay.close()
    assert attempt.state is State.RELAYED


# REQUIRETLS (RFC 8689)


async def test_mail_that_must_stay_under_tls_is_handed_on_with_that_word(store: Store, authority: Authority) -> None:
    mail = "C: MAIL FROM:<ann@a.test> REQUIRETLS"
    script = f"{OFFER}{START}{EHLO}{PROMISED}{CONTENT.replace('C: MAIL…', mail)}{BYE}"
    async with (
        server(script, tls=authority.server("mx.b.test")) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        [attempt] = await rig.send(require_tls=True)
        await rig.relay.close()
    assert attempt.state is State.RELAYED


@pytest.mark.parametrize(
    ("script", "name", "status"),
    [
        (f"{OFFER}{START}{EHLO}{CLEAR}", "mx.b.test", "5.7.30"),
        (f"{OFFER}{START}", "mx.evil.test", "5.7.10"),
        (f"{GREETING}{EHLO}{PROMISED}", "mx.b.test", "5.7.10"),
        (BROKEN, "mx.b.test", "5.7.10"),
    ],
)
async def test_mail_that_must_stay_under_tls_fails_where_it_cannot(
    store: Store, script: str, name: str, status: str, authority: Authority
) -> None:
    async with (
        server(script, tls=authority.server(name), strict=False) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        [attempt] = await rig.send(require_tls=True)
    assert (attempt.state, attempt.status) == (State.FAILED, status)


async def test_mail_that_must_stay_under_tls_waits_while_a_host_that_may_have_it_is_down(
    store: Store, authority: Authority
) -> None:
    dns = table(mx=["127.0.0.1"], other=["127.0.0.2"])
    async with server(f"{GREETING}{EHLO}{CLEAR}") as first, relaying(store, first.port, dns=dns) as rig:
        [attempt] = await rig.send(require_tls=True)
    assert (attempt.state, attempt.status, attempt.remote) == (State.WAITING, "4.4.1", "other.b.test")


async def test_a_report_is_not_lost_where_nobody_knows_that_word(store: Store, authority: Authority) -> None:
    """RFC 8689 5; the certificate must be as good as for any other."""
    script = f"{OFFER}{START}{EHLO}{CLEAR}{CONTENT.replace('C: MAIL…', 'C: MAIL FROM:<>')}{BYE}"
    async with (
        server(script, tls=authority.server("mx.b.test")) as peer,
        relaying(store, peer.port, trust=authority.trust()) as rig,
    ):
        [attempt] = await rig.send(sender="", require_tls=True)
        await rig.relay.close()
    assert attempt.state is State.RELAYED


async def test_a_report_that_must_stay_under_tls_never_goes_in_clear(store: Store) -> None:
    async with server(f"{GREETING}{EHLO}{CLEAR}") as peer, relaying(store, peer.port) as rig:
        [attempt] = await rig.send(sender="", require_tls=True)
    assert (attempt.state, attempt.status) == (State.FAILED, "5.7.10")


# A smarthost


def smarthost(port: int, **options: object) -> Smarthost:
    return Smarthost("127.0.0.1", port, **options)  # type: ignore[arg-type]


async def test_a_smarthost_is_asked_whatever_dns_says_and_never_in_clear(store: Store, authority: Authority) -> None:
    tls = authority.server("127.0.0.1")
    async with (
        server(UNDER_TLS, f"{GREETING}{EHLO}{CLEAR}", tls=tls) as peer,
        relaying(store, 1, dns=table(), trust=authority.trust(), smarthost=smarthost(peer.port)) as rig,
    ):
        [attempt] = await rig.send()
        await rig.relay.close()
        assert (attempt.state, attempt.remote) == (State.RELAYED, "127.0.0.1")
        [attempt] = await rig.send()
        assert (attempt.state, attempt.status) == (State.WAITING, "4.7.10")


async def test_a_smarthost_may_speak_tls_from_the_first_octet(store: Store, authority: Authority) -> None:
    script = f"tls\n{GREETING}{EHLO}{CLEAR}{CONTENT}{BYE}"
    async with server(script, tls=authority.server("127.0.0.1")) as peer:
        host = smarthost(peer.port, tls="implicit")
        async with relaying(store, 1, trust=authority.trust(), smarthost=host) as rig:
            [attempt] = await rig.send()
            await rig.relay.close()
    assert attempt.state is State.RELAYED
    assert attempt.tls is not None


async def test_a_domain_has_a_smarthost_of_its_own_or_none(store: Store) -> None:
    async with server(IN_CLEAR) as peer, relaying(store, 1, smarthosts={"b.test": ("127.0.0.1", peer.port)}) as rig:
        assert (await rig.send())[0].remote == "127.0.0.1"
        await rig.relay.close()
    async with (
        server(IN_CLEAR) as peer,
        relaying(store, peer.port, smarthosts={"b.test": None}, smarthost=smarthost(1)) as rig,
    ):
        assert (await rig.send())[0].remote == "mx.b.test"
        await rig.relay.close()


async def test_a_password_goes_to_nobody_who_cannot_prove_who_they_are(store: Store, authority: Authority) -> None:
    async with server(f"{OFFER}{START}", tls=authority.server("mx.evil.test"), strict=False) as peer:
        host = smarthost(peer.port, credentials=Credentials("ann", "secret"))
        async with relaying(store, 1, trust=authority.trust(), smarthost=host) as rig:
            [attempt] = await rig.send()
        assert peer.connections == 1
    assert (attempt.state, attempt.status) == (State.WAITING, "4.7.5")


async def test_a_smarthost_that_hangs_up_is_said(store: Store) -> None:
    async with server("drop") as peer:
        host = smarthost(peer.port, tls="none")
        async with relaying(store, 1, smarthost=host, timeouts=Timeouts(greeting=1)) as rig:
            [attempt] = await rig.send(letter=Letter())
    assert (attempt.state, attempt.is_of_remote) == (State.WAITING, False)
