"""Whose a bearer token is: asked of its issuer (RFC 7662), or read from it and proven by its signature (RFC 7517, 7519).

Nothing here trusts a token's own word: a token says what it says only after its issuer or its signature has vouched for
it, and then it must still be of our issuer, for us, and of this hour.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, Protocol
from urllib.parse import quote_plus, urlencode, urlsplit

from mailsystem.directory.remembered import Remembered
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import AuthFailed, Unavailable

TIMEOUT: Final = 10.0
"""Seconds that an issuer has to answer."""
MOST_OCTETS: Final = 256 * 1024
"""Of an answer."""
LEEWAY: Final = 60.0
"""Seconds by which an issuer's clock may differ from ours."""
ALGORITHMS: Final = ("RS256", "ES256")

_GOOD_FOR: Final = 60.0
_KEYS_FOR: Final = 3600.0
_NOT_AGAIN_FOR: Final = 60.0
_LONGEST_LOGIN: Final = 320
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_asking = ThreadPoolExecutor(max_workers=4, thread_name_prefix="token")

Claims = Mapping[str, Any]


class TokenVerifier(Protocol):
    """Judges tokens."""

    async def login(self, token: str, *, claimed: str) -> str:
        """Whose `token` is; the client said `claimed`, or nothing. Raises `AuthFailed`, `Unavailable`."""
        ...


class AnyToken:
    """For the sink: every token is good, and belongs to whoever says so."""

    def __init__(self, otherwise: str) -> None:
        """`otherwise` is who somebody is that does not say."""
        self._otherwise = otherwise

    async def login(self, token: str, *, claimed: str) -> str:
        return claimed or self._otherwise


class Judge(Protocol):
    """Tells what a token really claims."""

    needs_expiry: bool

    async def claims(self, token: str) -> Claims:
        """Raises `AuthFailed` for a token that is not genuine or not alive, `Unavailable` where that cannot be told."""
        ...


class Tokens:
    """Tokens of one issuer. Good ones are remembered for a minute, by a keyed hash, and never past their end."""

    def __init__(
        self,
        judge: Judge,
        clock: Clock,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        login_claims: tuple[str, ...] = ("email", "username"),
    ) -> None:
        """`login_claims` are where the login stands; the first one that is there counts."""
        self._judge = judge
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._login_claims = login_claims
        self._key = secrets.token_bytes(32)
        self._good: Remembered[tuple[str, float]] = Remembered(clock, _GOOD_FOR)

    async def login(self, token: str, *, claimed: str) -> str:
        digest = hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()
        known = self._good.get(digest)
        if known is None:
            claims = await self._judge.claims(token)
            known = self._login(claims), self._checked(claims)
            self._good.put(digest, known)
        login, expires = known
        if self._clock.now() >= expires + LEEWAY:
            raise AuthFailed
        return login

    def _checked(self, claims: Claims) -> float:
        """When a token ends, if it is good now (RFC 7519 4.1)."""
        now = self._clock.now()
        expires = _moment(claims, "exp")
        if expires is None and self._judge.needs_expiry:
            raise AuthFailed
        begins = _moment(claims, "nbf")
        if (expires is not None and now >= expires + LEEWAY) or (begins is not None and now < begins - LEEWAY):
            raise AuthFailed
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise AuthFailed
        audiences = claims.get("aud")
        if self._audience is not None and self._audience not in (
            audiences if isinstance(audiences, list) else [audiences]
        ):
            raise AuthFailed
        return float("inf") if expires is None else expires

    def _login(self, claims: Claims) -> str:
        for name in self._login_claims:
            login = claims.get(name)
            # Whoever may enter any address at the issuer's without a proof is not the one who has that address.
            # Nor is any other claim of theirs worth more then.
            if name == "email" and login and claims.get("email_verified", True) not in (True, "true"):
                raise AuthFailed
            if isinstance(login, str) and 0 < len(login) <= _LONGEST_LOGIN:
                return login
        raise AuthFailed


