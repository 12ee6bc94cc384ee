"""Proof of where mail comes from, by way of DNS: signatures of ours (DKIM), and the records that let others check them."""

from mailsystem.mailauth.keys import DkimRecord, make_keys, record_of
from mailsystem.mailauth.signing import Signer, signing_domain

__all__ = ["DkimRecord", "Signer", "make_keys", "record_of", "signing_domain"]
