"""Rules about how a message is sent and where it leads: bulk mail, authentication, links that are tried."""

from __future__ import annotations

from typing import Final

from mailsystem.checks.rule import Rule, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

# Bulk mail
UNSUBSCRIBE_MISSING: Final = Rule(
    "unsubscribe-missing",
    _W,
    "bulk mail without List-Unsubscribe",
    "Large providers demand of bulk mail that it can be left with one click, which List-Unsubscribe tells their "
    "programs how to do.",
    "RFC 2369 3.2",
)
UNSUBSCRIBE_MALFORMED: Final = Rule(
    "unsubscribe-malformed",
    _E,
    "List-Unsubscribe cannot be used as it is written",
    "It holds addresses in angle brackets, parted by commas: https for a page, mailto for a message. Programs pass "
    "over anything else.",
    "RFC 2369 2, RFC 8058 3.1",
)
ONE_CLICK_MISSING: Final = Rule(
    "one-click-missing",
    _W,
    "bulk mail cannot be left with one click",
    "Large providers demand List-Unsubscribe-Post: List-Unsubscribe=One-Click beside an https address in "
    "List-Unsubscribe.",
    "RFC 8058 3.1",
)
ONE_CLICK_UNSIGNED: Final = Rule(
    "one-click-unsigned",
    _W,
    "no signature covers the fields for one click",
    "A DKIM signature must cover List-Unsubscribe and List-Unsubscribe-Post. Otherwise providers do not offer the "
    "button.",
    "RFC 8058 4",
)

# Authentication
DKIM_MALFORMED: Final = Rule(
    "dkim-malformed",
    _E,
    "a DKIM signature cannot be read",
    "A tag that must be there is missing, or says something that is not allowed. Nobody can verify it.",
    "RFC 6376 3.5",
)
DKIM_FROM: Final = Rule(
    "dkim-from-unsigned",
    _E,
    "a DKIM signature does not cover From",
    "h= must name From. Verifiers ignore a signature that does not.",
    "RFC 6376 5.4",
)
DKIM_LENGTH: Final = Rule(
    "dkim-length",
    _W,
    "a DKIM signature covers only a part of the body",
    "With l= anybody can put something behind what was signed, and the signature is still good. Some verifiers ignore "
    "such ones.",
    "RFC 6376 8.2",
)
DKIM_ALGORITHM: Final = Rule(
    "dkim-algorithm",
    _E,
    "a DKIM signature is made by rsa-sha1",
    "SHA-1 must not be used any more; verifiers treat such a signature as if it were not there.",
    "RFC 8301 3.1",
)
DKIM_EXPIRED: Final = Rule(
    "dkim-expired",
    _W,
    "a DKIM signature has expired",
    "The time in x= is past. Verifiers may treat the signature as not valid.",
    "RFC 6376 3.5",
)
DKIM_MISSING: Final = Rule(
    "dkim-missing",
    _W,
    "there is no DKIM signature",
    "Large providers take no mail, or no bulk mail, that is not signed. Without one DMARC fails as soon as the message "
    "is forwarded.",
    "RFC 6376 2.2",
)
DKIM_FAIL: Final = Rule(
    "dkim-fail",
    _E,
    "a DKIM signature does not verify",
    "The message was changed after it was signed, or the key in DNS is another or missing.",
    "RFC 6376 6.1",
)
DKIM_WEAK_KEY: Final = Rule(
    "dkim-weak-key",
    _W,
    "a DKIM key is short",
    "Keys of RSA have 2048 bits or more. Signatures by fewer than 1024 bits are not verified.",
    "RFC 8301 3.2",
)
DKIM_TESTING: Final = Rule(
    "dkim-testing",
    _I,
    "a DKIM key says that its domain is testing",
    "With t=y in its record the signature counts no more than none.",
    "RFC 6376 3.6.1",
)
SPF_FAIL: Final = Rule(
    "spf-fail",
    _E,
    "SPF does not allow this sender",
    "The domain of the envelope sender has published who may send for it, and the given address is not among them.",
    "RFC 7208 2.6",
)
SPF_BROKEN: Final = Rule(
    "spf-broken",
    _E,
    "the SPF record cannot be evaluated",
    "It has a mistake, there are two of them, or it needs more than ten lookups. Receivers treat it as if nobody were "
    "allowed, or as none.",
    "RFC 7208 4.6",
)
SPF_MISSING: Final = Rule(
    "spf-missing",
    _W,
    "the sender's domain has no SPF record",
    "Large providers demand that the domain of the envelope sender says by SPF who may send for it.",
    "RFC 7208 3",
)
DMARC_FAIL: Final = Rule(
    "dmarc-fail",
    _E,
    "DMARC fails",
    "Neither a good signature nor a good SPF result belongs to the domain in From. What its owner's policy says is "
    "done with the message: nothing, the junk folder, or refusal.",
    "RFC 7489 3.1",
)
DMARC_MISSING: Final = Rule(
    "dmarc-missing",
    _W,
    "the domain in From has no DMARC record",
    "Large providers demand one of everybody who sends bulk mail. v=DMARC1; p=none is enough to begin with.",
    "RFC 7489 6.3",
)
DMARC_BROKEN: Final = Rule(
    "dmarc-broken",
    _E,
    "the DMARC record cannot be read",
    "It must begin with v=DMARC1 and have a p=. Receivers treat another one as none.",
    "RFC 7489 6.3",
)

# Where links lead, when that is asked
LINK_BROKEN: Final = Rule(
    "link-broken",
    _E,
    "a link does not work",
    "The server said that there is nothing (a status of 400 or more), or there is no such host.",
    "RFC 9110 15.5",
)
LINK_UNREACHABLE: Final = Rule(
    "link-unreachable",
    _W,
    "a link was not answered",
    "The connection failed, the server did not answer in time, or it answered with an error of its own (a status of "
    "500 or more).",
    "RFC 9110 15.6",
)
LINK_NOT_FOLLOWED: Final = Rule(
    "link-not-followed",
    _W,
    "a link was not followed",
    "It leads to this machine, to a private network or to something that is no web page, directly or by a redirection. "
    "Such addresses are asked for only if that is allowed.",
)