class Introspection:
    """RFC 7662: ask the issuer about each token."""

    needs_expiry = False  # "active" says that it is alive, `exp` is optional (RFC 7662 2.2)

    def __init__(self, url: str, client_id: str, client_secret: str, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls` is for an issuer with a certificate of its own. Raises `ValueError` for an address that is not HTTPS."""
        self._url = _checked_url(url)
        # RFC 6749 2.3.1: both are form-encoded before they become a name and a password.
        who = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(who.encode()).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._tls = tls

    async def claims(self, token: str) -> Claims:
        body = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        claims = await fetch("POST", self._url, headers=self._headers, body=body, tls=self._tls)
        if claims.get("active") is not True:
            raise AuthFailed
        return claims


class KeySet:
    """RFC 7517: read signed tokens with the issuer's public keys, which are looked up and kept.

    A key that is not known makes us look again, once a minute at most. Needs the extra `oauth`.
    """

    needs_expiry = True

    def __init__(self, url: str, clock: Clock, *, tls: ssl.SSLContext | None = None) -> None:
        """Raises `ValueError` for an address that is not HTTPS, `ImportError` without the extra `oauth`."""
        import jwt  # noqa: F401 - an installation without it shall fail now rather than at the first login

        self._url = _checked_url(url)
        self._clock = clock
        self._tls = tls
        self._keys: dict[str | None, Any] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._fetching = asyncio.Lock()

    async def claims(self, token: str) -> Claims:
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("alg") not in ALGORITHMS or not (kid is None or isinstance(kid, str)):
                raise AuthFailed
            key = await self._key(kid)
            # Times, issuer and audience are looked at by `Tokens`, the same for both kinds of judges.
            payload = await asyncio.to_thread(jwt.PyJWS().decode, token, key, algorithms=list(ALGORITHMS))
            claims = json.loads(payload)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise AuthFailed from None
        if not isinstance(claims, dict):
            raise AuthFailed
        return claims

    async def _key(self, kid: str | None) -> Any:
        async with self._fetching:
            now = self._clock.now()
            if not now - self._fetched < _KEYS_FOR or (kid is not None and kid not in self._keys):
                await self._look_up(now)
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid is None or kid not in self._keys:
            raise AuthFailed
        return self._keys[kid]

    async def _look_up(self, now: float) -> None:
        if now - self._tried < _NOT_AGAIN_FOR:
            if not self._keys:
                raise Unavailable
            return
        self._tried = now
        try:
            answer = await fetch("GET", self._url, tls=self._tls)
        except Unavailable:
            # What was known stays good for a while: an issuer that restarts shuts out nobody.
            if not self._keys or now - self._fetched > 24 * _KEYS_FOR:
                raise
            return
        self._keys = _public_keys(answer)
        self._fetched = now


def _public_keys(answer: Claims) -> dict[str | None, Any]:
    """Those that verify one of `ALGORITHMS`: never a shared secret, which a public list would make nobody's."""
    import jwt

    keys: dict[str | None, Any] = {}
    listed = answer.get("keys")
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC") or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # of a kind that we do not know
        if key.algorithm_name in ALGORITHMS:
            keys[entry.get("kid")] = key
    return keys


def token_verifier(
    clock: Clock,
    *,
    introspection_url: str | None = None,
    client_id: str = "",
    client_secret: str = "",
    jwks_url: str | None = None,
    issuer: str | None = None,
    audience: str | None = None,
) -> TokenVerifier | None:
    """What the settings ask for, or None: tokens are not taken then. Raises `ValueError` for settings that are no good.

    With a key set the issuer and the audience must be named, or a token made for any other program would do here too.
    """
    if introspection_url:
        judge = Introspection(introspection_url, client_id, client_secret)
        return Tokens(judge, clock, issuer=issuer or None, audience=audience or None)
    if jwks_url:
        if not (issuer and audience):
            raise ValueError("oauth.jwks_url needs oauth.issuer and oauth.audience")
        return Tokens(KeySet(jwks_url, clock), clock, issuer=issuer, audience=audience, login_claims=("email",))
    return None


def _moment(claims: Claims, name: str) -> float | None:
    moment = claims.get(name)
    if moment is None:
        return None
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise AuthFailed
    return float(moment)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        raise ValueError(f"not an HTTPS address: {url}")
    return url


async def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    tls: ssl.SSLContext | None = None,
) -> Claims:
    """The JSON object that is answered, off the loop; no redirect is followed. Raises `Unavailable`."""
    work = asyncio.get_running_loop().run_in_executor(_asking, _fetch, method, url, dict(headers or {}), body, tls)
    try:
        answer = json.loads(await asyncio.wait_for(work, TIMEOUT))
    except (OSError, HTTPException, ValueError, RecursionError):
        raise Unavailable from None
    if not isinstance(answer, dict):
        raise Unavailable
    return answer


def _fetch(method: str, url: str, headers: dict[str, str], body: bytes | None, tls: ssl.SSLContext | None) -> bytes:
    parts = urlsplit(url)
    connection: HTTPConnection
    if parts.scheme == "https":
        context = tls or ssl.create_default_context()
        connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=TIMEOUT, context=context)
    else:
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers={"Accept": "application/json", **headers})
        with connection.getresponse() as response:
            if response.status != 200:
                raise HTTPException(f"status {response.status}")
            answer = response.read(MOST_OCTETS + 1)
        if len(answer) > MOST_OCTETS:
            raise HTTPException("answer too large")
        return answer
    finally:
        connection.close()
