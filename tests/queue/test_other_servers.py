"""Other servers as they are: down, slow, silent, forgetful, old; and the real processes. Nothing is lost on the way to them."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from email import message_from_bytes, policy

import messages
import pytest
from outside import Certificates
from program import Person, Program
from remote import DROP, END, GREETING, HANG, LOSE, OFFERED, Remote, Verdict
from sending import DOMAIN, Sending, bugs, sending, until

_domains = itertools.count(1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Sending]:
    with sending(tmp_path_factory.mktemp("sending"), certificates) as running:
        yield running


@pytest.fixture(scope="module")
def worker(house: Sending) -> Iterator[Program]:
    with house.worker() as running:
        yield running
        assert not bugs(running), bugs(running)


@pytest.fixture(scope="module")
def ann(house: Sending) -> Person:
    return house.person()


@pytest.fixture
def domain(worker: Program) -> str:
    """One that no other test uses."""
    return f"away{next(_domains)}.example"


def at(where: str, *replies: str) -> Verdict:
    """These instead of the usual replies to a command, one after the other; then as usual."""
    left = iter(replies)
    return lambda line: next(left, None) if line.split(" ")[0] == where else None


def body(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2]


def test_a_message_arrives_whole_and_once(house: Sending, ann: Person, domain: str) -> None:
    raw = messages.simple("dots", b".\r\n..\r\n.hidden\r\nlast line is long " + b"x" * 900 + b"\r\n")
    with house.remote(domain) as remote:
        house.send(ann, [f"bob@{domain}", f"eve@{domain}"], raw)
        until(lambda: remote.taken, house.queued)
        until(lambda: not house.queued_for(domain), house.queued)
        [taken] = remote.taken
    assert taken.sender.startswith(f"MAIL FROM:<{ann.login}>")
    assert set(taken.recipients) == {f"bob@{domain}", f"eve@{domain}"}
    assert body(taken.raw) == body(raw)
    assert taken.raw.endswith(raw), "our trace fields go in front, and nothing else is changed"
    assert b"\n" not in taken.raw.replace(b"\r\n", b"")


def test_servers_that_say_later_for_a_while_get_it_later_and_once(house: Sending, ann: Person, domain: str) -> None:
    """Wherever in the conversation they say it, and whether they go on or hang up."""
    offers = [word for word in OFFERED if word != "CHUNKING"]
    remotes: dict[str, Remote] = {}
    with contextlib.ExitStack() as stack:
        for where in (GREETING, "EHLO", "MAIL", "RCPT", "DATA", END):
            for reply in ("451 4.3.0 try again later", "421 4.3.2 closing down"):
                name = f"at{len(remotes)}.{domain}"
                remotes[name] = stack.enter_context(house.remote(name, offers=offers))
                remotes[name].verdict = at(where, reply, reply)
        house.send(ann, [f"bob@{name}" for name in remotes], messages.simple("later"))
        until(lambda: not house.queued_for(domain), house.queued)
        for name, remote in remotes.items():
            assert [one.recipients for one in remote.taken] == [(f"bob@{name}",)]
            assert remote.misbehaved == 2, f"{name} refused as often as was planned"


def test_of_several_recipients_only_who_was_put_off_is_tried_again(house: Sending, ann: Person, domain: str) -> None:
    refusals = iter(["450 4.2.1 mailbox busy"])
    with house.remote(domain) as remote:
        remote.verdict = lambda line: next(refusals, None) if line.startswith("RCPT TO:<busy@") else None
        house.send(ann, [f"{name}@{domain}" for name in ("ready", "busy")], messages.simple("two"))
        until(lambda: not house.queued_for(domain), house.queued)
        assert [one.recipients for one in remote.taken] == [(f"ready@{domain}",), (f"busy@{domain}",)]


def test_a_host_that_is_down_gets_its_mail_once_it_is_up(house: Sending, ann: Person, domain: str) -> None:
    down = house.remote(domain)
    down.close()
    house.send(ann, [f"bob@{domain}"], messages.simple("patience"))
    until(lambda: [state for _, state, status, _ in house.queued_for(domain) if status.startswith("4.")], house.queued)
    [(_, state, _, why)] = house.queued_for(domain)
    assert state == "waiting"
    assert why
    with house.remote(domain) as remote:
        until(lambda: not house.queued_for(domain), house.queued)
        assert len(remote.taken) == 1


def test_where_the_preferred_host_is_down_the_next_takes_it(house: Sending, ann: Person, domain: str) -> None:
    with house.remote(domain) as remote:
        house.names.mx(domain, house.address(), remote.place.host)
        house.send(ann, [f"bob@{domain}"], messages.simple("the next one"))
        until(lambda: not house.queued_for(domain), house.queued)
        assert len(remote.taken) == 1


def test_hosts_that_hang_hold_up_nobody_else_and_get_their_mail_later(house: Sending, ann: Person, domain: str) -> None:
    """Wherever in the conversation they fall silent."""
    each = 8
    hanging: dict[str, Remote] = {}
    with contextlib.ExitStack() as stack:
        for number, where in enumerate((GREETING, "EHLO", "MAIL", END)):
            name = f"hangs{number}.{domain}"
            hanging[name] = stack.enter_context(house.remote(name))
            hanging[name].verdict = at(where, *([HANG] * 100))
        with house.submit(ann) as client:
            for number in range(each):
                raw = messages.simple(f"patience {number}")
                assert client.message(ann.login, [f"bob@{name}" for name in hanging], raw)[0] == 250
        until(lambda: all(one.misbehaved for one in hanging.values()), house.queued)
        passing = f"passing.{domain}"
        with house.remote(passing) as remote:
            for number in range(each):
                house.send(ann, [f"bob@{passing}"], messages.simple(f"passing {number}"))
            until(lambda: not house.queued_for(passing), house.queued)
            assert len(remote.taken) == each
        assert len(house.queued()) == each * len(hanging)
        assert not any(one.taken for one in hanging.values())
        for one in hanging.values():
            one.verdict = lambda line: None
            one.release()
        until(lambda: not house.queued(), house.queued)
        for one in hanging.values():
            assert subjects(taken.raw for taken in one.taken) == [f"patience {number}" for number in range(each)]


@pytest.mark.parametrize("chunking", [True, False])
def test_a_connection_that_is_dropped_after_the_message_costs_a_try_and_no_mail(
    house: Sending, ann: Person, domain: str, chunking: bool
) -> None:
    offers = [word for word in OFFERED if chunking or word != "CHUNKING"]
    with house.remote(domain, offers=offers) as remote:
        remote.verdict = at(END, DROP, DROP)
        house.send(ann, [f"bob@{domain}"], messages.simple("dropped"))
        until(lambda: not house.queued_for(domain), house.queued)
        assert len(remote.taken) == 1


def test_where_only_the_reply_is_lost_the_mail_comes_again_since_nobody_can_know(
    house: Sending, ann: Person, domain: str
) -> None:
    """RFC 1047: the other side has it and could not say so. Twice is the price of never not at all."""
    with house.remote(domain) as remote:
        remote.verdict = at(END, LOSE)
        house.send(ann, [f"bob@{domain}"], messages.simple("twice"))
        until(lambda: not house.queued_for(domain), house.queued)
        first, second = remote.taken
    assert first.raw == second.raw, "the same octets, so that whoever has it twice can see that it is one"


def test_a_server_without_8bitmime_gets_what_is_ascii_and_never_what_is_not(
    house: Sending, ann: Person, domain: str
) -> None:
    offers = [word for word in OFFERED if word not in {"8BITMIME", "SMTPUTF8", "CHUNKING"}]
    eight = messages.simple("eight", "Grüße\r\n".encode())
    with house.remote(domain, offers=offers) as remote:
        house.send(ann, [f"bob@{domain}"], messages.simple("seven"))
        house.send(ann, [f"bob@{domain}"], eight, " BODY=8BITMIME")
        until(lambda: not house.queued_for(domain), house.queued)
        assert all(max(one.raw) < 0x80 for one in remote.taken)
        assert not any("BODY=" in one.sender for one in remote.taken)
        assert "seven" in subjects(one.raw for one in remote.taken)
    if len(remote.taken) == 1:  # it was given back, not rewritten for the other side
        [bounce] = [raw for raw in house.inbox(ann) if f"bob@{domain}".encode() in raw]
        assert status(bounce) == ["5.6.3"]


def test_tls_is_used_where_it_is_offered_whoever_signed_the_certificate(
    house: Sending, ann: Person, domain: str, certificates: Certificates
) -> None:
    with house.remote(domain, certificates=certificates) as remote:
        house.send(ann, [f"bob@{domain}"], messages.simple("secret"))
        until(lambda: not house.queued_for(domain), house.queued)
        assert len(remote.taken) == 1
        [used] = [one for one in remote.conversations if one.taken]
    assert used.tls in {"TLSv1.2", "TLSv1.3"}
    assert [line.split(" ")[0].upper() for line in used.said[:3]] == ["EHLO", "STARTTLS", "EHLO"]


def test_a_domain_that_had_tls_is_never_silently_sent_anything_in_clear(
    house: Sending, ann: Person, domain: str, certificates: Certificates
) -> None:
    with house.remote(domain, certificates=certificates) as remote:
        house.send(ann, [f"bob@{domain}"], messages.simple("before"))
        until(lambda: not house.queued_for(domain), house.queued)
        assert len(remote.taken) == 1
    with house.remote(domain) as stripped:
        house.send(ann, [f"bob@{domain}"], messages.simple("after"))
        until(lambda: [one for one in house.queued_for(domain) if one[2]], house.queued)
        assert not stripped.taken
        [(_, state, code, _)] = house.queued_for(domain)
        assert (state, code[:2]) == ("waiting", "4.")
    with house.remote(domain, certificates=certificates) as remote:
        until(lambda: not house.queued_for(domain), house.queued)
        assert len(remote.taken) == 1


def test_a_refusal_comes_back_as_one_report_that_any_program_can_read(house: Sending, ann: Person, domain: str) -> None:
    raw = messages.simple("refused")
    with house.remote(domain) as remote:
        remote.verdict = lambda line: "550 5.1.1 no <such> user" if line.startswith("RCPT TO:<nobody") else None
        house.send(ann, [f"{name}@{domain}" for name in ("nobody", "somebody", "nobody.else")], raw)
        until(lambda: not house.queued_for(domain), house.queued)
        assert [one.recipients for one in remote.taken] == [(f"somebody@{domain}",)]
    found = [one for one in house.inbox(ann) if domain.encode() in one]
    assert len(found) == 1, "one report of the message, not one for each recipient"
    check_report(found[0], raw, {f"nobody@{domain}": "5.1.1", f"nobody.else@{domain}": "5.1.1"}, said="no <such> user")


def test_what_it_says_in_return_is_bounded(house: Sending, ann: Person, domain: str) -> None:
    """A server that answers without end costs us neither memory nor the mail."""
    flood = "\r\n".join(["250-" + "x" * 400] * 50_000)
    with house.remote(domain) as remote:
        remote.verdict = at("EHLO", flood)
        house.send(ann, [f"bob@{domain}"], messages.simple("flood"))
        until(lambda: not house.queued_for(domain), house.queued)
        assert len(remote.taken) == 1


def test_a_domain_without_mail_or_without_hosts_is_told_at_once(house: Sending, ann: Person, domain: str) -> None:
    house.names.server.records[domain] = ["MX 0 ."]
    house.send(ann, [f"bob@{domain}", f"bob@none.{domain}"], messages.simple("nowhere"))
    until(lambda: not house.queued_for(domain) and not house.queued_for(f"none.{domain}"), house.queued)
    found = [one for one in house.inbox(ann) if domain.encode() in one]
    assert sorted(itertools.chain.from_iterable(map(status, found))) == ["5.1.10", "5.1.2"]


def subjects(raws: Iterator[bytes]) -> list[str]:
    return sorted(str(message_from_bytes(raw, policy=policy.default)["Subject"]) for raw in raws)


def status(report: bytes) -> list[str]:
    """The status codes of its recipients."""
    return [code.decode() for code in re.findall(rb"(?m)^Status: (\S+)\r$", report)]


def check_report(report: bytes, original: bytes, failed: dict[str, str], *, said: str) -> None:
    """As mail programs look at one: RFC 3462's parts in their order, RFC 3464's fields in their groups."""
    assert report.startswith(b"Return-Path: <>\r\n"), "from the null sender"
    parsed = message_from_bytes(report, policy=policy.default)
    assert not any(part.defects for part in parsed.walk())
    assert parsed.get_content_type() == "multipart/report"
    assert parsed["Content-Type"].params["report-type"] == "delivery-status"
    assert parsed["Auto-Submitted"].startswith("auto-")
    assert parsed["Message-ID"]
    assert parsed["Date"].datetime is not None
    assert parsed["From"].addresses
    words, told, returned = parsed.iter_parts()
    assert words.get_content_type() == "text/plain"
    assert all(address in words.get_content() for address in failed)
    assert told.get_content_type() == "message/delivery-status"
    first, *groups = [dict(group.items()) for group in told.get_payload()]
    assert first["Reporting-MTA"] == f"dns; mail.{DOMAIN}"
    assert first["Arrival-Date"]
    by_recipient = {group["Final-Recipient"].partition(";")[2].strip(): group for group in groups}
    assert by_recipient.keys() == failed.keys()
    for address, code in failed.items():
        group = by_recipient[address]
        assert group["Final-Recipient"].startswith("rfc822;")
        assert group["Action"] == "failed"
        assert group["Status"] == code
        assert group["Diagnostic-Code"].startswith("smtp; 550")
        assert said in group["Diagnostic-Code"]
        assert group["Remote-MTA"].startswith("dns; ")
    assert returned.get_content_type() in {"message/rfc822", "text/rfc822-headers"}
    assert b"Subject: " + re.search(rb"Subject: (.*)\r\n", original)[1] in report  # type: ignore[index]
