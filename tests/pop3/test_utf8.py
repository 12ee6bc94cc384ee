"""UTF8 and LANG (RFC 6856): what a client gets that has said them, and one that has not."""

from __future__ import annotations

import asyncio
import email
import email.policy
import poplib
import re
from pathlib import Path

import pytest
from outside import Certificates
from pop3_door import INLINE_LIMIT, PASSWORD, Door, Opening

from mailsystem.mail.surrogate import LARGEST_HEADER
from mailsystem.pop3.languages import _COLUMNS, _TEXTS, NAMES, Phrase, matching, translated

GLOBAL = (
    "From: Jörg <jörg@example.org>\r\nTo: ann@example.org\r\nSubject: Grüße aus Köln\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n\r\nschöne Grüße\r\n"
).encode()
LARGE = GLOBAL + "größer und größer\r\n".encode() * 10_000
PLAIN = "Subject: plain\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngrün\r\n".encode()
LATIN = b"Subject: caf\xe9\r\n\r\n\xe9\r\n"


def subject(raw: bytes) -> str:
    return str(email.message_from_bytes(raw, policy=email.policy.default)["Subject"])


def head(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[0]


async def test_a_client_in_utf8_mode_gets_every_message_as_it_is_and_as_large_as_told(door: Door) -> None:
    raws = [GLOBAL, LARGE, PLAIN, LATIN]
    await door.post(*raws)
    client = await door.connect()
    await client.ok(b"UTF8")
    await client.log_in()
    for number, raw in enumerate(raws, 1):
        assert await client.many(b"RETR %d" % number) == raw
        assert await client.say(b"LIST %d" % number) == b"+OK %d %d" % (number, len(raw))


async def test_another_gets_a_surrogate_that_says_the_same_in_ascii(door: Door) -> None:
    await door.post(GLOBAL, LARGE, PLAIN, LATIN)
    client = await door.client()
    for number, raw in ((1, GLOBAL), (2, LARGE)):
        got = await client.many(b"RETR %d" % number)
        assert head(got).isascii()
        assert subject(got) == "Grüße aus Köln"
        assert b"<invalid@internationalized-address.invalid>" in head(got)
        assert got.partition(b"\r\n\r\n")[2] == raw.partition(b"\r\n\r\n")[2]
        assert await client.many(b"TOP %d 0" % number) == head(got) + b"\r\n\r\n"
    assert await client.many(b"RETR 3") == PLAIN, "8-bit bodies are no matter of UTF8"
    assert await client.many(b"RETR 4") == LATIN, "and what is no UTF-8 is no internationalised header"


async def test_an_international_name_of_an_attachment_in_a_large_message_is_seen(door: Door) -> None:
    raw = (
        'Subject: x\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
        + "x\r\n" * INLINE_LIMIT
        + "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=größe.txt\r\n\r\ny\r\n--b--\r\n"
    ).encode()
    await door.post(raw)
    client = await door.client()
    got = await client.many(b"RETR 1")
    assert got.isascii()
    *_, part = email.message_from_bytes(got, policy=email.policy.default).iter_parts()
    assert part.get_filename() == "größe.txt"


async def test_a_header_too_large_for_a_surrogate_is_refused_until_the_client_says_utf8(door: Door) -> None:
    raw = "".join(f"X-{number}: größe\r\n" for number in range(LARGEST_HEADER // 10)).encode() + b"\r\nbody\r\n"
    await door.post(raw)
    client = await door.client()
    for command in (b"RETR 1", b"TOP 1 0"):
        assert await client.say(command) == b"-ERR [UTF8] this message needs UTF8 mode"
    await client.ok(b"QUIT")
    client = await door.connect()
    await client.ok(b"UTF8")
    await client.log_in()
    assert await client.many(b"RETR 1") == raw


async def test_utf8_belongs_before_the_login_and_behind_stls(open_door: Opening, certificates: Certificates) -> None:
    door = await open_door(tls=certificates.server())
    await door.play(
        f"""
        C: UTF8 yes
        S: -ERR too many arguments
        C: UTF8
        S: +OK UTF-8 from here on
        C: UTF8
        S: +OK UTF-8 from here on
        C: STLS
        S: -ERR STLS must come before UTF8
        C: USER ann
        S: +OK*
        C: PASS {PASSWORD}
        S: +OK*
        C: UTF8
        S: -ERR UTF8 is not possible now
        """
    )


async def test_poplib_says_utf8_and_reads_it(door: Door, tmp_path: Path) -> None:
    await door.post(GLOBAL, login="jörg@example.org")

    def talk() -> None:
        client = poplib.POP3(door.bound.host, door.bound.port, timeout=10)
        assert client.capa()["UTF8"] == ["USER"]
        client.utf8()
        client.user("jörg@example.org")
        client.pass_(PASSWORD)
        assert b"\r\n".join(client.retr(1)[1]) + b"\r\n" == GLOBAL
        client.quit()

    await asyncio.to_thread(talk)


async def test_languages_are_listed_chosen_and_refused_as_in_the_rfc(door: Door) -> None:
    """RFC 6856 3.3."""
    await door.play(
        f"""
        C: USER ann
        S: +OK*
        C: PASS {PASSWORD}
        S: +OK 0 messages (0 octets)
        C: LANG MUL
        S: -ERR no language MUL here
        C: LANG
        S: +OK languages follow
        S: en English
        S: de Deutsch
        S: fr Français
        S: i-default Default language
        S: .
        C: LANG de
        S: +OK de Sprache gewechselt
        C: LANG uga
        S: -ERR de die Sprache uga gibt es hier nicht
        C: STAT
        S: +OK 0 0
        C: RETR 1
        S: -ERR diese Nachricht gibt es nicht
        C: PASS x
        S: -ERR PASS ist jetzt nicht möglich
        C: LANG fr-CA
        S: +OK fr langue changée
        C: XYZZY
        S: -ERR commande inconnue
        C: LANG i-default
        S: +OK i-default language changed
        C: LANG *
        S: +OK en language changed
        C: LANG de fr
        S: -ERR too many arguments
        C: LANG de_DE
        S: -ERR en no language de_DE here
        C: QUIT
        S: +OK bye
        """
    )


async def test_a_language_may_be_chosen_before_the_login(door: Door) -> None:
    await door.play(
        """
        C: LANG DE
        S: +OK de Sprache gewechselt
        C: USER ann
        S: +OK und das Passwort?
        C: PASS wrong
        S: -ERR [AUTH] Anmeldung gescheitert
        C: QUIT
        S: +OK auf Wiedersehen
        """
    )


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        ("de", "de"),
        ("DE-at", "de"),
        ("de-CH-1996", "de"),
        ("*", "en"),
        ("i-default", "i-default"),
        ("d", None),
        ("i", None),
    ],
)
def test_a_range_gets_the_nearest_language(wanted: str, tag: str | None) -> None:
    assert matching(wanted) == tag


@pytest.mark.parametrize("text", _TEXTS)
def test_every_text_has_the_same_values_in_every_language(text: str) -> None:
    values = set(re.findall(r"\{\w+\}", text))
    assert set(_COLUMNS) == set(NAMES) - {"en", "i-default"}
    for language, column in _COLUMNS.items():
        said = _TEXTS[text][column]
        assert set(re.findall(r"\{\w+\}", said)) == values
        assert 0 < len(said.encode()) < 200
        sample = Phrase(text, **{name.strip("{}"): 1 for name in values}) if values else text
        assert translated(sample, language) == re.sub(r"\{\w+\}", "1", said)
        assert said != text or "octets" in text


def test_every_text_of_this_door_is_known_in_every_language() -> None:
    said: set[str] = set()
    for file in (Path(__file__).parents[2] / "mailsystem/pop3").glob("*.py"):
        source = file.read_text()
        said |= set(re.findall(r'(?:SyntaxFault|WrongState|AuthRequired|InUse|Phrase)\(\s*"([^"]+)"', source))
        said |= set(re.findall(r'(?:replies\.ok|listing|message)\(\s*"([^"]+)"', source))
        if file.name == "verbs.py":
            said |= set(re.findall(r'^    return "([^"]+)"$', source, re.MULTILINE))
    assert len(said) > 20
    assert said - set(_TEXTS) == set()
