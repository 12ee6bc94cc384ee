"""Who lives here: proves logins and resolves addresses. One directory for real accounts, one for the sink."""

from mailsystem.directory.accounts import POSTMASTER, AccountsDirectory
from mailsystem.directory.passwords import app_password_digest, derive_keys, hash_password, new_app_password
from mailsystem.directory.protocol import Away, Claimed, Directory, Target, login_name
from mailsystem.directory.proving import proven
from mailsystem.directory.remembered import Remembered
from mailsystem.directory.sink import SINK_LOGIN, SinkDirectory
from mailsystem.directory.spaces import Spaces
from mailsystem.directory.tokens import TokenVerifier, token_verifier

__all__ = [
    "POSTMASTER",
    "SINK_LOGIN",
    "AccountsDirectory",
    "Away",
    "Claimed",
    "Directory",
    "Remembered",
    "SinkDirectory",
    "Spaces",
    "Target",
    "TokenVerifier",
    "app_password_digest",
    "derive_keys",
    "hash_password",
    "login_name",
    "new_app_password",
    "proven",
    "token_verifier",
]
