"""A sink that runs elsewhere, seen through its REST interface. Nothing but the standard library speaks to it."""

from __future__ import annotations

import json
import re
import ssl
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from email.utils import getaddresses
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit

from mailsystem.testing.arrival import Envelope, Line, Parcel, Session
from mailsystem.testing.arrivals import Arrivals, Claims
from mailsystem.testing.failing import Row
from mailsystem.testing.place import Where
from mailsystem.testing.postbox import stray

EVERYBODY: Final = "sink"
"""The account that has a copy of all mail."""
_TIMEOUT: Final = 30.0
_SILENCE: Final = 60.0
"""Seconds without a word after which a stream is taken up anew: it says each quarter of a minute that it is there."""
_PAUSE: Final = 0.2
_SOON: Final = (0.01, 0.05)
"""Seconds after which one looks again whether it is told by now how a message came."""
_MOST_STRAYS: Final = 30
_OURS: Final = re.compile(rb"(?:(?:Return-Path|Received):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*){2}", re.IGNORECASE)
"""The trace fields that the sink puts in front."""


class Refused(Exception):
    """The sink has answered, but not as was hoped."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class RemoteServer:
    """A running sink. Every method may be called in any thread."""

    is_shared = True

    def __init__(self, url: str) -> None:
        """Who may come in is said before the host, `http://ann:secret@host:8025`.

        Raises `ConnectionError` where no sink answers.
        """
        whole = urlsplit(url if "://" in url else f"http://{url}")
        who, at, host = whole.netloc.rpartition("@")
        self._url = whole._replace(netloc=host)
        self._proof = f"Basic {b64encode(unquote_to_bytes(who)).decode()}" if at else None
        url = self._url.geturl()  # in which nobody reads the password
        try:
            info = self._asked("GET", "/v1/info")
        except (OSError, HTTPException, Refused, ValueError) as error:
            raise ConnectionError(f"no sink answers at {url}: {error}") from None
        if info.get("role") != "sink":
            raise ConnectionError(f"{url} is no sink: tests would read and remove somebody's mail")
        ports = {name: int(str(place).rpartition(":")[2]) for name, place in info["ports"].items()}
        self.where = Where(self._url.hostname or "127.0.0.1", ports, self._url.geturl())
        self._lock = threading.Lock()
        self._watching: list[Arrivals] = []
        self._strays: deque[Row] = deque(maxlen=_MOST_STRAYS)
        self._told = threading.Condition()
        self._upto = self._modseq()
        self._closed = threading.Event()
        self._stream: HTTPConnection | None = None
        self._pool = ThreadPoolExecutor(4, "mailsystem")
        self._thread = threading.Thread(target=self._listen, name="mailsystem events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear no more of it."""
        self._closed.set()
        if (stream := self._stream) is not None and stream.sock is not None:
            with suppress(OSError):
                stream.sock.shutdown(2)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._thread.join(_TIMEOUT)

    # What comes

    def _listen(self) -> None:
        while not self._closed.is_set():
            with suppress(OSError, HTTPException, Refused, ValueError):
                self._hear()
            self._closed.wait(_PAUSE)

    def _hear(self) -> None:
        self._stream = connection = self._connection(_SILENCE)
        try:
            query = urlencode({"account": EVERYBODY, "since": self._upto})
            connection.request("GET", f"{self._url.path.rstrip('/')}/v1/events?{query}", headers=self._headers())
            answer = connection.getresponse()
            if answer.status != 200:
                raise Refused(answer.status, "no events")
            for name, number, data in _events(answer):
                if name == "arrived":
                    self._arrived(json.loads(data))
                if number is not None:
                    with self._told:
                        self._upto = max(self._upto, number)
                        self._told.notify_all()
        finally:
            self._stream = None
            connection.close()

    def _arrived(self, summary: Mapping[str, Any]) -> None:
        id_ = str(summary["id"])
        try:
            stored = self._octets(f"/v1/messages/{quote(id_)}/raw", account=EVERYBODY)
        except Refused:
            return  # somebody has removed it meanwhile
        at = datetime.fromisoformat(str(summary["received"])).astimezone(UTC)
        evidence = self._evidence(id_)
        envelope = _envelope(evidence) if evidence else _guessed(stored)
        parcel = Parcel(id_, stored, _prefix(stored, evidence.get("size")), envelope, at, partial(self._session, id_))
        with self._lock:
            watching = [*self._watching]
        if not [arrivals for arrivals in watching if arrivals.takes(parcel)]:
            row = stray(parcel)
            with self._lock:
                self._strays.append(row)

    def _evidence(self, id_: str) -> Mapping[str, Any]:
        """How a message came. It is told after the message itself, which may be just now."""
        for pause in (*_SOON, None):
            try:
                told: Mapping[str, Any] = self._asked("GET", f"/v1/messages/{quote(id_)}/envelope", account=EVERYBODY)
            except Refused:
                if pause is not None and not self._closed.wait(pause):
                    continue
                return {}
            return told
        return {}

    def _session(self, id_: str) -> Session:
        told = self._evidence(id_)
        envelope = _envelope(told)
        lines = tuple(
            Line("C" if each["who"] == "C" else "S", str(each["text"]), float(each.get("at_ms", 0)))
            for each in told.get("transcript") or ()
        )
        return Session(envelope.peer, envelope.helo, envelope.tls, envelope.login, lines)

    @contextmanager
    def watch(self, claims: Claims) -> Iterator[Arrivals]:
        arrivals = Arrivals(claims)
        with self._lock:
            self._watching.append(arrivals)
        try:
            yield arrivals
        finally:
            with self._lock:
                self._watching.remove(arrivals)

    def settled(self) -> Future[None]:
        return self._pool.submit(self._settle)

    def still(self) -> None:
        """Who sends there may be anywhere."""

    def _settle(self) -> None:
        there = self._modseq()
        with self._told:
            if not self._told.wait_for(lambda: self._upto >= there, _TIMEOUT):
                raise TimeoutError

    def _modseq(self) -> int:
        return int(self._asked("GET", "/v1/mailboxes", account=EVERYBODY)["modseq"])

    # What is asked

    def strays(self) -> list[Row]:
        with self._lock:
            return list(self._strays)

    def found(self, query: str, ids: frozenset[str]) -> Future[frozenset[str]]:
        return self._pool.submit(self._find, query, ids)

    def _find(self, query: str, ids: frozenset[str]) -> frozenset[str]:
        found: set[str] = set()
        more: dict[str, str] = {}
        while True:
            try:
                page = self._asked(
                    "GET", "/v1/messages", account=EVERYBODY, mailbox="*", query=query, limit="500", **more
                )
            except Refused as error:
                if error.status == 400:
                    raise ValueError(f"query: {error.detail}") from None
                raise
            found.update(each["id"] for each in page["messages"])
            if not page["next"] or ids <= found:
                return ids & found
            more = {"cursor": page["next"]}

    def forget(self, logins: list[str], ids: frozenset[str]) -> Future[None]:
        return self._pool.submit(self._forget, logins, ids)

    def _forget(self, logins: list[str], ids: frozenset[str]) -> None:
        for login in logins:
            for id_ in sorted(ids):
                try:
                    self._asked("DELETE", f"/v1/messages/{quote(id_)}", account=login, permanent="true")
                except Refused as error:
                    if error.status != 404:
                        raise

    @contextmanager
    def faults(self, rules: list[dict[str, Any]]) -> Iterator[None]:
        numbers: list[int] = []
        try:
            for rule in rules:
                try:
                    numbers.append(int(self._asked("POST", "/v1/faults", rule)["id"]))
                except Refused as error:
                    said = "this server has no faults" if error.status in (404, 405, 409) else error.detail
                    raise ValueError(said) from None
            yield
        finally:
            for number in numbers:
                with suppress(Refused):
                    self._asked("DELETE", f"/v1/faults/{number}")

    def trusted(self) -> ssl.SSLContext:
        """Nobody knows who vouches for it: any certificate is good."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def authority(self) -> Path | None:
        return None

    # Requests

    def _connection(self, timeout: float) -> HTTPConnection:
        host = self._url.hostname or "127.0.0.1"
        if self._url.scheme == "https":
            return HTTPSConnection(host, self._url.port or 443, timeout=timeout)
        return HTTPConnection(host, self._url.port or 8025, timeout=timeout)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream", "User-Agent": "mailsystem-testing"}
        return {**headers, "Authorization": self._proof} if self._proof else headers

    def _octets(self, path: str, body: object = None, *, method: str = "GET", **query: str) -> bytes:
        connection = self._connection(_TIMEOUT)
        try:
            target = f"{self._url.path.rstrip('/')}{path}{f'?{urlencode(query)}' if query else ''}"
            headers = self._headers()
            sent = None
            if body is not None:
                sent = json.dumps(body).encode()
                headers["Content-Type"] = "application/json"
            connection.request(method, target, body=sent, headers=headers)
            answer = connection.getresponse()
            octets = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(answer.status, _detail(octets))
        return octets

    def _asked(self, verb: str, path: str, body: object = None, /, **query: str) -> Any:
        octets = self._octets(path, body, method=verb, **query)
        return json.loads(octets) if octets else {}


def _detail(octets: bytes) -> str:
    """What a problem says (RFC 9457)."""
    try:
        return str(json.loads(octets).get("detail", ""))
    except (ValueError, AttributeError):
        return octets[:200].decode("utf-8", "replace")


def _events(answer: HTTPResponse) -> Iterator[tuple[str, int | None, str]]:
    """Name, number and data of each event of a stream (HTML Living Standard 9.2.6)."""
    name, number, data = "", None, ""
    for raw in iter(answer.readline, b""):
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if name or data:
                yield name, number, data
            name, number, data = "", None, ""
        elif field == "event":
            name = value
        elif field == "id":
            number = int(value) if value.isascii() and value.isdigit() else None
        elif field == "data":
            data = f"{data}\n{value}" if data else value


def _prefix(stored: bytes, sent: int | None) -> int:
    """Octets of the trace fields in front of what was sent."""
    if sent is not None and sent <= len(stored):
        return len(stored) - sent
    ours = _OURS.match(stored)
    return ours.end() if ours else 0


def _envelope(told: Mapping[str, Any]) -> Envelope:
    tls = told.get("tls")
    return Envelope(
        mail_from=str(told.get("mail_from") or ""),
        rcpt=tuple(str(each["address"]) for each in told.get("rcpt_to") or ()),
        helo=str(told.get("helo") or ""),
        peer=str(told.get("peer") or ""),
        tls=f"{tls.get('version', '')} {tls.get('cipher', '')}".strip() if isinstance(tls, dict) else tls,
        login=told.get("login"),
        protocol=str(told.get("protocol") or ""),
    )


def _guessed(stored: bytes) -> Envelope:
    """What the message itself tells, where nothing else is known of it: our Received names a recipient who is the only one."""
    email = message_from_bytes(stored, policy=default)
    sender = str(email.get("Return-Path", "")).strip("<> ")
    ours = str(email.get("Received", ""))
    if alone := re.search(r"\sfor <([^<>\s]+)>;", ours):
        return Envelope(sender, (alone[1],))
    fields = [str(value) for name in ("To", "Cc") for value in email.get_all(name, [])]
    return Envelope(sender, tuple(each for _, each in getaddresses(fields) if each))
