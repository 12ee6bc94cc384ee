"""DKIM signatures: what they say, and whether they are good (RFC 6376, RFC 8301, RFC 8463).

dkimpy judges the signature itself. It is given the header only: the body is hashed here, in time in proportion to its length,
which dkimpy's way of removing white space does not keep to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mailsystem.checks.rule import Findings, Result, shown
from mailsystem.checks.rules import sending
from mailsystem.checks.zone import NotAnswered, Zone
from mailsystem.mail.header import unfolded
from mailsystem.mail.reading import Reading

MOST_SIGNATURES: Final = 10
"""That are verified; a message with more is not verified further."""
MOST_HEAD: Final = 256 << 10
"""Octets of a header that is verified."""
MOST_KEY: Final = 3000
"""Characters of a key: 16384 bits."""
GOOD_BITS: Final = 2048
LEAST_BITS: Final = 1024

_NEEDED: Final = ("v", "a", "b", "bh", "d", "h", "s")
_ALGORITHMS: Final = ("rsa-sha256", "ed25519-sha256", "rsa-sha1")
_DIGITS = re.compile(r"\d{1,12}")
_BLANKS = re.compile(rb"[ \t\r\n]{300}")


@dataclass(frozen=True)
class Signature:
    """One DKIM-Signature field."""

    number: int
    """From 0, the topmost first."""
    tags: dict[str, str]

    @cached_property
    def covered(self) -> frozenset[str]:
        """The names in h=, in lower case."""
        return frozenset(name.strip().lower() for name in self.tags.get("h", "").split(":"))

    @property
    def domain(self) -> str:
        return self.tags.get("d", "").lower().rstrip(".")

    @property
    def error(self) -> str:
        """Why it cannot be verified; empty where it can."""
        missing = [name for name in _NEEDED if not self.tags.get(name)]
        if missing:
            return f"the signature has no {', '.join(name + '=' for name in missing)}"
        if self.tags["v"] != "1":
            return "the version is not 1"
        if self.tags["a"] not in _ALGORITHMS:
            return f"there is no algorithm {shown(self.tags['a'], 30)}"
        identity = self.tags.get("i", "")
        if identity and not ("@" + identity.rpartition("@")[2].lower()).endswith(
            ("@" + self.domain, "." + self.domain)
        ):
            return "i= is not within the domain of d="
        for name in ("t", "x", "l"):
            if name in self.tags and not _DIGITS.fullmatch(self.tags[name]):
                return f"{name}= is no number"
        if any(part not in ("simple", "relaxed") for part in self.tags.get("c", "simple").split("/", 1)):
            return "c= is neither simple nor relaxed"
        try:
            base64.b64decode(self.tags["b"], validate=True)
            base64.b64decode(self.tags["bh"], validate=True)
        except (binascii.Error, ValueError):
            return "b= or bh= is no base64"
        return ""


def signatures_of(message: Reading) -> list[Signature]:
    """The DKIM-Signature fields, from the top."""
    found = []
    for number, value in enumerate(message.values("DKIM-Signature")[:MOST_SIGNATURES]):
        tags: dict[str, str] = {}
        for tag in unfolded(value).decode("utf-8", "replace").split(";"):
            name, equals, said = tag.partition("=")
            if equals:
                tags.setdefault(name.strip(), "".join(said.split()))
        found.append(Signature(number, tags))
    return found


def check_signatures(signatures: list[Signature], findings: Findings, *, now: float) -> None:
    """What can be said without a key."""
    for signature in signatures:
        if error := signature.error:
            findings.add(sending.DKIM_MALFORMED, error, header="DKIM-Signature")
        if "h" in signature.tags and "from" not in signature.covered:
            findings.add(sending.DKIM_FROM, header="DKIM-Signature")
        if "l" in signature.tags:
            told = f"only {shown(signature.tags['l'], 12)} octets of the body are signed"
            findings.add(sending.DKIM_LENGTH, told, header="DKIM-Signature")
        if signature.tags.get("a") == "rsa-sha1":
            findings.add(sending.DKIM_ALGORITHM, header="DKIM-Signature")
        expires = signature.tags.get("x", "")
        if _DIGITS.fullmatch(expires) and int(expires) < now:
            findings.add(sending.DKIM_EXPIRED, header="DKIM-Signature")


def verify(message: Reading, signatures: list[Signature], zone: Zone, findings: Findings) -> list[Result]:
    """Whether each is good, by the keys in the zone."""
    results = []
    for signature in signatures:
        name = f"header.d={shown(signature.domain, 100)} header.s={shown(signature.tags.get('s', ''), 60)}"
        verdict, why = _verdict(message, signature, zone, findings)
        results.append(Result("dkim", verdict, name))
        if verdict not in ("pass", "neutral"):
            findings.add(
                sending.DKIM_FAIL,
                f"the signature of {shown(signature.domain, 60)} fails: {why}",
                header="DKIM-Signature",
            )
    return results


def _verdict(message: Reading, signature: Signature, zone: Zone, findings: Findings) -> tuple[str, str]:
    if signature.error:
        return "permerror", signature.error
    tags = signature.tags
    name = f"{tags['s']}._domainkey.{signature.domain}"
    try:
        records = zone.text(name)
    except NotAnswered as error:
        return "temperror", str(error)
    keys = [record for record in records if "p=" in record]
    if not keys:
        return "permerror", f"there is no key at {shown(name, 100)}"
    key = {
        tag.partition("=")[0].strip(): "".join(tag.partition("=")[2].split())
        for tag in keys[0].split(";")
        if "=" in tag
    }
    if not key.get("p"):
        return "permerror", "the key was withdrawn"
    if "y" in key.get("t", "").split(":"):
        findings.add(sending.DKIM_TESTING, f"the key at {shown(name, 100)} says t=y", header="DKIM-Signature")
    if len(key["p"]) > MOST_KEY:
        return "permerror", "the key is longer than any that is used"
    if key.get("k", "rsa") != tags["a"].partition("-")[0]:
        return "permerror", "the key is of another kind"
    if tags["a"] == "rsa-sha1":
        return "policy", "it is made by rsa-sha1"
    if "from" not in signature.covered:
        return "policy", "it does not cover From"
    if base64.b64decode(tags["bh"]) != _body_hash(message, tags):
        return "fail", "the body was changed"
    return _judged(message, signature, keys[0], findings)


def _body_hash(message: Reading, tags: dict[str, str]) -> bytes:
    """RFC 6376 3.7."""
    from mailsystem.mailauth.canonical import BodyHash  # which brings the store with it

    body = message.octets[message.root.header[1] :]
    relaxed = tags.get("c", "").partition("/")[2] == "relaxed"
    length = int(tags["l"]) if "l" in tags else None
    if relaxed and length is None:
        hashed = BodyHash()
        hashed.feed(body)
        return hashed.close()
    if relaxed:
        lines = [b" ".join(re.split(rb"[ \t]+", line)).rstrip(b" ") for line in body.split(b"\r\n")]
        body = b"\r\n".join(lines)
    end = len(body)
    while body.endswith(b"\r\n", 0, end):
        end -= 2
    body = body[:end] + b"\r\n" if end or not relaxed else b""
    return hashlib.sha256(body[:length]).digest()


def _judged(message: Reading, signature: Signature, key: str, findings: Findings) -> tuple[str, str]:
    from dkim import DKIM, DKIMException

    start, end = message.root.header
    head = message.octets[start:end]
    if len(head) > MOST_HEAD or _BLANKS.search(head):
        return "permerror", "the header is longer than anybody writes one"

    def ask(name: bytes, timeout: float = 0) -> bytes:
        return key.encode("ascii", "replace")

    quiet = logging.getLogger("mailsystem.checks.dkim")
    quiet.disabled = True
    try:
        verifier = DKIM(head, logger=quiet, minkey=LEAST_BITS)
        tags, covered, fields = verifier.verify_headerprep(signature.number)
        del tags[b"bh"]  # the body is good; dkimpy shall not hash the one that it has not got
        good = verifier.verify_sig(tags, covered, fields[signature.number], ask)
    except DKIMException as error:
        return "permerror", shown(str(error), 100)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, NameError):
        return "permerror", "the key or the signature cannot be read"
    if not good and not hasattr(verifier, "pk"):
        return "permerror", "the key cannot be read"
    if verifier.ktag == b"rsa" and verifier.keysize < GOOD_BITS:
        findings.add(
            sending.DKIM_WEAK_KEY,
            f"the key of {shown(signature.domain, 60)} has {verifier.keysize} bits",
            header="DKIM-Signature",
        )
    return ("pass", "") if good else ("fail", "the header was changed, or the key is another one")
