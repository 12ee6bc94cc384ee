"""One-time codes in what people read: found by their shape, ranked by the words around them. Never raises.

A number is a code because of what stands beside it. So every candidate is looked at together with the nearest word that names
a thing: `code`, `PIN`, `Passwort`, `验证码` speak for it, `order`, `invoice`, `postcode` against it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MOST_READ: Final = 64 << 10
"""Characters of one passage that are looked through."""
MOST_READ_OF_ALL: Final = 4 * MOST_READ
"""Characters of all passages together: a message has one for each of its HTML parts, however many its sender makes."""
MOST_CANDIDATES: Final = 2_000
"""Of one passage."""
MOST_CODES: Final = 20
LEAST: Final = 25
"""The score below which something is no code."""
NEAR: Final = 120
"""Characters in which a word speaks for or against what stands behind it; in front of it a third."""


@dataclass(frozen=True, slots=True)
class Code:
    """Something that may be a one-time code."""

    value: str
    """As somebody types it: groups of digits are joined, letters keep their hyphens."""
    score: int
    """From 25 to 100: how likely it is one."""
    context: str
    """The line in which it stands, at most 120 characters of it."""


class Passage(NamedTuple):
    """A text, and where in it people's eyes go first."""

    text: str
    strong: Sequence[tuple[int, int]]


# The digits of other scripts that people have on their keyboards.
_DIGITS: Final = {
    base + digit: str(digit) for base in (0xFF10, 0x0660, 0x06F0, 0x0966, 0x09E6) for digit in range(10)
} | dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2212, 0xFF0D], "-")
_SPEAKS_FOR: Final = r"""
    codes? passcodes? pin pins otp totp tan tans passwords? passphrase one[-\s]time verification verify verifying 2fa mfa
    two[-\s]factor token authenticat(?:e|ion) login[-\s]code
    \w{0,30}codes? einmal(?:code|pass?wort|kennwort|pin)?
    pass?wort kennwort kennwörter zugangsdaten bestätigung bestätigungs\w{0,20}
    sicherheits(?:code|nummer) prüfziffer freischalt\w{0,20}
    vérification confirmation mot\sde\spasse code\sd\W(?:accès|authentification)
    código códigos codigo clave contraseña verificación verificacion
    senha verificação
    codice codici parola\sd\W?ordine verifica
    verificatie(?:code)? wachtwoord beveiligingscode
    kod kodem kodu kodzie hasło hasłem weryfikacji weryfikacyjny
    kód kódu heslo hesla ověřovací ověření overovací jelszó kódot kódod ellenőrző
    kode koden engångskod\w{0,5} verifieringskod lösenord engangskode engangskoden adgangskode passord bekreftelseskode
    koodi koodin koodisi vahvistuskoodi\w{0,5} tunnusluku salasana kertakäyttö\w{0,20}
    şifre şifreniz kodu kodunuz doğrulama parola
    код кода кодом коду пароль подтверждения пароля
    κωδικός κωδικό κωδικού cod codul parolă parola
    mã kata\ssandi kode\sotp
"""
_SPEAKS_FOR_ANYWHERE: Final = r"""
    验证码 驗證碼 校验码 校驗碼 动态码 动态密码 確認コード 認証コード 認証番号 コード 暗証番号 パスワード ワンタイム
    인증번호 인증 코드 비밀번호 확인
    رمز كود الرمز קוד סיסמה कोड ओटीपी รหัส کد کُد
"""
_SPEAKS_AGAINST: Final = r"""
    orders? bestell\w{0,20} auftrag\w{0,20} commande pedido ordine invoice rechnung\w{0,20} facture factura fattura
    receipt beleg\w{0,10}
    tickets? case bug issue ref reference referenz aktenzeichen vorgang\w{0,10} customer kunden?\w{0,20} client
    account\sn\w{0,6} konto\w{0,15}
    phone telephone tel telefon\w{0,10} fax call mobil\w{0,6} handy hotline whatsapp téléphone teléfono
    zip(?:[-\s]?code)? postcode postal(?:\scode)? plz postleitzahl cap iban bic vat ust\w{0,6} hrb siren tax
    track\w{0,6} shipment sendung\w{0,15} parcel
    (?:promo|coupon|discount|voucher|gift|rabatt|gutschein|aktions|country|area|error|status|source|dress|qr|bar|sort)[-\s]?codes?
    coupon voucher gutschein sale
    total amount sum price betrag preis summe prix importe copyright since seit founded version build room suite box p\.?o\.?
    street straße strasse avenue road ave str floor copies members users people percent items pages?
    article artikel\w{0,10} sku isbn
    flight flug\w{0,10} booking buchung\w{0,15} reservation
    january february march april may june july august september october november december
    januar februar märz mai juni juli oktober dezember
"""
_ENDS_OF_WORDS: Final = r"(?![^\W\d_])"
_LABEL = re.compile(
    rf"(?P<against>(?<!\w)(?:{'|'.join(_SPEAKS_AGAINST.split())}){_ENDS_OF_WORDS})"
    rf"|(?P<for>(?<!\w)(?:{'|'.join(_SPEAKS_FOR.split())}){_ENDS_OF_WORDS}|{'|'.join(_SPEAKS_FOR_ANYWHERE.split())})",
    re.IGNORECASE,
)
_CANDIDATE = re.compile(
    r"""
      (?<![\w-])
      (?: (?P<groups> [0-9]{2,4} (?:[ -][0-9]{2,4}){1,3} (?![ -]?[0-9]) )
        | (?P<spaced> [0-9] (?:[ ][0-9]){3,9} (?![ ]?[0-9]) )
        | (?P<prefixed> [A-Z]{1,3} - [0-9]{4,8} )
        | (?P<hyphened> [A-Z0-9]{3,8} (?:-[A-Z0-9]{3,8}){1,4} )
        | (?P<digits> [0-9]{4,10} )
        | (?P<mixed> [A-Za-z0-9]{4,12} )
      )
      (?![\w-])
    """,
    re.VERBOSE,
)
_SHAPE: Final = {"groups": 36, "spaced": 40, "prefixed": 44, "hyphened": 14, "mixed": 10}
_BY_LENGTH: Final = {4: 22, 5: 22, 6: 42, 7: 22, 8: 30, 9: 12, 10: 6}
_MONEY_BEFORE = re.compile(r"(?:[$€£¥₹₩₽]|\b(?:EUR|USD|CHF|GBP|JPY|Rs\.?))\s?$", re.IGNORECASE)
_MONEY_AFTER = re.compile(r"\s?(?:[$€£¥₹₩₽%°]|(?:EUR|USD|CHF|GBP|JPY|Euro|dollars?|kr|zł)\b)", re.IGNORECASE)
_UNIT_AFTER = re.compile(
    r"\s?(?:px|pt|[kKMG]i?B|bytes?|k?m|kg|g|ml|cm|mm|h|hrs?|hours?|min|minutes?|Minuten|sec|seconds?|Sekunden|days?|Tagen?|years?|Jahren?)\b"
)
_PLACE_AFTER = re.compile(r",?[ ]\(?(?:[A-ZÄÖÜ][a-zäöüß]{2,}|[A-Z]{2}\b)")
_STATE_BEFORE = re.compile(r"(?:\b[A-Z]{2}[ ]|\b(?:D|A|CH|F)-)$")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}[ -][01]?[0-9][ -][0-3]?[0-9]|[0-3]?[0-9][ -][01]?[0-9][ -](?:19|20)[0-9]{2}")
_NAMED = re.compile(r"(?:GMT|UTC|RFC|ISO|UTF|CVE|IEC|DIN|EN|MS|INV|ORD|PO|NO|NR|REF|ID|TK|KB|PR)-", re.IGNORECASE)
"""Beginnings of what is no code: time zones, standards, numbers of orders and tickets."""
_HEX = re.compile(r"(?:[0-9A-Fa-f]{3,4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})")
_ADDRESS = re.compile(r"[^\s<>()]*+")
_UPPER_AND_DIGITS = re.compile(r"(?=[A-Z]*+[0-9])(?=[0-9]*+[A-Z])[A-Z0-9]++")


