"""DKIM, SPF and DMARC by a zone that is given, and never by the real DNS."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from made import HEAD, plain, report, told

from mailsystem.checks import BadZone, GivenZone, NotAnswered, Sender

BODY = b"Hello.  \r\n\r\nBye.\r\n\r\n\r\n"
GOOD_IP, BAD_IP = "192.0.2.1", "198.51.100.1"


def made(bits: int) -> tuple[bytes, str]:
    """A private key, and what DNS has of it."""
    from base64 import b64encode

    key = generate_private_key(65537, bits)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return private, f"v=DKIM1; k=rsa; p={b64encode(public).decode()}"


KEY, RECORD = made(2048)
SHORT_KEY, SHORT_RECORD = made(1024)


def signed(raw: bytes, *, domain: bytes = b"example.org", key: bytes = KEY, **more: object) -> bytes:
    options: dict[str, object] = {"canonicalize": (b"relaxed", b"relaxed"), **more}
    return bytes(dkim.sign(raw, b"s1", domain, key, **options)) + raw


def zone(
    *records: tuple[str, str, str], spf: str = "v=spf1 ip4:192.0.2.0/24 -all", dmarc: str = "v=DMARC1; p=reject"
) -> GivenZone:
    given = [("s1._domainkey.example.org", "TXT", RECORD), *records]
    if spf:
        given.append(("example.org", "TXT", spf))
    if dmarc:
        given.append(("_dmarc.example.org", "TXT", dmarc))
    return GivenZone(given)


def results(raw: bytes, **options: object) -> dict[str, str]:
    return {one.method: one.result for one in report(raw, **options).results}


def sender(ip: str = GOOD_IP, mail_from: str = "bounce@example.org", helo: str = "mail.example.org") -> Sender:
    return Sender(ip, mail_from, helo)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here asks the network."""

    def refused(*_: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket.socket, "sendto", refused)


@pytest.mark.parametrize("header", [b"relaxed", b"simple"])
@pytest.mark.parametrize("body", [b"relaxed", b"simple"])
@pytest.mark.parametrize("octets", [BODY, b"", b"\r\n\r\n", b"no end", b" \t \r\n", b"a\tb  c\r\n" * 1000])
def test_good_signatures_verify_in_every_form(header: bytes, body: bytes, octets: bytes) -> None:
    raw = signed(plain(octets), canonicalize=(header, body))
    found = report(raw, zone=zone(spf="", dmarc=""))
    assert next((one.method, one.result) for one in found.results) == ("dkim", "pass")
    assert "dkim-fail" not in [finding.rule for finding in found.findings]


@pytest.mark.parametrize("body", [b"relaxed", b"simple"])
def test_a_signature_of_a_part_of_the_body_verifies_and_is_warned_of(body: bytes) -> None:
    raw = signed(plain(BODY), canonicalize=(b"relaxed", body), length=True) + b"and more\r\n"
    assert results(raw, zone=zone())["dkim"] == "pass"
    assert "dkim-length" in told(raw, zone=zone())


@pytest.mark.parametrize(
    ("raw", "records", "result"),
    [
        (signed(plain(BODY)).replace(b"Bye", b"Buy"), zone(), "fail"),
        (signed(plain(BODY)).replace(b"Your order", b"My order"), zone(), "fail"),
        (signed(plain(BODY)).replace(b"From: Shop", b"From: eve@example.com\r\nFrom: Shop"), zone(), "fail"),
        (signed(plain(BODY)), GivenZone([]), "permerror"),
        (signed(plain(BODY)), GivenZone([("s1._domainkey.example.org", "TXT", SHORT_RECORD)]), "fail"),
        (signed(plain(BODY)), GivenZone([("s1._domainkey.example.org", "TXT", "v=DKIM1; p=")]), "permerror"),
        (signed(plain(BODY)), GivenZone([("s1._domainkey.example.org", "TXT", "v=DKIM1; p=AAAA")]), "permerror"),
        (signed(plain(BODY)), GivenZone([("s1._domainkey.example.org", "TXT", "p=" + "A" * 9000)]), "permerror"),
        (signed(plain(BODY)), GivenZone([("s1._domainkey.example.org", "TXT", "k=ed25519; p=AAAA")]), "permerror"),
        (signed(plain(BODY)).replace(b"v=1;", b"v=2;"), zone(), "permerror"),
        (signed(plain(BODY), signature_algorithm=b"rsa-sha1"), zone(), "policy"),
    ],
)  # fmt: skip
def test_bad_signatures_do_not(raw: bytes, records: GivenZone, result: str) -> None:
    assert results(raw, zone=records)["dkim"] == result
    assert "dkim-fail" in told(raw, zone=records)


