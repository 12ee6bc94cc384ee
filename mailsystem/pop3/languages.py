"""The languages that POP3 speaks (RFC 6856 3): what replies say to people, in each of them. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

NAMES: Final[Mapping[str, str]] = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "i-default": "Default language",
}
"""By tag (RFC 5646), each in its own words; i-default is what is spoken before anybody asks (RFC 2277 4.5)."""

_RANGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}")

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    # English: German, French
    "{host} POP3 ready": ("{host} POP3 bereit", "{host} POP3 prêt"),
    "capabilities follow": ("es folgen die Fähigkeiten", "liste des capacités"),
    "languages follow": ("es folgen die Sprachen", "liste des langues"),
    "mechanisms follow": ("es folgen die Verfahren", "liste des mécanismes"),
    "unique-ids follow": ("es folgen die Kennungen", "liste des identifiants"),
    "top of message follows": ("es folgt der Anfang der Nachricht", "début du message"),
    "message follows": ("es folgt die Nachricht", "voici le message"),
    "language changed": ("Sprache gewechselt", "langue changée"),
    "no language {tag} here": ("die Sprache {tag} gibt es hier nicht", "la langue {tag} n'existe pas ici"),
    "UTF-8 from here on": ("ab hier UTF-8", "UTF-8 à partir d'ici"),
    "begin TLS": ("TLS beginnen", "commencez TLS"),
    "and the password?": ("und das Passwort?", "et le mot de passe ?"),
    "{count} messages ({octets} octets)": (
        "{count} Nachrichten ({octets} Oktette)",
        "{count} messages ({octets} octets)",
    ),
    "{octets} octets": ("{octets} Oktette", "{octets} octets"),
    "message {number} deleted": ("Nachricht {number} gelöscht", "message {number} supprimé"),
    "bye": ("auf Wiedersehen", "au revoir"),
    "bye, {count} deleted": ("auf Wiedersehen, {count} gelöscht", "au revoir, {count} supprimés"),
    # What is refused
    "something went wrong here": ("hier ist etwas schiefgegangen", "quelque chose s'est mal passé ici"),
    "server is shutting down": ("der Server wird beendet", "le serveur s'arrête"),
    "nothing may follow STLS": ("auf STLS darf nichts folgen", "rien ne doit suivre STLS"),
    "too many failed logins": ("zu viele gescheiterte Anmeldungen", "trop de connexions refusées"),
    "too many bad commands": ("zu viele falsche Befehle", "trop de commandes erronées"),
    "line too long": ("Zeile zu lang", "ligne trop longue"),
    "argument missing": ("ein Argument fehlt", "il manque un argument"),
    "not a number": ("keine Zahl", "ce n'est pas un nombre"),
    "too many arguments": ("zu viele Argumente", "trop d'arguments"),
    "control character in command": ("Steuerzeichen im Befehl", "caractère de contrôle dans la commande"),
    "unknown command": ("unbekannter Befehl", "commande inconnue"),
    "{verb} is not possible now": ("{verb} ist jetzt nicht möglich", "{verb} n'est pas possible maintenant"),
    "log in first": ("erst anmelden", "identifiez-vous d'abord"),
    "USER first": ("erst USER", "USER d'abord"),
    "only under TLS": ("nur unter TLS", "seulement sous TLS"),
    "no TLS here": ("hier gibt es kein TLS", "pas de TLS ici"),
    "TLS is on already": ("TLS ist schon an", "TLS est déjà actif"),
    "STLS must come before UTF8": ("STLS muss vor UTF8 kommen", "STLS doit précéder UTF8"),
    "unknown authentication mechanism": ("unbekanntes Anmeldeverfahren", "mécanisme d'authentification inconnu"),
    "bad base64": ("falsches Base64", "base64 incorrect"),
    "authentication cancelled": ("Anmeldung abgebrochen", "authentification annulée"),
    "authentication failed": ("Anmeldung gescheitert", "échec de l'authentification"),
    "authentication required": ("Anmeldung nötig", "authentification requise"),
    "cannot act for somebody else": ("nicht für jemand anderen", "impossible d'agir pour autrui"),
    "too many wrong passwords, try again later": (
        "zu viele falsche Passwörter, bitte später noch einmal",
        "trop de mots de passe erronés, réessayez plus tard",
    ),
    "too many logins at once, try again later": (
        "zu viele Anmeldungen auf einmal, bitte später noch einmal",
        "trop de connexions à la fois, réessayez plus tard",
    ),
    "this maildrop was opened a moment ago, come again later": (
        "dieses Postfach wurde gerade erst geöffnet, bitte später wiederkommen",
        "cette boîte vient d'être ouverte, revenez plus tard",
    ),
    "maildrop already locked": ("das Postfach ist gerade in Gebrauch", "la boîte est déjà en cours d'utilisation"),
    "the maildrop lock was lost": ("die Sperre des Postfachs ging verloren", "le verrou de la boîte a été perdu"),
    "no such message": ("diese Nachricht gibt es nicht", "ce message n'existe pas"),
    "message is deleted": ("die Nachricht ist gelöscht", "le message est supprimé"),
    "this message needs UTF8 mode": ("diese Nachricht braucht den UTF8-Modus", "ce message exige le mode UTF8"),
    "the message cannot be read": ("die Nachricht ist nicht lesbar", "le message est illisible"),
    "temporarily unavailable": ("zurzeit nicht möglich", "temporairement indisponible"),
    "no such mailbox": ("dieses Postfach gibt es nicht", "cette boîte n'existe pas"),
    "no such account": ("dieses Konto gibt es nicht", "ce compte n'existe pas"),
}
_COLUMNS: Final[Mapping[str, int]] = {"de": 0, "fr": 1}


class Phrase(str):
    """A sentence of ours with values in it, which can still be said in another language."""

    __slots__ = ("template", "values")

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, **values: Any) -> Phrase:
        phrase = super().__new__(cls, template.format(**values))
        phrase.template = template
        phrase.values = values
        return phrase


def translated(text: str, language: str) -> str:
    """The same in that language; as it is where there are no words for it."""
    column = _COLUMNS.get(language)
    if column is None:
        return text
    template, values = (text.template, text.values) if isinstance(text, Phrase) else (text, None)
    known = _TEXTS.get(template)
    if known is None:
        return text
    return known[column] if values is None else known[column].format(**values)


def matching(wanted: str) -> str | None:
    """The tag that a basic language range (RFC 4647 2.1) asks for: the longest of ours that begins it; None for none.

    `*` is the administrator's preference, which is English here.
    """
    if wanted == "*":
        return "en"
    wanted = wanted.lower()
    while wanted:
        if wanted in NAMES:
            return wanted
        wanted = wanted.rpartition("-")[0]  # RFC 4647 3.4
    return None


def is_range(text: str) -> bool:
    """Whether it is a basic language range."""
    return text == "*" or _RANGE.fullmatch(text) is not None
