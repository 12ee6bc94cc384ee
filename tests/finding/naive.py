"""A few hundred messages, and a judge of queries that reads them with the standard library."""

from __future__ import annotations

import email
import email.policy
import fnmatch
import random
import re
import unicodedata
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses

from mailsystem.mail import query as q

WORDS = "invoice Meeting lunch Grüße STRASSE straße köln Москва 日本語 reset-code two café e-mail x1y2 plan".split()  # noqa: SIM905
PEOPLE = [
    Address("Ann Lee", "ann", "shop.test"),
    Address("Joann", "joann", "shop.test"),
    Address("Jörg Müller", "joerg", "example.org"),
    Address("", "ann", "shop.test.example"),
    Address("Bob, the builder", "Bob.B", "Example.ORG"),
    Address("ann@shop.test", "mallory", "evil.test"),
    Address("", "a b", "shop.test"),
]
FILES = [
    ("application/pdf", "Invoice-1.pdf"),
    ("application/pdf", "rechnung straße.PDF"),
    ("image/png", "logo.png"),
    ("image/png", None),
    ("text/plain", "notes.txt"),
    ("application/octet-stream", None),
]
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "\\Deleted", "work", "$Forwarded", "Junk"]
MAILBOXES = ["INBOX", "Work", "Work/2026"]
START = 1_700_000_000


@dataclass(frozen=True)
class Mail:
    """One message, and all that is known of it but what it says."""

    raw: bytes
    flags: frozenset[str]
    date: float
    mailbox: str


def mails(count: int, seed: int = 0) -> list[Mail]:
    chance = random.Random(seed)
    return [_mail(chance) for _ in range(count)]


def _mail(chance: random.Random) -> Mail:
    message = EmailMessage()
    message["From"] = chance.choice(PEOPLE)
    message["To"] = tuple(chance.sample(PEOPLE, chance.randint(1, 3)))
    for name in ("Cc", "Bcc", "Reply-To"):
        if chance.random() < 0.3:
            message[name] = chance.choice(PEOPLE)
    if chance.random() < 0.9:
        message["Subject"] = _words(chance, 4)
    message["Message-ID"] = f"<{chance.getrandbits(40)}@{chance.choice(['shop.test', 'example.org'])}>"
    if chance.random() < 0.2:
        message["X-Mailer"] = _words(chance, 2)
    many = 500 if chance.random() < 0.03 else 12
    message.set_content("\n".join(_words(chance, many) for _ in range(3)))
    if chance.random() < 0.3:
        message.add_alternative(f"<p>{_words(chance, 5)}</p>", subtype="html")
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        kind, name = chance.choice(FILES)
        main, sub = kind.split("/")
        inline = chance.random() < 0.4
        message.add_attachment(
            chance.randbytes(30) if main != "text" else b"words of notes",
            maintype=main,
            subtype=sub,
            filename=name,
            disposition=chance.choice(["inline", "attachment"]) if inline else "attachment",
            cid="<picture@shop.test>" if inline and chance.random() < 0.5 else None,
        )
    if chance.random() < 0.1:
        inner = EmailMessage()
        inner["Subject"] = "within another"
        inner.set_content(_words(chance, 3))
        inner.add_attachment(b"deep", maintype="application", subtype="x-deep", filename="deep.bin")
        message.add_attachment(inner)
    raw = message.as_bytes(policy=email.policy.SMTP)
    flags = frozenset(flag for flag in FLAGS if chance.random() < 0.25)
    # Several come at one moment.
    return Mail(raw, flags, float(START + 3600 * chance.randrange(60)), chance.choice(MAILBOXES))


def _words(chance: random.Random, most: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(1, most)))


def fold(text: str) -> str:
    def apart(text: str) -> str:
        return unicodedata.normalize("NFKD", text)

    return apart(apart(text).casefold())