def test_short_and_testing_keys_are_told() -> None:
    short = zone(("s1._domainkey.short.example", "TXT", SHORT_RECORD.replace("v=DKIM1", "v=DKIM1; t=y:s")))
    found = told(signed(plain(BODY), domain=b"short.example", key=SHORT_KEY), zone=short)
    assert {"dkim-weak-key", "dkim-testing"} <= set(found)
    assert "dkim-weak-key" not in told(signed(plain(BODY)), zone=zone())


def test_an_ed25519_signature_verifies() -> None:
    from base64 import b64encode

    from nacl.signing import SigningKey

    key = SigningKey.generate()
    given = GivenZone(
        [("s1._domainkey.example.org", "TXT", f"k=ed25519; p={b64encode(bytes(key.verify_key)).decode()}")]
    )
    raw = signed(plain(BODY), key=b64encode(bytes(key)), signature_algorithm=b"ed25519-sha256")
    assert results(raw, zone=given)["dkim"] == "pass"


def test_a_body_of_blanks_is_hashed_at_once() -> None:
    """dkimpy would take minutes for it."""
    raw = signed(plain(BODY), canonicalize=(b"relaxed", b"relaxed")).replace(b"Hello.", b" " * 3_000_000 + b"x")
    assert results(raw, zone=zone())["dkim"] == "fail"
    many = b"X: " + b" " * 200_000 + b"x\r\n" + signed(plain(BODY))
    assert results(many, zone=zone())["dkim"] == "permerror"


def test_without_a_zone_nothing_is_verified() -> None:
    assert report(signed(plain(BODY))).results == ()
    assert "dkim-missing" not in told(plain(BODY))
    assert "dkim-missing" in told(plain(BODY), zone=zone())


@pytest.mark.parametrize(
    ("record", "ip", "result", "rule"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", GOOD_IP, "pass", None),
        ("v=spf1 ip4:192.0.2.0/24 -all", BAD_IP, "fail", "spf-fail"),
        ("v=spf1 ip4:192.0.2.0/24 ~all", BAD_IP, "softfail", "spf-fail"),
        ("v=spf1 ip4:192.0.2.0/24 ?all", BAD_IP, "neutral", None),
        ("v=spf1 a -all", GOOD_IP, "pass", None),
        ("v=spf1 mx -all", GOOD_IP, "pass", None),
        ("v=spf1 a:six.example.org -all", "2001:db8::1", "pass", None),
        ("v=spf1 include:other.example -all", GOOD_IP, "pass", None),
        ("v=spf1 redirect=alias.example", GOOD_IP, "pass", None),
        ("v=spf1 exists:%{i}.list.example -all", GOOD_IP, "pass", None),
        ("v=spf1 ptr:example.org -all", GOOD_IP, "pass", None),
        ("v=spf1 nonsense -all", GOOD_IP, "permerror", "spf-broken"),
        ("v=spf1 include:example.org -all", GOOD_IP, "permerror", "spf-broken"),
        ("v=spf1 a:v1.example a:v2.example a:v3.example -all", GOOD_IP, "permerror", "spf-broken"),
        ("", GOOD_IP, "none", "spf-missing"),
    ],
)
def test_spf_is_evaluated(record: str, ip: str, result: str, rule: str | None) -> None:
    given = zone(
        ("example.org", "A", GOOD_IP),
        ("example.org", "MX", "10 mail.example.org."),
        ("mail.example.org", "A", GOOD_IP),
        ("six.example.org", "AAAA", "2001:db8::1"),
        ("other.example", "TXT", "v=spf1 ip4:192.0.2.0/24 -all"),
        ("alias.example", "CNAME", "other.example."),
        ("192.0.2.1.list.example", "A", "127.0.0.2"),
        ("1.2.0.192.in-addr.arpa", "PTR", "mail.example.org."),
        spf=record,
    )
    assert results(plain(), zone=given, sender=sender(ip))["spf"] == result
    found = [one for one in told(plain(), zone=given, sender=sender(ip)) if one.startswith("spf-")]
    assert found == ([rule] if rule else [])


