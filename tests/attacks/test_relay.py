"""Nobody relays through us, however the recipient is spelt; from which address one comes earns no trust."""

from __future__ import annotations

import pytest
from attacked import SMTP_DOORS, Target, plain
from program import Person

ELSEWHERE = [
    "<user@elsewhere.example>",
    "<user@sub.example.org>",  # a subdomain of ours is not ours
    "<user@example.org.elsewhere.example>",
    "<user@xample.org>",
    "<user%elsewhere.example@example.org>",  # the percent hack
    "<user%elsewhere.example>",
    "<elsewhere.example!user@example.org>",  # a bang path
    "<elsewhere.example!user>",
    "<example.org!elsewhere.example!user@example.org>",
    '<"user@elsewhere.example"@example.org>',
    '<"user%elsewhere.example"@example.org>',
    '<"elsewhere.example!user"@example.org>',
    '<"user@elsewhere.example">',
    "<user@example.org@elsewhere.example>",
    "<user@elsewhere.example@example.org>",
    "<@example.org:user@elsewhere.example>",  # source routes
    "<@example.org,@elsewhere.example:user@third.example>",
    "<@elsewhere.example:user%third.example@example.org>",
    "<user@[127.0.0.1]>",
    "<user@[IPv6:::1]>",
    "<user@elsewhere.example:25>",
    "<user@127.0.0.1>",
    "<user@localhost>",
    "<user+victim@elsewhere.example>",
    "<smtp:user@elsewhere.example>",
    "user@elsewhere.example",
    "<<user@elsewhere.example>>",
    "<user@elsewhere.example> <{0}>",
    "<user@elsewhere.example>,<{0}>",
    "<{0},user@elsewhere.example>",
    "<{0};user@elsewhere.example>",
    "<{0} user@elsewhere.example>",
    "<{0}>user@elsewhere.example",
    "<{0}\t@elsewhere.example>",
    "<{0}\\@elsewhere.example>",
    "<{0}%00@elsewhere.example>",
    "<{0}(@elsewhere.example)>",
    "<|/bin/sh@example.org>",
    '<"|/bin/sh"@example.org>',
    "</etc/passwd@example.org>",
    "<:include:/etc/passwd@example.org>",
    "<../../../etc/passwd@example.org>",
    "<$(id)@example.org>",
    "<`id`@example.org>",
    "<' OR 1=1 --@example.org>",
    "<'/**/OR/**/1=1--@example.org>",
    "<*@example.org>",
    "<%@example.org>",
    "<_@example.org>",
]


@pytest.mark.parametrize("sender", ["ceo@example.org", "sue@elsewhere.example", "", "postmaster@example.org"])
@pytest.mark.parametrize("door", SMTP_DOORS)
def test_no_spelling_of_a_recipient_is_an_open_relay(sender: str, door: str, target: Target, bystander: Person) -> None:
    with target.smtp(door) as client:
        if (told := client.say(f"MAIL FROM:<{sender}>".encode()))[0] != 250:
            assert door == "submission", told
            assert told[0] in {530, 550}, "without a login there is no submission at all"
            return
        for spelling in ELSEWHERE:
            code, text = client.say(b"RCPT TO:" + spelling.format(bystander.login).encode())
            if code == 421:  # too many errors: anew
                break
            assert code in {501, 550, 553, 551}, (spelling, code, text)


@pytest.mark.parametrize("spelling", ELSEWHERE)
def test_each_spelling_is_refused_by_itself(spelling: str, target: Target, bystander: Person) -> None:
    with target.smtp() as client:
        client.say(b"MAIL FROM:<sue@elsewhere.example>", expect=250)
        code, text = client.say(b"RCPT TO:" + spelling.format(bystander.login).encode())
        assert code in {501, 550, 553, 551}, (code, text)
        assert text[0] == "5"
        assert client.say(b"DATA")[0] in {503, 554}


@pytest.mark.parametrize(
    "spelling",
    [
        "<@elsewhere.example:{0}>",
        "<@a.example,@b.example:{0}>",
        "<{upper}>",
        '<"{local}"@example.org>',
        "<{local}@EXAMPLE.ORG>",
    ],
)
def test_a_route_to_one_of_ours_is_ignored_and_no_other_spelling_is_another_person(
    spelling: str, target: Target, victim: Person
) -> None:
    """RFC 5321 4.1.1.3: a source route may be ignored; what is left is the recipient."""
    local = victim.login.partition("@")[0]
    path = spelling.format(victim.login, upper=victim.login.upper(), local=local)
    with target.smtp() as client:
        client.say(b"MAIL FROM:<sue@elsewhere.example>", expect=250)
        client.say(f"RCPT TO:{path}".encode(), expect=250)
        client.say(b"DATA", expect=354)
        client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert client.reply()[0] == 250
    assert len(target.inbox(victim)) == 1


def test_a_login_relays_to_another_server_and_to_nobody_by_a_trick(target: Target, bystander: Person) -> None:
    """Only whoever logged in, only in this session, only by the address that it is."""
    with target.smtp("submission") as client:
        client.say(plain(bystander), expect=235)
        client.say(f"MAIL FROM:<{bystander.login}>".encode(), expect=250)
        client.say(b"RCPT TO:<user@elsewhere.example>", expect=250)
        for trick in ("<user%elsewhere.example@example.org>", "<elsewhere.example!user@example.org>",
                      '<"user@elsewhere.example"@example.org>'):  # fmt: skip
            assert client.say(b"RCPT TO:" + trick.encode())[0] == 550, trick
    # What was looked up for one who may is not remembered for one who may not.
    for spelling in ("<user@elsewhere.example>", "<User@elsewhere.example>", "<user@ELSEWHERE.example>"):
        with target.smtp() as client:
            client.say(b"MAIL FROM:<sue@elsewhere.example>", expect=250)
            assert client.say(b"RCPT TO:" + spelling.encode())[0] == 550, spelling
