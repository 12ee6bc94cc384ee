"""A rule for a fault: where it strikes and whom, how often, and what goes wrong then. Pure values."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import SyntaxFault

ANY: Final = "*"
CONNECT: Final = "CONNECT"
BODY: Final = "BODY"
"""The end of a message that comes by DATA or BDAT: the reply to it is what counts."""

_SMTP: Final = "CONNECT EHLO STARTTLS AUTH MAIL RCPT DATA BDAT BODY RSET NOOP VRFY HELP EXPN QUIT"
_POP3: Final = "CONNECT CAPA UTF8 LANG STLS USER PASS AUTH STAT LIST UIDL RETR TOP DELE RSET NOOP QUIT"
_IMAP: Final = (
    "CONNECT CAPABILITY NOOP LOGOUT ID STARTTLS LOGIN AUTHENTICATE ENABLE SELECT EXAMINE CREATE DELETE RENAME"
    " SUBSCRIBE UNSUBSCRIBE LIST LSUB NAMESPACE STATUS APPEND REPLACE IDLE NOTIFY CHECK CLOSE UNSELECT EXPUNGE"
    " SEARCH ESEARCH SORT THREAD FETCH STORE COPY MOVE UIDBATCHES COMPRESS UNAUTHENTICATE GETMETADATA SETMETADATA"
    " GETQUOTA GETQUOTAROOT SETQUOTA SETACL DELETEACL GETACL LISTRIGHTS MYRIGHTS"
)
STAGES: Final[Mapping[str, Collection[str]]] = {
    "smtp": tuple(_SMTP.split()),
    "pop3": tuple(_POP3.split()),
    "imap": tuple(_IMAP.split()),
}
"""What can go wrong at each door: the connection itself, and each command. HELO and LHLO are EHLO, UID FETCH is FETCH."""

_NAMES_SENDER: Final = frozenset({"MAIL", "RCPT", "DATA", "BDAT", BODY, "RSET", "NOOP", "QUIT", ANY})
_NAMES_RECIPIENT: Final = _NAMES_SENDER - {"MAIL"}
_LOGINS: Final = frozenset({"AUTH", "PASS", "LOGIN", "AUTHENTICATE"})
_CHANNEL: Final = frozenset({"STARTTLS", "STLS", "COMPRESS", "UNAUTHENTICATE"})
"""What comes after their answer is said in another way: that cannot be slow or cut by itself."""

_MUCH: Final = frozenset({"CAPA", "LANG", "LIST", "UIDL", "RETR", "TOP"})

LONGEST_DELAY: Final = 3600.0
_LONGEST_PATTERN: Final = 320
_LONGEST_REPLY: Final = 2000
_LONGEST_LINE: Final = 500
_MOST: Final = 1 << 40

_REPLIES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "smtp": (re.compile(r"[2-5][0-9][0-9](?: .*)?"), "a code and its text, such as 451 4.7.1 later"),
    "pop3": (re.compile(r".+"), "one line, such as -ERR [SYS/TEMP] later"),
    "imap": (
        re.compile(r"(?:OK|NO|BAD|BYE)(?: .*)?"),
        "OK, NO, BAD or BYE and its text, such as NO [UNAVAILABLE] later",
    ),
}


class Misruled(SyntaxFault):
    """A rule makes no sense, and this is said of one of its members."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field: Final = field
        """As JSON calls it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known where a fault may strike."""

    door: str
    stage: str
    peer: Peer
    login: str = ""
    sender: Address | None = None
    """Of the mail transaction; None outside of one."""
    recipients: Sequence[Address] = ()
    """The one that is just named, or at the message all that it has."""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Where, whom and how often; and what goes wrong. Making one raises `SyntaxFault` where that makes no sense."""

    door: str
    stage: str
    """One of `STAGES`, or `*` for any command."""
    sender: str = ""
    """A pattern for the envelope's sender: `*@example.org`, `<>` for the null one. Of all patterns, empty is anybody."""
    recipient: str = ""
    peer: str = ""
    """An address or a network: `127.0.0.1`, `2001:db8::/32`."""
    login: str = ""
    namespace: str = ""
    """The very name; empty is everywhere."""
    reply: str = ""
    """What is answered. Of SMTP's, lines after the first are parted by line feeds and have no code of their own."""
    delay: float = 0.0
    """Seconds before anything happens."""
    throttle: int = 0
    """Octets a second: of a message that comes in at BODY, of the answer elsewhere; 0 is no limit."""
    disconnect: str = ""
    """`before` the answer or `after` it."""
    truncate: int | None = None
    """The connection ends after so many octets: of a message that comes in at BODY, of the answer elsewhere."""
    performed: bool = False
    """The command is carried out all the same, and only then answered otherwise, or not."""
    renamed: bool = False
    """UIDL gives every message another name than before."""
    times: int | None = None
    """Strikes, after which all is as usual; None is for ever."""
    after: int = 0
    """Matches that are let pass first."""
    probability: float = 1.0
    seed: int = 0
    """Which of the matches are struck with such a probability: always the same ones."""

    def __post_init__(self) -> None:
        _check(self)

    def matches(self, scene: Scene) -> bool:
        """Whether it is about this. The door and the stage are not asked for any more."""
        return (
            (not self.namespace or self.namespace == scene.namespace)
            and (not self.login or _fits(scene.login, self.login))
            and (not self.peer or _is_in(scene.peer.host, self.peer))
            and (not self.sender or (scene.sender is not None and _fits(scene.sender.key or "<>", self.sender)))
            and (not self.recipient or any(_fits(each.key, self.recipient) for each in scene.recipients))
        )

    def strikes(self, seen: int, hits: int) -> bool:
        """Whether it strikes at its match number `seen`, counted from 1, having struck `hits` times."""
        if seen <= self.after or self.is_spent(hits):
            return False
        return self.probability >= 1 or _drawn(self.seed, seen) < self.probability

    def is_spent(self, hits: int) -> bool:
        """Whether it will never strike again."""
        return self.times is not None and hits >= self.times

    @property
    def narrows(self) -> bool:
        """Whether what leaves, or comes in, is slow or cut."""
        return bool(self.throttle) or self.truncate is not None

    @property
    def replaces(self) -> bool:
        """Whether it stands in the place of the command, which is not carried out."""
        return not self.performed and (bool(self.reply) or self.disconnect == "before")


