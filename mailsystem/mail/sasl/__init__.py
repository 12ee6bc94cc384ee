"""SASL (RFC 4422): how a client proves who it is, the same at every door. Values and exchanges, sans-IO."""

from __future__ import annotations

from mailsystem.mail.sasl.mechanisms import (
    MECHANISMS,
    OAUTHBEARER,
    PASSWORDS,
    SCRAM,
    SCRAM_PLUS,
    TOKENS,
    XOAUTH2,
    Ask,
    Bearer,
    Cancelled,
    Credentials,
    asked,
    decode,
    oauthbearer,
    plain,
    proven,
    token_refused,
    xoauth2,
)
from mailsystem.mail.sasl.proof import BadProof, ScramProof
from mailsystem.mail.sasl.scram import BINDING, ITERATIONS, Keys, Scram, scram_keys

__all__ = [
    "BINDING",
    "ITERATIONS",
    "MECHANISMS",
    "OAUTHBEARER",
    "PASSWORDS",
    "SCRAM",
    "SCRAM_PLUS",
    "TOKENS",
    "XOAUTH2",
    "Ask",
    "BadProof",
    "Bearer",
    "Cancelled",
    "Credentials",
    "Keys",
    "Scram",
    "ScramProof",
    "asked",
    "decode",
    "oauthbearer",
    "plain",
    "proven",
    "scram_keys",
    "token_refused",
    "xoauth2",
]