def codes_in(passages: Sequence[Passage]) -> tuple[Code, ...]:
    """The codes in all of them, the likeliest first; each value once."""
    best: dict[str, Code] = {}
    places: dict[str, set[int]] = {}
    room = MOST_READ_OF_ALL
    for number, passage in enumerate(passages):
        if room <= 0:
            break
        room -= min(len(passage.text), MOST_READ)
        for code in _candidates(passage):
            known = best.get(code.value)
            if known is None or code.score > known.score:
                best[code.value] = code
            places.setdefault(code.value, set()).add(number)
    # What is said in the subject and the text, or in text and HTML, is said on purpose.
    ranked = [
        Code(code.value, min(100, code.score + 4 * (len(places[code.value]) - 1)), code.context)
        for code in best.values()
    ]
    ranked = [code for code in ranked if code.score >= LEAST]
    ranked.sort(key=lambda code: -code.score)
    return tuple(ranked[:MOST_CODES])


def _candidates(passage: Passage) -> Iterator[Code]:
    text = _without_addresses(passage.text[:MOST_READ].translate(_DIGITS))
    labels = [(match.start(), match.end(), match.lastgroup == "for") for match in _LABEL.finditer(text)]
    # A label never stands for itself: `code` is no code.
    taken = {start for start, _, _ in labels}
    starts = [start for start, _, _ in labels]
    strong = [start for start, _ in passage.strong]
    for count, match in enumerate(_CANDIDATE.finditer(text)):
        if count == MOST_CANDIDATES:
            return
        if match.start() in taken:
            continue
        score = _by_shape(text, match)
        if score <= 0:
            continue
        score += _by_labels(labels, starts, match, text)
        at = bisect_left(strong, match.end()) - 1
        if at >= 0 and passage.strong[at][0] <= match.start() and match.end() <= passage.strong[at][1]:
            score += 12 if passage.strong[at][1] - passage.strong[at][0] < 40 else 4
        line_start = text.rfind("\n", max(0, match.start() - 500), match.start()) + 1 or max(0, match.start() - 500)
        line_end = text.find("\n", match.end(), match.end() + 500)
        line = text[line_start : line_end if line_end >= 0 else match.end() + 500]
        if not line.replace(match[0], "", 1).strip(" \t*_`'\":.>»«-|"):
            score += 16
        if score >= LEAST:
            yield Code(_value(match), min(score, 100), _around(line, match.start() - line_start))