def test_the_null_sender_is_judged_by_helo() -> None:
    given = zone(("mail.example.org", "TXT", "v=spf1 ip4:192.0.2.1 -all"))
    assert results(plain(), zone=given, sender=sender(mail_from=""))["spf"] == "pass"
    assert results(plain(), zone=given, sender=sender(BAD_IP, mail_from=""))["spf"] == "fail"


@pytest.mark.parametrize(
    ("raw", "records", "from_whom", "result"),
    [
        (signed(plain()), zone(), None, "pass"),
        (plain(), zone(), sender(), "pass"),
        (plain(), zone(), sender(BAD_IP), "fail"),
        (plain(), zone(), None, "fail"),
        (signed(plain(), domain=b"example.com"), zone(("s1._domainkey.example.com", "TXT", RECORD)), None, "fail"),
        (
            signed(plain(), domain=b"mail.example.org"),
            zone(("s1._domainkey.mail.example.org", "TXT", RECORD)),
            None,
            "pass",
        ),
        (
            signed(plain(), domain=b"mail.example.org"),
            zone(("s1._domainkey.mail.example.org", "TXT", RECORD), dmarc="v=DMARC1; p=reject; adkim=s"),
            None,
            "fail",
        ),
        (
            plain(),
            zone(("bounces.example.org", "TXT", "v=spf1 ip4:192.0.2.1 -all")),
            sender(mail_from="x@bounces.example.org"),
            "pass",
        ),
        (
            plain(),
            zone(("bounces.example.org", "TXT", "v=spf1 ip4:192.0.2.1 -all"), dmarc="v=DMARC1; p=none; aspf=s"),
            sender(mail_from="x@bounces.example.org"),
            "fail",
        ),
        (signed(plain()), zone(dmarc=""), None, "none"),
        (signed(plain()), zone(dmarc="v=DMARC1"), None, "permerror"),
        (signed(plain()), zone(("_dmarc.example.org", "TXT", "v=DMARC1; p=none")), None, "permerror"),
        (signed(plain()), zone(("_dmarc.example.org", "TXT", "v=spf1 -all")), None, "pass"),
    ],
)
def test_dmarc_wants_one_of_both_for_the_domain_in_from(
    raw: bytes, records: GivenZone, from_whom: Sender | None, result: str
) -> None:
    assert results(raw, zone=records, sender=from_whom)["dmarc"] == result
    wanted = {"fail": "dmarc-fail", "none": "dmarc-missing", "permerror": "dmarc-broken", "pass": None}[result]
    found = [one for one in told(raw, zone=records, sender=from_whom) if one.startswith("dmarc-")]
    assert found == ([wanted] if wanted else [])


def test_the_policy_of_the_organisation_counts_below_it() -> None:
    below = signed(plain(head=HEAD.replace(b"shop@example.org", b"shop@news.example.org")))
    assert results(below, zone=zone())["dmarc"] == "pass"
    unsigned = plain(head=HEAD.replace(b"shop@example.org", b"shop@a.b.c.d.e.f.g.h.i.news.example.org"))
    [said] = [one.detail for one in report(unsigned, zone=zone(dmarc="v=DMARC1; p=none; sp=reject")).results]
    assert said == "header.from=a.b.c.d.e.f.g.h.i.news.example.org policy.dmarc=reject"


def test_two_customers_of_one_public_suffix_are_not_one_organisation() -> None:
    given = GivenZone(
        [
            ("_dmarc.host.example", "TXT", "v=DMARC1; p=reject; psd=y"),
            ("_dmarc.one.host.example", "TXT", "v=DMARC1; p=reject"),
            ("s1._domainkey.two.host.example", "TXT", RECORD),
            ("s1._domainkey.mail.one.host.example", "TXT", RECORD),
        ]
    )
    raw = plain(head=HEAD.replace(b"example.org", b"one.host.example"))
    assert results(signed(raw, domain=b"two.host.example"), zone=given)["dmarc"] == "fail"
    assert results(signed(raw, domain=b"mail.one.host.example"), zone=given)["dmarc"] == "pass"


