"""`mailsystem sendmail`: stands where programs look for /usr/sbin/sendmail, and hands what they say to a sink by SMTP."""

from __future__ import annotations

import getpass
import os
import re
import smtplib
import socket
import sys
from collections.abc import Sequence
from typing import Annotated, Any, BinaryIO, Final

import typer

from mailsystem.cli.accounts import Refused
from mailsystem.cli.options import examples
from mailsystem.mail import header
from mailsystem.mail.words import text

PATIENCE: Final = 60.0
"""Seconds for one answer of the sink."""
_PLACE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})")
_PIECE: Final = 64 << 10
_NEWLINE: Final = re.compile(rb"(?<!\r)\n")
_NOT_BLIND: Final = header.picker((b"BCC",), True)

epilog = examples(
    "mailsystem sendmail ann@example.org < message.eml",
    "mailsystem sendmail -t -i -f shop@example.org < message.eml",
    "mailsystem sendmail -S mail.test:2525 -t < message.eml",
    "mailsystem sendmail -b s",
)


def sendmail(
    recipients: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADDRESS…", help="Who gets it; those in To, Cc and Bcc if none is named."),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "-f", "-r", "--from", metavar="ADDRESS", envvar="MP_SENDMAIL_FROM", help="Who the envelope is from."
        ),
    ] = None,
    place: Annotated[
        str,
        typer.Option(
            "-S", "--smtp-addr", metavar="HOST:PORT", envvar="MP_SENDMAIL_SMTP_ADDR", help="Where the sink takes mail."
        ),
    ] = "localhost:1025",
    read_header: Annotated[
        bool, typer.Option("-t", help="Send it to those in To, Cc and Bcc as well as to whom is named.")
    ] = False,
    dots: Annotated[bool, typer.Option("-i", help="A line of one dot does not end it; it never does.")] = False,
    behave: Annotated[
        str | None,
        typer.Option("-b", metavar="MODE", help="s speaks SMTP on standard input and output; m is as without."),
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("-o", metavar="OPTION", help="Understood for sendmail's sake, as those below.")
    ] = None,
    name: Annotated[str | None, typer.Option("-F", metavar="NAME", help="Of the sender.")] = None,
    body: Annotated[str | None, typer.Option("-B", metavar="TYPE", help="8BITMIME and the like.")] = None,
    errors: Annotated[str | None, typer.Option("-e", metavar="MODE", help="How errors are told.")] = None,
    notify: Annotated[str | None, typer.Option("-N", metavar="WHEN", help="What is reported.")] = None,
    verbose: Annotated[bool, typer.Option("-v", help="Talk about it.")] = False,
) -> None:
    """Take a message from standard input as /usr/sbin/sendmail does, and give it to a sink.

    PHP finds it by sendmail_path = "mailsystem sendmail -t -i", other programs
    by a link: a program that is called sendmail is this command. The fields of
    the header are left as they are, but for Bcc, which is taken out with -t.
    """
    host, port = _place(place)
    if behave == "s":
        _converse(host, port)
        return
    if behave not in (None, "m"):
        raise Refused(f"-b{behave} is not here: -bs speaks SMTP, -bm takes a message")
    # Lines end here as everywhere on this machine, and in mail with CR LF.
    head, rest = _parted(_NEWLINE.sub(b"\r\n", sys.stdin.buffer.read()))
    named = [one if "@" in one else f"{one}@localhost" for one in recipients or ()]
    if read_header or not named:
        named += _named_in(head)
        # RFC 5322 3.6.3: nobody shall learn who got it blindly.
        head = _NOT_BLIND(head + b"\r\n").removesuffix(b"\r\n")
    if not named:
        raise Refused("nobody is named who should get it")
    _send(host, port, sender.strip("<>") if sender is not None else _own(), list(dict.fromkeys(named)), head + rest)


def _place(told: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(told.strip())
    if found is None or int(found[3]) > 65_535:
        raise Refused(f"{told} should be a host and its port, such as localhost:1025")
    return found[1] or found[2], int(found[3])


def _own() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # nobody with that number
        user = "nobody"
    clean = re.sub(r"[^A-Za-z0-9._-]", "-", user).strip(".")
    return f"{clean or 'nobody'}@{re.sub(r'[^A-Za-z0-9.-]', '-', socket.gethostname()).strip('.-') or 'localhost'}"


def _parted(message: bytes) -> tuple[bytes, bytes]:
    """The header with its last line's end, and the rest from the blank line on."""
    end = message.find(b"\r\n\r\n")
    return (message[: end + 2], message[end + 2 :]) if end >= 0 else (message, b"")


def _named_in(head: bytes) -> list[str]:
    """Who stands in To, Cc and Bcc."""
    return [
        f"{text(each.mailbox or b'', None)}@{text(each.host, None)}"
        for name, value in header.fields(head)
        if name.lower() in (b"to", b"cc", b"bcc")
        for each in header.addresses(header.unfolded(value))
        if each.host is not None
    ]


def _send(host: str, port: int, sender: str, recipients: Sequence[str], message: bytes) -> None:
    try:
        with smtplib.SMTP(host, port, timeout=PATIENCE) as smtp:
            smtp.ehlo_or_helo_if_needed()
            asked = ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") else []
            if smtp.has_extn("smtputf8") and not "".join((sender, *recipients)).isascii():
                asked.append("SMTPUTF8")
            refused = smtp.sendmail(sender, recipients, message, asked)
    except smtplib.SMTPRecipientsRefused as error:
        raise Refused(_refusal(error.recipients)) from None
    except smtplib.SMTPResponseException as error:
        raise Refused(f"{host}:{port} says {error.smtp_code} {_text(error.smtp_error)}") from None
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise Refused(f"cannot send by {host}:{port}: {error}") from None
    if refused:
        raise Refused(_refusal(refused))


def _refusal(refused: dict[str, Any]) -> str:
    return "; ".join(f"{address}: {code} {_text(said)}" for address, (code, said) in refused.items())


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _converse(host: str, port: int) -> None:
    """Carry a session of SMTP between our own input and output and the sink, until that ends it."""
    import threading

    try:
        connection = socket.create_connection((host, port), timeout=PATIENCE)
    except OSError as error:
        raise Refused(f"cannot reach {host}:{port}: {error.strerror or error}") from None
    with connection:
        connection.settimeout(None)
        threading.Thread(target=_forward, args=(sys.stdin.buffer, connection), daemon=True).start()
        while octets := connection.recv(_PIECE):
            sys.stdout.buffer.write(octets)
            sys.stdout.buffer.flush()


def _forward(source: BinaryIO, connection: socket.socket) -> None:
    descriptor = source.fileno()
    try:
        while octets := os.read(descriptor, _PIECE):
            # Whoever types has no CR before the LF.
            connection.sendall(_NEWLINE.sub(b"\r\n", octets))
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return