def _by_shape(text: str, match: re.Match[str]) -> int:
    """What its look alone says; nothing where it is certainly something else."""
    kind, found, start, end = match.lastgroup or "", match[0], match.start(), match.end()
    before, after = text[max(0, start - 12) : start], text[end : end + 24]
    if before[-1:] in "/=&?@._+~:" and before and not (before[-1] in ".:" and not before[-2:-1].isdigit()):
        return 0
    if after[:1] in ("/", "=", "@", "&", "_") or re.match(r"[.,:][0-9]", after) or re.match(r"\.[a-z]{2}", after):
        return 0
    if re.search(r"[0-9][.,:/ ]$", before) or before.endswith(("+", "(0", "+(")):
        return 0
    if _MONEY_BEFORE.search(before) or _MONEY_AFTER.match(after):
        return 0
    digits = sum(character.isdigit() for character in found)
    if kind in ("groups", "digits") and (_DATE.fullmatch(found) or digits > 10 or _UNIT_AFTER.match(after)):
        return 0
    if kind == "digits":
        score = _BY_LENGTH[digits]
        if len(found) == 4 and _YEAR.fullmatch(found):
            score -= 18
        if before.endswith(("©", "© ")):
            return 0
        if digits == 5 and (_STATE_BEFORE.search(before) or _PLACE_AFTER.match(after)):
            score -= 26
    elif kind == "groups":
        lengths = {len(group) for group in re.split(r"[ -]", found)}
        # Groups of a code are alike; those of a phone number mostly are not.
        score = _SHAPE[kind] if len(lengths) == 1 and 4 <= digits <= 9 else _SHAPE[kind] - 26
        if found.startswith("0") and digits >= 7 and before.rstrip()[-1:] != ":":
            score -= 12
    elif kind == "mixed":
        if found.isdigit():
            score = 0
        elif found.isalpha():
            # Letters alone are a word, unless all are capitals.
            score = 4 if found.isupper() and 5 <= len(found) <= 10 else 0
        else:
            score = _SHAPE[kind] + (8 if _UPPER_AND_DIGITS.fullmatch(found) and len(found) >= 5 else 0)
    else:
        score = _SHAPE.get(kind, 0)
        if _NAMED.match(found):
            score -= 40
        if kind == "hyphened":
            score = score + 8 if digits else 4
    if before.endswith("#"):
        if _HEX.fullmatch(found) and not found.isdigit():
            return 0  # a colour
        score -= 24
    return score


def _by_labels(labels: list[tuple[int, int, bool]], starts: list[int], match: re.Match[str], text: str) -> int:
    """What the nearest word that names a thing says: most if it stands in front, in the same line."""
    at = bisect_left(starts, match.start())
    said: list[tuple[int, bool]] = []
    if at:
        _, end, speaks_for = labels[at - 1]
        distance = match.start() - end
        if 0 <= distance <= NEAR:
            # A full stop ends what was said, but `is your code.\n\n123456` goes on.
            if ". " in text[end : match.start()]:
                distance += 60
            said.append((distance, speaks_for))
    if at < len(labels):
        start, _, speaks_for = labels[at]
        distance = start - match.end()
        if 0 <= distance <= NEAR // 3:
            between = text[match.end() : start]
            if "\n" not in between and ". " not in between:
                said.append((distance + 12, speaks_for))
    if not said:
        return 0
    distance, speaks_for = min(said)
    if speaks_for:
        return max(8, 50 - distance // 3)
    return -min(40, max(12, 50 - distance // 2))


def _value(match: re.Match[str]) -> str:
    found = match[0]
    if match.lastgroup in ("groups", "spaced"):
        return found.replace(" ", "").replace("-", "")
    return found


def _around(line: str, at: int) -> str:
    start = max(0, min(at - 60, len(line) - 120))
    return " ".join(line[start : start + 120].split())


def _without_addresses(text: str) -> str:
    """Web and mail addresses blanked: numbers in them are no codes. Every other character keeps its place."""

    def blank(match: re.Match[str]) -> str:
        word = match[0]
        is_address = "://" in word or "@" in word or word[:4].lower() == "www."
        return " " * len(word) if is_address else word

    return _ADDRESS.sub(blank, text)