def _fits(text: str, pattern: str) -> bool:
    return fnmatchcase(text.casefold(), _meant(pattern))


@lru_cache(maxsize=1024)
def _meant(pattern: str) -> str:
    """A pattern for addresses as they are kept: international names are A-labels, and brackets are those of a literal."""
    local, at, domain = pattern.casefold().rpartition("@")
    return f"{local}{at}{'.'.join(map(_label, domain.split('.')))}".replace("[", "[[]")


def _label(label: str) -> str:
    try:
        return label if label.isascii() else normal_domain(label)
    except SyntaxFault:  # a part of one, as in `bü*`
        return label


@lru_cache(maxsize=256)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


def _is_in(host: str, network: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a socket file has none
        return False
    return (getattr(address, "ipv4_mapped", None) or address) in _network(network)


def _drawn(seed: int, seen: int) -> float:
    """A number from 0 to 1 that depends on these two alone, on every machine."""
    digest = hashlib.blake2b(b"%d:%d" % (seed, seen), digest_size=8).digest()
    return int.from_bytes(digest) / (1 << 64)


def _check(rule: Rule) -> None:
    """Raises `Misruled`, in words for whoever has written the rule."""
    stages = STAGES.get(rule.door)
    if stages is None:
        raise Misruled("door", f"there is no door {rule.door or '(none named)'}; the doors are {', '.join(STAGES)}")
    if rule.stage not in stages and rule.stage != ANY:
        told = f"{rule.door} has no stage {rule.stage}; it has {', '.join(stages)}, and * for any command"
        raise Misruled("stage", told)
    _check_whom(rule)
    _check_what(rule)
    if rule.times is not None and not 1 <= rule.times <= _MOST:
        raise Misruled("times", "times should be at least 1")
    if not 0 <= rule.after <= _MOST:
        raise Misruled("after", "after should be 0 or more")
    if not 0 < rule.probability <= 1:
        raise Misruled("probability", "probability should be above 0 and at most 1")
    if not 0 <= rule.seed <= _MOST:
        raise Misruled("seed", "seed should be 0 or more")


def _check_whom(rule: Rule) -> None:
    if rule.sender and (rule.door != "smtp" or rule.stage not in _NAMES_SENDER):
        raise Misruled("from", f"from is not known at {rule.door} {rule.stage}")
    if rule.recipient and (rule.door != "smtp" or rule.stage not in _NAMES_RECIPIENT):
        raise Misruled("to", f"to is not known at {rule.door} {rule.stage}")
    if rule.login and rule.stage == CONNECT:
        raise Misruled("login", "login is not known at CONNECT")
    for name in ("sender", "recipient", "peer", "login", "namespace"):
        text: str = getattr(rule, name)
        if len(text) > _LONGEST_PATTERN or not text.isprintable():
            spoken = _SPOKEN.get(name, name)
            raise Misruled(spoken, f"{spoken} should be at most {_LONGEST_PATTERN} printable characters")
    if rule.peer:
        try:
            _network(rule.peer)
        except ValueError:
            told = "peer should be an address or a network such as 192.0.2.1 or 2001:db8::/32"
            raise Misruled("peer", told) from None


_SPOKEN: Final = {"sender": "from", "recipient": "to"}


def _check_what(rule: Rule) -> None:
    if not (rule.reply or rule.delay or rule.throttle or rule.disconnect or rule.renamed or rule.truncate is not None):
        raise Misruled("reply", "nothing goes wrong; name a reply, delay, throttle, disconnect or truncate")
    if not (math.isfinite(rule.delay) and 0 <= rule.delay <= LONGEST_DELAY):
        raise Misruled("delay", f"delay should be seconds, at most {LONGEST_DELAY:.0f}")
    if not 0 <= rule.throttle <= _MOST:
        raise Misruled("throttle", "throttle should be octets a second")
    if rule.disconnect not in {"", "before", "after"}:
        raise Misruled("disconnect", "disconnect should be before or after")
    if rule.truncate is not None and not 0 <= rule.truncate <= _MOST:
        raise Misruled("truncate", "truncate should be a number of octets")
    if rule.narrows and (rule.stage in _CHANNEL or (rule.door == "smtp" and rule.stage == "AUTH")):
        field = "throttle" if rule.throttle else "truncate"
        raise Misruled(field, f"{rule.stage} cannot be throttled or truncated")
    if rule.renamed and (rule.door, rule.stage) != ("pop3", "UIDL"):
        raise Misruled("renamed", "renamed is for pop3 UIDL")
    if rule.performed and not (rule.reply or rule.disconnect == "before"):
        raise Misruled("performed", "performed goes with a reply or with disconnect=before")
    if rule.performed and (rule.stage in {CONNECT, ANY} or (rule.door == "smtp" and rule.stage not in {BODY, "AUTH"})):
        raise Misruled("performed", f"performed is not for {rule.door} {rule.stage}")
    if rule.performed and rule.door == "pop3" and rule.stage in _MUCH:
        raise Misruled("performed", f"performed is not for pop3 {rule.stage}, whose answer has many lines")
    if rule.reply:
        _check_reply(rule)


def _check_reply(rule: Rule) -> None:
    form, means = _REPLIES[rule.door]
    lines = rule.reply.split("\n")
    good = (
        form.fullmatch(lines[0])
        and len(rule.reply) <= _LONGEST_REPLY
        and all(len(line) <= _LONGEST_LINE and line.isascii() and line.isprintable() for line in lines)
    )
    if not good or (len(lines) > 1 and rule.door != "smtp"):
        raise Misruled("reply", f"reply should be {means}")
    if rule.door == "imap" and rule.stage == CONNECT and not rule.reply.startswith("BYE"):
        raise Misruled("reply", "reply at CONNECT should be BYE and its text")


def is_login(stage: str) -> bool:
    """Whether somebody logs in by that: then `login` is who it is, once that is proven."""
    return stage in _LOGINS


FIELDS: Final[Mapping[str, tuple[str, type]]] = {
    "door": ("door", str),
    "stage": ("stage", str),
    "from": ("sender", str),
    "to": ("recipient", str),
    "peer": ("peer", str),
    "login": ("login", str),
    "namespace": ("namespace", str),
    "reply": ("reply", str),
    "delay": ("delay", float),
    "throttle": ("throttle", int),
    "disconnect": ("disconnect", str),
    "truncate": ("truncate", int),
    "performed": ("performed", bool),
    "renamed": ("renamed", bool),
    "times": ("times", int),
    "after": ("after", int),
    "probability": ("probability", float),
    "seed": ("seed", int),
}
"""How each is called in JSON and on a line; and what it is."""

_KINDS: Final = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
_DEFAULTS: Final[dict[str, Any]] = {
    "seed": 0,
    "after": 0,
    "probability": 1.0,
    "delay": 0.0,
    "throttle": 0,
    "truncate": None,
    "times": None,
    "performed": False,
    "renamed": False,
}


def from_json(value: object) -> Rule:
    """A rule out of a JSON object. Raises `SyntaxFault`."""
    if not isinstance(value, Mapping):
        raise SyntaxFault("a fault should be an object")
    given: dict[str, Any] = {}
    for name, one in value.items():
        if name not in FIELDS:
            raise SyntaxFault(f"a fault has no {str(name)[:40]}; it has {', '.join(FIELDS)}")
        attribute, kind = FIELDS[name]
        if one is None:
            continue
        if kind is float and type(one) is int:
            one = float(one)
        if type(one) is not kind:
            raise Misruled(name, f"{name} should be {_KINDS[kind]}")
        given[attribute] = one
    for name in ("door", "stage"):
        if name not in given:
            raise Misruled(name, f"a fault needs a {name}")
    return Rule(**given)


def to_json(rule: Rule) -> dict[str, Any]:
    """The rule as a JSON object: what it says, and nothing that goes without saying."""
    told = {name: getattr(rule, attribute) for name, (attribute, _) in FIELDS.items()}
    return {name: value for name, value in told.items() if value != _DEFAULTS.get(FIELDS[name][0], "")}
