"""How messages came: their envelopes, and the sessions in which they did, or in which something was refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mailsystem.mail.mailbox import ContentId
from mailsystem.store.database import Many, Row, Sql, Unit
from mailsystem.telemetry.transcript import Refusal, Transcript, name_of, number_at

MOST_SESSIONS: Final = 10_000
"""Sessions that are kept, the newest."""

_COLUMNS: Final = "id, door, peer, helo, tls, login, began, ended, reason, failed, contents, refused, lines"


class Line(NamedTuple):
    """One line of a session, without its end."""

    at_ms: int
    """Since the session began."""
    who: str
    """`C` or `S`: client or server."""
    text: str
    """In brackets what stands for something else: octets of a message, a secret, the TLS that was agreed on, lines left out."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session by SMTP, submission or LMTP."""

    id: str
    """16 hexadecimal digits, ascending with time."""
    door: str
    """`smtp`, `submission` or `lmtp`."""
    peer: str
    """Address and port, or `unix`."""
    helo: str | None
    """What the client called itself last."""
    tls: str | None
    """Version and cipher; None in clear."""
    login: str | None
    began: float
    """Seconds since the epoch."""
    ended: float | None
    """None for one that lasts, or whose server was killed."""
    reason: str
    """How it ended: `left` properly; else who or what broke it off. Empty while it lasts."""
    failed: bool
    """Something was refused, or it broke off before all was delivered: many clients leave without a word after that."""
    messages: Sequence[ContentId]
    """That were delivered, in order."""
    refused: Sequence[Refusal]
    text: str
    """The lines as they are stored."""

    @property
    def lines(self) -> Sequence[Line]:
        """Every line, both ways."""
        return [
            Line(int(at), who, each)
            for at, who, text in (row.split(" ", 2) for row in self.text.split("\n")[:-1])
            for each in text.split("\r")
        ]


class Recipient(NamedTuple):
    """One of an envelope."""

    address: str
    parameters: Mapping[str, str]
    """NOTIFY and ORCPT (RFC 3461), where they were given."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a message came: its envelope, and who brought it."""

    id: str
    """That the 250 told."""
    sender: str
    """MAIL FROM; empty for the null sender."""
    parameters: Mapping[str, str | None]
    """Of MAIL, by keyword in upper case: SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH, REQUIRETLS, as they were given."""
    recipients: Sequence[Recipient]
    """RCPT TO: those who were accepted, in order."""
    helo: str | None
    peer: str
    """Address and port, or `unix`."""
    protocol: str
    """ESMTPSA and the like (RFC 3848)."""
    tls: str | None
    """`TLSv1.3`; None in clear."""
    cipher: str | None
    login: str | None
    received_at: float
    """Seconds since the epoch."""
    octets: int
    """As they came, without what was put in front."""
    session: str | None
    """Ask `Journal.session` for it, where it is still kept; None where transcripts were not."""


# Writing


def write(sessions: Sequence[Transcript]) -> Unit[None]:
    """Put these down, over what was put down of them before."""
    yield Many(
        f"INSERT INTO journal_sessions ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"  # noqa: S608
        " ON CONFLICT (id) DO UPDATE SET helo = excluded.helo, tls = excluded.tls, login = excluded.login,"
        " ended = excluded.ended, reason = excluded.reason, failed = excluded.failed, contents = excluded.contents,"
        " refused = excluded.refused, lines = excluded.lines",
        [_row(each) for each in sessions],
    )


def _row(session: Transcript) -> Row:
    refused = json.dumps(session.refused) if session.failed else "[]"
    return (
        session.number,
        session.door,
        session.peer,
        session.helo,
        session.tls,
        session.login,
        session.began,
        session.ended,
        session.reason,
        int(session.failed),
        json.dumps(session.contents),
        refused,
        session.text,
    )


def forget(before: float, most: int) -> Unit[int]:
    """Drop those that began before that time, at most so many; returns how many went."""
    return len(
        (
            yield Sql(
                "DELETE FROM journal_sessions WHERE id IN (SELECT id FROM journal_sessions WHERE id < $1 LIMIT $2)"
                " RETURNING id",
                number_at(before),
                most,
            )
        )
    )


def prune() -> Unit[None]:
    """Drop those beyond the most that are kept."""
    yield Sql(
        "DELETE FROM journal_sessions WHERE id <= (SELECT id FROM journal_sessions ORDER BY id DESC LIMIT 1 OFFSET $1)",
        MOST_SESSIONS,
    )


# Reading


def session(id_: str) -> Unit[SessionRecord | None]:
    number = _number(id_)
    if number is None:
        return None
    rows = yield Sql(f"SELECT {_COLUMNS} FROM journal_sessions WHERE id = $1", number)  # noqa: S608
    return _record(rows[0]) if rows else None


def sessions(limit: int, before: str | None, *, failed: bool) -> Unit[list[SessionRecord]]:
    number = (1 << 63) - 1 if before is None else _number(before)
    if number is None:
        return []
    only = " AND failed = 1" if failed else ""
    rows = yield Sql(
        f"SELECT {_COLUMNS} FROM journal_sessions WHERE id < $1{only} ORDER BY id DESC LIMIT $2",  # noqa: S608
        number,
        limit,
    )
    return [_record(row) for row in rows]


def _number(id_: str) -> int | None:
    """That of a session by its id; None for what is none."""
    try:
        number = int(id_, 16)
    except ValueError:
        return None
    return number if name_of(number) == id_ and number < 1 << 63 else None


def _record(row: Row) -> SessionRecord:
    number, door, peer, helo, tls, login, began, ended, reason, failed, contents, refused, lines = row
    return SessionRecord(
        id=name_of(number),
        door=door,
        peer=peer,
        helo=helo or None,
        tls=tls or None,
        login=login or None,
        began=began,
        ended=ended,
        reason=reason,
        failed=bool(failed),
        messages=[ContentId(content) for content in json.loads(contents)],
        refused=[Refusal(*each) for each in json.loads(refused)],
        text=lines,
    )


def evidences(contents: Sequence[int]) -> Unit[dict[ContentId, Evidence]]:
    rows = yield Sql(
        "SELECT content_id, at, data FROM journal WHERE content_id IN LIST $1 AND name = 'accepted' ORDER BY id DESC",
        sorted(contents),
    )
    return {ContentId(content): _evidence(at, json.loads(data)) for content, at, data in rows}


def _evidence(at: float, data: Mapping[str, Any]) -> Evidence:
    asked = data.get("asked", {})
    each_asked = asked.get("recipients", {})
    tls, _, cipher = str(data.get("tls") or "").partition(" ")
    return Evidence(
        id=data.get("id", ""),
        sender="" if data.get("sender") == "<>" else data.get("sender", ""),
        parameters=asked.get("mail", {}),
        recipients=[Recipient(each, each_asked.get(each, {})) for each in data.get("recipients", ())],
        helo=data.get("helo"),
        peer=data.get("peer", ""),
        protocol=data.get("protocol", ""),
        tls=tls or None,
        cipher=cipher or None,
        login=data.get("login"),
        received_at=at,
        octets=data.get("octets", 0),
        session=data.get("session"),
    )