class _Silent:
    def records(self, name: str, kind: str) -> list[str]:
        raise NotAnswered(f"DNS does not answer about {name}")

    def text(self, name: str) -> list[str]:
        return self.records(name, "TXT")


def test_where_dns_is_silent_nobody_is_blamed() -> None:
    found = results(signed(plain()), zone=_Silent(), sender=sender())
    assert found == {"dkim": "temperror", "spf": "temperror", "dmarc": "temperror"}


def test_a_zone_file_is_read(tmp_path: Path) -> None:
    halves = RECORD[:200], RECORD[200:]
    file = tmp_path / "zone"
    file.write_text(
        '$ORIGIN example.org.\n$TTL 60\n@ IN SOA ns hostmaster 1 2 3 4 5\n@ IN TXT "v=spf1 mx -all"\n@ MX 10 mail\n'
        f'mail A 192.0.2.1\ns1._domainkey TXT ( "{halves[0]}"\n "{halves[1]}" )\n_dmarc TXT "v=DMARC1; p=reject"\n'
        'alias CNAME mail\nother.example. TXT "x"\n'
    )
    given = GivenZone.read(file)
    assert given.text("S1._domainkey.Example.org.") == [RECORD]
    assert given.records("alias.example.org", "A") == ["192.0.2.1"]
    assert given.text("other.example") == ["x"]
    assert results(signed(plain()), zone=given, sender=sender()) == {"dkim": "pass", "spf": "pass", "dmarc": "pass"}


@pytest.mark.parametrize("text", ["example.org. MX\n", "$INCLUDE /etc/passwd\n", "( ", "example.org. 60 IN A 1.2.3\n"])
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(BadZone, match="no zone file"):
        GivenZone.parse(text)


def test_an_alias_that_leads_to_itself_ends() -> None:
    assert GivenZone([("a", "CNAME", "b."), ("b", "CNAME", "a.")]).records("a", "A") == []


_TERMS = "-all a mx ptr include: redirect= exists:%{i} %{ ip4: ip6:::/0 é a:x..y //64"
_RECORDS = st.lists(st.sampled_from(_TERMS.split()) | st.text(max_size=8)).map(
    lambda words: " ".join(["v=spf1", *words])
)
_TAGS = st.dictionaries(
    st.sampled_from(["v", "a", "b", "bh", "d", "h", "s", "c", "i", "l", "q", "t", "x"]),
    st.text(max_size=12)
    | st.sampled_from(["1", "rsa-sha256", "ed25519-sha256", "example.org", "s1", "simple", "AAAA"]),
)
_USUAL = {"v": "1", "a": "rsa-sha256", "d": "example.org", "s": "s1", "h": "from", "b": "AAAA", "bh": "AAAA"}
VERDICTS = {"pass", "fail", "none", "neutral", "softfail", "permerror", "temperror", "policy"}


@given(_RECORDS, st.text(max_size=20) | st.just("ann@example.org"), st.text(max_size=20) | st.just("example.org"))
def test_any_policy_and_any_sender_are_judged(record: str, mail_from: str, helo: str) -> None:
    given = GivenZone(
        [("example.org", "TXT", record), ("example.org", "MX", "x"), ("_dmarc.example.org", "TXT", record)]
    )
    found = report(plain(), zone=given, sender=Sender(GOOD_IP, mail_from, helo))
    assert {one.result for one in found.results} <= VERDICTS
    assert all(finding.message.isprintable() for finding in found.findings)


@given(_TAGS, st.text(max_size=40) | st.sampled_from([RECORD, "p=AAAA", "p=", "k=ed25519; p=AAAA"]))
def test_any_signature_and_any_key_are_judged(tags: dict[str, str], key: str) -> None:
    written = "; ".join(f"{name}={value}" for name, value in {**_USUAL, **tags}.items()).replace("\n", " ")
    given = GivenZone([("s1._domainkey.example.org", "TXT", key)])
    found = report(f"DKIM-Signature: {written}\r\n".encode("utf-8", "replace") + plain(), zone=given)
    assert {one.result for one in found.results} <= VERDICTS
