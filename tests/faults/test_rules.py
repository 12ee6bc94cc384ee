"""Rules by themselves: what they say, what they match, how often they strike."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from mailsystem.faults import STAGES, Rule, Scene, from_json, magic, of_line, to_json, to_line
from mailsystem.imap import dispatch
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import SyntaxFault
from mailsystem.pop3.verbs import TABLE as POP3
from mailsystem.smtp.server import MailSMTP

PEER = Peer("192.0.2.7", 4711)


def test_every_command_of_every_door_can_go_wrong() -> None:
    smtp = {verb.decode() for verb in MailSMTP.verbs} - {"HELO", "LHLO"}
    assert set(STAGES["smtp"]) == smtp | {"CONNECT", "BODY"}
    assert set(STAGES["pop3"]) == {*POP3, "CONNECT"}
    assert set(STAGES["imap"]) == {*dispatch.TABLE, "CONNECT"}


LINES = [
    'smtp RCPT to=*@shop.test reply="451 4.7.1 later" times=2',
    'smtp BODY from=<> reply="451 4.3.0 later" performed',
    r'smtp EHLO reply="550 one\ntwo"',
    "smtp CONNECT peer=2001:db8::/32 delay=0.5 after=3 probability=0.25 seed=7",
    "smtp BODY namespace=job-7 truncate=0",
    r'smtp MAIL reply="550 say \"please\" and C:\\dir"',
    "pop3 UIDL login=ann@example.org renamed times=1",
    "pop3 RETR throttle=1000 disconnect=after",
    'imap * reply="NO [UNAVAILABLE] later"',
]


@pytest.mark.parametrize("line", LINES)
def test_a_rule_is_the_same_on_a_line_and_in_json(line: str) -> None:
    rule = of_line(line)
    assert to_line(rule) == line
    assert from_json(json.loads(json.dumps(to_json(rule)))) == rule


WRONG = {
    "": "begins with a door",
    "smtp": "begins with a door",
    "to=x smtp RCPT": "begins with a door",
    "ftp GET reply=550": "no door ftp; the doors are smtp, pop3, imap",
    "smtp FETCH reply=550": "no stage FETCH; it has CONNECT, EHLO",
    "smtp RCPT": "nothing goes wrong",
    "smtp RCPT colour=red": "no colour; it has door, stage, from",
    "smtp RCPT reply=550 reply=551": "reply is said twice",
    'smtp RCPT reply="550': "quotation mark",
    "smtp RCPT reply=250x": "a code and its text",
    "smtp RCPT reply=999": "a code and its text",
    'smtp RCPT reply="550 ü"': "a code and its text",
    r'pop3 STAT reply="-ERR a\nb"': "one line",
    "imap NOOP reply=later": "OK, NO, BAD or BYE",
    "imap CONNECT reply=NO": "BYE",
    "smtp RCPT delay=soon": "delay should be a number",
    "smtp RCPT delay=nan": "delay should be seconds",
    "smtp RCPT delay=9999": "delay should be seconds",
    "smtp RCPT reply=550 times=0": "times should be at least 1",
    "smtp RCPT reply=550 times=1.5": "times should be a whole number",
    "smtp RCPT reply=550 after=-1": "after should be",
    "smtp RCPT reply=550 probability=0": "probability should be",
    "smtp RCPT reply=550 peer=nowhere": "an address or a network",
    "smtp RCPT disconnect=now": "before or after",
    "smtp RCPT truncate=-1": "a number of octets",
    "smtp STARTTLS throttle=1": "cannot be throttled",
    "smtp EHLO reply=550 to=x@y": "to is not known",
    "smtp MAIL reply=550 to=x@y": "to is not known",
    "imap NOOP reply=NO from=x@y": "from is not known",
    "smtp CONNECT reply=554 login=x": "login is not known",
    "smtp RCPT reply=550 performed": "performed is not for smtp RCPT",
    "pop3 RETR reply=no performed": "performed is not for pop3 RETR",
    "imap NOOP delay=1 performed": "performed goes with",
    "imap NOOP reply=NO performed=perhaps": "performed should be true or false",
    "imap NOOP renamed": "renamed is for",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_makes_no_sense_is_said(line: str) -> None:
    with pytest.raises(SyntaxFault, match=WRONG[line]):
        of_line(line)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "an object"),
        ({"door": "smtp"}, "needs a stage"),
        ({"door": 7, "stage": "RCPT"}, "door should be a string"),
        ({"door": "smtp", "stage": "RCPT", "times": "2"}, "times should be a whole number"),
        ({"door": "smtp", "stage": "RCPT", "times": True}, "times should be a whole number"),
        ({"door": "smtp", "stage": "RCPT", "performed": 1}, "performed should be true or false"),
        ({"door": "smtp", "stage": "RCPT", "id": 1}, "has no id"),
        ({"door": "smtp", "stage": "RCPT", "reply": "550 a\r\n250 b"}, "a code and its text"),
        ({"door": "smtp", "stage": "RCPT", "delay": float("inf")}, "delay should be"),
    ],
)
def test_json_that_makes_no_sense_is_said(value: object, said: str) -> None:
    with pytest.raises(SyntaxFault, match=said):
        from_json(value)


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=2),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    some.dictionaries(some.sampled_from(["colour", "door", "stage", "reply", "times", "delay", "peer"]), json_values)
)
def test_anything_is_a_rule_or_a_fault_of_syntax(value: dict[str, Any]) -> None:
    with contextlib.suppress(SyntaxFault):
        from_json(value)


def scene(**known: Any) -> Scene:
    return Scene(**{"door": "smtp", "stage": "RCPT", "peer": PEER, **known})


def test_whom_it_is_about() -> None:
    ann, null = Address("Ann", "example.org"), Address.NULL

    def about(who: str, **known: Any) -> bool:
        return of_line(f"smtp RCPT reply=550 {who}").matches(scene(**known))

    assert about("to=ann@example.org", recipients=[null, ann])
    assert about("to=*@EXAMPLE.org", recipients=[ann])
    assert not about("to=ann@example.org", recipients=[])
    assert not about("to=ann", recipients=[ann])
    # As people write them: a literal has brackets, and international names are kept as DNS has them.
    assert about("to=*@[192.0.2.7]", recipients=[Address("ann", "[192.0.2.7]")])
    assert not about("to=[ab]nn@example.org", recipients=[ann])
    assert about("to=*@Bücher.example.org", recipients=[Address("ann", "xn--bcher-kva.example.org")])
    assert about("to=*@*.bücher.example", recipients=[Address("ann", "shop.xn--bcher-kva.example")])
    assert not about("to=*@bü*.example", recipients=[Address("ann", "xn--bcher-kva.example")])
    assert about("from=<>", sender=null)
    assert not about("from=*@*", sender=null)
    assert not about("from=*", sender=None)
    assert about("peer=192.0.2.0/24")
    assert not about("peer=192.0.3.0/24")
    assert about("peer=192.0.2.7", peer=Peer("::ffff:192.0.2.7", 1))
    assert not about("peer=192.0.2.7", peer=Peer("unix", 0))
    assert about("login=ann@*", login="ann@example.org")
    assert not about("login=*@*", login="")
    assert about("namespace=a", namespace="a")
    assert not about("namespace=a", namespace="ab")
    assert about("", namespace="a")


def struck(rule: Rule, matches: int) -> list[int]:
    hits: list[int] = []
    for seen in range(1, matches + 1):
        if rule.strikes(seen, len(hits)):
            hits.append(seen)
    return hits


def test_how_often_it_strikes() -> None:
    assert struck(of_line("smtp RCPT reply=550"), 4) == [1, 2, 3, 4]
    assert struck(of_line("smtp RCPT reply=550 times=2"), 4) == [1, 2]
    assert struck(of_line("smtp RCPT reply=550 after=1 times=2"), 4) == [2, 3]


def test_chance_is_the_same_every_time() -> None:
    half = struck(of_line("smtp RCPT reply=550 probability=0.5 seed=1"), 1000)
    assert half == struck(of_line("smtp RCPT reply=550 probability=0.5 seed=1"), 1000)
    assert half != struck(of_line("smtp RCPT reply=550 probability=0.5 seed=2"), 1000)
    assert 400 < len(half) < 600
    assert len(struck(of_line("smtp RCPT reply=550 probability=0.5 seed=1 times=3"), 1000)) == 3


MAGIC = {
    "451+": 'smtp RCPT to={} reply="451 4.7.1 as the address asks"',
    "451-twice+x": 'smtp RCPT to={} reply="451 4.7.1 as the address asks" times=2',
    "550-ONCE+x": 'smtp RCPT to={} reply="550 5.1.1 as the address asks" times=1',
    "499-12+x": 'smtp RCPT to={} reply="499 4.0.0 as the address asks" times=12',
    "delay-5+x": "smtp RCPT to={} delay=5",
    "delay-5-2+x": "smtp RCPT to={} delay=5 times=2",
    "disconnect+x": "smtp RCPT to={} disconnect=before",
    "data-554+x": 'smtp DATA to={} reply="554 5.7.1 as the address asks"',
    "DATA-delay-1+x": "smtp DATA to={} delay=1",
    "data-disconnect-once+x": "smtp DATA to={} disconnect=before times=1",
    "body-554+x": 'smtp BODY to={} reply="554 5.7.1 as the address asks"',
    "Body-delay-1+x": "smtp BODY to={} delay=1",
    "body-disconnect-once+x": "smtp BODY to={} disconnect=before times=1",
    "stored-452+x": 'smtp BODY to={} reply="452 4.2.2 as the address asks" performed',
    "stored-disconnect+x": "smtp BODY to={} disconnect=before performed",
}


@pytest.mark.parametrize("local", MAGIC)
def test_what_an_address_asks_for(local: str) -> None:
    address = Address(local, "example.org")
    rule = magic.of_address(address)
    assert rule
    assert to_line(rule) == MAGIC[local].format(address.key)


@pytest.mark.parametrize(
    "local",
    ["ann", "451", "451-twice", "351+x", "4511+x", "ann+451+x", "451-thrice+x", "451-0+x", "delay+x", "delay-0+x",
     "delay-9999+x", "stored-delay-5+x", "x-451+x", "451-+x", "451-12345+x"],
)  # fmt: skip
def test_other_addresses_ask_for_nothing(local: str) -> None:
    assert magic.of_address(Address(local, "example.org")) is None