class Judge:
    """What one message says."""

    def __init__(self, mail: Mail) -> None:
        self.mail = mail
        message = email.message_from_bytes(mail.raw, policy=email.policy.default)
        self.fields = [(name.lower(), fold(str(value))) for name, value in message.items()]
        self.addresses = {
            name: [address for _, address in getaddresses([str(value) for value in message.get_all(name, [])])]
            for name in ("from", "to", "cc", "bcc", "reply-to")
        }
        self.headers = [f"{name}: {value}" for name, value in message.items()]
        self.body: list[str] = []
        self.files: list[tuple[bool, str, str]] = []
        self._read(message, top=True)

    def _read(self, part: EmailMessage, *, top: bool, within: bool = False) -> None:
        kind, name = part.get_content_type(), part.get_filename()
        if not top:
            (self.body if within and kind == "message/inner" else self.headers).extend(
                f"{field}: {value}" for field, value in part.items()
            )
            if name:
                self.headers.append(name)
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            for each in part.iter_parts():
                self._read(each, top=False)  # type: ignore[arg-type]
            return
        disposition = part.get_content_disposition()
        text = part.get_content_maintype() == "text"
        if kind == "message/rfc822":
            self.files.append((False, "", kind))
            inner = part.get_content()
            self.body += [f"{field}: {value}" for field, value in inner.items()]
            for each in inner.walk():
                if each is not inner:
                    self.headers += [f"{field}: {value}" for field, value in each.items()]
                if each.get_filename():
                    self.headers.append(each.get_filename())
                if each.get_content_maintype() == "text":
                    self.body.append(each.get_content())
            return
        if text:
            content = part.get_content()
            self.body.append(content if isinstance(content, str) else content.decode())
        if not text or name or disposition == "attachment":
            shown = part.get_content_maintype() in ("image", "audio", "video")
            is_inline = disposition != "attachment" and not text and (bool(part["content-id"]) or shown)
            self.files.append((is_inline, fold(name or ""), kind))

    def holds(self, query: q.Query) -> bool:
        match query:
            case q.And(parts):
                return all(map(self.holds, parts))
            case q.Or(parts):
                return any(map(self.holds, parts))
            case q.Not(part):
                return not self.holds(part)
            case q.Text(text):
                return any(fold(text) in fold(each) for each in ["\n".join(self.headers), *self.headers, *self.body])
            case q.Body(text):
                return any(fold(text) in fold(each) for each in ["\n".join(self.body), *self.body])
            case q.Addressed(word, who):
                names = list(self.addresses) if word == "addressed" else [word]
                if re.fullmatch(r"[^@ ]+@[\w.]+", who):
                    return any(fold(who) == fold(each) for name in names for each in self.addresses[name])
                if who.startswith("@"):
                    return any(fold(each).endswith(fold(who)) for name in names for each in self.addresses[name])
                return any(fold(who) in value for name, value in self.fields if name in names)
            case q.Field(name, text):
                return any(fold(text) in value for field, value in self.fields if field == name)
            case q.Tag(name):
                return name.lower() in {flag.lower() for flag in self.mail.flags}
            case q.Is("tagged"):
                return "work" in self.mail.flags
            case q.Is(state):
                return {"read": "\\Seen"}.get(state, "\\" + state.title()) in self.mail.flags
            case q.Has(what):
                return any(inline is (what == "inline") for inline, _, _ in self.files)
            case q.Attached(name):
                like = fold(name) if "*" in name else f"*{fold(name)}*"
                return any(each and fnmatch.fnmatchcase(each, like) for _, each, _ in self.files)
            case q.AttachedType(kind):
                return any(fnmatch.fnmatchcase(each, kind) for _, _, each in self.files)
            case q.Larger(octets):
                return len(self.mail.raw) > octets
            case q.Smaller(octets):
                return len(self.mail.raw) < octets
            case q.Since(moment):
                return self.mail.date >= moment
            case q.Before(moment):
                return self.mail.date < moment
            case q.In(name):
                return fnmatch.fnmatchcase(self.mail.mailbox.lower(), name.lower())
        raise AssertionError(query)


def leaf(chance: random.Random) -> str:
    word = f'"{" ".join(chance.choices(WORDS, k=chance.choice([1, 1, 1, 2])))}"'
    part = f'"{(said := chance.choice(WORDS))[: chance.randint(1, len(said))]}"'
    moment = f"2023-11-{chance.randint(14, 17)}T{chance.randrange(24):02}:13:20"
    people = ["ann", "ann@shop.test", "ANN@Shop.Test", "@shop.test", "@example.org", "müller", "bob.b@example.org",
              "joann@shop.test", "shop", "evil", "builder", "mallory@evil.test", "nobody@nowhere.test", "@test"]  # fmt: skip
    who = chance.choice(people)
    return chance.choice(
        [
            word, part, f"body:{word}", f"subject:{part}", f"header:subject={word}",
            *(f"{field}:{who}" for field in ("from", "to", "cc", "bcc", "reply-to", "addressed")),
            "message-id:shop.test", "header:x-mailer", f"header:x-mailer={part}", "header:content-type=mixed",
            "tag:WORK", "tag:$forwarded", "is:read", "is:unread", "is:pinned", "is:answered", "is:draft", "is:tagged",
            "has:attachment", "has:inline", "attachment:*.pdf", "attachment:straße", "attachment:*voice*", "attachment:deep",
            "type:image", "type:application/pdf", "type:message/rfc822",
            f"larger:{chance.randint(300, 3000)}", f"smaller:{chance.randint(300, 3000)}", f"since:{moment}",
            f"before:{moment}",
            "in:INBOX", "in:work", "in:Work*",
        ]
    )  # fmt: skip


def tree(chance: random.Random, depth: int) -> str:
    match chance.choice(["leaf", "leaf", "and", "or", "not"] if depth else ["leaf"]):
        case "leaf":
            return leaf(chance)
        case "not":
            return f"-({tree(chance, depth - 1)})"
        case "or":
            return f"({tree(chance, depth - 1)} OR {tree(chance, depth - 1)})"
        case _:
            return f"({tree(chance, depth - 1)} {tree(chance, depth - 1)})"
